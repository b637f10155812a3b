//! A client that does not give up: a call that the server died over is sent again under the same key, to its next life.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::process::Process;

/// The same for every life of the server, whatever its port: links are a part of the answers that are compared.
pub const PUBLIC_URL: &[&str] = &["--public-url", "https://allow.example"];
const KILLS: u64 = 20;

/// Kills the server 20 times while clients are at work, of whose `calls` so many are `done`, and tells them where its next life is.
/// Returns the last one, once all is done.
pub async fn survive(
    mut process: Process,
    data: &Path,
    url: &watch::Sender<String>,
    clients: Vec<JoinHandle<()>>,
    (done, calls): (&AtomicU64, u64),
) -> Process {
    for kill in 1..=KILLS {
        // Spread over the run; the last ones may find the clients done, who then retry nothing.
        let goal = kill * calls / (KILLS + 4);
        while done.load(Ordering::SeqCst) < goal && !clients.iter().all(JoinHandle::is_finished) {
            tokio::task::yield_now().await;
        }
        process.kill();
        process = Process::serve(data, PUBLIC_URL);
        url.send_replace(process.url.clone());
    }
    for client in clients {
        client.await.unwrap();
    }
    process
}

pub struct Client {
    http: reqwest::Client,
    /// Where the server is now; it changes with each of its lives.
    url: watch::Receiver<String>,
    api_key: String,
}

impl Client {
    pub fn new(url: watch::Receiver<String>, api_key: &str) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        Self { http, url, api_key: api_key.to_owned() }
    }

    /// The answer of whichever life of the server gives one, with its status.
    pub async fn insist(&self, path: &str, idempotency_key: &str, body: &Value) -> (u16, Value) {
        let mut url = self.url.clone();
        loop {
            let here = url.borrow_and_update().clone();
            let request = self.http.post(format!("{here}{path}")).bearer_auth(&self.api_key).json(body);
            let answer = async {
                let response = request.header("Idempotency-Key", idempotency_key).send().await.ok()?;
                let status = response.status().as_u16();
                (status < 500).then_some((status, response.json().await.ok()?))
            };
            match answer.await {
                Some(answer) => return answer,
                // The server died: the next life has another address. Or it was merely slow: then it is asked again.
                None => drop(tokio::time::timeout(Duration::from_secs(1), url.changed()).await),
            }
        }
    }
}
