//! What a log sends to its witnesses (C2SP tlog-witness, `add-checkpoint`): a checkpoint, and the proof that it continues the one they know.
//!
//! ```
//! use allowlog_proto::witness::AddCheckpoint;
//!
//! let body = "old 0\n\
//!     \n\
//!     example.com/log\n\
//!     0\n\
//!     47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\
//!     \n\
//!     — example.com/log AAAAAAAA\n";
//! let request = AddCheckpoint::parse(body).unwrap();
//! assert_eq!((request.old, request.proof.len()), (0, 0));
//! assert_eq!(request.to_string(), body);
//! ```

use std::fmt;

use crate::chain::Hash;
use crate::checkpoint::parse_decimal;
use crate::limits::{PROOF_BYTES_MAX, SIGNED_NOTE_BYTES_MAX};
use crate::note::{Note, NoteError};
use crate::proof::{parse_hashes, write_hashes};

/// The body of `POST <witness>/add-checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size the witness is thought to know, 0 if none.
    pub old: u64,
    /// The consistency proof from that size to the checkpoint's, at most 63 hashes.
    pub proof: Vec<Hash>,
    /// The checkpoint, signed by its log.
    pub checkpoint: Note,
}

/// Why a text is no such body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddCheckpointError {
    /// Larger than any request.
    #[error("the request is larger than a request may be")]
    TooLarge,
    /// The lines before the checkpoint.
    #[error("the request is not a line `old <size>` and at most 63 hashes in base64, then an empty line")]
    Shape,
    /// The checkpoint.
    #[error(transparent)]
    Note(#[from] NoteError),
}

impl AddCheckpoint {
    /// Reads a body; nothing is verified.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(body: &str) -> Result<Self, AddCheckpointError> {
        if body.len() > PROOF_BYTES_MAX.saturating_add(SIGNED_NOTE_BYTES_MAX) {
            return Err(AddCheckpointError::TooLarge);
        }
        let (lines, note) = body.split_once("\n\n").ok_or(AddCheckpointError::Shape)?;
        let mut lines = lines.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(parse_decimal).ok_or(AddCheckpointError::Shape)?;
        let proof = parse_hashes(lines).ok_or(AddCheckpointError::Shape)?;
        Ok(Self { old, proof, checkpoint: Note::parse(note)? })
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        write_hashes(&self.proof, f)?;
        write!(f, "\n{}", self.checkpoint)
    }
}
