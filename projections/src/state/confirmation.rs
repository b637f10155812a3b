//! Questions to the user, and the confirmations that come of them.

use allowlog_proto::event::{Answer, ConfirmationEvent};
use allowlog_proto::id::AuthorizationId;
use allowlog_proto::record::Record;
use allowlog_proto::text::{Resource, ScopeName};
use allowlog_proto::time::Timestamp;

use super::stored::stored;
use super::{Lapse, State};

/// What a user was asked and has not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// About which authorization.
    pub authorization_id: AuthorizationId,
    /// About which of its scopes.
    pub scope: ScopeName,
    /// On which resource.
    pub resource: Option<Resource>,
    /// When it lapses, exclusive.
    pub expires_at: Timestamp,
}

stored!(Question { authorization_id, scope, resource, expires_at });

impl State {
    pub(super) fn apply_confirmation(&mut self, record: &Record, event: &ConfirmationEvent) {
        let ConfirmationEvent::Resolved(resolved) = event;
        let Some(question) = self.questions.remove(&resolved.nonce) else {
            unreachable!("an open question is answered, once");
        };
        self.lapses.remove(&(question.expires_at, Lapse::Question(resolved.nonce)));
        let Some(authorization) = self.authorizations.by_id.get_mut(&(record.workspace_id, resolved.authorization_id)) else {
            unreachable!("a confirmation belongs to an authorization");
        };
        let Some((place, _)) = authorization.scope(&resolved.scope) else {
            unreachable!("a confirmation belongs to a granted scope");
        };
        let Answer::Approved { expires_at, .. } = resolved.answer else {
            // The user's last word is no: an earlier yes does not outlive it.
            authorization.withdraw_confirmation(place, &resolved.resource);
            return;
        };
        let live = authorization.live_mut(place, resolved.resource.clone());
        live.confirmed_until = live.confirmed_until.max(Some(expires_at));
        let lapse = Lapse::Confirmation(record.workspace_id, resolved.authorization_id, place, resolved.resource.clone());
        self.lapses.insert((expires_at, lapse));
    }

    /// A yes that lets one payment be made is used up by it.
    pub(super) fn use_confirmation(&mut self, record: &Record, id: AuthorizationId, scope: &ScopeName, resource: &Option<Resource>) {
        let Some(authorization) = self.authorizations.by_id.get_mut(&(record.workspace_id, id)) else { return };
        if let Some((place, _)) = authorization.scope(scope) {
            authorization.withdraw_confirmation(place, resource);
        }
    }
}
