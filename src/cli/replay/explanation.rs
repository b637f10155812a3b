//! What `allowlog replay --explain` prints.

use allowlog_projections::decide::{Counters, Explanation, Standing};
use allowlog_projections::state::{Authorization, Scope};
use allowlog_proto::event::Decided;
use allowlog_proto::record::Record;
use serde_json::{Value, json};

/// An explanation with the place of its record.
pub fn document(sequence: u64, record: &Record, explanation: &Explanation) -> Value {
    let Explanation { authorization, rungs, before, after, recorded, decided } = explanation;
    let rungs = rungs.iter().map(|rung| {
        let standing = match rung.standing {
            Standing::Passed => "passed",
            Standing::Decides => "decides",
            Standing::NotReached => "not reached",
        };
        // What lies behind the decision was not looked at.
        let saw = (rung.standing != Standing::NotReached).then_some(&rung.saw);
        json!({ "reason": rung.reason, "standing": standing, "saw": saw })
    });
    json!({
        "receipt_id": recorded.receipt_id,
        "sequence": sequence,
        "time": record.time,
        "workspace_id": record.workspace_id,
        "asked": {
            "subject": recorded.subject,
            "scope": recorded.scope,
            "resource": recorded.resource,
            "session_id": recorded.session_id,
            "estimated_cost_micros": recorded.estimated_cost,
            "context": recorded.context,
        },
        "authorization": authorization.as_ref().map(standing),
        "ladder": rungs.collect::<Vec<_>>(),
        "before": counters(*before),
        "after": counters(*after),
        "recorded": decision(recorded),
        "decided_again": decision(decided),
        "agrees": explanation.agrees(),
    })
}

/// The authorization as it stood before the check.
fn standing(authorization: &Authorization) -> Value {
    let scope = |scope: &Scope| {
        json!({
            "name": scope.name,
            "constraints": scope.constraints,
            "requires_confirm": scope.requires_confirm,
            "requires_escalation": scope.requires_escalation,
            "escalation_to": scope.escalation_to,
        })
    };
    json!({
        "user_id": authorization.user_id,
        "agent_id": authorization.agent_id,
        "expires_at": authorization.expires_at,
        "revoked_at": authorization.revoked_at,
        "bundle_id": authorization.bundle_id(),
        "replaces": authorization.replaces(),
        "budget_limit_micros": authorization.budget().map(|budget| budget.limit),
        "scopes": authorization.scopes.iter().map(scope).collect::<Vec<_>>(),
    })
}

fn counters(counters: Counters) -> Value {
    json!({ "allows_today": counters.allows_today, "budget_spent_micros": counters.budget_spent })
}

fn decision(decided: &Decided) -> Value {
    json!({
        "decision": decided.verdict.decision(),
        "reason": decided.reason,
        "verdict": decided.verdict,
        "policy_version": decided.policy_version,
    })
}
