//! Revoke: an authorization is over, at once and for good.

use allowlog_proto::api::allowly::RevokeBody;
use allowlog_proto::event::{AuthorizationEvent, Event, Revoked};
use allowlog_proto::id::{AuthorizationId, ReceiptId, WorkspaceId};
use allowlog_proto::reason::PolicyVersion;
use allowlog_proto::time::Timestamp;

use super::{Decided, Outcome};
use crate::ids::Ids;
use crate::rejected::Rejected;
use crate::state::State;

/// An authorization was withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedNow {
    /// Which.
    pub authorization_id: AuthorizationId,
    /// Time of the record.
    pub revoked_at: Timestamp,
    /// The receipt of the revoke.
    pub receipt_id: ReceiptId,
}

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
    let receipt_id = ReceiptId::from_bytes(ids.mint(now));
    let revoked = Revoked {
        receipt_id,
        authorization_id,
        user_id: authorization.user_id.clone(),
        agent_id: authorization.agent_id.clone(),
        revoked_by: body.revoked_by.clone(),
        superseded_by,
        notes: body.notes.clone(),
        policy_version: PolicyVersion::CURRENT,
    };
    Ok(Decided {
        workspace_id,
        events: vec![Event::Authorization(AuthorizationEvent::Revoked(Box::new(revoked)))],
        outcome: Outcome::Revoked(RevokedNow { authorization_id, revoked_at: now, receipt_id }),
    })
}
