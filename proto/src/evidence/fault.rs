//! Why a bundle proves nothing, in the order of the checks.

use std::fmt;

use crate::verify::Invalid;

/// The check that failed, in the order of `FORMAT.md`: of the head, of each record, of the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// The head is not of its shape, or contradicts itself.
    MalformedBundle,
    /// No trusted key signed the checkpoint.
    UntrustedCheckpoint,
    /// The activation of a key is not in the tree at its place.
    BadKeyProof,
    /// Fewer witnesses than asked for have cosigned.
    TooFewWitnesses,
    /// The bundle ends before its last record.
    MissingRecords,
    /// A line is not of its shape, or its record none.
    MalformedRecord,
    /// Another record than the next.
    WrongIndex,
    /// The record is not the one whose hash its line gives.
    WrongHash,
    /// The next record carries the hash of another one.
    BrokenLink,
    /// The record is older than the one before it.
    TimeGoesBack,
    /// The header names another authorization than the body, or hides a record of the story.
    WrongSubject,
    /// The record activates a signing key that the head does not have.
    UnlistedKey,
    /// The receipt is not the record's, or of a record that can have none.
    WrongReceipt,
    /// The record has a receipt that is not there.
    MissingReceipt,
    /// The receipt is not genuine.
    Receipt(Invalid),
    /// The bundle goes on behind its last record.
    ExtraRecords,
    /// The records are not those of the checkpoint.
    WrongRoot,
    /// At the size the caller names, this log had another root: it is not the log it was.
    AnotherLog,
}

impl Code {
    /// A code for machines; of a receipt that is not genuine the one the receipt verifier has.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::MalformedBundle => "malformed_bundle",
            Self::UntrustedCheckpoint => "untrusted_checkpoint",
            Self::BadKeyProof => "bad_key_proof",
            Self::TooFewWitnesses => "too_few_witnesses",
            Self::MissingRecords => "missing_records",
            Self::MalformedRecord => "malformed_record",
            Self::WrongIndex => "wrong_index",
            Self::WrongHash => "wrong_hash",
            Self::BrokenLink => "broken_link",
            Self::TimeGoesBack => "time_goes_back",
            Self::WrongSubject => "wrong_subject",
            Self::UnlistedKey => "unlisted_key",
            Self::WrongReceipt => "wrong_receipt",
            Self::MissingReceipt => "missing_receipt",
            Self::Receipt(invalid) => invalid.code(),
            Self::ExtraRecords => "extra_records",
            Self::WrongRoot => "wrong_root",
            Self::AnotherLog => "another_log",
        }
    }
}

/// The first check of a bundle that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which check.
    pub code: Code,
    /// The record it failed at, if it failed at one.
    pub index: Option<u64>,
    /// For people.
    pub sentence: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "record {index}: {}", self.sentence),
            None => f.write_str(&self.sentence),
        }
    }
}

impl std::error::Error for Fault {}
