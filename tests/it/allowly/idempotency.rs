//! `Idempotency-Key`: a retry gets the first answer, and nothing is counted twice.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::Server;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// One call of every kind that leaves an event, each with the path that its predecessors made.
#[tokio::test]
async fn every_post_and_delete_is_answered_as_before() {
    let server = Server::start().await;
    let mut calls = 0;
    let mut twice = async |method: Method, path: &str, body: Value| -> Value {
        calls += 1;
        let name = format!("call-{calls}");
        let first = server.send_named(&name, method.clone(), path, Some(body.clone())).await;
        assert!(first.status.is_success(), "{path}: {}", first.text);
        let records = server.records();
        server.clock.advance_ms(1000);
        let again = server.send_named(&name, method.clone(), path, Some(body.clone())).await;
        assert_eq!((again.status, &again.text), (first.status, &first.text), "{path}");
        assert_eq!(server.records(), records, "{path}: nothing is stored twice");
        let mut other = body;
        other["something"] = json!("else");
        let other = server.send_named(&name, method, path, Some(other)).await;
        assert_eq!(other.error(), (422, "idempotency_key_reused".into()), "{path}");
        assert_eq!(server.records(), records);
        first.json()
    };
    let grant = json!({ "user_id": "u", "agent_id": "a", "scopes": ["s", "t", "v"], "requires_confirm_for": ["s"],
                        "requires_escalation_for": ["t"], "expires_at": "2026-04-01T00:00:00Z", "budget_limit_micros": 9 });
    let id = twice(Method::POST, "/v1/authorizations", grant).await["authorization_id"].clone();
    let check = json!({ "authorization_id": id, "scopes": ["s", "t", "v"], "estimated_cost_micros": 9, "context": { "b": 1, "a": 2 } });
    let results = twice(Method::POST, "/v1/check", check).await["results"].clone();
    assert_eq!(results["v"]["budget"]["spent_after_micros"], 9);
    let confirm = format!("/v1/confirmations/{}", results["s"]["confirm_nonce"].as_str().unwrap());
    twice(Method::POST, &confirm, json!({ "approved": true })).await;
    let resolve = format!("/v1/escalations/{}/resolve", results["t"]["escalation_id"].as_str().unwrap());
    let resolved = twice(Method::POST, &resolve, json!({ "resolution": "approved", "resolved_by": "bob" })).await;
    assert_eq!(resolved["receipt"]["status"], "pending", "the first answer, not that of the same resolution again");
    twice(Method::POST, "/v1/agent-scope-bundles", json!({ "id": "b", "agent_id": "a", "scopes": ["s"] })).await;
    twice(Method::DELETE, "/v1/agent-scope-bundles/b", json!({})).await;
    let tombstone = twice(Method::POST, "/v1/tombstones", json!({ "resource": "r" })).await["tombstone_id"].clone();
    twice(Method::DELETE, &format!("/v1/tombstones/{}", tombstone.as_str().unwrap()), json!({})).await;
    twice(Method::DELETE, &format!("/v1/authorizations/{}", id.as_str().unwrap()), json!({ "revoked_by": "user" })).await;
}

#[tokio::test]
async fn a_request_is_its_method_its_path_and_what_its_body_says() {
    let server = Server::start().await;
    let (_, foreign) = server.other_workspace().await;
    let id = server.grant(json!({})).await;
    let body = format!(r#"{{"authorization_id":"{id}","scopes":["email.read"],"context":{{"a":1,"b":"\u00e9"}}}}"#);
    let spelt = format!(r#" {{ "context" : {{ "b":"é", "a": 1 }}, "scopes": ["email.read"], "authorization_id": "{id}" }} "#);
    let send = async |key: &str, name: &str, path: &str, body: &str| {
        let request = axum::http::Request::post(path)
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json")
            .header("idempotency-key", name);
        crate::harness::send(&server.router, request.body(axum::body::Body::from(body.to_owned())).unwrap()).await
    };
    let first = send(&server.api_key, "n", "/v1/check", &body).await;
    assert_eq!(send(&server.api_key, "n", "/v1/check", &spelt).await.text, first.text, "order, space and escapes say nothing");
    let waited = send(&server.api_key, "n", "/v1/check?wait=true", &body).await.json();
    let (status, of_first) = (&waited["results"]["email.read"]["receipt"]["status"], &first.json()["results"]["email.read"]["receipt"]);
    assert_eq!(status, "signed", "whoever waits now gets the receipt of the first");
    assert_eq!(waited["results"]["email.read"]["receipt"]["receipt"]["receipt_id"], of_first["receipt_id"]);
    let absent = body.replacen('{', r#"{"session_id":null,"estimated_cost_micros":[],"anything":{},"#, 1);
    assert_eq!(send(&server.api_key, "n", "/v1/check", &absent).await.text, first.text, "what is absent says nothing");
    let elsewhere = send(&server.api_key, "n", "/v1/tombstones", r#"{"resource":"r"}"#).await;
    assert_eq!(elsewhere.error(), (422, "idempotency_key_reused".into()));
    let theirs = send(&foreign, "n", "/v1/check", &body).await.json();
    assert_eq!(theirs["results"]["email.read"]["reason"], "authorization_not_found", "the key of another workspace is another");
    // A body that cannot be written canonically is told apart by its bytes.
    let odd = body.replace("\"scopes\"", "\"ignored\":1.5,\"scopes\"");
    let first = send(&server.api_key, "odd", "/v1/check", &odd).await;
    assert_eq!(send(&server.api_key, "odd", "/v1/check", &odd).await.text, first.text);
    assert_eq!(send(&server.api_key, "odd", "/v1/check", &odd.replace("1.5", "1.6")).await.error(), (422, "idempotency_key_reused".into()));
}

#[tokio::test]
async fn no_body_is_an_empty_one() {
    let server = Server::start().await;
    let path = format!("/v1/authorizations/{}", server.grant(json!({})).await);
    let first = server.send_named("r", Method::DELETE, &path, None).await;
    assert_eq!(first.status, StatusCode::OK);
    for body in [json!({}), json!(null), json!([]), json!({ "revoked_by": null, "notes": {} })] {
        assert_eq!(server.send_named("r", Method::DELETE, &path, Some(body.clone())).await.text, first.text, "{body}");
    }
    let other = server.send_named("r", Method::DELETE, &path, Some(json!({ "revoked_by": "user" }))).await;
    assert_eq!(other.error(), (422, "idempotency_key_reused".into()));
}

#[tokio::test]
async fn a_refusal_is_not_remembered_and_a_day_is() {
    let server = Server::start().await;
    let id = server.grant(json!({ "expires_at": "2026-04-01T00:00:00Z" })).await;
    let (path, bad) = ("/v1/agent-scope-bundles/b", json!({}));
    assert_eq!(server.send_named("k", Method::DELETE, path, Some(bad)).await.error(), (404, "not_found".into()));
    server.post("/v1/agent-scope-bundles", json!({ "id": "b", "agent_id": "a", "scopes": ["s"] })).await;
    assert_eq!(server.send_named("k", Method::DELETE, path, Some(json!({}))).await.status, StatusCode::OK);

    let body = json!({ "authorization_id": id, "scopes": ["email.read"] });
    let first = server.send_named("d", Method::POST, "/v1/check", Some(body.clone())).await.text;
    server.clock.advance_ms(DAY_MS - 1);
    assert_eq!(server.send_named("d", Method::POST, "/v1/check", Some(body.clone())).await.text, first);
    server.clock.advance_ms(1);
    let other = json!({ "authorization_id": id, "scopes": ["email.send"] });
    let reply = server.send_named("d", Method::POST, "/v1/check", Some(other)).await;
    assert_eq!(reply.json()["results"]["email.send"]["decision"], "allow", "after 24 h the key is free");
}

#[tokio::test]
async fn names_that_are_none() {
    let server = Server::start().await;
    let before = server.records();
    for name in ["", " ", "a b", "é", &"x".repeat(256)] {
        let reply = server.send_named(name, Method::POST, "/v1/tombstones", Some(json!({ "resource": "r" }))).await;
        assert_eq!(reply.fields(), ["headers.Idempotency-Key"], "{name:?}");
    }
    assert_eq!(server.records(), before);
    let long = "x".repeat(255);
    let reply = server.send_named(&long, Method::POST, "/v1/tombstones", Some(json!({ "resource": "r" }))).await;
    assert_eq!(reply.status, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_checks_each_sent_twice() {
    let server = Arc::new(Server::start().await);
    let scopes = json!([{ "name": "s", "constraints": { "max_per_day": 1_000_000 } }]);
    let id = Arc::new(server.grant(json!({ "scopes": scopes, "budget_limit_micros": 10_000 })).await);
    let before = server.records();
    let clients: Vec<_> = (0..50)
        .map(|client| {
            let (server, id) = (Arc::clone(&server), Arc::clone(&id));
            tokio::spawn(async move {
                for n in 0..200 {
                    let body = json!({ "authorization_id": *id, "scopes": ["s"], "estimated_cost_micros": 1, "context": { "n": n } });
                    let name = format!("{client}-{n}");
                    let send = || server.send_named(&name, Method::POST, "/v1/check", Some(body.clone()));
                    // Half of them race, half come when the first has its answer.
                    let (first, again) = if n % 2 == 0 { tokio::join!(send(), send()) } else { (send().await, send().await) };
                    assert_eq!((first.status, &first.text), (StatusCode::OK, &again.text));
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(server.records() - before, 10_000, "one event each");
    let stands = server.get(&format!("/v1/authorizations/{id}")).await.json();
    assert_eq!(stands["budget_spent_micros"], 10_000);
}
