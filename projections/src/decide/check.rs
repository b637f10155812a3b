//! Check: may this agent do this, for this person, now?
//!
//! The ladder below is the heart of the project: one rung for each reason, in the order of [`Reason::ALL`]; the first
//! that applies decides. An unknown fact never becomes an allow.

use std::sync::Arc;

use allowlog_proto::api::allowly::CheckBody;
use allowlog_proto::event::{Budget, CheckEvent, Condition, Constraints, Decided as ScopeDecided, Evaluation, Event, Subject, Verdict};
use allowlog_proto::id::{AuthorizationId, EscalationId, Nonce, ReceiptId, WorkspaceId};
use allowlog_proto::limits::{ESCALATION_LIFE_MS, NONCE_LIFE_MS};
use allowlog_proto::money::Micros;
use allowlog_proto::reason::{PolicyVersion, Reason};
use allowlog_proto::text::ScopeName;
use allowlog_proto::time::Timestamp;

use super::{Checked, Decided, Outcome, conditions, gate, static_constraints};
use crate::ids::Ids;
use crate::state::{Authorization, Escalation, State, Status};

/// What every scope of a check is decided against.
struct Scene<'a> {
    state: &'a State,
    workspace_id: WorkspaceId,
    authorization: Option<&'a Authorization>,
    body: &'a CheckBody,
    now: Timestamp,
    /// What the scopes decided before in this very check were allowed to spend.
    spent_here: Micros,
}

/// What is decided for one scope.
struct Ruling {
    verdict: Verdict,
    reason: Reason,
    budget: Option<Budget>,
    evaluation: Evaluation,
}

/// Decides every scope of the request, in its order, against the same instant. Always an answer, denials included.
pub(super) fn check(state: &State, workspace_id: WorkspaceId, body: &CheckBody, now: Timestamp, ids: &mut Ids) -> Decided {
    let known = AuthorizationId::parse(body.authorization_id.as_str()).and_then(|id| Some((id, state.authorization(workspace_id, id)?)));
    let subject = match known {
        None => Subject::Unknown { asked: body.authorization_id.clone() },
        Some((authorization_id, authorization)) => Subject::Known {
            authorization_id,
            user_id: authorization.user_id.clone(),
            agent_id: authorization.agent_id.clone(),
            expires_at: authorization.expires_at,
        },
    };
    let authorization = known.map(|(_, authorization)| authorization);
    let mut scene = Scene { state, workspace_id, authorization, body, now, spent_here: Micros::default() };
    let mut events = Vec::with_capacity(body.scopes.len());
    for scope in &body.scopes {
        let Ruling { verdict, reason, budget, evaluation } = scene.ladder(scope, ids);
        let decided = ScopeDecided {
            receipt_id: ReceiptId::from_bytes(ids.mint(now)),
            subject: subject.clone(),
            scope: scope.clone(),
            resource: body.resource.clone(),
            session_id: body.session_id.clone(),
            estimated_cost: body.estimated_cost,
            context: body.context.clone(),
            budget,
            evaluation,
            verdict,
            reason,
            policy_version: PolicyVersion::CURRENT,
        };
        scene.spend(&decided);
        events.push(Event::Check(CheckEvent::Decided(Arc::new(decided))));
    }
    Decided::answered_by(workspace_id, events, now)
}

/// A batch whose checks are yet to be decided.
pub(super) fn open_batch(workspace_id: WorkspaceId, now: Timestamp) -> Decided {
    let outcome = Outcome::Checked(Box::new(Checked { checked_at: now, results: Vec::new() }));
    Decided { workspace_id, events: Vec::new(), outcome }
}

impl Scene<'_> {
    #[expect(clippy::too_many_lines, reason = "one rung per reason, in the order of Reason::ALL")]
    fn ladder(&self, name: &ScopeName, ids: &mut Ids) -> Ruling {
        let now = self.now;
        let mut ruling =
            Ruling { verdict: Verdict::Deny, reason: Reason::AuthorizationNotFound, budget: None, evaluation: Evaluation::NoConditions };
        let Some(authorization) = self.authorization else {
            return ruling;
        };
        let granted = authorization.scope(name);
        let constraints = granted.and_then(|(_, scope)| scope.constraints.as_deref());
        if constraints.is_some_and(Constraints::has_conditions) {
            ruling.evaluation = Evaluation::NoneFired;
        }
        if authorization.revoked_at.is_some() {
            return ruling.deny(Reason::AuthorizationRevoked);
        }
        if authorization.not_before().is_some_and(|start| now < start) {
            return ruling.deny(Reason::AuthorizationNotYetValid);
        }
        if authorization.is_expired(now) {
            return ruling.deny(Reason::AuthorizationExpired);
        }
        let Some((place, scope)) = granted else {
            return ruling.deny(Reason::ScopeNotAuthorized);
        };
        if constraints.is_some_and(|c| !static_constraints::hold(c, self.body)) {
            return ruling.deny(Reason::ScopeNotAuthorized);
        }
        // What an agent may pay is limited by more than a check says of it: that is for the gate.
        if authorization.delegation().is_some_and(|d| !gate::is_for_a_check(self.state, self.workspace_id, d, name.as_str())) {
            return ruling.deny(Reason::ScopeNotAuthorized);
        }
        if self.is_tombstoned() {
            return ruling.deny(Reason::ResourceTombstoned);
        }
        let day_max = constraints.and_then(|c| c.max_per_day);
        if day_max.is_some_and(|max| authorization.allows_on(place, now) >= max) {
            return ruling.deny(Reason::RateLimitExceeded);
        }
        ruling.budget = self.budget(authorization);
        if ruling.budget.is_some_and(|budget| !self.is_affordable(budget)) {
            return ruling.deny(Reason::BudgetExceeded);
        }
        let routes = constraints.map(|c| conditions::route(c, &self.body.facts)).unwrap_or_default();
        if let Some(condition) = routes.deny {
            return ruling.fired(Some(condition)).deny(Reason::DenyConditionMatched);
        }
        let live = authorization.live(place, self.body.resource.as_ref());
        let escalation = live.escalation.and_then(|id| Some((id, self.state.escalation(self.workspace_id, id)?)));
        if escalation.is_some_and(|(_, e)| e.status.is_rejected(now)) {
            return ruling.deny(Reason::EscalationRejected);
        }
        let approved = escalation.filter(|(_, e)| e.status.is_approved(now)).map(|(id, _)| id);
        let escalates = scope.requires_escalation || routes.escalate.is_some();
        if escalates && approved.is_none() {
            let reason = match routes.escalate {
                _ if scope.requires_escalation => Reason::EscalationRequired,
                Some(fired) if fired.matched => Reason::EscalateConditionMatched,
                Some(_) | None => Reason::ContextFieldMissing,
            };
            let (escalation_id, expires_at, opened) = match escalation.and_then(still_open(now)) {
                Some((id, expires_at)) => (id, expires_at, false),
                None => (EscalationId::from_bytes(ids.mint(now)), now.saturating_add_ms(ESCALATION_LIFE_MS), true),
            };
            let verdict = Verdict::Escalate { escalation_id, escalation_to: scope.escalation_to.as_deref().cloned(), expires_at, opened };
            return ruling.fired(routes.escalate.map(|fired| fired.condition)).decide(verdict, reason);
        }
        let confirms = scope.requires_confirm || routes.confirm.is_some() || routes.unknown_deny.is_some();
        let confirm_fired = routes.confirm.map(|fired| fired.condition).or(routes.unknown_deny);
        if confirms && live.confirmed_until.is_none_or(|until| now >= until) {
            let reason = match routes.confirm {
                _ if scope.requires_confirm => Reason::ScopeRequiresUserConfirmation,
                Some(fired) if fired.matched => Reason::ConfirmConditionMatched,
                Some(_) | None => Reason::ContextFieldMissing,
            };
            let verdict = Verdict::Confirm { nonce: Nonce::from_bytes(ids.mint(now)), expires_at: now.saturating_add_ms(NONCE_LIFE_MS) };
            return ruling.fired(confirm_fired).decide(verdict, reason);
        }
        let ruling = ruling.fired(routes.escalate.map(|fired| fired.condition).or(confirm_fired));
        if escalates {
            ruling.decide(Verdict::Allow { consumed: approved }, Reason::AuthorizationGrantedViaEscalation)
        } else if confirms {
            ruling.decide(Verdict::Allow { consumed: None }, Reason::AuthorizationGrantedViaConfirmation)
        } else {
            ruling.decide(Verdict::Allow { consumed: None }, Reason::AuthorizationGrantedScopeActive)
        }
    }

    fn is_tombstoned(&self) -> bool {
        let Some(resource) = &self.body.resource else { return false };
        self.state.workspace(self.workspace_id).is_some_and(|workspace| workspace.is_tombstoned(resource))
    }

    /// The budget as it stands for the next scope of this check.
    fn budget(&self, authorization: &Authorization) -> Option<Budget> {
        let Budget { limit, spent } = authorization.budget()?;
        // Both are within the limit together, since each allow was seen to be.
        Some(Budget { limit, spent: spent.checked_add(self.spent_here).unwrap_or(limit) })
    }

    fn is_affordable(&self, budget: Budget) -> bool {
        let cost = self.body.estimated_cost.unwrap_or_default();
        budget.spent.checked_add(cost).is_some_and(|sum| sum <= budget.limit)
    }

    fn spend(&mut self, decided: &ScopeDecided) {
        if decided.budget.is_some() && matches!(decided.verdict, Verdict::Allow { .. }) {
            self.spent_here = self.spent_here.checked_add(decided.cost()).unwrap_or(self.spent_here);
        }
    }
}

impl Ruling {
    fn decide(self, verdict: Verdict, reason: Reason) -> Self {
        Self { verdict, reason, ..self }
    }

    fn deny(self, reason: Reason) -> Self {
        self.decide(Verdict::Deny, reason)
    }

    /// With the condition that routed it, if one did.
    fn fired(self, condition: Option<&Condition>) -> Self {
        match condition {
            Some(condition) => Self { evaluation: Evaluation::Fired(Box::new(condition.clone())), ..self },
            None => self,
        }
    }
}

/// The id and the end of an escalation that is still open.
pub(super) fn still_open(now: Timestamp) -> impl Fn((EscalationId, &Escalation)) -> Option<(EscalationId, Timestamp)> {
    move |(id, escalation)| match escalation.status {
        Status::Open { expires_at } if now < expires_at => Some((id, expires_at)),
        Status::Open { .. } | Status::Approved { .. } | Status::Rejected { .. } => None,
    }
}
