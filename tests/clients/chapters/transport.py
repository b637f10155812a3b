"""Section 1: the envelope, API keys, workspaces that do not see each other."""

import json

from scene import ZERO_ULID, chapter, decide, grant, later, refused, scope, signed


@chapter
def every_refusal_has_the_envelope(scene):
    client = scene.first
    path, fine = "/v1/check", {"authorization_id": grant(client, "s"), "scopes": ["s"]}
    for raw in ("{", "nonsense", "{'a':1}", '{"a":NaN}', "\ufeff{}", '{"a":1}}', b'{"a":"\xff"}', '{"a":"\x01"}', "[" * 5000):
        exchange = client.call("POST", path, raw=raw)
        exchange.need((exchange.status, exchange.json["error"]["code"]) == (400, "bad_request"), "malformed JSON")
    text = json.dumps(fine)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx"):
        exchange = client.call("POST", path, raw=text, headers={"Content-Type": kind})
        exchange.need((exchange.status, exchange.json["error"]["code"]) == (400, "bad_request"), f"{kind} is the wrong content type")
    for kind in ("application/json; charset=utf-8", "Application/JSON"):
        exchange = client.call("POST", path, raw=text, headers={"Content-Type": kind})
        exchange.need(exchange.status == 200, f"{kind} is JSON")
    for raw in ("[]", '"text"', "5", "null", ""):
        exchange = client.call("POST", path, raw=raw)
        exchange.need(exchange.status in (400, 422), "no object, or one without what is required")
    for unknown in ("/v1/nothing", "/v1", "/", "/v2/check", "/v1/check/x", "/v1/authorizations/a/b"):
        for method in ("GET", "POST"):
            exchange = client.call(method, unknown)
            exchange.need((exchange.status, exchange.json["error"]["code"]) == (404, "not_found"), "an unknown route")
    for method, known in (("PUT", path), ("GET", path), ("PATCH", "/v1/authorizations"), ("DELETE", "/v1/receipts"), ("POST", f"/v1/receipts/rcp_{ZERO_ULID}")):
        exchange = client.call(method, known)
        exchange.need(exchange.status == 405, "a wrong method")
    exchange = client.call("POST", path, raw=json.dumps(fine | {"resource": "x" * 4_000_000}))
    exchange.need((exchange.status, exchange.json["error"]["code"]) == (413, "payload_too_large"), "a body too large")
    decide(client, fine["authorization_id"], "s", "allow authorization_granted_scope_active")


@chapter
def null_and_empty_mean_absent(scene):
    client = scene.first
    body = {"user_id": "user_1", "agent_id": "a", "scopes": [{"name": "s", "constraints": {}}, {"name": "t", "constraints": None}, {"name": "u"}], "expires_at": later(days=1)}
    authorization_id = client.ask(201, "POST", "/v1/authorizations", body | {"colour": [1.5, None], "metadata": None, "escalation_targets": None}).json["authorization_id"]
    nulls = dict.fromkeys(("resource", "session_id", "estimated_cost_micros", "context"))
    for more in ({}, nulls, {"context": {}}, {"colour": {"a": 1}}):
        client.ask(200, "POST", "/v1/check", {"authorization_id": authorization_id, "scopes": ["s", "t", "u"]} | more)
    receipt = signed(client, client.walk("/v1/receipts", authorization_id=authorization_id)[0]["receipt_id"])
    assert receipt["context"]["scopes"] == ["s", "t", "u"], receipt


@chapter
def request_ids_are_echoed(scene):
    client = scene.first
    for method, path, body in (("GET", "/v1/receipts", None), ("GET", "/v1/nothing", None), ("POST", "/v1/check", {}), ("PUT", "/v1/check", {})):
        exchange = client.call(method, path, body, headers={"X-Request-Id": "mine-1"})
        exchange.need(exchange.headers["x-request-id"] == "mine-1", "the caller's own")
        made = {client.call(method, path, body).headers["x-request-id"] for _ in range(3)}
        assert len(made) == 3, f"without one, each answer has its own: {made}"
    exchange = client.call("GET", "/v1/receipts", bare=True, headers={"X-Request-Id": "anonymous"})
    exchange.need(exchange.headers["x-request-id"] == "anonymous", "also on a 401")


@chapter
def a_bad_api_key_is_refused_alike(scene):
    client = scene.first
    made = scene.admin("POST", f"workspaces/{client.workspace}/api-keys", {"name": "short lived"})
    made.need(made.status == 201, "an API key is made")
    key = made.json["api_key"]
    assert key.startswith("allowly_l1_s001_") and len(key.split("_")) == 5, key
    use = {"Authorization": f"Bearer {key}"}
    exchange = client.call("GET", "/v1/receipts", bare=True, headers=use)
    exchange.need(exchange.status == 200, "the new key works at once")
    gone = scene.admin("DELETE", f"workspaces/{client.workspace}/api-keys/{made.json['api_key_id']}")
    gone.need(gone.status == 200, "the key is revoked")
    swapped = client.api_key[:-1] + ("a" if client.api_key[-1] != "a" else "b")
    texts = [key, swapped, client.api_key + "x", client.api_key[:-1], "nonsense", "allowly_l1_s001_a_b", scene.admin_token]
    headers = [{"Authorization": f"Bearer {text}"} for text in texts] + [{}]
    headers += [{"Authorization": text} for text in ("", "Bearer", client.api_key, f"Basic {client.api_key}")]
    said = set()
    for header in headers:
        for method, path, body in (("GET", "/v1/receipts", None), ("POST", "/v1/check", {"authorization_id": "x", "scopes": ["s"]}), ("DELETE", "/v1/authorizations/x", None)):
            exchange = client.call(method, path, body, bare=True, headers=header)
            exchange.need((exchange.status, exchange.json["error"]["code"]) == (401, "unauthorized"), f"{header} is no API key")
            said.add(exchange.text)
    assert len(said) == 1 and "Invalid or revoked API key" in said.pop(), "the same for all"


@chapter
def other_workspaces_see_nothing(scene):
    mine, theirs = scene.first, scene.workspace("neighbour")
    lists = {"requires_confirm_for": ["c"], "requires_escalation_for": ["e"]}
    owned = theirs.create("user_1", agent_id="a", scopes=["s", "c", "e"], expires_at=later(days=1), **lists)
    authorization_id, receipt_id = owned["authorization_id"], owned["receipt"]["receipt_id"]
    escalation_id = decide(theirs, authorization_id, "e", "escalate escalation_required")["escalation_id"]
    bundle_id, resource = scene.fresh("bundle"), scene.fresh("grave")
    theirs.ask(201, "POST", "/v1/agent-scope-bundles", {"id": bundle_id, "agent_id": "theirs", "scopes": ["s"], "default_expiry_days": 1})
    grave = theirs.ask(201, "POST", "/v1/tombstones", {"resource": resource}).json["tombstone_id"]

    def alike(status, method, path, ours, unknown, body=None):
        """The neighbour's id is answered as one that nobody has."""
        said = []
        for name in (ours, unknown):
            exchange = mine.call(method, path.format(name), json.loads(json.dumps(body).replace("{}", name)) if body else None)
            exchange.need(exchange.status == status, f"{status} for what is not there")
            said.append(exchange.text.replace(name, "it"))
        assert said[0] == said[1], said

    unknown = f"auth_{ZERO_ULID}"
    inline = {"user_id": "user_1", "agent_id": "a", "scopes": ["s"], "expires_at": later(days=1)}
    alike(404, "GET", "/v1/authorizations/{}", authorization_id, unknown)
    alike(404, "DELETE", "/v1/authorizations/{}", authorization_id, unknown, {"revoked_by": "user"})
    alike(422, "POST", "/v1/authorizations", authorization_id, unknown, inline | {"replaces": "{}"})
    alike(404, "GET", "/v1/escalations/{}", escalation_id, f"esc_{ZERO_ULID}")
    alike(404, "POST", "/v1/escalations/{}/resolve", escalation_id, f"esc_{ZERO_ULID}", {"resolution": "approved", "resolved_by": "bob"})
    alike(404, "GET", "/v1/receipts/{}", receipt_id, f"rcp_{ZERO_ULID}")
    alike(404, "DELETE", "/v1/agent-scope-bundles/{}", bundle_id, "nobody's")
    alike(404, "POST", "/v1/authorizations", bundle_id, "nobody's", {"user_id": "user_1", "bundle_id": "{}"})
    alike(404, "DELETE", "/v1/tombstones/{}", grave, f"tmb_{ZERO_ULID}")
    answer = mine.check(authorization_id, ["s"])
    decide(mine, authorization_id, "s", "deny authorization_not_found")
    assert answer["user_id"] != owned["user_id"] or answer["user_id"] == "unknown", answer
    superseded = [mine.call("DELETE", f"/v1/authorizations/{grant(mine, 's')}", {"superseded_by": name}).status for name in (authorization_id, unknown)]
    assert superseded[0] == superseded[1], f"a successor elsewhere is no successor: {superseded}"

    for filters in ({"authorization_id": authorization_id}, {"resource": resource}):
        found = [item for item in mine.walk("/v1/receipts", **filters) if item["receipt_id"] in theirs.receipts]
        assert found == [], (filters, found)
    for path, name, foreign in (
        ("/v1/receipts", "receipt_id", receipt_id),
        ("/v1/authorizations", "authorization_id", authorization_id),
        ("/v1/escalations", "escalation_id", escalation_id),
        ("/v1/agent-scope-bundles", "id", bundle_id),
        ("/v1/tombstones", "tombstone_id", grave),
    ):
        assert foreign not in {item[name] for item in mine.walk(path, limit=100)}, path
    # Names are each workspace's own.
    mine.ask(201, "POST", "/v1/agent-scope-bundles", {"id": bundle_id, "agent_id": "mine", "scopes": ["s"], "default_expiry_days": 1})
    assert theirs.create("user_1", bundle_id=bundle_id)["agent_id"] == "theirs"
    decide(mine, grant(mine, "s"), "s", "allow authorization_granted_scope_active", resource)
    decide(theirs, authorization_id, "s", "deny resource_tombstoned", resource)
    theirs.resolve(escalation_id, "approved")
    theirs.revoke(authorization_id)
    exchange = mine.call("GET", f"/v1/workspaces/ws_{ZERO_ULID}/keys", bare=True)
    exchange.need(exchange.status == 404, "an unknown workspace has no keys")


@chapter
def a_rotated_signing_key_leaves_no_gap(scene):
    client = scene.first
    before = client.keys()
    authorization_id = grant(client, scope("s"))
    old = decide(client, authorization_id, "s", "allow authorization_granted_scope_active")["receipt"]["receipt_id"]
    rotated = scene.admin("POST", f"workspaces/{client.workspace}/signing-keys")
    rotated.need(rotated.status == 201, "a new signing key")
    new = decide(client, authorization_id, "s", "allow authorization_granted_scope_active")["receipt"]["receipt_id"]
    after = client.keys()
    assert after["workspace_id"] == client.workspace, after
    assert {key["key_id"] for key in before["keys"]} < {key["key_id"] for key in after["keys"]}, f"retired keys stay {before} {after}"
    active = [key for key in after["keys"] if key["active_until"] is None]
    assert len(active) == 1 and active[0]["key_id"] not in {key["key_id"] for key in before["keys"]}, after
    used = [signed(client, receipt_id)["signature"]["key_id"] for receipt_id in (old, new)]
    assert used[0] in {key["key_id"] for key in before["keys"]} and used[1] == active[0]["key_id"], (used, after)
