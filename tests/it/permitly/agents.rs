//! `/v1/consent-agents`

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{answer, approved, ask, id, try_ask};
use crate::harness::Server;

async fn change(server: &Server, agent: &str, body: Value) -> crate::harness::Reply {
    server.send_as(&server.api_key, Method::PATCH, &format!("/v1/consent-agents/{agent}"), Some(body.to_string())).await
}

#[tokio::test]
async fn the_first_agent_is_the_default_until_another_is_made_so() {
    let server = Server::start().await;
    let made = server.post("/v1/consent-agents", json!({ "name": "one" })).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let one = made.json()["data"].clone();
    assert_eq!((&one["is_default"], &one["token_lifetime"], &one["webhook_url"]), (&json!(true), &json!(3600), &Value::Null));
    let two = server.post("/v1/consent-agents", json!({ "name": "two" })).await.json()["data"].clone();
    assert_eq!(two["is_default"], false);
    assert_eq!(ask(&server, json!({})).await["agent_id"], one["id"]);
    assert_eq!(change(&server, two["id"].as_str().unwrap(), json!({ "is_default": true })).await.json()["data"]["is_default"], true);
    assert_eq!(ask(&server, json!({})).await["agent_id"], two["id"]);
    let listed = server.get("/v1/consent-agents").await.json();
    let defaults: Vec<_> =
        listed["data"].as_array().unwrap().iter().map(|agent| (agent["name"].clone(), agent["is_default"].clone())).collect();
    assert_eq!(defaults, [(json!("two"), json!(true)), (json!("one"), json!(false))]);
    assert_eq!(listed["meta"]["total"], 2);
    let reply = change(&server, two["id"].as_str().unwrap(), json!({ "is_default": false })).await;
    assert_eq!(reply.permitly_error(), (422, "validation_error".to_owned(), vec!["is_default".to_owned()]));
    // What is not named stays; what is `null` or empty goes.
    let url = json!({ "webhook_url": "https://hooks.example/x", "redirect_origins": ["https://a.example", "https://b.example:8443"], "token_lifetime": 60 });
    change(&server, two["id"].as_str().unwrap(), url.clone()).await;
    let kept = change(&server, two["id"].as_str().unwrap(), json!({ "name": "zwei" })).await.json()["data"].clone();
    assert_eq!(
        (&kept["webhook_url"], &kept["redirect_origins"], &kept["name"]),
        (&url["webhook_url"], &url["redirect_origins"], &json!("zwei"))
    );
    let gone =
        change(&server, two["id"].as_str().unwrap(), json!({ "webhook_url": null, "redirect_origins": [] })).await.json()["data"].clone();
    assert_eq!((&gone["webhook_url"], &gone["redirect_origins"], &gone["token_lifetime"]), (&Value::Null, &json!([]), &json!(60)));
}

#[tokio::test]
async fn people_are_sent_to_its_origins_alone() {
    let server = Server::start().await;
    let agent =
        server.post("/v1/consent-agents", json!({ "name": "one", "redirect_origins": ["https://app.example"] })).await.json()["data"]["id"]
            .clone();
    let agent = agent.as_str().unwrap();
    for (url, is_fine) in [
        ("https://app.example/x", true),
        ("https://APP.example:443/y", true),
        ("https://app.example.evil.example/", false),
        ("https://app.example:8443/", false),
        ("http://localhost/", false),
    ] {
        let reply = try_ask(&server, json!({ "redirect_url": url })).await;
        assert_eq!(reply.status == StatusCode::CREATED, is_fine, "{url}: {}", reply.text);
    }
    // Looked at again when the person goes.
    let asked = ask(&server, json!({})).await;
    change(&server, agent, json!({ "redirect_origins": ["https://elsewhere.example"] })).await;
    let answered = answer(&server, &id(&asked), "approve").await;
    assert_eq!((answered.status, answered.headers.get("location")), (StatusCode::OK, None));
    assert_eq!(super::consent(&server, &id(&asked)).await["status"], "approved");
    for origin in ["https://a.example/path", "http://a.example", "x", ""] {
        let reply = change(&server, agent, json!({ "redirect_origins": [origin] })).await;
        assert_eq!(reply.permitly_error(), (422, "validation_error".to_owned(), vec!["redirect_origins.0".to_owned()]), "{origin}");
    }
}

#[tokio::test]
async fn secrets_are_shown_once_and_keys_to_everybody() {
    let server = Server::start().await;
    let made = server.post("/v1/consent-agents", json!({ "name": "one" })).await.json()["data"].clone();
    let path = format!("/v1/consent-agents/{}", made["id"].as_str().unwrap());
    let secret = made["webhook_secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_") && secret.len() > 40);
    for known in
        [server.get(&path).await, server.get("/v1/consent-agents").await, change(&server, made["id"].as_str().unwrap(), json!({})).await]
    {
        assert!(!known.text.contains("whsec_"), "{}", known.text);
    }
    let rotated = server.post(&format!("{path}/rotate-webhook-secret"), json!({})).await.json()["data"].clone();
    assert_ne!(rotated["webhook_secret"], made["webhook_secret"]);
    let keys = server.page(&format!("{path}/jwks.json")).await.json();
    assert_eq!(
        (&keys["keys"][0]["kid"], &keys["keys"][0]["crv"], &keys["keys"][0]["alg"]),
        (&made["key_id"], &json!("P-256"), &json!("ES256"))
    );
    assert_eq!(made["jwks_url"], format!("https://allow.example{path}/jwks.json"));
    // No log holds a secret, nor a token.
    let given = approved(&server, json!({})).await;
    let token = super::token(&server, &id(&given)).await;
    for frame in server.store.scan(0) {
        let bytes = frame.unwrap().bytes().to_vec();
        for text in [&secret[6..], token.rsplit('.').next().unwrap()] {
            assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{text}");
        }
    }
    let (_, stranger) = server.other_workspace().await;
    for method in [Method::GET, Method::PATCH] {
        assert_eq!(server.send_as(&stranger, method, &path, Some("{}".to_owned())).await.permitly_error().0, 404);
    }
}
