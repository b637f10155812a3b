//! Workspaces.

use allowlog_proto::event::WorkspaceEvent;
use allowlog_proto::record::Record;
use allowlog_proto::text::Name;
use allowlog_proto::time::Timestamp;

use super::{SigningKey, State};

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// What people call it.
    pub name: Name,
    /// Time of its first record.
    pub created_at: Timestamp,
    /// Every key that ever signed, oldest first; the last is the active one.
    pub signing_keys: Vec<SigningKey>,
}

impl State {
    pub(super) fn apply_workspace(&mut self, record: &Record, event: &WorkspaceEvent) {
        let WorkspaceEvent::Created { name } = event;
        let workspace = Workspace { name: name.clone(), created_at: record.time, signing_keys: Vec::new() };
        let before = self.workspaces.insert(record.workspace_id, workspace);
        assert!(before.is_none(), "a workspace is created once");
    }
}
