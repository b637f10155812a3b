//! A daily limit under fire: 64 clients, kills in between, every call retried under its idempotency key until it is answered.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use allowlog::clock::Clock;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::insist::{Client, PUBLIC_URL, survive};
use super::process::{Process, init};

const CLIENTS: u64 = 64;
const PAYMENTS_EACH: u64 = 4;
const DAILY: u64 = 100_000;
const AMOUNT: u64 = 700;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_more_than_the_day_allows() {
    // Midnight (UTC) would begin another day's limit.
    while !stays_within_the_day().await {}
}

/// False if the day changed in between, and so nothing can be said.
async fn stays_within_the_day() -> bool {
    let day = || Clock::Wall.now().day();
    let begun = day();
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let made = init(&data);
    let [api_key, workspace] = ["api_key", "workspace_id"].map(|member| made[member].as_str().unwrap().to_owned());
    let process = Process::serve(&data, PUBLIC_URL);
    let (lives, url) = watch::channel(process.url.clone());
    let client = Arc::new(Client::new(url, &api_key));
    let org = workspace.replace("ws_", "org_");
    let (_, agent) = client.insist("/v1/agents", "agent", &json!({ "name": "a", "type": "llm", "ownerOrgId": org })).await;
    let limits = json!({ "agent_id": agent["id"], "permissions": "payments:create", "amount_limits": { "daily": DAILY } });
    let (status, delegation) = client.insist("/v1/delegations", "delegation", &limits).await;
    assert_eq!(status, 201, "{delegation}");
    let names = (agent["id"].as_str().unwrap().to_owned(), delegation["id"].as_str().unwrap().to_owned());
    let names = Arc::new(names);

    let authorised: Arc<Mutex<BTreeMap<String, u64>>> = Arc::default();
    let (done, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (client, names, authorised) = (Arc::clone(&client), Arc::clone(&names), Arc::clone(&authorised));
            let (done, refused) = (Arc::clone(&done), Arc::clone(&refused));
            tokio::spawn(async move {
                for n in 0..PAYMENTS_EACH {
                    match pay(&client, &names, &format!("{number}-{n}")).await {
                        Some((intent, amount)) => assert_eq!(authorised.lock().unwrap().insert(intent, amount), None),
                        None => drop(refused.fetch_add(1, Ordering::SeqCst)),
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let process = survive(process, &data, &lives, clients, (&done, CLIENTS * PAYMENTS_EACH)).await;
    let (fits, _) = ask(&client, &names, "fits", DAILY % AMOUNT).await;
    let (passes, _) = ask(&client, &names, "passes", DAILY % AMOUNT + 1).await;
    let is_same_day = day() == begun;
    if is_same_day {
        let sum: u64 = authorised.lock().unwrap().values().sum();
        assert_eq!((sum, sum / AMOUNT), (DAILY / AMOUNT * AMOUNT, 142), "as much as fits, and never more");
        assert_eq!(refused.load(Ordering::SeqCst), CLIENTS * PAYMENTS_EACH - 142);
        assert_eq!((fits.as_str(), passes.as_str()), ("ALLOW_WITH_LIMITS", "DENY"), "exact to the unit");
    }
    assert_eq!(process.terminate(), Some(0));
    is_same_day
}

/// Asks, then has an intent authorised: what was, or nothing if the limit is used up. Each call is made twice.
async fn pay(client: &Client, names: &(String, String), name: &str) -> Option<(String, u64)> {
    let (_, decision) = ask(client, names, name, AMOUNT).await;
    let body = json!({ "merchant_id": "m", "amount": AMOUNT, "currency": "EUR", "decision_id": decision });
    let (status, intent) = client.insist("/v1/payment-intents", &format!("{name}-intent"), &body).await;
    assert_eq!(status, 201, "{intent}");
    let id = intent["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/payment-intents/{id}/authorise");
    let first = client.insist(&path, &format!("{name}-authorise"), &json!({})).await;
    assert_eq!(client.insist(&path, &format!("{name}-authorise"), &json!({})).await, first, "{name}");
    match first {
        (200, answer) => Some((id, answer["authorised_amount"].as_u64().unwrap())),
        (403, answer) => {
            // By the gate before, or by the fresh look now.
            assert!(["limit_exceeded", "permission_denied"].contains(&answer["code"].as_str().unwrap()), "{answer}");
            None
        }
        (status, answer) => panic!("{status}: {answer}"),
    }
}

async fn ask(client: &Client, (agent, delegation): &(String, String), name: &str, amount: u64) -> (String, Value) {
    let payment = json!({ "merchant_id": "m", "amount": amount, "currency": "EUR" });
    let body = json!({ "agent_id": agent, "delegation_id": delegation, "payment_intent": payment });
    let (status, answer) = client.insist("/v1/nior/agent/permission", &format!("{name}-ask"), &body).await;
    assert_eq!(status, 200, "{answer}");
    (answer["action"].as_str().unwrap().to_owned(), answer["decision_id"].clone())
}
