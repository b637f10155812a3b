//! `POST /v1/authorizations` and `DELETE /v1/authorizations/{id}`.

use allowlog_projections::command::{Action, Command};
use allowlog_projections::decide::Outcome;
use allowlog_proto::api::allowly::{AuthorizationBody, CreateBody, PendingReceipt, RevokeBody, RevokedBody};
use allowlog_proto::id::AuthorizationId;
use allowlog_proto::limits::{BODY_BYTES_MAX, BODY_METADATA_BYTES_MAX};
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;

use super::path_id;
use crate::app::App;
use crate::http::{ApiError, call};

/// Records a permission.
pub async fn create(State(app): State<App>, request: Request) -> Result<(StatusCode, Json<AuthorizationBody>), ApiError> {
    let (credential, body) = call::parse(&app, request, BODY_METADATA_BYTES_MAX, CreateBody::parse).await?;
    let command = Command::Caller(credential, Action::Create(Box::new(body)));
    let Outcome::Created(created) = app.engine.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    let granted = created.granted;
    let targets = granted.escalation_targets.into_iter();
    let body = AuthorizationBody {
        authorization_id: granted.authorization_id,
        created_at: created.created_at,
        expires_at: granted.expires_at,
        user_id: granted.user_id,
        agent_id: granted.agent_id,
        bundle_id: None,
        requires_confirm_for: granted.requires_confirm_for,
        requires_escalation_for: granted.requires_escalation_for,
        escalation_targets: targets.map(|(scope, target)| (scope.as_str().to_owned(), target)).collect(),
        receipt: PendingReceipt::new(granted.receipt_id, created.created_at, &app.public_url),
    };
    Ok((StatusCode::CREATED, Json(body)))
}

/// Withdraws a permission.
pub async fn revoke(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<RevokedBody>, ApiError> {
    let (credential, body) = call::parse(&app, request, BODY_BYTES_MAX, RevokeBody::parse).await?;
    let id = AuthorizationId::parse(&path_id(path));
    let command = Command::Caller(credential, Action::Revoke(id, Box::new(body)));
    let Outcome::Revoked(revoked) = app.engine.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    Ok(Json(RevokedBody {
        authorization_id: revoked.authorization_id,
        revoked_at: revoked.revoked_at,
        receipt: PendingReceipt::new(revoked.receipt_id, revoked.revoked_at, &app.public_url),
    }))
}
