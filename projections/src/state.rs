//! State: the fold of the log that decisions need. It never reads a clock; what has lapsed is told by comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use allowlog_proto::chain::Hash;
use allowlog_proto::event::Event;
use allowlog_proto::id::{ApiKeyId, AuthorizationId, EscalationId, Nonce, WorkspaceId};
use allowlog_proto::record::Record;
use allowlog_proto::text::Resource;
use allowlog_proto::time::Timestamp;

mod api_key;
mod authorization;
mod check;
mod confirmation;
mod escalation;
mod signing_key;
mod workspace;

pub use api_key::ApiKey;
pub use authorization::{Authorization, Live, Scope, Window};
pub use confirmation::Question;
pub use escalation::{Escalation, Status};
pub use signing_key::SigningKey;
pub use workspace::Workspace;

/// The fold of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    workspaces: BTreeMap<WorkspaceId, Workspace>,
    api_keys: BTreeMap<ApiKeyId, ApiKey>,
    authorizations: BTreeMap<AuthorizationId, Authorization>,
    questions: BTreeMap<Nonce, Question>,
    escalations: BTreeMap<EscalationId, Escalation>,
    lapses: BTreeSet<(Timestamp, Lapse)>,
}

/// What can be forgotten from an instant on. Forgetting saves memory; no decision depends on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Lapse {
    Question(Nonce),
    Confirmation(AuthorizationId, usize, Option<Resource>),
}

impl State {
    /// The state of an empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Folds one record in. Total: it decides nothing, and asserts what the decider promised.
    pub fn apply(&mut self, record: &Record) {
        self.forget(record.time);
        match &record.event {
            Event::Workspace(event) => self.apply_workspace(record, event),
            Event::ApiKey(event) => self.apply_api_key(record, event),
            Event::SigningKey(event) => self.apply_signing_key(record, event),
            Event::Authorization(event) => self.apply_authorization(record, event),
            Event::Check(event) => self.apply_check(record, event),
            Event::Confirmation(event) => self.apply_confirmation(event),
            Event::Escalation(event) => self.apply_escalation(record, event),
        }
    }

    /// Drops what lapsed before `now`, the time of the record being applied, so that every replay drops the same.
    fn forget(&mut self, now: Timestamp) {
        while self.lapses.first().is_some_and(|(at, _)| *at <= now) {
            match self.lapses.pop_first() {
                Some((_, Lapse::Question(nonce))) => {
                    self.questions.remove(&nonce);
                }
                Some((_, Lapse::Confirmation(id, scope, resource))) => {
                    if let Some(authorization) = self.authorizations.get_mut(&id) {
                        authorization.forget_confirmation(scope, &resource, now);
                    }
                }
                None => {}
            }
        }
    }

    /// The workspace.
    pub fn workspace(&self, id: WorkspaceId) -> Option<&Workspace> {
        self.workspaces.get(&id)
    }

    /// Every workspace, oldest first.
    pub fn workspaces(&self) -> impl Iterator<Item = (WorkspaceId, &Workspace)> {
        self.workspaces.iter().map(|(id, workspace)| (*id, workspace))
    }

    /// The API key, of whatever workspace.
    pub fn api_key(&self, id: ApiKeyId) -> Option<&ApiKey> {
        self.api_keys.get(&id)
    }

    /// The API keys of a workspace.
    pub fn api_keys(&self, workspace_id: WorkspaceId) -> impl Iterator<Item = (ApiKeyId, &ApiKey)> {
        self.api_keys.iter().filter(move |(_, key)| key.workspace_id == workspace_id).map(|(id, key)| (*id, key))
    }

    /// The authorization, if it is this workspace's: that of another behaves as if it did not exist.
    pub fn authorization(&self, workspace_id: WorkspaceId, id: AuthorizationId) -> Option<&Authorization> {
        self.authorizations.get(&id).filter(|a| a.workspace_id == workspace_id)
    }

    /// How many authorizations there are, revoked ones included.
    pub fn authorizations_count(&self) -> usize {
        self.authorizations.len()
    }

    /// The open question of this nonce, with the authorization it is about, if it is this workspace's.
    pub fn question(&self, workspace_id: WorkspaceId, nonce: Nonce) -> Option<(&Question, &Authorization)> {
        let question = self.questions.get(&nonce)?;
        Some((question, self.authorization(workspace_id, question.authorization_id)?))
    }

    /// The escalation, of whatever workspace.
    pub(crate) fn escalation(&self, id: EscalationId) -> Option<&Escalation> {
        self.escalations.get(&id)
    }

    /// The escalation with the authorization it is about, if it is this workspace's.
    pub fn escalation_of(&self, workspace_id: WorkspaceId, id: EscalationId) -> Option<(&Escalation, &Authorization)> {
        let escalation = self.escalations.get(&id)?;
        Some((escalation, self.authorization(workspace_id, escalation.authorization_id)?))
    }

    /// A hash over all of it: two states with the same hash are the same. To be compared within one build only, since it
    /// goes by the names of fields.
    pub fn hash(&self) -> Hash {
        let mut hasher = StateHasher(blake3::Hasher::new());
        // Every field takes part without being named, since `Debug` is derived; writing to a hasher cannot fail.
        let _ = write!(hasher, "{self:?}");
        Hash(*hasher.0.finalize().as_bytes())
    }
}

struct StateHasher(blake3::Hasher);

impl std::fmt::Write for StateHasher {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}
