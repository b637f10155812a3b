//! Devices that are registered.

use allowlog_proto::event::DeviceEvent;
use allowlog_proto::id::{DeviceId, WorkspaceId};
use allowlog_proto::json::CanonicalObject;
use allowlog_proto::record::Record;
use allowlog_proto::text::Name;
use allowlog_proto::time::Timestamp;

use super::State;
use super::stored::stored;

/// A device; revoked ones stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// What people call it.
    pub name: Option<Name>,
    /// What it is, in the caller's words.
    pub kind: Option<Name>,
    /// The caller's own.
    pub metadata: CanonicalObject,
    /// Time of its record.
    pub created_at: Timestamp,
    /// When somebody last vouched for it.
    pub attested_at: Option<Timestamp>,
    /// From when on it is not trusted.
    pub revoked_at: Option<Timestamp>,
}

stored!(Device { name, kind, metadata, created_at, attested_at, revoked_at });

impl State {
    /// The device, if it is this workspace's.
    pub fn device(&self, workspace_id: WorkspaceId, id: DeviceId) -> Option<&Device> {
        self.devices.get(&(workspace_id, id))
    }

    pub(super) fn apply_device(&mut self, record: &Record, event: &DeviceEvent) {
        match event {
            DeviceEvent::Registered(terms) => {
                let device = Device {
                    name: terms.name.clone(),
                    kind: terms.kind.clone(),
                    metadata: terms.metadata.clone(),
                    created_at: record.time,
                    attested_at: None,
                    revoked_at: None,
                };
                let before = self.devices.insert((record.workspace_id, terms.device_id), device);
                assert!(before.is_none(), "a device is registered once");
            }
            DeviceEvent::Attested { device_id, .. } => self.device_mut(record, *device_id).attested_at = Some(record.time),
            DeviceEvent::Revoked { device_id, .. } => {
                let before = self.device_mut(record, *device_id).revoked_at.replace(record.time);
                assert!(before.is_none(), "a device is revoked once");
            }
        }
    }

    fn device_mut(&mut self, record: &Record, id: DeviceId) -> &mut Device {
        let Some(device) = self.devices.get_mut(&(record.workspace_id, id)) else {
            unreachable!("a device is registered before anything happens to it");
        };
        device
    }
}
