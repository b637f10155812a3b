//! The edge of the real server: stopped under load, out of descriptors, told of a hangup.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::process::{Process, init, run, text};

const CLIENTS: usize = 32;

/// A client that connects anew for every call.
fn http() -> reqwest::Client {
    let client = reqwest::Client::builder().tls_certs_only([]).pool_max_idle_per_host(0);
    client.timeout(Duration::from_secs(30)).build().unwrap()
}

async fn grant(process: &Process, api_key: &str) -> String {
    let body = json!({ "user_id": "u", "agent_id": "a", "scopes": ["s"], "expires_at": "2099-01-01T00:00:00Z" });
    let request = http().post(format!("{}/v1/authorizations", process.url)).bearer_auth(api_key).json(&body);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    answer["authorization_id"].as_str().unwrap().to_owned()
}

/// Checks until the server is gone; the receipts it was told of.
async fn check_to_the_end(url: String, api_key: String, id: String, answers: Arc<AtomicU64>) -> Vec<String> {
    let http = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let mut receipts = Vec::new();
    loop {
        let body = json!({ "authorization_id": id, "scopes": ["s"] });
        let sent = http.post(format!("{url}/v1/check")).bearer_auth(&api_key).json(&body).send().await;
        let Ok(response) = sent else { return receipts };
        let status = response.status();
        let answer: Value = response.json().await.expect("an answer that has begun is given whole");
        assert_eq!(status, 200, "a server that stops refuses nothing it has accepted: {answer}");
        receipts.push(answer["results"]["s"]["receipt"]["receipt_id"].as_str().unwrap().to_owned());
        answers.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let api_key = init(&data)["api_key"].as_str().unwrap().to_owned();
    let mut told = BTreeSet::new();
    for turn in 1..=3 {
        let process = Process::serve(&data, &[]);
        let id = grant(&process, &api_key).await;
        // These say nothing and must not be waited for.
        let address = process.url.strip_prefix("http://").unwrap().to_owned();
        let silent: Vec<_> = (0..20).map(|_| TcpStream::connect(&address).unwrap()).collect();
        let answers = Arc::new(AtomicU64::new(0));
        let check = |_| tokio::spawn(check_to_the_end(process.url.clone(), api_key.clone(), id.clone(), Arc::clone(&answers)));
        let clients: Vec<_> = (0..CLIENTS).map(check).collect();
        while answers.load(Ordering::SeqCst) < turn * 100 {
            tokio::task::yield_now().await;
        }
        process.ask_to_stop();
        for client in clients {
            told.extend(client.await.unwrap());
        }
        let (code, said) = process.ended();
        assert!(code == Some(0) && said.contains("stopping") && !said.contains("cut"), "{code:?}: {said}");
        drop(silent);
    }
    let shown = run(&["log", "show", "--data", data.to_str().unwrap()]);
    let stored = text(&shown.stdout);
    let stored: BTreeSet<&str> = stored.split('"').filter(|word| word.starts_with("rcp_")).collect();
    let lost: Vec<_> = told.iter().filter(|receipt| !stored.contains(receipt.as_str())).collect();
    assert!(told.len() >= 300 && lost.is_empty(), "{} of {} answered checks are lost", lost.len(), told.len());
}

#[tokio::test]
async fn with_few_descriptors_and_many_idle_connections_it_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let api_key = init(&data)["api_key"].as_str().unwrap().to_owned();
    // The second is let have more connections than it can have descriptors for: accepting itself fails.
    for more in [&[][..], &["--max-connections", "1000"]] {
        let process = Process::serve_with_descriptors(64, &data, more);
        let id = grant(&process, &api_key).await;
        let connect = |url: &str| TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
        let crowd: Vec<_> = (0..300)
            .flat_map(|n| [Some(connect(&process.url)), (n % 6 == 0).then(|| connect(&process.operations_url))])
            .flatten()
            .collect();
        let http = http();
        for held in [Some(crowd), None] {
            for _ in 0..20 {
                // Each of them has to be let in anew.
                let body = json!({ "authorization_id": id, "scopes": ["s"] });
                let request = http.post(format!("{}/v1/check", process.url)).bearer_auth(&api_key).json(&body);
                let answer: Value = request.send().await.unwrap().json().await.unwrap();
                assert_eq!(answer["results"]["s"]["decision"], "allow", "{more:?}: {answer}");
                let ready = http.get(format!("{}/readyz", process.operations_url)).send().await.unwrap();
                assert_eq!(ready.status(), 200, "{more:?}");
            }
            drop(held);
        }
        assert_eq!(process.terminate(), Some(0));
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let api_key = init(&data)["api_key"].as_str().unwrap().to_owned();
    let process = Process::serve(&data, &[]);
    let address = process.url.strip_prefix("http://").unwrap();
    for (key, status) in [(api_key.as_str(), "400"), ("x", "401")] {
        let mut client = TcpStream::connect(address).unwrap();
        let head = format!("POST /v1/check HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: 100\r\n\r\n{{");
        client.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains("\"error\""), "{answer}");
    }
    assert_eq!(process.terminate(), Some(0));
}

#[tokio::test]
async fn a_hangup_is_no_reason_to_end() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let api_key = init(&data)["api_key"].as_str().unwrap().to_owned();
    let mut process = Process::serve(&data, &["--rate-limit", "1/s", "--rate-burst", "3"]);
    process.signal(rustix::process::Signal::HUP);
    process.has_said("a hangup");
    let http = http();
    let call = || http.get(format!("{}/v1/escalations", process.url)).bearer_auth(&api_key).send();
    let first = call().await.unwrap();
    assert_eq!((first.status().as_u16(), &first.headers()["ratelimit-policy"]), (200, &"\"key\";q=3;w=3".parse().unwrap()));
    // However slow the machine is, so many at a time are too many.
    let mut refused = false;
    while !refused {
        let calls: Vec<_> = (0..16).map(|_| tokio::spawn(call())).collect();
        for call in calls {
            refused |= call.await.unwrap().unwrap().status() == 429;
        }
    }
    assert_eq!(process.terminate(), Some(0));
    let alone = run(&["serve", "--data", data.to_str().unwrap(), "--rate-burst", "3"]);
    assert!(!alone.status.success() && text(&alone.stderr).contains("--rate-limit"), "{}", text(&alone.stderr));
}
