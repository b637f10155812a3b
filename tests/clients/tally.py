"""Judges how deep a fuzz run went: every operation of the schema was called, and answered with success at least once.

    python3 tally.py TALLY SCHEMA    SCHEMA is the OpenAPI document as the server gave it
"""

import json
import sys
from pathlib import Path

METHODS = {"get", "post", "delete", "put", "patch"}


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
    broken = sum(count for statuses in tally.values() for status, count in statuses.items() if status.startswith("5"))
    print(f"  {total} calls, {broken} answers of 5xx, never a success: {shallow}")
    assert operations, "the schema has no operations"
    return 1 if shallow or broken else 0


if __name__ == "__main__":
    sys.exit(main())
