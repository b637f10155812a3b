//! Budgets: the block in the answer and in the receipt, to the unit.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::harness::Server;

async fn check(server: &Server, id: &str, scopes: Value, cost: Value) -> Value {
    let reply = server.post("/v1/check", json!({ "authorization_id": id, "scopes": scopes, "estimated_cost_micros": cost })).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.json()["results"].clone()
}

fn block(limit: i64, spent: i64, estimated: i64, after: i64) -> Value {
    json!({ "limit_micros": limit, "spent_micros": spent, "estimated_cost_micros": estimated, "spent_after_micros": after })
}

#[tokio::test]
async fn are_spent_by_allows_alone() {
    let server = Server::start().await;
    let created = server.post(
        "/v1/authorizations",
        json!({ "user_id": "u", "agent_id": "a", "scopes": ["pay", "ask"], "requires_confirm_for": ["ask"],
                "expires_at": "2026-04-01T00:00:00Z", "budget_limit_micros": 100 }),
    );
    let created = created.await.json();
    assert_eq!((&created["budget_limit_micros"], &created["budget_spent_micros"]), (&json!(100), &json!(0)));
    let receipt = server.signed_receipt(created["receipt"]["receipt_id"].as_str().unwrap()).await;
    assert_eq!(receipt["context"]["budget_limit_micros"], 100);
    let id = created["authorization_id"].as_str().unwrap().to_owned();

    let results = check(&server, &id, json!(["pay", "ask", "none"]), json!(60)).await;
    assert_eq!((&results["pay"]["decision"], &results["pay"]["budget"]), (&json!("allow"), &block(100, 0, 60, 60)));
    assert_eq!((&results["ask"]["reason"], &results["ask"]["budget"]), (&json!("budget_exceeded"), &block(100, 60, 60, 60)));
    assert_eq!((&results["none"]["reason"], results["none"].get("budget")), (&json!("scope_not_authorized"), None));
    let receipt = server.signed_receipt(results["ask"]["receipt"]["receipt_id"].as_str().unwrap()).await;
    assert_eq!(receipt["context"]["budget"], block(100, 60, 60, 60));

    let asked = &check(&server, &id, json!(["ask"]), json!(40)).await["ask"];
    assert_eq!((&asked["decision"], &asked["budget"]), (&json!("confirm"), &block(100, 60, 40, 60)));
    let last = &check(&server, &id, json!(["pay"]), json!(41)).await["pay"];
    assert_eq!(last["reason"], "budget_exceeded");
    let last = &check(&server, &id, json!(["pay"]), json!(40)).await["pay"];
    assert_eq!((&last["decision"], &last["budget"]), (&json!("allow"), &block(100, 60, 40, 100)), "equal is allowed");
    let free = &check(&server, &id, json!(["pay"]), json!(null)).await["pay"];
    assert_eq!((&free["decision"], &free["budget"]), (&json!("allow"), &block(100, 100, 0, 100)), "no estimate counts as nothing");
    let most = &check(&server, &id, json!(["pay"]), json!(9_007_199_254_740_991_i64)).await["pay"];
    assert_eq!(most["reason"], "budget_exceeded", "a sum beyond all numbers is no allow");
    let stands = server.get(&format!("/v1/authorizations/{id}")).await.json();
    assert_eq!((&stands["budget_limit_micros"], &stands["budget_spent_micros"]), (&json!(100), &json!(100)));
}

#[tokio::test]
async fn every_scope_of_a_check_is_paid_for_in_order() {
    let server = Server::start().await;
    let id = server.grant(json!({ "scopes": ["a", "b", "c"], "budget_limit_micros": 10 })).await;
    let results = check(&server, &id, json!(["c", "a", "b"]), json!(4)).await;
    assert_eq!(results["c"]["budget"], block(10, 0, 4, 4));
    assert_eq!(results["a"]["budget"], block(10, 4, 4, 8));
    assert_eq!((&results["b"]["reason"], &results["b"]["budget"]), (&json!("budget_exceeded"), &block(10, 8, 4, 8)));
    let unbudgeted = server.grant(json!({ "scopes": ["a"] })).await;
    let result = &check(&server, &unbudgeted, json!(["a"]), json!(4)).await["a"];
    assert_eq!((&result["decision"], result.get("budget")), (&json!("allow"), None));
}
