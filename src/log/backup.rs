//! Backups: the whole log up to a position and the sealed signing keys it needs, in one file that is written and read in
//! one go. `FORMAT.md` has its bytes.
//!
//! The footer holds a hash over everything before it, so that a file that was cut off, or altered, is none.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use allowlog_proto::chain::Hash;
use allowlog_proto::frame::Frame;
use allowlog_proto::limits::FRAME_BYTES_MAX;

use crate::log::{Frames, StoreError};

const MAGIC: [u8; 4] = *b"ALB1";
const VERSION: u32 = 1;
const FOOTER_MAGIC: [u8; 4] = *b"ALBE";
/// Magic of a frame and its length.
const FRAME_START_BYTES: usize = 8;
/// Of a sealed signing key there are 72 bytes; a file that says more is none of ours.
const KEY_BYTES_MAX: u32 = 4096;

/// A sealed signing key: the name of its file, and what is in it.
pub type SealedKey = (String, Vec<u8>);

/// What a backup comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// How many frames there are.
    pub frames: u64,
    /// Log sequence behind the last record.
    pub records: u64,
    /// Closing hash of the last frame.
    pub head: Hash,
}

/// The sealed keys in a directory, by their names.
///
/// # Errors
/// If it is there and cannot be read.
pub fn sealed_keys(directory: &Path) -> io::Result<Vec<SealedKey>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut keys = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if let (Some(name), true) = (path.file_name().and_then(|n| n.to_str()), path.extension().is_some_and(|e| e == "sealed")) {
            keys.push((name.to_owned(), fs::read(&path)?));
        }
    }
    keys.sort();
    Ok(keys)
}

/// Writes a backup of these frames, which must be the log from its beginning; each is checked on its way.
///
/// # Errors
/// If the log cannot be read or is damaged, or nothing can be written. What was written is then no backup.
pub fn write(out: impl Write, keys: &[SealedKey], frames: Frames, mut progress: impl FnMut(u64)) -> Result<Summary, StoreError> {
    let mut out = Hashing { inner: out, hasher: blake3::Hasher::new() };
    let failed = |source| StoreError::Io { doing: "write the backup".to_owned(), source };
    out.write_all(&begin(keys)).map_err(failed)?;
    let mut summary = Summary { frames: 0, records: 0, head: Hash::default() };
    for frame in frames {
        let frame = frame?;
        if frame.records().is_err() || !summary.precedes(&frame) {
            let problem = "the frame that is stored there cannot be read, or does not follow".to_owned();
            return Err(StoreError::Damaged { sequence: summary.records, problem });
        }
        out.write_all(frame.bytes()).map_err(failed)?;
        summary.add(&frame);
        progress(summary.records);
    }
    let mut footer = FOOTER_MAGIC.to_vec();
    footer.extend_from_slice(&summary.frames.to_be_bytes());
    footer.extend_from_slice(&summary.records.to_be_bytes());
    footer.extend_from_slice(&summary.head.0);
    out.write_all(&footer).map_err(failed)?;
    let hash = out.hasher.finalize();
    out.inner.write_all(hash.as_bytes()).and_then(|()| out.inner.flush()).map_err(failed)?;
    Ok(summary)
}

fn begin(keys: &[SealedKey]) -> Vec<u8> {
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&length(keys.len()));
    for (name, key) in keys {
        for part in [name.as_bytes(), key] {
            bytes.extend_from_slice(&length(part.len()));
            bytes.extend_from_slice(part);
        }
    }
    bytes
}

impl Summary {
    fn precedes(&self, frame: &Frame) -> bool {
        frame.header().first_sequence == self.records && frame.header().previous == self.head
    }

    fn add(&mut self, frame: &Frame) {
        self.frames = self.frames.saturating_add(1);
        self.records = frame.header().end_sequence();
        self.head = frame.hash();
    }
}

/// A backup being read: its keys first, then frame after frame. Only when the last has been asked for and none was an error
/// is the file known to be whole.
pub struct Backup<R> {
    /// The sealed signing keys.
    pub keys: Vec<SealedKey>,
    input: Hashing<R>,
    summary: Summary,
    ended: bool,
}

impl<R: Read> Backup<R> {
    /// Reads up to the first frame.
    ///
    /// # Errors
    /// If it is no backup, or one of a later version.
    pub fn open(input: R) -> Result<Self, StoreError> {
        let mut input = Hashing { inner: input, hasher: blake3::Hasher::new() };
        if input.array::<4>()? != MAGIC || u32::from_be_bytes(input.array()?) != VERSION {
            return Err(StoreError::Archive("this is no backup, or one of another version".to_owned()));
        }
        let count = u32::from_be_bytes(input.array()?);
        let mut keys = Vec::new();
        for _ in 0..count {
            let (name, key) = (input.part()?, input.part()?);
            let name = String::from_utf8(name).ok().filter(|name| is_key_name(name));
            keys.push((name.ok_or_else(|| broken("a signing key has a name that is none"))?, key));
        }
        Ok(Self { keys, input, summary: Summary { frames: 0, records: 0, head: Hash::default() }, ended: false })
    }

    /// What was read so far.
    pub const fn summary(&self) -> Summary {
        self.summary
    }

    fn read(&mut self) -> Result<Option<Arc<Frame>>, StoreError> {
        let magic = self.input.array::<4>()?;
        if magic == FOOTER_MAGIC {
            let frames = u64::from_be_bytes(self.input.array()?);
            let (records, head) = (u64::from_be_bytes(self.input.array()?), Hash(self.input.array()?));
            let hash = self.input.hasher.finalize();
            let whole = self.input.array::<32>()? == *hash.as_bytes() && self.summary == Summary { frames, records, head };
            let more = self.input.inner.read(&mut [0]).map_err(unreadable)? > 0;
            return if whole && !more { Ok(None) } else { Err(broken("its last bytes are not those of what is before them")) };
        }
        let length = self.input.array::<4>()?;
        let size = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if !(FRAME_START_BYTES..=FRAME_BYTES_MAX).contains(&size) {
            return Err(broken(&format!("no frame stands at sequence {}", self.summary.records)));
        }
        let mut bytes = [magic, length].concat();
        bytes.resize(size, 0);
        self.input.fill(bytes.get_mut(FRAME_START_BYTES..).unwrap_or_default())?;
        let frame = Frame::read(&bytes).ok().filter(|frame| frame.records().is_ok() && self.summary.precedes(frame));
        let frame = frame.ok_or_else(|| broken(&format!("the frame at sequence {} is not what was written", self.summary.records)))?;
        self.summary.add(&frame);
        Ok(Some(Arc::new(frame)))
    }
}

impl<R: Read> Iterator for Backup<R> {
    type Item = Result<Arc<Frame>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let frame = self.read().transpose();
        self.ended = !matches!(frame, Some(Ok(_)));
        frame
    }
}

/// What is written or read, with the hash of it.
struct Hashing<T> {
    inner: T,
    hasher: blake3::Hasher,
}

impl<W: Write> Hashing<W> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.inner.write_all(bytes)
    }
}

impl<R: Read> Hashing<R> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.inner.read_exact(bytes).map_err(unreadable)?;
        self.hasher.update(bytes);
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Bytes behind their length.
    fn part(&mut self) -> Result<Vec<u8>, StoreError> {
        let length = Some(u32::from_be_bytes(self.array()?)).filter(|length| *length <= KEY_BYTES_MAX);
        let length = length.and_then(|length| usize::try_from(length).ok()).ok_or_else(|| broken("a signing key is too long"))?;
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }
}

/// A name is used as one: it must not lead anywhere else.
fn is_key_name(name: &str) -> bool {
    let stem = name.strip_suffix(".sealed").unwrap_or_default();
    !stem.is_empty() && stem.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

fn unreadable(source: io::Error) -> StoreError {
    if source.kind() == io::ErrorKind::UnexpectedEof {
        return broken("it was cut off");
    }
    StoreError::Io { doing: "read the backup".to_owned(), source }
}

fn broken(problem: &str) -> StoreError {
    StoreError::Archive(format!("the backup cannot be used: {problem}; take another one"))
}

#[cfg(test)]
mod tests {
    use super::{Backup, Summary, write};
    use crate::log::disk::tests::Author;
    use crate::log::{Frames, StoreError};

    fn backup() -> (Vec<u8>, Summary) {
        let mut author = Author::new(31);
        let frames: Vec<_> = (0..4).map(|nth| Ok(std::sync::Arc::new(author.frame(300 + 400 * nth)))).collect();
        let frames: Frames = Box::new(frames.into_iter());
        let mut file = Vec::new();
        let keys = [("key_1.sealed".to_owned(), vec![7; 72])];
        let summary = write(&mut file, &keys, frames, |_| {}).unwrap();
        (file, summary)
    }

    fn read(file: &[u8]) -> Result<Summary, StoreError> {
        let mut backup = Backup::open(file)?;
        backup.by_ref().try_for_each(|frame| frame.map(drop))?;
        Ok(backup.summary())
    }

    #[test]
    fn what_was_written_is_read() {
        let (file, summary) = backup();
        assert_eq!(read(&file).unwrap(), summary);
        assert_eq!(summary.frames, 4);
        assert_eq!(Backup::open(file.as_slice()).unwrap().keys, [("key_1.sealed".to_owned(), vec![7; 72])]);
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let (file, _) = backup();
        for end in 0..file.len() {
            assert!(read(&file[..end]).is_err(), "cut to {end} bytes");
        }
        for at in 0..file.len() {
            let mut flipped = file.clone();
            flipped[at] ^= 1 << (at % 8);
            assert!(read(&flipped).is_err(), "byte {at}");
        }
        assert!(read(&[file.as_slice(), b"more"].concat()).is_err());
    }

    #[test]
    fn a_key_cannot_be_written_elsewhere() {
        let mut file = Vec::new();
        let keys = [("../../key_1.sealed".to_owned(), vec![7; 72])];
        write(&mut file, &keys, Box::new(std::iter::empty()), |_| {}).unwrap();
        assert!(Backup::open(file.as_slice()).is_err());
    }
}
