//! A frame: what one commit stores. Frames chain the whole log for the operator, across workspaces.
//!
//! Bytes: `ALF1` (4) · length of the whole frame (4) · first sequence (8) · count (4) · first time (8) · last time (8) ·
//! hash of the previous frame (32) · the records, each behind its length (4) · closing hash (32). Integers are
//! big-endian. The closing hash covers the header and the hash of each record, so no byte is hashed twice.

use std::sync::OnceLock;

use crate::chain::Hash;
use crate::limits::FRAME_BYTES_MAX;
use crate::record;
use crate::time::Timestamp;

/// The first four bytes of every frame.
pub const FRAME_MAGIC: [u8; 4] = *b"ALF1";
/// Bytes before the first record.
pub const FRAME_HEADER_BYTES: usize = 68;
/// The closing hash.
pub const FRAME_CLOSING_BYTES: usize = 32;

const DOMAIN: &[u8] = b"allowlog.frame.v1\n";

/// What the header of a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of the whole frame.
    pub length: u32,
    /// Log sequence of the first record.
    pub first_sequence: u64,
    /// Records within, at least 1.
    pub count: u32,
    /// Time of the first record, in ms.
    pub first_time_ms: u64,
    /// Time of the last record, in ms.
    pub last_time_ms: u64,
    /// Closing hash of the frame before, zeros for the first.
    pub previous: Hash,
}

/// Bytes that are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not `ALF1`.
    #[error("no frame begins here")]
    Magic,
    /// Shorter than the header says.
    #[error("the frame is cut off")]
    CutOff,
    /// The lengths within do not fit together.
    #[error("the frame's lengths contradict each other")]
    Lengths,
    /// The closing hash is not that of the bytes before it.
    #[error("the frame does not match its closing hash")]
    ClosingHash,
}

impl FrameHeader {
    /// Reads the header alone; `bytes` may go on behind it.
    ///
    /// # Errors
    /// If no frame begins here, or its length cannot be one.
    pub fn read(bytes: &[u8]) -> Result<Self, FrameError> {
        let (magic, rest) = bytes.split_first_chunk::<4>().ok_or(FrameError::CutOff)?;
        if *magic != FRAME_MAGIC {
            return Err(FrameError::Magic);
        }
        let (length, rest) = rest.split_first_chunk().ok_or(FrameError::CutOff)?;
        let (first_sequence, rest) = rest.split_first_chunk().ok_or(FrameError::CutOff)?;
        let (count, rest) = rest.split_first_chunk().ok_or(FrameError::CutOff)?;
        let (first_time_ms, rest) = rest.split_first_chunk().ok_or(FrameError::CutOff)?;
        let (last_time_ms, rest) = rest.split_first_chunk().ok_or(FrameError::CutOff)?;
        let (previous, _) = rest.split_first_chunk().ok_or(FrameError::CutOff)?;
        let header = Self {
            length: u32::from_be_bytes(*length),
            first_sequence: u64::from_be_bytes(*first_sequence),
            count: u32::from_be_bytes(*count),
            first_time_ms: u64::from_be_bytes(*first_time_ms),
            last_time_ms: u64::from_be_bytes(*last_time_ms),
            previous: Hash(*previous),
        };
        let size = header.size();
        let bounds = FRAME_HEADER_BYTES.saturating_add(FRAME_CLOSING_BYTES)..=FRAME_BYTES_MAX;
        let end = header.first_sequence.checked_add(u64::from(header.count));
        if bounds.contains(&size) && header.count > 0 && end.is_some() { Ok(header) } else { Err(FrameError::Lengths) }
    }

    /// Bytes of the whole frame.
    pub fn size(&self) -> usize {
        usize::try_from(self.length).unwrap_or(usize::MAX)
    }

    /// Log sequence behind the last record.
    pub fn end_sequence(&self) -> u64 {
        self.first_sequence.saturating_add(u64::from(self.count))
    }
}

/// A frame's bytes with what its header says; the contents are not yet trusted.
#[derive(Debug, Clone)]
pub struct Frame {
    header: FrameHeader,
    bytes: Box<[u8]>, // INVARIANT: as long as the header says
    /// Of the records, once they have been computed from the bytes: every reader of a frame wants them.
    hashes: OnceLock<Box<[Hash]>>,
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Frame {}

impl Frame {
    /// The frame at the start of `bytes`, which may go on behind it.
    ///
    /// # Errors
    /// If no frame begins here, or it is cut off.
    pub fn read(bytes: &[u8]) -> Result<Self, FrameError> {
        let header = FrameHeader::read(bytes)?;
        let bytes = bytes.get(..header.size()).ok_or(FrameError::CutOff)?;
        Ok(Self { header, bytes: bytes.into(), hashes: OnceLock::new() })
    }

    /// What the header says.
    pub const fn header(&self) -> &FrameHeader {
        &self.header
    }

    /// The stored bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The closing hash as stored.
    pub fn hash(&self) -> Hash {
        Hash(self.bytes.last_chunk().copied().unwrap_or_default())
    }

    /// The stored bytes of each record of a frame whose lengths do not contradict each other, in order; up to where they do.
    pub fn contents(&self) -> impl Iterator<Item = &[u8]> {
        let end = self.bytes.len().saturating_sub(FRAME_CLOSING_BYTES);
        let mut rest = self.bytes.get(FRAME_HEADER_BYTES..end).unwrap_or_default();
        std::iter::from_fn(move || {
            let (length, tail) = rest.split_first_chunk()?;
            let (bytes, tail) = tail.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
            rest = tail;
            Some(bytes)
        })
    }

    /// The stored bytes of each record, in order, with their hashes, once the closing hash has been checked: by the first who asks.
    /// To have them computed once more, read the frame from its bytes.
    ///
    /// # Errors
    /// If the lengths contradict each other or the closing hash is not that of the bytes.
    pub fn records(&self) -> Result<impl Iterator<Item = (&[u8], Hash)>, FrameError> {
        let hashes = match self.hashes.get() {
            Some(hashes) => hashes,
            None => {
                let hashes = self.verified()?;
                self.hashes.get_or_init(|| hashes)
            }
        };
        Ok(self.contents().zip(hashes.iter().copied()))
    }

    fn verified(&self) -> Result<Box<[Hash]>, FrameError> {
        let (rest, closing) = self.bytes.split_last_chunk::<FRAME_CLOSING_BYTES>().ok_or(FrameError::CutOff)?;
        let (header, mut rest) = rest.split_at_checked(FRAME_HEADER_BYTES).ok_or(FrameError::CutOff)?;
        let mut hasher = closing_hasher(header);
        let mut hashes = Vec::new();
        for _ in 0..self.header.count {
            let (length, tail) = rest.split_first_chunk().ok_or(FrameError::Lengths)?;
            let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| FrameError::Lengths)?;
            let (bytes, tail) = tail.split_at_checked(length).ok_or(FrameError::Lengths)?;
            let hash = record::hash(bytes).ok_or(FrameError::Lengths)?;
            hasher.update(&hash.0);
            hashes.push(hash);
            rest = tail;
        }
        if !rest.is_empty() {
            return Err(FrameError::Lengths);
        }
        if hasher.finalize().as_bytes() == closing { Ok(hashes.into()) } else { Err(FrameError::ClosingHash) }
    }
}

/// A frame in the making.
#[derive(Debug, Default)]
pub struct FrameBuilder {
    bytes: Vec<u8>,
    hashes: Vec<Hash>,
    first_time: Timestamp,
    last_time: Timestamp,
}

impl FrameBuilder {
    /// An empty frame.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a record and returns its hash.
    ///
    /// # Errors
    /// If the record passes its limit; then the frame is as it was before.
    pub fn push(&mut self, record: &record::Record) -> Result<Hash, record::EncodeError> {
        if self.hashes.is_empty() {
            self.bytes.clear();
            self.bytes.resize(FRAME_HEADER_BYTES, 0);
            self.first_time = record.time;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        let hash = record.encode(&mut self.bytes);
        let length = self.bytes.len().saturating_sub(start).saturating_sub(4);
        match (hash, u32::try_from(length), self.bytes.get_mut(start..).and_then(<[u8]>::first_chunk_mut)) {
            (Ok(hash), Ok(length), Some(place)) => {
                *place = length.to_be_bytes();
                self.hashes.push(hash);
                self.last_time = record.time;
                Ok(hash)
            }
            _ => {
                self.bytes.truncate(start);
                Err(record::EncodeError)
            }
        }
    }

    /// Records so far.
    pub const fn count(&self) -> usize {
        self.hashes.len()
    }

    /// Bytes so far.
    pub const fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Closes the frame with its place in the log; nothing if it is empty or passes [`FRAME_BYTES_MAX`].
    pub fn seal(mut self, first_sequence: u64, previous: Hash) -> Option<Frame> {
        let length = u32::try_from(self.bytes.len().checked_add(FRAME_CLOSING_BYTES)?).ok()?;
        let count = u32::try_from(self.hashes.len()).ok()?;
        let mut header = Vec::with_capacity(FRAME_HEADER_BYTES);
        header.extend_from_slice(&FRAME_MAGIC);
        header.extend_from_slice(&length.to_be_bytes());
        header.extend_from_slice(&first_sequence.to_be_bytes());
        header.extend_from_slice(&count.to_be_bytes());
        header.extend_from_slice(&self.first_time.as_ms().to_be_bytes());
        header.extend_from_slice(&self.last_time.as_ms().to_be_bytes());
        header.extend_from_slice(&previous.0);
        let mut hasher = closing_hasher(&header);
        for hash in &self.hashes {
            hasher.update(&hash.0);
        }
        self.bytes.get_mut(..FRAME_HEADER_BYTES)?.copy_from_slice(&header);
        self.bytes.extend_from_slice(hasher.finalize().as_bytes());
        let header = FrameHeader::read(&self.bytes).ok()?;
        Some(Frame { header, bytes: self.bytes.into(), hashes: OnceLock::from(Box::from(self.hashes)) })
    }
}

fn closing_hasher(header: &[u8]) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    hasher.update(DOMAIN);
    hasher.update(header);
    hasher
}
