//! Outcomes: what is answered. That of a caller's command is a function of its events and their time alone, so that a
//! retry gets the first answer from the log, after a crash too.

use std::sync::Arc;

use allowlog_proto::event::{
    Answer, AuthorizationEvent, Bundle, BundleEvent, CheckEvent, ConfirmationEvent, ConsentAgentEvent, ConsentEvent,
    Decided as ScopeDecided, EscalationEvent, Event, Granted, ManageLink, Minted, Resolution, TokenVerified, TombstoneEvent,
};
use allowlog_proto::id::{AuthorizationId, ConsentAgentId, ConsentId, EscalationId, ReceiptId, TombstoneId, WorkspaceId};
use allowlog_proto::text::{Approver, BundleId, Note, Resource};
use allowlog_proto::time::Timestamp;

use super::{ApiKeyCreated, ApiKeyRevoked, SigningKeyRotated, WorkspaceChanged, WorkspaceCreated};
use crate::state::Answered;

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A workspace was made.
    WorkspaceCreated(WorkspaceCreated),
    /// A workspace was renamed, or has another plan.
    WorkspaceChanged(WorkspaceChanged),
    /// An API key was made.
    ApiKeyCreated(ApiKeyCreated),
    /// An API key opens nothing any more.
    ApiKeyRevoked(ApiKeyRevoked),
    /// Another key signs.
    SigningKeyRotated(SigningKeyRotated),
    /// A permission was recorded.
    Created(Box<Created>),
    /// A permission was withdrawn.
    Revoked(RevokedNow),
    /// Scopes were decided.
    Checked(Box<Checked>),
    /// The user's answer was recorded.
    Confirmed(Answer),
    /// A third party's answer stands.
    Resolved(Resolved),
    /// A bundle was recorded at this time.
    BundleCreated(Box<Bundle>, Timestamp),
    /// A bundle was deleted at this time.
    BundleDeleted(BundleId, Timestamp),
    /// A resource was closed.
    TombstonePlaced {
        /// Names the tombstone.
        tombstone_id: TombstoneId,
        /// What is closed.
        resource: Resource,
        /// For a human.
        reason: Option<Note>,
        /// Time of its record.
        created_at: Timestamp,
    },
    /// A resource is open again.
    TombstoneLifted {
        /// Names the tombstone.
        tombstone_id: TombstoneId,
        /// What was closed.
        resource: Resource,
        /// Time of the record.
        lifted_at: Timestamp,
    },
    /// Somebody was asked for consent, or it was taken back, or declined.
    Consent(ConsentId),
    /// The page of a consent of this workspace was looked at.
    ConsentViewed(WorkspaceId),
    /// One more token was made at this time.
    TokenMinted(Box<Minted>, Timestamp),
    /// A token was verified.
    TokenVerified(Box<TokenVerified>),
    /// A person can be sent to the page with their consents.
    ManageLink(ManageLink),
    /// An agent was made or changed, or has another secret.
    ConsentAgent(ConsentAgentId),
    /// The request was answered before: the answer is that of the records it led to.
    Repeated(Answered),
}

/// A permission was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// As recorded.
    pub granted: Granted,
    /// Time of its record.
    pub created_at: Timestamp,
}

/// An authorization was withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedNow {
    /// Which.
    pub authorization_id: AuthorizationId,
    /// Time of the record.
    pub revoked_at: Timestamp,
    /// The receipt of the revoke.
    pub receipt_id: ReceiptId,
}

/// The scopes of a check were decided, or those of a batch of checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Time of the records.
    pub checked_at: Timestamp,
    /// One for each scope, in the order of the request; of a batch, those of its first check first.
    pub results: Vec<Arc<ScopeDecided>>,
}

/// A third party's answer stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Which escalation.
    pub escalation_id: EscalationId,
    /// The answer.
    pub resolution: Resolution,
    /// Who gave it first.
    pub resolved_by: Approver,
    /// When.
    pub resolved_at: Timestamp,
    /// The receipt, if it was given just now.
    pub receipt_id: Option<ReceiptId>,
}

impl Outcome {
    /// The answer to a caller's command that led to these events at this time; nothing for what no caller's command leads to.
    pub fn of(events: &[Event], at: Timestamp) -> Option<Self> {
        Some(match events.first()? {
            Event::Authorization(AuthorizationEvent::Granted(granted)) => {
                Self::Created(Box::new(Created { granted: (**granted).clone(), created_at: at }))
            }
            Event::Authorization(AuthorizationEvent::Revoked(revoked)) => {
                Self::Revoked(RevokedNow { authorization_id: revoked.authorization_id, revoked_at: at, receipt_id: revoked.receipt_id })
            }
            Event::Check(CheckEvent::TokenVerified(verified)) => Self::TokenVerified(verified.clone()),
            Event::Check(CheckEvent::Decided(_)) => {
                let results = events.iter().filter_map(decided).collect();
                Self::Checked(Box::new(Checked { checked_at: at, results }))
            }
            Event::Confirmation(ConfirmationEvent::Resolved(resolved)) => Self::Confirmed(resolved.answer.clone()),
            Event::Escalation(EscalationEvent::Resolved(resolved)) => Self::Resolved(Resolved {
                escalation_id: resolved.escalation_id,
                resolution: resolved.resolution,
                resolved_by: resolved.resolved_by.clone(),
                resolved_at: at,
                receipt_id: Some(resolved.receipt_id),
            }),
            Event::Bundle(BundleEvent::Created(bundle)) => Self::BundleCreated(bundle.clone(), at),
            Event::Bundle(BundleEvent::Deleted { bundle_id }) => Self::BundleDeleted(bundle_id.clone(), at),
            Event::Tombstone(TombstoneEvent::Placed { tombstone_id, resource, reason }) => {
                Self::TombstonePlaced { tombstone_id: *tombstone_id, resource: resource.clone(), reason: reason.clone(), created_at: at }
            }
            Event::Tombstone(TombstoneEvent::Lifted { tombstone_id, resource }) => {
                Self::TombstoneLifted { tombstone_id: *tombstone_id, resource: resource.clone(), lifted_at: at }
            }
            Event::Consent(event) => match event {
                ConsentEvent::Requested(asked) => Self::Consent(asked.consent_id),
                ConsentEvent::Declined(declined) => Self::Consent(declined.consent_id),
                ConsentEvent::Withdrawn(withdrawn) => Self::Consent(withdrawn.consent_id),
                ConsentEvent::Minted(minted) => Self::TokenMinted(minted.clone(), at),
                ConsentEvent::ManageLink(link) => Self::ManageLink(link.clone()),
                // A visitor's, who has no name for a request.
                ConsentEvent::Viewed(_) => return None,
            },
            // The agent that is made with the first request is not what was asked for.
            Event::ConsentAgent(event) => match (events.get(1), event) {
                (Some(Event::Consent(ConsentEvent::Requested(asked))), _) => Self::Consent(asked.consent_id),
                (
                    _,
                    ConsentAgentEvent::Created { agent_id, .. }
                    | ConsentAgentEvent::Changed { agent_id, .. }
                    | ConsentAgentEvent::SecretRotated { agent_id, .. },
                ) => Self::ConsentAgent(*agent_id),
            },
            Event::Workspace(_) | Event::ApiKey(_) | Event::SigningKey(_) => return None,
        })
    }
}

fn decided(event: &Event) -> Option<Arc<ScopeDecided>> {
    if let Event::Check(CheckEvent::Decided(decided)) = event { Some(Arc::clone(decided)) } else { None }
}
