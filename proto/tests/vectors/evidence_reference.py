"""A verifier of evidence written from FORMAT.md alone, to hold the published bundles against.

It reads a bundle as a whole and says each rule as plainly as it can; it knows nothing of the Rust code beside it.
`judge` gives None, or the code and the index of the first check that fails. Needs the PyPI package `cryptography`.
"""

import base64
import hashlib
import re
import unicodedata

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import reference
from evidence_log import blake3, text_of, time_text, unpadded
from reference import canonical

RECORD_MAX, LINE_MAX, NOTE_MAX, SIGNATURES_MAX = 524288, 16777216, 65536, 100
TIME_MAX = 253402300799999
HEAD = {"format", "workspace_id", "authorization_id", "first", "end", "before", "after", "keys", "checkpoint"}
FAMILIES = {0: (0, 1, 2), 1: (0, 1), 2: (0,), 3: (0, 1), 4: (0, 1), 5: (0,), 6: (0,), 7: (0, 1), 8: (0, 1), 9: (0, 1, 2), 10: range(6), 11: (0, 1, 2), 12: (0, 1, 2), 13: range(10)}


class Fault(Exception):
    """Carries the code, and the index if it has one."""


def need(sound, code, index=None):
    if not sound:
        raise Fault(code, index)


def judge(bundle, trust, witnesses, quorum):
    try:
        verify(bundle, trust, witnesses, quorum)
    except Fault as fault:
        return {"code": fault.args[0], "index": fault.args[1]}
    return None


def verify(bundle, trust, witnesses, quorum):
    lines = bundle.split(b"\n")
    # Each line is ended by a line feed: what is behind the last one is a line that is not ended, if it is anything.
    unended = lines.pop()
    lines = [read_line(line) for line in lines] + ([None] if unended else [])
    need(lines, "malformed_bundle")
    head = shaped_head(lines[0])
    note = checkpoint(head)
    keys = activations(head)
    need(keys and keys[-1]["id"] in trust and signed_by(note, keys[-1]), "untrusted_checkpoint")
    first, end, size = head["first"], head["end"], note["size"]
    need(end <= size, "malformed_bundle")
    blocks = placed(head, first, end, size)
    for place, key in enumerate(keys):
        need(key["index"] < size and proven(key["entry"], key["index"], size, key["proof"]) == note["root"], "bad_key_proof")
        need(place == 0 or keys[place - 1]["index"] < key["index"], "bad_key_proof")
    need(sum(cosigned(note, vkey) for vkey in set(witnesses)) >= quorum, "too_few_witnesses")
    document = key_document(head, keys)
    listed = {key["index"] for key in keys}
    records = []
    for index in range(first, end):
        place = index - first + 1
        need(place < len(lines), "missing_records", index)
        records.append(record(lines[place], index, head, records[-1] if records else None, document, listed))
    need(len(lines) == end - first + 1, "extra_records", end)
    for index, one in enumerate(records, first):
        blocks[index, 1] = hashlib.sha256(b"\0" + one["entry"]).digest()
    need(tree(0, size, blocks) == note["root"], "wrong_root")


def read_line(line):
    """The value of a line, None if it is not JSON."""
    try:
        return reference.read(line.decode("utf-8")) if len(line) < LINE_MAX else None
    except (ValueError, RecursionError):
        return None


def defective(value):
    if isinstance(value, dict):
        return any(map(defective, value.values()))
    return any(map(defective, value)) if isinstance(value, list) else isinstance(value, reference.Defect)


# -- the head


def shaped_head(head):
    code = "malformed_bundle"
    need(isinstance(head, dict) and head.keys() == HEAD and not defective(head), code)
    need(head["format"] == "allowlog-evidence-v1", code)
    need(raw_id("ws_", head["workspace_id"]) is not None, code)
    need(head["authorization_id"] is None or raw_id("auth_", head["authorization_id"]) is not None, code)
    need(all(type(head[name]) is int and head[name] >= 0 for name in ("first", "end")), code)
    need(all(isinstance(head[name], list) for name in ("before", "after", "keys")), code)
    need(all(decoded(item, 32) for name in ("before", "after") for item in head[name]), code)
    for key in head["keys"]:
        need(isinstance(key, dict) and key.keys() == {"record", "proof"} and isinstance(key["proof"], list), code)
        need(decoded(key["record"]) is not None and all(decoded(item, 32) for item in key["proof"]), code)
    need(isinstance(head["checkpoint"], str) and head["first"] <= head["end"], code)
    return head


def raw_id(prefix, text):
    """The 16 bytes of an id in its only spelling, None for any other text."""
    if not isinstance(text, str) or not re.fullmatch(prefix + "[0-7][0-9A-HJKMNP-TV-Z]{25}", text):
        return None
    number = 0
    for character in text[len(prefix) :]:
        number = number << 5 | "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(character)
    return number.to_bytes(16, "big")


def decoded(text, length=None):
    """The bytes of a base64 text in its only spelling, else None."""
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except ValueError:
        return None
    if data is None or base64.b64encode(data).decode() != text or length not in (None, len(data)):
        return None
    return data


def checkpoint(head):
    code, note = "malformed_bundle", head["checkpoint"]
    need(len(note.encode()) <= NOTE_MAX and not any(character < " " for character in note.replace("\n", "")), code)
    parts = note.split("\n\n")
    need(len(parts) == 2 and parts[1].endswith("\n") and parts[1].count("\n") <= SIGNATURES_MAX, code)
    lines = parts[0].split("\n")
    need(len(lines) >= 3 and lines[0] == "allowlog/" + head["workspace_id"], code)
    need(re.fullmatch("0|[1-9][0-9]*", lines[1], re.ASCII) and int(lines[1]) < 2**64 and decoded(lines[2], 32), code)
    signatures = []
    for line in parts[1][:-1].split("\n"):
        match = re.fullmatch("\u2014 ([^ ]+) ([A-Za-z0-9+/]+=*)", line)
        data = match and decoded(match[2])
        need(data and len(data) > 4 and is_name(match[1]), code)
        signatures.append((match[1], data[:4], data[4:]))
    return {"text": parts[0] + "\n", "origin": lines[0], "size": int(lines[1]), "root": decoded(lines[2]), "signatures": signatures}


def is_name(name):
    strange = [character for character in name if character.isspace() or unicodedata.category(character) == "Cc" or character == "+"]
    return name != "" and not strange


def activations(head):
    code, keys = "malformed_bundle", []
    for item in head["keys"]:
        record = decoded(item["record"])
        fields = header(record)
        body = record[113:]
        need(fields and fields["workspace"] == raw_id("ws_", head["workspace_id"]) and len(record) <= RECORD_MAX, code)
        need(body[:2] == b"\2\0" and len(body) > 50 and body[2:18] == blake3(body[18:50])[:16], code)
        need(point(body[18:50]), code)
        active_from = varint(body[50:])
        need(active_from is not None and active_from <= TIME_MAX, code)
        keys.append(
            {
                "id": text_of("key_", body[2:18]),
                "public": body[18:50],
                "active_from": active_from,
                "index": fields["index"],
                "entry": record_hash(record[:113], blake3(body)) + fields["receipt"],
                "proof": [decoded(one) for one in item["proof"]],
            }
        )
    return keys


def varint(data):
    size = {0xFB: 2, 0xFC: 4, 0xFD: 8}.get(data[0], 0)
    if data[0] < 251:
        return data[0]
    return int.from_bytes(data[1 : 1 + size], "little") if size and len(data) > size else None


def signed_by(note, key):
    wanted = hashlib.sha256(note["origin"].encode() + b"\n\1" + key["public"]).digest()[:4]
    lines = [data for name, key_id, data in note["signatures"] if (name, key_id) == (note["origin"], wanted)]
    return any(good_signature(key["public"], data, note["text"].encode()) for data in lines)


def cosigned(note, vkey):
    name, _, rest = vkey.partition("+")
    key_id, _, data = rest.partition("+")
    key = decoded(data, 33)
    if not is_name(name) or key is None or key[0] != 4 or hashlib.sha256(name.encode() + b"\n" + key).hexdigest()[:8] != key_id:
        return False
    for found, found_id, data in note["signatures"]:
        if (found, found_id.hex()) == (name, key_id) and len(data) == 72:
            message = f"cosignature/v1\ntime {int.from_bytes(data[:8], 'big')}\n{note['text']}"
            if good_signature(key[1:], data[8:], message.encode()):
                return True
    return False


def key_document(head, keys):
    rows = []
    for place, key in enumerate(keys):
        until = time_text(keys[place + 1]["active_from"]) if place + 1 < len(keys) else None
        row = {"key_id": key["id"], "alg": "Ed25519", "public_key": unpadded(key["public"])}
        rows.append({**row, "active_from": time_text(key["active_from"]), "active_until": until})
    return {"workspace_id": head["workspace_id"], "keys": rows}


# -- Ed25519, what RFC 8032 leaves to the verifier: the library checks S

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P


def good_signature(public, signature, message):
    if len(signature) != 64 or small_order(public) or small_order(signature[:32]):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def point(encoded):
    """Its coordinates, None for what is no point of the curve."""
    number = int.from_bytes(encoded, "little")
    y, sign = number % 2**255 % P, number >> 255
    xx = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if x * x % P != xx:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != xx:
        return None
    return P - x if x % 2 != sign else x, y


def small_order(encoded):
    """Whether eight times the point is the neutral one; True also for what is no point."""
    if point(encoded) is None:
        return True
    x, y = point(encoded)
    for _ in range(3):
        t = D * x * x * y * y
        x, y = 2 * x * y * pow(1 + t, -1, P) % P, (y * y + x * x) * pow(1 - t, -1, P) % P
    return (x, y) == (0, 1)


# -- the tree


def placed(head, first, end, size):
    """The full subtrees of the head, by their place and width."""
    code, blocks, at = "malformed_bundle", {}, 0
    widths = [1 << power for power in reversed(range(64)) if first >> power & 1]
    need(len(widths) == len(head["before"]), code)
    for width, text in zip(widths, head["before"]):
        blocks[at, width] = decoded(text)
        at += width
    at, after = end, list(head["after"])
    while at < size:
        width = max(1 << power for power in range(64) if at % (1 << power) == 0 and at + (1 << power) <= size)
        need(after, code)
        blocks[at, width] = decoded(after.pop(0))
        at += width
    need(not after, code)
    return blocks


def tree(at, width, blocks):
    if width == 0:
        return hashlib.sha256(b"").digest()
    if (at, width) in blocks:
        return blocks[at, width]
    left = 1 << (width - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + tree(at, left, blocks) + tree(at + left, width - left, blocks)).digest()


def proven(entry, index, size, proof):
    """The root that a proof of inclusion leads to, None if it has another length than it must."""
    if size == 1:
        return hashlib.sha256(b"\0" + entry).digest() if not proof else None
    if not proof:
        return None
    left = 1 << (size - 1).bit_length() - 1
    below = proven(entry, index, left, proof[:-1]) if index < left else proven(entry, index - left, size - left, proof[:-1])
    if below is None:
        return None
    return hashlib.sha256(b"\1" + (below + proof[-1] if index < left else proof[-1] + below)).digest()


# -- records


def header(data):
    if len(data) < 114 or data[0] != 4 or int.from_bytes(data[25:33], "big") > TIME_MAX:
        return None
    number = lambda start: int.from_bytes(data[start : start + 8], "big")  # noqa: E731
    names = {"previous": (33, 65), "receipt": (65, 97), "subject": (97, 113), "workspace": (1, 17)}
    return {"index": number(17), "time": number(25), **{name: data[a:b] for name, (a, b) in names.items()}}


def record_hash(head, body_hash):
    return blake3(b"allowlog.record.v4\n" + head + body_hash)


def body_fields(body):
    """Family, receipt id and authorization id of a body; None if its fixed part is not there."""
    if len(body) < 2 or body[1] not in FAMILIES.get(body[0], ()):
        return None
    family, fixed = body[0], body[2:]
    part = lambda start: fixed[start : start + 16]  # noqa: E731
    if family == 2:
        # The time behind the key must be there too, and be one.
        active_from = varint(fixed[48:]) if len(fixed) > 48 else None
        return (2, None, None) if active_from is not None and active_from <= TIME_MAX else None
    if body[:2] in (b"\4\0", b"\x0d\0"):
        known = fixed[16:17]
        if known not in (b"\0", b"\1") or len(fixed) < (33 if known == b"\1" else 17):
            return None
        return family, part(0), part(17) if known == b"\1" else None
    if body[:2] == b"\x0d\1":
        known = fixed[:1]
        if known not in (b"\0", b"\1") or len(fixed) < (17 if known == b"\1" else 1):
            return None
        return 13, None, part(1) if known == b"\1" else None
    if body[:2] == b"\x0d\x08":
        return (13, None, part(0)) if len(fixed) >= 16 else None
    ids = {3: (0, 16), 4: (0, 16), 5: (None, 16), 6: (0, 32), 10: (None, 16), 13: (0, 16)}.get(family)
    if ids is None or body[:2] in (b"\x0a\5", b"\x0d\6"):
        return family, None, None
    receipt, authorization = ids
    if len(fixed) < authorization + 16:
        return None
    return family, None if receipt is None else part(receipt), part(authorization)


def record(line, index, head, before, document, listed):
    code = "malformed_record"
    need(isinstance(line, dict) and isinstance(line.get("hash"), str) and re.fullmatch("[0-9a-f]{64}", line["hash"], re.ASCII), code, index)
    whole, story = "record" in line, head["authorization_id"]
    allowed = {"hash", "record", "receipt"} if whole else {"hash", "hidden"}
    need(line.keys() <= allowed and (whole or "hidden" in line), code, index)
    need("receipt" not in line or isinstance(line["receipt"], dict), code, index)
    data = decoded(line["record" if whole else "hidden"])
    need(data is not None and (whole or (story is not None and len(data) == 145)) and len(data) <= RECORD_MAX, code, index)
    fields = header(data)
    need(fields and fields["workspace"] == raw_id("ws_", head["workspace_id"]), code, index)
    known = body_fields(data[113:]) if whole else (None, None, None)
    need(known, code, index)
    family, receipt_id, authorization = known
    need(fields["index"] == index, "wrong_index", index)
    own = record_hash(data[:113], blake3(data[113:]) if whole else data[113:])
    need(own.hex() == line["hash"], "wrong_hash", index)
    if before:
        need(fields["previous"] == before["hash"], "broken_link", index - 1)
    need(index > 0 or fields["previous"] == bytes(32), "broken_link", index)
    need(not before or fields["time"] >= before["time"], "time_goes_back", index)
    if whole:
        need(fields["subject"] == subject(authorization), "wrong_subject", index)
        need(story is None or fields["subject"] == subject(raw_id("auth_", story)), "wrong_subject", index)
        need(family != 2 or index in listed, "unlisted_key", index)
        has_receipt = receipt_id is not None
        need((fields["receipt"] != bytes(32)) == has_receipt, "wrong_receipt", index)
        need("receipt" in line or not has_receipt, "missing_receipt", index)
        need("receipt" not in line or has_receipt, "wrong_receipt", index)
    else:
        need(fields["subject"] != subject(raw_id("auth_", story)), "wrong_subject", index)
    if "receipt" in line:
        receipt(line["receipt"], index, fields, receipt_id, head, document)
    return {"hash": own, "time": fields["time"], "entry": own + fields["receipt"]}


def subject(authorization):
    return bytes(16) if authorization is None else blake3(b"allowlog.subject.v1\n" + authorization)[:16]


def receipt(given, index, fields, receipt_id, head, document):
    code, issued_at = "wrong_receipt", time_text(fields["time"])
    try:
        signed = canonical({name: value for name, value in given.items() if name != "signature"}).encode("utf-8", "strict")
    except (reference.Fault, UnicodeEncodeError):
        raise Fault(code, index) from None
    need(hashlib.sha256(signed).digest() == fields["receipt"], code, index)
    wanted = {"receipt_id": text_of("rcp_", receipt_id), "workspace_id": head["workspace_id"], "issued_at": issued_at}
    need(all(given.get(name) == value for name, value in wanted.items()), code, index)
    try:
        reference.verify(given, document, head["workspace_id"], issued_at)
        value, key_id = reference.base64url(given["signature"]["value"]), given["signature"]["key_id"]
        public = next(row["public_key"] for row in document["keys"] if row["key_id"] == key_id)
        need(good_signature(reference.base64url(public), value, signed), "bad_signature", index)
    except reference.Fault as fault:
        raise Fault(str(fault), index) from None
