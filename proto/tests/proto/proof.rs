//! Proofs of receipts: the example that the documentation shows, and everything that a proof must not be.
//!
//! `ALLOWLOG_REGENERATE=1 cargo test -p allowlog-proto the_example_is` writes the files of the example anew.

use allowlog_proto::chain::Hash;
use allowlog_proto::checkpoint::{Checkpoint, CheckpointError};
use allowlog_proto::json::Value;
use allowlog_proto::note::{KeyKind, VerifierKey};
use allowlog_proto::proof::{Proof, Proved, Unproved, verify_receipt};
use allowlog_proto::verify::{Invalid, TrustedKeys};

use crate::evidence::bundles::{Workspace, witness};
use crate::{files, fixtures};

const DIRECTORY: &str = "tests/vectors/proof";

fn keys(workspace: &Workspace) -> String {
    serde_json::to_string_pretty(&workspace.key_document()).unwrap() + "\n"
}

fn receipt(workspace: &Workspace, index: usize) -> Value {
    Value::parse(workspace.records[index].receipt.as_ref().unwrap().as_bytes()).unwrap()
}

#[test]
fn the_example_is_what_a_log_makes() {
    let workspace = Workspace::of(5);
    let expected = [
        ("keys.json", keys(&workspace)),
        ("log.vkey", format!("{}\n", workspace.log_key(5))),
        ("receipt.json", format!("{}\n", workspace.records[3].receipt.as_ref().unwrap())),
        ("receipt.proof", workspace.proof(3, 5).to_string()),
        ("witness.vkey", format!("{}\n", witness(1))),
    ];
    if files::regenerate() {
        expected.iter().for_each(|(name, text)| files::write(&format!("{DIRECTORY}/{name}"), text));
    }
    assert_eq!(files::list(DIRECTORY), expected.each_ref().map(|(name, _)| *name));
    for (name, text) in expected {
        assert_eq!(files::read(&format!("{DIRECTORY}/{name}")), text, "{name}");
    }
}

#[test]
fn every_receipt_is_proved_at_every_size() {
    let workspace = Workspace::of(70);
    let keys = TrustedKeys::parse(keys(&workspace).as_bytes()).unwrap();
    let now = fixtures::at("2026-11-24T00:00:00Z");
    let mut count = 0;
    for size in [4, 5, 8, 33, 64, 65, 66, 70] {
        for index in (0..size).filter(|index| workspace.records[*index].receipt.is_some()) {
            let proof = workspace.proof(index, size);
            let proved = verify_receipt(&receipt(&workspace, index), now, &keys, &proof, &workspace.log_key(size), &[witness(2)], 1);
            let expected = Proved {
                index: proof.index,
                size: size.try_into().unwrap(),
                root: workspace.root(size),
                record: workspace.records[index].hash(),
                cosigned: vec![(witness(2), 1_795_435_202)],
            };
            assert_eq!(proved, Ok(expected), "{index} of {size}");
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn nothing_else_is_proved() {
    let workspace = Workspace::of(40);
    let trusted = TrustedKeys::parse(keys(&workspace).as_bytes()).unwrap();
    let now = fixtures::at("2026-11-24T00:00:00Z");
    let (index, size) = (6, 40);
    let genuine = receipt(&workspace, index);
    let log = workspace.log_key(size);
    let judged = |receipt: &Value, proof: &Proof, log: &VerifierKey, quorum| {
        verify_receipt(receipt, now, &trusted, proof, log, &[witness(1), witness(2), witness(2), witness(3)], quorum).map(drop)
    };
    let proof = workspace.proof(index, size);
    assert_eq!(judged(&genuine, &proof, &log, 2), Ok(()));
    assert_eq!(judged(&genuine, &proof, &log, 3), Err(Unproved::TooFewWitnesses { found: 2, quorum: 3 }));

    let other_key = VerifierKey::new(log.name(), KeyKind::Ed25519, *witness(1).key()).unwrap();
    let other_kind = VerifierKey::new(log.name(), KeyKind::Cosignature, *log.key()).unwrap();
    let other_name = VerifierKey::new("allowlog/ws_0", KeyKind::Ed25519, *log.key()).unwrap();
    assert_eq!(judged(&genuine, &proof, &other_key, 0), Err(Unproved::Untrusted));
    assert_eq!(judged(&genuine, &proof, &other_kind, 0), Err(Unproved::Untrusted));
    assert_eq!(judged(&genuine, &proof, &other_name, 0), Err(Unproved::AnotherLog));

    let before = fixtures::at("2026-11-23T11:00:00Z");
    assert_eq!(verify_receipt(&genuine, before, &trusted, &proof, &log, &[], 0), Err(Unproved::Receipt(Invalid::IssuedAhead)));
    assert_eq!(judged(&Value::Null, &proof, &log, 0), Err(Unproved::Receipt(Invalid::Version)));
    assert_eq!(judged(&receipt(&workspace, 5), &proof, &log, 0), Err(Unproved::NotIncluded));
    for place in (0..size).filter(|place| *place != index) {
        let elsewhere = Proof { index: place.try_into().unwrap(), ..proof.clone() };
        assert_eq!(judged(&genuine, &elsewhere, &log, 0), Err(Unproved::NotIncluded), "{place}");
    }
    for at in 0..proof.hashes.len() {
        let mut other = proof.clone();
        other.hashes[at].0[at] ^= 1;
        assert_eq!(judged(&genuine, &other, &log, 0), Err(Unproved::NotIncluded));
    }
    let other = Proof { extra: workspace.records[5].hash().0.to_vec(), ..proof.clone() };
    assert_eq!(judged(&genuine, &other, &log, 0), Err(Unproved::NotIncluded));
    for extra in [vec![], vec![0; 31], vec![0; 33]] {
        assert_eq!(judged(&genuine, &Proof { extra, ..proof.clone() }, &log, 0), Err(Unproved::Record));
    }
    let text = |text: String| {
        let mut other = proof.clone();
        other.checkpoint.text = text;
        judged(&genuine, &other, &log, 0)
    };
    let checkpoint = Checkpoint::parse(&proof.checkpoint.text).unwrap();
    assert_eq!(text(Checkpoint { root: Hash::default(), ..checkpoint.clone() }.to_string()), Err(Unproved::Untrusted));
    assert_eq!(text(Checkpoint { origin: "allowlog/ws_0".to_owned(), ..checkpoint }.to_string()), Err(Unproved::AnotherLog));
    assert_eq!(text("hello\n".to_owned()), Err(Unproved::Checkpoint(CheckpointError::Shape)));
}

#[test]
fn a_receipt_of_another_workspace_is_of_another_log() {
    let workspace = Workspace::of(5);
    let keys = files::read("tests/vectors/keys.json");
    let vector: serde_json::Value = serde_json::from_str(&files::read("tests/vectors/valid/check_allow.json")).unwrap();
    let genuine = Value::parse(vector["receipt_text"].as_str().unwrap().as_bytes()).unwrap();
    let keys = TrustedKeys::parse(keys.as_bytes()).unwrap();
    let now = fixtures::at("2026-12-31T00:00:00Z");
    let found = verify_receipt(&genuine, now, &keys, &workspace.proof(3, 5), &workspace.log_key(5), &[], 0);
    assert_eq!(found, Err(Unproved::AnotherLog));
}
