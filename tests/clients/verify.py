"""A stranger's verifier: written from proto/FORMAT.md alone, it asks no server and shares no code with one.

    python3 verify.py BUNDLE --trust KEY_ID... [--witness VKEY... --quorum N] [--json]
    python3 verify.py --receipt R --keys K [--workspace ID] [--proof P [--witness VKEY... --quorum N]] [--json]

Exit code 0: genuine. 1: not, and the first check that fails is named. 2: a file cannot be read or is no JSON, or bad arguments.
"""
import argparse, base64, collections, contextlib, datetime, functools, hashlib, itertools, json, re, sys, time
from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SAFE, PRIME, TIME_MAX, RECORD_MAX, LINE_MAX = 2**53 - 1, 2**255 - 19, 253402300799999, 524288, 16777216
CROCKFORD, DEFECT, LONE = "0123456789ABCDEFGHJKMNPQRSTVWXYZ", object(), re.compile("[\ud800-\udfff]").search  # what is JSON and cannot be signed is of no type
STRINGS = "version receipt_id workspace_id issued_at decision reason user_id agent_id policy_version".split()
NEEDED = {*STRINGS, "resource", "context", "authorization_id", "signature"}
PAIRS = {"authorization.create": "granted", "authorization.revoke": "revoked", "escalation.resolve": "approved rejected"}
HEAD = {"format", "workspace_id", "authorization_id", "first", "end", "before", "after", "keys", "checkpoint"}
EVENTS = [row.split(", ") for row in """workspace created, workspace changed, workspace described; api key created, api key revoked; signing key activated; granted, revoked; check, token verified; \
confirmation answered; escalation resolved; bundle created, bundle deleted; tombstone placed, tombstone lifted; agent created, agent changed, webhook secret rotated; \
consent requested, viewed, declined, withdrawn, token minted, manage link created; agent registered, agent status, agent credential; \
device registered, device attested, device revoked; payment decided, intent created, authorised, refused, captured, cancelled, intent abandoned, \
offline token issued, offline payment queued, offline payment reconciled""".split("; ")]
TIME = r"(\d{4})-(\d\d)-(\d\d)[Tt]([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(?:\.(\d{1,9}))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))"
NOTE = r"((\S+)\n(0|[1-9][0-9]{0,19})\n(\S+)\n(?:[^\0-\x1f]+\n)*)\n((?:— [^\s+\0-\x1f\x7f-\x9f]+ \S+\n){1,100})"
PROOF = r"c2sp.org/tlog-proof@v1\nextra (\S+)\nindex (0|[1-9][0-9]{0,19})((?:\n\S+)*)\n\n(.*)"
class Fault(Exception):
    code, why, index = (property(lambda self, place=place: self.args[place]) for place in range(3))
def need(holds, code, why, index=None):
    if not holds: raise Fault(code, why, index)

def parse(data):
    """Strict JSON with DEFECT in place of numbers and members that cannot be signed; ValueError if it is none."""
    def members(pairs):
        often = collections.Counter(name for name, _ in pairs)
        return {name: DEFECT if often[name] > 1 or LONE(name) else value for name, value in pairs}
    def whole(digits): return int(digits) if len(digits) < 18 and abs(int(digits)) <= SAFE and digits != "-0" else DEFECT
    brackets = re.sub(r'"(?:[^"\\]|\\.)*"|[^][{}"]+', "", text := data.decode(), flags=re.DOTALL)
    if max(itertools.accumulate((1 if sign in "[{" else -1 for sign in brackets)), default=0) > 128:
        raise ValueError("too deep")
    return json.loads(text, object_pairs_hook=members, parse_int=whole, parse_float=lambda _: DEFECT, parse_constant=int)
def canonical(value, code="not_canonical"):
    need(not (value is DEFECT or isinstance(value, str) and LONE(value)), code, "a value cannot be signed")
    if isinstance(value, str):
        return '"' + re.sub('["\\\\\x00-\x1f]', lambda m: "\\" + m[0] if m[0] in '"\\' else f"\\u{ord(m[0]):04x}", value) + '"'
    if isinstance(value, list): return f"[{','.join(canonical(item, code) for item in value)}]"
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{canonical(name, code)}:{canonical(value[name], code)}" for name in names) + "}"
    return json.dumps(value)
def signed_bytes(receipt, code="not_canonical"): return canonical({name: value for name, value in receipt.items() if name != "signature"}, code).encode()
def unbase(text, size=None, alphabet=b"+/"):
    """The bytes of the one spelling that encodes them, None for any other; base64url has no padding."""
    with contextlib.suppress(TypeError, ValueError):
        data = base64.b64decode(text + "==" * (alphabet == b"-_"), alphabet)
        spelt = base64.b64encode(data, alphabet).decode().rstrip("=" * (alphabet == b"-_") or " ")
        return data if spelt == text and size in (None, len(data)) else None
def to_id(prefix, raw): return prefix + "".join(CROCKFORD[int.from_bytes(raw, "big") >> 5 * place & 31] for place in range(25, -1, -1))
def from_id(prefix, text):
    if isinstance(text, str) and re.fullmatch(f"{prefix}[0-7][{CROCKFORD}]{{25}}", text):
        return functools.reduce(lambda number, sign: 32 * number + CROCKFORD.index(sign), text[len(prefix) :], 0).to_bytes(16, "big")
def to_time(ms): return (datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=ms)).isoformat(timespec="milliseconds") + "Z"
def from_time(text):
    """Nanoseconds since 1970, None if the text is no time with an offset."""
    match = isinstance(text, str) and re.fullmatch(TIME, text, re.ASCII)
    with contextlib.suppress(TypeError, ValueError):  # the calendar repeats every 400 years of 146097 days; Python's begins with the year 1
        cycles, year = divmod(int(match[1]) + 399, 400)
        days = datetime.date(year + 1, int(match[2]), int(match[3])).toordinal() - 719163 + (cycles - 1) * 146097
        minutes = int(match[4]) * 60 + int(match[5]) - (int(match[9] or 0) * 60 + int(match[10] or 0)) * (-1 if match[8] == "-" else 1)
        return (days * 86400 + minutes * 60 + min(int(match[6]), 59)) * 10**9 + int((match[7] or "0").ljust(9, "0"))

def y_of(point): return (int.from_bytes(point, "little") & 2**255 - 1) % PRIME
def on_curve(y): return pow(121666 * (y * y - 1) * (121666 - 121665 * y * y), (PRIME - 1) // 2, PRIME) < 2  # d is -121665/121666
def small_order(y): return y * (y * y - 1) * (121666 * (2 * y * y - 1) - 121665 * y**4) % PRIME == 0  # those whose order divides 8
def ed25519(public, signature, message):
    """RFC 8032; the library sees to S and to points that are none, not to points of small order."""
    with contextlib.suppress(InvalidSignature, ValueError):
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        return not small_order(y_of(public)) and not small_order(y_of(signature[:32]))
def note_id(name, kind, public): return hashlib.sha256(name.encode() + bytes([10, kind]) + public).digest()[:4]
def witness_key(vkey):
    """Name and public key of a verifier key for cosignatures."""
    name, key_id, data = (vkey.split("+", 2) + ["", ""])[:3]
    if not re.fullmatch(r"[^\s\0-\x1f\x7f-\x9f]+", name) or not (key := unbase(data, 33)) or key[0] != 4 or note_id(name, 4, key[1:]).hex() != key_id:
        raise ValueError(f"`{vkey}` is no verifier key of a witness")
    return name, key[1:]
class Checkpoint:
    def __init__(self, note, workspace, code):
        match = len(note.encode()) <= 65536 and re.fullmatch(NOTE, note)
        self.text, self.origin, size, root, lines = match.groups() if match else ("", "", "0", "", "")
        need(self.origin == "allowlog/" + workspace and unbase(root, 32) and int(size) < 2**64, code, "`checkpoint` is none of this workspace")
        self.size, self.root = int(size), unbase(root)
        self.lines = [(name, unbase(data) or b"") for name, data in re.findall(r"— (\S+) (\S+)\n", lines)]
        need(all(data[4:] for _, data in self.lines), code, "a signature line of the checkpoint is malformed")
    def by(self, name, kind, public):
        return [data[4:] for signer, data in self.lines if (signer, data[:4]) == (name, note_id(name, kind, public))]
    def signed_by(self, public):
        return any(ed25519(public, data, self.text.encode()) for data in self.by(self.origin, 1, public))
    def cosigned_by(self, name, public):
        text = lambda data: f"cosignature/v1\ntime {int.from_bytes(data[:8], 'big')}\n{self.text}"
        return any(ed25519(public, data[8:], text(data).encode()) for data in self.by(name, 4, public))
    def quorum(self, witnesses, quorum):
        have = sorted(name for name, public in set(witnesses) if self.cosigned_by(name, public))
        need(len(have) >= quorum, "too_few_witnesses", f"{len(have)} of the named witnesses have cosigned, {quorum} are asked for")
        return have
def leaf(entry): return hashlib.sha256(b"\0" + entry).digest()
def node(left, right): return hashlib.sha256(b"\1" + left + right).digest()
def climb(value, index, size, proof):
    """The root that a proof of inclusion leads to, or something else if it is none."""
    if size == 1 or not proof: return value if size == 1 and not proof else b""
    left = 1 << (size - 1).bit_length() - 1
    if index < left: return node(climb(value, index, left, proof[:-1]), proof[-1])
    return node(proof[-1], climb(value, index - left, size - left, proof[:-1]))
def included(entry, index, proof, checkpoint): return index < checkpoint.size and climb(leaf(entry), index, checkpoint.size, proof) == checkpoint.root
def root_of(subtrees):
    """The root of full subtrees, (width, root) from left to right."""
    peaks = []
    for width, value in subtrees:
        while peaks and peaks[-1][0] == width:
            width, value = 2 * width, node(peaks.pop()[1], value)
        peaks.append((width, value))
    return functools.reduce(lambda right, left: node(left, right), [value for _, value in reversed(peaks)])
def widths(at, end):
    """Those of the full subtrees that the leaves from `at` to `end` fall into, in a tree that ends there."""
    out = []
    while at < end:
        out.append(min(at & -at or end, 1 << (end - at).bit_length() - 1))
        at += out[-1]
    return out

def verify_receipt(receipt, keys, workspace, now):
    """The section "The verifier"; `keys` are (id, public key, from, until), times are nanoseconds."""
    need(isinstance(receipt, dict) and receipt.get("version") == "1.0", "unsupported_version", "no receipt of version 1.0")
    need(workspace in (None, receipt.get("workspace_id")), "wrong_workspace", "the receipt is of another workspace")
    need(receipt.keys() <= NEEDED | {"scope", "event", "policy_eval"}, "unknown_field", "the receipt has a member too many")
    need(receipt.keys() >= NEEDED, "missing_field", "the receipt lacks a member")
    signature, evaluated = receipt["signature"], receipt.get("policy_eval", {"matched_condition": None, "field_value": None})
    need(all(isinstance(value, dict) for value in (receipt["context"], evaluated, signature)), "wrong_type", "what must be an object is none")
    texts = [receipt[name] for name in (*STRINGS, "scope", "event") if name in receipt] + [signature.get(name) for name in ("alg", "key_id", "value")]
    texts += [receipt[name] for name in ("resource", "authorization_id") if receipt[name] is not None]
    need(all(isinstance(text, str) and not LONE(text) for text in texts), "wrong_type", "what must be a text is none")
    need(len(signature) == 3, "unknown_field", "the signature has a member too many")
    need(value := unbase(signature["value"], 64, b"-_"), "malformed_signature", "the signature is not 64 bytes in base64url")
    need(evaluated.keys() == {"matched_condition", "field_value"}, "malformed_policy_eval", "`policy_eval` has other members")
    need(("scope" in receipt) != ("event" in receipt), "scope_or_event", "exactly one of `scope` and `event`")
    nobody, decision, unknown = receipt["authorization_id"] is None, receipt["decision"], receipt["reason"] == "authorization_not_found"
    if "scope" in receipt:
        paired = decision in ("allow", "deny", "confirm", "escalate") and nobody == unknown and (not unknown or decision == "deny")
    else:
        known = decision in [receipt["event"].partition(".")[0] + "_" + word for word in PAIRS.get(receipt["event"], "").split()]
        paired = known and not nobody and "policy_eval" not in receipt and (receipt["resource"] is None or receipt["event"] == "escalation.resolve")
    need(paired, "pairing", "members of the receipt do not go together")
    need(signature["alg"] == "Ed25519", "unsupported_alg", "another algorithm than Ed25519")
    need((issued := from_time(receipt["issued_at"])) is not None, "malformed_issued_at", "`issued_at` is no time")
    need(issued <= now + 300 * 10**9, "issued_in_future", "`issued_at` is more than 5 minutes ahead")
    signed = signed_bytes(receipt)
    need(known := [key for key in keys if key[0] == signature["key_id"]], "unknown_key", "no key of this id is known")
    active = [public for _, public, begins, ends in known if begins <= issued and (ends is None or issued < ends)]
    need(active, "inactive_key", "the key was not active when the receipt was issued")
    need(any(ed25519(public, value, signed) for public in active), "bad_signature", "the signature is not the key's")
def key_document(document):
    """Its keys for `verify_receipt`; an exception if it has another shape."""
    rows = [row for row in document["keys"] if row["alg"] == "Ed25519"]
    keys = [(row["key_id"], unbase(row["public_key"], 32, b"-_"), from_time(row["active_from"]), from_time(row["active_until"])) for row in rows]
    if any(None in key[:3] or (key[3] is None) != (row["active_until"] is None) for key, row in zip(keys, rows)):
        raise ValueError("a key of the key document is malformed")
    return keys
def verify_proof(proof, receipt, keys, witnesses, quorum):
    """The tlog-proof of a receipt that was verified before."""
    match = re.fullmatch(PROOF, proof, re.DOTALL)
    path = [unbase(row, 32) for row in [match[1], *match[3].split()]] if match else [None]
    need(None not in path, "malformed_proof", "this is no proof of a receipt")
    checkpoint, entry = Checkpoint(match[4], receipt["workspace_id"], "malformed_proof"), path[0] + hashlib.sha256(signed_bytes(receipt)).digest()
    need(any(checkpoint.signed_by(key[1]) for key in keys), "untrusted_checkpoint", "no key of the document has signed the checkpoint")
    need(included(entry, int(match[2]), path[1:], checkpoint), "bad_proof", "the receipt is not in the tree")
    return {"index": int(match[2]), "size": checkpoint.size, "witnesses": checkpoint.quorum(witnesses, quorum)}

def line_of(line, code):
    with contextlib.suppress(ValueError):
        if line.endswith(b"\n") and len(line) <= LINE_MAX and isinstance(value := parse(line), dict): return value
    raise Fault(code, "the line is no JSON object, or has no end", None)
def header(record, workspace):
    """Index, time, hash of the record before, hash of the receipt, subject and body; None if this is no record."""
    index, ms = (int.from_bytes((record or b"")[at : at + 8], "big") for at in (17, 25))
    sound = record and 113 < len(record) <= RECORD_MAX and record[:17] == b"\4" + workspace and ms <= TIME_MAX
    return (index, ms, record[33:65], record[65:97], record[97:113], record[113:]) if sound else None
def number(data):
    """The varint at the beginning; more than any time if it is not there."""
    size = {251: 2, 252: 4, 253: 8, 254: 99, 255: 99}.get(data[0], 0) if data else 0
    return TIME_MAX + 1 if len(data) <= size else int.from_bytes(data[1 : 1 + size], "little") if size else data[0]
def ids_of(body):
    """Receipt id and authorization id of a body, b"" where it names none; None if its fixed part is not there."""
    family, variant = [*body[:2], 99][:2]
    if family >= len(EVENTS) or variant >= len(EVENTS[family]) or family == 2 and number(body[50:]) > TIME_MAX: return None
    known = lambda at, receipt: {b"\0": (receipt, 0), b"\1": (receipt, at + 1)}.get(body[at : at + 1])
    paid = [known(18, 2), known(2, 0), *[(2, 18)] * 4, (0, 0), (2, 18), (0, 2), (2, 18)][variant % 10]
    at = {3: (2, 18), 4: (2, 18) if variant else known(18, 2), 5: (0, 18), 6: (2, 34), 10: (0, 18 * (variant < 5)), 13: paid}.get(family, (0, 0))
    return [body[place : place + 16] if place else b"" for place in at] if at and len(body) >= (max(at) and max(at) + 16) else None
def hash_of(record, body_hash): return blake3(b"allowlog.record.v4\n" + record[:113] + body_hash).digest()
def open_head(head, trust, witnesses, quorum):
    """Checks the head; its checkpoint, its keys for `verify_receipt`, and who has cosigned."""
    code, keys, proofs, workspace = "malformed_bundle", [], [], from_id("ws_", head.get("workspace_id"))
    need(canonical(head, code) and head.keys() == HEAD and head["format"] == "allowlog-evidence-v1", code, "the head has other members, or another format")
    first, end, story = head["first"], head["end"], head["authorization_id"]
    sound = workspace and (story is None or from_id("auth_", story)) and type(first) is type(end) is int and 0 <= first <= end
    need(sound, code, "the ids of the head are none, or `first` and `end` are no range")
    sound = isinstance(head["checkpoint"], str) and all(isinstance(head[name], list) for name in ("before", "after", "keys"))
    need(sound and all(unbase(item, 32) for item in head["before"] + head["after"]), code, "a member of the head is of another type")
    checkpoint = Checkpoint(head["checkpoint"], head["workspace_id"], code)
    for item in head["keys"]:
        sound = isinstance(item, dict) and item.keys() == {"record", "proof"} and isinstance(item["proof"], list)
        need(sound and all(unbase(step, 32) for step in item["proof"]), code, "one of `keys` has another shape")
        index, _, _, receipt, _, body = header(unbase(item["record"]), workspace) or [b""] * 6
        sound = body[:2] == b"\2\0" and body[2:18] == blake3(body[18:50]).digest()[:16] and (since := number(body[50:])) <= TIME_MAX
        need(sound and on_curve(y_of(body[18:50])), code, "the record of one of `keys` is no activation")
        keys[-1:] = [(*key[:3], since * 10**6) for key in keys[-1:]] + [(to_id("key_", body[2:18]), body[18:50], since * 10**6, None)]
        proofs.append((hash_of(unbase(item["record"]), blake3(body).digest()) + receipt, index, [unbase(step) for step in item["proof"]]))
    need(keys and keys[-1][0] in trust and checkpoint.signed_by(keys[-1][1]), "untrusted_checkpoint", "the last of `keys` is not trusted or has not signed")
    fit = end <= checkpoint.size and [*map(len, (widths(0, first), widths(end, checkpoint.size)))] == [len(head["before"]), len(head["after"])]
    need(fit, code, "the subtrees are not those around the range")
    need(all(included(*proof, checkpoint) for proof in proofs), "bad_key_proof", "the activation of a key is not in the tree")
    need(all(one[1] < other[1] for one, other in zip(proofs, proofs[1:])), "bad_key_proof", "`keys` are not in the order of the log")
    return first, end, checkpoint, keys, checkpoint.quorum(witnesses, quorum)
def check_record(line, i, head, keys, before):
    """Hash, header and receipt of the record of a line; `before` is the same of the record before it."""
    code, story, line = "malformed_record", from_id("auth_", head["authorization_id"]), line_of(line, "malformed_record")
    whole, receipt, raw = "record" in line, line.get("receipt", {}), unbase(line.get("record", line.get("hidden")))
    shaped = line.keys() <= ({"hash", "record", "receipt"} if whole else {"hash", "hidden"}) and isinstance(receipt, dict)
    need(shaped and re.fullmatch("[0-9a-f]{64}", str(line.get("hash"))), code, "the line has other members")
    fields = header(raw, from_id("ws_", head["workspace_id"]))
    need(fields and (whole or story and len(raw) == 145), code, "this is no record of this workspace, or hidden where there is no story")
    index, ms, link, receipt_hash, subject, body = fields
    receipt_id, about = (ids_of(body) if whole else (b"", story)) or (None, None)
    need(about is not None, code, "there is no such event")
    need(index == i, "wrong_index", f"it says that it is record {index}")
    need((own := hash_of(raw, blake3(body).digest() if whole else body)).hex() == line["hash"], "wrong_hash", "its hash is another")
    need(not before or before[0] == link, "broken_link", "the next record was not made behind this one", i - 1)
    need(i > 0 or not any(link), "broken_link", "it names a record before it")
    need(not before or before[1][1] <= ms, "time_goes_back", "it is earlier than the record before it")
    named = blake3(b"allowlog.subject.v1\n" + about).digest()[:16] if about else bytes(16)
    need((named == subject) == whole and about == (story or about), "wrong_subject", "it is passed off as being of another authorization than it is")
    unlisted = whole and body[0] == 2 and all(unbase(key["record"])[17:25] != raw[17:25] for key in head["keys"])
    need(not unlisted, "unlisted_key", "it activates a signing key that is none of `keys`")
    need(not whole or any(receipt_hash) == bool(receipt_id) and (receipt_id or "receipt" not in line), "wrong_receipt", "events of its kind have a receipt, or have none")
    need("receipt" in line or not receipt_id, "missing_receipt", "its receipt is not there")
    if receipt_id:
        wanted = {"receipt_id": to_id("rcp_", receipt_id), "workspace_id": head["workspace_id"], "issued_at": to_time(ms)}
        same = hashlib.sha256(signed_bytes(receipt, "wrong_receipt")).digest() == receipt_hash and wanted.items() <= receipt.items()
        need(same, "wrong_receipt", "the receipt is not that of the record")
        verify_receipt(receipt, keys, head["workspace_id"], ms * 10**6)
    return own, (*fields[:5], body if whole else None), receipt
def verify_bundle(stream, trust, witnesses=(), quorum=0, tell=lambda *_: None):
    """What a bundle proves. `tell` gets the hash, the header and the receipt of each record as soon as it is checked."""
    first, end, checkpoint, keys, signers = open_head(head := line_of(stream.readline(LINE_MAX + 1), "malformed_bundle"), trust, witnesses, quorum)
    before, begin, subtrees = None, None, [*zip(widths(0, first), map(unbase, head["before"]))]
    for i in range(first, end):
        need(line := stream.readline(LINE_MAX + 1), "missing_records", "the bundle ends before it", i)
        try:
            before = check_record(line, i, head, keys, before)
        except Fault as fault:
            raise Fault(fault.code, fault.why, i if fault.index is None else fault.index) from None
        subtrees.append((1, leaf(before[0] + before[1][3])))
        begin = begin or head["authorization_id"] and before[1][5]
        tell(*before)
    need(not stream.read(1), "extra_records", "something is behind the last record", end)
    subtrees += zip(widths(end, checkpoint.size), map(unbase, head["after"]))
    need(root_of(subtrees) == checkpoint.root, "wrong_root", "these records are not those of the checkpoint")
    proved = {name: head[name] for name in ("workspace_id", "authorization_id", "first", "end")} | {"size": checkpoint.size, "witnesses": signers}
    return proved | {"begins_with_grant": (begin or b"")[:2] in (b"\3\0", b"\n\0"), "reaches_the_end": end == checkpoint.size}
def tell(own, fields, receipt):
    context, body = receipt.get("context", {}), fields[5]
    words = [repr(receipt[name])[1:-1] for name in ("decision", "scope", "resource", "reason", "user_id", "agent_id") if receipt.get(name)]
    words += [json.dumps(context[name]) for name in ("budget", "escalation", "revoked_by", "payment_intent", "amount", "currency") if name in context]
    print(f"#{fields[0]:<6} {to_time(fields[1])}", EVENTS[body[0]][body[1]] if body else "hidden", *words, sep="  ")
def main():
    parser, one, many = argparse.ArgumentParser(usage=__doc__), {"nargs": "?"}, {"nargs": "+", "default": []}
    options = {"bundle": one, "--receipt": one, "--keys": one, "--workspace": one, "--proof": one, "--trust": many, "--witness": many}
    for name, more in {**options, "--quorum": {"type": int, "default": 0}, "--json": {"action": "store_true"}}.items(): parser.add_argument(name, **more)
    given = parser.parse_args()
    if bool(given.receipt and given.keys) == bool(given.bundle): parser.error("give a bundle, or a receipt and its keys")
    try:
        witnesses = [*map(witness_key, given.witness)]
        if given.bundle:
            verdict = verify_bundle(open(given.bundle, "rb"), given.trust, witnesses, given.quorum, (lambda *_: None) if given.json else tell)
        else:
            receipt, keys = parse(open(given.receipt, "rb").read()), key_document(parse(open(given.keys, "rb").read()))
            if isinstance(receipt, dict) and receipt.keys() == {"status", "receipt"} and receipt["status"] == "signed": receipt = receipt["receipt"]
            verify_receipt(receipt, keys, given.workspace, time.time_ns())
            verdict = verify_proof(open(given.proof, encoding="utf-8", newline="").read(), receipt, keys, witnesses, given.quorum) if given.proof else {}
    except Fault as fault:
        where = "" if fault.index is None else f" at record {fault.index}"
        print(json.dumps({"code": fault.code, "index": fault.index}) if given.json else f"{fault.code}{where}: {fault.why}")
        return 1
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"cannot be read: {error!r}", file=sys.stderr)
        return 2
    print(json.dumps({"code": None, **verdict}) if given.json else f"genuine {json.dumps(verdict)}")
    return 0
if __name__ == "__main__":
    sys.exit(main())
