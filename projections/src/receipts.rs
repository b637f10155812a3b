//! What receipts say: a function of one record, nothing else.
//!
//! Source: section "Receipts" of the Allowly API in its scopes form, tables of events and of contexts.

use allowlog_proto::api::affixio::limits;
use allowlog_proto::api::allowly::{budget, policy_eval, signed_scope, targets_object};
use allowlog_proto::chain::Chain;
use allowlog_proto::event::{
    AuthorizationEvent, CheckEvent, Decided, EscalationEvent, EscalationResolved, Event, Granted, Resolution, Revoked, Subject,
    TokenVerified, Verdict,
};
use allowlog_proto::id::{AuthorizationId, DelegationId, WorkspaceId};
use allowlog_proto::json::{Object, Value};
use allowlog_proto::receipt::{About, Context, Receipt, hash};
use allowlog_proto::record::{NO_RECEIPT, Record, Request};
use allowlog_proto::text::ScopeName;
use allowlog_proto::time::Timestamp;

mod payments;

/// The next record of a workspace's chain, with the hash of its receipt, and the canonical receipt if it leads to one. `time` must
/// not lie before [`Chain::time`].
pub fn record(
    chain: &Chain,
    workspace_id: WorkspaceId,
    time: Timestamp,
    event: Event,
    request: Option<Request>,
) -> (Record, Option<String>) {
    let mut record = Record { request, ..chain.record(workspace_id, time, event) };
    let canonical = receipt(&record).and_then(|receipt| receipt.canonical().ok());
    assert!(record.event.receipt_id().is_none() || canonical.is_some(), "what comes into an event can be signed");
    record.receipt = canonical.as_deref().map_or(NO_RECEIPT, hash);
    (record, canonical)
}

/// What a record must carry of its receipt.
pub fn receipt_hash(record: &Record) -> [u8; 32] {
    receipt(record).and_then(|receipt| receipt.canonical().ok()).map_or(NO_RECEIPT, |canonical| hash(&canonical))
}

/// The receipt of a record, if it leads to one.
pub fn receipt(record: &Record) -> Option<Receipt<'_>> {
    match &record.event {
        Event::Workspace(_)
        | Event::ApiKey(_)
        | Event::SigningKey(_)
        | Event::Confirmation(_)
        | Event::Bundle(_)
        | Event::Tombstone(_)
        | Event::ConsentAgent(_)
        | Event::Consent(_)
        | Event::Agent(_)
        | Event::Device(_) => None,
        Event::Payment(event) => payments::receipt(record, event),
        Event::Authorization(AuthorizationEvent::Granted(granted)) => Some(of_grant(record, granted)),
        Event::Authorization(AuthorizationEvent::Revoked(revoked)) => Some(of_revoke(record, revoked)),
        Event::Check(CheckEvent::Decided(decided)) => Some(of_check(record, decided)),
        Event::Check(CheckEvent::TokenVerified(verified)) => Some(of_token(record, verified)),
        Event::Escalation(EscalationEvent::Resolved(resolved)) => Some(of_resolution(record, resolved)),
    }
}

fn of_grant<'r>(record: &Record, granted: &'r Granted) -> Receipt<'r> {
    let terms = &granted.terms;
    let mut context = Object::new();
    context.insert("scopes", Value::Array(terms.scopes.iter().map(signed_scope).collect()));
    for (name, scopes) in
        [("requires_confirm_for", &terms.requires_confirm_for), ("requires_escalation_for", &terms.requires_escalation_for)]
    {
        if !scopes.is_empty() {
            context.insert(name, Value::Array(scopes.iter().map(|s| s.as_str().into()).collect()));
        }
    }
    if !terms.escalation_targets.is_empty() {
        context.insert("escalation_targets", Value::Object(targets_object(&terms.escalation_targets)));
    }
    if let Some(end) = granted.expires_at {
        context.insert("expires_at", end.to_string().as_str().into());
    }
    if let Some(limit) = granted.budget_limit {
        context.insert("budget_limit_micros", Value::Int(limit.get()));
    }
    if let Some(id) = &granted.bundle_id {
        context.insert("bundle_id", id.as_str().into());
    }
    if let Some(id) = granted.replaces {
        context.insert("replaces", id.to_string().as_str().into());
    }
    if let Some(consent) = &granted.consent {
        context.insert("consent_id", consent.consent_id.to_string().as_str().into());
    }
    if let Some(not_before) = granted.not_before {
        context.insert("not_before", not_before.to_string().as_str().into());
    }
    if let Some(delegation) = &granted.delegation {
        context.insert("delegation_id", DelegationId::from(granted.authorization_id).to_string().as_str().into());
        context.insert("limits", Value::Object(limits(&delegation.limits)));
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
        agent_id: terms.agent_id.as_str(),
        resource: None,
        context: Context { said: Some(&granted.metadata), added: context },
        policy_version: granted.policy_version.as_str(),
        policy_eval: None,
    }
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
    if let Some(consent) = &revoked.consent {
        context.insert("consent_id", consent.consent_id.to_string().as_str().into());
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
        context: context.into(),
        policy_version: revoked.policy_version.as_str(),
        policy_eval: None,
    }
}

fn of_check<'r>(record: &Record, decided: &'r Decided) -> Receipt<'r> {
    let mut context = Object::new();
    if let Some(session_id) = &decided.session_id {
        context.insert("session_id", session_id.as_str().into());
    }
    if let Some(budget) = budget(decided) {
        context.insert("budget", Value::Object(budget));
    }
    if let Some(escalation) = requested(&decided.verdict, &decided.scope) {
        context.insert("escalation", Value::Object(escalation));
    }
    let (authorization_id, user_id, agent_id) = named(&decided.subject);
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
        context: Context { said: Some(&decided.context), added: context },
        policy_version: decided.policy_version.as_str(),
        policy_eval: policy_eval(decided),
    }
}

/// The escalation that a decision leads to, if it leads to one.
fn requested(verdict: &Verdict, scope: &ScopeName) -> Option<Object> {
    let Verdict::Escalate { escalation_id, escalation_to, .. } = verdict else { return None };
    let mut escalation = Object::new();
    escalation.insert("id", escalation_id.to_string().as_str().into());
    escalation.insert("event", "requested".into());
    escalation.insert("status", "pending".into());
    escalation.insert("scope", scope.as_str().into());
    escalation.insert("escalation_to", escalation_to.as_ref().map_or(Value::Null, |to| to.as_str().into()));
    Some(escalation)
}

/// Whom a decision is about, as receipts name them.
fn named(subject: &Subject) -> (Option<AuthorizationId>, &str, &str) {
    match subject {
        Subject::Unknown { .. } => (None, "unknown", "unknown"),
        Subject::Known { authorization_id, user_id, agent_id, .. } => (Some(*authorization_id), user_id.as_str(), agent_id.as_str()),
    }
}

fn of_token<'r>(record: &Record, verified: &'r TokenVerified) -> Receipt<'r> {
    let mut context = Object::new();
    context.insert("consent_id", verified.consent_id.to_string().as_str().into());
    context.insert("token_id", verified.token.token_id.to_string().as_str().into());
    context.insert("token_expires_at", verified.token.expires_at.to_string().as_str().into());
    Receipt {
        receipt_id: verified.receipt_id,
        workspace_id: record.workspace_id,
        issued_at: record.time,
        about: About::Scope(TokenVerified::SCOPE),
        decision: verified.decision().as_str(),
        reason: verified.reason.as_str(),
        authorization_id: Some(verified.authorization_id),
        user_id: verified.user_id.as_str(),
        agent_id: verified.agent_id.as_str(),
        resource: None,
        context: context.into(),
        policy_version: verified.policy_version.as_str(),
        policy_eval: None,
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
        context: context.into(),
        policy_version: resolved.policy_version.as_str(),
        policy_eval: None,
    }
}
