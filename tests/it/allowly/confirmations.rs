//! `/v1/confirmations/{nonce}`

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::Server;

async fn ask(server: &Server, id: &str, resource: Option<&str>) -> String {
    server.check(id, "email.send", resource).await["confirm_nonce"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_bad_nonce_answers_the_same() {
    let server = Server::start().await;
    let id = server.grant(json!({ "requires_confirm_for": ["email.send"] })).await;
    let (_, foreign_key) = server.other_workspace().await;
    let (used, expired, foreign) = (ask(&server, &id, None).await, ask(&server, &id, None).await, ask(&server, &id, None).await);
    let path = |nonce: &str| format!("/v1/confirmations/{nonce}");
    assert_eq!(server.post(&path(&used), json!({ "approved": false })).await.status, StatusCode::OK);
    let yes = json!({ "approved": true });
    let mut answers = vec![
        server.post(&path(&used), yes.clone()).await,
        server.post(&path("cnf_01ARZ3NDEKTSV4RRFFQ69G5FAV"), yes.clone()).await,
        server.post(&path("nonsense"), yes.clone()).await,
        server.post(&path("%ff"), yes.clone()).await,
        server.send_as(&foreign_key, Method::POST, &path(&foreign), Some(yes.to_string())).await,
    ];
    server.clock.advance_ms(5 * 60 * 1000);
    answers.push(server.post(&path(&expired), yes).await);
    for answer in answers {
        assert_eq!(answer.error(), (410, "gone".to_owned()));
        assert_eq!(answer.text, r#"{"error":{"code":"gone","message":"The confirmation is not open"}}"#);
    }
}

#[tokio::test]
async fn approval_covers_its_resource_only() {
    let server = Server::start().await;
    let id = server.grant(json!({ "requires_confirm_for": ["email.send"] })).await;
    let nonce = ask(&server, &id, None).await;
    let reply = server.post(&format!("/v1/confirmations/{nonce}"), json!({ "approved": true, "ttl_seconds": 300 })).await;
    assert_eq!(reply.json()["expires_at"], "2026-03-01T10:05:00.000Z");
    let confirmation = reply.json()["authorization_id"].as_str().unwrap().to_owned();
    for (resource, decision) in [(None, "allow"), (Some("r"), "confirm"), (Some(""), "confirm"), (None, "allow")] {
        assert_eq!(server.decide(&id, "email.send", resource).await.0, decision, "{resource:?}");
    }
    assert_eq!(server.decide(&confirmation, "email.send", None).await.1, "authorization_not_found");
    server.clock.advance_ms(5 * 60 * 1000);
    assert_eq!(server.decide(&id, "email.send", None).await.0, "confirm");
}

#[tokio::test]
async fn declined_asks_again() {
    let server = Server::start().await;
    let id = server.grant(json!({ "requires_confirm_for": ["email.send"] })).await;
    let nonce = ask(&server, &id, None).await;
    let reply = server.post(&format!("/v1/confirmations/{nonce}"), json!({ "approved": false, "ttl_seconds": null })).await;
    assert_eq!(reply.json(), json!({ "decision": "denied_by_user", "authorization_id": Value::Null, "expires_at": Value::Null }));
    assert_ne!(ask(&server, &id, None).await, nonce);
}

#[tokio::test]
async fn refuses_what_is_malformed() {
    let server = Server::start().await;
    let id = server.grant(json!({ "requires_confirm_for": ["email.send"] })).await;
    let nonce = ask(&server, &id, None).await;
    let before = server.records();
    for (body, field) in [
        (json!({}), "body.approved"),
        (json!({ "approved": null }), "body.approved"),
        (json!({ "approved": "true" }), "body.approved"),
        (json!({ "approved": true, "ttl_seconds": 0 }), "body.ttl_seconds"),
        (json!({ "approved": true, "ttl_seconds": 301 }), "body.ttl_seconds"),
        (json!({ "approved": true, "ttl_seconds": 1.0 }), "body.ttl_seconds"),
    ] {
        assert_eq!(server.post(&format!("/v1/confirmations/{nonce}"), body).await.fields(), [field]);
    }
    assert_eq!(server.records(), before);
    let reply = server.post(&format!("/v1/confirmations/{nonce}"), json!({ "approved": true })).await;
    assert_eq!(reply.status, StatusCode::OK, "a malformed answer does not use the nonce up");
}

#[tokio::test]
async fn the_last_word_counts() {
    let server = Server::start().await;
    let id = server.grant(json!({ "requires_confirm_for": ["email.send"] })).await;
    let (first, second) = (ask(&server, &id, None).await, ask(&server, &id, None).await);
    server.post(&format!("/v1/confirmations/{first}"), json!({ "approved": true })).await;
    assert_eq!(server.decide(&id, "email.send", None).await.0, "allow");
    server.post(&format!("/v1/confirmations/{second}"), json!({ "approved": false })).await;
    assert_eq!(server.decide(&id, "email.send", None).await.0, "confirm", "an earlier yes does not outlive a no");
}
