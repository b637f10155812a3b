//! `GET`, `POST /admin/v1/workspaces`.

use allowlog_projections::state::Workspace;
use allowlog_proto::api::admin::{KnownWorkspaceBody, NamedBody, WorkspaceBody, WorkspacesBody};
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::limits::BODY_BYTES_MAX;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;

use super::Operator;
use crate::app::App;
use crate::http::{ApiError, call};

/// Every workspace, oldest first.
pub async fn list(_: Operator, State(app): State<App>) -> Result<Json<WorkspacesBody>, ApiError> {
    let read = app.engine.read(|state| {
        let known = |(workspace_id, workspace): (WorkspaceId, &Workspace)| KnownWorkspaceBody {
            workspace_id,
            name: workspace.name.clone(),
            created_at: workspace.created_at,
        };
        state.workspaces().map(known).collect()
    });
    Ok(Json(WorkspacesBody { items: read.await? }))
}

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
