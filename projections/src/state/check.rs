//! What a check leaves behind: a count, a used approval, an open question.

use allowlog_proto::event::{CheckEvent, Subject, Verdict};
use allowlog_proto::id::{AuthorizationId, EscalationId};
use allowlog_proto::record::Record;
use allowlog_proto::text::{Resource, ScopeName};

use super::{Escalation, Lapse, Question, State, Status};

impl State {
    pub(super) fn apply_check(&mut self, record: &Record, event: &CheckEvent) {
        let decided = match event {
            CheckEvent::Decided(decided) => decided,
            // A token can be presented any number of times.
            CheckEvent::TokenVerified(_) => return,
        };
        let Subject::Known { authorization_id, .. } = decided.subject else { return };
        match &decided.verdict {
            Verdict::Deny => {}
            Verdict::Allow { consumed } => {
                let Some(authorization) = self.authorizations.by_id.get_mut(&(record.workspace_id, authorization_id)) else {
                    unreachable!("a known subject is in the state");
                };
                let Some((place, _)) = authorization.scope(&decided.scope) else {
                    unreachable!("only a granted scope is allowed");
                };
                authorization.count(place, decided.cost(), record.time);
                if let Some(escalation_id) = consumed {
                    self.consume_approval(record, *escalation_id);
                }
            }
            verdict @ (Verdict::Confirm { .. } | Verdict::Escalate { .. }) => {
                self.apply_asked(record, authorization_id, &decided.scope, decided.resource.as_ref(), verdict);
            }
        }
    }

    /// An approval is used up.
    pub(super) fn consume_approval(&mut self, record: &Record, id: EscalationId) {
        if let Some(escalation) = self.escalations.get_mut(&(record.workspace_id, id)) {
            escalation.status.consume();
        }
    }

    /// Somebody is to be asked about this scope and this resource, if the verdict says so.
    pub(super) fn apply_asked(
        &mut self,
        record: &Record,
        authorization_id: AuthorizationId,
        scope: &ScopeName,
        resource: Option<&Resource>,
        verdict: &Verdict,
    ) {
        match verdict {
            Verdict::Allow { .. } | Verdict::Deny | Verdict::Escalate { opened: false, .. } => {}
            Verdict::Confirm { nonce, expires_at } => {
                let question = Question { authorization_id, scope: scope.clone(), resource: resource.cloned(), expires_at: *expires_at };
                self.questions.insert(*nonce, question);
                self.lapses.insert((*expires_at, Lapse::Question(*nonce)));
            }
            Verdict::Escalate { escalation_id, escalation_to, expires_at, opened: true } => {
                let authorization = self.authorizations.by_id.get_mut(&(record.workspace_id, authorization_id));
                let Some((authorization, place)) =
                    authorization.and_then(|a| a.scope(scope).map(|(place, _)| place).map(|place| (a, place)))
                else {
                    unreachable!("only a granted scope is escalated");
                };
                authorization.live_mut(place, resource.cloned()).escalation = Some(*escalation_id);
                let escalation = Escalation {
                    authorization_id,
                    scope: scope.clone(),
                    resource: resource.cloned(),
                    escalation_to: escalation_to.clone(),
                    status: Status::Open { expires_at: *expires_at },
                };
                self.escalations.insert((record.workspace_id, *escalation_id), escalation);
            }
        }
    }
}
