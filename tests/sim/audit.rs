//! What is looked at whenever a life begins or recovers, and of the whole log when a run ends.

use std::sync::Arc;

use allowlog::log::Store;
use allowlog::log::memory::MemoryStore;
use allowlog::receipts::{Standing, find, standing};
use allowlog::replay::{Replayed, replay};
use allowlog_projections::decide::{Standing as Rung, explain};
use allowlog_projections::state::{SigningKey, State};
use allowlog_proto::chain::Chain;
use allowlog_proto::json::Value;
use allowlog_proto::record::Record;
use allowlog_proto::time::Timestamp;
use allowlog_proto::verify::{TrustedKeys, verify};

use crate::keys::Keys;
use crate::model::{Model, Named};
use crate::payment_audit::assert_limits_held;

/// The stored bytes come to what is known: every record that anybody was told of is there, and no other.
pub(crate) fn log(store: &MemoryStore, known: &Replayed) {
    let replayed = replay(store, None, |_| {}).expect("the chain holds");
    assert_eq!(replayed.chain, known.chain, "the log is as long as what is known, and the same");
    assert_eq!(replayed.state, known.state, "a replay equals the state");
    assert_eq!(replayed.state.hash(), known.state.hash(), "equal states have equal hashes");
    snapshot(store, &replayed);
}

/// A snapshot made at some frame's end, read back, and the tail behind it come to the same.
fn snapshot(store: &MemoryStore, whole: &Replayed) {
    let ends: Vec<u64> = store.scan(0).map(|frame| frame.unwrap().header().end_sequence()).collect();
    let Some(end) = ends.len().checked_sub(1).map(|last| ends[usize::from(whole.state.hash().0[0]) % (last + 1)]) else { return };
    let made = replay(store, Some(end), |_| {}).expect("the chain holds");
    let mut bytes = Vec::new();
    made.chain.save(&mut bytes).and_then(|()| made.state.save(&mut bytes)).unwrap();
    let mut rest = bytes.as_slice();
    let mut read = Replayed { chain: Chain::load(&mut rest).unwrap(), state: State::load(&mut rest).unwrap() };
    assert!(rest.is_empty(), "all of the snapshot is read");
    assert_eq!((&read.chain, &read.state), (&made.chain, &made.state), "a snapshot is read as it was written");
    read.go_on(store, None, |_| true).expect("the tail follows");
    assert_eq!((&read.chain, &read.state), (&whole.chain, &whole.state), "a snapshot and its tail come to the whole");
    assert_eq!(read.state.hash(), whole.state.hash());
}

/// Every check decided once more, against the state as it was, comes out as it was recorded; returns how many there are.
pub(crate) fn checks(store: &MemoryStore) -> u32 {
    let (mut chain, mut state, mut checks) = (Chain::new(), State::new(), 0);
    for frame in store.scan(0) {
        let each = |sequence, record: &Record, hash| {
            if let Some(explanation) = explain(&state, record) {
                assert!(explanation.agrees(), "sequence {sequence} is not decided the same again: {explanation:?}");
                let deciding: Vec<_> = explanation.rungs.iter().filter(|rung| rung.standing == Rung::Decides).collect();
                assert!(deciding.len() == 1 && deciding[0].reason == explanation.recorded.reason, "one rung decides: {explanation:?}");
                checks += 1;
            }
            state.apply(record, hash);
        };
        chain.admit(&frame.unwrap(), each).expect("the chain holds");
    }
    checks
}

/// No limit of a delegation was passed, whatever went wrong on the way.
pub(crate) fn limits(store: &MemoryStore) {
    let mut records = Vec::new();
    for frame in store.scan(0) {
        records.extend(frame.unwrap().records().unwrap().map(|(bytes, _)| Record::decode(bytes).unwrap()));
    }
    assert_limits_held(&records);
}

/// Each record of a named command is one of the records the model knows of it, and no name was good for two commands
/// within a day: nothing was decided twice.
pub(crate) fn names(store: &MemoryStore, model: &Model) {
    let mut named = 0;
    for frame in store.scan(0) {
        let frame = frame.unwrap();
        for (sequence, (bytes, _)) in (frame.header().first_sequence..).zip(frame.records().unwrap()) {
            let record = Record::decode(bytes).unwrap();
            let Some(request) = record.request else { continue };
            let known = model.requests.iter().find(|known| (known.first..known.first + known.count).contains(&sequence));
            let known = known.unwrap_or_else(|| panic!("a command was stored that nobody knows of: {request:?}"));
            assert_eq!((known.workspace, &known.request, known.at), (record.workspace_id, &request, record.time));
            named += 1;
        }
    }
    assert_eq!(named, model.requests.iter().map(|known| known.count).sum::<u64>(), "the records of all named commands");
    for (nth, known) in model.requests.iter().enumerate() {
        let name = |other: &Named| (other.workspace, other.request.idempotency_key.clone());
        let before = model.requests[..nth].iter().rev().find(|before| name(before) == name(known));
        assert!(before.is_none_or(|before| before.lapses_at() <= known.at), "{:?} was decided twice", known.request);
    }
}

/// Every receipt is signed and verifies, except those of a key that is not to be had; returns how many of each.
pub(crate) fn receipts(store: &Arc<MemoryStore>, keys: &Keys, state: &State, now: Timestamp) -> (u32, u32) {
    let store: Arc<dyn Store> = Arc::clone(store) as _;
    assert_eq!(store.signed(), store.head(), "all is signed up to the head");
    let (mut verified, mut unsigned) = (0, 0);
    for frame in store.scan(0) {
        let frame = frame.unwrap();
        for (sequence, (bytes, _)) in (frame.header().first_sequence..).zip(frame.records().unwrap()) {
            let record = Record::decode(bytes).unwrap();
            let (workspace_id, Some(id)) = (record.workspace_id, record.event.receipt_id()) else { continue };
            let workspace = state.workspace(workspace_id).unwrap();
            let signer = SigningKey::active_at(&workspace.signing_keys, record.time).expect("a signer");
            let found = standing(&store, &keys.keyring, sequence, record, &workspace.signing_keys);
            let document = match found {
                Standing::Pending(_) => {
                    assert_eq!(signer.key_id, keys.missing, "{id} could have been signed");
                    unsigned += 1;
                    continue;
                }
                Standing::Signed(document) => document,
            };
            let trusted = TrustedKeys::parse(&serde_json::to_vec(&workspace.key_document(workspace_id)).unwrap()).unwrap();
            let receipt = Value::parse(document.as_bytes()).unwrap();
            verify(&receipt, &trusted, Some(&workspace_id.to_string()), now).unwrap_or_else(|e| panic!("{id}: {e}: {document}"));
            verified += 1;
            // By id one looks through all of its milliseconds, so only a few are looked up.
            if sequence % 16 == 0 {
                let again = find(&store, &keys.keyring, workspace_id, id, &workspace.signing_keys).unwrap();
                assert!(matches!(again, Some(Standing::Signed(found)) if found == document), "{id} is found by its id");
            }
        }
    }
    (verified, unsigned)
}
