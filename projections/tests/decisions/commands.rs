//! Random commands: drawn by dice, mostly about what the model knows, so that they meet what other commands have made.

use std::sync::Arc;

use allowlog_projections::command::{Action, Command, Credential, NewApiKey, Operation};
use allowlog_proto::api::allowly::{BundleBody, CheckBody, ConfirmBody, CreateBody, ResolveBody, RevokeBody, Source, TombstoneBody};
use allowlog_proto::event::{Bundle, Condition, Constraints, Grant, Plan, Resolution, Role, Scalar, Style, Terms, Test};
use allowlog_proto::id::{ApiKeyId, AuthorizationId, EscalationId, Nonce, TombstoneId, WorkspaceId};
use allowlog_proto::json::{CanonicalObject, Object, Value};
use allowlog_proto::money::Micros;
use allowlog_proto::record::Request;
use allowlog_proto::text::{
    AgentId, Approver, BundleId, ConditionField, ConditionText, ConstraintItem, IdempotencyKey, Name, OpaqueId, Pattern, Resource,
    ScopeName, UserId,
};
use allowlog_proto::time::Timestamp;

use crate::dice::Dice;
use crate::model::{ApiKey, Binding, Model, Named, Question};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const YEAR: u64 = 365 * 24 * HOUR;
/// Micro-USD: the most that can be asked for.
const A_LOT: i64 = (1 << 53) - 1;

/// What a command is drawn from.
pub(crate) struct Commands<'a> {
    pub(crate) dice: &'a mut Dice,
    pub(crate) model: &'a Model,
    pub(crate) now: Timestamp,
    /// How many of a hundred commands are about payments.
    pub(crate) paying: u64,
    /// So few that some are recorded twice.
    pub(crate) public_keys: &'a [[u8; 32]],
}

impl Commands<'_> {
    /// Any command, in proportions that let most of what is opened be answered.
    pub(crate) fn any(&mut self) -> Command {
        if self.dice.percent(self.paying) {
            return self.about_payments();
        }
        if self.model.grants.is_empty() && self.dice.percent(60) {
            return self.create();
        }
        let chance = if self.is_at_a_consents_end() { 70 } else { 25 };
        if self.dice.percent(chance) {
            return self.about_consents();
        }
        match self.dice.below(100) {
            0..12 => self.create(),
            12..15 => self.revoke(),
            15..47 => self.check(),
            47..55 => self.check_batch(),
            55..68 => self.confirm(),
            68..79 => self.resolve(),
            79..82 => self.create_bundle(),
            82..84 => self.delete_bundle(),
            84 => self.place_tombstone(),
            85..87 => self.lift_tombstone(),
            87..92 => self.retry(),
            92..96 => self.new_api_key(),
            96 => self.revoke_api_key(),
            97 => self.rotate(),
            98 => self.change_workspace(),
            _ => self.workspace(),
        }
    }

    /// The very millisecond at which something lapses or the next day begins, or the one before or after it.
    pub(crate) fn beside_an_edge(&mut self) -> Timestamp {
        let mut edges = self.model.edges();
        edges.push(Timestamp::from_ms((self.now.day() + 1) * 24 * HOUR).unwrap());
        edges.retain(|edge| *edge > self.now && *edge <= self.now.saturating_add_ms(24 * HOUR));
        edges.sort_unstable();
        // Mostly the nearest, or time would run away from everything that is open.
        let nearest = if self.dice.percent(75) { 3 } else { edges.len() };
        let edge = self.dice.pick(&edges[..edges.len().min(nearest)]);
        Timestamp::from_ms(edge.as_ms() + self.dice.below(3) - 1).unwrap()
    }

    /// Mostly with a good key of the workspace it is about; sometimes named.
    fn caller(&mut self, action: Action) -> Command {
        let checked = match &action {
            Action::Check(body) => Some(&**body),
            Action::CheckBatch(checks) => checks.first(),
            Action::Create(_)
            | Action::Revoke(..)
            | Action::Confirm(..)
            | Action::Resolve(..)
            | Action::CreateBundle(_)
            | Action::DeleteBundle(_)
            | Action::PlaceTombstone(_)
            | Action::LiftTombstone(_)
            | Action::Ask(..)
            | Action::WithdrawConsent(_)
            | Action::MintToken(_)
            | Action::VerifyToken { .. }
            | Action::CreateManageLink(_)
            | Action::CreateConsentAgent(..)
            | Action::ChangeConsentAgent(..)
            | Action::RotateWebhookSecret(_)
            | Action::CreateApiKey(..)
            | Action::Register(_)
            | Action::Pay(_) => None,
        };
        let asked = checked.and_then(|body| AuthorizationId::parse(body.authorization_id.as_str()));
        let home = self.model.grants.iter().find(|grant| Some(grant.id) == asked).map(|grant| grant.workspace);
        self.caller_at(home, action)
    }

    /// The same, where the workspace it is about is known.
    pub(crate) fn caller_at(&mut self, home: Option<WorkspaceId>, action: Action) -> Command {
        let request = self.dice.percent(30).then(|| {
            // So many that two rarely meet by chance.
            let key = format!("I{}", self.dice.below(1_000_000));
            named(&key, &action)
        });
        Command::Caller { credential: self.credential(home), request, action }
    }

    fn credential(&mut self, home: Option<WorkspaceId>) -> Credential {
        let keys = &self.model.api_keys;
        let any: Vec<&ApiKey> = keys.iter().collect();
        let live: Vec<&ApiKey> = keys.iter().filter(|key| key.is_live(self.now) && key.role == Role::Runtime).collect();
        let ending: Vec<&ApiKey> = keys.iter().filter(|key| key.expires_at.is_some_and(|end| self.is_edge(end))).collect();
        let readers: Vec<&ApiKey> = keys.iter().filter(|key| key.role == Role::Read).collect();
        let at_home: Vec<&ApiKey> = live.iter().copied().filter(|key| Some(key.workspace) == home).collect();
        let from = match self.dice.below(100) {
            0..3 => &readers,
            3..8 => &any,
            8..20 => &live,
            // What ends now is of use now.
            20..60 if !ending.is_empty() => &ending,
            _ if !at_home.is_empty() => &at_home,
            // Mostly of the first workspace, or too little would concern anything the caller can see.
            _ => &live[..live.len().min(1)],
        };
        let key = if from.is_empty() { self.dice.pick(&any) } else { self.dice.pick(from) };
        let mut credential = key.credential.clone();
        if self.dice.percent(1) {
            credential.secret_hash[31] ^= 1;
        }
        credential
    }

    /// A named command again, of late or just about to be forgotten; sometimes the same name for something else.
    fn retry(&mut self) -> Command {
        let is_old = |named: &&Named| self.is_edge(named.lapses_at());
        let all: Vec<&Command> = self.model.requests.iter().map(|named| &named.command).collect();
        let old: Vec<&Command> = self.model.requests.iter().filter(is_old).map(|named| &named.command).collect();
        let found = if old.is_empty() { self.dice.pick_recent(&all) } else { Some(self.dice.pick(&old)) };
        let Some(Command::Caller { credential, request: Some(request), action }) = found else {
            return self.check();
        };
        let credential = if self.dice.percent(15) { self.credential(None) } else { credential.clone() };
        let key = request.idempotency_key.as_str();
        let other = self.check();
        if self.dice.percent(25)
            && let Command::Caller { action, .. } = other
        {
            return Command::Caller { credential, request: Some(named(key, &action)), action };
        }
        Command::Caller { credential, request: Some(request.clone()), action: action.clone() }
    }

    pub(crate) fn create(&mut self) -> Command {
        let life = self.dice.pick(&[0, 1, 4 * MINUTE, 30 * HOUR, 72 * HOUR, YEAR, YEAR, YEAR, YEAR]);
        let from_bundle = self.dice.percent(if self.model.bundles.is_empty() { 2 } else { 35 });
        let source = if from_bundle { Source::Bundle(self.live_bundle_id()) } else { Source::Inline(self.terms()) };
        let names_its_end = !from_bundle || self.dice.percent(30);
        let limit = self.dice.pick(&[1, 5, 10, 30, 30]);
        let body = CreateBody {
            user_id: UserId::new("user").unwrap(),
            source,
            expires_at: names_its_end.then(|| self.now.saturating_add_ms(life)),
            not_before: self.dice.percent(20).then(|| self.now.saturating_add_ms(self.dice.pick(&[0, 1, MINUTE, 2 * HOUR, 2 * YEAR]))),
            budget_limit: self.dice.percent(30).then(|| Micros::new(limit).unwrap()),
            replaces: self.dice.percent(10).then(|| self.authorization_id()),
            metadata: CanonicalObject::default(),
        };
        self.caller(Action::Create(Box::new(body)))
    }

    fn terms(&mut self) -> Terms {
        let mut terms = Terms {
            agent_id: AgentId::new(self.dice.pick(&["agent", "other"])).unwrap(),
            scopes: Vec::new(),
            requires_confirm_for: Vec::new(),
            requires_escalation_for: Vec::new(),
            escalation_targets: Vec::new(),
        };
        for name in ["a", "b", "c"] {
            let name = ScopeName::new(name).unwrap();
            if self.dice.percent(30) {
                terms.requires_confirm_for.push(name.clone());
            }
            if self.dice.percent(30) {
                terms.requires_escalation_for.push(name.clone());
            }
            if self.dice.percent(35) {
                terms.escalation_targets.push((name.clone(), Approver::new("boss").unwrap()));
            }
            let constraints = self.dice.percent(60).then(|| Box::new(self.constraints()));
            terms.scopes.push(Grant { name, constraints });
        }
        terms
    }

    fn constraints(&mut self) -> Constraints {
        let pattern = self.dice.pick(&["", "*", "x*", "*x", "x*x", "x"]);
        let initiators = ["bot", "man"].map(|one| ConstraintItem::new(one).unwrap());
        Constraints {
            max_per_day: self.dice.percent(60).then(|| 1 + self.dice.below(3)),
            resource_pattern: self.dice.percent(20).then(|| Pattern::new(pattern).unwrap()),
            allowed_initiators: self.dice.percent(10).then(|| initiators.to_vec()),
            allowed_domains: None,
            allowed_fields: self.dice.percent(10).then(Vec::new),
            confirm_when: self.conditions(),
            escalate_when: self.conditions(),
            deny_when: self.conditions(),
        }
    }

    /// Often none at all, sometimes a list without any.
    fn conditions(&mut self) -> Option<Vec<Condition>> {
        self.dice.percent(30).then(|| (0..self.dice.below(3)).map(|_| self.condition()).collect())
    }

    fn condition(&mut self) -> Condition {
        let scalar = |dice: &mut Dice| match dice.below(6) {
            0..3 => Scalar::Int(dice.pick(&[0, 5, 10])),
            3..5 => Scalar::Text(ConditionText::new(dice.pick(&["x", "y"])).unwrap()),
            _ => Scalar::Bool(dice.percent(50)),
        };
        let (field, n) = (self.dice.pick(&["amount", "amount", "kind"]), self.dice.pick(&[0, 5, 10]));
        let test = match self.dice.below(8) {
            0 => Test::Eq(scalar(self.dice)),
            1 => Test::Neq(scalar(self.dice)),
            2 => Test::Lt(n),
            3 => Test::Lte(n),
            4 => Test::Gt(n),
            5 => Test::Gte(n),
            6 => Test::In((0..=self.dice.below(3)).map(|_| scalar(self.dice)).collect()),
            _ => Test::Exists(self.dice.percent(30)),
        };
        Condition { field: ConditionField::new(field).unwrap(), test }
    }

    /// Mostly what conditions can be evaluated on.
    fn facts(&mut self) -> Object {
        let mut facts = Object::new();
        if let Some(by) = self.dice.pick(&[None, Some("bot"), Some("bot"), Some("eve")]) {
            facts.insert("initiated_by", by.into());
        }
        for name in ["amount", "kind"] {
            let value = match self.dice.below(10) {
                0 => continue,
                1 => Value::Null,
                2 => Value::Bool(self.dice.percent(50)),
                3 => Value::Array(vec![Value::Int(5)]),
                _ if name == "amount" => Value::Int(self.dice.pick(&[0, 4, 5, 6, 10])),
                _ => self.dice.pick(&["x", "y", "z"]).into(),
            };
            facts.insert(name, value);
        }
        facts
    }

    /// Mostly one that is there.
    fn live_bundle_id(&mut self) -> BundleId {
        let live: Vec<&BundleId> = self.model.bundles.iter().filter(|b| !b.deleted).map(|b| &b.bundle.bundle_id).collect();
        let found = self.dice.pick_recent(&live).filter(|_| self.dice.percent(90)).cloned();
        found.unwrap_or_else(|| self.bundle_id())
    }

    /// One of so few that they are used again.
    fn bundle_id(&mut self) -> BundleId {
        BundleId::new(self.dice.pick(&["B1", "B1", "B1", "B2", "B3"])).unwrap()
    }

    fn create_bundle(&mut self) -> Command {
        let default_expiry_days = self.dice.pick(&[None, Some(1), Some(1), Some(3650)]);
        let bundle = Bundle { bundle_id: self.bundle_id(), terms: self.terms(), default_expiry_days, description: None };
        self.caller(Action::CreateBundle(Box::new(BundleBody { bundle })))
    }

    fn delete_bundle(&mut self) -> Command {
        let id = self.dice.percent(98).then(|| self.live_bundle_id());
        self.caller(Action::DeleteBundle(id))
    }

    fn place_tombstone(&mut self) -> Command {
        let resource = Resource::new(self.dice.pick(&["", "x", "x", "xyx"])).unwrap();
        self.caller(Action::PlaceTombstone(Box::new(TombstoneBody { resource, reason: None })))
    }

    fn lift_tombstone(&mut self) -> Command {
        let lifted = self.dice.percent(15);
        let ids: Vec<TombstoneId> = self.model.tombstones.iter().filter(|t| lifted || !t.lifted).map(|t| t.id).collect();
        let id = self.dice.pick_recent(&ids);
        self.caller(Action::LiftTombstone(id))
    }

    /// Mostly of a live grant, else of any, else of a confirmation, else of nothing.
    fn authorization_id(&mut self) -> OpaqueId {
        let all: Vec<AuthorizationId> = self.model.grants.iter().map(|grant| grant.id).collect();
        let live: Vec<AuthorizationId> = self.model.grants.iter().filter(|grant| grant.is_live(self.now)).map(|grant| grant.id).collect();
        let grants = if live.is_empty() || self.dice.percent(30) { all } else { live };
        let confirmations: Vec<AuthorizationId> = self.model.confirmations.iter().map(|confirmation| confirmation.id).collect();
        // What a request for consent may come to be is nothing yet.
        let pending: Vec<AuthorizationId> = self.model.asked.iter().map(|asked| asked.authorization).collect();
        let ids = match self.dice.below(100) {
            0..4 => &confirmations,
            4..7 => &pending,
            _ => &grants,
        };
        let id = self.dice.pick_recent(ids).map_or("nonsense".to_owned(), |id| id.to_string());
        OpaqueId::new(if self.dice.percent(2) { "auth_00000000000000000000000000" } else { &id }).unwrap()
    }

    fn revoke(&mut self) -> Command {
        let id = AuthorizationId::parse(self.authorization_id().as_str());
        let superseded_by = self.dice.percent(30).then(|| self.authorization_id());
        self.caller(Action::Revoke(id, Box::new(RevokeBody { superseded_by, ..RevokeBody::default() })))
    }

    pub(crate) fn check(&mut self) -> Command {
        let body = self.check_body();
        self.caller(Action::Check(Box::new(body)))
    }

    /// Often the same check several times over, so that it meets what it has left behind.
    fn check_batch(&mut self) -> Command {
        let mut checks: Vec<CheckBody> = Vec::new();
        for _ in 0..self.dice.below(7) {
            let again = checks.last().filter(|_| self.dice.percent(60)).cloned();
            let check = again.unwrap_or_else(|| self.check_body());
            checks.push(check);
        }
        self.caller(Action::CheckBatch(Arc::new(checks)))
    }

    fn check_body(&mut self) -> CheckBody {
        let resource = self.dice.pick(&[None, Some(""), Some("x"), Some("x"), Some("x"), Some("xyx")]);
        let cost = self.dice.pick(&[None, None, Some(0), Some(1), Some(1), Some(4), Some(5), Some(A_LOT)]);
        let facts = self.facts();
        let mut body = CheckBody {
            authorization_id: self.authorization_id(),
            scopes: Vec::new(),
            resource: resource.map(|resource| Resource::new(resource).unwrap()),
            session_id: None,
            estimated_cost: cost.map(|cost| Micros::new(cost).unwrap()),
            context: CanonicalObject::new(&facts, "context").unwrap(),
            facts,
        };
        if self.dice.percent(60)
            && let Some(binding) = self.asked_before()
        {
            body.authorization_id = OpaqueId::new(&binding.grant.to_string()).unwrap();
            body.resource = binding.resource;
            body.scopes.push(binding.scope);
        }
        for _ in 0..=self.dice.below(3) {
            let scope = ScopeName::new(self.dice.pick(&["a", "a", "b", "b", "c", "c", "d"])).unwrap();
            if !body.scopes.contains(&scope) {
                body.scopes.push(scope);
            }
        }
        body
    }

    /// Whether that is now, or a millisecond beside it.
    pub(crate) fn is_edge(&self, instant: Timestamp) -> bool {
        instant.as_ms().abs_diff(self.now.as_ms()) <= 1
    }

    /// What somebody was asked about, so that answers are used; mostly what lapses now, if anything does.
    fn asked_before(&mut self) -> Option<Binding> {
        // What the gate asks is bound to words of its own, and asked again by it.
        let is_gates = |binding: &&Binding| self.model.paid.delegations.iter().any(|delegation| delegation.id == binding.grant);
        let confirmations = self.model.confirmations.iter().filter(|c| self.is_edge(c.until)).map(|c| &c.binding);
        let escalations = self.model.escalations.iter().filter(|e| self.is_edge(e.until())).map(|e| &e.binding);
        let lapsing: Vec<&Binding> = confirmations.chain(escalations).filter(|b| !is_gates(b)).collect();
        if self.dice.percent(80)
            && let Some(binding) = self.dice.pick_recent(&lapsing)
        {
            return Some(binding.clone());
        }
        let questions: Vec<&Binding> = self.model.questions.iter().map(|question| &question.binding).filter(|b| !is_gates(b)).collect();
        let escalations: Vec<&Binding> =
            self.model.escalations.iter().map(|escalation| &escalation.binding).filter(|b| !is_gates(b)).collect();
        let asked = if self.dice.percent(50) { &questions } else { &escalations };
        self.dice.pick_recent(asked).cloned()
    }

    pub(crate) fn confirm(&mut self) -> Command {
        let used = self.dice.percent(20);
        let open = |q: &&Question| used || (!q.answered && self.now <= q.until());
        let nonces: Vec<Nonce> = self.model.questions.iter().filter(open).map(|q| q.nonce).collect();
        let lapsing = self.model.questions.iter().filter(|q| !q.answered && self.is_edge(q.until())).map(|q| q.nonce);
        let lapsing: Vec<Nonce> = lapsing.collect();
        let nonce = self.dice.pick_recent(if lapsing.is_empty() { &nonces } else { &lapsing });
        let ttl_s = self.dice.pick(&[1, 60, 60, 299, 300]);
        let body = ConfirmBody { approved: self.dice.percent(80), ttl_ms: ttl_s * 1000 };
        self.caller(Action::Confirm(nonce, body))
    }

    pub(crate) fn resolve(&mut self) -> Command {
        let escalations: Vec<EscalationId> = self.model.escalations.iter().map(|escalation| escalation.id).collect();
        let lapsing = self.model.escalations.iter().filter(|e| self.is_edge(e.until())).map(|escalation| escalation.id);
        let lapsing: Vec<EscalationId> = lapsing.collect();
        let id = self.dice.pick_recent(if lapsing.is_empty() { &escalations } else { &lapsing });
        let resolution = if self.dice.percent(80) { Resolution::Approved } else { Resolution::Rejected };
        let resolved_by = Approver::new(self.dice.pick(&["boss", "chief"])).unwrap();
        self.caller(Action::Resolve(id, Box::new(ResolveBody { resolution, resolved_by, note: None })))
    }

    /// One of so few that some are made twice. The first of a workspace does not end, or nobody could go on.
    fn api_key(&mut self) -> NewApiKey {
        let n = u8::try_from(self.dice.below(40)).unwrap();
        let (api_key_id, name) = (ApiKeyId::from_bytes([n; 16]), Name::new("key").unwrap());
        let style = self.dice.pick(&Style::ALL);
        NewApiKey { api_key_id, name, style, role: Role::Runtime, expires_at: None, secret_hash: [n; 32] }
    }

    fn new_api_key(&mut self) -> Command {
        let life = self.dice.pick(&[0, 1, 1, MINUTE, MINUTE, HOUR, 4 * HOUR, YEAR]);
        let (workspace_id, api_key) = (self.any_workspace(), self.api_key());
        let role = self.dice.pick(&[Role::Runtime, Role::Runtime, Role::Read]);
        let expires_at = self.dice.percent(70).then(|| self.now.saturating_add_ms(life));
        Command::Operator(Operation::CreateApiKey { workspace_id, api_key: NewApiKey { role, expires_at, ..api_key } })
    }

    pub(crate) fn any_workspace(&mut self) -> WorkspaceId {
        let ids: Vec<WorkspaceId> = self.model.workspaces.iter().map(|workspace| workspace.id).collect();
        self.dice.pick(&ids)
    }

    fn revoke_api_key(&mut self) -> Command {
        let api_keys: Vec<ApiKeyId> = self.model.api_keys.iter().map(|key| key.credential.api_key_id).collect();
        let (workspace_id, api_key_id) = (self.any_workspace(), self.dice.pick(&api_keys));
        Command::Operator(Operation::RevokeApiKey { workspace_id, api_key_id })
    }

    fn public_key(&mut self) -> [u8; 32] {
        self.dice.pick(self.public_keys)
    }

    fn rotate(&mut self) -> Command {
        let (workspace_id, public_key) = (self.any_workspace(), self.public_key());
        Command::Operator(Operation::RotateSigningKey { workspace_id, public_key })
    }

    /// Mostly one that has budgets and escalations.
    fn plan(&mut self) -> Plan {
        self.dice.pick(&[Plan::Free, Plan::Starter, Plan::Pro, Plan::Pro, Plan::Pro, Plan::Enterprise, Plan::Enterprise, Plan::Enterprise])
    }

    fn change_workspace(&mut self) -> Command {
        let (workspace_id, plan) = (self.any_workspace(), self.plan());
        let name = self.dice.percent(30).then(|| Name::new("other").unwrap());
        Command::Operator(Operation::ChangeWorkspace { workspace_id, name, plan: self.dice.percent(80).then_some(plan) })
    }

    pub(crate) fn workspace(&mut self) -> Command {
        let (plan, public_key, api_key) = (self.plan(), self.public_key(), self.api_key());
        let (name, api_key, metadata) = (Name::new("acme").unwrap(), Some(api_key), CanonicalObject::default());
        Command::Operator(Operation::CreateWorkspace { name, plan, public_key, api_key, metadata })
    }
}

/// The request of this name for this action; another action makes it another request.
fn named(key: &str, action: &Action) -> Request {
    Request::new(IdempotencyKey::new(key).unwrap(), "", "", format!("{action:?}").as_bytes())
}
