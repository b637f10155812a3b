//! The bytes of a journal file, which are those of an archive file too.
//!
//! A file is a block of 4096 bytes with the header, then frames back to back, each between the file's mark and its seal.
//! Header: `ALJ1` (4) · format version (4) · generation (8) · size of the file (8) · first sequence (8) · closing hash of
//! the frame before it (32) · BLAKE3 of all that (32); integers big-endian. Mark and seal are the first and the second 8
//! bytes of that last hash: no caller can know them, so nothing a caller has sent can be taken for a frame or for its end
//! when damage is looked for.
//!
//! The third 8 bytes stand behind the last frame once the log goes on in another file, which must then be there.
//!
//! The mark is written with its frame, the seal once the frame is durable: it says that the frame was there, whole. So a
//! frame that cannot be read is damage if a seal stands behind it, and else was never answered. A seal that is missing
//! or cannot be read says nothing.

use std::sync::Arc;

use allowlog_proto::chain::Hash;
use allowlog_proto::frame::Frame;

/// Where the first frame of a file begins: a header shares no block with a frame.
pub(in crate::log::disk) const FRAMES_START: u64 = 4096;
pub(in crate::log::disk) const HEADER_BYTES: usize = 96;
pub(in crate::log::disk) const MARK_BYTES: usize = 8;
const MAGIC: [u8; 4] = *b"ALJ1";
const VERSION: u32 = 2;

/// Eight bytes that only this file has.
pub(in crate::log::disk) type Mark = [u8; MARK_BYTES];

/// What stands between the frames of a file.
#[derive(Debug, Clone, Copy)]
pub(in crate::log::disk) struct Marks {
    /// Before each frame.
    pub(in crate::log::disk) mark: Mark,
    /// Behind each frame that is durable.
    pub(in crate::log::disk) seal: Mark,
    /// Behind the last frame, once the log goes on in another file.
    pub(in crate::log::disk) more: Mark,
}

/// The place in the log that everything before is known to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::log::disk) struct Position {
    pub(in crate::log::disk) sequence: u64,
    pub(in crate::log::disk) hash: Hash,
}

impl Position {
    pub(in crate::log::disk) fn behind(frame: &Frame) -> Self {
        Self { sequence: frame.header().end_sequence(), hash: frame.hash() }
    }

    pub(in crate::log::disk) fn precedes(self, frame: &Frame) -> bool {
        frame.header().first_sequence == self.sequence && frame.header().previous == self.hash
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log::disk) struct Header {
    pub(in crate::log::disk) generation: u64,
    /// Size of the file, which is made whole before it is begun: a shorter one was cut.
    pub(in crate::log::disk) bytes: u64,
    pub(in crate::log::disk) first: Position,
}

impl Header {
    pub(in crate::log::disk) fn bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes.extend_from_slice(&self.bytes.to_be_bytes());
        bytes.extend_from_slice(&self.first.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.first.hash.0);
        let checksum = blake3::hash(&bytes);
        bytes.extend_from_slice(checksum.as_bytes());
        assert_eq!(bytes.len(), HEADER_BYTES, "the header has a fixed size");
        bytes
    }

    /// What stands before and behind each frame, and behind the last.
    pub(in crate::log::disk) fn marks(self) -> Marks {
        let bytes = self.bytes();
        let (marks, _) = bytes.last_chunk::<32>().map_or(&[][..], |checksum| checksum).as_chunks();
        let nth = |n: usize| marks.get(n).copied().unwrap_or_default();
        Marks { mark: nth(0), seal: nth(1), more: nth(2) }
    }

    pub(in crate::log::disk) fn read(bytes: &[u8]) -> Option<Self> {
        let (content, checksum) = bytes.get(..HEADER_BYTES)?.split_last_chunk::<32>()?;
        let (version, rest) = content.strip_prefix(&MAGIC)?.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (size, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (hash, _) = rest.split_first_chunk()?;
        let first = Position { sequence: u64::from_be_bytes(*sequence), hash: Hash(*hash) };
        let known = u32::from_be_bytes(*version) == VERSION && blake3::hash(content).as_bytes() == checksum;
        known.then_some(Self { generation: u64::from_be_bytes(*generation), bytes: u64::from_be_bytes(*size), first })
    }
}

/// How far the frames of a file go whose header cannot be read: each stands where the one before it ends, so that nothing
/// a caller has sent can be taken for one.
pub(in crate::log::disk) fn end_without_header(bytes: &[u8]) -> u64 {
    let (mut offset, mut end) = (FRAMES_START, 0);
    while let Some(frame) = frame_at(bytes, offset, None).filter(|frame| frame.header().first_sequence >= end) {
        offset = offset.saturating_add(bytes_of(&frame));
        end = frame.header().end_sequence();
    }
    end
}

/// Where in the file what follows the settled log stands, or would: at the frame that follows it, or behind its last.
pub(in crate::log::disk) fn settled_place(bytes: &[u8], mark: Mark, settled: Position) -> Option<u64> {
    candidates(bytes, mark, FRAMES_START).find_map(|at| {
        let frame = frame_at(bytes, at, Some(mark))?;
        if settled.precedes(&frame) { Some(at) } else { (Position::behind(&frame) == settled).then(|| at.saturating_add(bytes_of(&frame))) }
    })
}

/// Whether a whole frame stands behind `offset` that begins at `sequence` or later. Such a frame was written after the
/// one that would follow at `offset`: stale ones of an earlier generation carry another mark, and so does whatever a
/// caller may have put into a record.
pub(in crate::log::disk) fn valid_frame_from(bytes: &[u8], mark: Mark, offset: u64, sequence: u64) -> bool {
    candidates(bytes, mark, offset).any(|at| frame_at(bytes, at, Some(mark)).is_some_and(|frame| frame.header().first_sequence >= sequence))
}

/// The places from `offset` on where a frame of this file may begin.
pub(in crate::log::disk) fn candidates(file: &[u8], mark: Mark, offset: u64) -> impl Iterator<Item = u64> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let places: Vec<usize> = memchr::memmem::find_iter(file.get(start..).unwrap_or_default(), &mark).collect();
    places.into_iter().map(move |at| offset.saturating_add(bytes(at)))
}

/// The frame at `offset` if one stands there whole, behind this mark if it is known.
pub(in crate::log::disk) fn frame_at(bytes: &[u8], offset: u64, mark: Option<Mark>) -> Option<Frame> {
    let (found, bytes) = bytes.get(usize::try_from(offset).ok()?..)?.split_first_chunk::<MARK_BYTES>()?;
    let frame = Frame::read(bytes).ok().filter(|_| mark.is_none_or(|mark| mark == *found));
    frame.filter(|frame| frame.records().is_ok())
}

/// What is written for a frame.
pub(in crate::log::disk) fn marked(mark: Mark, frame: &Frame) -> Vec<u8> {
    [mark.as_slice(), frame.bytes()].concat()
}

/// Whether the seal stands anywhere behind `offset`: then a frame there, or behind it, was durable.
pub(in crate::log::disk) fn sealed_from(bytes: &[u8], seal: Mark, offset: u64) -> bool {
    let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
    memchr::memmem::find(rest, &seal).is_some()
}

/// Whether the log goes on in another file behind `offset`.
pub(in crate::log::disk) fn goes_on(bytes: &[u8], more: Mark, offset: u64) -> bool {
    let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
    rest.starts_with(&more)
}

/// What a frame takes in a file, with its mark and its seal.
pub(in crate::log::disk) fn bytes_of(frame: &Frame) -> u64 {
    bytes(frame.bytes().len().saturating_add(MARK_BYTES).saturating_add(MARK_BYTES))
}

/// Where the seal of a frame at `offset` stands.
pub(in crate::log::disk) fn seal_place(frame: &Frame, offset: u64) -> u64 {
    offset.saturating_add(bytes(frame.bytes().len().saturating_add(MARK_BYTES)))
}

pub(in crate::log::disk) fn bytes(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// A file with these frames and nothing else, as an archive holds them.
pub(in crate::log::disk) fn whole_file(first: Position, frames: &[Arc<Frame>]) -> Vec<u8> {
    let size = frames.iter().fold(FRAMES_START, |size, frame| size.saturating_add(bytes_of(frame)));
    let header = Header { generation: 0, bytes: size, first };
    let Marks { mark, seal, .. } = header.marks();
    let mut file = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    file.extend_from_slice(&header.bytes());
    file.resize(usize::try_from(FRAMES_START).unwrap_or_default(), 0);
    for frame in frames {
        file.extend_from_slice(&mark);
        file.extend_from_slice(frame.bytes());
        file.extend_from_slice(&seal);
    }
    file
}
