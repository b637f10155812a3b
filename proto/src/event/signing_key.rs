//! Signing keys.

use serde::{Deserialize, Serialize};

use crate::id::KeyId;
use crate::time::Timestamp;

/// What happens to a signing key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SigningKeyEvent {
    /// Receipts issued at or after `active_from` are signed with this key; the one before it ends there, exclusively.
    Activated {
        /// Derived from the public key.
        key_id: KeyId,
        /// Ed25519, 32 bytes.
        public_key: [u8; 32],
        /// The record's own time for the first key of a workspace, a millisecond later for every other, so that
        /// receipts issued earlier in the same millisecond stay within the window of the key that signed them.
        active_from: Timestamp,
    },
}
