//! The contract once more, slow and obvious: vectors of facts, all of them searched every time, none forgotten.
//!
//! Written from sections 1 and 3 to 9 of the Allowly API in its scopes form. It shares no constant with the real core. Consents are
//! in `consent_model`, payments in `payment_model`.

use allowlog_projections::command::{Action, Command, Credential, Operation};
use allowlog_projections::decide::{Decided, Outcome};
use allowlog_proto::api::allowly::{CheckBody, ConfirmBody, CreateBody, ResolveBody, RevokeBody, Source};
use allowlog_proto::event::{
    AgentStatus, Answer as UserAnswer, Bundle as BundleTerms, Condition, Constraints, Plan, Resolution, Role, Terms, Verdict, Withdrawer,
};
use allowlog_proto::id::{ApiKeyId, AuthorizationId, EscalationId, Nonce, TombstoneId, WorkspaceId};
use allowlog_proto::json::{Object, Value};
use allowlog_proto::reason::Reason;
use allowlog_proto::record::Request;
use allowlog_proto::text::{Approver, BundleId, Name, Resource, ScopeName};
use allowlog_proto::time::Timestamp;

use crate::answer::{Answer, Line, line, placed};
use crate::consent_model::{Asked, ConsentAgent, Token};
use crate::interpreter::{Said, glob, quiet, recorded, say};
use crate::payment_model::{Paid, pays};

const FIVE_MINUTES: u64 = 300_000;
const AN_HOUR: u64 = 3_600_000;
const A_DAY: u64 = 86_400_000;

#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) workspaces: Vec<Workspace>,
    pub(crate) api_keys: Vec<ApiKey>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) questions: Vec<Question>,
    pub(crate) confirmations: Vec<Confirmation>,
    pub(crate) escalations: Vec<Escalation>,
    pub(crate) bundles: Vec<Bundle>,
    pub(crate) tombstones: Vec<Tombstone>,
    pub(crate) requests: Vec<Named>,
    pub(crate) agents: Vec<ConsentAgent>,
    pub(crate) asked: Vec<Asked>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) paid: Paid,
    signing_keys: Vec<(WorkspaceId, [u8; 32], Timestamp)>,
    allows: Vec<Allow>,
    minted: Vec<String>,
    /// How many records all commands so far have left.
    records: u64,
}

#[derive(Clone)]
pub(crate) struct Workspace {
    pub(crate) id: WorkspaceId,
    name: Name,
    plan: Plan,
}

#[derive(Clone)]
pub(crate) struct ApiKey {
    pub(crate) credential: Credential,
    pub(crate) workspace: WorkspaceId,
    pub(crate) role: Role,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) revoked: bool,
}

#[derive(Clone)]
pub(crate) struct Grant {
    pub(crate) id: AuthorizationId,
    pub(crate) workspace: WorkspaceId,
    pub(crate) terms: Terms,
    /// A consent's has no end.
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) budget: Option<i64>,
    pub(crate) revoked: bool,
}

#[derive(Clone)]
struct Allow {
    grant: AuthorizationId,
    scope: ScopeName,
    date: String,
    cost: i64,
}

#[derive(Clone)]
pub(crate) struct Bundle {
    workspace: WorkspaceId,
    pub(crate) bundle: BundleTerms,
    pub(crate) deleted: bool,
}

#[derive(Clone)]
pub(crate) struct Tombstone {
    pub(crate) id: TombstoneId,
    workspace: WorkspaceId,
    resource: Resource,
    pub(crate) lifted: bool,
}

/// A command that its caller named and that left records.
#[derive(Clone)]
pub(crate) struct Named {
    pub(crate) workspace: WorkspaceId,
    pub(crate) request: Request,
    pub(crate) command: Command,
    pub(crate) at: Timestamp,
    /// Log sequence of its first record.
    pub(crate) first: u64,
    pub(crate) count: u64,
    outcome: Outcome,
}

/// What a confirmation or an escalation is bound to.
#[derive(Clone, PartialEq)]
pub(crate) struct Binding {
    pub(crate) grant: AuthorizationId,
    pub(crate) scope: ScopeName,
    pub(crate) resource: Option<Resource>,
}

#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) nonce: Nonce,
    pub(crate) binding: Binding,
    asked_at: Timestamp,
    pub(crate) answered: bool,
}

#[derive(Clone)]
pub(crate) struct Confirmation {
    pub(crate) id: AuthorizationId,
    pub(crate) binding: Binding,
    pub(crate) until: Timestamp,
}

#[derive(Clone)]
pub(crate) struct Escalation {
    pub(crate) id: EscalationId,
    pub(crate) binding: Binding,
    asked_at: Timestamp,
    pub(crate) resolution: Option<(Resolution, Approver, Timestamp)>,
    pub(crate) used: bool,
}

/// What the conditions of a scope say of a context.
struct Routed {
    has_any: bool,
    deny: Option<Condition>,
    escalate: Option<(Said, Condition)>,
    confirm: Option<(Said, Condition)>,
    /// An entry of the deny list that cannot be evaluated.
    remembered: Option<Condition>,
}

fn route(limits: &Constraints, facts: &Object) -> Routed {
    let said = |list: &Option<Vec<Condition>>| -> Vec<(Said, Condition)> {
        list.iter().flatten().map(|condition| (say(condition, facts), condition.clone())).collect()
    };
    let (deny, escalate, confirm) = (said(&limits.deny_when), said(&limits.escalate_when), said(&limits.confirm_when));
    Routed {
        has_any: !(deny.is_empty() && escalate.is_empty() && confirm.is_empty()),
        deny: deny.iter().find(|(said, _)| *said == Said::Yes).map(|(_, condition)| condition.clone()),
        escalate: escalate.into_iter().find(|(said, _)| *said != Said::No),
        confirm: confirm.into_iter().find(|(said, _)| *said != Said::No),
        remembered: deny.into_iter().find(|(said, _)| *said == Said::Unknown).map(|(_, condition)| condition),
    }
}

impl Routed {
    /// The reason of an escalate or a confirm: the list in the grant counts before the condition.
    fn reason(listed: Option<Reason>, fired: Option<&(Said, Condition)>, matched: Reason) -> Reason {
        match (listed, fired) {
            (Some(listed), _) => listed,
            (None, Some((Said::Yes, _))) => matched,
            (None, _) => Reason::ContextFieldMissing,
        }
    }
}

fn date(instant: Timestamp) -> String {
    instant.to_string()[..10].to_owned()
}

pub(crate) fn after(instant: Timestamp, ms: u64) -> Timestamp {
    Timestamp::from_ms(instant.as_ms() + ms).unwrap()
}

impl Question {
    pub(crate) fn until(&self) -> Timestamp {
        after(self.asked_at, FIVE_MINUTES)
    }
}

impl ApiKey {
    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        !self.revoked && self.expires_at.is_none_or(|end| now < end)
    }
}

impl Grant {
    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        !self.revoked && !self.is_over(now)
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| now >= end)
    }
}

impl Named {
    /// From when on its key is good for another request.
    pub(crate) fn lapses_at(&self) -> Timestamp {
        after(self.at, A_DAY)
    }
}

impl Escalation {
    /// A day after it was asked, or answered.
    pub(crate) fn until(&self) -> Timestamp {
        after(self.resolution.as_ref().map_or(self.asked_at, |(.., at)| *at), A_DAY)
    }
}

impl Model {
    /// What the contract says the answer is.
    pub(crate) fn answer(&self, command: &Command, now: Timestamp) -> Answer {
        let (credential, request, action) = match command {
            Command::Operator(operation) => return self.operate(operation, now),
            Command::Visitor { visit, .. } => return self.visit(visit, now),
            Command::Caller { credential, request, action } => (credential, request, action),
        };
        let Some(key) = self.key(credential, now) else {
            return Answer::Refused("unauthorized");
        };
        if key.role == Role::Read {
            return Answer::Refused("forbidden");
        }
        let workspace = key.workspace;
        if let Some(first) = request.as_ref().and_then(|request| self.remembered(workspace, request, now)) {
            let same = Some(&first.request) == request.as_ref();
            return if same { Answer::Again { first: first.first, count: first.count } } else { Answer::Refused("key reused") };
        }
        match action {
            Action::Create(body) => self.create(workspace, body, now),
            Action::Revoke(id, body) => self.revoke(workspace, *id, body),
            Action::Check(body) => self.check(workspace, body, now),
            Action::CheckBatch(checks) => self.check_batch(workspace, checks, now),
            Action::Confirm(nonce, body) => self.confirm(workspace, *nonce, *body, now),
            Action::Resolve(id, body) => self.resolve(workspace, *id, body, now),
            Action::CreateBundle(body) if self.bundle(workspace, &body.bundle.bundle_id).is_some() => Answer::Refused("conflict"),
            Action::CreateBundle(_) => Answer::Bundled,
            Action::DeleteBundle(id) if id.as_ref().and_then(|id| self.bundle(workspace, id)).is_none() => Answer::Refused("not found"),
            Action::DeleteBundle(_) => Answer::Unbundled,
            Action::PlaceTombstone(body) if self.is_closed(workspace, Some(&body.resource)) => Answer::Refused("conflict"),
            Action::PlaceTombstone(_) => Answer::Placed,
            Action::LiftTombstone(id) => {
                let live = self.tombstones.iter().find(|t| Some(t.id) == *id && t.workspace == workspace && !t.lifted);
                live.map_or(Answer::Refused("not found"), |tombstone| Answer::Lifted(tombstone.resource.clone()))
            }
            Action::Ask(..)
            | Action::WithdrawConsent(_)
            | Action::MintToken(_)
            | Action::VerifyToken { .. }
            | Action::CreateManageLink(_)
            | Action::CreateConsentAgent(..)
            | Action::ChangeConsentAgent(..)
            | Action::RotateWebhookSecret(_) => self.about_consents(workspace, action, now),
            Action::CreateApiKey(asked, _) if *asked != Some(workspace) => Answer::Refused("not found"),
            Action::CreateApiKey(_, api_key) => {
                self.operate(&Operation::CreateApiKey { workspace_id: workspace, api_key: (**api_key).clone() }, now)
            }
            Action::Register(registration) => self.register(workspace, registration, now),
            Action::Pay(payments) => self.pay(workspace, payments, now),
        }
    }

    /// The key that these credentials open.
    pub(crate) fn key(&self, credential: &Credential, now: Timestamp) -> Option<&ApiKey> {
        self.api_keys.iter().find(|key| key.credential == *credential && key.is_live(now))
    }

    fn remembered(&self, workspace: WorkspaceId, request: &Request, now: Timestamp) -> Option<&Named> {
        let mut live = self.requests.iter().filter(|named| named.workspace == workspace && now < named.lapses_at());
        live.find(|named| named.request.idempotency_key == request.idempotency_key)
    }

    /// What the command was answered that left the record of this sequence first.
    pub(crate) fn first_answer(&self, first: u64) -> &Outcome {
        &self.requests.iter().find(|named| named.first == first).expect("a command that was named").outcome
    }

    fn bundle(&self, workspace: WorkspaceId, id: &BundleId) -> Option<&BundleTerms> {
        let live = self.bundles.iter().find(|b| b.bundle.bundle_id == *id && b.workspace == workspace && !b.deleted);
        live.map(|live| &live.bundle)
    }

    pub(crate) fn is_closed(&self, workspace: WorkspaceId, resource: Option<&Resource>) -> bool {
        self.tombstones.iter().any(|t| Some(&t.resource) == resource && t.workspace == workspace && !t.lifted)
    }

    fn operate(&self, operation: &Operation, now: Timestamp) -> Answer {
        let key = |id: ApiKeyId| self.api_keys.iter().find(|key| key.credential.api_key_id == id);
        match operation {
            Operation::CreateWorkspace { api_key: Some(api_key), .. } | Operation::CreateApiKey { api_key, .. }
                if key(api_key.api_key_id).is_some() =>
            {
                Answer::Refused("conflict")
            }
            Operation::CreateApiKey { api_key, .. } if api_key.expires_at.is_some_and(|end| end <= now) => {
                Answer::Invalid("body.expires_at".to_owned())
            }
            Operation::CreateWorkspace { .. } | Operation::CreateApiKey { .. } => Answer::Operated,
            // Anybody may have the first key of a workspace, for an hour.
            Operation::CreateFirstApiKey { workspace_id, api_key } => {
                let made = self.signing_keys.iter().filter(|(workspace, ..)| workspace == workspace_id).map(|(.., at)| *at).min();
                let is_first = !self.api_keys.iter().any(|key| key.workspace == *workspace_id);
                match made.filter(|made| is_first && now < after(*made, AN_HOUR)) {
                    None => Answer::Refused("unauthorized"),
                    Some(_) if key(api_key.api_key_id).is_some() => Answer::Refused("conflict"),
                    Some(_) => Answer::Operated,
                }
            }
            Operation::ChangeWorkspace { workspace_id, name, plan } => {
                let before = self.workspaces.iter().find(|workspace| workspace.id == *workspace_id).unwrap();
                let (name, plan) = (name.clone().unwrap_or(before.name.clone()), plan.unwrap_or(before.plan));
                let stored = name != before.name || plan != before.plan;
                Answer::Changed { name, plan, stored }
            }
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

    pub(crate) fn grant(&self, workspace: WorkspaceId, id: &str) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.id.to_string() == id && grant.workspace == workspace)
    }

    /// Budgets too.
    pub(crate) fn has_escalations(&self, workspace: WorkspaceId) -> bool {
        let plan = self.workspaces.iter().find(|known| known.id == workspace).unwrap().plan;
        plan == Plan::Pro || plan == Plan::Enterprise
    }

    fn create(&self, workspace: WorkspaceId, body: &CreateBody, now: Timestamp) -> Answer {
        let (terms, default_end) = match &body.source {
            Source::Inline(terms) => (terms, None),
            Source::Bundle(id) => {
                let Some(bundle) = self.bundle(workspace, id) else {
                    return Answer::Refused("not found");
                };
                (&bundle.terms, bundle.default_expiry_days.map(|days| after(now, u64::from(days) * A_DAY)))
            }
        };
        let Some(expires_at) = body.expires_at.or(default_end).filter(|end| *end > now) else {
            return Answer::Invalid("body.expires_at".to_owned());
        };
        if body.not_before.is_some_and(|start| start >= expires_at) {
            return Answer::Invalid("body.not_before".to_owned());
        }
        if body.replaces.as_ref().is_some_and(|id| self.grant(workspace, id.as_str()).is_none()) {
            return Answer::Invalid("body.replaces".to_owned());
        }
        let is_small = !self.has_escalations(workspace);
        if is_small && body.budget_limit.is_some() {
            return Answer::Refused("budget plan required");
        }
        let routes = |limits: &Constraints| limits.escalate_when.as_ref().is_some_and(|list| !list.is_empty());
        let routed = terms.scopes.iter().any(|scope| scope.constraints.as_deref().is_some_and(routes));
        if is_small && (routed || !terms.requires_escalation_for.is_empty()) {
            return Answer::Refused("payment required");
        }
        Answer::Created(Box::new(terms.clone()), expires_at)
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
            // A consent ends with what was granted by it.
            _ => self.revoked(grant, Withdrawer::Builder),
        }
    }

    fn check(&self, workspace: WorkspaceId, body: &CheckBody, now: Timestamp) -> Answer {
        let (mut lines, mut spent_here) = (Vec::new(), 0);
        for scope in &body.scopes {
            let line = self.check_scope(workspace, body, scope, spent_here, now);
            if line.decision == "allow" {
                spent_here += body.estimated_cost.map_or(0, |cost| cost.get());
            }
            lines.push(line);
        }
        Answer::Checked(lines)
    }

    /// One behind the other, each learnt before the next; an escalation that is opened on the way is called by its place.
    fn check_batch(&self, workspace: WorkspaceId, checks: &[CheckBody], now: Timestamp) -> Answer {
        let (mut so_far, mut lines) = (self.clone(), Vec::new());
        for body in checks {
            let Answer::Checked(answered) = so_far.check(workspace, body, now) else { panic!("a check checks") };
            for (scope, line) in body.scopes.iter().zip(answered) {
                let here = placed(lines.len());
                let verdict = match line.decision {
                    "allow" => Verdict::Allow { consumed: line.escalation },
                    "confirm" => Verdict::Confirm { nonce: Nonce::from_bytes(here), expires_at: now },
                    "escalate" => {
                        let (escalation_id, opened) = (EscalationId::from_bytes(here), line.escalation.is_none());
                        Verdict::Escalate { escalation_id, escalation_to: None, expires_at: now, opened }
                    }
                    _ => Verdict::Deny,
                };
                so_far.learn_verdict(body, scope, &verdict, now);
                lines.push(line);
            }
        }
        Answer::Checked(lines)
    }

    fn check_scope(&self, workspace: WorkspaceId, body: &CheckBody, scope: &ScopeName, spent_here: i64, now: Timestamp) -> Line {
        let Some(grant) = self.grant(workspace, body.authorization_id.as_str()) else {
            return line("deny", Reason::AuthorizationNotFound);
        };
        let granted = grant.terms.scopes.iter().find(|granted| granted.name == *scope);
        let limits = granted.and_then(|granted| granted.constraints.as_deref().cloned()).unwrap_or_default();
        let routed = route(&limits, &body.facts);
        let deny = |reason| Line { eval: routed.has_any.then(quiet), ..line("deny", reason) };
        if grant.revoked {
            return deny(Reason::AuthorizationRevoked);
        }
        if grant.not_before.is_some_and(|start| now < start) {
            return deny(Reason::AuthorizationNotYetValid);
        }
        if grant.is_over(now) {
            return deny(Reason::AuthorizationExpired);
        }
        if granted.is_none() || !holds(&limits, body) {
            return deny(Reason::ScopeNotAuthorized);
        }
        // What an agent pays under a delegation is for the gate alone, and so is whether agent and device are such as they must be.
        if let Some(delegation) = self.paid.delegations.iter().find(|delegation| delegation.id == grant.id) {
            let agent = self.paid.agents.iter().find(|payer| payer.id == delegation.agent).unwrap();
            if pays(scope.as_str()) || agent.status != AgentStatus::Active || delegation.limits.requires_trusted_device {
                return deny(Reason::ScopeNotAuthorized);
            }
        }
        if self.is_closed(workspace, body.resource.as_ref()) {
            return deny(Reason::ResourceTombstoned);
        }
        let mine = self.allows.iter().filter(|allow| allow.grant == grant.id);
        let today = mine.clone().filter(|allow| allow.scope == *scope && allow.date == date(now)).count();
        if limits.max_per_day.is_some_and(|max| u64::try_from(today).unwrap() >= max) {
            return deny(Reason::RateLimitExceeded);
        }
        let (cost, spent) = (body.estimated_cost.map_or(0, |cost| cost.get()), mine.map(|allow| allow.cost).sum::<i64>() + spent_here);
        let line = match (grant.budget, &routed.deny) {
            (Some(limit), _) if spent + cost > limit => deny(Reason::BudgetExceeded),
            (_, Some(condition)) => Line { eval: Some(recorded(condition, &body.facts)), ..deny(Reason::DenyConditionMatched) },
            (_, None) => {
                let binding = Binding { grant: grant.id, scope: scope.clone(), resource: body.resource.clone() };
                self.ask(grant, &binding, &routed, &body.facts, now)
            }
        };
        let spent_after = if line.decision == "allow" { spent + cost } else { spent };
        Line { budget: grant.budget.map(|limit| [limit, spent, cost, spent_after]), ..line }
    }

    /// The rungs on which people are asked, and those that allow.
    fn ask(&self, grant: &Grant, binding: &Binding, routed: &Routed, facts: &Object, now: Timestamp) -> Line {
        let eval = |fired: Option<&Condition>| routed.has_any.then(|| fired.map_or_else(quiet, |condition| recorded(condition, facts)));
        let mine: Vec<&Escalation> = self.escalations.iter().filter(|escalation| escalation.binding == *binding).collect();
        let answered = |escalation: &Escalation, wanted: Resolution| {
            escalation.resolution.as_ref().is_some_and(|(resolution, _, at)| *resolution == wanted && now < after(*at, A_DAY))
        };
        if mine.iter().any(|escalation| answered(escalation, Resolution::Rejected)) {
            return Line { eval: eval(None), ..line("deny", Reason::EscalationRejected) };
        }
        let approved = mine.iter().find(|escalation| answered(escalation, Resolution::Approved) && !escalation.used);
        let listed = grant.terms.requires_escalation_for.contains(&binding.scope).then_some(Reason::EscalationRequired);
        let escalates = listed.is_some() || routed.escalate.is_some();
        let escalate_fired = routed.escalate.as_ref().map(|(_, condition)| condition);
        if escalates && approved.is_none() {
            let open = mine.iter().find(|escalation| escalation.resolution.is_none() && now < after(escalation.asked_at, A_DAY));
            let target = grant.terms.escalation_targets.iter().find(|(name, _)| *name == binding.scope);
            return Line {
                escalation: open.map(|escalation| escalation.id),
                escalation_to: target.map(|(_, to)| to.clone()),
                until: Some(after(open.map_or(now, |escalation| escalation.asked_at), A_DAY)),
                eval: eval(escalate_fired),
                ..line("escalate", Routed::reason(listed, routed.escalate.as_ref(), Reason::EscalateConditionMatched))
            };
        }
        let listed = grant.terms.requires_confirm_for.contains(&binding.scope).then_some(Reason::ScopeRequiresUserConfirmation);
        let confirms = listed.is_some() || routed.confirm.is_some() || routed.remembered.is_some();
        let confirm_fired = routed.confirm.as_ref().map(|(_, condition)| condition).or(routed.remembered.as_ref());
        let confirmed = self.confirmations.iter().any(|confirmation| confirmation.binding == *binding && now < confirmation.until);
        if confirms && !confirmed {
            let reason = Routed::reason(listed, routed.confirm.as_ref(), Reason::ConfirmConditionMatched);
            return Line { until: Some(after(now, FIVE_MINUTES)), eval: eval(confirm_fired), ..line("confirm", reason) };
        }
        let line = match approved {
            Some(used) if escalates => Line { escalation: Some(used.id), ..line("allow", Reason::AuthorizationGrantedViaEscalation) },
            _ if confirms => line("allow", Reason::AuthorizationGrantedViaConfirmation),
            _ => line("allow", Reason::AuthorizationGrantedScopeActive),
        };
        Line { eval: eval(escalate_fired.or(confirm_fired)), ..line }
    }

    fn confirm(&self, workspace: WorkspaceId, nonce: Option<Nonce>, body: ConfirmBody, now: Timestamp) -> Answer {
        let Some(question) = self.questions.iter().find(|question| Some(question.nonce) == nonce && !question.answered) else {
            return Answer::Refused("gone");
        };
        let Some(grant) = self.grant(workspace, &question.binding.grant.to_string()) else {
            return Answer::Refused("gone");
        };
        if now >= question.until() || !grant.is_live(now) {
            return Answer::Refused("gone");
        }
        let until = after(now, body.ttl_ms);
        if body.approved { Answer::Approved(grant.expires_at.map_or(until, |end| until.min(end))) } else { Answer::Declined }
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
        let count = u64::try_from(decided.events.len()).unwrap();
        match command {
            Command::Operator(operation) => self.learn_operation(operation, now, &decided.outcome),
            Command::Visitor { .. } => self.learn_consents(now, decided),
            Command::Caller { request, action, .. } => {
                self.learn_action(action, now, decided);
                if let Some(request) = request.clone().filter(|_| count > 0) {
                    let (workspace, command, outcome) = (decided.workspace_id, command.clone(), decided.outcome.clone());
                    self.requests.push(Named { workspace, request, command, at: now, first: self.records, count, outcome });
                }
            }
        }
        self.records += count;
    }

    fn learn_action(&mut self, action: &Action, now: Timestamp, decided: &Decided) {
        let (workspace, outcome) = (decided.workspace_id, &decided.outcome);
        match (action, outcome) {
            (_, Outcome::Repeated(_)) => {}
            (Action::Create(body), Outcome::Created(created)) => {
                let Answer::Created(terms, expires_at) = self.create(workspace, body, now) else { panic!("{body:?} is refused") };
                let (id, budget) = (created.granted.authorization_id, body.budget_limit.map(|limit| limit.get()));
                self.mint(id);
                self.grants.push(Grant {
                    id,
                    workspace,
                    terms: *terms,
                    expires_at: Some(expires_at),
                    not_before: body.not_before,
                    budget,
                    revoked: false,
                });
            }
            (Action::Revoke(..) | Action::WithdrawConsent(_), Outcome::Revoked(revoked)) => {
                self.grants.iter_mut().find(|grant| grant.id == revoked.authorization_id).unwrap().revoked = true;
            }
            (Action::Check(body), Outcome::Checked(checked)) => {
                for result in &checked.results {
                    self.learn_verdict(body, &result.scope, &result.verdict, now);
                }
            }
            (Action::CheckBatch(checks), Outcome::Checked(checked)) => {
                let asked = checks.iter().flat_map(|body| body.scopes.iter().map(move |_| body));
                for (body, result) in asked.zip(&checked.results) {
                    self.learn_verdict(body, &result.scope, &result.verdict, now);
                }
            }
            (Action::Confirm(nonce, _), Outcome::Confirmed(answer)) => self.learn_confirmed(*nonce, answer, now),
            (Action::Resolve(..), Outcome::Resolved(resolved)) if resolved.receipt_id.is_some() => {
                let escalation = self.escalations.iter_mut().find(|escalation| escalation.id == resolved.escalation_id).unwrap();
                escalation.resolution = Some((resolved.resolution, resolved.resolved_by.clone(), now));
            }
            (Action::Resolve(..), Outcome::Resolved(_)) => {}
            (Action::CreateBundle(body), Outcome::BundleCreated(..)) => {
                self.bundles.push(Bundle { workspace, bundle: body.bundle.clone(), deleted: false });
            }
            (Action::DeleteBundle(Some(id)), Outcome::BundleDeleted(..)) => {
                let live = |b: &&mut Bundle| b.bundle.bundle_id == *id && b.workspace == workspace && !b.deleted;
                self.bundles.iter_mut().find(live).unwrap().deleted = true;
            }
            (Action::PlaceTombstone(body), Outcome::TombstonePlaced { tombstone_id, .. }) => {
                self.mint(tombstone_id);
                self.tombstones.push(Tombstone { id: *tombstone_id, workspace, resource: body.resource.clone(), lifted: false });
            }
            (Action::LiftTombstone(id), Outcome::TombstoneLifted { .. }) => {
                self.tombstones.iter_mut().find(|tombstone| Some(tombstone.id) == *id).unwrap().lifted = true;
            }
            (
                Action::Ask(..)
                | Action::WithdrawConsent(_)
                | Action::MintToken(_)
                | Action::VerifyToken { .. }
                | Action::CreateManageLink(_)
                | Action::CreateConsentAgent(..)
                | Action::ChangeConsentAgent(..)
                | Action::RotateWebhookSecret(_),
                _,
            ) => self.learn_consents(now, decided),
            (Action::CreateApiKey(_, api_key), Outcome::ApiKeyCreated(_)) => {
                let operation = Operation::CreateApiKey { workspace_id: workspace, api_key: (**api_key).clone() };
                self.learn_operation(&operation, now, outcome);
            }
            (Action::Register(registration), _) => self.learn_registration(workspace, registration, decided),
            (Action::Pay(payments), _) => self.learn_payments(workspace, payments, now, decided),
            (action, outcome) => panic!("{outcome:?} is no answer to {action:?}"),
        }
    }

    fn learn_confirmed(&mut self, nonce: Option<Nonce>, answer: &UserAnswer, now: Timestamp) {
        let question = self.questions.iter_mut().find(|question| Some(question.nonce) == nonce).unwrap();
        question.answered = true;
        let binding = question.binding.clone();
        match *answer {
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

    fn learn_operation(&mut self, operation: &Operation, now: Timestamp, outcome: &Outcome) {
        let (workspace, key) = match (operation, outcome) {
            (Operation::CreateWorkspace { name, plan, public_key, api_key: Some(api_key), .. }, Outcome::WorkspaceCreated(created)) => {
                self.mint(created.workspace_id);
                self.workspaces.push(Workspace { id: created.workspace_id, name: name.clone(), plan: *plan });
                self.signing_keys.push((created.workspace_id, *public_key, now));
                (created.workspace_id, api_key)
            }
            (Operation::ChangeWorkspace { workspace_id, name, plan }, Outcome::WorkspaceChanged(_)) => {
                let workspace = self.workspaces.iter_mut().find(|workspace| workspace.id == *workspace_id).unwrap();
                workspace.name = name.clone().unwrap_or(workspace.name.clone());
                workspace.plan = plan.unwrap_or(workspace.plan);
                return;
            }
            (
                Operation::CreateApiKey { workspace_id, api_key } | Operation::CreateFirstApiKey { workspace_id, api_key },
                Outcome::ApiKeyCreated(_),
            ) => (*workspace_id, api_key),
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
        self.api_keys.push(ApiKey { credential, workspace, role: key.role, expires_at: key.expires_at, revoked: false });
    }

    fn learn_verdict(&mut self, body: &CheckBody, scope: &ScopeName, verdict: &Verdict, now: Timestamp) {
        if *verdict == Verdict::Deny {
            return;
        }
        let grant = AuthorizationId::parse(body.authorization_id.as_str()).unwrap();
        if matches!(verdict, Verdict::Allow { .. }) {
            let cost = body.estimated_cost.map_or(0, |cost| cost.get());
            self.allows.push(Allow { grant, scope: scope.clone(), date: date(now), cost });
        }
        self.learn_asked(Binding { grant, scope: scope.clone(), resource: body.resource.clone() }, verdict, now);
    }

    /// What people are asked, and what of their answers is used up.
    pub(crate) fn learn_asked(&mut self, binding: Binding, verdict: &Verdict, now: Timestamp) {
        match verdict {
            Verdict::Allow { consumed } => {
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

    pub(crate) fn mint(&mut self, id: impl ToString) {
        // Ids of two kinds may not share their bytes either, so the prefix is left out.
        let id = id.to_string().split_once('_').unwrap().1.to_owned();
        assert!(!self.minted.contains(&id), "{id} was minted twice");
        self.minted.push(id);
    }

    /// The instants at which something lapses that is still of use.
    pub(crate) fn edges(&self) -> Vec<Timestamp> {
        let grants =
            self.grants.iter().filter(|grant| !grant.revoked).flat_map(|grant| grant.not_before.into_iter().chain(grant.expires_at));
        let questions = self.questions.iter().filter(|question| !question.answered).map(Question::until);
        let confirmations = self.confirmations.iter().map(|confirmation| confirmation.until);
        let escalations = self.escalations.iter().filter(|escalation| !escalation.used).map(Escalation::until);
        let requests = self.requests.iter().map(Named::lapses_at);
        let api_keys = self.api_keys.iter().filter(|key| !key.revoked).filter_map(|key| key.expires_at);
        let ends = grants.chain(questions).chain(confirmations).chain(escalations).chain(requests).chain(api_keys);
        ends.chain(self.consent_edges()).chain(self.payment_edges()).collect()
    }
}

fn holds(limits: &Constraints, body: &CheckBody) -> bool {
    let resource = match (&limits.resource_pattern, &body.resource) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(pattern), Some(resource)) => glob(pattern.as_str().as_bytes(), resource.as_str().as_bytes()),
    };
    let initiator = match (&limits.allowed_initiators, body.facts.get("initiated_by")) {
        (None, _) => true,
        (Some(allowed), Some(Value::Text(by))) => allowed.iter().any(|one| one.as_str() == by),
        (Some(_), _) => false,
    };
    resource && initiator
}
