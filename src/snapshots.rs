//! Snapshots: saved folds of the log, so that a start reads one of them and the tail behind it instead of the whole log.
//!
//! A snapshot is made from the log alone, beside the writer, and any doubt about one throws it away: what is lost with it
//! is the time to fold the log once more. `<position, 20 digits>.snapshot` is `ALS1` · version of the state (4) · version of
//! the records (1) · position (8) · hash of the frame that ends there (32) · hash of the state (32), then the head of the
//! chain and the state as `proto::snapshot` writes them, and at the end the keyed BLAKE3 of everything before; integers
//! big-endian. The key comes from the master key, so that whoever can write the disk alone cannot make a state that no log says.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use allowlog_projections::state::State;
use allowlog_proto::chain::Chain;
use allowlog_proto::record::RECORD_VERSION;
use zeroize::Zeroizing;

use crate::data_dir::make_directory;
use crate::log::disk::files::{Files, Handle};
use crate::log::{Store, StoreError, ends_at};
use crate::replay::{ReplayError, Replayed};

mod follower;
#[cfg(test)]
mod tests;

pub use follower::{SNAPSHOT_RECORDS, Snapshotting};

const MAGIC: [u8; 4] = *b"ALS1";
const HEADER_BYTES: u64 = 81;
const HASH_BYTES: u64 = 32;
/// Read and written at once.
const PIECE_BYTES: usize = 1024 * 1024;
/// The second is for the case that the first is in doubt.
const KEPT: usize = 2;

/// The directory of snapshots.
pub struct Snapshots {
    files: Arc<dyn Files>,
    dir: PathBuf,
    key: Zeroizing<[u8; 32]>,
}

impl Snapshots {
    /// The snapshots in this directory, which need not be there yet, hashed with this key.
    pub fn new(files: Arc<dyn Files>, dir: PathBuf, key: Zeroizing<[u8; 32]>) -> Self {
        Self { files, dir, key }
    }

    /// What the log comes to: the newest good snapshot of it, and the tail behind that folded. `progress` is told how many
    /// records are folded. Says where the snapshot ended, too.
    ///
    /// # Errors
    /// Names the first sequence that cannot be trusted.
    pub fn replay(&self, store: &dyn Store, mut progress: impl FnMut(u64)) -> Result<(Replayed, u64), ReplayError> {
        let mut replayed = self.newest(store)?;
        let position = replayed.chain.next_sequence();
        replayed.go_on(store, None, |position| {
            progress(position);
            true
        })?;
        Ok((replayed, position))
    }

    /// The newest good snapshot of this log; the empty state if there is none. One that is in doubt is removed.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn newest(&self, store: &dyn Store) -> Result<Replayed, StoreError> {
        for (position, path) in self.list().into_iter().rev() {
            let problem = match self.read(&path) {
                Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => error.to_string(),
                Err(error) => {
                    // Nothing is known about it: perhaps it can be read the next time.
                    tracing::warn!(snapshot.file = %path.display(), snapshot.error = %error, "a snapshot cannot be read and is passed over");
                    continue;
                }
                Ok(replayed) if replayed.chain.next_sequence() != position => "its name is not its position".to_owned(),
                Ok(_) if position > store.head() => "it is ahead of the log".to_owned(),
                Ok(replayed) if ends_at(store, position, replayed.chain.frame_hash())? => return Ok(replayed),
                Ok(_) => "it is of another log".to_owned(),
            };
            tracing::warn!(snapshot.file = %path.display(), snapshot.error = problem, "a snapshot cannot be used and is thrown away");
            drop(self.files.remove(&path));
        }
        Ok(Replayed::default())
    }

    /// Writes a snapshot, durably, and removes what it takes the place of.
    ///
    /// # Errors
    /// If it cannot be written. The snapshots before it are still there.
    pub fn write(&self, replayed: &Replayed) -> io::Result<()> {
        make_directory(&self.dir).map_err(io::Error::other)?;
        let position = replayed.chain.next_sequence();
        let path = self.dir.join(format!("{position:020}.snapshot"));
        let temporary = path.with_extension("new");
        // A crash up to the rename leaves a file that nobody reads, and the next snapshot removes.
        let file = self.files.create_zeroed(&temporary, 0)?;
        let hashing = Hashing { inner: Place { file: Arc::clone(&file), offset: 0 }, hasher: blake3::Hasher::new_keyed(&self.key) };
        let mut to = BufWriter::with_capacity(PIECE_BYTES, hashing);
        to.write_all(&MAGIC)?;
        to.write_all(&State::VERSION.to_be_bytes())?;
        // What is folded is not read again: without it, a log of another build would be taken for one of this.
        to.write_all(&[RECORD_VERSION])?;
        to.write_all(&position.to_be_bytes())?;
        to.write_all(&replayed.chain.frame_hash().0)?;
        to.write_all(&replayed.state.hash().0)?;
        replayed.chain.save(&mut to)?;
        replayed.state.save(&mut to)?;
        to.flush()?;
        let checksum = to.get_ref().hasher.finalize();
        to.write_all(checksum.as_bytes())?;
        to.flush()?;
        file.sync_data()?;
        self.files.rename(&temporary, &path)?;
        self.files.sync_dir(&self.dir)?;
        // Only now is there a newer one: a crash from here on leaves one too many.
        self.tidy()
    }

    /// Positions and files, oldest first.
    fn list(&self) -> Vec<(u64, PathBuf)> {
        // A directory that cannot be read is as good as an empty one: the log is read from its beginning.
        let paths = self.files.list(&self.dir).unwrap_or_default();
        let position = |path: &Path| path.file_name()?.to_str()?.strip_suffix(".snapshot")?.parse().ok();
        let mut all: Vec<(u64, PathBuf)> = paths.into_iter().filter_map(|path| Some((position(&path)?, path))).collect();
        all.sort();
        all
    }

    /// Removes all but the newest, and what a crash has left half written.
    fn tidy(&self) -> io::Result<()> {
        let all = self.list();
        let old = all.into_iter().rev().skip(KEPT).map(|(_, path)| path);
        let half = self.files.list(&self.dir)?.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "new"));
        old.chain(half).try_for_each(|path| self.files.remove(&path))
    }

    /// Reads a snapshot whose bytes have first been seen to be what was written.
    fn read(&self, path: &Path) -> io::Result<Replayed> {
        let file = self.files.open(path)?;
        let size = file.size()?;
        let end = size.checked_sub(HASH_BYTES).filter(|end| *end >= HEADER_BYTES).ok_or_else(|| wrong("it is cut off"))?;
        let reader = |from: u64, end: u64| {
            BufReader::with_capacity(PIECE_BYTES, Place { file: Arc::clone(&file), offset: from }.take(end.saturating_sub(from)))
        };
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        io::copy(&mut reader(0, end), &mut hasher)?;
        let mut header = [0; 81];
        let mut checksum = [0; 32];
        file.read_at(&mut header, 0)?;
        file.read_at(&mut checksum, end)?;
        if hasher.finalize() != checksum {
            return Err(wrong("it is damaged"));
        }
        let versions = header.get(..9).and_then(|start| start.strip_prefix(&MAGIC)).and_then(<[u8]>::split_last);
        if versions != Some((&RECORD_VERSION, State::VERSION.to_be_bytes().as_slice())) {
            return Err(wrong("it is of another version"));
        }
        let mut from = reader(HEADER_BYTES, end);
        let chain = Chain::load(&mut from)?;
        let state = State::load(&mut from)?;
        debug_assert_eq!(header.get(49..), Some(state.hash().0.as_slice()), "a state is read as it was written");
        let rest = from.read(&mut [0])?;
        if rest == 0 { Ok(Replayed { state, chain }) } else { Err(wrong("it goes on behind its end")) }
    }
}

fn wrong(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem.to_owned())
}

/// A place in a file, moved by reading and writing.
struct Place {
    file: Handle,
    offset: u64,
}

impl Place {
    fn moved(&mut self, bytes: usize) -> usize {
        self.offset = self.offset.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        bytes
    }
}

impl Write for Place {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(bytes, self.offset)?;
        Ok(self.moved(bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Place {
    /// Fills the buffer: whoever reads must not ask beyond the end of the file.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(bytes, self.offset)?;
        Ok(self.moved(bytes.len()))
    }
}

/// Hashes what passes.
struct Hashing {
    inner: Place,
    hasher: blake3::Hasher,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
