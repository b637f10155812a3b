"""Sections 3, 8 and the plans of section 1: what is granted, by which shape, and how it ends."""

import time

from scene import ZERO_ULID, chapter, decide, grant, later, refused, scope, seconds, signed

FULL = {
    "requires_confirm_for": ["mail.send"],
    "requires_escalation_for": ["mail.purge"],
    "escalation_targets": {"mail.purge": "security"},
}
SCOPES = ["mail.read", {"name": "mail.send", "constraints": {"max_per_day": 5, "allowed_domains": ["a.example"]}}, scope("mail.purge")]


@chapter
def an_inline_grant_says_what_it_was_given(scene):
    client, expires = scene.first, later(days=2)
    text = expires.replace("Z", "+00:00")
    answer = client.create("user_1", agent_id="mailer", scopes=SCOPES, expires_at=text, budget=5_000_000, metadata={"ticket": "T-1", "nested": {"a": [1, None]}}, **FULL)
    assert {name: answer[name] for name in FULL} == FULL, answer
    assert answer["expires_at"] == expires, (answer, expires)
    receipt = signed(client, answer["receipt"]["receipt_id"])
    assert receipt["event"] == "authorization.create" and "scope" not in receipt, receipt
    assert (receipt["decision"], receipt["reason"]) == ("authorization_granted", "user_approved_via_customer_ui"), receipt
    assert (receipt["user_id"], receipt["agent_id"], receipt["resource"]) == ("user_1", "mailer", None), receipt
    assert receipt["authorization_id"] == answer["authorization_id"], receipt
    expected = FULL | {"scopes": ["mail.read", SCOPES[1], "mail.purge"], "expires_at": expires, "budget_limit_micros": 5_000_000}
    expected |= {"ticket": "T-1", "nested": {"a": [1, None]}}
    assert {name: receipt["context"].get(name) for name in expected} == expected, receipt
    assert not any(receipt["context"].get(name) for name in ("replaces", "bundle_id")), receipt


@chapter
def a_grant_can_be_read_back(scene):
    client = scene.first
    answer = client.create("user_1", agent_id="mailer", scopes=SCOPES, expires_at=later(days=2), budget=1000, **FULL)
    authorization_id = answer["authorization_id"]
    client.check(authorization_id, ["mail.read"], estimate=400)
    exchange = client.get(f"/v1/authorizations/{authorization_id}")
    names = {"authorization_id", "created_at", "expires_at", "user_id", "agent_id", "bundle_id"} | FULL.keys()
    exchange.has(exchange.json, names | {"scopes", "status", "revoked_at", "replaces", "budget_limit_micros", "budget_spent_micros"})
    exchange.need(all(exchange.json[name] == answer[name] for name in names), f"the same as in the answer to the create {answer}")
    exchange.need((exchange.json["status"], exchange.json["revoked_at"], exchange.json["replaces"]) == ("active", None, None), "active")
    exchange.need((exchange.json["budget_limit_micros"], exchange.json["budget_spent_micros"]) == (1000, 400), "the budget is up to date")
    found = [(item, None) if isinstance(item, str) else (item["name"], item.get("constraints") or None) for item in exchange.json["scopes"]]
    exchange.need(found == [("mail.read", None), ("mail.send", SCOPES[1]["constraints"]), ("mail.purge", None)], "the scopes as granted")
    client.revoke(authorization_id)
    exchange = client.get(f"/v1/authorizations/{authorization_id}")
    exchange.need(exchange.json["status"] == "revoked", "revoked")
    exchange.time(exchange.json["revoked_at"], "revoked_at")
    refused(404, client.get, f"/v1/authorizations/auth_{ZERO_ULID}")
    refused(404, client.get, "/v1/authorizations/anything at all")


@chapter
def a_grant_that_says_too_little_or_too_much_is_refused(scene):
    client, bundle_id = scene.first, scene.fresh("bundle")
    client.ask(201, "POST", "/v1/agent-scope-bundles", {"id": bundle_id, "agent_id": "a", "scopes": ["s"], "default_expiry_days": 1})
    fine = {"agent_id": "a", "scopes": [scope("s")], "expires_at": later(days=1)}
    faults = [
        ("body.user_id", {"user_id": None}),
        ("body.user_id", {"user_id": ""}),
        ("body.user_id", {"user_id": "u" * 257}),
        ("body", {"bundle_id": bundle_id}),
        ("body", {"agent_id": None, "scopes": None}),
        ("body", {"agent_id": None}),
        ("body", {"scopes": []}),
        ("body.scopes", {"scopes": [scope("s"), scope("s")]}),
        ("body.scopes", {"scopes": [scope("s"), "s"]}),
        ("body.scopes", {"scopes": [scope(f"s{n}") for n in range(101)]}),
        ("body.scopes", {"scopes": [scope("s" * 129)]}),
        ("body.scopes", {"scopes": [scope("")]}),
        ("body.scopes", {"scopes": [{"constraints": {}}]}),
        ("body.requires_confirm_for", {"requires_confirm_for": ["other"]}),
        ("body.requires_escalation_for", {"requires_escalation_for": ["other"]}),
        ("body.escalation_targets", {"escalation_targets": {"other": "security"}}),
        ("body.expires_at", {"expires_at": None}),
        ("body.expires_at", {"expires_at": later(seconds=-1)}),
        ("body.expires_at", {"expires_at": later(days=1).removesuffix("Z")}),
        ("body.expires_at", {"expires_at": "tomorrow"}),
        ("body.budget_limit_micros", {"budget": 0}),
        ("body.budget_limit_micros", {"budget": -1}),
        ("body.budget_limit_micros", {"budget": 2**53}),
        ("body.budget_limit_micros", {"budget": 1.5}),
        ("body.budget_limit_micros", {"budget": "10"}),
        ("body.replaces", {"replaces": f"auth_{ZERO_ULID}"}),
        ("body.metadata", {"metadata": {"price": 1.5}}),
        ("body.metadata", {"metadata": {"big": 2**53}}),
    ]
    taken = ["scopes", "requires_confirm_for", "requires_escalation_for", "escalation_targets", "expires_at", "budget_limit_micros", "replaces", "bundle_id"]
    faults += [("body.metadata", {"metadata": {name: "mine"}}) for name in taken]
    before = len(client.walk("/v1/receipts", event="authorization.create"))
    for field, change in faults:
        change = {"user_id": "user_1"} | fine | change
        refused(422, client.create, change.pop("user_id"), field=field, code="validation_error", **change)
    assert len(client.walk("/v1/receipts", event="authorization.create")) == before, "a refused grant leaves no receipt"
    client.create("u" * 256, **fine | {"scopes": [scope("s" * 128)] + [f"s{n}" for n in range(99)]})
    client.create("user_1", **fine | {"budget": 2**53 - 1, "escalation_targets": {"s": "security"}})


@chapter
def a_fault_in_constraints_is_never_dropped(scene):
    client = scene.first
    when = {"field": "n", "eq": 1}
    faults = [
        {"max_per_hour": 5},
        {"max_per_day": 0},
        {"max_per_day": -1},
        {"max_per_day": "5"},
        {"max_per_day": 1.0},
        {"max_per_day": True},
        {"resource_pattern": 5},
        {"resource_pattern": "x" * 257},
        {"allowed_domains": "a.example"},
        {"allowed_domains": [1]},
        {"allowed_fields": [None]},
        {"allowed_initiators": ["x"] * 129},
        {"allowed_initiators": [1]},
        {"confirm_when": when},
        {"confirm_when": [{"field": "n", "matches": "x"}]},
        {"confirm_when": [{"field": "n"}]},
        {"confirm_when": [{"eq": 1}]},
        {"confirm_when": [when | {"lt": 3}]},
        {"confirm_when": [when | {"note": "x"}]},
        {"confirm_when": [{"field": 1, "eq": 1}]},
        {"confirm_when": [{"field": "n", "eq": [1]}]},
        {"confirm_when": [{"field": "n", "eq": 1.5}]},
        {"confirm_when": [{"field": "n", "neq": {"a": 1}}]},
        {"confirm_when": [{"field": "n", "lt": "1"}]},
        {"confirm_when": [{"field": "n", "gte": True}]},
        {"confirm_when": [{"field": "n", "in": 1}]},
        {"confirm_when": [{"field": "n", "in": []}]},
        {"confirm_when": [{"field": "n", "in": [[1]]}]},
        {"confirm_when": [{"field": "n", "exists": 1}]},
        {"confirm_when": [[when]]},
        {"confirm_when": [when] * 4, "escalate_when": [when] * 4, "deny_when": [when] * 3},
    ]
    for constraints in faults:
        body = {"agent_id": "a", "scopes": [{"name": "s", "constraints": constraints}], "expires_at": later(days=1)}
        refused(422, client.create, "user_1", field="body.scopes", code="validation_error", **body)
        if "confirm_when" in constraints and len(constraints) == 1:
            for kind in ("deny_when", "escalate_when"):
                body["scopes"] = [{"name": "s", "constraints": {kind: constraints["confirm_when"]}}]
                refused(422, client.create, "user_1", field="body.scopes", code="validation_error", **body)
    grant(client, {"name": "s", "constraints": {"confirm_when": [when] * 4, "escalate_when": [when] * 3, "deny_when": [when] * 3}})
    grant(client, {"name": "s", "constraints": {"allowed_domains": [], "allowed_fields": []}})


@chapter
def a_bundle_is_copied_when_it_is_granted(scene):
    client, bundle_id = scene.first, scene.fresh("bundle")
    sent = {"id": bundle_id, "agent_id": "mailer", "scopes": SCOPES, "default_expiry_days": 7, "description": "mail"} | FULL
    exchange = client.ask(201, "POST", "/v1/agent-scope-bundles", sent)
    exchange.has(exchange.json, sent.keys() | {"created_at"})
    exchange.need(all(exchange.json[name] == sent[name] for name in sent.keys() - {"scopes"}), "the bundle as it was sent")
    exchange.need(exchange.json["scopes"] == [{"name": "mail.read", "constraints": {}}, SCOPES[1], {"name": "mail.purge", "constraints": {}}], "its scopes")
    exchange.time(exchange.json["created_at"], "created_at")
    refused(409, client.ask, 201, "POST", "/v1/agent-scope-bundles", sent, code="conflict")

    # The published client's bundle shape: everything inline is null or empty.
    answer = client.create("user_2", bundle_id=bundle_id)
    assert {name: answer[name] for name in FULL} == FULL and answer["agent_id"] == "mailer", answer
    assert abs(seconds(answer["expires_at"]) - seconds(answer["created_at"]) - 7 * 86400) < 1, answer
    own = later(days=1)
    dated = client.create("user_2", bundle_id=bundle_id, expires_at=own, budget=100, metadata={"why": "trial"})
    assert dated["expires_at"] == own, (own, dated)
    context = signed(client, dated["receipt"]["receipt_id"])["context"]
    assert context["bundle_id"] == bundle_id and context["why"] == "trial", context
    assert context["scopes"] == ["mail.read", SCOPES[1], "mail.purge"], context

    exchange = client.ask(200, "DELETE", f"/v1/agent-scope-bundles/{bundle_id}")
    exchange.has(exchange.json, {"id", "deleted_at"})
    exchange.time(exchange.json["deleted_at"], "deleted_at")
    refused(404, client.ask, 200, "DELETE", f"/v1/agent-scope-bundles/{bundle_id}", {})
    refused(404, client.create, "user_2", bundle_id=bundle_id, code="not_found")
    decide(client, answer["authorization_id"], "mail.read", "allow authorization_granted_scope_active")
    decide(client, answer["authorization_id"], "mail.send", "confirm scope_requires_user_confirmation")

    client.ask(201, "POST", "/v1/agent-scope-bundles", {"id": bundle_id, "agent_id": "other", "scopes": ["x"]})
    refused(422, client.create, "user_2", bundle_id=bundle_id, field="body.expires_at")
    assert client.create("user_2", bundle_id=bundle_id, expires_at=own)["agent_id"] == "other"
    decide(client, answer["authorization_id"], "x", "deny scope_not_authorized")


@chapter
def a_faulty_bundle_is_refused(scene):
    client = scene.first
    fine = {"id": scene.fresh("bundle"), "agent_id": "a", "scopes": ["s"], "default_expiry_days": None, "description": None}
    faults = [
        ("body.id", {"id": None}),
        ("body.id", {"id": "x" * 129}),
        ("body.agent_id", {"agent_id": None}),
        ("body.scopes", {"scopes": []}),
        ("body.scopes", {"scopes": None}),
        ("body.scopes", {"scopes": ["s", "s"]}),
        ("body.scopes", {"scopes": [{"name": "s", "constraints": {"max_per_year": 1}}]}),
        ("body.requires_confirm_for", {"requires_confirm_for": ["other"]}),
        ("body.requires_escalation_for", {"requires_escalation_for": ["other"]}),
        ("body.escalation_targets", {"escalation_targets": {"other": "x"}}),
        ("body.default_expiry_days", {"default_expiry_days": 0}),
        ("body.default_expiry_days", {"default_expiry_days": 3651}),
        ("body.default_expiry_days", {"default_expiry_days": "7"}),
    ]
    for field, change in faults:
        refused(422, client.ask, 201, "POST", "/v1/agent-scope-bundles", fine | change, field=field, code="validation_error")
    client.ask(201, "POST", "/v1/agent-scope-bundles", fine | {"id": fine["id"] + "x" * (128 - len(fine["id"])), "default_expiry_days": 3650})
    refused(404, client.create, "user_1", bundle_id="nobody made this", code="not_found")


@chapter
def plans_pay_for_budgets_and_escalations(scene):
    when = [{"field": "n", "eq": 1}]
    for plan in ("free", "starter"):
        client = scene.workspace(f"on {plan}", plan)
        inline = {"agent_id": "a", "scopes": [scope("s")], "expires_at": later(days=1)}
        refused(402, client.create, "user_1", budget=100, code="budget_plan_required", **inline)
        refused(402, client.create, "user_1", requires_escalation_for=["s"], code="payment_required", **inline)
        refused(402, client.create, "user_1", code="payment_required", **inline | {"scopes": [scope("s", escalate_when=when)]})
        bundle_id = scene.fresh("bundle")
        bundle = {"id": bundle_id, "agent_id": "a", "scopes": ["s"], "default_expiry_days": 1}
        client.ask(201, "POST", "/v1/agent-scope-bundles", bundle)
        refused(402, client.create, "user_1", bundle_id=bundle_id, budget=100, code="budget_plan_required")
        cheap = grant(client, scope("s", max_per_day=5, deny_when=when, confirm_when=when), scope("asked"), requires_confirm_for=["asked"])
        decide(client, cheap, "s", "allow authorization_granted_scope_active", context={"n": 2})
        decide(client, cheap, "asked", "confirm scope_requires_user_confirmation")
    for plan in ("pro", "enterprise", None):
        client = scene.workspace(f"on {plan}", plan)
        rich = grant(client, scope("s", escalate_when=when), budget=100)
        decide(client, rich, "s", "escalate escalate_condition_matched", context={"n": 1}, estimate=100)


@chapter
def a_revoke_ends_a_grant_once(scene):
    client = scene.first
    for body, context in [
        ({"revoked_by": "user", "notes": "changed my mind"}, {"revoked_by": "user", "notes": "changed my mind"}),
        ({"revoked_by": "admin"}, {"revoked_by": "admin"}),
        ({"revoked_by": "ops_team"}, {"revoked_by": "ops_team"}),
        ({}, {}),
        ({"bodiless": True}, {}),
    ]:
        authorization_id = grant(client, scope("s"))
        decide(client, authorization_id, "s", "allow authorization_granted_scope_active")
        answer = client.revoke(authorization_id, **body)
        decide(client, authorization_id, "s", "deny authorization_revoked")
        receipt = signed(client, answer["receipt"]["receipt_id"])
        assert (receipt["event"], receipt["decision"]) == ("authorization.revoke", "authorization_revoked"), receipt
        assert (receipt["reason"], receipt["resource"]) == ("user_revoked_via_settings", None), receipt
        assert {name: receipt["context"].get(name) for name in context} == context, receipt
        assert not receipt["context"].get("superseded_by"), receipt
        refused(409, client.revoke, authorization_id, code="conflict")
        chain = client.walk("/v1/receipts", authorization_id=authorization_id)
        assert [item["event"] for item in chain].count("authorization.revoke") == 1, chain
    refused(404, client.revoke, f"auth_{ZERO_ULID}", code="not_found")
    refused(404, client.revoke, "nobody", bodiless=True, code="not_found")


@chapter
def a_successor_is_lineage_and_no_revoke(scene):
    client = scene.first
    old = grant(client, scope("s"))
    answer = client.create("user_1", agent_id="agent_1", scopes=["s"], expires_at=later(days=1), replaces=old)
    new = answer["authorization_id"]
    assert signed(client, answer["receipt"]["receipt_id"])["context"]["replaces"] == old
    exchange = client.get(f"/v1/authorizations/{new}")
    exchange.need(exchange.json["replaces"] == old, "lineage")
    decide(client, old, "s", "allow authorization_granted_scope_active")
    revoked = client.revoke(old, superseded_by=new)
    receipt = signed(client, revoked["receipt"]["receipt_id"])
    assert receipt["reason"] == "superseded_by_new_authorization", receipt
    assert (receipt["context"]["superseded_by"], receipt["context"]["revoked_by"]) == (new, "superseded"), receipt
    decide(client, old, "s", "deny authorization_revoked")
    decide(client, new, "s", "allow authorization_granted_scope_active")


@chapter
def a_revoke_kills_approvals_at_once(scene):
    client = scene.first
    grants = {"requires_confirm_for": ["asked"], "requires_escalation_for": ["raised"]}
    authorization_id = grant(client, scope("asked"), scope("raised"), **grants)
    asked = decide(client, authorization_id, "asked", "confirm scope_requires_user_confirmation", "r:1")
    client.confirm(asked["confirm_nonce"])
    decide(client, authorization_id, "asked", "allow authorization_granted_via_confirmation", "r:1")
    raised = decide(client, authorization_id, "raised", "escalate escalation_required", "r:1")
    client.resolve(raised["escalation_id"], "approved")
    client.revoke(authorization_id)
    for name in ("asked", "raised"):
        decide(client, authorization_id, name, "deny authorization_revoked", "r:1")


@chapter
def a_grant_expires(scene):
    client = scene.first
    authorization_id = grant(client, scope("s"), expires_at=later(seconds=2))
    asked = grant(client, scope("s"), expires_at=later(seconds=3), requires_confirm_for=["s"])
    decide(client, authorization_id, "s", "allow authorization_granted_scope_active")
    nonce = decide(client, asked, "s", "confirm scope_requires_user_confirmation")["confirm_nonce"]
    exchange = client.get(f"/v1/authorizations/{asked}")
    assert client.confirm(nonce, ttl_seconds=300)["expires_at"] == exchange.json["expires_at"], "a confirmation does not outlive its grant"
    time.sleep(max(0.0, seconds(exchange.json["expires_at"]) - time.time()) + 0.05)
    decide(client, authorization_id, "s", "deny authorization_expired")
    decide(client, asked, "s", "deny authorization_expired")
    exchange = client.get(f"/v1/authorizations/{authorization_id}")
    exchange.need(exchange.json["status"] == "expired", "expired")
    client.revoke(authorization_id, revoked_by="expired")
    decide(client, authorization_id, "s", "deny authorization_revoked")
