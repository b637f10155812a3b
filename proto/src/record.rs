//! A record: an event with its place in the chain of its workspace.
//!
//! Bytes: a header of format version (1) · workspace id (16) · index (8) · time in ms (8) · hash of the previous record of the
//! same workspace (32) · hash of its receipt (32) · subject (16), then the body: the event and the request it came from through
//! bincode. Integers are big-endian. `FORMAT.md` has the whole of it.

use serde::{Deserialize, Serialize};

use crate::chain::Hash;
use crate::codec;
pub use crate::codec::{DecodeError, EncodeError};
use crate::event::Event;
use crate::id::{AuthorizationId, WorkspaceId};
use crate::limits::RECORD_BYTES_MAX;
use crate::text::IdempotencyKey;
use crate::time::Timestamp;

/// The first byte of every record. Raised whenever stored bytes come to mean something else, those of an event included.
pub const RECORD_VERSION: u8 = 4;
/// What stands before the body.
pub const HEADER_BYTES: usize = 113;

const REQUEST_DOMAIN: &[u8] = b"allowlog.request.v1\n";
const SUBJECT_DOMAIN: [u8; 20] = *b"allowlog.subject.v1\n";
/// The digit of the version takes the place of the `?`.
const DOMAIN: [u8; 19] = *b"allowlog.record.v?\n";

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
    /// SHA-256 of the canonical bytes of its receipt; [`NO_RECEIPT`] if the event has none.
    pub receipt: [u8; 32],
    /// What happened.
    pub event: Event,
    /// Which request it happened for, if the caller named it. All events of one command carry the same.
    pub request: Option<Request>,
}

/// In place of the hash of a receipt: the event has none.
pub const NO_RECEIPT: [u8; 32] = [0; 32];

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
    /// A version this build does not read.
    #[error("the record has format version {0}, and this build reads version {RECORD_VERSION} alone")]
    Version(u8),
    /// A time after the year 9999.
    #[error("the record's time is out of range")]
    Time,
    /// The event within.
    #[error(transparent)]
    Event(#[from] DecodeError),
    /// The header names another authorization than the event.
    #[error("the record's subject is not the authorization that its event names")]
    Subject,
    /// A hash of a receipt that the event does not have, or none of one that it has.
    #[error("the record carries the hash of a receipt exactly if its event has one")]
    Receipt,
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
        to.extend_from_slice(&self.receipt);
        to.extend_from_slice(&self.subject());
        codec::encode(&self.event, self.request.as_ref(), to)?;
        let bytes = to.get(start..).unwrap_or_default();
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(EncodeError);
        }
        hash(bytes).ok_or(EncodeError)
    }

    /// Reads a record that fills `bytes` exactly.
    ///
    /// # Errors
    /// Says what is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(RecordError::TooLarge);
        }
        let (header, body) = Header::read(bytes)?;
        let (event, request) = codec::decode(body)?;
        let Header { workspace_id, index, time, previous, receipt, subject } = header;
        let record = Self { workspace_id, index, time, previous, receipt, event, request };
        if record.subject() != subject {
            return Err(RecordError::Subject);
        }
        if record.event.receipt_id().is_some() != (record.receipt != NO_RECEIPT) {
            return Err(RecordError::Receipt);
        }
        Ok(record)
    }

    /// What the header says of whom the record is about, so that it can be seen without the body: zeros if the event is about
    /// no authorization.
    fn subject(&self) -> [u8; 16] {
        self.event.authorization_id().map(subject_of).unwrap_or_default()
    }
}

/// What stands before the body of a record, and can be shown without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whose chain.
    pub workspace_id: WorkspaceId,
    /// Place within that chain, from 0.
    pub index: u64,
    /// When the command was decided.
    pub time: Timestamp,
    /// Hash of the record at `index - 1`, zeros at 0.
    pub previous: Hash,
    /// SHA-256 of the canonical bytes of its receipt; [`NO_RECEIPT`] if it has none.
    pub receipt: [u8; 32],
    /// [`subject_of`] the authorization it is about, zeros if it is about none.
    pub subject: [u8; 16],
}

impl Header {
    /// Reads what `bytes` begin with; the rest is the body.
    ///
    /// # Errors
    /// If they are cut off, of another version, or the time is out of range.
    pub fn read(bytes: &[u8]) -> Result<(Self, &[u8]), RecordError> {
        let (&[version], rest) = bytes.split_first_chunk().ok_or(RecordError::CutOff)?;
        if version != RECORD_VERSION {
            return Err(RecordError::Version(version));
        }
        let (workspace_id, rest) = rest.split_first_chunk().ok_or(RecordError::CutOff)?;
        let (index, rest) = rest.split_first_chunk().ok_or(RecordError::CutOff)?;
        let (time, rest) = rest.split_first_chunk().ok_or(RecordError::CutOff)?;
        let (previous, rest) = rest.split_first_chunk().ok_or(RecordError::CutOff)?;
        let (receipt, rest) = rest.split_first_chunk().ok_or(RecordError::CutOff)?;
        let (subject, body) = rest.split_first_chunk().ok_or(RecordError::CutOff)?;
        let header = Self {
            workspace_id: WorkspaceId::from_bytes(*workspace_id),
            index: u64::from_be_bytes(*index),
            time: Timestamp::from_ms(u64::from_be_bytes(*time)).ok_or(RecordError::Time)?,
            previous: Hash(*previous),
            receipt: *receipt,
            subject: *subject,
        };
        Ok((header, body))
    }
}

/// The number of the family of a stored record's event, which is the first byte of its body: what can be told without decoding it.
pub fn family(bytes: &[u8]) -> Option<u8> {
    bytes.get(HEADER_BYTES).copied()
}

/// What headers say of a record about this authorization. The id itself stays untold.
pub fn subject_of(authorization_id: AuthorizationId) -> [u8; 16] {
    let mut piece = [0; SUBJECT_DOMAIN.len() + 16];
    if let Some((domain, id)) = piece.split_first_chunk_mut() {
        *domain = SUBJECT_DOMAIN;
        id.copy_from_slice(&authorization_id.to_bytes());
    }
    blake3::hash(&piece).as_bytes().first_chunk().copied().unwrap_or_default()
}

/// The hash of a stored record, of its header and the hash of its body; `None` if the header is not all there.
pub fn hash(bytes: &[u8]) -> Option<Hash> {
    let (header, body) = bytes.split_first_chunk()?;
    Some(hash_parts(header, blake3::hash(body).as_bytes()))
}

/// The same, of a record whose body may be hidden: BLAKE3 over a domain tag, the header, and the BLAKE3 of the body.
///
/// The tag is that of the record's own version, so that a frame of another build is seen to be whole, and is refused for its
/// version and not as damaged.
pub fn hash_parts(header: &[u8; HEADER_BYTES], body: &[u8; 32]) -> Hash {
    // In one piece: the hasher itself is larger.
    let mut piece = [0; DOMAIN.len() + HEADER_BYTES + 32];
    if let Some((domain, rest)) = piece.split_first_chunk_mut() {
        *domain = DOMAIN;
        let ([version, ..], [.., digit, _]) = (header, domain);
        *digit = version.wrapping_add(b'0');
        if let Some((place, rest)) = rest.split_first_chunk_mut() {
            *place = *header;
            rest.copy_from_slice(body);
        }
    }
    Hash(*blake3::hash(&piece).as_bytes())
}
