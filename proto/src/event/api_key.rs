//! API keys.

use serde::{Deserialize, Serialize};

use crate::id::ApiKeyId;
use crate::text::Name;

/// What happens to an API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiKeyEvent {
    /// The key opens its workspace from now on.
    Created {
        /// The public part of the key.
        api_key_id: ApiKeyId,
        /// What people call it.
        name: Name,
        /// BLAKE3 of the secret, keyed with a key that never leaves the server.
        secret_hash: [u8; 32],
    },
    /// The key opens nothing any more.
    Revoked {
        /// The public part of the key.
        api_key_id: ApiKeyId,
    },
}
