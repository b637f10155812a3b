"""The story of the scopes form against a running server, told by an independent client.

    python3 story.py            plays every chapter and writes what it saw to $STORY_RECORD
    python3 story.py recheck    after a restart: every receipt is there, verifies, and retries get their first answers

Environment: ALLOWLOG_URL, ALLOWLOG_API_KEY, ALLOWLOG_WORKSPACE, ALLOWLOG_ADMIN_TOKEN, STORY_RECORD.
The last line is `N passed, 0 failed`, else the exit code is 1.
"""

import io
import json
import os
import sys
import time
import traceback
from pathlib import Path

import canonical
import chapters  # noqa: F401  the import fills CHAPTERS
import verify
from client import Client
from scene import CHAPTERS, Scene

RECORD = Path(os.environ.get("STORY_RECORD", "story.json"))
SIGNED_WITHIN_S = 30


def texts(client):
    """Every receipt that was ever answered to this client, as its text; waits for the signatures."""
    found, end = {}, time.monotonic() + SIGNED_WITHIN_S
    for receipt_id in sorted(set(client.receipts)):
        while (exchange := client.receipt(receipt_id)) is None:
            assert time.monotonic() < end, f"{receipt_id} is still pending"
            time.sleep(0.02)
        found[receipt_id] = exchange.text
    return found


def verified(client, found):
    """Every text is a genuine receipt of this workspace; returns them by id."""
    keys, receipts = client.keys(), {}
    for receipt_id, text in found.items():
        receipt = canonical.read(text)["receipt"]
        try:
            canonical.verify(receipt, keys, time.time_ns(), client.workspace)
        except canonical.Refused as error:
            raise AssertionError(f"{error}: {text} under {keys}") from error
        assert receipt["receipt_id"] == receipt_id, f"{receipt_id} is {text}"
        receipts[receipt_id] = receipt
    return receipts


def agrees(receipt, scope, exchange):
    """A check's receipt says what the answer said, and what the caller sent."""
    sent, answer, result = exchange.sent, exchange.json, exchange.json["results"][scope]
    unknown = result["reason"] == "authorization_not_found"
    context = (sent.get("context") or {}) | ({"session_id": sent["session_id"]} if sent.get("session_id") else {})
    context |= {"budget": result["budget"]} if "budget" in result else {}
    if result["decision"] == "escalate":
        asked = {"id": result["escalation_id"], "event": "requested", "status": "pending", "scope": scope, "escalation_to": result["escalation_to"]}
        context |= {"escalation": asked}
    expected = {
        "authorization_id": None if unknown else sent["authorization_id"],
        "user_id": "unknown" if unknown else answer["user_id"],
        "agent_id": "unknown" if unknown else answer["agent_id"],
        "scope": scope,
        "resource": sent.get("resource"),
        "decision": result["decision"],
        "reason": result["reason"],
        "policy_version": answer["policy_version"],
        "context": context,
    } | ({"policy_eval": result["policy_eval"]} if "policy_eval" in result else {})
    found = {name: item for name, item in receipt.items() if name in expected or name == "policy_eval"}
    exchange.need(found == expected, f"the receipt {receipt} must have {expected}")


def every_receipt_is_listed(scene):
    for client in scene.clients:
        listed = [item["receipt_id"] for item in client.walk("/v1/receipts", limit=100)]
        assert set(client.receipts) <= set(listed), f"{client.name}: not listed {set(client.receipts) - set(listed)}"
        # Those of bare calls, which no client object remembers, are verified too.
        client.receipts = listed


def everything_is_written_down(scene):
    scene.told = [(client, texts(client)) for client in scene.clients]
    clients = [{"api_key": c.api_key, "workspace": c.workspace, "name": c.name, "receipts": found} for c, found in scene.told]
    kept = [[scene.clients.index(client), method, path, body, key, first.status, first.json] for client, method, path, body, key, first in scene.kept]
    RECORD.write_text(json.dumps({"clients": clients, "kept": kept}))


def every_receipt_verifies(scene):
    for client, found in scene.told:
        receipts = verified(client, found)
        for receipt_id, scope, exchange in client.results:
            agrees(receipts[receipt_id], scope, exchange)
    total = sum(len(found) for _, found in scene.told)
    assert total > 500, f"only {total} receipts"
    print(f"  {total} receipts of {len(scene.told)} workspaces verified")


def bundle(client, **params):
    """A bundle of evidence as the server gives it: what it proves, and the receipts in it by their ids."""
    answer = client.http.get("/v1/evidence", headers={"Authorization": f"Bearer {client.api_key}"}, params=params)
    assert answer.status_code == 200, f"{client.name}: evidence {params} is {answer.status_code} {answer.text}"
    receipts, trust = {}, [client.keys()["keys"][-1]["key_id"]]
    proved = verify.verify_bundle(io.BytesIO(answer.content), trust, tell=lambda _own, _fields, receipt: receipts.update({receipt.get("receipt_id"): receipt}))
    receipts.pop(None, None)
    return proved, receipts


def every_workspace_has_its_evidence(scene):
    """Whole, as the story of each authorization, and from an instant on; none has a receipt too few or too many."""
    stories = 0
    for client, texts_of_receipts in scene.told:
        expected = {name: canonical.read(text)["receipt"] for name, text in texts_of_receipts.items()}
        end = time.monotonic() + SIGNED_WITHIN_S
        # The last checkpoint is at most a second behind the last answer.
        while (whole := bundle(client))[1].keys() < expected.keys():
            assert time.monotonic() < end, f"{client.name}: evidence lacks {expected.keys() - whole[1].keys()}"
            time.sleep(0.05)
        proved, receipts = whole
        assert receipts == expected, f"{client.name}: evidence of other receipts {receipts.keys() ^ expected.keys()}"
        assert (proved["first"], proved["authorization_id"], proved["reaches_the_end"]) == (0, None, True), f"{client.name}: {proved}"
        for authorization in [r["authorization_id"] for r in expected.values() if r.get("event") == "authorization.create"]:
            proved, receipts = bundle(client, authorization_id=authorization)
            own = {name: receipt for name, receipt in expected.items() if receipt["authorization_id"] == authorization}
            assert receipts == own, f"{client.name}: the story of {authorization} has other receipts {receipts.keys() ^ own.keys()}"
            assert proved["begins_with_grant"] and proved["reaches_the_end"], f"{client.name}: {proved}"
            stories += 1
        times = sorted(receipt["issued_at"] for receipt in expected.values())
        for first, last in [(times[len(times) // 2], times[-1])] if times else []:
            _, receipts = bundle(client, **{"from": first, "to": last})
            own = {name: receipt for name, receipt in expected.items() if first <= receipt["issued_at"] < last}
            assert receipts == own, f"{client.name}: from {first} to {last} other receipts {receipts.keys() ^ own.keys()}"
    assert stories > 50, f"only {stories} stories"
    print(f"  {len(scene.told)} workspaces and {stories} stories verified")


def no_check_was_answered_locally(scene):
    fallbacks = [why for client in scene.clients for why in client.fallbacks]
    checks = sum(client.checks for client in scene.clients)
    assert not fallbacks, f"{len(fallbacks)} of {checks} checks fell back: {fallbacks[:5]}"
    print(f"  {checks} checks, none answered locally")


def every_receipt_survived(scene):
    for client, told in scene.told:
        found = texts(client)
        assert found == told, f"{client.name}: changed {[name for name in told if found.get(name) != told[name]][:5]}"
        verified(client, found)
    print(f"  {sum(len(told) for _, told in scene.told)} receipts are still there and verify")


def every_list_survived(scene):
    for client, told in scene.told:
        listed = [item["receipt_id"] for item in client.walk("/v1/receipts", limit=100)]
        assert listed == sorted(told, reverse=True), f"{client.name}: {set(told) ^ set(listed)}"


def retries_after_the_crash_get_their_first_answers(scene):
    for place, method, path, body, key, status, answer in scene.kept:
        exchange = scene.told[place][0].call(method, path, body, key=key)
        exchange.need((exchange.status, exchange.json) == (status, answer), f"the first answer was {status} {answer}")
    assert scene.kept, "the story kept idempotent calls"
    for client, told in scene.told:
        assert len(client.walk("/v1/receipts", limit=100)) == len(told), f"{client.name}: a retry leaves no receipts"


def the_vectors_get_their_verdicts(_scene):
    count, wrong = canonical.judge(Path(__file__).parents[2] / "proto/tests/vectors")
    assert not wrong, "\n  ".join(wrong)
    print(f"  {count} vectors")


class Recheck:
    """What the story wrote down, against the server started anew."""

    def __init__(self, url):
        record = json.loads(RECORD.read_text())
        self.told, self.kept = [], record["kept"]
        for one in record["clients"]:
            client = Client(url, one["api_key"], one["workspace"], one["name"])
            client.receipts = list(one["receipts"])
            self.told.append((client, one["receipts"]))


def play(scene, functions):
    failures = []
    for function in functions:
        began, name = time.monotonic(), function.__name__.replace("_", " ")
        try:
            function(scene)
            print(f"ok      {name} ({time.monotonic() - began:.1f} s)", flush=True)
        except Exception as error:  # one chapter's failure must not hide the others
            place = traceback.extract_tb(error.__traceback__)
            where = next((f"{Path(f.filename).name}:{f.lineno}" for f in reversed(place) if "chapters" in f.filename or "story.py" in f.filename), "")
            failures.append(f"{name} ({where})\n    {type(error).__name__}: {error}")
            print(f"FAILED  {failures[-1]}", flush=True)
    if failures:
        print(f"\n{len(failures)} failed:", *failures, sep="\n- ")
    print(f"{len(functions) - len(failures)} passed, {len(failures)} failed")
    return 1 if failures else 0


def main():
    url = os.environ["ALLOWLOG_URL"]
    if sys.argv[1:] == ["recheck"]:
        return play(Recheck(url), [every_receipt_survived, every_list_survived, every_workspace_has_its_evidence, retries_after_the_crash_get_their_first_answers])
    assert not sys.argv[1:], __doc__
    scene = Scene(url, os.environ["ALLOWLOG_ADMIN_TOKEN"], os.environ["ALLOWLOG_API_KEY"], os.environ["ALLOWLOG_WORKSPACE"])
    last = [every_receipt_is_listed, everything_is_written_down, every_receipt_verifies, every_workspace_has_its_evidence, no_check_was_answered_locally]
    return play(scene, [the_vectors_get_their_verdicts, *CHAPTERS, *last])


if __name__ == "__main__":
    sys.exit(main())
