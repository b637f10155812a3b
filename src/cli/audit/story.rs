//! Records as people read them: when, what, why, who, and how the counters stand.

use std::collections::BTreeMap;

use allowlog_proto::event::Answer;
use allowlog_proto::event::{
    ApiKeyEvent, AuthorizationEvent, BundleEvent, CheckEvent, ConfirmationEvent, ConsentAgentEvent, ConsentEvent, Decided, EscalationEvent,
    Event, SigningKeyEvent, Subject, TombstoneEvent, Verdict, WorkspaceEvent,
};
use allowlog_proto::evidence::Line;
use allowlog_proto::id::AuthorizationId;
use allowlog_proto::reason::Decision;
use allowlog_proto::record::Record;
use allowlog_proto::text::ScopeName;

use crate::cli::plain;

mod payments;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// What was told so far.
pub struct Story {
    /// Whose story it is; that of a workspace names the authorizations.
    authorization_id: Option<AuthorizationId>,
    /// Allows of a scope on a day of UTC.
    allows: BTreeMap<(AuthorizationId, String, u64), u64>,
}

impl Story {
    pub const fn new(authorization_id: Option<AuthorizationId>) -> Self {
        Self { authorization_id, allows: BTreeMap::new() }
    }

    /// One record; nothing of a hidden one.
    pub fn tell(&mut self, line: &Line) -> Option<String> {
        let record = line.record.as_ref()?;
        let mut text = format!("{:>6}  {}  {}", line.index, record.time, self.what(record));
        if self.authorization_id.is_none()
            && let Some(id) = record.event.authorization_id()
        {
            text += &format!("  [{id}]");
        }
        Some(plain(&text))
    }

    fn what(&mut self, record: &Record) -> String {
        match &record.event {
            Event::Workspace(WorkspaceEvent::Created { name, plan }) => format!("workspace `{name}` created, plan {}", plan.as_str()),
            Event::Workspace(WorkspaceEvent::Changed { name, plan }) => format!("workspace now `{name}`, plan {}", plan.as_str()),
            Event::ApiKey(ApiKeyEvent::Created { api_key_id, name, .. }) => format!("API key {api_key_id} `{name}` created"),
            Event::ApiKey(ApiKeyEvent::Revoked { api_key_id }) => format!("API key {api_key_id} revoked"),
            Event::SigningKey(SigningKeyEvent::Activated { key_id, active_from, .. }) => {
                format!("signing key {key_id} activated from {active_from}")
            }
            Event::Authorization(AuthorizationEvent::Granted(granted)) => {
                let scopes: Vec<&str> = granted.terms.scopes.iter().map(|scope| scope.name.as_str()).collect();
                let budget = granted.budget_limit.map(|limit| format!(", budget {} micro-USD", limit.get())).unwrap_or_default();
                let until = granted.expires_at.map_or_else(|| "until withdrawn".to_owned(), |end| format!("until {end}"));
                let until = match granted.not_before {
                    Some(start) => format!("from {start} {until}"),
                    None => until,
                };
                let consent = granted.consent.as_ref().map(|consent| format!(", by consent {}", consent.consent_id)).unwrap_or_default();
                format!("granted {} by {} to {} {until}{budget}{consent}", scopes.join(", "), granted.user_id, granted.terms.agent_id)
            }
            Event::Authorization(AuthorizationEvent::Revoked(revoked)) => {
                let by = revoked.revoked_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
                let notes = revoked.notes.as_ref().map(|notes| format!(": {notes}")).unwrap_or_default();
                match revoked.superseded_by {
                    Some(next) => format!("revoked{by}, superseded by {next}"),
                    None => format!("revoked{by}{notes}"),
                }
            }
            Event::Check(CheckEvent::Decided(decided)) => self.check(record, decided),
            Event::Check(CheckEvent::TokenVerified(verified)) => {
                let (token, decision) = (verified.token, verified.decision().as_str());
                format!("token {} of consent {}: {decision} ({})", token.token_id, verified.consent_id, verified.reason.as_str())
            }
            Event::Workspace(WorkspaceEvent::Described(_)) => "workspace described".to_owned(),
            Event::Agent(event) => payments::agent(event),
            Event::Device(event) => payments::device(event),
            Event::Payment(event) => payments::payment(event),
            Event::ConsentAgent(event) => agent(event),
            Event::Consent(event) => consent(event),
            Event::Confirmation(ConfirmationEvent::Resolved(resolved)) => {
                let answer = match &resolved.answer {
                    Answer::Approved { expires_at, .. } => format!("confirmed until {expires_at}"),
                    Answer::Declined => "declined".to_owned(),
                };
                format!("user {answer}: {}{}", resolved.scope, on(resolved.resource.as_ref().map(|r| r.as_str())))
            }
            Event::Escalation(EscalationEvent::Resolved(resolved)) => {
                let note = resolved.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
                format!(
                    "escalation {} {} by {}: {}{}{note}",
                    resolved.escalation_id,
                    resolved.resolution.as_str(),
                    resolved.resolved_by,
                    resolved.scope,
                    on(resolved.resource.as_ref().map(|r| r.as_str()))
                )
            }
            Event::Bundle(BundleEvent::Created(bundle)) => format!("bundle `{}` created", bundle.bundle_id),
            Event::Bundle(BundleEvent::Deleted { bundle_id }) => format!("bundle `{bundle_id}` deleted"),
            Event::Tombstone(TombstoneEvent::Placed { resource, .. }) => format!("resource {resource} closed to every agent"),
            Event::Tombstone(TombstoneEvent::Lifted { resource, .. }) => format!("resource {resource} opened again"),
        }
    }

    fn check(&mut self, record: &Record, decided: &Decided) -> String {
        let decision = decided.verdict.decision();
        let mut text = format!(
            "check {}{}: {} ({})",
            decided.scope,
            on(decided.resource.as_ref().map(|r| r.as_str())),
            decision.as_str(),
            decided.reason.as_str()
        );
        match &decided.subject {
            Subject::Unknown { .. } => text += ", of an authorization that is unknown",
            Subject::Known { authorization_id, user_id, agent_id, .. } => {
                text += &format!(", {agent_id} for {user_id}");
                let day = record.time.as_ms() / DAY_MS;
                let allows = self.allows.entry((*authorization_id, decided.scope.to_string(), day)).or_default();
                if decision == Decision::Allow {
                    *allows = allows.saturating_add(1);
                }
                text += &format!("; {allows} allowed on that day");
            }
        }
        if let Some(budget) = &decided.budget {
            let cost = decided.estimated_cost.map_or(0, |cost| cost.get());
            let spent = budget.spent.get().saturating_add(if decision == Decision::Allow { cost } else { 0 });
            text += &format!("; spent {spent} of {} micro-USD", budget.limit.get());
        }
        if let Verdict::Escalate { escalation_id, .. } = &decided.verdict {
            text += &format!("; escalation {escalation_id}");
        }
        text
    }
}

fn on(resource: Option<&str>) -> String {
    resource.map(|resource| format!(" on {resource}")).unwrap_or_default()
}

fn agent(event: &ConsentAgentEvent) -> String {
    match event {
        ConsentAgentEvent::Created { agent_id, terms, .. } => format!("agent {agent_id} `{}` created", terms.name),
        ConsentAgentEvent::Changed { agent_id, terms } => format!("agent {agent_id} `{}` changed", terms.name),
        ConsentAgentEvent::SecretRotated { agent_id, .. } => format!("agent {agent_id} signs webhooks with another secret"),
    }
}

fn consent(event: &ConsentEvent) -> String {
    let listed = |scopes: &[ScopeName]| scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", ");
    match event {
        ConsentEvent::Requested(asked) => {
            let scopes: Vec<&str> = asked.scopes.iter().map(|scope| scope.key.as_str()).collect();
            let (id, user, agent) = (asked.consent_id, &asked.user_id, asked.agent_id);
            format!("{user} is asked to consent to {} for {agent} until {} ({id})", scopes.join(", "), asked.expires_at)
        }
        ConsentEvent::Viewed(viewed) => format!("page of consent {} looked at", viewed.consent_id),
        ConsentEvent::Declined(declined) => format!("{} declined {}", declined.user_id, listed(&declined.scopes)),
        ConsentEvent::Withdrawn(withdrawn) => format!("request for consent {} taken back", withdrawn.consent_id),
        ConsentEvent::Minted(minted) => format!("token {} made, until {}", minted.token.token_id, minted.token.expires_at),
        ConsentEvent::ManageLink(link) => format!("link for {} to manage consents, until {}", link.user_id, link.expires_at),
    }
}
