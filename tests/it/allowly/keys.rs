//! `/v1/workspaces/{id}/keys`

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use crate::harness::{ADMIN_TOKEN, Server, send};

async fn document(server: &Server, id: &str) -> crate::harness::Reply {
    send(&server.router, Request::get(format!("/v1/workspaces/{id}/keys")).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn are_public() {
    let server = Server::start().await;
    let reply = document(&server, &server.workspace_id).await;
    assert_eq!(reply.headers["cache-control"], "public, max-age=3600");
    let body = reply.json();
    assert_eq!(body["workspace_id"], server.workspace_id);
    let key = &body["keys"][0];
    assert_eq!(
        (&key["alg"], &key["active_from"], &key["active_until"]),
        (&json!("Ed25519"), &json!("2026-03-01T10:00:00.000Z"), &Value::Null)
    );
    assert_eq!(key["public_key"].as_str().unwrap().len(), 43);
    for unknown in ["ws_01ARZ3NDEKTSV4RRFFQ69G5FAV", "x"] {
        assert_eq!(document(&server, unknown).await.error(), (404, "not_found".into()));
    }
}

#[tokio::test]
async fn rotation_keeps_every_receipt_within_its_window() {
    let server = Server::start().await;
    let id = server.grant(json!({})).await;
    let rotate = async || {
        let path = format!("/admin/v1/workspaces/{}/signing-keys", server.workspace_id);
        server.send_as(ADMIN_TOKEN, Method::POST, &path, None).await.json()["active_from"].clone()
    };
    // Checks before and after two rotations, all within one millisecond: the audit verifies every receipt.
    server.check(&id, "email.read", None).await;
    assert_eq!(rotate().await, "2026-03-01T10:00:00.001Z");
    server.check(&id, "email.read", None).await;
    assert_eq!(rotate().await, "2026-03-01T10:00:00.002Z");
    for step in [0, 1, 1, 1] {
        server.clock.advance_ms(step);
        server.check(&id, "email.read", None).await;
    }
    let keys = document(&server, &server.workspace_id).await.json()["keys"].clone();
    let windows: Vec<_> = keys.as_array().unwrap().iter().map(|k| (k["active_from"].clone(), k["active_until"].clone())).collect();
    let at = |ms: u32| json!(format!("2026-03-01T10:00:00.00{ms}Z"));
    assert_eq!(windows, [(at(0), at(1)), (at(1), at(2)), (at(2), Value::Null)]);
}
