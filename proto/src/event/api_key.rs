//! API keys.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::ApiKeyId;
use crate::text::Name;
use crate::time::Timestamp;

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
        /// How its text is spelt.
        style: Style,
        /// What it may do.
        role: Role,
        /// From this instant on it opens nothing.
        expires_at: Option<Timestamp>,
        /// BLAKE3 of the secret, keyed with a key that never leaves the server.
        secret_hash: [u8; 32],
    },
    /// The key opens nothing any more.
    Revoked {
        /// The public part of the key.
        api_key_id: ApiKeyId,
    },
}

/// How the text of an API key begins; a key of any style opens its workspace on every face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// `allowly_l1_s001_...`
    Allowly,
    /// `sk_live_...`
    Permitly,
    /// `aff_...`
    Affixio,
}

impl Style {
    /// Every style.
    pub const ALL: [Self; 3] = [Self::Allowly, Self::Permitly, Self::Affixio];

    /// The spelling on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowly => "allowly",
            Self::Permitly => "permitly",
            Self::Affixio => "affixio",
        }
    }

    /// The style of this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|style| style.as_str() == text)
    }
}

/// What the holder of an API key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything the API offers.
    Runtime,
    /// Read, and nothing that leaves an event.
    Read,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 2] = [Self::Runtime, Self::Read];

    /// The spelling on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Read => "read",
        }
    }

    /// The role of this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}
