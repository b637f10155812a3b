//! Bundles of our own: what they prove, and that whoever removes, swaps, alters, appends or hides is found out at the first bad record.

use allowlog_proto::chain::Hash;
use allowlog_proto::evidence::{Code, Continuity, Fault, Verdict, Verifier, verify};
use allowlog_proto::limits::{EVIDENCE_LINE_BYTES_MAX, RECORD_BYTES_MAX};
use allowlog_proto::record::{HEADER_BYTES, Record};
use data_encoding::{BASE64, HEXLOWER};

use super::bundles::{Stored, Workspace, authorization_id, witness};

/// Splitmix64: the same tamperings every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(end).unwrap()).unwrap()
    }
}

fn u(n: usize) -> u64 {
    n.try_into().unwrap()
}

fn judged(workspace: &Workspace, lines: &[Vec<u8>], size: usize) -> Result<Verdict, Fault> {
    verify(&lines.concat(), &[workspace.trusted(size)], &[witness(1), witness(2)], 2)
}

#[test]
fn every_range_of_every_size_is_proved() {
    let workspace = Workspace::of(14);
    for size in 2..=14 {
        for end in 0..=size {
            for first in 0..=end {
                let lines = workspace.bundle(None, first, end, size);
                let verdict = judged(&workspace, &lines, size).unwrap();
                assert_eq!((verdict.first, verdict.end, verdict.size), (u(first), u(end), u(size)));
                assert_eq!((verdict.root, verdict.reaches_end()), (workspace.root(size), end == size));
                assert_eq!((verdict.hidden, verdict.begins_with_grant, verdict.earlier), (0, None, Continuity::NotAsked));
            }
        }
    }
}

#[test]
fn a_story_shows_its_own_and_says_where_it_begins() {
    let workspace = Workspace::of(200);
    for (tag, first, grant) in [(1, 0, Some(true)), (1, 2, Some(true)), (1, 3, Some(false)), (2, 3, Some(true)), (3, 0, Some(false))] {
        let story = authorization_id(tag);
        let lines = workspace.bundle(Some(story), first, 190, 200);
        let mut verifier = Verifier::open(&lines[0], &[workspace.trusted(200)], &[witness(1)], 1).unwrap();
        assert_eq!(verifier.expected(), u(190 - first));
        let (mut shown, mut hidden) = (0, 0);
        for (line, index) in lines[1..].iter().zip(first..) {
            let line = verifier.record(line).unwrap();
            let stored = Record::decode(&workspace.records[index].bytes).unwrap();
            assert_eq!((line.index, line.time, line.header.previous), (u(index), stored.time, stored.previous));
            if stored.event.authorization_id() == Some(story) {
                assert_eq!(line.receipt.is_some(), stored.event.receipt_id().is_some());
                assert_eq!(line.record, Some(stored));
                shown += 1;
            } else {
                assert_eq!((line.record, line.receipt), (None, None));
                hidden += 1;
            }
        }
        let verdict = verifier.finish().unwrap();
        assert_eq!((verdict.begins_with_grant, verdict.hidden, shown > 0), (grant, hidden, tag != 3));
        assert_eq!(verdict.authorization_id, Some(story));
        assert_eq!(verdict.cosigned, vec![(witness(1), 1_795_435_201)]);
        assert_eq!(verdict.signed_by, workspace.trusted(200));
    }
}

#[test]
fn trust_and_witnesses_are_the_callers() {
    let workspace = Workspace::of(150);
    let lines = workspace.bundle(None, 0, 150, 150).concat();
    let open = |trusted: &[usize], witnesses: &[u8], quorum| {
        let trusted: Vec<_> = trusted.iter().map(|size| workspace.trusted(*size)).collect();
        let witnesses: Vec<_> = witnesses.iter().map(|tag| witness(*tag)).collect();
        verify(&lines, &trusted, &witnesses, quorum).map(|verdict| verdict.cosigned.len()).map_err(|fault| fault.code)
    };
    assert_eq!(open(&[150], &[], 0), Ok(0));
    assert_eq!(open(&[2, 100, 150], &[1, 2, 3], 2), Ok(2));
    assert_eq!(open(&[], &[], 0), Err(Code::UntrustedCheckpoint));
    assert_eq!(open(&[2, 100], &[], 0), Err(Code::UntrustedCheckpoint));
    assert_eq!(open(&[150], &[1, 2, 3], 3), Err(Code::TooFewWitnesses));
    assert_eq!(open(&[150], &[1, 1], 2), Err(Code::TooFewWitnesses));
    assert_eq!(open(&[150], &[], 1), Err(Code::TooFewWitnesses));
}

#[test]
fn the_log_is_the_one_that_was_seen_before_or_is_not() {
    let workspace = Workspace::of(20);
    let lines = workspace.bundle(None, 5, 15, 20);
    let verdict = |size: usize, root: Hash| {
        let mut verifier = Verifier::open(&lines[0], &[workspace.trusted(20)], &[], 0).unwrap().expect_earlier(u(size), root);
        lines[1..].iter().for_each(|line| drop(verifier.record(line).unwrap()));
        verifier.finish().map(|verdict| verdict.earlier).map_err(|fault| (fault.code, fault.index))
    };
    for size in 0..=20 {
        let can_be_told = (5..=15).contains(&size) || size == 20;
        let (same, other) = if can_be_told {
            (Ok(Continuity::Proved), Err((Code::AnotherLog, None)))
        } else {
            (Ok(Continuity::NotJudged), Ok(Continuity::NotJudged))
        };
        assert_eq!(verdict(size, workspace.root(size)), same, "{size}");
        assert_eq!(verdict(size, Hash([9; 32])), other, "{size}");
    }
    assert_eq!(verdict(21, Hash::default()), Ok(Continuity::NotJudged));
    // What the records lack comes first.
    let verifier = Verifier::open(&lines[0], &[workspace.trusted(20)], &[], 0).unwrap().expect_earlier(5, Hash::default());
    assert_eq!(verifier.finish().map_err(|fault| fault.code), Err(Code::MissingRecords));
}

#[test]
fn an_event_that_cannot_be_decoded_is_told_last() {
    let mut workspace = Workspace::of(40);
    workspace.records[30].bytes.push(0);
    workspace.records[20].bytes.push(0);
    workspace.relink(21);
    let lines = workspace.bundle(None, 10, 35, 40);
    let fault = judged(&workspace, &lines, 40).unwrap_err();
    assert_eq!((fault.code, fault.index), (Code::MalformedRecord, Some(20)));
    let fault = judged(&workspace, &lines[..lines.len() - 1], 40).unwrap_err();
    assert_eq!((fault.code, fault.index), (Code::MissingRecords, Some(34)));
    let hidden = workspace.bundle(Some(authorization_id(3)), 10, 35, 40);
    assert_eq!(judged(&workspace, &hidden, 40).map(|verdict| verdict.hidden), Ok(25));
}

#[test]
fn what_nobody_writes_is_no_event() {
    // By the place of the record: what stands there, and what a server could put in its place that reads its own records without asking.
    for (place, from, to) in [
        (36, &b"{\""[..], &b"{ "[..]),
        // The metadata of a request for consent.
        (12, b"{\"", b"{ "),
        // What callers say of a payment, an intent, an agent, a device (twice), a workspace.
        (19, b"{\"", b"{ "),
        (20, b"{\"", b"{ "),
        (21, b"{\"", b"{ "),
        (24, b"{\"", b"{ "),
        (34, b"{\"", b"{ "),
        (33, b"{\"", b"{ "),
        // The first byte of a point, 3, in front of its x; a life of 31536000 seconds as none and as one second more.
        (14, b"\x03\xe7", b"\x04\xe7"),
        (14, b"\xfc\x80\x33\xe1\x01", b"\xfc\0\0\0\0"),
        (14, b"\xfc\x80\x33\xe1\x01", b"\xfc\x81\x33\xe1\x01"),
        // Secret 300 as 0, which is the first one and was never rotated to.
        (16, b"\xfb\x2c\x01", b"\xfb\0\0"),
        (2, b"{\"", b"{ "),
        // The budget limit, 2^53 - 1 by zigzag, as 0 in as many bytes.
        (2, b"\xfd\xfe\xff\xff\xff\xff\xff\x3f\0", b"\xfd\0\0\0\0\0\0\0\0"),
        // 3650 days, as 0 and as 3651.
        (9, b"\xfb\x42\x0e", b"\xfb\0\0"),
        (9, b"\xfb\x42\x0e", b"\xfb\x43\x0e"),
    ] {
        let mut workspace = Workspace::of(40);
        let bytes = &mut workspace.records[place].bytes;
        let at = bytes.windows(from.len()).rposition(|found| found == from).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to);
        workspace.relink(place + 1);
        assert!(Record::decode(&workspace.records[place].bytes).is_ok(), "record {place} is decoded where it was written");
        let fault = judged(&workspace, &workspace.bundle(None, 0, 40, 40), 40).map(drop).map_err(|fault| (fault.code, fault.index));
        assert_eq!(fault, Err((Code::MalformedRecord, Some(u(place)))), "record {place}: {to:02x?}");
    }
}

#[test]
fn lines_end_with_their_line_feed() {
    let workspace = Workspace::of(4);
    let lines = workspace.bundle(None, 0, 4, 4);
    let bare = |at: usize| {
        let mut lines = lines.clone();
        lines[at].pop();
        let mut verifier = Verifier::open(&lines[0], &[workspace.trusted(4)], &[], 0)?;
        lines[1..].iter().try_for_each(|line| verifier.record(line).map(drop))
    };
    assert_eq!(bare(0).map_err(|fault| (fault.code, fault.index)), Err((Code::MalformedBundle, None)));
    assert_eq!(bare(4).map_err(|fault| (fault.code, fault.index)), Err((Code::MalformedRecord, Some(3))));
    assert_eq!(verify(b"", &[], &[], 0).map_err(|fault| fault.code), Err(Code::MalformedBundle));
    assert_eq!(verify(b"\n", &[], &[], 0).map_err(|fault| fault.code), Err(Code::MalformedBundle));
    let mut verifier = Verifier::open(&lines[0], &[workspace.trusted(4)], &[], 0).unwrap();
    let two = [b"\n", lines[1].as_slice()].concat();
    assert_eq!(verifier.record(&two).map_err(|fault| (fault.code, fault.index)), Err((Code::MalformedRecord, Some(0))));
    assert!(verifier.record(&lines[1]).is_ok());
    let fault = judged(&workspace, &lines[..3], 4).unwrap_err();
    assert_eq!(fault.to_string(), format!("record 2: {}", fault.sentence));
}

#[test]
fn sizes_have_their_limits() {
    for (bytes, code, index) in [(RECORD_BYTES_MAX, Code::MissingRecords, 7), (RECORD_BYTES_MAX + 1, Code::MalformedRecord, 4)] {
        let mut workspace = Workspace::of(8);
        workspace.records[4].bytes.resize(bytes, 0);
        workspace.relink(5);
        let lines = workspace.bundle(None, 0, 8, 8);
        let fault = judged(&workspace, &lines[..8], 8).unwrap_err();
        assert_eq!((fault.code, fault.index), (code, Some(index)));
    }
    let workspace = Workspace::of(4);
    let lines = workspace.bundle(None, 0, 4, 4);
    for (at, code) in [(0, Code::MalformedBundle), (4, Code::MalformedRecord)] {
        let spaces = |bytes: usize| {
            let mut lines = lines.clone();
            let space = vec![b' '; bytes - lines[at].len()];
            lines[at].splice(0..0, space);
            judged(&workspace, &lines, 4).map(drop).map_err(|fault| fault.code)
        };
        assert_eq!((spaces(EVIDENCE_LINE_BYTES_MAX), spaces(EVIDENCE_LINE_BYTES_MAX + 1)), (Ok(()), Err(code)));
    }
}

/// The lines of a bundle whose head was read, with what the verifier knew on the way: a tampered bundle is judged from the last of
/// these places before its first difference, since a verifier is the same after the same lines.
struct Untouched {
    first: usize,
    story: bool,
    lines: Vec<Vec<u8>>,
    known: Vec<Verifier>,
    /// Lines between two of these places.
    step: usize,
}

impl Untouched {
    fn of(workspace: &Workspace, story: Option<u8>, first: usize, end: usize, size: usize) -> Self {
        let mut lines = workspace.bundle(story.map(authorization_id), first, end, size);
        let head = lines.remove(0);
        let mut verifier = Verifier::open(&head, &[workspace.trusted(size)], &[witness(2)], 1).unwrap();
        let step = lines.len().div_ceil(100);
        let mut known = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            if at.is_multiple_of(step) {
                known.push(verifier.clone());
            }
            verifier.record(line).unwrap();
        }
        assert_eq!(verifier.clone().finish().map(|verdict| verdict.end), Ok(u(end)));
        if lines.len().is_multiple_of(step) {
            known.push(verifier);
        }
        Self { first, story: story.is_some(), lines, known, step }
    }

    /// Judges the tampered lines: a fault, and of the first that is not as it was.
    fn finds(&self, tampered: &[&[u8]], how: &str) -> Code {
        let differs = |at: &usize| tampered.get(*at).copied() != self.lines.get(*at).map(Vec::as_slice);
        let at = (0..=self.lines.len()).find(differs).unwrap_or_else(|| panic!("{how}: nothing was tampered with"));
        let mut verifier = self.known[at / self.step].clone();
        let mut rest = tampered[at / self.step * self.step..].iter();
        let fault = rest.find_map(|line| verifier.record(line).err()).or_else(|| verifier.finish().err());
        let fault = fault.unwrap_or_else(|| panic!("{how} at {at}: not noticed"));
        // Only the root tells of the very last record, if it was given a hash of its own.
        let index = if fault.code == Code::WrongRoot && at + 1 == self.lines.len() { None } else { Some(u(self.first + at)) };
        assert_eq!(fault.index, index, "{how} at {at}: {} {fault}", fault.code.as_str());
        fault.code
    }

    /// Tampers with the line at this place in one way; nothing where that way cannot be gone there.
    fn tamper(&self, kind: usize, at: usize, chance: &mut Chance) -> Option<Code> {
        let mut lines: Vec<&[u8]> = self.lines.iter().map(Vec::as_slice).collect();
        let made;
        let how = match kind {
            0 => {
                lines.remove(at);
                "remove"
            }
            1 => {
                let other = chance.below(lines.len());
                lines.swap(at, other);
                if at == other {
                    return None;
                }
                "swap"
            }
            2 => {
                lines.insert(chance.below(lines.len() + 1), lines[at]);
                "duplicate"
            }
            3 => {
                lines.truncate(at);
                "truncate"
            }
            4 => {
                made = self.lines[at][..chance.below(self.lines[at].len())].to_vec();
                lines.truncate(at);
                lines.extend((!made.is_empty()).then_some(made.as_slice()));
                "cut within a line"
            }
            5 => {
                lines.push(lines[at]);
                "append"
            }
            6 => {
                let mut line = self.lines[at].clone();
                let byte = chance.below(line.len() - 1);
                line[byte] ^= u8::try_from(1 + chance.below(255)).unwrap();
                made = line;
                lines[at] = &made;
                "alter a byte"
            }
            7..=11 => {
                let member = ["\"hash\":\"", "\"record\":\"", "\"hidden\":\"", "\"receipt\":{", "\"value\":\""][kind - 7];
                made = altered_member(&self.lines[at], member, chance)?;
                lines[at] = &made;
                "alter a member"
            }
            12 => {
                made = self.rehashed(at, chance)?;
                lines[at] = &made;
                "alter a record with its hash"
            }
            _ => {
                made = self.without_receipt(at)?;
                lines[at] = &made;
                "take a receipt away"
            }
        };
        Some(self.finds(&lines, how))
    }

    /// The line with one byte of its record changed, but for the hash it carries, and the hash beside it made anew.
    fn rehashed(&self, at: usize, chance: &mut Chance) -> Option<Vec<u8>> {
        let line: serde_json::Value = serde_json::from_slice(&self.lines[at]).unwrap();
        let change = |text: &str, chance: &mut Chance| {
            let mut bytes = BASE64.decode(text.as_bytes()).unwrap();
            // The hash of the record before is the one field whose fault is told of the record before.
            let place = (0..33).chain(65..bytes.len()).nth(chance.below(bytes.len() - 32)).unwrap();
            bytes[place] ^= u8::try_from(1 + chance.below(255)).unwrap();
            bytes
        };
        if let Some(record) = line["record"].as_str() {
            let receipt = line.get("receipt").map(ToString::to_string);
            return Some(Stored { bytes: change(record, chance), receipt }.line(None));
        }
        let bytes = change(line["hidden"].as_str()?, chance);
        let (header, body_hash) = bytes.split_at(HEADER_BYTES);
        let hash = allowlog_proto::record::hash_parts(header.try_into().unwrap(), body_hash.try_into().unwrap());
        Some(format!("{{\"hash\":\"{}\",\"hidden\":\"{}\"}}\n", HEXLOWER.encode(&hash.0), BASE64.encode(&bytes)).into_bytes())
    }

    fn without_receipt(&self, at: usize) -> Option<Vec<u8>> {
        let line = std::str::from_utf8(&self.lines[at]).unwrap();
        line.split_once(",\"receipt\":").map(|(line, _)| format!("{line}}}\n").into_bytes())
    }
}

const KINDS: usize = 14;

/// The line with one byte behind `member` changed, up to the end of that string or object.
fn altered_member(line: &[u8], member: &str, chance: &mut Chance) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(line).unwrap();
    let start = text.find(member)? + member.len();
    let length = text[start..].find(if member.ends_with('{') { '}' } else { '"' }).unwrap();
    let mut line = line.to_vec();
    line[start + chance.below(length)] ^= u8::try_from(1 + chance.below(127)).unwrap();
    Some(line)
}

#[test]
fn every_record_of_a_small_bundle_can_be_tampered_with_in_no_way() {
    let workspace = Workspace::of(230);
    let mut chance = Chance(1);
    let mut codes: Vec<&str> = Vec::new();
    for (story, first, end, size) in [(None, 0, 200, 200), (None, 13, 213, 230), (Some(1), 0, 200, 200), (Some(2), 13, 213, 230)] {
        let untouched = Untouched::of(&workspace, story, first, end, size);
        assert_eq!(untouched.story, untouched.lines.iter().any(|line| line.windows(8).any(|w| w == b"\"hidden\"")));
        let mut count = 0;
        for at in 0..untouched.lines.len() {
            for kind in 0..KINDS {
                if let Some(code) = untouched.tamper(kind, at, &mut chance) {
                    codes.push(code.as_str());
                    count += 1;
                }
            }
        }
        assert!(count > 1800, "{count} tamperings");
    }
    codes.sort_unstable();
    codes.dedup();
    for code in [
        "broken_link",
        "extra_records",
        "malformed_record",
        "missing_receipt",
        "missing_records",
        "wrong_hash",
        "wrong_index",
        "wrong_receipt",
        "wrong_root",
        "wrong_subject",
        "bad_signature",
    ] {
        assert!(codes.contains(&code), "{code} among {codes:?}");
    }
}

#[test]
fn ten_thousand_records_are_tampered_with_four_hundred_times() {
    let workspace = Workspace::of(10_000);
    let mut chance = Chance(2);
    let untouched = Untouched::of(&workspace, None, 0, 10_000, 10_000);
    let mut found = 0;
    for n in 0.. {
        // The last records, where only the root or the end of the bundle tells, get their share.
        let at = if n % 10 == 0 { 9_999 - chance.below(3) } else { chance.below(10_000) };
        found += usize::from(untouched.tamper(n % KINDS, at, &mut chance).is_some());
        if found == 400 {
            break;
        }
    }
    // Once whole, from its first line to its last.
    let mut lines = workspace.bundle(None, 0, 10_000, 10_000);
    lines.remove(9_000);
    let fault = judged(&workspace, &lines, 10_000).unwrap_err();
    assert_eq!((fault.code, fault.index), (Code::WrongIndex, Some(8_999)));
}
