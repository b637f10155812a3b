"""Section 1, idempotency keys: a retry gets the first answer, and nothing is counted twice."""

from scene import away_from_midnight, chapter, decide, grant, later, refused, scope, together

ASK = "confirm scope_requires_user_confirmation"
RAISE = "escalate escalation_required"


def calls(scene, client):
    """Every POST and DELETE of the contract: method, path, body, the status of its success."""
    asked = grant(client, scope("s"), requires_confirm_for=["s"])
    raised = grant(client, scope("s"), requires_escalation_for=["s"])
    nonce = decide(client, asked, "s", ASK)["confirm_nonce"]
    declined = decide(client, asked, "s", ASK)["confirm_nonce"]
    escalation_id = decide(client, raised, "s", RAISE)["escalation_id"]
    bundle = {"id": scene.fresh("bundle"), "agent_id": "a", "scopes": ["s"]}
    doomed = client.ask(201, "POST", "/v1/agent-scope-bundles", bundle | {"id": scene.fresh("bundle")}).json["id"]
    grave = client.ask(201, "POST", "/v1/tombstones", {"resource": scene.fresh("grave")}).json["tombstone_id"]
    inline = {"user_id": "user_1", "agent_id": "a", "scopes": ["s"], "expires_at": later(days=1)}
    return [
        ("POST", "/v1/authorizations", inline, 201),
        ("DELETE", f"/v1/authorizations/{grant(client, 's')}", {"revoked_by": "user"}, 200),
        ("DELETE", f"/v1/authorizations/{grant(client, 's')}", None, 200),
        ("POST", "/v1/check", {"authorization_id": grant(client, "s", budget=100), "scopes": ["s"], "estimated_cost_micros": 60}, 200),
        ("POST", "/v1/check", {"authorization_id": asked, "scopes": ["s"], "resource": "r"}, 200),
        ("POST", "/v1/check", {"authorization_id": raised, "scopes": ["s"], "resource": "r"}, 200),
        ("POST", "/v1/check", {"authorization_id": "unknown", "scopes": ["s", "t"]}, 200),
        ("POST", f"/v1/confirmations/{nonce}", {"approved": True, "ttl_seconds": 300}, 200),
        ("POST", f"/v1/confirmations/{declined}", {"approved": False}, 200),
        ("POST", f"/v1/escalations/{escalation_id}/resolve", {"resolution": "approved", "resolved_by": "bob"}, 200),
        ("POST", "/v1/agent-scope-bundles", bundle, 201),
        ("DELETE", f"/v1/agent-scope-bundles/{doomed}", {}, 200),
        ("POST", "/v1/tombstones", {"resource": scene.fresh("grave"), "reason": None}, 201),
        ("DELETE", f"/v1/tombstones/{grave}", None, 200),
        ("POST", "/v1/check/batch", {"checks": [{"authorization_id": id, "scopes": ["s"]} for id in (asked, "unknown", "")]}, 200),
    ]


def same(first, again):
    again.need((again.status, again.json) == (first.status, first.json), f"a retry gets the first answer, which was{first}\n    and not")


def listed(client):
    """All receipts of a workspace; whether they are signed already is a matter of time."""
    return [{**item, "signed": None} for item in client.walk("/v1/receipts")]


@chapter
def every_retry_gets_the_first_answer(scene):
    client = scene.workspace("repeats")
    kept, longest = [], "k" * 250
    for number, (method, path, body, status) in enumerate(calls(scene, client)):
        key = f"~!{number:03}{longest}"
        first = client.ask(status, method, path, body, key=key)
        kept.append((client, method, path, body, key, first))
    receipts = listed(client)
    for _, method, path, body, key, first in kept:
        for _ in range(2):
            same(first, client.call(method, path, body, key=key))
    assert listed(client) == receipts, "a retry leaves no receipts"
    paid = next(body["authorization_id"] for _, _, _, body, _, _ in kept if body and "estimated_cost_micros" in body)
    exchange = client.get(f"/v1/authorizations/{paid}")
    exchange.need(exchange.json["budget_spent_micros"] == 60, "a retry spends nothing")
    scene.kept += kept


@chapter
def a_key_is_for_one_request(scene):
    client = scene.workspace("one request")
    rows = calls(scene, client)
    for number, (method, path, body, status) in enumerate(rows):
        client.ask(status, method, path, body, key=f"key-{number}")
    receipts = listed(client)
    reused = {"code": "idempotency_key_reused"}
    for number, (method, path, body, _) in enumerate(rows):
        key = f"key-{number}"
        for elsewhere in {"/v1/check", "/v1/authorizations", "/v1/tombstones", "/v1/agent-scope-bundles"} - {path}:
            other = next(row[2] for row in rows if row[0] == "POST" and row[1] == elsewhere)
            refused(422, client.ask, 0, "POST", elsewhere, other, key=key, **reused)
    changes = [
        ("/v1/authorizations", {"user_id": "user_2"}),
        ("/v1/check", {"estimated_cost_micros": 61}),
        ("/v1/check", {"resource": "other"}),
        ("/v1/check", {"session_id": "other"}),
        ("/v1/check", {"context": {"n": 1}}),
        ("/v1/confirmations", {"approved": False}),
        ("/v1/escalations", {"resolved_by": "eve"}),
        ("/v1/agent-scope-bundles", {"description": "other"}),
        ("/v1/tombstones", {"reason": "other"}),
    ]
    for prefix, change in changes:
        number, (method, path, body, _) = next((n, row) for n, row in enumerate(rows) if row[1].startswith(prefix) and row[2] is not None)
        refused(422, client.ask, 0, method, path, body | change, key=f"key-{number}", **reused)
    assert listed(client) == receipts, "a reused key leaves nothing"


@chapter
def a_key_belongs_to_its_workspace(scene):
    here, there = scene.workspace("here"), scene.workspace("there")
    body = {"agent_id": "a", "scopes": ["s"], "expires_at": later(days=1), "key": "shared"}
    first = here.create("user_1", **body)
    other = there.create("user_2", **body)
    assert first["authorization_id"] != other["authorization_id"], (first, other)
    again = here.create("user_1", **body)
    assert again == first, f"a retry gets the first answer {first}, not {again}"
    decide(there, first["authorization_id"], "s", "deny authorization_not_found")


@chapter
def a_refusal_is_not_remembered(scene):
    client, key = scene.first, scene.fresh("key")
    body = {"agent_id": "a", "scopes": ["s"], "key": key}
    refused(422, client.create, "user_1", expires_at=None, code="validation_error", **body)
    answer = client.create("user_1", expires_at=later(days=1), **body)
    decide(client, answer["authorization_id"], "s", "allow authorization_granted_scope_active")


@chapter
def racing_twins_are_one_call(scene):
    away_from_midnight()
    client = scene.first
    counted = grant(client, scope("s", max_per_day=2), budget=100)
    for turn in range(3):
        key = scene.fresh("twin")
        answers = together(*[lambda: client.check(counted, ["s"], estimate=40, key=key) for _ in range(6)])
        assert all(answer == answers[0] for answer in answers), answers
        expected = "allow" if turn < 2 else "deny"
        assert answers[0]["results"]["s"]["decision"] == expected, (turn, answers[0])
    exchange = client.get(f"/v1/authorizations/{counted}")
    exchange.need(exchange.json["budget_spent_micros"] == 80, "two allows are paid")
    assert len(client.walk("/v1/receipts", authorization_id=counted)) == 4, "a create and three checks"
    body = {"agent_id": "a", "scopes": ["s"], "expires_at": later(days=1), "key": scene.fresh("twin")}
    answers = together(*[lambda: client.create("user_1", **body) for _ in range(6)])
    assert len({answer["authorization_id"] for answer in answers}) == 1, answers
    doomed, key = answers[0]["authorization_id"], scene.fresh("twin")
    answers = together(*[lambda: client.revoke(doomed, revoked_by="user", key=key) for _ in range(6)])
    assert all(answer == answers[0] for answer in answers), answers
    refused(409, client.revoke, doomed)


@chapter
def a_malformed_key_is_refused(scene):
    client = scene.first
    body = {"authorization_id": grant(client, "s"), "scopes": ["s"]}
    for key in ("", "k" * 256, "two words", "tab\there", "schl\u00fcssel".encode("latin-1")):
        exchange = client.call("POST", "/v1/check", body, key=key)
        exchange.need(exchange.status in (400, 422), "1 to 255 visible ASCII characters, and no others")
