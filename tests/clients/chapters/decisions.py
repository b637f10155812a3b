"""Section 4 and 9: the ladder of reasons, static constraints, counts, budgets, tombstones."""

from scene import ZERO_ULID, away_from_midnight, chapter, decide, grant, later, refused, scope, together

ALLOW = "allow authorization_granted_scope_active"


@chapter
def one_check_answers_for_each_of_its_scopes(scene):
    client = scene.first
    authorization_id = grant(client, "read", scope("send"), scope("purge"), requires_confirm_for=["send"], requires_escalation_for=["purge"])
    answer = client.check(authorization_id, ["read", "send", "purge", "fly"], "box:1", session_id="s-1", context={"a": {"b": ["ü", True, None]}})
    found = {name: result["decision"] for name, result in answer["results"].items()}
    assert found == {"read": "allow", "send": "confirm", "purge": "escalate", "fly": "deny"}, answer
    assert (answer["user_id"], answer["agent_id"]) == ("user_1", "agent_1"), answer
    assert len({result["receipt"]["receipt_id"] for result in answer["results"].values()}) == 4, answer
    assert not any("budget" in result or "policy_eval" in result for result in answer["results"].values()), answer


@chapter
def what_is_unknown_is_denied(scene):
    client = scene.first
    for unknown in (f"auth_{ZERO_ULID}", "no such thing", "ключ 🔑"):
        answer = client.check(unknown, ["a", "b"], "r")
        assert answer["authorization_expires_at"] is None, answer
        assert {(result["decision"], result["reason"]) for result in answer["results"].values()} == {("deny", "authorization_not_found")}, answer
        assert client.page("/v1/receipts", authorization_id=unknown).json["items"] == [], "it belongs to no chain"
    decide(client, grant(client, "s"), "t", "deny scope_not_authorized")


@chapter
def what_a_check_says_of_people_is_not_read(scene):
    client = scene.first
    body = {"authorization_id": grant(client, "s"), "scopes": ["s"], "user_id": "mallory", "agent_id": "other", "colour": 1.5, "resource": None}
    exchange = client.ask(200, "POST", "/v1/check", body)
    exchange.need((exchange.json["user_id"], exchange.json["agent_id"]) == ("user_1", "agent_1"), "those of the grant")
    exchange.need(exchange.json["results"]["s"]["decision"] == "allow", "unknown members are ignored")
    client.ask(200, "POST", "/v1/check", {"authorization_id": body["authorization_id"], "scopes": ["s"]})


@chapter
def a_faulty_check_is_refused_and_never_counted(scene):
    away_from_midnight()
    client = scene.first
    authorization_id = grant(client, scope("s", max_per_day=1))
    deep = 0
    for _ in range(33):
        deep = [deep]
    faults = [
        ("body.scopes", {"scopes": []}),
        ("body.scopes", {"scopes": None}),
        ("body.scopes", {"scopes": ["s", "s"]}),
        ("body.scopes", {"scopes": [f"s{n}" for n in range(26)]}),
        ("body.scopes", {"scopes": "s"}),
        ("body.authorization_id", {"authorization_id": None}),
        ("body.resource", {"resource": "r" * 513}),
        ("body.resource", {"resource": 5}),
        ("body.estimated_cost_micros", {"estimated_cost_micros": -1}),
        ("body.estimated_cost_micros", {"estimated_cost_micros": 1.5}),
        ("body.estimated_cost_micros", {"estimated_cost_micros": "1"}),
        ("body.context", {"context": [1]}),
        ("body.context", {"context": {"x": "y" * 4096}}),
        ("body.context", {"context": {"x": deep}}),
        ("body.context.x", {"context": {"x": 1.5}}),
        ("body.context.x", {"context": {"x": 1.0}}),
        ("body.context.x", {"context": {"x": 2**53}}),
        ("body.context.x", {"context": {"x": {"y": [0, -(2**53)]}}}),
        *(("body.context", {"context": {name: 1}}) for name in ("budget", "escalation", "session_id")),
    ]
    for field, change in faults:
        body = {"authorization_id": authorization_id, "scopes": ["s"], "context": {}} | change
        refused(422, client.ask, 200, "POST", "/v1/check", body, field=field, code="validation_error")
    for context in ('{"x":1,"x":2}', '{"a":{"x":1,"x":1}}', '{"x":"\\ud800"}', '{"\\udc00":1}', '{"x":1e2}', '{"x":123456789012345678901234567890}'):
        raw = f'{{"authorization_id":"{authorization_id}","scopes":["s"],"context":{context}}}'
        refused(422, client.ask, 200, "POST", "/v1/check", raw=raw, field="body.context", code="validation_error")
    chain = client.walk("/v1/receipts", authorization_id=authorization_id)
    assert len(chain) == 1, f"refused checks leave no receipts {chain}"
    decide(client, authorization_id, "s", ALLOW, "r" * 512, context={"x": "y" * 4000, "big": 2**53 - 1, "small": -(2**53 - 1)})
    decide(client, authorization_id, "s", "deny rate_limit_exceeded")


@chapter
def names_are_opaque_and_signed_in_utf16_order(scene):
    client = scene.first
    name, resource = "дом.🔑 \"x\"\\", "a/b?c=#%\t\u2028\u007f"
    authorization_id = grant(client, scope(name), user_id="😀 user\n", agent_id="агент", metadata={"\uff61": 1, "😀": 2, "é": "\b\u001f", "": None})
    context = {"\uff61": 1, "😀": {"\ue000": [], "𝒳": {}}, "\u0000": "\u0000", "": ""}
    decide(client, authorization_id, name, ALLOW, resource, context=context, session_id="сессия")
    found = client.page("/v1/receipts", scope=name, resource=resource, session_id="сессия").json["items"]
    assert [item["authorization_id"] for item in found] == [authorization_id], found


@chapter
def patterns_hold_resources(scene):
    client = scene.first
    rows = [
        ("inbox:*", ["inbox:1", "inbox:", "inbox:a:b/c"], ["inbox", "xinbox:1", "INBOX:1"]),
        ("*", ["", "x", "*"], []),
        ("a*b*c", ["abc", "aXbYc", "abbc", "a*b*c"], ["ab", "acb", "abcd", "xabc"]),
        ("exact", ["exact"], ["exact ", "exac", "Exact"]),
        ("a.c?[x]", ["a.c?[x]"], ["abc?[x]", "a.cx[x]", "a.c?x"]),
    ]
    for pattern, matching, failing in rows:
        authorization_id = grant(client, scope("s", resource_pattern=pattern))
        for resource in matching:
            # An empty text may be taken for an absent one: the contract says only that null fails.
            if resource != "":
                decide(client, authorization_id, "s", ALLOW, resource)
        for resource in [*failing, None]:
            decide(client, authorization_id, "s", "deny scope_not_authorized", resource)


@chapter
def initiators_are_held_and_labels_are_not(scene):
    client = scene.first
    authorization_id = grant(client, scope("s", allowed_initiators=["human", "cron"]), scope("free", allowed_domains=["a.example"], allowed_fields=["x"]))
    for who in ("human", "cron"):
        decide(client, authorization_id, "s", ALLOW, context={"initiated_by": who})
    for context in ({}, {"initiated_by": "robot"}, {"initiated_by": None}, {"initiated_by": ["human"]}, {"initiated_by": "Human"}, {"initiated_by": 1}):
        decide(client, authorization_id, "s", "deny scope_not_authorized", context=context)
    decide(client, authorization_id, "free", ALLOW, "mailto:x@b.example")


@chapter
def a_day_has_so_many_allows(scene):
    away_from_midnight()
    client = scene.first
    limits = {"scopes": [scope("s", max_per_day=2), scope("t", max_per_day=1), scope("asked", max_per_day=1)], "requires_confirm_for": ["asked"]}
    first, second = (grant(client, *limits["scopes"], requires_confirm_for=limits["requires_confirm_for"], budget=1000) for _ in range(2))
    decide(client, first, "s", ALLOW, "r:1")
    decide(client, first, "s", ALLOW, "r:2")
    denied = decide(client, first, "s", "deny rate_limit_exceeded", "r:3", estimate=10**6)
    assert "budget" not in denied, f"the budget is not evaluated below the rate {denied}"
    decide(client, first, "t", ALLOW)
    decide(client, second, "s", ALLOW, "r:1")
    # Only an allow counts: being asked, and asked again, takes nothing.
    for _ in range(3):
        nonce = decide(client, first, "asked", "confirm scope_requires_user_confirmation")["confirm_nonce"]
    client.confirm(nonce)
    decide(client, first, "asked", "allow authorization_granted_via_confirmation")
    decide(client, first, "asked", "deny rate_limit_exceeded")


@chapter
def nobody_takes_the_last_unit_twice(scene):
    away_from_midnight()
    client = scene.first
    counted = grant(client, scope("s", max_per_day=5))
    answers = together(*[lambda: client.check(counted, ["s"]) for _ in range(8)])
    found = sorted(answer["results"]["s"]["reason"] for answer in answers)
    assert found == ["authorization_granted_scope_active"] * 5 + ["rate_limit_exceeded"] * 3, answers
    paid = grant(client, "s", budget=500)
    answers = together(*[lambda: client.check(paid, ["s"], estimate=100) for _ in range(8)])
    found = sorted(answer["results"]["s"]["reason"] for answer in answers)
    assert found == ["authorization_granted_scope_active"] * 5 + ["budget_exceeded"] * 3, answers
    spent = sorted(a["results"]["s"]["budget"]["spent_micros"] for a in answers if a["results"]["s"]["decision"] == "allow")
    assert spent == [0, 100, 200, 300, 400], answers


@chapter
def a_budget_is_spent_to_the_unit(scene):
    client = scene.first
    authorization_id = grant(client, "a", "b", "c", scope("asked"), scope("never", deny_when=[{"field": "n", "eq": 1}]), requires_confirm_for=["asked"], budget=1000)

    def block(result, spent, estimate, after):
        expected = {"limit_micros": 1000, "spent_micros": spent, "estimated_cost_micros": estimate, "spent_after_micros": after}
        assert result.get("budget") == expected, f"{result} must have {expected}"

    block(decide(client, authorization_id, "a", ALLOW, estimate=100), 0, 100, 100)
    block(decide(client, authorization_id, "a", ALLOW), 100, 0, 100)
    block(decide(client, authorization_id, "a", ALLOW, estimate=0), 100, 0, 100)
    block(decide(client, authorization_id, "asked", "confirm scope_requires_user_confirmation", estimate=50), 100, 50, 100)
    block(decide(client, authorization_id, "never", "deny deny_condition_matched", estimate=50, context={"n": 1}), 100, 50, 100)
    assert "budget" not in decide(client, authorization_id, "z", "deny scope_not_authorized", estimate=50)
    # Every allowed scope of a check spends the estimate, in the order of the request.
    answer = client.check(authorization_id, ["c", "asked", "b", "a"], estimate=350)
    for name, spent, after in (("c", 100, 450), ("asked", 450, 450), ("b", 450, 800)):
        block(answer["results"][name], spent, 350, after)
    block(answer["results"]["a"], 800, 350, 800)
    assert answer["results"]["a"]["reason"] == "budget_exceeded", answer
    block(decide(client, authorization_id, "a", "deny budget_exceeded", estimate=201), 800, 201, 800)
    # The budget comes before the conditions and the people.
    block(decide(client, authorization_id, "never", "deny budget_exceeded", estimate=201, context={"n": 1}), 800, 201, 800)
    block(decide(client, authorization_id, "asked", "deny budget_exceeded", estimate=2**53 - 1), 800, 2**53 - 1, 800)
    block(decide(client, authorization_id, "a", ALLOW, estimate=200), 800, 200, 1000)
    block(decide(client, authorization_id, "a", "deny budget_exceeded", estimate=1), 1000, 1, 1000)
    block(decide(client, authorization_id, "a", ALLOW), 1000, 0, 1000)
    exchange = client.get(f"/v1/authorizations/{authorization_id}")
    exchange.need((exchange.json["budget_limit_micros"], exchange.json["budget_spent_micros"]) == (1000, 1000), "spent to the unit")
    unbudgeted = grant(client, "a")
    assert "budget" not in decide(client, unbudgeted, "a", ALLOW, estimate=10**9)


@chapter
def a_tombstone_denies_until_it_is_lifted(scene):
    client, resource = scene.first, scene.fresh("grave")
    authorization_id = grant(client, scope("s", max_per_day=10), scope("held", resource_pattern="else:*"), requires_confirm_for=["held"], budget=100)
    decide(client, authorization_id, "s", ALLOW, resource)
    exchange = client.ask(201, "POST", "/v1/tombstones", {"resource": resource, "reason": None})
    exchange.has(exchange.json, {"tombstone_id", "resource", "reason", "created_at"})
    exchange.need((exchange.json["resource"], exchange.json["reason"]) == (resource, None), "as sent")
    exchange.id(exchange.json["tombstone_id"], "tmb_")
    exchange.time(exchange.json["created_at"], "created_at")
    path = f"/v1/tombstones/{exchange.json['tombstone_id']}"
    refused(409, client.ask, 201, "POST", "/v1/tombstones", {"resource": resource, "reason": "again"}, code="conflict")
    denied = decide(client, authorization_id, "s", "deny resource_tombstoned", resource, estimate=1000)
    assert "budget" not in denied, denied
    decide(client, authorization_id, "held", "deny scope_not_authorized", resource)
    for other in (f"{resource} ", resource[:-1] + "/", resource.upper(), None):
        decide(client, authorization_id, "s", ALLOW, other)
    exchange = client.ask(200, "DELETE", path)
    exchange.has(exchange.json, {"tombstone_id", "resource", "lifted_at"})
    exchange.need(exchange.json["resource"] == resource, "the resource")
    exchange.time(exchange.json["lifted_at"], "lifted_at")
    refused(404, client.ask, 200, "DELETE", path, {}, code="not_found")
    decide(client, authorization_id, "s", ALLOW, resource)
    again = client.ask(201, "POST", "/v1/tombstones", {"resource": resource, "reason": "moved"})
    again.need(again.json["reason"] == "moved", "the reason")
    decide(client, authorization_id, "s", "deny resource_tombstoned", resource)
    for body in ({}, {"resource": None}, {"resource": 5}, {"resource": "r" * 513}):
        refused(422, client.ask, 201, "POST", "/v1/tombstones", body, field="body.resource", code="validation_error")
    assert not client.page("/v1/receipts", resource=resource, event="tombstone").json["items"], "no receipts of its own"


@chapter
def wait_brings_signed_receipts_and_never_fails(scene):
    client = scene.first
    authorization_id = grant(client, "a", "b", expires_at=later(days=1))
    answers = [client.check(authorization_id, ["a", "b", "z"], wait=True) for _ in range(5)]
    states = [result["receipt"]["status"] for answer in answers for result in answer["results"].values()]
    assert states.count("signed") > 0, f"in {len(states)} tries none was signed within 800 ms"
