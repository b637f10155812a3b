//! Who goes first: a late signature costs less than a late answer.

use std::io;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use crate::clock::Stopwatch;

/// How long followers let others go first. On processors that are wanted by others too, one who gives way may wait for long.
const PATIENCE: Duration = Duration::from_millis(300);

/// Puts the calling thread, and those it starts, behind the threads that answer, the further the higher `nice` is.
pub fn step_back(nice: i32) {
    // Refused where the system does not let threads differ; then this one merely competes.
    let _ = rustix::process::nice(nice);
}

/// Does this on a thread of its own that has stepped back: so have the threads then that a library starts meanwhile.
///
/// # Errors
/// If the thread cannot be started.
pub fn behind<T: Send>(nice: i32, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let worker = thread::Builder::new().name("behind".into()).spawn_scoped(scope, || {
            step_back(nice);
            work()
        })?;
        Ok(worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// Lets whoever waits for this processor go first, in the midst of work that has not waited for long.
///
/// To be nice is not enough: a thread that has begun keeps its processor for a millisecond or more, whoever wakes meanwhile.
/// Nothing may be locked.
pub fn give_way(waiting: &Stopwatch) {
    if waiting.elapsed() < PATIENCE {
        thread::yield_now();
    }
}
