//! The part of the story in which an agent pays.

use axum::http::Method;
use serde_json::{Value, json};

use super::{Story, text};
use crate::harness::ADMIN_TOKEN;

const NOBODY: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

pub(super) async fn play(story: &mut Story<'_>) {
    let org = orgs(story).await;
    let agent = agents(story, &org).await;
    let device = devices(story).await;
    let delegation = delegations(story, &agent).await;
    let intent = gate(story, &agent, &delegation, &device).await;
    intents(story, &intent).await;
    asked(story, &agent).await;
    offline(story, &agent, &delegation).await;
    the_end(story, &agent, &delegation, &device).await;
    errors(story).await;
    super::failures(story, "affixio_errors", "/v1/proofs/prf_01ARZ3NDEKTSV4RRFFQ69G5FAV", ("/v1/devices", json!({ "name": "till 3" })))
        .await;
}

async fn orgs(story: &mut Story<'_>) -> String {
    let server = story.server;
    let body = json!({ "name": "Acme", "metadata": { "country": "DE" } });
    let made = server.send_as(ADMIN_TOKEN, Method::POST, "/v1/orgs", Some(body.to_string())).await;
    let made = story.keep("create_org: made", Some(body), &made);
    let body = json!({ "orgId": text(&made, "id"), "name": "shop" });
    let key = server.send_as(ADMIN_TOKEN, Method::POST, "/v1/api-keys", Some(body.to_string())).await;
    story.keep("create_org_api_key: the first", Some(body), &key);
    server.workspace_id.replace("ws_", "org_")
}

async fn agents(story: &mut Story<'_>, org: &str) -> String {
    let body = json!({ "name": "Shopper", "type": "llm", "ownerOrgId": org, "metadata": { "model": "m-1" } });
    let made = story.post("register_agent: made", "/v1/agents", body).await;
    let wrong = json!({ "name": "Shopper", "type": "human", "ownerOrgId": org });
    story.post("register_agent: fields at fault", "/v1/agents", wrong).await;
    let path = format!("/v1/agents/{}", text(&made, "id"));
    story.read("get_agent: one", &path).await;
    story.read("get_agent: unknown", &format!("/v1/agents/agt_{NOBODY}")).await;
    story.post("issue_credential: a pair", &format!("{path}/credentials"), json!({})).await;
    story.post("suspend_agent: for now", &format!("{path}/suspend"), json!({})).await;
    story.post("activate_agent: again", &format!("{path}/activate"), json!({})).await;
    text(&made, "id").to_owned()
}

async fn devices(story: &mut Story<'_>) -> String {
    let made = story.post("register_device: made", "/v1/devices", json!({ "name": "till 3", "type": "terminal" })).await;
    let path = format!("/v1/devices/{}", text(&made, "id"));
    story.post("attest_device: vouched for", &format!("{path}/attest"), json!({ "attestation": { "by": "Ann" } })).await;
    story.read("get_device: one", &path).await;
    text(&made, "id").to_owned()
}

async fn delegations(story: &mut Story<'_>, agent: &str) -> String {
    let body = json!({
        "agent_id": agent,
        "permissions": ["payments.create"],
        "merchant_constraints": { "allowed_merchants": ["shop_1", "shop_2"] },
        "amount_limits": { "per_transaction": 5000, "daily": 20_000, "period": { "amount": 50_000, "interval": "P7D" } },
        "currency_limits": ["EUR"],
        "validity_window": { "end": "2099-01-01T00:00:00Z" },
        "metadata": { "order": 7 },
    });
    let made = story.post("create_delegation: within limits", "/v1/delegations", body).await;
    let unknown = json!({ "agent_id": agent, "permissions": ["payments.create"], "amount_limits": { "hourly": 5000 } });
    story.post("create_delegation: a limit nobody knows", "/v1/delegations", unknown).await;
    let path = format!("/v1/delegations/{}", text(&made, "id"));
    story.read("get_delegation: one", &path).await;
    story.read("list_delegations: a page", &format!("/v1/delegations?agent_id={agent}&limit=1")).await;
    let body = json!({ "payment_intent": { "merchant_id": "shop_1", "amount": 1850, "currency": "EUR" } });
    story.post("verify_delegation: would allow it", &format!("{path}/verify"), body).await;
    text(&made, "id").to_owned()
}

async fn gate(story: &mut Story<'_>, agent: &str, delegation: &str, device: &str) -> Value {
    let payment = json!({ "merchant_id": "shop_1", "amount": 1850, "currency": "EUR", "channel": "online" });
    let ask = json!({ "agent_id": agent, "device_id": device, "delegation_id": delegation, "payment_intent": payment });
    let decided = story.post("ask_permission: allowed", "/v1/nior/agent/permission", ask.clone()).await;
    let mut more = ask.clone();
    more["payment_intent"]["amount"] = json!(6000);
    story.post("ask_permission: too much", "/v1/nior/agent/permission", more).await;
    let mut float = ask.clone();
    float["payment_intent"]["amount"] = json!(18.5);
    story.post("ask_permission: a float", "/v1/nior/agent/permission", float).await;
    let body = json!({ "agent_id": agent, "action": "payments.create", "amount": 1850, "currency": "EUR", "merchant_id": "shop_2" });
    story.post("decide_policy: allowed", "/v1/nior/policy/decide", body).await;
    story.post("check_trust: trusted", "/v1/trust/check", json!({ "agent_id": agent, "device_id": device })).await;
    let proof = text(&decided, "proof_id");
    story.server.signed_receipt(&proof.replace("prf_", "rcp_")).await;
    story.read("get_proof: signed", &format!("/v1/proofs/{proof}")).await;
    story.read("get_proof: unknown", &format!("/v1/proofs/prf_{NOBODY}")).await;
    let body = json!({ "merchant_id": "shop_1", "amount": 1850, "currency": "EUR", "agent_id": agent, "delegation_id": delegation, "decision_id": text(&decided, "decision_id") });
    story.post("create_payment_intent: made", "/v1/payment-intents", body).await
}

async fn intents(story: &mut Story<'_>, intent: &Value) {
    let path = format!("/v1/payment-intents/{}", text(intent, "id"));
    story.post("authorise_payment_intent: by its decision", &format!("{path}/authorise"), json!({})).await;
    story.post("authorize_payment_intent: in another spelling", &format!("{path}/authorize"), json!({})).await;
    story.post("authorise_payment_intent: otherwise", &format!("{path}/authorise"), json!({ "amount": 1 })).await;
    story.post("capture_payment_intent: in part", &format!("{path}/capture"), json!({ "amount": 1800 })).await;
    story.read("get_payment_intent: captured", &path).await;
    let other = json!({ "merchant_id": "shop_9", "amount": 100, "currency": "EUR" });
    let other = story.server.post("/v1/payment-intents", other).await.json();
    let path = format!("/v1/payment-intents/{}", text(&other, "id"));
    story.post("authorise_payment_intent: nobody allowed it", &format!("{path}/authorise"), json!({})).await;
    story.post("cancel_payment_intent: given up", &format!("{path}/cancel"), json!({})).await;
}

/// Somebody is to be asked first.
async fn asked(story: &mut Story<'_>, agent: &str) {
    let body = json!({ "agent_id": agent, "permissions": "payments.create", "step_up_above": 1000, "review_above": 2000 });
    let made = story.server.post("/v1/delegations", body).await.json();
    let ask = |amount: u64| json!({ "agent_id": agent, "delegation_id": text(&made, "id"), "payment_intent": { "merchant_id": "shop_1", "amount": amount, "currency": "EUR" } });
    story.post("ask_permission: the user is to be asked", "/v1/nior/agent/permission", ask(1500)).await;
    story.post("ask_permission: a reviewer is to be asked", "/v1/nior/agent/permission", ask(2500)).await;
}

async fn offline(story: &mut Story<'_>, agent: &str, delegation: &str) {
    let body = json!({ "agent_id": agent, "delegation_id": delegation, "device_id": "till-3", "max_amount": 2000, "currency": "EUR", "merchant_ids": ["shop_1"], "ttl_seconds": 600 });
    let issued = story.post("issue_offline_token: reserved", "/v1/offline/tokens", body.clone()).await;
    let mut more = body.clone();
    more["max_amount"] = json!(9000);
    story.post("issue_offline_token: denied", "/v1/offline/tokens", more).await;
    let nullifier = text(&issued, "nullifier");
    let paid = |client_ref: &str| json!({ "nullifier": nullifier, "merchant_id": "shop_1", "amount": 1200, "currency": "EUR", "client_ref": client_ref });
    let told = json!({ "device_id": "till-3", "transactions": [paid("t-1"), paid("t-2")] });
    story.post("queue_offline_transactions: two of one token", "/v1/offline/transactions", told).await;
    story.read("get_offline_queue: both wait", "/v1/offline/queues/till-3").await;
    let body = json!({ "device_id": "till-3" });
    story.post("reconcile_nullifiers: one is settled", "/v1/offline/nullifiers/reconcile", body.clone()).await;
    story.post("reconcile_offline: nothing waits", "/v1/offline/reconcile", body).await;
    let body = json!({ "nullifiers": [nullifier, "00000000000000000000000000000000"] });
    story.post("check_nullifiers: spent and unknown", "/v1/offline/nullifiers/check", body).await;
}

async fn the_end(story: &mut Story<'_>, agent: &str, delegation: &str, device: &str) {
    let body = json!({ "reason": "the order is complete", "revoked_by": "user" });
    story.post("revoke_delegation: over", &format!("/v1/delegations/{delegation}/revoke"), body).await;
    story.post("revoke_device: lost", &format!("/v1/devices/{device}/revoke"), json!({ "reason": "lost" })).await;
    story.post("revoke_agent: for good", &format!("/v1/agents/{agent}/revoke"), json!({})).await;
    story.post("activate_agent: too late", &format!("/v1/agents/{agent}/activate"), json!({})).await;
}

/// Errors that mean the same wherever this API is spoken.
async fn errors(story: &mut Story<'_>) {
    let server = story.server;
    let reply = server.send_as("aff_unknown", Method::GET, "/v1/agents/x", None).await;
    story.keep("affixio_errors: no such key", None, &reply);
    let path = format!("workspaces/{}/api-keys", server.workspace_id);
    let reader = server.admin(Method::POST, &path, Some(json!({ "name": "till", "role": "read" }))).await.json();
    let reply = server.send_as(text(&reader, "api_key"), Method::POST, "/v1/devices", Some("{}".to_owned())).await;
    story.keep("affixio_errors: may only read", None, &reply);
    let reply = server.get("/v1/agents/x/y").await;
    story.keep("affixio_errors: no such route", None, &reply);
    let reply = server.get("/v1/orgs").await;
    story.keep("affixio_errors: wrong method", None, &reply);
    let reply = server.send_as(&server.api_key, Method::POST, "/v1/devices", Some(format!("\"{}\"", "x".repeat(65_536)))).await;
    story.keep("affixio_errors: too large", None, &reply);
    let reply = server.send_as(&server.api_key, Method::POST, "/v1/devices", Some("{".to_owned())).await;
    story.keep("affixio_errors: no JSON", None, &reply);
    let reply = server.get(&format!("/v1/delegations?agent_id={}", "x".repeat(8_192))).await;
    story.keep("affixio_errors: path and query too long", None, &reply);
    let named = async |name: &str| server.send_named("order-7", Method::POST, "/v1/devices", Some(json!({ "name": name }))).await;
    named("till 3").await;
    story.keep("affixio_errors: the name of another request", None, &named("till 4").await);
}
