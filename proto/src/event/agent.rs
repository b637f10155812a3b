//! Agents that are registered, and their credentials. What they may do is in their delegations.
//!
//! Source: section 2 of the AffixIO API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{CredentialId, RegisteredAgentId};
use crate::json::CanonicalObject;
use crate::text::Name;
use crate::time::Timestamp;

/// What happens to a registered agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentEvent {
    /// It can be given delegations.
    Registered(Box<Registered>),
    /// It may act, or may not, from now on.
    StatusChanged {
        /// Which.
        agent_id: RegisteredAgentId,
        /// What it is from now on; nothing follows [`AgentStatus::Revoked`].
        status: AgentStatus,
    },
    /// It has one more key to prove itself by.
    CredentialIssued {
        /// Which.
        agent_id: RegisteredAgentId,
        /// The new credential.
        credential_id: CredentialId,
        /// Ed25519.
        public_key: [u8; 32],
        /// From this instant on it proves nothing.
        expires_at: Option<Timestamp>,
    },
}

/// An agent can be given delegations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// The new agent.
    pub agent_id: RegisteredAgentId,
    /// What people call it.
    pub name: Name,
    /// What it is.
    pub kind: AgentKind,
    /// The caller's own.
    pub metadata: CanonicalObject,
}

/// What an agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgentKind {
    /// A language model.
    Llm,
    /// A fixed procedure.
    Workflow,
    /// It moves things.
    RobotController,
    /// Another program.
    Service,
}

impl AgentKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Llm, Self::Workflow, Self::RobotController, Self::Service];

    /// The spelling on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Llm => "llm",
            Self::Workflow => "workflow",
            Self::RobotController => "robot-controller",
            Self::Service => "service",
        }
    }

    /// The kind of this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Whether an agent may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentStatus {
    /// It may.
    Active,
    /// It may not for now.
    Suspended,
    /// It may not any more.
    Revoked,
}
