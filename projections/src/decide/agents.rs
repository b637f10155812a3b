//! Agents that can be given delegations.

use allowlog_proto::api::affixio::RegisterAgentBody;
use allowlog_proto::event::{AgentEvent, AgentStatus, Event, Registered};
use allowlog_proto::id::{CredentialId, RegisteredAgentId, WorkspaceId};
use allowlog_proto::time::Timestamp;

use super::{Decided, Outcome};
use crate::ids::Ids;
use crate::rejected::Rejected;
use crate::state::{RegisteredAgent, State};

pub(super) fn register(workspace_id: WorkspaceId, body: &RegisterAgentBody, now: Timestamp, ids: &mut Ids) -> Result<Decided, Rejected> {
    // The org of somebody else is as one that does not exist.
    if body.owner != Some(workspace_id.into()) {
        return Err(Rejected::NotFound("org"));
    }
    let registered = Registered {
        agent_id: RegisteredAgentId::from_bytes(ids.mint(now)),
        name: body.name.clone(),
        kind: body.kind,
        metadata: body.metadata.clone(),
    };
    Ok(Decided::answered_by(workspace_id, vec![Event::Agent(AgentEvent::Registered(Box::new(registered)))], now))
}

/// What is so already stays so, and nothing is recorded.
pub(super) fn set_status(
    state: &State,
    workspace_id: WorkspaceId,
    id: Option<RegisteredAgentId>,
    status: AgentStatus,
    now: Timestamp,
) -> Result<Decided, Rejected> {
    let (agent_id, agent) = known(state, workspace_id, id)?;
    match agent.status {
        before if before == status => Ok(Decided { workspace_id, events: Vec::new(), outcome: Outcome::Agent(agent_id) }),
        AgentStatus::Revoked => Err(Rejected::Conflict("the agent is revoked for good")),
        AgentStatus::Active | AgentStatus::Suspended => {
            let event = Event::Agent(AgentEvent::StatusChanged { agent_id, status });
            Ok(Decided::answered_by(workspace_id, vec![event], now))
        }
    }
}

pub(super) fn issue_credential(
    state: &State,
    workspace_id: WorkspaceId,
    id: Option<RegisteredAgentId>,
    (public_key, expires_at): ([u8; 32], Option<Timestamp>),
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let (agent_id, agent) = known(state, workspace_id, id)?;
    if agent.status == AgentStatus::Revoked {
        return Err(Rejected::Conflict("the agent is revoked for good"));
    }
    if expires_at.is_some_and(|end| end <= now) {
        return Err(Rejected::field("body.expires_at", "must be in the future"));
    }
    let credential_id = CredentialId::from_bytes(ids.mint(now));
    let event = Event::Agent(AgentEvent::CredentialIssued { agent_id, credential_id, public_key, expires_at });
    Ok(Decided::answered_by(workspace_id, vec![event], now))
}

fn known(
    state: &State,
    workspace_id: WorkspaceId,
    id: Option<RegisteredAgentId>,
) -> Result<(RegisteredAgentId, &RegisteredAgent), Rejected> {
    let found = id.and_then(|id| Some((id, state.registered_agent(workspace_id, id)?)));
    found.ok_or(Rejected::NotFound("agent"))
}
