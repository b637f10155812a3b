//! The contract once more, slow and obvious: vectors of facts, all of them searched every time, none forgotten.
//!
//! Written from sections 3 to 6 of the Allowly API in its scopes form. It shares no constant with the real core.

use allowlog_projections::command::{Action, Command, Credential, Operation};
use allowlog_projections::decide::{Decided, Outcome};
use allowlog_projections::rejected::Rejected;
use allowlog_proto::api::allowly::{CheckBody, ConfirmBody, CreateBody, ResolveBody, RevokeBody};
use allowlog_proto::event::{Answer as UserAnswer, Constraints, Resolution, Verdict};
use allowlog_proto::id::{ApiKeyId, AuthorizationId, EscalationId, Nonce, WorkspaceId};
use allowlog_proto::reason::Reason;
use allowlog_proto::text::{Approver, Resource, ScopeName};
use allowlog_proto::time::Timestamp;

const FIVE_MINUTES: u64 = 300_000;
const A_DAY: u64 = 86_400_000;

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) workspaces: Vec<WorkspaceId>,
    pub(crate) api_keys: Vec<ApiKey>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) questions: Vec<Question>,
    pub(crate) confirmations: Vec<Confirmation>,
    pub(crate) escalations: Vec<Escalation>,
    signing_keys: Vec<(WorkspaceId, [u8; 32], Timestamp)>,
    allows: Vec<(AuthorizationId, ScopeName, String)>,
    minted: Vec<String>,
}

pub(crate) struct ApiKey {
    pub(crate) credential: Credential,
    pub(crate) workspace: WorkspaceId,
    pub(crate) revoked: bool,
}

pub(crate) struct Grant {
    pub(crate) id: AuthorizationId,
    workspace: WorkspaceId,
    body: CreateBody,
    revoked: bool,
}

/// What a confirmation or an escalation is bound to.
#[derive(Clone, PartialEq)]
pub(crate) struct Binding {
    pub(crate) grant: AuthorizationId,
    pub(crate) scope: ScopeName,
    pub(crate) resource: Option<Resource>,
}

pub(crate) struct Question {
    pub(crate) nonce: Nonce,
    pub(crate) binding: Binding,
    asked_at: Timestamp,
    pub(crate) answered: bool,
}

pub(crate) struct Confirmation {
    pub(crate) id: AuthorizationId,
    binding: Binding,
    until: Timestamp,
}

pub(crate) struct Escalation {
    pub(crate) id: EscalationId,
    pub(crate) binding: Binding,
    asked_at: Timestamp,
    resolution: Option<(Resolution, Approver, Timestamp)>,
    used: bool,
}

/// An answer without what chance decides: of a minted id remains that it is new.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    Refused(&'static str),
    Invalid(String),
    Operated,
    Rotated(Timestamp),
    Created,
    Revoked,
    Checked(Vec<Line>),
    Approved(Timestamp),
    Declined,
    Resolved { resolution: Resolution, by: Approver, at: Timestamp, again: bool },
}

#[derive(Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) decision: &'static str,
    pub(crate) reason: Reason,
    /// The escalation asked for again, or consumed.
    escalation: Option<EscalationId>,
    escalation_to: Option<Approver>,
    until: Option<Timestamp>,
}

fn line(decision: &'static str, reason: Reason) -> Line {
    Line { decision, reason, escalation: None, escalation_to: None, until: None }
}

fn date(instant: Timestamp) -> String {
    instant.to_string()[..10].to_owned()
}

fn after(instant: Timestamp, ms: u64) -> Timestamp {
    Timestamp::from_ms(instant.as_ms() + ms).unwrap()
}

impl Question {
    pub(crate) fn until(&self) -> Timestamp {
        after(self.asked_at, FIVE_MINUTES)
    }
}

/// Tries every way a star can be read.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|at| glob(rest, &text[at..])),
        Some((byte, rest)) => text.first() == Some(byte) && glob(rest, &text[1..]),
    }
}

impl Model {
    /// What the contract says the answer is.
    pub(crate) fn answer(&self, command: &Command, now: Timestamp) -> Answer {
        let (credential, action) = match command {
            Command::Operator(operation) => return self.operate(operation, now),
            Command::Caller(credential, action) => (credential, action),
        };
        let Some(key) = self.api_keys.iter().find(|key| key.credential == *credential && !key.revoked) else {
            return Answer::Refused("unauthorized");
        };
        let workspace = key.workspace;
        match action {
            Action::Create(body) => self.create(workspace, body, now),
            Action::Revoke(id, body) => self.revoke(workspace, *id, body),
            Action::Check(body) => Answer::Checked(body.scopes.iter().map(|scope| self.check(workspace, body, scope, now)).collect()),
            Action::Confirm(nonce, body) => self.confirm(workspace, *nonce, *body, now),
            Action::Resolve(id, body) => self.resolve(workspace, *id, body, now),
        }
    }

    fn operate(&self, operation: &Operation, now: Timestamp) -> Answer {
        let key = |id: ApiKeyId| self.api_keys.iter().find(|key| key.credential.api_key_id == id);
        match operation {
            Operation::CreateWorkspace { api_key, .. } | Operation::CreateApiKey { api_key, .. } if key(api_key.api_key_id).is_some() => {
                Answer::Refused("conflict")
            }
            Operation::CreateWorkspace { .. } | Operation::CreateApiKey { .. } => Answer::Operated,
            Operation::RevokeApiKey { workspace_id, api_key_id } => match key(*api_key_id).filter(|key| key.workspace == *workspace_id) {
                None => Answer::Refused("not found"),
                Some(key) if key.revoked => Answer::Refused("conflict"),
                Some(_) => Answer::Operated,
            },
            Operation::RotateSigningKey { workspace_id, public_key } => {
                let mine = self.signing_keys.iter().filter(|(workspace, ..)| workspace == workspace_id);
                if mine.clone().any(|(_, key, _)| key == public_key) {
                    return Answer::Refused("conflict");
                }
                let last = mine.map(|(.., from)| *from).max().unwrap();
                Answer::Rotated(after(last.max(now), 1))
            }
        }
    }

    fn grant(&self, workspace: WorkspaceId, id: &str) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.id.to_string() == id && grant.workspace == workspace)
    }

    fn create(&self, workspace: WorkspaceId, body: &CreateBody, now: Timestamp) -> Answer {
        if body.expires_at <= now {
            return Answer::Invalid("body.expires_at".to_owned());
        }
        match &body.replaces {
            Some(id) if self.grant(workspace, id.as_str()).is_none() => Answer::Invalid("body.replaces".to_owned()),
            _ => Answer::Created,
        }
    }

    fn revoke(&self, workspace: WorkspaceId, id: Option<AuthorizationId>, body: &RevokeBody) -> Answer {
        let Some(grant) = id.and_then(|id| self.grant(workspace, &id.to_string())) else {
            return Answer::Refused("not found");
        };
        if grant.revoked {
            return Answer::Refused("conflict");
        }
        match &body.superseded_by {
            Some(id) if self.grant(workspace, id.as_str()).is_none_or(|other| other.id == grant.id) => {
                Answer::Invalid("body.superseded_by".to_owned())
            }
            _ => Answer::Revoked,
        }
    }

    fn check(&self, workspace: WorkspaceId, body: &CheckBody, scope: &ScopeName, now: Timestamp) -> Line {
        let Some(grant) = self.grant(workspace, body.authorization_id.as_str()) else {
            return line("deny", Reason::AuthorizationNotFound);
        };
        if grant.revoked {
            return line("deny", Reason::AuthorizationRevoked);
        }
        if now >= grant.body.expires_at {
            return line("deny", Reason::AuthorizationExpired);
        }
        let Some(granted) = grant.body.scopes.iter().find(|granted| granted.name == *scope) else {
            return line("deny", Reason::ScopeNotAuthorized);
        };
        let limits = granted.constraints.as_deref().cloned().unwrap_or_default();
        if !holds(&limits, body) {
            return line("deny", Reason::ScopeNotAuthorized);
        }
        let today = self.allows.iter().filter(|(id, name, day)| *id == grant.id && name == scope && *day == date(now)).count();
        if limits.max_per_day.is_some_and(|max| u64::try_from(today).unwrap() >= max) {
            return line("deny", Reason::RateLimitExceeded);
        }
        self.ask(grant, &Binding { grant: grant.id, scope: scope.clone(), resource: body.resource.clone() }, now)
    }

    /// The rungs on which people are asked, and those that allow.
    fn ask(&self, grant: &Grant, binding: &Binding, now: Timestamp) -> Line {
        let mine: Vec<&Escalation> = self.escalations.iter().filter(|escalation| escalation.binding == *binding).collect();
        let answered = |escalation: &Escalation, wanted: Resolution| {
            escalation.resolution.as_ref().is_some_and(|(resolution, _, at)| *resolution == wanted && now < after(*at, A_DAY))
        };
        if mine.iter().any(|escalation| answered(escalation, Resolution::Rejected)) {
            return line("deny", Reason::EscalationRejected);
        }
        let approved = mine.iter().find(|escalation| answered(escalation, Resolution::Approved) && !escalation.used);
        let escalates = grant.body.requires_escalation_for.contains(&binding.scope);
        if escalates && approved.is_none() {
            let open = mine.iter().find(|escalation| escalation.resolution.is_none() && now < after(escalation.asked_at, A_DAY));
            let target = grant.body.escalation_targets.iter().find(|(name, _)| *name == binding.scope);
            return Line {
                escalation: open.map(|escalation| escalation.id),
                escalation_to: target.map(|(_, to)| to.clone()),
                until: Some(after(open.map_or(now, |escalation| escalation.asked_at), A_DAY)),
                ..line("escalate", Reason::EscalationRequired)
            };
        }
        let confirms = grant.body.requires_confirm_for.contains(&binding.scope);
        let confirmed = self.confirmations.iter().any(|confirmation| confirmation.binding == *binding && now < confirmation.until);
        if confirms && !confirmed {
            return Line { until: Some(after(now, FIVE_MINUTES)), ..line("confirm", Reason::ScopeRequiresUserConfirmation) };
        }
        match approved {
            Some(used) if escalates => Line { escalation: Some(used.id), ..line("allow", Reason::AuthorizationGrantedViaEscalation) },
            _ if confirms => line("allow", Reason::AuthorizationGrantedViaConfirmation),
            _ => line("allow", Reason::AuthorizationGrantedScopeActive),
        }
    }

    fn confirm(&self, workspace: WorkspaceId, nonce: Option<Nonce>, body: ConfirmBody, now: Timestamp) -> Answer {
        let Some(question) = self.questions.iter().find(|question| Some(question.nonce) == nonce && !question.answered) else {
            return Answer::Refused("gone");
        };
        let Some(grant) = self.grant(workspace, &question.binding.grant.to_string()) else {
            return Answer::Refused("gone");
        };
        if now >= question.until() || grant.revoked || now >= grant.body.expires_at {
            return Answer::Refused("gone");
        }
        if body.approved { Answer::Approved(after(now, body.ttl_ms).min(grant.body.expires_at)) } else { Answer::Declined }
    }

    fn resolve(&self, workspace: WorkspaceId, id: Option<EscalationId>, body: &ResolveBody, now: Timestamp) -> Answer {
        let found = self.escalations.iter().find(|escalation| Some(escalation.id) == id);
        let found = found.and_then(|escalation| Some((escalation, self.grant(workspace, &escalation.binding.grant.to_string())?)));
        let Some((escalation, grant)) = found else {
            return Answer::Refused("not found");
        };
        match &escalation.resolution {
            Some((resolution, by, at)) if *resolution == body.resolution => {
                Answer::Resolved { resolution: *resolution, by: by.clone(), at: *at, again: true }
            }
            Some(_) => Answer::Refused("conflict"),
            None if now >= after(escalation.asked_at, A_DAY) || grant.revoked => Answer::Refused("gone"),
            None => Answer::Resolved { resolution: body.resolution, by: body.resolved_by.clone(), at: now, again: false },
        }
    }

    /// Takes note of what happened, with the ids that were minted, none of which may have been seen before.
    pub(crate) fn learn(&mut self, command: &Command, now: Timestamp, decided: &Decided) {
        match (command, &decided.outcome) {
            (Command::Operator(operation), outcome) => self.learn_operation(operation, now, outcome),
            (Command::Caller(_, Action::Create(body)), Outcome::Created(created)) => {
                let id = created.granted.authorization_id;
                self.mint(id);
                self.grants.push(Grant { id, workspace: decided.workspace_id, body: (**body).clone(), revoked: false });
            }
            (_, Outcome::Revoked(revoked)) => {
                self.grants.iter_mut().find(|grant| grant.id == revoked.authorization_id).unwrap().revoked = true;
            }
            (Command::Caller(_, Action::Check(body)), Outcome::Checked(checked)) => {
                for result in &checked.results {
                    self.learn_verdict(body, &result.scope, &result.verdict, now);
                }
            }
            (Command::Caller(_, Action::Confirm(nonce, _)), Outcome::Confirmed(confirmed)) => {
                let question = self.questions.iter_mut().find(|question| Some(question.nonce) == *nonce).unwrap();
                question.answered = true;
                let binding = question.binding.clone();
                match confirmed.answer {
                    UserAnswer::Approved { confirmation_id, expires_at } => {
                        self.mint(confirmation_id);
                        self.confirmations.push(Confirmation { id: confirmation_id, binding, until: expires_at });
                    }
                    // The last word is no: whatever was confirmed before ends here.
                    UserAnswer::Declined => {
                        self.confirmations.iter_mut().filter(|c| c.binding == binding).for_each(|c| c.until = c.until.min(now));
                    }
                }
            }
            (_, Outcome::Resolved(resolved)) if resolved.receipt_id.is_some() => {
                let escalation = self.escalations.iter_mut().find(|escalation| escalation.id == resolved.escalation_id).unwrap();
                escalation.resolution = Some((resolved.resolution, resolved.resolved_by.clone(), now));
            }
            (_, Outcome::Resolved(_)) => {}
            (command, outcome) => panic!("{outcome:?} is no answer to {command:?}"),
        }
    }

    fn learn_operation(&mut self, operation: &Operation, now: Timestamp, outcome: &Outcome) {
        let (workspace, key) = match (operation, outcome) {
            (Operation::CreateWorkspace { public_key, api_key, .. }, Outcome::WorkspaceCreated(created)) => {
                self.mint(created.workspace_id);
                self.workspaces.push(created.workspace_id);
                self.signing_keys.push((created.workspace_id, *public_key, now));
                (created.workspace_id, api_key)
            }
            (Operation::CreateApiKey { workspace_id, api_key }, Outcome::ApiKeyCreated(_)) => (*workspace_id, api_key),
            (Operation::RevokeApiKey { api_key_id, .. }, Outcome::ApiKeyRevoked(_)) => {
                self.api_keys.iter_mut().find(|key| key.credential.api_key_id == *api_key_id).unwrap().revoked = true;
                return;
            }
            (Operation::RotateSigningKey { workspace_id, public_key }, Outcome::SigningKeyRotated(rotated)) => {
                self.signing_keys.push((*workspace_id, *public_key, rotated.active_from));
                return;
            }
            (operation, outcome) => panic!("{outcome:?} is no answer to {operation:?}"),
        };
        let credential = Credential { api_key_id: key.api_key_id, secret_hash: key.secret_hash };
        self.api_keys.push(ApiKey { credential, workspace, revoked: false });
    }

    fn learn_verdict(&mut self, body: &CheckBody, scope: &ScopeName, verdict: &Verdict, now: Timestamp) {
        if *verdict == Verdict::Deny {
            return;
        }
        let grant = AuthorizationId::parse(body.authorization_id.as_str()).unwrap();
        let binding = Binding { grant, scope: scope.clone(), resource: body.resource.clone() };
        match verdict {
            Verdict::Allow { consumed } => {
                self.allows.push((grant, scope.clone(), date(now)));
                for escalation in self.escalations.iter_mut().filter(|escalation| Some(escalation.id) == *consumed) {
                    escalation.used = true;
                }
            }
            Verdict::Confirm { nonce, .. } => {
                self.mint(nonce);
                self.questions.push(Question { nonce: *nonce, binding, asked_at: now, answered: false });
            }
            Verdict::Escalate { escalation_id, opened: true, .. } => {
                self.mint(escalation_id);
                self.escalations.push(Escalation { id: *escalation_id, binding, asked_at: now, resolution: None, used: false });
            }
            Verdict::Deny | Verdict::Escalate { opened: false, .. } => {}
        }
    }

    fn mint(&mut self, id: impl ToString) {
        // Ids of two kinds may not share their bytes either, so the prefix is left out.
        let id = id.to_string().split_once('_').unwrap().1.to_owned();
        assert!(!self.minted.contains(&id), "{id} was minted twice");
        self.minted.push(id);
    }

    /// The instants at which something known so far lapses.
    pub(crate) fn edges(&self) -> Vec<Timestamp> {
        let grants = self.grants.iter().map(|grant| grant.body.expires_at);
        let questions = self.questions.iter().map(Question::until);
        let confirmations = self.confirmations.iter().map(|confirmation| confirmation.until);
        let asked = self.escalations.iter().map(|escalation| after(escalation.asked_at, A_DAY));
        let answered = self.escalations.iter().filter_map(|escalation| Some(after(escalation.resolution.as_ref()?.2, A_DAY)));
        grants.chain(questions).chain(confirmations).chain(asked).chain(answered).collect()
    }
}

fn holds(limits: &Constraints, body: &CheckBody) -> bool {
    let resource = match (&limits.resource_pattern, &body.resource) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(pattern), Some(resource)) => glob(pattern.as_str().as_bytes(), resource.as_str().as_bytes()),
    };
    let initiator = match (&limits.allowed_initiators, &body.initiated_by) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(allowed), Some(by)) => allowed.iter().any(|one| one.as_str() == by.as_ref()),
    };
    resource && initiator
}

/// What the core answered, in the words of the model.
pub(crate) fn real_answer(result: &Result<Decided, Rejected>) -> Answer {
    let decided = match result {
        Ok(decided) => decided,
        Err(Rejected::Unauthorized) => return Answer::Refused("unauthorized"),
        Err(Rejected::NotFound(_)) => return Answer::Refused("not found"),
        Err(Rejected::Conflict(_)) => return Answer::Refused("conflict"),
        Err(Rejected::Gone(_)) => return Answer::Refused("gone"),
        Err(Rejected::Invalid(fields)) => return Answer::Invalid(fields[0].field.clone()),
    };
    match &decided.outcome {
        Outcome::WorkspaceCreated(_) | Outcome::ApiKeyCreated(_) | Outcome::ApiKeyRevoked(_) => Answer::Operated,
        Outcome::SigningKeyRotated(rotated) => Answer::Rotated(rotated.active_from),
        Outcome::Created(_) => Answer::Created,
        Outcome::Revoked(_) => Answer::Revoked,
        Outcome::Confirmed(confirmed) => match confirmed.answer {
            UserAnswer::Approved { expires_at, .. } => Answer::Approved(expires_at),
            UserAnswer::Declined => Answer::Declined,
        },
        Outcome::Resolved(resolved) => Answer::Resolved {
            resolution: resolved.resolution,
            by: resolved.resolved_by.clone(),
            at: resolved.resolved_at,
            again: decided.events.is_empty(),
        },
        Outcome::Checked(checked) => {
            Answer::Checked(checked.results.iter().map(|result| real_line(&result.verdict, result.reason)).collect())
        }
    }
}

fn real_line(verdict: &Verdict, reason: Reason) -> Line {
    match verdict {
        Verdict::Deny => line("deny", reason),
        Verdict::Allow { consumed } => Line { escalation: *consumed, ..line("allow", reason) },
        Verdict::Confirm { expires_at, .. } => Line { until: Some(*expires_at), ..line("confirm", reason) },
        Verdict::Escalate { escalation_id, escalation_to, expires_at, opened } => Line {
            escalation: (!opened).then_some(*escalation_id),
            escalation_to: escalation_to.clone(),
            until: Some(*expires_at),
            ..line("escalate", reason)
        },
    }
}
