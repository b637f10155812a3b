//! `/v1/consent/verify` and `/v1/consent/{id}/token`.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::envelope::FieldError;
use crate::api::fields::{Fields, text};
use crate::id::{ConsentAgentId, ConsentId, TokenId};
use crate::json::Value;
use crate::limits::TOKEN_BYTES_MAX;
use crate::schema::{self, Members, describe};
use crate::text::{ScopeName, UserId};
use crate::time::Timestamp;
use crate::token::Claims;

/// A token that is to be verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyBody {
    /// As it was presented; whether it is one is another question.
    pub token: String,
}

impl VerifyBody {
    /// Reads the body of `POST /v1/consent/verify`.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::of(body, "body");
        let token = fields.required("token", text(|token| Ok::<_, String>(token.to_owned())));
        token.map(|token| Self { token }).ok_or_else(|| fields.into_errors())
    }
}

describe!(VerifyBody, refers to [], {
    Members::of("A token.").required("token", "As the agent presented it.", schema::text("A token.", 0, TOKEN_BYTES_MAX)).build()
});

/// What a token says that may be relied on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimsBody {
    /// The person, as you call them.
    pub sub: UserId,
    /// Who may act.
    pub agt: ConsentAgentId,
    /// The consent.
    pub cid: ConsentId,
    /// What was approved.
    pub scp: Vec<ScopeName>,
    /// The same.
    pub scopes: Vec<ScopeName>,
    /// Unix seconds.
    pub iat: u64,
    /// Unix seconds.
    pub exp: u64,
    /// Names the token.
    pub jti: TokenId,
}

impl From<Claims> for ClaimsBody {
    fn from(claims: Claims) -> Self {
        let seconds = |time: Timestamp| time.as_ms().checked_div(1000).unwrap_or_default();
        let Claims { user_id, agent_id, consent_id, scopes, issued_at, expires_at, token_id } = claims;
        Self {
            sub: user_id,
            agt: agent_id,
            cid: consent_id,
            scp: scopes.clone(),
            scopes,
            iat: seconds(issued_at),
            exp: seconds(expires_at),
            jti: token_id,
        }
    }
}

/// One more token for a consent that stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MintedBody {
    /// The token; it is not kept.
    pub token: String,
    /// Until when it is of use.
    pub expires_at: Timestamp,
}
