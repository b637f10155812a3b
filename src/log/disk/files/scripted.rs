//! File operations that fail as scripted and remember what was done.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Files, Handle, OpenFile, OsFiles};

/// What goes wrong with one operation. All are reported as an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing was done.
    Lost,
    /// All was done.
    DoneButFailed,
    /// Of a write, the first half was done; of anything else, nothing.
    Torn,
}

/// An operation that changes something, in the order in which they were done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// See [`Files::create_zeroed`].
    Create(PathBuf),
    /// See [`Files::write_whole`].
    WriteWhole(PathBuf),
    /// See [`Files::rename`].
    Rename(PathBuf, PathBuf),
    /// See [`Files::remove`].
    Remove(PathBuf),
    /// See [`Files::sync_dir`].
    SyncDir(PathBuf),
    /// See [`OpenFile::write_at`]: where, and how many bytes.
    Write(PathBuf, u64, usize),
    /// See [`OpenFile::sync_data`].
    SyncData(PathBuf),
}

/// When a watch is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before the operation, whether or not it is scripted to fail.
    Before,
    /// Once it has succeeded.
    Done,
}

/// Called around each operation that changes something.
pub type Watch = Box<dyn Fn(When, &Operation) + Send + Sync>;

/// File operations that fail as scripted. Clones share one script.
#[derive(Clone, Default)]
pub struct ScriptedFiles {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    script: Mutex<Script>,
    watches: Mutex<Vec<Watch>>,
}

#[derive(Default)]
struct Script {
    done: Vec<Operation>,
    faults: BTreeMap<usize, Fault>,
    broken: Option<(String, Fault)>,
}

struct ScriptedFile {
    path: PathBuf,
    file: Handle,
    shared: Arc<Shared>,
}

impl ScriptedFiles {
    /// The operating system's, without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the operation after `operations` further ones fail.
    pub fn fail(&self, operations: usize, fault: Fault) {
        let mut script = self.shared.lock();
        let nth = script.done.len().saturating_add(operations);
        script.faults.insert(nth, fault);
    }

    /// Lets every operation fail on a path that ends in `suffix`, until [`ScriptedFiles::mend`].
    pub fn break_path(&self, suffix: &str, fault: Fault) {
        self.shared.lock().broken = Some((suffix.to_owned(), fault));
    }

    /// How many operations there were so far.
    pub fn count(&self) -> usize {
        self.shared.lock().done.len()
    }

    /// Takes all faults back.
    pub fn mend(&self) {
        let mut script = self.shared.lock();
        script.faults.clear();
        script.broken = None;
    }

    /// Has `watch` called around each operation from now on.
    pub fn watch(&self, watch: Watch) {
        self.shared.watches.lock().unwrap_or_else(PoisonError::into_inner).push(watch);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run<T>(&self, operation: Operation, torn: impl FnOnce(), act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.tell(When::Before, &operation);
        let fault = {
            let mut script = self.lock();
            let nth = script.done.len();
            let broken = script.broken.as_ref().filter(|(suffix, _)| operation.path().to_string_lossy().ends_with(suffix.as_str()));
            let broken = broken.map(|(_, fault)| *fault);
            script.done.push(operation.clone());
            script.faults.remove(&nth).or(broken)
        };
        match fault {
            None => return act().inspect(|_| self.tell(When::Done, &operation)),
            Some(Fault::Lost) => {}
            Some(Fault::Torn) => torn(),
            Some(Fault::DoneButFailed) => drop(act()?),
        }
        Err(io::Error::other("scripted fault"))
    }

    fn tell(&self, when: When, operation: &Operation) {
        for watch in self.watches.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            watch(when, operation);
        }
    }

    fn wrap(self: &Arc<Self>, path: &Path, file: Handle) -> Handle {
        Arc::new(ScriptedFile { path: path.to_owned(), file, shared: Arc::clone(self) })
    }
}

impl Operation {
    /// The file or directory it is about; of a rename, the old name.
    pub fn path(&self) -> &Path {
        match self {
            Self::Create(path)
            | Self::WriteWhole(path)
            | Self::Rename(path, _)
            | Self::Remove(path)
            | Self::SyncDir(path)
            | Self::Write(path, _, _)
            | Self::SyncData(path) => path,
        }
    }
}

impl Files for ScriptedFiles {
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        OsFiles.list(dir)
    }

    fn create_zeroed(&self, path: &Path, bytes: u64) -> io::Result<Handle> {
        let torn = || drop(OsFiles.create_zeroed(path, bytes / 2));
        let file = self.shared.run(Operation::Create(path.to_owned()), torn, || OsFiles.create_zeroed(path, bytes))?;
        Ok(self.shared.wrap(path, file))
    }

    fn open(&self, path: &Path) -> io::Result<Handle> {
        Ok(self.shared.wrap(path, OsFiles.open(path)?))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Handle> {
        Ok(self.shared.wrap(path, OsFiles.open_to_read(path)?))
    }

    fn write_whole(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
        let torn = || drop(OsFiles.write_whole(path, half));
        self.shared.run(Operation::WriteWhole(path.to_owned()), torn, || OsFiles.write_whole(path, bytes))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.shared.run(Operation::Rename(from.to_owned(), to.to_owned()), || (), || OsFiles.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.shared.run(Operation::Remove(path.to_owned()), || (), || OsFiles.remove(path))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.shared.run(Operation::SyncDir(dir.to_owned()), || (), || OsFiles.sync_dir(dir))
    }
}

impl OpenFile for ScriptedFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
        let torn = || drop(self.file.write_at(half, offset));
        self.shared.run(Operation::Write(self.path.clone(), offset, bytes.len()), torn, || self.file.write_at(bytes, offset))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.shared.run(Operation::SyncData(self.path.clone()), || (), || self.file.sync_data())
    }
}
