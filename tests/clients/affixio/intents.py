"""Payment intents: how a decision is found, every refusal, what is consumed and what is given back."""

import concurrent.futures
import datetime

from contract import later
from offline import Wallet
from stage import Payer, chapter, check, same, wait_until

AT_ONCE = 32


@chapter
def a_decision_is_found(api, _):
    pays = Payer(api, {"amount_limits": {"daily": 100000}})
    # In the body, under either name, before the one that was given at creation.
    older, newer = pays.permit(700, merchant="m_find"), pays.permit(700, merchant="m_find")
    intent = pays.intent(700, merchant="m_find", proof_id=newer["proof_id"])
    same(api.get(f"/v1/payment-intents/{intent}")["decision_id"], newer["decision_id"], "a proof names its decision")
    same(pays.authorise(intent, {"proof_id": older["proof_id"]})["decision_id"], older["decision_id"], "the body's comes first")
    intent = pays.intent(700, merchant="m_find", decision_id=newer["decision_id"], agent_id=pays.agent, delegation_id=pays.delegation)
    pays.permit(700, merchant="m_find")
    same(pays.authorise(intent)["decision_id"], newer["decision_id"], "then the one of the creation")
    # Made for this intent, before the newest.
    intent = pays.intent(700, merchant="m_find")
    made_for = pays.permit(700, merchant="m_find", id=intent)
    pays.permit(700, merchant="m_find")
    same(pays.authorise(intent)["decision_id"], made_for["decision_id"], "then the one that was made for it")
    # The newest that is about the same, unused, and covers the amount.
    small = Payer(api, {"amount_limits": {"per_transaction": 100}})
    pays.permit(700, merchant="m_newest")
    wanted = pays.permit(700, merchant="m_newest")
    for other in ({"merchant": "m_other"}, {"currency": "USD", "merchant": "m_newest"}):
        pays.permit(700, **other)
    small.permit(100, merchant="m_newest")
    found = pays.authorise(pays.intent(700, merchant="m_newest"), {})
    same(found["decision_id"], wanted["decision_id"], "then the newest that covers it")
    check(pays.authorise(pays.intent(700, merchant="m_newest"))["decision_id"] != wanted["decision_id"], "which is used then")
    pays.refuses(403, "permission_required", pays.intent(700, merchant="m_newest"))
    # Where agent or delegation are named, only theirs.
    other = Payer(api)
    mine = pays.permit(700, merchant="m_mine")
    other.permit(700, merchant="m_mine")
    for more in ({"agent_id": pays.agent}, {"delegation_id": pays.delegation}):
        intent = pays.intent(700, merchant="m_mine", **more)
        if "agent_id" in more:
            same(pays.authorise(intent)["decision_id"], mine["decision_id"], "only the agent's own")
        else:
            pays.refuses(403, "permission_required", intent)
    # Trust and verification permit nothing.
    asked = other.body(700, merchant="m_trust")
    check(api.post("/v1/trust/check", asked)["allowed"], "trusted")
    api.post(f"/v1/delegations/{other.delegation}/verify", asked)
    other.refuses(403, "permission_required", other.intent(700, merchant="m_trust"))
    # Less than was asked for, and the other spelling of the path.
    intent = pays.intent(700, decision_id=pays.permit(700)["decision_id"])
    answer = api.post(f"/v1/payment-intents/{intent}/authorize", {"amount": 650})
    same((answer["authorised_amount"], answer["status"]), (650, "authorised"), "less may be authorised")


@chapter
def every_refusal(api, other):
    pays = Payer(api, {"amount_limits": {"daily": 1000}})
    # permission_required: there is no decision.
    pays.refuses(403, "permission_required", pays.intent(700, merchant="m_nobody_permitted"))
    foreign = Payer(other).permit(700)["decision_id"]
    for nobody in (f"dec_{'0' * 26}", foreign):
        refused = pays.intent(700)
        answer = api.call("POST", f"/v1/payment-intents/{refused}/authorise", {"decision_id": nobody})
        answer.need(
            (answer.status, answer.json.get("code")) in ((403, "permission_required"), (403, "permission_expired")), "no decision of this org"
        )
    # permission_denied: there is one, and it says no.
    denied = pays.permit(1001)
    same(denied["action"], "DENY", "denied")
    pays.refuses(403, "permission_denied", pays.intent(1001, decision_id=denied["decision_id"]))
    pays.refuses(403, "permission_denied", pays.intent(900, proof_id=denied["proof_id"]))
    # permission_denied: since it was made, the agent was suspended.
    halted = Payer(api)
    intent = halted.intent(700, decision_id=halted.permit(700)["decision_id"])
    api.post(f"/v1/agents/{halted.agent}/suspend")
    halted.refuses(403, "permission_denied", intent)
    api.post(f"/v1/agents/{halted.agent}/activate")
    same(halted.authorise(intent)["authorised_amount"], 700, "a refusal consumes nothing")
    # permission_expired: its time is over.
    short = Payer(api, {"validity_window": {"start": later(seconds=-60), "end": later(seconds=3)}})
    decision = short.permit(700)
    intent = short.intent(700, decision_id=decision["decision_id"])
    wait_until(decision["expires_at"])
    short.refuses(403, "permission_expired", intent)
    short.refuses(403, "permission_required", short.intent(700, delegation_id=short.delegation))
    # amount_exceeds_limit: more than the decision covers, or than the intent.
    most = Payer(api, {"amount_limits": {"per_transaction": 500}})
    decision = most.permit(400)
    most.refuses(403, "amount_exceeds_limit", most.intent(501, decision_id=decision["decision_id"]))
    intent = most.intent(400, decision_id=decision["decision_id"])
    most.refuses(403, "amount_exceeds_limit", intent, {"amount": 401})
    same(most.authorise(intent)["authorised_amount"], 400, "as much as was asked for")
    # permission_mismatch: it is about something else.
    decision = pays.permit(100)
    for more in ({"merchant": "m_else"}, {"currency": "USD"}, {"agent_id": most.agent}, {"delegation_id": most.delegation}):
        pays.refuses(403, "permission_mismatch", pays.intent(100, **more, decision_id=decision["decision_id"]))
    # delegation_revoked: a revoke in between wins.
    gone = Payer(api)
    intent = gone.intent(700, decision_id=gone.permit(700)["decision_id"])
    later_on = gone.intent(700, merchant="m_gone")
    gone.permit(700, merchant="m_gone")
    api.post(f"/v1/delegations/{gone.delegation}/revoke")
    gone.refuses(403, "delegation_revoked", intent)
    answer = api.call("POST", f"/v1/payment-intents/{later_on}/authorise")
    answer.need(answer.status == 403 and answer["code"] in ("delegation_revoked", "permission_required"), "found or not, it is of no use")
    # limit_exceeded: both were allowed, and only one has room.
    one, two = pays.permit(700), pays.permit(700)
    pays.authorise(pays.intent(700, decision_id=one["decision_id"]))
    late = pays.intent(700, decision_id=two["decision_id"])
    pays.refuses(403, "limit_exceeded", late)
    pays.refuses(403, "limit_exceeded", late)
    same(pays.authorise(late, {"amount": 300})["authorised_amount"], 300, "the rest has room")
    same(pays.permit(1)["reason_codes"][-1], "DAILY_LIMIT_EXCEEDED", "and that was the day")
    # 409 permission_already_used: one decision authorises once.
    once = Payer(api)
    decision = once.permit(700)
    first = once.intent(700, decision_id=decision["decision_id"])
    answer = once.authorise(first)
    once.refuses(409, "permission_already_used", once.intent(700, decision_id=decision["decision_id"]))
    once.refuses(409, "permission_already_used", once.intent(700), {"proof_id": decision["proof_id"]})
    for body in (None, {}, {"amount": 700}, {"decision_id": decision["decision_id"]}, {"proof_id": decision["proof_id"]}):
        same(once.authorise(first, body).json, answer.json, "an identical repeat gets the first answer")
    kept = once.intent(700, decision_id=once.permit(700)["decision_id"])
    once.authorise(kept)
    api.keep("POST", f"/v1/payment-intents/{kept}/authorise")
    # 409 invalid_state: out of turn.
    once.refuses(409, "invalid_state", first, {"amount": 699})
    fresh = once.intent(700)
    once.refuses(409, "invalid_state", fresh, step="capture")
    cancelled = api.post(f"/v1/payment-intents/{fresh}/cancel")
    same(cancelled["status"], "cancelled", "a new one can be cancelled")
    same(api.post(f"/v1/payment-intents/{fresh}/cancel").json, cancelled.json, "twice")
    once.refuses(409, "invalid_state", fresh)
    once.refuses(409, "invalid_state", fresh, step="capture")
    captured = api.post(f"/v1/payment-intents/{first}/capture")
    same(api.post(f"/v1/payment-intents/{first}/capture").json, captured.json, "an identical repeat of a capture, too")
    once.refuses(409, "invalid_state", first, step="cancel")
    # Intents that are nobody's, or another's.
    for nobody in (f"pin_{'0' * 26}", "nobody", Payer(other).intent(1)):
        api.refused(404, "not_found", "GET", f"/v1/payment-intents/{nobody}")
        for step in ("authorise", "authorize", "cancel", "capture"):
            api.refused(404, "not_found", "POST", f"/v1/payment-intents/{nobody}/{step}")


@chapter
def limits_are_exact(api, _):
    pays = Payer(api, {"amount_limits": {"daily": 1000, "weekly": 1500}})
    intent = pays.intent(700, decision_id=pays.permit(700)["decision_id"])
    same(pays.left(), 1000, "the gate consumes nothing")
    pays.authorise(intent)
    same(pays.left(), 300, "authorising does")
    pays.authorise(intent)
    same(pays.left(), 300, "once")
    api.post(f"/v1/payment-intents/{intent}/cancel")
    same(pays.left(), 1000, "cancelling gives it back")
    api.post(f"/v1/payment-intents/{intent}/cancel")
    same(pays.left(), 1000, "once")
    intent = pays.intent(700, decision_id=pays.permit(700)["decision_id"])
    pays.authorise(intent)
    api.post(f"/v1/payment-intents/{intent}/capture")
    same(pays.left(), 300, "capturing gives nothing back")
    # Per currency, each in its own minor units.
    for currency in ("USD", "JPY", "KWD"):
        same(pays.left(currency), 1000, f"{currency} is counted apart")
        paid = pays.pay(850, currency)
        same((paid["authorised_amount"], paid["currency"]), (850, currency), f"{currency} is not scaled")
        same(pays.left(currency), 150, f"{currency} is left to the unit")
    same(pays.left(), 300, "and EUR is as it was")
    same(pays.permit(301)["reason_codes"][-1], "DAILY_LIMIT_EXCEEDED", "to the unit")
    for currency in ("JPY", "KWD"):
        intent = api.post("/v1/payment-intents", {"merchant_id": "mer_1", "amount": 1850, "currency": currency})
        same((intent["amount"], intent["currency"]), (1850, currency), f"1850 {currency} are 1850")
        same(Payer(api).permit(1850, currency)["currency"], currency, "in a decision as well")
    large = Payer(api, {"amount_limits": 2**53 - 1})
    same(large.granted["amount_limits"], {"per_transaction": 2**53 - 1}, "the largest limit")
    same(large.pay(2**53 - 1, "JPY")["authorised_amount"], 2**53 - 1, "and the largest amount")
    # A period rolls: what was paid longer ago than it lasts is not counted.
    rolling = Payer(api, {"amount_limits": {"period": {"amount": 1000, "interval": "PT4S"}}})
    paid = rolling.pay(700)
    same(rolling.permit(301)["reason_codes"][-1], "PERIOD_LIMIT_EXCEEDED", "within its period it counts")
    end = datetime.datetime.fromisoformat(paid["authorised_at"]) + datetime.timedelta(seconds=4)
    wait_until(end.isoformat())
    same(rolling.left(), 1000, "and not after it")


def together(calls):
    """Runs the calls in as many threads; their answers in order."""
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def told(answers):
    """How many succeeded, and which codes the others got."""
    refused = [answer for answer in answers if answer.status != 200]
    return len(answers) - len(refused), {(answer.status, answer["code"]) for answer in refused}


@chapter
def at_once(api, _):
    """Parallel calls get what they would one after the other."""
    pays = Payer(api, {"amount_limits": {"daily": 1000}})
    decision = pays.permit(100)["decision_id"]
    intents = [pays.intent(100, decision_id=decision) for _ in range(AT_ONCE)]
    step = lambda intent: lambda: api.call("POST", f"/v1/payment-intents/{intent}/authorise")
    same(told(together([step(intent) for intent in intents])), (1, {(409, "permission_already_used")}), "one decision authorises once")
    intents = [pays.intent(130, decision_id=pays.permit(130)["decision_id"]) for _ in range(AT_ONCE)]
    same(told(together([step(intent) for intent in intents])), (6, {(403, "limit_exceeded")}), "900 are left for 6 of 130")
    same(pays.left(), 1000 - 100 - 6 * 130, "to the unit")
    intent = Payer(api).decided()
    answers = together([step(intent)] * AT_ONCE)
    check(all(answer.status == 200 and answer.json == answers[0].json for answer in answers), "one intent is authorised once")
    wallet = Wallet(Payer(api), 100)
    devices = [wallet.spend(100, f"{wallet.device}_{place}") and f"{wallet.device}_{place}" for place in range(AT_ONCE)]
    results = together([lambda device=device: wallet.settle(device) for device in devices])
    same(sorted(item["status"] for result in results for item in result), ["double_spend"] * (AT_ONCE - 1) + ["settled"], "one token is spent once")
