"""What the chapters share: orgs, agents with a delegation, and what they pay."""

import datetime
import itertools
import time

from contract import Api

NUMBERS = itertools.count(1)
CHAPTERS = []
done = []


def chapter(function):
    CHAPTERS.append(function)
    return function


def check(holds, what):
    if not holds:
        raise AssertionError(what)
    done.append(what)


def same(found, expected, what):
    check(found == expected, f"{what}: {found!r} is not {expected!r}")


def fresh(prefix):
    return f"{prefix}_{next(NUMBERS)}"


def sign_up(url, name):
    """A new org's client, with its first key; the server runs with open signup."""
    org = Api(url).post("/v1/orgs", {"name": name})["id"]
    key = Api(url).post("/v1/api-keys", {"orgId": org, "name": "first"})["key"]
    return Api(url, key, org=org)


def away_from_midnight(margin_s=60):
    """Waits where a UTC day would end within a chapter that counts per day."""
    left = 86400 - time.time() % 86400
    if left < margin_s:
        time.sleep(left + 1)


def agent(api, **more):
    return api.post("/v1/agents", {"name": fresh("agent"), "type": "llm", "ownerOrgId": api.org} | more)["id"]


class Payer:
    """An agent with one delegation."""

    def __init__(self, api, limits=None, permissions="payments:create", agent_id=None):
        self.api, self.agent = api, agent_id or agent(api)
        self.granted = api.post("/v1/delegations", {"agent_id": self.agent, "permissions": permissions} | (limits or {}))
        self.delegation = self.granted["id"]

    def body(self, amount=700, currency="EUR", merchant="mer_1", device=None, permission=None, **payment):
        body = {"agent_id": self.agent, "delegation_id": self.delegation}
        body |= {"payment_intent": {"merchant_id": merchant, "amount": amount, "currency": currency} | payment}
        return body | ({"device_id": device} if device else {}) | ({"permission": permission} if permission else {})

    def permit(self, *payment, **more):
        return self.api.post("/v1/nior/agent/permission", self.body(*payment, **more))

    def left(self, currency="EUR"):
        """What the limits leave: the ceiling of the smallest payment."""
        return self.permit(1, currency)["max_amount"]

    def decides(self, action, last, *payment, **more):
        """The gate decides so; `last` is the code at the end, or all of them."""
        answer = self.permit(*payment, **more)
        answer.need(answer["action"] == action, f"{action} is expected")
        codes = answer["reason_codes"]
        answer.need(codes == last if isinstance(last, list) else codes[-1] == last, f"{last} is expected")
        done.append(last)
        return answer

    def intent(self, amount=700, currency="EUR", merchant="mer_1", **more):
        return self.api.post("/v1/payment-intents", {"merchant_id": merchant, "amount": amount, "currency": currency} | more)["id"]

    def decided(self, amount=700):
        """An intent with the decision that permits it."""
        return self.intent(amount, decision_id=self.permit(amount)["decision_id"])

    def authorise(self, intent, body=None):
        return self.api.post(f"/v1/payment-intents/{intent}/authorise", body)

    def pay(self, amount, currency="EUR"):
        """All of it at once: permitted, and authorised by that very decision."""
        decision = self.permit(amount, currency)
        decision.need(decision["allowed"], "it may be paid")
        return self.authorise(self.intent(amount, currency, decision_id=decision["decision_id"]))

    def refuses(self, status, code, intent, body=None, step="authorise"):
        answer = self.api.refused(status, code, "POST", f"/v1/payment-intents/{intent}/{step}", body)
        done.append(code)
        return answer


def wait_until(moment):
    """Until an instant of the server is over; it has the same clock."""
    while datetime.datetime.now(datetime.UTC) <= datetime.datetime.fromisoformat(moment):
        time.sleep(0.05)


def camel(value):
    """The other spelling of every name, but inside of what is the caller's own."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    own = ("metadata", "context", "attestation")
    return {respelt(name): item if name in own else camel(item) for name, item in value.items()}


def respelt(name):
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def snake(value):
    if isinstance(value, list):
        return [snake(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {"".join(f"_{c.lower()}" if c.isupper() else c for c in name): item if name == "metadata" else snake(item) for name, item in value.items()}
