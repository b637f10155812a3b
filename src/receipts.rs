//! Receipts by id: the id's milliseconds lead to the place in the log, the record says the rest. No index.

use std::ops::Range;
use std::sync::Arc;

use allowlog_projections::receipts::receipt;
use allowlog_projections::state::SigningKey;
use allowlog_proto::chain::Hash;
use allowlog_proto::id::{ReceiptId, WorkspaceId};
use allowlog_proto::receipt::signed_document;
use allowlog_proto::record::Record;
use allowlog_proto::signing::Signature;

use crate::keyring::Keyring;
use crate::log::{Store, StoreError};
use crate::signing::NO_SIGNATURE;

/// A receipt as it stands.
#[derive(Debug)]
pub enum Standing {
    /// Its record is durable, its signature not there yet.
    Pending(Box<Record>),
    /// The signed document, as JSON.
    Signed(String),
}

/// Finds the receipt of a workspace; `keys` are all the signing keys the workspace ever had.
///
/// # Errors
/// If the log cannot be read.
pub fn find(
    store: &Arc<dyn Store>,
    keyring: &Keyring,
    workspace_id: WorkspaceId,
    id: ReceiptId,
    keys: &[SigningKey],
) -> Result<Option<Standing>, StoreError> {
    let found = locate(store, workspace_id, id)?;
    Ok(found.map(|Located { sequence, record, .. }| standing(store, keyring, sequence, record, keys)))
}

/// A record and where it is.
#[derive(Debug)]
pub struct Located {
    /// Its place in the log.
    pub sequence: u64,
    /// Itself.
    pub record: Record,
    /// Its hash.
    pub hash: Hash,
}

/// The record of a workspace's receipt.
///
/// # Errors
/// If the log cannot be read.
pub fn locate(store: &Arc<dyn Store>, workspace_id: WorkspaceId, id: ReceiptId) -> Result<Option<Located>, StoreError> {
    locate_at(store, workspace_id, id.time_ms(), |record, _| record.event.receipt_id() == Some(id))
}

/// Records that one command left, from their places in the log.
///
/// # Errors
/// If the log cannot be read.
pub fn records(store: &Arc<dyn Store>, sequences: Range<u64>) -> Result<Vec<Record>, StoreError> {
    let damaged = |problem: String| StoreError::Damaged { sequence: sequences.start, problem };
    // All of them are in one frame.
    let frame = store.scan(sequences.start).next().ok_or_else(|| damaged("there is no such record".to_owned()))??;
    let stored = (frame.header().first_sequence..).zip(frame.records().map_err(|e| damaged(e.to_string()))?);
    let wanted = stored.filter(|(sequence, _)| sequences.contains(sequence));
    wanted.map(|(_, (bytes, _))| Record::decode(bytes).map_err(|e| damaged(e.to_string()))).collect()
}

/// The first record of a workspace at this millisecond that is wanted.
///
/// # Errors
/// If the log cannot be read.
pub fn locate_at(
    store: &Arc<dyn Store>,
    workspace_id: WorkspaceId,
    time_ms: u64,
    is_wanted: impl Fn(&Record, Hash) -> bool,
) -> Result<Option<Located>, StoreError> {
    for frame in store.scan(store.locate(time_ms)?) {
        let frame = frame?;
        if frame.header().first_time_ms > time_ms {
            break;
        }
        if frame.header().last_time_ms < time_ms {
            continue;
        }
        let first = frame.header().first_sequence;
        let damaged = |problem: String| StoreError::Damaged { sequence: first, problem };
        for (sequence, (bytes, hash)) in (first..).zip(frame.records().map_err(|e| damaged(e.to_string()))?) {
            let record = Record::decode(bytes).map_err(|e| damaged(e.to_string()))?;
            if record.workspace_id == workspace_id && is_wanted(&record, hash) {
                return Ok(Some(Located { sequence, record, hash }));
            }
        }
    }
    Ok(None)
}

/// The stored signature of a record; [`NO_SIGNATURE`] if it cannot be read, since it can be made again.
fn signature_of(store: &Arc<dyn Store>, sequence: u64) -> Option<Signature> {
    store.signature(sequence).unwrap_or_else(|error| {
        tracing::warn!(log.sequence = sequence, storage.error = %error, "a stored signature cannot be read, it is made again");
        Some(NO_SIGNATURE)
    })
}

/// Whether the signature of a record's receipt is there, or can be made at once.
pub fn is_signed(store: &Arc<dyn Store>, keyring: &Keyring, sequence: u64, record: &Record, keys: &[SigningKey]) -> bool {
    let can_be_made = || SigningKey::active_at(keys, record.time).is_some_and(|key| keyring.private_key(key.key_id).is_ok());
    signature_of(store, sequence).is_some_and(|signature| signature != NO_SIGNATURE || can_be_made())
}

/// The signed document of a record's receipt, signed now if it is not yet; nothing if it has none, or its key cannot be had.
pub fn document(store: &Arc<dyn Store>, keyring: &Keyring, sequence: u64, record: &Record, keys: &[SigningKey]) -> Option<String> {
    let canonical = receipt(record)?.canonical().ok()?;
    let key = SigningKey::active_at(keys, record.time)?;
    let stored = signature_of(store, sequence).filter(|signature| *signature != NO_SIGNATURE);
    let signature = stored.or_else(|| Some(keyring.private_key(key.key_id).ok()?.sign(canonical.as_bytes())))?;
    Some(signed_document(&canonical, key.key_id, &signature))
}

/// How the receipt of a record stands, whose log sequence is known.
pub fn standing(store: &Arc<dyn Store>, keyring: &Keyring, sequence: u64, record: Record, keys: &[SigningKey]) -> Standing {
    // One that is not there yet is waited for. If its key could not be had when its turn came, or what was stored cannot be read, it
    // is signed the same as it was then.
    let document = signature_of(store, sequence).and_then(|_| document(store, keyring, sequence, &record, keys));
    document.map_or_else(|| Standing::Pending(Box::new(record)), Standing::Signed)
}
