//! Agents that people are asked to consent to.

use allowlog_proto::api::permitly::ChangeAgentBody;
use allowlog_proto::event::{AgentTerms, ConsentAgentEvent, Event};
use allowlog_proto::id::{ConsentAgentId, WorkspaceId};
use allowlog_proto::limits::CONSENT_AGENTS_MAX;
use allowlog_proto::time::Timestamp;

use super::Decided;
use crate::ids::Ids;
use crate::rejected::Rejected;
use crate::state::State;

pub(super) fn create(
    state: &State,
    workspace_id: WorkspaceId,
    terms: &AgentTerms,
    public_key: (u8, [u8; 32]),
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    if state.consent_agents(workspace_id).count() >= CONSENT_AGENTS_MAX {
        return Err(Rejected::field("body.name", "is that of one agent more than a workspace may have"));
    }
    let event = created(state, workspace_id, ConsentAgentId::from_bytes(ids.mint(now)), terms.clone(), public_key);
    Ok(Decided::answered_by(workspace_id, vec![event], now))
}

/// The first agent of a workspace is its default, whatever is said of it.
pub(super) fn created(
    state: &State,
    workspace_id: WorkspaceId,
    agent_id: ConsentAgentId,
    terms: AgentTerms,
    public_key: (u8, [u8; 32]),
) -> Event {
    let is_first = state.workspace(workspace_id).is_none_or(|workspace| workspace.default_agent.is_none());
    let terms = Box::new(AgentTerms { is_default: terms.is_default || is_first, ..terms });
    Event::ConsentAgent(ConsentAgentEvent::Created { agent_id, public_key, terms })
}

pub(super) fn change(
    state: &State,
    workspace_id: WorkspaceId,
    id: Option<ConsentAgentId>,
    body: &ChangeAgentBody,
    now: Timestamp,
) -> Result<Decided, Rejected> {
    let found = id.and_then(|id| Some((id, state.consent_agent(workspace_id, id)?)));
    let (agent_id, agent) = found.ok_or(Rejected::NotFound("agent"))?;
    let before = agent.terms.clone();
    let terms = AgentTerms {
        name: body.name.clone().unwrap_or(before.name),
        token_life_s: body.token_life_s.unwrap_or(before.token_life_s),
        webhook_url: body.webhook_url.clone().unwrap_or(before.webhook_url),
        redirect_origins: body.redirect_origins.clone().unwrap_or(before.redirect_origins),
        is_default: body.is_default.unwrap_or(before.is_default),
    };
    let event = Event::ConsentAgent(ConsentAgentEvent::Changed { agent_id, terms: Box::new(terms) });
    Ok(Decided::answered_by(workspace_id, vec![event], now))
}

pub(super) fn rotate_secret(
    state: &State,
    workspace_id: WorkspaceId,
    id: Option<ConsentAgentId>,
    now: Timestamp,
) -> Result<Decided, Rejected> {
    let found = id.and_then(|id| Some((id, state.consent_agent(workspace_id, id)?)));
    let (agent_id, agent) = found.ok_or(Rejected::NotFound("agent"))?;
    let generation = agent.secret_generation.checked_add(1).ok_or(Rejected::Conflict("there is no further secret"))?;
    Ok(Decided::answered_by(workspace_id, vec![Event::ConsentAgent(ConsentAgentEvent::SecretRotated { agent_id, generation })], now))
}
