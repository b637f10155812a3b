//! Escalations: what the third party answered. They are opened by checks.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{AuthorizationId, EscalationId, ReceiptId};
use crate::reason::PolicyVersion;
use crate::text::{AgentId, Approver, Note, Resource, ScopeName, UserId};

/// What happens to an escalation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EscalationEvent {
    /// A third party answered.
    Resolved(Box<EscalationResolved>),
}

/// A third party answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscalationResolved {
    /// The receipt of the resolution.
    pub receipt_id: ReceiptId,
    /// The question.
    pub escalation_id: EscalationId,
    /// Bound to exactly this authorization,
    pub authorization_id: AuthorizationId,
    /// As granted.
    pub user_id: UserId,
    /// As granted.
    pub agent_id: AgentId,
    /// this scope,
    pub scope: ScopeName,
    /// and this resource, none included.
    pub resource: Option<Resource>,
    /// Who was asked.
    pub escalation_to: Option<Approver>,
    /// The answer.
    pub resolution: Resolution,
    /// Who answered.
    pub resolved_by: Approver,
    /// For a human.
    pub note: Option<Note>,
    /// By which version of the decision logic.
    pub policy_version: PolicyVersion,
}

/// The answer of a third party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The next check allows, once, within 24 h.
    Approved,
    /// Checks are denied for 24 h.
    Rejected,
}

impl Resolution {
    /// The spelling on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }
}
