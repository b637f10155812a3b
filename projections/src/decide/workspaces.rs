//! Workspaces: a new one begins with a signing key and an API key, all in one commit.

use allowlog_proto::event::{Event, Plan, SigningKeyEvent, WorkspaceEvent};
use allowlog_proto::id::{ApiKeyId, KeyId, WorkspaceId};
use allowlog_proto::json::CanonicalObject;
use allowlog_proto::text::Name;
use allowlog_proto::time::Timestamp;

use super::{Decided, Outcome, api_keys};
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
    /// What it may use.
    pub plan: Plan,
    /// Time of its first record.
    pub created_at: Timestamp,
    /// Its first API key, if it has one.
    pub api_key_id: Option<ApiKeyId>,
    /// Its first signing key.
    pub key_id: KeyId,
}

/// A workspace was renamed, or has another plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceChanged {
    /// Which.
    pub workspace_id: WorkspaceId,
    /// What people call it now.
    pub name: Name,
    /// What it may use now.
    pub plan: Plan,
    /// Time of its first record.
    pub created_at: Timestamp,
}

pub(super) fn create(
    state: &State,
    (name, plan): (&Name, Plan),
    public_key: &[u8; 32],
    api_key: Option<&NewApiKey>,
    metadata: &CanonicalObject,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let api_key_id = api_key.map(|key| key.api_key_id);
    if api_key_id.is_some_and(|id| state.api_key(id).is_some()) {
        return Err(Rejected::Conflict("this API key exists already"));
    }
    let workspace_id = WorkspaceId::from_bytes(ids.mint(now));
    let key_id = KeyId::of(public_key);
    let mut events = vec![
        Event::Workspace(WorkspaceEvent::Created { name: name.clone(), plan }),
        Event::SigningKey(SigningKeyEvent::Activated { key_id, public_key: *public_key, active_from: now }),
    ];
    events.extend(api_key.map(api_keys::created));
    if *metadata != CanonicalObject::default() {
        events.push(Event::Workspace(WorkspaceEvent::Described(metadata.clone())));
    }
    Ok(Decided {
        workspace_id,
        events,
        outcome: Outcome::WorkspaceCreated(WorkspaceCreated {
            workspace_id,
            name: name.clone(),
            plan,
            created_at: now,
            api_key_id,
            key_id,
        }),
    })
}

/// What is not given stays as it is; where nothing changes nothing is recorded.
pub(super) fn change(state: &State, workspace_id: WorkspaceId, name: Option<&Name>, plan: Option<Plan>) -> Result<Decided, Rejected> {
    let workspace = state.workspace(workspace_id).ok_or(Rejected::NotFound("workspace"))?;
    let (name, plan) = (name.unwrap_or(&workspace.name).clone(), plan.unwrap_or(workspace.plan));
    let changes = name != workspace.name || plan != workspace.plan;
    let event = Event::Workspace(WorkspaceEvent::Changed { name: name.clone(), plan });
    Ok(Decided {
        workspace_id,
        events: if changes { vec![event] } else { Vec::new() },
        outcome: Outcome::WorkspaceChanged(WorkspaceChanged { workspace_id, name, plan, created_at: workspace.created_at }),
    })
}
