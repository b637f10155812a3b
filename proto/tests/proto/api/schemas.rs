//! Schemas and parsers agree: whatever a parser takes its schema takes, and what a schema takes its parser takes too, but for
//! what JSON Schema has no words for. Every body that a test of this folder parses is held against its schema.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use allowlog_proto::api::affixio::{
    AttestBody, AuthoriseBody, CredentialBody, DelegationBody, GateBody, IntentBody, NullifiersBody, OfflineTokenBody, OrgBody, OrgKeyBody,
    PermissionAsked, PolicyAsked, RegisterAgentBody, RegisterDeviceBody, TransactionsBody, TrustAsked, VerificationAsked,
};
use allowlog_proto::api::allowly::{
    BundleBody, CheckBatchBody, CheckBody, ConfirmBody, CreateBody, ResolveBody, RevokeBody, TombstoneBody,
};
use allowlog_proto::api::envelope::FieldError;
use allowlog_proto::json::{Defect, Value};
use allowlog_proto::text::OpaqueId;
use jsonschema::Validator;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value as Json, json};
use utoipa::ToSchema;

/// What a parser says of bodies that no schema can refuse: relations between members, and what JSON itself leaves open.
const BEYOND_SCHEMAS: [&str; 14] = [
    "scopes together",
    "not granted",
    "more than once",
    "over all three lists",
    "is a float",
    "lone surrogate",
    "nested at most",
    "bytes as",
    "another name of",
    "must not be given beside",
    "must be a duration of one second to 366 days",
    "must be after the start",
    "must be that of `token`",
    "must name the same decision",
];

/// Parses a body and holds the result against the schema.
pub(super) fn agreed<T: ToSchema>(text: &str, parse: impl Fn(&Value) -> Result<T, Vec<FieldError>>) -> Result<T, Vec<FieldError>> {
    agreed_as::<T, T>(text, parse)
}

/// The same of a schema that is named otherwise than what is made of the body.
pub(super) fn agreed_as<S: ToSchema, T>(text: &str, parse: impl Fn(&Value) -> Result<T, Vec<FieldError>>) -> Result<T, Vec<FieldError>> {
    let value = Value::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{e}: {text}"));
    let parsed = parse(&value);
    // A lone surrogate is no text to a general reader, which then has nothing to judge.
    let Ok(instance) = serde_json::from_str::<Json>(text) else { return parsed };
    let validator = validator::<S>();
    match &parsed {
        Ok(_) => {
            let problem = validator.iter_errors(&instance).next().map(|e| format!("{e} at {}", e.instance_path()));
            assert_eq!(problem, None, "{} takes what its schema refuses: {text:.400}", S::name());
        }
        // Of two members of one name a general reader sees the last.
        Err(errors) if !has_twice(&value) && validator.is_valid(&instance) => {
            let beyond = |e: &FieldError| BEYOND_SCHEMAS.iter().any(|known| e.message.contains(known)) || !text.is_ascii();
            assert!(errors.iter().all(beyond), "the schema of {} takes what is refused: {text:.400}\n{errors:?}", S::name());
        }
        Err(_) => {}
    }
    parsed
}

fn has_twice(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_twice),
        Value::Object(object) => object.iter().any(|(_, value)| has_twice(value)),
        Value::Unsafe(defect) => *defect == Defect::DuplicateName,
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Text(_) => false,
    }
}

/// The schema of a type, with those it refers to.
fn validator<T: ToSchema>() -> Arc<Validator> {
    static KNOWN: Mutex<BTreeMap<String, Arc<Validator>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || {
        let mut schemas = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut schemas);
        let schemas: Map<String, Json> = schemas.into_iter().map(|(name, schema)| (name, serde_json::to_value(schema).unwrap())).collect();
        let root = json!({ "$ref": format!("#/components/schemas/{}", T::name()), "components": { "schemas": schemas } });
        Arc::new(
            jsonschema::draft202012::options().should_validate_formats(true).build(&root).unwrap_or_else(|e| panic!("{}: {e}", T::name())),
        )
    };
    Arc::clone(known.entry(T::name().into_owned()).or_insert_with(make))
}

/// Bodies from which others are made by chance.
fn seeds() -> Vec<Json> {
    let scopes = json!(["email.send", { "name": "pay", "constraints": {
        "max_per_day": 5, "resource_pattern": "a*", "allowed_initiators": ["cron"], "allowed_domains": [], "allowed_fields": null,
        "confirm_when": [{ "field": "a", "eq": 1 }, { "field": "a", "in": ["x", 2, true] }],
        "escalate_when": [{ "field": "b", "gte": 7 }], "deny_when": [{ "field": "c", "exists": false }],
    } }]);
    let terms = json!({ "agent_id": "a", "scopes": scopes, "requires_confirm_for": ["pay"], "requires_escalation_for": [],
        "escalation_targets": { "pay": "bob" } });
    let with_terms = |mut body: Json| {
        body.as_object_mut().unwrap().extend(terms.as_object().unwrap().clone());
        body
    };
    vec![
        with_terms(json!({ "user_id": "u", "expires_at": "2027-01-01T00:00:00Z", "bundle_id": null, "budget_limit_micros": 1,
            "metadata": { "a": { "b": [1, "c", null] } }, "replaces": "x" })),
        json!({ "user_id": "u", "bundle_id": "b", "agent_id": null, "scopes": [], "expires_at": {}, "metadata": null }),
        with_terms(json!({ "id": "b", "default_expiry_days": 30, "description": "d" })),
        json!({ "authorization_id": "a", "scopes": ["s", "t"], "resource": "r", "session_id": null, "estimated_cost_micros": 0,
            "context": { "a": 1, "b": { "c": ["d"] } } }),
        json!({ "checks": [{ "authorization_id": "a", "scopes": ["s"] }, 7, { "scopes": [] }] }),
        json!({ "approved": true, "ttl_seconds": 60 }),
        json!({ "resolution": "approved", "resolved_by": "bob", "note": null }),
        json!({ "revoked_by": "user", "superseded_by": "x", "notes": "n" }),
        json!({ "resource": "r", "reason": "n" }),
        json!({ "agent_id": "a", "permissions": ["pay", { "name": "scopes" }], "merchant_constraints": { "allowed_merchants": ["m"],
            "blocked_merchants": [] }, "amount_limits": { "per_transaction": 5, "daily": 6, "period": { "amount": 7, "interval": "P7D" } },
            "currency_limits": ["EUR"], "validity_window": { "start": "2026-01-01T00:00:00Z", "end": "2027-01-01T00:00:00Z" },
            "channels": ["online"], "step_up_above": 3, "review_above": null, "require_trusted_device": true, "on_exceed": "cap",
            "metadata": { "a": 1 } }),
        json!({ "agent_id": "a", "delegation_id": "d", "device_id": "v", "action": "pay", "merchant_id": "m", "amount": 5, "currency": "EUR",
            "payment_intent": { "merchant_id": "m", "amount": 5, "currency": "EUR", "channel": null, "id": "i" }, "context": { "a": 1 } }),
        json!({ "device_id": "v", "nullifiers": ["n"], "transactions": [{ "nullifier": "n", "merchant_id": "m", "amount": 5, "currency": "EUR",
            "client_ref": "c" }, { "token": "t", "merchant_id": "m", "amount": 5, "currency": "EUR", "occurred_at": null }] }),
        json!({ "agent_id": "a", "delegation_id": "d", "device_id": "v", "max_amount": 5, "currency": "EUR", "merchant_ids": ["m"],
            "ttl_seconds": 60, "nullifier": "n", "merchant_id": "m", "amount": 5 }),
        json!({ "name": "n", "type": "llm", "orgId": "o", "ownerOrgId": "o", "metadata": { "a": 1 }, "attestation": {} }),
    ]
}

/// What is put where something else was.
fn others() -> Vec<Json> {
    let long = "x".repeat(600);
    let values = json!([null, true, 0, 1, -1, 301, 9_007_199_254_740_991_i64, 9_007_199_254_740_992_i64, 1.5, "", "pay", long, "2027-01-01T00:00:00",
        "2027-01-01t00:00:00.5-01:00", [], {}, [1], ["s"], ["s", "s"], [null], { "a": 1 }, { "budget": 1 }, { "scopes": 1 },
        { "field": "a", "eq": null }, { "field": "a", "like": 1 }, [{ "field": "a", "lt": 1 }], { "name": "pay" }, { "unknown": 1 }]);
    values.as_array().unwrap().clone()
}

/// Every place of a value, as the steps that lead there.
fn places(value: &Json, here: &mut Vec<String>, out: &mut Vec<Vec<String>>) {
    out.push(here.clone());
    let below: Vec<(String, &Json)> = match value {
        Json::Object(object) => object.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Json::Array(items) => items.iter().enumerate().map(|(i, value)| (i.to_string(), value)).collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Vec::new(),
    };
    for (step, value) in below {
        here.push(step);
        places(value, here, out);
        here.pop();
    }
}

fn changed(mut body: Json, changes: &[(Index, Index, u8)]) -> Json {
    let others = others();
    for (place, other, kind) in changes {
        let mut all = Vec::new();
        places(&body, &mut Vec::new(), &mut all);
        let pointer: String = place.get(&all).iter().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect();
        let Some(target) = body.pointer_mut(&pointer) else { continue };
        let other = other.get(&others).clone();
        match (kind % 3, target) {
            (0, Json::Object(object)) => {
                let name = object.keys().nth(usize::from(*kind) % object.len().max(1)).cloned();
                name.and_then(|name| object.remove(&name));
            }
            (1, Json::Object(object)) => {
                object.insert(["max_per_hour", "field", "name", "agent_id", "constraints"][usize::from(*kind) % 5].to_owned(), other);
            }
            (1, Json::Array(items)) => items.push(other),
            (_, target) => *target = other,
        }
    }
    body
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn of_bodies_made_by_chance(seed: Index, changes in prop::collection::vec(any::<(Index, Index, u8)>(), 0..4)) {
        let body = changed(seed.get(&seeds()).clone(), &changes).to_string();
        // Each parser gets each body: they are all made for what others wrote.
        let _ = agreed(&body, CreateBody::parse);
        let _ = agreed(&body, BundleBody::parse);
        let _ = agreed(&body, CheckBody::parse);
        let _ = agreed(&body, CheckBatchBody::parse);
        let _ = agreed(&body, ConfirmBody::parse);
        let _ = agreed(&body, ResolveBody::parse);
        let _ = agreed(&body, RevokeBody::parse);
        let _ = agreed(&body, TombstoneBody::parse);
        let _ = agreed(&body, OrgBody::parse);
        let _ = agreed(&body, OrgKeyBody::parse);
        let _ = agreed(&body, RegisterAgentBody::parse);
        let _ = agreed(&body, CredentialBody::parse);
        let _ = agreed(&body, RegisterDeviceBody::parse);
        let _ = agreed(&body, AttestBody::parse);
        let _ = agreed(&body, DelegationBody::parse);
        let _ = agreed_as::<PermissionAsked, _>(&body, GateBody::parse_permission);
        let _ = agreed_as::<PolicyAsked, _>(&body, GateBody::parse_policy);
        let _ = agreed_as::<TrustAsked, _>(&body, GateBody::parse_trust);
        let _ = agreed_as::<VerificationAsked, _>(&body, |body| GateBody::parse_verification(body, OpaqueId::new("d").unwrap()));
        let _ = agreed(&body, IntentBody::parse);
        let _ = agreed(&body, AuthoriseBody::parse);
        let _ = agreed(&body, OfflineTokenBody::parse);
        let _ = agreed(&body, TransactionsBody::parse);
        let _ = agreed(&body, NullifiersBody::parse);
    }
}

#[test]
fn schemas_refuse() {
    let refused = |text: &str| !validator::<CreateBody>().is_valid(&serde_json::from_str(text).unwrap());
    assert!(refused("{}") && refused("7") && refused(r#"{"user_id":"u","bundle_id":"b","scopes":["s"]}"#), "these tests can fail");
}
