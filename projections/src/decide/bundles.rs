//! Bundles: made and deleted, never changed. What was granted from one is a copy.

use allowlog_proto::api::allowly::BundleBody;
use allowlog_proto::event::{BundleEvent, Event};
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::text::BundleId;
use allowlog_proto::time::Timestamp;

use super::Decided;
use crate::rejected::Rejected;
use crate::state::State;

pub(super) fn create(state: &State, workspace_id: WorkspaceId, body: &BundleBody, now: Timestamp) -> Result<Decided, Rejected> {
    let bundle = &body.bundle;
    if state.workspace(workspace_id).is_some_and(|w| w.bundles.contains_key(&bundle.bundle_id)) {
        return Err(Rejected::Conflict("a bundle of this id exists already"));
    }
    let event = Event::Bundle(BundleEvent::Created(Box::new(bundle.clone())));
    Ok(Decided::answered_by(workspace_id, vec![event], now))
}

pub(super) fn delete(state: &State, workspace_id: WorkspaceId, id: Option<&BundleId>, now: Timestamp) -> Result<Decided, Rejected> {
    let workspace = state.workspace(workspace_id);
    let live = id.filter(|id| workspace.is_some_and(|w| w.bundles.contains_key(*id)));
    let bundle_id = live.ok_or(Rejected::NotFound("bundle"))?.clone();
    Ok(Decided::answered_by(workspace_id, vec![Event::Bundle(BundleEvent::Deleted { bundle_id })], now))
}
