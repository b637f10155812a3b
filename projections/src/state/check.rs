//! What a check leaves behind: a count, a used approval, an open question.

use allowlog_proto::event::{CheckEvent, Subject, Verdict};
use allowlog_proto::record::Record;

use super::{Escalation, Lapse, Question, State, Status};

impl State {
    pub(super) fn apply_check(&mut self, record: &Record, event: &CheckEvent) {
        let decided = match event {
            CheckEvent::Decided(decided) => decided,
            // A token can be presented any number of times.
            CheckEvent::TokenVerified(_) => return,
        };
        let Subject::Known { authorization_id, .. } = decided.subject else { return };
        let Some(authorization) = self.authorizations.by_id.get_mut(&(record.workspace_id, authorization_id)) else {
            unreachable!("a known subject is in the state");
        };
        let place = authorization.scope(&decided.scope).map(|(place, _)| place);
        match (&decided.verdict, place) {
            (Verdict::Deny, _) => {}
            (Verdict::Allow { consumed }, Some(place)) => {
                authorization.count(place, decided.cost(), record.time);
                if let Some(escalation) = consumed.and_then(|id| self.escalations.get_mut(&(record.workspace_id, id))) {
                    escalation.status.consume();
                }
            }
            (Verdict::Confirm { nonce, expires_at }, Some(_)) => {
                let question = Question {
                    authorization_id,
                    scope: decided.scope.clone(),
                    resource: decided.resource.clone(),
                    expires_at: *expires_at,
                };
                self.questions.insert(*nonce, question);
                self.lapses.insert((*expires_at, Lapse::Question(*nonce)));
            }
            (Verdict::Escalate { opened: false, .. }, Some(_)) => {}
            (Verdict::Escalate { escalation_id, escalation_to, expires_at, opened: true }, Some(place)) => {
                authorization.live_mut(place, decided.resource.clone()).escalation = Some(*escalation_id);
                let escalation = Escalation {
                    authorization_id,
                    scope: decided.scope.clone(),
                    resource: decided.resource.clone(),
                    escalation_to: escalation_to.clone(),
                    status: Status::Open { expires_at: *expires_at },
                };
                self.escalations.insert((record.workspace_id, *escalation_id), escalation);
            }
            (Verdict::Allow { .. } | Verdict::Confirm { .. } | Verdict::Escalate { .. }, None) => {
                unreachable!("only a granted scope is allowed, confirmed or escalated");
            }
        }
    }
}
