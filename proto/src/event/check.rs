//! Checks: one event for each scope that was asked for, denials included.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{AuthorizationId, EscalationId, Nonce, ReceiptId};
use crate::json::CanonicalObject;
use crate::money::Micros;
use crate::reason::{Decision, PolicyVersion, Reason};
use crate::text::{AgentId, Approver, OpaqueId, Resource, ScopeName, SessionId, UserId};
use crate::time::Timestamp;

/// What happens at a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckEvent {
    /// One scope was decided. Shared with whoever answers.
    Decided(Arc<Decided>),
}

/// One scope was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The receipt of this decision.
    pub receipt_id: ReceiptId,
    /// Under which authorization.
    pub subject: Subject,
    /// What was asked for.
    pub scope: ScopeName,
    /// On what.
    pub resource: Option<Resource>,
    /// In which session of the caller.
    pub session_id: Option<SessionId>,
    /// What the caller thought it would cost.
    pub estimated_cost: Option<Micros>,
    /// The caller's context, without the server's members.
    pub context: CanonicalObject,
    /// The answer, with what it minted or consumed.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// By which version of the ladder.
    pub policy_version: PolicyVersion,
}

/// Whom a check is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// No authorization of this workspace has the id the caller wrote.
    Unknown {
        /// What the caller wrote.
        asked: OpaqueId,
    },
    /// An authorization of this workspace.
    Known {
        /// Which.
        authorization_id: AuthorizationId,
        /// As granted.
        user_id: UserId,
        /// As granted.
        agent_id: AgentId,
    },
}

/// The answer, with what it minted or consumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The agent may act. It counts towards the day's window.
    Allow {
        /// The approval this allow used up.
        consumed: Option<EscalationId>,
    },
    /// The agent may not act.
    Deny,
    /// The user is to be asked.
    Confirm {
        /// Names the question; fresh each time.
        nonce: Nonce,
        /// When the question lapses.
        expires_at: Timestamp,
    },
    /// A third party is to be asked.
    Escalate {
        /// Names the question; the same while it is open.
        escalation_id: EscalationId,
        /// Whom to ask, if the grant says.
        escalation_to: Option<Approver>,
        /// When the question lapses.
        expires_at: Timestamp,
        /// Whether this check opened the question.
        opened: bool,
    },
}

impl Verdict {
    /// The bare decision.
    pub const fn decision(&self) -> Decision {
        match self {
            Self::Allow { .. } => Decision::Allow,
            Self::Deny => Decision::Deny,
            Self::Confirm { .. } => Decision::Confirm,
            Self::Escalate { .. } => Decision::Escalate,
        }
    }
}
