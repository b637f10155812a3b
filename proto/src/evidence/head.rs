//! The first line of a bundle: what it claims to hold, the keys, and the checkpoint it stands on.

use ed25519_dalek::VerifyingKey;

use super::fault::{Code, Fault};
use super::members::{hashes, line, number, only, text};
use super::stored::{Activation, Stored};
use crate::base64;
use crate::chain::Hash;
use crate::checkpoint::{Checkpoint, origin};
use crate::id::{AuthorizationId, KeyId, WorkspaceId};
use crate::json::{Object, Value};
use crate::merkle::{Tree, after, before, entry, leaf, verify_inclusion};
use crate::note::{KeyKind, Note, VerifierKey};

/// The head of a bundle, of the right shape and no more.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) workspace_id: WorkspaceId,
    pub(super) authorization_id: Option<AuthorizationId>,
    pub(super) first: u64,
    pub(super) end: u64,
    before: Vec<Hash>,
    after: Vec<Hash>,
    pub(super) keys: Vec<Key>,
    note: Note,
    pub(super) checkpoint: Checkpoint,
}

/// A signing key with the proof of its activation.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) activation: Activation,
    pub(super) key: VerifyingKey,
    index: u64,
    leaf: Hash,
    proof: Vec<Hash>,
}

fn malformed(sentence: &str) -> Fault {
    Fault { code: Code::MalformedBundle, index: None, sentence: sentence.to_owned() }
}

impl Head {
    /// Checks 1 and 2 of the head.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let value = line(bytes).ok_or_else(|| malformed("the first line is not JSON with a line feed at its end"))?;
        value
            .as_object()
            .and_then(Shape::read)
            .ok_or_else(|| malformed("the first line is not the head of a bundle of evidence"))?
            .resolve()
    }

    /// Check 3: the id of the trusted key that signed the checkpoint.
    pub(super) fn signer(&self, trusted: &[KeyId]) -> Result<KeyId, Fault> {
        let origin = origin(self.workspace_id);
        let fault = |sentence: String| Fault { code: Code::UntrustedCheckpoint, index: None, sentence };
        let Some(last) = self.keys.last() else { return Err(fault("the bundle names no signing key".to_owned())) };
        let key_id = last.activation.key_id;
        if !trusted.contains(&key_id) {
            let is_retired = self.keys.iter().any(|key| trusted.contains(&key.activation.key_id));
            let why = if is_retired { "the key that is trusted was retired since" } else { "no key of it is one that is trusted" };
            return Err(fault(format!("checkpoints of this log are signed by `{key_id}`: {why}")));
        }
        let is_signed = VerifierKey::new(&origin, KeyKind::Ed25519, last.key).is_ok_and(|key| self.note.is_signed_by(&key));
        if is_signed { Ok(key_id) } else { Err(fault("the checkpoint is not signed by the trusted key".to_owned())) }
    }

    /// Check 4: the tree before the first record, and how many hashes `after` has is right.
    pub(super) fn tree(&self) -> Result<Tree, Fault> {
        if self.end > self.checkpoint.size {
            return Err(malformed("the records end behind the checkpoint"));
        }
        if self.after.len() != after(self.end, self.checkpoint.size).len() || self.before.len() != before(self.first).len() {
            return Err(malformed("`before` and `after` are not as many hashes as their places need"));
        }
        Tree::from_edge(self.first, self.before.clone()).ok_or_else(|| malformed("`before` is not as many hashes as `first` needs"))
    }

    /// Whether one of the keys was activated by the record at this index.
    pub(super) fn lists_key(&self, index: u64) -> bool {
        self.keys.iter().any(|key| key.index == index)
    }

    /// Check 5.
    pub(super) fn prove_keys(&self) -> Result<(), Fault> {
        let mut least = Some(0);
        for key in &self.keys {
            let Checkpoint { size, root, .. } = self.checkpoint;
            let in_order = least.is_some_and(|least| least <= key.index);
            if !verify_inclusion(key.index, size, key.leaf, &key.proof, root) || !in_order {
                let sentence = format!("the activation of key `{}` is not proved to be in the tree at its place", key.activation.key_id);
                return Err(Fault { code: Code::BadKeyProof, index: None, sentence });
            }
            least = key.index.checked_add(1);
        }
        Ok(())
    }

    /// Check 6: which of the witnesses have seen the checkpoint, and when, in POSIX seconds.
    pub(super) fn cosigners(&self, witnesses: &[VerifierKey], quorum: usize) -> Result<Vec<(VerifierKey, u64)>, Fault> {
        let found = self.note.cosigners(witnesses);
        if found.len() < quorum {
            let sentence = format!("{} of the named witnesses have cosigned the checkpoint, {quorum} are asked for", found.len());
            return Err(Fault { code: Code::TooFewWitnesses, index: None, sentence });
        }
        Ok(found)
    }

    /// The whole tree, from the one up to the last record.
    pub(super) fn complete(&self, mut tree: Tree) -> Option<Tree> {
        for (subtree, root) in after(self.end, self.checkpoint.size).iter().zip(&self.after) {
            tree.push_subtree(subtree.height, *root)?;
        }
        Some(tree)
    }
}

/// The members of the head by their types.
struct Shape<'v> {
    workspace_id: WorkspaceId,
    authorization_id: Option<AuthorizationId>,
    first: u64,
    end: u64,
    before: Vec<Hash>,
    after: Vec<Hash>,
    keys: Vec<(Vec<u8>, Vec<Hash>)>,
    checkpoint: &'v str,
}

impl<'v> Shape<'v> {
    fn read(head: &'v Object) -> Option<Self> {
        only(head, &["format", "workspace_id", "authorization_id", "first", "end", "before", "after", "keys", "checkpoint"])?;
        (text(head, "format")? == "allowlog-evidence-v1").then_some(())?;
        let story = head.get("authorization_id")?;
        let authorization_id = if *story == Value::Null { None } else { Some(AuthorizationId::parse(story.as_text()?)?) };
        let (first, end) = (number(head, "first")?, number(head, "end")?);
        (first <= end).then_some(())?;
        let Value::Array(keys) = head.get("keys")? else { return None };
        Some(Self {
            workspace_id: WorkspaceId::parse(text(head, "workspace_id")?)?,
            authorization_id,
            first,
            end,
            before: hashes(head, "before")?,
            after: hashes(head, "after")?,
            keys: keys.iter().map(|key| Self::key(key.as_object()?)).collect::<Option<_>>()?,
            checkpoint: text(head, "checkpoint")?,
        })
    }

    fn key(key: &Object) -> Option<(Vec<u8>, Vec<Hash>)> {
        only(key, &["record", "proof"])?;
        Some((base64::decode(text(key, "record")?)?, hashes(key, "proof")?))
    }

    fn resolve(self) -> Result<Head, Fault> {
        let Self { workspace_id, authorization_id, first, end, before, after, keys, checkpoint } = self;
        let note = Note::parse(checkpoint).map_err(|e| malformed(&format!("`checkpoint`: {e}")))?;
        let checkpoint = Checkpoint::parse(&note.text).map_err(|e| malformed(&format!("`checkpoint`: {e}")))?;
        if checkpoint.origin != origin(workspace_id) {
            return Err(malformed("the checkpoint is of another log than the bundle"));
        }
        let resolve = |(record, proof)| Key::resolve(record, proof, workspace_id);
        let keys = keys.into_iter().map(resolve).collect::<Option<_>>();
        let keys = keys.ok_or_else(|| malformed("a record of `keys` is not the activation of a signing key of this workspace"))?;
        Ok(Head { workspace_id, authorization_id, first, end, before, after, keys, note, checkpoint })
    }
}

impl Key {
    fn resolve(record: Vec<u8>, proof: Vec<Hash>, workspace_id: WorkspaceId) -> Option<Self> {
        let Stored { header, hash, body } = Stored::whole(&record)?;
        let activation = Activation::read(body?.0)?;
        let is_own = header.workspace_id == workspace_id && activation.key_id == KeyId::of(&activation.public_key);
        is_own.then_some(())?;
        Some(Self {
            activation,
            key: VerifyingKey::from_bytes(&activation.public_key).ok()?,
            index: header.index,
            leaf: leaf(&entry(hash, &header.receipt)),
            proof,
        })
    }
}
