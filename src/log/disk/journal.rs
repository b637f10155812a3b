//! The journal, in the one file that knows it: the small tail in front of the sled log that makes an answer durable.
//!
//! A file `<generation, 10 digits>.journal` is a block of 4096 bytes with the header, then frames back to back, each
//! behind the file's mark. Header: `ALJ1` (4) · format version (4) · generation (8) · size of the file (8) · first sequence (8) · closing hash of
//! the frame before it (32) · BLAKE3 of all that (32); integers big-endian. The mark is the first 8 bytes of that last
//! hash: no caller can know it, so nothing a caller has sent can be taken for a frame when damage is looked for. Files are
//! zero-filled ahead; behind the last frame stand zeros or whatever an earlier generation left there, which needs no
//! zeroing because it cannot chain.
//!
//! A file whose frames are settled gets, off the answer path, the name of a generation to come: its name then differs
//! from the generation in its header, and that is what a spare is. So the answer path never touches a directory unless
//! no spare is ready. Taking a spare writes its header with an fdatasync of its own: **no frame is ever written to
//! a file whose header is not durable**, so a file with frames that matter and without a header is damage, never a crash.
//!
//! One frame at a time is in doubt: the writer stops at the first failure. So a crash can only tear the last one, and
//! anything valid behind a frame that is not is damage too.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use allowlog_proto::chain::Hash;
use allowlog_proto::frame::Frame;

use crate::log::StoreError;
use crate::log::disk::cannot;
use crate::log::disk::files::{Files, Handle};

/// Where the first frame of a file begins: a header shares no block with a frame.
const FRAMES_START: u64 = 4096;
const HEADER_BYTES: usize = 96;
const MARK_BYTES: usize = 8;
const MAGIC: [u8; 4] = *b"ALJ1";
const VERSION: u32 = 1;
/// Zeros over the start of a failed frame; more than a frame's header.
const ERASED_BYTES: usize = 4096;
/// Beyond this many files the settler is not keeping up, or has stopped.
pub(super) const FILES_MAX: usize = 16;
/// Spares kept ready.
const SPARES_GOAL: usize = 2;

/// The place in the log that everything before is known to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) sequence: u64,
    pub(super) hash: Hash,
}

impl Position {
    pub(super) fn behind(frame: &Frame) -> Self {
        Self { sequence: frame.header().end_sequence(), hash: frame.hash() }
    }

    fn precedes(self, frame: &Frame) -> bool {
        frame.header().first_sequence == self.sequence && frame.header().previous == self.hash
    }
}

/// The journal, held by whoever appends and for a moment by the settler.
pub(super) struct Journal {
    files: Arc<dyn Files>,
    dir: PathBuf,
    file_bytes: u64,
    current: Option<Current>,
    /// Files before the current one, with the sequence behind their last frame.
    full: Vec<(Blank, u64)>,
    /// In the order of their generations, all of them later than the current one's.
    spares: VecDeque<Blank>,
    /// Settled files whose name is not that of a generation to come.
    retired: Vec<Blank>,
    /// Files that a chore has in hand.
    preparing: usize,
    next_generation: u64,
    /// The latest generation that was begun, or was tried to. Opening goes by generations: a file begun after a later one
    /// would be passed over.
    begun: u64,
    head: Position,
    failed: Option<Failed>,
}

/// A file by name and size.
#[derive(Debug, Clone)]
struct Blank {
    path: PathBuf,
    generation: u64,
    bytes: u64,
}

/// The file that is appended to.
struct Current {
    blank: Blank,
    file: Handle,
    mark: Mark,
    position: u64,
}

/// What stands before each frame of a file.
type Mark = [u8; MARK_BYTES];

/// What a failed append leaves to [`Journal::recover`].
#[derive(Debug, Clone, Copy)]
enum Failed {
    /// No file could be begun for a frame of this size; the frame was not written anywhere.
    Room(u64),
    /// A frame may be there at the current position.
    Frame,
}

impl Journal {
    /// Writes the frame and makes it durable. After an error [`Journal::recover`] must succeed first.
    pub(super) fn append(&mut self, frame: &Frame) -> Result<(), StoreError> {
        if self.failed.is_some() {
            let source = io::Error::other("an earlier append failed and was not recovered from");
            return Err(StoreError::Io { doing: format!("append to {}", self.dir.display()), source });
        }
        assert!(self.head.precedes(frame), "a frame begins at the head and carries the last hash");
        let size = bytes_of(frame);
        // A crash within leaves a spare, or a file with a header and no frame: neither says anything about the log.
        self.make_room(size).inspect_err(|_| self.failed = Some(Failed::Room(size)))?;
        let Some(current) = &mut self.current else { return Err(missing(&self.dir)) };
        // A crash here leaves nothing, a part, or the whole of a frame that nobody was told of: a part is cut at the
        // next opening, a whole one stays. Either way everything before it was made durable by earlier calls.
        let written = current.file.write_at(&marked(current.mark, frame), current.position).and_then(|()| current.file.sync_data());
        if let Err(source) = written {
            self.failed = Some(Failed::Frame);
            return Err(cannot("append to", &current.blank.path)(source));
        }
        // From here on the frame is durable, whatever happens.
        current.position = current.position.saturating_add(size);
        self.head = Position::behind(frame);
        Ok(())
    }

    /// Makes certain that the frame of a failed append is not there.
    pub(super) fn recover(&mut self) -> Result<(), StoreError> {
        match self.failed {
            None => {}
            Some(Failed::Room(size)) => self.make_room(size)?,
            Some(Failed::Frame) => {
                let Some(current) = &self.current else { return Err(missing(&self.dir)) };
                // After a failed fdatasync the cache says nothing about the disk. New zeros make the block dirty again, so
                // that the fdatasync of this call speaks for them; the rest of the frame cannot be read without its start.
                // A crash before it succeeds leaves the failed frame or not, as a crash in its append would.
                let room = current.blank.bytes.saturating_sub(current.position);
                let zeros = [0; ERASED_BYTES];
                let zeros = zeros.get(..usize::try_from(room).unwrap_or(usize::MAX).min(ERASED_BYTES)).unwrap_or_default();
                let erased = current.file.write_at(zeros, current.position).and_then(|()| current.file.sync_data());
                erased.map_err(cannot("erase the failed frame in", &current.blank.path))?;
            }
        }
        self.failed = None;
        Ok(())
    }

    /// Takes the next file if the current one has no room for `size` bytes.
    fn make_room(&mut self, size: u64) -> Result<(), StoreError> {
        if self.current.as_ref().is_some_and(|c| c.position.saturating_add(size) <= c.blank.bytes) {
            return Ok(());
        }
        let (blank, file) = self.take_file(FRAMES_START.saturating_add(size))?;
        let header = Header { generation: blank.generation, bytes: blank.bytes, first: self.head };
        assert!(blank.generation > self.begun, "generations are begun in their order");
        self.begun = blank.generation;
        // A crash in between leaves the old header, which makes it a spare, or a torn one, which makes it a spare too.
        if let Err(source) = file.write_at(&header.bytes(), 0).and_then(|()| file.sync_data()) {
            // It may have become a file without frames. It is not tried again, and reused once all before it is settled.
            let error = cannot("begin", &blank.path)(source);
            self.full.push((blank, self.head.sequence));
            return Err(error);
        }
        if let Some(old) = self.current.replace(Current { blank, file, mark: header.mark(), position: FRAMES_START }) {
            self.full.push((old.blank, self.head.sequence));
        }
        Ok(())
    }

    /// A file of at least `size` bytes with a generation later than any other that was begun.
    fn take_file(&mut self, size: u64) -> Result<(Blank, Handle), StoreError> {
        while let Some(spare) = self.spares.pop_front() {
            if spare.bytes < size {
                self.retired.push(spare);
                continue;
            }
            let file = self.files.open(&spare.path).map_err(cannot("open", &spare.path))?;
            return Ok((spare, file));
        }
        if self.count() >= FILES_MAX {
            let (settled, unsettled) = (self.count().saturating_sub(self.full.len()), self.full.len());
            return Err(StoreError::JournalFull(format!("{} has {unsettled} unsettled files and {settled} others", self.dir.display())));
        }
        let blank = Blank { path: PathBuf::new(), generation: 0, bytes: self.file_bytes.max(size) };
        let blank = self.name(blank);
        let file = create(self.files.as_ref(), &self.dir, &blank)?;
        Ok((blank, file))
    }

    fn count(&self) -> usize {
        let used = usize::from(self.current.is_some()).saturating_add(self.full.len());
        used.saturating_add(self.spares.len()).saturating_add(self.retired.len()).saturating_add(self.preparing)
    }

    /// The same file under the name of the next generation.
    fn name(&mut self, blank: Blank) -> Blank {
        let generation = self.next_generation;
        self.next_generation = generation.saturating_add(1);
        Blank { path: self.dir.join(format!("{generation:010}.journal")), generation, ..blank }
    }
}

fn create(files: &dyn Files, dir: &Path, blank: &Blank) -> Result<Handle, StoreError> {
    let created = files.create_zeroed(&blank.path, blank.bytes).map_err(cannot("create", &blank.path));
    let created = created.and_then(|file| files.sync_dir(dir).map_err(cannot("sync", dir)).map(|()| file));
    if created.is_err() {
        // A part of a file takes room and is of no use. If it cannot be removed either, the next opening does it.
        drop(files.remove(&blank.path));
    }
    created
}

// What the settler does for the journal, off the answer path.

/// A piece of work on files that nobody else uses, done without holding the journal.
#[derive(Debug)]
pub(super) struct Chore {
    dir: PathBuf,
    work: Work,
}

#[derive(Debug)]
enum Work {
    /// Gives a settled file the name of a generation to come.
    Rename(PathBuf, Blank),
    /// Makes a further file.
    Create(Blank),
    /// Removes a settled file: there are spares enough.
    Remove(PathBuf),
}

impl Journal {
    /// Told that everything before `settled` is durable elsewhere: files that hold nothing else may be used again.
    pub(super) fn settled(&mut self, settled: u64) {
        let (free, full) = std::mem::take(&mut self.full).into_iter().partition(|(_, end)| *end <= settled);
        self.full = full;
        self.retired.extend(Vec::into_iter(free).map(|(blank, _)| blank));
    }

    /// The next piece of work, if there is any. Each is to be handed back through [`Journal::finish`].
    pub(super) fn chore(&mut self) -> Option<Chore> {
        let ready = self.spares.len().saturating_add(self.preparing);
        let work = if let Some(blank) = self.retired.pop() {
            let old = blank.path.clone();
            if ready >= SPARES_GOAL || blank.bytes < self.file_bytes { Work::Remove(old) } else { Work::Rename(old, self.name(blank)) }
        } else if ready < SPARES_GOAL && self.count() < FILES_MAX {
            let blank = Blank { path: PathBuf::new(), generation: 0, bytes: self.file_bytes };
            Work::Create(self.name(blank))
        } else {
            return None;
        };
        self.preparing = self.preparing.saturating_add(1);
        Some(Chore { dir: self.dir.clone(), work })
    }

    /// Takes over what a chore has made. What failed is left out until the next opening.
    pub(super) fn finish(&mut self, chore: Chore, outcome: &Result<(), StoreError>) {
        self.preparing = self.preparing.saturating_sub(1);
        let blank = match chore.work {
            Work::Rename(_, blank) | Work::Create(blank) if outcome.is_ok() => blank,
            Work::Rename(..) | Work::Create(_) | Work::Remove(_) => return,
        };
        // The writer may have begun a later generation meanwhile, or failed to; then the file needs another name.
        if self.begun > blank.generation {
            self.retired.push(blank);
        } else {
            self.spares.push_back(blank);
        }
    }

    /// Bytes left in the current file.
    #[cfg(test)]
    pub(super) fn room(&self) -> u64 {
        self.current.as_ref().map_or(0, |c| c.blank.bytes.saturating_sub(c.position))
    }

    /// Files ready to be begun.
    #[cfg(test)]
    pub(super) fn spares(&self) -> usize {
        self.spares.len()
    }

    /// Files in all, for a test of the bound.
    #[cfg(test)]
    pub(super) fn files(&self) -> usize {
        self.count()
    }
}

impl Chore {
    /// Does it. A crash at any point leaves a file that is settled, or a spare, or one that opening removes.
    pub(super) fn run(&self, files: &dyn Files) -> Result<(), StoreError> {
        match &self.work {
            Work::Rename(from, to) => {
                files.rename(from, &to.path).map_err(cannot("rename", from))?;
                // A spare may only be begun once its name is durable: under its old name the new header would contradict it.
                files.sync_dir(&self.dir).map_err(cannot("sync", &self.dir))
            }
            Work::Create(blank) => create(files, &self.dir, blank).map(drop),
            Work::Remove(path) => files.remove(path).map_err(cannot("remove", path)),
        }
    }
}

// The header.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    generation: u64,
    /// Size of the file, which is made whole before it is begun: a shorter one was cut.
    bytes: u64,
    first: Position,
}

impl Header {
    fn bytes(self) -> Vec<u8> {
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

    /// The first bytes of the checksum.
    fn mark(self) -> Mark {
        let bytes = self.bytes();
        let checksum = bytes.last_chunk::<32>().copied().unwrap_or_default();
        checksum.first_chunk().copied().unwrap_or_default()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
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

// Opening.

/// What the journal holds beyond the settled log.
pub(super) struct Opened {
    pub(super) journal: Journal,
    pub(super) unsettled: Vec<Frame>,
}

/// A file as it was found.
struct Found {
    blank: Blank,
    /// The header, if it can be read.
    header: Option<Header>,
}

impl Found {
    /// The header, if the file was begun in the generation of its name.
    fn begun(&self) -> Option<Header> {
        self.header.filter(|header| header.generation == self.blank.generation)
    }
}

/// How far the frames of one file go.
struct Walk {
    /// Behind the last frame that follows from the ones before it.
    end: Position,
    /// Where in the file that is.
    offset: u64,
    /// The last frame, with its place.
    last: Option<(Frame, u64)>,
}

impl Journal {
    /// Opens the journal behind what is settled. With `write` unset nothing on disk is changed.
    pub(super) fn open(files: Arc<dyn Files>, dir: &Path, file_bytes: u64, settled: Position, write: bool) -> Result<Opened, StoreError> {
        let mut found = find(files.as_ref(), dir)?;
        found.sort_by_key(|f| f.blank.generation);
        let next_generation = found.last().map_or(0, |f| f.blank.generation).saturating_add(1);
        let (begun, blank): (Vec<Found>, Vec<Found>) = found.into_iter().partition(|f| f.begun().is_some());
        let mut journal = Self {
            files,
            dir: dir.to_owned(),
            file_bytes,
            current: None,
            full: Vec::new(),
            spares: VecDeque::new(),
            retired: Vec::new(),
            preparing: 0,
            next_generation,
            begun: 0,
            head: settled,
            failed: None,
        };
        let mut unsettled = Vec::new();
        let tail = journal.walk_all(&begun, settled, &mut unsettled)?;
        for found in blank.iter().filter(|found| found.header.is_none()) {
            // A header is durable before the first frame is written, so frames without one are damage, not a crash.
            let bytes = read(journal.files.as_ref(), &found.blank)?;
            if end_without_header(&bytes) > journal.head.sequence {
                return Err(damaged(journal.head.sequence, &found.blank.path, "the header of a file with frames cannot be read"));
            }
        }
        // The file that is appended to reaches at least as far as what is settled, and there is one from the first append on.
        let end = tail.as_ref().map_or(0, |walk| walk.end.sequence);
        if end < settled.sequence {
            return Err(damaged(end, dir, "the journal ends before the settled log does: a file of it is missing, cut or an old one"));
        }
        if write {
            journal.take_over(begun, blank, tail)?;
        }
        Ok(Opened { journal, unsettled })
    }

    /// Walks the files in order and collects the frames behind `settled`; moves the head behind the last of them.
    fn walk_all(&mut self, begun: &[Found], settled: Position, unsettled: &mut Vec<Frame>) -> Result<Option<Walk>, StoreError> {
        let mut tail = None;
        let mut expected: Option<Position> = None;
        for (at, found) in begun.iter().enumerate() {
            let Some(header) = found.begun() else { continue };
            let next = begun.get(at.saturating_add(1)).and_then(Found::begun).map(|h| h.first);
            if let Some(next) = next.filter(|next| next.sequence <= settled.sequence) {
                // Settled to its end: that the next file begins at the settled place is checked there.
                self.full.push((found.blank.clone(), next.sequence));
                continue;
            }
            let path = &found.blank.path;
            if found.blank.bytes < header.bytes {
                return Err(damaged(settled.sequence, path, "the file is shorter than it was made"));
            }
            match expected {
                None if header.first.sequence > settled.sequence => {
                    return Err(damaged(settled.sequence, path, "the frames before this file are missing"));
                }
                Some(expected) if header.first != expected => {
                    return Err(damaged(expected.sequence, path, "the file does not follow from the one before it"));
                }
                None | Some(_) => {}
            }
            let bytes = read(self.files.as_ref(), &found.blank)?;
            let walk = walk(&bytes, path, header, settled, next, unsettled)?;
            if let Some(next) = next {
                self.full.push((found.blank.clone(), next.sequence));
            }
            expected = Some(walk.end);
            tail = Some(walk);
        }
        if let Some(last) = unsettled.last() {
            self.head = Position::behind(last);
        }
        Ok(tail)
    }

    /// Makes durable what was found, and takes the files for writing.
    fn take_over(&mut self, mut begun: Vec<Found>, blank: Vec<Found>, tail: Option<Walk>) -> Result<(), StoreError> {
        // Renames and creations before a crash may not be durable yet.
        self.files.sync_dir(&self.dir).map_err(cannot("sync", &self.dir))?;
        if let (Some(Found { blank, header: Some(header) }), Some(walk)) = (begun.pop(), tail) {
            let file = self.files.open(&blank.path).map_err(cannot("open", &blank.path))?;
            // The last frame may stem from an append that failed or was cut short: it may be in the cache and not on disk,
            // even if an fdatasync would say otherwise. Written again it is durable, and only then shown to anybody.
            let last = walk.last.as_ref().map(|(frame, offset)| file.write_at(&marked(header.mark(), frame), *offset));
            let written = file.write_at(&header.bytes(), 0).and_then(|()| last.unwrap_or(Ok(()))).and_then(|()| file.sync_data());
            written.map_err(cannot("make durable", &blank.path))?;
            if walk.end == self.head {
                self.current = Some(Current { blank, file, mark: header.mark(), position: walk.offset });
            } else {
                // All of it is settled, and the log went on elsewhere.
                self.full.push((blank, walk.end.sequence.min(self.head.sequence)));
            }
        }
        let begun = self.current.as_ref().map(|c| c.blank.generation).into_iter().chain(self.full.iter().map(|(b, _)| b.generation)).max();
        self.begun = begun.unwrap_or_default();
        for Found { blank, .. } in blank {
            if blank.bytes < self.file_bytes {
                // Its making was cut short, or sizes were changed.
                self.files.remove(&blank.path).map_err(cannot("remove", &blank.path))?;
            } else if self.begun > blank.generation {
                self.retired.push(blank);
            } else {
                self.spares.push_back(blank);
            }
        }
        Ok(())
    }
}

/// Follows the frames of one file; those that end behind `settled` are added to `unsettled`.
fn walk(
    bytes: &[u8],
    path: &Path,
    header: Header,
    settled: Position,
    next: Option<Position>,
    unsettled: &mut Vec<Frame>,
) -> Result<Walk, StoreError> {
    let disagree = || damaged(settled.sequence, path, "the journal and the settled log disagree");
    let (first, mark) = (header.first, header.mark());
    let mut walk = Walk { end: first, offset: FRAMES_START, last: None };
    if first.sequence == settled.sequence && first != settled {
        return Err(disagree());
    }
    // What a later file says it begins with makes void whatever else stands here.
    while next.is_none_or(|next| walk.end.sequence < next.sequence) {
        let Some(frame) = frame_at(bytes, walk.offset, Some(mark)).filter(|frame| walk.end.precedes(frame)) else {
            let behind = walk.end.sequence.saturating_add(1).max(settled.sequence);
            match (settled_start(bytes, mark, settled), next) {
                // Damaged where it no longer matters: go on where the settled log ends.
                (Some(offset), _) if walk.end.sequence < settled.sequence => {
                    walk = Walk { end: settled, offset, last: None };
                    continue;
                }
                (_, None) if !valid_frame_from(bytes, mark, walk.offset, behind) => break,
                _ => return Err(damaged(walk.end.sequence.max(settled.sequence), path, "a frame in the middle cannot be read")),
            }
        };
        let place = walk.offset;
        walk.offset = place.saturating_add(bytes_of(&frame));
        walk.end = Position::behind(&frame);
        if frame.header().first_sequence < settled.sequence {
            // A frame across the settled place, or another one before it, is not what was settled.
            if walk.end.sequence > settled.sequence || (walk.end.sequence == settled.sequence && walk.end != settled) {
                return Err(disagree());
            }
        } else {
            unsettled.push(frame.clone());
        }
        walk.last = Some((frame, place));
    }
    Ok(walk)
}

/// How far the frames of a file go whose header cannot be read: each stands where the one before it ends, so that nothing
/// a caller has sent can be taken for one.
fn end_without_header(bytes: &[u8]) -> u64 {
    let (mut offset, mut end) = (FRAMES_START, 0);
    while let Some(frame) = frame_at(bytes, offset, None).filter(|frame| frame.header().first_sequence >= end) {
        offset = offset.saturating_add(bytes_of(&frame));
        end = frame.header().end_sequence();
    }
    end
}

/// Where in the file the frame stands that follows what is settled.
fn settled_start(bytes: &[u8], mark: Mark, settled: Position) -> Option<u64> {
    candidates(bytes, mark, FRAMES_START).find(|at| frame_at(bytes, *at, Some(mark)).is_some_and(|frame| settled.precedes(&frame)))
}

/// Whether a whole frame stands behind `offset` that begins at `sequence` or later. Such a frame was written after the
/// one that would follow at `offset`: stale ones of an earlier generation carry another mark, and so does whatever a
/// caller may have put into a record.
fn valid_frame_from(bytes: &[u8], mark: Mark, offset: u64, sequence: u64) -> bool {
    candidates(bytes, mark, offset).any(|at| frame_at(bytes, at, Some(mark)).is_some_and(|frame| frame.header().first_sequence >= sequence))
}

/// The places from `offset` on where a frame of this file may begin.
fn candidates(file: &[u8], mark: Mark, offset: u64) -> impl Iterator<Item = u64> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let places: Vec<usize> = memchr::memmem::find_iter(file.get(start..).unwrap_or_default(), &mark).collect();
    places.into_iter().map(move |at| offset.saturating_add(bytes(at)))
}

/// The frame at `offset` if one stands there whole, behind this mark if it is known.
fn frame_at(bytes: &[u8], offset: u64, mark: Option<Mark>) -> Option<Frame> {
    let (found, bytes) = bytes.get(usize::try_from(offset).ok()?..)?.split_first_chunk::<MARK_BYTES>()?;
    let frame = Frame::read(bytes).ok().filter(|_| mark.is_none_or(|mark| mark == *found))?;
    frame.records().is_ok().then_some(frame)
}

/// What is written for a frame.
fn marked(mark: Mark, frame: &Frame) -> Vec<u8> {
    [mark.as_slice(), frame.bytes()].concat()
}

fn find(files: &dyn Files, dir: &Path) -> Result<Vec<Found>, StoreError> {
    let mut all = Vec::new();
    for path in files.list(dir).map_err(cannot("list", dir))? {
        let generation = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".journal"));
        let Some(generation) = generation.and_then(|digits| digits.parse().ok()) else { continue };
        let file = files.open(&path).map_err(cannot("open", &path))?;
        let bytes = file.size().map_err(cannot("read", &path))?;
        let mut header = [0; HEADER_BYTES];
        if bytes >= FRAMES_START {
            file.read_at(&mut header, 0).map_err(cannot("read", &path))?;
        }
        all.push(Found { blank: Blank { path, generation, bytes }, header: Header::read(&header) });
    }
    Ok(all)
}

fn read(files: &dyn Files, blank: &Blank) -> Result<Vec<u8>, StoreError> {
    let file = files.open(&blank.path).map_err(cannot("open", &blank.path))?;
    let mut bytes = vec![0; usize::try_from(blank.bytes).unwrap_or(usize::MAX)];
    file.read_at(&mut bytes, 0).map_err(cannot("read", &blank.path))?;
    Ok(bytes)
}

fn damaged(sequence: u64, path: &Path, problem: &str) -> StoreError {
    StoreError::Damaged { sequence, problem: format!("{problem}: {}", path.display()) }
}

fn missing(dir: &Path) -> StoreError {
    StoreError::Io { doing: format!("append to {}", dir.display()), source: io::Error::other("no file is open for writing") }
}

/// What a frame takes in a file.
fn bytes_of(frame: &Frame) -> u64 {
    bytes(frame.bytes().len().saturating_add(MARK_BYTES))
}

fn bytes(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}
