//! `POST /v1/consent/request` and `GET /v1/consent/manage-url`

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{ask, consent, id, try_ask};
use crate::harness::{START, Server};

#[tokio::test]
async fn a_request_says_how_it_stands_with_every_member() {
    let server = Server::start().await;
    let asked = ask(&server, json!({ "unknown": 1, "end_user_email": "ann@example.com", "metadata": { "order": [7, "x"] } })).await;
    let id = id(&asked);
    let agent_id = asked["agent_id"].clone();
    let scope = |key: &str, label: &str, risk: Value, reversible: bool| json!({ "key": key, "label": label, "description": null, "risk": risk, "risk_level": risk, "reversible": reversible });
    let expected = json!({
        "id": id,
        "status": "pending",
        "consent_url": format!("https://allow.example/c/{id}"),
        "end_user_ref": "user_1",
        "end_user_email": "ann@example.com",
        "agent_id": agent_id,
        "scopes": [scope("email.read", "email.read", Value::Null, true), scope("email.send", "Send", json!("high"), false)],
        "approved_scopes": null,
        "redirect_url": "https://app.example/done",
        "metadata": { "order": [7, "x"] },
        "created_at": START,
        "decided_at": null,
        "expires_at": "2026-03-01T10:30:00.000Z",
        "revoked_at": null,
        "revoked_by": null,
        "authorization_id": null,
    });
    assert_eq!(asked, expected);
    assert_eq!(consent(&server, &id).await, expected, "and goes on saying so");
    // Whoever has the id has the link: 128 bits, none of which is the time.
    let other = ask(&server, json!({})).await;
    assert_ne!(super::id(&other)[3..13], id[3..13]);
    assert_eq!(other["agent_id"], agent_id, "the first request made the default agent, the second found it");
}

#[tokio::test]
async fn every_field_at_fault_is_named() {
    let server = Server::start().await;
    let long = "x".repeat(3000);
    for (members, fields) in [
        (json!({ "end_user_ref": null }), vec!["end_user_ref"]),
        (json!({ "end_user_ref": "", "redirect_url": 1 }), vec!["end_user_ref", "redirect_url"]),
        (json!({ "scopes": [] }), vec!["scopes"]),
        (json!({ "scopes": "email" }), vec!["scopes"]),
        (json!({ "scopes": ["email"] }), vec!["scopes.0"]),
        (json!({ "scopes": [{ "key": "a" }, { "label": "b" }] }), vec!["scopes.1.key"]),
        (json!({ "scopes": [{ "key": "a" }, { "key": "a" }] }), vec!["scopes"]),
        (json!({ "scopes": (0..51).map(|i| json!({ "key": format!("s{i}") })).collect::<Vec<_>>() }), vec!["scopes"]),
        (json!({ "scopes": [{ "key": "a", "risk": "some" }] }), vec!["scopes.0.risk"]),
        (json!({ "scopes": [{ "key": "a", "risk": "LOW", "risk_level": "high" }] }), vec!["scopes.0.risk_level"]),
        (json!({ "scopes": [{ "key": "a", "reversible": "no", "label": long }] }), vec!["scopes.0.label", "scopes.0.reversible"]),
        (json!({ "expires_in": 0 }), vec!["expires_in"]),
        (json!({ "expires_in": 2_592_001 }), vec!["expires_in"]),
        (json!({ "expires_in": 60.5 }), vec!["expires_in"]),
        (json!({ "metadata": { "price": 1.5 } }), vec!["metadata.price"]),
        (json!({ "metadata": { "text": "x".repeat(17_000) } }), vec!["metadata"]),
        (json!({ "metadata": [1] }), vec!["metadata"]),
        (json!({ "agent_id": "ag_nobody" }), vec!["agent_id"]),
        (json!({ "redirect_url": "http://app.example/" }), vec!["redirect_url"]),
        (json!({ "redirect_url": "https://user:secret@app.example/" }), vec!["redirect_url"]),
        (json!({ "redirect_url": "https://app.example\\@evil.example/" }), vec!["redirect_url"]),
        (json!({ "redirect_url": "javascript:alert(1)" }), vec!["redirect_url"]),
        (json!({ "redirect_url": format!("https://app.example/{long}") }), vec!["redirect_url"]),
    ] {
        let before = server.records();
        let reply = try_ask(&server, members.clone()).await;
        let fields = fields.into_iter().map(str::to_owned).collect();
        assert_eq!(reply.permitly_error(), (422, "validation_error".to_owned(), fields), "{members}: {}", reply.text);
        assert_eq!(server.records(), before);
    }
    for (body, status, code) in [("{", 422, "validation_error"), ("[]", 422, "validation_error"), ("", 422, "validation_error")] {
        let reply = server.send_as(&server.api_key, Method::POST, "/v1/consent/request", Some(body.to_owned())).await;
        assert_eq!((reply.permitly_error().0, reply.permitly_error().1.as_str()), (status, code), "{body}");
    }
    // What is absent may be written out, and aliases agree in any letter case.
    let scopes = json!([{ "key": "a", "risk": "Low", "risk_level": "LOW", "label": "", "description": null }]);
    let asked =
        ask(&server, json!({ "scopes": scopes, "metadata": {}, "end_user_email": null, "expires_in": null, "agent_id": null })).await;
    assert_eq!((&asked["scopes"][0]["risk"], &asked["scopes"][0]["label"]), (&json!("low"), &json!("a")));
    for good in ["http://localhost:3000/cb", "http://127.0.0.1/", "https://app.example/x?y=1#z"] {
        assert_eq!(ask(&server, json!({ "redirect_url": good })).await["redirect_url"], good);
    }
}

#[tokio::test]
async fn keys_of_every_kind_are_held_to_what_they_may() {
    let server = Server::start().await;
    let path = format!("workspaces/{}/api-keys", server.workspace_id);
    let make = async |body: Value| server.admin(Method::POST, &path, Some(body)).await.json()["api_key"].as_str().unwrap().to_owned();
    let permitly = make(json!({ "name": "builder", "style": "permitly" })).await;
    assert!(permitly.starts_with("sk_live_"));
    let reader = make(json!({ "name": "board", "role": "read" })).await;
    // No key is sealed for who may not ask, whole as the body may be.
    let sealed = || server.app().keyring.sealed().unwrap().len();
    let (before, body) = (sealed(), json!({ "end_user_ref": "u", "scopes": [{ "key": "a" }], "redirect_url": "https://app.example/" }));
    let reply = server.send_as(&reader, Method::POST, "/v1/consent/request", Some(body.to_string())).await;
    assert_eq!((reply.permitly_error().0, sealed()), (403, before));
    let asked = ask(&server, json!({})).await;
    let path = format!("/v1/consent/{}", id(&asked));
    assert_eq!(server.send_as(&permitly, Method::GET, &path, None).await.json()["data"], asked);
    assert_eq!(server.send_as(&reader, Method::GET, &path, None).await.status, StatusCode::OK);
    for (method, path) in [
        (Method::POST, "/v1/consent/request"),
        (Method::DELETE, path.as_str()),
        (Method::POST, "/v1/consent/verify"),
        (Method::GET, "/v1/consent/manage-url"),
        (Method::POST, "/v1/consent-agents"),
    ] {
        let reply = server.send_as(&reader, method.clone(), path, None).await;
        assert_eq!((reply.permitly_error().0, reply.permitly_error().1.as_str()), (403, "forbidden"), "{method} {path}");
        let reply = server.send_as("sk_live_nobody", method.clone(), path, None).await;
        assert_eq!((reply.permitly_error().0, reply.permitly_error().1.as_str()), (401, "unauthenticated"), "{method} {path}");
    }
    // Of another workspace it is as if it did not exist.
    let (_, stranger) = server.other_workspace().await;
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(server.send_as(&stranger, method, &path, None).await.permitly_error().0, 404);
    }
}

#[tokio::test]
async fn a_retry_asks_nobody_twice() {
    let server = Server::start().await;
    let body = json!({ "end_user_ref": "u", "scopes": [{ "key": "a" }], "redirect_url": "https://app.example/" });
    let first = server.send_named("once", Method::POST, "/v1/consent/request", Some(body.clone())).await;
    let again = server.send_named("once", Method::POST, "/v1/consent/request", Some(body)).await;
    assert_eq!((again.status, again.json()), (first.status, first.json()));
    let other = server.send_named("once", Method::POST, "/v1/consent/request", Some(json!({ "end_user_ref": "v" }))).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(server.get("/v1/consent").await.json()["meta"]["total"], 1);
}

#[tokio::test]
async fn a_manage_link_is_for_one_person_and_one_hour() {
    let server = Server::start().await;
    ask(&server, json!({})).await;
    let reply = server.get("/v1/consent/manage-url?end_user_ref=user_1").await;
    let url = reply.json()["data"]["url"].as_str().unwrap().to_owned();
    let path = url.strip_prefix("https://allow.example").unwrap();
    assert_eq!(server.page(path).await.status, StatusCode::OK);
    for other in [format!("{path}A"), path[..path.len() - 2].to_owned(), "/manage/x".to_owned()] {
        assert_eq!(server.page(&other).await.status, StatusCode::NOT_FOUND, "{other}");
    }
    server.clock.advance_ms(60 * 60 * 1000 - 1);
    assert_eq!(server.page(path).await.status, StatusCode::OK);
    server.clock.advance_ms(1);
    assert_eq!(server.page(path).await.status, StatusCode::GONE);
    for query in ["", "?end_user_ref=", "?end_user_ref=a&end_user_ref=b"] {
        let reply = server.get(&format!("/v1/consent/manage-url{query}")).await;
        assert_eq!(reply.permitly_error(), (422, "validation_error".to_owned(), vec!["end_user_ref".to_owned()]), "{query}");
    }
}

#[tokio::test]
async fn addresses_are_kept_out_where_the_operator_wants_that() {
    let server = Server::start_with(|parts| parts.refuses_emails = true).await;
    let reply = try_ask(&server, json!({ "end_user_ref": "ann@example.com", "end_user_email": "ann@example.com" })).await;
    let fields = vec!["end_user_email".to_owned(), "end_user_ref".to_owned()];
    assert_eq!(reply.permitly_error(), (422, "validation_error".to_owned(), fields));
    let records = server.records();
    let reply = server.get("/v1/consent/manage-url?end_user_ref=ann@example.com").await;
    assert_eq!(reply.permitly_error(), (422, "validation_error".to_owned(), vec!["end_user_ref".to_owned()]));
    assert_eq!(server.records(), records);
}
