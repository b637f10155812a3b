//! Tombstones: a resource is closed to every agent, from the next check on, and opened again.

use allowlog_proto::api::allowly::TombstoneBody;
use allowlog_proto::event::{Event, TombstoneEvent};
use allowlog_proto::id::{TombstoneId, WorkspaceId};
use allowlog_proto::time::Timestamp;

use super::Decided;
use crate::ids::Ids;
use crate::rejected::Rejected;
use crate::state::State;

pub(super) fn place(
    state: &State,
    workspace_id: WorkspaceId,
    body: &TombstoneBody,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    if state.workspace(workspace_id).is_some_and(|w| w.is_tombstoned(&body.resource)) {
        return Err(Rejected::Conflict("the resource has a tombstone already"));
    }
    let tombstone_id = TombstoneId::from_bytes(ids.mint(now));
    let event = TombstoneEvent::Placed { tombstone_id, resource: body.resource.clone(), reason: body.reason.clone() };
    Ok(Decided::answered_by(workspace_id, vec![Event::Tombstone(event)], now))
}

pub(super) fn lift(state: &State, workspace_id: WorkspaceId, id: Option<TombstoneId>, now: Timestamp) -> Result<Decided, Rejected> {
    let workspace = state.workspace(workspace_id);
    let found = id.and_then(|id| Some((id, workspace?.tombstones.get(&id)?)));
    let (tombstone_id, tombstone) = found.ok_or(Rejected::NotFound("tombstone"))?;
    let event = TombstoneEvent::Lifted { tombstone_id, resource: tombstone.resource.clone() };
    Ok(Decided::answered_by(workspace_id, vec![Event::Tombstone(event)], now))
}
