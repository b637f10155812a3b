"""The gate: every code in its place, people who are asked, and what the other questions answer."""

import collections
import time

from contract import DECISION_LIFE_S, FAILED, PASSED, later, seconds
from stage import Payer, agent, chapter, check, fresh, same, wait_until

VALID, UNVERIFIED, TRUSTED, MERCHANT = "DELEGATION_VALID", "DEVICE_UNVERIFIED", "DEVICE_TRUSTED", "MERCHANT_ALLOWED"
NOBODY = "0" * 26


@chapter
def quickstart(api, _):
    """As the vendor's pages go: a device and a merchant that nobody registered, and the gate before there is an intent."""
    same(api.get(f"/v1/agents/{(one := agent(api))}")["status"], "active", "an agent begins active")
    made = api.post(f"/v1/agents/{one}/credentials")
    check(made["private_key"] and made["agent_id"] == one, "an empty body makes a pair")
    pays = Payer(api, {"amount_limits": {"per_transaction": 5000, "daily": 20000}, "currency_limits": ["GBP"]}, agent_id=one)
    decision = pays.decides("ALLOW_WITH_LIMITS", [VALID, UNVERIFIED, MERCHANT], 1850, "GBP", "merchant_nobody_knows", device="device_nobody_knows")
    same((decision["max_amount"], decision["currency"], decision["delegation_id"]), (5000, "GBP", pays.delegation), "with its limits")
    same(decision["policy_id"], pays.granted["policy_id"], "by the terms of the delegation")
    intent = api.post(
        "/v1/payment-intents", {"merchant_id": "merchant_nobody_knows", "amount": 1850, "currency": "GBP", "metadata": {"Order_no": 7, "aB": "c"}}
    )
    same((intent["status"], intent["amount"], intent["metadata"]), ("created", 1850, {"Order_no": 7, "aB": "c"}), "an intent is made")
    authorised = pays.authorise(intent["id"])
    same((authorised["decision_id"], authorised["authorised_amount"]), (decision["decision_id"], 1850), "an empty body finds the decision")
    same(authorised["currency"], "GBP", "in its currency")
    captured = api.post(f"/v1/payment-intents/{intent['id']}/capture")
    same((captured["status"], captured["captured_amount"]), ("captured", 1850), "and it is paid")
    same(api.get(f"/v1/payment-intents/{intent['id']}").json, captured.json, "which can be read")


@chapter
def every_code(api, other):
    codes = collections.Counter()

    def expect(payer, action, last, *payment, **more):
        answer = payer.decides(action, last, *payment, **more)
        codes.update(answer["reason_codes"])
        return answer

    # What is known of the agent and the delegation.
    pays = Payer(api)
    stranger = Payer(other)
    first = expect(pays, "ALLOW", [VALID, MERCHANT])
    same((first["max_amount"], first["currency"]), (None, "EUR"), "without limits there is no ceiling")
    check(DECISION_LIFE_S - 5 < seconds(first["expires_at"]) - time.time(), "a decision lives 300 s")
    for nobody in (f"agt_{NOBODY}", "nobody", stranger.agent):
        answer = api.post("/v1/nior/agent/permission", pays.body() | {"agent_id": nobody})
        same((answer["action"], answer["reason_codes"]), ("DENY", ["AGENT_NOT_FOUND"]), f"{nobody} is not found")
    for nobody in (f"dlg_{NOBODY}", "nobody", stranger.delegation):
        answer = api.post("/v1/nior/agent/permission", pays.body() | {"delegation_id": nobody})
        same((answer["action"], answer["reason_codes"]), ("DENY", ["DELEGATION_NOT_FOUND"]), f"{nobody} is not found")
        same((answer["policy_id"], answer["delegation_id"]), (None, nobody), "and is echoed")
    answer = api.post("/v1/nior/agent/permission", pays.body() | {"delegation_id": Payer(api).delegation})
    same((answer["action"], answer["reason_codes"]), ("DENY", ["DELEGATION_AGENT_MISMATCH"]), "another's delegation is none")
    codes.update(["AGENT_NOT_FOUND", "DELEGATION_NOT_FOUND", "DELEGATION_AGENT_MISMATCH"])
    for step, status, code in [("suspend", "suspended", "AGENT_SUSPENDED"), ("activate", "active", None), ("revoke", "revoked", "AGENT_REVOKED")]:
        same(api.post(f"/v1/agents/{pays.agent}/{step}")["status"], status, f"an agent is {status}")
        expect(pays, "DENY" if code else "ALLOW", [code] if code else [VALID, MERCHANT])

    # The delegation's time.
    gone = Payer(api)
    revoked = api.post(f"/v1/delegations/{gone.delegation}/revoke", {"reason": "no more", "revoked_by": "anna"})
    same(api.post(f"/v1/delegations/{gone.delegation}/revoke").json, revoked.json, "a second revoke gets the first answer")
    same(api.post(f"/v1/delegations/{gone.delegation}/revoke", {"reason": "other"}).json, revoked.json, "whatever it says")
    expect(gone, "DENY", ["DELEGATION_REVOKED"])
    read = api.get(f"/v1/delegations/{gone.delegation}")
    same((read["status"], read["revoked_at"]), ("revoked", revoked["revoked_at"]), "and can be read")
    soon = Payer(api, {"validity_window": {"start": later(hours=1)}})
    same(soon.granted["status"], "pending", "one that begins later is pending")
    expect(soon, "DENY", ["DELEGATION_NOT_YET_VALID"])
    short = Payer(api, {"validity_window": {"end": later(seconds=3)}})
    brief = expect(short, "ALLOW", [VALID, MERCHANT])
    same(brief["expires_at"], short.granted["validity_window"]["end"], "a decision never outlives its delegation")
    wait_until(short.granted["validity_window"]["end"])
    expect(short, "DENY", ["DELEGATION_EXPIRED"])
    same(api.get(f"/v1/delegations/{short.delegation}")["status"], "expired", "by the clock alone")

    # What is granted.
    for name in ("*", "pay", "payments:create", "purchase.book", "spend", "checkout:cart", "transfer/out"):
        expect(Payer(api, permissions=name), "ALLOW", [VALID, MERCHANT])
    reads = Payer(api, permissions=[{"name": "reports:read"}, "display"])
    same(reads.granted["permissions"], ["reports:read", "display"], "permissions are names")
    expect(reads, "DENY", [VALID, "PERMISSION_NOT_GRANTED"])
    expect(reads, "ALLOW", [VALID, MERCHANT], permission="reports:read")
    expect(reads, "DENY", [VALID, "PERMISSION_NOT_GRANTED"], permission="reports:write")

    # Devices.
    device = api.post("/v1/devices", {"name": "till", "type": "terminal", "metadata": {"Row": 1}})
    same((device["status"], device["metadata"]), ("active", {"Row": 1}), "a device is registered")
    check(api.post(f"/v1/devices/{device['id']}/attest", {"attestation": {"aB": 1}})["attested_at"], "and attested")
    pays = Payer(api, {"require_trusted_device": True})
    expect(pays, "ALLOW", [VALID, TRUSTED, MERCHANT], device=device["id"])
    expect(pays, "DENY", [VALID, "DEVICE_NOT_TRUSTED"], device="unknown")
    expect(pays, "DENY", [VALID, "DEVICE_NOT_TRUSTED"], device=other.post("/v1/devices")["id"])
    expect(pays, "DENY", [VALID, "DEVICE_NOT_TRUSTED"])
    expect(Payer(api), "ALLOW", [VALID, UNVERIFIED, MERCHANT], device="unknown")
    same(api.post(f"/v1/devices/{device['id']}/revoke", {"reason": "stolen"})["status"], "revoked", "and revoked")
    expect(Payer(api), "DENY", [VALID, "DEVICE_REVOKED"], device=device["id"])

    merchants_and_amounts(api, expect)
    people(api, expect)
    missing = {"MANUAL_REVIEW_REQUIRED", *FAILED, *PASSED} - set(codes)
    check(not missing, f"every code of the contract came up, but {missing}")


def merchants_and_amounts(api, expect):
    only = Payer(api, {"merchant_constraints": {"allowed_merchants": ["mer_1", "mer_2"], "blocked_merchants": ["mer_2"]}})
    expect(only, "ALLOW", [VALID, MERCHANT], merchant="mer_1")
    for merchant in ("mer_2", "mer_3", "MER_1"):
        expect(only, "DENY", [VALID, "MERCHANT_NOT_ALLOWED"], merchant=merchant)
    kinds = Payer(api, {"merchant_constraints": {"allowed_categories": ["5411"]}})
    expect(kinds, "ALLOW", [VALID, MERCHANT], merchant_category="5411")
    expect(kinds, "DENY", [VALID, "MERCHANT_NOT_ALLOWED"], merchant_category="5999")
    expect(kinds, "DENY", [VALID, "MERCHANT_NOT_ALLOWED"])
    nobody = Payer(api, {"merchant_constraints": []})
    expect(nobody, "DENY", [VALID, "MERCHANT_NOT_ALLOWED"])
    expect(Payer(api, {"merchant_constraints": {}}), "ALLOW", [VALID, MERCHANT])

    euros = Payer(api, {"currency_limits": ["EUR", "USD"]})
    expect(euros, "ALLOW", [VALID, MERCHANT], 1, "USD")
    expect(euros, "DENY", [VALID, MERCHANT, "CURRENCY_NOT_ALLOWED"], 1, "GBP")
    expect(Payer(api, {"currency_limits": []}), "DENY", "CURRENCY_NOT_ALLOWED")
    online = Payer(api, {"channels": ["online"]})
    expect(online, "ALLOW", [VALID, MERCHANT], channel="online")
    expect(online, "DENY", [VALID, MERCHANT, "CHANNEL_NOT_ALLOWED"], channel="terminal")
    expect(online, "DENY", [VALID, MERCHANT, "CHANNEL_NOT_ALLOWED"])
    expect(Payer(api, {"channels": []}), "DENY", "CHANNEL_NOT_ALLOWED", channel="online")

    # Ceilings: equal is allowed, the smallest counts.
    most = Payer(api, {"amount_limits": {"per_transaction": 1000}})
    same(expect(most, "ALLOW_WITH_LIMITS", [VALID, MERCHANT], 1000)["max_amount"], 1000, "the ceiling itself")
    expect(most, "DENY", [VALID, MERCHANT, "AMOUNT_LIMIT_EXCEEDED"], 1001)
    daily = Payer(api, {"amount_limits": {"per_transaction": 900, "daily": 1000}})
    daily.pay(700)
    same(expect(daily, "ALLOW_WITH_LIMITS", [VALID, MERCHANT], 300)["max_amount"], 300, "what is left of the day")
    expect(daily, "DENY", [VALID, MERCHANT, "DAILY_LIMIT_EXCEEDED"], 301)
    expect(daily, "DENY", [VALID, MERCHANT, "AMOUNT_LIMIT_EXCEEDED"], 901)
    rolling = Payer(api, {"amount_limits": {"daily": 1000, "period": {"amount": 900, "interval": "P7D"}}})
    rolling.pay(700)
    same(expect(rolling, "ALLOW_WITH_LIMITS", [VALID, MERCHANT], 200)["max_amount"], 200, "what is left of the period")
    expect(rolling, "DENY", [VALID, MERCHANT, "PERIOD_LIMIT_EXCEEDED"], 201)
    expect(rolling, "DENY", [VALID, MERCHANT, "DAILY_LIMIT_EXCEEDED"], 301)
    capped = Payer(api, {"amount_limits": {"daily": 1000}, "on_exceed": "cap"})
    cut = expect(capped, "ALLOW_WITH_LIMITS", [VALID, MERCHANT, "AMOUNT_CAPPED"], 1500)
    same(cut["max_amount"], 1000, "capped, not denied")
    capped.refuses(403, "amount_exceeds_limit", capped.intent(1500, decision_id=cut["decision_id"]))
    same(capped.authorise(capped.intent(1000, decision_id=cut["decision_id"]))["authorised_amount"], 1000, "up to the cap")
    expect(capped, "DENY", [VALID, MERCHANT, "DAILY_LIMIT_EXCEEDED"], 1)


def people(api, expect):
    """A review is an escalation of the core, a step-up a confirmation: the same endpoints resolve them."""
    asks = Payer(api, {"review_above": 1000, "amount_limits": {"daily": 10000}})
    expect(asks, "ALLOW_WITH_LIMITS", [VALID, MERCHANT], 1000)
    review = expect(asks, "REVIEW", [VALID, MERCHANT, "MANUAL_REVIEW_REQUIRED"], 1001)
    same(asks.permit(1001)["escalation_id"], review["escalation_id"], "asked twice, it is one review")
    asks.refuses(403, "permission_denied", asks.intent(1001, decision_id=review["decision_id"]))
    resolve(api, review["escalation_id"], "approved")
    check(asks.permit(1002)["action"] == "REVIEW", "approved is one payment, not another amount")
    check(asks.permit(1001, merchant="mer_2")["action"] == "REVIEW", "nor another merchant")
    allowed = asks.permit(1001)
    check(allowed["allowed"], "the next identical request is allowed")
    same(asks.authorise(asks.intent(1001, decision_id=allowed["decision_id"]))["authorised_amount"], 1001, "and authorises")
    again = asks.permit(1001)
    check(again["action"] == "REVIEW" and again["escalation_id"] != review["escalation_id"], "once")
    resolve(api, again["escalation_id"], "rejected")
    check(asks.permit(1001)["action"] == "DENY", "a rejection denies")

    steps = Payer(api, {"step_up_above": 1000})
    expect(steps, "ALLOW", [VALID, MERCHANT], 1000)
    step = steps.permit(1001)
    same((step["action"], step["requires_step_up"], step["reason_codes"][:2]), ("STEP_UP_REQUIRED", True, [VALID, MERCHANT]), "the user is asked")
    steps.refuses(403, "permission_denied", steps.intent(1001, decision_id=step["decision_id"]))
    confirmed = api.http.post(f"/v1/confirmations/{step['confirm_nonce']}", json={"approved": True}, headers={api.header: api.key})
    check(confirmed.status_code == 200 and confirmed.json()["decision"] == "approved", f"the user says yes: {confirmed.text}")
    confirmed = steps.permit(1001)
    same(confirmed["action"], "ALLOW", "and it is allowed")
    steps.authorise(steps.intent(1001, decision_id=confirmed["decision_id"]))
    both = Payer(api, {"review_above": 500, "step_up_above": 500})
    check(both.permit(501)["action"] == "REVIEW", "the review comes first")


def resolve(api, escalation, resolution):
    body = {"resolution": resolution, "resolved_by": "bob"}
    answer = api.http.post(f"/v1/escalations/{escalation}/resolve", json=body, headers={api.header: api.key})
    check(answer.status_code == 200 and answer.json()["status"] == resolution, f"a review is {resolution}: {answer.text}")


@chapter
def delegations_are_listed(api, _):
    one = agent(api)
    made = [Payer(api, {"amount_limits": place + 1}, agent_id=one).granted.json for place in range(3)]
    found, cursor = [], ""
    while True:
        page = api.get(f"/v1/delegations?agent_id={one}&limit=2{cursor}")
        same(page["has_more"], page["next_cursor"] is not None, "a page says whether there is another")
        found += page["items"]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    same(sorted(found, key=lambda item: item["id"]), sorted(made, key=lambda item: item["id"]), "an agent's delegations, each once")
    same([api.get(f"/v1/delegations/{item['id']}").json for item in found], found, "as each reads by itself")


@chapter
def other_questions(api, other):
    """Verification, trust and policy: what they answer, and that they consume nothing."""
    pays = Payer(api, {"amount_limits": {"daily": 1000}})
    where = f"/v1/delegations/{pays.delegation}/verify"
    for body in (None, {}, {"payment_intent": {"merchant_id": "mer_1", "amount": 1000, "currency": "EUR"}}):
        answer = api.post(where, body)
        same((answer["valid"], answer["status"], answer["delegation_id"]), (True, "active", pays.delegation), "it stands")
        check(VALID in answer["reason_codes"], "and says why")
    dry = api.post(where, {"payment_intent": {"merchant_id": "mer_1", "amount": 1001, "currency": "EUR"}})
    same((dry["valid"], dry["reason_codes"][-1]), (False, "DAILY_LIMIT_EXCEEDED"), "a dry run says what it would come to")
    same(pays.left(), 1000, "and consumes nothing")
    gone, soon = Payer(api), Payer(api, {"validity_window": {"start": later(hours=1)}})
    api.post(f"/v1/delegations/{gone.delegation}/revoke")
    for over, status, code in [(gone, "revoked", "DELEGATION_REVOKED"), (soon, "pending", "DELEGATION_NOT_YET_VALID")]:
        answer = api.post(f"/v1/delegations/{over.delegation}/verify")
        same((answer["valid"], answer["status"], answer["reason_codes"]), (False, status, [code]), f"one that is {status} does not stand")
    for nobody in (f"dlg_{NOBODY}", Payer(other).delegation):
        api.refused(404, "not_found", "POST", f"/v1/delegations/{nobody}/verify")

    trusted = api.post("/v1/devices")["id"]
    for more, decision in [({}, "allow"), ({"device_id": trusted}, "allow"), ({"device_id": "unknown"}, "allow"), ({"agent_id": "nobody"}, "deny")]:
        answer = api.post("/v1/trust/check", {"agent_id": pays.agent, "delegation_id": pays.delegation} | more)
        same(answer["decision"], decision, f"trust with {more}")
        same([item["code"] for item in answer["checks"]], answer["reason_codes"], "each test is named")
        # A device that nobody registered denies nothing, and earns no trust either.
        passed = all(item["passed"] for item in answer["checks"] if item["code"] != UNVERIFIED)
        same(passed, decision == "allow", "and says whether it was passed")
    reviewed = Payer(api, {"review_above": 10})
    same(api.post("/v1/trust/check", reviewed.body(11))["decision"], "review", "somebody is to be asked")

    ask = {
        "agent_id": pays.agent,
        "action": "payments:create",
        "amount": 500,
        "currency": "EUR",
        "merchant_id": "mer_1",
        "channel": "online",
        "context": {"aB": 1},
    }
    answer = api.post("/v1/nior/policy/decide", ask)
    same(
        (answer["action"], answer["max_amount"], answer["delegation_id"]),
        ("ALLOW_WITH_LIMITS", 1000, pays.delegation),
        "the policy finds the delegation",
    )
    same(pays.left(), 1000, "and consumes nothing")
    same(api.post("/v1/nior/policy/decide", ask | {"amount": 1001})["reason_codes"][-1], "DAILY_LIMIT_EXCEEDED", "and its limits")
    same(api.post("/v1/nior/policy/decide", ask | {"agent_id": "nobody"})["reason_codes"], ["AGENT_NOT_FOUND"], "and no agent")
    reader = Payer(api, permissions=["reports:read"])
    answer = api.post("/v1/nior/policy/decide", {"agent_id": reader.agent, "action": "reports:read", "resource": "report-7"})
    same((answer["action"], answer["currency"]), ("ALLOW", None), "an action is no payment")
    answer = api.post("/v1/nior/policy/decide", {"agent_id": reader.agent, "action": "reports:write", "resource": "report-7"})
    same(answer["reason_codes"][-1], "PERMISSION_NOT_GRANTED", "and must be granted")
    lonely = api.post("/v1/nior/policy/decide", {"agent_id": agent(api, name=fresh("lonely")), "action": "payments:create"})
    same((lonely["action"], lonely["reason_codes"]), ("DENY", ["DELEGATION_NOT_FOUND"]), "without a delegation nothing is allowed")
