//! Workspaces.

use serde::{Deserialize, Serialize};

use crate::text::Name;

/// What happens to a workspace. Its id is in the record's header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkspaceEvent {
    /// The first record of every chain.
    Created {
        /// What people call it.
        name: Name,
    },
}
