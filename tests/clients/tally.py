"""Judges how deep a fuzz run went: every operation of the schema was called, and answered with success at least once; those of
the consent and payment faces also with every answer that the schema describes for them in particular.

    python3 tally.py TALLY SCHEMA    SCHEMA is the OpenAPI document as the server gave it
"""

import json
import sys
from pathlib import Path

METHODS = {"get", "post", "delete", "put", "patch"}
# What is not under a checkpoint yet is 503, for less than a second.
WAITING = {"GET /v1/receipts/{id}/proof", "GET /v1/evidence", "GET /tlog/{id}/checkpoint", "GET /tlog/{id}/consistency", "GET /tlog/{id}/tile/{tile}"}

# What the hooks lead to on purpose.
DEEP = {"Consent", "Consent agents", "Pages", "Agents", "Delegations", "Payments", "Offline payments"}
# A link works for an hour, and the run is shorter.
LATE = {("GET /manage/{token}", "410"), ("POST /manage/{token}/revoke", "410")}


def particular(operation, paths):
    """The answers that are described for this operation alone and can come up in a run."""
    method, path = operation.split(" ")
    described = paths[path][method.lower()]
    if DEEP.isdisjoint(described["tags"]):
        return set()
    own = {status for status, answer in described["responses"].items() if "$ref" not in answer and not status.startswith("5")}
    return {status for status in own if (operation, status) not in LATE}


def main():
    tally, schema = (json.loads(Path(name).read_text()) for name in sys.argv[1:])
    operations = sorted(f"{method.upper()} {path}" for path, item in schema["paths"].items() for method in item.keys() & METHODS)
    shallow, missing = [], []
    for operation in operations:
        statuses = tally.get(operation, {})
        print(f"  {operation:50}", *(f"{status} x{count}" for status, count in sorted(statuses.items())))
        if not any(status[0] in "23" for status in statuses):
            shallow.append(operation)
        missing += [f"{operation} {status}" for status in sorted(particular(operation, schema["paths"]) - statuses.keys())]
    total = sum(sum(statuses.values()) for statuses in tally.values())
    is_broken = lambda operation, status: status.startswith("5") and not (status == "503" and operation in WAITING)
    broken = sum(count for operation, statuses in tally.items() for status, count in statuses.items() if is_broken(operation, status))
    print(f"  {total} calls, {broken} answers of 5xx, never a success: {shallow}, never met: {missing}")
    assert operations, "the schema has no operations"
    return 1 if shallow or missing or broken else 0


if __name__ == "__main__":
    sys.exit(main())
