//! `POST /v1/escalations/{id}/resolve`.

use allowlog_proto::api::allowly::ResolveBody;
use allowlog_proto::event::Resolution;

use super::{fields, json, table};

#[test]
fn every_body() {
    table(
        ResolveBody::parse,
        &[
            (r#"{"resolution":"approved","resolved_by":"anna"}"#, &[]),
            (r#"{"resolution":"rejected","resolved_by":"anna@example.com","note":null,"extra":1.0}"#, &[]),
            (r#"{"resolution":"approved","resolved_by":"anna","note":""}"#, &[]),
            (r#"{"resolution":"approve","resolved_by":"anna"}"#, &["body.resolution"]),
            (r#"{"resolution":"Approved","resolved_by":"anna"}"#, &["body.resolution"]),
            (r#"{"resolution":"pending","resolved_by":"anna"}"#, &["body.resolution"]),
            (r#"{"resolution":"","resolved_by":"anna"}"#, &["body.resolution"]),
            (r#"{"resolution":true,"resolved_by":"anna"}"#, &["body.resolution"]),
            (r#"{"resolution":["approved"],"resolved_by":"anna"}"#, &["body.resolution"]),
            (r#"{"resolution":"rejected","resolution":"approved","resolved_by":"anna"}"#, &["body.resolution"]),
            (r#"{"resolution":"approved"}"#, &["body.resolved_by"]),
            (r#"{"resolution":"approved","resolved_by":""}"#, &["body.resolved_by"]),
            (r#"{"resolution":"approved","resolved_by":7}"#, &["body.resolved_by"]),
            (r#"{"resolution":"approved","resolved_by":"\ud800"}"#, &["body.resolved_by"]),
            (r#"{"resolution":"approved","resolved_by":"anna","note":7}"#, &["body.note"]),
            (r#"{"resolution":"approved","resolved_by":"anna","note":1.5}"#, &["body.note"]),
            (r#"{"resolution":"approved","resolved_by":"anna","note":["a"]}"#, &["body.note"]),
            ("null", &["body.resolution", "body.resolved_by"]),
            ("{}", &["body.resolution", "body.resolved_by"]),
            ("7", &["body"]),
        ],
    );
}

#[test]
fn what_was_said_is_kept() {
    let parse = |text: &str| ResolveBody::parse(&json(text)).unwrap();
    let body = parse(r#"{"resolution":"rejected","resolved_by":"anna","note":"no\nway"}"#);
    assert_eq!((body.resolution, body.resolved_by.as_str()), (Resolution::Rejected, "anna"));
    assert_eq!(body.note.map(|n| n.to_string()).as_deref(), Some("no\nway"));
    for empty in ["null", "[]", "{}"] {
        let body = parse(&format!(r#"{{"resolution":"approved","resolved_by":"anna","note":{empty}}}"#));
        assert_eq!((body.resolution, body.note), (Resolution::Approved, None));
    }
}

#[test]
fn bounds_are_exact() {
    for (name, max) in [("resolved_by", 128), ("note", 512)] {
        let body = |n: usize| format!(r#"{{"resolution":"approved","resolved_by":"a","{name}":"{}"}}"#, "a".repeat(n));
        // The member is given twice where it is `resolved_by`.
        let body = |n| body(n).replace(r#""resolved_by":"a","resolved_by""#, r#""resolved_by""#);
        assert!(ResolveBody::parse(&json(&body(max))).is_ok(), "{name}");
        assert_eq!(fields(ResolveBody::parse(&json(&body(max + 1)))), [format!("body.{name}")]);
    }
}
