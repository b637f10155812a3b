//! The outcome of a command once more, from what is stored: what its caller was told, or would have been.

use allowlog_projections::command::{Command, Operation};
use allowlog_projections::decide::{
    ApiKeyCreated, ApiKeyRevoked, Checked, Confirmed, Created, Outcome, Resolved, RevokedNow, SigningKeyRotated, WorkspaceCreated,
};
use allowlog_projections::state::State;
use allowlog_proto::event::{
    ApiKeyEvent, AuthorizationEvent, CheckEvent, ConfirmationEvent, EscalationEvent, Event, SigningKeyEvent, Subject, WorkspaceEvent,
};
use allowlog_proto::record::Record;

use crate::model::Answer;

/// How many records the command leaves that is answered so.
pub(crate) fn records_of(command: &Command, answer: &Answer) -> usize {
    match answer {
        Answer::Refused(_) | Answer::Invalid(_) | Answer::Resolved { again: true, .. } => 0,
        Answer::Operated if matches!(command, Command::Operator(Operation::CreateWorkspace { .. })) => 3,
        Answer::Operated
        | Answer::Rotated(_)
        | Answer::Created
        | Answer::Revoked
        | Answer::Approved(_)
        | Answer::Declined
        | Answer::Resolved { again: false, .. } => 1,
        Answer::Checked(lines) => lines.len(),
    }
}

/// What the records of one command say was answered; `state` has them folded in.
pub(crate) fn outcome(records: &[Record], state: &State) -> Outcome {
    let [first, rest @ ..] = records else { panic!("a command that left nothing has nothing to retell") };
    let at = first.time;
    match &first.event {
        Event::Workspace(WorkspaceEvent::Created { name }) => {
            let [signing_key, api_key] = rest else { panic!("a workspace begins with two keys: {rest:?}") };
            let (Outcome::SigningKeyRotated(signing_key), Outcome::ApiKeyCreated(api_key)) =
                (outcome(std::slice::from_ref(signing_key), state), outcome(std::slice::from_ref(api_key), state))
            else {
                panic!("a workspace begins with two keys: {rest:?}")
            };
            Outcome::WorkspaceCreated(WorkspaceCreated {
                workspace_id: first.workspace_id,
                name: name.clone(),
                created_at: at,
                api_key_id: api_key.api_key_id,
                key_id: signing_key.key_id,
            })
        }
        Event::ApiKey(ApiKeyEvent::Created { api_key_id, name, .. }) => {
            Outcome::ApiKeyCreated(ApiKeyCreated { api_key_id: *api_key_id, name: name.clone(), created_at: at })
        }
        Event::ApiKey(ApiKeyEvent::Revoked { api_key_id }) => {
            let key = state.api_key(*api_key_id).unwrap();
            let (name, created_at) = (key.name.clone(), key.created_at);
            Outcome::ApiKeyRevoked(ApiKeyRevoked { api_key_id: *api_key_id, name, created_at, revoked_at: at })
        }
        Event::SigningKey(SigningKeyEvent::Activated { key_id, active_from, .. }) => {
            Outcome::SigningKeyRotated(SigningKeyRotated { key_id: *key_id, active_from: *active_from })
        }
        Event::Authorization(AuthorizationEvent::Granted(granted)) => {
            Outcome::Created(Box::new(Created { granted: (**granted).clone(), created_at: at }))
        }
        Event::Authorization(AuthorizationEvent::Revoked(revoked)) => {
            let (authorization_id, receipt_id) = (revoked.authorization_id, revoked.receipt_id);
            Outcome::Revoked(RevokedNow { authorization_id, revoked_at: at, receipt_id })
        }
        Event::Check(_) => Outcome::Checked(Box::new(checked(records, state))),
        Event::Confirmation(ConfirmationEvent::Resolved(resolved)) => Outcome::Confirmed(Confirmed { answer: resolved.answer.clone() }),
        Event::Escalation(EscalationEvent::Resolved(resolved)) => Outcome::Resolved(Resolved {
            escalation_id: resolved.escalation_id,
            resolution: resolved.resolution,
            resolved_by: resolved.resolved_by.clone(),
            resolved_at: at,
            receipt_id: Some(resolved.receipt_id),
        }),
    }
}

fn checked(records: &[Record], state: &State) -> Checked {
    let results: Vec<_> = records
        .iter()
        .map(|record| match &record.event {
            Event::Check(CheckEvent::Decided(decided)) => decided.clone(),
            other => panic!("a check leaves checks alone: {other:?}"),
        })
        .collect();
    let expires_at = match &results[0].subject {
        Subject::Unknown { .. } => None,
        Subject::Known { authorization_id, .. } => state.authorization(records[0].workspace_id, *authorization_id).map(|a| a.expires_at),
    };
    Checked { checked_at: records[0].time, authorization_expires_at: expires_at, results }
}
