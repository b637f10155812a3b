//! Authorises against each other, against a revoke, and against a cancel: nothing is spent twice, and nothing after its revoke.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::harness::Server;

/// An agent and its delegation with these limits.
async fn delegate(server: &Server, limits: Value) -> (String, String) {
    let org = server.workspace_id.replace("ws_", "org_");
    let agent = server.post("/v1/agents", json!({ "name": "a", "type": "llm", "ownerOrgId": org })).await;
    assert_eq!(agent.status, StatusCode::CREATED, "{}", agent.text);
    let agent = agent.json()["id"].as_str().unwrap().to_owned();
    let mut body = json!({ "agent_id": agent, "permissions": "payments:create" });
    body.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
    let delegation = server.post("/v1/delegations", body).await;
    assert_eq!(delegation.status, StatusCode::CREATED, "{}", delegation.text);
    (agent, delegation.json()["id"].as_str().unwrap().to_owned())
}

/// A decision that lets so much be paid.
async fn decide(server: &Server, (agent, delegation): &(String, String), amount: u64) -> Value {
    let payment = json!({ "merchant_id": "m", "amount": amount, "currency": "EUR" });
    let body = json!({ "agent_id": agent, "delegation_id": delegation, "payment_intent": payment });
    let answer = server.post("/v1/nior/agent/permission", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

async fn intent(server: &Server, amount: u64, decision: &Value) -> String {
    let body = json!({ "merchant_id": "m", "amount": amount, "currency": "EUR", "decision_id": decision });
    let answer = server.post("/v1/payment-intents", body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_decision_authorises_once() {
    let server = Arc::new(Server::start().await);
    let names = delegate(&server, json!({ "amount_limits": { "daily": 1_000_000 } })).await;
    for _ in 0..10 {
        let decision = decide(&server, &names, 700).await["decision_id"].clone();
        let mut clients = Vec::new();
        for _ in 0..64 {
            let (server, intent) = (Arc::clone(&server), intent(&server, 700, &decision).await);
            clients.push(tokio::spawn(async move { server.post(&format!("/v1/payment-intents/{intent}/authorise"), json!({})).await }));
        }
        let (mut authorised, mut used) = (0, 0);
        for client in clients {
            let answer = client.await.unwrap();
            match (answer.status.as_u16(), answer.json()["code"].as_str()) {
                (200, None) => authorised += 1,
                (409, Some("permission_already_used")) => used += 1,
                other => panic!("{other:?}: {}", answer.text),
            }
        }
        assert_eq!((authorised, used), (1, 63));
    }
    // Ten times 700 and no more.
    let left = decide(&server, &names, 1).await["max_amount"].clone();
    assert_eq!(left, json!(1_000_000 - 7_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_intent_is_authorised_once() {
    let server = Arc::new(Server::start().await);
    let names = delegate(&server, json!({ "amount_limits": { "daily": 10_000 } })).await;
    let decision = decide(&server, &names, 700).await["decision_id"].clone();
    let intent = intent(&server, 700, &decision).await;
    let clients: Vec<_> = (0..64)
        .map(|_| {
            let (server, path) = (Arc::clone(&server), format!("/v1/payment-intents/{intent}/authorise"));
            tokio::spawn(async move { server.post(&path, json!({})).await })
        })
        .collect();
    let mut answers = Vec::new();
    for client in clients {
        answers.push(client.await.unwrap());
    }
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK && answer.json() == answers[0].json()), "all get the first answer");
    assert_eq!(decide(&server, &names, 1).await["max_amount"], json!(9_300));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_authorises_never_overspend() {
    let server = Arc::new(Server::start().await);
    let names =
        delegate(&server, json!({ "amount_limits": { "daily": 100_000, "period": { "amount": 50_000, "interval": "P7D" } } })).await;
    let mut clients = Vec::new();
    // Every decision is made before anything is consumed, so that each of them is an allow.
    for _ in 0..128 {
        let decision = decide(&server, &names, 700).await["decision_id"].clone();
        let (server, intent) = (Arc::clone(&server), intent(&server, 700, &decision).await);
        clients.push(async move { server.post(&format!("/v1/payment-intents/{intent}/authorise"), json!({})).await });
    }
    let clients: Vec<_> = clients.into_iter().map(tokio::spawn).collect();
    let (mut authorised, mut exceeded) = (0, 0);
    for client in clients {
        let answer = client.await.unwrap();
        match (answer.status.as_u16(), answer.json()["code"].as_str()) {
            (200, None) => authorised += 1,
            (403, Some("limit_exceeded")) => exceeded += 1,
            other => panic!("{other:?}: {}", answer.text),
        }
    }
    assert_eq!((authorised, exceeded), (71, 57), "71 times 700 is 49,700");
    assert_eq!(decide(&server, &names, 300).await["max_amount"], json!(300));
    assert_eq!(decide(&server, &names, 301).await["reason_codes"].as_array().unwrap().last().unwrap(), "PERIOD_LIMIT_EXCEEDED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_authorised_after_a_revoke_is_answered() {
    let server = Arc::new(Server::start().await);
    let names = delegate(&server, json!({})).await;
    let mut intents = Vec::new();
    for _ in 0..1_000 {
        let decision = decide(&server, &names, 700).await["decision_id"].clone();
        intents.push(intent(&server, 700, &decision).await);
    }
    let is_revoked = Arc::new(AtomicBool::new(false));
    let waiting = Arc::new(std::sync::Mutex::new(intents));
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let (server, waiting, is_revoked) = (Arc::clone(&server), Arc::clone(&waiting), Arc::clone(&is_revoked));
            tokio::spawn(async move {
                let (mut authorised, mut refused) = (0, 0);
                loop {
                    let Some(intent) = waiting.lock().unwrap().pop() else { return (authorised, refused) };
                    // Looked at before the call is made: whatever begins behind the answer must be refused.
                    let is_late = is_revoked.load(Ordering::SeqCst);
                    let answer = server.post(&format!("/v1/payment-intents/{intent}/authorise"), json!({})).await;
                    match (answer.status.as_u16(), answer.json()["code"].as_str()) {
                        (200, None) if !is_late => authorised += 1,
                        (403, Some("delegation_revoked")) => refused += 1,
                        other => panic!("late: {is_late}, {other:?}: {}", answer.text),
                    }
                }
            })
        })
        .collect();
    while waiting.lock().unwrap().len() > 500 {
        tokio::task::yield_now().await;
    }
    let revoked = server.post(&format!("/v1/delegations/{}/revoke", names.1), json!({})).await;
    assert_eq!(revoked.status, StatusCode::OK, "{}", revoked.text);
    is_revoked.store(true, Ordering::SeqCst);
    let (mut authorised, mut refused) = (0, 0);
    for client in clients {
        let (more, less) = client.await.unwrap();
        (authorised, refused) = (authorised + more, refused + less);
    }
    assert_eq!(authorised + refused, 1_000);
    assert!(authorised > 0 && refused > 0, "the revoke came in between: {authorised} and {refused}");
    let again = server.post(&format!("/v1/delegations/{}/revoke", names.1), json!({ "reason": "again" })).await;
    assert_eq!(again.json(), revoked.json(), "the first answer");
}
