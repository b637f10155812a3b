//! Checkpoints: signed commitments to the tree of each workspace. [`Checkpoints`] holds the last one that was published;
//! `follower` makes them, `ledger` remembers what was signed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use allowlog_projections::state::{SigningKey, State};
use allowlog_proto::chain::Hash;
use allowlog_proto::checkpoint::origin;
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::merkle::Tree;
use allowlog_proto::note::{KeyKind, Note, VerifierKey};
use ed25519_dalek::VerifyingKey;
use tokio::sync::watch;

use crate::tiles::Tiles;

pub mod follower;
pub mod ledger;

/// The trees as commits leave them, for the follower: what is in here is durable.
#[derive(Debug, Default)]
pub struct Heads(Mutex<Taken>);

/// Trees, and how far the log reached when the last of them was put.
#[derive(Debug, Default)]
pub struct Taken {
    /// By workspace.
    pub heads: BTreeMap<WorkspaceId, Head>,
    /// Log sequence behind the last record in any of them.
    pub end: u64,
}

/// The tree of a workspace behind a commit, and the key that was its last.
#[derive(Debug, Clone)]
pub struct Head {
    /// Its right edge.
    pub tree: Tree,
    /// What signs the checkpoint.
    pub signing_key: SigningKey,
}

impl Heads {
    /// Those of every workspace, in a log that ends there.
    pub fn of(state: &State, end: u64) -> Self {
        let heads = Self::default();
        heads.put(state, state.workspaces().map(|(id, _)| id), end);
        heads
    }

    /// Replaces those of the workspaces that a commit was about, which ends there.
    pub fn put(&self, state: &State, changed: impl IntoIterator<Item = WorkspaceId>, end: u64) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.heads.extend(changed.into_iter().filter_map(|id| Some((id, Head::of(state, id)?))));
        taken.end = end;
    }

    /// Those that were put since they were last taken.
    pub fn take(&self) -> Taken {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Taken { heads: std::mem::take(&mut taken.heads), end: taken.end }
    }
}

impl Head {
    fn of(state: &State, workspace_id: WorkspaceId) -> Option<Self> {
        let workspace = state.workspace(workspace_id)?;
        Some(Self { tree: workspace.tree.clone(), signing_key: workspace.signing_keys.last()?.clone() })
    }
}

/// What a signing key is as one of a workspace's log.
pub fn verifier_key(workspace_id: WorkspaceId, public_key: &[u8; 32]) -> Option<VerifierKey> {
    VerifierKey::new(&origin(workspace_id), KeyKind::Ed25519, VerifyingKey::from_bytes(public_key).ok()?).ok()
}

/// The checkpoints that everybody may see, and the trees they are of.
#[derive(Debug)]
pub struct Checkpoints {
    /// The trees, which reach at least as far as the checkpoints.
    pub tiles: Arc<Tiles>,
    published: RwLock<BTreeMap<WorkspaceId, Arc<Published>>>,
    position: watch::Sender<u64>,
    /// How many checkpoints were published, of whatever workspace.
    count: watch::Sender<u64>,
    /// Workspaces whose next checkpoint is not merely a matter of time.
    held_up: RwLock<BTreeSet<WorkspaceId>>,
}

/// A checkpoint with the signatures that were asked for.
#[derive(Debug)]
pub struct Published {
    /// Records of the workspace that it covers.
    pub size: u64,
    /// Root of their tree.
    pub root: Hash,
    /// The checkpoint itself.
    pub note: Note,
}

impl Checkpoints {
    /// None yet.
    pub fn new(tiles: Arc<Tiles>) -> Self {
        Self {
            tiles,
            published: RwLock::default(),
            position: watch::Sender::new(0),
            count: watch::Sender::new(0),
            held_up: RwLock::default(),
        }
    }

    /// The last one of a workspace, once there is one.
    pub fn latest(&self, workspace_id: WorkspaceId) -> Option<Arc<Published>> {
        self.published.read().unwrap_or_else(PoisonError::into_inner).get(&workspace_id).cloned()
    }

    /// The last one of a workspace, once it covers so many of its records; nothing if that does not come to be within `patience`, or
    /// something stands in its way.
    pub async fn covering(&self, workspace_id: WorkspaceId, records: u64, patience: Duration) -> Option<Arc<Published>> {
        let mut count = self.count.subscribe();
        let waiting = async {
            loop {
                if let Some(published) = self.latest(workspace_id).filter(|published| published.size >= records) {
                    return Some(published);
                }
                if self.is_held_up(workspace_id) || count.changed().await.is_err() {
                    return None;
                }
            }
        };
        tokio::time::timeout(patience, waiting).await.ok().flatten()
    }

    /// Log sequence behind the last record that is under a published checkpoint, with all before it.
    pub fn position(&self) -> watch::Receiver<u64> {
        self.position.subscribe()
    }

    fn reached(&self, position: u64) {
        self.position.send_replace(position);
    }

    /// Whether something stands in the way of the next checkpoint of a workspace; the telemetry says what.
    pub fn is_held_up(&self, workspace_id: WorkspaceId) -> bool {
        self.held_up.read().unwrap_or_else(PoisonError::into_inner).contains(&workspace_id)
    }

    fn hold_up(&self, workspace_id: WorkspaceId) {
        self.held_up.write().unwrap_or_else(PoisonError::into_inner).insert(workspace_id);
    }

    fn publish(&self, workspace_id: WorkspaceId, published: Published) {
        self.held_up.write().unwrap_or_else(PoisonError::into_inner).remove(&workspace_id);
        let published = Arc::new(published);
        self.published.write().unwrap_or_else(PoisonError::into_inner).insert(workspace_id, published);
        self.count.send_modify(|count| *count = count.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests;
