//! Explanations: a check of the past decided once more, against the state as it was, with what each rung of the ladder saw.

use allowlog_proto::api::allowly::CheckBody;
use allowlog_proto::event::{Budget, CheckEvent, Condition, Constraints, Decided as ScopeDecided, Event, Scalar, Subject, Test, Verdict};
use allowlog_proto::json::Value;
use allowlog_proto::money::Micros;
use allowlog_proto::reason::Reason;
use allowlog_proto::record::Record;
use allowlog_proto::text::OpaqueId;
use allowlog_proto::time::Timestamp;

use super::check::check;
use crate::ids::Ids;
use crate::state::{Authorization, Live, Scope, State, Status};

/// How a check came to its decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The authorization as it stood, if there was one.
    pub authorization: Option<Authorization>,
    /// One for each reason, in the order of evaluation.
    pub rungs: Vec<Rung>,
    /// Before the check.
    pub before: Counters,
    /// After it.
    pub after: Counters,
    /// What was recorded.
    pub recorded: ScopeDecided,
    /// What is decided now of the same: the same, but for ids that are minted anew.
    pub decided: ScopeDecided,
}

/// One rung of the ladder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rung {
    /// Which.
    pub reason: Reason,
    /// What came of it.
    pub standing: Standing,
    /// The values it looked at, for people.
    pub saw: String,
}

/// What came of a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It did not apply.
    Passed,
    /// It decided.
    Decides,
    /// It was not asked any more.
    NotReached,
}

/// What is counted for the scope that was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Allows on the UTC day of the check.
    pub allows_today: u64,
    /// What allows have cost so far, if there is a budget.
    pub budget_spent: Option<Micros>,
}

impl Explanation {
    /// Whether the decision comes out as it was recorded, minted ids aside.
    pub fn agrees(&self) -> bool {
        let mut decided = self.decided.clone();
        decided.receipt_id = self.recorded.receipt_id;
        match (&mut decided.verdict, &self.recorded.verdict) {
            (Verdict::Confirm { nonce, .. }, Verdict::Confirm { nonce: recorded, .. }) => *nonce = *recorded,
            (Verdict::Escalate { escalation_id, opened: true, .. }, Verdict::Escalate { escalation_id: recorded, opened: true, .. }) => {
                *escalation_id = *recorded;
            }
            (Verdict::Allow { .. } | Verdict::Deny | Verdict::Confirm { .. } | Verdict::Escalate { .. }, _) => {}
        }
        decided == self.recorded
    }
}

/// Explains a check by its record and the state just before it; nothing if the record is of no check.
pub fn explain(state: &State, record: &Record) -> Option<Explanation> {
    let Event::Check(CheckEvent::Decided(recorded)) = &record.event else { return None };
    let asked = match &recorded.subject {
        Subject::Unknown { asked } => asked.clone(),
        Subject::Known { authorization_id, .. } => OpaqueId::new(&authorization_id.to_string()).ok()?,
    };
    let body = CheckBody {
        authorization_id: asked,
        scopes: vec![recorded.scope.clone()],
        resource: recorded.resource.clone(),
        session_id: recorded.session_id.clone(),
        estimated_cost: recorded.estimated_cost,
        context: recorded.context.clone(),
        facts: recorded.context.to_object(),
    };
    // The scopes of one check are decided one behind the other, so that each may be decided by itself.
    let again = check(state, record.workspace_id, &body, record.time, &mut Ids::new(|| 0));
    let Some(Event::Check(CheckEvent::Decided(decided))) = again.events.into_iter().next() else { return None };
    let scene = Scene::new(state, record, recorded, &body);
    let deciding = decided.reason;
    let rung = |reason: &Reason| Rung {
        reason: *reason,
        standing: match reason.cmp(&deciding) {
            std::cmp::Ordering::Less => Standing::Passed,
            std::cmp::Ordering::Equal => Standing::Decides,
            std::cmp::Ordering::Greater => Standing::NotReached,
        },
        saw: scene.saw(*reason),
    };
    Some(Explanation {
        authorization: scene.authorization.cloned(),
        rungs: Reason::ALL.iter().map(rung).collect(),
        before: scene.counters(),
        after: scene.counters_after(),
        recorded: (**recorded).clone(),
        decided: (*decided).clone(),
    })
}

/// What there was to look at.
struct Scene<'a> {
    state: &'a State,
    record: &'a Record,
    recorded: &'a ScopeDecided,
    body: &'a CheckBody,
    authorization: Option<&'a Authorization>,
    scope: Option<(usize, &'a Scope)>,
}

impl<'a> Scene<'a> {
    fn new(state: &'a State, record: &'a Record, recorded: &'a ScopeDecided, body: &'a CheckBody) -> Self {
        let authorization = match &recorded.subject {
            Subject::Unknown { .. } => None,
            Subject::Known { authorization_id, .. } => state.authorization(record.workspace_id, *authorization_id),
        };
        let scope = authorization.and_then(|authorization| authorization.scope(&recorded.scope));
        Self { state, record, recorded, body, authorization, scope }
    }

    fn counters(&self) -> Counters {
        Counters {
            allows_today: self.authorization.zip(self.scope).map_or(0, |(a, (place, _))| a.allows_on(place, self.record.time)),
            budget_spent: self.budget().map(|budget| budget.spent),
        }
    }

    /// Only an allow counts and costs.
    fn counters_after(&self) -> Counters {
        let Counters { allows_today, budget_spent } = self.counters();
        let allowed = matches!(self.recorded.verdict, Verdict::Allow { .. });
        Counters {
            allows_today: allows_today.saturating_add(u64::from(allowed)),
            budget_spent: self.budget().map(|budget| self.recorded.spent_after(budget)).or(budget_spent),
        }
    }

    fn budget(&self) -> Option<Budget> {
        self.authorization.and_then(Authorization::budget)
    }

    fn constraints(&self) -> Option<&'a Constraints> {
        self.scope.and_then(|(_, scope)| scope.constraints.as_deref())
    }

    fn live(&self) -> Live {
        let place = self.scope.map(|(place, _)| place);
        self.authorization.zip(place).map(|(a, place)| a.live(place, self.recorded.resource.as_ref())).unwrap_or_default()
    }

    /// What the rung of this reason looks at.
    fn saw(&self, reason: Reason) -> String {
        let now = self.record.time;
        match reason {
            Reason::AuthorizationNotFound => match self.authorization {
                Some(_) => format!("authorization `{}` is there", self.body.authorization_id),
                None => format!("no authorization `{}` in this workspace", self.body.authorization_id),
            },
            Reason::AuthorizationRevoked => match self.authorization.and_then(|a| a.revoked_at) {
                Some(at) => format!("revoked at {at}"),
                None => "not revoked".to_owned(),
            },
            Reason::AuthorizationNotYetValid => match self.authorization.and_then(Authorization::not_before) {
                Some(start) => format!("now {now}, begins at {start}"),
                None => "has no beginning".to_owned(),
            },
            Reason::AuthorizationExpired => match self.authorization {
                Some(a) => match a.expires_at {
                    Some(end) => format!("now {now}, expires at {end}"),
                    None => format!("now {now}, expires never"),
                },
                None => "nothing that could expire".to_owned(),
            },
            Reason::ScopeNotAuthorized => self.saw_scope(),
            Reason::ResourceTombstoned => match &self.recorded.resource {
                Some(resource) if self.state.workspace(self.record.workspace_id).is_some_and(|w| w.is_tombstoned(resource)) => {
                    format!("resource `{resource}` is closed")
                }
                Some(resource) => format!("resource `{resource}` is open"),
                None => "no resource".to_owned(),
            },
            Reason::RateLimitExceeded => {
                let allows = self.counters().allows_today;
                match self.constraints().and_then(|c| c.max_per_day) {
                    Some(max) => format!("{allows} allows on this UTC day, at most {max}"),
                    None => format!("{allows} allows on this UTC day, no limit"),
                }
            }
            Reason::BudgetExceeded => match self.budget() {
                Some(Budget { limit, spent }) => {
                    let cost = self.body.estimated_cost.unwrap_or_default();
                    format!("spent {} and cost {} of {} micro-USD", spent.get(), cost.get(), limit.get())
                }
                None => "no budget".to_owned(),
            },
            Reason::DenyConditionMatched => self.saw_conditions("deny_when", self.constraints().and_then(|c| c.deny_when.as_ref())),
            Reason::EscalationRejected => self.saw_escalation(now),
            Reason::EscalationRequired => {
                let required = self.scope.is_some_and(|(_, scope)| scope.requires_escalation);
                format!("{} `requires_escalation_for`; {}", if required { "in" } else { "not in" }, self.saw_escalation(now))
            }
            Reason::EscalateConditionMatched => {
                self.saw_conditions("escalate_when", self.constraints().and_then(|c| c.escalate_when.as_ref()))
            }
            Reason::ContextFieldMissing => "whether a condition above or below could not be evaluated".to_owned(),
            Reason::ScopeRequiresUserConfirmation => {
                let required = self.scope.is_some_and(|(_, scope)| scope.requires_confirm);
                format!("{} `requires_confirm_for`; {}", if required { "in" } else { "not in" }, self.saw_confirmation(now))
            }
            Reason::ConfirmConditionMatched => {
                self.saw_conditions("confirm_when", self.constraints().and_then(|c| c.confirm_when.as_ref()))
            }
            Reason::AuthorizationGrantedViaEscalation => self.saw_escalation(now),
            Reason::AuthorizationGrantedViaConfirmation => self.saw_confirmation(now),
            Reason::AuthorizationGrantedScopeActive => "nobody needs to be asked".to_owned(),
        }
    }

    fn saw_scope(&self) -> String {
        if self.scope.is_none() {
            return format!("scope `{}` is not granted", self.recorded.scope);
        }
        let mut saw = format!("scope `{}` is granted", self.recorded.scope);
        if let Some(pattern) = self.constraints().and_then(|c| c.resource_pattern.as_ref()) {
            let resource = self.recorded.resource.as_ref().map_or("none", |resource| resource.as_str());
            saw = format!("{saw}; resource `{resource}`, must match `{}`", pattern.as_str());
        }
        if let Some(allowed) = self.constraints().and_then(|c| c.allowed_initiators.as_ref()) {
            let by = self.body.facts.get("initiated_by").and_then(Value::as_text).unwrap_or("nobody");
            let allowed: Vec<&str> = allowed.iter().map(|one| one.as_str()).collect();
            saw = format!("{saw}; initiated by `{by}`, must be one of `{}`", allowed.join("`, `"));
        }
        saw
    }

    fn saw_escalation(&self, now: Timestamp) -> String {
        let escalation = self.live().escalation.and_then(|id| Some((id, self.state.escalation(self.record.workspace_id, id)?)));
        let Some((id, escalation)) = escalation else { return "no escalation of this scope and resource".to_owned() };
        let status = match &escalation.status {
            Status::Open { expires_at } => format!("open until {expires_at}"),
            Status::Approved { by, at, consumed: false } => format!("approved by `{by}` at {at}, good for 24 h"),
            Status::Approved { by, at, consumed: true } => format!("approved by `{by}` at {at}, used up"),
            Status::Rejected { by, at } => format!("rejected by `{by}` at {at}, for 24 h"),
        };
        format!("escalation `{id}` is {status}; now {now}")
    }

    fn saw_confirmation(&self, now: Timestamp) -> String {
        match self.live().confirmed_until {
            Some(until) => format!("confirmed until {until}; now {now}"),
            None => "not confirmed".to_owned(),
        }
    }

    fn saw_conditions(&self, list: &str, conditions: Option<&Vec<Condition>>) -> String {
        let Some(conditions) = conditions else { return format!("no `{list}`") };
        let saw = conditions.iter().map(|condition| {
            let found = self.body.facts.get(condition.field.as_str());
            let found = found.map_or_else(|| "absent".to_owned(), shown);
            format!("`{}` {} {}: {found}", condition.field, condition.test.operator(), operand(&condition.test))
        });
        format!("`{list}`: {}", saw.collect::<Vec<_>>().join("; "))
    }
}

/// A member of the context, as it would be signed.
fn shown(value: &Value) -> String {
    let mut text = String::new();
    match value.write_canonical("context", &mut text) {
        Ok(()) => text,
        Err(problem) => problem.to_string(),
    }
}

/// What a condition compares with.
fn operand(test: &Test) -> String {
    let scalar = |scalar: &Scalar| match scalar {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Text(value) => format!("\"{value}\""),
    };
    match test {
        Test::Eq(value) | Test::Neq(value) => scalar(value),
        Test::Lt(n) | Test::Lte(n) | Test::Gt(n) | Test::Gte(n) => n.to_string(),
        Test::In(items) => format!("[{}]", items.iter().map(scalar).collect::<Vec<_>>().join(", ")),
        Test::Exists(wanted) => wanted.to_string(),
    }
}
