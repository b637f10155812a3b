//! Bodies of `/admin/v1`.

use serde::Serialize;

use crate::api::envelope::FieldError;
use crate::api::fields::{Fields, text};
use crate::id::{ApiKeyId, KeyId, WorkspaceId};
use crate::json::Value;
use crate::text::Name;
use crate::time::Timestamp;

/// `POST /admin/v1/workspaces` and `POST /admin/v1/workspaces/{id}/api-keys`: something with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedBody {
    /// What people call it.
    pub name: Name,
}

impl NamedBody {
    /// Reads `{"name": ...}`.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::of(body, "body");
        match fields.required("name", text(Name::new)) {
            Some(name) if fields.is_sound() => Ok(Self { name }),
            _ => Err(fields.into_errors()),
        }
    }
}

/// A new workspace with its first keys. Not to be printed: it holds a secret.
#[derive(Serialize)]
pub struct WorkspaceBody {
    /// The new workspace.
    pub workspace_id: WorkspaceId,
    /// What people call it.
    pub name: Name,
    /// Time of its first record.
    pub created_at: Timestamp,
    /// The whole key, shown this once.
    pub api_key: String,
    /// The public part of it.
    pub api_key_id: ApiKeyId,
    /// The key that signs its receipts.
    pub key_id: KeyId,
}

/// A workspace as it is listed.
#[derive(Debug, Serialize)]
pub struct KnownWorkspaceBody {
    /// Which.
    pub workspace_id: WorkspaceId,
    /// What people call it.
    pub name: Name,
    /// Time of its first record.
    pub created_at: Timestamp,
}

/// Every workspace, oldest first.
#[derive(Debug, Serialize)]
pub struct WorkspacesBody {
    /// All of them.
    pub items: Vec<KnownWorkspaceBody>,
}

/// A new API key. Not to be printed: it holds a secret.
#[derive(Serialize)]
pub struct NewApiKeyBody {
    /// The whole key, shown this once.
    pub api_key: String,
    /// What is known of it from now on.
    #[serde(flatten)]
    pub known: ApiKeyBody,
}

/// An API key without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApiKeyBody {
    /// The public part of the key.
    pub api_key_id: ApiKeyId,
    /// What people call it.
    pub name: Name,
    /// Time of its record.
    pub created_at: Timestamp,
    /// Null while it opens its workspace.
    pub revoked_at: Option<Timestamp>,
}

/// The API keys of a workspace, oldest first.
#[derive(Debug, Serialize)]
pub struct ApiKeysBody {
    /// Revoked ones too.
    pub items: Vec<ApiKeyBody>,
}

/// A signing key that has just become active.
#[derive(Debug, Serialize)]
pub struct SigningKeyBody {
    /// Derived from the public key.
    pub key_id: KeyId,
    /// Receipts issued from here on are signed with it.
    pub active_from: Timestamp,
}
