//! Bodies of the AffixIO API, in both spellings of their members.

mod delegations;
mod gate;
mod offline;
mod payment_intents;
mod registry;

use allowlog_proto::api::affixio::AffixioEnvelope;
use allowlog_proto::api::envelope::{ErrorBody, FieldError};
use allowlog_proto::json::Value;

use super::json;

/// How an amount can be wrong: what looks like another unit is never taken for minor units.
const AMOUNTS: &[&str] = &["1850.0", "\"1850\"", "0", "-1", "9007199254740992", "1e3", "true", "[1850]", "{\"a\":1}"];

/// What a body says must be the same in camel case.
fn same_in_camel_case<T: std::fmt::Debug + PartialEq>(parse: impl Fn(&Value) -> Result<T, Vec<FieldError>>, body: &str) {
    let camel = camel_case(body);
    assert_ne!(body, camel, "something is spelt otherwise");
    assert_eq!(parse(&json(&camel)), parse(&json(body)), "{camel}");
}

/// `"agent_id":` as `"agentId":`, of names of members only.
fn camel_case(body: &str) -> String {
    let pieces = body.split('"').collect::<Vec<_>>();
    let is_name = |i: usize| i % 2 == 1 && pieces.get(i + 1).is_some_and(|next| next.trim_start().starts_with(':'));
    let spelt = pieces.iter().enumerate().map(|(i, piece)| {
        if !is_name(i) {
            return (*piece).to_owned();
        }
        let mut words = piece.split('_');
        let first = words.next().unwrap_or_default().to_owned();
        words.fold(first, |name, word| name + &word[..1].to_ascii_uppercase() + &word[1..])
    });
    spelt.collect::<Vec<_>>().join("\"")
}

#[test]
fn errors_as_this_api_spells_them() {
    for (code, expected) in [
        ("validation_error", "invalid_request"),
        ("bad_request", "invalid_request"),
        ("unauthorized", "unauthorized"),
        ("forbidden", "forbidden"),
        ("payment_required", "forbidden"),
        ("budget_plan_required", "forbidden"),
        ("not_found", "not_found"),
        ("method_not_allowed", "method_not_allowed"),
        ("conflict", "invalid_state"),
        ("gone", "invalid_state"),
        ("idempotency_key_reused", "invalid_state"),
        ("quota_exceeded", "rate_limited"),
        ("permission_already_used", "permission_already_used"),
        ("limit_exceeded", "limit_exceeded"),
        ("service_unavailable", "service_unavailable"),
    ] {
        let fields =
            vec![FieldError::new("body.payment_intent.amount", "m"), FieldError::new("query.agent_id", "m"), FieldError::new("body", "m")];
        let told = AffixioEnvelope::from(ErrorBody { code, message: "it is so".to_owned(), fields });
        assert_eq!((told.error, told.code), (expected, expected));
        assert_eq!(told.details.iter().map(|d| d.field.as_str()).collect::<Vec<_>>(), ["payment_intent.amount", "agent_id", "body"]);
    }
}
