//! Storage that fails: nobody is told what is not stored, and nothing is lost that somebody was told.

use std::sync::Arc;

use allowlog::log::memory::{Fault, MemoryStore};
use allowlog::log::{Frames, Store, StoreError};
use allowlog_proto::frame::Frame;
use allowlog_proto::signing::Signature;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;

use crate::harness::{Server, send};

#[tokio::test]
async fn a_failed_append_is_503_and_the_state_is_what_the_log_says() {
    for fault in [Fault::Lost, Fault::DoneButFailed] {
        let store = Arc::new(MemoryStore::new());
        let server = Server::start_on(Arc::clone(&store) as _).await;
        let scopes = json!([{ "name": "email.send", "constraints": { "max_per_day": 2 } }]);
        let id = server.grant(json!({ "scopes": scopes })).await;
        assert_eq!(server.decide(&id, "email.send", None).await.0, "allow");
        let before = server.records();
        store.fail_append(0, fault);
        store.fail_recover(2);
        let check = json!({ "authorization_id": id, "scopes": ["email.send"] });
        let ready = async || send(&server.operations, Request::get("/readyz").body(Body::empty()).unwrap()).await;
        let reply = server.post("/v1/check", check.clone()).await;
        assert_eq!(reply.error(), (503, "service_unavailable".into()));
        assert_eq!(reply.headers["retry-after"], "1");
        // Recovery fails twice: every command is refused, and readiness says why; what is durable can be read.
        assert_eq!(server.post("/v1/check", check.clone()).await.status, StatusCode::SERVICE_UNAVAILABLE);
        let granted = server.get(&format!("/v1/authorizations/{id}")).await;
        assert_eq!(granted.status, StatusCode::OK);
        let listed = server.get(&format!("/v1/receipts?authorization_id={id}")).await.json();
        assert_eq!(listed["items"].as_array().unwrap().len(), 2, "the grant and its first check");
        let first = listed["items"][1]["receipt_id"].as_str().unwrap();
        assert_eq!(server.get(&format!("/v1/receipts/{first}")).await.status, StatusCode::OK);
        let unready = ready().await;
        assert_eq!(unready.error(), (503, "service_unavailable".into()));
        assert!(unready.text.contains("recover"), "{}", unready.text);
        // The metrics are answered, say so, and leave the writer alone: it has one failure to go before it works.
        let metrics = send(&server.operations, Request::get("/metrics").body(Body::empty()).unwrap()).await;
        assert_eq!(metrics.status, StatusCode::OK);
        assert!(metrics.text.contains("\nallowlog_latched 1\n") && !metrics.text.contains("allowlog_state_entries"), "{}", metrics.text);
        assert_eq!(server.records(), before, "nothing was stored");
        // Then it goes on by itself, and the failed check was never counted.
        assert_eq!(ready().await.status, StatusCode::OK);
        assert_eq!(server.decide(&id, "email.send", None).await.0, "allow");
        assert_eq!(server.decide(&id, "email.send", None).await.1, "rate_limit_exceeded");
    }
}

#[tokio::test]
async fn metrics_are_answered_while_the_writer_stands_still() {
    let server = Server::start().await;
    let scrape = async || send(&server.operations, Request::get("/metrics").body(Body::empty()).unwrap()).await;
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let (enter, entered) = tokio::sync::oneshot::channel();
    let hold = server.app().engine.read(move |_, _| {
        let _ = enter.send(());
        let _ = gate.recv();
    });
    let mut waits = std::pin::pin!(server.app().engine.read(|_, _| ()));
    let look = async {
        entered.await.unwrap();
        assert!(tokio::select! { biased; _ = &mut waits => false, () = std::future::ready(()) => true }, "it waits its turn");
        let metrics = scrape().await;
        assert_eq!(metrics.status, StatusCode::OK);
        assert!(metrics.text.contains("\nallowlog_queue_depth 1\n"), "{}", metrics.text);
        assert!(metrics.text.contains("\nallowlog_log_head ") && !metrics.text.contains("allowlog_state_entries"), "{}", metrics.text);
        go.send(()).unwrap();
    };
    let (held, ()) = tokio::join!(hold, look);
    held.unwrap();
    waits.await.unwrap();
    assert!(scrape().await.text.contains("allowlog_state_entries"), "and is whole again");
}

/// A log whose stored signatures cannot be read.
struct Unreadable(MemoryStore);

impl Store for Unreadable {
    fn append(&self, frame: Frame) -> Result<(), StoreError> {
        self.0.append(frame)
    }

    fn recover(&self) -> Result<(), StoreError> {
        self.0.recover()
    }

    fn head(&self) -> u64 {
        self.0.head()
    }

    fn scan(&self, sequence: u64) -> Frames {
        self.0.scan(sequence)
    }

    fn locate(&self, time_ms: u64) -> Result<u64, StoreError> {
        self.0.locate(time_ms)
    }

    fn put_signatures(&self, sequence: u64, signatures: &[Signature]) -> Result<(), StoreError> {
        self.0.put_signatures(sequence, signatures)
    }

    fn signature(&self, sequence: u64) -> Result<Option<Signature>, StoreError> {
        Err(StoreError::Damaged { sequence, problem: "a flipped bit".to_owned() })
    }

    fn signed(&self) -> u64 {
        self.0.signed()
    }
}

#[tokio::test]
async fn a_signature_that_cannot_be_read_is_made_again() {
    let server = Server::start_on(Arc::new(Unreadable(MemoryStore::new()))).await;
    let id = server.grant(json!({})).await;
    let receipt = server.check(&id, "email.read", None).await["receipt"]["receipt_id"].as_str().unwrap().to_owned();
    // The audit of the harness verifies it, and every other.
    assert_eq!(server.signed_receipt(&receipt).await["receipt_id"], receipt.as_str());
    let listed = server.get(&format!("/v1/receipts?authorization_id={id}")).await.json();
    assert!(listed["items"].as_array().unwrap().iter().all(|item| item["signed"] == true), "{listed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn random_faults_under_load_lose_nothing_that_was_answered() {
    let store = Arc::new(MemoryStore::new());
    let server = Arc::new(Server::start_on(Arc::clone(&store) as _).await);
    let scopes = json!([{ "name": "email.send", "constraints": { "max_per_day": 300 } }]);
    let id = server.grant(json!({ "scopes": scopes })).await;
    for nth in (5..400).step_by(7) {
        store.fail_append(nth, if nth % 2 == 0 { Fault::Lost } else { Fault::DoneButFailed });
    }
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let (server, id) = (Arc::clone(&server), id.clone());
            tokio::spawn(async move {
                let mut allows = 0;
                for _ in 0..40 {
                    let reply = server.post("/v1/check", json!({ "authorization_id": id, "scopes": ["email.send"] })).await;
                    match reply.status {
                        StatusCode::OK => allows += u64::from(reply.json()["results"]["email.send"]["decision"] == "allow"),
                        status => assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE),
                    }
                }
                allows
            })
        })
        .collect();
    let mut allows = 0;
    for client in clients {
        allows += client.await.unwrap();
    }
    // Until the window is full every further check is an allow, and not one more.
    loop {
        let reply = server.post("/v1/check", json!({ "authorization_id": id, "scopes": ["email.send"] })).await;
        if reply.status == StatusCode::OK {
            if reply.json()["results"]["email.send"]["decision"] == "deny" {
                break;
            }
            allows += 1;
        }
    }
    assert_eq!(allows, 300);
}
