//! `/v1/agent-scope-bundles`

use allowlog_proto::api::allowly::{BundleBody, KnownBundleBody};
use allowlog_proto::time::Timestamp;

use super::schemas::agreed;
use super::{fields, json, table, with};

const LEAST: &str = r#"{"id":"b","agent_id":"a","scopes":["s"]}"#;

#[test]
fn every_bundle() {
    table(
        BundleBody::parse,
        &[
            (LEAST, &[]),
            (
                r#"{"id":"b","agent_id":"a","scopes":["s"],"requires_confirm_for":null,"requires_escalation_for":[],"escalation_targets":{},"default_expiry_days":null,"description":null}"#,
                &[],
            ),
            ("null", &["body.id", "body.agent_id", "body.scopes"]),
            ("7", &["body"]),
        ],
    );
    for (changed, expected) in [
        (r#"{"id":""}"#, "body.id"),
        (r#"{"id":7}"#, "body.id"),
        (r#"{"agent_id":null}"#, "body.agent_id"),
        (r#"{"scopes":[]}"#, "body.scopes"),
        (r#"{"scopes":["s","s"]}"#, "body.scopes"),
        (r#"{"scopes":[{"name":"s","constraints":{"max_per_hour":1}}]}"#, "body.scopes[0].constraints.max_per_hour"),
        (r#"{"requires_confirm_for":["t"]}"#, "body.requires_confirm_for[0]"),
        (r#"{"requires_escalation_for":["t"]}"#, "body.requires_escalation_for[0]"),
        (r#"{"escalation_targets":{"t":"x"}}"#, "body.escalation_targets.t"),
        (r#"{"default_expiry_days":0}"#, "body.default_expiry_days"),
        (r#"{"default_expiry_days":3651}"#, "body.default_expiry_days"),
        (r#"{"default_expiry_days":"30"}"#, "body.default_expiry_days"),
        (r#"{"description":7}"#, "body.description"),
    ] {
        assert_eq!(fields(agreed(&with(LEAST, changed), BundleBody::parse)), [expected], "{changed}");
    }
    let float = r#"{"id":"b","agent_id":"a","scopes":["s"],"default_expiry_days":30.0}"#;
    assert_eq!(fields(BundleBody::parse(&json(float))), ["body.default_expiry_days"]);
    for (name, max) in [("id", 128), ("description", 512)] {
        let parse = |n: usize| fields(BundleBody::parse(&json(&with(LEAST, &format!(r#"{{"{name}":"{}"}}"#, "a".repeat(n))))));
        assert_eq!((parse(max), parse(max + 1)), (vec![], vec![format!("body.{name}")]));
    }
}

#[test]
fn a_bundle_is_shown_as_it_was_given() {
    let body = r#"{"id":"b","agent_id":"a","scopes":["s",{"name":"t","constraints":{"max_per_day":3,"deny_when":[]}}],
        "requires_confirm_for":["t","s"],"requires_escalation_for":["s"],"escalation_targets":{"t":"x"},"default_expiry_days":3650,"description":"d"}"#;
    let bundle = BundleBody::parse(&json(body)).unwrap().bundle;
    let shown = serde_json::to_value(KnownBundleBody::new(&bundle, Timestamp::default())).unwrap();
    assert_eq!(
        shown,
        serde_json::json!({
            "id": "b",
            "agent_id": "a",
            "scopes": [{ "name": "s", "constraints": {} }, { "name": "t", "constraints": { "max_per_day": 3, "deny_when": [] } }],
            "requires_confirm_for": ["t", "s"],
            "requires_escalation_for": ["s"],
            "escalation_targets": { "t": "x" },
            "default_expiry_days": 3650,
            "description": "d",
            "created_at": "1970-01-01T00:00:00.000Z",
        })
    );
}
