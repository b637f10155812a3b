//! Random commands: drawn by dice, mostly about what the model knows, so that they meet what other commands have made.

use allowlog_projections::command::{Action, Command, Credential, NewApiKey, Operation};
use allowlog_proto::api::allowly::{CheckBody, ConfirmBody, CreateBody, ResolveBody, RevokeBody};
use allowlog_proto::event::{Constraints, Grant, Resolution};
use allowlog_proto::id::{ApiKeyId, AuthorizationId, EscalationId, Nonce};
use allowlog_proto::json::CanonicalObject;
use allowlog_proto::text::{AgentId, Approver, ConstraintItem, Name, OpaqueId, Pattern, Resource, ScopeName, UserId};
use allowlog_proto::time::Timestamp;

use crate::dice::Dice;
use crate::model::{Binding, Model};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const YEAR: u64 = 365 * 24 * HOUR;

/// What a command is drawn from.
pub(crate) struct Commands<'a> {
    pub(crate) dice: &'a mut Dice,
    pub(crate) model: &'a Model,
    pub(crate) now: Timestamp,
    /// So few that some are recorded twice.
    pub(crate) public_keys: &'a [[u8; 32]],
}

impl Commands<'_> {
    /// Any command, in proportions that let most of what is opened be answered.
    pub(crate) fn any(&mut self) -> Command {
        match self.dice.below(100) {
            0..12 => self.create(),
            12..15 => self.revoke(),
            15..62 => self.check(),
            62..80 => self.confirm(),
            80..95 => self.resolve(),
            95..97 => self.new_api_key(),
            97 => self.revoke_api_key(),
            98 => self.rotate(),
            _ => self.workspace(),
        }
    }

    /// The very millisecond at which something lapses or the next day begins, or the one before or after it.
    pub(crate) fn beside_an_edge(&mut self) -> Timestamp {
        let mut edges = self.model.edges();
        edges.push(Timestamp::from_ms((self.now.day() + 1) * 24 * HOUR).unwrap());
        edges.retain(|edge| *edge > self.now && *edge <= self.now.saturating_add_ms(24 * HOUR));
        edges.sort_unstable();
        // The nearest only, or time would run away from everything that is open.
        let edge = self.dice.pick(&edges[..edges.len().min(3)]);
        Timestamp::from_ms(edge.as_ms() + self.dice.below(3) - 1).unwrap()
    }

    /// Mostly a good key, of whichever workspace.
    fn caller(&mut self, action: Action) -> Command {
        let live: Vec<&Credential> = self.model.api_keys.iter().filter(|key| !key.revoked).map(|key| &key.credential).collect();
        let any: Vec<&Credential> = self.model.api_keys.iter().map(|key| &key.credential).collect();
        // Mostly of the first workspace, or too little would concern anything the caller can see.
        let first = live.first().copied().filter(|_| self.dice.percent(85));
        let keys = if live.is_empty() || self.dice.percent(5) { &any } else { &live };
        let mut credential = first.unwrap_or_else(|| self.dice.pick(keys)).clone();
        if self.dice.percent(1) {
            credential.secret_hash[31] ^= 1;
        }
        Command::Caller(credential, action)
    }

    pub(crate) fn create(&mut self) -> Command {
        let life = self.dice.pick(&[0, 1, 4 * MINUTE, 30 * HOUR, 72 * HOUR, YEAR, YEAR, YEAR, YEAR]);
        let mut body = CreateBody {
            user_id: UserId::new("user").unwrap(),
            agent_id: AgentId::new("agent").unwrap(),
            scopes: Vec::new(),
            requires_confirm_for: Vec::new(),
            requires_escalation_for: Vec::new(),
            escalation_targets: Vec::new(),
            expires_at: self.now.saturating_add_ms(life),
            replaces: self.dice.percent(10).then(|| self.authorization_id()),
            metadata: CanonicalObject::default(),
        };
        for name in ["a", "b", "c"] {
            let name = ScopeName::new(name).unwrap();
            if self.dice.percent(35) {
                body.requires_confirm_for.push(name.clone());
            }
            if self.dice.percent(35) {
                body.requires_escalation_for.push(name.clone());
            }
            if self.dice.percent(35) {
                body.escalation_targets.push((name.clone(), Approver::new("boss").unwrap()));
            }
            let constraints = self.dice.percent(50).then(|| Box::new(self.constraints()));
            body.scopes.push(Grant { name, constraints });
        }
        self.caller(Action::Create(Box::new(body)))
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
        }
    }

    /// Mostly of a grant, else of a confirmation, else of nothing.
    fn authorization_id(&mut self) -> OpaqueId {
        let grants: Vec<AuthorizationId> = self.model.grants.iter().map(|grant| grant.id).collect();
        let confirmations: Vec<AuthorizationId> = self.model.confirmations.iter().map(|confirmation| confirmation.id).collect();
        let ids = if self.dice.percent(4) { &confirmations } else { &grants };
        let id = self.dice.pick_recent(ids).map_or("nonsense".to_owned(), |id| id.to_string());
        OpaqueId::new(if self.dice.percent(2) { "auth_00000000000000000000000000" } else { &id }).unwrap()
    }

    fn revoke(&mut self) -> Command {
        let id = AuthorizationId::parse(self.authorization_id().as_str());
        let superseded_by = self.dice.percent(30).then(|| self.authorization_id());
        self.caller(Action::Revoke(id, Box::new(RevokeBody { superseded_by, ..RevokeBody::default() })))
    }

    fn check(&mut self) -> Command {
        let resource = self.dice.pick(&[None, Some(""), Some("x"), Some("x"), Some("x"), Some("xyx")]);
        let mut body = CheckBody {
            authorization_id: self.authorization_id(),
            scopes: Vec::new(),
            resource: resource.map(|resource| Resource::new(resource).unwrap()),
            session_id: None,
            estimated_cost: None,
            context: CanonicalObject::default(),
            initiated_by: self.dice.pick(&[None, Some("bot"), Some("bot"), Some("eve")]).map(Box::from),
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
        self.caller(Action::Check(Box::new(body)))
    }

    /// What somebody was asked about, so that answers are used.
    fn asked_before(&mut self) -> Option<Binding> {
        let questions: Vec<&Binding> = self.model.questions.iter().map(|question| &question.binding).collect();
        let escalations: Vec<&Binding> = self.model.escalations.iter().map(|escalation| &escalation.binding).collect();
        let asked = if self.dice.percent(50) { &questions } else { &escalations };
        self.dice.pick_recent(asked).cloned()
    }

    fn confirm(&mut self) -> Command {
        let used = self.dice.percent(20);
        let nonces: Vec<Nonce> = self.model.questions.iter().filter(|q| used || !q.answered).map(|q| q.nonce).collect();
        let nonce = self.dice.pick_recent(&nonces);
        let ttl_s = self.dice.pick(&[1, 60, 60, 299, 300]);
        let body = ConfirmBody { approved: self.dice.percent(80), ttl_ms: ttl_s * 1000 };
        self.caller(Action::Confirm(nonce, body))
    }

    fn resolve(&mut self) -> Command {
        let escalations: Vec<EscalationId> = self.model.escalations.iter().map(|escalation| escalation.id).collect();
        let id = self.dice.pick_recent(&escalations);
        let resolution = if self.dice.percent(80) { Resolution::Approved } else { Resolution::Rejected };
        let resolved_by = Approver::new(self.dice.pick(&["boss", "chief"])).unwrap();
        self.caller(Action::Resolve(id, Box::new(ResolveBody { resolution, resolved_by, note: None })))
    }

    /// One of so few that some are made twice.
    fn api_key(&mut self) -> NewApiKey {
        let n = u8::try_from(self.dice.below(40)).unwrap();
        NewApiKey { api_key_id: ApiKeyId::from_bytes([n; 16]), name: Name::new("key").unwrap(), secret_hash: [n; 32] }
    }

    fn new_api_key(&mut self) -> Command {
        let (workspace_id, api_key) = (self.dice.pick(&self.model.workspaces), self.api_key());
        Command::Operator(Operation::CreateApiKey { workspace_id, api_key })
    }

    fn revoke_api_key(&mut self) -> Command {
        let api_keys: Vec<ApiKeyId> = self.model.api_keys.iter().map(|key| key.credential.api_key_id).collect();
        let (workspace_id, api_key_id) = (self.dice.pick(&self.model.workspaces), self.dice.pick(&api_keys));
        Command::Operator(Operation::RevokeApiKey { workspace_id, api_key_id })
    }

    fn public_key(&mut self) -> [u8; 32] {
        self.dice.pick(self.public_keys)
    }

    fn rotate(&mut self) -> Command {
        let (workspace_id, public_key) = (self.dice.pick(&self.model.workspaces), self.public_key());
        Command::Operator(Operation::RotateSigningKey { workspace_id, public_key })
    }

    pub(crate) fn workspace(&mut self) -> Command {
        let (public_key, api_key) = (self.public_key(), self.api_key());
        Command::Operator(Operation::CreateWorkspace { name: Name::new("acme").unwrap(), public_key, api_key })
    }
}
