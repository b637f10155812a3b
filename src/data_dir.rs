//! The data directory: where things are in it, and the lock that keeps a second process out.
//!
//! ```text
//! lock          held while a process uses the directory
//! master.key    32 bytes in hex, mode 0600, unless the master key comes from the environment
//! admin.hash    hash of the operator's token, mode 0600
//! keys/         signing keys, sealed under the master key, one file each
//! journal/      the tail that makes an answer durable
//! log/          the settled log, a row of volumes
//! search/       what lists are found by; made again from the log
//! snapshots/    saved folds of the log, so that a start is quick; made again from the log
//! tiles/        the trees of the workspaces; made again from the log
//! checkpoints   which checkpoints were signed
//! webhooks      how far webhooks were delivered, and which of them are still to be
//! restored/     what a restore has accepted and not yet put in its place
//! *.set-aside-N what a restore, or a volume made again, took the place of
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::log::disk::files::OsFiles;
use crate::log::disk::restoring;

/// A shorter text is no secret: an empty file must not open every door.
const SECRET_BYTES_MIN: usize = 32;

/// A data directory this process alone uses.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File, // released by the operating system when the process ends, however it ends
}

/// A data directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process has it.
    #[error("`{0}` is in use by another allowlog process; stop that one first")]
    InUse(PathBuf),
    /// There is none.
    #[error("`{0}` is not an allowlog data directory; `allowlog init --data {0}` makes one")]
    Missing(PathBuf),
    /// A secret that others can read.
    #[error("`{path}` has mode {mode:o}, so that others can read it; `chmod 600 {path}` mends that")]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Keys without the log they signed.
    #[error("`{0}` has keys but no log: is a file system not mounted? restore the log, or remove the directory to begin anew")]
    LogGone(PathBuf),
    /// A secret that is gone, and that no other can take the place of.
    #[error("`{0}` is missing: the log was written under it; restore it, or give it in ALLOWLOG_MASTER_KEY")]
    SecretGone(PathBuf),
    /// A secret anybody could guess.
    #[error("`{0}` holds no secret; restore it")]
    NoSecret(PathBuf),
    /// A restore was cut off between two renames, and the second cannot be done either.
    #[error("a restore was cut off and cannot be finished: {0}")]
    Restored(String),
    /// Nobody could operate the server.
    #[error("`{0}` holds no hash of an admin token; `allowlog admin-token rotate` draws another")]
    NoAdminToken(PathBuf),
    /// The operating system refused.
    #[error("cannot {doing} `{path}`: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl DataDir {
    /// Takes the directory, and makes it if need be.
    ///
    /// # Errors
    /// If another process has it, or it cannot be made.
    pub fn create(path: &Path) -> Result<Self, DataDirError> {
        make_directory(path)?;
        let directory = Self::lock(path)?;
        // The log is made before the first key, so keys without a log are what a mount that failed looks like.
        let has_keys = fs::read_dir(directory.keys()).is_ok_and(|mut keys| keys.next().is_some());
        let has_log = fs::read_dir(path.join("log")).is_ok_and(|mut volumes| volumes.next().is_some());
        if has_keys && !has_log { Err(DataDirError::LogGone(path.to_owned())) } else { Ok(directory) }
    }

    /// Takes a directory that is there.
    ///
    /// # Errors
    /// If it is not, or another process has it.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let is_one = path.join("log").is_dir() || path.join("restored").is_dir();
        if is_one { Self::lock(path) } else { Err(DataDirError::Missing(path.to_owned())) }
    }

    /// Locks it, and finishes what a restore that was cut off had decided.
    fn lock(path: &Path) -> Result<Self, DataDirError> {
        let directory = Self::lock_only(path)?;
        finish(path)?;
        Ok(directory)
    }

    fn lock_only(path: &Path) -> Result<Self, DataDirError> {
        let file = path.join("lock");
        let lock = OpenOptions::new().create(true).append(true).open(&file).map_err(failed("open", &file))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(failed("lock", &file)(source)),
        }
    }

    /// Takes a directory to restore into, whatever is in it, and makes it if need be. An earlier restore that was cut off is
    /// finished first; says what that set aside.
    ///
    /// # Errors
    /// If another process has it, or it cannot be made.
    pub fn take(path: &Path) -> Result<(Self, Vec<PathBuf>), DataDirError> {
        make_directory(path)?;
        let directory = Self::lock_only(path)?;
        let aside = finish(path)?;
        Ok((directory, aside))
    }

    /// Takes a directory of another kind, such as a witness's, and makes it if need be.
    ///
    /// # Errors
    /// If another process has it, or it cannot be made.
    pub fn take_any(path: &Path) -> Result<Self, DataDirError> {
        make_directory(path)?;
        Self::lock_only(path)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where sealed signing keys are.
    pub fn keys(&self) -> PathBuf {
        self.path.join("keys")
    }

    /// Where the search index is.
    pub fn search(&self) -> PathBuf {
        self.path.join("search")
    }

    /// Where the trees are.
    pub fn tiles(&self) -> PathBuf {
        self.path.join("tiles")
    }

    /// What says which checkpoints were signed.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// What says which webhooks are still to be delivered.
    pub fn webhooks(&self) -> PathBuf {
        self.path.join("webhooks")
    }

    /// Where snapshots are.
    pub fn snapshots(&self) -> PathBuf {
        self.path.join("snapshots")
    }

    /// The master key's text; it is drawn for a new directory only, since no other could open what is sealed in an old one.
    ///
    /// # Errors
    /// If it cannot be read or written, others could read it, or it is gone.
    pub fn master_key(&self, draw: impl FnOnce() -> Zeroizing<String>) -> Result<Zeroizing<String>, DataDirError> {
        let (name, path) = ("master.key", self.path.join("master.key"));
        if !path.exists() {
            if self.path.join("log").exists() {
                return Err(DataDirError::SecretGone(path));
            }
            self.write_secret(name, &draw())?;
        }
        self.read_secret(name)?.ok_or(DataDirError::SecretGone(path))
    }

    /// Writes a secret to the file of this name.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_secret(&self, name: &str, text: &str) -> Result<(), DataDirError> {
        write_durably(&self.path.join(name), Zeroizing::new(format!("{text}\n")).as_bytes())
    }

    /// The secret in the file of this name, if there is one.
    ///
    /// # Errors
    /// If it cannot be read, or others could read it.
    pub fn read_secret(&self, name: &str) -> Result<Option<Zeroizing<String>>, DataDirError> {
        let path = self.path.join(name);
        if !path.exists() {
            return Ok(None);
        }
        let mode = fs::metadata(&path).map_err(failed("look at", &path))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(DataDirError::Permissions { path, mode });
        }
        let text = Zeroizing::new(fs::read_to_string(&path).map_err(failed("read", &path))?);
        let text = text.trim();
        if text.len() < SECRET_BYTES_MIN || text.contains(char::is_whitespace) {
            Err(DataDirError::NoSecret(path))
        } else {
            Ok(Some(Zeroizing::new(text.to_owned())))
        }
    }
}

fn finish(path: &Path) -> Result<Vec<PathBuf>, DataDirError> {
    restoring::finish(&OsFiles, path).map_err(|error| DataDirError::Restored(error.to_string()))
}

/// Makes a directory that only its owner can look into, and makes its name durable.
///
/// # Errors
/// If the operating system refuses.
pub fn make_directory(path: &Path) -> Result<(), DataDirError> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_directory(parent)?;
    DirBuilder::new().mode(0o700).create(path).map_err(failed("create", path))?;
    File::open(parent).and_then(|directory| directory.sync_all()).map_err(failed("sync", parent))
}

/// Writes a file that only its owner can read, whole or not at all: to a temporary name, synced, renamed, directory synced.
///
/// # Errors
/// If the operating system refuses.
pub fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), DataDirError> {
    let temporary = path.with_extension("new");
    let mut file =
        OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&temporary).map_err(failed("create", &temporary))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed("write", &temporary))?;
    fs::rename(&temporary, path).map_err(failed("rename to", path))?;
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory).and_then(|d| d.sync_all()).map_err(failed("sync", directory))
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    move |source| DataDirError::Io { doing, path: path.to_owned(), source }
}
