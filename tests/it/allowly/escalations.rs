//! `/v1/escalations`, `/v1/escalations/{id}` and `/v1/escalations/{id}/resolve`

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

#[tokio::test]
async fn stand_and_are_listed() {
    let server = Server::start().await;
    let (_, foreign) = server.other_workspace().await;
    let grant = json!({ "scopes": ["pay"], "requires_escalation_for": ["pay"], "escalation_targets": { "pay": "finance" },
                        "expires_at": "2026-04-01T00:00:00Z" });
    let id = server.grant(grant).await;
    let mut ids = Vec::new();
    for resource in ["r0", "r1", "r2", "r3"] {
        ids.push(server.check(&id, "pay", Some(resource)).await["escalation_id"].as_str().unwrap().to_owned());
        server.clock.advance_ms(1000);
    }
    for (n, resolution) in [(0, "approved"), (1, "rejected")] {
        let body = json!({ "resolution": resolution, "resolved_by": "bob" });
        server.post(&format!("/v1/escalations/{}/resolve", ids[n]), body).await;
    }
    let mut expected = json!({
        "escalation_id": ids[2], "status": "pending", "authorization_id": id, "scope": "pay", "resource": "r2", "escalation_to": "finance",
        "created_at": "2026-03-01T10:00:02.000Z", "expires_at": "2026-03-02T10:00:02.000Z", "resolved_by": null, "resolved_at": null,
    });
    let path = format!("/v1/escalations/{}", ids[2]);
    assert_eq!(server.get(&path).await.json(), expected);
    let listed = async |query: &str| -> Vec<String> {
        let page = server.get(&format!("/v1/escalations{query}")).await.json();
        page["items"].as_array().unwrap().iter().map(|e| format!("{} {}", e["resource"], e["status"]).replace('"', "")).collect()
    };
    assert_eq!(listed("").await, ["r3 pending", "r2 pending", "r1 rejected", "r0 approved"]);
    assert_eq!(listed("?status=pending").await, ["r3 pending", "r2 pending"]);
    assert_eq!(listed("?status=approved&limit=1").await, ["r0 approved"]);
    let first = server.get("/v1/escalations?limit=3").await.json();
    let cursor = first["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!(listed(&format!("?limit=3&cursor={cursor}")).await, ["r0 approved"]);
    let whole = server.get("/v1/escalations?limit=4").await.json();
    assert_eq!((&whole["has_more"], &whole["next_cursor"]), (&json!(false), &Value::Null));
    assert_eq!(server.get("/v1/escalations?status=open").await.fields(), ["query.status"]);

    let over = server.grant(json!({ "scopes": ["pay"], "requires_escalation_for": ["pay"] })).await;
    let open = server.check(&over, "pay", None).await["escalation_id"].as_str().unwrap().to_owned();
    server.delete(&format!("/v1/authorizations/{over}"), None).await;
    let revoked = server.get(&format!("/v1/escalations/{open}")).await.json();
    assert_eq!(revoked["status"], "expired", "nobody can answer it any more");
    assert_eq!(listed("?status=pending").await, ["r3 pending", "r2 pending"]);

    server.clock.advance_ms(DAY_MS - 1000);
    expected["status"] = json!("expired");
    server.clock.advance_ms(DAY_MS);
    assert_eq!(server.get(&path).await.json(), expected);
    let resolved = server.get(&format!("/v1/escalations/{}", ids[1])).await.json();
    assert_eq!((&resolved["status"], &resolved["resolved_by"]), (&json!("rejected"), &json!("bob")));
    assert_eq!(resolved["resolved_at"], "2026-03-01T10:00:04.000Z");
    let theirs = server.send_as(&foreign, Method::GET, &path, None).await;
    let never = server.send_as(&foreign, Method::GET, "/v1/escalations/esc_01ARZ3NDEKTSV4RRFFQ69G5FAV", None).await;
    assert_eq!((theirs.error(), &theirs.text), ((404, "not_found".into()), &never.text));
    assert_eq!(server.send_as(&foreign, Method::GET, "/v1/escalations", None).await.json()["items"], json!([]));
}
