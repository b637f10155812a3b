//! The AffixIO face, URL by URL.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Reply, Server, send};

mod agents;
mod delegations;
mod devices;
mod gate;
mod offline;
mod orgs;
mod payment_intents;
mod proofs;
mod races;

/// An id of the right form that was never given out.
const NOBODY: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const GATE: &str = "/v1/nior/agent/permission";

/// The org that the server's own API key opens.
fn org(server: &Server) -> String {
    server.workspace_id.replace("ws_", "org_")
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("{name} of {value}")).to_owned()
}

#[track_caller]
fn json_of(reply: &Reply, status: StatusCode) -> Value {
    assert_eq!(reply.status, status, "{}", reply.text);
    reply.json()
}

fn laid_over(mut body: Value, members: &Value) -> Value {
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    body
}

/// A registered agent of the org.
async fn agent(server: &Server) -> String {
    let body = json!({ "name": "Shopper", "type": "llm", "ownerOrgId": org(server) });
    text(&json_of(&server.post("/v1/agents", body).await, StatusCode::CREATED), "id")
}

/// A delegation of `payments.create` to an agent, with these members.
async fn delegation(server: &Server, agent: &str, members: Value) -> String {
    let body = laid_over(json!({ "agent_id": agent, "permissions": ["payments.create"] }), &members);
    text(&json_of(&server.post("/v1/delegations", body).await, StatusCode::CREATED), "delegation_id")
}

/// An agent, and a delegation to it with these members.
async fn granted(server: &Server, members: Value) -> (String, String) {
    let agent = agent(server).await;
    let delegation = delegation(server, &agent, members).await;
    (agent, delegation)
}

/// What the main gate says of so much to `shop`, with these members laid over.
async fn ask(server: &Server, (agent, delegation): (&str, &str), amount: i64, members: Value) -> Value {
    let payment = json!({ "merchant_id": "shop", "amount": amount, "currency": "EUR" });
    let payment = laid_over(payment, members.get("payment_intent").unwrap_or(&json!({})));
    let mut body = laid_over(json!({ "agent_id": agent, "delegation_id": delegation }), &members);
    body["payment_intent"] = payment;
    json_of(&server.post(GATE, body).await, StatusCode::OK)
}

/// A payment intent of so much to `shop`, with these members.
async fn intent(server: &Server, amount: i64, members: Value) -> String {
    let body = laid_over(json!({ "merchant_id": "shop", "amount": amount, "currency": "EUR" }), &members);
    text(&json_of(&server.post("/v1/payment-intents", body).await, StatusCode::CREATED), "id")
}

async fn authorise(server: &Server, intent: &str, body: Value) -> Reply {
    server.post(&format!("/v1/payment-intents/{intent}/authorise"), body).await
}

/// A call with these headers and no others.
async fn call(server: &Server, headers: &[(&str, &str)], method: Method, path: &str, body: Option<Value>) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    send(&server.router, request.body(Body::from(body.map(|body| body.to_string()).unwrap_or_default())).unwrap()).await
}

fn codes(decision: &Value) -> Vec<&str> {
    decision["reason_codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect()
}
