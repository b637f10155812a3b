//! `GET /v1/audit`

use axum::http::Method;
use serde_json::{Value, json};

use super::{answer, approved, ask, id, token, verify, withdraw};
use crate::harness::Server;

async fn rows(server: &Server, query: &str) -> (Vec<Value>, Value) {
    let reply = server.get(&format!("/v1/audit{query}")).await;
    assert_eq!(reply.status, 200, "{query}: {}", reply.text);
    let json = reply.json();
    (json["data"].as_array().unwrap().clone(), json["meta"].clone())
}

fn kinds(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["event_type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn everything_that_happens_is_a_row() {
    let server = Server::start().await;
    let given = approved(&server, json!({})).await;
    server.page(&format!("/c/{}", id(&given))).await;
    let token = token(&server, &id(&given)).await;
    verify(&server, &token).await;
    withdraw(&server, &id(&given)).await;
    withdraw(&server, &id(&given)).await;
    verify(&server, &token).await;
    let declined = ask(&server, json!({})).await;
    answer(&server, &id(&declined), "decline").await;
    let link = server.get("/v1/consent/manage-url?end_user_ref=user_1").await;
    assert_eq!(link.status, 200);
    let expired = ask(&server, json!({ "expires_in": 60 })).await;
    server.clock.advance_ms(60_000);
    let (all, meta) = rows(&server, "").await;
    let told = [
        "expired",
        "requested",
        "manage_link_created",
        "declined",
        "viewed",
        "requested",
        "verify_failed",
        "revoked",
        "verified",
        "viewed",
        "approved",
        "viewed",
        "requested",
    ];
    assert_eq!(kinds(&all), told);
    assert_eq!((&meta["total"], &meta["has_more"], &meta["current_page"]), (&json!(13), &json!(false), &json!(1)));
    let row = |kind: &str| all.iter().find(|row| row["event_type"] == kind).unwrap();
    for (kind, actor) in [
        ("requested", "builder"),
        ("viewed", "end_user"),
        ("approved", "end_user"),
        ("declined", "end_user"),
        ("revoked", "builder"),
        ("expired", "system"),
        ("verified", "builder"),
        ("verify_failed", "builder"),
        ("manage_link_created", "builder"),
    ] {
        assert_eq!(row(kind)["actor"], actor, "{kind}");
        assert_eq!(row(kind)["user_agent"], if actor == "end_user" { json!("Browser/1.0") } else { Value::Null }, "{kind}");
        assert_eq!(row(kind)["agent_id"], if kind == "manage_link_created" { Value::Null } else { given["agent_id"].clone() }, "{kind}");
        assert!(row(kind)["id"].as_str().unwrap().starts_with("aud_"));
    }
    assert_eq!((&row("expired")["consent_id"], &row("expired")["created_at"]), (&expired["id"], &expired["expires_at"]));
    for (query, wanted) in [
        (format!("?consent_id={}", id(&given)), &told[6..]),
        (format!("?consent_id={}&event_type=viewed", id(&given)), &["viewed", "viewed"]),
        (format!("?consent_id={}", id(&expired)), &["expired", "requested"]),
        ("?event_type=expired".to_owned(), &["expired"]),
        ("?event_type=approved".to_owned(), &["approved"]),
        ("?consent_id=cr_nobody".to_owned(), &[]),
    ] {
        let (found, meta) = rows(&server, &query).await;
        assert_eq!(kinds(&found), wanted, "{query}");
        assert_eq!(meta["total"], wanted.len(), "{query}");
    }
}

#[tokio::test]
async fn other_workspaces_and_odd_questions_get_nothing() {
    let server = Server::start().await;
    ask(&server, json!({})).await;
    let (_, stranger) = server.other_workspace().await;
    assert_eq!(server.send_as(&stranger, Method::GET, "/v1/audit", None).await.json()["meta"]["total"], 0);
    assert_eq!(rows(&server, "?limit=100&page=101").await.0, [] as [Value; 0]);
    for (query, field) in
        [("?limit=100&page=102", "page"), ("?event_type=x", "event_type"), ("?limit=x", "limit"), ("?cursor=eA", "cursor")]
    {
        let reply = server.get(&format!("/v1/audit{query}")).await;
        assert_eq!(reply.permitly_error(), (422, "validation_error".to_owned(), vec![field.to_owned()]), "{query}");
    }
}

/// Requests whose time ends between others, at the same instants as records, page by page in every size.
#[tokio::test]
async fn pages_hold_each_row_once() {
    let server = Server::start().await;
    for n in 0..12 {
        let life = [1, 2, 2, 3][n % 4];
        ask(&server, json!({ "expires_in": life })).await;
        ask(&server, json!({ "expires_in": 2 })).await;
        server.clock.advance_ms(500);
    }
    server.clock.advance_ms(5_000);
    let (all, meta) = rows(&server, "?limit=100").await;
    assert_eq!((all.len(), &meta["total"]), (48, &json!(48)));
    assert!(all.is_sorted_by(|one, next| one["created_at"].as_str() >= next["created_at"].as_str()));
    for indexed in [false, true] {
        if indexed {
            server.app().search.indexed(server.records()).await;
        }
        for limit in [1, 2, 3, 7, 47, 48] {
            let (mut seen, mut query) = (Vec::new(), format!("?limit={limit}"));
            loop {
                let (found, meta) = rows(&server, &query).await;
                seen.extend(found);
                let Some(cursor) = meta["cursor"].as_str() else { break };
                query = format!("?limit={limit}&cursor={cursor}");
            }
            assert_eq!(seen, all, "in pages of {limit}");
            let mut seen = Vec::new();
            for page in 1..=48_usize.div_ceil(limit) {
                seen.extend(rows(&server, &format!("?limit={limit}&page={page}")).await.0);
            }
            assert_eq!(seen, all, "in numbered pages of {limit}");
        }
    }
}

#[tokio::test]
async fn views_are_recorded_a_hundred_times() {
    let server = Server::start().await;
    let asked = ask(&server, json!({})).await;
    for _ in 0..105 {
        assert_eq!(server.page(&format!("/c/{}", id(&asked))).await.status, 200);
    }
    let (_, meta) = rows(&server, &format!("?consent_id={}&event_type=viewed", id(&asked))).await;
    assert_eq!(meta["total"], 100);
}
