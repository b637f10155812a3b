//! The connections of a listener: how many there are, and which of them wait for their client.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How long one that was sent away may take before the next is.
const PATIENCE: Duration = Duration::from_millis(10);

pub struct Crowd {
    room: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
}

/// Connections without a request that has arrived whole and is not yet answered, by when they came to be so: the first has waited longest.
#[derive(Default)]
struct Waiting {
    last: u64,
    connections: BTreeMap<u64, Arc<Notify>>,
}

/// What a connection has of the crowd's room, until it is dropped.
pub struct Place {
    crowd: Arc<Crowd>,
    /// Its number among those that wait; 0 while a request is answered.
    number: AtomicU64,
    leave: Arc<Notify>,
    _room: OwnedSemaphorePermit,
}

impl Crowd {
    pub fn new(connections: u32) -> Self {
        Self { room: Arc::new(Semaphore::new(usize::try_from(connections).unwrap_or(usize::MAX))), waiting: Mutex::default() }
    }

    /// A place, if there is one.
    pub fn place(self: &Arc<Self>) -> Option<Place> {
        Arc::clone(&self.room).try_acquire_owned().ok().map(|room| self.seat(room))
    }

    /// A place that somebody else has to leave for it: who has waited longest, or whoever ends first.
    pub async fn place_of_another(self: &Arc<Self>) -> Place {
        loop {
            self.send_one_away();
            if let Ok(Ok(room)) = tokio::time::timeout(PATIENCE, Arc::clone(&self.room).acquire_owned()).await {
                return self.seat(room);
            }
        }
    }

    /// Asks the connection that has waited longest for its client to leave. False if none waits.
    pub fn send_one_away(&self) -> bool {
        let longest = self.waiting().connections.pop_first();
        if let Some((_, leave)) = &longest {
            leave.notify_one();
        }
        longest.is_some()
    }

    /// The same, but never the last: who came just now is about to ask, and room for nobody else comes of sending it away.
    pub fn send_one_of_several_away(&self) -> bool {
        self.waiting().connections.len() > 1 && self.send_one_away()
    }

    /// Waits until everybody has left.
    pub async fn empty(&self, connections: u32) {
        // The semaphore is never closed.
        let _ = self.room.acquire_many(connections).await;
    }

    fn seat(self: &Arc<Self>, room: OwnedSemaphorePermit) -> Place {
        let place = Place { crowd: Arc::clone(self), number: AtomicU64::new(0), leave: Arc::default(), _room: room };
        place.end();
        place
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// A request has arrived.
    pub fn begin(&self) {
        let number = self.number.swap(0, Ordering::Relaxed);
        self.crowd.waiting().connections.remove(&number);
    }

    /// It has been answered.
    pub fn end(&self) {
        let mut waiting = self.crowd.waiting();
        waiting.last = waiting.last.saturating_add(1);
        let number = waiting.last;
        // A request may be answered before it has arrived.
        let before = self.number.swap(number, Ordering::Relaxed);
        waiting.connections.remove(&before);
        waiting.connections.insert(number, Arc::clone(&self.leave));
    }

    pub fn is_answering(&self) -> bool {
        self.number.load(Ordering::Relaxed) == 0
    }

    /// Waits until this connection has to leave.
    pub async fn sent_away(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.begin();
    }
}
