//! Commands: what somebody wants, complete and in plain data, before it is decided.

use std::sync::Arc;

use allowlog_proto::api::affixio::{
    AttestBody, AuthoriseBody, CaptureBody, DelegationBody, GateBody, IntentBody, OfflineTokenBody, ReconcileBody, RegisterAgentBody,
    RegisterDeviceBody, RevokeDelegationBody, RevokeDeviceBody, TransactionsBody,
};
use allowlog_proto::api::allowly::{BundleBody, CheckBody, ConfirmBody, CreateBody, ResolveBody, RevokeBody, TombstoneBody};
use allowlog_proto::api::permitly::{AskBody, ChangeAgentBody};
use allowlog_proto::event::{AgentStatus, AgentTerms, Plan, Role, Style, TokenTerms, Visitor};
use allowlog_proto::id::{
    ApiKeyId, AuthorizationId, ConsentAgentId, ConsentId, DeviceId, EscalationId, Nonce, PaymentIntentId, RegisteredAgentId, TombstoneId,
    WorkspaceId,
};
use allowlog_proto::json::CanonicalObject;
use allowlog_proto::record::Request;
use allowlog_proto::text::{BundleId, Name, UserId};
use allowlog_proto::time::Timestamp;

/// Everything that can be asked of the core, with who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// From the operator, whose token the shell has checked.
    Operator(Operation),
    /// From the holder of an API key, which is checked here, at the instant of the decision.
    Caller {
        /// Who asks.
        credential: Credential,
        /// What the caller named the request, if it did: then its retry gets the first answer.
        request: Option<Request>,
        /// What is asked.
        action: Action,
    },
    /// From somebody who looks at a page: the link is all they have to show, and the shell has read it.
    Visitor {
        /// Who, as far as the connection tells.
        visitor: Visitor,
        /// What they do.
        visit: Visit,
    },
}

/// What people do on pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visit {
    /// Look at a request for consent.
    View(Option<ConsentId>),
    /// Answer it.
    Answer {
        /// Which.
        consent_id: Option<ConsentId>,
        /// Yes, or no.
        approves: bool,
    },
    /// Take back what they consented to.
    Withdraw {
        /// Where.
        workspace_id: WorkspaceId,
        /// Who.
        user_id: UserId,
        /// Which.
        consent_id: Option<ConsentId>,
    },
}

/// An API key as it was presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The public part.
    pub api_key_id: ApiKeyId,
    /// Keyed hash of the secret part.
    pub secret_hash: [u8; 32],
}

/// An API key to be recorded; its secret has already been drawn and is not in here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiKey {
    /// The public part.
    pub api_key_id: ApiKeyId,
    /// What people call it.
    pub name: Name,
    /// How its text is spelt.
    pub style: Style,
    /// What it may do.
    pub role: Role,
    /// From when on it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// Keyed hash of the secret part.
    pub secret_hash: [u8; 32],
}

/// What an operator does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A new tenant, with its first signing key and, unless somebody fetches that later, its first API key.
    CreateWorkspace {
        /// What people call it.
        name: Name,
        /// What it may use.
        plan: Plan,
        /// Ed25519; the private half is sealed before this is asked.
        public_key: [u8; 32],
        /// The first API key.
        api_key: Option<NewApiKey>,
        /// The caller's own; recorded if there is any.
        metadata: CanonicalObject,
    },
    /// The first API key of a workspace that was made without one, for anybody: that is refused once there is one, or an hour is over.
    CreateFirstApiKey {
        /// Of which workspace.
        workspace_id: WorkspaceId,
        /// The key.
        api_key: NewApiKey,
    },
    /// Another name or another plan.
    ChangeWorkspace {
        /// Of which workspace.
        workspace_id: WorkspaceId,
        /// What people call it from now on.
        name: Option<Name>,
        /// What it may use from now on.
        plan: Option<Plan>,
    },
    /// One more API key.
    CreateApiKey {
        /// Of which workspace.
        workspace_id: WorkspaceId,
        /// The key.
        api_key: NewApiKey,
    },
    /// An API key opens nothing any more.
    RevokeApiKey {
        /// Of which workspace.
        workspace_id: WorkspaceId,
        /// The public part of the key.
        api_key_id: ApiKeyId,
    },
    /// Another key signs from now on.
    RotateSigningKey {
        /// Of which workspace.
        workspace_id: WorkspaceId,
        /// Ed25519; the private half is sealed before this is asked.
        public_key: [u8; 32],
    },
}

/// What the holder of an API key does. Ids that no text could be are nothing: they name what never existed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Record a permission.
    Create(Box<CreateBody>),
    /// Withdraw one.
    Revoke(Option<AuthorizationId>, Box<RevokeBody>),
    /// May this agent do this, now?
    Check(Box<CheckBody>),
    /// The same many times, each at its own place: what one has spent, opened or counted, the next one sees.
    CheckBatch(Arc<Vec<CheckBody>>),
    /// The user answered.
    Confirm(Option<Nonce>, ConfirmBody),
    /// A third party answered.
    Resolve(Option<EscalationId>, Box<ResolveBody>),
    /// Keep a set of scopes to grant from.
    CreateBundle(Box<BundleBody>),
    /// Grant from it no more.
    DeleteBundle(Option<BundleId>),
    /// Close a resource to every agent.
    PlaceTombstone(Box<TombstoneBody>),
    /// Open it again.
    LiftTombstone(Option<TombstoneId>),
    /// Ask a person for consent; the public half of a key for the default agent comes with it, in case there is none.
    Ask(Box<AskBody>, Option<(u8, [u8; 32])>),
    /// Take back a request for consent, answered or not.
    WithdrawConsent(Option<ConsentId>),
    /// One more token.
    MintToken(Option<ConsentId>),
    /// A token was presented that bears the signature of this agent of the caller's workspace.
    VerifyToken {
        /// Of which consent.
        consent_id: ConsentId,
        /// Whose key signed it.
        agent_id: ConsentAgentId,
        /// What it says.
        token: TokenTerms,
    },
    /// Send a person to the page with their consents.
    CreateManageLink(UserId),
    /// Make an agent that people can be asked to consent to; the private half of its key is sealed before this is asked.
    CreateConsentAgent(Box<AgentTerms>, (u8, [u8; 32])),
    /// Make something else of it.
    ChangeConsentAgent(Option<ConsentAgentId>, Box<ChangeAgentBody>),
    /// Sign its webhooks with another secret.
    RotateWebhookSecret(Option<ConsentAgentId>),
    /// One more API key for the workspace that this names, which must be the caller's.
    CreateApiKey(Option<WorkspaceId>, Box<NewApiKey>),
    /// Agents and devices.
    Register(Registration),
    /// Delegations and what is paid under them.
    Pay(Payments),
}

/// What is done about agents and devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registration {
    /// Make an agent that can be given delegations.
    Agent(Box<RegisterAgentBody>),
    /// Let it act, or not.
    AgentStatus(Option<RegisteredAgentId>, AgentStatus),
    /// One more key for it to prove itself by.
    Credential {
        /// For which agent.
        agent_id: Option<RegisteredAgentId>,
        /// Ed25519; the private half is not in here.
        public_key: [u8; 32],
        /// From this instant on it proves nothing.
        expires_at: Option<Timestamp>,
    },
    /// Trust a device.
    Device(Box<RegisterDeviceBody>),
    /// Vouch for it.
    Attest(Option<DeviceId>, Box<AttestBody>),
    /// Trust it no more.
    RevokeDevice(Option<DeviceId>, Box<RevokeDeviceBody>),
}

/// What is done about delegations and payments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payments {
    /// Let an agent pay.
    Delegate(Box<DelegationBody>),
    /// Let it pay no more.
    Revoke(Option<AuthorizationId>, Box<RevokeDelegationBody>),
    /// May this go ahead?
    Decide(Box<GateBody>),
    /// Somebody wants to pay something.
    CreateIntent(Box<IntentBody>),
    /// Consume a decision for it.
    Authorise(Option<PaymentIntentId>, Box<AuthoriseBody>),
    /// It is paid.
    Capture(Option<PaymentIntentId>, CaptureBody),
    /// It is over.
    Cancel(Option<PaymentIntentId>),
    /// Make a token to pay with offline.
    IssueToken(Box<OfflineTokenBody>),
    /// A device tells what it paid with such tokens.
    Queue(Box<TransactionsBody>),
    /// Settle what a device told.
    Reconcile(Box<ReconcileBody>),
}

impl Command {
    /// The checks of a batch, in order; none if this is something else.
    pub fn batch(&self) -> &[CheckBody] {
        match self {
            Self::Caller { action: Action::CheckBatch(checks), .. } => checks,
            Self::Caller { .. } | Self::Operator(_) | Self::Visitor { .. } => &[],
        }
    }
}
