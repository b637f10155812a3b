//! `GET /v1/proofs/{id}`: the signed receipt behind a proof id.

use allowlog_proto::api::allowly::ReceiptBody;
use allowlog_proto::id::{ProofId, ReceiptId};
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;

use super::path_id;
use crate::app::App;
use crate::http::openapi::Entry;
use crate::http::{ApiError, call, receipt};

/// The receipt as it stands.
pub async fn by_id(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<ReceiptBody>, ApiError> {
    let credential = call::credential(&app, &headers)?;
    let workspace_id = app.engine.authenticate(credential).await?;
    let unknown = || ApiError::not_found("proof");
    let id = ProofId::parse(&path_id(path)).map(ReceiptId::from).ok_or_else(unknown)?;
    receipt::find(&app, workspace_id, id).await?.map(Json).ok_or_else(unknown)
}

pub fn by_id_entry() -> Entry {
    Entry::reads("Receipts", "get_proof", "The receipt behind a proof id")
        .affixio()
        .about(
            "The same as `GET /v1/receipts/{id}` under the same 26 characters: pending for a moment, then signed, and never changing from then on.",
        )
        .names::<ProofId>("id", "Its id.")
        .answers::<ReceiptBody>(200, "The receipt as it stands.")
        .refuses_with(404, "`not_found`: the org has no such proof.")
}
