//! `POST /v1/check/batch`.

use allowlog_proto::api::allowly::CheckBatchBody;
use allowlog_proto::limits::{BATCH_CHECKS_MAX, BATCH_SCOPES_MAX, SCOPES_CHECKED_MAX};

use super::schemas::agreed;
use super::{fields, table};

const ONE: &str = r#"{"authorization_id":"auth_1","scopes":["a"]}"#;

fn of(checks: &[&str]) -> String {
    format!(r#"{{"checks":[{}]}}"#, checks.join(","))
}

#[test]
fn what_is_refused_as_a_whole() {
    let rows: [(&str, &[&str]); 9] = [
        ("{}", &["body.checks"]),
        (r#"{"checks":null}"#, &["body.checks"]),
        (r#"{"checks":[]}"#, &["body.checks"]),
        (r#"{"checks":{}}"#, &["body.checks"]),
        (r#"{"checks":{"a":1}}"#, &["body.checks"]),
        (r#"{"checks":"a"}"#, &["body.checks"]),
        (r#"{"checks":1.5}"#, &["body.checks"]),
        ("[]", &["body.checks"]),
        ("[1]", &["body"]),
    ];
    table(CheckBatchBody::parse, &rows);
    table(CheckBatchBody::parse, &[(&of(&vec![ONE; BATCH_CHECKS_MAX]), &[]), (&of(&vec![ONE; BATCH_CHECKS_MAX + 1]), &["body.checks"])]);
    let names: Vec<String> = (0..SCOPES_CHECKED_MAX).map(|n| format!("\"s{n}\"")).collect();
    let wide = format!(r#"{{"authorization_id":"auth_1","scopes":[{}]}}"#, names.join(","));
    let mut checks = vec![wide.as_str(); BATCH_SCOPES_MAX / SCOPES_CHECKED_MAX];
    checks.push("{}");
    assert!(fields(agreed(&of(&checks), CheckBatchBody::parse)).is_empty(), "scopes of what is refused do not count");
    checks.push(ONE);
    assert_eq!(fields(agreed(&of(&checks), CheckBatchBody::parse)), ["body.checks"]);
}

#[test]
fn what_is_wrong_with_a_check_is_said_in_its_place() {
    let checks = [
        ONE,
        "null",
        "7",
        r#"{"authorization_id":"","scopes":["a","a"]}"#,
        r#"{"authorization_id":"x","scopes":["a"],"context":{"b":[0.5]}}"#,
        ONE,
    ];
    let body = agreed(&of(&checks), CheckBatchBody::parse).unwrap();
    let found: Vec<Vec<String>> = body.checks.into_iter().map(fields).collect();
    let expected: [&[&str]; 6] = [
        &[],
        &["body.checks[1].authorization_id", "body.checks[1].scopes"],
        &["body.checks[2]"],
        &["body.checks[3].authorization_id", "body.checks[3].scopes"],
        &["body.checks[4].context.b[0]"],
        &[],
    ];
    assert_eq!(found, expected);
}
