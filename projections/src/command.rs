//! Commands: what somebody wants, complete and in plain data, before it is decided.

use allowlog_proto::api::allowly::{CheckBody, ConfirmBody, CreateBody, ResolveBody, RevokeBody};
use allowlog_proto::id::{ApiKeyId, AuthorizationId, EscalationId, Nonce, WorkspaceId};
use allowlog_proto::text::Name;

/// Everything that can be asked of the core, with who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// From the operator, whose token the shell has checked.
    Operator(Operation),
    /// From the holder of an API key, which is checked here, at the instant of the decision.
    Caller(Credential, Action),
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
        /// Ed25519; the private half is sealed before this is asked.
        public_key: [u8; 32],
        /// The first API key.
        api_key: NewApiKey,
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
    /// The user answered.
    Confirm(Option<Nonce>, ConfirmBody),
    /// A third party answered.
    Resolve(Option<EscalationId>, Box<ResolveBody>),
}
