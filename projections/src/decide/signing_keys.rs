//! Rotation of signing keys: windows are half open and follow each other without a gap.

use allowlog_proto::event::{Event, SigningKeyEvent};
use allowlog_proto::id::{KeyId, WorkspaceId};
use allowlog_proto::time::Timestamp;

use super::{Decided, Outcome};
use crate::rejected::Rejected;
use crate::state::State;

/// Another key signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKeyRotated {
    /// Derived from the public key.
    pub key_id: KeyId,
    /// Receipts issued from here on are signed with it.
    pub active_from: Timestamp,
}

pub(super) fn rotate(state: &State, workspace_id: WorkspaceId, public_key: &[u8; 32], now: Timestamp) -> Result<Decided, Rejected> {
    let workspace = state.workspace(workspace_id).ok_or(Rejected::NotFound("workspace"))?;
    let key_id = KeyId::of(public_key);
    if workspace.signing_keys.iter().any(|key| key.key_id == key_id) {
        return Err(Rejected::Conflict("the workspace has had this signing key already"));
    }
    // A receipt may have been issued within this very millisecond; it must stay within the old key's window.
    let last = workspace.signing_keys.last().map_or(now, |key| key.active_from.max(now));
    let active_from = last.saturating_add_ms(1);
    if active_from == last {
        return Err(Rejected::Conflict("there is no later instant from which a key could be active"));
    }
    Ok(Decided {
        workspace_id,
        events: vec![Event::SigningKey(SigningKeyEvent::Activated { key_id, public_key: *public_key, active_from })],
        outcome: Outcome::SigningKeyRotated(SigningKeyRotated { key_id, active_from }),
    })
}
