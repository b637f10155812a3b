//! The settled log, in the one file that knows sled: a row of sled databases `log/<first sequence, 20 digits>/`.
//!
//! Only the newest is written frames to; the older ones are sealed, opened when somebody reads them or signing has not
//! passed them yet, and closed again. In each, all keys big-endian and only ever added behind the last:
//!
//! | Tree | Key | Value |
//! |---|---|---|
//! | `frames` | first sequence (8) · chunk (2) | whole frames back to back, or a chunk of a frame that is larger than a value may be |
//! | `times` | time of the first record in ms (8) · first sequence (8) | nothing; one for each page, written after it |
//! | `signatures` | first sequence (8) | 64 bytes a record |
//! | `about` | `format`, `payload` | format version (1); bytes of frames (8) |
//!
//! What we know of sled 0.34.7, and rely on or work around: its `flush` reaches the disk's cache at best, so nothing
//! counts before our own fdatasync of its file `db`; what it recovers after a crash is a prefix of what was inserted,
//! so keys are inserted one by one in their order, and not as its batches, which go by the order of a hash; a value that
//! makes a leaf pass a quarter of a segment goes to a file under `blobs/` that it never syncs, so values are at most
//! 8 KiB and segments 1 MiB, of which a leaf of 17 such values is less than a seventh; opening writes a durable snapshot of
//! what was read, so what it reads is made durable first; after an I/O error a database is of no use until it is opened anew.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use allowlog_proto::frame::{Frame, FrameHeader};
use allowlog_proto::limits::FRAME_BYTES_MAX;
use allowlog_proto::signing::Signature;

use crate::log::StoreError;
use crate::log::disk::cannot;
use crate::log::disk::files::{Files, Handle};
use crate::log::disk::journal::format::Position;
use crate::log::disk::volumes::rebuilding::Remedy;

pub(super) mod rebuilding;

/// Largest value.
pub(super) const VALUE_BYTES_MAX: usize = 8 * 1024;
/// Signatures in one value.
const SIGNATURES_MAX: usize = 120;
const SIGNATURE_BYTES: usize = 64;
const SEGMENT_BYTES: usize = 1024 * 1024;
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// Sealed volumes kept open after use.
const SEALED_OPEN_MAX: usize = 2;
/// sled lets go of its lock a moment after the last handle is dropped.
const LOCK_TRIES: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(5);
const FORMAT: u8 = 1;

const _: () = assert!(SIGNATURES_MAX * SIGNATURE_BYTES <= VALUE_BYTES_MAX);
const _: () = assert!(17 * (VALUE_BYTES_MAX + 32) < SEGMENT_BYTES / 4);
const _: () = assert!(FRAME_BYTES_MAX / VALUE_BYTES_MAX < 0xffff);

/// The row of volumes. One thread writes, any thread reads.
pub(super) struct Volumes {
    files: Arc<dyn Files>,
    dir: PathBuf,
    volume_bytes: u64,
    spoilt: Spoilt,
    row: Mutex<Row>,
    /// What a volume that cannot be read is made again from.
    remedy: Option<Remedy>,
}

/// Volumes of which sled's memory and the disk may differ, by first sequence. They are written no more until opened anew.
type Spoilt = Arc<Mutex<BTreeSet<u64>>>;

struct Row {
    /// All volumes by first sequence, with the handle of whoever has it open.
    volumes: BTreeMap<u64, Weak<Volume>>,
    /// The newest, unless opening it anew failed.
    newest: Option<Arc<Volume>>,
    /// Sealed ones lately used.
    sealed: VecDeque<Arc<Volume>>,
    /// Time of the first record, of volumes that were asked.
    first_times: BTreeMap<u64, u64>,
}

/// One open volume.
pub(super) struct Volume {
    first: u64,
    path: PathBuf,
    frames: sled::Tree,
    times: sled::Tree,
    signatures: sled::Tree,
    about: sled::Tree,
    payload: AtomicU64,
    spoilt: Spoilt,
    db: sled::Db,
    file: Handle,
}

impl Volumes {
    /// Opens the newest volume and says how far the settled log goes. With `create` unset there may be none.
    pub(super) fn open(
        files: Arc<dyn Files>,
        dir: &Path,
        volume_bytes: u64,
        create: bool,
        remedy: Option<Remedy>,
    ) -> Result<(Self, Position), StoreError> {
        let mut volumes = BTreeMap::new();
        let paths = files.list(dir).map_err(cannot("list", dir))?;
        if create {
            rebuilding::clear(files.as_ref(), dir, &paths)?;
        }
        for path in files.list(dir).map_err(cannot("list", dir))? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if let Ok(first) = name.parse::<u64>() {
                volumes.insert(first, Weak::new());
            }
        }
        let row = Row { volumes, newest: None, sealed: VecDeque::new(), first_times: BTreeMap::new() };
        let this = Self { files, dir: dir.to_owned(), volume_bytes, spoilt: Spoilt::default(), row: Mutex::new(row), remedy };
        if create && this.lock().volumes.is_empty() {
            this.begin(0)?;
        }
        let settled = match this.open_newest() {
            Err(error) if this.remedy.is_some() && error.is_damage() => {
                let newest = this.lock().volumes.last_key_value().map(|(first, _)| *first).unwrap_or_default();
                this.rebuild(newest, &error)?;
                this.open_newest()?
            }
            settled => settled?,
        };
        Ok((this, settled))
    }

    /// Opens the newest volume and says how far it goes. To be called after every failure: what sled has in memory may
    /// then not be what is on disk, so that volume is opened anew.
    pub(super) fn open_newest(&self) -> Result<Position, StoreError> {
        // Whoever reads goes on with what is open, for as long as there would be no opening it anew.
        self.probe()?;
        let first = {
            let mut row = self.lock();
            row.newest = None;
            row.sealed.retain(|volume| volume.refuse_spoilt().is_ok());
            row.volumes.last_key_value().map(|(first, _)| *first)
        };
        let Some(first) = first else { return Ok(Position::default()) };
        let newest = self.get(first)?;
        newest.refuse_spoilt()?;
        let settled = match newest.end()? {
            Some(settled) => settled,
            None => self.end_before(first)?,
        };
        if settled.sequence < first {
            let problem = format!("the volume before {} does not reach it", newest.path.display());
            return Err(StoreError::Damaged { sequence: settled.sequence, problem });
        }
        self.lock().newest = Some(newest);
        Ok(settled)
    }

    /// Before a spoilt volume is let go of: whether there is room for what sled writes when it opens one.
    fn probe(&self) -> Result<(), StoreError> {
        let Some(newest) = self.lock().newest.clone() else { return Ok(()) };
        if newest.refuse_spoilt().is_ok() {
            return Ok(());
        }
        let probe = self.dir.join("probe");
        let made = self.files.create_zeroed(&probe, size(SEGMENT_BYTES)).map(drop);
        let removed = fs::remove_file(&probe);
        made.and(removed).map_err(cannot("find room in", &self.dir))
    }

    /// Where the volume before the one at `first` ends.
    fn end_before(&self, first: u64) -> Result<Position, StoreError> {
        let before = self.lock().volumes.range(..first).next_back().map(|(first, _)| *first);
        match before {
            Some(before) => Ok(self.get(before)?.end()?.unwrap_or_default()),
            None => Ok(Position::default()),
        }
    }

    /// Writes frames behind the last settled one; durable with the next [`Volumes::commit`].
    pub(super) fn write(&self, frames: &[Arc<Frame>]) -> Result<(), StoreError> {
        let mut page = Page::default();
        let mut volume = self.newest()?;
        for frame in frames {
            if volume.payload.load(Ordering::Relaxed) >= self.volume_bytes {
                volume.insert(&mut page)?;
                // The sealed volume is durable before the new one exists.
                volume.commit()?;
                self.begin(frame.header().first_sequence)?;
                self.seal(volume)?;
                self.open_newest()?;
                volume = self.newest()?;
            }
            if page.bytes.len().saturating_add(frame.bytes().len()) > VALUE_BYTES_MAX {
                volume.insert(&mut page)?;
            }
            page.add(frame);
            volume.payload.fetch_add(size(frame.bytes().len()), Ordering::Relaxed);
        }
        volume.insert(&mut page)
    }

    /// Makes everything durable that was written to the newest volume.
    pub(super) fn commit(&self) -> Result<(), StoreError> {
        self.newest()?.commit()
    }

    /// Writes the signatures of the records from `sequence` on, all of which are settled. Those in the newest volume are
    /// durable with the next [`Volumes::commit`], those in sealed ones at once, so that none is ever missing in the middle.
    pub(super) fn write_signatures(&self, mut sequence: u64, mut signatures: &[Signature]) -> Result<(), StoreError> {
        while !signatures.is_empty() {
            let (volume, end) = self.holding(sequence)?;
            let room = end.map_or(u64::MAX, |end| end.saturating_sub(sequence));
            let count = signatures.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            let (here, rest) = signatures.split_at(count);
            for run in here.chunks(SIGNATURES_MAX) {
                let insert = || volume.signatures.insert(sequence.to_be_bytes(), run.as_flattened());
                asked("write signatures to", &volume.path, insert).map_err(|error| volume.spoil(error))?;
                sequence = sequence.saturating_add(size(run.len()));
            }
            if end.is_some() {
                volume.commit()?;
            }
            signatures = rest;
        }
        Ok(())
    }

    /// The sequence behind the last signature.
    pub(super) fn signed(&self) -> Result<u64, StoreError> {
        let firsts: Vec<u64> = self.lock().volumes.keys().rev().copied().collect();
        for first in firsts {
            let volume = self.get(first)?;
            if let Some((key, value)) = asked("read signatures of", &volume.path, || volume.signatures.last())? {
                return Ok(number(&key).saturating_add(size(value.len() / SIGNATURE_BYTES)));
            }
        }
        Ok(0)
    }

    /// The signature of a record that is settled.
    pub(super) fn signature(&self, sequence: u64) -> Result<Option<Signature>, StoreError> {
        let (volume, _) = self.holding(sequence)?;
        let run = asked("read signatures of", &volume.path, || volume.signatures.get_lt(sequence.saturating_add(1).to_be_bytes()));
        let Some((key, value)) = run? else { return Ok(None) };
        let at = usize::try_from(sequence.saturating_sub(number(&key))).unwrap_or(usize::MAX);
        Ok(value.as_chunks::<SIGNATURE_BYTES>().0.get(at).copied())
    }

    /// A sequence from which a scan meets every settled record whose time is at least `time_ms`.
    pub(super) fn locate(&self, time_ms: u64) -> Result<u64, StoreError> {
        let firsts: Vec<u64> = self.lock().volumes.keys().copied().collect();
        // The last volume that begins before that time; found by halving, so that few are opened.
        let (mut low, mut high) = (0_usize, firsts.len());
        while low < high {
            let middle = low.midpoint(high);
            let first = firsts.get(middle).copied().unwrap_or_default();
            if self.first_time(first)?.is_some_and(|time| time < time_ms) { low = middle.saturating_add(1) } else { high = middle }
        }
        let Some(first) = low.checked_sub(1).and_then(|at| firsts.get(at)) else { return Ok(firsts.first().copied().unwrap_or_default()) };
        let volume = self.get(*first)?;
        // Without its time index a volume is read from its beginning.
        let page = asked("read the time index of", &volume.path, || volume.times.get_lt(time_ms.to_be_bytes())).unwrap_or_else(told);
        Ok(page.and_then(|(key, _)| key.get(8..).map(number)).unwrap_or(*first))
    }

    fn first_time(&self, first: u64) -> Result<Option<u64>, StoreError> {
        if let Some(time) = self.lock().first_times.get(&first) {
            return Ok(Some(*time));
        }
        let volume = self.get(first)?;
        let time = asked("read the time index of", &volume.path, || volume.times.first()).unwrap_or_else(told);
        let time = match time.map(|(key, _)| number(&key)) {
            Some(time) => Some(time),
            None => {
                let page = next_page(&mut volume.frames.iter(), &volume.path)?;
                page.and_then(|frames| frames.first().map(|frame| frame.header().first_time_ms))
            }
        };
        if let Some(time) = time {
            self.lock().first_times.insert(first, time);
        }
        Ok(time)
    }

    /// A reader of pages from the one that holds `sequence` on, to the end of its volume.
    pub(super) fn pages(&self, sequence: u64) -> Result<Pages, StoreError> {
        let (first, end) = self.around(sequence)?;
        // Whoever comes in at its beginning reads a volume through and does not come back: it is closed behind him, as sled
        // holds all of what was read, whatever the size of its cache.
        let volume = self.get_to(first, sequence != first)?;
        let start = asked("read", &volume.path, || volume.frames.get_lt(key(sequence.saturating_add(1), 0)))?;
        let start = start.map_or(volume.first, |(key, _)| number(&key));
        Ok(Pages { iter: volume.frames.range(key(start, 0)..), volume, end })
    }

    /// The volume that holds `sequence`, with its end if it is sealed.
    fn holding(&self, sequence: u64) -> Result<(Arc<Volume>, Option<u64>), StoreError> {
        let (first, end) = self.around(sequence)?;
        Ok((self.get(first)?, end))
    }

    /// First sequence and end of the volume that holds `sequence`.
    fn around(&self, sequence: u64) -> Result<(u64, Option<u64>), StoreError> {
        let row = self.lock();
        let first = row.volumes.range(..=sequence).next_back().map(|(first, _)| *first);
        let end = row.volumes.range(sequence.saturating_add(1)..).next().map(|(first, _)| *first);
        match first {
            Some(first) => Ok((first, end)),
            None => Err(StoreError::Damaged { sequence, problem: format!("no volume in {} holds it", self.dir.display()) }),
        }
    }

    pub(super) fn files(&self) -> &dyn Files {
        self.files.as_ref()
    }

    /// Lets go of the newest volume; nothing is written until [`Volumes::open_newest`] succeeds.
    pub(super) fn close(&self) {
        self.lock().newest = None;
    }

    /// Volumes that are open now.
    #[cfg(test)]
    pub(super) fn open_count(&self) -> usize {
        self.lock().volumes.values().filter(|volume| volume.strong_count() > 0).count()
    }

    fn newest(&self) -> Result<Arc<Volume>, StoreError> {
        let newest = self.lock().newest.clone().ok_or_else(|| {
            let source = io::Error::other("its newest volume is not open");
            StoreError::Io { doing: format!("write to {}", self.dir.display()), source }
        })?;
        newest.refuse_spoilt().map(|()| newest)
    }

    fn get(&self, first: u64) -> Result<Arc<Volume>, StoreError> {
        self.get_to(first, true)
    }

    /// The volume at `first`, opened if nobody has it open; kept open for a while after use if `keep` is set.
    fn get_to(&self, first: u64, keep: bool) -> Result<Arc<Volume>, StoreError> {
        // Held while opening: the same database cannot be opened twice.
        let mut row = self.lock();
        if let Some(volume) = row.volumes.get(&first).and_then(Weak::upgrade) {
            return Ok(volume);
        }
        if lock(&self.spoilt).contains(&first) {
            self.rewrite(first)?;
            lock(&self.spoilt).remove(&first);
        }
        let open = || Volume::open(self.files.as_ref(), &self.path(first), first, &self.spoilt).map_err(|error| self.named(first, error));
        let volume = match open() {
            // One that is sealed is made again at once; with the newest there is the journal to think of.
            Err(error) if self.remedy.is_some() && error.is_damage() && row.end_of(first).is_some() => {
                self.replace(&mut row, first, &error)?;
                open()?
            }
            opened => opened?,
        };
        let volume = Arc::new(volume);
        row.volumes.insert(first, Arc::downgrade(&volume));
        if keep && row.volumes.last_key_value().is_some_and(|(newest, _)| *newest != first) {
            row.keep(Arc::clone(&volume));
        }
        Ok(volume)
    }

    /// Opens the volume anew, unless somebody reads it: sled then writes a snapshot, with which every later opening of
    /// the sealed volume is several times faster.
    fn seal(&self, volume: Arc<Volume>) -> Result<(), StoreError> {
        self.lock().newest = None;
        let first = volume.first;
        drop(volume);
        self.get(first).map(drop)
    }

    /// Makes an empty volume. It comes into being, whole, with the rename.
    fn begin(&self, first: u64) -> Result<(), StoreError> {
        let path = self.path(first);
        let new = path.with_extension("new");
        if path.exists() {
            // Of an earlier try, which was told that its name is not durable. It is in no row, and so it is empty.
            drop(fs::remove_dir_all(&new));
            self.files.rename(&path, &new).map_err(cannot("rename", &path))?;
        }
        if new.exists() {
            fs::remove_dir_all(&new).map_err(cannot("remove", &new))?;
        }
        // A crash up to the rename leaves a directory that the next opening removes.
        drop(Volume::open(self.files.as_ref(), &new, first, &Spoilt::default())?);
        for file in self.files.list(&new).map_err(cannot("list", &new))? {
            if file.is_file() {
                self.files.open(&file).and_then(|f| f.sync_data()).map_err(cannot("sync", &file))?;
            }
        }
        self.files.sync_dir(&new).map_err(cannot("sync", &new))?;
        self.files.rename(&new, &path).map_err(cannot("rename", &new))?;
        // A crash from here on leaves an empty newest volume, or the row as it was before.
        self.files.sync_dir(&self.dir).map_err(cannot("sync", &self.dir))?;
        self.lock().volumes.insert(first, Weak::new());
        Ok(())
    }

    /// After a failed fdatasync the cache is right and the disk is not, and nothing is dirty any more: writes the file over
    /// itself, so that the next fdatasync speaks for all of it.
    fn rewrite(&self, first: u64) -> Result<(), StoreError> {
        let path = self.path(first).join("db");
        let file = self.files.open(&path).map_err(cannot("open", &path))?;
        let end = file.size().map_err(cannot("read", &path))?;
        let mut offset = 0;
        let mut piece = vec![0; SEGMENT_BYTES];
        while offset < end {
            let length = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX).min(piece.len());
            let Some(piece) = piece.get_mut(..length) else { break };
            file.read_at(piece, offset).and_then(|()| file.write_at(piece, offset)).map_err(cannot("rewrite", &path))?;
            offset = offset.saturating_add(size(length));
        }
        file.sync_data().map_err(cannot("sync", &path))
    }

    /// Says which volume it is that cannot be opened, if it is the volume's fault.
    fn named(&self, first: u64, error: StoreError) -> StoreError {
        if !error.is_damage() || matches!(error, StoreError::Damaged { .. }) {
            return error;
        }
        let path = self.path(first);
        StoreError::Damaged { sequence: first, problem: format!("the volume {} cannot be opened: {error}", path.display()) }
    }

    fn path(&self, first: u64) -> PathBuf {
        self.dir.join(format!("{first:020}"))
    }

    fn lock(&self) -> MutexGuard<'_, Row> {
        lock(&self.row)
    }
}

impl Row {
    /// Where the volume that begins at `first` ends, if it is sealed.
    fn end_of(&self, first: u64) -> Option<u64> {
        self.volumes.range(first.saturating_add(1)..).next().map(|(next, _)| *next)
    }

    fn keep(&mut self, volume: Arc<Volume>) {
        self.sealed.push_back(volume);
        while self.sealed.len() > SEALED_OPEN_MAX {
            self.sealed.pop_front();
        }
    }
}

/// sled takes a snapshot it has not finished, as a full disk leaves one, for its newest and refuses to open. It counts
/// for nothing before sled has renamed it. Says whether there was one.
fn remove_unfinished_snapshots(files: &dyn Files, volume: &Path) -> Result<bool, StoreError> {
    let mut removed = false;
    for path in files.list(volume).map_err(cannot("list", volume))? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(&path).map_err(cannot("remove", &path))?;
            removed = true;
        }
    }
    Ok(removed)
}

impl Volume {
    fn open(files: &dyn Files, path: &Path, first: u64, spoilt: &Spoilt) -> Result<Self, StoreError> {
        let file = path.join("db");
        if file.exists() {
            // sled is about to write a durable snapshot of what it reads here.
            files.open(&file).and_then(|f| f.sync_data()).map_err(cannot("sync", &file))?;
        }
        let config = sled::Config::new().path(path).flush_every_ms(None).cache_capacity(CACHE_BYTES).segment_size(SEGMENT_BYTES);
        let mut tries = LOCK_TRIES;
        let db = loop {
            let opened = asked("open", path, || match config.open() {
                Err(sled::Error::Io(error)) if error.to_string().contains("lock") => Ok(None),
                opened => opened.map(Some),
            });
            match opened {
                Ok(Some(db)) => break db,
                Ok(None) if tries > 0 => std::thread::sleep(LOCK_PAUSE),
                Ok(None) => {
                    let source = io::Error::other("another process, or a reader of this one, still has it open");
                    return Err(StoreError::Io { doing: format!("open {}", path.display()), source });
                }
                Err(_) if remove_unfinished_snapshots(files, path)? => {}
                Err(error) => return Err(error),
            }
            tries = tries.saturating_sub(1);
        };
        let tree = |name: &str| asked("open a tree of", path, || db.open_tree(name));
        let (frames, times, signatures, about) = (tree("frames")?, tree("times")?, tree("signatures")?, tree("about")?);
        match asked("read", path, || about.get("format"))? {
            None => drop(asked("write to", path, || about.insert("format", &[FORMAT]))?),
            Some(format) if *format == [FORMAT] => {}
            Some(format) => {
                let problem = format!("{} has format {:?}, which this version does not know", path.display(), format.as_ref());
                return Err(StoreError::Damaged { sequence: first, problem });
            }
        }
        let payload = asked("read", path, || about.get("payload"))?.map_or(0, |value| number(&value));
        // Trees begin their life in sled's memory.
        asked("flush", path, || db.flush())?;
        let file = files.open(&file).map_err(cannot("open", &file))?;
        let (payload, spoilt) = (AtomicU64::new(payload), Arc::clone(spoilt));
        Ok(Self { first, path: path.to_owned(), frames, times, signatures, about, payload, spoilt, db, file })
    }

    /// Behind the last whole frame, if there is one.
    fn end(&self) -> Result<Option<Position>, StoreError> {
        let mut before = [0xff; 10];
        while let Some((last, _)) = asked("read", &self.path, || self.frames.get_lt(before))? {
            let first = number(&last);
            // A frame of which the last chunks are missing is not settled; it is written again over itself.
            if let Some(frames) = next_page(&mut self.frames.range(key(first, 0)..), &self.path)? {
                return Ok(frames.last().map(|frame| Position::behind(frame)));
            }
            before = key(first, 0);
        }
        Ok(None)
    }

    /// Inserts the page, in the order of its keys, and leaves an empty one.
    fn insert(&self, page: &mut Page) -> Result<(), StoreError> {
        let Page { first: Some((first, time_ms)), bytes } = std::mem::take(page) else { return Ok(()) };
        for (chunk, value) in (0_u16..).zip(bytes.chunks(VALUE_BYTES_MAX)) {
            asked("write to", &self.path, || self.frames.insert(key(first, chunk), value)).map_err(|error| self.spoil(error))?;
        }
        let mut time = [0; 16];
        let (ms, sequence) = time.split_at_mut(8);
        ms.copy_from_slice(&time_ms.to_be_bytes());
        sequence.copy_from_slice(&first.to_be_bytes());
        asked("write to", &self.path, || self.times.insert(time, &[])).map_err(|error| self.spoil(error))?;
        Ok(())
    }

    fn commit(&self) -> Result<(), StoreError> {
        self.refuse_spoilt()?;
        let payload = self.payload.load(Ordering::Relaxed).to_be_bytes();
        let flush = || self.about.insert("payload", &payload).and_then(|_| self.db.flush());
        asked("flush", &self.path, flush).map_err(|error| self.spoil(error))?;
        // sled's flush is no fsync.
        self.file.sync_data().map_err(|source| self.spoil(cannot("sync", &self.path.join("db"))(source)))
    }

    fn spoil(&self, error: StoreError) -> StoreError {
        lock(&self.spoilt).insert(self.first);
        error
    }

    fn refuse_spoilt(&self) -> Result<(), StoreError> {
        if !lock(&self.spoilt).contains(&self.first) {
            return Ok(());
        }
        let source = io::Error::other("it is still being read after a failure");
        Err(StoreError::Io { doing: format!("open {} anew", self.path.display()), source })
    }
}

/// Frames to be written as one value, or one frame to be cut into several.
#[derive(Default)]
struct Page {
    /// First sequence and time.
    first: Option<(u64, u64)>,
    bytes: Vec<u8>,
}

impl Page {
    fn add(&mut self, frame: &Frame) {
        let header = frame.header();
        self.first.get_or_insert((header.first_sequence, header.first_time_ms));
        self.bytes.extend_from_slice(frame.bytes());
    }
}

/// Reads the pages of one volume in order.
pub(super) struct Pages {
    iter: sled::Iter,
    volume: Arc<Volume>,
    end: Option<u64>,
}

impl Pages {
    /// The frames of the next page; nothing at the end of what is there now.
    pub(super) fn next_page(&mut self) -> Result<Option<Vec<Arc<Frame>>>, StoreError> {
        next_page(&mut self.iter, &self.volume.path)
    }

    /// Where the volume ends, if it is sealed.
    pub(super) const fn end(&self) -> Option<u64> {
        self.end
    }
}

/// The next page, or the next frame that was cut into chunks; nothing if there is none, or it is not there to its end.
fn next_page(iter: &mut sled::Iter, path: &Path) -> Result<Option<Vec<Arc<Frame>>>, StoreError> {
    let Some((place, value)) = asked("read", path, || iter.next().transpose())? else { return Ok(None) };
    let mut first = number(&place);
    let damaged =
        |sequence, problem: &dyn std::fmt::Display| StoreError::Damaged { sequence, problem: format!("{problem}: {}", path.display()) };
    if *place != key(first, 0) {
        return Err(damaged(first, &"a page is not where it belongs"));
    }
    let length = FrameHeader::read(&value).map_err(|error| damaged(first, &error))?.size();
    if length > value.len() {
        let mut bytes = value.to_vec();
        for chunk in 1_u16.. {
            let Some((place, value)) = asked("read", path, || iter.next().transpose())? else { return Ok(None) };
            if *place != key(first, chunk) {
                return Err(damaged(first, &"a frame is not there to its end"));
            }
            bytes.extend_from_slice(&value);
            if bytes.len() >= length {
                break;
            }
        }
        let frame = Frame::read(&bytes).map_err(|error| damaged(first, &error))?;
        return Ok(Some(vec![Arc::new(frame)]));
    }
    let mut frames = Vec::new();
    let mut rest: &[u8] = &value;
    while !rest.is_empty() {
        let frame = Frame::read(rest).map_err(|error| damaged(first, &error))?;
        first = frame.header().end_sequence();
        rest = rest.get(frame.bytes().len()..).unwrap_or_default();
        frames.push(Arc::new(frame));
    }
    Ok(Some(frames))
}

fn key(sequence: u64, chunk: u16) -> [u8; 10] {
    let mut key = [0; 10];
    let (first, last) = key.split_at_mut(8);
    first.copy_from_slice(&sequence.to_be_bytes());
    last.copy_from_slice(&chunk.to_be_bytes());
    key
}

/// The number a key or value begins with.
fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |number| u64::from_be_bytes(*number))
}

/// Says what could be done without.
fn told<T>(error: StoreError) -> Option<T> {
    tracing::warn!(storage.error = %error, "the log is searched without its time index");
    None
}

fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks sled. It may panic over bytes that it does not understand, and that is an answer like any other error.
fn asked<T>(doing: &str, path: &Path, ask: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, StoreError> {
    let doing = || format!("{doing} {}", path.display());
    match catch_unwind(AssertUnwindSafe(ask)) {
        Ok(Ok(answer)) => Ok(answer),
        // What the operating system refuses now it may do later; everything else is about what is stored.
        Ok(Err(sled::Error::Io(source))) if source.raw_os_error().is_some() => Err(StoreError::Io { doing: doing(), source }),
        Ok(Err(source)) => Err(StoreError::Database { doing: doing(), source: Box::new(source) }),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
            let text = text.unwrap_or("sled panicked");
            if text.contains("os error") {
                return Err(StoreError::Io { doing: doing(), source: io::Error::other(text.to_owned()) });
            }
            Err(StoreError::Database { doing: doing(), source: text.into() })
        }
    }
}
