//! The chain: every frame carries the hash of the one before, every record that of its workspace's previous one.
//!
//! [`Chain`] is the head of a log. The writer extends it record by record, a reader lets frames in one by one; both
//! come to the same head.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::event::Event;
use crate::frame::{Frame, FrameError};
use crate::id::WorkspaceId;
use crate::record::{NO_RECEIPT, Record, RecordError};
use crate::snapshot::{load, save};
use crate::time::Timestamp;

/// A BLAKE3 hash, 32 bytes; written as lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The head of a log and of every workspace chain in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain {
    next_sequence: u64,
    frame: Hash,
    time: Timestamp,
    workspaces: BTreeMap<WorkspaceId, Link>,
}

/// The head of one workspace's chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Link {
    next_index: u64,
    previous: Hash,
}

impl Link {
    const fn behind(record: &Record, hash: Hash) -> Self {
        Self { next_index: record.index.saturating_add(1), previous: hash }
    }
}

/// A frame that does not follow from the log before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log breaks at sequence {sequence}: {fault}")]
pub struct ChainError {
    /// The first sequence that cannot be trusted.
    pub sequence: u64,
    /// What is wrong there.
    pub fault: Fault,
}

/// How a frame fails to follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The frame itself.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A record within.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A gap, a repetition or a swap.
    #[error("the frame begins at sequence {found}")]
    Sequence {
        /// What the frame says.
        found: u64,
    },
    /// Not the successor of the frame before it.
    #[error("the frame does not carry the hash of the one before it")]
    PreviousFrame,
    /// A gap, a repetition or a swap within a workspace.
    #[error("the record has index {found} in its workspace, not {expected}")]
    Index {
        /// What the record says.
        found: u64,
        /// What would follow.
        expected: u64,
    },
    /// Not the successor of the record before it.
    #[error("the record does not carry the hash of its workspace's previous one")]
    PreviousRecord,
    /// Time went back, or the frame's times are not those of its records.
    #[error("the record's time goes back, or is not what the frame says")]
    Time,
}

impl Chain {
    /// The head of an empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Log sequence of the next record: the number of records so far.
    pub const fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Closing hash of the last frame, zeros before the first.
    pub const fn frame_hash(&self) -> Hash {
        self.frame
    }

    /// Time of the last record.
    pub const fn time(&self) -> Timestamp {
        self.time
    }

    /// The next record of a workspace's chain, of a request without a name and without the hash of a receipt. `time` must not lie before [`Chain::time`].
    pub fn record(&self, workspace_id: WorkspaceId, time: Timestamp, event: Event) -> Record {
        let link = self.workspaces.get(&workspace_id).copied().unwrap_or_default();
        Record { workspace_id, index: link.next_index, time, previous: link.previous, receipt: NO_RECEIPT, event, request: None }
    }

    /// Moves the head past a record made by [`Chain::record`], whose bytes hash to `hash`.
    pub fn extend(&mut self, record: &Record, hash: Hash) {
        self.workspaces.insert(record.workspace_id, Link::behind(record, hash));
        self.pass(record);
    }

    const fn pass(&mut self, record: &Record) {
        self.next_sequence = self.next_sequence.saturating_add(1);
        self.time = record.time;
    }

    /// Moves the head past a sealed frame whose records were extended one by one.
    pub const fn close(&mut self, frame_hash: Hash) {
        self.frame = frame_hash;
    }

    /// Checks that a stored frame follows, hands out its records with their sequences, and moves past it.
    ///
    /// # Errors
    /// Names the first sequence that cannot be trusted. The head is then of no further use.
    pub fn admit(&mut self, frame: &Frame, each: impl FnMut(u64, &Record, Hash)) -> Result<(), ChainError> {
        let records = frame.records().map_err(|e| ChainError { sequence: self.next_sequence, fault: e.into() })?;
        self.link(frame, records.map(|(bytes, hash)| (Record::decode(bytes), hash)), each)
    }

    /// The same for a frame that was opened before, perhaps on another thread.
    ///
    /// # Errors
    /// Names the first sequence that cannot be trusted. The head is then of no further use.
    pub fn admit_opened(&mut self, opened: OpenedFrame, each: impl FnMut(u64, &Record, Hash)) -> Result<(), ChainError> {
        let OpenedFrame { frame, decoded } = opened;
        let Some(decoded) = decoded else { return self.admit(&frame, each) };
        let records = frame.records().map_err(|e| ChainError { sequence: self.next_sequence, fault: e.into() })?;
        self.link(&frame, decoded.into_iter().zip(records.map(|(_, hash)| hash)), each)
    }

    fn link(
        &mut self,
        frame: &Frame,
        records: impl Iterator<Item = (Result<Record, RecordError>, Hash)>,
        mut each: impl FnMut(u64, &Record, Hash),
    ) -> Result<(), ChainError> {
        let at = |sequence: u64| move |fault: Fault| ChainError { sequence, fault };
        let header = frame.header();
        let first = self.next_sequence;
        if header.first_sequence != first {
            return Err(at(first)(Fault::Sequence { found: header.first_sequence }));
        }
        if header.previous != self.frame {
            return Err(at(first)(Fault::PreviousFrame));
        }
        let mut first_time = None;
        for (record, hash) in records {
            let fail = at(self.next_sequence);
            let record = record.map_err(|e| fail(e.into()))?;
            let link = self.workspaces.entry(record.workspace_id).or_default();
            if record.index != link.next_index {
                return Err(fail(Fault::Index { found: record.index, expected: link.next_index }));
            }
            if record.previous != link.previous {
                return Err(fail(Fault::PreviousRecord));
            }
            if record.time < self.time {
                return Err(fail(Fault::Time));
            }
            first_time.get_or_insert(record.time);
            let sequence = self.next_sequence;
            *link = Link::behind(&record, hash);
            self.pass(&record);
            each(sequence, &record, hash);
        }
        let times = (first_time.map(Timestamp::as_ms), self.time.as_ms());
        if times != (Some(header.first_time_ms), header.last_time_ms) {
            return Err(at(first)(Fault::Time));
        }
        self.close(frame.hash());
        Ok(())
    }

    /// Writes the head into a snapshot.
    ///
    /// # Errors
    /// As the writer says.
    pub fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        let Self { next_sequence, frame, time, workspaces } = self;
        save(&(*next_sequence, frame.0, *time, workspaces.len()), to)?;
        workspaces.iter().try_for_each(|(id, link)| save(&(*id, link.next_index, link.previous.0), to))
    }

    /// Reads the head that [`Chain::save`] wrote.
    ///
    /// # Errors
    /// As the reader says, or if what is there is none.
    pub fn load(from: &mut dyn Read) -> io::Result<Self> {
        let (next_sequence, frame, time, count): (u64, _, Timestamp, usize) = load(from)?;
        let mut workspaces = BTreeMap::new();
        for _ in 0..count {
            let (id, next_index, previous) = load(from)?;
            workspaces.insert(id, Link { next_index, previous: Hash(previous) });
        }
        Ok(Self { next_sequence, frame: Hash(frame), time, workspaces })
    }
}

/// A frame with its bytes hashed: all that can be checked of it without the frames before, and perhaps without decoding it.
#[derive(Debug)]
pub struct OpenedFrame {
    frame: Arc<Frame>,
    /// Each record, if its bytes are one.
    decoded: Option<Vec<Result<Record, RecordError>>>,
}

impl OpenedFrame {
    /// Hashes; what is wrong comes out when the frame is admitted, in the order of the log.
    pub fn open(frame: Arc<Frame>) -> Self {
        // The frame keeps the hashes.
        let _ = frame.records();
        Self { frame, decoded: None }
    }

    /// Decodes the records, so that whoever admits the frame need not.
    pub fn decode(&mut self) {
        if let Ok(records) = self.frame.records() {
            self.decoded = Some(records.map(|(bytes, _)| Record::decode(bytes)).collect());
        }
    }
}
