"""Grows the first workspace of a running server to the sizes at which tiles change, and reads its log with tlog.py at each:
checkpoint, entries, hash tiles, proofs, paths that must not be found, consistency with every size before.

    python3 sizes.py [SEED]

Environment: ALLOWLOG_URL, ALLOWLOG_API_KEY, ALLOWLOG_WORKSPACE.
"""

import base64
import concurrent.futures
import hashlib
import os
import random
import sys
import time

import httpx

import canonical
import tlog

SIZES = [255, 256, 257, 512, 70_000]
SCOPES_MAX = 25  # of one check, each of which leaves a record
THREADS = 6
PATIENCE_S = 60


class Workspace:
    def __init__(self, url, api_key, workspace):
        self.url, self.id, self.receipts = url, workspace, []
        self.http = httpx.Client(base_url=url, timeout=30, trust_env=False, headers={"Authorization": f"Bearer {api_key}"})
        key = self.get(f"/v1/workspaces/{workspace}/keys").json()["keys"][-1]
        self.vkey = tlog.vkey_of(f"allowlog/{workspace}", base64.urlsafe_b64decode(key["public_key"] + "="))
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
            proof, signed = self.get(f"/v1/receipts/{receipt_id}/proof").text, self.signed(receipt_id)
            index, of, entry = tlog.check_proof(proof, self.vkey, signed)
            number, width = divmod(index, tlog.WIDTH)[0], min(tlog.WIDTH, size - index // tlog.WIDTH * tlog.WIDTH)
            served = tlog.unpack(self.log.fetch(tlog.tile_path("entries", number, width), tlog.TILE_TYPE))[index % tlog.WIDTH]
            assert of == size and served == entry, f"the proof of {receipt_id} is of {of} entries, and of another entry"
            assert entry[32:] == hashlib.sha256(signed).digest()
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


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    workspace = Workspace(os.environ["ALLOWLOG_URL"], os.environ["ALLOWLOG_API_KEY"], os.environ["ALLOWLOG_WORKSPACE"])
    seen, began = [workspace.log.checkpoint()], time.monotonic()
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


if __name__ == "__main__":
    main()
