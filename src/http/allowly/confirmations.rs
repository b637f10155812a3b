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
