//! `/v1/agent-scope-bundles`

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::Server;

fn bundle(id: &str) -> Value {
    json!({ "id": id, "agent_id": "mailer", "scopes": ["email.read", { "name": "email.send", "constraints": { "max_per_day": 1 } }],
            "requires_confirm_for": ["email.read"], "default_expiry_days": 30, "description": "for interns" })
}

/// The create of a client that sends every key of both shapes.
fn from_bundle(id: &str) -> Value {
    json!({ "user_id": "user_1", "bundle_id": id, "agent_id": null, "scopes": null, "expires_at": null, "requires_confirm_for": [],
            "requires_escalation_for": [], "escalation_targets": {}, "budget_limit_micros": null, "metadata": {}, "replaces": null })
}

#[tokio::test]
async fn made_listed_and_deleted() {
    let server = Server::start().await;
    let created = server.post("/v1/agent-scope-bundles", bundle("interns")).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let expected = json!({
        "id": "interns", "agent_id": "mailer",
        "scopes": [{ "name": "email.read", "constraints": {} }, { "name": "email.send", "constraints": { "max_per_day": 1 } }],
        "requires_confirm_for": ["email.read"], "requires_escalation_for": [], "escalation_targets": {},
        "default_expiry_days": 30, "description": "for interns", "created_at": "2026-03-01T10:00:00.000Z",
    });
    assert_eq!(created.json(), expected);
    assert_eq!(server.post("/v1/agent-scope-bundles", bundle("interns")).await.error(), (409, "conflict".into()));
    server.post("/v1/agent-scope-bundles", bundle("a")).await;
    let listed = server.get("/v1/agent-scope-bundles").await.json();
    assert_eq!((&listed["items"][0]["id"], &listed["items"][1]), (&json!("a"), &expected));
    assert_eq!((&listed["has_more"], &listed["next_cursor"]), (&json!(false), &Value::Null));

    let deleted = server.delete("/v1/agent-scope-bundles/interns", Some(json!({}))).await;
    assert_eq!((deleted.status, deleted.json()), (StatusCode::OK, json!({ "id": "interns", "deleted_at": "2026-03-01T10:00:00.000Z" })));
    assert_eq!(server.delete("/v1/agent-scope-bundles/interns", None).await.error(), (404, "not_found".into()));
    assert_eq!(server.post("/v1/authorizations", from_bundle("interns")).await.error(), (404, "not_found".into()));
    assert_eq!(server.get("/v1/agent-scope-bundles").await.json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(server.post("/v1/agent-scope-bundles", bundle("interns")).await.status, StatusCode::CREATED, "an id may be used again");
}

#[tokio::test]
async fn granted_from_with_a_body_full_of_nulls() {
    let server = Server::start().await;
    server.post("/v1/agent-scope-bundles", bundle("interns")).await;
    let created = server.post("/v1/authorizations", from_bundle("interns")).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let answer = created.json();
    assert_eq!((&answer["bundle_id"], &answer["agent_id"]), (&json!("interns"), &json!("mailer")));
    assert_eq!((&answer["expires_at"], &answer["requires_confirm_for"]), (&json!("2026-03-31T10:00:00.000Z"), &json!(["email.read"])));
    let receipt = server.signed_receipt(answer["receipt"]["receipt_id"].as_str().unwrap()).await;
    assert_eq!(
        receipt["context"],
        json!({
            "scopes": ["email.read", { "name": "email.send", "constraints": { "max_per_day": 1 } }],
            "requires_confirm_for": ["email.read"], "expires_at": "2026-03-31T10:00:00.000Z", "bundle_id": "interns",
        })
    );
    let mut own_end = from_bundle("interns");
    own_end["expires_at"] = json!("2026-03-02T00:00:00Z");
    assert_eq!(server.post("/v1/authorizations", own_end).await.json()["expires_at"], "2026-03-02T00:00:00.000Z");
    let mut endless = bundle("endless");
    endless["default_expiry_days"] = Value::Null;
    server.post("/v1/agent-scope-bundles", endless).await;
    assert_eq!(server.post("/v1/authorizations", from_bundle("endless")).await.fields(), ["body.expires_at"]);
}

#[tokio::test]
async fn editing_one_changes_no_decision() {
    let server = Server::start().await;
    server.post("/v1/agent-scope-bundles", bundle("interns")).await;
    let id = server.post("/v1/authorizations", from_bundle("interns")).await.json()["authorization_id"].as_str().unwrap().to_owned();
    let before = server.get(&format!("/v1/authorizations/{id}")).await.text;
    server.delete("/v1/agent-scope-bundles/interns", None).await;
    let mut other = bundle("interns");
    other["scopes"] = json!(["email.purge"]);
    other["requires_confirm_for"] = json!([]);
    other["default_expiry_days"] = json!(1);
    assert_eq!(server.post("/v1/agent-scope-bundles", other).await.status, StatusCode::CREATED);
    assert_eq!(server.get(&format!("/v1/authorizations/{id}")).await.text, before);
    assert_eq!(server.decide(&id, "email.read", None).await.1, "scope_requires_user_confirmation");
    assert_eq!(server.decide(&id, "email.send", None).await.1, "authorization_granted_scope_active");
    assert_eq!(server.decide(&id, "email.send", None).await.1, "rate_limit_exceeded");
    assert_eq!(server.decide(&id, "email.purge", None).await.1, "scope_not_authorized");
    server.clock.advance_ms(2 * 24 * 60 * 60 * 1000);
    assert_eq!(server.decide(&id, "email.send", None).await.1, "authorization_granted_scope_active");
}

#[tokio::test]
async fn nothing_in_the_api_updates_an_authorization() {
    let server = Server::start().await;
    let id = server.grant(json!({})).await;
    let path = format!("/v1/authorizations/{id}");
    let before = (server.get(&path).await.text, server.records());
    for method in [Method::PUT, Method::PATCH, Method::POST] {
        let body = json!({ "scopes": ["email.purge"], "expires_at": "2099-01-01T00:00:00Z" }).to_string();
        assert_eq!(server.send_as(&server.api_key, method.clone(), &path, Some(body)).await.error(), (405, "method_not_allowed".into()));
    }
    assert_eq!((server.get(&path).await.text, server.records()), before);
}

#[tokio::test]
async fn pages_and_isolation() {
    let server = Server::start().await;
    let (_, foreign) = server.other_workspace().await;
    for n in 0..7 {
        assert_eq!(server.post("/v1/agent-scope-bundles", bundle(&format!("b{n}"))).await.status, StatusCode::CREATED);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/v1/agent-scope-bundles?limit=3&cursor={cursor}")).await.json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|b| b["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        assert_eq!(page["has_more"], true);
        cursor = next.to_owned();
    }
    assert_eq!(seen, ["b0", "b1", "b2", "b3", "b4", "b5", "b6"]);
    for query in ["limit=0", "limit=101", "limit=x", "cursor=%21"] {
        let field = format!("query.{}", query.split('=').next().unwrap());
        assert_eq!(server.get(&format!("/v1/agent-scope-bundles?{query}")).await.fields(), [field]);
    }
    let listed = server.send_as(&foreign, Method::GET, "/v1/agent-scope-bundles", None).await;
    assert_eq!(listed.json()["items"], json!([]));
    let unknown = server.send_as(&foreign, Method::DELETE, "/v1/agent-scope-bundles/never", None).await;
    let reply = server.send_as(&foreign, Method::DELETE, "/v1/agent-scope-bundles/b0", None).await;
    assert_eq!((reply.error(), &reply.text), ((404, "not_found".into()), &unknown.text));
    let reply = server.send_as(&foreign, Method::POST, "/v1/authorizations", Some(from_bundle("b0").to_string())).await;
    assert_eq!(reply.error(), (404, "not_found".into()));
}
