//! The Permitly face, URL by URL.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Reply, Server};

mod agents;
mod audit;
mod consents;
mod pages;
mod races;
mod requests;
mod story;
mod tokens;

/// A request for consent of two scopes, with these members laid over.
async fn ask(server: &Server, members: Value) -> Value {
    let reply = try_ask(server, members).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
    reply.json()["data"].clone()
}

async fn try_ask(server: &Server, members: Value) -> Reply {
    let mut body = json!({
        "end_user_ref": "user_1",
        "scopes": [{ "key": "email.read" }, { "key": "email.send", "label": "Send", "risk": "high", "reversible": false }],
        "redirect_url": "https://app.example/done",
    });
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    server.post("/v1/consent/request", body).await
}

fn id(consent: &Value) -> String {
    consent["id"].as_str().unwrap().to_owned()
}

/// What the person does; the page is fetched first, as by a browser.
async fn answer(server: &Server, id: &str, decision: &str) -> Reply {
    let csrf = server.page(&format!("/c/{id}")).await.csrf();
    submit(server, id, decision, &csrf).await
}

async fn submit(server: &Server, id: &str, decision: &str, csrf: &str) -> Reply {
    server.send_form(&format!("/c/{id}"), &[("decision", decision), ("csrf", csrf)]).await
}

async fn consent(server: &Server, id: &str) -> Value {
    let reply = server.get(&format!("/v1/consent/{id}")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.json()["data"].clone()
}

/// Takes a consent back as the published client does.
async fn withdraw(server: &Server, id: &str) -> Reply {
    server.send_accepting("application/json", Method::DELETE, &format!("/v1/consent/{id}")).await
}

async fn token(server: &Server, id: &str) -> String {
    let reply = server.post(&format!("/v1/consent/{id}/token"), json!({})).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
    reply.json()["data"]["token"].as_str().unwrap().to_owned()
}

async fn verify(server: &Server, token: &str) -> Reply {
    server.post("/v1/consent/verify", json!({ "token": token })).await
}

/// A consent that the person has given.
async fn approved(server: &Server, members: Value) -> Value {
    let asked = ask(server, members).await;
    assert_eq!(answer(server, &id(&asked), "approve").await.status, StatusCode::SEE_OTHER);
    consent(server, &id(&asked)).await
}
