"""Judges how deep a fuzz run went: every operation of the schema was called, and answered with success at least once.

    python3 tally.py TALLY SCHEMA    SCHEMA is the OpenAPI document as the server gave it
"""

import json
import sys
from pathlib import Path

METHODS = {"get", "post", "delete", "put", "patch"}
# What is not under a checkpoint yet is 503, for less than a second.
WAITING = {"GET /v1/receipts/{id}/proof", "GET /v1/evidence", "GET /tlog/{id}/checkpoint", "GET /tlog/{id}/consistency", "GET /tlog/{id}/tile/{tile}"}


def main():
    tally, schema = (json.loads(Path(name).read_text()) for name in sys.argv[1:])
    operations = sorted(f"{method.upper()} {path}" for path, item in schema["paths"].items() for method in item.keys() & METHODS)
    shallow = []
    for operation in operations:
        statuses = tally.get(operation, {})
        print(f"  {operation:48}", *(f"{status} x{count}" for status, count in sorted(statuses.items())))
        if not any(status.startswith("2") for status in statuses):
            shallow.append(operation)
    total = sum(sum(statuses.values()) for statuses in tally.values())
    is_broken = lambda operation, status: status.startswith("5") and not (status == "503" and operation in WAITING)
    broken = sum(count for operation, statuses in tally.items() for status, count in statuses.items() if is_broken(operation, status))
    print(f"  {total} calls, {broken} answers of 5xx, never a success: {shallow}")
    assert operations, "the schema has no operations"
    return 1 if shallow or broken else 0


if __name__ == "__main__":
    sys.exit(main())
