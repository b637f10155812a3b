//! A client that does not give up: a call that the server died over is sent again under the same key, to its next life.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

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
