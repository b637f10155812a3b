//! Tombstones that deny.

use allowlog_proto::event::TombstoneEvent;
use allowlog_proto::record::Record;
use allowlog_proto::text::{Note, Resource};
use allowlog_proto::time::Timestamp;

use super::stored::stored;
use super::{State, Workspace};

/// A resource that is closed to every agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// Compared exactly.
    pub resource: Resource,
    /// For a human.
    pub reason: Option<Note>,
    /// Time of its record.
    pub created_at: Timestamp,
}

stored!(Tombstone { resource, reason, created_at });

impl Workspace {
    /// Whether the resource is closed.
    pub fn is_tombstoned(&self, resource: &Resource) -> bool {
        self.tombstoned.contains_key(resource)
    }
}

impl State {
    pub(super) fn apply_tombstone(&mut self, record: &Record, event: &TombstoneEvent) {
        let workspace = self.workspace_mut(record);
        match event {
            TombstoneEvent::Placed { tombstone_id, resource, reason } => {
                let tombstone = Tombstone { resource: resource.clone(), reason: reason.clone(), created_at: record.time };
                workspace.tombstones.insert(*tombstone_id, tombstone);
                let before = workspace.tombstoned.insert(resource.clone(), *tombstone_id);
                assert!(before.is_none(), "a resource has one tombstone");
            }
            TombstoneEvent::Lifted { tombstone_id, resource } => {
                workspace.tombstones.remove(tombstone_id);
                let before = workspace.tombstoned.remove(resource);
                assert!(before == Some(*tombstone_id), "the tombstone of this resource is lifted");
            }
        }
    }
}
