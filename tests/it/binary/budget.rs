//! A budget under fire: 64 clients, kills in between, every call retried under its idempotency key until it is answered.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::insist::{Client, PUBLIC_URL, survive};
use super::process::{Process, init};

const CLIENTS: u64 = 64;
const CHECKS_EACH: u64 = 6;
const LIMIT: u64 = 1_000;
const COST: u64 = 7;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_142_allows_of_seven_in_a_thousand() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let api_key = init(&data)["api_key"].as_str().unwrap().to_owned();
    let process = Process::serve(&data, PUBLIC_URL);
    let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
    let grant = json!({ "user_id": "u", "agent_id": "a", "scopes": ["pay"], "expires_at": "2099-01-01T00:00:00Z",
                        "budget_limit_micros": LIMIT });
    let granted = http.post(format!("{}/v1/authorizations", process.url)).bearer_auth(&api_key).json(&grant).send().await.unwrap();
    let id = granted.json::<Value>().await.unwrap()["authorization_id"].as_str().unwrap().to_owned();

    let (lives, url) = watch::channel(process.url.clone());
    let client = Arc::new(Client::new(url, &api_key));
    let answers: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
    let done = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (client, id, answers, done) = (Arc::clone(&client), id.clone(), Arc::clone(&answers), Arc::clone(&done));
            tokio::spawn(async move {
                for n in 0..CHECKS_EACH {
                    let (key, body) =
                        (format!("{number}-{n}"), json!({ "authorization_id": id, "scopes": ["pay"], "estimated_cost_micros": COST }));
                    let first = client.insist("/v1/check", &key, &body).await;
                    // Sent once more, perhaps to another life: the very same answer.
                    assert_eq!(client.insist("/v1/check", &key, &body).await, first, "{key}");
                    let result = &first.1["results"]["pay"];
                    let receipt = result["receipt"]["receipt_id"].as_str().unwrap().to_owned();
                    let before = answers.lock().unwrap().insert(receipt, result["decision"].as_str().unwrap().to_owned());
                    assert_eq!(before, None, "an id was given out twice");
                    done.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let process = survive(process, &data, &lives, clients, (&done, CLIENTS * CHECKS_EACH)).await;
    let stands = http.get(format!("{}/v1/authorizations/{id}", process.url)).bearer_auth(&api_key).send().await.unwrap();
    assert_eq!(stands.json::<Value>().await.unwrap()["budget_spent_micros"], 994);
    let answers = answers.lock().unwrap();
    assert_eq!(answers.len() as u64, CLIENTS * CHECKS_EACH, "every call has its answer");
    assert_eq!(answers.values().filter(|decision| *decision == "allow").count() as u64, LIMIT / COST);
    assert_eq!(process.terminate(), Some(0));
}
