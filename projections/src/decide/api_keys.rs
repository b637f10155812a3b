//! API keys: made and revoked, never changed.

use allowlog_proto::event::{ApiKeyEvent, Event};
use allowlog_proto::id::{ApiKeyId, WorkspaceId};
use allowlog_proto::text::Name;
use allowlog_proto::time::Timestamp;

use super::{Decided, Outcome};
use crate::command::NewApiKey;
use crate::rejected::Rejected;
use crate::state::State;

/// An API key opens its workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyCreated {
    /// The public part.
    pub api_key_id: ApiKeyId,
    /// What people call it.
    pub name: Name,
    /// Time of its record.
    pub created_at: Timestamp,
}

/// An API key opens nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRevoked {
    /// The public part.
    pub api_key_id: ApiKeyId,
    /// What people call it.
    pub name: Name,
    /// Time of its first record.
    pub created_at: Timestamp,
    /// Time of its last record.
    pub revoked_at: Timestamp,
}

pub(super) fn create(state: &State, workspace_id: WorkspaceId, api_key: &NewApiKey, now: Timestamp) -> Result<Decided, Rejected> {
    state.workspace(workspace_id).ok_or(Rejected::NotFound("workspace"))?;
    if state.api_key(api_key.api_key_id).is_some() {
        return Err(Rejected::Conflict("this API key exists already"));
    }
    let NewApiKey { api_key_id, name, secret_hash } = api_key.clone();
    Ok(Decided {
        workspace_id,
        events: vec![Event::ApiKey(ApiKeyEvent::Created { api_key_id, name: name.clone(), secret_hash })],
        outcome: Outcome::ApiKeyCreated(ApiKeyCreated { api_key_id, name, created_at: now }),
    })
}

pub(super) fn revoke(state: &State, workspace_id: WorkspaceId, api_key_id: ApiKeyId, now: Timestamp) -> Result<Decided, Rejected> {
    let key = state.api_key(api_key_id).filter(|key| key.workspace_id == workspace_id);
    let key = key.ok_or(Rejected::NotFound("API key"))?;
    if key.revoked_at.is_some() {
        return Err(Rejected::Conflict("the API key is revoked already"));
    }
    Ok(Decided {
        workspace_id,
        events: vec![Event::ApiKey(ApiKeyEvent::Revoked { api_key_id })],
        outcome: Outcome::ApiKeyRevoked(ApiKeyRevoked { api_key_id, name: key.name.clone(), created_at: key.created_at, revoked_at: now }),
    })
}
