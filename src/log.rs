//! The log: the one seam of the project, with its two implementations on disk and in memory.
//!
//! There is no delete and no update here. [`Store::append`] is the commit; everything else reads what was committed,
//! or keeps what can be made again from it.

use std::sync::Arc;

use allowlog_proto::chain::{ChainError, Fault, Hash};
use allowlog_proto::frame::Frame;
use allowlog_proto::record::{RECORD_VERSION, RecordError};
use allowlog_proto::signing::Signature;

pub mod backup;
pub mod disk;
pub mod memory;

/// Frames in the order of the log.
pub type Frames = Box<dyn Iterator<Item = Result<Arc<Frame>, StoreError>> + Send>;

/// Where frames are kept. One thread appends, any thread reads.
pub trait Store: Send + Sync {
    /// Appends a frame that begins at [`Store::head`]. When this returns, its bytes are durable; nobody reads it before.
    ///
    /// # Errors
    /// Then it is open whether the frame is durable, and [`Store::recover`] must succeed before the next append.
    fn append(&self, frame: Frame) -> Result<(), StoreError>;

    /// After a failed append: makes sure, durably, that nothing is stored behind [`Store::head`].
    ///
    /// # Errors
    /// The cause is still there; nothing may be appended.
    fn recover(&self) -> Result<(), StoreError>;

    /// Log sequence behind the last durable record.
    fn head(&self) -> u64;

    /// The durable frames from the one that holds `sequence` on, up to the head as it is now.
    fn scan(&self, sequence: u64) -> Frames;

    /// A sequence from which a scan meets every record whose time is at least `time_ms`, and few before them.
    ///
    /// # Errors
    /// If what is stored cannot be read.
    fn locate(&self, time_ms: u64) -> Result<u64, StoreError>;

    /// Keeps the signatures of the records from `sequence` on (zeros for a record without a receipt), which must be
    /// [`Store::signed`]. Derived data: a crash may lose the last of them, never one in the middle.
    ///
    /// # Errors
    /// If they cannot be stored; the log is none the worse.
    fn put_signatures(&self, sequence: u64, signatures: &[Signature]) -> Result<(), StoreError>;

    /// The signature of a record, once it has been put.
    ///
    /// # Errors
    /// If what is stored cannot be read.
    fn signature(&self, sequence: u64) -> Result<Option<Signature>, StoreError>;

    /// Log sequence behind the last record whose signature was put.
    fn signed(&self) -> u64;

    /// For telemetry: the log sequence behind the last settled record, and the bytes that wait to be settled, in a store
    /// that settles.
    fn settled(&self) -> Option<(u64, usize)> {
        None
    }
}

/// Whether a frame with this hash ends at this position. The hash covers all of the log before it.
///
/// # Errors
/// If what is stored cannot be read.
pub fn ends_at(store: &dyn Store, position: u64, hash: Hash) -> Result<bool, StoreError> {
    let Some(last) = position.checked_sub(1) else { return Ok(true) };
    match store.scan(last).next() {
        Some(frame) => frame.map(|frame| frame.header().end_sequence() == position && frame.hash() == hash),
        None => Ok(false),
    }
}

/// Why the log cannot be written or read. What is in here is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried, with the path.
        doing: String,
        /// What it said.
        source: std::io::Error,
    },
    /// The database under the settled log refused.
    #[error("cannot {doing}: {source}")]
    Database {
        /// What was tried, with the path.
        doing: String,
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What is stored is not what was written.
    #[error("the log is damaged at sequence {sequence}: {problem}; `allowlog restore` makes it whole from a backup or an archive")]
    Damaged {
        /// The first sequence that cannot be read.
        sequence: u64,
        /// What is wrong there.
        problem: String,
    },
    /// Another build wrote it.
    #[error(
        "the log has records of format version {version} from sequence {sequence} on, and this build reads version {RECORD_VERSION} \
         alone; they are as they were: go on with the build that wrote them, or begin anew with another `--data`, since nothing \
         converts a log before release 1.0"
    )]
    Version {
        /// Of the first record that is not read.
        version: u8,
        /// Its sequence.
        sequence: u64,
    },
    /// The archive is not one that this log can be continued in or restored from.
    #[error("{0}")]
    Archive(String),
    /// Settling has stopped and the journal has no more room.
    #[error("the journal is full: {0}")]
    JournalFull(String),
}

impl StoreError {
    /// Whether it is about what is stored, and not about what the operating system would not do just now.
    pub const fn is_damage(&self) -> bool {
        match self {
            Self::Database { .. } | Self::Damaged { .. } => true,
            Self::Io { .. } | Self::Version { .. } | Self::Archive(_) | Self::JournalFull(_) => false,
        }
    }

    /// If what does not follow is whole, and of another version.
    pub const fn version(error: &ChainError) -> Option<Self> {
        match error {
            ChainError { sequence, fault: Fault::Record(RecordError::Version(version)) } => {
                Some(Self::Version { version: *version, sequence: *sequence })
            }
            ChainError { .. } => None,
        }
    }
}
