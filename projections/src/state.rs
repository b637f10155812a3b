//! State: the fold of the log that decisions need. It never reads a clock; what has lapsed is told by comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::ops::Bound;

use allowlog_proto::chain::Hash;
use allowlog_proto::event::Event;
use allowlog_proto::id::{
    ApiKeyId, AuthorizationId, ConsentAgentId, DeviceId, EscalationId, Nonce, OfflineTokenId, ReceiptId, RegisteredAgentId, WorkspaceId,
};
use allowlog_proto::merkle::{entry, leaf};
use allowlog_proto::record::Record;
use allowlog_proto::text::{IdempotencyKey, OpaqueId, Resource};
use allowlog_proto::time::Timestamp;

mod agent;
mod api_key;
mod authorization;
mod bundle;
mod check;
mod confirmation;
mod consent;
mod consent_agent;
mod delegation;
mod device;
mod escalation;
mod offline;
mod payment;
mod request;
mod signing_key;
mod size;
mod spend;
mod stored;
mod tombstone;
mod workspace;

pub use agent::RegisteredAgent;
pub use api_key::ApiKey;
use authorization::Authorizations;
pub use authorization::{Authorization, Live, Scope};
pub use bundle::LiveBundle;
pub use confirmation::Question;
use consent::Consents;
pub use consent::{Consent, ConsentAnswer, ConsentStatus};
pub use consent_agent::{ConsentAgent, compressed};
pub use delegation::Delegation;
pub use device::Device;
pub use escalation::{Escalation, Status};
use offline::OfflineTokens;
pub use offline::{OfflineToken, OfflineTransaction, Queue};
pub use payment::{Authorisation, Done, Intent, IntentStatus, LiveDecision, Progress};
use payment::{Intents, LiveDecisions};
pub use request::Answered;
pub use signing_key::SigningKey;
pub use spend::Left;
pub use tombstone::Tombstone;
pub use workspace::Workspace;

use stored::{Stored, stored, unknown};

/// The fold of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    workspaces: BTreeMap<WorkspaceId, Workspace>,
    api_keys: BTreeMap<ApiKeyId, ApiKey>,
    authorizations: Authorizations,
    questions: BTreeMap<Nonce, Question>,
    escalations: BTreeMap<(WorkspaceId, EscalationId), Escalation>,
    requests: BTreeMap<(WorkspaceId, IdempotencyKey), Answered>,
    consent_agents: BTreeMap<(WorkspaceId, ConsentAgentId), ConsentAgent>,
    /// Whose agents they are.
    agent_owners: BTreeMap<ConsentAgentId, WorkspaceId>,
    consents: Consents,
    registered_agents: BTreeMap<(WorkspaceId, RegisteredAgentId), RegisteredAgent>,
    devices: BTreeMap<(WorkspaceId, DeviceId), Device>,
    decisions: LiveDecisions,
    intents: Intents,
    offline_tokens: OfflineTokens,
    offline_queues: BTreeMap<(WorkspaceId, OpaqueId), Queue>,
    lapses: BTreeSet<(Timestamp, Lapse)>,
    /// Records folded so far: the log sequence of the next one.
    next_sequence: u64,
}

/// What can be forgotten from an instant on. Forgetting saves memory; no decision depends on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Lapse {
    Question(Nonce),
    Confirmation(WorkspaceId, AuthorizationId, usize, Option<Resource>),
    Request(WorkspaceId, IdempotencyKey),
    Decision(WorkspaceId, ReceiptId),
    Reservation(WorkspaceId, OfflineTokenId),
}

stored!(State {
    workspaces,
    api_keys,
    authorizations,
    questions,
    escalations,
    requests,
    consent_agents,
    agent_owners,
    consents,
    registered_agents,
    devices,
    decisions,
    intents,
    offline_tokens,
    offline_queues,
    lapses,
    next_sequence
});

impl State {
    /// Changes with whatever changes the fold of a log, or its bytes in a snapshot: a snapshot of another version is not read.
    pub const VERSION: u32 = 4;

    /// The state of an empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Folds one record in, whose bytes hash to `hash`. Total: it decides nothing, and asserts what the decider promised.
    pub fn apply(&mut self, record: &Record, hash: Hash) {
        self.forget(record.time);
        self.remember_request(record);
        match &record.event {
            Event::Workspace(event) => self.apply_workspace(record, event),
            Event::ApiKey(event) => self.apply_api_key(record, event),
            Event::SigningKey(event) => self.apply_signing_key(record, event),
            Event::Authorization(event) => self.apply_authorization(record, event),
            Event::Check(event) => self.apply_check(record, event),
            Event::Confirmation(event) => self.apply_confirmation(record, event),
            Event::Escalation(event) => self.apply_escalation(record, event),
            Event::Bundle(event) => self.apply_bundle(record, event),
            Event::Tombstone(event) => self.apply_tombstone(record, event),
            Event::ConsentAgent(event) => self.apply_consent_agent(record, event),
            Event::Consent(event) => self.apply_consent(record, event),
            Event::Agent(event) => self.apply_agent(record, event),
            Event::Device(event) => self.apply_device(record, event),
            Event::Payment(event) => self.apply_payment(record, event),
        }
        self.workspace_mut(record).tree.push(leaf(&entry(hash, &record.receipt)), |_, _| {});
        self.next_sequence = self.next_sequence.saturating_add(1);
    }

    /// Drops what lapsed before `now`, the time of the record being applied, so that every replay drops the same.
    fn forget(&mut self, now: Timestamp) {
        while self.lapses.first().is_some_and(|(at, _)| *at <= now) {
            match self.lapses.pop_first() {
                Some((_, Lapse::Question(nonce))) => {
                    self.questions.remove(&nonce);
                }
                Some((_, Lapse::Confirmation(workspace_id, id, scope, resource))) => {
                    if let Some(authorization) = self.authorizations.by_id.get_mut(&(workspace_id, id)) {
                        authorization.forget_confirmation(scope, &resource, now);
                    }
                }
                Some((_, Lapse::Request(workspace_id, key))) => {
                    self.requests.remove(&(workspace_id, key));
                }
                Some((_, Lapse::Decision(workspace_id, id))) => self.decisions.remove((workspace_id, id)),
                Some((_, Lapse::Reservation(workspace_id, id))) => self.forget_reservation(workspace_id, id, now),
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
        self.authorizations.by_id.get(&(workspace_id, id)).map(|authorization| &**authorization)
    }

    /// The authorizations of a workspace, oldest first, those before `end` if it is given.
    pub fn authorizations(
        &self,
        workspace_id: WorkspaceId,
        end: Option<AuthorizationId>,
    ) -> impl DoubleEndedIterator<Item = (AuthorizationId, &Authorization)> {
        before(&self.authorizations.by_id, workspace_id, AuthorizationId::from_bytes, end).map(|(id, authorization)| (id, &**authorization))
    }

    /// When an authorization was granted: what its id says, unless a consent was asked for under that id before.
    pub fn granted_at(&self, workspace_id: WorkspaceId, id: AuthorizationId) -> Timestamp {
        let approved_at = self.consent_at(workspace_id, id).and_then(Consent::approved_at);
        approved_at.or_else(|| Timestamp::from_ms(id.time_ms())).unwrap_or_default()
    }

    /// How many authorizations there are, revoked ones included.
    pub fn authorizations_count(&self) -> usize {
        self.authorizations.by_id.len()
    }

    /// The open question of this nonce, with the authorization it is about, if it is this workspace's.
    pub fn question(&self, workspace_id: WorkspaceId, nonce: Nonce) -> Option<(&Question, &Authorization)> {
        let question = self.questions.get(&nonce)?;
        Some((question, self.authorization(workspace_id, question.authorization_id)?))
    }

    /// The escalation, if it is this workspace's.
    pub fn escalation(&self, workspace_id: WorkspaceId, id: EscalationId) -> Option<&Escalation> {
        self.escalations.get(&(workspace_id, id))
    }

    /// The escalations of a workspace, oldest first, those before `end` if it is given.
    pub fn escalations(
        &self,
        workspace_id: WorkspaceId,
        end: Option<EscalationId>,
    ) -> impl DoubleEndedIterator<Item = (EscalationId, &Escalation)> {
        before(&self.escalations, workspace_id, EscalationId::from_bytes, end)
    }

    /// Things in it whose number grows with use: about what a snapshot takes to be written and read.
    pub fn size(&self) -> usize {
        let asked = self.questions.len().saturating_add(self.escalations.len());
        let paid = self.intents.len().saturating_add(self.offline_tokens.len()).saturating_add(self.decisions.len());
        let named = self.requests.len().saturating_add(self.consents.len());
        self.authorizations.by_id.len().saturating_add(asked).saturating_add(named).saturating_add(paid)
    }

    /// Writes all of it into a snapshot.
    ///
    /// # Errors
    /// As the writer says.
    pub fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        Stored::save(self, to)
    }

    /// Reads what [`State::save`] of the same version wrote.
    ///
    /// # Errors
    /// As the reader says, or if what is there is no state.
    pub fn load(from: &mut dyn Read) -> io::Result<Self> {
        Stored::load(from)
    }

    /// A hash over all of it: two states with the same hash are the same. To be compared within one [`State::VERSION`].
    pub fn hash(&self) -> Hash {
        let mut hasher = io::BufWriter::new(blake3::Hasher::new());
        // Writing to a hasher cannot fail.
        let _ = self.save(&mut hasher).and_then(|()| hasher.flush());
        Hash(*hasher.get_ref().finalize().as_bytes())
    }
}

/// What a workspace has in a map, those before `end` if it is given; `id` makes an id of its bytes.
fn before<I: Ord + Copy, T>(
    map: &BTreeMap<(WorkspaceId, I), T>,
    workspace_id: WorkspaceId,
    id: impl Fn([u8; 16]) -> I,
    end: Option<I>,
) -> impl DoubleEndedIterator<Item = (I, &T)> {
    let first = Bound::Included((workspace_id, id([0; 16])));
    let last = end.map_or(Bound::Included((workspace_id, id([0xff; 16]))), |id| Bound::Excluded((workspace_id, id)));
    map.range((first, last)).map(|((_, id), value)| (*id, value))
}

impl Stored for Lapse {
    fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Question(nonce) => (0_u8, *nonce).save(to),
            Self::Confirmation(workspace_id, id, scope, resource) => {
                (1_u8, (*workspace_id, *id)).save(to)?;
                scope.save(to)?;
                resource.save(to)
            }
            Self::Request(workspace_id, key) => {
                (2_u8, *workspace_id).save(to)?;
                key.save(to)
            }
            Self::Decision(workspace_id, id) => (3_u8, (*workspace_id, *id)).save(to),
            Self::Reservation(workspace_id, id) => (4_u8, (*workspace_id, *id)).save(to),
        }
    }

    fn load(from: &mut dyn Read) -> io::Result<Self> {
        match u8::load(from)? {
            0 => Ok(Self::Question(Stored::load(from)?)),
            1 => Ok(Self::Confirmation(Stored::load(from)?, Stored::load(from)?, Stored::load(from)?, Stored::load(from)?)),
            2 => Ok(Self::Request(Stored::load(from)?, Stored::load(from)?)),
            3 => Ok(Self::Decision(Stored::load(from)?, Stored::load(from)?)),
            4 => Ok(Self::Reservation(Stored::load(from)?, Stored::load(from)?)),
            tag => Err(unknown(tag)),
        }
    }
}
