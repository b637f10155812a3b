//! Records, frames and the chain: what is written is read back, and nothing else is.

use allowlog_proto::chain::{Chain, ChainError, Fault, Hash};
use allowlog_proto::event::{AuthorizationEvent, Constraints, Event, Grant, Granted, Terms};
use allowlog_proto::frame::{FRAME_CLOSING_BYTES, FRAME_HEADER_BYTES, Frame, FrameBuilder, FrameError, FrameHeader};
use allowlog_proto::id::{KeyId, WorkspaceId};
use allowlog_proto::limits::{CONSTRAINT_LIST_MAX, FRAME_BYTES_MAX, METADATA_BYTES_MAX, RECORD_BYTES_MAX, SCOPES_GRANTED_MAX};
use allowlog_proto::record::{HEADER_BYTES, Record, RecordError};
use allowlog_proto::text::{ConstraintItem, ScopeName};
use allowlog_proto::time::Timestamp;
use proptest::prelude::*;

use crate::fixtures;

fn workspace(tag: u8) -> WorkspaceId {
    WorkspaceId::from_bytes([tag; 16])
}

/// A record to be: which fixture, for which workspace, how long after the one before.
type Step = (usize, u8, u64);

fn frames() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let later = prop_oneof![Just(0u64), 1u64..2000];
    let step = (0..fixtures::events().len(), 0u8..3, later);
    prop::collection::vec(prop::collection::vec(step, 1..6), 1..5)
}

/// A log of these frames with its records and its head, as the writer makes it.
fn written(frames: &[Vec<Step>]) -> (Vec<Frame>, Vec<Record>, Chain) {
    let fixtures = fixtures::events();
    let mut chain = Chain::new();
    let mut records = Vec::new();
    let mut time = fixtures::at("2026-11-23T12:00:00Z");
    let mut log = Vec::new();
    for steps in frames {
        let mut frame = FrameBuilder::new();
        let first = chain.next_sequence();
        for (event, tag, later) in steps {
            time = time.saturating_add_ms(*later);
            let record = fixtures::record(&chain, workspace(*tag), time, fixtures[*event].1.clone());
            let hash = frame.push(&record).unwrap();
            chain.extend(&record, hash);
            records.push(record);
        }
        let frame = frame.seal(first, chain.frame_hash()).unwrap();
        chain.close(frame.hash());
        log.push(frame);
    }
    (log, records, chain)
}

/// Reads the frames from nothing; gives the records and the head.
fn admitted(frames: &[Frame]) -> Result<(Vec<Record>, Chain), ChainError> {
    let mut chain = Chain::new();
    let mut records = Vec::new();
    for frame in frames {
        chain.admit(frame, |sequence, record, _| {
            assert_eq!(usize::try_from(sequence).unwrap(), records.len());
            records.push(record.clone());
        })?;
    }
    Ok((records, chain))
}

/// Reads one frame of bytes that may be anything, at the start of a log.
fn admit_bytes(bytes: &[u8]) -> Result<(), String> {
    let frame = Frame::read(bytes).map_err(|e| e.to_string())?;
    Chain::new().admit(&frame, |_, _, _| {}).map_err(|e| e.to_string())
}

fn fault(frames: &[Frame]) -> (u64, Fault) {
    let error = admitted(frames).unwrap_err();
    (error.sequence, error.fault)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn reader_and_writer_come_to_the_same_head(steps in frames()) {
        let (log, records, head) = written(&steps);
        prop_assert_eq!(admitted(&log), Ok((records, head)));
    }

    #[test]
    fn frames_are_found_in_a_row_of_bytes(steps in frames()) {
        let (log, _, _) = written(&steps);
        let bytes: Vec<u8> = log.iter().flat_map(|f| f.bytes().to_vec()).collect();
        let mut rest = bytes.as_slice();
        for frame in &log {
            let found = Frame::read(rest).unwrap();
            prop_assert_eq!(&found, frame);
            rest = &rest[found.header().size()..];
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn a_missing_frame_is_noticed(steps in frames(), at in any::<prop::sample::Index>()) {
        let (mut log, _, _) = written(&steps);
        let at = at.index(log.len());
        let lost = log.remove(at);
        if at < log.len() {
            let found = log[at].header().first_sequence;
            prop_assert_eq!(fault(&log), (lost.header().first_sequence, Fault::Sequence { found }));
        }
    }

    #[test]
    fn frames_changed_round_are_noticed(steps in frames(), a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()) {
        let (mut log, _, _) = written(&steps);
        let (a, b) = (a.index(log.len()), b.index(log.len()));
        log.swap(a, b);
        prop_assert_eq!(admitted(&log).is_ok(), a == b);
    }

    #[test]
    fn arbitrary_bytes_are_no_record_and_no_frame(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Record::decode(&bytes);
        let _ = Frame::read(&bytes);
        let mut frame = b"ALF1".to_vec();
        frame.extend_from_slice(&bytes);
        prop_assert!(admit_bytes(&frame).is_err());
    }

    #[test]
    fn an_event_of_arbitrary_bytes_does_not_panic(event in prop::collection::vec(prop_oneof![0u8..12, any::<u8>()], 0..300)) {
        let _ = Record::decode(&with_event(&event));
    }

    #[test]
    fn a_mutated_event_does_not_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (_, record) = which.get(&fixtures::log().0).clone();
        let mut bytes = Vec::new();
        record.encode(&mut bytes).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(record) = Record::decode(&bytes) {
            let mut again = Vec::new();
            record.encode(&mut again).unwrap();
            prop_assert_eq!(Record::decode(&again), Ok(record));
        }
    }

    #[test]
    fn a_length_that_lies_allocates_nothing_to_speak_of(length in any::<u64>()) {
        // A workspace's name of this length, of which nothing follows.
        let mut event = vec![0, 0, 253];
        event.extend_from_slice(&length.to_le_bytes());
        prop_assert!(Record::decode(&with_event(&event)).is_err());
    }
}

/// A record whose event is these bytes.
fn with_event(event: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1];
    bytes.extend_from_slice(&[0; 64]);
    bytes.extend_from_slice(event);
    bytes
}

#[test]
fn any_flipped_bit_is_refused() {
    let bytes = fixtures::log().1.bytes().to_vec();
    assert_eq!(admit_bytes(&bytes), Ok(()));
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert!(admit_bytes(&flipped).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn any_cut_is_refused() {
    let bytes = fixtures::log().1.bytes().to_vec();
    for length in 0..bytes.len() {
        assert_eq!(Frame::read(&bytes[..length]).map(|_| ()), Err(FrameError::CutOff), "{length} bytes");
    }
}

#[test]
fn a_flipped_bit_that_is_sealed_again_breaks_the_next_link() {
    let (log, records, _) = written(&[vec![(0, 1, 0)], vec![(0, 1, 0)]]);
    // The operator rewrites the first record and seals everything behind it anew, but one link.
    let mut forged = records[0].clone();
    forged.time = Timestamp::from_ms(forged.time.as_ms() - 1).unwrap();
    let reseal = |record: &Record, first, previous| {
        let mut frame = FrameBuilder::new();
        frame.push(record).unwrap();
        frame.seal(first, previous).unwrap()
    };
    let first = reseal(&forged, 0, Hash::default());
    assert_eq!(fault(&[first.clone(), log[1].clone()]), (1, Fault::PreviousFrame));
    let second = reseal(&records[1], 1, first.hash());
    assert_eq!(fault(&[first, second]), (1, Fault::PreviousRecord));
}

#[test]
fn every_rule_of_the_chain_has_a_fault() {
    let (log, records, _) = written(&[vec![(0, 1, 0), (0, 1, 5)]]);
    let sealed = |records: &[Record], first, previous| {
        let mut frame = FrameBuilder::new();
        for record in records {
            frame.push(record).unwrap();
        }
        vec![frame.seal(first, previous).unwrap()]
    };
    let zeros = Hash::default();
    assert!(admitted(&log).is_ok());
    assert_eq!(fault(&sealed(&records, 1, zeros)), (0, Fault::Sequence { found: 1 }));
    assert_eq!(fault(&sealed(&records, 0, Hash([1; 32]))), (0, Fault::PreviousFrame));
    assert_eq!(fault(&sealed(&records[1..], 0, zeros)), (0, Fault::Index { found: 1, expected: 0 }));
    let changed = |change: fn(&mut Record)| {
        let mut records = records.clone();
        change(&mut records[1]);
        sealed(&records, 0, zeros)
    };
    assert_eq!(fault(&changed(|r| r.index = 0)), (1, Fault::Index { found: 0, expected: 1 }));
    assert_eq!(fault(&changed(|r| r.workspace_id = workspace(9))), (1, Fault::Index { found: 1, expected: 0 }));
    assert_eq!(fault(&changed(|r| r.previous = Hash([7; 32]))), (1, Fault::PreviousRecord));
    assert_eq!(fault(&changed(|r| r.time = Timestamp::from_ms(r.time.as_ms() - 6).unwrap())), (1, Fault::Time));
    assert_eq!(fault(&retimed(&log[0], 20)), (0, Fault::Time), "the first time");
    assert_eq!(fault(&retimed(&log[0], 28)), (0, Fault::Time), "the last time");
}

/// The frame with the last byte of a time in its header changed.
fn retimed(frame: &Frame, at: usize) -> Vec<Frame> {
    let mut bytes = frame.bytes().to_vec();
    bytes[at + 7] ^= 1;
    vec![resealed(bytes, frame)]
}

/// The bytes with a closing hash made by hand as `FORMAT.md` says, over the records of `frame`.
fn resealed(mut bytes: Vec<u8>, frame: &Frame) -> Frame {
    let mut closing = blake3::Hasher::new();
    closing.update(b"allowlog.frame.v1\n");
    closing.update(&bytes[..FRAME_HEADER_BYTES]);
    for (_, hash) in frame.records().unwrap() {
        closing.update(&hash.0);
    }
    let end = bytes.len() - FRAME_CLOSING_BYTES;
    bytes[end..].copy_from_slice(closing.finalize().as_bytes());
    Frame::read(&bytes).unwrap()
}

#[test]
fn bytes_between_records_and_closing_hash_are_refused() {
    let frame = fixtures::log().1;
    let mut bytes = frame.bytes().to_vec();
    bytes.push(0);
    let length = u32::try_from(bytes.len()).unwrap();
    bytes[4..8].copy_from_slice(&length.to_be_bytes());
    assert_eq!(fault(&[resealed(bytes, &frame)]), (0, Fault::Frame(FrameError::Lengths)));
}

#[test]
fn records_of_another_version_or_time_are_refused() {
    let mut bytes = Vec::new();
    fixtures::log().0[0].1.encode(&mut bytes).unwrap();
    let with = |at: usize, new: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        Record::decode(&bytes).map(|_| ())
    };
    assert_eq!(with(0, &[4]), Ok(()));
    assert_eq!(with(0, &[3]), Err(RecordError::Version(3)), "what came before 1.0 is refused by its version");
    assert_eq!(with(0, &[5]), Err(RecordError::Version(5)));
    assert_eq!(with(0, &[0]), Err(RecordError::Version(0)));
    assert_eq!(with(25, &Timestamp::MAX.as_ms().to_be_bytes()), Ok(()));
    assert_eq!(with(25, &(Timestamp::MAX.as_ms() + 1).to_be_bytes()), Err(RecordError::Time));
    assert_eq!(with(65, &[1]), Err(RecordError::Receipt), "the hash of a receipt that there is not");
    assert_eq!(with(97, &[1]), Err(RecordError::Subject), "another authorization than the event's");
    for length in 0..HEADER_BYTES {
        assert_eq!(Record::decode(&bytes[..length]), Err(RecordError::CutOff), "{length} bytes");
    }
}

#[test]
fn a_frame_of_another_version_is_whole_and_refused_for_its_version() {
    let frame = fixtures::log().1;
    for version in [3, 5] {
        let mut bytes = frame.bytes().to_vec();
        let mut closing = blake3::Hasher::new();
        closing.update(b"allowlog.frame.v1\n");
        closing.update(&bytes[..FRAME_HEADER_BYTES]);
        let mut at = FRAME_HEADER_BYTES;
        for record in frame.contents() {
            bytes[at + 4] = version;
            let (header, body) = bytes[at + 4..at + 4 + record.len()].split_at(HEADER_BYTES);
            let tag = format!("allowlog.record.v{version}\n");
            let hash = blake3::hash(&[tag.as_bytes(), header, blake3::hash(body).as_bytes()].concat());
            closing.update(hash.as_bytes());
            at += 4 + record.len();
        }
        let end = bytes.len() - FRAME_CLOSING_BYTES;
        // As damage would have it: the closing hash is that of other records.
        assert_eq!(fault(&[Frame::read(&bytes).unwrap()]), (0, Fault::Frame(FrameError::ClosingHash)));
        bytes[end..].copy_from_slice(closing.finalize().as_bytes());
        assert_eq!(fault(&[Frame::read(&bytes).unwrap()]), (0, Fault::Record(RecordError::Version(version))));
    }
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    let frame = fixtures::log().1;
    let with = |at: usize, new: &[u8]| {
        let mut bytes = frame.bytes().to_vec();
        bytes[at..at + new.len()].copy_from_slice(new);
        FrameHeader::read(&bytes)
    };
    assert_eq!(with(0, b"ALF2"), Err(FrameError::Magic));
    assert_eq!(with(4, &99u32.to_be_bytes()), Err(FrameError::Lengths), "less than header and closing hash");
    assert!(with(4, &u32::try_from(FRAME_BYTES_MAX).unwrap().to_be_bytes()).is_ok());
    assert_eq!(with(4, &u32::try_from(FRAME_BYTES_MAX + 1).unwrap().to_be_bytes()), Err(FrameError::Lengths));
    assert_eq!(with(16, &0u32.to_be_bytes()), Err(FrameError::Lengths), "no record");
    assert_eq!(with(8, &u64::MAX.to_be_bytes()), Err(FrameError::Lengths), "sequences end");
    assert_eq!(FrameBuilder::new().seal(0, Hash::default()), None, "an empty frame");
}

/// The grant with the most strings and the longest metadata that fits a record, and then some.
fn largest_grant(items: usize, metadata: usize) -> Event {
    let Some((_, Event::Authorization(AuthorizationEvent::Granted(granted)))) =
        fixtures::events().into_iter().find(|(name, _)| *name == "authorization_granted")
    else {
        panic!("a fixture of this name")
    };
    let items: Vec<ConstraintItem> = vec![ConstraintItem::new("").unwrap(); items];
    let constraints = Constraints {
        max_per_day: Some(1),
        resource_pattern: None,
        allowed_initiators: Some(items.clone()),
        allowed_domains: Some(items.clone()),
        allowed_fields: Some(items),
        ..Constraints::default()
    };
    let scope = |i: usize| Grant { name: ScopeName::new(&format!("s{i}")).unwrap(), constraints: Some(Box::new(constraints.clone())) };
    let text = "a".repeat(metadata - r#"{"a":""}"#.len());
    Event::Authorization(AuthorizationEvent::Granted(Box::new(Granted {
        terms: Terms { scopes: (0..SCOPES_GRANTED_MAX).map(scope).collect(), ..granted.terms },
        metadata: fixtures::object(&format!(r#"{{"a":"{text}"}}"#)),
        ..*granted
    })))
}

#[test]
fn what_can_be_written_can_be_read() {
    let time = fixtures::at("2026-11-23T12:00:00Z");
    for metadata in [8, METADATA_BYTES_MAX, 400 * 1024] {
        let record = fixtures::record(&Chain::new(), workspace(1), time, largest_grant(CONSTRAINT_LIST_MAX, metadata));
        let mut bytes = Vec::new();
        record.encode(&mut bytes).unwrap();
        assert!(Record::decode(&bytes) == Ok(record), "{} bytes", bytes.len()); // too large to be shown
    }
}

#[test]
fn a_record_ends_at_its_limit() {
    let time = fixtures::at("2026-11-23T12:00:00Z");
    let record = |metadata| fixtures::record(&Chain::new(), workspace(1), time, largest_grant(0, metadata));
    let mut bytes = Vec::new();
    record(400 * 1024).encode(&mut bytes).unwrap();
    let most = RECORD_BYTES_MAX - bytes.len() + 400 * 1024;
    bytes.clear();
    record(most).encode(&mut bytes).unwrap();
    assert_eq!(bytes.len(), RECORD_BYTES_MAX);
    assert!(Record::decode(&bytes) == Ok(record(most)));
    assert!(record(most + 1).encode(&mut Vec::new()).is_err());
    bytes.push(0);
    assert_eq!(Record::decode(&bytes), Err(RecordError::TooLarge));

    let mut frame = FrameBuilder::new();
    frame.push(&record(8)).unwrap();
    let before = (frame.count(), frame.size());
    assert!(frame.push(&record(most + 1)).is_err());
    assert_eq!((frame.count(), frame.size()), before, "a record too large leaves the frame as it was");
}

#[test]
fn a_frame_ends_at_its_limit() {
    let time = fixtures::at("2026-11-23T12:00:00Z");
    let record = fixtures::record(&Chain::new(), workspace(1), time, largest_grant(0, 500 * 1024));
    let mut frame = FrameBuilder::new();
    while frame.size() < FRAME_BYTES_MAX {
        frame.push(&record).unwrap();
    }
    assert_eq!(frame.seal(0, Hash::default()), None);
}

#[test]
fn key_ids_are_the_start_of_a_hash() {
    let key = [7; 32];
    assert_eq!(KeyId::of(&key).to_bytes(), blake3::hash(&key).as_bytes()[..16]);
}
