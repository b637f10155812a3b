//! Bundles of evidence: the published vectors, made by an independent generator, and bundles of our own that are tampered with.

use std::collections::BTreeMap;

use allowlog_proto::evidence::{Code, verify};
use allowlog_proto::id::KeyId;
use allowlog_proto::note::VerifierKey;

use crate::{files, vectors};

pub(crate) mod bundles;
mod tampering;

const DIRECTORY: &str = "tests/vectors/evidence";

struct Vector {
    name: String,
    expected: Option<(String, Option<u64>)>,
    found: Option<(String, Option<u64>)>,
}

/// Every vector with what this verifier says of it.
fn judged() -> Vec<Vector> {
    let mut out = Vec::new();
    for file in files::list(DIRECTORY) {
        let Some(name) = file.strip_suffix(".json") else { continue };
        let vector: serde_json::Value = serde_json::from_str(&files::read(&format!("{DIRECTORY}/{file}"))).unwrap();
        let bundle = files::read_bytes(&format!("{DIRECTORY}/{name}.jsonl"));
        let texts = |member: &str| vector[member].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned());
        let trust: Vec<KeyId> = texts("trust").filter_map(|id| KeyId::parse(&id)).collect();
        let witnesses: Vec<VerifierKey> = texts("witnesses").map(|key| VerifierKey::parse(&key).unwrap()).collect();
        let quorum = vector["quorum"].as_u64().unwrap().try_into().unwrap();
        let verdict = &vector["verdict"];
        let expected = (!verdict.is_null()).then(|| (verdict["code"].as_str().unwrap().to_owned(), verdict["index"].as_u64()));
        let found = verify(&bundle, &trust, &witnesses, quorum).err().map(|fault| (fault.code.as_str().to_owned(), fault.index));
        out.push(Vector { name: name.to_owned(), expected, found });
    }
    out
}

#[test]
fn every_vector_gets_its_code_and_index() {
    let judged = judged();
    let wrong: Vec<String> = judged
        .iter()
        .filter(|v| v.found != v.expected)
        .map(|v| format!("{}: expected {:?}, found {:?}", v.name, v.expected, v.found))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), judged.len(), wrong.join("\n"));
}

#[test]
fn a_story_begins_with_the_grant_or_with_the_request_for_it() {
    for (name, begins) in [
        ("story", true),
        ("story_after_its_grant", false),
        ("story_of_a_consent", true),
        ("story_of_a_consent_from_its_grant", true),
        ("story_of_a_consent_after_its_grant", false),
        ("story_of_a_refusal", true),
        ("story_of_a_delegation", true),
        ("story_of_a_delegation_after_its_grant", false),
        ("story_of_a_delegation_from_an_intent", false),
        ("story_of_a_delegation_from_a_queued_payment", false),
        ("story_of_another_delegation", true),
    ] {
        let vector: serde_json::Value = serde_json::from_str(&files::read(&format!("{DIRECTORY}/{name}.json"))).unwrap();
        let trust = KeyId::parse(vector["trust"][0].as_str().unwrap()).unwrap();
        let verdict = verify(&files::read_bytes(&format!("{DIRECTORY}/{name}.jsonl")), &[trust], &[], 0).unwrap();
        assert_eq!(verdict.begins_with_grant, Some(begins), "{name}");
    }
}

/// Every code of a bundle but that of receipts; a new variant breaks the match and belongs into the list.
pub(crate) fn codes() -> Vec<&'static str> {
    let all = [
        Code::MalformedBundle,
        Code::UntrustedCheckpoint,
        Code::BadKeyProof,
        Code::TooFewWitnesses,
        Code::MissingRecords,
        Code::MalformedRecord,
        Code::WrongIndex,
        Code::WrongHash,
        Code::BrokenLink,
        Code::TimeGoesBack,
        Code::WrongSubject,
        Code::UnlistedKey,
        Code::WrongReceipt,
        Code::MissingReceipt,
        Code::ExtraRecords,
        Code::WrongRoot,
        Code::AnotherLog,
    ];
    for code in &all {
        match code {
            Code::MalformedBundle
            | Code::UntrustedCheckpoint
            | Code::BadKeyProof
            | Code::TooFewWitnesses
            | Code::MissingRecords
            | Code::MalformedRecord
            | Code::WrongIndex
            | Code::WrongHash
            | Code::BrokenLink
            | Code::TimeGoesBack
            | Code::WrongSubject
            | Code::UnlistedKey
            | Code::WrongReceipt
            | Code::MissingReceipt
            | Code::Receipt(_)
            | Code::ExtraRecords
            | Code::WrongRoot
            | Code::AnotherLog => {}
        }
    }
    all.iter().map(Code::as_str).collect()
}

#[test]
fn every_code_has_a_vector() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for vector in judged() {
        let code = vector.expected.map_or_else(|| "genuine".to_owned(), |(code, _)| code);
        *counts.entry(code).or_default() += 1;
    }
    // The earlier root is the caller's own; it is no part of a vector.
    for code in codes().into_iter().filter(|code| *code != Code::AnotherLog.as_str()) {
        assert!(counts.contains_key(code), "no bundle is refused with `{code}`");
    }
    let of_receipts = vectors::codes().into_iter().filter(|code| counts.contains_key(*code)).count();
    assert!(of_receipts >= 8, "{counts:?}");
    assert!(counts.get("genuine").is_some_and(|n| *n >= 20), "{counts:?}");
    assert!(counts.values().sum::<usize>() >= 100, "{counts:?}");
}
