//! The words of the tables: names for ids, times of day, outcomes and events.

use std::collections::BTreeMap;
use std::fmt::Display;

use allowlog_projections::decide::{Decided, Outcome};
use allowlog_projections::rejected::Rejected;
use allowlog_proto::event::{
    Answer, ApiKeyEvent, AuthorizationEvent, CheckEvent, ConfirmationEvent, Decided as ScopeDecided, EscalationEvent, Event, Granted,
    SigningKeyEvent, Subject, Verdict, WorkspaceEvent,
};
use allowlog_proto::key_document::KeyDocument;
use allowlog_proto::text::Resource;
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

fn time(instant: Timestamp) -> String {
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

fn resource(resource: Option<&Resource>) -> &str {
    match resource.map(Resource::as_str) {
        None => "-",
        Some("") => "\"\"",
        Some(text) => text,
    }
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

    /// The id of this name, or the name itself: an id that nobody was given.
    pub(crate) fn text(&self, name: &str) -> String {
        self.0.iter().find(|(_, given)| *given == name).map_or(name, |(id, _)| id).to_owned()
    }

    /// The outcome and the events, a line each.
    pub(crate) fn result(&mut self, result: &Result<Decided, Rejected>) -> (Vec<String>, Vec<String>) {
        let decided = match result {
            Ok(decided) => decided,
            Err(Rejected::Unauthorized) => return (vec!["unauthorized".to_owned()], Vec::new()),
            Err(Rejected::NotFound(what)) => return (vec![format!("not found: {what}")], Vec::new()),
            Err(Rejected::Conflict(why)) => return (vec![format!("conflict: {why}")], Vec::new()),
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

    fn outcome(&mut self, outcome: &Outcome) -> Vec<String> {
        vec![match outcome {
            Outcome::WorkspaceCreated(new) => {
                let id = self.of("W", new.workspace_id);
                format!("created {id} {} {} at {}", self.of("K", new.api_key_id), self.of("S", new.key_id), time(new.created_at))
            }
            Outcome::ApiKeyCreated(new) => format!("created {} at {}", self.of("K", new.api_key_id), time(new.created_at)),
            Outcome::ApiKeyRevoked(key) => {
                format!("revoked {} made {} at {}", self.of("K", key.api_key_id), time(key.created_at), time(key.revoked_at))
            }
            Outcome::SigningKeyRotated(key) => format!("signing {} from {}", self.of("S", key.key_id), time(key.active_from)),
            Outcome::Created(new) => {
                format!(
                    "granted {} at {} until {}",
                    self.of("G", new.granted.authorization_id),
                    time(new.created_at),
                    time(new.granted.expires_at)
                )
            }
            Outcome::Revoked(revoked) => format!("revoked {} at {}", self.of("G", revoked.authorization_id), time(revoked.revoked_at)),
            Outcome::Checked(checked) => return checked.results.iter().map(|result| self.verdict(result)).collect(),
            Outcome::Confirmed(confirmed) => self.answer(&confirmed.answer),
            Outcome::Resolved(resolved) => {
                let receipt = if resolved.receipt_id.is_some() { "" } else { " without receipt" };
                let id = self.of("E", resolved.escalation_id);
                format!("{} {id} by {} at {}{receipt}", resolved.resolution.as_str(), resolved.resolved_by, time(resolved.resolved_at))
            }
        }]
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
        format!("{} {}{detail}", decided.verdict.decision().as_str(), decided.reason.as_str())
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
            Event::Workspace(WorkspaceEvent::Created { name }) => format!("workspace {name}"),
            Event::ApiKey(ApiKeyEvent::Created { api_key_id, .. }) => format!("api_key {}", self.of("K", api_key_id)),
            Event::ApiKey(ApiKeyEvent::Revoked { api_key_id }) => format!("api_key_revoked {}", self.of("K", api_key_id)),
            Event::SigningKey(SigningKeyEvent::Activated { key_id, active_from, .. }) => {
                format!("signing_key {} from {}", self.of("S", key_id), time(*active_from))
            }
            Event::Authorization(AuthorizationEvent::Granted(granted)) => self.granted(granted),
            Event::Authorization(AuthorizationEvent::Revoked(revoked)) => {
                let mut line = format!("revoked {}", self.of("G", revoked.authorization_id));
                line += &revoked.revoked_by.as_ref().map_or(String::new(), |by| format!(" by {by}"));
                line += &revoked.superseded_by.map_or(String::new(), |id| format!(" superseded_by {}", self.of("G", id)));
                line + &revoked.notes.as_ref().map_or(String::new(), |notes| format!(" notes {notes}"))
            }
            Event::Check(CheckEvent::Decided(decided)) => self.checked(decided),
            Event::Confirmation(ConfirmationEvent::Resolved(resolved)) => {
                let about = (self.of("N", resolved.nonce), self.of("G", resolved.authorization_id), resource(resolved.resource.as_ref()));
                format!("confirmation {} {} {} {} {}", about.0, about.1, resolved.scope, about.2, self.answer(&resolved.answer))
            }
            Event::Escalation(EscalationEvent::Resolved(resolved)) => {
                let about =
                    (self.of("E", resolved.escalation_id), self.of("G", resolved.authorization_id), resource(resolved.resource.as_ref()));
                let answer = (resolved.resolution.as_str(), &resolved.resolved_by);
                let note = resolved.note.as_ref().map_or(String::new(), |note| format!(" note {note}"));
                format!("escalation {} {} {} {} {} by {}{note}", about.0, about.1, resolved.scope, about.2, answer.0, answer.1)
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
        line += &decided.session_id.as_ref().map_or(String::new(), |session| format!(" session {session}"));
        line + &decided.estimated_cost.map_or(String::new(), |cost| format!(" cost {}", cost.get()))
    }

    /// In the words of the request.
    fn granted(&mut self, granted: &Granted) -> String {
        let scopes: Vec<String> = granted
            .scopes
            .iter()
            .map(|scope| {
                let mut words = vec![scope.name.to_string()];
                let given = scope.constraints.as_deref().cloned().unwrap_or_default();
                words.extend(given.max_per_day.map(|max| format!("max_per_day {max}")));
                words.extend(given.resource_pattern.map(|pattern| format!("pattern {pattern}")));
                for (name, list) in
                    [("initiators", given.allowed_initiators), ("domains", given.allowed_domains), ("fields", given.allowed_fields)]
                {
                    words.extend(list.map(|items| format!("{name} {}", items.iter().map(|i| i.as_str()).collect::<Vec<_>>().join("|"))));
                }
                words.extend(granted.requires_confirm_for.contains(&scope.name).then(|| "confirm".to_owned()));
                words.extend(granted.requires_escalation_for.contains(&scope.name).then(|| "escalate".to_owned()));
                words.extend(granted.escalation_targets.iter().filter(|(name, _)| *name == scope.name).map(|(_, to)| format!("to {to}")));
                words.join(" ")
            })
            .collect();
        let replaces = granted.replaces.map_or(String::new(), |id| format!(" replaces {}", self.of("G", id)));
        let id = self.of("G", granted.authorization_id);
        format!("granted {id} {} expires {}{replaces}", scopes.join(" + "), time(granted.expires_at))
    }

    /// The key document, a line for each key.
    pub(crate) fn signing_keys(&mut self, document: &KeyDocument) -> Vec<String> {
        let until = |until: Option<Timestamp>| until.map_or(String::new(), |until| format!(" until {}", time(until)));
        document.keys.iter().map(|k| format!("{} from {}{}", self.of("S", k.key_id), time(k.active_from), until(k.active_until))).collect()
    }
}
