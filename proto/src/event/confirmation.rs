//! Confirmations: what the user answered. No receipt of their own; the reason of the later allow is the trace.

use serde::{Deserialize, Serialize};

use crate::id::{AuthorizationId, Nonce};
use crate::text::{Resource, ScopeName};
use crate::time::Timestamp;

/// What happens to a confirm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfirmationEvent {
    /// The user answered, and the nonce is used up.
    Resolved(Box<ConfirmationResolved>),
}

/// The user answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmationResolved {
    /// The question.
    pub nonce: Nonce,
    /// Bound to exactly this authorization,
    pub authorization_id: AuthorizationId,
    /// this scope,
    pub scope: ScopeName,
    /// and this resource, none included.
    pub resource: Option<Resource>,
    /// What the user said.
    pub answer: Answer,
}

/// What the user said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Checks of this binding allow until `expires_at`.
    Approved {
        /// Names the short-lived confirmation; no check can be made against it.
        confirmation_id: AuthorizationId,
        /// Exclusive; never past the end of the authorization.
        expires_at: Timestamp,
    },
    /// The next check asks again.
    Declined,
}
