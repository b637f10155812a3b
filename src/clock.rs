//! The one file that reads a clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use allowlog_proto::time::Timestamp;

/// Where time comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's clock, which may jump; the writer sees to it that decisions never go back.
    Wall,
    /// A clock that stands still until somebody moves it: for tests and simulations.
    Virtual(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that stands at this instant.
    pub fn standing_at(time: Timestamp) -> Self {
        Self::Virtual(Arc::new(AtomicU64::new(time.as_ms())))
    }

    /// The time now, to the millisecond.
    pub fn now(&self) -> Timestamp {
        let ms = match self {
            Self::Wall => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
            }
            Self::Virtual(ms) => ms.load(Ordering::SeqCst),
        };
        Timestamp::from_ms(ms).unwrap_or(Timestamp::MAX)
    }

    /// Time since an instant of no meaning, which nobody who sets the machine's clock can move: for how long, not for when.
    pub fn elapsed(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        match self {
            Self::Wall => START.elapsed(),
            Self::Virtual(ms) => Duration::from_millis(ms.load(Ordering::SeqCst)),
        }
    }

    /// Moves a virtual clock; the machine's is not ours to move.
    pub fn set(&self, time: Timestamp) {
        if let Self::Virtual(ms) = self {
            ms.store(time.as_ms(), Ordering::SeqCst);
        }
    }

    /// Moves a virtual clock ahead.
    pub fn advance_ms(&self, ms: u64) {
        self.set(self.now().saturating_add_ms(ms));
    }
}

/// How long something takes, whatever is done to the machine's clock meanwhile. Nothing that is recorded depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since it was started.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// The same in seconds.
    pub fn seconds(&self) -> f64 {
        self.elapsed().as_secs_f64()
    }
}
