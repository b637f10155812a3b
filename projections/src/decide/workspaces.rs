//! A new workspace: it begins with a signing key and an API key, all in one commit.

use allowlog_proto::event::{ApiKeyEvent, Event, SigningKeyEvent, WorkspaceEvent};
use allowlog_proto::id::{ApiKeyId, KeyId, WorkspaceId};
use allowlog_proto::text::Name;
use allowlog_proto::time::Timestamp;

use super::{Decided, Outcome};
use crate::command::NewApiKey;
use crate::ids::Ids;
use crate::rejected::Rejected;
use crate::state::State;

/// A workspace has come into being.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceCreated {
    /// The new workspace.
    pub workspace_id: WorkspaceId,
    /// What people call it.
    pub name: Name,
    /// Time of its first record.
    pub created_at: Timestamp,
    /// Its first API key.
    pub api_key_id: ApiKeyId,
    /// Its first signing key.
    pub key_id: KeyId,
}

pub(super) fn create(
    state: &State,
    name: &Name,
    public_key: &[u8; 32],
    api_key: &NewApiKey,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let NewApiKey { api_key_id, name: api_key_name, secret_hash } = api_key.clone();
    if state.api_key(api_key_id).is_some() {
        return Err(Rejected::Conflict("this API key exists already"));
    }
    let workspace_id = WorkspaceId::from_bytes(ids.mint(now));
    let key_id = KeyId::of(public_key);
    Ok(Decided {
        workspace_id,
        events: vec![
            Event::Workspace(WorkspaceEvent::Created { name: name.clone() }),
            Event::SigningKey(SigningKeyEvent::Activated { key_id, public_key: *public_key, active_from: now }),
            Event::ApiKey(ApiKeyEvent::Created { api_key_id, name: api_key_name, secret_hash }),
        ],
        outcome: Outcome::WorkspaceCreated(WorkspaceCreated { workspace_id, name: name.clone(), created_at: now, api_key_id, key_id }),
    })
}
