//! SIGKILL under load: what was answered is there, the chain holds, counters and approvals go on, no id is used twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use allowlog_proto::chain::Hash;
use allowlog_proto::checkpoint::Checkpoint;
use allowlog_proto::merkle::verify_consistency;
use allowlog_proto::note::Note;
use data_encoding::BASE64;
use serde_json::{Value, json};

use super::process::{Process, init, run, text};

/// As many as a run on every change has time for; `ALLOWLOG_KILLS=1000` is for the hand.
const KILLS: u64 = 50;
const CLIENTS: usize = 32;
/// So few that the window is full before the end, and so many that it is not full at once.
const ALLOWS_A_KILL: u64 = 60;

/// What the clients asked for and what they were told.
#[derive(Default)]
struct Told {
    /// Decision by receipt.
    receipts: Mutex<BTreeMap<String, String>>,
    answers: AtomicU64,
    /// Every request carries a number of its own, from 0 to this one.
    asked: AtomicU64,
}

struct Client {
    http: reqwest::Client,
    url: String,
    api_key: String,
}

impl Client {
    fn new(process: &Process, api_key: &str) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        Self { http, url: process.url.clone(), api_key: api_key.to_owned() }
    }

    /// The answer, or nothing if the server died before it gave one.
    async fn post(&self, path: &str, body: &Value) -> Option<Value> {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(&self.api_key).json(body);
        let response = request.send().await.ok()?;
        let status = response.status();
        let answer = response.json().await.ok()?;
        assert!(status.is_success(), "{status}: {answer}");
        Some(answer)
    }

    async fn check(&self, told: &Told, id: &str, scope: &str) -> Option<Value> {
        let body = json!({ "authorization_id": id, "scopes": [scope], "context": { "n": told.next() } });
        Some(self.post("/v1/check", &body).await?["results"][scope].clone())
    }

    async fn grant(&self, told: &Told) -> Option<Value> {
        let body = json!({
            "user_id": "u", "agent_id": "a", "scopes": ["s"], "expires_at": "2099-01-01T00:00:00Z", "metadata": { "n": told.next() },
        });
        self.post("/v1/authorizations", &body).await
    }

    /// Size and root of the last checkpoint of a workspace, once there is one.
    async fn checkpoint(&self, workspace: &str) -> (u64, Hash) {
        loop {
            let response = self.http.get(format!("{}/tlog/{workspace}/checkpoint", self.url)).send().await.unwrap();
            if response.status().is_success() {
                let checkpoint = Checkpoint::parse(&Note::parse(&response.text().await.unwrap()).unwrap().text).unwrap();
                return (checkpoint.size, checkpoint.root);
            }
        }
    }

    /// What was shown before the kill is what the log begins with after it.
    async fn goes_on_from(&self, workspace: &str, (old, old_root): (u64, Hash)) {
        let (new, root) = self.checkpoint(workspace).await;
        assert!(new >= old, "a checkpoint of {old} records was shown before, and now one of {new}");
        let url = format!("{}/tlog/{workspace}/consistency?old={old}&new={new}", self.url);
        let proof = self.http.get(url).send().await.unwrap().text().await.unwrap();
        let hash = |line: &str| Hash(BASE64.decode(line.as_bytes()).unwrap().try_into().unwrap());
        assert!(verify_consistency(old, old_root, new, root, &proof.lines().map(hash).collect::<Vec<_>>()), "{old} to {new}");
    }

    async fn revoke(&self, id: &str) -> Option<Value> {
        let request = self.http.delete(format!("{}/v1/authorizations/{id}", self.url)).bearer_auth(&self.api_key);
        request.send().await.ok()?.json().await.ok()
    }
}

impl Told {
    fn next(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::SeqCst)
    }
}

/// Checks, and in between grants, of which every other one is revoked.
async fn load(client: Arc<Client>, id: String, told: Arc<Told>) {
    let mut granted = None;
    for turn in 0_u64.. {
        let answered = match (turn % 8, granted.take()) {
            (3, _) => client.grant(&told).await.map(|a| {
                granted = Some(a["authorization_id"].as_str().unwrap().to_owned());
                (a["receipt"]["receipt_id"].clone(), json!("authorization_granted"))
            }),
            (4, Some(id)) => client.revoke(&id).await.map(|a| (a["receipt"]["receipt_id"].clone(), json!("authorization_revoked"))),
            _ => client.check(&told, &id, "email.send").await.map(|r| (r["receipt"]["receipt_id"].clone(), r["decision"].clone())),
        };
        let Some((Value::String(receipt), Value::String(decision))) = answered else { return };
        told.answers.fetch_add(1, Ordering::SeqCst);
        let before = told.receipts.lock().unwrap().insert(receipt, decision);
        assert_eq!(before, None, "an id was given out twice");
    }
}

/// Day of the authorization's window: the test would count two windows if midnight (UTC) fell into it.
fn utc_day() -> u64 {
    allowlog::clock::Clock::Wall.now().day()
}

/// Starts the server and kills it while it opens what the last kill has left, somewhere from its first instruction on.
async fn kill_at_start(data: &Path, kill: u64) {
    let mut starting = super::process::spawn(data, &SNAPSHOTS);
    for _ in 0..(kill * 7_919) % 40_000 {
        tokio::task::yield_now().await;
    }
    starting.kill().unwrap();
    starting.wait().unwrap();
}

/// So that kills meet snapshots in the making.
const SNAPSHOTS: [&str; 2] = ["--snapshot-every", "200"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_nothing() {
    let kills = std::env::var("ALLOWLOG_KILLS").map_or(KILLS, |kills| kills.parse().expect("a number of kills"));
    let allows_a_day = kills * ALLOWS_A_KILL;
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let made = init(&data);
    let [api_key, workspace] = ["api_key", "workspace_id"].map(|member| made[member].as_str().unwrap().to_owned());
    let told = Arc::new(Told::default());
    let mut process = Process::serve(&data, &SNAPSHOTS);
    let mut client = Arc::new(Client::new(&process, &api_key));
    let grant = json!({
        "user_id": "u", "agent_id": "a", "expires_at": "2099-01-01T00:00:00Z",
        "scopes": [{ "name": "email.send", "constraints": { "max_per_day": allows_a_day } }, "email.purge", "email.read"],
        "requires_escalation_for": ["email.purge"], "requires_confirm_for": ["email.read"],
    });
    let id = client.post("/v1/authorizations", &grant).await.unwrap()["authorization_id"].as_str().unwrap().to_owned();
    let day = utc_day();
    for kill in 0..kills {
        let asked = client.check(&told, &id, "email.purge").await.unwrap();
        let resolve = format!("/v1/escalations/{}/resolve", asked["escalation_id"].as_str().unwrap());
        client.post(&resolve, &json!({ "resolution": "approved", "resolved_by": "bob" })).await.unwrap();
        let nonce = client.check(&told, &id, "email.read").await.unwrap()["confirm_nonce"].as_str().map(str::to_owned);
        let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(load(Arc::clone(&client), id.clone(), Arc::clone(&told)))).collect();
        // The load runs for another number of answers each time, so that the kill falls elsewhere.
        let goal = told.answers.load(Ordering::SeqCst) + 40 + (kill * 37) % 200;
        while told.answers.load(Ordering::SeqCst) < goal {
            tokio::task::yield_now().await;
        }
        let shown = client.checkpoint(&workspace).await;
        process.kill();
        for client in clients {
            client.await.unwrap();
        }
        if kill % 5 == 4 {
            kill_at_start(&data, kill).await;
        }
        process = Process::serve(&data, &SNAPSHOTS);
        client = Arc::new(Client::new(&process, &api_key));
        client.goes_on_from(&workspace, shown).await;
        // The approval given before the kill allows after it, once; the question asked before can be answered.
        assert_eq!(client.check(&told, &id, "email.purge").await.unwrap()["decision"], "allow");
        assert_eq!(client.check(&told, &id, "email.purge").await.unwrap()["decision"], "escalate");
        if let Some(nonce) = nonce {
            client.post(&format!("/v1/confirmations/{nonce}"), &json!({ "approved": true, "ttl_seconds": 1 })).await.unwrap();
        }
    }
    // What is left of the window is allowed, to the unit.
    while client.check(&told, &id, "email.send").await.unwrap()["decision"] == "allow" {}
    let receipts = told.receipts.lock().unwrap().clone();
    for (id, decision) in [receipts.iter().next().unwrap(), receipts.iter().next_back().unwrap()] {
        assert_eq!(signed_receipt(&client, id).await["decision"], **decision, "a receipt from before the kills");
    }
    assert_eq!(process.terminate(), Some(0));
    // Two are kept; the last kill may have left one that was not removed yet, and one half written.
    let snapshots = std::fs::read_dir(data.join("snapshots")).unwrap().count();
    assert!((1..=4).contains(&snapshots), "{snapshots} snapshots");
    audit(&data, &id, &told, (utc_day() == day).then_some(allows_a_day));
    println!("{kills} kills, {} answers, {} requests", told.answers.load(Ordering::SeqCst), told.asked.load(Ordering::SeqCst));
}

/// The receipt, once it is signed.
async fn signed_receipt(client: &Client, id: &str) -> Value {
    let url = format!("{}/v1/receipts/{id}", client.url);
    loop {
        let answer: Value = client.http.get(&url).bearer_auth(&client.api_key).send().await.unwrap().json().await.unwrap();
        match answer["status"].as_str() {
            Some("signed") => return answer["receipt"].clone(),
            Some("pending") => tokio::task::yield_now().await,
            _ => panic!("{id} is lost: {answer}"),
        }
    }
}

/// The log of the stopped server against what the clients were told.
fn audit(data: &Path, id: &str, told: &Told, allows_a_day: Option<u64>) {
    let data = data.to_str().unwrap();
    let asked = told.asked.load(Ordering::SeqCst);
    let told = told.receipts.lock().unwrap();
    // Nothing is stored that nobody asked for, and nothing twice.
    let mut numbers = BTreeSet::new();
    let mut is_ours = |of: &Value| {
        let Some(n) = of["n"].as_u64() else { return };
        assert!(n < asked && numbers.insert(n), "request {n} is stored twice, or was never sent");
    };
    let shown = run(&["log", "show", "--data", data]);
    let mut stored = BTreeMap::new();
    let (mut ids, mut allows) = (BTreeSet::new(), 0);
    for line in text(&shown.stdout).lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let event = &record["event"];
        if let Some(check) = event.pointer("/check/decided") {
            let verdict = &check["verdict"];
            let decision = verdict.as_str().or_else(|| verdict.as_object().unwrap().keys().next().map(String::as_str)).unwrap();
            let receipt = check["receipt_id"].as_str().unwrap().to_owned();
            is_ours(&check["context"]);
            assert_eq!(stored.insert(receipt, decision.to_owned()), None, "an id was used twice");
            let minted = [&verdict["confirm"]["nonce"], &verdict["escalate"]["escalation_id"]];
            let opened = verdict["escalate"]["opened"] != false;
            for id in minted.into_iter().filter(|id| id.is_string() && opened) {
                assert!(ids.insert(id.to_string()), "an id was used twice");
            }
            let ours = check.pointer("/subject/known/authorization_id").is_some_and(|a| a == id);
            allows += u64::from(ours && check["scope"] == "email.send" && decision == "allow");
        }
        if let Some(revoked) = event.pointer("/authorization/revoked") {
            let receipt = revoked["receipt_id"].as_str().unwrap().to_owned();
            assert_eq!(stored.insert(receipt, "authorization_revoked".to_owned()), None, "an id was used twice");
        }
        if let Some(granted) = event.pointer("/authorization/granted") {
            let receipt = granted["receipt_id"].as_str().unwrap().to_owned();
            assert_eq!(stored.insert(receipt, "authorization_granted".to_owned()), None, "an id was used twice");
            is_ours(&granted["metadata"]);
            assert!(ids.insert(granted["authorization_id"].clone().to_string()), "an id was used twice");
        }
    }
    assert!(!numbers.is_empty());
    let lost: Vec<_> = told.iter().filter(|(receipt, decision)| stored.get(*receipt) != Some(decision)).collect();
    assert!(lost.is_empty(), "{} answered events are lost, the first {:?}", lost.len(), lost.first());
    if let Some(allows_a_day) = allows_a_day {
        assert_eq!(allows, allows_a_day, "the window holds to the unit across every kill");
    }
}
