//! The archive: the log once more, as a gap-free row of journal files that need no database to be read.
//!
//! `<archive>/<first sequence, 20 digits>.journal` is a journal file of exactly the size its header says, with whole frames
//! to its end. A piece is written whole to a temporary name and then renamed. Beside them `keys/` has the sealed signing
//! keys that the log needs. Nothing in here is ever changed or removed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use allowlog_proto::frame::Frame;

use crate::log::StoreError;
use crate::log::disk::files::Files;
use crate::log::disk::journal::format::{
    FRAMES_START, HEADER_BYTES, Header, Position, bytes as count, bytes_of, candidates, frame_at, whole_file,
};
use crate::log::disk::{cannot, lock, make_dir};

/// So much of the end of a piece is looked at first for its last frame.
const TAIL_BYTES: u64 = 64 * 1024;

/// An archive, in one's own directory or in one that is only read.
pub(super) struct Archive {
    files: Arc<dyn Files>,
    dir: PathBuf,
    /// Every piece by its first sequence.
    row: Mutex<BTreeMap<u64, Piece>>,
    /// When the directory of the keys had last changed, and how often its keys were copied since.
    keys_changed: Mutex<((i64, i64), u32)>,
}

/// One file of it.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) path: PathBuf,
    pub(super) first: Position,
    pub(super) end: Position,
}

/// Where the gap-free row ends, and where what is there beyond the gap begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) end: Position,
    pub(super) next: Option<u64>,
}

impl Archive {
    /// Reads which pieces there are. Frames are not read but for the last of each.
    pub(super) fn open(files: Arc<dyn Files>, dir: &Path) -> Result<Self, StoreError> {
        let mut row = BTreeMap::new();
        for path in files.list(dir).map_err(cannot("list", dir))? {
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".journal"));
            let Some(name) = name.and_then(|digits| digits.parse::<u64>().ok()) else { continue };
            let piece = look_at(files.as_ref(), &path)?;
            if piece.first.sequence != name {
                return Err(damaged(name, &path, "it begins at another sequence than its name says"));
            }
            row.insert(name, piece);
        }
        Ok(Self { files, dir: dir.to_owned(), row: Mutex::new(row), keys_changed: Mutex::default() })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// How far the row goes without a gap.
    pub(super) fn reach(&self) -> Result<Reach, StoreError> {
        self.reach_from(Position::default())
    }

    fn reach_from(&self, mut end: Position) -> Result<Reach, StoreError> {
        for piece in lock(&self.row).range(end.sequence..).map(|(_, piece)| piece) {
            if piece.first.sequence > end.sequence {
                return Ok(Reach { end, next: Some(piece.first.sequence) });
            }
            if piece.first != end {
                return Err(damaged(end.sequence, &piece.path, "it does not follow from the piece before it"));
            }
            end = piece.end;
        }
        Ok(Reach { end, next: None })
    }

    /// Behind the last record of all.
    pub(super) fn last(&self) -> Option<Position> {
        lock(&self.row).last_key_value().map(|(_, piece)| piece.end)
    }

    /// The frames from the one that holds `sequence` on, piece after piece, up to a gap.
    pub(super) fn frames(self: &Arc<Self>, sequence: u64) -> impl Iterator<Item = Result<Arc<Frame>, StoreError>> + use<> {
        let archive = Arc::clone(self);
        let mut next = sequence;
        let mut ready = Vec::new().into_iter();
        std::iter::from_fn(move || {
            loop {
                if let Some(frame) = ready.next() {
                    return Some(Ok(frame));
                }
                let piece = lock(&archive.row).range(..=next).next_back().map(|(_, piece)| piece.clone())?;
                if piece.end.sequence <= next {
                    return None;
                }
                match archive.read(&piece) {
                    Ok(frames) => {
                        let wanted = frames.into_iter().filter(|frame| frame.header().end_sequence() > next).map(Arc::new);
                        ready = wanted.collect::<Vec<_>>().into_iter();
                        next = piece.end.sequence;
                    }
                    Err(error) => {
                        next = u64::MAX;
                        return Some(Err(error));
                    }
                }
            }
        })
    }

    /// Every frame of a piece, each checked.
    fn read(&self, piece: &Piece) -> Result<Vec<Frame>, StoreError> {
        let file = self.files.open_to_read(&piece.path).map_err(cannot("open", &piece.path))?;
        let mut bytes = vec![0; usize::try_from(file.size().map_err(cannot("read", &piece.path))?).unwrap_or(usize::MAX)];
        file.read_at(&mut bytes, 0).map_err(cannot("read", &piece.path))?;
        let header = Header::read(&bytes).ok_or_else(|| damaged(piece.first.sequence, &piece.path, "its header cannot be read"))?;
        let mark = header.marks().mark;
        let (mut offset, mut end, mut frames) = (FRAMES_START, piece.first, Vec::new());
        while offset < count(bytes.len()) {
            let frame = frame_at(&bytes, offset, Some(mark)).filter(|frame| end.precedes(frame));
            let frame = frame.ok_or_else(|| damaged(end.sequence, &piece.path, "a frame of the archive cannot be read"))?;
            offset = offset.saturating_add(bytes_of(&frame));
            end = Position::behind(&frame);
            frames.push(frame);
        }
        if end == piece.end { Ok(frames) } else { Err(damaged(end.sequence, &piece.path, "it does not end where it did")) }
    }

    /// Adds a piece that begins at `first`. A crash within leaves a temporary file, which the next piece replaces.
    pub(super) fn add(&self, first: Position, frames: &[Arc<Frame>]) -> Result<(), StoreError> {
        let Some(last) = frames.last() else { return Ok(()) };
        let path = self.dir.join(format!("{:020}.journal", first.sequence));
        self.write_durably(&path, &whole_file(first, frames))?;
        let piece = Piece { path, first, end: Position::behind(last) };
        lock(&self.row).insert(first.sequence, piece);
        Ok(())
    }

    /// Copies the keys if there may be new ones. A change within the same tick of the file system's clock does not show, so
    /// the directory is looked at twice for each that does.
    pub(super) fn add_new_keys(&self, keys: &Path) -> Result<(), StoreError> {
        let changed = fs::metadata(keys).map_or((0, 0), |metadata| (metadata.mtime(), metadata.mtime_nsec()));
        let (known, times) = *lock(&self.keys_changed);
        if changed == known && times >= 2 {
            return Ok(());
        }
        self.add_keys(keys)?;
        *lock(&self.keys_changed) = (changed, if changed == known { times.saturating_add(1) } else { 1 });
        Ok(())
    }

    /// Copies the sealed signing keys that are not there yet. They are encrypted, and stay so.
    pub(super) fn add_keys(&self, keys: &Path) -> Result<(), StoreError> {
        let dir = self.dir.join("keys");
        let present = match self.files.list(keys) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(cannot("list", keys))?,
        };
        make_dir(self.files.as_ref(), &dir)?;
        let kept = self.files.list(&dir).map_err(cannot("list", &dir))?;
        for path in present.into_iter().filter(|path| path.extension().is_some_and(|e| e == "sealed")) {
            let Some(copy) = path.file_name().map(|name| dir.join(name)).filter(|copy| !kept.contains(copy)) else { continue };
            let file = self.files.open_to_read(&path).map_err(cannot("open", &path))?;
            let mut bytes = vec![0; usize::try_from(file.size().map_err(cannot("read", &path))?).unwrap_or(usize::MAX)];
            file.read_at(&mut bytes, 0).map_err(cannot("read", &path))?;
            self.write_durably(&copy, &bytes)?;
        }
        Ok(())
    }

    fn write_durably(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let temporary = path.with_extension("partial");
        self.files.write_whole(&temporary, bytes).map_err(cannot("write", &temporary))?;
        self.files.rename(&temporary, path).map_err(cannot("rename to", path))?;
        let dir = path.parent().unwrap_or(&self.dir);
        self.files.sync_dir(dir).map_err(cannot("sync", dir))
    }
}

/// Where a piece begins and ends.
fn look_at(files: &dyn Files, path: &Path) -> Result<Piece, StoreError> {
    let unreadable = || damaged(0, path, "the header of an archive file cannot be read");
    let file = files.open_to_read(path).map_err(cannot("open", path))?;
    let size = file.size().map_err(cannot("read", path))?;
    if size < FRAMES_START {
        return Err(unreadable());
    }
    let mut bytes = [0; HEADER_BYTES];
    file.read_at(&mut bytes, 0).map_err(cannot("read", path))?;
    let header = Header::read(&bytes).ok_or_else(unreadable)?;
    if header.bytes != size {
        return Err(damaged(header.first.sequence, path, "an archive file is shorter than it was made"));
    }
    // The last frame is the one that ends where the file does; most are short.
    for tail in [TAIL_BYTES, u64::MAX] {
        let start = size.saturating_sub(tail).max(FRAMES_START);
        let mut bytes = vec![0; usize::try_from(size.saturating_sub(start)).unwrap_or(usize::MAX)];
        file.read_at(&mut bytes, start).map_err(cannot("read", path))?;
        let ends = |frame: &Frame, at: u64| at.saturating_add(bytes_of(frame)) == count(bytes.len());
        let last = candidates(&bytes, header.marks().mark, 0)
            .find_map(|at| frame_at(&bytes, at, Some(header.marks().mark)).filter(|f| ends(f, at)));
        if let Some(last) = last {
            return Ok(Piece { path: path.to_owned(), first: header.first, end: Position::behind(&last) });
        }
    }
    Err(damaged(header.first.sequence, path, "the last frame of an archive file cannot be read"))
}

fn damaged(sequence: u64, path: &Path, problem: &str) -> StoreError {
    StoreError::Archive(format!(
        "{}: {problem} (sequence {sequence}); move that file away, and it is written again from the log",
        path.display()
    ))
}
