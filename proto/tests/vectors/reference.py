"""A receipt verifier written from the contract alone, to hold the published vectors against.

It knows nothing of the Rust code beside it. `judge` gives "valid", a reason code, or "unreadable"
for a text that is not JSON. Needs the PyPI package `cryptography`.
"""

import base64
import json
import re
from datetime import date

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SAFE = 2**53 - 1
DEPTH_MAX = 128
AHEAD_NS = 5 * 60 * 10**9
REQUIRED = """version receipt_id workspace_id issued_at decision reason user_id agent_id resource context
authorization_id policy_version signature""".split()
OPTIONAL = ["scope", "event", "policy_eval"]


class Fault(Exception):
    """Carries the reason code."""


class Defect:
    """Stands where a value cannot be signed; it is of no JSON type."""


def canonical(value):
    """The canonical text: names by UTF-16 code unit, only what must be escaped is, whole safe numbers."""
    # A name with a lone surrogate is sorted like any other; the Defect behind it is the fault.
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + "".join(escaped(c) for c in value) + '"'
    if isinstance(value, list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(canonical(name) + ":" + canonical(value[name]) for name in names) + "}"
    raise Fault("not_canonical")


def escaped(char):
    if char in '"\\':
        return "\\" + char
    return "\\u%04x" % ord(char) if ord(char) < 0x20 else char


def read(text):
    """The JSON text as Python values, with a Defect in place of what cannot be signed."""

    def whole(digits):
        return int(digits) if digits != "-0" and abs(int(digits)) <= SAFE else Defect()

    def refuse(_):
        raise ValueError("no number of JSON")

    def members(pairs):
        out = {}
        for name, value in pairs:
            out[name] = Defect() if name in out or lone(name) else text_or_defect(value)
        return out

    # Arrays are the one place where the hooks do not see strings.
    value = json.loads(text, parse_int=whole, parse_float=lambda _: Defect(), parse_constant=refuse, object_pairs_hook=members)
    if depth(value) > DEPTH_MAX:
        raise ValueError("nested too deeply")
    return inside_arrays(value)


def text_or_defect(value):
    return Defect() if isinstance(value, str) and lone(value) else value


def inside_arrays(value):
    if isinstance(value, list):
        return [inside_arrays(text_or_defect(item)) for item in value]
    if isinstance(value, dict):
        return {name: inside_arrays(member) for name, member in value.items()}
    return value


def lone(text):
    return any(0xD800 <= ord(c) <= 0xDFFF for c in text)


def depth(value):
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 0


TIME = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?([Zz]|[+-][0-9]{2}:[0-9]{2})")


def instant(text):
    """Nanoseconds since the epoch; ValueError if the text is not RFC 3339 with an offset."""
    match = TIME.fullmatch(text)
    if match is None:
        raise ValueError(text)
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(text)
    seconds = (date(year, month, day) - date(1970, 1, 1)).days * 86400 + hour * 3600 + minute * 60 + second
    offset = match.group(8)
    if offset not in "Zz":
        hours, minutes = int(offset[1:3]), int(offset[4:6])
        if hours > 23 or minutes > 59:
            raise ValueError(text)
        seconds -= (hours * 3600 + minutes * 60) * (-1 if offset[0] == "-" else 1)
    return seconds * 10**9 + int((match.group(7) or "").ljust(9, "0"))


def base64url(text):
    """The bytes; ValueError for padding, other alphabets and bits that belong to no byte."""
    out = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) if re.fullmatch("[A-Za-z0-9_-]*", text) else None
    if out is None or base64.urlsafe_b64encode(out).rstrip(b"=").decode() != text:
        raise ValueError(text)
    return out


def judge(text, keys, workspace, now):
    try:
        receipt = read(text)
    except (ValueError, RecursionError):
        return "unreadable"
    try:
        verify(receipt, keys, workspace, now)
        return "valid"
    except Fault as fault:
        return str(fault)


def check(sound, code):
    if not sound:
        raise Fault(code)


def verify(receipt, keys, workspace, now):
    check(isinstance(receipt, dict) and receipt.get("version") == "1.0", "unsupported_version")
    check(workspace is None or receipt.get("workspace_id") == workspace, "wrong_workspace")
    check(all(name in REQUIRED + OPTIONAL for name in receipt), "unknown_field")
    check(all(name in receipt for name in REQUIRED), "missing_field")
    signature = types(receipt)
    try:
        raw = base64url(signature["value"])
    except ValueError:
        raise Fault("malformed_signature") from None
    check(len(raw) == 64, "malformed_signature")
    if "policy_eval" in receipt:
        check(set(receipt["policy_eval"]) == {"matched_condition", "field_value"}, "malformed_policy_eval")
    check(("scope" in receipt) != ("event" in receipt), "scope_or_event")
    check(paired(receipt), "pairing")
    check(signature["alg"] == "Ed25519", "unsupported_alg")
    try:
        issued_at = instant(receipt["issued_at"])
    except ValueError:
        raise Fault("malformed_issued_at") from None
    check(issued_at <= instant(now) + AHEAD_NS, "issued_in_future")
    signed = canonical({name: value for name, value in receipt.items() if name != "signature"})
    known = [k for k in keys["keys"] if k["alg"] == "Ed25519" and k["key_id"] == signature["key_id"]]
    check(known, "unknown_key")
    active = [k for k in known if instant(k["active_from"]) <= issued_at and (k["active_until"] is None or issued_at < instant(k["active_until"]))]
    check(active, "inactive_key")
    try:
        Ed25519PublicKey.from_public_bytes(base64url(active[0]["public_key"])).verify(raw, signed.encode())
    except InvalidSignature:
        raise Fault("bad_signature") from None


def types(receipt):
    for name in ["receipt_id", "workspace_id", "issued_at", "decision", "reason", "user_id", "agent_id", "policy_version"]:
        check(isinstance(receipt[name], str), "wrong_type")
    for name in ["resource", "authorization_id"]:
        check(receipt[name] is None or isinstance(receipt[name], str), "wrong_type")
    for name in ["scope", "event"]:
        check(name not in receipt or isinstance(receipt[name], str), "wrong_type")
    check(isinstance(receipt["context"], dict), "wrong_type")
    check("policy_eval" not in receipt or isinstance(receipt["policy_eval"], dict), "wrong_type")
    signature = receipt["signature"]
    check(isinstance(signature, dict), "wrong_type")
    check(all(isinstance(signature.get(name), str) for name in ["alg", "key_id", "value"]), "wrong_type")
    check(all(name in ["alg", "key_id", "value"] for name in signature), "unknown_field")
    return signature


def paired(receipt):
    decision, unmatched = receipt["decision"], receipt["authorization_id"] is None
    if "scope" in receipt:
        nothing = receipt["reason"] == "authorization_not_found"
        return decision in ["allow", "deny", "confirm", "escalate"] and unmatched == nothing and not (nothing and decision != "deny")
    decisions = {
        "authorization.create": ["authorization_granted"],
        "authorization.revoke": ["authorization_revoked"],
        "escalation.resolve": ["escalation_approved", "escalation_rejected"],
    }
    bare = receipt["event"] == "escalation.resolve" or receipt["resource"] is None
    return decision in decisions.get(receipt["event"], []) and not unmatched and bare and "policy_eval" not in receipt
