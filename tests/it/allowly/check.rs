//! `/v1/check`

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::Server;

#[tokio::test]
async fn answers_with_every_member() {
    let server = Server::start().await;
    let id = server.grant(json!({ "requires_confirm_for": ["email.send"] })).await;
    let body =
        json!({ "authorization_id": id, "scopes": ["email.send", "email.read", "email.purge"], "session_id": "s1", "context": { "a": 1 } });
    let mut body = server.post("/v1/check", body).await.json();
    for scope in ["email.send", "email.read", "email.purge"] {
        let receipt = body["results"][scope]["receipt"].take();
        assert_eq!(receipt["status"], "pending");
        assert_eq!(receipt["ready_at_estimate"], "2026-03-01T10:00:00.500Z");
        assert!(receipt["url"].as_str().unwrap().ends_with(receipt["receipt_id"].as_str().unwrap()));
    }
    assert!(body["results"]["email.send"]["confirm_nonce"].take().as_str().unwrap().starts_with("cnf_"));
    assert_eq!(
        body,
        json!({
            "authorization_id": id,
            "user_id": "user_1",
            "agent_id": "mailer",
            "authorization_expires_at": "2026-03-03T10:00:00.000Z",
            "policy_version": "2026-11-26.1",
            "results": {
                "email.send": {
                    "decision": "confirm", "reason": "scope_requires_user_confirmation", "receipt": null,
                    "confirm_nonce": null, "confirm_expires_at": "2026-03-01T10:05:00.000Z", "confirm_prompt_hint": "email.send",
                },
                "email.read": { "decision": "allow", "reason": "authorization_granted_scope_active", "receipt": null },
                "email.purge": { "decision": "deny", "reason": "scope_not_authorized", "receipt": null },
            },
        })
    );
}

#[tokio::test]
async fn an_unknown_authorization_is_a_denial_with_a_receipt() {
    let server = Server::start().await;
    let (_, foreign) = server.other_workspace().await;
    let id = server.grant(json!({})).await;
    for asked in ["auth_01ARZ3NDEKTSV4RRFFQ69G5FAV", "whatever", "böse/../\u{1f600}", &id] {
        let body = json!({ "authorization_id": asked, "scopes": ["email.read"] });
        let reply = server.send_as(&foreign, Method::POST, "/v1/check", Some(body.to_string())).await;
        assert_eq!(reply.status, StatusCode::OK);
        let answer = reply.json();
        assert_eq!(answer["authorization_id"], asked);
        assert_eq!(answer["authorization_expires_at"], Value::Null);
        assert_eq!(answer["results"]["email.read"]["reason"], "authorization_not_found");
    }
    let receipt_id = server.check("nothing", "s", None).await["receipt"]["receipt_id"].clone();
    let receipt = server.signed_receipt(receipt_id.as_str().unwrap()).await;
    assert_eq!(receipt["authorization_id"], Value::Null);
    assert_eq!((&receipt["user_id"], &receipt["agent_id"]), (&json!("unknown"), &json!("unknown")));
}

#[tokio::test]
async fn waiting_brings_the_signed_receipt() {
    let server = Server::start().await;
    let id = server.grant(json!({})).await;
    let body = json!({ "authorization_id": id, "scopes": ["email.read", "email.send"], "resource": "r", "session_id": "s", "context": { "é": "\n" } });
    let answer = server.post("/v1/check?wait=true", body.clone()).await.json();
    for scope in ["email.read", "email.send"] {
        let receipt = &answer["results"][scope]["receipt"];
        assert_eq!(receipt["status"], "signed", "{answer}");
        assert_eq!(receipt["receipt"]["scope"], scope);
        assert_eq!(receipt["receipt"]["context"], json!({ "session_id": "s", "é": "\n" }));
        assert_eq!(server.signed_receipt(receipt["receipt"]["receipt_id"].as_str().unwrap()).await, receipt["receipt"]);
    }
    let before = server.records();
    let spellings = [("True", true), ("1", true), ("%74rue", true), ("false&wait=true", true), ("maybe", false), ("", false)];
    for (wait, waits) in spellings {
        let answer = server.post(&format!("/v1/check?wait={wait}"), body.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{wait}: never fails a check");
        let status = answer.json()["results"]["email.read"]["receipt"]["status"].clone();
        assert_eq!(status, if waits { "signed" } else { "pending" }, "{wait}");
    }
    assert_eq!(server.records(), before + 12);
}

#[tokio::test]
async fn static_constraints_deny() {
    let server = Server::start().await;
    let scopes = json!([
        { "name": "read", "constraints": { "resource_pattern": "mail:*@example.com" } },
        { "name": "run", "constraints": { "allowed_initiators": ["cron", "user"] } },
    ]);
    let id = server.grant(json!({ "scopes": scopes })).await;
    for (resource, decision) in [(Some("mail:bob@example.com"), "allow"), (Some("mail:bob@example.org"), "deny"), (None, "deny")] {
        assert_eq!(server.decide(&id, "read", resource).await.0, decision, "{resource:?}");
    }
    for (context, decision) in [
        (json!({ "initiated_by": "cron" }), "allow"),
        (json!({ "initiated_by": "Cron" }), "deny"),
        (json!({ "initiated_by": ["cron"] }), "deny"),
        (json!(null), "deny"),
    ] {
        let reply = server.post("/v1/check", json!({ "authorization_id": id, "scopes": ["run"], "context": context })).await;
        assert_eq!(reply.json()["results"]["run"]["decision"], decision, "{context}");
    }
}

#[tokio::test]
async fn refuses_what_is_malformed_and_stores_nothing() {
    let server = Server::start().await;
    let id = server.grant(json!({})).await;
    let before = server.records();
    let raw = |members: &str| format!(r#"{{"authorization_id":"{id}","scopes":["email.read"],{members}}}"#);
    let deep = format!(r#""context":{}1{}"#, r#"{"a":"#.repeat(33), "}".repeat(33));
    let fat = format!(r#""context":{{"a":"{}"}}"#, "x".repeat(4089));
    let scopes: Vec<String> = (0..26).map(|i| format!("\"s{i}\"")).collect();
    for (body, field) in [
        (r#"{"scopes":["s"]}"#.to_owned(), "body.authorization_id"),
        (r#"{"authorization_id":null,"scopes":["s"]}"#.to_owned(), "body.authorization_id"),
        (r#"{"authorization_id":"","scopes":["s"]}"#.to_owned(), "body.authorization_id"),
        (format!(r#"{{"authorization_id":"{}","scopes":["s"]}}"#, "x".repeat(257)), "body.authorization_id"),
        (r#"{"authorization_id":"a","scopes":[]}"#.to_owned(), "body.scopes"),
        (r#"{"authorization_id":"a","scopes":["s","s"]}"#.to_owned(), "body.scopes"),
        (r#"{"authorization_id":"a","scopes":["s",7]}"#.to_owned(), "body.scopes[1]"),
        (r#"{"authorization_id":"a","scopes":["s"],"scopes":["t"]}"#.to_owned(), "body.scopes"),
        (format!(r#"{{"authorization_id":"a","scopes":[{}]}}"#, scopes.join(",")), "body.scopes"),
        (raw(r#""resource":7"#), "body.resource"),
        (raw(&format!(r#""resource":"{}""#, "x".repeat(513))), "body.resource"),
        (raw(r#""session_id":{"a":1}"#), "body.session_id"),
        (raw(r#""estimated_cost_micros":-1"#), "body.estimated_cost_micros"),
        (raw(r#""estimated_cost_micros":1.0"#), "body.estimated_cost_micros"),
        (raw(r#""estimated_cost_micros":9007199254740992"#), "body.estimated_cost_micros"),
        (raw(r#""context":[1]"#), "body.context"),
        (raw(r#""context":{"budget":1}"#), "body.context.budget"),
        (raw(r#""context":{"escalation":null}"#), "body.context.escalation"),
        (raw(r#""context":{"session_id":"s"}"#), "body.context.session_id"),
        (raw(r#""context":{"a":[{"b":1.5}]}"#), "body.context.a[0].b"),
        (raw(r#""context":{"a":-9007199254740992}"#), "body.context.a"),
        (raw(r#""context":{"a":{"b":1,"b":2}}"#), "body.context.a.b"),
        (raw(r#""context":{"a":"\ud800"}"#), "body.context.a"),
        (raw(&deep), "body.context"),
        (raw(&fat), "body.context"),
    ] {
        let reply = server.send_as(&server.api_key, Method::POST, "/v1/check", Some(body.clone())).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{body:.200}: {}", reply.text);
        assert_eq!(reply.fields(), [field], "{body:.200}: {}", reply.text);
    }
    for body in ["", "null", "7"] {
        let reply = server.send_as(&server.api_key, Method::POST, "/v1/check", Some(body.to_owned())).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", reply.text);
    }
    assert_eq!(server.records(), before, "nothing was stored");
    // At the very bounds it is taken.
    let fits = format!(r#""context":{{"a":"{}"}}"#, "x".repeat(4088));
    let deep = format!(r#""context":{}1{}"#, r#"{"a":"#.repeat(32), "}".repeat(32));
    for members in [fits, deep] {
        let reply = server.send_as(&server.api_key, Method::POST, "/v1/check", Some(raw(&members))).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    }
}
