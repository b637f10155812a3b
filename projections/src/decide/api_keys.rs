//! API keys: made and revoked, never changed.

use allowlog_proto::event::{ApiKeyEvent, Event};
use allowlog_proto::id::{ApiKeyId, WorkspaceId};
use allowlog_proto::limits::FIRST_KEY_MS;
use allowlog_proto::time::Timestamp;

use super::{Decided, Outcome};
use crate::command::NewApiKey;
use crate::rejected::Rejected;
use crate::state::{ApiKey, State};

/// An API key opens its workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyCreated {
    /// The key, whose secret is not in it.
    pub api_key: NewApiKey,
    /// Time of its record.
    pub created_at: Timestamp,
}

/// An API key opens nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRevoked {
    /// The public part.
    pub api_key_id: ApiKeyId,
    /// The key as it was until now.
    pub api_key: ApiKey,
    /// Time of its last record.
    pub revoked_at: Timestamp,
}

pub(super) fn create(state: &State, workspace_id: WorkspaceId, api_key: &NewApiKey, now: Timestamp) -> Result<Decided, Rejected> {
    state.workspace(workspace_id).ok_or(Rejected::NotFound("workspace"))?;
    if state.api_key(api_key.api_key_id).is_some() {
        return Err(Rejected::Conflict("this API key exists already"));
    }
    if api_key.expires_at.is_some_and(|end| end <= now) {
        return Err(Rejected::field("body.expires_at", "must be in the future"));
    }
    Ok(Decided {
        workspace_id,
        events: vec![created(api_key)],
        outcome: Outcome::ApiKeyCreated(ApiKeyCreated { api_key: api_key.clone(), created_at: now }),
    })
}

/// The caller's own workspace gets one more key; that of others is nobody's business.
pub(super) fn create_own(
    state: &State,
    workspace_id: WorkspaceId,
    asked: Option<WorkspaceId>,
    api_key: &NewApiKey,
    now: Timestamp,
) -> Result<Decided, Rejected> {
    if asked != Some(workspace_id) {
        return Err(Rejected::NotFound("org"));
    }
    create(state, workspace_id, api_key, now)
}

/// Anybody may have the first key of a workspace, for an hour after it was made.
pub(super) fn create_first(state: &State, workspace_id: WorkspaceId, api_key: &NewApiKey, now: Timestamp) -> Result<Decided, Rejected> {
    let workspace = state.workspace(workspace_id).ok_or(Rejected::Unauthorized)?;
    // Whoever has no key is told nothing else, whatever the reason.
    if now >= workspace.created_at.saturating_add_ms(FIRST_KEY_MS) || workspace.has_api_key {
        return Err(Rejected::Unauthorized);
    }
    create(state, workspace_id, api_key, now)
}

/// The event of a new key.
pub(super) fn created(api_key: &NewApiKey) -> Event {
    let NewApiKey { api_key_id, name, style, role, expires_at, secret_hash } = api_key.clone();
    Event::ApiKey(ApiKeyEvent::Created { api_key_id, name, style, role, expires_at, secret_hash })
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
        outcome: Outcome::ApiKeyRevoked(ApiKeyRevoked { api_key_id, api_key: key.clone(), revoked_at: now }),
    })
}
