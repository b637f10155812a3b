//! `POST /admin/v1/workspaces`.

use allowlog_proto::api::admin::{NamedBody, WorkspaceBody};
use allowlog_proto::limits::BODY_BYTES_MAX;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;

use super::Operator;
use crate::app::App;
use crate::http::{ApiError, call};

/// Makes a workspace with its first keys.
pub async fn create(_: Operator, State(app): State<App>, request: Request) -> Result<(StatusCode, Json<WorkspaceBody>), ApiError> {
    let body = NamedBody::parse(&call::body(request, BODY_BYTES_MAX).await?).map_err(ApiError::invalid)?;
    let (created, api_key) = app.create_workspace(body.name).await?;
    let body = WorkspaceBody {
        workspace_id: created.workspace_id,
        name: created.name,
        created_at: created.created_at,
        api_key,
        api_key_id: created.api_key_id,
        key_id: created.key_id,
    };
    Ok((StatusCode::CREATED, Json(body)))
}
