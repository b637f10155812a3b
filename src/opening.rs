//! Opening a data directory: the lock, the secrets, the store, the replay. In this order, so that nothing is written
//! before it is known that nobody else writes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use allowlog_projections::ids::Ids;
use allowlog_projections::state::State;

use crate::admin_token::AdminToken;
use crate::app::Parts;
use crate::chance;
use crate::checkpoints::ledger::{Ledger, LedgerError};
use crate::clock::{Clock, Stopwatch};
use crate::data_dir::{DataDir, DataDirError};
use crate::keyring::{Keyring, KeyringError, MasterKey};
use crate::log::StoreError;
use crate::log::disk::{DiskOptions, DiskStore};
use crate::replay::ReplayError;
use crate::snapshots::{SNAPSHOT_RECORDS, Snapshots};
use crate::telemetry::metrics::metrics;
use crate::tiles::Tiles;
use crate::tiles::follower::TilingError;

/// A data directory that cannot be served from.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The keys.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// What was signed of it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Its trees.
    #[error(transparent)]
    Trees(#[from] TilingError),
}

/// Opens a directory, new or old, whose log is copied to `archive`; `progress` is told how many records have been replayed.
///
/// The lock is returned to be held as long as the parts are in use.
///
/// # Errors
/// Says what of the directory stands in the way.
pub fn open(
    path: &Path,
    archive: Option<PathBuf>,
    master_key: Option<&str>,
    public_url: String,
    accepts_rollback: bool,
    progress: impl FnMut(u64),
) -> Result<(DataDir, Parts), OpenError> {
    let directory = DataDir::create(path)?;
    let master = MasterKey::load(&directory, master_key)?;
    let keyring = Arc::new(Keyring::open(directory.keys(), &master)?);
    let options_archive = archive.clone();
    let options = DiskOptions { archive, ..DiskOptions::default() };
    let snapshots = Arc::new(Snapshots::new(Arc::clone(&options.files), directory.snapshots(), master.snapshot_key()));
    let store = Arc::new(DiskStore::open(directory.path(), options)?);
    let twin = options_archive.map(|archive| archive.join("checkpoints"));
    let ledger = Ledger::open(directory.checkpoints(), twin)?;
    let replaying = Stopwatch::start();
    let (replayed, snapshot) = snapshots.replay(&*store, progress)?;
    metrics().started(path.to_owned(), replayed.chain.next_sequence().saturating_sub(snapshot), &replaying);
    check_keys(&keyring, &replayed.state)?;
    if ledger.is_empty() && replayed.chain.next_sequence() > 0 {
        tracing::warn!(
            "it is not known which checkpoints of this log were signed, as after a restore into another directory; if it lacks records that \
             others have seen, only witnesses can tell"
        );
    }
    if !accepts_rollback {
        ledger.check(&replayed.state)?;
    }
    // One that was drawn before a start that got no further was never shown.
    let is_new = replayed.chain.next_sequence() == 0;
    let admin_token = if is_new { AdminToken::draw(&directory)? } else { AdminToken::load(&directory)? };
    let ids = Ids::new(chance::numbers());
    let search_dir = Some(directory.search());
    let parts = Parts {
        store,
        replayed,
        snapshots: Some((snapshots, snapshot)),
        snapshot_records: SNAPSHOT_RECORDS,
        tiles: Tiles::open(directory.tiles()).map_err(TilingError::from)?,
        ledger,
        witnesses: None,
        accepts_rollback,
        search_dir,
        webhook_file: Some(directory.webhooks()),
        webhook_allow_private: false,
        keyring,
        clock: Clock::Wall,
        ids,
        public_url,
        admin_token,
        refuses_emails: false,
        is_behind_proxy: false,
        is_signup_open: false,
    };
    Ok((directory, parts))
}

/// Another master key than the one the keys were sealed under must not be served with: every API key would be refused and
/// no receipt signed. A single key that is missing concerns its own workspace alone.
fn check_keys(keyring: &Keyring, state: &State) -> Result<(), KeyringError> {
    for key in state.workspaces().filter_map(|(_, workspace)| workspace.signing_keys.last()) {
        match keyring.private_key(key.key_id) {
            Err(error @ KeyringError::Missing { .. }) => {
                tracing::error!(keyring.error = %error, "receipts of its workspace cannot be signed until it is restored");
            }
            other => drop(other?),
        }
    }
    Ok(())
}

/// Opens only the log, for reading; nothing in the directory is changed but by sled itself.
///
/// # Errors
/// Says what of the directory stands in the way.
pub fn open_log(path: &Path) -> Result<(DataDir, DiskStore), OpenError> {
    let directory = DataDir::open(path)?;
    let store = DiskStore::open(directory.path(), DiskOptions { settle: false, ..DiskOptions::default() })?;
    Ok((directory, store))
}
