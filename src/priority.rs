//! Who goes first: a late signature costs less than a late answer.

use std::thread;

/// Records that followers may leave for later: some third of a second under full load. Whoever is further behind waits for nobody.
const BEHIND_RECORDS: u64 = 10_000;

/// Puts the calling thread, and those it starts, behind the threads that answer, the further the higher `nice` is.
pub fn step_back(nice: i32) {
    // Refused where the system does not let threads differ; then this one merely competes.
    let _ = rustix::process::nice(nice);
}

/// Lets whoever waits for this processor go first, in the midst of work that may wait and is so many records behind.
///
/// To be nice is not enough: a thread that has begun keeps its processor for a millisecond or more, whoever wakes meanwhile.
/// Nothing may be locked.
pub fn give_way(behind: u64) {
    if behind < BEHIND_RECORDS {
        thread::yield_now();
    }
}
