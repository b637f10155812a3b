//! Checkpoints of an application in memory, over trees that were damaged and ledgers that know better.

use std::path::Path;
use std::sync::Arc;

use allowlog_projections::command::{Command, Operation};
use allowlog_projections::ids::Ids;
use allowlog_projections::state::State;
use allowlog_proto::event::Plan;
use allowlog_proto::merkle::verify_consistency;
use allowlog_proto::text::Name;

use super::ledger::Ledger;
use super::*;
use crate::admin_token::AdminToken;
use crate::app::{App, Parts, Threads};
use crate::chance;
use crate::clock::Clock;
use crate::keyring::{Keyring, MasterKey};
use crate::log::memory::MemoryStore;
use crate::replay::replay;

/// A log that outlives the applications over it, and the directory of their trees and their ledger.
struct World {
    store: Arc<MemoryStore>,
    keyring: Arc<Keyring>,
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let keyring = Arc::new(Keyring::open(directory.path().join("keys"), &MasterKey::ephemeral()).unwrap());
        Self { store: Arc::new(MemoryStore::new()), keyring, directory }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn start(&self) -> (App, Threads) {
        let parts = Parts {
            store: Arc::clone(&self.store) as _,
            replayed: replay(&*self.store, None, |_| {}).unwrap(),
            snapshots: None,
            snapshot_records: u64::MAX,
            tiles: Tiles::open(self.path("tiles")).unwrap(),
            ledger: Ledger::open(self.path("checkpoints"), None).unwrap(),
            witnesses: None,
            accepts_rollback: true,
            search_dir: None,
            webhook_file: None,
            webhook_allow_private: false,
            keyring: Arc::clone(&self.keyring),
            clock: Clock::Wall,
            ids: Ids::new(chance::numbers()),
            public_url: String::new(),
            admin_token: AdminToken::of("x"),
            refuses_emails: false,
            is_behind_proxy: false,
            is_signup_open: false,
        };
        App::start(parts).unwrap()
    }

    fn state(&self) -> State {
        replay(&*self.store, None, |_| {}).unwrap().state
    }
}

async fn grow(app: &App, workspace_id: WorkspaceId, records: usize) {
    for n in 0..records {
        let name = Some(Name::new(&format!("name {n}")).unwrap());
        app.engine.submit(Command::Operator(Operation::ChangeWorkspace { workspace_id, name, plan: None })).await.unwrap();
    }
}

/// Waits until all that is in the log is under a checkpoint.
async fn published(app: &App) {
    let head = app.store.head();
    app.checkpoints.position().wait_for(|position| *position >= head).await.unwrap();
}

fn stop((app, threads): (App, Threads)) {
    drop(app);
    assert!(threads.join());
}

/// The trees say of every workspace what the state says, at every size that is asked for; damage that is met on the way is an
/// error, and mended when it is tried again.
async fn compare(app: &App, state: &State) {
    for (id, workspace) in state.workspaces() {
        let latest = app.checkpoints.latest(id).unwrap();
        assert_eq!((latest.size, latest.root), (workspace.tree.size(), workspace.tree.root()));
        while let Err(error) = look(&app.checkpoints.tiles, id, &latest) {
            assert!(error.kind() != std::io::ErrorKind::Other, "{error}");
            tokio::task::yield_now().await;
        }
    }
}

fn look(tiles: &Tiles, id: WorkspaceId, latest: &Published) -> std::io::Result<()> {
    for old in (0..latest.size).step_by(37) {
        let root = tiles.tree(id, old)?.root();
        assert!(verify_consistency(old, root, latest.size, latest.root, &tiles.consistency(id, old, latest.size)?), "{old}");
    }
    Ok(())
}

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_trees_are_made_again_and_never_signed() {
    let world = World::new();
    let (app, threads) = world.start();
    let mut ids = Vec::new();
    for name in ["a", "b"] {
        ids.push(app.create_workspace(Name::new(name).unwrap(), Plan::Free).await.unwrap().0.workspace_id);
    }
    for (id, records) in ids.iter().zip([700, 20]) {
        grow(&app, *id, records).await;
    }
    published(&app).await;
    compare(&app, &world.state()).await;
    stop((app, threads));
    let sound: Vec<(std::path::PathBuf, Vec<u8>)> =
        files(&world.path("tiles")).into_iter().map(|p| (p.clone(), std::fs::read(p).unwrap())).collect();
    // Entries and a level of each, and the position.
    assert_eq!(sound.len(), 4, "{sound:?}");
    for (path, bytes) in &sound {
        for place in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0x40;
            for wrong in [damaged, bytes[..place].to_vec(), vec![0; bytes.len()]] {
                std::fs::write(path, &wrong).unwrap();
                let (app, threads) = world.start();
                published(&app).await;
                compare(&app, &world.state()).await;
                grow(&app, ids[1], 1).await;
                published(&app).await;
                compare(&app, &world.state()).await;
                stop((app, threads));
            }
        }
    }
    // Trees of a time before, and none at all.
    for (path, bytes) in &sound {
        std::fs::write(path, bytes).unwrap();
    }
    let (app, threads) = world.start();
    published(&app).await;
    compare(&app, &world.state()).await;
    stop((app, threads));
    std::fs::remove_dir_all(world.path("tiles")).unwrap();
    let (app, threads) = world.start();
    published(&app).await;
    compare(&app, &world.state()).await;
    stop((app, threads));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_histories_are_never_signed() {
    let world = World::new();
    let (app, threads) = world.start();
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(app.create_workspace(Name::new(name).unwrap(), Plan::Free).await.unwrap().0.workspace_id);
        grow(&app, *ids.last().unwrap(), 5).await;
    }
    published(&app).await;
    stop((app, threads));
    // Of one workspace more was signed than there is, of one another history.
    let state = world.state();
    let of = |n: usize| (state.workspace(ids[n]).unwrap().tree.size(), state.workspace(ids[n]).unwrap().tree.root());
    let mut ledger = Ledger::open(world.path("checkpoints"), None).unwrap();
    assert_eq!(ledger.last(ids[0]), Some(of(0)));
    ledger.add(&[(ids[0], (of(0).0 + 3, Hash([7; 32]))), (ids[1], (of(1).0 - 1, Hash([7; 32])))]).unwrap();
    assert!(ledger.check(&state).is_err());
    drop(ledger);
    let (app, mut threads) = world.start();
    threads.first_checkpoints().await;
    for id in &ids[..2] {
        assert!(app.checkpoints.latest(*id).is_none());
        // Past the size that was signed it is another history still.
        grow(&app, *id, 9).await;
    }
    grow(&app, ids[2], 1).await;
    // The third is none the worse.
    let size = of(2).0 + 1;
    while app.checkpoints.latest(ids[2]).is_none_or(|latest| latest.size < size) {
        tokio::task::yield_now().await;
    }
    stop((app, threads));
    let ledger = Ledger::open(world.path("checkpoints"), None).unwrap();
    assert_eq!([0, 1].map(|n| ledger.last(ids[n]).unwrap().1), [Hash([7; 32]); 2], "nothing was noted over it");
}

/// Nothing is written that would make the follower look, so it is up to whoever reads.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_while_nothing_happens_is_found_by_its_reader() {
    let world = World::new();
    let (app, threads) = world.start();
    let mut ids = Vec::new();
    for (n, records) in [300, 5, 1, 8, 2, 30].into_iter().enumerate() {
        let name = Name::new(&format!("w{n}")).unwrap();
        ids.push(app.create_workspace(name, Plan::Free).await.unwrap().0.workspace_id);
        grow(&app, ids[n], records).await;
    }
    published(&app).await;
    let latest = |id| app.checkpoints.latest(id).unwrap();
    let tiles = &app.checkpoints.tiles;
    let paths = files(&world.path("tiles")).into_iter().filter(|path| path.parent() != Some(&world.path("tiles")));
    let sound: Vec<_> = paths.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    for (path, bytes) in &sound {
        let id = *ids.iter().find(|id| path.parent().unwrap().ends_with(id.to_string())).unwrap();
        let mut flipped = bytes.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for wrong in [flipped, bytes[..bytes.len() - 1].to_vec(), Vec::new()] {
            std::fs::write(path, wrong).unwrap();
            let Published { size, root, .. } = *latest(id);
            assert!(tiles.vouch(id, size, root).is_err(), "{}", path.display());
            // The follower looks from time to time, and makes them all again.
            while tiles.vouch(id, size, root).is_err() || sound.iter().any(|(path, bytes)| std::fs::read(path).ok().as_ref() != Some(bytes))
            {
                tokio::task::yield_now().await;
            }
            assert_eq!((latest(id).size, latest(id).root), (size, root));
        }
    }
    // Not even when all of them are growing.
    for id in &ids {
        grow(&app, *id, 3).await;
    }
    published(&app).await;
    compare(&app, &world.state()).await;
    stop((app, threads));
}
