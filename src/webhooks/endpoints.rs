//! Where messages about an agent go, and what they are signed with: as the state had it at the start, and the log since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use allowlog_projections::state::{State, compressed};
use allowlog_projections::webhooks::Notice;
use allowlog_proto::event::{ConsentAgentEvent, Event};
use allowlog_proto::id::{ConsentAgentId, KeyId};
use allowlog_proto::record::Record;
use allowlog_proto::text::WebhookUrl;
use zeroize::Zeroizing;

use crate::keyring::Keyring;

/// The endpoints of every agent.
pub struct Endpoints {
    keyring: Arc<Keyring>,
    agents: BTreeMap<ConsentAgentId, Agent>,
    /// What records before this place in the log say is known, and must not go back to what it was.
    known_to: u64,
    /// If the log is read from its start: the agents that had a URL where it was read to.
    had_url: Option<BTreeSet<ConsentAgentId>>,
}

/// What has to be known of an agent.
#[derive(Debug, Clone)]
struct Agent {
    url: Option<WebhookUrl>,
    /// Of its tokens.
    key_id: KeyId,
    secret_generation: u32,
}

/// Where a message goes now.
pub(super) struct Endpoint {
    /// A URL, which may be one that is not sent to.
    pub(super) url: String,
    /// What messages are signed with.
    pub(super) secret: Zeroizing<String>,
}

impl Endpoints {
    /// The endpoints as of this state, to which all records before `known_to` were applied.
    pub fn new(keyring: Arc<Keyring>, state: &State, known_to: u64) -> Self {
        let agents = state.all_consent_agents().map(|(id, agent)| {
            let (url, key_id) = (agent.terms.webhook_url.clone(), agent.key_id);
            (id, Agent { url, key_id, secret_generation: agent.secret_generation })
        });
        Self { keyring, agents: agents.collect(), known_to, had_url: None }
    }

    /// The log is read from its start, so it is known of all of it who had a URL when.
    pub(super) fn begin_anew(&mut self) {
        self.had_url = Some(BTreeSet::new());
    }

    /// Whether this position must not be stored: from there on nobody would know who had a URL when.
    pub(super) fn is_anew(&self, position: u64) -> bool {
        self.had_url.is_some() && position < self.known_to
    }

    /// Whether the record at this place, the last that was read, is told to this agent: it had a URL. What happened without one
    /// was meant for nobody, and no URL of later gets it. Behind a position that was stored this is known only since the start;
    /// of what happened in between, the URL of now decides.
    pub(super) fn is_told(&self, sequence: u64, agent_id: ConsentAgentId) -> bool {
        if sequence < self.known_to {
            return self.had_url.as_ref().is_none_or(|had_url| had_url.contains(&agent_id));
        }
        self.agents.get(&agent_id).is_some_and(|agent| agent.url.is_some())
    }

    /// Takes note of what a record changes.
    pub(super) fn learn(&mut self, sequence: u64, record: &Record) {
        let Event::ConsentAgent(event) = &record.event else { return };
        if sequence < self.known_to {
            return self.learn_of_then(event);
        }
        match event {
            ConsentAgentEvent::Created { agent_id, public_key, terms } => {
                let agent = Agent { url: terms.webhook_url.clone(), key_id: compressed(public_key).1, secret_generation: 0 };
                self.agents.insert(*agent_id, agent);
            }
            ConsentAgentEvent::Changed { agent_id, terms } => {
                if let Some(agent) = self.agents.get_mut(agent_id) {
                    agent.url.clone_from(&terms.webhook_url);
                }
            }
            ConsentAgentEvent::SecretRotated { agent_id, generation } => {
                if let Some(agent) = self.agents.get_mut(agent_id) {
                    agent.secret_generation = *generation;
                }
            }
        }
    }

    fn learn_of_then(&mut self, event: &ConsentAgentEvent) {
        let Some(had_url) = &mut self.had_url else { return };
        match event {
            ConsentAgentEvent::Created { agent_id, terms, .. } | ConsentAgentEvent::Changed { agent_id, terms } => {
                if terms.webhook_url.is_some() {
                    had_url.insert(*agent_id);
                } else {
                    had_url.remove(agent_id);
                }
            }
            ConsentAgentEvent::SecretRotated { .. } => {}
        }
    }

    /// Where messages about this agent go; nothing if it has no URL.
    pub(super) fn of(&self, agent_id: ConsentAgentId) -> Option<Endpoint> {
        let agent = self.agents.get(&agent_id)?;
        let url = agent.url.as_ref()?.as_str().to_owned();
        Some(Endpoint { url, secret: self.keyring.webhook_secret(agent_id, agent.secret_generation) })
    }

    /// The bytes of a message: the same each time.
    ///
    /// # Errors
    /// If the token that belongs into it cannot be signed.
    pub(super) fn compose(&self, notice: &Notice) -> Result<Vec<u8>, String> {
        let token = match &notice.claims {
            Some(claims) => {
                let agent = self.agents.get(&notice.agent_id).ok_or("its agent is not known")?;
                Some(self.keyring.sign_token(agent.key_id, claims).map_err(|e| e.to_string())?)
            }
            None => None,
        };
        Ok(notice.body(token.as_deref()).into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use allowlog_proto::chain::Hash;
    use allowlog_proto::event::AgentTerms;
    use allowlog_proto::id::WorkspaceId;
    use allowlog_proto::record::NO_RECEIPT;
    use allowlog_proto::text::Name;
    use allowlog_proto::time::Timestamp;

    use super::*;
    use crate::keyring::MasterKey;

    #[test]
    fn what_is_known_does_not_go_back_to_what_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let keyring = Arc::new(Keyring::open(directory.path().to_owned(), &MasterKey::ephemeral()).unwrap());
        let agent_id = ConsentAgentId::from_bytes([1; 16]);
        let url = |text: &str| Some(WebhookUrl::new(text).unwrap());
        let agent = Agent { url: url("https://now.example/"), key_id: KeyId::of(b"key"), secret_generation: 2 };
        let agents = BTreeMap::from([(agent_id, agent)]);
        let mut endpoints = Endpoints { keyring: Arc::clone(&keyring), agents, known_to: 10, had_url: None };
        let changed = |text: &str| {
            let (name, webhook_url) = (Name::new("agent").unwrap(), url(text));
            let terms = AgentTerms { name, token_life_s: 60, webhook_url, redirect_origins: Vec::new(), is_default: false };
            ConsentAgentEvent::Changed { agent_id, terms: Box::new(terms) }
        };
        let record = |event| Record {
            workspace_id: WorkspaceId::from_bytes([1; 16]),
            index: 0,
            time: Timestamp::default(),
            previous: Hash::default(),
            receipt: NO_RECEIPT,
            event: Event::ConsentAgent(event),
            request: None,
        };
        let is = |endpoints: &Endpoints, url: &str, generation| {
            let endpoint = endpoints.of(agent_id).unwrap();
            endpoint.url == url && endpoint.secret == keyring.webhook_secret(agent_id, generation)
        };
        endpoints.learn(9, &record(changed("https://before.example/")));
        endpoints.learn(9, &record(ConsentAgentEvent::SecretRotated { agent_id, generation: 1 }));
        assert!(is(&endpoints, "https://now.example/", 2));
        endpoints.learn(10, &record(changed("https://then.example/")));
        endpoints.learn(11, &record(ConsentAgentEvent::SecretRotated { agent_id, generation: 3 }));
        assert!(is(&endpoints, "https://then.example/", 3));
        assert!(endpoints.of(ConsentAgentId::from_bytes([2; 16])).is_none());
    }
}
