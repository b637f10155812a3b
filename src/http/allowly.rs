//! The Allowly face: this list is its index.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;

use super::routes::{Routes, delete, get, post};

mod authorizations;
mod bundles;
mod check;
mod check_batch;
mod confirmations;
mod escalations;
mod evidence;
mod keys;
mod proofs;
mod receipts;
mod tombstones;

pub use check::check;

/// The endpoint that nearly every request is for.
pub const CHECK: &str = "/v1/check";

/// Every endpoint of the face.
#[rustfmt::skip] // a line for each method, so that the list can be read as one
pub fn routes() -> Routes {
    Routes::default()
        .route("/v1/authorizations", [
            get(authorizations::list, authorizations::list_entry()),
            post(authorizations::create, authorizations::create_entry()),
        ])
        .route("/v1/authorizations/{id}", [
            get(authorizations::by_id, authorizations::by_id_entry()),
            delete(authorizations::revoke, authorizations::revoke_entry()),
        ])
        .route(CHECK, [post(check::check, check::check_entry())])
        .route("/v1/check/batch", [post(check_batch::check_batch, check_batch::check_batch_entry())])
        .route("/v1/confirmations/{nonce}", [post(confirmations::confirm, confirmations::confirm_entry())])
        .route("/v1/escalations", [get(escalations::list, escalations::list_entry())])
        .route("/v1/escalations/{id}", [get(escalations::by_id, escalations::by_id_entry())])
        .route("/v1/escalations/{id}/resolve", [post(escalations::resolve, escalations::resolve_entry())])
        .route("/v1/receipts", [get(receipts::list, receipts::list_entry())])
        .route("/v1/receipts/{id}", [get(receipts::by_id, receipts::by_id_entry())])
        .route("/v1/receipts/{id}/proof", [get(proofs::by_id, proofs::by_id_entry())])
        .route("/v1/evidence", [get(evidence::export, evidence::export_entry())])
        .route("/v1/agent-scope-bundles", [
            get(bundles::list, bundles::list_entry()),
            post(bundles::create, bundles::create_entry()),
        ])
        .route("/v1/agent-scope-bundles/{id}", [delete(bundles::remove, bundles::remove_entry())])
        .route("/v1/tombstones", [
            get(tombstones::list, tombstones::list_entry()),
            post(tombstones::place, tombstones::place_entry()),
        ])
        .route("/v1/tombstones/{id}", [delete(tombstones::lift, tombstones::lift_entry())])
        .route("/v1/workspaces/{id}/keys", [get(keys::document, keys::document_entry())])
}

/// An id in a path. One that is no text at all names nothing, like any other unknown id.
fn path_id(path: Result<Path<String>, PathRejection>) -> String {
    path.map(|Path(id)| id).unwrap_or_default()
}
