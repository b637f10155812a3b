//! Replay: the state again, from the stored bytes and nothing else.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

use allowlog_projections::state::State;
use allowlog_proto::chain::{Chain, ChainError, OpenedFrame};

use crate::log::{Store, StoreError};

/// What a log comes to.
#[derive(Debug, Default)]
pub struct Replayed {
    /// The fold.
    pub state: State,
    /// The head.
    pub chain: Chain,
}

/// A log that cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not what was written.
    #[error(transparent)]
    Chain(ChainError),
}

impl From<ChainError> for ReplayError {
    fn from(error: ChainError) -> Self {
        StoreError::version(&error).map_or(Self::Chain(error), Self::Store)
    }
}

/// Frames read and hashed ahead of the fold.
const AHEAD: usize = 256;

/// Folds the log from its beginning, checking every hash, up to and without `until` if given; `progress` is told how many
/// records have been folded.
///
/// # Errors
/// Names the first sequence that cannot be trusted.
pub fn replay(store: &dyn Store, until: Option<u64>, mut progress: impl FnMut(u64)) -> Result<Replayed, ReplayError> {
    let mut replayed = Replayed::default();
    replayed.go_on(store, until, |position| {
        progress(position);
        true
    })?;
    Ok(replayed)
}

impl Replayed {
    /// Folds what the log holds behind the head, checking every hash, up to and without `until` if given; `progress` is
    /// told how many records have been folded, and ends it when it returns false.
    ///
    /// One thread reads and hashes, this one links and folds; whichever is ahead of the other decodes.
    ///
    /// # Errors
    /// Names the first sequence that cannot be trusted. What was folded is then of no further use.
    pub fn go_on(&mut self, store: &dyn Store, until: Option<u64>, mut progress: impl FnMut(u64) -> bool) -> Result<(), ReplayError> {
        let Self { state, chain } = self;
        let is_over = |position| until.is_some_and(|until| position >= until);
        if is_over(chain.next_sequence()) {
            return Ok(());
        }
        let frames = store.scan(chain.next_sequence());
        let waiting = &AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let (sender, opened) = sync_channel(AHEAD);
            let reader = move || {
                for frame in frames {
                    let opened = frame.map(|frame| {
                        let mut opened = OpenedFrame::open(frame);
                        if waiting.fetch_add(1, Ordering::Relaxed) > AHEAD / 2 {
                            opened.decode();
                        }
                        opened
                    });
                    // A receiver that is gone has seen enough.
                    if sender.send(opened).is_err() {
                        return;
                    }
                }
            };
            let reader = std::thread::Builder::new().name("replay".to_owned()).spawn_scoped(scope, reader);
            reader.map_err(|source| StoreError::Io { doing: "start a thread that reads the log".to_owned(), source })?;
            for frame in opened {
                waiting.fetch_sub(1, Ordering::Relaxed);
                chain.admit_opened(frame?, |sequence, record, hash| {
                    if until.is_none_or(|until| sequence < until) {
                        state.apply(record, hash);
                    }
                })?;
                if !progress(chain.next_sequence()) || is_over(chain.next_sequence()) {
                    break;
                }
            }
            Ok(())
        })
    }
}
