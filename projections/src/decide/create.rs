//! Create: a permission is recorded. It never changes afterwards.

use allowlog_proto::api::allowly::CreateBody;
use allowlog_proto::event::{AuthorizationEvent, Event, Granted};
use allowlog_proto::id::{AuthorizationId, ReceiptId, WorkspaceId};
use allowlog_proto::reason::PolicyVersion;
use allowlog_proto::time::Timestamp;

use super::{Decided, Outcome};
use crate::ids::Ids;
use crate::rejected::Rejected;
use crate::state::State;

/// A permission was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// As recorded.
    pub granted: Granted,
    /// Time of its record.
    pub created_at: Timestamp,
}

pub(super) fn create(
    state: &State,
    workspace_id: WorkspaceId,
    body: &CreateBody,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    if body.expires_at <= now {
        return Err(Rejected::field("body.expires_at", "must be in the future"));
    }
    let replaces = match &body.replaces {
        None => None,
        Some(asked) => {
            let id = AuthorizationId::parse(asked.as_str()).filter(|id| state.authorization(workspace_id, *id).is_some());
            Some(id.ok_or_else(|| Rejected::field("body.replaces", "names no authorization of this workspace"))?)
        }
    };
    let granted = Granted {
        receipt_id: ReceiptId::from_bytes(ids.mint(now)),
        authorization_id: AuthorizationId::from_bytes(ids.mint(now)),
        user_id: body.user_id.clone(),
        agent_id: body.agent_id.clone(),
        scopes: body.scopes.clone(),
        requires_confirm_for: body.requires_confirm_for.clone(),
        requires_escalation_for: body.requires_escalation_for.clone(),
        escalation_targets: body.escalation_targets.clone(),
        expires_at: body.expires_at,
        replaces,
        metadata: body.metadata.clone(),
        policy_version: PolicyVersion::CURRENT,
    };
    Ok(Decided {
        workspace_id,
        events: vec![Event::Authorization(AuthorizationEvent::Granted(Box::new(granted.clone())))],
        outcome: Outcome::Created(Box::new(Created { granted, created_at: now })),
    })
}
