//! The receipts of the last commits, on their way to whoever signs them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Receipts that commits leave, in bytes at most. Those before are made again from the log.
const FRESH_BYTES: usize = 32 * 1024 * 1024;

/// Canonical receipts as commits leave them, so that they need not be made again to be signed: what is in here is durable.
#[derive(Debug, Default)]
pub struct Fresh(Mutex<Commits>);

#[derive(Debug, Default)]
struct Commits {
    /// The sequence of the first record of each, and the receipts of its records, in the order of the log.
    queue: VecDeque<(u64, Vec<Option<String>>)>,
    bytes: usize,
}

impl Fresh {
    /// Those of a commit whose first record has this sequence; a record without a receipt has none here.
    pub fn put(&self, first: u64, receipts: Vec<Option<String>>) {
        let mut commits = self.lock();
        commits.bytes = commits.bytes.saturating_add(bytes(&receipts));
        commits.queue.push_back((first, receipts));
        while commits.bytes > FRESH_BYTES && commits.pop().is_some() {}
    }

    /// Those of the commit that begins there, unless they are gone. Those of earlier ones are dropped.
    pub fn take(&self, first: u64) -> Vec<Option<String>> {
        let mut commits = self.lock();
        while commits.queue.front().is_some_and(|(begins, _)| *begins <= first) {
            match commits.pop() {
                Some((begins, receipts)) if begins == first => return receipts,
                _ => {}
            }
        }
        Vec::new()
    }

    fn lock(&self) -> MutexGuard<'_, Commits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Commits {
    fn pop(&mut self) -> Option<(u64, Vec<Option<String>>)> {
        let (first, receipts) = self.queue.pop_front()?;
        self.bytes = self.bytes.saturating_sub(bytes(&receipts));
        Some((first, receipts))
    }
}

fn bytes(receipts: &[Option<String>]) -> usize {
    receipts.iter().flatten().map(String::capacity).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_receipts_are_those_of_the_commit_that_begins_there() {
        let fresh = Fresh::default();
        let receipts = |text: &str| vec![Some(text.to_owned()), None];
        for (first, text) in [(0, "a"), (2, "b"), (4, "c"), (6, "d")] {
            fresh.put(first, receipts(text));
        }
        assert_eq!(fresh.take(2), receipts("b"));
        assert!(fresh.take(0).is_empty() && fresh.take(2).is_empty(), "what was before is dropped, and nothing is taken twice");
        assert!(fresh.take(5).is_empty(), "no commit begins within another");
        assert_eq!(fresh.take(6), receipts("d"), "what comes later stays");
        assert_eq!(fresh.lock().bytes, 0);
    }

    #[test]
    fn too_many_fresh_receipts_leave_the_newest() {
        let fresh = Fresh::default();
        for first in 0..5 {
            fresh.put(first, vec![Some("x".repeat(FRESH_BYTES / 3))]);
        }
        assert!(fresh.take(1).is_empty() && fresh.lock().bytes <= FRESH_BYTES);
        assert_eq!([2, 3, 4].map(|first| fresh.take(first).len()), [1; 3]);
    }
}
