//! The error envelope: every answer that is not 2xx.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use crate::api::envelope::{ErrorBody, FieldError};
use crate::schema::one_of;

/// `{"error": ..., "code": ..., "message": ..., "details": [...]}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AffixioEnvelope {
    /// For machines.
    #[schema(schema_with = code)]
    pub error: &'static str,
    /// The same.
    #[schema(schema_with = code)]
    pub code: &'static str,
    /// For humans.
    pub message: String,
    /// The fields at fault, where it applies: `payment_intent.amount`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<FieldError>,
}

fn code() -> RefOr<Schema> {
    one_of(&[
        "invalid_request",
        "unauthorized",
        "forbidden",
        "permission_required",
        "permission_denied",
        "permission_expired",
        "permission_mismatch",
        "amount_exceeds_limit",
        "delegation_revoked",
        "limit_exceeded",
        "not_found",
        "method_not_allowed",
        "invalid_state",
        "permission_already_used",
        "payload_too_large",
        "uri_too_long",
        "headers_too_large",
        "rate_limited",
        "internal_error",
        "service_unavailable",
    ])
    .into()
}

impl From<ErrorBody> for AffixioEnvelope {
    /// The same error as this API spells it.
    fn from(error: ErrorBody) -> Self {
        let code = match error.code {
            "validation_error" | "bad_request" => "invalid_request",
            "budget_plan_required" | "payment_required" => "forbidden",
            "conflict" | "gone" | "idempotency_key_reused" => "invalid_state",
            "quota_exceeded" => "rate_limited",
            other => other,
        };
        let details: Vec<_> = error.fields.into_iter().map(|field| FieldError::new(name(&field.field), field.message)).collect();
        let message = match details.as_slice() {
            [one] => format!("`{}` {}", one.field, one.message),
            _ => error.message,
        };
        Self { error: code, code, message, details }
    }
}

/// `body.payment_intent.amount` as `payment_intent.amount`.
fn name(path: &str) -> &str {
    path.split_once('.').map_or(path, |(_, rest)| rest)
}
