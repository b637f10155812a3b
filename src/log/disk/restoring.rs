//! Building a log on disk from frames that come from elsewhere: a backup, an archive, the journal of a lost log.
//!
//! It is built beside what is there, every link of it checked, and durable when this returns.

use std::path::Path;
use std::sync::Arc;

use allowlog_proto::chain::{Chain, ChainError};
use allowlog_proto::frame::Frame;

use crate::log::Store as _;
use crate::log::StoreError;
use crate::log::disk::archive::Archive;
use crate::log::disk::files::Files;
use crate::log::disk::journal::Journal;
use crate::log::disk::journal::format::Position;
use crate::log::disk::journal::opening::{Opened, reach};
use crate::log::disk::volumes::Volumes;
use crate::log::disk::{DiskOptions, DiskStore, cannot, make_dir};

/// Frames written between two flushes.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Builds `dir/log` and `dir/journal`, neither of which may be there, from the frames of a log from its beginning.
///
/// # Errors
/// If a frame does not follow, or nothing can be written. What was built is then of no use.
pub fn build(
    dir: &Path,
    frames: impl Iterator<Item = Result<Arc<Frame>, StoreError>>,
    options: &DiskOptions,
    mut progress: impl FnMut(u64),
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
        chain.admit(&frame, |_, _, _| {}).map_err(does_not_follow)?;
        bytes = bytes.saturating_add(frame.bytes().len());
        batch.push(frame);
        if bytes >= BATCH_BYTES {
            volumes.write(&batch)?;
            volumes.commit()?;
            (batch, bytes) = (Vec::new(), 0);
            progress(chain.next_sequence());
        }
    }
    volumes.write(&batch)?;
    volumes.commit()?;
    progress(chain.next_sequence());
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
) -> Result<impl Iterator<Item = Result<Arc<Frame>, StoreError>>, StoreError> {
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

fn does_not_follow(error: ChainError) -> StoreError {
    StoreError::Damaged { sequence: error.sequence, problem: error.to_string() }
}
