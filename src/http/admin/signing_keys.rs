//! `GET`, `POST /admin/v1/workspaces/{id}/signing-keys`: the windows, and rotation.

use allowlog_projections::command::{Command, Operation};
use allowlog_projections::decide::Outcome;
use allowlog_proto::api::admin::SigningKeyBody;
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::key_document::KeyDocument;
use allowlog_proto::limits::BODY_BYTES_MAX;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;

use super::{Operator, workspace_id};
use crate::app::App;
use crate::http::openapi::Entry;
use crate::http::{ApiError, call};

/// Every key the workspace ever signed with, as the public document has them.
pub async fn list(_: Operator, State(app): State<App>, path: Result<Path<String>, PathRejection>) -> Result<Json<KeyDocument>, ApiError> {
    let id = workspace_id(path)?;
    let document = app.engine.read(move |state, _| state.workspace(id).map(|workspace| workspace.key_document(id))).await?;
    document.map(Json).ok_or_else(|| ApiError::not_found("workspace"))
}

pub fn list_entry() -> Entry {
    Entry::operates("list_signing_keys", "The signing keys of a workspace")
        .about("As the public key document has them.")
        .names::<WorkspaceId>("id", "The workspace.")
        .answers::<KeyDocument>(200, "Every key with its window, oldest first.")
        .refuses_with(404, "`not_found`: there is no such workspace.")
}

/// Draws a new signing key; it signs from now on, and the one before stays in the key document for ever.
pub async fn rotate(
    _: Operator,
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<(StatusCode, Json<SigningKeyBody>), ApiError> {
    let workspace_id = workspace_id(path)?;
    call::body(request, BODY_BYTES_MAX).await?; // nothing in it is asked for
    let exists = app.engine.read(move |state, _| state.workspace(workspace_id).is_some()).await?;
    if !exists {
        return Err(ApiError::not_found("workspace"));
    }
    let public_key = app.generate_signing_key().await?;
    let command = Command::Operator(Operation::RotateSigningKey { workspace_id, public_key });
    let Outcome::SigningKeyRotated(rotated) = app.engine.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    Ok((StatusCode::CREATED, Json(SigningKeyBody { key_id: rotated.key_id, active_from: rotated.active_from })))
}

pub fn rotate_entry() -> Entry {
    Entry::operates("rotate_signing_key", "Draw a new signing key")
        .about("It signs from now on; the one before stays in the key document for ever.")
        .names::<WorkspaceId>("id", "The workspace.")
        .ignored_body(BODY_BYTES_MAX)
        .answers::<SigningKeyBody>(201, "The new key.")
        .refuses_with(404, "`not_found`: there is no such workspace.")
}
