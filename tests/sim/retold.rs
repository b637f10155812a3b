//! The outcome of a command once more, from what is stored: what its caller was told, or would have been.

use allowlog_projections::command::{Command, NewApiKey, Operation};
use allowlog_projections::decide::{ApiKeyCreated, ApiKeyRevoked, Outcome, SigningKeyRotated, WorkspaceChanged, WorkspaceCreated};
use allowlog_projections::state::{ApiKey, State};
use allowlog_proto::event::{ApiKeyEvent, ConsentEvent, Event, SigningKeyEvent, WorkspaceEvent};
use allowlog_proto::record::Record;

use crate::answer::Answer;
use crate::consent_model::ConsentAnswer;

/// How many records the command leaves that is answered so.
pub(crate) fn records_of(command: &Command, answer: &Answer) -> usize {
    match answer {
        Answer::Refused(_)
        | Answer::Invalid(_)
        | Answer::Resolved { again: true, .. }
        | Answer::Changed { stored: false, .. }
        | Answer::Again { .. }
        | Answer::Consent(ConsentAnswer::Viewed { counted: false } | ConsentAnswer::Withdrawn { again: true }) => 0,
        // With the default agent.
        Answer::Consent(ConsentAnswer::Asked { agent: None, .. }) => 2,
        Answer::Operated if matches!(command, Command::Operator(Operation::CreateWorkspace { .. })) => 3,
        Answer::Operated
        | Answer::Changed { stored: true, .. }
        | Answer::Rotated(_)
        | Answer::Created(..)
        | Answer::Revoked(_)
        | Answer::Consent(_)
        | Answer::Approved(_)
        | Answer::Declined
        | Answer::Bundled
        | Answer::Unbundled
        | Answer::Placed
        | Answer::Lifted(_)
        | Answer::Resolved { again: false, .. } => 1,
        Answer::Checked(lines) => lines.len(),
        Answer::Payment(answer) => answer.records(),
    }
}

/// What the records of one command say was answered; `state` has them folded in.
pub(crate) fn outcome(records: &[Record], state: &State) -> Outcome {
    let [first, rest @ ..] = records else { panic!("a command that left nothing has nothing to retell") };
    let at = first.time;
    let events: Vec<Event> = records.iter().map(|record| record.event.clone()).collect();
    if let Some(outcome) = Outcome::of(&events, at) {
        return outcome;
    }
    match &first.event {
        Event::Workspace(WorkspaceEvent::Created { name, plan }) => {
            let [signing_key, api_key] = rest else { panic!("a workspace begins with two keys: {rest:?}") };
            let (Outcome::SigningKeyRotated(signing_key), Outcome::ApiKeyCreated(new)) =
                (outcome(std::slice::from_ref(signing_key), state), outcome(std::slice::from_ref(api_key), state))
            else {
                panic!("a workspace begins with two keys: {rest:?}")
            };
            Outcome::WorkspaceCreated(WorkspaceCreated {
                workspace_id: first.workspace_id,
                name: name.clone(),
                plan: *plan,
                created_at: at,
                api_key_id: Some(new.api_key.api_key_id),
                key_id: signing_key.key_id,
            })
        }
        Event::Workspace(WorkspaceEvent::Changed { name, plan }) => {
            let (workspace_id, created_at) = (first.workspace_id, state.workspace(first.workspace_id).unwrap().created_at);
            Outcome::WorkspaceChanged(WorkspaceChanged { workspace_id, name: name.clone(), plan: *plan, created_at })
        }
        Event::ApiKey(ApiKeyEvent::Created { api_key_id, name, style, role, expires_at, secret_hash }) => {
            let (api_key_id, name, style, role, expires_at) = (*api_key_id, name.clone(), *style, *role, *expires_at);
            let api_key = NewApiKey { api_key_id, name, style, role, expires_at, secret_hash: *secret_hash };
            Outcome::ApiKeyCreated(ApiKeyCreated { api_key, created_at: at })
        }
        Event::ApiKey(ApiKeyEvent::Revoked { api_key_id }) => {
            let api_key = ApiKey { revoked_at: None, ..state.api_key(*api_key_id).unwrap().clone() };
            Outcome::ApiKeyRevoked(ApiKeyRevoked { api_key_id: *api_key_id, api_key, revoked_at: at })
        }
        Event::SigningKey(SigningKeyEvent::Activated { key_id, active_from, .. }) => {
            Outcome::SigningKeyRotated(SigningKeyRotated { key_id: *key_id, active_from: *active_from })
        }
        Event::Consent(ConsentEvent::Viewed(_)) => Outcome::ConsentViewed(first.workspace_id),
        other => panic!("{other:?} begins no command of an operator"),
    }
}
