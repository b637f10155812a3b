//! A receipt by id, as every face that shows one does: pending for a moment, then signed.

use std::sync::Arc;

use allowlog_proto::api::allowly::{PendingReceipt, ReceiptBody};
use allowlog_proto::id::{ReceiptId, WorkspaceId};
use allowlog_proto::json::Value;

use super::ApiError;
use crate::app::App;
use crate::receipts::{Standing, find as find_in_log};
use crate::telemetry::blocking;

/// The receipt of a workspace; the log is read beside the threads that answer.
pub async fn find(app: &App, workspace_id: WorkspaceId, id: ReceiptId) -> Result<Option<ReceiptBody>, ApiError> {
    let keys = app.engine.read(move |state, _| state.workspace(workspace_id).map(|w| w.signing_keys.clone())).await?;
    let (store, keyring) = (Arc::clone(&app.store), Arc::clone(&app.keyring));
    let found = blocking(move || find_in_log(&store, &keyring, workspace_id, id, &keys.unwrap_or_default())).await;
    Ok(match found.map_err(|_| ApiError::internal())?? {
        None => None,
        Some(Standing::Pending(record)) => Some(ReceiptBody::Pending(PendingReceipt::new(id, record.time, &app.public_url))),
        Some(Standing::Signed(document)) => Some(ReceiptBody::signed(Value::parse(document.as_bytes()).map_err(|_| ApiError::internal())?)),
    })
}
