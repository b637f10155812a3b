"""Grows a workspace of a running server to the sizes at which tiles change, and reads its log with tlog.py at each:
checkpoint, entries, hash tiles, proofs, paths that must not be found, consistency with every size before.

    python3 sizes.py [SEED]     writes what it saw to $SIZES_RECORD; a failure prints the seed that repeats it
    python3 sizes.py recheck    after a restart: the log is the same

Environment: ALLOWLOG_URL, ALLOWLOG_API_KEY, ALLOWLOG_WORKSPACE, ALLOWLOG_ADMIN_TOKEN, SIZES_RECORD.
"""

import base64
import concurrent.futures
import hashlib
import json
import os
import random
import sys
import time
from pathlib import Path

import httpx

import canonical
import tlog
import verify
from scene import Scene

SIZES = [255, 256, 257, 512, 70_000]
SCOPES_MAX = 25  # of one check, each of which leaves a record
THREADS = 6
PATIENCE_S = 60
RECORD = Path(os.environ.get("SIZES_RECORD", "sizes.json"))


class Workspace:
    def __init__(self, url, api_key, workspace):
        self.url, self.id, self.receipts = url, workspace, []
        self.http = httpx.Client(base_url=url, timeout=30, trust_env=False, headers={"Authorization": f"Bearer {api_key}"})
        self.keys = self.get(f"/v1/workspaces/{workspace}/keys").json()
        self.vkey = tlog.vkey_of(f"allowlog/{workspace}", base64.urlsafe_b64decode(self.keys["keys"][-1]["public_key"] + "="))
        # Whoever reads the log has no API key.
        self.log = tlog.Log(httpx.Client(timeout=30, trust_env=False), f"{url}/tlog/{workspace}", self.vkey)

    def get(self, path):
        answer = self.http.get(path)
        assert answer.status_code == 200, f"{path} is {answer.status_code} {answer.text}"
        return answer

    def check(self, scopes):
        """A check that leaves so many records."""
        body = {"authorization_id": "auth_nobody", "scopes": [f"scope.{i}" for i in range(scopes)], "context": {"n": scopes}}
        answer = self.http.post("/v1/check", json=body)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        return [result["receipt"]["receipt_id"] for result in answer.json()["results"].values()]

    def grow(self, records):
        full, rest = divmod(records, SCOPES_MAX)
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            for receipts in pool.map(self.check, [SCOPES_MAX] * full + [rest] * bool(rest)):
                self.receipts += receipts

    def first_checkpoint(self):
        """That of a new workspace, waited for: for less than a second there is none, which is 503."""
        end = time.monotonic() + PATIENCE_S
        while (status := self.log.get("checkpoint").status_code) != 200:
            assert status == 503 and time.monotonic() < end, f"the first checkpoint is {status}"
            time.sleep(0.05)
        return self.log.checkpoint()

    def checkpoint_of(self, size):
        """The checkpoint once it has come to this size."""
        end = time.monotonic() + PATIENCE_S
        while (found := self.log.checkpoint())[0] != size:
            assert found[0] < size and time.monotonic() < end, f"the checkpoint stays at {found[0]} instead of {size}"
            time.sleep(0.05)
        return found

    def signed(self, receipt_id):
        end = time.monotonic() + PATIENCE_S
        while (answer := self.get(f"/v1/receipts/{receipt_id}")).json()["status"] == "pending":
            assert time.monotonic() < end, f"{receipt_id} is still pending"
            time.sleep(0.05)
        receipt = canonical.read(answer.text)["receipt"]
        return canonical.canonical({name: value for name, value in receipt.items() if name != "signature"}).encode()

    def proofs(self, size, rng):
        """Proofs of receipts, against the entries as the log serves them."""
        for receipt_id in rng.sample(self.receipts, min(5, len(self.receipts))):
            signed, proof = self.signed(receipt_id), self.get(f"/v1/receipts/{receipt_id}/proof").text
            receipt, keys = self.get(f"/v1/receipts/{receipt_id}").json()["receipt"], verify.key_document(self.keys)
            verify.verify_receipt(receipt, keys, self.id, time.time_ns())
            index, of, entry = tlog.check_proof(proof, self.vkey, signed)
            number, place = divmod(index, tlog.WIDTH)
            width = min(tlog.WIDTH, size - number * tlog.WIDTH)
            served = tlog.unpack(self.log.fetch(tlog.tile_path("entries", number, width), tlog.TILE_TYPE))[place]
            assert of == size and served == entry, f"the proof of {receipt_id} is of {of} entries, and of another entry"
            assert entry[32:] == hashlib.sha256(signed).digest(), "the entry ends with the hash of the receipt"
            assert verify.verify_proof(proof, receipt, keys, [], 0)["index"] == index, "two readers of one proof disagree"
            try:
                tlog.check_proof(proof, self.vkey, signed + b" ")
            except AssertionError:
                continue
            raise AssertionError("another receipt has the same proof")

    def consistent(self, seen):
        """Every size seen so far leads to the last, by tiles and by the server's own proofs."""
        size, root = seen[-1]
        for old, old_root in seen:
            by_tiles = self.log.consistency(old, 0, size) if 0 < old < size else []
            text = self.log.get(f"consistency?old={old}&new={size}")
            assert text.status_code == 200, f"consistency of {old} and {size} is {text.status_code}"
            by_server = [tlog.decode(line, 32) for line in text.text.splitlines()]
            assert by_tiles == by_server, f"{old} and {size}: the server proves it otherwise"
            assert tlog.extends(old, old_root, size, root, by_server), f"{old} does not lead to {size}"


def recheck():
    kept = json.loads(RECORD.read_text())
    workspace = Workspace(os.environ["ALLOWLOG_URL"], kept["api_key"], kept["workspace"])
    workspace.first_checkpoint()
    size, root = workspace.checkpoint_of(kept["size"])
    assert base64.b64encode(root).decode() == kept["root"], "the root is another than before"
    workspace.log.check(size, root, random.Random(size))
    print(f"log of {size} is the same")


def main():
    if sys.argv[1:] == ["recheck"]:
        return recheck()
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    scene = Scene(*(os.environ[f"ALLOWLOG_{name}"] for name in ("URL", "ADMIN_TOKEN", "API_KEY", "WORKSPACE")))
    client = scene.workspace("sizes")
    workspace = Workspace(client.url, client.api_key, client.workspace)
    seen, began = [workspace.first_checkpoint()], time.monotonic()
    for size in [seen[0][0], *SIZES]:
        before = workspace.log.requests
        workspace.grow(size - seen[-1][0])
        seen.append(workspace.checkpoint_of(size))
        grown = time.monotonic()
        workspace.log.check(*seen[-1], rng)
        workspace.consistent(seen)
        workspace.proofs(size, rng)
        workspace.log.narrower(size, rng)
        paths = workspace.log.refuses(size)
        took = f"{grown - began:.1f} s to grow, {time.monotonic() - grown:.1f} s to read"
        print(f"log of {size}: {workspace.log.requests - before} requests, {paths} wrong paths refused; {took}")
        began = time.monotonic()
    kept = {"workspace": workspace.id, "api_key": client.api_key, "size": size, "root": base64.b64encode(seen[-1][1]).decode()}
    RECORD.write_text(json.dumps(kept))


if __name__ == "__main__":
    main()
