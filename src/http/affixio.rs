//! The AffixIO face: this list is its index.

use allowlog_proto::api::affixio::AffixioEnvelope;
use axum::Json;
use axum::body::Body;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse as _;

use super::ApiError;
use super::routes::{Routes, get, post};

mod agents;
mod delegations;
mod devices;
mod gate;
mod offline;
mod orgs;
mod payment_intents;
mod proofs;

/// Every endpoint of the face.
#[rustfmt::skip] // a line for each method, so that the list can be read as one
pub fn routes() -> Routes {
    Routes::default()
        .route("/v1/orgs", [post(orgs::create, orgs::create_entry())])
        .route("/v1/api-keys", [post(orgs::create_key, orgs::create_key_entry())])
        .route("/v1/agents", [post(agents::register, agents::register_entry())])
        .route("/v1/agents/{id}", [get(agents::by_id, agents::by_id_entry())])
        .route("/v1/agents/{id}/suspend", [post(agents::suspend, agents::suspend_entry())])
        .route("/v1/agents/{id}/activate", [post(agents::activate, agents::activate_entry())])
        .route("/v1/agents/{id}/revoke", [post(agents::revoke, agents::revoke_entry())])
        .route("/v1/agents/{id}/credentials", [post(agents::issue_credential, agents::issue_credential_entry())])
        .route("/v1/devices", [post(devices::register, devices::register_entry())])
        .route("/v1/devices/{id}", [get(devices::by_id, devices::by_id_entry())])
        .route("/v1/devices/{id}/attest", [post(devices::attest, devices::attest_entry())])
        .route("/v1/devices/{id}/revoke", [post(devices::revoke, devices::revoke_entry())])
        .route("/v1/delegations", [
            get(delegations::list, delegations::list_entry()),
            post(delegations::create, delegations::create_entry()),
        ])
        .route("/v1/delegations/{id}", [get(delegations::by_id, delegations::by_id_entry())])
        .route("/v1/delegations/{id}/verify", [post(gate::verify, gate::verify_entry())])
        .route("/v1/delegations/{id}/revoke", [post(delegations::revoke, delegations::revoke_entry())])
        .route("/v1/trust/check", [post(gate::trust, gate::trust_entry())])
        .route("/v1/nior/policy/decide", [post(gate::policy, gate::policy_entry())])
        .route("/v1/nior/agent/permission", [post(gate::permission, gate::permission_entry())])
        .route("/v1/payment-intents", [post(payment_intents::create, payment_intents::create_entry())])
        .route("/v1/payment-intents/{id}", [get(payment_intents::by_id, payment_intents::by_id_entry())])
        .route("/v1/payment-intents/{id}/authorise", [post(payment_intents::authorise, payment_intents::authorise_entry("authorise_payment_intent"))])
        .route("/v1/payment-intents/{id}/authorize", [post(payment_intents::authorise, payment_intents::authorise_entry("authorize_payment_intent"))])
        .route("/v1/payment-intents/{id}/capture", [post(payment_intents::capture, payment_intents::capture_entry())])
        .route("/v1/payment-intents/{id}/cancel", [post(payment_intents::cancel, payment_intents::cancel_entry())])
        .route("/v1/offline/tokens", [post(offline::issue, offline::issue_entry())])
        .route("/v1/offline/transactions", [post(offline::queue, offline::queue_entry())])
        .route("/v1/offline/queues/{device_id}", [get(offline::queued, offline::queued_entry())])
        .route("/v1/offline/nullifiers/check", [post(offline::check, offline::check_entry())])
        .route("/v1/offline/nullifiers/reconcile", [post(offline::reconcile, offline::reconcile_entry("reconcile_nullifiers"))])
        .route("/v1/offline/reconcile", [post(offline::reconcile, offline::reconcile_entry("reconcile_offline"))])
        .route("/v1/proofs/{id}", [get(proofs::by_id, proofs::by_id_entry())])
}

/// What the first part of the face's paths is, behind `/v1/`.
const ROOTS: [&str; 10] = ["orgs", "api-keys", "agents", "devices", "delegations", "trust", "nior", "payment-intents", "offline", "proofs"];

/// Whether a path is this face's.
pub fn has(path: &str) -> bool {
    path.strip_prefix("/v1/").is_some_and(|rest| rest.split('/').next().is_some_and(|root| ROOTS.contains(&root)))
}

/// An error as this API spells it.
pub fn tell(mut response: Response<Body>) -> Response<Body> {
    let Some(error) = response.extensions_mut().remove::<ApiError>() else { return response };
    let (status, error) = error.into_parts();
    let status = match status {
        StatusCode::UNPROCESSABLE_ENTITY if error.code == "idempotency_key_reused" => StatusCode::CONFLICT,
        StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
        StatusCode::PAYMENT_REQUIRED => StatusCode::FORBIDDEN,
        StatusCode::GONE => StatusCode::CONFLICT,
        other => other,
    };
    super::retold(&response, (status, Json(AffixioEnvelope::from(error))).into_response())
}

/// An id in a path. One that is no text at all names nothing, like any other unknown id.
fn path_id(path: Result<Path<String>, PathRejection>) -> String {
    path.map(|Path(id)| id).unwrap_or_default()
}
