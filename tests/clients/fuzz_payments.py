"""Leads schemathesis through the payment face: agents, devices and delegations in each status, decisions of each kind, intents in each
state, tokens that are unspent, spent and told of twice.

What a call is led to goes in turns, as in the consent face, so that every way out of an operation is taken soon.
"""

import collections
import datetime
import os

from fuzz_calls import ADMIN, API, CHANCE, KNOWN, call, fresh_name

ORG = f"org_{os.environ['ALLOWLOG_WORKSPACE'][3:]}"
NOBODY = "0" * 26
MERCHANTS, CURRENCIES = ["mer_1", "mer_2"], ["EUR", "JPY", "KWD"]
# An idempotency key that a call of another operation has.
TAKEN_KEY = "taken"
LIMITS = {
    "merchant_constraints": {"allowed_merchants": MERCHANTS, "blocked_merchants": ["mer_9"]},
    "amount_limits": {"per_transaction": 5000, "daily": 10**9, "period": {"amount": 2 * 10**9, "interval": "P7D"}},
    "currency_limits": CURRENCIES,
    "channels": ["online", "offline"],
    "on_exceed": "cap",
    "metadata": {"aB": 1},
}


class Payer:
    """An agent with a delegation of its own."""

    def __init__(self, limits=None, headers=None, org=ORG):
        self.headers = headers
        self.agent = call("POST", "/v1/agents", registration() | {"ownerOrgId": org}, headers)["id"]
        self.delegation = call("POST", "/v1/delegations", grant(self.agent) | (limits or {}), headers)["id"]

    def asks(self, amount=700, **payment):
        payment = {"merchant_id": "mer_1", "amount": amount, "currency": "EUR", "channel": "online"} | payment
        return {"agent_id": self.agent, "delegation_id": self.delegation, "payment_intent": payment}

    def decision(self, amount=700, **payment):
        return call("POST", "/v1/nior/agent/permission", self.asks(amount, **payment), self.headers)

    def intent(self, amount=700, **more):
        return call("POST", "/v1/payment-intents", payment(amount) | more, self.headers)["id"]

    def decided(self, amount=700):
        return self.intent(amount, decision_id=self.decision(amount)["decision_id"])

    def wish(self, most=700):
        """The body of a token that has everything."""
        body = {"agent_id": self.agent, "delegation_id": self.delegation, "device_id": fresh_name("till")}
        return body | {"max_amount": most, "currency": "EUR", "merchant_ids": ["mer_1"], "ttl_seconds": 600}


def registration():
    kind = CHANCE.choice(["llm", "workflow", "robot-controller", "service"])
    return {"name": fresh_name("agent"), "type": kind, "ownerOrgId": ORG, "metadata": CHANCE.choice([{}, {"aB": 1}])}


def grant(agent):
    return {"agent_id": agent, "permissions": ["payments:create", {"name": "reports:read"}]}


def payment(amount=700):
    return {"merchant_id": "mer_1", "amount": amount, "currency": "EUR", "channel": "online"}


def later(**delta):
    return (datetime.datetime.now(datetime.UTC) + datetime.timedelta(**delta)).isoformat()


def stranger():
    """A payer of another org."""
    workspace = call("POST", "/admin/v1/workspaces", {"name": "foreign"}, ADMIN)["workspace_id"]
    key = call("POST", f"/admin/v1/workspaces/{workspace}/api-keys", {"name": "foreign"}, ADMIN)["api_key"]
    return Payer(headers={"X-AffixIO-Key": key}, org=f"org_{workspace[3:]}")


FOREIGN = stranger()


def agent(status):
    """The id of an agent of this status."""
    if status in ("unknown", "foreign"):
        return {"unknown": f"agt_{NOBODY}", "foreign": FOREIGN.agent}[status]
    made = call("POST", "/v1/agents", registration())["id"]
    step = {"suspended": "suspend", "revoked": "revoke"}.get(status)
    if step:
        call("POST", f"/v1/agents/{made}/{step}")
    return made


def device(status):
    if status == "unknown":
        return f"dev_{NOBODY}"
    made = call("POST", "/v1/devices", {"name": fresh_name("device")})["id"]
    if status == "revoked":
        call("POST", f"/v1/devices/{made}/revoke")
    return made


def delegation(status):
    match status:
        case "unknown":
            return f"dlg_{NOBODY}"
        case "foreign":
            return FOREIGN.delegation
        case "pending":
            return Payer({"validity_window": {"start": later(hours=1)}}).delegation
        case "brief":
            # Over before long, whatever chance does with it.
            return Payer({"validity_window": {"end": later(seconds=5)}}).delegation
        case "limited":
            return Payer(LIMITS).delegation
        case "revoked":
            made = Payer().delegation
            call("POST", f"/v1/delegations/{made}/revoke")
            return made
    return Payer().delegation


def intent(state):
    """The id of an intent of this state, and what is sent with it."""
    payer = Payer()
    made = payer.decided() if state != "unknown" else f"pin_{NOBODY}"
    match state:
        case "authorised":
            step(made, "authorise")
        case "captured":
            step(made, "authorise")
            step(made, "capture")
        case "cancelled":
            step(made, "cancel")
    return made


def step(made, name):
    call("POST", f"/v1/payment-intents/{made}/{name}")


def authorisable(kind):
    """An intent, and the body that it is authorised with."""
    payer = Payer({"amount_limits": {"per_transaction": 1000, "daily": 1000}})
    match kind:
        case "empty":
            return payer.decided(), {}
        case "decided":
            return payer.intent(), {"decision_id": payer.decision()["decision_id"], "amount": 500}
        case "proved":
            return payer.intent(), {"proof_id": payer.decision()["proof_id"]}
        case "found":
            payer.decision()
            return payer.intent(agent_id=payer.agent), {}
        case "undecided":
            return payer.intent(merchant_id=fresh_name("mer")), {}
        case "denied":
            return payer.intent(1001), {"decision_id": payer.decision(1001)["decision_id"]}
        case "excess":
            return payer.decided(), {"amount": 701}
        case "mismatch":
            return payer.intent(currency="JPY"), {"decision_id": payer.decision()["decision_id"]}
        case "revoked":
            made = payer.decided()
            call("POST", f"/v1/delegations/{payer.delegation}/revoke")
            return made, {}
        case "exhausted":
            first, second = payer.decided(), payer.decided()
            step(first, "authorise")
            return second, {}
        case "used":
            used = payer.decision()["decision_id"]
            step(payer.intent(decision_id=used), "authorise")
            return payer.intent(), {"decision_id": used}
    return intent(kind), {}


def asked(kind):
    """What the gate is asked, so that it decides in this way."""
    match kind:
        case "limited":
            return Payer(LIMITS).asks() | {"device_id": "till"}
        case "capped":
            return Payer(LIMITS).asks(6000)
        case "excess":
            return Payer({"amount_limits": 500}).asks()
        case "review":
            return Payer({"review_above": 500}).asks()
        case "step-up":
            return Payer({"step_up_above": 500}).asks()
        case "revoked" | "pending" | "unknown" | "foreign":
            return Payer().asks() | {"delegation_id": delegation(kind)}
        case "mismatch":
            return Payer().asks() | {"delegation_id": Payer().delegation}
        case "suspended":
            return Payer().asks() | {"agent_id": agent("suspended")}
        case "trusted":
            return Payer({"require_trusted_device": True}).asks() | {"device_id": device("active")}
        case "stolen":
            return Payer().asks() | {"device_id": device("revoked")}
    return Payer().asks()


def told(kind):
    """Transactions of a device; `spent` and `double` are reconciled, or may be."""
    payer = Payer()
    wish = payer.wish()
    issued = call("POST", "/v1/offline/tokens", wish)
    slip = {"merchant_id": "mer_1", "amount": 700, "currency": "EUR", "client_ref": fresh_name("slip"), "occurred_at": later(seconds=-1)}
    by = {"token": issued["token"]} if kind == "token" else {"nullifier": issued["nullifier"]}
    slip = slip | by
    match kind:
        case "bare":
            return slip | {"device_id": wish["device_id"]}
        case "again" | "reused":
            tell(body := {"device_id": wish["device_id"], "transactions": [slip]})
            return body if kind == "again" else {"device_id": wish["device_id"], "transactions": [slip | {"amount": 1}]}
        case "nobody's":
            slip["nullifier"] = "0" * 32
        case "double":
            slip = [slip, slip | {"client_ref": fresh_name("slip")}]
        case "beyond":
            slip["amount"] = 701
    return {"device_id": wish["device_id"], "transactions": slip if isinstance(slip, list) else [slip]}


def tell(body):
    """202 is the success of it."""
    answer = call("POST", "/v1/offline/transactions", body)
    return answer["transactions"][0]


def waiting(kind):
    """A device with something in its queue."""
    body = told(kind)
    tell(body)
    return body["device_id"]


def nullifier(kind):
    if kind == "unknown":
        return CHANCE.choice(["0" * 32, "nobody"])
    body = told(kind)
    if kind == "spent":
        tell(body)
        call("POST", "/v1/offline/reconcile", {"device_id": body["device_id"]})
    return body["transactions"][0]["nullifier"]


def make(kind):
    """A new thing of this kind, or nothing if it is none of this face."""
    match kind:
        case "registered agent":
            return agent("active")
        case "device":
            return device("active")
        case "delegation":
            return delegation(CHANCE.choice(["active", "limited"]))
        case "intent":
            return intent(CHANCE.choice(["created", "authorised"]))
        case "queue":
            return waiting("nullifier")
        case "proof":
            return Payer().decision()["proof_id"]
    return None


AGENTS = ("active", "suspended", "revoked", "unknown", "foreign")
DELEGATIONS = ("active", "limited", "pending", "brief", "revoked", "unknown", "foreign")
STATES = ("created", "captured", "unknown", "authorised", "cancelled")
ASKED = (
    "plain",
    "limited",
    "capped",
    "excess",
    "review",
    "step-up",
    "revoked",
    "pending",
    "unknown",
    "foreign",
    "mismatch",
    "suspended",
    "trusted",
    "stolen",
)
AUTHORISABLE = ("empty", "unknown", "undecided", "captured", "decided", "proved", "found", "denied", "excess", "mismatch", "revoked", "exhausted")
AUTHORISABLE += ("used", "authorised", "cancelled")
TURNS = {
    "POST /v1/orgs": ("named", None),
    "POST /v1/api-keys": ("own", "another's", None),
    "POST /v1/agents": ("own", "another's", None),
    "GET /v1/agents/{id}": AGENTS,
    "POST /v1/agents/{id}/suspend": AGENTS,
    "POST /v1/agents/{id}/activate": AGENTS,
    "POST /v1/agents/{id}/revoke": (*AGENTS, "taken"),
    "POST /v1/agents/{id}/credentials": AGENTS,
    "POST /v1/devices": ("named", None),
    "GET /v1/devices/{id}": ("active", "revoked", "unknown"),
    "POST /v1/devices/{id}/attest": ("active", "revoked", "unknown"),
    "POST /v1/devices/{id}/revoke": ("active", "revoked", "unknown"),
    "GET /v1/delegations": ("known", "unknown"),
    "POST /v1/delegations": ("plain", "limited", "suspended", "unknown", None),
    "GET /v1/delegations/{id}": DELEGATIONS,
    "POST /v1/delegations/{id}/verify": DELEGATIONS,
    "POST /v1/delegations/{id}/revoke": DELEGATIONS,
    "POST /v1/trust/check": (*ASKED, None),
    "POST /v1/nior/policy/decide": (*ASKED, "reports", None),
    "POST /v1/nior/agent/permission": (*ASKED, None),
    "POST /v1/payment-intents": ("bare", "decided", "proved", "nobody's", None),
    "GET /v1/payment-intents/{id}": STATES,
    "POST /v1/payment-intents/{id}/authorise": AUTHORISABLE,
    "POST /v1/payment-intents/{id}/authorize": AUTHORISABLE,
    "POST /v1/payment-intents/{id}/capture": ("authorised", "excess", *STATES, "part"),
    "POST /v1/payment-intents/{id}/cancel": STATES,
    "POST /v1/offline/tokens": ("good", "denied", "taken", "nobody's", None),
    "POST /v1/offline/transactions": ("nullifier", "reused", "token", "bare", "double", "again", "nobody's", "beyond", None),
    "GET /v1/offline/queues/{device_id}": ("nullifier", "unknown", "no device"),
    "POST /v1/offline/nullifiers/check": ("unspent", "spent", "unknown", None),
    "POST /v1/offline/nullifiers/reconcile": ("nullifier", "double", "beyond", "nobody"),
    "POST /v1/offline/reconcile": ("nullifier", "double", "beyond", "nobody"),
}
# Those that cannot be led without a body.
WITH_BODY = {"POST /v1/orgs", "POST /v1/api-keys", "POST /v1/agents", "POST /v1/delegations", "POST /v1/trust/check", "POST /v1/payment-intents"}
WITH_BODY |= {"POST /v1/nior/policy/decide", "POST /v1/nior/agent/permission"} | {
    name for name in TURNS if "offline" in name and name.startswith("POST")
}
# Kinds that only a body can make, where none is needed otherwise.
BY_BODY = {"decided", "proved", "denied", "excess", "mismatch", "used", "part"}
NAMES = {
    "agent_id": "registered agent",
    "delegation_id": "delegation",
    "device_id": "device",
    "decision_id": "decision",
    "proof_id": "proof",
    "nullifier": "nullifier",
}
TAKEN = collections.Counter()


def is_new(operation):
    """Whether it has turns that were not taken yet. These come first, so that a slow machine sees each of them too."""
    return TAKEN[operation] < len(TURNS.get(operation, ()))


def lead(operation, case):
    """Leads a call of this face, and says whether it did."""
    if operation not in TURNS or operation in WITH_BODY and not isinstance(case.body, dict):
        return False
    is_first = is_new(operation)
    kind = TURNS[operation][TAKEN[operation] % len(TURNS[operation])]
    if kind in BY_BODY and not isinstance(case.body, dict):
        return False
    TAKEN[operation] += 1
    if kind is None:
        name_things(case.body)
        return True
    if kind == "taken":
        call("POST", "/v1/devices", {"name": "taken"}, API | {"Idempotency-Key": TAKEN_KEY})
        case.headers["Idempotency-Key"] = TAKEN_KEY
    body = directed(operation, kind, case)
    if isinstance(case.body, dict) and body is not None:
        if is_first:
            # Nothing that chance has said stands in the way of it.
            case.body.clear()
        case.body |= body
    return True


def directed(operation, kind, case):
    """Names the things in the path, and returns what the body must say, if it must say something."""
    path = case.operation.path
    match operation.split("/v1/")[1].split("/")[0]:
        case "orgs":
            return {"name": fresh_name("org"), "metadata": {"aB": 1}}
        case "api-keys":
            return {"orgId": ORG if kind == "own" else f"org_{NOBODY}", "name": fresh_name("key")}
        case "agents" if "{id}" in path:
            case.path_parameters["id"] = agent("active" if kind == "taken" else kind)
            return {}
        case "agents":
            return registration() | ({} if kind == "own" else {"ownerOrgId": f"org_{NOBODY}"})
        case "devices" if "{id}" in path:
            case.path_parameters["id"] = device(kind)
            return {}
        case "devices":
            return {"name": fresh_name("device"), "type": "till", "metadata": {}}
        case "delegations" if "{id}" in path:
            case.path_parameters["id"] = delegation(kind)
            return {"payment_intent": payment(CHANCE.choice([700, 10**9]))} if path.endswith("verify") else {}
        case "delegations" if operation.startswith("GET"):
            case.query["agent_id"] = Payer().agent if kind == "known" else f"agt_{NOBODY}"
            return None
        case "delegations":
            return grant(agent(kind if kind in AGENTS else "active")) | (LIMITS if kind == "limited" else {})
        case "trust":
            return asked(kind)
        case "nior" if path.endswith("decide"):
            flat = asked(kind)
            action = {"action": "reports:read", "resource": "report"} if kind == "reports" else {"action": "payments:create"} | flat["payment_intent"]
            return {name: item for name, item in flat.items() if name != "payment_intent"} | action
        case "nior":
            return asked(kind)
        case "payment-intents":
            return directed_intent(kind, case)
        case "offline":
            return directed_offline(kind, case)
    raise AssertionError(operation)


def directed_intent(kind, case):
    match case.operation.path.rsplit("/", 1)[1]:
        case "payment-intents":
            payer = Payer()
            named = {"agent_id": payer.agent, "delegation_id": payer.delegation}
            match kind:
                case "decided":
                    return payment() | named | {"decision_id": payer.decision()["decision_id"]}
                case "proved":
                    return payment() | {"proof_id": payer.decision()["proof_id"]}
                case "nobody's":
                    return payment() | {"delegation_id": FOREIGN.delegation}
            return payment() | {"metadata": {"aB": 1}}
        case "authorise" | "authorize":
            case.path_parameters["id"], body = authorisable(kind)
            return body
        case "capture":
            case.path_parameters["id"] = intent(kind if kind in STATES else "authorised")
            return {"part": {"amount": 1}, "excess": {"amount": 701}}.get(kind, {})
    case.path_parameters["id"] = intent(kind)
    return {}


def directed_offline(kind, case):
    match case.operation.path.rsplit("/", 1)[1]:
        case "tokens":
            if kind == "nobody's":
                return FOREIGN.wish()
            return Payer({"amount_limits": 500} if kind == "denied" else {}).wish()
        case "transactions":
            return told(kind)
        case "{device_id}":
            case.path_parameters["device_id"] = {"unknown": "nobody", "no device": "x" * 2000}.get(kind) or waiting(kind)
            return None
        case "check":
            return {"nullifiers": [nullifier(kind), nullifier("unknown")]}
    return {"device_id": "nobody" if kind == "nobody" else waiting(kind)}


def sign(case):
    """An API key may come in either of two more headers; what chance writes there is another key, and two keys are none."""
    for name in set(case.headers or {}) & {"X-AffixIO-Key", "X-API-Key"}:
        if CHANCE.random() < 0.95:
            case.headers.pop(name)


def name_things(body):
    """What chance has written stays, but ids are those of things that exist."""
    if isinstance(body, list):
        for item in body:
            name_things(item)
    elif isinstance(body, dict):
        for name, item in list(body.items()):
            if name in NAMES and isinstance(item, str) and CHANCE.random() < 0.8:
                known = KNOWN[NAMES[name]]
                body[name] = CHANCE.choice(known) if known else make(NAMES[name]) or item
            else:
                name_things(item)
