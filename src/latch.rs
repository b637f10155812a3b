//! The latch: set by the first failure of storage, released when the state has been rebuilt from the log. It is shut for good
//! when the log turns out to be an older one than others have seen.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Whether commands are refused, and why.
#[derive(Debug, Default)]
pub struct Latch {
    set: AtomicBool,
    /// For good: what is wrong is not storage.
    shut: AtomicBool,
    reason: Mutex<String>,
}

impl Latch {
    /// Refuses commands from now on.
    pub fn set(&self, reason: &str) {
        if self.is_shut() {
            return;
        }
        let mut held = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        // Each try to go on fails in its own words; what it is now, readiness says.
        reason.clone_into(&mut held);
        if !self.set.swap(true, Ordering::SeqCst) {
            tracing::error!(storage.error = reason, "storage failed, commands are refused until the state is rebuilt from the log");
        }
    }

    /// Refuses commands until the process ends.
    pub fn shut(&self, reason: &str) {
        let mut held = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        reason.clone_into(&mut held);
        self.set.store(true, Ordering::SeqCst);
        if !self.shut.swap(true, Ordering::SeqCst) {
            tracing::error!(log.problem = reason, "commands are refused until the operator has looked at it");
        }
    }

    /// Whether nothing will make commands be taken again.
    pub fn is_shut(&self) -> bool {
        self.shut.load(Ordering::SeqCst)
    }

    /// Takes commands again, unless they are refused for good.
    pub fn release(&self) {
        if self.is_shut() {
            return;
        }
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
