//! Events per second from a directory just opened, with every hash checked, beside reading and hashing alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test or a bench that meets the unexpected must end")]

mod fixture;

use std::path::Path;
use std::time::Instant;

use allowlog::log::Store as _;
use allowlog::log::disk::{DiskOptions, DiskStore};
use allowlog::replay::replay;
use allowlog_proto::frame::FrameBuilder;
use fixture::{World, quantile};

const ROUNDS: usize = 5;
/// As many as 64 clients leave in one commit on a machine of two cores.
const EVENTS_PER_FRAME: u64 = 20;

fn main() {
    let events = std::env::var("ALLOWLOG_BENCH_EVENTS").ok().and_then(|n| n.parse().ok());
    let events: u64 = if fixture::measures() { events.unwrap_or(1_000_000) } else { 2_000 };
    let directory = fixture::directory();
    write(directory.path(), events);
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

/// A log of checks on 10,000 authorizations.
fn write(directory: &Path, events: u64) {
    let mut world = World::with_authorizations(0);
    world.state = Default::default();
    world.chain = Default::default();
    let store = DiskStore::open(directory, DiskOptions::default()).unwrap();
    let mut frame = FrameBuilder::new();
    let mut targets: Vec<String> = Vec::new();
    let create = fixture::create();
    let mut first = Some(fixture::create_workspace());
    let mut turn = 0;
    while world.chain.next_sequence() < events {
        let command = match first.take() {
            Some(command) => command,
            None if targets.len() < 10_000.min(events as usize / 10) => create.clone(),
            None => {
                turn += 7_919;
                fixture::check(&targets[turn % targets.len()])
            }
        };
        let decided = allowlog_projections::decide::decide(&world.state, &command, world.now, &mut world.ids).unwrap();
        if let allowlog_projections::decide::Outcome::Created(created) = &decided.outcome {
            targets.push(created.granted.authorization_id.to_string());
        }
        for event in decided.events {
            let record = world.chain.record(decided.workspace_id, world.now, event);
            let hash = frame.push(&record).unwrap();
            world.chain.extend(&record, hash);
            world.state.apply(&record);
        }
        let count = frame.count() as u64;
        if count >= EVENTS_PER_FRAME || world.chain.next_sequence() >= events {
            let sealed = std::mem::take(&mut frame).seal(world.chain.next_sequence() - count, world.chain.frame_hash()).unwrap();
            world.chain.close(sealed.hash());
            store.append(sealed).unwrap();
            world.now = world.now.saturating_add_ms(1);
        }
    }
}
