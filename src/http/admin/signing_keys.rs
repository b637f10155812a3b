//! `POST /admin/v1/workspaces/{id}/signing-keys`: rotation.

use allowlog_projections::command::{Command, Operation};
use allowlog_projections::decide::Outcome;
use allowlog_proto::api::admin::SigningKeyBody;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::{Operator, workspace_id};
use crate::app::App;
use crate::http::ApiError;

/// Draws a new signing key; it signs from now on, and the one before stays in the key document for ever.
pub async fn rotate(_: Operator, State(app): State<App>, Path(id): Path<String>) -> Result<(StatusCode, Json<SigningKeyBody>), ApiError> {
    let workspace_id = workspace_id(&id)?;
    let public_key = app.generate_signing_key().await?;
    let command = Command::Operator(Operation::RotateSigningKey { workspace_id, public_key });
    let Outcome::SigningKeyRotated(rotated) = app.engine.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    Ok((StatusCode::CREATED, Json(SigningKeyBody { key_id: rotated.key_id, active_from: rotated.active_from })))
}
