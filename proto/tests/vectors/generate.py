"""Writes the published vectors: keys.json, valid/*.json and invalid/*.json, the same bytes every time.

    python3 generate.py          writes the files
    python3 generate.py --check  fails if a file would change

Every vector is judged by reference.py before it is written. Needs the PyPI package `cryptography`.
"""

import base64
import copy
import hashlib
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import reference
from reference import canonical

HERE = Path(__file__).parent
NOW = "2026-11-23T12:00:00.000Z"
ROTATED = "2026-06-01T00:00:00.000Z"
ORDER = 2**252 + 27742317777372353535851937790883648493  # of the group of Ed25519


def ulid(number):
    return "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[number >> shift & 31] for shift in range(125, -1, -5))


def any_id(prefix, name):
    """An id of 2026 whose chance is its name."""
    chance = hashlib.sha256(name.encode()).digest()[:10]
    return prefix + ulid(int.from_bytes((1_767_225_600_000).to_bytes(6, "big") + chance, "big"))


def blake3(message):
    """BLAKE3 of at most 64 bytes: a single compression."""
    iv = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]
    block = message.ljust(64, b"\0")
    words = [int.from_bytes(block[i : i + 4], "little") for i in range(0, 64, 4)]
    chunk_start_end_root = 1 | 2 | 8
    state = iv + iv[:4] + [0, 0, len(message), chunk_start_end_root]

    def mix(a, b, c, d, x, y):
        for word, first, second in ((x, 16, 12), (y, 8, 7)):
            state[a] = state[a] + state[b] + word & 0xFFFFFFFF
            state[d] = turned(state[d] ^ state[a], first)
            state[c] = state[c] + state[d] & 0xFFFFFFFF
            state[b] = turned(state[b] ^ state[c], second)

    def turned(word, by):
        return (word >> by | word << 32 - by) & 0xFFFFFFFF

    for _ in range(7):
        columns = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
        diagonals = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
        for i, place in enumerate(columns + diagonals):
            mix(*place, words[2 * i], words[2 * i + 1])
        words = [words[i] for i in (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)]
    return b"".join((state[i] ^ state[i + 8]).to_bytes(4, "little") for i in range(8))


class Key:
    def __init__(self, name, active_from, active_until):
        self.private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
        public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.key_id = "key_" + ulid(int.from_bytes(blake3(public)[:16], "big"))
        self.row = {
            "key_id": self.key_id,
            "alg": "Ed25519",
            "public_key": unpadded(public),
            "active_from": active_from,
            "active_until": active_until,
        }


def unpadded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


OLD = Key("retired", "2026-01-01T00:00:00.000Z", ROTATED)
KEY = Key("current", ROTATED, None)
STRANGER = Key("in no document", ROTATED, None)
OTHER_ALG = {"key_id": "key_of_another_algorithm", "alg": "ES256", "public_key": "AA", "active_from": ROTATED, "active_until": None}
WORKSPACE = any_id("ws_", "workspace")
KEYS = {"workspace_id": WORKSPACE, "keys": [OLD.row, OTHER_ALG, KEY.row]}

CHECK = {
    "version": "1.0",
    "receipt_id": any_id("rcp_", "check"),
    "workspace_id": WORKSPACE,
    "issued_at": "2026-11-23T11:59:59.500Z",
    "scope": "email.send",
    "decision": "allow",
    "reason": "authorization_granted_scope_active",
    "user_id": "user_1",
    "agent_id": "agent_1",
    "resource": "mailto:anna@example.com",
    "context": {"amount": 12, "session_id": "s-1"},
    "authorization_id": any_id("auth_", "grant"),
    "policy_version": "2026-11-23.1",
}


def check(**changed):
    return {**copy.deepcopy(CHECK), **changed}


def event(name, decision, reason, /, **changed):
    receipt = check(event=name, decision=decision, reason=reason, resource=None)
    del receipt["scope"]
    return {**receipt, **changed}


def create(**changed):
    context = {"scopes": ["email.send"], "expires_at": "2027-01-01T00:00:00.000Z"}
    return event("authorization.create", "authorization_granted", "user_approved_via_customer_ui", **{"context": context, **changed})


def revoke(**changed):
    return event("authorization.revoke", "authorization_revoked", "user_revoked_via_settings", **{"context": {"revoked_by": "user"}, **changed})


def resolve(status="approved", **changed):
    escalation = {
        "id": any_id("esc_", "escalation"),
        "event": "resolved",
        "status": status,
        "scope": "email.send",
        "escalation_to": "finance",
        "resolved_by": "anna",
        "note": None,
    }
    changed = {"context": {"escalation": escalation}, **changed}
    return event("escalation.resolve", "escalation_" + status, "escalation_resolved_by_approver", **changed)


def unknown(**changed):
    nothing = {"decision": "deny", "reason": "authorization_not_found", "authorization_id": None, "context": {}}
    return check(**{**nothing, "user_id": "unknown", "agent_id": "unknown", **changed})


def without(receipt, *names):
    return {name: value for name, value in receipt.items() if name not in names}


def signature(signed, key=KEY, **changed):
    """The signature member over a canonical text."""
    value = unpadded(key.private.sign(signed.encode()))
    return {"alg": "Ed25519", "key_id": key.key_id, "value": value, **changed}


def sealed(receipt, key=KEY, **changed):
    """The receipt with its signature, whether the receipt makes sense or not."""
    return {**receipt, "signature": signature(canonical(receipt), key, **changed)}


def raw(receipt, *swaps):
    """The signed text of a receipt in which pieces were swapped for what Python's values cannot hold. The swapped text
    is what is signed, as a careless signer would, so that nothing else is wrong with it."""
    text = canonical(receipt)
    for old, new in swaps:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text[:-1] + ',"signature":' + canonical(signature(text)) + "}"


def in_context(json_text):
    return raw(check(context={"x": "@"}), ('"@"', json_text))


def altered(receipt, **changed):
    """Signed first, changed afterwards."""
    return {**sealed(receipt), **changed}


VECTORS = []


def vector(name, expected, receipt, why, now=NOW, workspace=None):
    text = receipt if isinstance(receipt, str) else canonical(receipt)
    found = reference.judge(text, KEYS, workspace, now)
    assert found == expected, f"{name}: expected {expected}, found {found}"
    assert name not in [v["name"] for v in VECTORS], name
    VECTORS.append({"name": name, "why": why, "now": now, "workspace": workspace, "expected": expected, "receipt_text": text})


def files():
    """The text of every file, by its path."""
    # The lists stand in files of their own and fill VECTORS.
    import invalid_vectors
    import valid_vectors

    valid_vectors.write()
    invalid_vectors.write()
    out = {"keys.json": KEYS}
    for entry in VECTORS:
        out[("valid/" if entry["expected"] == "valid" else "invalid/") + entry["name"] + ".json"] = entry
    return {path: json.dumps(content, indent=2) + "\n" for path, content in out.items()}


def main():
    wanted = files()
    # Those below evidence/ are evidence_vectors.py's.
    ours = [HERE / "keys.json", *HERE.glob("valid/*.json"), *HERE.glob("invalid/*.json")]
    there = {str(p.relative_to(HERE)): p.read_text() for p in ours if p.exists()}
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if there == wanted else "the files are not what this script writes")
    for path in there.keys() - wanted.keys():
        (HERE / path).unlink()
    for path, text in wanted.items():
        (HERE / path).parent.mkdir(exist_ok=True)
        (HERE / path).write_text(text)
    valid = sum(v["expected"] == "valid" for v in VECTORS)
    print(f"{valid} valid, {len(VECTORS) - valid} invalid")


if __name__ == "__main__":
    # The lists import this file by its name: let them find the one that runs.
    sys.modules["generate"] = sys.modules["__main__"]
    main()
