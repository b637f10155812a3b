//! Proofs (C2SP tlog-proof): a leaf's place in a tree under a signed checkpoint, to be kept beside a receipt and verified offline.
//!
//! ```
//! use allowlog_proto::proof::Proof;
//!
//! let text = "c2sp.org/tlog-proof@v1\n\
//!     index 1\n\
//!     47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\
//!     \n\
//!     example.com/log\n\
//!     2\n\
//!     AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\
//!     \n\
//!     — example.com/log AAAAAAAA\n";
//! let proof = Proof::parse(text).unwrap();
//! assert_eq!((proof.index, proof.hashes.len()), (1, 1));
//! assert_eq!(proof.checkpoint.text, "example.com/log\n2\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
//! assert_eq!(proof.to_string(), text);
//! ```

use std::fmt;

use crate::base64;
use crate::chain::Hash;
use crate::checkpoint::parse_decimal;
use crate::limits::{PROOF_BYTES_MAX, PROOF_HASHES_MAX, SIGNED_NOTE_BYTES_MAX};
use crate::note::{Note, NoteError};

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

/// One hash a line, as many as a proof may have.
pub(crate) fn parse_hashes<'t>(lines: impl Iterator<Item = &'t str>) -> Option<Vec<Hash>> {
    let hashes: Vec<Hash> = lines.map(base64::decode_hash).collect::<Option<_>>()?;
    (hashes.len() <= PROOF_HASHES_MAX).then_some(hashes)
}

pub(crate) fn write_hashes(hashes: &[Hash], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    hashes.iter().try_for_each(|hash| writeln!(f, "{}", base64::encode(&hash.0)))
}
