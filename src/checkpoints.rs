//! Checkpoints: signed commitments to the tree of each workspace. [`Checkpoints`] holds the last one that was published;
//! `follower` makes them, `ledger` remembers what was signed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use allowlog_projections::state::{SigningKey, State};
use allowlog_proto::chain::Hash;
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::merkle::Tree;
use allowlog_proto::note::Note;

use crate::tiles::Tiles;

pub mod follower;
pub mod ledger;

/// The trees as commits leave them, for the follower: what is in here is durable.
#[derive(Debug, Default)]
pub struct Heads(Mutex<BTreeMap<WorkspaceId, Head>>);

/// The tree of a workspace behind a commit, and the key that was its last.
#[derive(Debug, Clone)]
pub struct Head {
    /// Its right edge.
    pub tree: Tree,
    /// What signs the checkpoint.
    pub signing_key: SigningKey,
}

impl Heads {
    /// Those of every workspace.
    pub fn of(state: &State) -> Self {
        Self(Mutex::new(state.workspaces().filter_map(|(id, _)| Some((id, Head::of(state, id)?))).collect()))
    }

    /// Replaces those of the workspaces that a commit was about.
    pub fn put(&self, state: &State, changed: impl IntoIterator<Item = WorkspaceId>) {
        let mut heads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heads.extend(changed.into_iter().filter_map(|id| Some((id, Head::of(state, id)?))));
    }

    /// Those that were put since they were last taken.
    pub fn take(&self) -> BTreeMap<WorkspaceId, Head> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Head {
    fn of(state: &State, workspace_id: WorkspaceId) -> Option<Self> {
        let workspace = state.workspace(workspace_id)?;
        Some(Self { tree: workspace.tree.clone(), signing_key: workspace.signing_keys.last()?.clone() })
    }
}

/// The checkpoints that everybody may see, and the trees they are of.
#[derive(Debug)]
pub struct Checkpoints {
    /// The trees, which reach at least as far as the checkpoints.
    pub tiles: Arc<Tiles>,
    published: RwLock<BTreeMap<WorkspaceId, Arc<Published>>>,
    position: AtomicU64,
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
        Self { tiles, published: RwLock::default(), position: AtomicU64::new(0) }
    }

    /// The last one of a workspace, once there is one.
    pub fn latest(&self, workspace_id: WorkspaceId) -> Option<Arc<Published>> {
        self.published.read().unwrap_or_else(PoisonError::into_inner).get(&workspace_id).cloned()
    }

    /// Log sequence behind the last record that is under a published checkpoint, with all before it.
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    fn reached(&self, position: u64) {
        self.position.store(position, Ordering::Relaxed);
    }

    fn publish(&self, workspace_id: WorkspaceId, published: Published) {
        self.published.write().unwrap_or_else(PoisonError::into_inner).insert(workspace_id, Arc::new(published));
    }
}
