//! Agents that are registered, and which delegations each has.

use std::collections::BTreeSet;

use allowlog_proto::event::{AgentEvent, AgentKind, AgentStatus};
use allowlog_proto::id::{AuthorizationId, RegisteredAgentId, WorkspaceId};
use allowlog_proto::json::CanonicalObject;
use allowlog_proto::record::Record;
use allowlog_proto::text::Name;
use allowlog_proto::time::Timestamp;

use super::State;
use super::stored::stored;

/// An agent that can be given delegations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredAgent {
    /// What people call it.
    pub name: Name,
    /// What it is.
    pub kind: AgentKind,
    /// Whether it may act.
    pub status: AgentStatus,
    /// The caller's own.
    pub metadata: CanonicalObject,
    /// Time of its record.
    pub created_at: Timestamp,
    /// Every delegation it was ever given.
    pub(super) delegations: BTreeSet<AuthorizationId>,
    /// Those that nobody has revoked.
    pub(super) standing: BTreeSet<AuthorizationId>,
}

stored!(RegisteredAgent { name, kind, status, metadata, created_at, delegations, standing });

impl RegisteredAgent {
    /// Every delegation it was ever given, oldest first.
    pub fn delegations(&self) -> impl DoubleEndedIterator<Item = AuthorizationId> {
        self.delegations.iter().copied()
    }

    /// Those that nobody has revoked, oldest first: some may be over all the same.
    pub fn standing(&self) -> impl DoubleEndedIterator<Item = AuthorizationId> + ExactSizeIterator {
        self.standing.iter().copied()
    }
}

impl State {
    /// The agent, if it is this workspace's.
    pub fn registered_agent(&self, workspace_id: WorkspaceId, id: RegisteredAgentId) -> Option<&RegisteredAgent> {
        self.registered_agents.get(&(workspace_id, id))
    }

    pub(super) fn apply_agent(&mut self, record: &Record, event: &AgentEvent) {
        match event {
            AgentEvent::Registered(registered) => {
                let agent = RegisteredAgent {
                    name: registered.name.clone(),
                    kind: registered.kind,
                    status: AgentStatus::Active,
                    metadata: registered.metadata.clone(),
                    created_at: record.time,
                    delegations: BTreeSet::new(),
                    standing: BTreeSet::new(),
                };
                let before = self.registered_agents.insert((record.workspace_id, registered.agent_id), agent);
                assert!(before.is_none(), "an agent is registered once");
            }
            AgentEvent::StatusChanged { agent_id, status } => {
                let agent = self.registered_agent_mut(record.workspace_id, *agent_id);
                assert!(agent.status != AgentStatus::Revoked, "a revoked agent stays so");
                agent.status = *status;
            }
            // Nothing is decided by it.
            AgentEvent::CredentialIssued { .. } => {}
        }
    }

    pub(super) fn registered_agent_mut(&mut self, workspace_id: WorkspaceId, id: RegisteredAgentId) -> &mut RegisteredAgent {
        let Some(agent) = self.registered_agents.get_mut(&(workspace_id, id)) else {
            unreachable!("an agent is registered before anything happens to it");
        };
        agent
    }
}
