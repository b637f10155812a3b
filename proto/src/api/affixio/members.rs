//! Members that several bodies have.

use serde::{Serialize, Serializer};

use crate::api::fields::{Fields, text, wrong_kind};
use crate::json::{CanonicalObject, Defect, Value};
use crate::limits::{CONTEXT_BYTES_MAX, REGISTRY_METADATA_BYTES_MAX, SAFE_INTEGER_MAX};
use crate::money::{Amount, Currency};
use crate::schema::{Signable, describe, signable_object};
use crate::text::{OpaqueId, ScopeName};

/// Names of the receipt's context that a caller's own must not take.
pub(super) const RESERVED_CONTEXT: [&str; 3] = ["permission", "payment_intent", "escalation"];

/// Money: an integer and nothing else, since what looks like another unit must never be taken for minor units.
pub(super) fn amount(value: &Value) -> Result<Amount, String> {
    match value {
        Value::Int(minor) => Amount::new(*minor).ok_or_else(|| format!("must be between 1 and {SAFE_INTEGER_MAX} minor units")),
        Value::Unsafe(Defect::Float) => Err("is a float; an amount is an integer of minor units, as 1850 for 18.50".to_owned()),
        Value::Unsafe(_) | Value::Null | Value::Bool(_) | Value::Text(_) | Value::Array(_) | Value::Object(_) => {
            Err(wrong_kind("an integer of minor units", value))
        }
    }
}

/// A currency, in whatever case.
pub(super) fn currency(value: &Value) -> Result<Currency, String> {
    text(Currency::new)(value)
}

/// An id as the caller wrote it.
pub(super) fn opaque(value: &Value) -> Result<OpaqueId, String> {
    text(OpaqueId::new)(value)
}

/// What is to be permitted.
pub(super) fn permission(value: &Value) -> Result<ScopeName, String> {
    text(ScopeName::given)(value)
}

/// The caller's own, which stays in memory.
pub(super) fn metadata(fields: &mut Fields<'_>) -> CanonicalObject {
    own(fields, "metadata", &[])
}

/// The caller's own under another name.
pub(super) fn own(fields: &mut Fields<'_>, name: &str, reserved: &[&str]) -> CanonicalObject {
    let Some((_, own)) = fields.signable(name, reserved) else { return CanonicalObject::default() };
    if own.as_str().len() > REGISTRY_METADATA_BYTES_MAX {
        fields.refuse(name, format!("must be at most {REGISTRY_METADATA_BYTES_MAX} bytes as canonical JSON"));
    }
    own
}

/// The caller's own in the receipt of a decision.
pub(super) fn context(fields: &mut Fields<'_>) -> CanonicalObject {
    let Some((_, context)) = fields.signable("context", &RESERVED_CONTEXT) else { return CanonicalObject::default() };
    if context.compact_len() > CONTEXT_BYTES_MAX {
        fields.refuse("context", format!("must be at most {CONTEXT_BYTES_MAX} bytes as compact JSON"));
    }
    context
}

/// `decision_id` and `proof_id` name the same thing: of both that are given, neither may contradict the other.
pub(super) fn decision(fields: &mut Fields<'_>) -> Option<OpaqueId> {
    let decision = fields.optional("decision_id", opaque);
    let proof = fields.optional("proof_id", opaque);
    if let (Some(decision), Some(proof)) = (&decision, &proof) {
        let (decision, proof) = (decision.as_str(), proof.as_str());
        if decision.strip_prefix("dec_").unwrap_or(decision) != proof.strip_prefix("prf_").unwrap_or(proof) {
            fields.refuse("proof_id", "must name the same decision as `decision_id`");
        }
    }
    decision.or(proof)
}

/// The caller's own in an answer. It is made a tree again only when it is written, by whoever sends the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnBody(pub CanonicalObject);

impl Serialize for OwnBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Value::Object(self.0.to_object()).serialize(serializer)
    }
}

/// `metadata`, and what else is the caller's own.
pub(super) enum OwnMetadata {}

describe!(OwnMetadata, refers to [Signable], {
    let about = "Your own members: nested at most 32 deep, at most 16 KiB as canonical JSON.";
    signable_object(&[]).description(Some(about)).into()
});
