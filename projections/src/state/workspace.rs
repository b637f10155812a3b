//! Workspaces.

use std::collections::BTreeMap;

use allowlog_proto::event::{Plan, WorkspaceEvent};
use allowlog_proto::id::{ConsentAgentId, TombstoneId};
use allowlog_proto::merkle::Tree;
use allowlog_proto::record::Record;
use allowlog_proto::text::{BundleId, Name, Resource};
use allowlog_proto::time::Timestamp;

use super::stored::stored;
use super::{LiveBundle, SigningKey, State, Tombstone};

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// What people call it.
    pub name: Name,
    /// What it may use.
    pub plan: Plan,
    /// Time of its first record.
    pub created_at: Timestamp,
    /// Every key that ever signed, oldest first; the last is the active one.
    pub signing_keys: Vec<SigningKey>,
    /// Whether it ever had an API key.
    pub has_api_key: bool,
    /// Those that can be granted from.
    pub bundles: BTreeMap<BundleId, LiveBundle>,
    /// Those that deny.
    pub tombstones: BTreeMap<TombstoneId, Tombstone>,
    /// What they deny.
    pub(super) tombstoned: BTreeMap<Resource, TombstoneId>,
    /// The agent that requests for consent are for which name none.
    pub default_agent: Option<ConsentAgentId>,
    /// Over all its records so far.
    pub tree: Tree,
}

stored!(Workspace { name, plan, created_at, signing_keys, has_api_key, bundles, tombstones, tombstoned, default_agent, tree });

impl State {
    pub(super) fn apply_workspace(&mut self, record: &Record, event: &WorkspaceEvent) {
        match event {
            WorkspaceEvent::Created { name, plan } => {
                let workspace = Workspace {
                    name: name.clone(),
                    plan: *plan,
                    created_at: record.time,
                    signing_keys: Vec::new(),
                    has_api_key: false,
                    bundles: BTreeMap::new(),
                    tombstones: BTreeMap::new(),
                    tombstoned: BTreeMap::new(),
                    default_agent: None,
                    tree: Tree::new(),
                };
                let before = self.workspaces.insert(record.workspace_id, workspace);
                assert!(before.is_none(), "a workspace is created once");
            }
            WorkspaceEvent::Changed { name, plan } => {
                let workspace = self.workspace_mut(record);
                workspace.name = name.clone();
                workspace.plan = *plan;
            }
            // For whoever reads the log: nothing is decided by it, and nothing shows it.
            WorkspaceEvent::Described(_) => {}
        }
    }

    /// The workspace a record belongs to.
    pub(super) fn workspace_mut(&mut self, record: &Record) -> &mut Workspace {
        let Some(workspace) = self.workspaces.get_mut(&record.workspace_id) else {
            unreachable!("a workspace is created before anything happens in it");
        };
        workspace
    }
}
