//! API keys.

use allowlog_proto::event::{ApiKeyEvent, Role, Style};
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::record::Record;
use allowlog_proto::text::Name;
use allowlog_proto::time::Timestamp;

use super::State;
use super::stored::stored;

/// An API key without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// What it opens.
    pub workspace_id: WorkspaceId,
    /// What people call it.
    pub name: Name,
    /// How its text is spelt.
    pub style: Style,
    /// What it may do.
    pub role: Role,
    /// From when on it opens nothing by itself.
    pub expires_at: Option<Timestamp>,
    /// Keyed hash of the secret.
    pub secret_hash: [u8; 32],
    /// Time of its record.
    pub created_at: Timestamp,
    /// From when on it opens nothing, whatever its end.
    pub revoked_at: Option<Timestamp>,
}

stored!(ApiKey { workspace_id, name, style, role, expires_at, secret_hash, created_at, revoked_at });

impl State {
    pub(super) fn apply_api_key(&mut self, record: &Record, event: &ApiKeyEvent) {
        match event {
            ApiKeyEvent::Created { api_key_id, name, style, role, expires_at, secret_hash } => {
                let key = ApiKey {
                    workspace_id: record.workspace_id,
                    name: name.clone(),
                    style: *style,
                    role: *role,
                    expires_at: *expires_at,
                    secret_hash: *secret_hash,
                    created_at: record.time,
                    revoked_at: None,
                };
                let before = self.api_keys.insert(*api_key_id, key);
                assert!(before.is_none(), "an API key is created once");
                self.workspace_mut(record).has_api_key = true;
            }
            ApiKeyEvent::Revoked { api_key_id } => {
                let key = self.api_keys.get_mut(api_key_id);
                let before = key.map(|key| key.revoked_at.replace(record.time));
                assert!(before == Some(None), "a live API key is revoked");
            }
        }
    }
}
