//! What was signed: for each workspace the size and the root of its last checkpoint, on disk before the signature is made.
//! It is what keeps a log that was set back from signing a second history.
//!
//! A line for each checkpoint, the last of a workspace counts: workspace, size, root in base64, and the first 8 bytes of the
//! BLAKE3 of all that in hexadecimal.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use allowlog_projections::state::State;
use allowlog_proto::chain::Hash;
use allowlog_proto::id::WorkspaceId;
use data_encoding::{BASE64, HEXLOWER};

use crate::data_dir::write_durably;

/// Lines that do not count any more before the file is written anew.
const SPENT_LINES_MAX: usize = 10_000;

/// Size and root of a checkpoint.
pub type Signed = (u64, Hash);

/// The ledger, and its twin beside the archive if there is one.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    lines: usize,
    last: BTreeMap<WorkspaceId, Signed>,
    twin: Option<PathBuf>,
}

/// A ledger that cannot be used, or a log that is not the one it is of.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The operating system refused.
    #[error("cannot use `{path}`: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A line that was not written so.
    #[error(
        "`{path}` is damaged in line {line}: it says which checkpoints were signed, and must be restored or, at your own risk, removed"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// The log has lost records, or is another.
    #[error(
        "the log was set back: it has {found} records of workspace `{workspace_id}`, and a checkpoint of {signed} records was signed; \
         `allowlog restore` brings back what is missing, `serve --accept-rollback` goes on without it and signs no checkpoint of that \
         workspace again"
    )]
    SetBack {
        /// Whose records.
        workspace_id: WorkspaceId,
        /// How many there are.
        found: u64,
        /// How many there were.
        signed: u64,
    },
    /// Another history of the same length.
    #[error(
        "the log is another one: its {size} records of workspace `{workspace_id}` are not those that a checkpoint was signed of; \
         `serve --accept-rollback` goes on all the same and signs no checkpoint of that workspace again"
    )]
    Other {
        /// Whose records.
        workspace_id: WorkspaceId,
        /// How many.
        size: u64,
    },
}

impl Ledger {
    /// Opens or makes the ledger in this file; `twin` is kept beside it, and what it knows more of is believed too.
    ///
    /// # Errors
    /// If it cannot be used, or is damaged.
    pub fn open(path: PathBuf, twin: Option<PathBuf>) -> Result<Self, LedgerError> {
        let mut last = read(&path)?;
        if let Some(twin) = &twin {
            for (workspace_id, signed) in read(twin)? {
                let known = last.entry(workspace_id).or_insert(signed);
                *known = (*known).max(signed);
            }
        }
        let mut this = Self { file: append_to(&path)?, path, lines: 0, last, twin };
        this.write_anew()?;
        Ok(this)
    }

    /// What was last signed of a workspace.
    pub fn last(&self, workspace_id: WorkspaceId) -> Option<Signed> {
        self.last.get(&workspace_id).copied()
    }

    /// Whether nothing is known to have been signed.
    pub fn is_empty(&self) -> bool {
        self.last.is_empty()
    }

    /// Refuses a log that does not have all that was signed.
    ///
    /// # Errors
    /// Names the first workspace whose records are missing or others.
    pub fn check(&self, state: &State) -> Result<(), LedgerError> {
        for (&workspace_id, &(signed, root)) in &self.last {
            let tree = state.workspace(workspace_id).map(|workspace| &workspace.tree);
            let found = tree.map_or(0, |tree| tree.size());
            if found < signed {
                return Err(LedgerError::SetBack { workspace_id, found, signed });
            }
            if found == signed && tree.is_some_and(|tree| tree.root() != root) {
                return Err(LedgerError::Other { workspace_id, size: signed });
            }
        }
        Ok(())
    }

    /// Notes, durably, what will be signed now.
    ///
    /// # Errors
    /// Then nothing of it may be signed.
    pub fn add(&mut self, signed: &[(WorkspaceId, Signed)]) -> Result<(), LedgerError> {
        if signed.is_empty() {
            return Ok(());
        }
        let text: String = signed.iter().map(|(workspace_id, signed)| line(*workspace_id, *signed)).collect();
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(source) = written {
            // Half a line must not stand before the next one.
            self.file = append_to(&self.path)?;
            self.write_anew()?;
            return Err(LedgerError::Io { path: self.path.clone(), source });
        }
        self.last.extend(signed.iter().copied());
        self.lines = self.lines.saturating_add(signed.len());
        self.tell_twin(|twin| {
            let mut file = append_to(twin).map_err(|e| e.to_string())?;
            file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).map_err(|e| e.to_string())
        });
        if self.lines.saturating_sub(self.last.len()) > SPENT_LINES_MAX {
            self.write_anew()?;
        }
        Ok(())
    }

    /// The archive may be gone or full for a while, which holds nothing up: what it misses it gets when the file is next written
    /// anew.
    fn tell_twin(&self, tell: impl FnOnce(&Path) -> Result<(), String>) {
        if let Some(Err(error)) = self.twin.as_deref().map(tell) {
            tracing::warn!(error, "the archive does not hear of the last checkpoints");
        }
    }

    /// Writes only the lines that count.
    fn write_anew(&mut self) -> Result<(), LedgerError> {
        let text: String = self.last.iter().map(|(workspace_id, signed)| line(*workspace_id, *signed)).collect();
        let failed =
            |error: &dyn std::fmt::Display| LedgerError::Io { path: self.path.clone(), source: io::Error::other(error.to_string()) };
        write_durably(&self.path, text.as_bytes()).map_err(|e| failed(&e))?;
        self.tell_twin(|twin| write_durably(twin, text.as_bytes()).map_err(|e| e.to_string()));
        (self.file, self.lines) = (append_to(&self.path)?, self.last.len());
        Ok(())
    }
}

fn append_to(path: &Path) -> Result<File, LedgerError> {
    let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    opened.map_err(|source| LedgerError::Io { path: path.to_owned(), source })
}

/// The last line of each workspace; one that was cut off at the end of the file was never relied on.
fn read(path: &Path) -> Result<BTreeMap<WorkspaceId, Signed>, LedgerError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(source) => return Err(LedgerError::Io { path: path.to_owned(), source }),
    };
    let mut last = BTreeMap::new();
    for (number, written) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
        if let Some((workspace_id, signed)) = std::str::from_utf8(written).ok().and_then(parse) {
            last.insert(workspace_id, signed);
        } else if written.ends_with(b"\n") {
            return Err(LedgerError::Damaged { path: path.to_owned(), line: number });
        }
    }
    Ok(last)
}

fn line(workspace_id: WorkspaceId, (size, root): Signed) -> String {
    let text = format!("{workspace_id} {size} {}", BASE64.encode(&root.0));
    format!("{text} {}\n", check(&text))
}

fn parse(line: &str) -> Option<(WorkspaceId, Signed)> {
    let (text, found) = line.strip_suffix('\n')?.rsplit_once(' ')?;
    let mut words = text.split(' ');
    let (workspace_id, size, root) = (words.next()?, words.next()?, words.next()?);
    let root = Hash(BASE64.decode(root.as_bytes()).ok()?.try_into().ok()?);
    (found == check(text)).then_some(())?;
    Some((WorkspaceId::parse(workspace_id)?, (size.parse().ok()?, root)))
}

fn check(text: &str) -> String {
    HEXLOWER.encode(blake3::hash(text.as_bytes()).as_bytes().first_chunk::<8>().map_or(&[], |start| start.as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(tag: u8) -> WorkspaceId {
        WorkspaceId::from_bytes([tag; 16])
    }

    fn signed(size: u64) -> Signed {
        (size, Hash([u8::try_from(size % 256).unwrap(); 32]))
    }

    #[test]
    fn the_last_line_of_each_workspace_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("checkpoints");
        let mut ledger = Ledger::open(path.clone(), None).unwrap();
        for size in 1..200 {
            ledger.add(&[(workspace(1), signed(size)), (workspace(2), signed(size * 2))]).unwrap();
            if size % 37 == 0 {
                ledger = Ledger::open(path.clone(), None).unwrap();
            }
        }
        assert_eq!((ledger.last(workspace(1)), ledger.last(workspace(3))), (Some(signed(199)), None));
        let again = Ledger::open(path.clone(), None).unwrap();
        assert_eq!(again.last(workspace(2)), Some(signed(398)));
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2, "what is spent is gone");
    }

    #[test]
    fn a_cut_is_healed_and_damage_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("checkpoints");
        Ledger::open(path.clone(), None).unwrap().add(&[(workspace(1), signed(7)), (workspace(2), signed(8))]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let second = whole.len() / 2;
        for length in 0..=whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let ledger = Ledger::open(path.clone(), None).unwrap();
            let expected = [length >= second, length >= whole.len()];
            assert_eq!([1, 2].map(|tag| ledger.last(workspace(tag)).is_some()), expected, "{length} bytes");
        }
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            // A last line without its end is as one that was cut off.
            let is_end = place == whole.len() - 1;
            let opened = Ledger::open(path.clone(), None);
            assert_eq!(matches!(opened, Err(LedgerError::Damaged { .. })), !is_end, "byte {place}");
        }
    }

    #[test]
    fn an_archive_that_is_gone_holds_nothing_up() {
        let directory = tempfile::tempdir().unwrap();
        let (path, archive) = (directory.path().join("checkpoints"), directory.path().join("archive"));
        let twin = archive.join("checkpoints");
        let mut ledger = Ledger::open(path.clone(), Some(twin.clone())).unwrap();
        ledger.add(&[(workspace(1), signed(7))]).unwrap();
        std::fs::create_dir(&archive).unwrap();
        ledger.add(&[(workspace(2), signed(8))]).unwrap();
        // Once it is back, the next time the file is written anew it has all of it.
        drop(Ledger::open(path, Some(twin.clone())).unwrap());
        assert_eq!(read(&twin).unwrap().len(), 2);
    }

    #[test]
    fn the_twin_knows_what_the_directory_has_lost() {
        let directory = tempfile::tempdir().unwrap();
        let (path, twin) = (directory.path().join("checkpoints"), directory.path().join("twin"));
        let mut ledger = Ledger::open(path.clone(), Some(twin.clone())).unwrap();
        ledger.add(&[(workspace(1), signed(7))]).unwrap();
        let old = std::fs::read(&path).unwrap();
        ledger.add(&[(workspace(1), signed(9)), (workspace(2), signed(1))]).unwrap();
        std::fs::write(&path, old).unwrap();
        let ledger = Ledger::open(path.clone(), Some(twin)).unwrap();
        assert_eq!([1, 2].map(|tag| ledger.last(workspace(tag))), [Some(signed(9)), Some(signed(1))]);
        let refused = ledger.check(&State::new()).unwrap_err();
        assert!(matches!(refused, LedgerError::SetBack { found: 0, signed: 9, .. }), "{refused}");
        assert!(Ledger::open(directory.path().join("new"), None).unwrap().check(&State::new()).is_ok());
    }
}
