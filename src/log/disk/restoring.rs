//! Building a log on disk from frames that come from elsewhere: a backup, an archive, the journal of a lost log.
//!
//! It is built beside what is there, every link of it checked, and durable when this returns.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use allowlog_proto::chain::{Chain, ChainError};
use allowlog_proto::frame::Frame;
use allowlog_proto::record::Record;

use crate::log::disk::archive::Archive;
use crate::log::disk::files::Files;
use crate::log::disk::journal::Journal;
use crate::log::disk::journal::format::Position;
use crate::log::disk::journal::opening::{Opened, reach};
use crate::log::disk::volumes::Volumes;
use crate::log::disk::{DiskOptions, DiskStore, cannot, make_dir};
use crate::log::{Store as _, StoreError, ends_at};

/// Frames written between two flushes.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Builds `dir/log` and `dir/journal`, neither of which may be there, from the frames of a log from its beginning; `watch` is
/// shown each record.
///
/// # Errors
/// If a frame does not follow, or nothing can be written. What was built is then of no use.
pub fn build(
    dir: &Path,
    frames: impl Iterator<Item = Result<Arc<Frame>, StoreError>>,
    options: &DiskOptions,
    mut watch: impl FnMut(u64, &Record),
) -> Result<Chain, StoreError> {
    let files = &options.files;
    let (journal_dir, log_dir) = (dir.join("journal"), dir.join("log"));
    for made in [dir, &journal_dir, &log_dir] {
        make_dir(files.as_ref(), made)?;
    }
    let (volumes, _) = Volumes::open(Arc::clone(files), &log_dir, options.volume_bytes, true, None)?;
    let mut chain = Chain::new();
    let (mut batch, mut bytes) = (Vec::new(), 0_usize);
    for frame in frames {
        let frame = frame?;
        chain.admit(&frame, |sequence, record, _| watch(sequence, record)).map_err(does_not_follow)?;
        bytes = bytes.saturating_add(frame.bytes().len());
        batch.push(frame);
        if bytes >= BATCH_BYTES {
            volumes.write(&batch)?;
            volumes.commit()?;
            (batch, bytes) = (Vec::new(), 0);
        }
    }
    volumes.write(&batch)?;
    volumes.commit()?;
    drop(volumes);
    let end = Position { sequence: chain.next_sequence(), hash: chain.frame_hash() };
    Journal::found(files.as_ref(), &journal_dir, options.journal_file_bytes, end)?;
    files.sync_dir(dir).map_err(cannot("sync", dir))?;
    Ok(chain)
}

/// The frames of an archive, then those that only the journal under `journal` holds, if one is given.
///
/// # Errors
/// If a piece is missing, or the journal does not go on where the archive ends.
pub fn archived(
    files: Arc<dyn Files>,
    archive: &Path,
    journal: Option<&Path>,
) -> Result<impl Iterator<Item = Result<Arc<Frame>, StoreError>> + use<>, StoreError> {
    let archive = Arc::new(Archive::open(Arc::clone(&files), archive)?);
    let reach = archive.reach()?;
    if let Some(next) = reach.next {
        let (dir, end) = (archive.dir().display(), reach.end.sequence);
        return Err(StoreError::Archive(format!("the archive {dir} has a gap: sequences {end} to {next} are missing; put that file back")));
    }
    let behind = match journal {
        Some(journal) => {
            let Opened { unsettled, .. } = Journal::open(files, journal, 0, reach.end, false)?;
            unsettled
        }
        None => Vec::new(),
    };
    Ok(archive.frames(0).chain(behind.into_iter().map(|frame| Ok(Arc::new(frame)))))
}

/// How far the log under `dir` goes, as far as that can be told of one that may be damaged; nothing if there is none.
pub fn reach_of(dir: &Path, options: &DiskOptions) -> u64 {
    let (journal, log) = (dir.join("journal"), dir.join("log"));
    let files = options.files.as_ref();
    let opened = log.is_dir().then(|| DiskStore::open(dir, DiskOptions { settle: false, archive: None, ..options.clone() }));
    if let Some(Ok(store)) = opened {
        return store.head();
    }
    // The newest volume begins where others end, and each journal file says where it begins.
    let volumes = files.list(&log).unwrap_or_default();
    let volumes = volumes.iter().filter_map(|path| path.file_name()?.to_str()?.parse::<u64>().ok());
    volumes.max().unwrap_or_default().max(reach(files, &journal))
}

/// The end of the log under `dir`, if that can be read and is no part of the log that was built in `built`.
pub fn contradicts(dir: &Path, built: &Path, options: &DiskOptions) -> Option<u64> {
    let to_read = || DiskOptions { settle: false, archive: None, ..options.clone() };
    if !dir.join("log").is_dir() {
        return None;
    }
    let here = DiskStore::open(dir, to_read()).ok()?;
    let head = here.head();
    let last = here.scan(head.checked_sub(1)?).next()?.ok()?;
    let there = DiskStore::open(built, to_read()).ok()?;
    let same = head <= there.head() && ends_at(&there, head, last.hash()).unwrap_or(false);
    (!same).then_some(head)
}

// Putting it in its place. What is built in `restored.partial` counts for nothing; once it has the name `restored` it is what
// counts, and every further step can be done again, here or by the next start.

/// What a restore brings, in the order in which it is put in its place.
const BROUGHT: [&str; 2] = ["journal", "log"];
/// What is made again from the log, and is of another log now.
const DERIVED: [&str; 2] = ["search", "snapshots"];

/// The directory to build in, without what an earlier try has left.
///
/// # Errors
/// If that cannot be removed.
pub fn begin(data: &Path) -> Result<PathBuf, StoreError> {
    let partial = data.join("restored.partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(cannot("remove", &partial))?;
    }
    Ok(partial)
}

/// Accepts what was built: from here on it is the log of this directory. Says what was set aside.
///
/// # Errors
/// What is left to do is done by [`finish`].
pub fn accept(files: &dyn Files, data: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let (partial, restored) = (data.join("restored.partial"), data.join("restored"));
    // A crash before this is durable leaves everything as it was.
    files.rename(&partial, &restored).map_err(cannot("rename", &partial))?;
    files.sync_dir(data).map_err(cannot("sync", data))?;
    finish(files, data)
}

/// Puts what was accepted in its place, if there is anything. Says what was set aside.
///
/// # Errors
/// It can be called again.
pub fn finish(files: &dyn Files, data: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let restored = data.join("restored");
    if !restored.is_dir() {
        return Ok(Vec::new());
    }
    let mut aside = Vec::new();
    // Each has its old name or its new one, never none: the next call tells from that how far this one came.
    for name in BROUGHT {
        put(files, &restored.join(name), &data.join(name), &mut aside)?;
    }
    let (brought, keys) = (restored.join("keys"), data.join("keys"));
    if brought.is_dir() {
        make_dir(files, &keys)?;
        for key in files.list(&brought).map_err(cannot("list", &brought))? {
            let place = keys.join(key.file_name().unwrap_or_default());
            if fs::read(&place).ok() == fs::read(&key).ok() {
                files.remove(&key).map_err(cannot("remove", &key))?;
            } else {
                put(files, &key, &place, &mut aside)?;
            }
        }
        files.sync_dir(&keys).map_err(cannot("sync", &keys))?;
    }
    files.sync_dir(data).map_err(cannot("sync", data))?;
    for derived in DERIVED.map(|name| data.join(name)).iter().filter(|path| path.exists()) {
        fs::remove_dir_all(derived).map_err(cannot("remove", derived))?;
    }
    // Last, as it is what says that there is something to finish.
    fs::remove_dir_all(&restored).map_err(cannot("remove", &restored))?;
    files.sync_dir(data).map_err(cannot("sync", data))?;
    Ok(aside)
}

/// Gives what was brought its place, and what has it now another name.
fn put(files: &dyn Files, brought: &Path, place: &Path, aside: &mut Vec<PathBuf>) -> Result<(), StoreError> {
    if !brought.exists() {
        return Ok(()); // It was put there before.
    }
    if place.exists() {
        let name = place.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let free = (1_u32..).map(|n| place.with_file_name(format!("{name}.set-aside-{n}"))).find(|path| !path.exists());
        let free = free.unwrap_or_default();
        files.rename(place, &free).map_err(cannot("set aside", place))?;
        aside.push(free);
    }
    files.rename(brought, place).map_err(cannot("put in its place", brought))
}

fn does_not_follow(error: ChainError) -> StoreError {
    let damaged = || StoreError::Damaged { sequence: error.sequence, problem: error.to_string() };
    StoreError::version(&error).unwrap_or_else(damaged)
}
