//! Devices that are trusted.

use allowlog_proto::api::affixio::{AttestBody, RegisterDeviceBody, RevokeDeviceBody};
use allowlog_proto::event::{DeviceEvent, DeviceTerms, Event};
use allowlog_proto::id::{DeviceId, WorkspaceId};
use allowlog_proto::time::Timestamp;

use super::{Decided, Outcome};
use crate::ids::Ids;
use crate::rejected::Rejected;
use crate::state::{Device, State};

pub(super) fn register(workspace_id: WorkspaceId, body: &RegisterDeviceBody, now: Timestamp, ids: &mut Ids) -> Decided {
    let terms = DeviceTerms {
        device_id: DeviceId::from_bytes(ids.mint(now)),
        name: body.name.clone(),
        kind: body.kind.clone(),
        metadata: body.metadata.clone(),
    };
    Decided::answered_by(workspace_id, vec![Event::Device(DeviceEvent::Registered(Box::new(terms)))], now)
}

pub(super) fn attest(
    state: &State,
    workspace_id: WorkspaceId,
    id: Option<DeviceId>,
    body: &AttestBody,
    now: Timestamp,
) -> Result<Decided, Rejected> {
    let (device_id, device) = known(state, workspace_id, id)?;
    if device.revoked_at.is_some() {
        return Err(Rejected::Conflict("the device is revoked for good"));
    }
    let event = Event::Device(DeviceEvent::Attested { device_id, attestation: body.attestation.clone() });
    Ok(Decided::answered_by(workspace_id, vec![event], now))
}

/// To revoke it again changes nothing.
pub(super) fn revoke(
    state: &State,
    workspace_id: WorkspaceId,
    id: Option<DeviceId>,
    body: &RevokeDeviceBody,
    now: Timestamp,
) -> Result<Decided, Rejected> {
    let (device_id, device) = known(state, workspace_id, id)?;
    if device.revoked_at.is_some() {
        return Ok(Decided { workspace_id, events: Vec::new(), outcome: Outcome::Device(device_id) });
    }
    let event = Event::Device(DeviceEvent::Revoked { device_id, reason: body.reason.clone() });
    Ok(Decided::answered_by(workspace_id, vec![event], now))
}

fn known(state: &State, workspace_id: WorkspaceId, id: Option<DeviceId>) -> Result<(DeviceId, &Device), Rejected> {
    let found = id.and_then(|id| Some((id, state.device(workspace_id, id)?)));
    found.ok_or(Rejected::NotFound("device"))
}
