//! Check: may this agent do this, for this person, now?
//!
//! The ladder below is the heart of the project: one rung for each reason, in the order of [`Reason::ALL`]; the first
//! that applies decides. An unknown fact never becomes an allow.

use std::sync::Arc;

use allowlog_proto::api::allowly::CheckBody;
use allowlog_proto::event::{CheckEvent, Decided as ScopeDecided, Event, Subject, Verdict};
use allowlog_proto::id::{AuthorizationId, EscalationId, Nonce, ReceiptId, WorkspaceId};
use allowlog_proto::limits::{ESCALATION_LIFE_MS, NONCE_LIFE_MS};
use allowlog_proto::reason::{PolicyVersion, Reason};
use allowlog_proto::text::ScopeName;
use allowlog_proto::time::Timestamp;

use super::{Decided, Outcome, static_constraints};
use crate::ids::Ids;
use crate::state::{Authorization, Escalation, State, Status};

/// The scopes of a check were decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Time of the records.
    pub checked_at: Timestamp,
    /// End of the authorization, if there is one.
    pub authorization_expires_at: Option<Timestamp>,
    /// One for each scope, in the order of the request.
    pub results: Vec<Arc<ScopeDecided>>,
}

/// Decides every scope of the request, in its order, against the same instant. Always an answer, denials included.
pub(super) fn check(state: &State, workspace_id: WorkspaceId, body: &CheckBody, now: Timestamp, ids: &mut Ids) -> Decided {
    let known = AuthorizationId::parse(body.authorization_id.as_str()).and_then(|id| Some((id, state.authorization(workspace_id, id)?)));
    let subject = match known {
        None => Subject::Unknown { asked: body.authorization_id.clone() },
        Some((authorization_id, authorization)) => {
            Subject::Known { authorization_id, user_id: authorization.user_id.clone(), agent_id: authorization.agent_id.clone() }
        }
    };
    let authorization = known.map(|(_, authorization)| authorization);
    let results: Vec<Arc<ScopeDecided>> = body
        .scopes
        .iter()
        .map(|scope| {
            let (verdict, reason) = ladder(state, authorization, scope, body, now, ids);
            Arc::new(ScopeDecided {
                receipt_id: ReceiptId::from_bytes(ids.mint(now)),
                subject: subject.clone(),
                scope: scope.clone(),
                resource: body.resource.clone(),
                session_id: body.session_id.clone(),
                estimated_cost: body.estimated_cost,
                context: body.context.clone(),
                verdict,
                reason,
                policy_version: PolicyVersion::CURRENT,
            })
        })
        .collect();
    Decided {
        workspace_id,
        events: results.iter().map(|r| Event::Check(CheckEvent::Decided(Arc::clone(r)))).collect(),
        outcome: Outcome::Checked(Box::new(Checked {
            checked_at: now,
            authorization_expires_at: authorization.map(|a| a.expires_at),
            results,
        })),
    }
}

fn ladder(
    state: &State,
    authorization: Option<&Authorization>,
    name: &ScopeName,
    body: &CheckBody,
    now: Timestamp,
    ids: &mut Ids,
) -> (Verdict, Reason) {
    let Some(authorization) = authorization else {
        return (Verdict::Deny, Reason::AuthorizationNotFound);
    };
    if authorization.revoked_at.is_some() {
        return (Verdict::Deny, Reason::AuthorizationRevoked);
    }
    if now >= authorization.expires_at {
        return (Verdict::Deny, Reason::AuthorizationExpired);
    }
    let Some((place, scope)) = authorization.scope(name) else {
        return (Verdict::Deny, Reason::ScopeNotAuthorized);
    };
    let constraints = scope.constraints.as_deref();
    if constraints.is_some_and(|c| !static_constraints::hold(c, body)) {
        return (Verdict::Deny, Reason::ScopeNotAuthorized);
    }
    let day_max = constraints.and_then(|c| c.max_per_day);
    if day_max.is_some_and(|max| scope.window.allows_on(now) >= max) {
        return (Verdict::Deny, Reason::RateLimitExceeded);
    }
    let live = authorization.live(place, body.resource.as_ref());
    let escalation = live.escalation.and_then(|id| Some((id, state.escalation(id)?)));
    if escalation.is_some_and(|(_, e)| e.status.is_rejected(now)) {
        return (Verdict::Deny, Reason::EscalationRejected);
    }
    let approved = escalation.filter(|(_, e)| e.status.is_approved(now)).map(|(id, _)| id);
    if scope.requires_escalation && approved.is_none() {
        let verdict = match escalation.and_then(still_open(now)) {
            Some((escalation_id, expires_at)) => {
                let escalation_to = scope.escalation_to.clone();
                Verdict::Escalate { escalation_id, escalation_to, expires_at, opened: false }
            }
            None => Verdict::Escalate {
                escalation_id: EscalationId::from_bytes(ids.mint(now)),
                escalation_to: scope.escalation_to.clone(),
                expires_at: now.saturating_add_ms(ESCALATION_LIFE_MS),
                opened: true,
            },
        };
        return (verdict, Reason::EscalationRequired);
    }
    let confirmed = live.confirmed_until.is_some_and(|until| now < until);
    if scope.requires_confirm && !confirmed {
        let nonce = Nonce::from_bytes(ids.mint(now));
        return (Verdict::Confirm { nonce, expires_at: now.saturating_add_ms(NONCE_LIFE_MS) }, Reason::ScopeRequiresUserConfirmation);
    }
    if scope.requires_escalation {
        (Verdict::Allow { consumed: approved }, Reason::AuthorizationGrantedViaEscalation)
    } else if scope.requires_confirm {
        (Verdict::Allow { consumed: None }, Reason::AuthorizationGrantedViaConfirmation)
    } else {
        (Verdict::Allow { consumed: None }, Reason::AuthorizationGrantedScopeActive)
    }
}

/// The id and the end of an escalation that is still open.
fn still_open(now: Timestamp) -> impl Fn((EscalationId, &Escalation)) -> Option<(EscalationId, Timestamp)> {
    move |(id, escalation)| match escalation.status {
        Status::Open { expires_at } if now < expires_at => Some((id, expires_at)),
        Status::Open { .. } | Status::Approved { .. } | Status::Rejected { .. } => None,
    }
}
