//! Commands: what somebody wants, complete and in plain data, before it is decided.

use std::sync::Arc;

use allowlog_proto::api::allowly::{BundleBody, CheckBody, ConfirmBody, CreateBody, ResolveBody, RevokeBody, TombstoneBody};
use allowlog_proto::event::{Plan, Role, Style};
use allowlog_proto::id::{ApiKeyId, AuthorizationId, EscalationId, Nonce, TombstoneId, WorkspaceId};
use allowlog_proto::record::Request;
use allowlog_proto::text::{BundleId, Name};
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
    /// A new tenant, with its first signing key and its first API key.
    CreateWorkspace {
        /// What people call it.
        name: Name,
        /// What it may use.
        plan: Plan,
        /// Ed25519; the private half is sealed before this is asked.
        public_key: [u8; 32],
        /// The first API key.
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
}

impl Command {
    /// The checks of a batch, in order; none if this is something else.
    pub fn batch(&self) -> &[CheckBody] {
        match self {
            Self::Caller { action: Action::CheckBatch(checks), .. } => checks,
            Self::Caller { .. } | Self::Operator(_) => &[],
        }
    }
}
