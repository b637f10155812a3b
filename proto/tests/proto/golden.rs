//! Golden bytes: every variant of every event as a stored record, and one frame that holds them all.
//!
//! `ALLOWLOG_REGENERATE=1 cargo test -p allowlog-proto the_bytes_are_the_golden` writes the files anew. Do so only before release 1.0, or
//! to add files for new variants: from then on no byte of an old file may change.

use allowlog_proto::chain::Chain;
use allowlog_proto::event::{CheckEvent, Code, Event};
use allowlog_proto::frame::{Frame, FrameHeader};
use allowlog_proto::reason::Reason;
use allowlog_proto::record::{self, Record};
use data_encoding::HEXLOWER;
use serde_json::json;

use crate::{files, fixtures};

const DIRECTORY: &str = "tests/golden";

#[test]
fn every_variant_has_a_fixture() {
    let found: Vec<&str> = fixtures::events().iter().flat_map(|(_, event)| fixtures::labels(event)).collect();
    for list in [
        fixtures::EVENTS,
        fixtures::GRANTS,
        fixtures::REVOKES,
        fixtures::RISKS,
        fixtures::SUBJECTS,
        fixtures::VERDICTS,
        fixtures::EVALUATIONS,
        fixtures::TESTS,
        fixtures::PLANS,
        fixtures::STYLES,
        fixtures::ROLES,
        fixtures::ANSWERS,
        fixtures::RESOLUTIONS,
        fixtures::AGENT_KINDS,
        fixtures::AGENT_STATUSES,
        fixtures::ON_EXCEED,
        fixtures::PURPOSES,
        fixtures::REFUSALS,
        fixtures::SETTLEMENTS,
        &Code::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>(),
    ] {
        for label in list {
            assert!(found.contains(label), "no fixture for `{label}`");
        }
    }
}

#[test]
fn the_bytes_are_the_golden_ones() {
    let (records, frame) = fixtures::log();
    let mut expected = Vec::new();
    for (name, record) in &records {
        let mut bytes = Vec::new();
        let hash = record.encode(&mut bytes).unwrap();
        let shown = json!({
            "workspace_id": record.workspace_id,
            "index": record.index,
            "time": record.time,
            "previous": record.previous,
            "receipt": HEXLOWER.encode(&record.receipt),
            "event": record.event,
            "request": record.request,
            "hash": hash,
        });
        expected.push((format!("{name}.hex"), hex(&bytes)));
        expected.push((format!("{name}.json"), pretty(&shown)));
    }
    expected.push(("frame.hex".to_owned(), hex(frame.bytes())));
    expected.push(("frame.json".to_owned(), pretty(&shown(&frame, &records))));
    expected.sort();

    if files::regenerate() {
        for (name, text) in &expected {
            files::write(&format!("{DIRECTORY}/{name}"), text);
        }
    }
    let names: Vec<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(files::list(DIRECTORY), names, "exactly the fixtures have files");
    for (name, text) in &expected {
        assert_eq!(files::read(&format!("{DIRECTORY}/{name}")), *text, "{name}");
    }
}

#[test]
fn the_golden_bytes_are_read_back() {
    let (records, _) = fixtures::log();
    for (name, record) in &records {
        let bytes = read(name);
        assert_eq!(Record::decode(&bytes).as_ref(), Ok(record), "{name}");
        assert_eq!(record::family(&bytes) == Some(Event::CHECKS), matches!(record.event, Event::Check(_)), "{name}");
        let shown: serde_json::Value = serde_json::from_str(&files::read(&format!("{DIRECTORY}/{name}.json"))).unwrap();
        assert_eq!(shown["hash"], record::hash(&bytes).unwrap().to_string(), "{name}");
    }
    let frame = Frame::read(&read("frame")).unwrap();
    let mut chain = Chain::new();
    let mut admitted = Vec::new();
    chain.admit(&frame, |sequence, record, hash| admitted.push((sequence, record.clone(), hash))).unwrap();
    assert_eq!(admitted.len(), records.len());
    for ((sequence, admitted, hash), (name, record)) in admitted.iter().zip(&records) {
        assert_eq!((*sequence, admitted, *hash), (record.index, record, record::hash(&read(name)).unwrap()), "{name}");
    }
    assert_eq!(chain.frame_hash(), frame.hash());
}

#[test]
fn the_longer_event_is_refused() {
    for (name, _) in fixtures::log().0 {
        let mut bytes = read(name);
        bytes.push(0);
        assert!(Record::decode(&bytes).is_err(), "{name} with a byte more");
        bytes.truncate(bytes.len().saturating_sub(2));
        assert!(Record::decode(&bytes).is_err(), "{name} with a byte less");
    }
}

/// As long as no memory can be: whoever took it before he looked would end the process.
#[test]
fn a_claimed_length_takes_no_memory() {
    const CLAIMED: [u8; 9] = [0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    for (name, record) in fixtures::log().0 {
        let mut bytes = Vec::new();
        record.encode(&mut bytes).unwrap();
        for place in record::HEADER_BYTES..bytes.len() {
            let claiming = [&bytes[..place], &CLAIMED, &bytes[place + 1..]].concat();
            assert_ne!(Record::decode(&claiming).as_ref(), Ok(&record), "{name} at {place}");
        }
    }
}

#[test]
fn reasons_are_stored_by_their_place() {
    for (place, reason) in Reason::ALL.iter().enumerate() {
        let decided = fixtures::minimal_check(0, allowlog_proto::event::Verdict::Deny, *reason);
        let event = Event::Check(CheckEvent::Decided(std::sync::Arc::new(decided)));
        let record = fixtures::record(&Chain::new(), fixtures::workspace_id(), fixtures::at("2026-11-23T12:00:00Z"), event);
        let mut bytes = Vec::new();
        record.encode(&mut bytes).unwrap();
        let [.., stored, policy_version, request] = bytes[..] else { panic!("a record has more than three bytes") };
        assert_eq!((usize::from(stored), policy_version, request), (place, 0, 0), "{}", reason.as_str());
    }
}

/// And so are those of payments: the fixture of a denial has all of them.
#[test]
fn codes_are_stored_by_their_place() {
    let places: Vec<u8> = (0..).take(Code::ALL.len()).collect();
    let stored = [&[u8::try_from(places.len()).unwrap()], places.as_slice()].concat();
    assert!(read("payment_denied").windows(stored.len()).any(|found| found == stored));
    for (refusal, name) in (0..).zip([
        "permission_required",
        "permission_denied",
        "permission_expired",
        "amount_exceeds_limit",
        "permission_mismatch",
        "delegation_revoked",
        "limit_exceeded",
    ]) {
        let [.., found, _code, request] = read(&format!("payment_refused_{name}"))[..] else {
            panic!("a record has more than three bytes")
        };
        assert_eq!((found, request), (refusal, 0), "{name}");
    }
    for (settlement, name) in (0..).zip(["spent_twice", "expired", "over_limit", "settled"]) {
        let [.., found, _policy_version, _request] = read(&format!("offline_payment_{name}"))[..] else { panic!("too short") };
        assert_eq!(found, settlement, "{name}");
    }
}

fn shown(frame: &Frame, records: &[(&str, Record)]) -> serde_json::Value {
    let FrameHeader { length, first_sequence, count, first_time_ms, last_time_ms, previous } = *frame.header();
    json!({
        "length": length,
        "first_sequence": first_sequence,
        "count": count,
        "first_time_ms": first_time_ms,
        "last_time_ms": last_time_ms,
        "previous": previous,
        "records": records.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "hash": frame.hash(),
    })
}

fn read(name: &str) -> Vec<u8> {
    let text = files::read(&format!("{DIRECTORY}/{name}.hex"));
    HEXLOWER.decode(text.replace('\n', "").as_bytes()).unwrap()
}

/// 32 bytes a line.
fn hex(bytes: &[u8]) -> String {
    bytes.chunks(32).map(|line| HEXLOWER.encode(line) + "\n").collect()
}

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}
