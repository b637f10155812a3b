//! Signing keys and their windows.

use allowlog_proto::event::SigningKeyEvent;
use allowlog_proto::id::{KeyId, WorkspaceId};
use allowlog_proto::key_document::{KeyDocument, PublicKey};
use allowlog_proto::record::Record;
use allowlog_proto::time::Timestamp;

use super::stored::stored;
use super::{State, Workspace};

/// A key that signs receipts from `active_from` until the next one's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// Derived from the public key.
    pub key_id: KeyId,
    /// Ed25519.
    pub public_key: [u8; 32],
    /// Inclusive.
    pub active_from: Timestamp,
}

stored!(SigningKey { key_id, public_key, active_from });

impl SigningKey {
    /// Of the keys of one workspace, oldest first, the one that signs what was issued at `time`.
    pub fn active_at(keys: &[Self], time: Timestamp) -> Option<&Self> {
        keys.iter().rev().find(|key| key.active_from <= time)
    }
}

impl Workspace {
    /// What verifiers need: every key with its half-open window.
    pub fn key_document(&self, workspace_id: WorkspaceId) -> KeyDocument {
        let until = self.signing_keys.iter().skip(1).map(|next| Some(next.active_from)).chain([None]);
        let keys = self.signing_keys.iter().zip(until);
        let keys = keys.map(|(key, until)| PublicKey::new(key.key_id, &key.public_key, key.active_from, until));
        KeyDocument { workspace_id, keys: keys.collect() }
    }
}

impl State {
    pub(super) fn apply_signing_key(&mut self, record: &Record, event: &SigningKeyEvent) {
        let SigningKeyEvent::Activated { key_id, public_key, active_from } = event;
        let workspace = self.workspace_mut(record);
        let last = workspace.signing_keys.last();
        assert!(last.is_none_or(|last| last.active_from < *active_from), "windows follow each other");
        workspace.signing_keys.push(SigningKey { key_id: *key_id, public_key: *public_key, active_from: *active_from });
    }
}
