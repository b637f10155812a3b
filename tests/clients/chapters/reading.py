"""Section 7, reading: filters, orders, walks over pages, and the lists of the other objects."""

import datetime

from scene import ZERO_ULID, chapter, decide, grant, later, refused, scope, signed


def ids(items):
    return [item["receipt_id"] for item in items]


@chapter
def receipts_are_found_by_each_filter(scene):
    client = scene.workspace("filters")
    one = client.create("anna", agent_id="a", scopes=["read", "send"], expires_at=later(days=1), requires_confirm_for=["send"])
    two = client.create("bert", agent_id="a", scopes=["read", "purge"], expires_at=later(days=1), requires_escalation_for=["purge"])
    first, second = one["authorization_id"], two["authorization_id"]
    client.check(first, ["read", "send", "fly"], "box:1", session_id="s-1")
    client.check(second, ["read"], "box:1", session_id="s-2")
    raised = decide(client, second, "purge", "escalate escalation_required", "box:2")
    client.check("unknown", ["read"], "box:1", session_id="s-1")
    client.resolve(raised["escalation_id"], "rejected")
    client.revoke(first)
    every = client.walk("/v1/receipts")
    assert len(every) == 10 and ids(every) == sorted(ids(every), reverse=True), f"newest first {every}"
    assert sorted(ids(every)) == sorted(client.receipts), "every receipt that was answered is listed"
    for item in every:
        names = {"receipt_id", "authorization_id", "scope", "event", "decision", "signed", "created_at"}
        assert item.keys() >= names and (item["scope"] is None) != (item["event"] is None), item
        receipt = signed(client, item["receipt_id"])
        assert all(receipt.get(name) == item[name] for name in ("authorization_id", "scope", "event", "decision")), (item, receipt)
        assert receipt["issued_at"] == item["created_at"], (item, receipt)
    assert all(item["signed"] is True for item in client.walk("/v1/receipts")), "signed, and said so"

    receipts = {receipt_id: signed(client, receipt_id) for receipt_id in ids(every)}
    middle = every[4]["created_at"]
    rows = [
        ({"authorization_id": first}, lambda r: r["authorization_id"] == first),
        ({"user_id": "anna"}, lambda r: r["user_id"] == "anna"),
        ({"resource": "box:1"}, lambda r: r["resource"] == "box:1"),
        ({"session_id": "s-1"}, lambda r: r["context"].get("session_id") == "s-1"),
        ({"scope": "read"}, lambda r: r.get("scope") == "read"),
        *(({"event": e}, lambda r, e=e: r.get("event") == e) for e in ("authorization.create", "authorization.revoke", "escalation.resolve")),
        *(({"decision": d}, lambda r, d=d: r["decision"] == d) for d in ("allow", "deny", "confirm", "escalate", "authorization_granted", "escalation_rejected")),
        ({"from": middle}, lambda r: r["issued_at"] >= middle),
        ({"to": middle}, lambda r: r["issued_at"] < middle),
        ({"scope": "read", "decision": "allow", "user_id": "bert"}, lambda r: (r.get("scope"), r["decision"], r["user_id"]) == ("read", "allow", "bert")),
        ({"authorization_id": second, "resource": "box:2"}, lambda r: r["authorization_id"] == second and r["resource"] == "box:2"),
        ({"resource": "box:1", "session_id": "s-1", "scope": "read"}, lambda r: (r["resource"], r["context"].get("session_id"), r.get("scope")) == ("box:1", "s-1", "read")),
    ]
    for filters, belongs in rows:
        chain = "authorization_id" in filters
        expected = sorted((name for name, receipt in receipts.items() if belongs(receipt)), reverse=not chain)
        assert expected, filters
        for order, sought in ((None, expected), ("asc", sorted(expected)), ("desc", sorted(expected, reverse=True))):
            asked = filters | ({"order": order} if order else {})
            assert ids(client.walk("/v1/receipts", limit=2, **asked)) == sought, (asked, sought)
    for nobody in ({"user_id": "nobody"}, {"event": "authorization.create", "scope": "read"}, {"resource": "box"}, {"scope": "rea"}, {"decision": "allow", "authorization_id": "x"}):
        assert client.walk("/v1/receipts", **nobody) == [], nobody
    stamp = datetime.datetime.fromisoformat(middle).astimezone(datetime.timezone(datetime.timedelta(hours=2))).isoformat()
    assert ids(client.walk("/v1/receipts", **{"from": stamp})) == ids(client.walk("/v1/receipts", **{"from": middle})), "any offset will do"


@chapter
def a_faulty_search_is_refused(scene):
    client = scene.first
    times = [{name: value} for name in ("from", "to") for value in ("2026-01-01T00:00:00", "yesterday", "1700000000")]
    for params in [{"limit": 0}, {"limit": 101}, {"limit": -1}, {"limit": "ten"}, {"order": "up"}, {"cursor": "nonsense"}, *times]:
        refused(422, client.get, "/v1/receipts", code="validation_error", **params)
    for limit in (1, 100):
        client.page("/v1/receipts", limit=limit)
    for path in ("/v1/tombstones", "/v1/agent-scope-bundles", "/v1/authorizations", "/v1/escalations"):
        for limit in (0, 101, "ten"):
            refused(422, client.get, path, code="validation_error", limit=limit)
    for unknown in (f"rcp_{ZERO_ULID}", "nonsense"):
        refused(404, client.get, f"/v1/receipts/{unknown}", code="not_found")


@chapter
def the_chain_of_a_grant_reads_from_its_beginning(scene):
    client = scene.first
    authorization_id = grant(client, scope("s"), requires_escalation_for=["s"])
    raised = decide(client, authorization_id, "s", "escalate escalation_required")["escalation_id"]
    client.resolve(raised, "approved")
    decide(client, authorization_id, "s", "allow authorization_granted_via_escalation")
    client.revoke(authorization_id)
    decide(client, authorization_id, "s", "deny authorization_revoked")
    chain = client.walk("/v1/receipts", authorization_id=authorization_id, limit=1)
    found = [item["event"] or f"{item['scope']} {item['decision']}" for item in chain]
    assert found == ["authorization.create", "s escalate", "escalation.resolve", "s allow", "authorization.revoke", "s deny"], chain


@chapter
def a_walk_sees_each_receipt_once_while_others_arrive(scene):
    client = scene.workspace("walks")
    authorization_id = grant(client, "s")
    for _ in range(20):
        client.check(authorization_id, ["s", "t"])
    known = set(client.receipts)
    for params in ({}, {"order": "asc"}, {"authorization_id": authorization_id}, {"scope": "s"}):
        arrived = []

        def arrive():
            if len(arrived) < 5:
                arrived.append(client.check(authorization_id, ["s"]))

        seen = ids(client.walk("/v1/receipts", between=arrive, limit=7, **params))
        assert len(seen) == len(set(seen)), f"{params}: none twice"
        if "scope" not in params:
            assert known <= set(seen), f"{params}: none left out"
        ordered = sorted(seen, reverse=not params.keys() & {"order", "authorization_id"})
        assert seen == ordered, f"{params}: in order {seen}"
    # The first page after an answer has that answer's receipt.
    for _ in range(20):
        mine = decide(client, authorization_id, "s", "allow authorization_granted_scope_active")["receipt"]["receipt_id"]
        page = client.page("/v1/receipts", limit=1)
        page.need(ids(page.json["items"]) == [mine], f"listed from the next request on: {mine}")


@chapter
def receipts_are_pending_and_then_for_ever_the_same(scene):
    client = scene.first
    authorization_id = grant(client, "s")
    answer = decide(client, authorization_id, "s", "allow authorization_granted_scope_active")
    receipt = signed(client, answer["receipt"]["receipt_id"])
    for _ in range(3):
        assert client.receipt(receipt["receipt_id"]).json["receipt"] == receipt
    exchange = client.call("GET", answer["receipt"]["url"].removeprefix(client.url))
    exchange.need(exchange.json == {"status": "signed", "receipt": receipt}, "the url of the pending form leads here")


@chapter
def the_other_lists_walk_too(scene):
    client = scene.workspace("lists")
    grants = [grant(client, "s", scope("r"), requires_escalation_for=["r"]) for _ in range(5)]
    raised = [decide(client, one, "r", "escalate escalation_required")["escalation_id"] for one in grants]
    bundles = [client.ask(201, "POST", "/v1/agent-scope-bundles", {"id": f"bundle/{n}", "agent_id": "a", "scopes": ["s"]}).json for n in range(5)]
    graves = [client.ask(201, "POST", "/v1/tombstones", {"resource": f"grave:{n}"}).json for n in range(5)]
    rows = [
        ("/v1/authorizations", "authorization_id", grants),
        ("/v1/escalations", "escalation_id", raised),
        ("/v1/agent-scope-bundles", "id", [bundle["id"] for bundle in bundles]),
        ("/v1/tombstones", "tombstone_id", [grave["tombstone_id"] for grave in graves]),
    ]
    for path, name, expected in rows:
        for limit in (1, 2, 100):
            found = [item[name] for item in client.walk(path, limit=limit)]
            assert sorted(found) == sorted(expected), (path, limit, found, expected)
        found = [item[name] for item in client.page(path).json["items"]]
        assert sorted(found) == sorted(expected), f"{path} without a limit: {found}"
    for item in client.walk("/v1/agent-scope-bundles"):
        assert item in bundles, (item, bundles)
    for item in client.walk("/v1/tombstones"):
        assert item in graves, (item, graves)
    for path, name in (("/v1/authorizations", "authorization_id"), ("/v1/escalations", "escalation_id")):
        for item in client.walk(path):
            exchange = client.get(f"{path}/{item[name]}")
            exchange.need(exchange.json == item, f"as in the list: {item}")
    client.ask(200, "DELETE", "/v1/agent-scope-bundles/bundle%2F0")
    client.ask(200, "DELETE", f"/v1/tombstones/{graves[0]['tombstone_id']}")
    assert sorted(bundle["id"] for bundle in client.walk("/v1/agent-scope-bundles")) == [f"bundle/{n}" for n in range(1, 5)], "only what lives"
    assert sorted(grave["resource"] for grave in client.walk("/v1/tombstones")) == [f"grave:{n}" for n in range(1, 5)], "only what lives"
