//! `GET /v1/receipts/{id}/proof`: that a receipt is in the tree that everybody is shown.

use std::sync::Arc;

use allowlog_proto::id::ReceiptId;
use allowlog_proto::proof::Proof;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::path_id;
use crate::app::App;
use crate::http::openapi::Entry;
use crate::http::{ApiError, call, tlog};
use crate::receipts::{Located, locate};
use crate::telemetry::blocking;

/// The proof; the checkpoint that covers the receipt is waited for.
pub async fn by_id(State(app): State<App>, path: Result<Path<String>, PathRejection>, headers: HeaderMap) -> Result<Response, ApiError> {
    let credential = call::credential(&app, &headers)?;
    let workspace_id = app.engine.authenticate(credential).await?;
    let unknown = || ApiError::not_found("receipt");
    let id = ReceiptId::parse(&path_id(path)).ok_or_else(unknown)?;
    let store = app.store.clone();
    let located = blocking(move || locate(&store, workspace_id, id)).await.map_err(|_| ApiError::internal())??;
    let Located { record, hash, .. } = located.ok_or_else(unknown)?;
    let index = record.index;
    let published = tlog::covering(&app, workspace_id, index.saturating_add(1)).await?;
    let size = published.size;
    let hashes = tlog::read(&app, workspace_id, Arc::clone(&published), move |tiles| tiles.inclusion(workspace_id, index, size)).await?;
    let proof = Proof { extra: hash.0.to_vec(), index, hashes, checkpoint: published.note.clone() };
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], proof.to_string()).into_response())
}

pub fn by_id_entry() -> Entry {
    Entry::reads("Receipts", "receipt_proof", "That a receipt is in the workspace's log")
        .about(
            "A `tlog-proof` (C2SP), to be kept beside the receipt and verified offline: the hash of the record that the receipt is of, its place, \
             the inclusion proof, and the checkpoint it leads to. A checkpoint that does not cover the receipt yet is waited for, up to two seconds.",
        )
        .names::<ReceiptId>("id", "The receipt.")
        .answers_with("text/plain", "The proof.", ObjectBuilder::new().schema_type(Type::String))
        .refuses_with(404, "`not_found`: the workspace has no such receipt.")
}
