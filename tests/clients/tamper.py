"""Tampers with a bundle of 10,000 records as the server exports it: verify.py must name the first bad record every time.

    python3 tamper.py ALLOWLOG FOLDER [SEED]    the program that exports, and where its files go

Environment: ALLOWLOG_URL, ALLOWLOG_API_KEY, ALLOWLOG_WORKSPACE, ALLOWLOG_ADMIN_TOKEN. A failure prints the seed that repeats it.
"""

import base64
import concurrent.futures
import io
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from blake3 import blake3

import verify
from scene import Scene, grant

RECORDS, SCOPES, TIMES = 10_000, 25, 60
THREADS = 4


def remembered(check, seen):
    """What is said of a line, from the second time on without looking: the bundles differ in a line or two. The first run looks at all."""

    def said(line, i, head, keys, before):
        key = line, i, before and before[:2]
        if key not in seen:
            try:
                seen[key] = check(line, i, head, keys, before)
            except verify.Fault as fault:
                seen[key] = fault
        if isinstance(seen[key], verify.Fault):
            raise seen[key]
        return seen[key]

    return said


def workspace_of(scene, records):
    """A workspace with at least so many records: grants, revokes, tombstones, and checks of known and unknown authorizations."""
    client = scene.workspace("tampered", "pro")
    scopes = [f"scope.{i}" for i in range(SCOPES)]
    known = [grant(client, *scopes, user_id=f"user_{i}", budget=10**9) for i in range(8)]
    for place, authorization in enumerate(known[:3]):
        client.revoke(authorization, notes=f"\u2028 note {place} \U0001f600")
        client.ask(201, "POST", "/v1/tombstones", {"resource": f"file:{place}", "reason": None})
    rest = records - 1 - 2 - len(known) - 6
    asked = [*known, "auth_nobody"]

    def check(place):
        client.check(asked[place % len(asked)], scopes[: min(SCOPES, rest - place * SCOPES)], f"file:{place % 5}", context={"n": place, "caf\u00e9": "\n"})

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(check, range(-(-rest // SCOPES))))
    assert not client.fallbacks, client.fallbacks[:3]
    return client


def exported(allowlog, client, folder):
    """The bundle once the checkpoint covers all records."""
    path, end = folder / "evidence.jsonl", time.monotonic() + 60
    while True:
        command = [allowlog, "audit", "export", "--workspace", client.workspace, "--url", client.url, "-o", str(path)]
        subprocess.run(command, check=True, env={**os.environ, "ALLOWLOG_API_KEY": client.api_key}, stdout=subprocess.DEVNULL)
        lines = path.read_bytes().splitlines(keepends=True)
        if len(lines) - 1 >= RECORDS:
            return lines
        assert time.monotonic() < end, f"the bundle has {len(lines) - 1} records, not {RECORDS}"
        path.unlink()
        time.sleep(0.2)


def verdict(lines, trust):
    try:
        return verify.verify_bundle(io.BytesIO(b"".join(lines)), trust)
    except verify.Fault as fault:
        return fault


def rehashed(line, rng):
    """A record with an altered body, and its hash made to fit."""
    content = json.loads(line)
    record = bytearray(base64.b64decode(content["record"]))
    record[rng.randrange(113, len(record))] ^= 1 << rng.randrange(8)
    content["record"] = base64.b64encode(record).decode()
    content["hash"] = blake3(b"allowlog.record.v4\n" + bytes(record[:113]) + blake3(bytes(record[113:])).digest()).hexdigest()
    return json.dumps(content, ensure_ascii=False).encode() + b"\n"


def tampered(lines, kind, rng):
    """The lines with one thing done to them, and the index that must be named."""
    head, records = lines[0], list(lines[1:])
    place, count = rng.randrange(len(records)), len(records)
    if kind == "remove":
        del records[place]
    elif kind == "swap":
        other = rng.choice([i for i in range(count) if i != place])
        records[place], records[other] = records[other], records[place]
        place = min(place, other)
    elif kind == "alter":
        at = rng.randrange(len(records[place]))
        records[place] = records[place][:at] + bytes([records[place][at] ^ 1 << rng.randrange(8)]) + records[place][at + 1 :]
    elif kind == "alter and rehash":
        # Nothing in the bundle is linked to its last record: a fault there is one of the root alone.
        place = min(place, count - 2)
        records[place] = rehashed(records[place], rng)
    elif kind == "append":
        records.append(records[place])
        place = count
    else:
        other = rng.randrange(count)
        records.insert(place, records[other if other != place else place - 1])
    return [head, *records], place


def main():
    allowlog, folder, *seed = sys.argv[1:]
    seed = int(seed[0]) if seed else random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    scene = Scene(*(os.environ[f"ALLOWLOG_{name}"] for name in ("URL", "ADMIN_TOKEN", "API_KEY", "WORKSPACE")))
    client = workspace_of(scene, RECORDS)
    trust = [client.keys()["keys"][-1]["key_id"]]
    lines = exported(allowlog, client, Path(folder))
    began = time.monotonic()
    whole = verdict(lines, trust)
    assert isinstance(whole, dict) and whole["end"] == len(lines) - 1, f"the bundle as exported: {whole}"
    print(f"{whole['end']} records verify in {time.monotonic() - began:.1f} s")
    verify.check_record = remembered(verify.check_record, {})
    assert verdict(lines, trust) == whole
    began, found = time.monotonic(), {}
    for turn in range(TIMES):
        kind = ["remove", "swap", "alter", "alter and rehash", "append", "insert"][turn % 6]
        changed, place = tampered(lines, kind, rng)
        assert changed != lines, f"{kind} at {place}, turn {turn} of seed {seed}, did nothing"
        fault = verdict(changed, trust)
        assert isinstance(fault, verify.Fault) and fault.index == place, f"{kind} at {place}, turn {turn} of seed {seed}: {fault!r}"
        found.setdefault(kind, []).append(fault.code)
    print(f"tampered with in {time.monotonic() - began:.1f} s:", *(f"{kind} {len(codes)} times, {sorted(set(codes))}" for kind, codes in found.items()), sep="\n  ")


if __name__ == "__main__":
    main()
