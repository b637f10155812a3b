//! `POST`, `GET /admin/v1/workspaces/{id}/api-keys` and `DELETE .../api-keys/{api_key_id}`.

use allowlog_projections::command::{Command, NewApiKey, Operation};
use allowlog_projections::decide::Outcome;
use allowlog_projections::state::ApiKey;
use allowlog_proto::api::admin::{ApiKeyBody, ApiKeysBody, NewApiKeyBody, NewKeyBody};
use allowlog_proto::id::{ApiKeyId, WorkspaceId};
use allowlog_proto::limits::BODY_BYTES_MAX;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;

use super::{Operator, workspace_id};
use crate::api_key;
use crate::app::App;
use crate::http::openapi::Entry;
use crate::http::{ApiError, call};

/// Makes an API key; its text is in this answer and nowhere else.
pub async fn create(
    _: Operator,
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<(StatusCode, Json<NewApiKeyBody>), ApiError> {
    let workspace_id = workspace_id(path)?;
    let body = NewKeyBody::parse(&call::body(request, BODY_BYTES_MAX).await?).map_err(ApiError::invalid)?;
    let (text, api_key) = api_key::draw(body, &app.keyring);
    let command = Command::Operator(Operation::CreateApiKey { workspace_id, api_key });
    let Outcome::ApiKeyCreated(created) = app.engine.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    let NewApiKey { api_key_id, name, style, role, expires_at, .. } = created.api_key;
    let created_at = created.created_at;
    let body = NewApiKeyBody { api_key: text, api_key_id, name, style, role, created_at, expires_at, revoked_at: None };
    Ok((StatusCode::CREATED, Json(body)))
}

pub fn create_entry() -> Entry {
    Entry::operates("create_api_key", "Make an API key")
        .about("Its text is in this answer and nowhere else. A key that may only read cannot do what leaves an event.")
        .names::<WorkspaceId>("id", "The workspace.")
        .body::<NewKeyBody>(BODY_BYTES_MAX)
        .answers::<NewApiKeyBody>(201, "The key, with its secret.")
        .refuses_with(404, "`not_found`: there is no such workspace.")
}

/// Every API key of a workspace, oldest first, without the secrets.
pub async fn list(_: Operator, State(app): State<App>, path: Result<Path<String>, PathRejection>) -> Result<Json<ApiKeysBody>, ApiError> {
    let workspace_id = workspace_id(path)?;
    let read = app.engine.read(move |state, _| {
        state.workspace(workspace_id)?;
        Some(state.api_keys(workspace_id).map(|(id, key)| known(id, key)).collect::<Vec<_>>())
    });
    let mut items = read.await?.ok_or_else(|| ApiError::not_found("workspace"))?;
    items.sort_by_key(|key| (key.created_at, key.api_key_id));
    Ok(Json(ApiKeysBody { items }))
}

pub fn list_entry() -> Entry {
    Entry::operates("list_api_keys", "The API keys of a workspace")
        .about("Oldest first, revoked ones too, without their secrets.")
        .names::<WorkspaceId>("id", "The workspace.")
        .answers::<ApiKeysBody>(200, "All of them.")
        .refuses_with(404, "`not_found`: there is no such workspace.")
}

/// Revokes an API key: the next request with it is refused.
pub async fn revoke(
    _: Operator,
    State(app): State<App>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<ApiKeyBody>, ApiError> {
    let Path((id, api_key_id)) = path.map_err(|_| ApiError::not_found("API key"))?;
    let workspace_id = workspace_id(Ok(Path(id)))?;
    let api_key_id = ApiKeyId::parse(&api_key_id).ok_or_else(|| ApiError::not_found("API key"))?;
    let command = Command::Operator(Operation::RevokeApiKey { workspace_id, api_key_id });
    let Outcome::ApiKeyRevoked(revoked) = app.engine.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    Ok(Json(ApiKeyBody { revoked_at: Some(revoked.revoked_at), ..known(api_key_id, &revoked.api_key) }))
}

pub fn revoke_entry() -> Entry {
    Entry::operates("revoke_api_key", "Revoke an API key")
        .about("The next request with it is refused.")
        .names::<WorkspaceId>("id", "The workspace.")
        .names::<ApiKeyId>("api_key_id", "The public part of the key.")
        .answers::<ApiKeyBody>(200, "It is revoked.")
        .refuses_with(404, "`not_found`: there is no such workspace, or it has no such key.")
        .refuses_with(409, "`conflict`: it is revoked already.")
}

fn known(api_key_id: ApiKeyId, key: &ApiKey) -> ApiKeyBody {
    ApiKeyBody {
        api_key_id,
        name: key.name.clone(),
        style: key.style,
        role: key.role,
        created_at: key.created_at,
        expires_at: key.expires_at,
        revoked_at: key.revoked_at,
    }
}
