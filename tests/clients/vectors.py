"""Holds verify.py against every published vector: receipts in valid/ and invalid/, bundles in evidence/.

    python3 vectors.py FOLDER
"""

import io
import json
import sys
from pathlib import Path

import verify


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
    print(f"{judged['receipts']} receipts and {judged['bundles']} bundles judged, {len(wrong)} wrongly", *wrong, sep="\n  ")
    # Fewer than were ever published means that the folder is not the one, or not whole.
    return 1 if wrong or judged["receipts"] < 200 or judged["bundles"] < 400 else 0


if __name__ == "__main__":
    sys.exit(main())
