//! Agents that people are asked to consent to.

use allowlog_proto::event::{AgentTerms, ConsentAgentEvent};
use allowlog_proto::id::{ConsentAgentId, KeyId, WorkspaceId};
use allowlog_proto::record::Record;
use allowlog_proto::time::Timestamp;

use super::stored::stored;
use super::{State, before};

/// An agent that people are asked to consent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentAgent {
    /// Derived from the public key.
    pub key_id: KeyId,
    /// P-256, compressed.
    pub public_key: (u8, [u8; 32]),
    /// What it is now.
    pub terms: AgentTerms,
    /// Which secret its webhooks are signed with.
    pub secret_generation: u32,
    /// Time of its record.
    pub created_at: Timestamp,
}

stored!(ConsentAgent { key_id, public_key, terms, secret_generation, created_at });

/// The 33 bytes of a compressed key, and the id it has by them.
pub fn compressed(public_key: &(u8, [u8; 32])) -> ([u8; 33], KeyId) {
    let mut bytes = [public_key.0; 33];
    if let Some((_, x)) = bytes.split_first_chunk_mut::<1>() {
        x.copy_from_slice(&public_key.1);
    }
    (bytes, KeyId::of(&bytes))
}

impl State {
    /// The agent, if it is this workspace's.
    pub fn consent_agent(&self, workspace_id: WorkspaceId, id: ConsentAgentId) -> Option<&ConsentAgent> {
        self.consent_agents.get(&(workspace_id, id))
    }

    /// The agent, of whatever workspace: what everybody may know of it is nobody's secret.
    pub fn consent_agent_anywhere(&self, id: ConsentAgentId) -> Option<&ConsentAgent> {
        self.consent_agent(*self.agent_owners.get(&id)?, id)
    }

    /// The agents of a workspace, oldest first.
    pub fn consent_agents(&self, workspace_id: WorkspaceId) -> impl DoubleEndedIterator<Item = (ConsentAgentId, &ConsentAgent)> {
        before(&self.consent_agents, workspace_id, ConsentAgentId::from_bytes, None)
    }

    /// The agents of every workspace.
    pub fn all_consent_agents(&self) -> impl Iterator<Item = (ConsentAgentId, &ConsentAgent)> {
        self.consent_agents.iter().map(|((_, id), agent)| (*id, agent))
    }

    pub(super) fn apply_consent_agent(&mut self, record: &Record, event: &ConsentAgentEvent) {
        let (id, terms) = match event {
            ConsentAgentEvent::Created { agent_id, public_key, terms } => {
                let agent = ConsentAgent {
                    key_id: compressed(public_key).1,
                    public_key: *public_key,
                    terms: (**terms).clone(),
                    secret_generation: 0,
                    created_at: record.time,
                };
                let before = self.consent_agents.insert((record.workspace_id, *agent_id), agent);
                assert!(before.is_none(), "an agent is made once");
                self.agent_owners.insert(*agent_id, record.workspace_id);
                (*agent_id, &**terms)
            }
            ConsentAgentEvent::Changed { agent_id, terms } => {
                self.consent_agent_mut(record, *agent_id).terms = (**terms).clone();
                (*agent_id, &**terms)
            }
            ConsentAgentEvent::SecretRotated { agent_id, generation } => {
                self.consent_agent_mut(record, *agent_id).secret_generation = *generation;
                return;
            }
        };
        if terms.is_default {
            let before = self.workspace_mut(record).default_agent.replace(id).filter(|before| *before != id);
            if let Some(before) = before {
                self.consent_agent_mut(record, before).terms.is_default = false;
            }
        }
    }

    fn consent_agent_mut(&mut self, record: &Record, id: ConsentAgentId) -> &mut ConsentAgent {
        let Some(agent) = self.consent_agents.get_mut(&(record.workspace_id, id)) else {
            unreachable!("an agent is made before anything happens to it");
        };
        agent
    }
}
