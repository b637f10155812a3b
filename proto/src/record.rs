//! A record: an event with its place in the chain of its workspace.
//!
//! Bytes: format version (1) · workspace id (16) · index (8) · time in ms (8) · hash of the previous record of the
//! same workspace (32) · the event through bincode. Integers are big-endian. `FORMAT.md` has the whole of it.

use crate::chain::Hash;
use crate::codec;
pub use crate::codec::{DecodeError, EncodeError};
use crate::event::Event;
use crate::id::WorkspaceId;
use crate::limits::RECORD_BYTES_MAX;
use crate::time::Timestamp;

/// The first byte of every record.
pub const RECORD_VERSION: u8 = 1;

const DOMAIN: &[u8] = b"allowlog.record.v1\n";

/// An event with its place in the chain of its workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose chain.
    pub workspace_id: WorkspaceId,
    /// Place within that chain, from 0.
    pub index: u64,
    /// When the command was decided; never before that of an earlier record of the log.
    pub time: Timestamp,
    /// Hash of the record at `index - 1`, zeros at 0.
    pub previous: Hash,
    /// What happened.
    pub event: Event,
}

/// Bytes that are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Shorter than its header.
    #[error("the record is cut off within its header")]
    CutOff,
    /// Longer than any record is written.
    #[error("the record is larger than a record can be")]
    TooLarge,
    /// A version this build does not know.
    #[error("the record has format version {0}, which this version does not know")]
    Version(u8),
    /// A time after the year 9999.
    #[error("the record's time is out of range")]
    Time,
    /// The event within.
    #[error(transparent)]
    Event(#[from] DecodeError),
}

impl Record {
    /// Appends the record's bytes and returns their hash.
    ///
    /// # Errors
    /// If the event passes [`RECORD_BYTES_MAX`]; then `to` is left in pieces.
    pub fn encode(&self, to: &mut Vec<u8>) -> Result<Hash, EncodeError> {
        let start = to.len();
        to.push(RECORD_VERSION);
        to.extend_from_slice(&self.workspace_id.to_bytes());
        to.extend_from_slice(&self.index.to_be_bytes());
        to.extend_from_slice(&self.time.as_ms().to_be_bytes());
        to.extend_from_slice(&self.previous.0);
        codec::encode(&self.event, to)?;
        let bytes = to.get(start..).unwrap_or_default();
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(EncodeError);
        }
        Ok(hash(bytes))
    }

    /// Reads a record that fills `bytes` exactly.
    ///
    /// # Errors
    /// Says what is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(RecordError::TooLarge);
        }
        let (&[version], rest) = bytes.split_first_chunk().ok_or(RecordError::CutOff)?;
        if version != RECORD_VERSION {
            return Err(RecordError::Version(version));
        }
        let (workspace_id, rest) = rest.split_first_chunk().ok_or(RecordError::CutOff)?;
        let (index, rest) = rest.split_first_chunk().ok_or(RecordError::CutOff)?;
        let (time, rest) = rest.split_first_chunk().ok_or(RecordError::CutOff)?;
        let (previous, event) = rest.split_first_chunk().ok_or(RecordError::CutOff)?;
        Ok(Self {
            workspace_id: WorkspaceId::from_bytes(*workspace_id),
            index: u64::from_be_bytes(*index),
            time: Timestamp::from_ms(u64::from_be_bytes(*time)).ok_or(RecordError::Time)?,
            previous: Hash(*previous),
            event: codec::decode(event)?,
        })
    }
}

/// The hash of a stored record: BLAKE3 over a domain tag and the exact bytes.
pub fn hash(bytes: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(DOMAIN);
    hasher.update(bytes);
    Hash(*hasher.finalize().as_bytes())
}
