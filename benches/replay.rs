//! Events per second from a directory just opened, with every hash checked, beside reading and hashing alone: each record by
//! itself, which is what a chain of records comes to, and whole frames, whose blocks go through the hash many at a time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test or a bench that meets the unexpected must end")]

mod fixture;
#[allow(dead_code, reason = "it does more for `versus`")]
#[path = "versus/process.rs"]
mod process;

use std::path::Path;
use std::time::Instant;

use allowlog::log::Store as _;
use allowlog::log::disk::{DiskOptions, DiskStore};
use allowlog::replay::replay;
use allowlog_proto::frame::Frame;
use fixture::quantile;

const ROUNDS: usize = 5;

fn main() {
    let events = std::env::var("ALLOWLOG_BENCH_EVENTS").ok().and_then(|n| n.parse().ok());
    let events: u64 = if fixture::measures() { events.unwrap_or(1_000_000) } else { 2_000 };
    let directory = fixture::directory();
    fixture::write(directory.path(), events, 10_000);
    let mut rounds = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        rounds[0].push(timed(directory.path(), |store| replay(store, None, |_| {}).unwrap().chain.next_sequence()));
        rounds[1].push(timed(directory.path(), |store| hashed(store, |frame| frame.contents().for_each(hash))));
        rounds[2].push(timed(directory.path(), |store| hashed(store, |frame| hash(frame.bytes()))));
    }
    let median = |mut rounds: Vec<Timed>| {
        rounds.sort_unstable_by_key(|timed| timed.rate);
        quantile(&rounds, 0.5)
    };
    let [ours, records, frames] = rounds.map(median);
    let told = |name: &str, timed: Timed| {
        let ratio = ours.rate as f64 / timed.rate as f64;
        println!("{name:<52} {:>10} events/s {:>6.0} ns of all processors {ratio:>6.2}", timed.rate, timed.cpu_ns);
    };
    println!("{events} events, opening included, median of {ROUNDS} rounds");
    told("replay: decode, verify chain, apply, on two threads", ours);
    told("peer: scan and hash each record, on one", records);
    told("peer: scan and hash whole frames, on one", frames);
}

/// What one way through the log came to.
#[derive(Clone, Copy)]
struct Timed {
    /// Events per second.
    rate: u64,
    /// Processor time of an event, of all threads.
    cpu_ns: f64,
}

/// Reads the log through on this thread and has each frame hashed.
fn hashed(store: &DiskStore, hash: impl Fn(&Frame)) -> u64 {
    let frames = store.scan(0).map(Result::unwrap);
    frames.map(|frame| (hash(&frame), u64::from(frame.header().count)).1).sum()
}

fn hash(bytes: &[u8]) {
    std::hint::black_box(blake3::hash(bytes));
}

fn timed(directory: &Path, read: impl FnOnce(&DiskStore) -> u64) -> Timed {
    let (started, before_us) = (Instant::now(), process::cpu_us(std::process::id()));
    let store = DiskStore::open(directory, DiskOptions { settle: false, ..DiskOptions::default() }).unwrap();
    let events = read(&store) as f64;
    let cpu_ns = (process::cpu_us(std::process::id()) - before_us) * 1e3 / events;
    Timed { rate: (events / started.elapsed().as_secs_f64()) as u64, cpu_ns }
}
