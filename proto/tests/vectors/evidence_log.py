"""Makes workspaces and bundles of evidence for evidence_vectors.py, from FORMAT.md alone: records of version 4 with every
family of events (those of payments are in evidence_payments.py), their receipts, the tree, checkpoints, cosignatures. Everything can be overridden, so that a log can also
be made by a server that is wrong in one thing and consistent in all others.
"""

import base64
import copy
import datetime
import hashlib
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from reference import canonical

ORDER = 2**252 + 27742317777372353535851937790883648493  # of the group of Ed25519
IDENTITY = bytes([1]) + bytes(31)  # the neutral point, encoded
POLICY_VERSION = "2026-11-26.1"
START = 1_795_435_200_000  # 2026-11-23T12:00:00Z
STEP_MS = 250
DAY_MS = 86_400_000

# -- BLAKE3, in plain words

IV = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
PLACES = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
MASK = 0xFFFFFFFF


def compress(value, words, counter, length, flags):
    s = value + IV[:4] + [counter & MASK, counter >> 32, length, flags]
    for _ in range(7):
        for i, (a, b, c, d) in enumerate(PLACES):
            s[a] = s[a] + s[b] + words[2 * i] & MASK
            x = s[d] ^ s[a]
            s[d] = (x >> 16 | x << 16) & MASK
            s[c] = s[c] + s[d] & MASK
            x = s[b] ^ s[c]
            s[b] = (x >> 12 | x << 20) & MASK
            s[a] = s[a] + s[b] + words[2 * i + 1] & MASK
            x = s[d] ^ s[a]
            s[d] = (x >> 8 | x << 24) & MASK
            s[c] = s[c] + s[d] & MASK
            x = s[b] ^ s[c]
            s[b] = (x >> 7 | x << 25) & MASK
        words = [words[i] for i in PERMUTATION]
    return [s[i] ^ s[i + 8] for i in range(8)]


def blake3(message):
    def chunk(number, root):
        data, value = message[1024 * number : 1024 * number + 1024], IV
        blocks = [data[i : i + 64] for i in range(0, len(data), 64)] or [b""]
        for i, block in enumerate(blocks):
            flags = (CHUNK_START if i == 0 else 0) | ((CHUNK_END | root) if i == len(blocks) - 1 else 0)
            padded = block.ljust(64, b"\0")
            words = [int.from_bytes(padded[j : j + 4], "little") for j in range(0, 64, 4)]
            value = compress(value, words, number, len(block), flags)
        return value

    def subtree(first, count, root):
        if count == 1:
            return chunk(first, root)
        left = 1 << (count - 1).bit_length() - 1
        return compress(IV, subtree(first, left, 0) + subtree(first + left, count - left, 0), 0, 64, PARENT | root)

    value = subtree(0, max(1, -(-len(message) // 1024)), ROOT)
    return b"".join(word.to_bytes(4, "little") for word in value)


# -- text and ids


def b64(data):
    return base64.b64encode(data).decode()


def unpadded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def text_of(prefix, raw):
    number = int.from_bytes(raw, "big")
    return prefix + "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[number >> shift & 31] for shift in range(125, -1, -5))


def named(name, ms=START):
    """16 bytes of an id whose chance is its name."""
    return ms.to_bytes(6, "big") + hashlib.sha256(name.encode()).digest()[:10]


def time_text(ms):
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds") + "Z"


# -- keys and notes


class Key:
    def __init__(self, name):
        self.seed = hashlib.sha256(name.encode()).digest()
        self.private = Ed25519PrivateKey.from_private_bytes(self.seed)
        self.public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def raw_id(self):
        return blake3(self.public)[:16]

    @property
    def id(self):
        return text_of("key_", self.raw_id)

    def sign(self, message):
        return self.private.sign(message)

    def not_reduced(self, message):
        """The same signature with S beyond the order of the group."""
        good = self.sign(message)
        return good[:32] + (int.from_bytes(good[32:], "little") + ORDER).to_bytes(32, "little")

    def small_order(self, message):
        """A signature whose R is the neutral point: it satisfies the equation, and RFC 8032 alone would take it."""
        scalar = bytearray(hashlib.sha512(self.seed).digest()[:32])
        scalar[0] &= 248
        scalar[31] = scalar[31] & 127 | 64
        k = int.from_bytes(hashlib.sha512(IDENTITY + self.public + message).digest(), "little")
        return IDENTITY + (k * int.from_bytes(scalar, "little") % ORDER).to_bytes(32, "little")


class WeakKey(Key):
    """A public key of small order: one signature fits every message."""

    def __init__(self):
        self.public = IDENTITY

    def sign(self, message):
        return IDENTITY + bytes(32)


def note_key_id(name, kind, public):
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def signature_line(name, kind, public, data):
    return f"\u2014 {name} {b64(note_key_id(name, kind, public) + data)}\n"


class Witness:
    def __init__(self, name):
        self.name, self.key = name, Key("witness " + name)

    def vkey(self, kind=4):
        return f"{self.name}+{note_key_id(self.name, kind, self.key.public).hex()}+{b64(bytes([kind]) + self.key.public)}"

    def line(self, text, seconds=1_795_435_300, sign=None, claimed=None, kind=4):
        message = f"cosignature/v1\ntime {seconds}\n{text}".encode()
        data = (claimed or seconds).to_bytes(8, "big") + (sign or self.key.sign)(message)
        return signature_line(self.name, kind, self.key.public, data)


# -- encoding


def varint(n):
    if n < 251:
        return bytes([n])
    size, mark = next((size, mark) for size, mark in [(2, 0xFB), (4, 0xFC), (8, 0xFD)] if n < 1 << 8 * size)
    return bytes([mark]) + n.to_bytes(size, "little")


def integer(n):
    return varint(2 * n if n >= 0 else -2 * n - 1)


def text(value):
    return varint(len(value.encode())) + value.encode()


def maybe(value, encode):
    return b"\0" if value is None else b"\1" + encode(value)


def many(items, encode):
    return varint(len(items)) + b"".join(map(encode, items))


def json_object(value):
    return text(canonical(value))


def raw(value):
    return value


def scalar(value):
    if isinstance(value, bool):
        return bytes([0, value])
    return b"\1" + integer(value) if isinstance(value, int) else b"\2" + text(value)


def condition(given):
    (name, op, value) = given["field"], *next((k, v) for k, v in given.items() if k != "field")
    number = ["eq", "neq", "lt", "lte", "gt", "gte", "in", "exists"].index(op)
    encoded = scalar(value) if number < 2 else integer(value) if number < 6 else many(value, scalar) if number == 6 else bytes([value])
    return text(name) + bytes([number]) + encoded


def constraints(given):
    lists = [maybe(given.get(name), lambda items: many(items, text)) for name in ("allowed_initiators", "allowed_domains", "allowed_fields")]
    conditions = [maybe(given.get(name), lambda items: many(items, condition)) for name in ("confirm_when", "escalate_when", "deny_when")]
    return maybe(given.get("max_per_day"), varint) + maybe(given.get("resource_pattern"), text) + b"".join(lists + conditions)


def terms(agent_id, scopes, confirm=(), escalate=(), targets=None):
    grants = many([(s, None) if isinstance(s, str) else (s["name"], s["constraints"]) for s in scopes], lambda g: text(g[0]) + maybe(g[1], constraints))
    pairs = many(sorted((targets or {}).items()), lambda pair: text(pair[0]) + text(pair[1]))
    return text(agent_id) + grants + many(confirm, text) + many(escalate, text) + pairs


# -- events of a workspace, and the records they become


class Log:
    """The events of one workspace. `specs` are what is asked for; records are made of them, chained, when they are needed."""

    def __init__(self, name="workspace"):
        self.raw_id = named(name)
        self.id = text_of("ws_", self.raw_id)
        self.specs, self.keys = [], []

    @property
    def next_time(self):
        return self.specs[-1]["time"] + STEP_MS if self.specs else START

    def add(self, body, request=None, subject=None, receipt=None, at=None, unsigned=None):
        body += maybe(request, lambda r: text(r[0]) + r[1])
        time = at or self.next_time
        if receipt is not None:
            receipt = self.signed(receipt, time)
        self.specs.append({"time": time, "body": body, "subject_of": subject, "receipt": receipt, "over": {}})
        return self

    def signed(self, receipt, time, key=None):
        key = key or [k for k, _, active_from in self.keys if active_from <= time][-1]
        value = unpadded(key.sign(canonical(receipt).encode()))
        return {**receipt, "signature": {"alg": "Ed25519", "key_id": key.id, "value": value}}

    def copy(self):
        return copy.copy(self).having(specs=copy.deepcopy(self.specs), keys=list(self.keys))

    def having(self, **members):
        self.__dict__.update(members)
        return self

    def changed(self, place, **changes):
        """The log of a server that did one thing differently and all that follows from it consistently."""
        log = self.copy()
        spec = log.specs[place]
        spec["over"].update(changes.pop("over", {}))
        spec.update(changes)
        return log

    def with_receipt(self, place, receipt):
        return self.changed(place, receipt=receipt)

    def records(self):
        out, previous = [], bytes(32)
        for index, spec in enumerate(self.specs):
            receipt, subject, over = bytes(32), bytes(16), spec["over"]
            if spec["receipt"] is not None:
                bare = {name: value for name, value in spec["receipt"].items() if name != "signature"}
                receipt = hashlib.sha256(canonical(bare).encode()).digest()
            if spec["subject_of"] is not None:
                subject = blake3(b"allowlog.subject.v1\n" + spec["subject_of"])[:16]
            record = bytes([over.get("version", 4)]) + over.get("workspace", self.raw_id) + over.get("index", index).to_bytes(8, "big")
            record += over.get("time", spec["time"]).to_bytes(8, "big") + over.get("previous", previous)
            record += over.get("receipt_hash", receipt) + over.get("subject", subject) + spec["body"]
            out.append(record)
            previous = record_hash(record)
        return out

    def receipt_id(self):
        return self.next_time.to_bytes(6, "big") + (0x2020 << 64 | len(self.specs)).to_bytes(10, "big")

    def receipt(self, receipt_id, authorization, decision, reason, user, agent, resource, context, **more):
        return {
            "version": "1.0",
            "receipt_id": text_of("rcp_", receipt_id),
            "workspace_id": self.id,
            "issued_at": time_text(self.next_time),
            "decision": decision,
            "reason": reason,
            "user_id": user,
            "agent_id": agent,
            "resource": resource,
            "context": context,
            "authorization_id": authorization and text_of("auth_", authorization),
            "policy_version": POLICY_VERSION,
            **more,
        }

    # The families, in the order of FORMAT.md.

    def created(self, name="Acme \u2602", plan=3):
        return self.add(b"\0\0" + text(name) + bytes([plan]))

    def renamed(self, name):
        return self.add(b"\0\1" + text(name) + bytes([3]))

    def api_key(self, name):
        raw_id, secret = hashlib.sha256(name.encode()).digest()[:16], hashlib.sha256(b"secret" + name.encode()).digest()
        return self.add(b"\1\0" + raw_id + text(name) + bytes([0, 0]) + b"\0" + secret)

    def api_key_revoked(self, name):
        return self.add(b"\1\1" + hashlib.sha256(name.encode()).digest()[:16])

    def activated(self, key, active_from=None, at=None):
        active_from = active_from if active_from is not None else (at or self.next_time)
        self.keys.append((key, len(self.specs), active_from))
        return self.add(b"\2\0" + key.raw_id + key.public + varint(active_from), at=at)

    def granted(self, auth, scopes=("email.send",), user="user_1", agent="agent_1", metadata=None, budget=None, request=None, consent=None,
                delegation=None, expires=START + 8 * DAY_MS, not_before=None, **more):  # fmt: skip
        rid, expires = self.receipt_id(), None if consent else expires
        body = b"\3\0" + rid + auth + text(user) + terms(agent, scopes, **more) + maybe(expires, varint) + maybe(not_before, varint)
        body += maybe(budget, integer) + b"\0\0" + json_object(metadata or {}) + b"\0"
        body += maybe(consent, lambda c: c.ids[:16] + c.agent + c.token + c.visitor) + maybe(delegation, lambda d: d.encoded())
        context = {**(metadata or {}), "scopes": list(scopes)} | ({"consent_id": consent.id} if consent else {})
        context |= {name: time_text(at) for name, at in [("expires_at", expires), ("not_before", not_before)] if at is not None}
        context |= {"delegation_id": delegation.id, "limits": delegation.limits} if delegation else {}
        names = {"confirm": "requires_confirm_for", "escalate": "requires_escalation_for", "targets": "escalation_targets"}
        context |= {names[name]: value if name == "targets" else list(value) for name, value in more.items()}
        context |= {} if budget is None else {"budget_limit_micros": budget}
        receipt = self.receipt(rid, auth, "authorization_granted", "user_approved_via_customer_ui", user, agent, None, context, event="authorization.create")
        return self.add(body, request, auth, receipt)

    def revoked(self, auth, by=None, successor=None, notes=None, user="user_1", agent="agent_1", consent=None):
        rid, by = self.receipt_id(), "superseded" if successor else by
        body = b"\3\1" + rid + auth + text(user) + text(agent) + maybe(by, text) + maybe(successor, raw) + maybe(notes, text) + b"\0"
        body += maybe(consent, lambda c: c.ids[:16] + c.agent + c.keys + (b"\0" + c.visitor if by == "end_user" else b"\1\0\0"))
        context = {"revoked_by": by, "superseded_by": successor and text_of("auth_", successor), "notes": notes, "consent_id": consent and consent.id}
        context = {name: value for name, value in context.items() if value is not None}
        reason = "superseded_by_new_authorization" if successor else "user_revoked_via_settings"
        receipt = self.receipt(rid, auth, "authorization_revoked", reason, user, agent, None, context, event="authorization.revoke")
        return self.add(body, None, auth, receipt)

    REASONS = """authorization_not_found authorization_revoked authorization_not_yet_valid authorization_expired
    scope_not_authorized resource_tombstoned rate_limit_exceeded budget_exceeded deny_condition_matched escalation_rejected escalation_required escalate_condition_matched
    context_field_missing scope_requires_user_confirmation confirm_condition_matched authorization_granted_via_escalation
    authorization_granted_via_confirmation authorization_granted_scope_active""".split()

    def checked(self, auth, decision, reason, scope="email.send", resource=None, session=None, cost=None, context=None, budget=None,
                fired=None, nonce=None, escalation=None, user="user_1", agent="agent_1", request=None, opaque="who", end=START + 8 * DAY_MS):  # fmt: skip
        """`fired`: None for a scope without conditions, () where none fired, else the condition."""
        rid, context = self.receipt_id(), context or {}
        subject = b"\0" + text(opaque) if auth is None else b"\1" + auth + text(user) + text(agent) + maybe(end, varint)
        body = b"\4\0" + rid + subject + text(scope) + maybe(resource, text) + maybe(session, text) + maybe(cost, integer) + json_object(context)
        body += maybe(budget, lambda b: integer(b[0]) + integer(b[1]))
        body += b"\0" if fired is None else b"\1" if fired == () else b"\2" + condition(fired)
        verdict = ["allow", "deny", "confirm", "escalate"].index(decision)
        end = varint(self.next_time + 300_000)
        body += bytes([verdict]) + [b"\0", b"", (nonce or b"") + end, (escalation or b"") + b"\0" + end + b"\1"][verdict]
        body += bytes([self.REASONS.index(reason)]) + b"\0"
        shown = context | ({"session_id": session} if session is not None else {})
        if budget:
            after = budget[1] + (cost or 0) if decision == "allow" else budget[1]
            shown |= {"budget": {"limit_micros": budget[0], "spent_micros": budget[1], "estimated_cost_micros": cost or 0, "spent_after_micros": after}}
        if decision == "escalate":
            shown |= {"escalation": {"id": text_of("esc_", escalation), "event": "requested", "status": "pending", "scope": scope, "escalation_to": None}}
        more = {}
        if fired is not None:
            more = {"policy_eval": {"matched_condition": None, "field_value": None}}
        if fired:
            op = next(name for name in fired if name != "field")
            seen = context.get(fired["field"])
            seen = seen if isinstance(seen, (str, int)) else None
            more = {"policy_eval": {"matched_condition": {"field": fired["field"], "op": op, "value": fired[op]}, "field_value": seen}}
        if auth is None:
            user = agent = "unknown"
        receipt = self.receipt(rid, auth, decision, reason, user, agent, resource, shown, scope=scope, **more)
        return self.add(body, request, auth, receipt)

    def confirmed(self, auth, nonce, scope="email.send", resource=None, approved=True):
        answer = b"\0" + named("confirmation", self.next_time) + varint(self.next_time + 60_000) if approved else b"\1"
        return self.add(b"\5\0" + nonce + auth + text(scope) + maybe(resource, text) + answer, subject=auth)

    def resolved(self, auth, escalation, approved=True, scope="email.send", resource=None, note=None, user="user_1", agent="agent_1"):
        rid = self.receipt_id()
        body = b"\6\0" + rid + escalation + auth + text(user) + text(agent) + text(scope) + maybe(resource, text) + b"\0"
        body += bytes([0 if approved else 1]) + text("anna") + maybe(note, text) + b"\0"
        status = "approved" if approved else "rejected"
        asked = {"id": text_of("esc_", escalation), "event": "resolved", "status": status, "scope": scope, "escalation_to": None}
        context = {"escalation": {**asked, "resolved_by": "anna", "note": note}}
        reason = "escalation_resolved_by_approver"
        receipt = self.receipt(rid, auth, "escalation_" + status, reason, user, agent, resource, context, event="escalation.resolve")
        return self.add(body, None, auth, receipt)

    def bundle_created(self, name):
        return self.add(b"\7\0" + text(name) + terms("agent_1", ["email.send"]) + b"\1" + varint(30) + b"\0")

    def bundle_deleted(self, name):
        return self.add(b"\7\1" + text(name))

    def tombstone(self, resource, reason=None):
        return self.add(b"\x08\0" + named("tombstone " + resource) + text(resource) + maybe(reason, text))

    def lifted(self, resource):
        return self.add(b"\x08\1" + named("tombstone " + resource) + text(resource))

    # Consents.

    def agent_created(self, consent, name="Travel agent"):
        more = maybe("https://app.example.com/hooks", text) + many(["https://app.example.com"], text)
        return self.add(b"\x09\0" + consent.agent + b"\2" + bytes(range(32)) + text(name) + varint(3600) + more + b"\1")

    def agent_changed(self, consent, name="Another name"):
        return self.add(b"\x09\1" + consent.agent + text(name) + varint(60) + b"\0\0\0")

    def secret_rotated(self, consent, generation=1):
        return self.add(b"\x09\2" + consent.agent + varint(generation))

    def asked(self, consent, email=None, metadata=None):
        scopes = many(consent.scopes, lambda key: text(key) + text("May it " + key + "?") + maybe("More about it.", text) + b"\1\2" + b"\0")
        body = b"\x0a\0" + consent.ids + consent.agent + text(consent.user) + maybe(email, text) + scopes
        body += text("https://app.example.com/done?a=b") + varint(self.next_time + 1_800_000) + json_object(metadata or {})
        return self.add(body, subject=consent.auth)

    def viewed(self, consent):
        return self.add(b"\x0a\1" + consent.ids + consent.agent + consent.visitor, subject=consent.auth)

    def approved(self, consent):
        return self.granted(consent.auth, consent.scopes, consent.user, text_of("ag_", consent.agent), consent=consent)

    def declined(self, consent):
        body = b"\x0a\2" + consent.ids + consent.agent + text(consent.user) + consent.keys + consent.visitor
        return self.add(body, subject=consent.auth)

    def withdrawn(self, consent):
        return self.add(b"\x0a\3" + consent.ids + consent.agent + text(consent.user) + consent.keys, subject=consent.auth)

    def minted(self, consent):
        body = b"\x0a\4" + consent.ids + consent.agent + text(consent.user) + consent.keys + consent.token
        return self.add(body, subject=consent.auth)

    def linked(self, user="user_1"):
        return self.add(b"\x0a\5" + text(user) + varint(self.next_time + 3_600_000))

    def verified(self, consent, decision="allow", reason="authorization_granted_scope_active"):
        rid, agent = self.receipt_id(), text_of("ag_", consent.agent)
        body = b"\4\1" + rid + consent.auth + consent.ids[:16] + text(agent) + text(consent.user) + consent.token
        context = {"consent_id": consent.id, "token_id": text_of("tok_", consent.token[:16]), "token_expires_at": time_text(consent.until)}
        receipt = self.receipt(rid, consent.auth, decision, reason, consent.user, agent, None, context, scope="consent.verify")
        return self.add(body + bytes([self.REASONS.index(reason)]) + b"\0", None, consent.auth, receipt)

    def taken_back(self, consent, by):
        return self.revoked(consent.auth, by, user=consent.user, agent=text_of("ag_", consent.agent), consent=consent)


class Consent:
    """A request for consent with what is needed to tell its story."""

    def __init__(self, name, user="user_1", scopes=("email.send", "files.delete"), agent="travel"):
        self.auth, self.agent, self.user, self.scopes = named("auth consent " + name), named("agent " + agent), user, list(scopes)
        raw_id = hashlib.sha256(b"consent " + name.encode()).digest()[:16]
        self.id, self.ids, self.keys = text_of("cr_", raw_id), raw_id + self.auth, many(self.scopes, text)
        self.until = START + 3_600_000
        self.token = named("token " + name) + varint(self.until)
        self.visitor = maybe("192.0.2.7", text) + maybe("Mozilla/5.0", text)


def record_hash(record):
    return blake3(b"allowlog.record.v4\n" + record[:113] + blake3(record[113:]))


# -- the tree


def leaf(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def entry_of(record):
    return record_hash(record) + record[65:97]


def root(leaves):
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root(leaves[:left]) + root(leaves[left:])).digest()


def path(index, leaves):
    if len(leaves) < 2:
        return []
    left = 1 << (len(leaves) - 1).bit_length() - 1
    if index < left:
        return path(index, leaves[:left]) + [root(leaves[left:])]
    return path(index - left, leaves[left:]) + [root(leaves[:left])]


def subtrees_before(leaves, first):
    out, at = [], 0
    for power in reversed(range(first.bit_length())):
        if first >> power & 1:
            out.append(root(leaves[at : at + (1 << power)]))
            at += 1 << power
    return out


def subtrees_after(leaves, end):
    out, at = [], end
    while at < len(leaves):
        width = max(1 << power for power in range(64) if at % (1 << power) == 0 and at + (1 << power) <= len(leaves))
        out.append(root(leaves[at : at + width]))
        at += width
    return out


# -- bundles


class Bundle:
    """A bundle as it would be exported, in pieces that can be altered before they are written."""

    def __init__(self, log, story=None, first=0, end=None, size=None, witnesses=(), extension="", signer=None, origin=None, sign=None, keys=None):
        records = log.records()
        size = len(records) if size is None else size
        end = size if end is None else end
        leaves = [leaf(entry_of(record)) for record in records[:size]]
        self.origin = origin or "allowlog/" + log.id
        self.signer = signer or [key for key, index, _ in log.keys if index < size][-1]
        self.note_text = f"{self.origin}\n{size}\n{b64(root(leaves))}\n{extension}"
        own = signature_line(self.origin, 1, self.signer.public, (sign or self.signer.sign)(self.note_text.encode()))
        self.signatures = [own] + [witness.line(self.note_text) for witness in witnesses]
        activations = [index for _, index, _ in log.keys if index < size] if keys is None else keys
        self.head = {
            "format": "allowlog-evidence-v1",
            "workspace_id": log.id,
            "authorization_id": story and text_of("auth_", story),
            "first": first,
            "end": end,
            "before": [b64(h) for h in subtrees_before(leaves, first)],
            "after": [b64(h) for h in subtrees_after(leaves, end)],
            "keys": [{"record": b64(records[i]), "proof": [b64(h) for h in path(i, leaves)]} for i in activations],
            "checkpoint": None,
        }
        self.lines = []
        for index in range(first, end):
            record, receipt = records[index], log.specs[index]["receipt"]
            line = {"hash": record_hash(record).hex()}
            if story is not None and log.specs[index]["subject_of"] != story:
                line["hidden"] = b64(record[:113] + blake3(record[113:]))
            else:
                line["record"] = b64(record)
                if receipt is not None:
                    line["receipt"] = receipt
            self.lines.append(line)

    def edit(self, change):
        change(self)
        return self

    def texts(self):
        """The lines, each without its line feed."""
        head = dict(self.head)
        if head.get("checkpoint", "") is None:
            head["checkpoint"] = self.note_text + "\n" + "".join(self.signatures)
        return [json.dumps(item, ensure_ascii=False, separators=(",", ":")) for item in [head, *self.lines]]

    def bytes(self):
        return "".join(line + "\n" for line in self.texts()).encode()
