//! What happened: one enum of families, in the past tense. Positions are part of the stored bytes.
//!
//! An event carries everything its receipt says, so a receipt is a function of one record and a key.

use serde::{Deserialize, Serialize};

use crate::id::{AuthorizationId, ReceiptId};

mod agent;
mod api_key;
mod authorization;
mod bundle;
mod check;
mod condition;
mod confirmation;
mod consent;
mod consent_agent;
mod device;
mod escalation;
mod payment;
mod signing_key;
mod tombstone;
mod workspace;

pub use agent::{AgentEvent, AgentKind, AgentStatus, Registered};
pub use api_key::{ApiKeyEvent, Role, Style};
pub use authorization::{AuthorizationEvent, Constraints, Grant, Granted, Revoked, Terms, Withdrawal};
pub use bundle::{Bundle, BundleEvent};
pub use check::{Budget, CheckEvent, Decided, Evaluation, Subject, TokenVerified, Verdict};
pub use condition::{Condition, Scalar, Test};
pub use confirmation::{Answer, ConfirmationEvent, ConfirmationResolved};
pub use consent::{
    Asked, ConsentEvent, ConsentScope, Consented, Declined, ManageLink, Minted, Risk, TokenTerms, Viewed, Visitor, Withdrawer, Withdrawn,
};
pub use consent_agent::{AgentTerms, ConsentAgentEvent};
pub use device::{DeviceEvent, DeviceTerms};
pub use escalation::{EscalationEvent, EscalationResolved, Resolution};
pub use payment::{
    Code, Delegated, IntentCreated, IntentMoved, IntentRefused, Interval, OnExceed, Payment, PaymentDecided, PaymentEvent, PaymentLimits,
    Period, Purpose, Queued, Reconciled, Refusal, Settlement, TokenIssued,
};
pub use signing_key::SigningKeyEvent;
pub use tombstone::TombstoneEvent;
pub use workspace::{Plan, WorkspaceEvent};

/// Something that happened in one workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A tenant came into being.
    Workspace(WorkspaceEvent),
    /// A caller's key was made or revoked.
    ApiKey(ApiKeyEvent),
    /// A key that signs receipts became active.
    SigningKey(SigningKeyEvent),
    /// A permission was recorded or withdrawn.
    Authorization(AuthorizationEvent),
    /// An agent asked for one scope and was answered.
    Check(CheckEvent),
    /// A user answered a confirm.
    Confirmation(ConfirmationEvent),
    /// A third party answered an escalate.
    Escalation(EscalationEvent),
    /// A set of scopes to grant from was made or deleted.
    Bundle(BundleEvent),
    /// A resource was closed to every agent, or opened again.
    Tombstone(TombstoneEvent),
    /// An agent that people are asked to consent to was made or changed.
    ConsentAgent(ConsentAgentEvent),
    /// Somebody was asked for consent, or what came of it was used.
    Consent(ConsentEvent),
    /// An agent that is given delegations was registered, or may act no more.
    Agent(AgentEvent),
    /// A device was registered, or is trusted no more.
    Device(DeviceEvent),
    /// A payment was decided, made or cancelled.
    Payment(PaymentEvent),
}

impl Event {
    /// The number of the family of checks, as it is stored.
    pub const CHECKS: u8 = 4;

    /// The authorization it is about, if it is about one.
    pub fn authorization_id(&self) -> Option<AuthorizationId> {
        match self {
            Self::Workspace(_)
            | Self::ApiKey(_)
            | Self::SigningKey(_)
            | Self::Bundle(_)
            | Self::Tombstone(_)
            | Self::ConsentAgent(_)
            | Self::Agent(_)
            | Self::Device(_) => None,
            Self::Payment(event) => event.authorization_id(),
            Self::Consent(event) => event.authorization_id(),
            Self::Authorization(AuthorizationEvent::Granted(granted)) => Some(granted.authorization_id),
            Self::Authorization(AuthorizationEvent::Revoked(revoked)) => Some(revoked.authorization_id),
            Self::Check(CheckEvent::TokenVerified(verified)) => Some(verified.authorization_id),
            Self::Check(CheckEvent::Decided(decided)) => decided.subject.authorization_id(),
            Self::Confirmation(ConfirmationEvent::Resolved(resolved)) => Some(resolved.authorization_id),
            Self::Escalation(EscalationEvent::Resolved(resolved)) => Some(resolved.authorization_id),
        }
    }

    /// The receipt this event leads to, if it leads to one.
    pub fn receipt_id(&self) -> Option<ReceiptId> {
        match self {
            Self::Workspace(_)
            | Self::ApiKey(_)
            | Self::SigningKey(_)
            | Self::Confirmation(_)
            | Self::Bundle(_)
            | Self::Tombstone(_)
            | Self::ConsentAgent(_)
            | Self::Consent(_)
            | Self::Agent(_)
            | Self::Device(_) => None,
            Self::Payment(event) => event.receipt_id(),
            Self::Authorization(AuthorizationEvent::Granted(granted)) => Some(granted.receipt_id),
            Self::Authorization(AuthorizationEvent::Revoked(revoked)) => Some(revoked.receipt_id),
            Self::Check(CheckEvent::Decided(decided)) => Some(decided.receipt_id),
            Self::Check(CheckEvent::TokenVerified(verified)) => Some(verified.receipt_id),
            Self::Escalation(EscalationEvent::Resolved(resolved)) => Some(resolved.receipt_id),
        }
    }
}
