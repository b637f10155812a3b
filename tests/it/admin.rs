//! `/admin/v1`

use allowlog::log::backup::Backup;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::harness::{ADMIN_TOKEN, Server};

#[tokio::test]
async fn a_new_workspace_works_at_once_and_sees_nobody_else() {
    let server = Server::start().await;
    let created = server.admin(Method::POST, "workspaces", Some(json!({ "name": "acme" }))).await;
    assert_eq!(created.status, StatusCode::CREATED);
    let key = created.json()["api_key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("allowly_l1_s001_"));
    let body = json!({ "user_id": "u", "agent_id": "a", "scopes": ["s"], "expires_at": "2027-01-01T00:00:00Z" });
    let grant = server.send_as(&key, Method::POST, "/v1/authorizations", Some(body.to_string())).await;
    let id = grant.json()["authorization_id"].as_str().unwrap().to_owned();
    assert_eq!(server.decide(&id, "s", None).await.1, "authorization_not_found");
}

#[tokio::test]
async fn api_keys_live_and_die() {
    let server = Server::start().await;
    let path = format!("workspaces/{}/api-keys", server.workspace_id);
    let created = server.admin(Method::POST, &path, Some(json!({ "name": "worker" }))).await.json();
    let key = created["api_key"].as_str().unwrap().to_owned();
    let id = created["api_key_id"].as_str().unwrap().to_owned();
    let probe = async || server.send_as(&key, Method::GET, "/v1/receipts/x", None).await.status;
    assert_eq!(probe().await, StatusCode::NOT_FOUND);
    let listed = server.admin(Method::GET, &path, None).await;
    assert!(!listed.text.contains(&key), "secrets are shown once");
    let names: Vec<_> = listed.json()["items"].as_array().unwrap().iter().map(|k| k["name"].clone()).collect();
    assert_eq!(names.len(), 2);
    assert!(names.contains(&json!("worker")) && names.contains(&json!("first")));
    let revoked = server.admin(Method::DELETE, &format!("{path}/{id}"), None).await;
    assert_eq!(revoked.json()["revoked_at"], "2026-03-01T10:00:00.000Z");
    assert_eq!(probe().await, StatusCode::UNAUTHORIZED, "from the next request on");
    assert_eq!(server.admin(Method::DELETE, &format!("{path}/{id}"), None).await.error(), (409, "conflict".into()));
}

#[tokio::test]
async fn refusals() {
    let server = Server::start().await;
    let (other, _) = server.other_workspace().await;
    let before = server.records();
    let as_caller = server.send_as(&server.api_key, Method::POST, "/admin/v1/workspaces", Some("{}".into())).await;
    assert_eq!(as_caller.error(), (401, "unauthorized".into()), "an API key is no admin token");
    assert_eq!(
        server.send_as(ADMIN_TOKEN, Method::GET, "/v1/receipts/x", None).await.status,
        StatusCode::UNAUTHORIZED,
        "nor the other way round"
    );
    assert_eq!(server.admin(Method::POST, "workspaces", Some(json!({ "name": "" }))).await.fields(), ["body.name"]);
    assert_eq!(server.admin(Method::POST, "workspaces", None).await.fields(), ["body.name"]);
    let (method, body) = (Method::POST, Some("{}".to_owned()));
    assert_eq!(server.send_as("", method, "/admin/v1/workspaces", body).await.error(), (401, "unauthorized".into()), "no token");
    for path in ["%ff/api-keys", "%ff/signing-keys", "x/signing-keys"] {
        let reply = server.admin(Method::POST, &format!("workspaces/{path}"), Some(json!({ "name": "k" }))).await;
        assert_eq!(reply.error(), (404, "not_found".into()), "{path}");
    }
    assert_eq!(server.admin(Method::DELETE, "workspaces/%ff/api-keys/%ff", None).await.error(), (404, "not_found".into()));
    for path in ["workspaces/x/api-keys", "workspaces/ws_01ARZ3NDEKTSV4RRFFQ69G5FAV/api-keys"] {
        assert_eq!(server.admin(Method::GET, path, None).await.error(), (404, "not_found".into()));
        assert_eq!(server.admin(Method::POST, path, Some(json!({ "name": "k" }))).await.error(), (404, "not_found".into()));
    }
    let own = server.admin(Method::GET, &format!("workspaces/{}/api-keys", server.workspace_id), None).await.json();
    let key = own["items"][0]["api_key_id"].as_str().unwrap().to_owned();
    let foreign = server.admin(Method::DELETE, &format!("workspaces/{other}/api-keys/{key}"), None).await;
    assert_eq!(foreign.error(), (404, "not_found".into()));
    assert_eq!(server.records(), before);
}

#[tokio::test]
async fn a_workspace_has_a_name_and_a_plan() {
    let server = Server::start().await;
    let created = server.admin(Method::POST, "workspaces", Some(json!({ "name": "acme", "plan": "free" }))).await.json();
    let (id, key) = (created["workspace_id"].as_str().unwrap().to_owned(), created["api_key"].as_str().unwrap().to_owned());
    let path = format!("workspaces/{id}");
    let mut expected = json!({ "workspace_id": id, "name": "acme", "plan": "free", "created_at": "2026-03-01T10:00:00.000Z" });
    assert_eq!(server.admin(Method::GET, &path, None).await.json(), expected);
    let body = json!({ "user_id": "u", "agent_id": "a", "scopes": ["s"], "expires_at": "2027-01-01T00:00:00Z", "budget_limit_micros": 5 });
    let create = async || server.send_as(&key, Method::POST, "/v1/authorizations", Some(body.to_string())).await;
    assert_eq!(create().await.error(), (402, "budget_plan_required".into()));
    expected["plan"] = json!("pro");
    assert_eq!(server.admin(Method::PATCH, &path, Some(json!({ "plan": "pro" }))).await.json(), expected);
    let granted = create().await.json()["authorization_id"].as_str().unwrap().to_owned();
    let records = server.records();
    assert_eq!(server.admin(Method::PATCH, &path, Some(json!({ "plan": "pro", "name": "acme" }))).await.json(), expected);
    assert_eq!(server.records(), records, "nothing changed, nothing is recorded");
    expected["plan"] = json!("free");
    expected["name"] = json!("Acme");
    assert_eq!(server.admin(Method::PATCH, &path, Some(json!({ "plan": "free", "name": "Acme" }))).await.json(), expected);
    let stands = server.send_as(&key, Method::GET, &format!("/v1/authorizations/{granted}"), None).await.json();
    assert_eq!(stands["budget_limit_micros"], 5, "what was granted stays");
    assert_eq!(server.admin(Method::GET, "workspaces", None).await.json()["items"][1], expected);
    for (body, field) in [(json!({}), "body.name"), (json!({ "plan": "gold" }), "body.plan"), (json!({ "name": "" }), "body.name")] {
        assert_eq!(server.admin(Method::PATCH, &path, Some(body)).await.fields(), [field]);
    }
    for unknown in ["workspaces/x", "workspaces/ws_01ARZ3NDEKTSV4RRFFQ69G5FAV"] {
        assert_eq!(server.admin(Method::GET, unknown, None).await.error(), (404, "not_found".into()));
        assert_eq!(server.admin(Method::PATCH, unknown, Some(json!({ "plan": "pro" }))).await.error(), (404, "not_found".into()));
    }
}

#[tokio::test]
async fn an_api_key_has_a_style_a_role_and_an_end() {
    let server = Server::start().await;
    let path = format!("workspaces/{}/api-keys", server.workspace_id);
    let make = async |body: Value| server.admin(Method::POST, &path, Some(body)).await.json();
    let id = server.grant(json!({})).await;
    let check = json!({ "authorization_id": id, "scopes": ["email.read"] }).to_string();
    for (style, prefix) in [("allowly", "allowly_l1_s001_"), ("permitly", "sk_live_"), ("affixio", "aff_")] {
        let key = make(json!({ "name": style, "style": style })).await["api_key"].as_str().unwrap().to_owned();
        assert!(key.starts_with(prefix), "{key}");
        assert_eq!(server.send_as(&key, Method::POST, "/v1/check", Some(check.clone())).await.status, StatusCode::OK);
    }
    let reader = make(json!({ "name": "auditor", "role": "read" })).await;
    assert_eq!((&reader["role"], &reader["style"], &reader["expires_at"]), (&json!("read"), &json!("allowly"), &Value::Null));
    let key = reader["api_key"].as_str().unwrap();
    let before = server.records();
    for (method, path) in [
        (Method::POST, "/v1/check".to_owned()),
        (Method::POST, "/v1/authorizations".to_owned()),
        (Method::DELETE, format!("/v1/authorizations/{id}")),
        (Method::POST, "/v1/confirmations/x".to_owned()),
        (Method::POST, "/v1/escalations/x/resolve".to_owned()),
        (Method::POST, "/v1/agent-scope-bundles".to_owned()),
        (Method::DELETE, "/v1/agent-scope-bundles/x".to_owned()),
        (Method::POST, "/v1/tombstones".to_owned()),
        (Method::DELETE, "/v1/tombstones/x".to_owned()),
    ] {
        for body in [check.as_str(), "{}", "{"] {
            let reply = server.send_as(key, method.clone(), &path, Some(body.to_owned())).await;
            assert_eq!(reply.error(), (403, "forbidden".into()), "{method} {path} {body}");
        }
    }
    assert_eq!(server.records(), before);
    for path in ["/v1/authorizations", "/v1/escalations", "/v1/tombstones", "/v1/agent-scope-bundles", &format!("/v1/authorizations/{id}")]
    {
        assert_eq!(server.send_as(key, Method::GET, path, None).await.status, StatusCode::OK, "{path}");
    }
    let soon = make(json!({ "name": "soon", "expires_at": "2026-03-01T10:00:01Z" })).await;
    let key = soon["api_key"].as_str().unwrap();
    let probe = async || server.send_as(key, Method::POST, "/v1/check", Some(check.clone())).await.status;
    assert_eq!(soon["expires_at"], "2026-03-01T10:00:01.000Z");
    server.clock.advance_ms(999);
    assert_eq!(probe().await, StatusCode::OK);
    server.clock.advance_ms(1);
    assert_eq!(probe().await, StatusCode::UNAUTHORIZED, "the end is exclusive");
    assert_eq!(server.send_as(key, Method::GET, "/v1/authorizations", None).await.error(), (401, "unauthorized".into()));
    let late = server.admin(Method::POST, &path, Some(json!({ "name": "late", "expires_at": "2026-03-01T10:00:01Z" }))).await;
    assert_eq!(late.fields(), ["body.expires_at"]);
    for (body, field) in [(json!({ "name": "n", "style": "x" }), "body.style"), (json!({ "name": "n", "role": "admin" }), "body.role")] {
        assert_eq!(server.admin(Method::POST, &path, Some(body)).await.fields(), [field]);
    }
}

#[tokio::test]
async fn signing_keys_rotate_in_half_open_windows() {
    let server = Server::start().await;
    let id = server.grant(json!({})).await;
    let path = format!("workspaces/{}/signing-keys", server.workspace_id);
    let mut receipts = Vec::new();
    for rotation in 0..4 {
        for _ in 0..3 {
            let result = server.check(&id, "email.read", None).await;
            receipts.push(result["receipt"]["receipt_id"].as_str().unwrap().to_owned());
        }
        // Within the same millisecond, and in a later one.
        server.clock.advance_ms(rotation % 2);
        assert_eq!(server.admin(Method::POST, &path, None).await.status, StatusCode::CREATED);
    }
    let document = server.admin(Method::GET, &path, None).await.json();
    assert_eq!(document, server.get(&format!("/v1/workspaces/{}/keys", server.workspace_id)).await.json());
    let keys = document["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 5);
    for pair in keys.windows(2) {
        assert_eq!(pair[0]["active_until"], pair[1]["active_from"]);
    }
    assert_eq!(keys[4]["active_until"], Value::Null);
    for id in receipts {
        let receipt = server.signed_receipt(&id).await;
        let issued_at = receipt["issued_at"].as_str().unwrap();
        let covers = |key: &&Value| {
            key["active_from"].as_str().unwrap() <= issued_at && key["active_until"].as_str().is_none_or(|until| issued_at < until)
        };
        let active: Vec<&Value> = keys.iter().filter(covers).map(|key| &key["key_id"]).collect();
        assert_eq!(active, [&receipt["signature"]["key_id"]], "signed by the key that was active when it was issued");
    }
}

#[tokio::test]
async fn a_backup_is_the_whole_log_and_only_the_operators() {
    let server = Server::start().await;
    let grant = server.grant(json!({})).await;
    server.check(&grant, "email.send", None).await;
    let path = "/admin/v1/backup";
    assert_eq!(server.send_as(&server.api_key, Method::GET, path, None).await.error(), (401, "unauthorized".into()));
    let request = Request::get(path).header("authorization", format!("Bearer {ADMIN_TOKEN}")).body(Body::empty()).unwrap();
    let response = server.router.clone().oneshot(request).await.unwrap();
    assert_eq!((response.status(), &response.headers()["content-type"]), (StatusCode::OK, &"application/octet-stream".parse().unwrap()));
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let mut backup = Backup::open(bytes.as_ref()).unwrap();
    assert_eq!(backup.keys.len(), 1);
    let frames: Vec<_> = backup.by_ref().map(Result::unwrap).collect();
    assert_eq!(backup.summary().records, server.records());
    assert_eq!(frames, server.store.scan(0).map(Result::unwrap).collect::<Vec<_>>());
}
