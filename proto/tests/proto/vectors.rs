//! The published vectors, made by an independent generator, held against this verifier.

use std::collections::BTreeMap;

use allowlog_proto::json::Value;
use allowlog_proto::time::Timestamp;
use allowlog_proto::verify::{Invalid, TrustedKeys, verify};
use allowlog_proto::{id::KeyId, json::NotSignable};

use crate::files;

const DIRECTORY: &str = "tests/vectors";

struct Vector {
    directory: &'static str,
    name: String,
    expected: String,
    found: String,
}

/// Every vector with what this verifier says of it.
fn judged() -> Vec<Vector> {
    let keys = TrustedKeys::parse(files::read(&format!("{DIRECTORY}/keys.json")).as_bytes()).unwrap();
    let mut out = Vec::new();
    for directory in ["valid", "invalid"] {
        for file in files::list(&format!("{DIRECTORY}/{directory}")) {
            let vector: serde_json::Value = serde_json::from_str(&files::read(&format!("{DIRECTORY}/{directory}/{file}"))).unwrap();
            let text = |name: &str| vector[name].as_str().unwrap().to_owned();
            assert_eq!(file, format!("{}.json", text("name")));
            let now = Timestamp::parse(&text("now")).unwrap();
            let found = match Value::parse(text("receipt_text").as_bytes()) {
                Err(_) => "unreadable",
                Ok(receipt) => match verify(&receipt, &keys, vector["workspace"].as_str(), now) {
                    Ok(()) => "valid",
                    Err(invalid) => invalid.code(),
                },
            };
            out.push(Vector { directory, name: text("name"), expected: text("expected"), found: found.to_owned() });
        }
    }
    out
}

/// The texts of the receipts that verify.
pub(crate) fn valid_receipts() -> Vec<String> {
    let directory = format!("{DIRECTORY}/valid");
    let read = |file: &String| serde_json::from_str::<serde_json::Value>(&files::read(&format!("{directory}/{file}"))).unwrap();
    files::list(&directory).iter().map(|file| read(file)["receipt_text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_vector_gets_its_code() {
    let wrong: Vec<String> = judged()
        .iter()
        .filter(|v| v.found != v.expected || (v.directory == "valid") != (v.expected == "valid"))
        .map(|v| format!("{}/{}: expected {}, found {}", v.directory, v.name, v.expected, v.found))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_code_has_a_vector() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for vector in judged() {
        let count = counts.entry(vector.expected).or_default();
        *count = count.saturating_add(1);
    }
    for code in codes() {
        assert!(counts.contains_key(code), "no vector is refused with `{code}`");
    }
    assert!(counts.get("valid").is_some_and(|n| *n >= 20), "{counts:?}");
    assert!(counts.values().sum::<usize>() >= 60, "{counts:?}");
}

#[test]
fn key_ids_are_derived_from_their_keys() {
    let document: serde_json::Value = serde_json::from_str(&files::read(&format!("{DIRECTORY}/keys.json"))).unwrap();
    for key in document["keys"].as_array().unwrap().iter().filter(|k| k["alg"] == "Ed25519") {
        let public = data_encoding::BASE64URL_NOPAD.decode(key["public_key"].as_str().unwrap().as_bytes()).unwrap();
        let public: [u8; 32] = public.try_into().unwrap();
        assert_eq!(key["key_id"], KeyId::of(&public).to_string());
    }
}

#[test]
fn key_documents_of_another_shape_are_refused() {
    let document = files::read(&format!("{DIRECTORY}/keys.json"));
    assert!(TrustedKeys::parse(document.as_bytes()).is_ok());
    for (from, to) in [
        ("\"keys\"", "\"kyes\""),
        ("\"alg\"", "\"algo\""),
        ("\"key_id\"", "\"id\""),
        ("\"public_key\": \"", "\"public_key\": \"A"),
        ("\"active_from\": \"2026", "\"active_from\": \"x026"),
        ("2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.000"),
        ("\"active_until\": null", "\"active_until\": 7"),
        ("\"active_until\": \"2026", "\"active_bis\": \"2026"),
        ("\n}\n", ""),
    ] {
        let changed = document.replacen(from, to, 9);
        assert_ne!(changed, document, "{from}");
        assert!(TrustedKeys::parse(changed.as_bytes()).is_err(), "{from} as {to}");
    }
}

/// Every code there is; a new variant breaks the match below and belongs into the list.
pub(crate) fn codes() -> Vec<&'static str> {
    let not_signable = NotSignable { path: String::new(), defect: allowlog_proto::json::Defect::Float };
    let all = [
        Invalid::Version,
        Invalid::Workspace(String::new()),
        Invalid::UnknownField(String::new()),
        Invalid::MissingField(""),
        Invalid::Type(""),
        Invalid::SignatureEncoding,
        Invalid::PolicyEval,
        Invalid::ScopeOrEvent,
        Invalid::Pairing(""),
        Invalid::Algorithm,
        Invalid::IssuedAt(allowlog_proto::time::TimeError::Malformed),
        Invalid::IssuedAhead,
        Invalid::NotSignable(not_signable),
        Invalid::UnknownKey(String::new()),
        Invalid::KeyInactive(String::new()),
        Invalid::Signature,
    ];
    for invalid in &all {
        match invalid {
            Invalid::Version
            | Invalid::Workspace(_)
            | Invalid::UnknownField(_)
            | Invalid::MissingField(_)
            | Invalid::Type(_)
            | Invalid::SignatureEncoding
            | Invalid::PolicyEval
            | Invalid::ScopeOrEvent
            | Invalid::Pairing(_)
            | Invalid::Algorithm
            | Invalid::IssuedAt(_)
            | Invalid::IssuedAhead
            | Invalid::NotSignable(_)
            | Invalid::UnknownKey(_)
            | Invalid::KeyInactive(_)
            | Invalid::Signature => {}
        }
    }
    all.iter().map(Invalid::code).collect()
}
