//! What a witness holds: for each log the checkpoint it cosigned last, in memory and in a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as Lock, MutexGuard, PoisonError};

use allowlog_proto::chain::Hash;
use allowlog_proto::checkpoint::Checkpoint;
use allowlog_proto::note::{Note, VerifierKey};
use allowlog_proto::sha256::sha256;
use tokio::sync::Mutex;

use super::WitnessError;
use crate::data_dir::{DataDirError, make_directory, write_durably};

/// SHA-256 of an origin, which may hold anything: what files and paths are named by.
pub type OriginHash = [u8; 32];

/// A checkpoint that was cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// Of its tree.
    pub size: u64,
    /// Of its tree.
    pub root: Hash,
    /// The checkpoint with the log's signatures and the cosignature. This is what the file holds.
    pub note: String,
}

/// Who has it locked alone decides what is cosigned next; nothing before the first time.
pub type Place = Arc<Mutex<Option<Cosigned>>>;

/// Every log's place.
pub struct Held {
    directory: PathBuf,
    /// The names of all files, in a file of its own, so that one that is gone is missed.
    list: PathBuf,
    listed: Lock<BTreeSet<String>>,
    places: Lock<BTreeMap<OriginHash, Place>>,
}

/// The hash of an origin.
pub fn hash(origin: &str) -> OriginHash {
    sha256(&[origin.as_bytes()])
}

impl Cosigned {
    /// Reads a note that this key has cosigned, with the origin of its log. What is kept has been read like this before: a log
    /// must not be able to write what the next start would not read.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn read(note: String, key: &VerifierKey) -> Result<(String, Self), String> {
        let parsed = Note::parse(&note).map_err(|e| e.to_string())?;
        let Checkpoint { origin, size, root } = Checkpoint::parse(&parsed.text).map_err(|e| e.to_string())?;
        if parsed.cosigned_at(key).is_none() {
            return Err(format!("`{}` has not cosigned it", key.name()));
        }
        Ok((origin, Self { size, root, note }))
    }
}

impl Held {
    /// What the directory holds, each file checked: it was cosigned with this key, and stands under its own name.
    ///
    /// # Errors
    /// If the directory cannot be used, or one of the files is not what was written.
    pub fn open(directory: PathBuf, key: &VerifierKey) -> Result<Self, WitnessError> {
        make_directory(&directory)?;
        let mut places = BTreeMap::new();
        for path in files(&directory).map_err(|e| unusable(&directory, &e))? {
            // What a crash left of a write that was not finished.
            if path.extension().is_some_and(|extension| extension == "new") {
                fs::remove_file(&path).map_err(|e| unusable(&path, &e))?;
                continue;
            }
            let note = fs::read_to_string(&path).map_err(|e| unusable(&path, &e))?;
            let (origin, cosigned) = Cosigned::read(note, key).map_err(|problem| unusable(&path, &problem))?;
            if path.file_name().is_none_or(|name| *name != *file_name(&hash(&origin))) {
                return Err(unusable(&path, &format!("it is the file of `{origin}`, whose name is another")));
            }
            places.insert(hash(&origin), Arc::new(Mutex::new(Some(cosigned))));
        }
        let list = directory.with_file_name("known");
        let found: BTreeSet<String> = places.keys().map(file_name).collect();
        let listed = match fs::read_to_string(&list) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            listed => listed.map_err(|e| unusable(&list, &e))?,
        };
        if let Some(gone) = listed.lines().find(|name| !found.contains(*name)) {
            return Err(unusable(&directory.join(gone), &"it is gone, and what was cosigned stood there"));
        }
        let this = Self { directory, list, listed: Lock::new(found), places: Lock::new(places) };
        // A crash between the two writes has left the list the shorter one.
        this.write_list(&this.listed()).map_err(|e| unusable(&this.list, &e))?;
        Ok(this)
    }

    /// The place of this log, made if need be.
    pub fn place(&self, origin: &str) -> Place {
        Arc::clone(self.places().entry(hash(origin)).or_default())
    }

    /// The place of a log that has one.
    pub fn find(&self, origin: OriginHash) -> Option<Place> {
        self.places().get(&origin).cloned()
    }

    /// Makes it durable, in the place of what was held before.
    ///
    /// # Errors
    /// If it cannot be written; then the file holds this checkpoint or the one before.
    pub fn keep(&self, origin: &str, cosigned: &Cosigned) -> Result<(), DataDirError> {
        let name = file_name(&hash(origin));
        write_durably(&self.directory.join(&name), cosigned.note.as_bytes())?;
        let mut listed = self.listed();
        if !listed.contains(&name) {
            listed.insert(name);
            self.write_list(&listed)?;
        }
        Ok(())
    }

    fn write_list(&self, names: &BTreeSet<String>) -> Result<(), DataDirError> {
        let text: String = names.iter().map(|name| format!("{name}\n")).collect();
        write_durably(&self.list, text.as_bytes())
    }

    fn listed(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<OriginHash, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect()
}

fn file_name(origin: &OriginHash) -> String {
    data_encoding::HEXLOWER.encode(origin)
}

fn unusable(path: &Path, problem: &dyn std::fmt::Display) -> WitnessError {
    WitnessError::Held { path: path.to_owned(), problem: problem.to_string() }
}
