//! `GET /v1/receipts/{id}`: pending, or signed and never changing from then on.

use std::sync::Arc;

use allowlog_proto::api::allowly::{PendingReceipt, ReceiptBody};
use allowlog_proto::id::{ReceiptId, WorkspaceId};
use allowlog_proto::json::Value;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;

use super::path_id;
use crate::app::App;
use crate::http::{ApiError, call};
use crate::receipts::{Standing, find as find_in_log};

/// The receipt as it stands.
pub async fn by_id(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<ReceiptBody>, ApiError> {
    let credential = call::credential(&app, &headers)?;
    let workspace_id = app.engine.authenticate(credential).await?;
    let unknown = || ApiError::not_found("receipt");
    let id = ReceiptId::parse(&path_id(path)).ok_or_else(unknown)?;
    find(&app, workspace_id, id).await?.map(Json).ok_or_else(unknown)
}

/// The receipt of a workspace; the log is read beside the threads that answer.
pub(super) async fn find(app: &App, workspace_id: WorkspaceId, id: ReceiptId) -> Result<Option<ReceiptBody>, ApiError> {
    let keys = app.engine.read(move |state, _| state.workspace(workspace_id).map(|w| w.signing_keys.clone())).await?;
    let (store, keyring) = (Arc::clone(&app.store), Arc::clone(&app.keyring));
    let found = tokio::task::spawn_blocking(move || find_in_log(&store, &keyring, workspace_id, id, &keys.unwrap_or_default())).await;
    Ok(match found.map_err(|_| ApiError::internal())?? {
        None => None,
        Some(Standing::Pending(record)) => Some(ReceiptBody::Pending(PendingReceipt::new(id, record.time, &app.public_url))),
        Some(Standing::Signed(document)) => Some(ReceiptBody::signed(Value::parse(document.as_bytes()).map_err(|_| ApiError::internal())?)),
    })
}
