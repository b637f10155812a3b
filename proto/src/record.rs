//! A record: an event with its place in the chain of its workspace.
//!
//! Bytes: format version (1) · workspace id (16) · index (8) · time in ms (8) · hash of the previous record of the
//! same workspace (32) · the event and the request it came from through bincode. Integers are big-endian. `FORMAT.md` has the whole of it.

use serde::{Deserialize, Serialize};

use crate::chain::Hash;
use crate::codec;
pub use crate::codec::{DecodeError, EncodeError};
use crate::event::Event;
use crate::id::WorkspaceId;
use crate::limits::RECORD_BYTES_MAX;
use crate::text::IdempotencyKey;
use crate::time::Timestamp;

/// The first byte of every record.
pub const RECORD_VERSION: u8 = 2;

const REQUEST_DOMAIN: &[u8] = b"allowlog.request.v1\n";
const DOMAIN: &[u8] = b"allowlog.record.v2\n";

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
    /// Which request it happened for, if the caller named it. All events of one command carry the same.
    pub request: Option<Request>,
}

/// A request that can be told apart from its retry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What the caller named it.
    pub idempotency_key: IdempotencyKey,
    /// The first 16 bytes of a hash of what was asked, so that the same name for something else is noticed.
    pub fingerprint: [u8; 16],
}

impl Request {
    /// The request of this name for `method` on `path` (without its query) with `body`, canonical JSON where it can be.
    pub fn new(idempotency_key: IdempotencyKey, method: &str, path: &str, body: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(REQUEST_DOMAIN);
        hasher.update(format!("{method} {path}\n").as_bytes());
        hasher.update(body);
        let mut fingerprint = [0; 16];
        for (to, from) in fingerprint.iter_mut().zip(hasher.finalize().as_bytes()) {
            *to = *from;
        }
        Self { idempotency_key, fingerprint }
    }
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
        codec::encode(&self.event, self.request.as_ref(), to)?;
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
        let (event, request) = codec::decode(event)?;
        Ok(Self {
            workspace_id: WorkspaceId::from_bytes(*workspace_id),
            index: u64::from_be_bytes(*index),
            time: Timestamp::from_ms(u64::from_be_bytes(*time)).ok_or(RecordError::Time)?,
            previous: Hash(*previous),
            event,
            request,
        })
    }
}

/// The hash of a stored record: BLAKE3 over a domain tag and the exact bytes.
pub fn hash(bytes: &[u8]) -> Hash {
    // What fits into one chunk of BLAKE3, as most records do, is hashed in one piece: the hasher itself is larger than they.
    let mut piece = [0; blake3::CHUNK_LEN];
    if let Some((domain, record)) = piece.split_at_mut_checked(DOMAIN.len())
        && let Some(record) = record.get_mut(..bytes.len())
    {
        domain.copy_from_slice(DOMAIN);
        record.copy_from_slice(bytes);
        let whole = piece.get(..DOMAIN.len().saturating_add(bytes.len())).unwrap_or_default();
        return Hash(*blake3::hash(whole).as_bytes());
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(DOMAIN);
    hasher.update(bytes);
    Hash(*hasher.finalize().as_bytes())
}
