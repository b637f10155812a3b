//! `/v1/orgs` and `/v1/api-keys`, and where a key may stand.

use axum::http::{Method, StatusCode};
use serde_json::json;

use super::{NOBODY, call, json_of, org, text};
use crate::harness::{ADMIN_TOKEN, Server, send};

const HOUR_MS: u64 = 60 * 60 * 1000;

#[tokio::test]
async fn the_operator_makes_orgs_and_keys() {
    let server = Server::start().await;
    let admin = format!("Bearer {ADMIN_TOKEN}");
    let post = async |path: &str, body| call(&server, &[("authorization", &admin)], Method::POST, path, Some(body)).await;
    let made = json_of(&post("/v1/orgs", json!({ "name": "Acme", "metadata": { "a": 1 } })).await, StatusCode::CREATED);
    assert_eq!((&made["id"], &made["status"], &made["name"]), (&made["org_id"], &json!("active"), &json!("Acme")));
    // An org is a workspace, under the same 26 characters.
    let workspace = text(&made, "id").replace("org_", "ws_");
    assert_eq!(server.admin(Method::GET, &format!("workspaces/{workspace}"), None).await.json()["plan"], "enterprise");
    assert_eq!(server.admin(Method::GET, &format!("workspaces/{workspace}/api-keys"), None).await.json()["items"], json!([]));
    let key = json_of(&post("/v1/api-keys", json!({ "orgId": made["id"], "name": "shop" })).await, StatusCode::CREATED);
    assert_eq!((&key["key"], &key["orgId"]), (&key["api_key"], &made["id"]));
    // Under the same 26 characters the operator knows it.
    let known = server.admin(Method::GET, &format!("workspaces/{workspace}/api-keys"), None).await.json();
    assert_eq!(known["items"][0]["api_key_id"], text(&key, "id").replace("key_", "ak_"));
    let (key, prefix) = (text(&key, "key"), text(&key, "keyPrefix"));
    assert!(key.starts_with("aff_") && key.starts_with(&format!("{prefix}_")) && prefix.len() == "aff_".len() + 26, "{prefix}");
    // It opens that org, in every API.
    let agent = json!({ "name": "n", "type": "service", "owner_org_id": made["id"] });
    assert_eq!(server.send_as(&key, Method::POST, "/v1/agents", Some(agent.to_string())).await.status, StatusCode::CREATED);
    assert_eq!(server.send_as(&key, Method::GET, "/v1/receipts", None).await.status, StatusCode::OK);
    for (path, body, expected) in [
        ("/v1/orgs", json!({}), (400, "invalid_request", vec!["name"])),
        ("/v1/api-keys", json!({ "name": 7 }), (400, "invalid_request", vec!["org_id", "name"])),
        ("/v1/api-keys", json!({ "orgId": format!("org_{NOBODY}") }), (404, "not_found", vec![])),
        ("/v1/api-keys", json!({ "orgId": "whatever" }), (404, "not_found", vec![])),
    ] {
        let (status, code, fields) = post(path, body).await.affixio_error();
        assert_eq!((status, code.as_str(), fields.iter().map(String::as_str).collect()), expected, "{path}");
    }
}

#[tokio::test]
async fn a_key_makes_keys_of_its_own_org() {
    let server = Server::start().await;
    let body = json!({ "orgId": org(&server) });
    let made = json_of(&server.post("/v1/api-keys", body.clone()).await, StatusCode::CREATED);
    let by_it = server.send_as(&text(&made, "key"), Method::POST, "/v1/api-keys", Some(body.to_string())).await;
    assert_eq!(by_it.status, StatusCode::CREATED, "{}", by_it.text);
    // A retry cannot be told a secret again, so it makes another key.
    let named = async || server.send_named("name", Method::POST, "/v1/api-keys", Some(body.clone())).await.json();
    assert_ne!(named().await["key"], named().await["key"]);
    let (other, _) = server.other_workspace().await;
    for org in [other.replace("ws_", "org_"), format!("org_{NOBODY}"), "x".to_owned()] {
        assert_eq!(server.post("/v1/api-keys", json!({ "orgId": org })).await.affixio_error(), (404, "not_found".into(), vec![]));
    }
    let path = format!("workspaces/{}/api-keys", server.workspace_id);
    let reader = server.admin(Method::POST, &path, Some(json!({ "name": "till", "role": "read" }))).await.json();
    let reply = server.send_as(&text(&reader, "api_key"), Method::POST, "/v1/api-keys", Some(body.to_string())).await;
    assert_eq!(reply.affixio_error().0, 403);
}

#[tokio::test]
async fn nobody_signs_up_unless_it_is_open() {
    let server = Server::start().await;
    let bearer = format!("Bearer {}", server.api_key);
    for headers in [&[][..], &[("authorization", bearer.as_str())], &[("authorization", "Bearer wrong")], &[("x-api-key", ADMIN_TOKEN)]] {
        let reply = call(&server, headers, Method::POST, "/v1/orgs", Some(json!({ "name": "Acme" }))).await;
        assert_eq!(reply.affixio_error(), (401, "unauthorized".into(), vec![]), "{headers:?}");
    }
    let reply = call(&server, &[], Method::POST, "/v1/api-keys", Some(json!({ "orgId": org(&server) }))).await;
    assert_eq!(reply.affixio_error().0, 401);
    assert_eq!(server.app().engine.read(|state, _| state.workspaces().count()).await.unwrap(), 1);
}

#[tokio::test]
async fn whoever_signs_up_gets_one_key_within_an_hour() {
    let server = Server::start_with(|parts| parts.is_signup_open = true).await;
    let post = async |path: &str, body| call(&server, &[], Method::POST, path, Some(body)).await;
    let org = async || text(&json_of(&post("/v1/orgs", json!({ "name": "Acme" })).await, StatusCode::CREATED), "id");
    let key = async |org: &str| post("/v1/api-keys", json!({ "orgId": org })).await;
    let first = org().await;
    // Whoever shows something that is no key is not let in as somebody who shows nothing.
    let wrong = call(&server, &[("x-api-key", "aff_x_y")], Method::POST, "/v1/api-keys", Some(json!({ "orgId": first }))).await;
    assert_eq!(wrong.affixio_error().0, 401);
    server.clock.advance_ms(HOUR_MS - 1);
    let made = json_of(&key(&first).await, StatusCode::CREATED);
    assert_eq!(key(&first).await.affixio_error().0, 401, "it has a key");
    let more = server.send_as(&text(&made, "key"), Method::POST, "/v1/api-keys", Some(json!({ "orgId": first }).to_string())).await;
    assert_eq!(more.status, StatusCode::CREATED);
    let late = org().await;
    server.clock.advance_ms(HOUR_MS);
    assert_eq!(key(&late).await.affixio_error().0, 401, "its hour is over");
    for other in [server.workspace_id.replace("ws_", "org_"), format!("org_{NOBODY}"), "x".to_owned()] {
        assert_eq!(key(&other).await.affixio_error().0, 401, "{other}");
    }
    assert_eq!(post("/v1/orgs", json!({ "name": "" })).await.affixio_error(), (400, "invalid_request".into(), vec!["name".into()]));
}

#[tokio::test]
async fn a_key_stands_in_any_of_three_headers() {
    let server = Server::start().await;
    let (_, other) = server.other_workspace().await;
    let (mine, other) = (server.api_key.as_str(), other.as_str());
    let [bearer, other_bearer] = [mine, other].map(|key| format!("Bearer {key}"));
    let get = async |headers: &[(&str, &str)], path| call(&server, headers, Method::GET, path, None).await.status.as_u16();
    for (headers, expected) in [
        (&[("x-affixio-key", mine)][..], 200),
        (&[("x-api-key", mine)], 200),
        (&[("authorization", bearer.as_str())], 200),
        (&[("x-affixio-key", mine), ("x-api-key", mine), ("authorization", bearer.as_str())], 200),
        (&[("x-api-key", mine), ("x-api-key", mine)], 200),
        (&[("x-affixio-key", mine), ("x-api-key", other)], 401),
        (&[("x-affixio-key", mine), ("authorization", other_bearer.as_str())], 401),
        (&[("x-api-key", mine), ("authorization", "Basic abc")], 401),
        (&[("x-api-key", "the-key-of-a-gateway"), ("authorization", bearer.as_str())], 401),
        (&[("x-api-key", mine), ("x-api-key", other)], 401),
        (&[("x-api-key", bearer.as_str())], 401),
        (&[("x-api-key", "")], 401),
        (&[], 401),
    ] {
        assert_eq!(get(headers, "/v1/receipts").await, expected, "{headers:?}");
        let found = get(headers, "/v1/agents/x").await;
        assert_eq!(found, if expected == 200 { 404 } else { 401 }, "{headers:?}");
    }
}

#[tokio::test]
async fn a_key_has_one_bucket_wherever_it_stands() {
    let server = Server::start().await;
    let limited = server.limited(1, 2);
    let get = async |name: &str, value: &str| {
        let request = axum::http::Request::get("/v1/agents/x").header(name, value).body(axum::body::Body::empty()).unwrap();
        send(&limited, request).await
    };
    assert_eq!(get("x-affixio-key", &server.api_key).await.status, StatusCode::NOT_FOUND);
    assert_eq!(get("x-api-key", &server.api_key).await.status, StatusCode::NOT_FOUND);
    let refused = get("authorization", &format!("Bearer {}", server.api_key)).await;
    assert_eq!(refused.affixio_error(), (429, "rate_limited".into(), vec![]));
    assert_eq!(refused.headers["retry-after"], "1");
}

#[tokio::test]
async fn errors_are_in_this_apis_envelope_on_its_paths_alone() {
    let server = Server::start().await;
    for (method, path) in [(Method::GET, "/v1/orgs"), (Method::PUT, "/v1/agents/x"), (Method::DELETE, "/v1/offline/reconcile")] {
        let reply = call(&server, &[], method, path, None).await;
        assert_eq!(reply.affixio_error(), (405, "method_not_allowed".into(), vec![]));
        assert!(reply.headers.contains_key("allow"));
    }
    for path in ["/v1/agents", "/v1/agents/x/y", "/v1/trust", "/v1/nior/x", "/v1/proofs"] {
        let error = server.get(path).await.affixio_error();
        assert!([404, 405].contains(&error.0), "{path}: {error:?}");
    }
    // Other APIs have paths that begin alike.
    for path in ["/v1/agentsx", "/v1/orgsx", "/v1/nothing", "/proofs"] {
        assert_eq!(server.get(path).await.error(), (404, "not_found".into()), "{path}");
    }
    let reply = server.send_as(&server.api_key, Method::POST, "/v1/devices", Some("{\"name\":".to_owned())).await;
    assert_eq!(reply.affixio_error(), (400, "invalid_request".into(), vec![]));
}
