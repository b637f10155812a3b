//! Revoke: an authorization is over, at once and for good.

use allowlog_proto::api::allowly::RevokeBody;
use allowlog_proto::event::{AuthorizationEvent, Event, Revoked, Visitor, Withdrawer};
use allowlog_proto::id::{AuthorizationId, ReceiptId, WorkspaceId};
use allowlog_proto::reason::PolicyVersion;
use allowlog_proto::time::Timestamp;

use super::{Decided, consents};
use crate::ids::Ids;
use crate::rejected::Rejected;
use crate::state::State;

pub(super) fn revoke(
    state: &State,
    workspace_id: WorkspaceId,
    id: Option<AuthorizationId>,
    body: &RevokeBody,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let found = id.and_then(|id| Some((id, state.authorization(workspace_id, id)?)));
    let (authorization_id, authorization) = found.ok_or(Rejected::NotFound("authorization"))?;
    if authorization.revoked_at.is_some() {
        return Err(Rejected::Conflict("the authorization is revoked already"));
    }
    let superseded_by = match &body.superseded_by {
        None => None,
        Some(asked) => {
            let id = AuthorizationId::parse(asked.as_str())
                .filter(|id| *id != authorization_id && state.authorization(workspace_id, *id).is_some());
            Some(id.ok_or_else(|| Rejected::field("body.superseded_by", "names no other authorization of this workspace"))?)
        }
    };
    let revoked = Revoked {
        receipt_id: ReceiptId::from_bytes(ids.mint(now)),
        authorization_id,
        user_id: authorization.user_id.clone(),
        agent_id: authorization.agent_id.clone(),
        revoked_by: body.revoked_by.clone(),
        superseded_by,
        notes: body.notes.clone(),
        policy_version: PolicyVersion::CURRENT,
        consent: consents::withdrawal(state, workspace_id, authorization_id, Withdrawer::Builder, &Visitor::default()),
    };
    let event = Event::Authorization(AuthorizationEvent::Revoked(Box::new(revoked)));
    Ok(Decided::answered_by(workspace_id, vec![event], now))
}
