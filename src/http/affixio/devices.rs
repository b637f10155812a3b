//! `/v1/devices`: what an agent pays from or at.

use allowlog_projections::command::{Action, Credential, Registration};
use allowlog_projections::decide::Outcome;
use allowlog_proto::api::affixio::{AttestBody, DeviceBody, OwnBody, RegisterDeviceBody, RevokeDeviceBody};
use allowlog_proto::id::DeviceId;
use allowlog_proto::limits::BODY_BYTES_MAX;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};

use super::path_id;
use crate::app::App;
use crate::http::openapi::Entry;
use crate::http::{ApiError, call};

/// Registers a device, which is trusted from then on.
pub async fn register(State(app): State<App>, request: Request) -> Result<(StatusCode, Json<DeviceBody>), ApiError> {
    let call = call::parse(&app, request, BODY_BYTES_MAX, RegisterDeviceBody::parse).await?;
    let credential = call.credential().clone();
    let command = call.command(|body| Action::Register(Registration::Device(Box::new(body))));
    let Outcome::Device(id) = app.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    Ok((StatusCode::CREATED, Json(shown(&app, credential, Some(id)).await?)))
}

pub fn register_entry() -> Entry {
    Entry::acts("Agents", "register_device", "Register a device")
        .affixio()
        .about("It is trusted from then on. A device that nobody registered is merely unverified, unless a delegation wants a trusted one.")
        .optional_body::<RegisterDeviceBody>(BODY_BYTES_MAX)
        .answers::<DeviceBody>(201, "The device.")
        .leads_to("get_device", "id", "id")
}

/// A device as it is.
pub async fn by_id(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<DeviceBody>, ApiError> {
    let credential = call::credential(&app, &headers)?;
    shown(&app, credential, DeviceId::parse(&path_id(path))).await.map(Json)
}

const UNKNOWN: &str = "`not_found`: the org has no such device.";

pub fn by_id_entry() -> Entry {
    Entry::reads("Agents", "get_device", "A device as it is")
        .affixio()
        .names::<DeviceId>("id", "Its id.")
        .answers::<DeviceBody>(200, "The device.")
        .refuses_with(404, UNKNOWN)
}

/// Records that somebody vouches for a device.
pub async fn attest(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<DeviceBody>, ApiError> {
    let id = DeviceId::parse(&path_id(path));
    let call = call::parse(&app, request, BODY_BYTES_MAX, AttestBody::parse).await?;
    let credential = call.credential().clone();
    let command = call.command(|body| Action::Register(Registration::Attest(id, Box::new(body))));
    let Outcome::Device(id) = app.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    shown(&app, credential, Some(id)).await.map(Json)
}

pub fn attest_entry() -> Entry {
    Entry::acts("Agents", "attest_device", "Record that somebody vouches for a device")
        .affixio()
        .about("The attestation is recorded as it is; nobody but you judges it.")
        .names::<DeviceId>("id", "The device.")
        .optional_body::<AttestBody>(BODY_BYTES_MAX)
        .answers::<DeviceBody>(200, "The device as it is now.")
        .refuses_with(404, UNKNOWN)
        .refuses_with(409, "`invalid_state`: the device is revoked for good; or the idempotency key was given with another request.")
}

/// Trusts a device no more.
pub async fn revoke(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<DeviceBody>, ApiError> {
    let id = DeviceId::parse(&path_id(path));
    let call = call::parse(&app, request, BODY_BYTES_MAX, RevokeDeviceBody::parse).await?;
    let credential = call.credential().clone();
    let command = call.command(|body| Action::Register(Registration::RevokeDevice(id, Box::new(body))));
    let Outcome::Device(id) = app.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    shown(&app, credential, Some(id)).await.map(Json)
}

pub fn revoke_entry() -> Entry {
    Entry::acts("Agents", "revoke_device", "Trust a device no more")
        .affixio()
        .about("For good: every payment from it is denied. Doing it again changes nothing.")
        .names::<DeviceId>("id", "The device.")
        .optional_body::<RevokeDeviceBody>(BODY_BYTES_MAX)
        .answers::<DeviceBody>(200, "The device as it is now.")
        .refuses_with(404, UNKNOWN)
}

async fn shown(app: &App, credential: Credential, id: Option<DeviceId>) -> Result<DeviceBody, ApiError> {
    let read = app.engine.read_as(credential, move |state, workspace_id, _| {
        let id = id?;
        let device = state.device(workspace_id, id)?;
        Some(DeviceBody {
            id,
            device_id: id,
            name: device.name.clone(),
            kind: device.kind.clone(),
            status: if device.revoked_at.is_some() { "revoked" } else { "active" },
            attested_at: device.attested_at,
            metadata: OwnBody(device.metadata.clone()),
            created_at: device.created_at,
            revoked_at: device.revoked_at,
        })
    });
    read.await?.ok_or_else(|| ApiError::not_found("device"))
}
