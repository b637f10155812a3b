//! What receipts say: a function of one record, nothing else.
//!
//! Source: section "Receipts" of the Allowly API in its scopes form, tables of events and of contexts.

use allowlog_proto::event::{
    AuthorizationEvent, CheckEvent, Constraints, Decided, EscalationEvent, EscalationResolved, Event, Granted, Resolution, Revoked,
    Subject, Verdict,
};
use allowlog_proto::json::{Object, Value};
use allowlog_proto::receipt::{About, Receipt};
use allowlog_proto::record::Record;
use allowlog_proto::text::{ConstraintItem, ScopeName};

/// The receipt of a record, if it leads to one.
pub fn receipt(record: &Record) -> Option<Receipt<'_>> {
    match &record.event {
        Event::Workspace(_) | Event::ApiKey(_) | Event::SigningKey(_) | Event::Confirmation(_) => None,
        Event::Authorization(AuthorizationEvent::Granted(granted)) => Some(of_grant(record, granted)),
        Event::Authorization(AuthorizationEvent::Revoked(revoked)) => Some(of_revoke(record, revoked)),
        Event::Check(CheckEvent::Decided(decided)) => Some(of_check(record, decided)),
        Event::Escalation(EscalationEvent::Resolved(resolved)) => Some(of_resolution(record, resolved)),
    }
}

fn of_grant<'r>(record: &Record, granted: &'r Granted) -> Receipt<'r> {
    let mut context = granted.metadata.to_object();
    context.insert("scopes", Value::Array(granted.scopes.iter().map(|s| scope(&s.name, s.constraints.as_deref())).collect()));
    for (name, scopes) in
        [("requires_confirm_for", &granted.requires_confirm_for), ("requires_escalation_for", &granted.requires_escalation_for)]
    {
        if !scopes.is_empty() {
            context.insert(name, Value::Array(scopes.iter().map(|s| s.as_str().into()).collect()));
        }
    }
    if !granted.escalation_targets.is_empty() {
        let mut targets = Object::new();
        for (scope, target) in &granted.escalation_targets {
            targets.insert(scope.as_str(), target.as_str().into());
        }
        context.insert("escalation_targets", Value::Object(targets));
    }
    context.insert("expires_at", granted.expires_at.to_string().as_str().into());
    if let Some(id) = granted.replaces {
        context.insert("replaces", id.to_string().as_str().into());
    }
    Receipt {
        receipt_id: granted.receipt_id,
        workspace_id: record.workspace_id,
        issued_at: record.time,
        about: About::Event("authorization.create"),
        decision: "authorization_granted",
        reason: "user_approved_via_customer_ui",
        authorization_id: Some(granted.authorization_id),
        user_id: granted.user_id.as_str(),
        agent_id: granted.agent_id.as_str(),
        resource: None,
        context,
        policy_version: granted.policy_version.as_str(),
    }
}

/// A plain string without constraints, `{name, constraints}` with them, as they were given.
fn scope(name: &ScopeName, constraints: Option<&Constraints>) -> Value {
    let Some(given) = constraints else { return name.as_str().into() };
    let mut constraints = Object::new();
    // At most 2^53 - 1 by its parser, so the conversion cannot fail.
    if let Some(max) = given.max_per_day.and_then(|max| i64::try_from(max).ok()) {
        constraints.insert("max_per_day", Value::Int(max));
    }
    if let Some(pattern) = &given.resource_pattern {
        constraints.insert("resource_pattern", pattern.as_str().into());
    }
    let list = |items: &Vec<ConstraintItem>| Value::Array(items.iter().map(|i| i.as_str().into()).collect());
    for (name, items) in [
        ("allowed_initiators", &given.allowed_initiators),
        ("allowed_domains", &given.allowed_domains),
        ("allowed_fields", &given.allowed_fields),
    ] {
        if let Some(items) = items {
            constraints.insert(name, list(items));
        }
    }
    let mut scope = Object::new();
    scope.insert("name", name.as_str().into());
    scope.insert("constraints", Value::Object(constraints));
    Value::Object(scope)
}

fn of_revoke<'r>(record: &Record, revoked: &'r Revoked) -> Receipt<'r> {
    let mut context = Object::new();
    if let Some(by) = &revoked.revoked_by {
        context.insert("revoked_by", by.as_str().into());
    }
    if let Some(id) = revoked.superseded_by {
        context.insert("superseded_by", id.to_string().as_str().into());
    }
    if let Some(notes) = &revoked.notes {
        context.insert("notes", notes.as_str().into());
    }
    let superseded = revoked.superseded_by.is_some();
    Receipt {
        receipt_id: revoked.receipt_id,
        workspace_id: record.workspace_id,
        issued_at: record.time,
        about: About::Event("authorization.revoke"),
        decision: "authorization_revoked",
        reason: if superseded { "superseded_by_new_authorization" } else { "user_revoked_via_settings" },
        authorization_id: Some(revoked.authorization_id),
        user_id: revoked.user_id.as_str(),
        agent_id: revoked.agent_id.as_str(),
        resource: None,
        context,
        policy_version: revoked.policy_version.as_str(),
    }
}

fn of_check<'r>(record: &Record, decided: &'r Decided) -> Receipt<'r> {
    let mut context = decided.context.to_object();
    if let Some(session_id) = &decided.session_id {
        context.insert("session_id", session_id.as_str().into());
    }
    if let Verdict::Escalate { escalation_id, escalation_to, .. } = &decided.verdict {
        let mut escalation = Object::new();
        escalation.insert("id", escalation_id.to_string().as_str().into());
        escalation.insert("event", "requested".into());
        escalation.insert("status", "pending".into());
        escalation.insert("scope", decided.scope.as_str().into());
        escalation.insert("escalation_to", escalation_to.as_ref().map_or(Value::Null, |to| to.as_str().into()));
        context.insert("escalation", Value::Object(escalation));
    }
    let (authorization_id, user_id, agent_id) = match &decided.subject {
        Subject::Unknown { .. } => (None, "unknown", "unknown"),
        Subject::Known { authorization_id, user_id, agent_id } => (Some(*authorization_id), user_id.as_str(), agent_id.as_str()),
    };
    Receipt {
        receipt_id: decided.receipt_id,
        workspace_id: record.workspace_id,
        issued_at: record.time,
        about: About::Scope(decided.scope.as_str()),
        decision: decided.verdict.decision().as_str(),
        reason: decided.reason.as_str(),
        authorization_id,
        user_id,
        agent_id,
        resource: decided.resource.as_ref().map(|r| r.as_str()),
        context,
        policy_version: decided.policy_version.as_str(),
    }
}

fn of_resolution<'r>(record: &Record, resolved: &'r EscalationResolved) -> Receipt<'r> {
    let mut escalation = Object::new();
    escalation.insert("id", resolved.escalation_id.to_string().as_str().into());
    escalation.insert("event", "resolved".into());
    escalation.insert("status", resolved.resolution.as_str().into());
    escalation.insert("scope", resolved.scope.as_str().into());
    escalation.insert("escalation_to", resolved.escalation_to.as_ref().map_or(Value::Null, |to| to.as_str().into()));
    escalation.insert("resolved_by", resolved.resolved_by.as_str().into());
    escalation.insert("note", resolved.note.as_ref().map_or(Value::Null, |note| note.as_str().into()));
    let mut context = Object::new();
    context.insert("escalation", Value::Object(escalation));
    Receipt {
        receipt_id: resolved.receipt_id,
        workspace_id: record.workspace_id,
        issued_at: record.time,
        about: About::Event("escalation.resolve"),
        decision: match resolved.resolution {
            Resolution::Approved => "escalation_approved",
            Resolution::Rejected => "escalation_rejected",
        },
        reason: "escalation_resolved_by_approver",
        authorization_id: Some(resolved.authorization_id),
        user_id: resolved.user_id.as_str(),
        agent_id: resolved.agent_id.as_str(),
        resource: resolved.resource.as_ref().map(|r| r.as_str()),
        context,
        policy_version: resolved.policy_version.as_str(),
    }
}
