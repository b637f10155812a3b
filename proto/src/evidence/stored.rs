//! Records as they are stored, read as far as their bytes are at fixed places: behind the header, the ids a body begins with.
//!
//! Nothing here decodes an event, so that what is checked of a record does not hang on whether its event is understood.

use crate::chain::Hash;
use crate::id::{AuthorizationId, KeyId, ReceiptId};
use crate::limits::RECORD_BYTES_MAX;
use crate::record::{Header, hash_parts};
use crate::time::Timestamp;

/// What a body begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Beginning {
    /// There exactly where the event has a receipt.
    pub(super) receipt_id: Option<ReceiptId>,
    /// The authorization it is about.
    pub(super) authorization_id: Option<AuthorizationId>,
    /// Whether that is granted here, or somebody asked to consent to it.
    pub(super) is_grant: bool,
    /// Whether a signing key is activated here.
    pub(super) is_activation: bool,
}

impl Beginning {
    /// Nothing if family or variant are unknown, or the body ends before its ids do.
    fn read(body: &[u8]) -> Option<Self> {
        let ([family, variant], rest) = body.split_first_chunk()?;
        match (family, variant) {
            (1 | 7 | 8, 0 | 1) | (0 | 9 | 11 | 12, 0..=2) | (10, 5) | (13, 6) => Some(Self::default()),
            (10, 0..=4) => {
                let (_consent_id, rest) = rest.split_first_chunk::<16>()?;
                Some(Self::of(None, Some(rest.split_first_chunk()?.0), *variant == 0))
            }
            (2, 0) => Activation::read(body).map(|_| Self { is_activation: true, ..Self::default() }),
            (3, 0 | 1) | (4, 1) | (13, 2..=5 | 7 | 9) => {
                let (receipt_id, rest) = rest.split_first_chunk()?;
                let (authorization_id, _) = rest.split_first_chunk()?;
                Some(Self::of(Some(receipt_id), Some(authorization_id), (*family, *variant) == (3, 0)))
            }
            (4 | 13, 0) => {
                let (receipt_id, rest) = rest.split_first_chunk()?;
                match rest.split_first()? {
                    (0, _) => Some(Self::of(Some(receipt_id), None, false)),
                    (1, rest) => Some(Self::of(Some(receipt_id), Some(rest.split_first_chunk()?.0), false)),
                    _ => None,
                }
            }
            (13, 1) => match rest.split_first()? {
                (0, _) => Some(Self::default()),
                (1, rest) => Some(Self::of(None, Some(rest.split_first_chunk()?.0), false)),
                _ => None,
            },
            (13, 8) => Some(Self::of(None, Some(rest.split_first_chunk()?.0), false)),
            (5, 0) => {
                let (_nonce, rest) = rest.split_first_chunk::<16>()?;
                Some(Self::of(None, Some(rest.split_first_chunk()?.0), false))
            }
            (6, 0) => {
                let (receipt_id, rest) = rest.split_first_chunk()?;
                let (_escalation_id, rest) = rest.split_first_chunk::<16>()?;
                Some(Self::of(Some(receipt_id), Some(rest.split_first_chunk()?.0), false))
            }
            _ => None,
        }
    }

    fn of(receipt_id: Option<&[u8; 16]>, authorization_id: Option<&[u8; 16]>, is_grant: bool) -> Self {
        Self {
            receipt_id: receipt_id.map(|id| ReceiptId::from_bytes(*id)),
            authorization_id: authorization_id.map(|id| AuthorizationId::from_bytes(*id)),
            is_grant,
            is_activation: false,
        }
    }
}

/// A signing key was activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Activation {
    pub(super) key_id: KeyId,
    pub(super) public_key: [u8; 32],
    pub(super) active_from: Timestamp,
}

impl Activation {
    /// Nothing if the body is that of another event.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let rest = body.strip_prefix(&[2, 0])?;
        let (key_id, rest) = rest.split_first_chunk()?;
        let (public_key, rest) = rest.split_first_chunk()?;
        let active_from = Timestamp::from_ms(varint(rest)?)?;
        Some(Self { key_id: KeyId::from_bytes(*key_id), public_key: *public_key, active_from })
    }
}

/// The unsigned integer that `bytes` begin with.
fn varint(bytes: &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first()?;
    match first {
        0..=250 => Some(u64::from(*first)),
        251 => rest.split_first_chunk().map(|(n, _)| u64::from(u16::from_le_bytes(*n))),
        252 => rest.split_first_chunk().map(|(n, _)| u64::from(u32::from_le_bytes(*n))),
        253 => rest.split_first_chunk().map(|(n, _)| u64::from_le_bytes(*n)),
        254..=255 => None,
    }
}

/// A whole record, or one whose body is hidden.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored<'b> {
    pub(super) header: Header,
    pub(super) hash: Hash,
    /// Nothing if it is hidden.
    pub(super) body: Option<(&'b [u8], Beginning)>,
}

impl<'b> Stored<'b> {
    /// A whole record.
    pub(super) fn whole(record: &'b [u8]) -> Option<Self> {
        let (bytes, body) = record.split_first_chunk()?;
        let beginning = Beginning::read(body)?;
        (record.len() <= RECORD_BYTES_MAX).then_some(())?;
        let (header, _) = Header::read(bytes).ok()?;
        Some(Self { header, hash: hash_parts(bytes, blake3::hash(body).as_bytes()), body: Some((body, beginning)) })
    }

    /// A header, and the hash of the body behind it.
    pub(super) fn hidden(bytes: &[u8]) -> Option<Self> {
        let (bytes, body_hash) = bytes.split_first_chunk()?;
        let (header, _) = Header::read(bytes).ok()?;
        Some(Self { header, hash: hash_parts(bytes, body_hash.try_into().ok()?), body: None })
    }
}
