//! Decisions: a command and the state become events and an outcome. Nothing is written here.

use allowlog_proto::event::Event;
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::time::Timestamp;
use subtle::ConstantTimeEq as _;

use crate::command::{Action, Command, Credential, Operation};
use crate::ids::Ids;
use crate::rejected::Rejected;
use crate::state::State;

mod api_keys;
mod check;
mod confirm;
mod create;
mod resolve;
mod revoke;
mod signing_keys;
mod static_constraints;
mod workspaces;

pub use api_keys::{ApiKeyCreated, ApiKeyRevoked};
pub use check::Checked;
pub use confirm::Confirmed;
pub use create::Created;
pub use resolve::Resolved;
pub use revoke::RevokedNow;
pub use signing_keys::SigningKeyRotated;
pub use workspaces::WorkspaceCreated;

/// What is to be stored, all of it or nothing, and what is to be answered once it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Whose chain the events go to.
    pub workspace_id: WorkspaceId,
    /// In order; may be empty.
    pub events: Vec<Event>,
    /// For the caller.
    pub outcome: Outcome,
}

/// What is answered, one variant a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// To [`Operation::CreateWorkspace`].
    WorkspaceCreated(WorkspaceCreated),
    /// To [`Operation::CreateApiKey`].
    ApiKeyCreated(ApiKeyCreated),
    /// To [`Operation::RevokeApiKey`].
    ApiKeyRevoked(ApiKeyRevoked),
    /// To [`Operation::RotateSigningKey`].
    SigningKeyRotated(SigningKeyRotated),
    /// To [`Action::Create`].
    Created(Box<Created>),
    /// To [`Action::Revoke`].
    Revoked(RevokedNow),
    /// To [`Action::Check`].
    Checked(Box<Checked>),
    /// To [`Action::Confirm`].
    Confirmed(Confirmed),
    /// To [`Action::Resolve`].
    Resolved(Resolved),
}

/// Decides a command at the instant `now`, which must not lie before that of any record in the state.
///
/// # Errors
/// Then nothing was decided and nothing is to be stored. A denial is not an error.
pub fn decide(state: &State, command: &Command, now: Timestamp, ids: &mut Ids) -> Result<Decided, Rejected> {
    match command {
        Command::Operator(operation) => match operation {
            Operation::CreateWorkspace { name, public_key, api_key } => workspaces::create(state, name, public_key, api_key, now, ids),
            Operation::CreateApiKey { workspace_id, api_key } => api_keys::create(state, *workspace_id, api_key, now),
            Operation::RevokeApiKey { workspace_id, api_key_id } => api_keys::revoke(state, *workspace_id, *api_key_id, now),
            Operation::RotateSigningKey { workspace_id, public_key } => signing_keys::rotate(state, *workspace_id, public_key, now),
        },
        Command::Caller(credential, action) => {
            let workspace_id = authenticate(state, credential)?;
            match action {
                Action::Create(body) => create::create(state, workspace_id, body, now, ids),
                Action::Revoke(id, body) => revoke::revoke(state, workspace_id, *id, body, now, ids),
                Action::Check(body) => Ok(check::check(state, workspace_id, body, now, ids)),
                Action::Confirm(nonce, body) => confirm::confirm(state, workspace_id, *nonce, *body, now, ids),
                Action::Resolve(id, body) => resolve::resolve(state, workspace_id, *id, body, now, ids),
            }
        }
    }
}

/// The workspace this API key opens.
///
/// # Errors
/// [`Rejected::Unauthorized`] for an unknown, a revoked and a wrong key alike. Secrets are compared in constant time.
pub fn authenticate(state: &State, credential: &Credential) -> Result<WorkspaceId, Rejected> {
    let key = state.api_key(credential.api_key_id).ok_or(Rejected::Unauthorized)?;
    let genuine = bool::from(key.secret_hash.ct_eq(&credential.secret_hash));
    if genuine && key.revoked_at.is_none() { Ok(key.workspace_id) } else { Err(Rejected::Unauthorized) }
}
