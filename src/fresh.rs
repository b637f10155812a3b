//! The receipts of the last commits, on their way to whoever signs them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Stopwatch;

/// Receipts that commits leave, in bytes at most. Those before are made again from the log.
const FRESH_BYTES: usize = 32 * 1024 * 1024;

/// Canonical receipts as commits leave them, so that they need not be made again to be signed: what is in here is durable.
#[derive(Debug, Default)]
pub struct Fresh(Mutex<Commits>);

/// Commits in the order of the log.
#[derive(Debug, Default)]
struct Commits {
    queue: VecDeque<Commit>,
    bytes: usize,
}

/// What one commit has left.
#[derive(Debug)]
pub struct Commit {
    /// The sequence of its first record.
    first: u64,
    /// Of each of its records, if it leads to one.
    pub receipts: Vec<Option<String>>,
    /// Since they wait.
    pub waiting: Stopwatch,
}

impl Fresh {
    /// Leaves those of a commit whose first record has this sequence. One without records is none.
    pub fn put(&self, first: u64, receipts: Vec<Option<String>>) {
        if receipts.is_empty() {
            return;
        }
        let mut commits = self.lock();
        let commit = Commit { first, receipts, waiting: Stopwatch::start() };
        commits.bytes = commits.bytes.saturating_add(commit.bytes());
        commits.queue.push_back(commit);
        while commits.bytes > FRESH_BYTES && commits.pop().is_some() {}
    }

    /// Those of the commit that begins there, unless they are not there yet, or are gone. Those of earlier ones are dropped.
    pub fn take(&self, first: u64) -> Option<Commit> {
        let mut commits = self.lock();
        while commits.queue.front()?.first < first {
            commits.pop();
        }
        if commits.queue.front()?.first == first { commits.pop() } else { None }
    }

    fn lock(&self) -> MutexGuard<'_, Commits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Commits {
    fn pop(&mut self) -> Option<Commit> {
        let commit = self.queue.pop_front()?;
        self.bytes = self.bytes.saturating_sub(commit.bytes());
        Some(commit)
    }
}

impl Commit {
    fn bytes(&self) -> usize {
        let texts = self.receipts.iter().flatten().map(String::capacity);
        texts.fold(size_of_val(self).saturating_add(size_of_val(&*self.receipts)), usize::saturating_add)
    }
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
        let take = |first| fresh.take(first).map(|commit| commit.receipts);
        assert_eq!(take(2), Some(receipts("b")));
        assert_eq!((take(0), take(2)), (None, None), "what was before is dropped, and nothing is taken twice");
        assert_eq!(take(5), None, "no commit begins within another");
        assert_eq!(take(6), Some(receipts("d")), "what comes later stays");
        assert_eq!(fresh.lock().bytes, 0);
    }

    #[test]
    fn a_commit_without_records_leaves_nothing() {
        let fresh = Fresh::default();
        fresh.put(5, Vec::new());
        assert!(fresh.lock().queue.is_empty(), "the next one begins there too");
        fresh.put(5, vec![None]);
        assert_eq!(fresh.take(5).map(|commit| commit.receipts), Some(vec![None]));
    }

    #[test]
    fn too_many_fresh_receipts_leave_the_newest() {
        let fresh = Fresh::default();
        for first in 0..5 {
            fresh.put(first, vec![Some("x".repeat(FRESH_BYTES / 4))]);
        }
        assert!(fresh.take(1).is_none() && fresh.lock().bytes <= FRESH_BYTES);
        assert!([2, 3, 4].into_iter().all(|first| fresh.take(first).is_some()));
    }
}
