//! `/v1/tombstones`

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::Server;

#[tokio::test]
async fn close_a_resource_until_they_are_lifted() {
    let server = Server::start().await;
    let id = server.grant(json!({})).await;
    let placed = server.post("/v1/tombstones", json!({ "resource": "invoice:7", "reason": "fraud" })).await;
    assert_eq!(placed.status, StatusCode::CREATED, "{}", placed.text);
    let mut body = placed.json();
    let tombstone = body["tombstone_id"].take().as_str().unwrap().to_owned();
    assert!(tombstone.starts_with("tmb_"));
    let shown = json!({ "tombstone_id": null, "resource": "invoice:7", "reason": "fraud", "created_at": "2026-03-01T10:00:00.000Z" });
    assert_eq!(body, shown);
    for (resource, reason) in [
        (Some("invoice:7"), "resource_tombstoned"),
        (Some("invoice:70"), "authorization_granted_scope_active"),
        (Some("Invoice:7"), "authorization_granted_scope_active"),
        (None, "authorization_granted_scope_active"),
    ] {
        assert_eq!(server.decide(&id, "email.read", resource).await.1, reason, "{resource:?}");
    }
    assert_eq!(server.post("/v1/tombstones", json!({ "resource": "invoice:7" })).await.error(), (409, "conflict".into()));
    let listed = server.get("/v1/tombstones").await.json();
    assert_eq!((&listed["items"][0]["tombstone_id"], &listed["has_more"]), (&json!(tombstone), &json!(false)));

    let path = format!("/v1/tombstones/{tombstone}");
    let lifted = server.delete(&path, None).await;
    let shown = json!({ "tombstone_id": tombstone, "resource": "invoice:7", "lifted_at": "2026-03-01T10:00:00.000Z" });
    assert_eq!((lifted.status, lifted.json()), (StatusCode::OK, shown));
    assert_eq!(server.decide(&id, "email.read", Some("invoice:7")).await.0, "allow");
    assert_eq!(server.delete(&path, Some(json!({}))).await.error(), (404, "not_found".into()));
    assert_eq!(server.get("/v1/tombstones").await.json()["items"], json!([]));
    assert_eq!(server.post("/v1/tombstones", json!({ "resource": "invoice:7" })).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn belong_to_their_workspace() {
    let server = Server::start().await;
    let (_, foreign) = server.other_workspace().await;
    let id = server.grant(json!({})).await;
    let body = json!({ "resource": "invoice:7" }).to_string();
    let placed = server.send_as(&foreign, Method::POST, "/v1/tombstones", Some(body)).await.json();
    assert_eq!(server.decide(&id, "email.read", Some("invoice:7")).await.0, "allow");
    let reply = server.delete(&format!("/v1/tombstones/{}", placed["tombstone_id"].as_str().unwrap()), None).await;
    assert_eq!(reply.error(), (404, "not_found".into()));
    assert_eq!(server.delete("/v1/tombstones/tmb_01ARZ3NDEKTSV4RRFFQ69G5FAV", None).await.text, reply.text);
    assert_eq!(server.get("/v1/tombstones").await.json()["items"], json!([]));
}

#[tokio::test]
async fn pages_and_bad_input() {
    let server = Server::start().await;
    for n in 0..5 {
        server.clock.advance_ms(1);
        server.post("/v1/tombstones", json!({ "resource": format!("r{n}") })).await;
    }
    let before = server.records();
    let first = server.get("/v1/tombstones?limit=2").await.json();
    let second = server.get(&format!("/v1/tombstones?limit=3&cursor={}", first["next_cursor"].as_str().unwrap())).await.json();
    let resources = |page: &Value| page["items"].as_array().unwrap().iter().map(|t| t["resource"].clone()).collect::<Vec<_>>();
    assert_eq!((resources(&first), resources(&second)), (vec![json!("r4"), json!("r3")], vec![json!("r2"), json!("r1"), json!("r0")]));
    assert_eq!(second["next_cursor"], Value::Null);
    for (body, field) in [
        (json!({}), "body.resource"),
        (json!({ "resource": 7 }), "body.resource"),
        (json!({ "resource": "x".repeat(513) }), "body.resource"),
        (json!({ "resource": "r", "reason": "x".repeat(513) }), "body.reason"),
    ] {
        assert_eq!(server.post("/v1/tombstones", body).await.fields(), [field]);
    }
    assert_eq!(server.get("/v1/tombstones?cursor=YWJj").await.fields(), ["query.cursor"]);
    assert_eq!(server.records(), before);
}
