//! Resolve: a third party answered. The first answer counts; the same again is told the first.

use allowlog_proto::api::allowly::ResolveBody;
use allowlog_proto::event::{EscalationEvent, EscalationResolved, Event, Resolution};
use allowlog_proto::id::{EscalationId, ReceiptId, WorkspaceId};
use allowlog_proto::reason::PolicyVersion;
use allowlog_proto::time::Timestamp;

use super::{Decided, Outcome, Resolved};
use crate::ids::Ids;
use crate::rejected::Rejected;
use crate::state::{State, Status};

pub(super) fn resolve(
    state: &State,
    workspace_id: WorkspaceId,
    id: Option<EscalationId>,
    body: &ResolveBody,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let found = id.and_then(|id| {
        let escalation = state.escalation(workspace_id, id)?;
        Some((id, escalation, state.authorization(workspace_id, escalation.authorization_id)?))
    });
    let (escalation_id, escalation, authorization) = found.ok_or(Rejected::NotFound("escalation"))?;
    let answered = match &escalation.status {
        Status::Open { .. } => None,
        Status::Approved { by, at, .. } => Some((Resolution::Approved, by, *at)),
        Status::Rejected { by, at } => Some((Resolution::Rejected, by, *at)),
    };
    if let Some((resolution, by, at)) = answered {
        if resolution != body.resolution {
            return Err(Rejected::Conflict("the escalation was resolved otherwise"));
        }
        let first = Resolved { escalation_id, resolution, resolved_by: by.clone(), resolved_at: at, receipt_id: None };
        return Ok(Decided { workspace_id, events: Vec::new(), outcome: Outcome::Resolved(first) });
    }
    if !escalation.status.is_open(now) {
        return Err(Rejected::Gone("the escalation was open for 24 h and is no more"));
    }
    if authorization.revoked_at.is_some() {
        return Err(Rejected::Gone("the authorization was revoked, and its open escalations with it"));
    }
    let resolved = EscalationResolved {
        receipt_id: ReceiptId::from_bytes(ids.mint(now)),
        escalation_id,
        authorization_id: escalation.authorization_id,
        user_id: authorization.user_id.clone(),
        agent_id: authorization.agent_id.clone(),
        scope: escalation.scope.clone(),
        resource: escalation.resource.clone(),
        escalation_to: escalation.escalation_to.clone(),
        resolution: body.resolution,
        resolved_by: body.resolved_by.clone(),
        note: body.note.clone(),
        policy_version: PolicyVersion::CURRENT,
    };
    let event = Event::Escalation(EscalationEvent::Resolved(Box::new(resolved)));
    Ok(Decided::answered_by(workspace_id, vec![event], now))
}
