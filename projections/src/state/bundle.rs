//! Bundles that can be granted from. What was granted from one is a copy, and nothing here touches it.

use allowlog_proto::event::{Bundle, BundleEvent};
use allowlog_proto::record::Record;
use allowlog_proto::time::Timestamp;

use super::State;
use super::stored::stored;

/// A bundle that can be granted from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveBundle {
    /// As it was recorded.
    pub bundle: Bundle,
    /// Time of its record.
    pub created_at: Timestamp,
}

stored!(LiveBundle { bundle, created_at });

impl State {
    pub(super) fn apply_bundle(&mut self, record: &Record, event: &BundleEvent) {
        let workspace = self.workspace_mut(record);
        match event {
            BundleEvent::Created(bundle) => {
                let live = LiveBundle { bundle: (**bundle).clone(), created_at: record.time };
                let before = workspace.bundles.insert(bundle.bundle_id.clone(), live);
                assert!(before.is_none(), "an id is given to one live bundle");
            }
            BundleEvent::Deleted { bundle_id } => {
                let before = workspace.bundles.remove(bundle_id);
                assert!(before.is_some(), "a live bundle is deleted");
            }
        }
    }
}
