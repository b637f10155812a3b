//! SIGKILL among batches: each is stored whole or not at all, and a retry gets the answer of the first.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::process::{Process, init, run, text};

const CLIENTS: u64 = 8;
/// Checks in one batch.
const CHECKS: u64 = 50;
const KILLS: u64 = 5;

struct Client {
    http: reqwest::Client,
    url: String,
    api_key: String,
    authorization_id: String,
}

impl Client {
    /// What the batch of this number is answered, if the server lives for long enough.
    async fn send(&self, number: u64) -> Option<String> {
        let check =
            |place| json!({ "authorization_id": self.authorization_id, "scopes": ["s"], "context": { "batch": number, "place": place } });
        let body = json!({ "checks": (0..CHECKS).map(check).collect::<Vec<_>>() });
        let request = self.http.post(format!("{}/v1/check/batch", self.url)).bearer_auth(&self.api_key);
        let answer = request.header("idempotency-key", format!("batch-{number}")).json(&body).send().await.ok()?;
        assert_eq!(answer.status(), 200);
        answer.text().await.ok()
    }
}

/// The ids of the receipts an answer names. The rest of it names the address, which is another one after each start.
fn receipts(answer: &str) -> Vec<String> {
    answer.split('"').filter(|part| part.starts_with("rcp_")).map(str::to_owned).collect()
}

/// Places of the stored checks, by batch and in the order of the log.
fn stored(data: &Path) -> BTreeMap<u64, Vec<u64>> {
    let shown = run(&["log", "show", "--data", data.to_str().unwrap()]);
    let mut batches: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for line in text(&shown.stdout).lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        if let Some(context) = record.pointer("/event/check/decided/context") {
            batches.entry(context["batch"].as_u64().unwrap()).or_default().push(context["place"].as_u64().unwrap());
        }
    }
    batches
}

/// The largest frame there is goes through the journal, into the pages of a volume and out again.
#[tokio::test]
async fn a_batch_as_large_as_any_survives() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let api_key = init(&data)["api_key"].as_str().unwrap().to_owned();
    let mut process = Process::serve(&data, &[]);
    let http = reqwest::Client::new();
    let names: Vec<String> = (0..25).map(|n| format!("s{n}")).collect();
    let grant = json!({ "user_id": "u", "agent_id": "a", "scopes": names, "expires_at": "2099-01-01T00:00:00Z" });
    let granted = http.post(format!("{}/v1/authorizations", process.url)).bearer_auth(&api_key).json(&grant).send().await.unwrap();
    let id = granted.json::<Value>().await.unwrap()["authorization_id"].clone();
    // Each line feed takes two bytes of the limit of a context, and six where it is stored.
    let check = json!({ "authorization_id": id, "scopes": names, "context": { "x": "\n".repeat(2000) } });
    let body = json!({ "checks": vec![check; 50] });
    let send = async |process: &Process| {
        let request = http.post(format!("{}/v1/check/batch", process.url)).bearer_auth(&api_key).header("idempotency-key", "large");
        receipts(&request.json(&body).send().await.unwrap().text().await.unwrap())
    };
    let first = send(&process).await;
    assert!(first.len() > 300, "some 12 KiB each, up to 4 MiB: {}", first.len());
    process.kill();
    // From the journal.
    process = Process::serve(&data, &[]);
    assert_eq!(send(&process).await, first);
    assert_eq!(process.terminate(), Some(0));
    // From the volume.
    process = Process::serve(&data, &[]);
    assert_eq!(send(&process).await, first);
    assert_eq!(process.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_leaves_all_of_a_batch_or_nothing_and_a_retry_gets_the_first_answer() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let api_key = init(&data)["api_key"].as_str().unwrap().to_owned();
    let mut process = Process::serve(&data, &[]);
    let http = reqwest::Client::new();
    let grant = json!({ "user_id": "u", "agent_id": "a", "scopes": ["s"], "expires_at": "2099-01-01T00:00:00Z" });
    let granted = http.post(format!("{}/v1/authorizations", process.url)).bearer_auth(&api_key).json(&grant).send().await.unwrap();
    let authorization_id = granted.json::<Value>().await.unwrap()["authorization_id"].as_str().unwrap().to_owned();
    let client = |process: &Process| {
        let (url, api_key, authorization_id) = (process.url.clone(), api_key.clone(), authorization_id.clone());
        Arc::new(Client { http: reqwest::Client::new(), url, api_key, authorization_id })
    };
    let (numbers, answers) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut told = BTreeMap::new();
    let mut lives = client(&process);
    for kill in 0..KILLS {
        let load = |client: Arc<Client>| {
            let (numbers, answers) = (Arc::clone(&numbers), Arc::clone(&answers));
            tokio::spawn(async move {
                let mut told = Vec::new();
                loop {
                    let number = numbers.fetch_add(1, Ordering::SeqCst);
                    let answer = client.send(number).await;
                    answers.fetch_add(1, Ordering::SeqCst);
                    let is_dead = answer.is_none();
                    told.push((number, answer));
                    if is_dead {
                        return told;
                    }
                }
            })
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| load(Arc::clone(&lives))).collect();
        let goal = answers.load(Ordering::SeqCst) + 20 + kill * 7;
        while answers.load(Ordering::SeqCst) < goal {
            tokio::task::yield_now().await;
        }
        process.kill();
        for client in clients {
            told.extend(client.await.unwrap());
        }
        let batches = stored(&data);
        for (number, places) in &batches {
            assert_eq!(*places, (0..CHECKS).collect::<Vec<_>>(), "batch {number} is there whole, once and in order");
        }
        assert!(told.iter().all(|(number, answer)| answer.is_none() || batches.contains_key(number)), "what was answered is there");
        process = Process::serve(&data, &[]);
        lives = client(&process);
        for (number, answer) in &mut told {
            let again = lives.send(*number).await.unwrap();
            assert_eq!(receipts(&again).len(), usize::try_from(CHECKS).unwrap());
            assert!(answer.as_ref().is_none_or(|first| receipts(first) == receipts(&again)), "batch {number} is answered as it was");
            *answer = Some(again);
        }
    }
    assert_eq!(process.terminate(), Some(0));
    let batches = stored(&data);
    assert_eq!(batches.len(), told.len());
    assert!(batches.values().all(|places| places.len() == usize::try_from(CHECKS).unwrap()), "nothing is decided twice");
}
