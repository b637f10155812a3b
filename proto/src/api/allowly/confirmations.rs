//! `POST /v1/confirmations/{nonce}`.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use crate::api::envelope::FieldError;
use crate::api::fields::{Fields, boolean, integer};
use crate::id::AuthorizationId;
use crate::json::Value;
use crate::limits::{CONFIRMATION_TTL_S_DEFAULT, CONFIRMATION_TTL_S_MAX};
use crate::schema::{self, Absent, Members, describe, one_of};
use crate::time::Timestamp;

/// A user's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfirmBody {
    /// Yes or no.
    pub approved: bool,
    /// How long a yes is good for, 1 s to 300 s.
    pub ttl_ms: u64,
}

impl ConfirmBody {
    /// Reads the body of `POST /v1/confirmations/{nonce}`.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::of(body, "body");
        let approved = fields.required("approved", boolean);
        let ttl = fields.optional("ttl_seconds", integer(1, CONFIRMATION_TTL_S_MAX)).unwrap_or(CONFIRMATION_TTL_S_DEFAULT);
        match approved {
            Some(approved) if fields.is_sound() => Ok(Self { approved, ttl_ms: ttl.unsigned_abs().saturating_mul(1000) }),
            _ => Err(fields.into_errors()),
        }
    }
}

describe!(ConfirmBody, refers to [Absent], {
    let ttl = schema::integer(1, CONFIRMATION_TTL_S_MAX).examples([60]);
    Members::of("What the user said.")
        .required("approved", "Yes or no.", schema::boolean())
        .optional("ttl_seconds", "How long a yes is good for; 60 where it is absent.", ttl)
        .build()
});

fn decision() -> RefOr<Schema> {
    one_of(&["approved", "denied_by_user"]).into()
}

/// The answer to a user's answer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmedBody {
    /// `approved` or `denied_by_user`.
    #[schema(schema_with = decision)]
    pub decision: &'static str,
    /// Names the short-lived confirmation; null when declined.
    #[schema(required)]
    pub authorization_id: Option<AuthorizationId>,
    /// Its end; null when declined.
    #[schema(required)]
    pub expires_at: Option<Timestamp>,
}
