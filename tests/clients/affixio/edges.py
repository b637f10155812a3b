"""The edges of every operation: who may call, how names may be spelt, what is no money, and how a refusal reads."""

import base64
import json

from contract import SAFE, Api, later
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from stage import Payer, agent, camel, chapter, check, fresh, same, sign_up, snake

NOBODY = "0" * 26
# What is no amount, as it is written.
NO_MONEY = ["1850.0", '"1850"', "0", "-1", str(SAFE + 1), "18.5", "1e3", "true", "[1]", '""', "-0"]
# Members that say when and which, in which two answers to the same question differ.
OWN = {"decision_id", "proof_id", "audit_event_id", "expires_at", "id", "created_at", "createdAt", "checked_at"}
OWN |= {"agent_id", "device_id", "delegation_id", "payment_intent_id", "policy_id", "authorised_at", "permission_proof_id"}


@chapter
def signing_up(api, other):
    """With --open-signup anybody makes an org, and its first key; nobody makes a second one without it."""
    door = Api(api.url)
    org = door.post("/v1/orgs", {"name": "Acme", "metadata": {"aB": 1}})
    same((org["name"], org["status"]), ("Acme", "active"), "an org is made")
    first = door.post("/v1/api-keys", {"orgId": org["id"], "name": "first"})
    same(first["orgId"], org["id"], "and its first key")
    door.refused(401, "unauthorized", "POST", "/v1/api-keys", {"orgId": org["id"], "name": "second"})
    inside = Api(api.url, first["key"], org=org["id"])
    second = inside.post("/v1/api-keys", {"org_id": org["id"]})
    check(second["key"] != first["key"] and second["id"] != first["id"], "with a key, another one")
    same(agent(Api(api.url, second["key"], org=org["id"]))[:4], "agt_", "which works")
    for body in ({"orgId": other.org}, {"orgId": f"org_{NOBODY}"}, {"orgId": "nobody"}):
        inside.refused(404, "not_found", "POST", "/v1/api-keys", body)
    door.refused(401, "unauthorized", "POST", "/v1/api-keys", {"orgId": f"org_{NOBODY}"})
    for body, field in [({}, "name"), ({"name": ""}, "name"), ({"name": 7}, "name"), ({"name": "x", "metadata": 7}, "metadata")]:
        door.refused(400, "invalid_request", "POST", "/v1/orgs", body, fields={field})
    inside.refused(400, "invalid_request", "POST", "/v1/api-keys", {})


@chapter
def three_headers(api, other):
    body = {"name": "a", "type": "service", "ownerOrgId": api.org}
    for header in ("X-AffixIO-Key", "X-API-Key", "Authorization"):
        one = Api(api.url, api.key, header, api.org)
        made = one.post("/v1/agents", body)["id"]
        same(one.get(f"/v1/agents/{made}")["id"], made, f"{header} is read")
        same(Payer(one).permit()["action"], "ALLOW", f"{header} pays")
        for wrong in ("aff_nobody", "nobody", api.key[:-1], api.key + "x"):
            Api(api.url, wrong, header).refused(401, "unauthorized", "POST", "/v1/agents", body)
    Api(api.url).refused(401, "unauthorized", "POST", "/v1/agents", body)
    # Twice the same key is one key, two of them are none.
    same(api.call("POST", "/v1/agents", body, headers={"X-API-Key": api.key, "Authorization": f"Bearer {api.key}"}).status, 201, "one key")
    api.refused(401, "unauthorized", "POST", "/v1/agents", body, headers={"X-API-Key": other.key})
    # Another org's key is a key, of another org.
    other.refused(404, "not_found", "GET", f"/v1/agents/{made}")
    other.refused(404, "not_found", "POST", "/v1/agents", body)


@chapter
def both_spellings(api, _):
    """Every name in camel case and in snake case, nested ones too, comes to the same."""
    limits = {
        "merchant_constraints": {"allowed_merchants": ["mer_1"], "blocked_merchants": ["mer_9"]},
        "amount_limits": {"per_transaction": 900, "daily": 5000, "period": {"amount": 9000, "interval": "P7D"}},
        "currency_limits": {"allowed": ["EUR"]},
        "validity_window": {"not_before": "2026-01-01T00:00:00Z", "not_after": "2126-01-01T02:00:00+02:00"},
        "allowed_channels": ["online"],
        "step_up_above": 800,
        "review_above": 850,
        "require_trusted_device": False,
        "on_exceed": "cap",
        "metadata": {"someName": 1, "some_name": 2},
    }
    one = Payer(api, limits)
    device = api.post("/v1/devices")["id"]
    intent = {"merchant_id": "mer_1", "amount": 100, "currency": "EUR", "channel": "online"}
    named = {"agent_id": one.agent, "delegation_id": one.delegation, "device_id": device}
    asks = [
        ("/v1/orgs", {"name": "both", "metadata": {"aB": 1, "a_b": 2}}),
        ("/v1/agents", {"name": "both", "type": "workflow", "owner_org_id": api.org, "metadata": {"aB": 1}}),
        (f"/v1/agents/{one.agent}/credentials", {"public_key": public_key(), "expires_at": "2126-01-01T00:00:00Z"}),
        ("/v1/devices", {"name": "both", "metadata": {"aB": {"cD": 1}}}),
        ("/v1/delegations", {"agent_id": one.agent, "permissions": ["pay"]} | limits),
        (f"/v1/delegations/{one.delegation}/verify", {"payment_intent": intent, "device_id": device}),
        ("/v1/trust/check", named | {"payment_intent": intent | {"merchant_category": "5411"}}),
        ("/v1/nior/policy/decide", named | intent | {"action": "pay", "context": {"aB": 1}}),
        ("/v1/nior/agent/permission", named | {"payment_intent": intent | {"merchant_category": "5411"}}),
        ("/v1/payment-intents", named | intent | {"metadata": {"aB": 1}}),
    ]
    for path, body in asks:
        same(without_own(api.post(path, camel(body)).json), without_own(api.post(path, snake(body)).json), f"{path} in both spellings")
    granted = api.post("/v1/delegations", {"agentId": one.agent, "permissions": ["pay"]} | camel(limits))
    same(granted["metadata"], limits["metadata"], "what is the caller's own is left as it is")
    same(granted["amount_limits"], limits["amount_limits"], "limits are canonical")
    # A member in both spellings must say the same.
    twice = {"agent_id": one.agent, "agentId": one.agent, "delegationId": one.delegation, "payment_intent": intent}
    check(api.post("/v1/nior/agent/permission", twice)["allowed"], "said twice, and the same")
    answer = api.refused(400, "invalid_request", "POST", "/v1/nior/agent/permission", twice | {"agentId": "other"})
    check(any("agent" in field for field in answer.fields), f"said twice, and not the same: {answer}")
    payment = twice | {"payment_intent": intent | {"merchantId": "other"}}
    api.refused(400, "invalid_request", "POST", "/v1/nior/agent/permission", payment)
    # The path is spelt in two ways as well.
    for spelling in ("authorise", "authorize"):
        decision = Payer(api).permit(77, merchant=spelling)["decision_id"]
        made = api.post("/v1/payment-intents", {"merchantId": spelling, "amount": 77, "currency": "EUR"})["id"]
        same(api.post(f"/v1/payment-intents/{made}/{spelling}", {"decisionId": decision})["decision_id"], decision, spelling)


def without_own(answer):
    return {name: item for name, item in answer.items() if name not in OWN and name not in ("org_id", "credential_id")}


def public_key():
    return base64.urlsafe_b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).rstrip(b"=").decode()


@chapter
def limits_as_they_are_written(api, _):
    """The other shapes of limits, as the contract's table has them, in canonical form."""
    for given, canonical in [
        ({}, {name: None for name in ("merchant_constraints", "amount_limits", "currency_limits", "channels", "step_up_above", "review_above")}),
        ({"merchant_constraints": ["a", "b"]}, {"merchant_constraints": {"allowed_merchants": ["a", "b"]}}),
        ({"merchant_constraints": []}, {"merchant_constraints": {"allowed_merchants": []}}),
        ({"merchant_constraints": {"merchant_ids": ["a"]}}, {"merchant_constraints": {"allowed_merchants": ["a"]}}),
        (
            {"merchant_constraints": {"allowlist": ["a"], "categories": ["5411"]}},
            {"merchant_constraints": {"allowed_merchants": ["a"], "allowed_categories": ["5411"]}},
        ),
        ({"merchant_constraints": {"allowed_mcc": ["5411"]}}, {"merchant_constraints": {"allowed_categories": ["5411"]}}),
        ({"amount_limits": 500}, {"amount_limits": {"per_transaction": 500}}),
        ({"amount_limits": {"max_per_transaction": 5, "daily_max": 6}}, {"amount_limits": {"per_transaction": 5, "daily": 6}}),
        ({"amount_limits": {"per_tx": 5}}, {"amount_limits": {"per_transaction": 5}}),
        ({"amount_limits": {"max_amount": 5}}, {"amount_limits": {"per_transaction": 5}}),
        ({"amount_limits": {"weekly": 5}}, {"amount_limits": {"period": {"amount": 5, "interval": "P7D"}}}),
        ({"amount_limits": {"period": {"amount": 5, "interval": "PT36H"}}}, None),
        ({"amount_limits": {"monthly": 5}}, None),
        ({"currency_limits": "EUR"}, {"currency_limits": ["EUR"]}),
        ({"currency_limits": {"allowed": ["EUR", "USD"]}}, {"currency_limits": ["EUR", "USD"]}),
        ({"currency_limits": []}, {"currency_limits": []}),
        ({"channel": "online"}, {"channels": ["online"]}),
        ({"allowed_channels": ["online", "terminal"]}, {"channels": ["online", "terminal"]}),
        ({"step_up_above": 5, "review_above": 6, "require_trusted_device": True, "on_exceed": "cap"}, None),
    ]:
        granted = Payer(api, given).granted
        for name, limit in (canonical or {}).items():
            same(granted[name], limit, f"{given} is canonical")
    begin, end = "2026-01-01T02:00:00+02:00", "2126-01-01T00:00:00Z"
    for start_name, end_name in [
        ("start", "end"),
        ("from", "to"),
        ("not_before", "not_after"),
        ("valid_from", "valid_until"),
        ("starts_at", "ends_at"),
    ]:
        window = Payer(api, {"validity_window": {start_name: begin, end_name: end}}).granted["validity_window"]
        same(window, {"start": "2026-01-01T00:00:00.000Z", "end": "2126-01-01T00:00:00.000Z"}, f"{start_name} and {end_name}")
    body = {"agent_id": agent(api), "permissions": ["pay"]}
    for limit, field in [
        ({"merchant_constraints": {"allowed": ["a"]}}, "merchant_constraints"),
        ({"merchant_constraints": {"allowed_merchants": ["a"], "color": 1}}, "merchant_constraints"),
        ({"merchant_constraints": 7}, "merchant_constraints"),
        ({"amount_limits": {"hourly": 5}}, "amount_limits"),
        ({"amount_limits": {"period": {"amount": 5, "interval": "P7D", "count": 3}}}, "amount_limits"),
        ({"amount_limits": {"period": {"amount": 5}}}, "amount_limits"),
        ({"amount_limits": {"period": {"amount": 5, "interval": "a week"}}}, "amount_limits"),
        ({"amount_limits": {"per_transaction": 5, "per_tx": 6}}, "amount_limits"),
        ({"currency_limits": {"denied": ["EUR"]}}, "currency_limits"),
        ({"currency_limits": ["EURO"]}, "currency_limits"),
        ({"validity_window": {"start": begin, "days": 3}}, "validity_window"),
        ({"validity_window": {"start": end, "end": begin}}, "validity_window"),
        ({"validity_window": {"start": "tomorrow"}}, "validity_window"),
        ({"channels": 7}, "channels"),
        ({"on_exceed": "ignore"}, "on_exceed"),
        ({"require_trusted_device": "yes"}, "require_trusted_device"),
        ({"permissions": []}, "permissions"),
        ({"permissions": [7]}, "permissions"),
        ({"permissions": None}, "permissions"),
        ({"agent_id": None}, "agent_id"),
    ]:
        answer = api.refused(400, "invalid_request", "POST", "/v1/delegations", body | limit)
        check(any(name.startswith(field) for name in answer.fields), f"{limit} is refused by name: {answer}")
    api.refused(404, "not_found", "POST", "/v1/delegations", body | {"agent_id": f"agt_{NOBODY}"})
    halted = agent(api)
    api.post(f"/v1/agents/{halted}/suspend")
    api.refused(409, "invalid_state", "POST", "/v1/delegations", body | {"agent_id": halted})


@chapter
def money(api, _):
    """What is no integer of minor units is refused wherever money can be written, and named."""
    pays = Payer(api, {"amount_limits": {"daily": 10000}})
    intent = pays.decided()
    captured = pays.decided()
    pays.authorise(captured)
    payment = {"merchant_id": "mer_1", "amount": "$", "currency": "EUR"}
    grant = {"agent_id": pays.agent, "permissions": ["pay"]}
    token = {
        "agent_id": pays.agent,
        "delegation_id": pays.delegation,
        "device_id": "d",
        "max_amount": 1,
        "currency": "EUR",
        "merchant_ids": ["mer_1"],
    }
    spent = {"device_id": "d", "nullifier": api.post("/v1/offline/tokens", token)["nullifier"]}
    places = [
        ("/v1/nior/agent/permission", pays.body() | {"payment_intent": payment}, "payment_intent.amount"),
        ("/v1/trust/check", {"agent_id": pays.agent, "payment_intent": payment}, "payment_intent.amount"),
        (f"/v1/delegations/{pays.delegation}/verify", {"payment_intent": payment}, "payment_intent.amount"),
        ("/v1/nior/policy/decide", {"agent_id": pays.agent, "action": "pay"} | payment, "amount"),
        ("/v1/delegations", grant | {"amount_limits": {"per_transaction": "$"}}, "amount_limits.per_transaction"),
        ("/v1/delegations", grant | {"amount_limits": {"daily": "$"}}, "amount_limits.daily"),
        ("/v1/delegations", grant | {"amount_limits": {"weekly": "$"}}, "amount_limits.weekly"),
        ("/v1/delegations", grant | {"amount_limits": {"monthly": "$"}}, "amount_limits.monthly"),
        ("/v1/delegations", grant | {"amount_limits": {"period": {"amount": "$", "interval": "P1D"}}}, "amount_limits.period.amount"),
        ("/v1/delegations", grant | {"step_up_above": "$"}, "step_up_above"),
        ("/v1/delegations", grant | {"review_above": "$"}, "review_above"),
        ("/v1/payment-intents", payment, "amount"),
        (f"/v1/payment-intents/{intent}/authorise", {"amount": "$"}, "amount"),
        (f"/v1/payment-intents/{captured}/capture", {"amount": "$"}, "amount"),
        ("/v1/offline/tokens", token | {"max_amount": "$"}, "max_amount"),
        ("/v1/offline/transactions", spent | payment, "amount"),
        ("/v1/offline/transactions", {"device_id": "d", "transactions": [spent | payment]}, "transactions[0].amount"),
    ]
    for path, body, field in places:
        for written in NO_MONEY:
            raw = json.dumps(body).replace('"$"', written)
            api.refused(400, "invalid_request", "POST", path, raw=raw, fields={field})
    # The same as a plain number, which is the limit of one payment.
    for written in NO_MONEY:
        raw = json.dumps(grant | {"amount_limits": "$"}).replace('"$"', written)
        answer = api.refused(400, "invalid_request", "POST", "/v1/delegations", raw=raw)
        check(any(name.startswith("amount_limits") for name in answer.fields), f"amount_limits {written} is named: {answer}")
    same(pays.authorise(intent)["authorised_amount"], 700, "none of it did anything")
    for written in ("EURO", "E1R", "", 978, "€"):
        api.refused(400, "invalid_request", "POST", "/v1/payment-intents", payment | {"amount": 1, "currency": written}, fields={"currency"})


@chapter
def refusals(api, other):
    """The envelope of every status."""
    for raw in ("{", "", "[]", "7", "null", '{"name": "a", "name": "b", "type": "llm"}', '{"name": "\\ud800"}'):
        api.refused(400, "invalid_request", "POST", "/v1/agents", raw=raw)
    body = {"name": "a", "type": "llm", "ownerOrgId": api.org}
    for more, field in [({"type": "human"}, "type"), ({"type": None}, "type"), ({"name": "x" * 10000}, "name"), ({"ownerOrgId": None}, "ownerOrgId")]:
        answer = api.refused(400, "invalid_request", "POST", "/v1/agents", body | more)
        check(field in answer.fields or "".join(f"_{c.lower()}" if c.isupper() else c for c in field) in answer.fields, f"{field} is named: {answer}")
    for kind in ("llm", "workflow", "robot-controller", "service"):
        same(api.post("/v1/agents", body | {"type": kind})["type"], kind, "a type of agents")
    api.refused(404, "not_found", "POST", "/v1/agents", body | {"ownerOrgId": other.org})
    pays = Payer(api)
    for missing in ("agent_id", "delegation_id", "payment_intent"):
        asked = {name: item for name, item in pays.body().items() if name != missing}
        api.refused(400, "invalid_request", "POST", "/v1/nior/agent/permission", asked, fields={missing})
    for missing in ("merchant_id", "amount", "currency"):
        asked = pays.body()
        del asked["payment_intent"][missing]
        api.refused(400, "invalid_request", "POST", "/v1/nior/agent/permission", asked, fields={f"payment_intent.{missing}"})
    decision = pays.permit()
    either = {"decision_id": decision["decision_id"], "proof_id": pays.permit()["proof_id"]}
    api.refused(400, "invalid_request", "POST", f"/v1/payment-intents/{pays.intent()}/authorise", either)
    api.refused(400, "invalid_request", "POST", "/v1/payment-intents", pays.body()["payment_intent"] | either)
    api.refused(400, "invalid_request", "GET", "/v1/delegations")
    # What there is not, for whom there is not.
    theirs = Payer(other)
    for path in ("agents/agt_", "devices/dev_", "delegations/dlg_", "payment-intents/pin_", "proofs/prf_"):
        api.refused(404, "not_found", "GET", f"/v1/{path}{NOBODY}")
        api.refused(404, "not_found", "GET", f"/v1/{path.split('/')[0]}/nobody")
    for path in (
        f"agents/{theirs.agent}",
        f"delegations/{theirs.delegation}",
        f"proofs/{theirs.granted['proof_id']}",
        f"devices/{other.post('/v1/devices')['id']}",
    ):
        api.refused(404, "not_found", "GET", f"/v1/{path}")
    for path in (
        f"agents/{theirs.agent}/suspend",
        f"agents/{theirs.agent}/credentials",
        f"delegations/{theirs.delegation}/revoke",
        "orgs/x",
        "offline/nothing",
    ):
        api.refused(404, "not_found", "POST", f"/v1/{path}")
    for method, path in [
        ("DELETE", "/v1/agents"),
        ("PUT", f"/v1/delegations/{pays.delegation}"),
        ("GET", "/v1/nior/agent/permission"),
        ("DELETE", "/v1/payment-intents/x"),
    ]:
        same(api.call(method, path).status, 405, f"{method} {path} is none")
    revoked = agent(api)
    api.post(f"/v1/agents/{revoked}/revoke")
    api.refused(409, "invalid_state", "POST", f"/v1/agents/{revoked}/activate")
    large = api.call("POST", "/v1/agents", body | {"metadata": {"a": "x" * 2_000_000}})
    same(large.status, 413, "a body can be too large")


@chapter
def credentials(api, _):
    """A pair is made where no key comes, and its private half is shown once."""
    one = agent(api)
    made = api.post(f"/v1/agents/{one}/credentials", idempotency="pair")
    private = Ed25519PrivateKey.from_private_bytes(decode(made["private_key"]))
    same(decode(made["public_key"]), private.public_key().public_bytes_raw(), "the halves belong together")
    same(made["expires_at"], None, "for ever")
    again = api.post(f"/v1/agents/{one}/credentials", idempotency="pair")
    same((again["credential_id"], again["public_key"]), (made["credential_id"], made["public_key"]), "a retry names the same")
    check("private_key" not in again.json, "and does not show the private half again")
    own = public_key()
    given = api.post(f"/v1/agents/{one}/credentials", {"public_key": own, "expires_at": later(days=1)})
    check(given["public_key"] == own and "private_key" not in given.json and given["expires_at"], "one's own key has no other half here")
    for body, field in [
        ({"public_key": "x"}, "public_key"),
        ({"public_key": 7}, "public_key"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"type": "rsa"}, "type"),
    ]:
        api.refused(400, "invalid_request", "POST", f"/v1/agents/{one}/credentials", body, fields={field})


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@chapter
def retries(api, _):
    """The same Idempotency-Key gets the first answer, and counts once."""
    pays = Payer(api, {"amount_limits": {"daily": 1000}})
    device, decision = api.post("/v1/devices")["id"], pays.permit(10)
    payment = {"merchant_id": "mer_1", "amount": 10, "currency": "EUR"}
    intent = pays.intent(10, decision_id=decision["decision_id"])
    token = {
        "agent_id": pays.agent,
        "delegation_id": pays.delegation,
        "device_id": device,
        "max_amount": 10,
        "currency": "EUR",
        "merchant_ids": ["mer_1"],
    }
    for path, body, other in [
        ("/v1/agents", {"name": "a", "type": "llm", "ownerOrgId": api.org}, {"name": "b"}),
        ("/v1/devices", {"name": "d"}, {"name": "e"}),
        (f"/v1/devices/{device}/attest", {"attestation": {"n": 1}}, {"attestation": {"n": 2}}),
        ("/v1/delegations", {"agent_id": pays.agent, "permissions": ["reports:read"]}, {"permissions": ["*"]}),
        ("/v1/nior/agent/permission", pays.body(10), {"device_id": "other"}),
        ("/v1/nior/policy/decide", {"agent_id": pays.agent, "action": "pay"} | payment, {"amount": 11}),
        ("/v1/trust/check", {"agent_id": pays.agent}, {"device_id": "other"}),
        (f"/v1/delegations/{pays.delegation}/verify", {}, {"permission": "pay"}),
        ("/v1/payment-intents", payment, {"amount": 11}),
        (f"/v1/payment-intents/{intent}/authorise", {}, {"amount": 9}),
        (f"/v1/payment-intents/{intent}/capture", {}, {"amount": 9}),
        ("/v1/offline/tokens", token, {"max_amount": 11}),
    ]:
        name = fresh("once")
        first = api.keep("POST", path, body, idempotency=name)
        same(api.post(path, body, idempotency=name).json, first.json, f"{path} once")
        api.refused(409, "invalid_state", "POST", path, body | other, idempotency=name)
    same(pays.left(), 980, "counted once: one payment and one token")


@chapter
def another_org(api, other):
    """Nothing of one org is seen or used by another; its ids deny, with 200."""
    mine, theirs = Payer(api), Payer(other)
    device = other.post("/v1/devices")["id"]
    for body in (theirs.body(), mine.body() | {"delegation_id": theirs.delegation}, mine.body() | {"agent_id": theirs.agent}):
        answer = api.post("/v1/nior/agent/permission", body)
        same((answer.status, answer["allowed"], answer["action"], answer["max_amount"]), (200, False, "DENY", None), "a DENY is no error")
    same(mine.permit(device=device)["reason_codes"][1], "DEVICE_UNVERIFIED", "their device is not known here")
    listed = api.get(f"/v1/delegations?agent_id={mine.agent}").json
    check(mine.delegation in json.dumps(listed) and theirs.delegation not in json.dumps(listed), "a list has one's own")
    check(mine.delegation not in json.dumps(other.call("GET", f"/v1/delegations?agent_id={mine.agent}").json), "and nobody else's")
    another = sign_up(api.url, "third")
    same(another.call("GET", f"/v1/agents/{mine.agent}").status, 404, "an org begins empty")
