//! Outcomes: what is answered. That of a caller's command is a function of its events and their time alone, so that a
//! retry gets the first answer from the log, after a crash too.

use std::sync::Arc;

use allowlog_proto::event::{
    AgentEvent, Answer, AuthorizationEvent, Bundle, BundleEvent, CheckEvent, ConfirmationEvent, ConsentAgentEvent, ConsentEvent,
    Decided as ScopeDecided, DeviceEvent, EscalationEvent, Event, Granted, IntentMoved, IntentRefused, ManageLink, Minted, PaymentDecided,
    PaymentEvent, Reconciled, Resolution, TokenIssued, TokenVerified, TombstoneEvent,
};
use allowlog_proto::id::{
    AuthorizationId, ConsentAgentId, ConsentId, CredentialId, DeviceId, EscalationId, OfflineTransactionId, PaymentIntentId, ReceiptId,
    RegisteredAgentId, TombstoneId, WorkspaceId,
};
use allowlog_proto::money::{Amount, Currency};
use allowlog_proto::text::{Approver, BundleId, Note, Resource};
use allowlog_proto::time::Timestamp;

use super::{ApiKeyCreated, ApiKeyRevoked, SigningKeyRotated, WorkspaceChanged, WorkspaceCreated};
use crate::state::{Answered, Authorisation, Intent, IntentStatus, Progress};

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
    /// An agent was registered, or may act or not.
    Agent(RegisteredAgentId),
    /// A credential was issued.
    Credential(CredentialIssued),
    /// A device was registered, attested or revoked.
    Device(DeviceId),
    /// A delegation was made, or had been revoked before.
    Delegation(AuthorizationId),
    /// The gate decided at this time.
    PaymentDecided(Box<PaymentDecided>, Timestamp),
    /// A payment intent was created.
    IntentCreated(PaymentIntentId),
    /// A payment intent was authorised, captured or cancelled.
    Intent(IntentAt),
    /// A payment intent was cancelled at this time, before anything was authorised and with no delegation named in it.
    Abandoned(PaymentIntentId, Timestamp),
    /// A payment intent was not authorised, and why.
    Refused(Box<IntentRefused>),
    /// A token to pay with offline was made at this time.
    TokenIssued(Box<TokenIssued>, Timestamp),
    /// Those transactions were queued that had not been before, in the order of the request.
    Queued(Vec<OfflineTransactionId>),
    /// Transactions were settled or refused.
    Reconciled(Settled),
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

/// A credential was issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CredentialIssued {
    /// To which agent.
    pub agent_id: RegisteredAgentId,
    /// Which.
    pub credential_id: CredentialId,
    /// Ed25519.
    pub public_key: [u8; 32],
    /// From this instant on it proves nothing.
    pub expires_at: Option<Timestamp>,
    /// Time of its record.
    pub created_at: Timestamp,
}

/// How far a payment intent is, and what brought it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntentAt {
    /// Which.
    pub intent_id: PaymentIntentId,
    /// How far.
    pub status: IntentStatus,
    /// What was authorised, or captured, or will not be paid.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// The decision that was consumed, if one was.
    pub decision: Option<ReceiptId>,
    /// The receipt of the last step, if it has one.
    pub receipt_id: Option<ReceiptId>,
    /// When that was.
    pub at: Timestamp,
}

impl IntentAt {
    /// An intent as it was authorised.
    pub const fn authorised(intent_id: PaymentIntentId, currency: Currency, first: &Authorisation) -> Self {
        Self {
            intent_id,
            status: IntentStatus::Authorised,
            amount: first.amount,
            currency,
            decision: Some(first.decision),
            receipt_id: Some(first.receipt_id),
            at: first.at,
        }
    }

    /// An intent as it is at `now`.
    pub fn now(intent_id: PaymentIntentId, intent: &Intent, now: Timestamp) -> Self {
        let (amount, receipt_id, at) = match &intent.progress {
            Progress::Created => (intent.amount, None, intent.created_at),
            Progress::Authorised(first) => (first.amount, Some(first.receipt_id), first.at),
            Progress::Captured(_, done) | Progress::Cancelled(_, done) => (done.amount, done.receipt_id, done.at),
        };
        let decision = intent.authorisation().map(|authorisation| authorisation.decision);
        Self { intent_id, status: intent.status(now), amount, currency: intent.currency, decision, receipt_id, at }
    }

    fn moved(moved: &IntentMoved, status: IntentStatus, at: Timestamp) -> Self {
        let IntentMoved { intent_id, amount, currency, decision, receipt_id, .. } = *moved;
        Self { intent_id, status, amount, currency, decision, receipt_id: Some(receipt_id), at }
    }
}

/// Transactions were settled or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Time of the records.
    pub reconciled_at: Timestamp,
    /// What came of each, in the order of the queue.
    pub results: Vec<Reconciled>,
}

impl Outcome {
    /// The answer to a caller's command that led to these events at this time; nothing for what no caller's command leads to.
    pub fn of(events: &[Event], at: Timestamp) -> Option<Self> {
        Some(match events.first()? {
            Event::Authorization(AuthorizationEvent::Granted(granted)) if granted.delegation.is_some() => {
                Self::Delegation(granted.authorization_id)
            }
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
            Event::Agent(event) => match event {
                AgentEvent::Registered(registered) => Self::Agent(registered.agent_id),
                AgentEvent::StatusChanged { agent_id, .. } => Self::Agent(*agent_id),
                AgentEvent::CredentialIssued { agent_id, credential_id, public_key, expires_at } => Self::Credential(CredentialIssued {
                    agent_id: *agent_id,
                    credential_id: *credential_id,
                    public_key: *public_key,
                    expires_at: *expires_at,
                    created_at: at,
                }),
            },
            Event::Device(event) => match event {
                DeviceEvent::Registered(terms) => Self::Device(terms.device_id),
                DeviceEvent::Attested { device_id, .. } | DeviceEvent::Revoked { device_id, .. } => Self::Device(*device_id),
            },
            Event::Payment(event) => of_payment(event, events, at)?,
            Event::Workspace(_) | Event::ApiKey(_) | Event::SigningKey(_) => return None,
        })
    }
}

fn of_payment(first: &PaymentEvent, events: &[Event], at: Timestamp) -> Option<Outcome> {
    let all = || events.iter().filter_map(|event| if let Event::Payment(event) = event { Some(event) } else { None });
    Some(match first {
        PaymentEvent::Decided(decided) => Outcome::PaymentDecided(decided.clone(), at),
        PaymentEvent::IntentCreated(created) => Outcome::IntentCreated(created.intent_id),
        PaymentEvent::Authorised(moved) => Outcome::Intent(IntentAt::moved(moved, IntentStatus::Authorised, at)),
        PaymentEvent::Captured(moved) => Outcome::Intent(IntentAt::moved(moved, IntentStatus::Captured, at)),
        PaymentEvent::Cancelled(moved) => Outcome::Intent(IntentAt::moved(moved, IntentStatus::Cancelled, at)),
        PaymentEvent::Refused(refused) => Outcome::Refused(refused.clone()),
        PaymentEvent::Abandoned(intent_id) => Outcome::Abandoned(*intent_id, at),
        PaymentEvent::TokenIssued(issued) => Outcome::TokenIssued(issued.clone(), at),
        PaymentEvent::Queued(_) => Outcome::Queued(
            all().filter_map(|event| if let PaymentEvent::Queued(queued) = event { Some(queued.transaction_id) } else { None }).collect(),
        ),
        PaymentEvent::Reconciled(_) => Outcome::Reconciled(Settled {
            reconciled_at: at,
            results: all()
                .filter_map(|event| if let PaymentEvent::Reconciled(reconciled) = event { Some((**reconciled).clone()) } else { None })
                .collect(),
        }),
    })
}

fn decided(event: &Event) -> Option<Arc<ScopeDecided>> {
    if let Event::Check(CheckEvent::Decided(decided)) = event { Some(Arc::clone(decided)) } else { None }
}
