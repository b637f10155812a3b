//! The error envelope of the Allowly API: every answer that is not 2xx.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use crate::schema::one_of;

/// `{"error": {"code": ..., "message": ..., "fields": [...]}}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The error.
    pub error: ErrorBody,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorBody {
    /// For machines.
    #[schema(schema_with = code)]
    pub code: &'static str,
    /// For humans.
    pub message: String,
    /// The fields at fault, where it applies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldError>,
}

/// One field at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldError {
    /// Its path, as in `body.scopes[0].name`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

fn code() -> RefOr<Schema> {
    one_of(&[
        "bad_request",
        "unauthorized",
        "budget_plan_required",
        "payment_required",
        "forbidden",
        "not_found",
        "method_not_allowed",
        "conflict",
        "gone",
        "payload_too_large",
        "uri_too_long",
        "headers_too_large",
        "quota_exceeded",
        "validation_error",
        "idempotency_key_reused",
        "internal_error",
        "service_unavailable",
    ])
    .into()
}

impl FieldError {
    /// A field at fault.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}
