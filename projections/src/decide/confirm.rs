//! Confirm: the user answered. Every nonce that is not an open one answers alike.

use allowlog_proto::api::allowly::ConfirmBody;
use allowlog_proto::event::{Answer, ConfirmationEvent, ConfirmationResolved, Event};
use allowlog_proto::id::{AuthorizationId, Nonce, WorkspaceId};
use allowlog_proto::time::Timestamp;

use super::Decided;
use crate::ids::Ids;
use crate::rejected::Rejected;
use crate::state::State;

pub(super) fn confirm(
    state: &State,
    workspace_id: WorkspaceId,
    nonce: Option<Nonce>,
    body: ConfirmBody,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let gone = Rejected::Gone("the confirmation is not open");
    let found = nonce.and_then(|nonce| Some((nonce, state.question(workspace_id, nonce)?)));
    let Some((nonce, (question, authorization))) = found else { return Err(gone) };
    // A revoke kills what is open; past the authorization's end a confirmation could not live a millisecond.
    if now >= question.expires_at || authorization.revoked_at.is_some() || authorization.is_expired(now) {
        return Err(gone);
    }
    let answer = if body.approved {
        Answer::Approved {
            confirmation_id: AuthorizationId::from_bytes(ids.mint(now)),
            expires_at: now.saturating_add_ms(body.ttl_ms).min(authorization.expires_at.unwrap_or(Timestamp::MAX)),
        }
    } else {
        Answer::Declined
    };
    let resolved = ConfirmationResolved {
        nonce,
        authorization_id: question.authorization_id,
        scope: question.scope.clone(),
        resource: question.resource.clone(),
        answer,
    };
    let event = Event::Confirmation(ConfirmationEvent::Resolved(Box::new(resolved)));
    Ok(Decided::answered_by(workspace_id, vec![event], now))
}
