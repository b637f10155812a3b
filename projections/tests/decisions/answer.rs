//! Answers without what chance decides, so that those of the core and of the model can be compared.

use allowlog_projections::decide::{Decided, Outcome};
use allowlog_projections::rejected::Rejected;
use allowlog_proto::api::allowly::{budget, policy_eval};
use allowlog_proto::event::{Answer as UserAnswer, Decided as ScopeDecided, Plan, Resolution, Terms, Verdict, Withdrawer};
use allowlog_proto::id::EscalationId;
use allowlog_proto::json::{Object, Value};
use allowlog_proto::reason::Reason;
use allowlog_proto::text::{Approver, Name, Resource};
use allowlog_proto::time::Timestamp;

use crate::consent_model::{ConsentAnswer, real_consent_answer, withdrawer};
use crate::payment_answer::{PaymentAnswer, real_payment_answer};

/// An answer without what chance decides: of a minted id remains that it is new.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    Refused(&'static str),
    Invalid(String),
    Operated,
    Changed {
        name: Name,
        plan: Plan,
        stored: bool,
    },
    Rotated(Timestamp),
    Created(Box<Terms>, Timestamp),
    /// By whom, if it was a consent's.
    Revoked(Option<Withdrawer>),
    Checked(Vec<Line>),
    Approved(Timestamp),
    Declined,
    Resolved {
        resolution: Resolution,
        by: Approver,
        at: Timestamp,
        again: bool,
    },
    Bundled,
    Unbundled,
    Placed,
    Lifted(Resource),
    /// Of consents and of agents.
    Consent(ConsentAnswer),
    /// Of agents, devices and payments.
    Payment(PaymentAnswer),
    /// What was answered to the command that left these records.
    Again {
        first: u64,
        count: u64,
    },
}

#[derive(Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) decision: &'static str,
    pub(crate) reason: Reason,
    /// The escalation asked for again, or consumed.
    pub(crate) escalation: Option<EscalationId>,
    pub(crate) escalation_to: Option<Approver>,
    pub(crate) until: Option<Timestamp>,
    /// Limit, spent before, estimate, spent after.
    pub(crate) budget: Option<[i64; 4]>,
    /// `policy_eval`
    pub(crate) eval: Option<Object>,
}

pub(crate) fn line(decision: &'static str, reason: Reason) -> Line {
    Line { decision, reason, escalation: None, escalation_to: None, until: None, budget: None, eval: None }
}

/// What the core answered, in the words of the model.
pub(crate) fn real_answer(result: &Result<Decided, Rejected>) -> Answer {
    let decided = match result {
        Ok(decided) => decided,
        Err(Rejected::Unauthorized) => return Answer::Refused("unauthorized"),
        Err(Rejected::Forbidden) => return Answer::Refused("forbidden"),
        Err(Rejected::BudgetPlanRequired) => return Answer::Refused("budget plan required"),
        Err(Rejected::PaymentRequired) => return Answer::Refused("payment required"),
        Err(Rejected::IdempotencyKeyReused) => return Answer::Refused("key reused"),
        Err(Rejected::NotFound(_)) => return Answer::Refused("not found"),
        Err(Rejected::Conflict(_)) => return Answer::Refused("conflict"),
        Err(Rejected::Gone(_)) => return Answer::Refused("gone"),
        Err(Rejected::NotAuthorised(refusal)) => return Answer::Refused(refusal.as_str()),
        Err(Rejected::AlreadyUsed) => return Answer::Refused("already used"),
        Err(Rejected::Invalid(fields)) => return Answer::Invalid(fields[0].field.clone()),
    };
    match &decided.outcome {
        Outcome::WorkspaceCreated(_) | Outcome::ApiKeyCreated(_) | Outcome::ApiKeyRevoked(_) => Answer::Operated,
        Outcome::WorkspaceChanged(now) => Answer::Changed { name: now.name.clone(), plan: now.plan, stored: !decided.events.is_empty() },
        Outcome::SigningKeyRotated(rotated) => Answer::Rotated(rotated.active_from),
        Outcome::Created(created) if created.granted.consent.is_none() => {
            Answer::Created(Box::new(created.granted.terms.clone()), created.granted.expires_at.expect("an end"))
        }
        Outcome::Revoked(_) => Answer::Revoked(decided.events.first().and_then(withdrawer)),
        Outcome::Created(_)
        | Outcome::Consent(_)
        | Outcome::ConsentViewed(_)
        | Outcome::TokenMinted(..)
        | Outcome::TokenVerified(_)
        | Outcome::ManageLink(_)
        | Outcome::ConsentAgent(_) => Answer::Consent(real_consent_answer(decided)),
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
        | Outcome::Reconciled(_) => Answer::Payment(real_payment_answer(decided)),
        Outcome::Confirmed(UserAnswer::Approved { expires_at, .. }) => Answer::Approved(*expires_at),
        Outcome::Confirmed(UserAnswer::Declined) => Answer::Declined,
        Outcome::Resolved(resolved) => Answer::Resolved {
            resolution: resolved.resolution,
            by: resolved.resolved_by.clone(),
            at: resolved.resolved_at,
            again: decided.events.is_empty(),
        },
        Outcome::BundleCreated(..) => Answer::Bundled,
        Outcome::BundleDeleted(..) => Answer::Unbundled,
        Outcome::TombstonePlaced { .. } => Answer::Placed,
        Outcome::TombstoneLifted { resource, .. } => Answer::Lifted(resource.clone()),
        Outcome::Repeated(answered) => Answer::Again { first: answered.first, count: answered.count },
        Outcome::Checked(checked) => {
            let mut lines: Vec<Line> = checked.results.iter().map(|result| real_line(result)).collect();
            for (place, result) in checked.results.iter().enumerate() {
                let Verdict::Escalate { escalation_id, opened: true, .. } = &result.verdict else { continue };
                for line in lines.iter_mut().filter(|line| line.escalation == Some(*escalation_id)) {
                    line.escalation = Some(EscalationId::from_bytes(placed(place)));
                }
            }
            Answer::Checked(lines)
        }
    }
}

/// In place of what was minted at this place of a batch.
pub(crate) fn placed(place: usize) -> [u8; 16] {
    (u128::MAX - u128::try_from(place).unwrap()).to_be_bytes()
}

impl Line {
    /// Whether it asks once more for an escalation that was opened in the same batch.
    pub(crate) fn meets_its_own_batch(&self) -> bool {
        self.escalation.is_some_and(|id| (0..200).any(|place| id == EscalationId::from_bytes(placed(place))))
    }
}

fn real_line(decided: &ScopeDecided) -> Line {
    let reason = decided.reason;
    let line = match &decided.verdict {
        Verdict::Deny => line("deny", reason),
        Verdict::Allow { consumed } => Line { escalation: *consumed, ..line("allow", reason) },
        Verdict::Confirm { expires_at, .. } => Line { until: Some(*expires_at), ..line("confirm", reason) },
        Verdict::Escalate { escalation_id, escalation_to, expires_at, opened } => Line {
            escalation: (!opened).then_some(*escalation_id),
            escalation_to: escalation_to.clone(),
            until: Some(*expires_at),
            ..line("escalate", reason)
        },
    };
    let amounts = |block: Object| {
        ["limit_micros", "spent_micros", "estimated_cost_micros", "spent_after_micros"].map(|name| match block.get(name) {
            Some(Value::Int(micros)) => *micros,
            other => panic!("{other:?} is no amount"),
        })
    };
    Line { budget: budget(decided).map(amounts), eval: policy_eval(decided), ..line }
}
