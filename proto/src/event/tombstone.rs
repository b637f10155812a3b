//! Tombstones: resources that are closed to every agent of a workspace.

use serde::{Deserialize, Serialize};

use crate::id::TombstoneId;
use crate::text::{Note, Resource};

/// What happens to a tombstone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TombstoneEvent {
    /// Checks of exactly this resource are denied from now on.
    Placed {
        /// Names the tombstone.
        tombstone_id: TombstoneId,
        /// What is closed.
        resource: Resource,
        /// For a human.
        reason: Option<Note>,
    },
    /// They are no more.
    Lifted {
        /// Names the tombstone.
        tombstone_id: TombstoneId,
        /// What was closed.
        resource: Resource,
    },
}
