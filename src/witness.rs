//! A witness (C2SP tlog-witness): cosigns a checkpoint of a log it knows if the tree grew from the one it cosigned last, and
//! from no other. Two histories of one log cannot both have the cosignatures of most witnesses.
//!
//! ```text
//! lock          held while a process uses the directory
//! key           name and private key, mode 0600
//! logs/         what was cosigned last, a file for each log
//! ```

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use allowlog_proto::chain::Hash;
use allowlog_proto::checkpoint::Checkpoint;
use allowlog_proto::merkle::{Tree, verify_consistency};
use allowlog_proto::note::{KeyKind, Note, NoteError, NoteSignature, VerifierKey, cosigned_message};
use allowlog_proto::signing::sign;
use allowlog_proto::witness::AddCheckpoint;
use ed25519_dalek::SigningKey;
use tokio::sync::OwnedMutexGuard;
use zeroize::Zeroizing;

use self::held::{Cosigned, Held, OriginHash};
use self::trust::Trust;
use crate::chance;
use crate::clock::Clock;
use crate::data_dir::{DataDir, DataDirError};
use crate::telemetry;

pub mod held;
pub mod trust;

const KEY: &str = "key";

/// A witness with its key and its memory.
pub struct Witness {
    key: SigningKey, // zeroized when dropped
    verifier_key: VerifierKey,
    trust: RwLock<Arc<Trust>>,
    held: Held,
    clock: Clock,
    _directory: DataDir, // keeps a second witness with this key out
}

/// A witness that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The directory, or a file in it.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The key's name is part of the key.
    #[error("`{0}` is new, and its witness has no name yet; give one, as in `witness.example.com`")]
    NoName(PathBuf),
    /// Cosignatures under another name would be those of somebody else.
    #[error("the witness in `{path}` is called `{name}`; only a new one can be called something else")]
    OtherName {
        /// Its directory.
        path: PathBuf,
        /// Its name.
        name: String,
    },
    /// No key can have this name.
    #[error("no witness can be called `{name}`: {cause}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        cause: NoteError,
    },
    /// The file holds something else.
    #[error("`{0}` holds no witness's key; restore it")]
    NoKey(PathBuf),
    /// Others depend on the key that is gone.
    #[error(
        "`{0}` is missing, and checkpoints beside it were cosigned with it; put the very same key back, or take a new directory, and thereby a new key"
    )]
    KeyGone(PathBuf),
    /// A witness that has forgotten could be led to cosign another history.
    #[error(
        "`{path}` cannot be trusted: {problem}; what a backup has may be older, and a witness that forgets is none: take a new directory, and thereby a new key"
    )]
    Held {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// Why a checkpoint is not cosigned.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is not what this protocol speaks.
    #[error("{0}")]
    Malformed(String),
    /// Nobody told this witness of the log.
    #[error("no log of this origin is known here")]
    UnknownOrigin,
    /// Somebody else wrote it.
    #[error("no key that is trusted for this origin has signed the checkpoint")]
    Unsigned,
    /// The caller thinks that another tree was cosigned last.
    #[error("the tree that was cosigned last has size {held}")]
    Conflict {
        /// Its size.
        held: u64,
    },
    /// The tree did not grow from the one that was cosigned last, as far as the proof goes.
    #[error("the proof does not lead from the tree that was cosigned last to this one")]
    Inconsistent,
    /// What cannot be kept cannot be cosigned.
    #[error("the checkpoint cannot be kept at the moment")]
    Storage,
}

impl Witness {
    /// The witness in this directory; a new one if there is none yet, which needs a name.
    ///
    /// # Errors
    /// If another process has it, or what it holds cannot be trusted.
    pub fn open(path: &Path, name: Option<&str>, trust: Trust, clock: Clock) -> Result<Self, WitnessError> {
        let directory = DataDir::take_any(path)?;
        let logs = path.join("logs");
        let (key, verifier_key) = match directory.read_secret(KEY)? {
            Some(text) => read_key(path, &text, name)?,
            None if std::fs::read_dir(&logs).is_ok_and(|mut logs| logs.next().is_some()) => {
                return Err(WitnessError::KeyGone(path.join(KEY)));
            }
            None => draw_key(&directory, name.ok_or_else(|| WitnessError::NoName(path.to_owned()))?)?,
        };
        let held = Held::open(logs, &verifier_key)?;
        Ok(Self { key, verifier_key, trust: RwLock::new(Arc::new(trust)), held, clock, _directory: directory })
    }

    /// What its cosignatures are verified with.
    pub const fn verifier_key(&self) -> &VerifierKey {
        &self.verifier_key
    }

    /// Trusts these logs from now on, and no others. What it holds of others is kept.
    pub fn trust(&self, trust: Trust) {
        *self.trust.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(trust);
    }

    /// What it cosigned last for the origin of this hash: the note with the log's signatures and its own.
    pub async fn last_cosigned(&self, origin: OriginHash) -> Option<String> {
        let place = self.held.find(origin)?;
        let held = place.lock().await;
        held.as_ref().map(|cosigned| cosigned.note.clone())
    }

    /// Cosigns a checkpoint, once it is kept.
    ///
    /// # Errors
    /// Says what stands against it; then nothing has changed.
    pub async fn add_checkpoint(self: &Arc<Self>, request: &str) -> Result<NoteSignature, Refusal> {
        let request = AddCheckpoint::parse(request).map_err(|e| Refusal::Malformed(e.to_string()))?;
        let checkpoint = Checkpoint::parse(&request.checkpoint.text).map_err(|e| Refusal::Malformed(e.to_string()))?;
        if request.old > checkpoint.size {
            return Err(Refusal::Malformed("the old size is beyond that of the checkpoint".to_owned()));
        }
        let trust = Arc::clone(&self.trust.read().unwrap_or_else(PoisonError::into_inner));
        let keys = trust.keys_of(&checkpoint.origin).ok_or(Refusal::UnknownOrigin)?;
        let signatures = signatures_of(keys, &request.checkpoint);
        if signatures.is_empty() {
            return Err(Refusal::Unsigned);
        }
        // From here on this log's requests go one by one: whatever is compared holds until the outcome is kept. A caller
        // that goes away meanwhile changes nothing, since the guard moves to where the work is done.
        let place = self.held.place(&checkpoint.origin).lock_owned().await;
        let witness = Arc::clone(self);
        let signed = Note { text: request.checkpoint.text, signatures };
        let grown = telemetry::blocking(move || witness.cosign(place, request.old, &request.proof, &checkpoint, signed));
        grown.await.map_err(|_| Refusal::Storage)?
    }

    /// The atomic part: compares, keeps, and only then gives the cosignature out. A crash in between leaves a checkpoint that
    /// nobody was told of; the log learns its size from the next conflict.
    fn cosign(
        &self,
        mut place: OwnedMutexGuard<Option<Cosigned>>,
        old: u64,
        proof: &[Hash],
        checkpoint: &Checkpoint,
        mut signed: Note,
    ) -> Result<NoteSignature, Refusal> {
        let (held, root) = place.as_ref().map_or_else(|| (0, Tree::new().root()), |cosigned| (cosigned.size, cosigned.root));
        if old != held || (checkpoint.size == held && checkpoint.root != root) {
            return Err(Refusal::Conflict { held });
        }
        if !verify_consistency(held, root, checkpoint.size, checkpoint.root, proof) {
            return Err(Refusal::Inconsistent);
        }
        let seconds = self.clock.now().as_ms() / 1000;
        let cosignature = sign(&self.key, cosigned_message(seconds, &signed.text).as_bytes());
        let cosignature = NoteSignature::cosignature(&self.verifier_key, seconds, cosignature);
        // The same tree once more, as after an answer that was lost, changes nothing that would have to be kept.
        if place.is_some() && checkpoint.size == held {
            return Ok(cosignature);
        }
        signed.signatures.push(cosignature.clone());
        let (origin, cosigned) = Cosigned::read(signed.to_string(), &self.verifier_key).map_err(Refusal::Malformed)?;
        self.held.keep(&origin, &cosigned).map_err(|error| {
            tracing::error!(witness.error = %error, "a checkpoint cannot be kept, and is not cosigned");
            Refusal::Storage
        })?;
        *place = Some(cosigned);
        Ok(cosignature)
    }
}

/// For each of these keys the first of the note's signatures that verifies; whatever else stands there means nothing.
fn signatures_of(keys: &[VerifierKey], note: &Note) -> Vec<NoteSignature> {
    let alone = |signature: &NoteSignature| Note { text: note.text.clone(), signatures: vec![signature.clone()] };
    let of = |key: &VerifierKey| note.signatures.iter().find(|signature| alone(signature).is_signed_by(key)).cloned();
    keys.iter().filter_map(of).collect()
}

/// The key's file holds `<name>+<64 hexadecimal digits>`; a name has no `+`.
fn read_key(path: &Path, text: &str, name: Option<&str>) -> Result<(SigningKey, VerifierKey), WitnessError> {
    let no_key = || WitnessError::NoKey(path.join(KEY));
    let (stored, digits) = text.split_once('+').ok_or_else(no_key)?;
    let bytes = Zeroizing::new(data_encoding::HEXLOWER.decode(digits.as_bytes()).map_err(|_| no_key())?);
    let secret = Zeroizing::new(<[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| no_key())?);
    if name.is_some_and(|name| name != stored) {
        return Err(WitnessError::OtherName { path: path.to_owned(), name: stored.to_owned() });
    }
    named(stored, &secret)
}

fn draw_key(directory: &DataDir, name: &str) -> Result<(SigningKey, VerifierKey), WitnessError> {
    let secret = Zeroizing::new(chance::bytes::<32>());
    let keys = named(name, &secret)?;
    let digits = Zeroizing::new(data_encoding::HEXLOWER.encode(&*secret));
    directory.write_secret(KEY, &Zeroizing::new(format!("{name}+{}", *digits)))?;
    Ok(keys)
}

fn named(name: &str, secret: &Zeroizing<[u8; 32]>) -> Result<(SigningKey, VerifierKey), WitnessError> {
    let key = SigningKey::from_bytes(secret);
    let verifier_key = VerifierKey::new(name, KeyKind::Cosignature, key.verifying_key());
    let verifier_key = verifier_key.map_err(|cause| WitnessError::Name { name: name.to_owned(), cause })?;
    Ok((key, verifier_key))
}
