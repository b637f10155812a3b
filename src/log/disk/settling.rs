//! Settling: the thread of low priority that moves frames from the journal into the sled log.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use allowlog_proto::frame::Frame;

use crate::log::StoreError;
use crate::log::disk::{Shared, lock};
use crate::priority::step_back;

/// So much waiting is settled at once.
pub(super) const BATCH_BYTES: usize = 256 * 1024;
/// Otherwise what waits is settled after this time.
const WAIT: Duration = Duration::from_secs(1);
/// A batch takes no more, so that what it holds up is bounded.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Between two tries; tests need not wait.
const RETRY: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1_000 });
/// Lower than everybody who answers a caller.
pub(super) const NICE: i32 = 10;

/// What the settler is asked for, kept with the frames in memory.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// Settle what waits without waiting for more.
    pub(super) now: bool,
    /// Then end; a failure is not retried, as the journal holds everything.
    pub(super) closing: bool,
    /// The thread has ended.
    pub(super) ended: bool,
    /// Why the last try failed.
    pub(super) failure: Option<String>,
    /// How often frames were settled, or journal files freed.
    pub(super) rounds: u64,
    /// How far the archive reaches.
    pub(super) archived: u64,
    /// Why the archive could not be written the last time.
    pub(super) archive_failure: Option<String>,
    /// Try it again at once.
    pub(super) archive_now: bool,
    /// Tests only: nothing is begun while this is set.
    pub(super) paused: bool,
    /// Nothing is being done.
    pub(super) resting: bool,
}

/// Says that the thread has ended, even if it panicked, so that nobody waits for it for ever.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        lock(&self.0.live).wishes.ended = true;
        self.0.settled.notify_all();
    }
}

/// The thread's whole life.
pub(super) fn run(shared: &Shared) {
    let _ending = Ending(shared);
    step_back(NICE);
    let mut stored = lock(&shared.live).recent.settled();
    // What was found settled may have been only in the cache when it was found.
    let mut first = true;
    loop {
        let closing = wait(shared, first);
        let outcome = if first { confirm(shared, stored) } else { Ok(()) }.and_then(|()| settle(shared, &mut stored));
        tell(shared, &outcome);
        match outcome {
            Ok(()) => first = false,
            Err(error) => {
                tracing::error!(error = %error, "settling failed; the journal keeps what waits, and it is tried again each second");
                if !closing {
                    reopen(shared, &mut stored);
                }
            }
        }
        if closing {
            break;
        }
    }
}

/// Waits until there is something to do; says whether to end afterwards.
fn wait(shared: &Shared, first: bool) -> bool {
    let mut live = lock(&shared.live);
    if !first {
        live.wishes.resting = true;
        shared.settled.notify_all();
        live = shared.wake.wait_while(live, |live| live.wishes.paused && !live.wishes.closing).unwrap_or_else(PoisonError::into_inner);
        let idle = shared.wake.wait_while(live, |live| !live.wishes.now && !live.wishes.closing && live.waiting_bytes() == 0);
        live = idle.unwrap_or_else(PoisonError::into_inner);
        let more = |live: &mut super::Live| !live.wishes.now && !live.wishes.closing && live.waiting_bytes() < BATCH_BYTES;
        live = shared.wake.wait_timeout_while(live, WAIT, more).unwrap_or_else(PoisonError::into_inner).0;
        live = shared.wake.wait_while(live, |live| live.wishes.paused && !live.wishes.closing).unwrap_or_else(PoisonError::into_inner);
        live.wishes.resting = false;
    }
    live.wishes.closing
}

/// Settles until little waits: all that does if it was asked for.
fn settle(shared: &Shared, stored: &mut u64) -> Result<(), StoreError> {
    loop {
        let (frames, signatures, signatures_from) = {
            let live = lock(&shared.live);
            let frames = live.recent.from(*stored, BATCH_BYTES_MAX);
            let end = frames.last().map_or(*stored, |frame: &Arc<Frame>| frame.header().end_sequence());
            let (from, signatures) = live.signatures_before(end);
            (frames, signatures, from)
        };
        let end = frames.last().map_or(*stored, |frame| frame.header().end_sequence());
        // A crash anywhere in here leaves a prefix of these frames in sled, and all of them in the journal.
        shared.volumes.write(&frames)?;
        shared.volumes.write_signatures(signatures_from, &signatures)?;
        confirm(shared, end)?;
        *stored = end;
        let mut live = lock(&shared.live);
        live.drop_signatures(signatures.len());
        shared.settled.notify_all();
        if live.waiting_bytes() < BATCH_BYTES && !((live.wishes.now || live.wishes.closing) && live.waiting_bytes() > 0) {
            live.wishes.now = false;
            return Ok(());
        }
    }
}

/// Makes what was written durable, and only then lets go of it elsewhere.
fn confirm(shared: &Shared, end: u64) -> Result<(), StoreError> {
    shared.volumes.commit()?;
    lock(&shared.live).recent.settle(end);
    lock(&shared.journal).settled(end);
    {
        // Only now does the archiver find something to do; it is told with everybody else.
        let mut live = lock(&shared.live);
        live.wishes.rounds = live.wishes.rounds.saturating_add(1);
    }
    chores(shared);
    Ok(())
}

/// Keeps spare journal files ready. Without them appends go on, more slowly, so a failure only waits for the next time.
fn chores(shared: &Shared) {
    loop {
        let Some(chore) = lock(&shared.journal).chore() else { return };
        let outcome = chore.run(shared.files.as_ref());
        lock(&shared.journal).finish(chore, &outcome);
        if let Err(error) = outcome {
            tracing::error!(error = %error, "a journal file could not be prepared; appending goes on without it");
            return;
        }
    }
}

/// After a failure: opens the newest volume anew once a second has passed, and goes on from what it holds.
fn reopen(shared: &Shared, stored: &mut u64) {
    let live = lock(&shared.live);
    let ends = shared.wake.wait_timeout_while(live, RETRY, |live| !live.wishes.closing);
    drop(ends.unwrap_or_else(PoisonError::into_inner).0);
    match shared.volumes.open_newest() {
        Ok(settled) => {
            let known = lock(&shared.live).recent.settled();
            if settled.sequence < known {
                // Then nothing may be written behind it; the next try says so again.
                tracing::error!(found = settled.sequence, settled = known, "settled frames are missing from the newest volume");
                shared.volumes.close();
            } else {
                *stored = settled.sequence;
            }
        }
        Err(error) => tracing::error!(error = %error, "the newest volume could not be opened anew"),
    }
}

fn tell(shared: &Shared, outcome: &Result<(), StoreError>) {
    lock(&shared.live).wishes.failure = outcome.as_ref().err().map(ToString::to_string);
    shared.settled.notify_all();
}
