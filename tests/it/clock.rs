//! A clock that jumps: what is decided never goes back, windows never open twice, and what has lapsed stays lapsed.

use std::sync::Arc;

use allowlog::log::Store;
use allowlog::log::memory::MemoryStore;
use allowlog_proto::record::Record;
use allowlog_proto::time::Timestamp;
use serde_json::json;

use crate::harness::{START, Server};

const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;
const DAY: u64 = 24 * HOUR;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn back(server: &Server, ms: u64) {
    server.clock.set(Timestamp::from_ms(server.clock.now().as_ms() - ms).unwrap());
}

/// The times of the log, which never go back.
fn times(store: &dyn Store) -> Vec<Timestamp> {
    let mut times = Vec::new();
    for frame in store.scan(0) {
        times.extend(frame.unwrap().records().unwrap().map(|(bytes, _)| Record::decode(bytes).unwrap().time));
    }
    assert!(times.is_sorted(), "time goes back: {times:?}");
    times
}

#[tokio::test]
async fn a_clock_set_back_opens_nothing_again() {
    let server = Server::start().await;
    let scopes = json!([{ "name": "email.send", "constraints": { "max_per_day": 2 } }, "email.ask", "email.purge"]);
    let id = server.grant(json!({ "scopes": scopes, "requires_confirm_for": ["email.ask"], "expires_at": "2026-03-02T12:00:00Z" })).await;
    for _ in 0..2 {
        assert_eq!(server.decide(&id, "email.send", None).await.0, "allow");
    }
    let nonce = server.check(&id, "email.ask", None).await["confirm_nonce"].as_str().unwrap().to_owned();
    let confirm = json!({ "approved": true, "ttl_seconds": 60 });
    assert_eq!(server.post(&format!("/v1/confirmations/{nonce}"), confirm).await.status, 200);
    // To the day before, where the window would be empty.
    back(&server, DAY);
    assert_eq!(server.decide(&id, "email.send", None).await.1, "rate_limit_exceeded");
    // Time stands still: what is confirmed stays so, neither longer nor shorter once the clock has caught up.
    assert_eq!(server.decide(&id, "email.ask", None).await.0, "allow");
    server.clock.advance_ms(DAY + 59 * SECOND);
    assert_eq!(server.decide(&id, "email.ask", None).await.0, "allow");
    server.clock.advance_ms(SECOND);
    assert_eq!(server.decide(&id, "email.ask", None).await.0, "confirm");
    back(&server, 30 * SECOND);
    assert_eq!(server.decide(&id, "email.ask", None).await.0, "confirm");
    // Expired once is expired, whatever the clock says afterwards.
    server.clock.set(at("2026-03-02T12:00:00Z"));
    assert_eq!(server.decide(&id, "email.send", None).await.1, "authorization_expired");
    server.clock.set(at(START));
    assert_eq!(server.decide(&id, "email.send", None).await.1, "authorization_expired");
    times(&*server.store);
    server.clock.set(at("2026-03-02T12:00:00Z"));
}

#[tokio::test]
async fn each_day_has_one_window_however_often_the_clock_steps() {
    let server = Server::start().await;
    let id = server
        .grant(json!({ "scopes": [{ "name": "email.send", "constraints": { "max_per_day": 2 } }], "expires_at": "2026-06-01T00:00:00Z" }))
        .await;
    let mut allows = 0;
    for _ in 0..6 {
        for _ in 0..4 {
            allows += u32::from(server.decide(&id, "email.send", None).await.0 == "allow");
        }
        server.clock.advance_ms(DAY);
        for _ in 0..4 {
            allows += u32::from(server.decide(&id, "email.send", None).await.0 == "allow");
        }
        back(&server, DAY - HOUR);
    }
    // The clock has seen this day and the next; time has been in two days only.
    assert_eq!(allows, 4, "two a day");
    times(&*server.store);
    server.clock.advance_ms(DAY);
}

#[tokio::test]
async fn a_leap_into_the_future_is_not_taken_back() {
    let store = Arc::new(MemoryStore::new());
    let (id, future) = {
        let server = Server::start_on(Arc::clone(&store) as _).await;
        let id = server.grant(json!({ "expires_at": "2099-01-01T00:00:00Z", "scopes": ["email.read"] })).await;
        assert_eq!(server.decide(&id, "email.read", None).await.0, "allow");
        let future = at("2099-01-01T00:00:00Z");
        server.clock.set(future);
        assert_eq!(server.decide(&id, "email.read", None).await.1, "authorization_expired");
        server.clock.set(at(START));
        assert_eq!(server.decide(&id, "email.read", None).await.1, "authorization_expired");
        // Whoever asks for a new permission is told that this time is over.
        let body = json!({ "user_id": "u", "agent_id": "a", "scopes": ["s"], "expires_at": "2027-01-01T00:00:00Z" });
        assert_eq!(server.post("/v1/authorizations", body).await.fields(), ["body.expires_at"]);
        server.clock.set(future);
        (id, future)
    };
    // A restart on the right clock goes on where the log is.
    let server = Server::start_on(Arc::clone(&store) as _).await;
    assert_eq!(server.decide(&id, "email.read", None).await.1, "authorization_not_found", "it is another workspace's");
    let last = *times(&*store).last().unwrap();
    assert!(last > future, "{last}");
    server.clock.set(last);
}
