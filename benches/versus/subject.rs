//! What is measured: something that answers checks over HTTP.

use std::time::Duration;

/// Microseconds of processor time so far.
#[derive(Debug, Clone, Copy)]
pub struct Cpu {
    /// Of what answers.
    pub front_us: f64,
    /// Of a peer's database, what it does for followers aside.
    pub database_us: f64,
    /// Of what follows: the server's followers, a peer's worker that signs and what the database does for it.
    pub behind_us: f64,
}

/// What has been decided so far.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    /// Checks that were allowed, all of them stored.
    pub allowed: u64,
    /// Events of the log and the syncs that made them durable, where they are counted.
    pub events_and_syncs: Option<(u64, u64)>,
}

/// How far behind its log a side's followers are.
#[derive(Debug, Clone, Copy)]
pub struct Lag {
    pub signing_records: u64,
    pub search_records: u64,
    /// Ages of the oldest record that is not signed, and not found, yet.
    pub signing_seconds: f64,
    pub search_seconds: f64,
}

/// One of the sides.
pub trait Subject {
    /// Where it serves.
    fn url(&self) -> &str;

    /// What it has taken so far.
    fn cpu(&self) -> Cpu;

    /// What it holds in memory, its database included.
    fn resident_bytes(&self) -> u64;

    /// What it has decided; nothing if it decides nothing.
    fn counts(&mut self) -> Option<Counts> {
        None
    }

    /// How far behind it is just now, if it has followers.
    fn lag(&mut self) -> Option<Lag> {
        None
    }

    /// Waits until it has done what a load has left to be done, so that this is not on the account of whoever is next. How
    /// long followers took for it, if it has any.
    fn rest(&mut self) -> Duration {
        Duration::ZERO
    }
}
