//! The signing follower: records become signatures. It starts where its stored position says, and reads the log; the receipts of the
//! last commits it need not make again.
//!
//! Ed25519 is deterministic, so a signature is a function of record and key: whatever is lost here is made again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use allowlog_projections::receipts::receipt;
use allowlog_projections::state::{SigningKey, State};
use allowlog_proto::event::{Event, SigningKeyEvent};
use allowlog_proto::frame::Frame;
use allowlog_proto::id::{KeyId, WorkspaceId};
use allowlog_proto::receipt::hash;
use allowlog_proto::record::{Header, Record};
use allowlog_proto::signing::Signature;
use allowlog_proto::time::Timestamp;
use tokio::sync::{oneshot, watch};

use crate::clock::Stopwatch;
use crate::fresh::Fresh;
use crate::keyring::Keyring;
use crate::log::Store;
use crate::priority::{give_way, step_back};
use crate::telemetry::metrics::metrics;

/// In place of a signature: for a record without a receipt, or one whose key could not be had.
pub const NO_SIGNATURE: Signature = [0; 64];

/// How long to wait before trying again what failed.
const RETRY: Duration = Duration::from_secs(1);
/// Signed at most once the writer is gone, in about half a second: nobody waits for signatures, but for the server to end.
const LAST_RECORDS: u64 = 20_000;
/// Below the threads that answer.
const NICE: i32 = 15;
/// Others wait for so many signatures at most, some 40 µs.
const GIVE_WAY_RECORDS: u64 = 4;

/// What the follower works with.
pub struct Signing {
    store: Arc<dyn Store>,
    keyring: Arc<Keyring>,
    fresh: Arc<Fresh>,
    keys: BTreeMap<WorkspaceId, Vec<SigningKey>>,
    /// Keys that could not be had; each is reported once.
    complained: BTreeSet<KeyId>,
    position: watch::Sender<u64>,
}

impl Signing {
    /// A follower that knows the keys of `state`, to which commits leave their receipts in `fresh`; the receiver sees the log sequence
    /// behind the last signed record.
    pub fn new(store: Arc<dyn Store>, keyring: Arc<Keyring>, fresh: Arc<Fresh>, state: &State) -> (Self, watch::Receiver<u64>) {
        let keys = state.workspaces().map(|(id, workspace)| (id, workspace.signing_keys.clone())).collect();
        let (position, signed) = watch::channel(store.signed());
        (Self { store, keyring, fresh, keys, complained: BTreeSet::new(), position }, signed)
    }

    /// Runs until the writer, which holds the other end of `wake`, is gone and all is signed, or so much that the next
    /// start may have the rest. `alive` is dropped when it ends, by a panic too.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(mut self, wake: Receiver<()>, alive: oneshot::Sender<()>) -> std::io::Result<JoinHandle<()>> {
        thread::Builder::new().name("signing".into()).spawn(move || {
            let _alive = alive;
            step_back(NICE);
            let (mut is_over, mut left) = (false, LAST_RECORDS);
            loop {
                let caught_up = self.sign_until(|signed| {
                    is_over = is_over || wake.try_recv() == Err(TryRecvError::Disconnected);
                    left = if is_over { left.saturating_sub(signed) } else { left };
                    left == 0
                });
                // What was written while it signed may have taken its wake with it.
                let behind = self.store.signed() < self.store.head();
                if is_over && (!behind || !caught_up || left == 0) {
                    return;
                }
                let woken = match caught_up {
                    true if behind => Ok(()),
                    true => wake.recv().map_err(|_| RecvTimeoutError::Disconnected),
                    false => wake.recv_timeout(RETRY),
                };
                is_over = is_over || woken == Err(RecvTimeoutError::Disconnected);
            }
        })
    }

    /// Signs all that is there; false if something failed and is to be tried again.
    pub fn catch_up(&mut self) -> bool {
        self.sign_until(|_| false)
    }

    /// The same, until `is_enough`, which is told of each frame how many records it had.
    fn sign_until(&mut self, mut is_enough: impl FnMut(u64) -> bool) -> bool {
        for frame in self.store.scan(self.store.signed()) {
            if is_enough(frame.as_ref().map_or(0, |frame| u64::from(frame.header().count))) {
                return true;
            }
            let signed = frame.map_err(|e| e.to_string()).and_then(|frame| self.sign_frame(&frame));
            if let Err(error) = signed {
                tracing::error!(
                    signing.position = self.store.signed(),
                    signing.error = error,
                    "signing stopped, it tries again in a second"
                );
                return false;
            }
        }
        true
    }

    fn sign_frame(&mut self, frame: &Frame) -> Result<(), String> {
        let (start, first, signing) = (self.store.signed(), frame.header().first_sequence, Stopwatch::start());
        let count = usize::try_from(frame.header().count).unwrap_or(usize::MAX);
        let fresh = self.fresh.take(first).filter(|commit| commit.receipts.len() == count);
        // What is only in the log has waited since before the start, or for long.
        let (receipts, waiting) = fresh.map_or((Vec::new(), None), |commit| (commit.receipts, Some(commit.waiting)));
        let mut receipts = receipts.into_iter();
        let mut signatures = Vec::new();
        for (sequence, (bytes, _)) in (first..).zip(frame.records().map_err(|e| e.to_string())?) {
            let receipt = receipts.next().flatten();
            if sequence < start {
                continue;
            }
            if let Some(waiting) = waiting.as_ref().filter(|_| sequence.is_multiple_of(GIVE_WAY_RECORDS)) {
                give_way(waiting);
            }
            signatures.push(match receipt {
                Some(canonical) => self.sign_fresh(bytes, &canonical)?,
                None => self.sign_record(&Record::decode(bytes).map_err(|e| e.to_string())?)?,
            });
        }
        metrics().signing_batch_seconds.observe(signing.seconds());
        self.store.put_signatures(start, &signatures).map_err(|e| e.to_string())?;
        self.position.send_replace(self.store.signed());
        Ok(())
    }

    fn sign_record(&mut self, record: &Record) -> Result<Signature, String> {
        if let Event::SigningKey(SigningKeyEvent::Activated { key_id, public_key, active_from }) = &record.event {
            let keys = self.keys.entry(record.workspace_id).or_default();
            if keys.iter().all(|key| key.key_id != *key_id) {
                keys.push(SigningKey { key_id: *key_id, public_key: *public_key, active_from: *active_from });
            }
        }
        let Some(receipt) = receipt(record) else { return Ok(NO_SIGNATURE) };
        let canonical = receipt.canonical().map_err(|e| e.to_string())?;
        // What is signed is what the log committed to, whatever this version would make of the event.
        if hash(&canonical) != record.receipt {
            return Err(format!("receipt `{}` is not the one its record carries the hash of", receipt.receipt_id));
        }
        self.sign(record.workspace_id, record.time, &canonical)
    }

    /// The same with the receipt at hand whose hash the record was given.
    fn sign_fresh(&mut self, record: &[u8], canonical: &str) -> Result<Signature, String> {
        let (header, _) = Header::read(record).map_err(|e| e.to_string())?;
        debug_assert_eq!(hash(canonical), header.receipt, "a commit leaves the receipts of its own records");
        self.sign(header.workspace_id, header.time, canonical)
    }

    fn sign(&mut self, workspace_id: WorkspaceId, time: Timestamp, canonical: &str) -> Result<Signature, String> {
        let keys = self.keys.get(&workspace_id).map(Vec::as_slice).unwrap_or_default();
        let key = SigningKey::active_at(keys, time);
        let key = key.ok_or_else(|| format!("workspace `{workspace_id}` had no signing key at {time}"))?;
        // A key that cannot be had must not hold up everybody else. Its receipts are signed when they are asked for.
        match self.keyring.private_key(key.key_id) {
            Ok(private) => Ok(private.sign(canonical.as_bytes())),
            Err(error) => {
                if self.complained.insert(key.key_id) {
                    tracing::error!(keyring.error = %error, "receipts of one workspace cannot be signed until its key is restored");
                }
                Ok(NO_SIGNATURE)
            }
        }
    }
}
