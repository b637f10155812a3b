//! The journal, in the one file that knows it: the small tail in front of the sled log that makes an answer durable.
//!
//! The files are `<generation, 10 digits>.journal`; `format` says what is in them. They are zero-filled ahead; behind the
//! last frame stand zeros or whatever an earlier generation left there, which needs no zeroing because it cannot chain.
//!
//! A file whose frames are settled gets, off the answer path, the name of a generation to come: its name then differs
//! from the generation in its header, and that is what a spare is. So the answer path never touches a directory unless
//! no spare is ready. Taking a spare writes its header with an fdatasync of its own: **no frame is ever written to
//! a file whose header is not durable**, so a file with frames that matter and without a header is damage, never a crash.
//!
//! One frame at a time is in doubt: the writer stops at the first failure. So a crash can only tear the last one, and
//! anything valid behind a frame that is not is damage too. The last one itself is told from a torn one by its seal, which
//! is written once it is durable and left to the operating system: when the process alone is killed it is there, when the
//! machine loses its power the last seal may be missing, and only then is damage to that one frame not noticed.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use allowlog_proto::frame::Frame;

use self::format::{FRAMES_START, Header, MARK_BYTES, Marks, Position, bytes, bytes_of, marked, seal_place};
use crate::clock::Stopwatch;
use crate::log::StoreError;
use crate::log::disk::cannot;
use crate::log::disk::files::{Files, Handle};
use crate::telemetry::metrics::metrics;

pub(super) mod format;
pub(super) mod opening;

/// Zeros over the start of a failed frame; more than a frame's header.
const ERASED_BYTES: usize = 4096;
/// Beyond this many files the settler is not keeping up, or has stopped.
pub(super) const FILES_MAX: usize = 16;
/// Spares kept ready.
const SPARES_GOAL: usize = 2;

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
    settled: u64,
    /// Everything before this is in the archive; without one nothing waits for it.
    archived: u64,
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
    marks: Marks,
    /// Sequence its first frame begins with.
    first: u64,
    position: u64,
}

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
        let size = bytes_of(frame).saturating_add(bytes(MARK_BYTES));
        // A crash within leaves a spare, or a file with a header and no frame: neither says anything about the log.
        self.make_room(size).inspect_err(|_| self.failed = Some(Failed::Room(size)))?;
        let Some(current) = &mut self.current else { return Err(missing(&self.dir)) };
        // A crash here leaves nothing, a part, or the whole of a frame that nobody was told of: a part is cut at the
        // next opening, a whole one stays. Either way everything before it was made durable by earlier calls.
        let written = current.file.write_at(&marked(current.marks.mark, frame), current.position).and_then(|()| {
            let syncing = Stopwatch::start();
            current.file.sync_data().inspect(|()| metrics().journal_sync_seconds.observe(syncing.seconds()))
        });
        if let Err(source) = written {
            self.failed = Some(Failed::Frame);
            return Err(cannot("append to", &current.blank.path)(source));
        }
        // From here on the frame is durable, whatever happens. Its seal only tells damage from a torn frame, and does not
        // need to be durable for that where only the process ends; a crash before it leaves the frame without one.
        drop(current.file.write_at(&current.marks.seal, seal_place(frame, current.position)));
        current.position = current.position.saturating_add(bytes_of(frame));
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
        let marks = header.marks();
        if let Some(old) = self.current.replace(Current { blank, file, marks, first: header.first.sequence, position: FRAMES_START }) {
            // The new file is durable: from now on its absence is damage. A crash before it leaves the old file without the mark.
            drop(old.file.write_at(&old.marks.more, old.position));
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
            let cause = if self.archived < self.settled { "; the archive cannot be written, and they are kept until it can" } else { "" };
            return Err(StoreError::JournalFull(format!(
                "{} has {unsettled} files in use and {settled} others{cause}",
                self.dir.display()
            )));
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

impl Journal {
    /// Makes the journal of a log that ends at `head`, without a frame. A crash within leaves less than a journal.
    pub(super) fn found(files: &dyn Files, dir: &Path, file_bytes: u64, head: Position) -> Result<(), StoreError> {
        let header = Header { generation: 1, bytes: file_bytes, first: head };
        let blank = Blank { path: dir.join("0000000001.journal"), generation: 1, bytes: file_bytes };
        let file = create(files, dir, &blank)?;
        file.write_at(&header.bytes(), 0).and_then(|()| file.sync_data()).map_err(cannot("begin", &blank.path))
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
    /// Told that everything before `settled` is durable elsewhere: files that hold nothing else may be used again, once they
    /// are archived if they are to be.
    pub(super) fn settled(&mut self, settled: u64) {
        self.settled = settled;
        self.free();
    }

    /// Told that everything before `archived` is in the archive; from the first time on no file is used again before it is.
    /// Says whether that frees a file.
    pub(super) fn archived(&mut self, archived: u64) -> bool {
        self.archived = archived;
        self.free()
    }

    fn free(&mut self) -> bool {
        let spare_before = self.settled.min(self.archived);
        let (free, full) = std::mem::take(&mut self.full).into_iter().partition(|(_, end)| *end <= spare_before);
        self.full = full;
        let free: Vec<_> = Vec::into_iter(free).map(|(blank, _): (Blank, u64)| blank).collect();
        let any = !free.is_empty();
        self.retired.extend(free);
        any
    }

    /// Full files whose frames are settled and go beyond `archived`, in their order.
    pub(super) fn full_to_archive(&self, archived: u64) -> Vec<PathBuf> {
        let mut wanted: Vec<_> = self.full.iter().filter(|(_, end)| *end > archived && *end <= self.settled).collect();
        wanted.sort_by_key(|(_, end)| *end);
        wanted.into_iter().map(|(blank, _)| blank.path.clone()).collect()
    }

    /// How far the archive is to reach: everything in files that are full and settled, and all that was before them.
    pub(super) fn archive_goal(&self) -> u64 {
        let full = self.full.iter().map(|(_, end)| *end).filter(|end| *end <= self.settled).max().unwrap_or_default();
        let all_settled = self.full.iter().all(|(_, end)| *end <= self.settled);
        self.current.as_ref().filter(|_| all_settled).map_or(full, |current| full.max(current.first))
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

fn damaged(sequence: u64, path: &Path, problem: &str) -> StoreError {
    StoreError::Damaged { sequence, problem: format!("{problem}: {}", path.display()) }
}

fn missing(dir: &Path) -> StoreError {
    StoreError::Io { doing: format!("append to {}", dir.display()), source: io::Error::other("no file is open for writing") }
}
