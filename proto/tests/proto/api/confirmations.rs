//! `POST /v1/confirmations/{nonce}`.

use allowlog_proto::api::allowly::ConfirmBody;

use super::{json, table};

#[test]
fn every_body() {
    table(
        ConfirmBody::parse,
        &[
            (r#"{"approved":true}"#, &[]),
            (r#"{"approved":false,"ttl_seconds":null,"note":"ignored"}"#, &[]),
            (r#"{"approved":true,"ttl_seconds":1}"#, &[]),
            (r#"{"approved":true,"ttl_seconds":300}"#, &[]),
            (r#"{"approved":true,"ttl_seconds":0}"#, &["body.ttl_seconds"]),
            (r#"{"approved":true,"ttl_seconds":-1}"#, &["body.ttl_seconds"]),
            (r#"{"approved":true,"ttl_seconds":301}"#, &["body.ttl_seconds"]),
            (r#"{"approved":true,"ttl_seconds":60.0}"#, &["body.ttl_seconds"]),
            (r#"{"approved":true,"ttl_seconds":9007199254740992}"#, &["body.ttl_seconds"]),
            (r#"{"approved":true,"ttl_seconds":"60"}"#, &["body.ttl_seconds"]),
            (r#"{"approved":true,"ttl_seconds":true}"#, &["body.ttl_seconds"]),
            (r#"{"approved":true,"ttl_seconds":60,"ttl_seconds":60}"#, &["body.ttl_seconds"]),
            (r#"{"approved":false,"ttl_seconds":301}"#, &["body.ttl_seconds"]),
            (r#"{"approved":"true"}"#, &["body.approved"]),
            (r#"{"approved":1}"#, &["body.approved"]),
            (r#"{"approved":null}"#, &["body.approved"]),
            (r#"{"approved":false,"approved":true}"#, &["body.approved"]),
            (r#"{"Approved":true}"#, &["body.approved"]),
            ("{}", &["body.approved"]),
            ("null", &["body.approved"]),
            ("[]", &["body.approved"]),
            ("[true]", &["body"]),
            ("true", &["body"]),
        ],
    );
}

#[test]
fn an_approval_lives_for_a_minute_unless_it_says_otherwise() {
    for (body, ms) in [
        (r#"{"approved":true}"#, 60_000),
        (r#"{"approved":true,"ttl_seconds":{}}"#, 60_000),
        (r#"{"approved":true,"ttl_seconds":1}"#, 1000),
        (r#"{"approved":true,"ttl_seconds":300}"#, 300_000),
    ] {
        assert_eq!(ConfirmBody::parse(&json(body)), Ok(ConfirmBody { approved: true, ttl_ms: ms }), "{body}");
    }
}
