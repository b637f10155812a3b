//! Search: the receipts or rows of the audit a list asks for, from an index that follows the log and from the log behind it.
//!
//! The index only points into the log. What it has not committed yet is read from the log itself, so a list never misses
//! what was answered, also while the index is built anew; every hit is checked against its record, so it never shows
//! what was not asked for.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;

use tokio::sync::watch;

use crate::log::{Store, StoreError};
use crate::search::index::{IndexError, Snapshot};

mod follower;
mod index;
mod tail;
mod terms;
#[cfg(test)]
mod tests;

pub use follower::{Indexing, IndexingError};
pub use tail::Hit;
pub use terms::{Facet, Filter};

/// Searches. Cheap to clone.
#[derive(Clone)]
pub struct Search {
    store: Arc<dyn Store>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    /// The index was wrong, and is not used until it has been built anew.
    is_distrusted: Arc<AtomicBool>,
    wake: SyncSender<()>,
}

/// The order of a list, by place in the log, which is that of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is wanted.
    pub filter: Filter,
    /// In which order.
    pub order: Order,
    /// The log sequence of the last hit of the page before.
    pub after: Option<u64>,
    /// Hits on a page.
    pub limit: usize,
}

/// A page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// In the order asked for.
    pub hits: Vec<Hit>,
    /// Whether there are further ones behind the last.
    pub has_more: bool,
}

/// Hits that are read at a time where they merely have the keys of what is wanted.
const PASSED_OVER_MAX: usize = 1_024;

enum Failure {
    Store(StoreError),
    Index(IndexError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

impl Search {
    /// The page that was asked for, with everything that was durable when it was. Reads the disk.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn find(&self, request: &Request) -> Result<Page, StoreError> {
        let snapshot = Arc::clone(&self.snapshot.borrow());
        let nothing = Snapshot::default();
        if !self.is_distrusted.load(Ordering::SeqCst) {
            match self.find_in(&snapshot, request) {
                Ok(page) => return Ok(page),
                Err(Failure::Store(error)) => return Err(error),
                Err(Failure::Index(error)) => self.distrust(&error),
            }
        }
        self.find_in(&nothing, request).map_err(|failure| match failure {
            Failure::Store(error) => error,
            Failure::Index(_) => unreachable!("nothing is asked of an index that holds nothing"),
        })
    }

    /// How many hits there are, whatever the page. What merely has the keys of what is wanted is counted too: one in 2^64. Reads the
    /// disk.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn count(&self, filter: &Filter) -> Result<u64, StoreError> {
        let snapshot = Arc::clone(&self.snapshot.borrow());
        let head = self.store.head();
        if !self.is_distrusted.load(Ordering::SeqCst) {
            match snapshot.count(filter, &(0..snapshot.position())) {
                Ok(count) => return Ok(count.saturating_add(tail::count(&*self.store, filter, snapshot.position()..head)?)),
                Err(error) => self.distrust(&error),
            }
        }
        tail::count(&*self.store, filter, 0..head)
    }

    /// Log sequence behind the last indexed record.
    pub fn position(&self) -> u64 {
        self.snapshot.borrow().position()
    }

    /// Returns once everything before this log sequence is indexed; false if the follower has ended before.
    pub async fn indexed(&self, position: u64) -> bool {
        self.snapshot.clone().wait_for(|snapshot| snapshot.position() >= position).await.is_ok()
    }

    fn distrust(&self, error: &IndexError) {
        if !self.is_distrusted.swap(true, Ordering::SeqCst) {
            tracing::error!(search.error = %error, "the search index is wrong; lists are read from the log until it is built anew");
        }
        let _ = self.wake.try_send(()); // a full channel means that the follower is awake
    }

    fn find_in(&self, snapshot: &Snapshot, request: &Request) -> Result<Page, Failure> {
        let Request { filter, order, after, limit } = request;
        // One more than the page shows whether there is another.
        let want = limit.saturating_add(1);
        // The snapshot was taken before, so it does not pass the head.
        let head = self.store.head();
        let range = match (order, after) {
            (_, None) => 0..head,
            (Order::Ascending, Some(after)) => after.saturating_add(1)..head,
            (Order::Descending, Some(after)) => 0..head.min(*after),
        };
        let indexed = range.start..range.end.min(snapshot.position());
        let tail = range.start.max(snapshot.position())..range.end;
        let mut hits;
        match order {
            Order::Ascending => {
                hits = self.pointed_to(snapshot, request, indexed, want)?;
                hits.extend(tail::first(&*self.store, filter, tail, want.saturating_sub(hits.len()))?);
            }
            Order::Descending => {
                hits = tail::last(&*self.store, filter, tail, want)?;
                let missing = want.saturating_sub(hits.len());
                hits.extend(self.pointed_to(snapshot, request, indexed, missing)?);
            }
        }
        let has_more = hits.len() > *limit;
        hits.truncate(*limit);
        Ok(Page { hits, has_more })
    }

    /// The hits of a range of the index, `want` or a few more. What merely has the keys of what is wanted is passed over, in ever
    /// larger steps.
    fn pointed_to(&self, snapshot: &Snapshot, request: &Request, mut range: Range<u64>, want: usize) -> Result<Vec<Hit>, Failure> {
        let (filter, mut hits, mut step) = (&request.filter, Vec::new(), want);
        loop {
            let sequences = match request.order {
                Order::Ascending => snapshot.first(filter, range.clone(), step)?,
                Order::Descending => snapshot.last(filter, range.clone(), step)?,
            };
            hits.extend(self.read(filter, &range, &sequences)?);
            match (request.order, sequences.last()) {
                (_, Some(_)) if hits.len() >= want || sequences.len() < step => return Ok(hits),
                (Order::Ascending, Some(last)) => range.start = last.saturating_add(1),
                (Order::Descending, Some(last)) => range.end = *last,
                (_, None) => return Ok(hits),
            }
            step = step.saturating_mul(2).min(PASSED_OVER_MAX.max(want));
        }
    }

    /// What is wanted of that which the index points to. All of it must be what an index may point to.
    fn read(&self, filter: &Filter, range: &Range<u64>, sequences: &[u64]) -> Result<Vec<Hit>, Failure> {
        let mut hits = tail::at(&*self.store, sequences)?;
        match hits.iter().find(|hit| !range.contains(&hit.sequence) || !filter.may_match(&hit.record)) {
            Some(wrong) => Err(IndexError::Wrong(format!("its hit at sequence {} is none", wrong.sequence)).into()),
            None => {
                hits.retain(|hit| filter.matches(&hit.record));
                Ok(hits)
            }
        }
    }
}
