//! One allow for each remaining unit, however many ask at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use crate::harness::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_a_day_for_64_clients() {
    let server = Arc::new(Server::start().await);
    let scopes = json!([{ "name": "email.send", "constraints": { "max_per_day": 100 } }]);
    let id = Arc::new(server.grant(json!({ "scopes": scopes })).await);
    let clients: Vec<_> = (0..64)
        .map(|_| {
            let (server, id) = (Arc::clone(&server), Arc::clone(&id));
            tokio::spawn(async move {
                let mut answers = Vec::new();
                for _ in 0..10 {
                    answers.push(server.check(&id, "email.send", None).await);
                }
                answers
            })
        })
        .collect();
    let mut answers = Vec::new();
    for client in clients {
        answers.extend(client.await.unwrap());
    }
    let allows = answers.iter().filter(|a| a["decision"] == "allow").count();
    let denials = answers.iter().filter(|a| a["reason"] == "rate_limit_exceeded").count();
    assert_eq!((allows, denials), (100, 540));
    let receipts: BTreeSet<_> = answers.iter().map(|a| a["receipt"]["receipt_id"].as_str().unwrap()).collect();
    assert_eq!(receipts.len(), 640, "no id is used twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_approval_for_64_clients() {
    let server = Arc::new(Server::start().await);
    let id = server.grant(json!({ "requires_escalation_for": ["email.send"] })).await;
    let escalation = server.check(&id, "email.send", None).await["escalation_id"].as_str().unwrap().to_owned();
    server.post(&format!("/v1/escalations/{escalation}/resolve"), json!({ "resolution": "approved", "resolved_by": "bob" })).await;
    let clients: Vec<_> = (0..64)
        .map(|_| {
            let (server, id) = (Arc::clone(&server), id.clone());
            tokio::spawn(async move { server.decide(&id, "email.send", None).await.0 })
        })
        .collect();
    let mut allows = 0;
    for client in clients {
        allows += usize::from(client.await.unwrap() == "allow");
    }
    assert_eq!(allows, 1);
}
