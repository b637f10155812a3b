//! Evidence: a run of records with their receipts and everything that proves them, as a bundle that is verified offline.

use std::io::{self, Write};
use std::sync::Arc;

use allowlog_projections::state::SigningKey;
use allowlog_proto::chain::Hash;
use allowlog_proto::event::{Event, SigningKeyEvent};
use allowlog_proto::id::{AuthorizationId, WorkspaceId};
use allowlog_proto::merkle::{Subtree, after, before};
use allowlog_proto::record::{HEADER_BYTES, Header, Record, subject_of};
use allowlog_proto::time::Timestamp;
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::checkpoints::Published;
use crate::keyring::Keyring;
use crate::log::{Store, StoreError};
use crate::receipts::{Located, document, locate_at};
use crate::tiles::Tiles;

/// What is to be proved.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whose records.
    pub workspace_id: WorkspaceId,
    /// Every signing key the workspace ever had.
    pub keys: Vec<SigningKey>,
    /// The story of this authorization; without it everything of the workspace.
    pub authorization_id: Option<AuthorizationId>,
    /// From this instant on.
    pub from: Option<Timestamp>,
    /// Before this instant.
    pub to: Option<Timestamp>,
}

/// A bundle that is ready to be written.
pub struct Bundle {
    store: Arc<dyn Store>,
    keyring: Arc<Keyring>,
    request: Request,
    head: Value,
    /// Log sequence from which the records are found.
    sequence: u64,
    first: u64,
    end: u64,
}

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The workspace has no such authorization.
    #[error("there is no such authorization")]
    Unknown,
    /// The log.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The trees, or whoever takes the bundle.
    #[error("the evidence cannot be put together: {0}")]
    Io(#[from] io::Error),
}

/// Where a record of the workspace is.
#[derive(Clone, Copy)]
struct Place {
    sequence: u64,
    index: u64,
}

impl Bundle {
    /// Finds what the request is about, under this checkpoint.
    ///
    /// # Errors
    /// Says why there is nothing to be written.
    pub fn prepare(
        store: Arc<dyn Store>,
        keyring: Arc<Keyring>,
        tiles: &Tiles,
        published: &Published,
        request: Request,
    ) -> Result<Self, EvidenceError> {
        let size = published.size;
        let begin = match request.authorization_id {
            None => None,
            Some(id) => Some(grant(&store, request.workspace_id, id)?.ok_or(EvidenceError::Unknown)?),
        };
        // Granted behind the checkpoint, it is nothing that could be proved.
        if begin.is_some_and(|grant| grant.index >= size) {
            return Err(EvidenceError::Unknown);
        }
        let from = match request.from {
            None => Some(begin.unwrap_or(Place { sequence: store.locate(request.workspace_id.time_ms())?, index: 0 })),
            Some(from) => match (place_at(&store, request.workspace_id, from)?, begin) {
                (Some(place), Some(grant)) if grant.index > place.index => Some(grant),
                (place, _) => place,
            },
        };
        let to = request.to.map(|to| place_at(&store, request.workspace_id, to)).transpose()?.flatten();
        let end = to.map_or(size, |to| to.index.min(size));
        let first = from.map_or(end, |from| from.index.min(end));
        let sequence = from.map_or_else(|| store.head(), |from| from.sequence);
        let head = head(&store, tiles, published, &request, first..end)?;
        Ok(Self { store, keyring, request, head, sequence, first, end })
    }

    /// How many records it has.
    pub const fn records(&self) -> u64 {
        self.end.saturating_sub(self.first)
    }

    /// Writes it; `progress` is told how many records have been written.
    ///
    /// # Errors
    /// If the log cannot be read or `out` takes no more. What was written then is no bundle.
    pub fn write(&self, out: &mut dyn Write, mut progress: impl FnMut(u64)) -> Result<(), EvidenceError> {
        writeln!(out, "{}", self.head)?;
        let mut next = self.first;
        for frame in self.store.scan(self.sequence) {
            if next >= self.end {
                break;
            }
            let frame = frame?;
            let first = frame.header().first_sequence;
            let damaged = |problem: String| StoreError::Damaged { sequence: first, problem };
            for (sequence, (bytes, hash)) in (first..).zip(frame.records().map_err(|e| damaged(e.to_string()))?) {
                let (header, body) = Header::read(bytes).map_err(|e| damaged(e.to_string()))?;
                if header.workspace_id != self.request.workspace_id || header.index != next || next >= self.end {
                    continue;
                }
                if self.hides(&header) {
                    writeln!(out, "{}", hidden(bytes, body, hash))?;
                } else {
                    let record = Record::decode(bytes).map_err(|e| damaged(e.to_string()))?;
                    let receipt = document(&self.store, &self.keyring, sequence, &record, &self.request.keys);
                    writeln!(out, "{}", whole(bytes, hash, receipt.as_deref()))?;
                }
                next = next.saturating_add(1);
            }
            progress(next.saturating_sub(self.first));
        }
        if next < self.end {
            let problem = format!("record {next} of workspace `{}` was not found", self.request.workspace_id);
            return Err(StoreError::Damaged { sequence: self.sequence, problem }.into());
        }
        Ok(out.flush()?)
    }

    fn hides(&self, header: &Header) -> bool {
        self.request.authorization_id.is_some_and(|id| header.subject != subject_of(id))
    }
}

/// The first line.
fn head(
    store: &Arc<dyn Store>,
    tiles: &Tiles,
    published: &Published,
    request: &Request,
    range: std::ops::Range<u64>,
) -> Result<Value, EvidenceError> {
    tiles.vouch(request.workspace_id, published.size, published.root)?;
    let roots = |subtrees: Vec<Subtree>| {
        let roots = subtrees.into_iter().map(|subtree| tiles.node(request.workspace_id, subtree));
        roots.map(|root| root.map(|root| BASE64.encode(&root.0))).collect::<io::Result<Vec<_>>>()
    };
    let mut keys = Vec::new();
    for key in &request.keys {
        let Some((index, bytes)) = activation(store, request.workspace_id, key)? else { continue };
        if index < published.size {
            let proof = tiles.inclusion(request.workspace_id, index, published.size)?;
            let proof: Vec<_> = proof.iter().map(|hash| BASE64.encode(&hash.0)).collect();
            keys.push(json!({ "record": BASE64.encode(&bytes), "proof": proof }));
        }
    }
    Ok(json!({
        "format": "allowlog-evidence-v1",
        "workspace_id": request.workspace_id,
        "authorization_id": request.authorization_id,
        "first": range.start,
        "end": range.end,
        "before": roots(before(range.start))?,
        "after": roots(after(range.end, published.size))?,
        "keys": keys,
        "checkpoint": published.note.to_string(),
    }))
}

/// A line of base64 and hexadecimal digits needs no escapes.
fn whole(bytes: &[u8], hash: Hash, receipt: Option<&str>) -> String {
    let record = BASE64.encode(bytes);
    match receipt {
        Some(receipt) => format!(r#"{{"hash":"{hash}","record":"{record}","receipt":{receipt}}}"#),
        None => format!(r#"{{"hash":"{hash}","record":"{record}"}}"#),
    }
}

fn hidden(bytes: &[u8], body: &[u8], hash: Hash) -> String {
    let shown = [bytes.get(..HEADER_BYTES).unwrap_or_default(), blake3::hash(body).as_bytes()].concat();
    format!(r#"{{"hash":"{hash}","hidden":"{}"}}"#, BASE64.encode(&shown))
}

/// Where an authorization was granted, or asked for: its id is minted with the first record that is about it.
fn grant(store: &Arc<dyn Store>, workspace_id: WorkspaceId, id: AuthorizationId) -> Result<Option<Place>, StoreError> {
    let found = locate_at(store, workspace_id, id.time_ms(), |record, _| record.event.authorization_id() == Some(id))?;
    Ok(found.map(|Located { sequence, record, .. }| Place { sequence, index: record.index }))
}

/// The first record of the workspace at this instant or later.
fn place_at(store: &Arc<dyn Store>, workspace_id: WorkspaceId, time: Timestamp) -> Result<Option<Place>, StoreError> {
    for frame in store.scan(store.locate(time.as_ms())?) {
        let frame = frame?;
        let first = frame.header().first_sequence;
        for (sequence, bytes) in (first..).zip(frame.contents()) {
            let (header, _) = Header::read(bytes).map_err(|e| StoreError::Damaged { sequence, problem: e.to_string() })?;
            if header.workspace_id == workspace_id && header.time >= time {
                return Ok(Some(Place { sequence, index: header.index }));
            }
        }
    }
    Ok(None)
}

/// The record that activated a key, with its index: its time is that from which the key is active, or just before.
fn activation(store: &Arc<dyn Store>, workspace_id: WorkspaceId, key: &SigningKey) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
    let active_from = key.active_from.as_ms();
    for frame in store.scan(store.locate(active_from.saturating_sub(1))?) {
        let frame = frame?;
        if frame.header().first_time_ms > active_from {
            break;
        }
        for (sequence, bytes) in (frame.header().first_sequence..).zip(frame.contents()) {
            let record = Record::decode(bytes).map_err(|e| StoreError::Damaged { sequence, problem: e.to_string() })?;
            let is_it = matches!(&record.event, Event::SigningKey(SigningKeyEvent::Activated { key_id, .. }) if *key_id == key.key_id);
            if is_it && record.workspace_id == workspace_id {
                return Ok(Some((record.index, bytes.to_vec())));
            }
        }
    }
    Ok(None)
}
