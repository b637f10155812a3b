//! The Allowly face: this list is its index.

use axum::Router;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::routing::{delete, get, post};

use crate::app::App;

mod authorizations;
mod bundles;
mod check;
mod confirmations;
mod escalations;
mod keys;
mod receipts;
mod tombstones;

/// Every endpoint of the face.
pub fn router() -> Router<App> {
    Router::new()
        .route("/v1/authorizations", get(authorizations::list).post(authorizations::create))
        .route("/v1/authorizations/{id}", get(authorizations::by_id).delete(authorizations::revoke))
        .route("/v1/check", post(check::check))
        .route("/v1/confirmations/{nonce}", post(confirmations::confirm))
        .route("/v1/escalations", get(escalations::list))
        .route("/v1/escalations/{id}", get(escalations::by_id))
        .route("/v1/escalations/{id}/resolve", post(escalations::resolve))
        .route("/v1/receipts", get(receipts::list))
        .route("/v1/receipts/{id}", get(receipts::by_id))
        .route("/v1/agent-scope-bundles", get(bundles::list).post(bundles::create))
        .route("/v1/agent-scope-bundles/{id}", delete(bundles::remove))
        .route("/v1/tombstones", get(tombstones::list).post(tombstones::place))
        .route("/v1/tombstones/{id}", delete(tombstones::lift))
        .route("/v1/workspaces/{id}/keys", get(keys::document))
}

/// An id in a path. One that is no text at all names nothing, like any other unknown id.
fn path_id(path: Result<Path<String>, PathRejection>) -> String {
    path.map(|Path(id)| id).unwrap_or_default()
}
