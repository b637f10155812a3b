//! The public key document of a workspace: who signed, and when each key was active.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use crate::id::{KeyId, WorkspaceId};
use crate::schema;
use crate::time::Timestamp;

/// `GET /v1/workspaces/{id}/keys`: public, no key needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyDocument {
    /// Whose keys.
    pub workspace_id: WorkspaceId,
    /// Every key there ever was, oldest first; retired ones stay listed for ever.
    pub keys: Vec<PublicKey>,
}

/// One key with its window: it signs receipts with `active_from <= issued_at < active_until`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublicKey {
    /// As in `signature.key_id`.
    pub key_id: KeyId,
    /// Always `Ed25519`.
    #[schema(schema_with = ed25519)]
    pub alg: &'static str,
    /// 32 bytes, base64url without padding.
    #[schema(schema_with = public_key)]
    pub public_key: String,
    /// Inclusive.
    pub active_from: Timestamp,
    /// Exclusive; null while active.
    #[schema(required)]
    pub active_until: Option<Timestamp>,
}

fn ed25519() -> RefOr<Schema> {
    schema::one_of(&["Ed25519"]).into()
}

fn public_key() -> RefOr<Schema> {
    let example = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg";
    schema::patterned("32 bytes, base64url without padding.", "^[A-Za-z0-9_-]{43}$", example).into()
}

impl PublicKey {
    /// An Ed25519 key as the document shows it.
    pub fn new(key_id: KeyId, public_key: &[u8; 32], active_from: Timestamp, active_until: Option<Timestamp>) -> Self {
        let public_key = data_encoding::BASE64URL_NOPAD.encode(public_key);
        Self { key_id, alg: "Ed25519", public_key, active_from, active_until }
    }
}
