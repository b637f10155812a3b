//! The seed flow: one authorization from create to revoke, with every receipt.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::harness::Server;

#[tokio::test]
async fn the_seed_flow() {
    let server = Server::start().await;
    let body = json!({
        "user_id": "user_1",
        "agent_id": "mailer",
        "scopes": ["email.read", { "name": "email.send", "constraints": { "max_per_day": 5 } }, "email.purge"],
        "requires_confirm_for": ["email.send"],
        "requires_escalation_for": ["email.purge"],
        "escalation_targets": { "email.purge": "security" },
        "expires_at": "2026-03-08T12:00:00+02:00",
        "metadata": { "ticket": "T-1" },
    });
    let created = server.post("/v1/authorizations", body).await;
    assert_eq!(created.status, StatusCode::CREATED);
    let id = created.json()["authorization_id"].as_str().unwrap().to_owned();
    let mut receipts = vec![created.json()["receipt"]["receipt_id"].clone()];

    let mut check = async |scope: &str, decision: &str, reason: &str| {
        let result = server.check(&id, scope, Some("box:1")).await;
        assert_eq!((&result["decision"], &result["reason"]), (&json!(decision), &json!(reason)), "{scope}");
        receipts.push(result["receipt"]["receipt_id"].clone());
        result
    };
    check("email.read", "allow", "authorization_granted_scope_active").await;

    let asked = check("email.send", "confirm", "scope_requires_user_confirmation").await;
    assert_eq!(asked["confirm_prompt_hint"], "email.send");
    assert_eq!(asked["confirm_expires_at"], "2026-03-01T10:05:00.000Z");
    let nonce = asked["confirm_nonce"].as_str().unwrap().to_owned();
    let confirmed = server.post(&format!("/v1/confirmations/{nonce}"), json!({ "approved": true })).await;
    assert_eq!(confirmed.json()["decision"], "approved");
    assert_eq!(confirmed.json()["expires_at"], "2026-03-01T10:01:00.000Z");
    check("email.send", "allow", "authorization_granted_via_confirmation").await;

    let resolve = async |escalation: &Value, resolution: &str| {
        let path = format!("/v1/escalations/{}/resolve", escalation["escalation_id"].as_str().unwrap());
        let reply = server.post(&path, json!({ "resolution": resolution, "resolved_by": "bob", "note": null })).await;
        assert_eq!((reply.status, &reply.json()["status"]), (StatusCode::OK, &json!(resolution)));
        reply.json()["receipt"]["receipt_id"].clone()
    };
    let first = check("email.purge", "escalate", "escalation_required").await;
    assert_eq!(first["escalation_to"], "security");
    assert_eq!(first["escalation"]["status"], "pending");
    assert_eq!(first["escalation_expires_at"], "2026-03-02T10:00:00.000Z");
    let same = check("email.purge", "escalate", "escalation_required").await;
    assert_eq!(same["escalation_id"], first["escalation_id"]);
    let approval = resolve(&first, "approved").await;
    check("email.purge", "allow", "authorization_granted_via_escalation").await;
    let second = check("email.purge", "escalate", "escalation_required").await;
    assert_ne!(second["escalation_id"], first["escalation_id"]);
    let rejection = resolve(&second, "rejected").await;
    check("email.purge", "deny", "escalation_rejected").await;

    let revoked = server.delete(&format!("/v1/authorizations/{id}"), Some(json!({ "revoked_by": "user" }))).await;
    assert_eq!(revoked.status, StatusCode::OK);
    check("email.read", "deny", "authorization_revoked").await;
    let again = server.delete(&format!("/v1/authorizations/{id}"), None).await;
    assert_eq!(again.error(), (409, "conflict".to_owned()));

    receipts.extend([approval, rejection, revoked.json()["receipt"]["receipt_id"].clone()]);
    for id in receipts {
        let receipt = server.signed_receipt(id.as_str().unwrap()).await;
        assert_eq!(receipt["workspace_id"], server.workspace_id);
    }
    let create = server.signed_receipt(created.json()["receipt"]["receipt_id"].as_str().unwrap()).await;
    assert_eq!(
        create["context"],
        json!({
            "escalation_targets": { "email.purge": "security" },
            "expires_at": "2026-03-08T10:00:00.000Z",
            "requires_confirm_for": ["email.send"],
            "requires_escalation_for": ["email.purge"],
            "scopes": ["email.read", { "name": "email.send", "constraints": { "max_per_day": 5 } }, "email.purge"],
            "ticket": "T-1",
        })
    );
}

#[tokio::test]
async fn five_sends_a_day() {
    let server = Server::start().await;
    let scopes = json!([{ "name": "email.send", "constraints": { "max_per_day": 5 } }]);
    let id = server.grant(json!({ "scopes": scopes })).await;
    server.clock.set(allowlog_proto::time::Timestamp::parse("2026-03-01T23:59:59.999Z").unwrap());
    for _ in 0..5 {
        assert_eq!(server.decide(&id, "email.send", None).await.0, "allow");
    }
    assert_eq!(server.decide(&id, "email.send", None).await, ("deny".into(), "rate_limit_exceeded".into()));
    server.clock.advance_ms(1);
    assert_eq!(server.decide(&id, "email.send", None).await.0, "allow");
}
