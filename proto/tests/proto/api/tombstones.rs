//! `/v1/tombstones`

use allowlog_proto::api::allowly::TombstoneBody;

use super::{fields, json, table};

#[test]
fn every_tombstone() {
    table(
        TombstoneBody::parse,
        &[
            (r#"{"resource":"r"}"#, &[]),
            (r#"{"resource":"","reason":null}"#, &[]),
            (r#"{"resource":"r","reason":"fraud","unknown":1.5}"#, &[]),
            ("null", &["body.resource"]),
            (r#"{"resource":null}"#, &["body.resource"]),
            (r#"{"resource":7}"#, &["body.resource"]),
            (r#"{"resource":"r","resource":"r"}"#, &["body.resource"]),
            (r#"{"resource":"r","reason":7}"#, &["body.reason"]),
            ("[1]", &["body"]),
        ],
    );
    for (name, more) in [("resource", ""), ("reason", r#","resource":"r""#)] {
        let parse = |n: usize| fields(TombstoneBody::parse(&json(&format!(r#"{{"{name}":"{}"{more}}}"#, "a".repeat(n)))));
        assert_eq!((parse(512), parse(513)), (vec![], vec![format!("body.{name}")]));
    }
}
