//! `GET`, `POST /admin/v1/workspaces` and `GET`, `PATCH /admin/v1/workspaces/{id}`.

use allowlog_projections::command::{Command, Operation};
use allowlog_projections::decide::Outcome;
use allowlog_projections::state::Workspace;
use allowlog_proto::api::admin::{ChangeWorkspaceBody, KnownWorkspaceBody, NewWorkspaceBody, WorkspaceBody, WorkspacesBody};
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::limits::BODY_BYTES_MAX;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;

use super::{Operator, workspace_id};
use crate::app::App;
use crate::http::openapi::Entry;
use crate::http::{ApiError, call};

/// Every workspace, oldest first.
pub async fn list(_: Operator, State(app): State<App>) -> Result<Json<WorkspacesBody>, ApiError> {
    let read = app.engine.read(|state, _| state.workspaces().map(|(id, workspace)| known(id, workspace)).collect());
    Ok(Json(WorkspacesBody { items: read.await? }))
}

pub fn list_entry() -> Entry {
    Entry::operates("list_workspaces", "Every workspace").about("Oldest first.").answers::<WorkspacesBody>(200, "All of them.")
}

/// A workspace as it stands.
pub async fn by_id(
    _: Operator,
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<KnownWorkspaceBody>, ApiError> {
    let id = workspace_id(path)?;
    let found = app.engine.read(move |state, _| state.workspace(id).map(|workspace| known(id, workspace))).await?;
    found.map(Json).ok_or_else(|| ApiError::not_found("workspace"))
}

pub fn by_id_entry() -> Entry {
    Entry::operates("get_workspace", "A workspace as it stands")
        .names::<WorkspaceId>("id", "The workspace.")
        .answers::<KnownWorkspaceBody>(200, "The workspace.")
        .refuses_with(404, "`not_found`: there is no such workspace.")
}

/// Makes a workspace with its first keys.
pub async fn create(_: Operator, State(app): State<App>, request: Request) -> Result<(StatusCode, Json<WorkspaceBody>), ApiError> {
    let body = NewWorkspaceBody::parse(&call::body(request, BODY_BYTES_MAX).await?).map_err(ApiError::invalid)?;
    let (created, api_key) = app.create_workspace(body.name, body.plan).await?;
    let body = WorkspaceBody {
        workspace_id: created.workspace_id,
        name: created.name,
        plan: created.plan,
        created_at: created.created_at,
        api_key,
        api_key_id: created.api_key_id.ok_or_else(ApiError::internal)?,
        key_id: created.key_id,
    };
    Ok((StatusCode::CREATED, Json(body)))
}

pub fn create_entry() -> Entry {
    Entry::operates("create_workspace", "Make a workspace")
        .about("With its first signing key and its first API key, whose text is in this answer and nowhere else.")
        .body::<NewWorkspaceBody>(BODY_BYTES_MAX)
        .answers::<WorkspaceBody>(201, "The workspace, with a secret.")
        .leads_to("get_workspace", "id", "workspace_id")
        .leads_to("change_workspace", "id", "workspace_id")
        .leads_to("create_api_key", "id", "workspace_id")
        .leads_to("list_api_keys", "id", "workspace_id")
        .leads_to("rotate_signing_key", "id", "workspace_id")
        .leads_to("list_signing_keys", "id", "workspace_id")
        .leads_to("key_document", "id", "workspace_id")
}

/// Gives a workspace another name or another plan; what was granted before stays as it is.
pub async fn change(
    _: Operator,
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<KnownWorkspaceBody>, ApiError> {
    let workspace_id = workspace_id(path)?;
    let body = ChangeWorkspaceBody::parse(&call::body(request, BODY_BYTES_MAX).await?).map_err(ApiError::invalid)?;
    let command = Command::Operator(Operation::ChangeWorkspace { workspace_id, name: body.name, plan: body.plan });
    let Outcome::WorkspaceChanged(changed) = app.engine.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    Ok(Json(KnownWorkspaceBody { workspace_id, name: changed.name, plan: changed.plan, created_at: changed.created_at }))
}

pub fn change_entry() -> Entry {
    Entry::operates("change_workspace", "Give a workspace another name or plan")
        .about("What was granted before stays as it is.")
        .names::<WorkspaceId>("id", "The workspace.")
        .body::<ChangeWorkspaceBody>(BODY_BYTES_MAX)
        .answers::<KnownWorkspaceBody>(200, "The workspace.")
        .refuses_with(404, "`not_found`: there is no such workspace.")
}

fn known(workspace_id: WorkspaceId, workspace: &Workspace) -> KnownWorkspaceBody {
    KnownWorkspaceBody { workspace_id, name: workspace.name.clone(), plan: workspace.plan, created_at: workspace.created_at }
}
