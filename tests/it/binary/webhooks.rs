//! SIGKILL between an answer on the consent page and its webhook: it arrives after the restart, the same as it would have been.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use reqwest::redirect::Policy;
use serde_json::{Value, json};

use super::process::{Process, allowlog, init};
use crate::webhooks::receiver::{Answer, Received, Receiver};

/// As many as a run on every change has time for; `ALLOWLOG_KILLS=1000` is for the hand.
const KILLS: u64 = 50;

/// The server, which is told of a proxy that is none: webhooks go where they are sent.
fn serve(data: &Path) -> Process {
    let mut program = allowlog();
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        program.env(name, "http://127.0.0.1:9");
    }
    Process::serve_as(program, data, &["--webhook-allow-private"], Stdio::null())
}

struct Caller {
    http: reqwest::Client,
    api_key: String,
}

impl Caller {
    async fn post(&self, url: String, body: Value) -> Value {
        let response = self.http.post(url).bearer_auth(&self.api_key).json(&body).send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_success(), "{status}: {text}");
        serde_json::from_str::<Value>(&text).unwrap()["data"].clone()
    }

    /// Asks for consent; the page and its CSRF token.
    async fn ask(&self, process: &Process, agent_id: &str) -> (String, String, String) {
        let body = json!({
            "agent_id": agent_id, "end_user_ref": "user_1", "scopes": [{ "key": "email.send" }], "redirect_url": "https://app.example/",
        });
        let id = self.post(format!("{}/v1/consent/request", process.url), body).await["id"].as_str().unwrap().to_owned();
        let page = format!("{}/c/{id}", process.url);
        let text = self.http.get(&page).send().await.unwrap().text().await.unwrap();
        let csrf = text.split(r#"name="csrf" value=""#).nth(1).expect("the form has it").split('"').next().unwrap();
        (id, page, csrf.to_owned())
    }
}

/// What arrived, by consent.
#[derive(Default)]
struct Told {
    by_consent: BTreeMap<String, Received>,
    repeated: u64,
}

impl Told {
    /// Waits until this consent is told; what else arrives before is told again.
    async fn arrives(&mut self, receiver: &mut Receiver, id: &str) {
        while self.note(receiver.next().await) != id {}
    }

    fn note(&mut self, received: Received) -> String {
        let body = body(&received);
        assert_eq!(body["type"], "consent.approved");
        let id = body["data"]["consent_id"].as_str().unwrap().to_owned();
        if let Some(first) = self.by_consent.insert(id.clone(), received.clone()) {
            assert_eq!(first, received, "same signature, same id, same token, same bytes");
            self.repeated += 1;
        }
        id
    }
}

fn body(received: &Received) -> Value {
    serde_json::from_str(&received.body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_no_webhook() {
    let kills = std::env::var("ALLOWLOG_KILLS").map_or(KILLS, |kills| kills.parse().expect("a number of kills"));
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let api_key = init(&data)["api_key"].as_str().unwrap().to_owned();
    let caller = Caller { http: reqwest::Client::builder().redirect(Policy::none()).build().unwrap(), api_key };
    // The consent whose webhook is not answered.
    let silent = Arc::new(Mutex::new(None::<String>));
    let not_to = Arc::clone(&silent);
    let is_silent = move |received: &Received| not_to.lock().unwrap().as_ref().is_some_and(|id| received.body.contains(id));
    let mut receiver = Receiver::reading(move |received| if is_silent(received) { Answer::Never } else { Answer::Status(200) }).await;
    let mut process = serve(&data);
    let agent = json!({ "name": "mailer", "webhook_url": receiver.url() });
    let agent_id = caller.post(format!("{}/v1/consent-agents", process.url), agent).await["id"].as_str().unwrap().to_owned();
    let (mut told, mut early) = (Told::default(), 0_u64);
    for kill in 0..kills {
        let (id, page, csrf) = caller.ask(&process, &agent_id).await;
        // Of every three, one is killed with the message under way, one at once, and one a little later.
        *silent.lock().unwrap() = (kill % 3 == 0).then(|| id.clone());
        let answer = format!("decision=approve&csrf={csrf}");
        let answer = caller.http.post(page).header("content-type", "application/x-www-form-urlencoded").body(answer);
        assert_eq!(answer.send().await.unwrap().status(), 303);
        if kill % 3 == 0 {
            told.arrives(&mut receiver, &id).await;
        }
        for _ in 0..if kill % 3 == 2 { (kill * 997) % 30_000 } else { 0 } {
            tokio::task::yield_now().await;
        }
        process.kill();
        *silent.lock().unwrap() = None;
        early += u64::from(kill % 3 != 0 && receiver.is_idle());
        process = serve(&data);
        told.arrives(&mut receiver, &id).await;
    }
    assert_eq!(process.terminate(), Some(0));
    for received in receiver.rest() {
        told.note(received);
    }
    let ids: BTreeSet<_> = told.by_consent.values().map(|received| body(received)["id"].to_string()).collect();
    assert_eq!((told.by_consent.len() as u64, ids.len() as u64), (kills, kills), "each consent is told, under an id of its own");
    assert!(told.repeated >= kills.div_ceil(3), "what was under way is sent again");
    println!("{kills} kills: {early} before anything was sent, {} webhooks sent again, the same", told.repeated);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_told_without_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let api_key = init(&data)["api_key"].as_str().unwrap().to_owned();
    let caller = Caller { http: reqwest::Client::builder().redirect(Policy::none()).build().unwrap(), api_key };
    let mut receiver = Receiver::new(|_| Answer::Status(500)).await;
    let process = Process::serve(&data, &["--webhook-allow-private"]);
    let agent = json!({ "name": "mailer", "webhook_url": receiver.url() });
    let made = caller.post(format!("{}/v1/consent-agents", process.url), agent).await;
    let agent_id = made["id"].as_str().unwrap();
    let (_, page, csrf) = caller.ask(&process, agent_id).await;
    let answer = format!("decision=approve&csrf={csrf}");
    let answer = caller.http.post(page).header("content-type", "application/x-www-form-urlencoded").body(answer);
    assert_eq!(answer.send().await.unwrap().status(), 303);
    let received = receiver.next().await;
    let metrics = format!("{}/metrics", process.operations_url);
    loop {
        let text = caller.http.get(&metrics).send().await.unwrap().text().await.unwrap();
        if text.contains(r#"allowlog_webhook_deliveries_total{result="failed"} 1"#) {
            assert!(text.contains("allowlog_webhooks_pending 1\n"), "{text}");
            break;
        }
    }
    process.ask_to_stop();
    let (code, said) = process.ended();
    assert_eq!(code, Some(0));
    assert!(said.contains("did not arrive") && said.contains(agent_id) && said.contains("answered 500"), "{said}");
    let token = body(&received)["data"]["token"].as_str().unwrap().to_owned();
    for secret in [token.as_str(), made["webhook_secret"].as_str().unwrap(), "from=allowlog"] {
        assert!(!said.contains(secret), "{said}");
    }
}
