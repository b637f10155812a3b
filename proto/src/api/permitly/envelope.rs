//! The error envelope: every answer that is not 2xx.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use crate::api::envelope::ErrorBody;
use crate::schema::one_of;

/// `{"error": {"code": ..., "message": ..., "errors": {...}}}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PermitlyEnvelope {
    /// The error.
    pub error: PermitlyErrorBody,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PermitlyErrorBody {
    /// For machines.
    #[schema(schema_with = code)]
    pub code: &'static str,
    /// For humans.
    pub message: String,
    /// What is wrong with each field at fault, where it applies: `scopes.0.key`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<String, Vec<String>>,
}

fn code() -> RefOr<Schema> {
    one_of(&[
        "unauthenticated",
        "forbidden",
        "not_found",
        "method_not_allowed",
        "conflict",
        "payload_too_large",
        "uri_too_long",
        "headers_too_large",
        "rate_limit_exceeded",
        "validation_error",
        "idempotency_key_reused",
        "token_invalid",
        "token_expired",
        "token_revoked",
        "internal_error",
        "service_unavailable",
    ])
    .into()
}

impl From<ErrorBody> for PermitlyErrorBody {
    /// The same error as this API spells it.
    fn from(error: ErrorBody) -> Self {
        let mut errors: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for field in error.fields {
            errors.entry(name(&field.field)).or_default().push(field.message);
        }
        let code = match error.code {
            "unauthorized" => "unauthenticated",
            "bad_request" => "validation_error",
            "quota_exceeded" => "rate_limit_exceeded",
            "gone" => "conflict",
            other => other,
        };
        Self { code, message: error.message, errors }
    }
}

/// `body.scopes[0].key` as `scopes.0.key`.
fn name(path: &str) -> String {
    let path = path.split_once('.').map_or(path, |(_, rest)| rest);
    path.replace('[', ".").replace(']', "")
}
