//! Agents that people are asked to consent to. Each has one P-256 key that signs its tokens.

use serde::{Deserialize, Serialize};

use crate::id::ConsentAgentId;
use crate::redirect::Origin;
use crate::text::{Name, WebhookUrl};

/// What happens to such an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentAgentEvent {
    /// People can be asked to consent to it.
    Created {
        /// Which.
        agent_id: ConsentAgentId,
        /// P-256, compressed: 33 bytes, of which the first is 2 or 3.
        public_key: (u8, [u8; 32]),
        /// What it is from now on.
        terms: Box<AgentTerms>,
    },
    /// It is something else from now on.
    Changed {
        /// Which.
        agent_id: ConsentAgentId,
        /// What it is from now on.
        terms: Box<AgentTerms>,
    },
    /// Webhooks are signed with another secret from now on, which is a function of the master key and of this number.
    SecretRotated {
        /// Which.
        agent_id: ConsentAgentId,
        /// From 1; 0 is the first secret.
        generation: u32,
    },
}

/// What can be changed of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentTerms {
    /// Shown on the page.
    pub name: Name,
    /// How long its tokens live, in seconds.
    pub token_life_s: u32,
    /// Where webhooks go to; without it none is sent.
    pub webhook_url: Option<WebhookUrl>,
    /// Where people may be sent to with their answer; anywhere if it is empty.
    pub redirect_origins: Vec<Origin>,
    /// Whether it is the one for requests that name none.
    pub is_default: bool,
}
