//! The file operations of the log on disk, so that tests can fail, tear and watch each of them.
//!
//! sled does its own; what is here is the journal's and the archive's, and what makes sled's file durable.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(test)]
pub(crate) mod scripted;

/// An open file.
pub type Handle = Arc<dyn OpenFile>;

/// The operations on names.
pub trait Files: Send + Sync {
    /// The names within a directory, in no order.
    ///
    /// # Errors
    /// As the operating system says; so for all operations here.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;

    /// Makes a file of `bytes` zeros, replacing what has the name, and makes its contents durable; not yet its name.
    ///
    /// # Errors
    /// The file may be there in part.
    fn create_zeroed(&self, path: &Path, bytes: u64) -> io::Result<Handle>;

    /// Opens a file that exists.
    ///
    /// # Errors
    /// As the operating system says.
    fn open(&self, path: &Path) -> io::Result<Handle>;

    /// Opens a file that exists, only to read it.
    ///
    /// # Errors
    /// As the operating system says.
    fn open_to_read(&self, path: &Path) -> io::Result<Handle>;

    /// Makes a file with these contents, which its owner alone can read, replacing what has the name, and makes the contents durable; not yet the name.
    ///
    /// # Errors
    /// The file may be there in part.
    fn write_whole(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Gives a file another name; durable with [`Files::sync_dir`].
    ///
    /// # Errors
    /// As the operating system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the operating system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names within a directory durable.
    ///
    /// # Errors
    /// As the operating system says.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// The operations on contents.
pub trait OpenFile: Send + Sync {
    /// Bytes of the file.
    ///
    /// # Errors
    /// As the operating system says; so for all operations here.
    fn size(&self) -> io::Result<u64>;

    /// Fills `bytes` from `offset` on.
    ///
    /// # Errors
    /// Also if the file ends before.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` from `offset` on.
    ///
    /// # Errors
    /// Any part of them may be there.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// `fdatasync`.
    ///
    /// # Errors
    /// What was written since the last success is in doubt for good, whatever a further call says.
    fn sync_data(&self) -> io::Result<()>;
}

/// The operating system's.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsFiles;

/// Zeros are written in pieces of this size.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

impl Files for OsFiles {
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(dir)?.map(|entry| entry.map(|e| e.path())).collect()
    }

    fn create_zeroed(&self, path: &Path, bytes: u64) -> io::Result<Handle> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        let mut offset = 0;
        while offset < bytes {
            let size = usize::try_from(bytes.saturating_sub(offset)).unwrap_or(usize::MAX).min(ZEROS.len());
            file.write_all_at(ZEROS.get(..size).unwrap_or_default(), offset)?;
            offset = offset.saturating_add(u64::try_from(size).unwrap_or(u64::MAX));
        }
        // The size is metadata: the one time that more than fdatasync is wanted.
        file.sync_all()?;
        Ok(Arc::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Handle> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Handle> {
        Ok(Arc::new(File::open(path)?))
    }

    fn write_whole(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all_at(bytes, 0)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

impl OpenFile for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }
}
