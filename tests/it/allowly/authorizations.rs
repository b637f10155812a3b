//! `/v1/authorizations`

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::Server;

fn plain() -> Value {
    json!({ "user_id": "u", "agent_id": "a", "scopes": ["s"], "expires_at": "2027-01-01T00:00:00Z" })
}

#[tokio::test]
async fn answers_with_every_member() {
    let server = Server::start().await;
    let reply = server.post("/v1/authorizations", plain()).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    let mut body = reply.json();
    let id = body["authorization_id"].take();
    assert!(id.as_str().unwrap().starts_with("auth_"));
    let receipt_id = body["receipt"]["receipt_id"].take();
    assert_eq!(body["receipt"]["url"].take(), format!("https://allow.example/v1/receipts/{}", receipt_id.as_str().unwrap()));
    assert_eq!(
        body,
        json!({
            "authorization_id": null,
            "created_at": "2026-03-01T10:00:00.000Z",
            "expires_at": "2027-01-01T00:00:00.000Z",
            "user_id": "u",
            "agent_id": "a",
            "bundle_id": null,
            "requires_confirm_for": [],
            "requires_escalation_for": [],
            "escalation_targets": {},
            "receipt": { "status": "pending", "receipt_id": null, "url": null, "ready_at_estimate": "2026-03-01T10:00:00.500Z" },
        })
    );
}

#[tokio::test]
async fn null_and_empty_mean_absent() {
    let server = Server::start().await;
    let body = json!({
        "user_id": "u", "agent_id": "a", "bundle_id": null, "expires_at": "2027-01-01T00:00:00Z",
        "scopes": [{ "name": "s", "constraints": null }, { "name": "t", "constraints": {} }, { "name": "v", "constraints": { "max_per_day": null, "confirm_when": [], "allowed_domains": [] } }],
        "requires_confirm_for": [], "requires_escalation_for": null, "escalation_targets": {},
        "budget_limit_micros": null, "metadata": {}, "replaces": null, "some_later_field": 1.5,
    });
    let reply = server.post("/v1/authorizations", body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
    let receipt = server.signed_receipt(reply.json()["receipt"]["receipt_id"].as_str().unwrap()).await;
    assert_eq!(
        receipt["context"]["scopes"],
        json!(["s", "t", { "name": "v", "constraints": { "allowed_domains": [], "confirm_when": [] } }])
    );
}

#[tokio::test]
async fn refuses_what_is_malformed_and_stores_nothing() {
    let server = Server::start().await;
    let before = server.records();
    let long = "x".repeat(257);
    let many: Vec<String> = (0..101).map(|i| format!("s{i}")).collect();
    let mut deep = json!(1);
    for _ in 0..33 {
        deep = json!({ "a": deep });
    }
    for (member, value, field) in [
        ("user_id", json!(null), "body.user_id"),
        ("user_id", json!(""), "body.user_id"),
        ("user_id", json!(7), "body.user_id"),
        ("user_id", json!(long), "body.user_id"),
        ("agent_id", json!([]), "body.agent_id"),
        ("scopes", json!(null), "body.scopes"),
        ("scopes", json!([]), "body.scopes"),
        ("scopes", json!("s"), "body.scopes"),
        ("scopes", json!(many), "body.scopes"),
        ("scopes", json!(["s", "s"]), "body.scopes"),
        ("scopes", json!(["s", ""]), "body.scopes[1]"),
        ("scopes", json!([1]), "body.scopes[0]"),
        ("scopes", json!([{ "nome": "s" }]), "body.scopes[0].name"),
        ("scopes", json!([{ "name": "x".repeat(129) }]), "body.scopes[0].name"),
        ("scopes", json!([{ "name": "s", "constraints": [1] }]), "body.scopes[0].constraints"),
        ("scopes", json!([{ "name": "s", "constraints": { "max_per_day": 0 } }]), "body.scopes[0].constraints.max_per_day"),
        ("scopes", json!([{ "name": "s", "constraints": { "max_per_day": 1.0 } }]), "body.scopes[0].constraints.max_per_day"),
        ("scopes", json!([{ "name": "s", "constraints": { "max_per_day": "5" } }]), "body.scopes[0].constraints.max_per_day"),
        ("scopes", json!([{ "name": "s", "constraints": { "max_per_hour": 5 } }]), "body.scopes[0].constraints.max_per_hour"),
        ("scopes", json!([{ "name": "s", "constraints": { "allowed_initiators": [] } }]), "body.scopes[0].constraints.allowed_initiators"),
        ("scopes", json!([{ "name": "s", "constraints": { "allowed_domains": [1] } }]), "body.scopes[0].constraints.allowed_domains[0]"),
        (
            "scopes",
            json!([{ "name": "s", "constraints": { "deny_when": [{ "field": "a", "like": 1 }] } }]),
            "body.scopes[0].constraints.deny_when[0]",
        ),
        ("requires_confirm_for", json!(["t"]), "body.requires_confirm_for[0]"),
        ("requires_escalation_for", json!([true]), "body.requires_escalation_for[0]"),
        ("escalation_targets", json!({ "t": "bob" }), "body.escalation_targets.t"),
        ("escalation_targets", json!({ "s": 1 }), "body.escalation_targets.s"),
        ("escalation_targets", json!(["s"]), "body.escalation_targets"),
        ("expires_at", json!(null), "body.expires_at"),
        ("expires_at", json!("2027-01-01T00:00:00"), "body.expires_at"),
        ("expires_at", json!("tomorrow"), "body.expires_at"),
        ("expires_at", json!(1_800_000_000), "body.expires_at"),
        ("expires_at", json!("2026-03-01T10:00:00.000Z"), "body.expires_at"),
        ("budget_limit_micros", json!(0), "body.budget_limit_micros"),
        ("budget_limit_micros", json!(9_007_199_254_740_992_u64), "body.budget_limit_micros"),
        ("metadata", json!("m"), "body.metadata"),
        ("metadata", json!({ "scopes": 1 }), "body.metadata.scopes"),
        ("metadata", json!({ "a": { "b": [1, 2.5] } }), "body.metadata.a.b[1]"),
        ("metadata", json!({ "a": 9_007_199_254_740_992_u64 }), "body.metadata.a"),
        ("metadata", deep, "body.metadata"),
        ("replaces", json!("auth_unknown"), "body.replaces"),
    ] {
        let mut body = plain();
        body[member] = value.clone();
        let reply = server.post("/v1/authorizations", body).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{member} {value}: {}", reply.text);
        assert_eq!(reply.fields(), [field], "{member} {value}: {}", reply.text);
    }
    let reply = server.post("/v1/authorizations", json!({})).await;
    assert_eq!(reply.fields(), ["body.user_id", "body.agent_id", "body.scopes", "body.expires_at"]);
    assert_eq!(server.records(), before, "nothing was stored");
}

#[tokio::test]
async fn lineage_is_recorded_and_revokes_nothing() {
    let server = Server::start().await;
    let old = server.grant(json!({})).await;
    let new = server.grant(json!({ "replaces": old })).await;
    assert_eq!(server.decide(&old, "email.read", None).await.0, "allow");
    let reply = server.delete(&format!("/v1/authorizations/{old}"), Some(json!({ "superseded_by": new, "notes": "newer" }))).await;
    let receipt = server.signed_receipt(reply.json()["receipt"]["receipt_id"].as_str().unwrap()).await;
    assert_eq!(receipt["reason"], "superseded_by_new_authorization");
    assert_eq!(receipt["context"], json!({ "revoked_by": "superseded", "superseded_by": new, "notes": "newer" }));
    assert_eq!(server.decide(&new, "email.read", None).await.0, "allow");
}

#[tokio::test]
async fn revoke_refusals() {
    let server = Server::start().await;
    let id = server.grant(json!({})).await;
    let (_, foreign) = server.other_workspace().await;
    let before = server.records();
    let reply = server.send_as(&foreign, Method::DELETE, &format!("/v1/authorizations/{id}"), None).await;
    let unknown = server.send_as(&foreign, Method::DELETE, "/v1/authorizations/auth_01ARZ3NDEKTSV4RRFFQ69G5FAV", None).await;
    assert_eq!(reply.error(), (404, "not_found".into()));
    assert_eq!(reply.text, unknown.text, "a foreign id answers like one that never was");
    for (body, field) in [
        (json!({ "superseded_by": id }), "body.superseded_by"),
        (json!({ "superseded_by": "auth_x" }), "body.superseded_by"),
        (json!({ "revoked_by": 1 }), "body.revoked_by"),
        (json!({ "notes": "x".repeat(513) }), "body.notes"),
        (json!("user"), "body"),
    ] {
        assert_eq!(server.delete(&format!("/v1/authorizations/{id}"), Some(body)).await.fields(), [field]);
    }
    assert_eq!(server.records(), before, "nothing was stored");
    server.clock.advance_ms(3 * 24 * 60 * 60 * 1000);
    assert_eq!(server.delete(&format!("/v1/authorizations/{id}"), None).await.status, StatusCode::OK, "an expired one can be revoked");
}

#[tokio::test]
async fn stand_as_granted() {
    let server = Server::start().await;
    let old = server.grant(json!({})).await;
    server.clock.advance_ms(1000);
    let id = server
        .grant(json!({
            "scopes": ["a", { "name": "b", "constraints": { "max_per_day": 3, "confirm_when": [{ "field": "n", "gt": 1 }] } }],
            "requires_confirm_for": ["b"], "requires_escalation_for": ["a"], "escalation_targets": { "a": "boss" },
            "budget_limit_micros": 50, "replaces": old, "expires_at": "2026-03-02T10:00:00Z",
        }))
        .await;
    let path = format!("/v1/authorizations/{id}");
    let mut expected = json!({
        "authorization_id": id, "status": "active", "created_at": "2026-03-01T10:00:01.000Z", "expires_at": "2026-03-02T10:00:00.000Z",
        "revoked_at": null, "user_id": "user_1", "agent_id": "mailer", "bundle_id": null,
        "scopes": [
            { "name": "a", "constraints": {} },
            { "name": "b", "constraints": { "max_per_day": 3, "confirm_when": [{ "field": "n", "gt": 1 }] } },
        ],
        "requires_confirm_for": ["b"], "requires_escalation_for": ["a"], "escalation_targets": { "a": "boss" },
        "replaces": old, "budget_limit_micros": 50, "budget_spent_micros": 0,
    });
    assert_eq!(server.get(&path).await.json(), expected);
    server.clock.advance_ms(24 * 60 * 60 * 1000);
    expected["status"] = json!("expired");
    assert_eq!(server.get(&path).await.json(), expected);
    server.delete(&path, None).await;
    expected["status"] = json!("revoked");
    expected["revoked_at"] = json!("2026-03-02T10:00:01.000Z");
    assert_eq!(server.get(&path).await.json(), expected);
    assert_eq!(server.get(&format!("/v1/authorizations/{old}")).await.json().get("budget_limit_micros"), None);
    for unknown in ["auth_01ARZ3NDEKTSV4RRFFQ69G5FAV", "x", "%ff"] {
        assert_eq!(server.get(&format!("/v1/authorizations/{unknown}")).await.error(), (404, "not_found".into()));
    }
}

#[tokio::test]
async fn are_listed_newest_first() {
    let server = Server::start().await;
    let (_, foreign) = server.other_workspace().await;
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(server.grant(json!({})).await);
    }
    made.reverse();
    let (mut seen, mut cursor, mut late) = (Vec::new(), String::new(), None);
    loop {
        let page = server.get(&format!("/v1/authorizations?limit=3&cursor={cursor}")).await.json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|a| a["authorization_id"].as_str().unwrap().to_owned()));
        if late.is_none() {
            late = Some(server.grant(json!({})).await);
        }
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = next.to_owned();
    }
    assert_eq!(seen, made, "one that comes while they are walked through is not among them");
    let first = server.get("/v1/authorizations?limit=1").await.json();
    assert_eq!(first["items"][0]["authorization_id"], json!(late));
    assert_eq!(server.get("/v1/authorizations?limit=0").await.fields(), ["query.limit"]);
    let theirs = server.send_as(&foreign, Method::GET, "/v1/authorizations", None).await.json();
    assert_eq!(theirs, json!({ "items": [], "has_more": false, "next_cursor": null }));
}

#[tokio::test]
async fn plans_without_budgets_and_escalations() {
    let server = Server::start().await;
    for plan in ["free", "starter", "pro", "enterprise"] {
        let workspace = server.admin(Method::POST, "workspaces", Some(json!({ "name": plan, "plan": plan }))).await.json();
        let key = workspace["api_key"].as_str().unwrap().to_owned();
        let routed = json!([{ "name": "s", "constraints": { "escalate_when": [{ "field": "n", "gt": 1 }] } }]);
        for (member, value, code) in [
            ("budget_limit_micros", json!(5), "budget_plan_required"),
            ("requires_escalation_for", json!(["s"]), "payment_required"),
            ("scopes", routed, "payment_required"),
        ] {
            let mut body = plain();
            body[member] = value;
            let reply = server.send_as(&key, Method::POST, "/v1/authorizations", Some(body.to_string())).await;
            match plan {
                "free" | "starter" => assert_eq!(reply.error(), (402, code.to_owned()), "{plan} {member}"),
                _ => assert_eq!(reply.status, StatusCode::CREATED, "{plan} {member}: {}", reply.text),
            }
        }
        let mut harmless = plain();
        harmless["scopes"] = json!([{ "name": "s", "constraints": { "escalate_when": [], "confirm_when": [{ "field": "n", "gt": 1 }] } }]);
        harmless["budget_limit_micros"] = Value::Null;
        harmless["requires_escalation_for"] = json!([]);
        harmless["escalation_targets"] = json!({ "s": "boss" });
        let reply = server.send_as(&key, Method::POST, "/v1/authorizations", Some(harmless.to_string())).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{plan}: {}", reply.text);
    }
}

#[tokio::test]
async fn emails_are_refused_where_the_operator_wants_it() {
    let server = Server::start_with(|parts| parts.refuses_emails = true).await;
    let before = server.records();
    for (member, value) in [("user_id", "jo@example.com"), ("agent_id", "a@b")] {
        let mut body = plain();
        body[member] = json!(value);
        assert_eq!(server.post("/v1/authorizations", body).await.fields(), [format!("body.{member}")]);
    }
    let resolve = json!({ "resolution": "approved", "resolved_by": "bob@example.com" });
    assert_eq!(server.post("/v1/escalations/esc_x/resolve", resolve).await.fields(), ["body.resolved_by"]);
    assert_eq!(server.records(), before);
    let check = json!({ "authorization_id": "x", "scopes": ["s"], "user_id": "jo@example.com" });
    assert_eq!(server.post("/v1/check", check).await.status, StatusCode::OK, "nobody reads it there");
    let mut body = plain();
    body["user_id"] = json!("email_hmac:v1:joGNnOl733jVwFo68Eh9yBii-N5CkEOwKDyTFZTKpVI");
    assert_eq!(server.post("/v1/authorizations", body).await.status, StatusCode::CREATED);
    let accepting = Server::start().await;
    accepting.grant(json!({ "user_id": "jo@example.com" })).await;
}
