//! The public key document of a workspace: who signed, and when each key was active.

use serde::Serialize;

use crate::id::{KeyId, WorkspaceId};
use crate::time::Timestamp;

/// `GET /v1/workspaces/{id}/keys`: public, no key needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyDocument {
    /// Whose keys.
    pub workspace_id: WorkspaceId,
    /// Every key there ever was, oldest first; retired ones stay listed for ever.
    pub keys: Vec<PublicKey>,
}

/// One key with its window: it signs receipts with `active_from <= issued_at < active_until`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublicKey {
    /// As in `signature.key_id`.
    pub key_id: KeyId,
    /// Always `Ed25519`.
    pub alg: &'static str,
    /// 32 bytes, base64url without padding.
    pub public_key: String,
    /// Inclusive.
    pub active_from: Timestamp,
    /// Exclusive; null while active.
    pub active_until: Option<Timestamp>,
}

impl PublicKey {
    /// An Ed25519 key as the document shows it.
    pub fn new(key_id: KeyId, public_key: &[u8; 32], active_from: Timestamp, active_until: Option<Timestamp>) -> Self {
        let public_key = data_encoding::BASE64URL_NOPAD.encode(public_key);
        Self { key_id, alg: "Ed25519", public_key, active_from, active_until }
    }
}
