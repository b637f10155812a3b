//! Replay: the state again, from the stored bytes and nothing else.

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
    Chain(#[from] ChainError),
}

/// Frames read, hashed and decoded ahead of the fold.
const AHEAD: usize = 256;

/// Folds the log from its beginning, checking every hash, up to and without `until` if given.
///
/// One thread reads, hashes and decodes, this one links and folds: each is about half of the work.
///
/// # Errors
/// Names the first sequence that cannot be trusted.
pub fn replay(store: &dyn Store, until: Option<u64>, mut progress: impl FnMut(u64)) -> Result<Replayed, ReplayError> {
    let mut replayed = Replayed::default();
    let frames = store.scan(0);
    std::thread::scope(|scope| {
        let (sender, opened) = sync_channel(AHEAD);
        scope.spawn(move || {
            for frame in frames {
                // A receiver that is gone has seen enough.
                if sender.send(frame.map(|frame| OpenedFrame::open(&frame))).is_err() {
                    return;
                }
            }
        });
        for frame in opened {
            let Replayed { state, chain } = &mut replayed;
            chain.admit_opened(&frame?, |sequence, record, _| {
                if until.is_none_or(|until| sequence < until) {
                    state.apply(record);
                }
            })?;
            progress(chain.next_sequence());
            if until.is_some_and(|until| chain.next_sequence() >= until) {
                break;
            }
        }
        Ok(replayed)
    })
}
