//! The log in memory, with scripted faults: what the log on disk promises, without a disk.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use allowlog_proto::chain::Hash;
use allowlog_proto::frame::Frame;
use allowlog_proto::signing::Signature;

use crate::log::{Frames, Store, StoreError};

/// What goes wrong with one append. Both are reported as an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing was stored; a restart does not find the frame.
    Lost,
    /// The frame was stored but not acknowledged; a restart finds it.
    DoneButFailed,
}

/// A log that lives as long as its process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    frames: Vec<Arc<Frame>>,
    /// The frame of a failed append that a restart would find.
    maybe: Option<Arc<Frame>>,
    latched: bool,
    signatures: Vec<Signature>,
    appends: u64,
    faults: BTreeMap<u64, Fault>,
    recover_failures: u32,
}

impl MemoryStore {
    /// An empty log without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty log whose n-th appends, counted from 0, fail as scripted.
    pub fn with_faults(faults: impl IntoIterator<Item = (u64, Fault)>) -> Self {
        Self { inner: Mutex::new(Inner { faults: faults.into_iter().collect(), ..Inner::default() }) }
    }

    /// Lets the append after `appends` further good ones fail.
    pub fn fail_append(&self, appends: u64, fault: Fault) {
        let mut inner = self.lock();
        let nth = inner.appends.saturating_add(appends);
        inner.faults.insert(nth, fault);
    }

    /// Lets the next `times` calls of [`Store::recover`] fail.
    pub fn fail_recover(&self, times: u32) {
        self.lock().recover_failures = times;
    }

    /// What a restart after a crash at this instant would find: every acknowledged frame, and the one of a failed
    /// append if it was [`Fault::DoneButFailed`] and not recovered from. Faults still to come stay with the old store.
    #[must_use]
    pub fn crash(&self) -> Self {
        let inner = self.lock();
        let frames = inner.frames.iter().chain(&inner.maybe).cloned().collect();
        Self { inner: Mutex::new(Inner { frames, signatures: inner.signatures.clone(), ..Inner::default() }) }
    }

    /// Loses the signatures from `sequence` on, as a crash may.
    pub fn lose_signatures(&self, sequence: u64) {
        self.lock().signatures.truncate(usize::try_from(sequence).unwrap_or(usize::MAX));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn head(&self) -> u64 {
        self.frames.last().map_or(0, |frame| frame.header().end_sequence())
    }

    fn signed(&self) -> u64 {
        u64::try_from(self.signatures.len()).unwrap_or(u64::MAX)
    }
}

impl Store for MemoryStore {
    fn append(&self, frame: Frame) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if inner.latched {
            return Err(scripted("append a frame before recovery"));
        }
        assert_eq!(frame.header().first_sequence, inner.head(), "a frame begins at the head");
        assert_eq!(
            frame.header().previous,
            inner.frames.last().map_or(Hash::default(), |last| last.hash()),
            "a frame carries the last hash"
        );
        let nth = inner.appends;
        inner.appends = nth.saturating_add(1);
        let frame = Arc::new(frame);
        match inner.faults.remove(&nth) {
            None => {
                inner.frames.push(frame);
                return Ok(());
            }
            Some(Fault::Lost) => {}
            Some(Fault::DoneButFailed) => inner.maybe = Some(frame),
        }
        inner.latched = true;
        Err(scripted("append a frame"))
    }

    fn recover(&self) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if let Some(left) = inner.recover_failures.checked_sub(1) {
            inner.recover_failures = left;
            return Err(scripted("recover from a failed append"));
        }
        inner.maybe = None;
        inner.latched = false;
        Ok(())
    }

    fn head(&self) -> u64 {
        self.lock().head()
    }

    fn scan(&self, sequence: u64) -> Frames {
        let inner = self.lock();
        let start = inner.frames.partition_point(|frame| frame.header().end_sequence() <= sequence);
        let frames = inner.frames.get(start..).unwrap_or_default().to_vec();
        Box::new(frames.into_iter().map(Ok))
    }

    fn locate(&self, time_ms: u64) -> Result<u64, StoreError> {
        let inner = self.lock();
        let start = inner.frames.partition_point(|frame| frame.header().last_time_ms < time_ms);
        Ok(inner.frames.get(start).map_or_else(|| inner.head(), |frame| frame.header().first_sequence))
    }

    fn put_signatures(&self, sequence: u64, signatures: &[Signature]) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if sequence != inner.signed() {
            return Err(scripted("keep signatures that do not follow the last ones"));
        }
        inner.signatures.extend_from_slice(signatures);
        Ok(())
    }

    fn signature(&self, sequence: u64) -> Result<Option<Signature>, StoreError> {
        let inner = self.lock();
        Ok(usize::try_from(sequence).ok().and_then(|at| inner.signatures.get(at).copied()))
    }

    fn signed(&self) -> u64 {
        self.lock().signed()
    }
}

fn scripted(doing: &str) -> StoreError {
    StoreError::Io { doing: doing.to_owned(), source: io::Error::other("scripted fault") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::disk::tests::Author;

    fn stored(store: &MemoryStore) -> Vec<Vec<u8>> {
        store.scan(0).map(|frame| frame.unwrap().bytes().to_vec()).collect()
    }

    #[test]
    fn a_fault_latches_until_recovery_and_leaves_what_it_says() {
        for (fault, found) in [(Fault::Lost, 2), (Fault::DoneButFailed, 3)] {
            let store = MemoryStore::with_faults([(2, fault)]);
            let mut author = Author::new(1);
            for _ in 0..2 {
                store.append(author.frame(400)).unwrap();
            }
            let acknowledged = author.clone();
            assert!(store.append(author.frame(400)).is_err(), "{fault:?}");
            assert_eq!(store.head(), acknowledged.chain.next_sequence());
            assert_eq!(stored(&store).len(), 2, "nobody reads what was not acknowledged");
            assert_eq!(stored(&store.crash()).len(), found, "{fault:?}");
            author = acknowledged;
            assert!(store.append(author.clone().frame(400)).is_err(), "latched");
            store.fail_recover(2);
            assert!(store.recover().is_err());
            assert!(store.recover().is_err());
            store.recover().unwrap();
            assert_eq!(stored(&store.crash()).len(), 2, "recovery drops what is beyond the head");
            store.append(author.frame(400)).unwrap();
            assert_eq!(stored(&store.crash()).len(), 3);
        }
    }

    #[test]
    fn locates_and_keeps_signatures() {
        let store = MemoryStore::new();
        let mut author = Author::new(2);
        for _ in 0..20 {
            store.append(author.frame(600)).unwrap();
        }
        for frame in store.scan(0).map(Result::unwrap) {
            let header = frame.header();
            assert!(store.locate(header.first_time_ms).unwrap() <= header.first_sequence);
            assert_eq!(store.scan(header.first_sequence).next().unwrap().unwrap().bytes(), frame.bytes());
        }
        assert_eq!(store.locate(u64::MAX).unwrap(), store.head());
        store.put_signatures(0, &[[1; 64], [2; 64]]).unwrap();
        assert!(store.put_signatures(1, &[[3; 64]]).is_err());
        assert_eq!((store.signed(), store.signature(1).unwrap(), store.signature(2).unwrap()), (2, Some([2; 64]), None));
    }
}
