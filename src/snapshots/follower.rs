//! The follower that makes snapshots: from the last one and the log behind it, in a second state that lives as long as that
//! takes. The writer and its state have no part in it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use allowlog_projections::state::State;
use tokio::sync::oneshot;

use crate::log::Store;
use crate::priority::step_back;
use crate::replay::ReplayError;
use crate::snapshots::Snapshots;

/// A snapshot is due when so many records lie behind the last, or as many as the state is large: reading the tail then
/// takes about as long as reading the snapshot, and a large state is not written all the time.
pub const SNAPSHOT_RECORDS: u64 = 500_000;
/// How often it is looked whether one is due.
const LOOK: Duration = Duration::from_secs(2);
/// How long to wait before trying again what failed: a disk that is full must not be kept full.
const RETRY: Duration = Duration::from_secs(60);
/// The lowest: nobody waits for a snapshot.
const NICE: i32 = 19;

/// What the follower works with.
pub struct Snapshotting {
    store: Arc<dyn Store>,
    snapshots: Arc<Snapshots>,
    /// Where the last one ends.
    position: u64,
    /// Of the state in it, or of the one the server started with.
    size: usize,
    records: u64,
}

/// Why no snapshot was made.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The log cannot be folded.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The snapshot cannot be written.
    #[error("cannot write a snapshot: {0}")]
    Io(#[from] io::Error),
}

impl Snapshotting {
    /// A follower that goes on behind the snapshot which ends at `position`; `state` is what the log comes to. At least
    /// `records` lie between two snapshots.
    pub fn new(store: Arc<dyn Store>, snapshots: Arc<Snapshots>, position: u64, state: &State, records: u64) -> Self {
        Self { store, snapshots, position, size: state.size(), records }
    }

    /// Runs until the other end of `over` is dropped; what it is at is then given up. `alive` is dropped when it ends, by
    /// a panic too.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(mut self, over: Receiver<()>, alive: oneshot::Sender<()>) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name("snapshots".into()).spawn(move || {
            let _alive = alive;
            step_back(NICE);
            let mut pause = Duration::ZERO;
            while over.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let made = self.make_if_due(|| over.try_recv() == Err(TryRecvError::Disconnected));
                pause = match made {
                    Ok(_) => LOOK,
                    Err(error) => {
                        tracing::error!(snapshot.position = self.position, snapshot.error = %error, "no snapshot could be made, the next start takes longer; it is tried again in a minute");
                        RETRY
                    }
                };
            }
        })
    }

    /// Makes a snapshot of all that is durable, if one is due and `is_over` does not come in between; says whether it did.
    ///
    /// # Errors
    /// Then the last snapshot is still the newest.
    pub fn make_if_due(&mut self, is_over: impl Fn() -> bool) -> Result<bool, SnapshotError> {
        let distance = self.records.max(u64::try_from(self.size).unwrap_or(u64::MAX));
        if self.store.head().saturating_sub(self.position) < distance {
            return Ok(false);
        }
        let mut replayed = self.snapshots.newest(&*self.store).map_err(ReplayError::from)?;
        replayed.go_on(&*self.store, None, |_| !is_over())?;
        if is_over() {
            return Ok(false);
        }
        self.snapshots.write(&replayed)?;
        (self.position, self.size) = (replayed.chain.next_sequence(), replayed.state.size());
        tracing::info!(snapshot.position = self.position, "a snapshot was made");
        Ok(true)
    }
}
