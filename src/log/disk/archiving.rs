//! Archiving: the thread that copies journal files to the archive before they may be used again.
//!
//! What it cannot write keeps its journal file, so that appending goes on until the journal has no more room.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use allowlog_proto::frame::Frame;

use crate::log::StoreError;
use crate::log::disk::archive::{Archive, Reach};
use crate::log::disk::journal::format::{FRAMES_START, Position, bytes_of};
use crate::log::disk::journal::opening::frames_of;
use crate::log::disk::scan::Scan;
use crate::log::disk::{Shared, lock};

/// Between two tries; tests need not wait.
const RETRY: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 5_000 });

/// What the archiver works on.
pub(super) struct Archiving {
    pub(super) archive: Arc<Archive>,
    /// Where the sealed signing keys are.
    pub(super) keys: PathBuf,
    /// A piece is about as large as a journal file.
    pub(super) piece_bytes: u64,
}

impl Archiving {
    /// Refuses an archive that this log cannot be continued in.
    pub(super) fn check(&self, shared: &Arc<Shared>) -> Result<(), StoreError> {
        let dir = self.archive.dir().display();
        let head = lock(&shared.live).recent.head();
        let Some(last) = self.archive.last() else { return Ok(()) };
        if last.sequence > head {
            return Err(StoreError::Archive(format!(
                "the archive {dir} reaches to sequence {}, the log only to {head}: it is the archive of another log, or this log has lost \
                 records; `allowlog restore --from {dir}` brings them back, another directory begins a new archive",
                last.sequence
            )));
        }
        // All pieces chain up to each other or to the log, so that the ends of the runs are all there is to compare.
        for end in [self.archive.reach()?.end, last] {
            if end.sequence > 0 && position_at(shared, end.sequence)? != Some(end) {
                return Err(StoreError::Archive(format!(
                    "the archive {dir} is of another log: they differ before sequence {}; give this log a directory of its own",
                    end.sequence
                )));
            }
        }
        Ok(())
    }

    /// The thread's whole life.
    pub(super) fn run(&self, shared: &Arc<Shared>) {
        loop {
            let rounds = lock(&shared.live).wishes.rounds;
            let outcome = self.catch_up(shared);
            if let Err(error) = &outcome {
                tracing::error!(error = %error, "the archive cannot be written; journal files are kept until it can, and it is tried again");
            }
            let mut live = lock(&shared.live);
            live.wishes.archive_failure = outcome.as_ref().err().map(ToString::to_string);
            shared.settled.notify_all();
            if live.wishes.closing {
                return;
            }
            drop(match outcome {
                Ok(()) => shared.settled.wait_while(live, |live| live.wishes.rounds == rounds && !live.wishes.closing),
                Err(_) => Ok(shared
                    .settled
                    .wait_timeout_while(live, RETRY, |live| !live.wishes.archive_now && !live.wishes.closing)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0),
            });
            lock(&shared.live).wishes.archive_now = false;
        }
    }

    /// Writes every piece that can be written now, the keys before each so that none is missing that it needs.
    pub(super) fn catch_up(&self, shared: &Arc<Shared>) -> Result<(), StoreError> {
        self.archive.add_new_keys(&self.keys)?;
        loop {
            let Reach { end, next } = self.archive.reach()?;
            let freed = lock(&shared.journal).archived(end.sequence);
            {
                let mut live = lock(&shared.live);
                live.wishes.archived = end.sequence;
                // The settler makes spares of what was freed.
                live.wishes.now |= freed;
                shared.settled.notify_all();
                shared.wake.notify_all();
                if live.wishes.closing {
                    return Ok(());
                }
            }
            let (goal, full) = {
                let journal = lock(&shared.journal);
                (journal.archive_goal(), journal.full_to_archive(end.sequence))
            };
            let goal = next.unwrap_or(goal);
            if end.sequence >= goal {
                return Ok(());
            }
            let frames = self.piece(shared, &full, end, goal)?;
            self.archive.add_keys(&self.keys)?;
            self.archive.add(end, &frames)?;
        }
    }

    /// The frames of the next piece: from the journal, which needs no database, or from the settled log where the journal does
    /// not reach back so far.
    fn piece(&self, shared: &Arc<Shared>, full: &[PathBuf], from: Position, goal: u64) -> Result<Vec<Arc<Frame>>, StoreError> {
        for path in full {
            let frames = frames_of(shared.files.as_ref(), path)?;
            if frames.first().is_some_and(|first| first.header().first_sequence <= from.sequence) {
                let behind = frames.into_iter().filter(|f| f.header().first_sequence >= from.sequence && f.header().end_sequence() <= goal);
                let frames: Vec<Arc<Frame>> = behind.map(Arc::new).collect();
                if frames.first().is_some_and(|first| from.precedes(first)) {
                    return Ok(frames);
                }
            }
        }
        let (mut frames, mut bytes, mut end) = (Vec::new(), FRAMES_START, from);
        for frame in Scan::new(Arc::clone(shared), from.sequence, goal) {
            let frame = frame?;
            bytes = bytes.saturating_add(bytes_of(&frame));
            if !frames.is_empty() && bytes > self.piece_bytes {
                break;
            }
            let readable = frame.records().is_ok() && end.precedes(&frame);
            if !readable {
                let problem = "a frame for the archive cannot be read, or does not follow".to_owned();
                return Err(StoreError::Damaged { sequence: end.sequence, problem });
            }
            end = Position::behind(&frame);
            frames.push(frame);
        }
        Ok(frames)
    }
}

/// The place behind the frame of the log that ends there, if one does.
fn position_at(shared: &Arc<Shared>, sequence: u64) -> Result<Option<Position>, StoreError> {
    let frame = Scan::new(Arc::clone(shared), sequence.saturating_sub(1), sequence).next().transpose()?;
    Ok(frame.map(|frame| Position::behind(&frame)).filter(|position| position.sequence == sequence))
}
