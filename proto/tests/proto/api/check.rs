//! `POST /v1/check`.

use allowlog_proto::api::allowly::CheckBody;
use allowlog_proto::json::Value;

use super::schemas::agreed;
use super::{DEFECTS, fields, table, with};

const LEAST: &str = r#"{"authorization_id":"auth_1","scopes":["email.send"]}"#;

fn parse(body: &str) -> Result<CheckBody, Vec<allowlog_proto::api::envelope::FieldError>> {
    agreed(body, CheckBody::parse)
}

#[test]
fn the_whole_body() {
    let body = parse(
        r#"{"authorization_id":" any text ☂","scopes":["b","a"],"resource":"","session_id":"s","estimated_cost_micros":9007199254740991,
            "context":{"z":1,"initiated_by":"cron","a":{"budget":1}},"user_id":7,"agent_id":1.5,"unknown":1e9}"#,
    )
    .unwrap();
    assert_eq!(body.authorization_id.as_str(), " any text ☂");
    assert_eq!(body.scopes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["b", "a"], "the order of the request");
    assert_eq!(body.resource.map(|r| r.to_string()).as_deref(), Some(""));
    assert_eq!(body.session_id.map(|r| r.to_string()).as_deref(), Some("s"));
    assert_eq!(body.estimated_cost.map(|c| c.get()), Some(9_007_199_254_740_991));
    assert_eq!(body.context.as_str(), r#"{"a":{"budget":1},"initiated_by":"cron","z":1}"#);
    assert_eq!(body.facts.get("initiated_by").and_then(Value::as_text), Some("cron"));
}

#[test]
fn what_is_null_or_empty_is_absent() {
    let least = parse(LEAST).unwrap();
    for empty in ["null", "[]", "{}"] {
        let body = format!(
            r#"{{"authorization_id":"auth_1","scopes":["email.send"],"resource":{empty},"session_id":{empty},
                "estimated_cost_micros":{empty},"context":{empty},"user_id":{empty},"agent_id":{empty}}}"#
        );
        assert_eq!(parse(&body).as_ref(), Ok(&least), "{empty}");
        let body = format!(r#"{{"authorization_id":{empty},"scopes":{empty}}}"#);
        assert_eq!(fields(parse(&body)), ["body.authorization_id", "body.scopes"], "{empty}");
        assert_eq!(fields(parse(empty)), ["body.authorization_id", "body.scopes"], "{empty}");
    }
}

#[test]
fn every_malformed_body() {
    let least = |changed| with(LEAST, changed);
    let rows: Vec<(String, Vec<&str>)> = [
        (r#"{"authorization_id":7}"#, vec!["body.authorization_id"]),
        (r#"{"authorization_id":""}"#, vec!["body.authorization_id"]),
        (r#"{"authorization_id":["auth_1"]}"#, vec!["body.authorization_id"]),
        (r#"{"authorization_id":"-"}"#, vec!["body.authorization_id"]),
        (r#"{"scopes":"-"}"#, vec!["body.scopes"]),
        (r#"{"scopes":"email.send"}"#, vec!["body.scopes"]),
        (r#"{"scopes":{"email.send":true}}"#, vec!["body.scopes"]),
        (r#"{"scopes":true}"#, vec!["body.scopes"]),
        (r#"{"scopes":[7,"a",null]}"#, vec!["body.scopes[0]", "body.scopes[2]"]),
        (r#"{"scopes":[""]}"#, vec!["body.scopes[0]"]),
        (r#"{"scopes":[[]]}"#, vec!["body.scopes[0]"]),
        (r#"{"scopes":[{"name":"a"}]}"#, vec!["body.scopes[0]"]),
        (r#"{"scopes":["a","b","a"]}"#, vec!["body.scopes"]),
        (r#"{"scopes":["a","A"]}"#, vec![]),
        (r#"{"resource":7}"#, vec!["body.resource"]),
        (r#"{"resource":false}"#, vec!["body.resource"]),
        (r#"{"resource":["r"]}"#, vec!["body.resource"]),
        (r#"{"session_id":7}"#, vec!["body.session_id"]),
        (r#"{"estimated_cost_micros":-1}"#, vec!["body.estimated_cost_micros"]),
        (r#"{"estimated_cost_micros":"5"}"#, vec!["body.estimated_cost_micros"]),
        (r#"{"estimated_cost_micros":true}"#, vec!["body.estimated_cost_micros"]),
        (r#"{"estimated_cost_micros":0}"#, vec![]),
        (r#"{"context":"a"}"#, vec!["body.context"]),
        (r#"{"context":[1]}"#, vec!["body.context"]),
        (r#"{"context":7}"#, vec!["body.context"]),
        (r#"{"context":{"budget":1}}"#, vec!["body.context.budget"]),
        (r#"{"context":{"escalation":null}}"#, vec!["body.context.escalation"]),
        (
            r#"{"context":{"session_id":"s","budget":{},"escalation":[]}}"#,
            vec!["body.context.budget", "body.context.escalation", "body.context.session_id"],
        ),
        (r#"{"context":{"Budget":1,"a":{"session_id":1}}}"#, vec![]),
        (r#"{"authorization_id":7,"resource":7}"#, vec!["body.authorization_id", "body.resource"]),
    ]
    .into_iter()
    .map(|(changed, expected)| (least(changed), expected))
    .collect();
    let rows: Vec<(&str, &[&str])> = rows.iter().map(|(body, expected)| (body.as_str(), expected.as_slice())).collect();
    table(CheckBody::parse, &rows);
    for body in ["7", "true", "\"a\"", "[1]", "1.5"] {
        assert_eq!(fields(parse(body)).first().map(String::as_str), Some("body"), "{body}");
    }
}

#[test]
fn what_cannot_be_signed_is_named() {
    for (value, below) in DEFECTS {
        let body = format!(r#"{{"authorization_id":"a","scopes":["s"],"context":{{"x":{value}}}}}"#);
        assert_eq!(fields(parse(&body)), [format!("body.context.x{below}")], "{value}");
        let body = format!(r#"{{"authorization_id":"a","scopes":["s"],"ignored":{value}}}"#);
        assert!(parse(&body).is_ok(), "nobody reads it: {value}");
    }
    for (member, value) in
        [("authorization_id", "\"a\""), ("scopes", "[\"s\"]"), ("resource", "null"), ("context", "{}"), ("session_id", "\"s\"")]
    {
        let rest = with(LEAST, &format!(r#"{{"{member}":"-"}}"#));
        let body = format!("{},\"{member}\":{value},\"{member}\":{value}}}", rest.trim_end_matches('}')).replace("{,", "{");
        assert_eq!(fields(parse(&body)), [format!("body.{member}")], "given twice: {body}");
    }
    for defect in ["1.0", "9007199254740992", "\"\\ud800\""] {
        for member in ["authorization_id", "resource", "session_id", "estimated_cost_micros", "context", "scopes"] {
            let rest = with(LEAST, &format!(r#"{{"{member}":"-"}}"#));
            let body = format!("{},\"{member}\":{defect}}}", rest.trim_end_matches('}')).replace("{,", "{");
            assert_eq!(fields(parse(&body)), [format!("body.{member}")], "{body}");
        }
    }
}

#[test]
fn bounds_are_exact() {
    let member = |name: &str, value: String| with(LEAST, &format!(r#"{{"{name}":{value}}}"#));
    let of_length = |n: usize| format!("\"{}\"", "a".repeat(n));
    for (name, max) in [("authorization_id", 256), ("resource", 512), ("session_id", 256)] {
        assert!(parse(&member(name, of_length(max))).is_ok(), "{name}");
        assert_eq!(fields(parse(&member(name, of_length(max + 1)))), [format!("body.{name}")]);
        // Bytes are counted, not characters.
        assert_eq!(fields(parse(&member(name, format!("\"{}\"", "é".repeat(max / 2 + 1))))), [format!("body.{name}")]);
    }
    assert!(parse(&member("scopes", format!("[{}]", of_length(128)))).is_ok());
    assert_eq!(fields(parse(&member("scopes", format!("[{}]", of_length(129))))), ["body.scopes[0]"]);
    let scopes = |n: usize| format!("[{}]", (0..n).map(|i| format!("\"s{i}\"")).collect::<Vec<_>>().join(","));
    assert_eq!(parse(&member("scopes", scopes(25))).unwrap().scopes.len(), 25);
    assert_eq!(fields(parse(&member("scopes", scopes(26)))), ["body.scopes"]);

    // 4096 bytes of compact JSON: {"a":"..."}
    assert!(parse(&member("context", format!("{{\"a\" : {} }}", of_length(4096 - 8)))).is_ok());
    assert_eq!(fields(parse(&member("context", format!("{{\"a\":{}}}", of_length(4096 - 7))))), ["body.context"]);
    let deep = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    assert!(parse(&member("context", deep(32))).is_ok());
    assert_eq!(fields(parse(&member("context", deep(33)))), ["body.context"]);
    let deep = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    assert!(parse(&member("context", deep(32))).is_ok());
    assert_eq!(fields(parse(&member("context", deep(33)))), ["body.context"]);
}

#[test]
fn the_initiator_is_a_string_or_nobody() {
    for (value, expected) in
        [("\"cron\"", Some("cron")), ("\"\"", Some("")), ("7", None), ("null", None), ("[\"cron\"]", None), ("true", None)]
    {
        let body = parse(&with(LEAST, &format!(r#"{{"context":{{"initiated_by":{value}}}}}"#))).unwrap();
        assert_eq!(body.facts.get("initiated_by").and_then(Value::as_text), expected, "{value}");
    }
}
