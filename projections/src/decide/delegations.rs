//! Delegations: an agent may pay, within limits, until that is taken back.

use allowlog_proto::api::affixio::{DelegationBody, RevokeDelegationBody};
use allowlog_proto::api::allowly::RevokeBody;
use allowlog_proto::event::{AgentStatus, AuthorizationEvent, Delegated, Event, Grant, Granted, Terms};
use allowlog_proto::id::{AuthorizationId, OrgId, ReceiptId, RegisteredAgentId, WorkspaceId};
use allowlog_proto::limits::DELEGATIONS_MAX;
use allowlog_proto::reason::PolicyVersion;
use allowlog_proto::text::{AgentId, UserId};
use allowlog_proto::time::Timestamp;

use super::{Decided, Outcome, revoke as revoke_authorization};
use crate::ids::Ids;
use crate::rejected::Rejected;
use crate::state::State;

pub(super) fn create(
    state: &State,
    workspace_id: WorkspaceId,
    body: &DelegationBody,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let workspace = state.workspace(workspace_id).ok_or(Rejected::Unauthorized)?;
    let found = RegisteredAgentId::parse(body.agent.as_str()).and_then(|id| Some((id, state.registered_agent(workspace_id, id)?)));
    let (agent_id, agent) = found.ok_or(Rejected::NotFound("agent"))?;
    match agent.status {
        AgentStatus::Active => {}
        AgentStatus::Suspended => return Err(Rejected::Conflict("the agent is suspended")),
        AgentStatus::Revoked => return Err(Rejected::Conflict("the agent is revoked for good")),
    }
    if agent.standing().len() >= DELEGATIONS_MAX {
        return Err(Rejected::Conflict("the agent has as many delegations as one may have; revoke some"));
    }
    if body.expires_at.is_some_and(|end| end <= now) {
        return Err(Rejected::field("body.validity_window.end", "must be in the future"));
    }
    if body.not_before.zip(body.expires_at).is_some_and(|(start, end)| start >= end) {
        return Err(Rejected::field("body.validity_window.end", "must be after `start`"));
    }
    if body.limits.review_above.is_some() && !workspace.plan.is_paid() {
        return Err(Rejected::PaymentRequired);
    }
    let (Ok(user_id), Ok(agent_text)) = (UserId::new(&OrgId::from(workspace_id).to_string()), AgentId::new(&agent_id.to_string())) else {
        unreachable!("ids are shorter than people and agents may be called")
    };
    let scopes = body.permissions.iter().map(|name| Grant { name: name.clone(), constraints: None });
    let granted = Granted {
        receipt_id: ReceiptId::from_bytes(ids.mint(now)),
        authorization_id: AuthorizationId::from_bytes(ids.mint(now)),
        // It is the org that lets the agent pay.
        user_id,
        terms: Terms {
            agent_id: agent_text,
            scopes: scopes.collect(),
            requires_confirm_for: Vec::new(),
            requires_escalation_for: Vec::new(),
            escalation_targets: Vec::new(),
        },
        expires_at: body.expires_at,
        not_before: body.not_before,
        budget_limit: None,
        bundle_id: None,
        replaces: None,
        metadata: body.metadata.clone(),
        policy_version: PolicyVersion::CURRENT,
        consent: None,
        delegation: Some(Box::new(Delegated { agent_id, limits: body.limits.clone() })),
    };
    let event = Event::Authorization(AuthorizationEvent::Granted(Box::new(granted)));
    Ok(Decided::answered_by(workspace_id, vec![event], now))
}

/// To revoke it again changes nothing, and is told the first.
pub(super) fn revoke(
    state: &State,
    workspace_id: WorkspaceId,
    id: Option<AuthorizationId>,
    body: &RevokeDelegationBody,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let found = id.and_then(|id| Some((id, state.delegation(workspace_id, id)?)));
    let (id, (authorization, _)) = found.ok_or(Rejected::NotFound("delegation"))?;
    if authorization.revoked_at.is_some() {
        return Ok(Decided { workspace_id, events: Vec::new(), outcome: Outcome::Delegation(id) });
    }
    let body = RevokeBody { revoked_by: body.revoked_by.clone(), notes: body.reason.clone(), superseded_by: None };
    revoke_authorization::revoke(state, workspace_id, Some(id), &body, now, ids)
}
