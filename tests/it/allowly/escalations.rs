//! `/v1/escalations/{id}/resolve`

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::Server;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

async fn escalated(server: &Server) -> (String, String) {
    let id = server.grant(json!({ "requires_escalation_for": ["email.send"], "expires_at": "2026-04-01T00:00:00Z" })).await;
    let escalation = server.check(&id, "email.send", None).await["escalation_id"].as_str().unwrap().to_owned();
    (id, format!("/v1/escalations/{escalation}/resolve"))
}

#[tokio::test]
async fn the_first_answer_stands() {
    let server = Server::start().await;
    let (_, path) = escalated(&server).await;
    let first = server.post(&path, json!({ "resolution": "approved", "resolved_by": "bob", "note": "fine" })).await.json();
    assert_eq!(first["resolved_by"], "bob");
    assert_eq!(first["receipt"]["status"], "pending");
    server.clock.advance_ms(1000);
    let before = server.records();
    let again = server.post(&path, json!({ "resolution": "approved", "resolved_by": "eve" })).await;
    assert_eq!(again.status, StatusCode::OK);
    let mut expected = first.clone();
    expected["receipt"] = Value::Null;
    assert_eq!(again.json(), expected);
    let other = server.post(&path, json!({ "resolution": "rejected", "resolved_by": "eve" })).await;
    assert_eq!(other.error(), (409, "conflict".into()));
    assert_eq!(server.records(), before);
    let receipt = server.signed_receipt(first["receipt"]["receipt_id"].as_str().unwrap()).await;
    assert_eq!((&receipt["event"], &receipt["decision"]), (&json!("escalation.resolve"), &json!("escalation_approved")));
    let escalation = &receipt["context"]["escalation"];
    assert_eq!(
        (&escalation["event"], &escalation["note"], &escalation["escalation_to"]),
        (&json!("resolved"), &json!("fine"), &Value::Null)
    );
}

#[tokio::test]
async fn approval_and_rejection_last_a_day() {
    let server = Server::start().await;
    for (resolution, within) in [("approved", "allow"), ("rejected", "deny")] {
        for (wait, decision) in [(DAY_MS - 1, within), (DAY_MS, "escalate")] {
            let (id, path) = escalated(&server).await;
            server.post(&path, json!({ "resolution": resolution, "resolved_by": "bob" })).await;
            server.clock.advance_ms(wait);
            assert_eq!(server.decide(&id, "email.send", None).await.0, decision, "{resolution} after {wait}");
        }
    }
}

#[tokio::test]
async fn late_foreign_and_malformed() {
    let server = Server::start().await;
    let (id, path) = escalated(&server).await;
    let (_, foreign) = server.other_workspace().await;
    let yes = json!({ "resolution": "approved", "resolved_by": "bob" });
    let before = server.records();
    let reply = server.send_as(&foreign, Method::POST, &path, Some(yes.to_string())).await;
    assert_eq!(reply.error(), (404, "not_found".into()));
    assert_eq!(server.post("/v1/escalations/esc_x/resolve", yes.clone()).await.text, reply.text);
    for (body, fields) in [
        (json!({}), vec!["body.resolution", "body.resolved_by"]),
        (json!({ "resolution": "maybe", "resolved_by": "bob" }), vec!["body.resolution"]),
        (json!({ "resolution": "approved", "resolved_by": "" }), vec!["body.resolved_by"]),
        (json!({ "resolution": "approved", "resolved_by": "x".repeat(129) }), vec!["body.resolved_by"]),
        (json!({ "resolution": "approved", "resolved_by": "bob", "note": "x".repeat(513) }), vec!["body.note"]),
    ] {
        assert_eq!(server.post(&path, body).await.fields(), fields);
    }
    assert_eq!(server.records(), before);
    server.clock.advance_ms(DAY_MS);
    assert_eq!(server.post(&path, yes.clone()).await.error(), (410, "gone".into()));
    let fresh = server.check(&id, "email.send", None).await["escalation_id"].as_str().unwrap().to_owned();
    assert!(!path.contains(&fresh), "a new question after the old one lapsed");
    server.delete(&format!("/v1/authorizations/{id}"), None).await;
    assert_eq!(server.post(&format!("/v1/escalations/{fresh}/resolve"), yes).await.error(), (410, "gone".into()));
}
