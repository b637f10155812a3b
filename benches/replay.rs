//! Events per second from a directory just opened, with every hash checked, beside reading and hashing alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test or a bench that meets the unexpected must end")]

mod fixture;

use std::path::Path;
use std::time::Instant;

use allowlog::log::Store as _;
use allowlog::log::disk::{DiskOptions, DiskStore};
use allowlog::replay::replay;
use fixture::quantile;

const ROUNDS: usize = 5;

fn main() {
    let events = std::env::var("ALLOWLOG_BENCH_EVENTS").ok().and_then(|n| n.parse().ok());
    let events: u64 = if fixture::measures() { events.unwrap_or(1_000_000) } else { 2_000 };
    let directory = fixture::directory();
    fixture::write(directory.path(), events, 10_000);
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        rates[0].push(timed(directory.path(), |store| replay(store, None, |_| {}).unwrap().chain.next_sequence()));
        rates[1].push(timed(directory.path(), |store| {
            let frames = store.scan(0).map(Result::unwrap);
            frames.map(|frame| (std::hint::black_box(blake3::hash(frame.bytes())), u64::from(frame.header().count)).1).sum()
        }));
    }
    for rates in &mut rates {
        rates.sort_unstable();
    }
    let [ours, peer] = rates.map(|rates| quantile(&rates, 0.5));
    println!("{events} events, opening included, median of {ROUNDS} rounds");
    println!("{:<40} {ours:>12} events/s", "replay: decode, verify chain, apply");
    println!("{:<40} {peer:>12} events/s", "peer: scan and hash");
    println!("ratio: {:.2}", ours as f64 / peer as f64);
}

fn timed(directory: &Path, read: impl FnOnce(&DiskStore) -> u64) -> u64 {
    let started = Instant::now();
    let store = DiskStore::open(directory, DiskOptions { settle: false, ..DiskOptions::default() }).unwrap();
    let events = read(&store);
    (events as f64 / started.elapsed().as_secs_f64()) as u64
}
