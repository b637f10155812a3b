"""Receipts of format "1.0": strict reading, canonical bytes, verification.

Written from section 7 of the published API alone, without a look at the server's code, so that the two are witnesses
of each other. The checks of `verify` stand in the published order; the first that fails names itself in the error.

    python3 canonical.py FOLDER   judges a folder of published vectors (keys.json, valid/, invalid/)
"""

import base64
import datetime
import json
import re
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SAFE = 2**53 - 1
AHEAD_NS_MAX = 5 * 60 * 10**9
DEPTH_MAX = 128  # levels; the contract allows a context 32
STRINGS = ("version", "receipt_id", "workspace_id", "issued_at", "decision", "reason", "user_id", "agent_id", "policy_version")
REQUIRED = {*STRINGS, "authorization_id", "resource", "context", "signature"}
OPTIONAL = {"scope", "event", "policy_eval"}
CHECKS = {"allow", "deny", "confirm", "escalate"}
EVENTS = {
    "authorization.create": {"authorization_granted"},
    "authorization.revoke": {"authorization_revoked"},
    "escalation.resolve": {"escalation_approved", "escalation_rejected"},
}
TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]+))?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))")


class Refused(Exception):
    """The text is no receipt, or no genuine one; says which check failed first."""


def need(condition, why):
    if not condition:
        raise Refused(why)


def read(text):
    """JSON without what cannot be signed: a name twice, a float, an integer that is not safe."""

    def members(pairs):
        need(len(dict(pairs)) == len(pairs), f"a name twice in {[name for name, _ in pairs]}")
        return dict(pairs)

    def integer(digits):
        need(digits != "-0", "-0 is a float to some readers")
        return safe(int(digits))

    def number(digits):
        raise Refused(f"{digits} is no integer")

    try:
        return json.loads(text, object_pairs_hook=members, parse_int=integer, parse_float=number, parse_constant=number)
    except (ValueError, RecursionError) as error:
        raise Refused(f"no JSON: {error}") from error


def safe(value):
    need(-SAFE <= value <= SAFE, f"{value} is not a safe integer")
    return value


def canonical(value, depth=0):
    """The text that is signed. Python compares text by code point, the format by UTF-16 code unit."""
    need(depth < DEPTH_MAX or not isinstance(value, (list, dict)), "too deep")
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(safe(value))
        case str():
            need(not re.search("[\ud800-\udfff]", value), "a lone surrogate")
            return '"' + re.sub(r'["\\\x00-\x1f]', escape, value) + '"'
        case list():
            return "[" + ",".join(canonical(item, depth + 1) for item in value) + "]"
        case dict():
            texts = {canonical(name): canonical(item, depth + 1) for name, item in value.items()}
            names = sorted(value, key=lambda name: name.encode("utf-16-be"))
            return "{" + ",".join(f"{canonical(name)}:{texts[canonical(name)]}" for name in names) + "}"
    raise Refused(f"{value!r} cannot be signed")


def escape(match):
    return "\\" + match[0] if match[0] in '"\\' else f"\\u{ord(match[0]):04x}"


def instant(text):
    """RFC 3339 with an offset, as nanoseconds of the Unix epoch."""
    parts = TIME.fullmatch(text)
    need(parts, f"{text!r} is no time with an offset")
    date, clock, fraction, sign, hours, minutes = parts.groups()
    need(int(hours or 0) < 24 and int(minutes or 0) < 60, f"{text!r} has no such offset")
    try:
        seconds = int(datetime.datetime.fromisoformat(f"{date}T{clock}+00:00").timestamp())
    except ValueError as error:
        raise Refused(f"{text!r}: {error}") from error
    offset = (int(hours or 0) * 60 + int(minutes or 0)) * (-60 if sign == "-" else 60)
    return (seconds - offset) * 10**9 + int((fraction or "").ljust(9, "0")[:9])


def decode(text, length):
    """base64url without padding, in its only spelling."""
    need(re.fullmatch("[A-Za-z0-9_-]*", text) and len(text) % 4 != 1, f"{text!r} is no base64url")
    value = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    need(len(value) == length and base64.urlsafe_b64encode(value).rstrip(b"=").decode() == text, f"{text!r} is no {length} bytes")
    return value


def verify(receipt, keys, now_ns, workspace=None):
    """Raises `Refused` unless the receipt, as `read` returned it, is genuine under the key document."""
    need(isinstance(receipt, dict) and receipt.get("version") == "1.0", "version")
    need(workspace in (None, receipt.get("workspace_id")), "workspace")
    need(not receipt.keys() - REQUIRED - OPTIONAL, f"unknown fields {receipt.keys() - REQUIRED - OPTIONAL}")
    need(not REQUIRED - receipt.keys(), f"missing fields {REQUIRED - receipt.keys()}")
    types(receipt)
    value = decode(receipt["signature"]["value"], 64)
    need(receipt.get("policy_eval", {"matched_condition": 0, "field_value": 0}).keys() == {"matched_condition", "field_value"}, "policy_eval")
    need(("scope" in receipt) != ("event" in receipt), "scope or event")
    pairing(receipt)
    need(receipt["signature"]["alg"] == "Ed25519", "alg")
    issued = instant(receipt["issued_at"])
    need(issued <= now_ns + AHEAD_NS_MAX, "issued in the future")
    signed = canonical({name: item for name, item in receipt.items() if name != "signature"}).encode()
    named = [key for key in keys["keys"] if (key["key_id"], key["alg"]) == (receipt["signature"]["key_id"], "Ed25519")]
    need(named, "unknown key")
    active = [key for key in named if instant(key["active_from"]) <= issued and (key["active_until"] is None or issued < instant(key["active_until"]))]
    need(active, "key not active when the receipt was issued")
    try:
        Ed25519PublicKey.from_public_bytes(decode(active[0]["public_key"], 32)).verify(value, signed)
    except InvalidSignature as error:
        raise Refused("signature") from error


def types(receipt):
    strings = [receipt[name] for name in STRINGS] + [receipt[name] for name in ("scope", "event") if name in receipt]
    need(all(isinstance(item, str) for item in strings), "types: strings")
    need(all(isinstance(receipt[name], (str, type(None))) for name in ("authorization_id", "resource")), "types: string or null")
    need(all(isinstance(receipt.get(name, {}), dict) for name in ("context", "policy_eval", "signature")), "types: objects")
    signature = receipt["signature"]
    need(signature.keys() == {"alg", "key_id", "value"} and all(isinstance(item, str) for item in signature.values()), "types: signature")


def pairing(receipt):
    if "scope" in receipt:
        need(receipt["decision"] in CHECKS, "pairing: decision of a check")
        unknown = receipt["reason"] == "authorization_not_found"
        need((receipt["authorization_id"] is None) == unknown, "pairing: authorization of a check")
        need(not unknown or receipt["decision"] == "deny", "pairing: nothing matched and not denied")
        return
    need(receipt["decision"] in EVENTS.get(receipt["event"], ()), "pairing: decision of an event")
    need(receipt["authorization_id"] is not None and "policy_eval" not in receipt, "pairing: members of an event")
    need(receipt["resource"] is None or receipt["event"] == "escalation.resolve", "pairing: resource of an event")


def judge(folder):
    """Every published vector gets the verdict of its folder."""
    keys, wrong, count = json.loads((folder / "keys.json").read_text()), [], 0
    for path in sorted(folder.glob("*valid/*.json")):
        vector, verdict, count = json.loads(path.read_text()), "valid", count + 1
        try:
            verify(read(vector["receipt_text"]), keys, instant(vector["now"]), vector["workspace"])
        except Refused as error:
            verdict = f"invalid: {error}"
        if verdict.split(":")[0] != path.parent.name:
            wrong.append(f"{path.name} ({vector['why']}) is {vector['expected']}, found {verdict}")
    assert count > 50, f"only {count} vectors in {folder}"
    return count, wrong


if __name__ == "__main__":
    judged, mistakes = judge(Path(sys.argv[1]))
    print(f"{judged} vectors judged, {len(mistakes)} wrongly", *mistakes, sep="\n  ")
    sys.exit(1 if mistakes else 0)
