//! The log on disk: the journal makes an answer durable, a thread settles it into the sled log, memory holds the newest.
//!
//! `<dir>/journal/` and `<dir>/log/` are ours; whatever else the directory holds belongs to others.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use allowlog_proto::frame::Frame;
use allowlog_proto::signing::Signature;

use crate::log::disk::archive::Archive;
use crate::log::disk::archiving::Archiving;
use crate::log::disk::files::{Files, OsFiles};
use crate::log::disk::journal::Journal;
use crate::log::disk::journal::format::Position;
use crate::log::disk::journal::opening::{self, Opened};
use crate::log::disk::recent::Recent;
use crate::log::disk::scan::Scan;
use crate::log::disk::settling::Wishes;
use crate::log::disk::volumes::Volumes;
use crate::log::disk::volumes::rebuilding::Remedy;
use crate::log::{Frames, Store, StoreError};
use crate::priority::behind;

mod archive;
mod archiving;
pub mod files;
mod journal;
mod recent;
pub mod restoring;
mod scan;
mod settling;
#[cfg(test)]
pub(crate) mod tests;
mod volumes;

/// With more than this waiting to be settled, appending waits: a quarter of what the journal takes.
const BACKLOG_BYTES: usize = 64 * 1024 * 1024;
/// But not for ever.
const BACKLOG_WAIT: Duration = Duration::from_secs(2);

/// How a log is kept on disk.
#[derive(Clone)]
pub struct DiskOptions {
    /// Size of a journal file; a larger frame gets a file of its own size.
    pub journal_file_bytes: u64,
    /// A volume that holds so many bytes of frames is followed by the next.
    pub volume_bytes: u64,
    /// Whether frames are settled. Without it the log can only be read.
    pub settle: bool,
    /// Where journal files are copied to before they are used again.
    pub archive: Option<PathBuf>,
    /// The file operations.
    pub files: Arc<dyn Files>,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            journal_file_bytes: 16 * 1024 * 1024,
            volume_bytes: 256 * 1024 * 1024,
            settle: true,
            archive: None,
            files: Arc::new(OsFiles),
        }
    }
}

/// The log on disk.
pub struct DiskStore {
    shared: Arc<Shared>,
    settler: Option<JoinHandle<()>>,
    archiver: Option<JoinHandle<()>>,
}

/// What the writer, the readers and the settler share. Locks are taken one at a time.
struct Shared {
    files: Arc<dyn Files>,
    journal: Mutex<Journal>,
    volumes: Volumes,
    live: Mutex<Live>,
    /// Wakes the settler.
    wake: Condvar,
    /// Told after each try of the settler.
    settled: Condvar,
}

/// What is in memory.
struct Live {
    recent: Recent,
    /// Signatures that are not settled, the last of them at `signed`.
    signatures: VecDeque<Signature>,
    signed: u64,
    wishes: Wishes,
}

impl DiskStore {
    /// Opens the log in `dir`, which is made if it is not there: cuts what was never answered, and begins to settle the rest.
    ///
    /// # Errors
    /// If files cannot be read or written, another process has the log open, or it is damaged.
    pub fn open(dir: &Path, options: DiskOptions) -> Result<Self, StoreError> {
        let DiskOptions { journal_file_bytes, volume_bytes, settle, archive, files } = options;
        let (journal_dir, log_dir) = (dir.join("journal"), dir.join("log"));
        if settle {
            for made in [dir, &journal_dir, &log_dir] {
                make_dir(files.as_ref(), made)?;
            }
        }
        let archive = archive.filter(|_| settle);
        if let Some(archive) = &archive {
            make_dir(files.as_ref(), archive)?;
        }
        let archive = archive.map(|dir| Archive::open(Arc::clone(&files), &dir).map(Arc::new)).transpose()?;
        // The lock on the newest volume keeps other processes from the journal too.
        let remedy = archive.clone().map(|archive| Remedy { archive, journal: journal_dir.clone() });
        // sled starts seven threads when it is first used, as nice as whoever uses it. They write a megabyte at a time, so whoever
        // answers comes before them; on a busy machine whoever opens a sealed volume, which they read as well, waits for longer.
        let opened = behind(settling::NICE, || Volumes::open(Arc::clone(&files), &log_dir, volume_bytes, settle, remedy));
        let (volumes, mut settled) = opened.map_err(cannot("open", &log_dir))??;
        if let Some(archive) = &archive {
            settled = settle_again(&volumes, archive, settled, &journal_dir)?;
        }
        let signed = volumes.signed()?;
        let Opened { journal, unsettled } = Journal::open(Arc::clone(&files), &journal_dir, journal_file_bytes, settled, settle)?;
        let mut recent = Recent::new(settled.sequence);
        for frame in unsettled {
            recent.push(Arc::new(frame));
        }
        let live = Live { recent, signatures: VecDeque::new(), signed, wishes: Wishes::default() };
        let shared =
            Shared { files, journal: Mutex::new(journal), volumes, live: Mutex::new(live), wake: Condvar::new(), settled: Condvar::new() };
        let shared = Arc::new(shared);
        let archiving = archive.map(|archive| Archiving { archive, keys: dir.join("keys"), piece_bytes: journal_file_bytes });
        if let Some(archiving) = &archiving {
            archiving.check(&shared)?;
            lock(&shared.journal).archived(archiving.archive.reach()?.end.sequence);
        }
        let mut store = Self { shared, settler: None, archiver: None };
        if settle {
            let shared = Arc::clone(&store.shared);
            store.settler = Some(start("settler", move || settling::run(&shared))?);
        }
        if let Some(archiving) = archiving {
            let shared = Arc::clone(&store.shared);
            store.archiver = Some(start("archiver", move || archiving.run(&shared))?);
        }
        Ok(store)
    }

    /// Settles everything appended so far, signatures included, without waiting for more.
    ///
    /// # Errors
    /// If it failed once; it is tried again all the same.
    pub fn settle(&self) -> Result<(), StoreError> {
        let mut live = lock(&self.shared.live);
        let (head, signed) = (live.recent.head(), live.signed);
        live.wishes.failure = None;
        loop {
            if live.recent.settled() >= head && live.signatures_from() >= signed.min(head) {
                return Ok(());
            }
            if live.wishes.ended || live.wishes.failure.is_some() || self.settler.is_none() {
                let why = live.wishes.failure.clone().unwrap_or_else(|| "nothing settles".to_owned());
                return Err(StoreError::Io { doing: "settle the log".to_owned(), source: io::Error::other(why) });
            }
            live.wishes.now = true;
            self.shared.wake.notify_all();
            live = self.shared.settled.wait(live).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Settles everything and ends the settler. Dropping does the same, but cannot say what went wrong.
    ///
    /// # Errors
    /// If not everything could be settled: it stays in the journal.
    pub fn close(mut self) -> Result<(), StoreError> {
        let failure = self.end();
        match failure {
            None => Ok(()),
            Some(why) => Err(StoreError::Io { doing: "settle the log".to_owned(), source: io::Error::other(why) }),
        }
    }

    /// Holds the writer up while so much waits that the journal could come to its end, unless settling fails or hangs: then
    /// what is left of the journal is used. Whoever comes meanwhile fills the queue, and is told to come again.
    fn wait_for_settling(&self) {
        let live = lock(&self.shared.live);
        let too_much = |live: &mut Live| live.waiting_bytes() > BACKLOG_BYTES && live.wishes.failure.is_none() && !live.wishes.ended;
        let waited = self.shared.settled.wait_timeout_while(live, BACKLOG_WAIT, too_much);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Returns once the settler rests, and keeps it from beginning anything.
    #[cfg(test)]
    fn pause(&self) {
        let mut live = lock(&self.shared.live);
        live.wishes.paused = true;
        drop(self.shared.settled.wait_while(live, |live| !live.wishes.resting).unwrap());
    }

    /// Returns once the archive reaches so far, or could not be written again.
    #[cfg(test)]
    fn wait_for_archive(&self, sequence: u64) -> Result<(), String> {
        let mut live = lock(&self.shared.live);
        live.wishes.archive_failure = None;
        live.wishes.archive_now = true;
        self.shared.settled.notify_all();
        loop {
            if live.wishes.archived >= sequence {
                return Ok(());
            }
            if let Some(failure) = live.wishes.archive_failure.clone() {
                return Err(failure);
            }
            live = self.shared.settled.wait(live).unwrap();
        }
    }

    #[cfg(test)]
    fn resume(&self) {
        lock(&self.shared.live).wishes.paused = false;
        self.shared.wake.notify_all();
    }

    fn end(&mut self) -> Option<String> {
        let settler = self.settler.take()?;
        lock(&self.shared.live).wishes.closing = true;
        self.shared.wake.notify_all();
        self.shared.settled.notify_all();
        if settler.join().is_err() {
            return Some("the settler panicked".to_owned());
        }
        // What it has not archived is still in the journal, and archived at the next start.
        if self.archiver.take().is_some_and(|archiver| archiver.join().is_err()) {
            return Some("the archiver panicked".to_owned());
        }
        lock(&self.shared.live).wishes.failure.take()
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        // The settler has reported what went wrong.
        drop(self.end());
    }
}

impl Store for DiskStore {
    fn append(&self, frame: Frame) -> Result<(), StoreError> {
        if self.settler.is_none() {
            return Err(StoreError::Io { doing: "append to the log".to_owned(), source: io::Error::other("it was opened for reading") });
        }
        if lock(&self.shared.live).wishes.ended {
            return Err(StoreError::Io { doing: "append to the log".to_owned(), source: io::Error::other("the settler has ended") });
        }
        self.wait_for_settling();
        lock(&self.shared.journal).append(&frame)?;
        let mut live = lock(&self.shared.live);
        let waited = live.waiting_bytes();
        live.recent.push(Arc::new(frame));
        let wake = waited == 0 || (waited < settling::BATCH_BYTES && live.waiting_bytes() >= settling::BATCH_BYTES);
        drop(live);
        if wake {
            self.shared.wake.notify_all();
        }
        Ok(())
    }

    fn recover(&self) -> Result<(), StoreError> {
        lock(&self.shared.journal).recover()
    }

    fn head(&self) -> u64 {
        lock(&self.shared.live).recent.head()
    }

    fn scan(&self, sequence: u64) -> Frames {
        Box::new(Scan::new(Arc::clone(&self.shared), sequence, self.head()))
    }

    fn locate(&self, time_ms: u64) -> Result<u64, StoreError> {
        let located = lock(&self.shared.live).recent.locate(time_ms);
        match located {
            Some(sequence) => Ok(sequence),
            None => self.shared.volumes.locate(time_ms),
        }
    }

    fn put_signatures(&self, sequence: u64, signatures: &[Signature]) -> Result<(), StoreError> {
        let mut live = lock(&self.shared.live);
        let end = sequence.saturating_add(count(signatures.len()));
        if sequence != live.signed || end > live.recent.head() {
            let source = io::Error::other("they do not follow the last ones, or are of no record");
            return Err(StoreError::Io { doing: format!("keep signatures from sequence {sequence} on"), source });
        }
        let waited = live.waiting_bytes();
        live.signatures.extend(signatures);
        live.signed = end;
        drop(live);
        if waited == 0 {
            self.shared.wake.notify_all();
        }
        Ok(())
    }

    fn signature(&self, sequence: u64) -> Result<Option<Signature>, StoreError> {
        {
            let live = lock(&self.shared.live);
            if sequence >= live.signed {
                return Ok(None);
            }
            if let Some(at) = sequence.checked_sub(live.signatures_from()) {
                return Ok(usize::try_from(at).ok().and_then(|at| live.signatures.get(at).copied()));
            }
        }
        self.shared.volumes.signature(sequence)
    }

    fn signed(&self) -> u64 {
        lock(&self.shared.live).signed
    }

    fn settled(&self) -> Option<(u64, usize)> {
        let live = lock(&self.shared.live);
        Some((live.recent.settled(), live.recent.unsettled_bytes()))
    }
}

impl Live {
    /// Bytes that could be settled.
    fn waiting_bytes(&self) -> usize {
        self.recent.unsettled_bytes().saturating_add(self.signatures.len().saturating_mul(size_of::<Signature>()))
    }

    /// The sequence of the first signature in memory.
    fn signatures_from(&self) -> u64 {
        self.signed.saturating_sub(count(self.signatures.len()))
    }

    /// The signatures in memory of records before `end`, and the sequence of the first.
    fn signatures_before(&self, end: u64) -> (u64, Vec<Signature>) {
        let from = self.signatures_from();
        let many = usize::try_from(end.saturating_sub(from)).unwrap_or(usize::MAX);
        (from, self.signatures.iter().take(many).copied().collect())
    }

    fn drop_signatures(&mut self, count: usize) {
        self.signatures.drain(..count.min(self.signatures.len()));
    }
}

fn start(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map_err(|source| StoreError::Io { doing: format!("start the {name}"), source })
}

/// Settles what the archive has and the newest volume has not, where the journal shows that it lost its end.
fn settle_again(volumes: &Volumes, archive: &Arc<Archive>, settled: Position, journal: &Path) -> Result<Position, StoreError> {
    let reach = archive.reach()?.end;
    let begins = opening::begins(volumes.files(), journal)?;
    let goes_on = begins.is_some_and(|begins| begins <= reach.sequence) && opening::reach(volumes.files(), journal) >= reach.sequence;
    if reach.sequence <= settled.sequence || !goes_on {
        return Ok(settled);
    }
    tracing::error!(found = settled.sequence, archived = reach.sequence, "settled frames are missing; they are taken from the archive");
    let mut end = settled;
    for frame in archive.frames(settled.sequence) {
        let frame = frame?;
        if !end.precedes(&frame) {
            let problem = "what is settled is not what was archived".to_owned();
            return Err(StoreError::Damaged { sequence: end.sequence, problem });
        }
        end = Position::behind(&frame);
        volumes.write(&[frame])?;
    }
    volumes.commit()?;
    Ok(end)
}

/// Makes a directory that survives, as far as its parent does.
fn make_dir(files: &dyn Files, dir: &Path) -> Result<(), StoreError> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(cannot("create", dir))?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    files.sync_dir(parent).map_err(cannot("sync", parent))
}

fn cannot(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let doing = format!("{doing} {}", path.display());
    move |source| StoreError::Io { doing, source }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}
