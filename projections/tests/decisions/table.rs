//! Decision tables: a small language for facts, a request, its outcome and the events it leaves.
//!
//! ```text
//! == the title of a case; each begins with workspace W1, its API key K1 and its signing key S1 at 09:00
//! given  grant G1 email.send max_per_day 2 confirm + mail.read at 10:00 expires 12:00
//! when   check G1 email.send on mail:1 at 10:01
//! then   confirm scope_requires_user_confirmation N1 until 10:06
//! event  checked G1 email.send mail:1 confirm scope_requires_user_confirmation N1 until 10:06
//! ```
//!
//! `given` must be decided; `when` must be followed by all of its outcome and all of its events. Without `at` time
//! stands still, `+1d` behind a time is the next day. `as K2` names the API key, `as K2!` presents the secret of K3.
//! What is minted gets its name by kind and order of appearance: G grants, N nonces, C confirmations, E escalations,
//! T tombstones. A name nothing has is passed on as it stands, an id that nobody was given.
//!
//! The requests, with what may be said of each:
//!
//! ```text
//! workspace acme K2 S2 plan free             its plan is enterprise where none is given
//! change name acme plan free in W1
//! api_key K2 role read style affixio expires 12:00 in W1
//! revoke_api_key K2 in W1
//! rotate S2 in W1
//! workspace acme - S2                        without a first API key, which anybody may fetch: first_key K2 in W2
//! own_key K2 in W1                           one more, by the holder of one
//! signing_keys W1; signer W1 at 10:00        what is in the key document, and who signs
//! grant G2 a max_per_day 2 confirm + b escalate to boss expires 12:00 budget 50 replaces G1
//! grant G2 from B1 starts 10:00 expires 12:00    from a bundle, where `expires` may be left out
//! revoke G1 by user superseded_by G2 notes enough
//! check G1 a b on mail:1 with amount=5,kind="x" initiator bob session s1 cost 7
//! approve N1 ttl 60; decline N1
//! resolve E1 approved by boss note fine
//! bundle B1 a confirm + b days 30 description x; unbundle B1
//! tombstone mail:1 reason lost; lift T1
//! agent name X life 60 hook https://h.example origins https://a.example|https://b.example default
//! change_agent A1 hook - origins -; rotate_secret A1
//! ask a + b user u agent A1 life 60 to https://a.example/x without_key
//! view R1; consent R1; refuse R1; take_back R1 user u in W1    by a visitor, `from 192.0.2.7 with Browser`
//! withdraw R1; mint R1; verify R1 X1 by A1 until 10:00; manage u
//! register llm in W1; activate P1; suspend P1; retire P1; credential P1 expires 12:00
//! device; attest V1; distrust V1 reason lost
//! delegate P1 pay|mail.read merchants m1|m2 categories food blocked m3 per 1 daily 2 period 3/P7D currencies EUR channels online
//!   stepup 4 review 5 trusted cap starts 10:00 expires 12:00      `-` is a list that is there and empty
//! end D1 by user reason enough
//! permit P1 100EUR to m1 under D1 via online category food from V1 for M1 permission pay on x     so policy, and trust
//! prove D1 100EUR to m1
//! intent 100EUR to m1 via online by P1 under D1 from V1 with Q1; authorise M1 with Q1 amount 50; capture M1 amount 30; cancel M1
//! token P1 100EUR under D1 from till to m1|m2 life 3600
//! tell till O1 50EUR to m1 occurred 09:10 ref r1 + O2 ...; reconcile till
//! left D1 EUR at 10:00; stands M1 at 10:00                        what is left of limits, and how far an intent is
//! status R1 at 10:00; lapses W1 at 10:00     how a request stands, and the rows of those that nobody answered
//! ```
//!
//! R names consents, A their agents, X tokens. P names agents that are registered, Z their credentials, V devices, D delegations (G what
//! they are to the other faces), Q decisions of the gate, M payment intents, O offline tokens, U what was paid with them. Where a step leads to webhooks or to rows of the audit list, they follow as `notice` and
//! `row`, all of them.
//!
//! Any of a caller's may end with `key I1`, an idempotency key; what is a retry is answered by `again:` and the first
//! answer. A scope may be granted with `max_per_day`, `pattern`, `initiators`, `domains`, `fields`, and with conditions:
//! `deny_when amount>100` a word for each entry of the list, `deny_when []` for a list that is there and empty. The
//! operators are `=` `!=` `<` `<=` `>` `>=`, `kind=["a","b"]` for one of these, `amount?true` for there; values are JSON.
//!
//! Behind a decision stands what it says of the budget, `budget 40+11/50 now 40` (spent before, estimate, limit, spent
//! now), and of the conditions: `quiet`, or `fired amount gt 100 found 500`.

use allowlog_projections::command::{Action, Command, Credential, NewApiKey, Operation};
use allowlog_projections::decide::Outcome;
use allowlog_projections::state::SigningKey;
use allowlog_proto::api::allowly::{BundleBody, CheckBody, ConfirmBody, CreateBody, ResolveBody, RevokeBody, Source, TombstoneBody};
use allowlog_proto::event::{Bundle, Condition, Constraints, Grant, Plan, Resolution, Role, Style, Terms};
use allowlog_proto::id::{ApiKeyId, AuthorizationId, EscalationId, KeyId, Nonce, TombstoneId, WorkspaceId};
use allowlog_proto::json::{CanonicalObject, Object, Value};
use allowlog_proto::money::Micros;
use allowlog_proto::record::{Record, Request};
use allowlog_proto::text::{
    AgentId, Approver, BundleId, ConstraintItem, IdempotencyKey, Label, Name, Note, OpaqueId, Pattern, Resource, ScopeName, SessionId,
    UserId,
};
use allowlog_proto::time::Timestamp;

use crate::consent_words;
use crate::dice::Dice;
use crate::log::Log;
use crate::payment_words;
use crate::wording::{Names, condition, instant, unquoted};

/// Runs every case of a table.
pub(crate) fn run(table: &str) {
    let cases = cases(table);
    assert!(!cases.is_empty(), "a table without cases tests nothing");
    for (title, steps) in cases {
        let mut world = World::new();
        for step in steps {
            println!("{title}: line {}: {}", step.line, step.words.join(" ")); // shown when the step fails
            let (outcome, events) = world.run(step.words.clone());
            if step.is_fact {
                assert!(world.decided, "a fact was refused: {outcome:?}");
                assert!(step.then.is_empty() && step.events.is_empty() && step.told.is_empty(), "a fact is not asked about");
            } else {
                assert_eq!(outcome, step.then, "outcome");
                assert_eq!(events, step.events, "events");
                assert_eq!(world.told(), step.told, "webhooks and rows");
            }
            world.log.audit();
        }
    }
}

/// One request with what is to come of it.
pub(crate) struct Step<'t> {
    line: usize,
    is_fact: bool,
    words: Vec<&'t str>,
    pub(crate) then: Vec<String>,
    events: Vec<String>,
    told: Vec<String>,
}

/// The cases of a table by title.
pub(crate) fn cases(table: &str) -> Vec<(&str, Vec<Step<'_>>)> {
    let mut cases: Vec<(&str, Vec<Step<'_>>)> = Vec::new();
    for (i, line) in table.lines().enumerate() {
        let mut words = line.split_whitespace();
        let Some(first) = words.next().filter(|first| *first != "#") else { continue };
        let words: Vec<&str> = words.collect();
        if first == "==" {
            cases.push((line.trim_start_matches("==").trim(), Vec::new()));
            continue;
        }
        let steps = &mut cases.last_mut().expect("a title first").1;
        match first {
            "given" | "when" => {
                let (then, events, told) = (Vec::new(), Vec::new(), Vec::new());
                steps.push(Step { line: i + 1, is_fact: first == "given", words, then, events, told });
            }
            "notice" | "row" => steps.last_mut().expect("a request first").told.push(format!("{first} {}", words.join(" "))),
            "then" => steps.last_mut().expect("a request first").then.push(words.join(" ")),
            "event" => steps.last_mut().expect("a request first").events.push(words.join(" ")),
            _ => panic!("line {}: `{first}` begins no line", i + 1),
        }
    }
    cases
}

/// A log with the names of what is in it, and a clock.
struct World {
    log: Log,
    names: Names,
    now: Timestamp,
    decided: bool,
    /// How many records there were before the last request.
    before: usize,
}

/// The words of a request, taken out one option at a time.
pub(crate) struct Words<'t>(pub(crate) Vec<&'t str>);

impl<'t> Words<'t> {
    /// The word behind this one.
    pub(crate) fn option(&mut self, name: &str) -> Option<&'t str> {
        let at = self.0.iter().position(|word| *word == name)?;
        self.0.remove(at);
        Some(self.0.remove(at))
    }

    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let at = self.0.iter().position(|word| *word == name);
        at.map(|at| self.0.remove(at)).is_some()
    }
}

impl World {
    fn new() -> Self {
        let mut dice = Dice::new(0);
        let log = Log::new(move || (u128::from(dice.next()) << 64) | u128::from(dice.next()));
        let mut world = Self { log, names: Names::new(), now: instant("09:00"), decided: false, before: 0 };
        world.run(vec!["workspace", "W1", "K1", "S1"]);
        world
    }

    /// The outcome and the events of a request, in words.
    fn run(&mut self, words: Vec<&str>) -> (Vec<String>, Vec<String>) {
        let mut words = Words(words);
        let at = words.option("at").map_or(self.now, instant);
        self.before = self.log.records.len();
        if let ["signing_keys" | "signer" | "status" | "lapses" | "left" | "stands", ..] = words.0[..] {
            return (self.query(&words.0, at), Vec::new());
        }
        assert!(at >= self.now, "time does not go back");
        self.now = at;
        let made = (words.0[0] == "grant").then(|| words.0[1].to_owned());
        let command = self.command(words);
        let result = self.log.run(&command, self.now);
        self.decided = result.is_ok();
        let (mut outcome, events) = self.names.result(&result);
        if let Ok(Outcome::Repeated(answered)) = result.as_ref().map(|decided| &decided.outcome) {
            let first = self.names.outcome(&self.log.first_answer(answered));
            outcome = first.into_iter().map(|line| format!("again: {line}")).collect();
        }
        if let (Some(name), Ok(Outcome::Created(created))) = (made, result.map(|decided| decided.outcome)) {
            assert_eq!(self.names.of("G", created.granted.authorization_id), name, "grants are named in their order");
        }
        (outcome, events)
    }

    /// What others are told of what the last request left.
    fn told(&mut self) -> Vec<String> {
        let records: Vec<_> = self.log.records[self.before..].to_vec();
        let hash = |record: &Record| record.encode(&mut Vec::new()).unwrap();
        records.iter().flat_map(|record| self.names.told(record, hash(record))).collect()
    }

    fn query(&mut self, words: &[&str], at: Timestamp) -> Vec<String> {
        match words[0] {
            "status" => return self.names.standing(&self.log.state, words[1], at),
            "left" => return self.names.left(&self.log.state, words[1], words[2], at),
            "stands" => return self.names.stands(&self.log.state, words[1], at),
            _ => {}
        }
        let id = WorkspaceId::parse(&self.names.text(words[1])).expect("a workspace");
        let workspace = self.log.state.workspace(id).expect("a workspace");
        match words[0] {
            "signer" => SigningKey::active_at(&workspace.signing_keys, at).map(|key| self.names.of("S", key.key_id)).into_iter().collect(),
            "lapses" => self.names.lapses(&self.log.state, id, at),
            _ => self.names.signing_keys(&workspace.key_document(id)),
        }
    }

    fn command(&mut self, mut words: Words<'_>) -> Command {
        let (api_key, wrong) = match words.option("as") {
            None => ("K1", false),
            Some(name) => (name.trim_end_matches('!'), name.ends_with('!')),
        };
        let api_key = self.api_key(api_key);
        let secret_hash = api_key.secret_hash.map(|byte| byte + u8::from(wrong));
        let credential = Credential { api_key_id: api_key.api_key_id, secret_hash };
        // The same words are the same request.
        let request = words.option("key").map(|key| {
            let key = IdempotencyKey::new(key).unwrap();
            Request::new(key, "WORDS", "", words.0.join(" ").as_bytes())
        });
        let verb = words.0.remove(0);
        let mut page = Words(words.0.clone());
        let visitor = consent_words::visitor(&mut page);
        if let Some(visit) = consent_words::visit(&self.names, verb, page) {
            return Command::Visitor { visitor, visit };
        }
        if let "workspace" | "change" | "api_key" | "first_key" | "revoke_api_key" | "rotate" = verb {
            return Command::Operator(self.operation(verb, words));
        }
        let action = match verb {
            "grant" => self.grant(words),
            "revoke" => self.revoke(words),
            "check" => self.check(words),
            "approve" | "decline" => {
                let ttl_s: u64 = words.option("ttl").unwrap_or("60").parse().unwrap();
                let [name] = words.0[..] else { panic!("approve N1 ttl 60") };
                Action::Confirm(Nonce::parse(&self.names.text(name)), ConfirmBody { approved: verb == "approve", ttl_ms: ttl_s * 1000 })
            }
            "resolve" => self.resolve(words),
            "bundle" => bundle(words),
            "own_key" => {
                let asked = words.option("in").and_then(|name| WorkspaceId::parse(&self.names.text(name)));
                let api_key = NewApiKey { style: Style::Affixio, ..self.api_key(words.0[0]) };
                Action::CreateApiKey(asked, Box::new(api_key))
            }
            "unbundle" => {
                let [id] = words.0[..] else { panic!("unbundle B1") };
                Action::DeleteBundle(BundleId::new(unquoted(id)).ok())
            }
            "tombstone" => {
                let reason = words.option("reason").map(|reason| Note::new(reason).unwrap());
                let [resource] = words.0[..] else { panic!("tombstone mail:1") };
                let resource = Resource::new(unquoted(resource)).unwrap();
                Action::PlaceTombstone(Box::new(TombstoneBody { resource, reason }))
            }
            "lift" => {
                let [name] = words.0[..] else { panic!("lift T1") };
                Action::LiftTombstone(TombstoneId::parse(&self.names.text(name)))
            }
            verb => {
                let payment = payment_words::action(&self.names, &self.log.state, verb, Words(words.0.clone()));
                let found = payment.or_else(|| consent_words::action(&self.names, verb, words));
                found.unwrap_or_else(|| panic!("`{verb}` is no request"))
            }
        };
        Command::Caller { credential, request, action }
    }

    /// What the operator does.
    fn operation(&mut self, verb: &str, mut words: Words<'_>) -> Operation {
        let workspace_id = words.option("in").map(|name| WorkspaceId::parse(&self.names.text(name)).unwrap());
        let plan = words.option("plan").map(|plan| Plan::parse(plan).unwrap());
        if verb == "change" {
            let name = words.option("name").map(|name| Name::new(name).unwrap());
            return Operation::ChangeWorkspace { workspace_id: workspace_id.unwrap(), name, plan };
        }
        let role = words.option("role").map_or(Role::Runtime, |role| Role::parse(role).unwrap());
        let style = words.option("style").map_or(Style::Allowly, |style| Style::parse(style).unwrap());
        let expires_at = words.option("expires").map(instant);
        match (verb, &words.0[..]) {
            ("workspace", [name, api_key, signing_key]) => {
                let api_key = Some(*api_key).filter(|name| *name != "-").map(|name| self.api_key(name));
                let public_key = self.public_key(signing_key);
                let plan = plan.unwrap_or(Plan::Enterprise);
                let metadata = CanonicalObject::default();
                Operation::CreateWorkspace { name: Name::new(name).unwrap(), plan, public_key, api_key, metadata }
            }
            ("api_key", [name]) => {
                let api_key = NewApiKey { role, style, expires_at, ..self.api_key(name) };
                Operation::CreateApiKey { workspace_id: workspace_id.unwrap(), api_key }
            }
            ("first_key", [name]) => {
                let api_key = NewApiKey { style: Style::Affixio, ..self.api_key(name) };
                Operation::CreateFirstApiKey { workspace_id: workspace_id.unwrap(), api_key }
            }
            ("revoke_api_key", [name]) => {
                let (workspace_id, api_key_id) = (workspace_id.unwrap(), self.api_key(name).api_key_id);
                Operation::RevokeApiKey { workspace_id, api_key_id }
            }
            ("rotate", [name]) => {
                let (workspace_id, public_key) = (workspace_id.unwrap(), self.public_key(name));
                Operation::RotateSigningKey { workspace_id, public_key }
            }
            (verb, words) => panic!("{verb} {words:?}"),
        }
    }

    /// API key K7 is made of sevens, and so are signing keys.
    fn api_key(&mut self, name: &str) -> NewApiKey {
        let n: u8 = name.trim_start_matches('K').parse().expect("an API key");
        let api_key_id = ApiKeyId::from_bytes([n; 16]);
        self.names.give(name, api_key_id);
        let (style, role, expires_at) = (Style::Allowly, Role::Runtime, None);
        NewApiKey { api_key_id, name: Name::new(name).unwrap(), style, role, expires_at, secret_hash: [n; 32] }
    }

    fn public_key(&mut self, name: &str) -> [u8; 32] {
        let public_key = [name.trim_start_matches('S').parse().expect("a signing key"); 32];
        self.names.give(name, KeyId::of(&public_key));
        public_key
    }

    /// `grant G1 scope limits... + scope limits... expires 12:00`
    fn grant(&self, mut words: Words<'_>) -> Action {
        let bundle_id = words.option("from").map(|id| BundleId::new(id).unwrap());
        let user_id = UserId::new(words.option("user").unwrap_or("user")).unwrap();
        let expires_at = words.option("expires").map(instant);
        let not_before = words.option("starts").map(instant);
        let budget_limit = words.option("budget").map(micros);
        let replaces = words.option("replaces").map(|name| OpaqueId::new(&self.names.text(name)).unwrap());
        words.0.remove(0);
        let source = match bundle_id {
            Some(id) => {
                assert!(words.0.is_empty(), "the bundle says it, not {:?}", words.0);
                Source::Bundle(id)
            }
            None => Source::Inline(terms(words)),
        };
        let metadata = CanonicalObject::default();
        Action::Create(Box::new(CreateBody { user_id, source, expires_at, not_before, budget_limit, replaces, metadata }))
    }

    fn revoke(&self, mut words: Words<'_>) -> Action {
        let body = RevokeBody {
            revoked_by: words.option("by").map(|by| Label::new(by).unwrap()),
            superseded_by: words.option("superseded_by").map(|name| OpaqueId::new(&self.names.text(name)).unwrap()),
            notes: words.option("notes").map(|notes| Note::new(notes).unwrap()),
        };
        let [name] = words.0[..] else { panic!("revoke G1 by user") };
        Action::Revoke(AuthorizationId::parse(&self.names.text(name)), Box::new(body))
    }

    /// `check G1 scope scope... on resource initiator who`
    fn check(&self, mut words: Words<'_>) -> Action {
        let mut facts = words.option("with").map(facts).unwrap_or_default();
        if let Some(by) = words.option("initiator") {
            facts.insert("initiated_by", by.into());
        }
        Action::Check(Box::new(CheckBody {
            resource: words.option("on").map(|resource| Resource::new(unquoted(resource)).unwrap()),
            session_id: words.option("session").map(|session| SessionId::new(session).unwrap()),
            estimated_cost: words.option("cost").map(micros),
            context: CanonicalObject::new(&facts, "context").unwrap(),
            facts,
            authorization_id: OpaqueId::new(&self.names.text(words.0[0])).unwrap(),
            scopes: words.0[1..].iter().map(|scope| ScopeName::new(scope).unwrap()).collect(),
        }))
    }

    fn resolve(&self, mut words: Words<'_>) -> Action {
        let (by, note) = (words.option("by").expect("by"), words.option("note").map(|note| Note::new(note).unwrap()));
        let (name, resolution) = match words.0[..] {
            [name, "approved"] => (name, Resolution::Approved),
            [name, "rejected"] => (name, Resolution::Rejected),
            _ => panic!("resolve E1 approved by boss"),
        };
        let body = ResolveBody { resolution, resolved_by: Approver::new(by).unwrap(), note };
        Action::Resolve(EscalationId::parse(&self.names.text(name)), Box::new(body))
    }
}

fn micros(text: &str) -> Micros {
    Micros::new(text.parse().unwrap()).unwrap()
}

/// `amount=5,kind="x,y",tags=["a","b"]`: a comma within a value is followed by the rest of it.
fn facts(text: &str) -> Object {
    let mut facts = Object::new();
    let mut pending = String::new();
    for piece in text.split(',') {
        pending += piece;
        let (name, value) = pending.split_once('=').expect("name=value");
        match Value::parse(value.as_bytes()) {
            Ok(value) => {
                facts.insert(name, value);
                pending.clear();
            }
            Err(_) => pending.push(','),
        }
    }
    assert!(pending.is_empty(), "`{pending}` is no value");
    facts
}

/// `bundle B1 scope limits... + scope limits... days 30`
fn bundle(mut words: Words<'_>) -> Action {
    let bundle_id = BundleId::new(words.0.remove(0)).unwrap();
    let default_expiry_days = words.option("days").map(|days| days.parse().unwrap());
    let description = words.option("description").map(|text| Note::new(text).unwrap());
    let bundle = Bundle { bundle_id, terms: terms(words), default_expiry_days, description };
    Action::CreateBundle(Box::new(BundleBody { bundle }))
}

/// `scope limits... + scope limits...`
fn terms(mut words: Words<'_>) -> Terms {
    let mut terms = Terms {
        agent_id: AgentId::new(words.option("agent").unwrap_or("agent")).unwrap(),
        scopes: Vec::new(),
        requires_confirm_for: Vec::new(),
        requires_escalation_for: Vec::new(),
        escalation_targets: Vec::new(),
    };
    for words in words.0.split(|word| *word == "+") {
        let mut words = Words(words.to_vec());
        let (confirm, escalate, to) = (words.flag("confirm"), words.flag("escalate"), words.option("to"));
        let constraints = constraints(&mut words);
        let [name] = words.0[..] else { panic!("one scope, not {:?}", words.0) };
        let name = ScopeName::new(name).unwrap();
        terms.requires_confirm_for.extend(confirm.then(|| name.clone()));
        terms.requires_escalation_for.extend(escalate.then(|| name.clone()));
        terms.escalation_targets.extend(to.map(|to| (name.clone(), Approver::new(to).unwrap())));
        terms.scopes.push(Grant { name, constraints });
    }
    terms
}

fn constraints(words: &mut Words<'_>) -> Option<Box<Constraints>> {
    let list = |items: &str| items.split('|').map(|item| ConstraintItem::new(item).unwrap()).collect();
    let given = Constraints {
        max_per_day: words.option("max_per_day").map(|max| max.parse().unwrap()),
        resource_pattern: words.option("pattern").map(|pattern| Pattern::new(unquoted(pattern)).unwrap()),
        allowed_initiators: words.option("initiators").map(list),
        allowed_domains: words.option("domains").map(list),
        allowed_fields: words.option("fields").map(list),
        confirm_when: conditions(words, "confirm_when"),
        escalate_when: conditions(words, "escalate_when"),
        deny_when: conditions(words, "deny_when"),
    };
    (given != Constraints::default()).then(|| Box::new(given))
}

/// A word for each entry, or `[]` for none.
fn conditions(words: &mut Words<'_>, name: &str) -> Option<Vec<Condition>> {
    let mut list = None;
    while let Some(word) = words.option(name) {
        let list = list.get_or_insert_with(Vec::new);
        if word != "[]" {
            list.push(condition(word));
        }
    }
    list
}
