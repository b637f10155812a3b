//! The words of the tables: names for ids, times of day, outcomes and events.

use std::collections::BTreeMap;
use std::fmt::Display;

use allowlog_projections::command::NewApiKey;
use allowlog_projections::decide::{Decided, Outcome};
use allowlog_projections::rejected::Rejected;
use allowlog_proto::api::allowly::{budget, policy_eval};
use allowlog_proto::event::{
    Answer, ApiKeyEvent, AuthorizationEvent, BundleEvent, CheckEvent, Condition, ConfirmationEvent, Constraints, Decided as ScopeDecided,
    EscalationEvent, Event, Granted, Plan, Role, Scalar, SigningKeyEvent, Style, Subject, Terms, Test, TombstoneEvent, Verdict,
    WorkspaceEvent,
};
use allowlog_proto::json::{Object, Value};
use allowlog_proto::key_document::KeyDocument;
use allowlog_proto::text::{ConditionField, ConditionText, Note, Resource};
use allowlog_proto::time::Timestamp;

const TODAY: &str = "2026-03-10";
const DAY_MS: u64 = 86_400_000;

/// `10:00`, `10:00:00.001`, `10:00+1d`
pub(crate) fn instant(text: &str) -> Timestamp {
    let (time, days) = text.split_once('+').unwrap_or((text, "0d"));
    let days: u64 = days.trim_end_matches('d').parse().expect("days");
    let seconds = if time.len() == 5 { ":00" } else { "" };
    Timestamp::parse(&format!("{TODAY}T{time}{seconds}Z")).expect("a time of day").saturating_add_ms(days * DAY_MS)
}

pub(crate) fn time(instant: Timestamp) -> String {
    let text = instant.to_string();
    let time = text[11..].trim_end_matches('Z');
    let time = time.strip_suffix(".000").unwrap_or(time);
    let time = if time.len() == 8 { time.strip_suffix(":00").unwrap_or(time) } else { time };
    match instant.day() - self::instant("00:00").day() {
        0 => time.to_owned(),
        days => format!("{time}+{days}d"),
    }
}

/// A word that may be empty.
pub(crate) fn unquoted(word: &str) -> &str {
    if word == "\"\"" { "" } else { word }
}

/// The same the other way round.
pub(crate) fn quoted(word: &str) -> &str {
    if word.is_empty() { "\"\"" } else { word }
}

pub(crate) fn resource(resource: Option<&Resource>) -> &str {
    resource.map_or("-", |resource| quoted(resource.as_str()))
}

/// ` word value`, where there is one.
pub(crate) fn option(word: &str, value: Option<impl Display>) -> String {
    value.map_or(String::new(), |value| format!(" {word} {value}"))
}

/// ` plan free`: what most workspaces have is not said.
fn plan(plan: Plan) -> String {
    option("plan", Some(plan).filter(|plan| *plan != Plan::Enterprise).map(Plan::as_str))
}

/// ` role read style affixio expires 12:00`: what most API keys are is not said.
fn key_limits(key: &NewApiKey) -> String {
    let role = option("role", Some(key.role).filter(|role| *role != Role::Runtime).map(Role::as_str));
    let style = option("style", Some(key.style).filter(|style| *style != Style::Allowly).map(Style::as_str));
    role + &style + &option("expires", key.expires_at.map(time))
}

/// The operators, as a condition is written: `amount>=5`, `kind=["a","b"]` for one of these, `amount?false` for absent.
const OPERATORS: [(&str, &str); 7] = [("!=", "neq"), ("<=", "lte"), (">=", "gte"), ("=", "eq"), ("<", "lt"), (">", "gt"), ("?", "exists")];

/// A condition from its word.
pub(crate) fn condition(word: &str) -> Condition {
    let at = word.find(['!', '<', '>', '=', '?']).expect("an operator");
    let (sign, name) = OPERATORS.iter().find(|(sign, _)| word[at..].starts_with(sign)).expect("an operator");
    let value = Value::parse(&word.as_bytes()[at + sign.len()..]).expect("a value");
    let scalar = |value: &Value| match value {
        Value::Bool(b) => Scalar::Bool(*b),
        Value::Int(n) => Scalar::Int(*n),
        Value::Text(text) => Scalar::Text(ConditionText::new(text).unwrap()),
        Value::Null | Value::Array(_) | Value::Object(_) | Value::Unsafe(_) => panic!("{value:?} is no scalar"),
    };
    let test = match (*name, &value) {
        ("eq", Value::Array(items)) => Test::In(items.iter().map(scalar).collect()),
        ("eq", value) => Test::Eq(scalar(value)),
        ("neq", value) => Test::Neq(scalar(value)),
        ("lt", Value::Int(n)) => Test::Lt(*n),
        ("lte", Value::Int(n)) => Test::Lte(*n),
        ("gt", Value::Int(n)) => Test::Gt(*n),
        ("gte", Value::Int(n)) => Test::Gte(*n),
        ("exists", Value::Bool(there)) => Test::Exists(*there),
        (name, value) => panic!("{name} {value:?} is no condition"),
    };
    Condition { field: ConditionField::new(&word[..at]).unwrap(), test }
}

/// The word of a condition.
fn condition_word(condition: &Condition) -> String {
    let scalar = |scalar: &Scalar| match scalar {
        Scalar::Bool(b) => b.to_string(),
        Scalar::Int(n) => n.to_string(),
        Scalar::Text(text) => format!("{text:?}"),
    };
    let (name, value) = match &condition.test {
        Test::Eq(value) => ("eq", scalar(value)),
        Test::Neq(value) => ("neq", scalar(value)),
        Test::Lt(n) => ("lt", n.to_string()),
        Test::Lte(n) => ("lte", n.to_string()),
        Test::Gt(n) => ("gt", n.to_string()),
        Test::Gte(n) => ("gte", n.to_string()),
        Test::In(items) => ("eq", format!("[{}]", items.iter().map(scalar).collect::<Vec<_>>().join(","))),
        Test::Exists(there) => ("exists", there.to_string()),
    };
    let sign = OPERATORS.iter().find(|(_, operator)| *operator == name).unwrap().0;
    format!("{}{sign}{value}", condition.field)
}

/// ` budget 40+11/50 now 40`: spent before, the estimate, the limit, spent now.
fn budget_words(decided: &ScopeDecided) -> String {
    let Some(block) = budget(decided) else { return String::new() };
    let [limit, before, cost, after] = ["limit", "spent", "estimated_cost", "spent_after"].map(|name| {
        let Some(Value::Int(micros)) = block.get(&format!("{name}_micros")) else { panic!("{name} in {block:?}") };
        *micros
    });
    format!(" budget {before}+{cost}/{limit} now {after}")
}

/// ` quiet`, or ` fired amount gt 100 found 500`.
fn eval_words(decided: &ScopeDecided) -> String {
    let Some(eval) = policy_eval(decided) else { return String::new() };
    let member = |object: &Object, name: &str| {
        let mut text = String::new();
        object.get(name).unwrap().write_canonical("", &mut text).unwrap();
        text
    };
    let Some(matched) = eval.get("matched_condition").and_then(Value::as_object) else {
        assert_eq!((member(&eval, "matched_condition"), member(&eval, "field_value")), ("null".to_owned(), "null".to_owned()));
        return " quiet".to_owned();
    };
    let text = |name: &str| matched.get(name).and_then(Value::as_text).unwrap();
    format!(" fired {} {} {} found {}", text("field"), text("op"), member(matched, "value"), member(&eval, "field_value"))
}

/// `a max_per_day 2 confirm + b escalate to boss`, in the words of the request.
fn scopes(terms: &Terms) -> String {
    let scope = |scope: &allowlog_proto::event::Grant| {
        let mut words = vec![scope.name.to_string()];
        words.extend(limits(&scope.constraints.as_deref().cloned().unwrap_or_default()));
        words.extend(terms.requires_confirm_for.contains(&scope.name).then(|| "confirm".to_owned()));
        words.extend(terms.requires_escalation_for.contains(&scope.name).then(|| "escalate".to_owned()));
        words.extend(terms.escalation_targets.iter().filter(|(name, _)| *name == scope.name).map(|(_, to)| format!("to {to}")));
        words.join(" ")
    };
    terms.scopes.iter().map(scope).collect::<Vec<_>>().join(" + ")
}

fn limits(given: &Constraints) -> Vec<String> {
    let mut words = Vec::new();
    words.extend(given.max_per_day.map(|max| format!("max_per_day {max}")));
    words.extend(given.resource_pattern.as_ref().map(|pattern| format!("pattern {}", quoted(pattern.as_str()))));
    for (name, list) in [("initiators", &given.allowed_initiators), ("domains", &given.allowed_domains), ("fields", &given.allowed_fields)]
    {
        words.extend(list.as_ref().map(|items| format!("{name} {}", items.iter().map(|i| i.as_str()).collect::<Vec<_>>().join("|"))));
    }
    for (name, list) in [("deny_when", &given.deny_when), ("escalate_when", &given.escalate_when), ("confirm_when", &given.confirm_when)] {
        words.extend(list.as_ref().filter(|list| list.is_empty()).map(|_| format!("{name} []")));
        words.extend(list.iter().flatten().map(|condition| format!("{name} {}", condition_word(condition))));
    }
    words
}

/// The name of each id, by its text, given in order of appearance.
pub(crate) struct Names(BTreeMap<String, String>);

impl Names {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Names an id that the table itself made up.
    pub(crate) fn give(&mut self, name: &str, id: impl Display) {
        self.0.insert(id.to_string(), name.to_owned());
    }

    pub(crate) fn of(&mut self, kind: &str, id: impl Display) -> String {
        let next = 1 + self.0.values().filter(|name| name.starts_with(kind)).count();
        self.0.entry(id.to_string()).or_insert_with(|| format!("{kind}{next}")).clone()
    }

    /// The name of what is written so, if it has one.
    pub(crate) fn name_of(&self, text: &str) -> Option<&str> {
        self.0.get(text).map(String::as_str)
    }

    /// The id of this name, or the name itself: an id that nobody was given.
    pub(crate) fn text(&self, name: &str) -> String {
        self.0.iter().find(|(_, given)| *given == name).map_or(name, |(id, _)| id).to_owned()
    }

    /// The outcome and the events, a line each.
    pub(crate) fn result(&mut self, result: &Result<Decided, Rejected>) -> (Vec<String>, Vec<String>) {
        let decided = match result {
            Ok(decided) => decided,
            Err(Rejected::Unauthorized) => return (vec!["unauthorized".to_owned()], Vec::new()),
            Err(Rejected::Forbidden) => return (vec!["forbidden".to_owned()], Vec::new()),
            Err(Rejected::BudgetPlanRequired) => return (vec!["budget_plan_required".to_owned()], Vec::new()),
            Err(Rejected::PaymentRequired) => return (vec!["payment_required".to_owned()], Vec::new()),
            Err(Rejected::IdempotencyKeyReused) => return (vec!["idempotency_key_reused".to_owned()], Vec::new()),
            Err(Rejected::NotFound(what)) => return (vec![format!("not found: {what}")], Vec::new()),
            Err(Rejected::Conflict(why)) => return (vec![format!("conflict: {why}")], Vec::new()),
            Err(Rejected::NotAuthorised(refusal)) => return (vec![format!("not authorised: {}", refusal.as_str())], Vec::new()),
            Err(Rejected::AlreadyUsed) => return (vec!["already used".to_owned()], Vec::new()),
            Err(Rejected::Gone(why)) => return (vec![format!("gone: {why}")], Vec::new()),
            Err(Rejected::Invalid(fields)) => {
                return (fields.iter().map(|e| format!("invalid {}: {}", e.field, e.message)).collect(), Vec::new());
            }
        };
        let workspace = self.of("W", decided.workspace_id);
        // Most of the tables play in the first workspace; wherever else an event goes is said.
        let place = if workspace == "W1" { String::new() } else { format!(" in {workspace}") };
        let outcome = self.outcome(&decided.outcome);
        (outcome, decided.events.iter().map(|event| self.event(event) + &place).collect())
    }

    /// The answer, a line or more.
    pub(crate) fn outcome(&mut self, outcome: &Outcome) -> Vec<String> {
        vec![match outcome {
            Outcome::WorkspaceCreated(new) => {
                let (id, api_key, signing_key) = (
                    self.of("W", new.workspace_id),
                    new.api_key_id.map_or("-".to_owned(), |id| self.of("K", id)),
                    self.of("S", new.key_id),
                );
                format!("created {id}{} {api_key} {signing_key} at {}", plan(new.plan), time(new.created_at))
            }
            Outcome::WorkspaceChanged(now) => {
                format!("changed {} {}{} made {}", self.of("W", now.workspace_id), now.name, plan(now.plan), time(now.created_at))
            }
            Outcome::ApiKeyCreated(new) => {
                let id = self.of("K", new.api_key.api_key_id);
                format!("created {id}{} at {}", key_limits(&new.api_key), time(new.created_at))
            }
            Outcome::ApiKeyRevoked(key) => {
                format!("revoked {} made {} at {}", self.of("K", key.api_key_id), time(key.api_key.created_at), time(key.revoked_at))
            }
            Outcome::SigningKeyRotated(key) => format!("signing {} from {}", self.of("S", key.key_id), time(key.active_from)),
            Outcome::Created(new) => {
                let id = self.of("G", new.granted.authorization_id);
                format!("granted {id} at {}{}", time(new.created_at), option("until", new.granted.expires_at.map(time)))
            }
            Outcome::Revoked(revoked) => format!("revoked {} at {}", self.of("G", revoked.authorization_id), time(revoked.revoked_at)),
            Outcome::Checked(checked) => return checked.results.iter().map(|result| self.verdict(result)).collect(),
            Outcome::Confirmed(answer) => self.answer(answer),
            Outcome::Resolved(resolved) => {
                let receipt = if resolved.receipt_id.is_some() { "" } else { " without receipt" };
                let id = self.of("E", resolved.escalation_id);
                format!("{} {id} by {} at {}{receipt}", resolved.resolution.as_str(), resolved.resolved_by, time(resolved.resolved_at))
            }
            Outcome::BundleCreated(bundle, at) => format!("bundled {} at {}", bundle.bundle_id, time(*at)),
            Outcome::BundleDeleted(id, at) => format!("unbundled {id} at {}", time(*at)),
            Outcome::TombstonePlaced { tombstone_id, resource, reason, created_at } => {
                format!("{} at {}", self.tombstone("closed", tombstone_id, resource, reason.as_ref()), time(*created_at))
            }
            Outcome::TombstoneLifted { tombstone_id, resource, lifted_at } => {
                format!("{} at {}", self.tombstone("opened", tombstone_id, resource, None), time(*lifted_at))
            }
            Outcome::Consent(_)
            | Outcome::ConsentViewed(_)
            | Outcome::TokenMinted(..)
            | Outcome::TokenVerified(_)
            | Outcome::ManageLink(_)
            | Outcome::ConsentAgent(_) => self.consent_outcome(outcome),
            Outcome::Agent(_)
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
            | Outcome::Reconciled(_) => return self.payment_outcome(outcome),
            // What was answered first is in the log.
            Outcome::Repeated(_) => "again".to_owned(),
        }]
    }

    fn tombstone(&mut self, verb: &str, id: impl Display, resource: &Resource, reason: Option<&Note>) -> String {
        format!("{verb} {} {}{}", self.of("T", id), quoted(resource.as_str()), option("reason", reason))
    }

    fn verdict(&mut self, decided: &ScopeDecided) -> String {
        let detail = match &decided.verdict {
            Verdict::Deny | Verdict::Allow { consumed: None } => String::new(),
            Verdict::Allow { consumed: Some(id) } => format!(" uses {}", self.of("E", id)),
            Verdict::Confirm { nonce, expires_at } => format!(" {} until {}", self.of("N", nonce), time(*expires_at)),
            Verdict::Escalate { escalation_id, escalation_to, expires_at, opened } => {
                let to = escalation_to.as_ref().map_or(String::new(), |to| format!(" to {to}"));
                let again = if *opened { "" } else { " again" };
                format!(" {}{to} until {}{again}", self.of("E", escalation_id), time(*expires_at))
            }
        };
        let (decision, reason) = (decided.verdict.decision().as_str(), decided.reason.as_str());
        format!("{decision} {reason}{detail}{}{}", budget_words(decided), eval_words(decided))
    }

    fn answer(&mut self, answer: &Answer) -> String {
        match answer {
            Answer::Approved { confirmation_id, expires_at } => {
                format!("approved {} until {}", self.of("C", confirmation_id), time(*expires_at))
            }
            Answer::Declined => "declined".to_owned(),
        }
    }

    fn event(&mut self, event: &Event) -> String {
        match event {
            Event::Workspace(WorkspaceEvent::Created { name, plan }) => format!("workspace {name}{}", self::plan(*plan)),
            Event::Workspace(WorkspaceEvent::Changed { name, plan }) => format!("workspace_changed {name}{}", self::plan(*plan)),
            Event::Workspace(WorkspaceEvent::Described(_)) => "workspace_described".to_owned(),
            Event::ApiKey(ApiKeyEvent::Created { api_key_id, name, style, role, expires_at, secret_hash }) => {
                let (api_key_id, secret_hash) = (*api_key_id, *secret_hash);
                let key = NewApiKey { api_key_id, name: name.clone(), style: *style, role: *role, expires_at: *expires_at, secret_hash };
                format!("api_key {}{}", self.of("K", api_key_id), key_limits(&key))
            }
            Event::ApiKey(ApiKeyEvent::Revoked { api_key_id }) => format!("api_key_revoked {}", self.of("K", api_key_id)),
            Event::SigningKey(SigningKeyEvent::Activated { key_id, active_from, .. }) => {
                format!("signing_key {} from {}", self.of("S", key_id), time(*active_from))
            }
            Event::Authorization(AuthorizationEvent::Granted(granted)) => self.granted(granted),
            Event::Authorization(AuthorizationEvent::Revoked(revoked)) => {
                let mut line = format!("revoked {}", self.of("G", revoked.authorization_id));
                line += &option("by", revoked.revoked_by.as_ref());
                line += &option("superseded_by", revoked.superseded_by.map(|id| self.of("G", id)));
                line += &option("notes", revoked.notes.as_ref());
                line + &revoked.consent.as_deref().map_or(String::new(), |consent| self.taken_back(consent))
            }
            Event::Check(CheckEvent::Decided(decided)) => self.checked(decided),
            Event::Check(CheckEvent::TokenVerified(verified)) => self.verified(verified),
            Event::ConsentAgent(event) => self.consent_agent(event),
            Event::Consent(event) => self.consent(event),
            Event::Confirmation(ConfirmationEvent::Resolved(resolved)) => {
                let about = (self.of("N", resolved.nonce), self.of("G", resolved.authorization_id), resource(resolved.resource.as_ref()));
                format!("confirmation {} {} {} {} {}", about.0, about.1, resolved.scope, about.2, self.answer(&resolved.answer))
            }
            Event::Escalation(EscalationEvent::Resolved(resolved)) => {
                let about =
                    (self.of("E", resolved.escalation_id), self.of("G", resolved.authorization_id), resource(resolved.resource.as_ref()));
                let answer = (resolved.resolution.as_str(), &resolved.resolved_by);
                let note = option("note", resolved.note.as_ref());
                format!("escalation {} {} {} {} {} by {}{note}", about.0, about.1, resolved.scope, about.2, answer.0, answer.1)
            }
            Event::Agent(event) => self.registered_agent(event),
            Event::Device(event) => self.device(event),
            Event::Payment(event) => self.payment(event),
            Event::Bundle(BundleEvent::Created(bundle)) => {
                let (days, description) = (option("days", bundle.default_expiry_days), option("description", bundle.description.as_ref()));
                format!("bundle {} {}{days}{description}", bundle.bundle_id, scopes(&bundle.terms))
            }
            Event::Bundle(BundleEvent::Deleted { bundle_id }) => format!("bundle_deleted {bundle_id}"),
            Event::Tombstone(TombstoneEvent::Placed { tombstone_id, resource, reason }) => {
                self.tombstone("tombstone", tombstone_id, resource, reason.as_ref())
            }
            Event::Tombstone(TombstoneEvent::Lifted { tombstone_id, resource }) => {
                self.tombstone("tombstone_lifted", tombstone_id, resource, None)
            }
        }
    }

    fn checked(&mut self, decided: &ScopeDecided) -> String {
        let subject = match &decided.subject {
            Subject::Unknown { asked } => {
                let name = self.0.get(asked.as_str()).map_or(asked.as_str(), String::as_str);
                format!("unknown {name}")
            }
            Subject::Known { authorization_id, .. } => self.of("G", authorization_id),
        };
        let mut line = format!("checked {subject} {} {} {}", decided.scope, resource(decided.resource.as_ref()), self.verdict(decided));
        line += &option("session", decided.session_id.as_ref());
        line + &option("cost", decided.estimated_cost.map(|cost| cost.get()))
    }

    /// In the words of the request, with all that was copied from a bundle.
    fn granted(&mut self, granted: &Granted) -> String {
        let id = self.of("G", granted.authorization_id);
        let (budget, bundle) =
            (option("budget", granted.budget_limit.map(|limit| limit.get())), option("from", granted.bundle_id.as_ref()));
        let replaces = option("replaces", granted.replaces.map(|id| self.of("G", id)));
        let expires = option("expires", granted.expires_at.map(time));
        let starts = option("starts", granted.not_before.map(time));
        let consent = granted.consent.as_deref().map_or(String::new(), |consent| self.consented(granted, consent));
        let delegated = granted.delegation.as_deref().map_or(String::new(), |delegated| self.delegated(granted, delegated));
        format!("granted {id} {}{starts}{expires}{budget}{bundle}{replaces}{consent}{delegated}", scopes(&granted.terms))
    }

    /// The key document, a line for each key.
    pub(crate) fn signing_keys(&mut self, document: &KeyDocument) -> Vec<String> {
        let until = |until: Option<Timestamp>| until.map_or(String::new(), |until| format!(" until {}", time(until)));
        document.keys.iter().map(|k| format!("{} from {}{}", self.of("S", k.key_id), time(k.active_from), until(k.active_until))).collect()
    }
}
