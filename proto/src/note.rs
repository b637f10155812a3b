//! Signed notes (C2SP signed-note): a text with signature lines behind it, each of a named key. Cosignatures are the lines of witnesses.
//!
//! The example is the test vector of the specification:
//!
//! ```
//! use allowlog_proto::note::{Note, VerifierKey};
//!
//! let key = VerifierKey::parse("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k").unwrap();
//! let note = "This is an example message.\n\n\
//!     — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
//! assert!(Note::parse(note).unwrap().is_signed_by(&key));
//! assert!(!Note::parse(&note.replace("This", "That")).unwrap().is_signed_by(&key));
//! ```

use std::fmt;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use ed25519_dalek::{Signature, VerifyingKey};

use crate::base64;
use crate::limits::{SIGNED_NOTE_BYTES_MAX, SIGNED_NOTE_LINES_MAX};
use crate::sha256::sha256;

/// Before every signature line: an em dash and a space.
const DASH: &str = "\u{2014} ";

/// Why a text is no note, no signature line or no verifier key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// More bytes, or more signature lines, than a note may have.
    #[error("the note is larger than a note may be")]
    TooLarge,
    /// No text that ends with a line feed before an empty line, or other control characters in it.
    #[error("the note is not a text, an empty line and signature lines, each ended by a line feed")]
    Shape,
    /// Not `— <name> <base64>`.
    #[error("a signature line is not `— <name> <base64(key id, signature)>`")]
    SignatureLine,
    /// Empty, or with white space or `+` in it.
    #[error("a key's name must not be empty nor hold white space or `+`")]
    Name,
    /// Not `<name>+<key id>+<base64>`.
    #[error("a verifier key is `<name>+<key id>+<base64(type, public key)>`")]
    KeyShape,
    /// A type that is not known here.
    #[error("the verifier key is neither of Ed25519 (1) nor of cosignatures (4)")]
    KeyKind,
    /// Not a point of the curve, or one that anybody can sign for.
    #[error("the verifier key is not an Ed25519 public key")]
    Key,
    /// The key id is that of something else.
    #[error("the verifier key's id is not that of its name and key")]
    KeyId,
}

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Type 1: the text of the note.
    Ed25519,
    /// Type 4: the text of the note and when it was seen, as witnesses do.
    Cosignature,
}

impl KeyKind {
    const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::Cosignature => 4,
        }
    }
}

/// A public key under the name of its owner; written as `<name>+<key id>+<base64(type, public key)>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String, // INVARIANT: not empty, no white space, no `+`
    kind: KeyKind,
    key: VerifyingKey, // INVARIANT: not of small order
    key_id: [u8; 4],
}

impl VerifierKey {
    /// The key of this name.
    ///
    /// # Errors
    /// If the name cannot be one, or the key is of small order, so that anybody could sign for it.
    pub fn new(name: &str, kind: KeyKind, key: VerifyingKey) -> Result<Self, NoteError> {
        if !is_name(name) {
            return Err(NoteError::Name);
        }
        if key.is_weak() {
            return Err(NoteError::Key);
        }
        let [a, b, c, d, ..] = sha256(&[name.as_bytes(), b"\n", &[kind.byte()], key.as_bytes()]);
        Ok(Self { name: name.to_owned(), kind, key, key_id: [a, b, c, d] })
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let (name, rest) = text.split_once('+').ok_or(NoteError::KeyShape)?;
        let (key_id, key) = rest.split_once('+').ok_or(NoteError::KeyShape)?;
        let key_id = HEXLOWER_PERMISSIVE.decode(key_id.as_bytes()).map_err(|_| NoteError::KeyShape)?;
        let key = base64::decode(key).ok_or(NoteError::KeyShape)?;
        let (kind, key) = key.split_first().ok_or(NoteError::KeyShape)?;
        let kind = [KeyKind::Ed25519, KeyKind::Cosignature].into_iter().find(|k| k.byte() == *kind).ok_or(NoteError::KeyKind)?;
        let key = key.try_into().ok().and_then(|key| VerifyingKey::from_bytes(key).ok()).ok_or(NoteError::Key)?;
        let key = Self::new(name, kind, key)?;
        if key_id == key.key_id { Ok(key) } else { Err(NoteError::KeyId) }
    }

    /// Whose.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of `SHA-256(name || 0a || type || public key)`: a hint, not a fingerprint to trust by.
    pub const fn key_id(&self) -> [u8; 4] {
        self.key_id
    }

    /// What it signs.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The public key.
    pub const fn key(&self) -> &VerifyingKey {
        &self.key
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![self.kind.byte()];
        key.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, HEXLOWER.encode(&self.key_id), base64::encode(&key))
    }
}

/// A text and who signed it. Signatures of keys that nobody here knows are kept as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What is signed; ends with a line feed.
    pub text: String,
    /// In their order; at least one in a note that was read.
    pub signatures: Vec<NoteSignature>,
}

/// A signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// Whose key.
    pub name: String,
    /// Which of its owner's keys.
    pub key_id: [u8; 4],
    /// What the kind of the key makes of it: a signature, for cosignatures behind its seconds.
    pub bytes: Vec<u8>,
}

impl Note {
    /// Reads a whole note; no signature is verified.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > SIGNED_NOTE_BYTES_MAX {
            return Err(NoteError::TooLarge);
        }
        if note.bytes().any(|b| b < b' ' && b != b'\n') {
            return Err(NoteError::Shape);
        }
        // The empty line is the last there is: the text may hold others, signature lines cannot.
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::Shape)?;
        if !lines.ends_with('\n') {
            return Err(NoteError::Shape);
        }
        let mut signatures = Vec::new();
        for line in lines.split_inclusive('\n') {
            if signatures.len() >= SIGNED_NOTE_LINES_MAX {
                return Err(NoteError::TooLarge);
            }
            signatures.push(NoteSignature::parse(line)?);
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// Whether a signature line of this key verifies. A key of another kind than [`KeyKind::Ed25519`] signs no text.
    pub fn is_signed_by(&self, key: &VerifierKey) -> bool {
        key.kind == KeyKind::Ed25519 && self.of(key).any(|line| verifies(key, &self.text, &line.bytes))
    }

    /// The POSIX seconds at which this key, of kind [`KeyKind::Cosignature`], says to have seen the note: of the first of its
    /// lines that verifies.
    pub fn cosigned_at(&self, key: &VerifierKey) -> Option<u64> {
        if key.kind != KeyKind::Cosignature {
            return None;
        }
        self.of(key).find_map(|line| {
            let (seconds, signature) = line.bytes.split_first_chunk()?;
            let seconds = u64::from_be_bytes(*seconds);
            verifies(key, &cosigned_message(seconds, &self.text), signature).then_some(seconds)
        })
    }

    /// Which of the witnesses say to have seen the note, and when. One that is named twice, under whatever name, is one.
    pub fn cosigners(&self, witnesses: &[VerifierKey]) -> Vec<(VerifierKey, u64)> {
        let mut found: Vec<(VerifierKey, u64)> = Vec::new();
        for witness in witnesses {
            let is_new = found.iter().all(|(other, _)| other.key != witness.key);
            if let Some(seconds) = self.cosigned_at(witness).filter(|_| is_new) {
                found.push((witness.clone(), seconds));
            }
        }
        found
    }

    fn of(&self, key: &VerifierKey) -> impl Iterator<Item = &NoteSignature> {
        self.signatures.iter().filter(|line| line.name == key.name && line.key_id == key.key_id)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| fmt::Display::fmt(line, f))
    }
}

impl NoteSignature {
    /// Reads one line, with its line feed or without.
    ///
    /// # Errors
    /// If it is no signature line.
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let rest = line.strip_prefix(DASH).ok_or(NoteError::SignatureLine)?;
        let (name, encoded) = rest.split_once(' ').ok_or(NoteError::SignatureLine)?;
        if !is_name(name) {
            return Err(NoteError::Name);
        }
        let bytes = base64::decode(encoded).ok_or(NoteError::SignatureLine)?;
        match bytes.split_first_chunk() {
            Some((key_id, rest)) if !rest.is_empty() => Ok(Self { name: name.to_owned(), key_id: *key_id, bytes: rest.to_vec() }),
            Some(_) | None => Err(NoteError::SignatureLine),
        }
    }

    /// The line of a signature of a note's text.
    pub fn ed25519(key: &VerifierKey, signature: [u8; 64]) -> Self {
        Self { name: key.name.clone(), key_id: key.key_id, bytes: signature.to_vec() }
    }

    /// The line of a signature of [`cosigned_message`].
    pub fn cosignature(key: &VerifierKey, seconds: u64, signature: [u8; 64]) -> Self {
        let bytes = [&seconds.to_be_bytes()[..], &signature].concat();
        Self { name: key.name.clone(), key_id: key.key_id, bytes }
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.key_id[..], &self.bytes].concat();
        writeln!(f, "{DASH}{} {}", self.name, base64::encode(&bytes))
    }
}

/// What a witness signs: when it saw a checkpoint, and the checkpoint's text.
pub fn cosigned_message(seconds: u64, checkpoint_text: &str) -> String {
    format!("cosignature/v1\ntime {seconds}\n{checkpoint_text}")
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

fn verifies(key: &VerifierKey, message: &str, signature: &[u8]) -> bool {
    Signature::from_slice(signature).is_ok_and(|signature| key.key.verify_strict(message.as_bytes(), &signature).is_ok())
}
