//! Decisions: a command and the state become events and an outcome. Nothing is written here.

use allowlog_proto::api::allowly::CheckBody;
use allowlog_proto::event::{Event, Role};
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::time::Timestamp;
use subtle::ConstantTimeEq as _;

use crate::command::{Action, Command, Credential, Operation, Payments, Registration, Visit};
use crate::ids::Ids;
use crate::rejected::Rejected;
use crate::state::{ApiKey, State};

mod agents;
mod api_keys;
mod bundles;
mod check;
mod conditions;
mod confirm;
mod consent_agents;
mod consents;
mod create;
mod delegations;
mod devices;
mod explain;
mod gate;
mod offline;
mod outcome;
mod payment_intents;
mod resolve;
mod revoke;
mod signing_keys;
mod static_constraints;
mod tombstones;
mod workspaces;

pub use api_keys::{ApiKeyCreated, ApiKeyRevoked};
pub use explain::{Counters, Explanation, Rung, Standing, explain};
pub use outcome::{Checked, Created, CredentialIssued, IntentAt, Outcome, Resolved, RevokedNow, Settled};
pub use signing_keys::SigningKeyRotated;
pub use workspaces::{WorkspaceChanged, WorkspaceCreated};

/// In place of the hash of a secret.
const NOBODY: [u8; 32] = [0; 32];

/// What is to be stored, all of it or nothing, and what is to be answered once it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Whose chain the events go to.
    pub workspace_id: WorkspaceId,
    /// In order; may be empty.
    pub events: Vec<Event>,
    /// For the caller.
    pub outcome: Outcome,
}

impl Decided {
    /// Events of a caller's command, decided at `now`, whose answer is theirs: so a retry can be answered from the log.
    fn answered_by(workspace_id: WorkspaceId, events: Vec<Event>, now: Timestamp) -> Self {
        let Some(outcome) = Outcome::of(&events, now) else { unreachable!("the events of a caller's command have an answer") };
        Self { workspace_id, events, outcome }
    }

    /// Decides the next check of a batch that was opened at `now`: its events are what is returned, once those of the check
    /// before it are in the state, and its results stand behind the others in the outcome. A retry decides nothing.
    pub fn decide_next(&mut self, state: &State, check: &CheckBody, now: Timestamp, ids: &mut Ids) -> Vec<Event> {
        let Outcome::Checked(checked) = &mut self.outcome else { return Vec::new() };
        let decided = check::check(state, self.workspace_id, check, now, ids);
        if let Outcome::Checked(next) = decided.outcome {
            checked.results.extend(next.results);
        }
        decided.events
    }
}

/// Decides a command at the instant `now`, which must not lie before that of any record in the state. A batch of checks is
/// opened by this, and has no events of its own: [`Decided::decide_next`] decides each of its checks.
///
/// # Errors
/// Then nothing was decided and nothing is to be stored. A denial is not an error.
pub fn decide(state: &State, command: &Command, now: Timestamp, ids: &mut Ids) -> Result<Decided, Rejected> {
    match command {
        Command::Operator(operation) => operate(state, operation, now, ids),
        Command::Caller { credential, request, action } => {
            let workspace_id = may_act(state, credential, now)?;
            if let Some(request) = request
                && let Some(answered) = state.answered(workspace_id, request, now)
            {
                return if answered.is_same(request) {
                    Ok(Decided { workspace_id, events: Vec::new(), outcome: Outcome::Repeated(answered) })
                } else {
                    Err(Rejected::IdempotencyKeyReused)
                };
            }
            act(state, workspace_id, action, now, ids)
        }
        Command::Visitor { visitor, visit } => match visit {
            Visit::View(id) => consents::view(state, *id, visitor),
            Visit::Answer { consent_id, approves } => consents::answer(state, *consent_id, *approves, visitor, now, ids),
            Visit::Withdraw { workspace_id, user_id, consent_id } => {
                consents::withdraw_own(state, *workspace_id, user_id, *consent_id, visitor, now, ids)
            }
        },
    }
}

fn operate(state: &State, operation: &Operation, now: Timestamp, ids: &mut Ids) -> Result<Decided, Rejected> {
    match operation {
        Operation::CreateWorkspace { name, plan, public_key, api_key, metadata } => {
            workspaces::create(state, (name, *plan), public_key, api_key.as_ref(), metadata, now, ids)
        }
        Operation::CreateFirstApiKey { workspace_id, api_key } => api_keys::create_first(state, *workspace_id, api_key, now),
        Operation::ChangeWorkspace { workspace_id, name, plan } => workspaces::change(state, *workspace_id, name.as_ref(), *plan),
        Operation::CreateApiKey { workspace_id, api_key } => api_keys::create(state, *workspace_id, api_key, now),
        Operation::RevokeApiKey { workspace_id, api_key_id } => api_keys::revoke(state, *workspace_id, *api_key_id, now),
        Operation::RotateSigningKey { workspace_id, public_key } => signing_keys::rotate(state, *workspace_id, public_key, now),
    }
}

fn act(state: &State, workspace_id: WorkspaceId, action: &Action, now: Timestamp, ids: &mut Ids) -> Result<Decided, Rejected> {
    match action {
        Action::Create(body) => create::create(state, workspace_id, body, now, ids),
        Action::Revoke(id, body) => revoke::revoke(state, workspace_id, *id, body, now, ids),
        Action::Check(body) => Ok(check::check(state, workspace_id, body, now, ids)),
        Action::CheckBatch(_) => Ok(check::open_batch(workspace_id, now)),
        Action::Confirm(nonce, body) => confirm::confirm(state, workspace_id, *nonce, *body, now, ids),
        Action::Resolve(id, body) => resolve::resolve(state, workspace_id, *id, body, now, ids),
        Action::CreateBundle(body) => bundles::create(state, workspace_id, body, now),
        Action::DeleteBundle(id) => bundles::delete(state, workspace_id, id.as_ref(), now),
        Action::PlaceTombstone(body) => tombstones::place(state, workspace_id, body, now, ids),
        Action::LiftTombstone(id) => tombstones::lift(state, workspace_id, *id, now),
        Action::Ask(body, spare_key) => consents::ask(state, workspace_id, body, *spare_key, now, ids),
        Action::WithdrawConsent(id) => consents::withdraw(state, workspace_id, *id, now, ids),
        Action::MintToken(id) => consents::mint(state, workspace_id, *id, now, ids),
        Action::VerifyToken { consent_id, agent_id, token } => {
            consents::verify(state, workspace_id, *consent_id, *agent_id, *token, now, ids)
        }
        Action::CreateManageLink(user_id) => Ok(consents::link(workspace_id, user_id, now)),
        Action::CreateConsentAgent(terms, public_key) => consent_agents::create(state, workspace_id, terms, *public_key, now, ids),
        Action::ChangeConsentAgent(id, body) => consent_agents::change(state, workspace_id, *id, body, now),
        Action::RotateWebhookSecret(id) => consent_agents::rotate_secret(state, workspace_id, *id, now),
        Action::CreateApiKey(asked, api_key) => api_keys::create_own(state, workspace_id, *asked, api_key, now),
        Action::Register(registration) => register(state, workspace_id, registration, now, ids),
        Action::Pay(payments) => pay(state, workspace_id, payments, now, ids),
    }
}

fn register(
    state: &State,
    workspace_id: WorkspaceId,
    registration: &Registration,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    match registration {
        Registration::Agent(body) => agents::register(workspace_id, body, now, ids),
        Registration::AgentStatus(id, status) => agents::set_status(state, workspace_id, *id, *status, now),
        Registration::Credential { agent_id, public_key, expires_at } => {
            agents::issue_credential(state, workspace_id, *agent_id, (*public_key, *expires_at), now, ids)
        }
        Registration::Device(body) => Ok(devices::register(workspace_id, body, now, ids)),
        Registration::Attest(id, body) => devices::attest(state, workspace_id, *id, body, now),
        Registration::RevokeDevice(id, body) => devices::revoke(state, workspace_id, *id, body, now),
    }
}

fn pay(state: &State, workspace_id: WorkspaceId, payments: &Payments, now: Timestamp, ids: &mut Ids) -> Result<Decided, Rejected> {
    match payments {
        Payments::Delegate(body) => delegations::create(state, workspace_id, body, now, ids),
        Payments::Revoke(id, body) => delegations::revoke(state, workspace_id, *id, body, now, ids),
        Payments::Decide(body) => gate::decide(state, workspace_id, body, now, ids),
        Payments::CreateIntent(body) => payment_intents::create(state, workspace_id, body, now, ids),
        Payments::Authorise(id, body) => payment_intents::authorise(state, workspace_id, *id, body, now, ids),
        Payments::Capture(id, body) => payment_intents::capture(state, workspace_id, *id, *body, now, ids),
        Payments::Cancel(id) => payment_intents::cancel(state, workspace_id, *id, now, ids),
        Payments::IssueToken(body) => offline::issue(state, workspace_id, body, now, ids),
        Payments::Queue(body) => offline::queue(state, workspace_id, body, now, ids),
        Payments::Reconcile(body) => offline::reconcile(state, workspace_id, body, now, ids),
    }
}

/// The workspace this API key opens at `now`, whatever it may do there.
///
/// # Errors
/// [`Rejected::Unauthorized`] for an unknown, a revoked, an expired and a wrong key alike. Secrets are compared in
/// constant time.
pub fn authenticate(state: &State, credential: &Credential, now: Timestamp) -> Result<WorkspaceId, Rejected> {
    live_key(state, credential, now).map(|key| key.workspace_id)
}

/// The workspace this API key opens at `now`, if its holder may do what leaves an event.
///
/// # Errors
/// [`Rejected::Unauthorized`], or [`Rejected::Forbidden`] for a key that may only read.
pub fn may_act(state: &State, credential: &Credential, now: Timestamp) -> Result<WorkspaceId, Rejected> {
    let key = live_key(state, credential, now)?;
    match key.role {
        Role::Runtime => Ok(key.workspace_id),
        Role::Read => Err(Rejected::Forbidden),
    }
}

fn live_key<'s>(state: &'s State, credential: &Credential, now: Timestamp) -> Result<&'s ApiKey, Rejected> {
    let key = state.api_key(credential.api_key_id);
    // An unknown key is compared as well, so that it takes as long to refuse as a wrong one.
    let stored = key.map_or(&NOBODY, |key| &key.secret_hash);
    let genuine = bool::from(stored.ct_eq(&credential.secret_hash));
    let live = |key: &ApiKey| key.revoked_at.is_none() && key.expires_at.is_none_or(|end| now < end);
    key.filter(|key| genuine && live(key)).ok_or(Rejected::Unauthorized)
}
