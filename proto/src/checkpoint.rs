//! Checkpoints (C2SP tlog-checkpoint): which tree a log had at a size, as the text of a signed note.
//!
//! ```
//! use allowlog_proto::checkpoint::Checkpoint;
//! use allowlog_proto::merkle::Tree;
//!
//! let empty = Checkpoint { origin: "example.com/log".to_owned(), size: 0, root: Tree::new().root() };
//! let text = empty.to_string();
//! assert_eq!(text, "example.com/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n");
//! assert_eq!(Checkpoint::parse(&text), Ok(empty.clone()));
//! // Lines behind the three are signed with them and mean nothing here.
//! assert_eq!(Checkpoint::parse(&format!("{text}hello\n")), Ok(empty));
//! ```

use std::fmt;

use crate::base64;
use crate::chain::Hash;
use crate::id::WorkspaceId;

/// What a checkpoint commits to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// Number of its records.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
}

/// Why a text is no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not three or more lines, or an empty one among them.
    #[error("a checkpoint is three lines or more, none of them empty, each ended by a line feed")]
    Shape,
    /// The second line.
    #[error("the size of the checkpoint is not a number of 64 bits in decimal without leading zeros")]
    Size,
    /// The third line.
    #[error("the root of the checkpoint is not 32 bytes in base64")]
    Root,
}

impl Checkpoint {
    /// Reads the text of a note. Lines behind the third are passed over, and may not be empty; whoever verifies or writes the
    /// text again needs it as it was.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let lines = text.strip_suffix('\n').ok_or(CheckpointError::Shape)?;
        if lines.split('\n').any(str::is_empty) {
            return Err(CheckpointError::Shape);
        }
        let mut lines = lines.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Shape);
        };
        let size = parse_decimal(size).ok_or(CheckpointError::Size)?;
        let root = base64::decode_hash(root).ok_or(CheckpointError::Root)?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, base64::encode(&self.root.0))
    }
}

/// The origin of a workspace's checkpoints, which is also the name of its keys in notes.
pub fn origin(workspace_id: WorkspaceId) -> String {
    format!("allowlog/{workspace_id}")
}

/// A number as it is written: no sign, no leading zero.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let written = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if written { text.parse().ok() } else { None }
}
