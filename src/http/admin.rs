//! The operator's face, behind the admin token: this list is its index.

use allowlog_proto::id::WorkspaceId;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use super::routes::{Routes, delete, get, patch, post};
use super::{ApiError, call};
use crate::app::App;

mod api_keys;
mod backup;
mod signing_keys;
mod workspaces;

/// Every endpoint of the face.
#[rustfmt::skip] // a line for each method, so that the list can be read as one
pub fn routes() -> Routes {
    Routes::default()
        .route("/admin/v1/workspaces", [
            get(workspaces::list, workspaces::list_entry()),
            post(workspaces::create, workspaces::create_entry()),
        ])
        .route("/admin/v1/workspaces/{id}", [
            get(workspaces::by_id, workspaces::by_id_entry()),
            patch(workspaces::change, workspaces::change_entry()),
        ])
        .route("/admin/v1/workspaces/{id}/api-keys", [
            get(api_keys::list, api_keys::list_entry()),
            post(api_keys::create, api_keys::create_entry()),
        ])
        .route("/admin/v1/workspaces/{id}/api-keys/{api_key_id}", [delete(api_keys::revoke, api_keys::revoke_entry())])
        .route("/admin/v1/workspaces/{id}/signing-keys", [
            get(signing_keys::list, signing_keys::list_entry()),
            post(signing_keys::rotate, signing_keys::rotate_entry()),
        ])
        .route("/admin/v1/backup", [get(backup::stream, backup::entry())])
}

/// The operator, who has shown the admin token.
pub struct Operator;

impl FromRequestParts<App> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let token = call::bearer(&parts.headers).filter(|token| app.admin_token.is(token));
        token.map(|_| Self).ok_or_else(ApiError::unauthorized_operator)
    }
}

/// The workspace of the path. One that is no text at all names nothing, like any other unknown one.
fn workspace_id(path: Result<Path<String>, PathRejection>) -> Result<WorkspaceId, ApiError> {
    path.ok().and_then(|Path(id)| WorkspaceId::parse(&id)).ok_or_else(|| ApiError::not_found("workspace"))
}
