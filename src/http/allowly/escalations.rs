//! `POST /v1/escalations/{id}/resolve`: a third party answered.

use allowlog_projections::command::{Action, Command};
use allowlog_projections::decide::Outcome;
use allowlog_proto::api::allowly::{PendingReceipt, ResolveBody, ResolvedBody};
use allowlog_proto::id::EscalationId;
use allowlog_proto::limits::BODY_BYTES_MAX;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};

use super::path_id;
use crate::app::App;
use crate::http::{ApiError, call};

/// Records the third party's answer.
pub async fn resolve(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<ResolvedBody>, ApiError> {
    let (credential, body) = call::parse(&app, request, BODY_BYTES_MAX, ResolveBody::parse).await?;
    let id = EscalationId::parse(&path_id(path));
    let command = Command::Caller(credential, Action::Resolve(id, Box::new(body)));
    let Outcome::Resolved(resolved) = app.engine.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    Ok(Json(ResolvedBody {
        escalation_id: resolved.escalation_id,
        status: resolved.resolution,
        resolved_by: resolved.resolved_by,
        resolved_at: resolved.resolved_at,
        receipt: resolved.receipt_id.map(|id| PendingReceipt::new(id, resolved.resolved_at, &app.public_url)),
    }))
}
