//! The search follower: records become documents of the index. It starts where the index's last commit says.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use allowlog_proto::frame::Frame;
use allowlog_proto::record::Record;
use tokio::sync::{oneshot, watch};

use crate::clock::Stopwatch;
use crate::log::{Store, StoreError, ends_at};
use crate::priority::step_back;
use crate::search::Search;
use crate::search::index::{Index, IndexError, Snapshot};
use crate::search::terms::terms;

/// A commit costs files, syncs and memory, so records are gathered for so long before the next.
const GATHER: Duration = Duration::from_millis(700);
/// In between, what has come is added, a little at a time and while it is still in the processor's caches.
const GLANCE: Duration = Duration::from_millis(20);
/// A commit is made at the latest after so many documents.
const COMMIT_DOCUMENTS: u64 = 50_000;
/// How long to wait before trying again what failed.
const RETRY: Duration = Duration::from_secs(1);
/// Below the threads that answer, as signing is.
const NICE: i32 = 15;

/// What the follower works with.
pub struct Indexing {
    store: Arc<dyn Store>,
    /// Where the index is; in memory without.
    dir: Option<PathBuf>,
    index: Option<Index>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    /// Whether a new index has not reached the head of the log yet.
    is_rebuilding: bool,
    /// Set by whoever finds that the index is wrong.
    is_distrusted: Arc<AtomicBool>,
}

/// Why indexing stopped.
#[derive(Debug, thiserror::Error)]
pub enum IndexingError {
    /// The log.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index.
    #[error("the search index: {0}")]
    Index(String),
}

impl From<IndexError> for IndexingError {
    fn from(error: IndexError) -> Self {
        Self::Index(error.to_string())
    }
}

impl Indexing {
    /// A follower whose index is in this directory, or in memory, and the handle that searches it; the handle wakes the
    /// follower through `wake` when it finds the index wrong.
    pub fn new(store: Arc<dyn Store>, dir: Option<PathBuf>, wake: SyncSender<()>) -> (Self, Search) {
        let (snapshot, seen) = watch::channel(Arc::default());
        let is_distrusted = Arc::new(AtomicBool::new(false));
        let search = Search { store: Arc::clone(&store), snapshot: seen, is_distrusted: Arc::clone(&is_distrusted), wake };
        (Self { store, dir, index: None, snapshot, is_rebuilding: false, is_distrusted }, search)
    }

    /// Runs until the writer and every handle, which hold the other end of `wake`, are gone and all is indexed. `alive` is
    /// dropped when it ends, by a panic too.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(mut self, wake: Receiver<()>, alive: oneshot::Sender<()>) -> std::io::Result<JoinHandle<()>> {
        thread::Builder::new().name("search".into()).spawn(move || {
            let _alive = alive;
            // The index's own threads are started by this one and inherit it.
            step_back(NICE);
            let is_over = || wake.try_recv() == Err(TryRecvError::Disconnected);
            loop {
                // From one beginning to the next: the longer a commit takes, the less is waited for more.
                let catching_up = Stopwatch::start();
                let pause = if self.catch_up(is_over) { GATHER.saturating_sub(catching_up.elapsed()) } else { RETRY };
                if self.rest(pause, is_over) {
                    // What is left, unless it is much: then the next start goes on with it.
                    self.catch_up(|| true);
                    return;
                }
                // What was written while it rested has taken its wake with it.
                if self.position() == self.store.head() && wake.recv().is_err() {
                    return;
                }
            }
        })
    }

    /// Throws the index in this directory away and builds it from the log; `progress` is told the position. Returns the
    /// last one.
    ///
    /// # Errors
    /// If the log cannot be read, or the index not be written.
    pub fn rebuild(store: Arc<dyn Store>, dir: PathBuf, mut progress: impl FnMut(u64)) -> Result<u64, IndexingError> {
        let (wake, _woken) = sync_channel(1);
        let (mut this, _search) = Self::new(store, Some(dir), wake);
        this.create()?;
        this.index_all(|position| {
            progress(position);
            false
        })?;
        // The next server finds few segments.
        if let Some(index) = &mut this.index {
            index.finish_merges(&this.snapshot.borrow())?;
        }
        Ok(this.position())
    }

    /// Indexes all that is there; false if something failed and is to be tried again.
    pub(super) fn catch_up(&mut self, is_over: impl Fn() -> bool) -> bool {
        if self.is_distrusted.load(Ordering::SeqCst) {
            self.index = None;
            self.snapshot.send_replace(Arc::default());
        }
        let indexed = self.open().and_then(|()| self.index_all(|_| is_over()));
        self.is_well(indexed)
    }

    /// Rests for this long, or until it is over, which it says; adds meanwhile what comes, so that little is left for the next commit.
    fn rest(&mut self, pause: Duration, is_over: impl Fn() -> bool) -> bool {
        let resting = Stopwatch::start();
        while resting.elapsed() < pause {
            if is_over() {
                return true;
            }
            thread::sleep(GLANCE);
            let added = self.add_all(|_| is_over()).map(drop);
            self.is_well(added);
        }
        false
    }

    /// Whether it went well; the index is let go if it did not.
    fn is_well(&mut self, done: Result<(), IndexingError>) -> bool {
        if let Err(error) = &done {
            // Its state is unknown after a failure: what was committed is read again.
            self.index = None;
            tracing::error!(search.error = %error, "indexing stopped, it tries again in a second; lists are complete all the same");
        }
        done.is_ok()
    }

    /// Opens the index if it is not open, or makes a new one where there is none that fits the log.
    fn open(&mut self) -> Result<(), IndexingError> {
        if self.index.is_some() {
            return Ok(());
        }
        let distrusted = self.is_distrusted.load(Ordering::SeqCst).then(|| IndexError::Wrong("a hit was none".to_owned()));
        let opened = match (&self.dir, distrusted) {
            (_, Some(wrong)) => Err(wrong),
            (None, None) => Ok(None),
            (Some(dir), None) => Index::open(dir),
        };
        let fitting = match opened {
            Ok(Some(index)) => self.fit(index)?,
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(search.error = %error, "the search index cannot be used, it is built anew from the log");
                None
            }
        };
        match fitting {
            Some(index) => self.index = Some(index),
            None => self.create()?,
        }
        Ok(())
    }

    /// The index, if it is of this log and sound.
    fn fit(&self, index: Index) -> Result<Option<Index>, StoreError> {
        let mark = *index.mark();
        let problem = if mark.position > self.store.head() {
            Some("it is ahead of the log".to_owned())
        } else if !ends_at(&*self.store, mark.position, mark.frame)? {
            Some("it is of another log".to_owned())
        } else {
            match index.snapshot(&Snapshot::default()) {
                Ok(snapshot) => {
                    self.snapshot.send_replace(Arc::new(snapshot));
                    None
                }
                Err(error) => Some(error.to_string()),
            }
        };
        if let Some(problem) = problem {
            tracing::warn!(search.error = problem, "the search index cannot be used, it is built anew from the log");
            return Ok(None);
        }
        Ok(Some(index))
    }

    fn create(&mut self) -> Result<(), IndexingError> {
        self.snapshot.send_replace(Arc::default());
        self.index = Some(Index::create(self.dir.as_deref())?);
        self.is_distrusted.store(false, Ordering::SeqCst);
        self.is_rebuilding = self.dir.is_some() && self.store.head() > 0;
        if self.is_rebuilding {
            tracing::info!(log.records = self.store.head(), "the search index is built from the log");
        }
        Ok(())
    }

    /// Indexes the log up to its head. `is_over` is told the position after a large commit, and may end it there.
    fn index_all(&mut self, is_over: impl FnMut(u64) -> bool) -> Result<(), IndexingError> {
        let is_all = self.add_all(is_over)?;
        let Some(index) = self.index.as_mut().filter(|_| is_all) else { return Ok(()) };
        if index.reached().position > index.mark().position {
            commit(index, &self.snapshot)?;
        }
        if std::mem::take(&mut self.is_rebuilding) {
            tracing::info!(search.position = index.mark().position, search.receipts = index.mark().documents, "the search index is built");
        }
        Ok(())
    }

    /// Adds what the log holds behind what was added, with a commit where that is much; says whether it came to the head.
    fn add_all(&mut self, mut is_over: impl FnMut(u64) -> bool) -> Result<bool, IndexingError> {
        let Some(index) = &mut self.index else { return Ok(false) };
        for frame in self.store.scan(index.reached().position) {
            add(index, &*frame?)?;
            if index.added() >= COMMIT_DOCUMENTS {
                commit(index, &self.snapshot)?;
                if is_over(index.mark().position) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn position(&self) -> u64 {
        self.snapshot.borrow().position()
    }
}

fn add(index: &mut Index, frame: &Frame) -> Result<(), IndexingError> {
    let first = frame.header().first_sequence;
    let damaged = |sequence, problem| IndexingError::Store(StoreError::Damaged { sequence, problem });
    for (sequence, (bytes, _)) in (first..).zip(frame.records().map_err(|e| damaged(first, e.to_string()))?) {
        let record = Record::decode(bytes).map_err(|e| damaged(sequence, e.to_string()))?;
        if let Some(terms) = terms(&record) {
            index.add(sequence, record.time.as_ms(), &terms)?;
        }
    }
    index.pass(frame.header().end_sequence(), frame.hash());
    Ok(())
}

/// Commits what was added, shows it to whoever searches, and sees to it that segments stay few.
fn commit(index: &mut Index, snapshot: &watch::Sender<Arc<Snapshot>>) -> Result<(), IndexError> {
    index.commit()?;
    let next = Arc::new(index.snapshot(&snapshot.borrow())?);
    snapshot.send_replace(Arc::clone(&next));
    index.merge(&next)
}
