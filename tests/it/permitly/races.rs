//! Approve, decline, withdrawal and expiry against each other: one winner, one event, one webhook.

use std::sync::Arc;

use allowlog_projections::webhooks::notice;
use allowlog_proto::event::{AuthorizationEvent, ConsentEvent, Event};
use allowlog_proto::record::Record;
use axum::http::StatusCode;
use serde_json::json;

use super::{ask, consent, id, submit, withdraw};
use crate::harness::Server;

const RACES: u64 = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn there_is_one_winner() {
    let server = Arc::new(Server::start().await);
    let mut won = [0_u64; 4];
    for race in 0..RACES {
        let asked = ask(&server, json!({ "expires_in": 1, "scopes": [{ "key": "a" }] })).await;
        let id = id(&asked);
        let csrf = server.page(&format!("/c/{id}")).await.csrf();
        let first = server.records();
        // Who starts first differs from race to race; the clock passes the end somewhere among them.
        let mut runners = Vec::new();
        for step in 0..6 {
            let (server, id, csrf) = (Arc::clone(&server), id.clone(), csrf.clone());
            let turn = (race + step) % 6;
            runners.push(tokio::spawn(async move {
                match turn {
                    0 | 1 => submit(&server, &id, "approve", &csrf).await.status == StatusCode::SEE_OTHER,
                    2 | 3 => submit(&server, &id, "decline", &csrf).await.status == StatusCode::SEE_OTHER,
                    // What was approved would always be taken back in the end.
                    4 if race % 2 == 0 => withdraw(&server, &id).await.status == StatusCode::OK,
                    5 if race % 4 < 2 => {
                        server.clock.advance_ms(1_000);
                        false
                    }
                    _ => false,
                }
            }));
        }
        let mut told = 0;
        for runner in runners {
            told += u64::from(runner.await.unwrap());
        }
        let status = consent(&server, &id).await["status"].as_str().unwrap().to_owned();
        let events = events(&server, first);
        let (answers, withdrawals): (Vec<_>, Vec<_>) = events.iter().partition(|event| !event.starts_with("revoked"));
        assert!(answers.len() <= 1 && withdrawals.len() <= 1, "race {race}: {events:?}");
        let expected: (&str, &[&str]) = match status.as_str() {
            "approved" => ("approved", &["approved"]),
            "declined" => ("declined", &["declined"]),
            "expired" => ("expired", &[]),
            // Taken back before an answer, or what was approved.
            "revoked" if answers.is_empty() => ("revoked", &["revoked"]),
            "revoked" => ("revoked", &["approved", "revoked of approved"]),
            other => panic!("race {race}: {other}"),
        };
        assert_eq!((status.as_str(), events.iter().map(String::as_str).collect::<Vec<_>>().as_slice()), expected, "race {race}");
        assert_eq!(told, expected.1.len() as u64, "race {race}: who was told so is whose event there is");
        let place = ["approved", "declined", "expired", "revoked"].iter().position(|one| *one == status).unwrap();
        won[place] += 1;
    }
    assert_eq!(won.iter().sum::<u64>(), RACES);
    assert!(won.iter().all(|count| *count > 0), "each wins sometimes: {won:?}");
}

/// What the records from there on say that webhooks tell, each with its notice.
fn events(server: &Server, first: u64) -> Vec<String> {
    let mut found = Vec::new();
    for frame in server.store.scan(first) {
        let frame = frame.unwrap();
        for (sequence, (bytes, hash)) in (frame.header().first_sequence..).zip(frame.records().unwrap()) {
            let record = Record::decode(bytes).unwrap();
            let Some(notice) = notice(&record, hash).filter(|_| sequence >= first) else { continue };
            found.push(match &record.event {
                Event::Authorization(AuthorizationEvent::Revoked(_)) => "revoked of approved".to_owned(),
                Event::Authorization(AuthorizationEvent::Granted(_))
                | Event::Consent(ConsentEvent::Declined(_) | ConsentEvent::Withdrawn(_)) => {
                    notice.kind.strip_prefix("consent.").unwrap().to_owned()
                }
                other => panic!("{other:?} is told"),
            });
        }
    }
    found
}
