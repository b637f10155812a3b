//! The latch: set by the first failure of storage, released when the state has been rebuilt from the log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Whether commands are refused, and why.
#[derive(Debug, Default)]
pub struct Latch {
    set: AtomicBool,
    reason: Mutex<String>,
}

impl Latch {
    /// Refuses commands from now on.
    pub fn set(&self, reason: &str) {
        let mut held = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        // Each try to go on fails in its own words; what it is now, readiness says.
        reason.clone_into(&mut held);
        if !self.set.swap(true, Ordering::SeqCst) {
            tracing::error!(storage.error = reason, "storage failed, commands are refused until the state is rebuilt from the log");
        }
    }

    /// Takes commands again.
    pub fn release(&self) {
        self.set.store(false, Ordering::SeqCst);
        tracing::warn!("storage works again, the state has been rebuilt from the log");
    }

    /// Whether commands are refused.
    pub fn is_set(&self) -> bool {
        self.set.load(Ordering::SeqCst)
    }

    /// Why, if they are.
    pub fn reason(&self) -> Option<String> {
        self.is_set().then(|| self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}
