//! Proofs (C2SP tlog-proof): a leaf's place in a tree under a signed checkpoint, to be kept beside a receipt and verified offline.
//!
//! What a third party does with a receipt and its proof, offline. The log has made them of three records, and a witness has seen its
//! checkpoint:
//!
//! ```
//! use allowlog_proto::json::Value;
//! use allowlog_proto::note::VerifierKey;
//! use allowlog_proto::proof::{Proof, Unproved, verify_receipt};
//! use allowlog_proto::time::Timestamp;
//! use allowlog_proto::verify::TrustedKeys;
//!
//! // `GET /v1/receipts/{id}`, `GET /v1/receipts/{id}/proof`, `GET /v1/workspaces/{id}/keys`, kept as they came.
//! let receipt = Value::parse(include_bytes!("../tests/vectors/proof/receipt.json")).unwrap();
//! let proof = Proof::parse(include_str!("../tests/vectors/proof/receipt.proof")).unwrap();
//! let keys = TrustedKeys::parse(include_bytes!("../tests/vectors/proof/keys.json")).unwrap();
//! // Known from elsewhere: the key of the log, and whom one believes that they would have seen another one.
//! let log = VerifierKey::parse(include_str!("../tests/vectors/proof/log.vkey").trim()).unwrap();
//! let witness = VerifierKey::parse(include_str!("../tests/vectors/proof/witness.vkey").trim()).unwrap();
//! let now = Timestamp::parse("2026-11-24T00:00:00Z").unwrap();
//!
//! let proved = verify_receipt(&receipt, now, &keys, &proof, &log, &[witness.clone()], 1).unwrap();
//! assert_eq!((proved.index, proved.size), (3, 5));
//! assert_eq!(proved.cosigned, vec![(witness, 1_795_435_201)]);
//!
//! // The place is part of what is proved, and so is everything the receipt says.
//! let elsewhere = Proof { index: 2, ..proof };
//! assert_eq!(verify_receipt(&receipt, now, &keys, &elsewhere, &log, &[], 0), Err(Unproved::NotIncluded));
//! ```

use std::fmt;

use crate::base64;
use crate::chain::Hash;
use crate::checkpoint::{Checkpoint, CheckpointError, origin, parse_decimal};
use crate::id::WorkspaceId;
use crate::json::Value;
use crate::limits::{PROOF_BYTES_MAX, PROOF_HASHES_MAX, SIGNED_NOTE_BYTES_MAX};
use crate::merkle::{entry, leaf, verify_inclusion};
use crate::note::{Note, NoteError, VerifierKey};
use crate::receipt::hash_of_document;
use crate::time::Timestamp;
use crate::verify::{Invalid, TrustedKeys, verify};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// A proof that a leaf is in the tree of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// What else the verifier needs to make the entry; for a receipt the hash of its record. No line if empty.
    pub extra: Vec<u8>,
    /// The leaf's place.
    pub index: u64,
    /// The inclusion proof, from the leaf upwards.
    pub hashes: Vec<Hash>,
    /// The checkpoint with its signatures.
    pub checkpoint: Note,
}

/// Why a text is no proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Larger than any proof.
    #[error("the proof is larger than a proof may be")]
    TooLarge,
    /// The first line.
    #[error("the proof does not begin with `c2sp.org/tlog-proof@v1`")]
    Version,
    /// The lines between.
    #[error("the proof is not an `extra` line, if any, an `index` line and at most 63 hashes in base64, then an empty line")]
    Shape,
    /// What is behind the empty line.
    #[error(transparent)]
    Note(#[from] NoteError),
}

impl Proof {
    /// Reads a proof; nothing is verified.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        if text.len() > PROOF_BYTES_MAX.saturating_add(SIGNED_NOTE_BYTES_MAX) {
            return Err(ProofError::TooLarge);
        }
        let lines = text.strip_prefix(FIRST_LINE).and_then(|rest| rest.strip_prefix('\n')).ok_or(ProofError::Version)?;
        let (lines, note) = lines.split_once("\n\n").ok_or(ProofError::Shape)?;
        let mut lines = lines.split('\n');
        let mut line = lines.next().ok_or(ProofError::Shape)?;
        let mut extra = Vec::new();
        if let Some(encoded) = line.strip_prefix("extra ") {
            extra = base64::decode(encoded).filter(|extra| !extra.is_empty()).ok_or(ProofError::Shape)?;
            line = lines.next().ok_or(ProofError::Shape)?;
        }
        let index = line.strip_prefix("index ").and_then(parse_decimal).ok_or(ProofError::Shape)?;
        let hashes = parse_hashes(lines).ok_or(ProofError::Shape)?;
        Ok(Self { extra, index, hashes, checkpoint: Note::parse(note)? })
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        if !self.extra.is_empty() {
            writeln!(f, "extra {}", base64::encode(&self.extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        write_hashes(&self.hashes, f)?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// What a receipt and its proof say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// The receipt's record is at this place
    pub index: u64,
    /// of so many under the checkpoint
    pub size: u64,
    /// whose tree has this root.
    pub root: Hash,
    /// Hash of the record, by which whoever holds it can tell that it is this one.
    pub record: Hash,
    /// The witnesses that have seen the checkpoint, and when, in POSIX seconds.
    pub cosigned: Vec<(VerifierKey, u64)>,
}

/// Why a receipt is not proved to be in a log, in the order of the checks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unproved {
    /// The receipt itself.
    #[error("the receipt is not genuine: {0}")]
    Receipt(#[from] Invalid),
    /// The note is of something else.
    #[error("the proof does not stand on a checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The receipt is of one workspace, the checkpoint or the key of another.
    #[error("the checkpoint is of another log than the receipt")]
    AnotherLog,
    /// The log's key has not signed it.
    #[error("the checkpoint is not signed by the key of the log")]
    Untrusted,
    /// Fewer witnesses than asked for.
    #[error("{found} of the named witnesses have cosigned the checkpoint, {quorum} are asked for")]
    TooFewWitnesses {
        /// How many have.
        found: usize,
        /// How many were to.
        quorum: usize,
    },
    /// The `extra` line is no hash.
    #[error("the proof has no `extra` line with the hash of the record")]
    Record,
    /// Another receipt, another place, or another tree.
    #[error("the receipt is not proved to be in the tree of the checkpoint at its place")]
    NotIncluded,
}

/// Checks that a receipt is genuine, as [`verify`] does with `keys` at the instant `now`, and that it is in its workspace's log under a
/// checkpoint that `log`, a key of that workspace, has signed and `quorum` of the `witnesses` have cosigned.
///
/// # Errors
/// The first check that fails.
pub fn verify_receipt(
    receipt: &Value,
    now: Timestamp,
    keys: &TrustedKeys,
    proof: &Proof,
    log: &VerifierKey,
    witnesses: &[VerifierKey],
    quorum: usize,
) -> Result<Proved, Unproved> {
    verify(receipt, keys, None, now)?;
    let Checkpoint { origin: of, size, root } = Checkpoint::parse(&proof.checkpoint.text)?;
    let workspace_id = receipt.as_object().and_then(|receipt| receipt.get("workspace_id")).and_then(Value::as_text);
    let own = workspace_id.and_then(WorkspaceId::parse).map(origin);
    if own.as_deref() != Some(of.as_str()) || log.name() != of {
        return Err(Unproved::AnotherLog);
    }
    if !proof.checkpoint.is_signed_by(log) {
        return Err(Unproved::Untrusted);
    }
    let cosigned = proof.checkpoint.cosigners(witnesses);
    if cosigned.len() < quorum {
        return Err(Unproved::TooFewWitnesses { found: cosigned.len(), quorum });
    }
    let record = Hash(proof.extra.as_slice().try_into().map_err(|_| Unproved::Record)?);
    let receipt = hash_of_document(receipt).ok_or(Unproved::NotIncluded)?;
    if !verify_inclusion(proof.index, size, leaf(&entry(record, &receipt)), &proof.hashes, root) {
        return Err(Unproved::NotIncluded);
    }
    Ok(Proved { index: proof.index, size, root, record, cosigned })
}

/// One hash a line, as many as a proof may have.
pub(crate) fn parse_hashes<'t>(lines: impl Iterator<Item = &'t str>) -> Option<Vec<Hash>> {
    let hashes: Vec<Hash> = lines.map(base64::decode_hash).collect::<Option<_>>()?;
    (hashes.len() <= PROOF_HASHES_MAX).then_some(hashes)
}

pub(crate) fn write_hashes(hashes: &[Hash], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    hashes.iter().try_for_each(|hash| writeln!(f, "{}", base64::encode(&hash.0)))
}
