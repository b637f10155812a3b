//! The words of the tables for consents: outcomes, events, webhooks and rows of the audit list.

use allowlog_projections::audit::{row, row_of_lapse};
use allowlog_projections::decide::Outcome;
use allowlog_projections::state::{Consent, State};
use allowlog_projections::webhooks::{Notice, notice};
use allowlog_proto::api::permitly::AuditRowBody;
use allowlog_proto::chain::Hash;
use allowlog_proto::event::{
    AgentTerms, ConsentAgentEvent, ConsentEvent, Consented, Granted, TokenTerms, TokenVerified, Visitor, Withdrawal,
};
use allowlog_proto::id::{ConsentId, WorkspaceId};
use allowlog_proto::record::Record;
use allowlog_proto::text::ScopeName;
use allowlog_proto::time::Timestamp;

use crate::wording::{Names, option, time};

/// `a|b`
fn keys(scopes: &[ScopeName]) -> String {
    scopes.iter().map(ScopeName::as_str).collect::<Vec<_>>().join("|")
}

/// ` from 192.0.2.7 with Browser`
fn whence(visitor: &Visitor) -> String {
    option("from", visitor.ip_address.as_ref()) + &option("with", visitor.user_agent.as_ref())
}

impl Names {
    pub(crate) fn consent_outcome(&mut self, outcome: &Outcome) -> String {
        match outcome {
            Outcome::Consent(id) => format!("consent {}", self.of("R", id)),
            Outcome::ConsentViewed(id) => format!("viewed in {}", self.of("W", id)),
            Outcome::TokenMinted(minted, at) => format!("minted {} at {}", self.token(&minted.token), time(*at)),
            Outcome::TokenVerified(verified) => format!("{} {}", verified.decision().as_str(), verified.reason.as_str()),
            Outcome::ManageLink(link) => format!("linked {} until {}", link.user_id, time(link.expires_at)),
            Outcome::ConsentAgent(id) => format!("agent {}", self.of("A", id)),
            Outcome::WorkspaceCreated(_)
            | Outcome::WorkspaceChanged(_)
            | Outcome::ApiKeyCreated(_)
            | Outcome::ApiKeyRevoked(_)
            | Outcome::SigningKeyRotated(_)
            | Outcome::Created(_)
            | Outcome::Revoked(_)
            | Outcome::Checked(_)
            | Outcome::Confirmed(_)
            | Outcome::Resolved(_)
            | Outcome::BundleCreated(..)
            | Outcome::BundleDeleted(..)
            | Outcome::Agent(_)
            | Outcome::Credential(_)
            | Outcome::Device(_)
            | Outcome::Delegation(_)
            | Outcome::PaymentDecided(..)
            | Outcome::IntentCreated(_)
            | Outcome::Intent(_)
            | Outcome::Abandoned(..)
            | Outcome::Refused(_)
            | Outcome::TokenIssued(..)
            | Outcome::Queued(_)
            | Outcome::Reconciled(_)
            | Outcome::TombstonePlaced { .. }
            | Outcome::TombstoneLifted { .. }
            | Outcome::Repeated(_) => panic!("{outcome:?} is not about consents"),
        }
    }

    fn token(&mut self, token: &TokenTerms) -> String {
        format!("{} until {}", self.of("X", token.token_id), time(token.expires_at))
    }

    /// What a grant says of the consent that it is.
    pub(crate) fn consented(&mut self, granted: &Granted, consent: &Consented) -> String {
        assert_eq!(granted.terms.agent_id.as_str(), consent.agent_id.to_string(), "the agent of a grant is the consent's");
        let (id, agent) = (self.of("R", consent.consent_id), self.of("A", consent.agent_id));
        format!(" consent {id} {agent} token {}{}", self.token(&consent.token), whence(&consent.visitor))
    }

    /// What a revoke says of the consent that is over with it.
    pub(crate) fn taken_back(&mut self, consent: &Withdrawal) -> String {
        let (id, agent, by) = (self.of("R", consent.consent_id), self.of("A", consent.agent_id), consent.by.as_str());
        format!(" consent {id} {agent} {} taken_back_by {by}{}", keys(&consent.scopes), whence(&consent.visitor))
    }

    pub(crate) fn verified(&mut self, verified: &TokenVerified) -> String {
        let (consent, grant) = (self.of("R", verified.consent_id), self.of("G", verified.authorization_id));
        let (token, decision) = (self.token(&verified.token), verified.decision().as_str());
        format!("verified {consent} {grant} {token} {decision} {}", verified.reason.as_str())
    }

    pub(crate) fn consent_agent(&mut self, event: &ConsentAgentEvent) -> String {
        match event {
            ConsentAgentEvent::Created { agent_id, terms, .. } => format!("agent {} {}", self.of("A", agent_id), agent_terms(terms)),
            ConsentAgentEvent::Changed { agent_id, terms } => format!("agent_changed {} {}", self.of("A", agent_id), agent_terms(terms)),
            ConsentAgentEvent::SecretRotated { agent_id, generation } => format!("secret_rotated {} {generation}", self.of("A", agent_id)),
        }
    }

    pub(crate) fn consent(&mut self, event: &ConsentEvent) -> String {
        match event {
            ConsentEvent::Requested(asked) => {
                let (id, grant, agent) =
                    (self.of("R", asked.consent_id), self.of("G", asked.authorization_id), self.of("A", asked.agent_id));
                let keys: Vec<ScopeName> = asked.scopes.iter().map(|scope| scope.key.clone()).collect();
                let about = (&asked.user_id, self::keys(&keys), &asked.redirect_url, time(asked.expires_at));
                format!("asked {id} {grant} {agent} {} {} to {} until {}", about.0, about.1, about.2, about.3)
            }
            ConsentEvent::Viewed(viewed) => {
                let (id, grant) = (self.of("R", viewed.consent_id), self.of("G", viewed.authorization_id));
                format!("viewed {id} {grant} {}{}", self.of("A", viewed.agent_id), whence(&viewed.visitor))
            }
            ConsentEvent::Declined(declined) => {
                let (id, grant, agent) =
                    (self.of("R", declined.consent_id), self.of("G", declined.authorization_id), self.of("A", declined.agent_id));
                format!("declined {id} {grant} {agent} {} {}{}", declined.user_id, keys(&declined.scopes), whence(&declined.visitor))
            }
            ConsentEvent::Withdrawn(withdrawn) => {
                let (id, grant, agent) =
                    (self.of("R", withdrawn.consent_id), self.of("G", withdrawn.authorization_id), self.of("A", withdrawn.agent_id));
                format!("withdrawn {id} {grant} {agent} {} {}", withdrawn.user_id, keys(&withdrawn.scopes))
            }
            ConsentEvent::Minted(minted) => {
                let (id, grant, agent) =
                    (self.of("R", minted.consent_id), self.of("G", minted.authorization_id), self.of("A", minted.agent_id));
                format!("minted {id} {grant} {agent} {} {} {}", minted.user_id, keys(&minted.scopes), self.token(&minted.token))
            }
            ConsentEvent::ManageLink(link) => format!("linked {} until {}", link.user_id, time(link.expires_at)),
        }
    }

    /// What others are told of a record: its webhook, its row in the audit list.
    pub(crate) fn told(&mut self, record: &Record, hash: Hash) -> Vec<String> {
        let webhook = notice(record, hash).map(|notice| self.notice(&notice, record));
        let row = row(record, hash).map(|row| {
            assert_eq!((row.id.time_ms(), row.created_at), (record.time.as_ms(), record.time));
            self.row(&row)
        });
        webhook.into_iter().chain(row).collect()
    }

    /// `notice consent.approved R1 A1 user a|b token X1 until 10:00`
    fn notice(&mut self, notice: &Notice, record: &Record) -> String {
        assert_eq!(notice.created_at, record.time);
        let (id, agent) = (self.of("R", notice.consent_id), self.of("A", notice.agent_id));
        let token = notice.claims.as_ref().map_or(String::new(), |claims| {
            assert_eq!((&claims.user_id, claims.agent_id), (&notice.user_id, notice.agent_id));
            assert_eq!((claims.consent_id, &claims.scopes), (notice.consent_id, &notice.scopes));
            let token = TokenTerms { token_id: claims.token_id, expires_at: claims.expires_at };
            format!(" token {}", self.token(&token))
        });
        format!("notice {} {id} {agent} {} {}{token}", notice.kind, notice.user_id, keys(&notice.scopes))
    }

    /// `row approved end_user R1 A1 from 192.0.2.7`
    fn row(&mut self, row: &AuditRowBody) -> String {
        let consent = row.consent_id.map_or("-".to_owned(), |id| self.of("R", id));
        let agent = row.agent_id.as_ref().map_or("-".to_owned(), |id| self.of("A", id));
        let from = option("from", row.ip_address.as_ref()) + &option("with", row.user_agent.as_ref());
        format!("row {} {} {consent} {agent}{from}", row.event_type, row.actor)
    }

    /// The rows of the requests that nobody answered in time.
    pub(crate) fn lapses(&mut self, state: &State, workspace_id: WorkspaceId, now: Timestamp) -> Vec<String> {
        let lapsed: Vec<&Consent> = state.lapsed_consents(workspace_id, now, None).map(|(_, consent)| consent).collect();
        lapsed.into_iter().map(|consent| format!("{} at {}", self.row(&row_of_lapse(consent)), time(consent.expires_at))).collect()
    }

    /// How a request stands.
    pub(crate) fn standing(&self, state: &State, name: &str, now: Timestamp) -> Vec<String> {
        let (.., consent) = state.consent(ConsentId::parse(&self.text(name)).expect("a consent")).expect("a known one");
        vec![consent.status(now).as_str().to_owned() + &option("since", consent.approved_at().map(time))]
    }
}

/// `Travel life 3600 hook https://... origins https://a.example default`
fn agent_terms(terms: &AgentTerms) -> String {
    let origins = terms.redirect_origins.iter().map(ToString::to_string).collect::<Vec<_>>().join("|");
    let (hook, origins) = (option("hook", terms.webhook_url.as_ref()), option("origins", Some(origins).filter(|all| !all.is_empty())));
    format!("{} life {}{hook}{origins}{}", terms.name, terms.token_life_s, if terms.is_default { " default" } else { "" })
}
