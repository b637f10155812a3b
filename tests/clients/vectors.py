"""Holds verify.py against every published vector: receipts in valid/ and invalid/, bundles in evidence/, and proof/.

    python3 vectors.py FOLDER
"""

import base64
import contextlib
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import verify

LINES_MAX = 300

def of_receipt(vector, keys):
    try:
        receipt = verify.parse(vector["receipt_text"].encode("utf-8", "surrogatepass"))
    except ValueError:
        return "unreadable"
    try:
        verify.verify_receipt(receipt, keys, vector["workspace"], verify.from_time(vector["now"]))
    except verify.Fault as fault:
        return fault.code
    return "valid"


def of_bundle(bundle, vector):
    try:
        verify.verify_bundle(io.BytesIO(bundle), vector["trust"], [*map(verify.witness_key, vector["witnesses"])], vector["quorum"])
    except verify.Fault as fault:
        return {"code": fault.code, "index": fault.index}
    return None


def of_proof(folder):
    """The receipt of proof/ is in its log; with any line of its proof changed or left out it is not."""
    receipt, keys = (verify.parse((folder / name).read_bytes()) for name in ("receipt.json", "keys.json"))
    proof, keys = (folder / "receipt.proof").read_text(), verify.key_document(keys)
    witness = [verify.witness_key((folder / "witness.vkey").read_text().strip())]
    verify.verify_receipt(receipt, keys, None, verify.from_time(receipt["issued_at"]))
    verify.verify_proof(proof, receipt, keys, witness, 1)
    lines, taken = proof.splitlines(keepends=True), []
    for place, line in enumerate(lines):
        # The cosignature of the witness that is not asked for may be anything but no signature line.
        for other in {"", line[:-2] + ("A" if line[-2:-1] != "A" else "B") + "\n", line[:-2] + "\n"} - {line}:
            try:
                verify.verify_proof("".join([*lines[:place], other, *lines[place + 1 :]]), receipt, keys, witness, 1)
                taken.append((place, other))
            except verify.Fault:
                pass
    return [f"{folder.name}: taken with line {place} as {other!r}" for place, other in taken if place < len(lines) - 1 or other]


def of_witnesses():
    """Names of verifier keys that hold what they must not, and the key id is right."""
    public, taken = bytes(range(32)), []
    for character in ["", "\u00ad", "\u200b", "+", " ", "\u00a0", *map(chr, [*range(32), *range(127, 160)])]:
        name = f"a{character}b"
        vkey = f"{name}+{verify.note_id(name, 4, public).hex()}+{base64.b64encode(bytes([4]) + public).decode()}"
        with contextlib.suppress(ValueError):
            taken.append(verify.witness_key(vkey)[0])
    return [] if taken == ["ab", "a\u00adb", "a\u200bb"] else [f"names of verifier keys that are taken: {taken}"]


def of_command(folder):
    """What the command line answers: 0 genuine, 1 not, 2 unreadable."""
    story, wrong = folder / "evidence" / "story.jsonl", []
    trust = json.loads(story.with_suffix(".json").read_text())["trust"]
    with tempfile.TemporaryDirectory() as scratch:
        receipt = lambda vector: file(scratch, json.loads((folder / vector).read_text())["receipt_text"])  # noqa: E731
        keys = ["--keys", folder / "keys.json"]
        for expected, said, arguments in [
            (0, '"begins_with_grant": true', [story, "--trust", *trust]),
            (0, '"begins_with_grant": true', [folder / "evidence" / "story_of_a_consent.jsonl", "--trust", *trust]),
            (0, '"begins_with_grant": false', [folder / "evidence" / "story_of_a_consent_after_its_grant.jsonl", "--trust", *trust]),
            (0, '"begins_with_grant": false', [folder / "evidence" / "story_after_its_grant.jsonl", "--trust", *trust]),
            (0, '"begins_with_grant": true', [folder / "evidence" / "story_of_a_delegation.jsonl", "--trust", *trust]),
            (0, "offline payment reconciled", [folder / "evidence" / "story_of_a_delegation.jsonl", "--trust", *trust]),
            (0, '"begins_with_grant": false', [folder / "evidence" / "story_of_a_delegation_from_an_intent.jsonl", "--trust", *trust]),
            (1, "wrong_subject at record 7", [folder / "evidence" / "story_shows_check_of_another.jsonl", "--trust", *trust]),
            (1, "untrusted_checkpoint", [story, "--trust", "key_" + "0" * 26]),
            (1, "untrusted_checkpoint", [story]),
            (1, '"wrong_hash", "index": 3', [folder / "evidence" / "altered_body.jsonl", "--json", "--trust", *trust]),
            (1, "malformed_bundle", [folder / "keys.json", "--trust", *trust]),
            (2, "", [folder / "nothing.jsonl", "--trust", *trust]),
            (2, "", [story, "--trust", *trust, "--witness", "nobody", "--quorum", "1"]),
            (2, "", ["--trust", *trust]),
            (0, "genuine", ["--receipt", receipt("valid/check_allow.json"), *keys]),
            (1, "bad_signature", ["--receipt", receipt("invalid/altered_scope.json"), *keys]),
            (1, "wrong_workspace", ["--receipt", receipt("valid/check_allow.json"), *keys, "--workspace", "ws_another"]),
            (2, "", ["--receipt", receipt("invalid/unreadable_nan.json"), *keys]),
            (2, "", ["--receipt", receipt("valid/check_allow.json"), "--keys", story]),
        ]:
            command = [sys.executable, verify.__file__, *map(str, arguments)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != expected or said not in done.stdout:
                wrong.append(f"{arguments} is {expected} {said}, found {done.returncode} {done.stdout[-200:]} {done.stderr[-300:]}")
    return wrong


def file(folder, text):
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=folder, delete=False) as out:
        out.write(text)
    return out.name


def main():
    folder, judged, wrong = Path(sys.argv[1]), {"receipts": 0, "bundles": 0}, []
    keys = verify.key_document(verify.parse((folder / "keys.json").read_bytes()))
    for path in sorted(folder.glob("*valid/*.json")):
        vector, judged["receipts"] = json.loads(path.read_text()), judged["receipts"] + 1
        if (found := of_receipt(vector, keys)) != vector["expected"]:
            wrong.append(f"{path.name} ({vector['why']}) is {vector['expected']}, found {found}")
    for path in sorted((folder / "evidence").glob("*.jsonl")):
        vector, judged["bundles"] = json.loads(path.with_suffix(".json").read_text()), judged["bundles"] + 1
        if (found := of_bundle(path.read_bytes(), vector)) != vector["verdict"]:
            wrong.append(f"{path.name} ({vector.get('why')}) is {vector['verdict']}, found {found}")
    wrong += of_proof(folder / "proof") + of_witnesses() + of_command(folder)
    length = len(Path(verify.__file__).read_text().splitlines())
    wrong += [f"verify.py has {length} lines: too long to be read before it is run"] * (length > LINES_MAX)
    print(f"{judged['receipts']} receipts and {judged['bundles']} bundles judged, {len(wrong)} wrongly", *wrong, sep="\n  ")
    # Fewer than were ever published means that the folder is not the one, or not whole.
    return 1 if wrong or judged["receipts"] < 200 or judged["bundles"] < 600 else 0


if __name__ == "__main__":
    sys.exit(main())
