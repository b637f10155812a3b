//! `FORMAT.md` says what the code does, as far as a test can read it.

use allowlog_proto::id::{ApiKeyId, AuthorizationId, EscalationId, KeyId, Nonce, ReceiptId, WorkspaceId};
use allowlog_proto::limits::{
    EVIDENCE_LINE_BYTES_MAX, FRAME_BYTES_MAX, JSON_DEPTH_MAX, PROOF_HASHES_MAX, RECORD_BYTES_MAX, SAFE_INTEGER_MAX, SIGNED_NOTE_BYTES_MAX,
    SIGNED_NOTE_LINES_MAX,
};
use allowlog_proto::reason::{PolicyVersion, Reason};
use allowlog_proto::time::Timestamp;

use crate::{evidence, files, vectors};

fn text() -> String {
    files::read("FORMAT.md")
}

#[test]
fn reasons_stand_under_their_numbers() {
    let text = text();
    for (number, reason) in Reason::ALL.iter().enumerate() {
        let cell = format!("| {number} | `{}` |", reason.as_str());
        assert!(text.contains(&cell), "{cell}");
    }
}

#[test]
fn codes_stand_in_the_order_of_the_checks() {
    let text = text();
    let (_, checks) = text.split_once("## The verifier\n").unwrap();
    let (checks, _) = checks.split_once("\n## ").unwrap();
    let rows = checks.lines().filter(|line| line.starts_with("| ") && !line.starts_with("|  |") && !line.starts_with("| |"));
    let found: Vec<&str> =
        rows.filter_map(|row| row.trim_end_matches(" |").rsplit("| ").next()?.strip_prefix('`')?.strip_suffix('`')).collect();
    let mut expected = vectors::codes();
    expected.dedup();
    assert_eq!(found, expected);
}

#[test]
fn codes_of_evidence_stand_in_the_order_of_the_checks() {
    let text = text();
    let (_, checks) = text.split_once("\n### Checks\n").unwrap();
    let mut found = Vec::new();
    for row in checks.lines().filter(|line| line.starts_with("| ")) {
        let cell = row.trim_end_matches(" |").rsplit("| ").next().unwrap();
        let codes = cell.split(", ").filter_map(|code| code.strip_prefix('`')?.strip_suffix('`'));
        codes.for_each(|code| {
            if !found.contains(&code) {
                found.push(code)
            }
        });
    }
    assert_eq!(found, evidence::codes());
}

#[test]
fn prefixes_and_limits_are_named() {
    let text = text();
    let prefixes = [
        WorkspaceId::PREFIX,
        ApiKeyId::PREFIX,
        KeyId::PREFIX,
        AuthorizationId::PREFIX,
        ReceiptId::PREFIX,
        Nonce::PREFIX,
        EscalationId::PREFIX,
    ];
    for prefix in prefixes {
        assert!(text.contains(&format!("\n| `{prefix}` | ")), "{prefix}");
    }
    for number in [
        RECORD_BYTES_MAX.to_string(),
        FRAME_BYTES_MAX.to_string(),
        format!("{JSON_DEPTH_MAX} containers"),
        format!("at most {SIGNED_NOTE_LINES_MAX} of them"),
        format!("{SIGNED_NOTE_BYTES_MAX} bytes"),
        format!("A line is at most {EVIDENCE_LINE_BYTES_MAX} bytes"),
        format!("at most {PROOF_HASHES_MAX}, an empty line"),
        SAFE_INTEGER_MAX.to_string(),
        Timestamp::MAX.as_ms().to_string(),
        PolicyVersion::CURRENT.as_str().to_owned(),
    ] {
        assert!(text.contains(&number), "{number}");
    }
}
