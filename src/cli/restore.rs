//! `allowlog restore`: a data directory from a backup, or from an archive and the journal that is left.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use allowlog_proto::chain::Chain;
use allowlog_proto::event::{Event, SigningKeyEvent};
use allowlog_proto::frame::Frame;
use allowlog_proto::id::KeyId;
use allowlog_proto::record::Record;
use clap::Args;
use serde_json::json;

use super::{DataArgument, Outcome, master_key, progress, say};
use crate::admin_token::AdminToken;
use crate::data_dir::{DataDir, write_durably};
use crate::keyring::{Keyring, KeyringError, MasterKey};
use crate::log::StoreError;
use crate::log::backup::{Backup, SealedKey, sealed_keys};
use crate::log::disk::DiskOptions;
use crate::log::disk::restoring;

type Failure = Box<dyn std::error::Error>;
type Frames = Box<dyn Iterator<Item = Result<Arc<Frame>, StoreError>>>;

#[derive(Debug, Args)]
#[command(after_help = "What is there is kept: `log` and `journal` are set aside under other names, beside the new ones.")]
pub struct Restore {
    /// A backup file, or the directory of an archive: then the journal left in --data goes behind it
    #[arg(long, value_name = "FILE|DIR")]
    from: PathBuf,
    #[command(flatten)]
    data: DataArgument,
    /// Restore even where records are lost by it: those that only the log in --data has, or its journal
    #[arg(long)]
    accept_loss: bool,
}

impl Restore {
    pub fn run(self) -> Outcome {
        let (directory, finished) = DataDir::take(&self.data.path)?;
        if !finished.is_empty() {
            say("An earlier restore had been cut off, and was finished first.")?;
        }
        let partial = restoring::begin(directory.path())?;
        let restored = self.restore(&directory, &partial);
        if restored.is_err() {
            // The cause is what is told; what is left is removed by the next restore.
            drop(fs::remove_dir_all(&partial));
        }
        let (chain, mut notes) = restored?;
        let aside = restoring::accept(DiskOptions::default().files.as_ref(), directory.path())?;
        if master_key().is_none() && !directory.path().join("master.key").exists() {
            notes.push("master.key is missing: put it back, or give it in ALLOWLOG_MASTER_KEY; no backup has it".to_owned());
        }
        if !AdminToken::is_kept(&directory) {
            notes.push("there is no admin token: `allowlog admin-token rotate` draws one; no backup has it".to_owned());
        }
        if !directory.checkpoints().exists() {
            notes.push(
                "it is not known which checkpoints were signed after this copy was made; if there were any, only witnesses can tell"
                    .to_owned(),
            );
        }
        say(json!({
            "records": chain.next_sequence(),
            "head": chain.frame_hash(),
            "set_aside": aside.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
            "notes": notes,
        }))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Builds and verifies all of it beside what is there.
    fn restore(&self, directory: &DataDir, partial: &Path) -> Result<(Chain, Vec<String>), Failure> {
        let options = DiskOptions::default();
        let (keys, frames) = self.source(directory, &options)?;
        let bar = progress::records("restoring");
        let mut wanted = BTreeSet::new();
        let watch = |sequence: u64, record: &Record| {
            if let Event::SigningKey(SigningKeyEvent::Activated { key_id, .. }) = &record.event {
                wanted.insert(*key_id);
            }
            bar.set_position(sequence);
        };
        let chain = restoring::build(partial, frames, &options, watch)?;
        bar.finish_and_clear();
        if chain.next_sequence() == 0 {
            return Err(format!("there is no log in `{}` to restore", self.from.display()).into());
        }
        let reach = restoring::reach_of(directory.path(), &options);
        if reach > chain.next_sequence() && !self.accept_loss {
            let (here, there) = (self.data.path.display(), chain.next_sequence());
            let hint = "`--accept-loss` restores all the same, and sets the longer log aside";
            return Err(format!("the log in `{here}` reaches to sequence {reach}, what would be restored only to {there}; {hint}").into());
        }
        // Those of the directory are kept, and may be more than those that come with the log.
        let mut all: BTreeMap<String, Vec<u8>> = sealed_keys(&directory.keys())?.into_iter().collect();
        all.extend(keys);
        let keys = partial.join("keys");
        crate::data_dir::make_directory(&keys)?;
        for (name, key) in all {
            write_durably(&keys.join(name), &key)?;
        }
        let notes = check_keys(directory, keys, wanted)?;
        if let Some(head) = restoring::contradicts(directory.path(), partial, &options)
            && !self.accept_loss
        {
            let here = self.data.path.display();
            let hint = "`--accept-loss` restores all the same, and sets that log aside";
            return Err(format!("the log in `{here}` is another one: before sequence {head} it says something else; {hint}").into());
        }
        Ok((chain, notes))
    }

    fn source(&self, directory: &DataDir, options: &DiskOptions) -> Result<(Vec<SealedKey>, Frames), Failure> {
        if !self.from.is_dir() {
            let file = File::open(&self.from).map_err(|e| format!("cannot open `{}`: {e}", self.from.display()))?;
            let backup = Backup::open(BufReader::new(file))?;
            return Ok((backup.keys.clone(), Box::new(backup)));
        }
        let journal = directory.path().join("journal");
        let has_journal = fs::read_dir(&journal).is_ok_and(|mut files| files.next().is_some());
        let archived = |journal: Option<&Path>| restoring::archived(Arc::clone(&options.files), &self.from, journal);
        let frames: Frames = match archived(has_journal.then_some(journal.as_path())) {
            Ok(frames) => Box::new(frames),
            Err(error) if error.is_damage() && self.accept_loss => {
                say(format_args!("The journal is left out: {error}"))?;
                Box::new(archived(None)?)
            }
            Err(error) if error.is_damage() => {
                let (here, hint) = (self.data.path.display(), "`--accept-loss` restores the archive without it");
                return Err(format!(
                    "the journal in `{here}` does not go on where the archive ends. If `allowlog log verify --data {here}` is content, \
                     there is nothing to restore; else {hint}: {error}"
                )
                .into());
            }
            Err(error) => return Err(error.into()),
        };
        Ok((sealed_keys(&self.from.join("keys"))?, frames))
    }
}

/// Sees that the keys of the log are there and, where there is a master key, that it opens them.
fn check_keys(directory: &DataDir, keys: PathBuf, wanted: BTreeSet<KeyId>) -> Result<Vec<String>, Failure> {
    let mut notes = Vec::new();
    let given = master_key();
    let missing = |key_id: KeyId| format!("signing key {key_id} is missing: put its file back, or its receipts cannot be signed again");
    if given.is_none() && !directory.path().join("master.key").exists() {
        notes.extend(wanted.into_iter().filter(|id| !keys.join(format!("{id}.sealed")).exists()).map(missing));
        return Ok(notes);
    }
    let master = MasterKey::load(directory, given.as_deref().map(String::as_str))?;
    let keyring = Keyring::open(keys, &master)?;
    for key_id in wanted {
        match keyring.private_key(key_id) {
            Ok(_) => {}
            Err(KeyringError::Missing { key_id, .. }) => notes.push(missing(key_id)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(notes)
}
