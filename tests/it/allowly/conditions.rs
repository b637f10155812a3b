//! Conditions over HTTP: who routed the decision stands in the result and in the receipt.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::harness::Server;

async fn check(server: &Server, id: &str, context: Value) -> Value {
    let reply = server.post("/v1/check", json!({ "authorization_id": id, "scopes": ["pay"], "context": context })).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.json()["results"]["pay"].clone()
}

#[tokio::test]
async fn route_by_the_callers_context() {
    let server = Server::start().await;
    let constraints = json!({
        "confirm_when": [{ "field": "amount", "gt": 100 }],
        "escalate_when": [{ "field": "amount", "gte": 1000 }],
        "deny_when": [{ "field": "country", "in": ["KP", "IR"] }],
    });
    let scopes = json!([{ "name": "pay", "constraints": constraints }]);
    let id = server.grant(json!({ "scopes": scopes, "escalation_targets": { "pay": "finance" } })).await;
    let fired = |field: &str, op: &str, value: Value, found: Value| json!({ "matched_condition": { "field": field, "op": op, "value": value }, "field_value": found });
    for (context, decision, reason, eval) in [
        (
            json!({ "amount": 5, "country": "DE" }),
            "allow",
            "authorization_granted_scope_active",
            json!({ "matched_condition": null, "field_value": null }),
        ),
        (json!({ "amount": 101, "country": "DE" }), "confirm", "confirm_condition_matched", fired("amount", "gt", json!(100), json!(101))),
        (
            json!({ "amount": 1000, "country": "DE" }),
            "escalate",
            "escalate_condition_matched",
            fired("amount", "gte", json!(1000), json!(1000)),
        ),
        (
            json!({ "amount": 5000, "country": "KP" }),
            "deny",
            "deny_condition_matched",
            fired("country", "in", json!(["KP", "IR"]), json!("KP")),
        ),
        (json!({ "country": "DE" }), "escalate", "context_field_missing", fired("amount", "gte", json!(1000), Value::Null)),
        (json!({ "amount": "5", "country": "DE" }), "escalate", "context_field_missing", fired("amount", "gte", json!(1000), json!("5"))),
        (json!({ "amount": 5 }), "confirm", "context_field_missing", fired("country", "in", json!(["KP", "IR"]), Value::Null)),
    ] {
        let result = check(&server, &id, context.clone()).await;
        assert_eq!((&result["decision"], &result["reason"]), (&json!(decision), &json!(reason)), "{context}");
        assert_eq!(result["policy_eval"], eval, "{context}");
        let receipt = server.signed_receipt(result["receipt"]["receipt_id"].as_str().unwrap()).await;
        assert_eq!(receipt["policy_eval"], eval, "{context}");
    }
    let plain = server.grant(json!({ "scopes": ["pay"] })).await;
    let result = check(&server, &plain, json!({ "amount": 5 })).await;
    assert_eq!(result.get("policy_eval"), None, "only where the scope has conditions");
    let receipt = server.signed_receipt(result["receipt"]["receipt_id"].as_str().unwrap()).await;
    assert_eq!(receipt.get("policy_eval"), None);
}

#[tokio::test]
async fn see_the_callers_context_only() {
    let server = Server::start().await;
    let conditions = json!([{ "field": "session_id", "exists": true }, { "field": "a.b", "eq": 1 }]);
    let scopes = json!([{ "name": "pay", "constraints": { "confirm_when": [], "deny_when": conditions } }]);
    let id = server.grant(json!({ "scopes": scopes })).await;
    let ask = async |context: Value| {
        let body = json!({ "authorization_id": id, "scopes": ["pay"], "session_id": "s", "context": context });
        server.post("/v1/check", body).await.json()["results"]["pay"].clone()
    };
    let nested = ask(json!({ "a": { "b": 1 } })).await;
    assert_eq!((&nested["decision"], &nested["reason"]), (&json!("confirm"), &json!("context_field_missing")), "dots are no path");
    assert_eq!(ask(json!({ "a.b": 1 })).await["reason"], "deny_condition_matched", "a literal name");
    assert_eq!(ask(json!({ "a.b": 2 })).await["decision"], "allow", "the server's own session_id is not looked at");
}

#[tokio::test]
async fn a_confirmation_or_an_approval_lets_the_same_context_pass() {
    let server = Server::start().await;
    let constraints = json!({ "confirm_when": [{ "field": "amount", "gt": 100 }], "escalate_when": [{ "field": "amount", "gt": 100 }] });
    let id = server.grant(json!({ "scopes": [{ "name": "pay", "constraints": constraints }] })).await;
    let large = json!({ "amount": 500 });
    let asked = check(&server, &id, large.clone()).await;
    let path = format!("/v1/escalations/{}/resolve", asked["escalation_id"].as_str().unwrap());
    server.post(&path, json!({ "resolution": "approved", "resolved_by": "bob" })).await;
    let asked = check(&server, &id, large.clone()).await;
    assert_eq!(asked["reason"], "confirm_condition_matched");
    let path = format!("/v1/confirmations/{}", asked["confirm_nonce"].as_str().unwrap());
    server.post(&path, json!({ "approved": true })).await;
    let allowed = check(&server, &id, large.clone()).await;
    assert_eq!((&allowed["reason"], &allowed["policy_eval"]["field_value"]), (&json!("authorization_granted_via_escalation"), &json!(500)));
    assert_eq!(check(&server, &id, large).await["decision"], "escalate", "the approval was good for one time");
}
