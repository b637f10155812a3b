"""The payment API as plain HTTP, an off-the-shelf JWT library and a verifier of its own, against a server: quickstart and refusals.

    python3 client.py            plays every chapter, on a server with open signup; leaves what it saw in CLIENT_RECORD
    python3 client.py recheck    after the server was killed: all of it is still so, and signup is closed
    python3 client.py hurry      where a key may call so often and no more: 429

Environment: ALLOWLOG_URL, ALLOWLOG_API_KEY, ALLOWLOG_WORKSPACE, ALLOWLOG_ADMIN_TOKEN, CLIENT_RECORD.
"""

import json
import os
import sys
import time
import traceback

import canonical
import edges  # noqa: F401  an import fills CHAPTERS
import gate  # noqa: F401
import intents  # noqa: F401
import offline  # noqa: F401
from contract import Api
from stage import CHAPTERS, Payer, away_from_midnight, check, done, same, sign_up

URL, RECORD = os.environ["ALLOWLOG_URL"], os.environ["CLIENT_RECORD"]
SIGNED_WITHIN_S = 30
# Where a thing is read, by the prefix of its id.
READ = {"agt_": "agents", "dev_": "devices", "dlg_": "delegations", "pin_": "payment-intents"}


def play():
    api, other = sign_up(URL, "Acme"), sign_up(URL, "Other")
    # Any live key of a workspace is a key of this API.
    native = Api(URL, os.environ["ALLOWLOG_API_KEY"], "Authorization", f"org_{os.environ['ALLOWLOG_WORKSPACE'][3:]}")
    same(Payer(native).permit()["action"], "ALLOW", "another face's key works here")
    failed = []
    for chapter in CHAPTERS:
        away_from_midnight()
        try:
            chapter(api, other)
        except Exception:
            failed.append(chapter.__name__)
            print(f"-- {chapter.__name__}\n{traceback.format_exc()}")
    away_from_midnight()
    story = tell(api)
    record = {
        "org": api.org,
        "key": api.key,
        "story": story,
        "left": Payer.left(story_payer(api, story)),
        "kept": api.kept,
        "texts": proofs(api),
        "read": everything(api),
    }
    story["workspace"] = f"ws_{api.org[4:]}"
    story["key_id"] = json.loads(next(iter(record["texts"].values())))["receipt"]["signature"]["key_id"]
    with open(RECORD, "w") as file:
        json.dump(record, file)
    return failed


def tell(api):
    """A delegation with everything in its story, for the auditor."""
    pays = Payer(api, {"amount_limits": {"daily": 10000}})
    pays.pay(700)
    cancelled = pays.pay(800)["payment_intent_id"]
    api.post(f"/v1/payment-intents/{cancelled}/cancel")
    api.post(f"/v1/payment-intents/{pays.pay(900)['payment_intent_id']}/capture")
    pays.permit(10001)
    wallet = offline.Wallet(pays, 500)
    for device in (wallet.device, "another"):
        wallet.spend(400, device)
        wallet.settle(device)
    offline.Wallet(pays, 100)
    return {"agent": pays.agent, "delegation": pays.delegation, "nullifier": wallet.nullifier}


def story_payer(api, story):
    """The same delegation, of which nothing is granted anew."""
    payer = Payer.__new__(Payer)
    payer.api, payer.agent, payer.delegation = api, story["agent"], story["delegation"]
    return payer


def proofs(api):
    """Every proof that was ever answered is a signed receipt, which is verified with the public keys alone."""
    keys = api.http.get(f"/v1/workspaces/ws_{api.org[4:]}/keys").json()
    texts, end = {}, time.monotonic() + SIGNED_WITHIN_S
    check(len(api.proofs) > 100, "there are many proofs")
    for proof, answer in sorted(api.proofs.items()):
        while (envelope := api.get(f"/v1/proofs/{proof}"))["status"] == "pending":
            assert time.monotonic() < end, f"{proof} is still pending"
            time.sleep(0.02)
        receipt = canonical.read(envelope.text)["receipt"]
        canonical.verify(receipt, keys, time.time_ns(), f"ws_{api.org[4:]}")
        same(receipt["receipt_id"][4:], proof[4:], "a proof names its receipt")
        same(api.key in envelope.text, False, "and tells no secret")
        agrees(receipt, answer)
        texts[proof] = envelope.text
    return texts


def agrees(receipt, answer):
    """A decision's receipt says what the answer said."""
    if answer.json.get("decision_id", "")[4:] != receipt["receipt_id"][4:] or "reason_codes" not in answer.json:
        return
    decisions = {"ALLOW": "allow", "ALLOW_WITH_LIMITS": "allow", "DENY": "deny", "REVIEW": "escalate", "STEP_UP_REQUIRED": "confirm"}
    answer.need(receipt["decision"] == decisions[answer["action"]], f"the receipt says so: {receipt}")
    said = receipt["context"]["permission"]
    for name in ("reason_codes", "max_amount", "decision_id", "action", "expires_at"):
        answer.need(said[name] == answer[name], f"the receipt has {name}: {receipt}")
    if not isinstance(answer.sent, dict):
        return
    payment = answer.sent.get("payment_intent") or answer.sent.get("paymentIntent")
    if isinstance(payment, dict) and "amount" in payment:
        answer.need(receipt["context"]["payment_intent"]["amount"] == payment["amount"], f"the amount as it was sent: {receipt}")


def everything(api):
    """What can be read of whatever the kept calls and the story made, as it is now."""
    paths = set()
    for item in api.kept:
        for value in (item["json"] or {}).values():
            if isinstance(value, str) and value[:4] in READ:
                paths.add(f"/v1/{READ[value[:4]]}/{value}")
    return {path: api.get(path).json for path in sorted(paths)}


def recheck():
    with open(RECORD) as file:
        before = json.load(file)
    api = Api(URL, before["key"], org=before["org"])
    for item in before["kept"]:
        answer = api.call(item["method"], item["path"], item["body"], idempotency=item["idempotency"])
        same((answer.status, answer.json), (item["status"], item["json"]), f"{item['path']} is answered as before")
    for path, expected in before["read"].items():
        same(api.get(path).json, expected, f"{path} reads as before")
    for proof, text in before["texts"].items():
        same(api.get(f"/v1/proofs/{proof}").text, text, f"{proof} is the same receipt")
    pays = story_payer(api, before["story"])
    same(pays.left(), before["left"], "limits are as they were, to the unit")
    same(before["left"], 10000 - 700 - 900 - 400 - 100, "and as the story says")
    checked = api.post("/v1/offline/nullifiers/check", {"nullifiers": [before["story"]["nullifier"]]})
    same(checked["results"][0]["status"], "spent", "what is spent stays spent")

    # Signup is closed now: orgs are made by the operator.
    door = Api(URL)
    door.refused(401, "unauthorized", "POST", "/v1/orgs", {"name": "late"})
    api.refused(401, "unauthorized", "POST", "/v1/orgs", {"name": "late"})
    operator = Api(URL, os.environ["ALLOWLOG_ADMIN_TOKEN"], "Authorization")
    org = operator.post("/v1/orgs", {"name": "late"})["id"]
    door.refused(401, "unauthorized", "POST", "/v1/api-keys", {"orgId": org})
    key = operator.post("/v1/api-keys", {"orgId": org, "name": "by the operator"})["key"]
    same(Payer(Api(URL, key, org=org)).permit()["action"], "ALLOW", "and so are their first keys")
    return []


def hurry():
    with open(RECORD) as file:
        before = json.load(file)
    api = Api(URL, before["key"], "X-API-Key")
    for _ in range(1000):
        answer = api.call("GET", f"/v1/delegations/{before['story']['delegation']}")
        if answer.status == 429:
            break
    same((answer.status, answer["code"]), (429, "rate_limited"), "so often and no more")
    check(int(answer.headers["Retry-After"]) >= 1, "and says when to come again")
    return []


failed = {"recheck": recheck, "hurry": hurry}.get(sys.argv[-1], play)()
print(f"affixio: {len(done)} checks hold, failed: {failed}")
sys.exit(1 if failed else 0)
