//! `/v1/payment-intents`

use allowlog_proto::api::affixio::{AuthoriseBody, CaptureBody, IntentBody};

use super::super::{fields, json, table, with};
use super::{AMOUNTS, same_in_camel_case};

const LEAST: &str = r#"{"merchant_id":"m","amount":1850,"currency":"EUR"}"#;

#[test]
fn intents() {
    let whole = r#"{"merchant_id":"m","amount":1850,"currency":"EUR","channel":"online","agent_id":"a","delegation_id":"d","device_id":"v",
        "decision_id":"dec_1","proof_id":"prf_1","metadata":{"order":1}}"#;
    table(IntentBody::parse, &[(LEAST, &[]), (whole, &[]), ("{}", &["body.merchant_id", "body.amount", "body.currency"])]);
    same_in_camel_case(IntentBody::parse, whole);
    for (changed, expected) in [
        (r#"{"merchant_id":""}"#, "body.merchant_id"),
        (r#"{"currency":"€"}"#, "body.currency"),
        (r#"{"channel":7}"#, "body.channel"),
        (r#"{"agent_id":7}"#, "body.agent_id"),
        (r#"{"metadata":"m"}"#, "body.metadata"),
    ] {
        table(IntentBody::parse, &[(&with(LEAST, changed), &[expected])]);
    }
    for amount in AMOUNTS {
        table(IntentBody::parse, &[(&LEAST.replace("1850", amount), &["body.amount"])]);
        table(AuthoriseBody::parse, &[(&format!(r#"{{"amount":{amount}}}"#), &["body.amount"])]);
        table(CaptureBody::parse, &[(&format!(r#"{{"amount":{amount}}}"#), &["body.amount"])]);
    }
}

#[test]
fn a_decision_is_named_by_itself_or_by_its_proof() {
    let decision = |text: &str| AuthoriseBody::parse(&json(text)).map(|body| body.decision.map(|id| id.to_string()).unwrap_or_default());
    for (body, expected) in [
        ("null", ""),
        ("{}", ""),
        (r#"{"decision_id":"dec_1"}"#, "dec_1"),
        (r#"{"proof_id":"prf_1"}"#, "prf_1"),
        (r#"{"decision_id":"dec_1","proof_id":"prf_1"}"#, "dec_1"),
        (r#"{"decision_id":"prf_1"}"#, "prf_1"),
    ] {
        assert_eq!(decision(body).as_deref(), Ok(expected), "{body}");
        table(AuthoriseBody::parse, &[(body, &[])]);
    }
    for body in [r#"{"decision_id":"dec_1","proof_id":"prf_2"}"#, r#"{"decision_id":"x","proof_id":"prf_1"}"#] {
        assert_eq!(fields(AuthoriseBody::parse(&json(body))), ["body.proof_id"], "{body}");
        assert_eq!(fields(IntentBody::parse(&json(&with(LEAST, body)))), ["body.proof_id"], "{body}");
    }
    same_in_camel_case(AuthoriseBody::parse, r#"{"decision_id":"dec_1","amount":5}"#);
}
