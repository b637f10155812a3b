//! `GET /v1/workspaces/{id}/keys`: public, so that a verifier needs nobody's leave.

use allowlog_proto::id::WorkspaceId;
use allowlog_proto::key_document::KeyDocument;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;

use super::path_id;
use crate::app::App;
use crate::http::ApiError;
use crate::http::openapi::Entry;

/// Every key the workspace ever signed with.
pub async fn document(State(app): State<App>, path: Result<Path<String>, PathRejection>) -> Result<impl IntoResponse, ApiError> {
    let unknown = || ApiError::not_found("workspace");
    let id = WorkspaceId::parse(&path_id(path)).ok_or_else(unknown)?;
    let document: Option<KeyDocument> = app.engine.read(move |state, _| state.workspace(id).map(|w| w.key_document(id))).await?;
    Ok(([(header::CACHE_CONTROL, "public, max-age=3600")], Json(document.ok_or_else(unknown)?)))
}

pub fn document_entry() -> Entry {
    Entry::open("Receipts", "key_document", "The keys that signed the receipts of a workspace")
        .about("Public, so that a verifier needs nobody's leave. Retired keys stay listed for ever.")
        .names::<WorkspaceId>("id", "The workspace.")
        .answers::<KeyDocument>(200, "Every key with its window, oldest first.")
        .header("Cache-Control", "`public, max-age=3600`")
        .refuses_with(404, "`not_found`: there is no such workspace.")
}
