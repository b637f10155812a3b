//! `POST /v1/confirmations/{nonce}`: the user answered.

use allowlog_projections::command::Action;
use allowlog_projections::decide::Outcome;
use allowlog_proto::api::allowly::{ConfirmBody, ConfirmedBody};
use allowlog_proto::event::Answer;
use allowlog_proto::id::Nonce;
use allowlog_proto::limits::BODY_BYTES_MAX;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};

use super::path_id;
use crate::app::App;
use crate::http::openapi::Entry;
use crate::http::{ApiError, call};

/// Records the user's answer.
pub async fn confirm(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<ConfirmedBody>, ApiError> {
    let call = call::parse(&app, request, BODY_BYTES_MAX, ConfirmBody::parse).await?;
    let nonce = Nonce::parse(&path_id(path));
    let command = call.command(|body| Action::Confirm(nonce, body));
    let Outcome::Confirmed(answer) = app.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    Ok(Json(match answer {
        Answer::Approved { confirmation_id, expires_at } => {
            ConfirmedBody { decision: "approved", authorization_id: Some(confirmation_id), expires_at: Some(expires_at) }
        }
        Answer::Declined => ConfirmedBody { decision: "denied_by_user", authorization_id: None, expires_at: None },
    }))
}

pub fn confirm_entry() -> Entry {
    Entry::acts("Confirmations", "answer_confirmation", "What the user said")
        .about(
            "A yes lets checks of the same authorization, scope and resource through while it lives; the check is then made again, with \
             the original id. A no leaves nothing behind: the next check asks again.",
        )
        .names::<Nonce>("nonce", "The `confirm_nonce` of the check. It lives 5 minutes and is good for one answer.")
        .body::<ConfirmBody>(BODY_BYTES_MAX)
        .answers::<ConfirmedBody>(200, "The answer is recorded.")
        .refuses_with(410, "`gone`: the nonce is expired, answered, unknown or somebody else's; all of these answer alike.")
}
