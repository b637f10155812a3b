//! The Permitly face: this list is its index.

use allowlog_proto::api::permitly::PermitlyEnvelope;
use axum::Json;
use axum::body::Body;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse as _;

pub use hosted::Peer;

use super::ApiError;
use super::routes::{Routes, delete, get, patch, post};

mod agents;
mod audit;
mod consents;
mod hosted;
mod requests;
mod tokens;
mod webhook_test;

/// Every endpoint of the face.
#[rustfmt::skip] // a line for each method, so that the list can be read as one
pub fn routes() -> Routes {
    Routes::default()
        .route("/v1/consent/request", [post(requests::ask, requests::ask_entry())])
        .route("/v1/consent/verify", [post(tokens::verify, tokens::verify_entry())])
        .route("/v1/consent/manage-url", [get(requests::manage_url, requests::manage_url_entry())])
        .route("/v1/consent", [get(consents::list, consents::list_entry())])
        .route("/v1/consent/{id}", [
            get(consents::by_id, consents::by_id_entry()),
            delete(consents::withdraw, consents::withdraw_entry()),
        ])
        .route("/v1/consent/{id}/token", [post(tokens::mint, tokens::mint_entry())])
        .route("/v1/audit", [get(audit::list, audit::list_entry())])
        .route("/v1/consent-agents", [
            get(agents::list, agents::list_entry()),
            post(agents::create, agents::create_entry()),
        ])
        .route("/v1/consent-agents/{id}", [
            get(agents::by_id, agents::by_id_entry()),
            patch(agents::change, agents::change_entry()),
        ])
        .route("/v1/consent-agents/{id}/rotate-webhook-secret", [post(agents::rotate, agents::rotate_entry())])
        .route("/v1/consent-agents/{id}/webhook-test", [post(webhook_test::send, webhook_test::entry())])
        .route("/v1/consent-agents/{id}/jwks.json", [get(agents::jwks, agents::jwks_entry())])
        .route("/c/{id}", [get(hosted::show, hosted::show_entry()), post(hosted::answer, hosted::answer_entry())])
        .route("/manage/{token}", [get(hosted::overview, hosted::overview_entry())])
        .route("/manage/{token}/revoke", [post(hosted::revoke, hosted::revoke_entry())])
}

/// How errors are told on a path that is this face's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// In this API's envelope.
    Envelope,
    /// To a person.
    Page,
}

/// How errors are told on this path, if it is this face's.
pub fn speech(path: &str) -> Option<Speech> {
    let within = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if within("/v1/consent") || within("/v1/audit") || within("/v1/consent-agents") {
        Some(Speech::Envelope)
    } else {
        hosted::is_page(path).then_some(Speech::Page)
    }
}

impl Speech {
    /// An answer, told so.
    pub fn tell(self, mut response: Response<Body>) -> Response<Body> {
        let Some(error) = response.extensions_mut().remove::<ApiError>() else { return response };
        let told = match (self, hosted::fault_of(response.status())) {
            (Self::Page, None) => return response,
            (Self::Page, Some(fault)) => fault.into_response(),
            (Self::Envelope, _) => {
                let (status, error) = error.into_parts();
                // Whatever is wrong with a body, it is the same to this API.
                let status = if error.code == "bad_request" { StatusCode::UNPROCESSABLE_ENTITY } else { status };
                (status, Json(PermitlyEnvelope { error: error.into() })).into_response()
            }
        };
        super::retold(&response, told)
    }
}

/// An id in a path. One that is no text at all names nothing, like any other unknown id.
fn path_id(path: Result<Path<String>, PathRejection>) -> String {
    path.map(|Path(id)| id).unwrap_or_default()
}
