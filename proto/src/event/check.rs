//! Checks: one event for each scope that was asked for, and one for each token of a consent that was presented, denials included.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Condition, TokenTerms};
use crate::id::{AuthorizationId, ConsentId, EscalationId, Nonce, ReceiptId};
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
    #[serde(deserialize_with = "shared")]
    Decided(Arc<Decided>),
    /// A token of a consent was presented, with the signature of its agent.
    TokenVerified(Box<TokenVerified>),
}

/// A token of a consent was presented, with the signature of its agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenVerified {
    /// The receipt of this decision.
    pub receipt_id: ReceiptId,
    /// What was granted with the consent.
    pub authorization_id: AuthorizationId,
    /// The consent it is of.
    pub consent_id: ConsentId,
    /// As granted.
    pub agent_id: AgentId,
    /// As granted.
    pub user_id: UserId,
    /// What the token says.
    pub token: TokenTerms,
    /// Whether it may be relied on: [`Reason::AuthorizationRevoked`], [`Reason::AuthorizationExpired`] for a token whose time is over, or
    /// [`Reason::AuthorizationGrantedScopeActive`]; the first that applies.
    pub reason: Reason,
    /// By which version of the ladder.
    pub policy_version: PolicyVersion,
}

impl TokenVerified {
    /// What its receipt has as the scope.
    pub const SCOPE: &'static str = "consent.verify";

    /// The bare decision.
    pub const fn decision(&self) -> Decision {
        if matches!(self.reason, Reason::AuthorizationGrantedScopeActive) { Decision::Allow } else { Decision::Deny }
    }
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
    /// The budget as it stood before, if it was looked at.
    pub budget: Option<Budget>,
    /// What came of the scope's conditions.
    pub evaluation: Evaluation,
    /// The answer, with what it minted or consumed.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// By which version of the ladder.
    pub policy_version: PolicyVersion,
}

/// Into its shared place at once; serde itself would go by a box.
fn shared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Decided>, D::Error> {
    Decided::deserialize(deserializer).map(Arc::new)
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
        /// As granted.
        expires_at: Option<Timestamp>,
    },
}

impl Subject {
    /// The authorization, if there is one.
    pub const fn authorization_id(&self) -> Option<AuthorizationId> {
        match self {
            Self::Unknown { .. } => None,
            Self::Known { authorization_id, .. } => Some(*authorization_id),
        }
    }
}

/// A budget as it stood before a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// What all allows together may cost.
    pub limit: Micros,
    /// What those before this one cost.
    pub spent: Micros,
}

/// What came of the conditions of a scope. What the field held is in the context beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evaluation {
    /// The scope has none, or is not granted.
    NoConditions,
    /// None matched, or nothing depended on them.
    NoneFired,
    /// This one matched, or could not be evaluated, and routed the decision.
    Fired(Box<Condition>),
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

impl Decided {
    /// What it was estimated to cost: nothing where the caller gave no estimate.
    pub fn cost(&self) -> Micros {
        self.estimated_cost.unwrap_or_default()
    }

    /// What is spent of the budget after this decision: only an allow costs.
    pub fn spent_after(&self, budget: Budget) -> Micros {
        match self.verdict {
            // The decider allows only what stays within the limit, so the sum is one.
            Verdict::Allow { .. } => budget.spent.checked_add(self.cost()).unwrap_or(budget.limit),
            Verdict::Deny | Verdict::Confirm { .. } | Verdict::Escalate { .. } => budget.spent,
        }
    }
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
