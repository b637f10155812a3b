//! `/admin/v1`

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{ADMIN_TOKEN, Reply, Server};

async fn admin(server: &Server, method: Method, path: &str, body: Option<Value>) -> Reply {
    server.send_as(ADMIN_TOKEN, method, &format!("/admin/v1/{path}"), body.map(|b| b.to_string())).await
}

#[tokio::test]
async fn a_new_workspace_works_at_once_and_sees_nobody_else() {
    let server = Server::start().await;
    let created = admin(&server, Method::POST, "workspaces", Some(json!({ "name": "acme" }))).await;
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
    let created = admin(&server, Method::POST, &path, Some(json!({ "name": "worker" }))).await.json();
    let key = created["api_key"].as_str().unwrap().to_owned();
    let id = created["api_key_id"].as_str().unwrap().to_owned();
    let probe = async || server.send_as(&key, Method::GET, "/v1/receipts/x", None).await.status;
    assert_eq!(probe().await, StatusCode::NOT_FOUND);
    let listed = admin(&server, Method::GET, &path, None).await;
    assert!(!listed.text.contains(&key), "secrets are shown once");
    let names: Vec<_> = listed.json()["items"].as_array().unwrap().iter().map(|k| k["name"].clone()).collect();
    assert_eq!(names.len(), 2);
    assert!(names.contains(&json!("worker")) && names.contains(&json!("first")));
    let revoked = admin(&server, Method::DELETE, &format!("{path}/{id}"), None).await;
    assert_eq!(revoked.json()["revoked_at"], "2026-03-01T10:00:00.000Z");
    assert_eq!(probe().await, StatusCode::UNAUTHORIZED, "from the next request on");
    assert_eq!(admin(&server, Method::DELETE, &format!("{path}/{id}"), None).await.error(), (409, "conflict".into()));
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
    assert_eq!(admin(&server, Method::POST, "workspaces", Some(json!({ "name": "" }))).await.fields(), ["body.name"]);
    assert_eq!(admin(&server, Method::POST, "workspaces", None).await.fields(), ["body.name"]);
    let (method, body) = (Method::POST, Some("{}".to_owned()));
    assert_eq!(server.send_as("", method, "/admin/v1/workspaces", body).await.error(), (401, "unauthorized".into()), "no token");
    for path in ["%ff/api-keys", "%ff/signing-keys", "x/signing-keys"] {
        let reply = admin(&server, Method::POST, &format!("workspaces/{path}"), Some(json!({ "name": "k" }))).await;
        assert_eq!(reply.error(), (404, "not_found".into()), "{path}");
    }
    assert_eq!(admin(&server, Method::DELETE, "workspaces/%ff/api-keys/%ff", None).await.error(), (404, "not_found".into()));
    for path in ["workspaces/x/api-keys", "workspaces/ws_01ARZ3NDEKTSV4RRFFQ69G5FAV/api-keys"] {
        assert_eq!(admin(&server, Method::GET, path, None).await.error(), (404, "not_found".into()));
        assert_eq!(admin(&server, Method::POST, path, Some(json!({ "name": "k" }))).await.error(), (404, "not_found".into()));
    }
    let own = admin(&server, Method::GET, &format!("workspaces/{}/api-keys", server.workspace_id), None).await.json();
    let key = own["items"][0]["api_key_id"].as_str().unwrap().to_owned();
    let foreign = admin(&server, Method::DELETE, &format!("workspaces/{other}/api-keys/{key}"), None).await;
    assert_eq!(foreign.error(), (404, "not_found".into()));
    assert_eq!(server.records(), before);
}
