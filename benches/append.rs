//! Events per second and latency of a commit through the writer, beside what the disk itself takes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test or a bench that meets the unexpected must end")]

mod fixture;

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use allowlog::chance;
use allowlog::clock::Clock;
use allowlog::engine::Engine;
use allowlog::latch::Latch;
use allowlog::log::disk::{DiskOptions, DiskStore};
use allowlog::replay::Replayed;
use allowlog::writer::{Followers, Writer};
use allowlog_projections::decide::Outcome;
use allowlog_projections::ids::Ids;
use fixture::{check, create, create_workspace, quantile};

const ROUNDS: usize = 5;
const AUTHORIZATIONS: usize = 10_000;

fn main() {
    let (authorizations, time) =
        if fixture::measures() { (AUTHORIZATIONS, Duration::from_secs(3)) } else { (10, Duration::from_millis(50)) };
    let directory = fixture::directory();
    let store = Arc::new(DiskStore::open(directory.path(), DiskOptions::default()).unwrap());
    let latch = Arc::new(Latch::default());
    let (engine, queue) = Engine::new(Arc::clone(&latch));
    let (wake, _woken) = sync_channel(1);
    let ids = Ids::new(chance::numbers());
    let followers = Followers { wakes: vec![wake], ..Followers::default() };
    let writer = Writer::new(store, Clock::Wall, ids, Replayed::default(), None, latch, followers).start(queue, ()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let targets: Arc<Vec<String>> = Arc::new(runtime.block_on(async {
        engine.submit(create_workspace()).await.unwrap();
        let mut targets = Vec::new();
        for _ in 0..authorizations {
            let Outcome::Created(created) = engine.submit(create()).await.unwrap().outcome else { panic!("a create creates") };
            targets.push(created.granted.authorization_id.to_string());
        }
        targets
    }));
    println!("{:<28} {:>12} {:>10} {:>10}", "median of 5 rounds", "events/s", "p50 µs", "p99 µs");
    let mut lone = Vec::new();
    let mut floor = Vec::new();
    for writers in [1, 64] {
        let mut rounds: Vec<(u64, u64, u64)> = (0..ROUNDS)
            .map(|_| {
                if writers == 1 {
                    floor.push(fixture::fdatasync_p50_ns(directory.path()));
                }
                runtime.block_on(round(&engine, &targets, writers, time))
            })
            .collect();
        rounds.sort_unstable();
        let (rate, p50, p99) = rounds[ROUNDS / 2];
        if writers == 1 {
            lone.push(p50);
        }
        println!("{:<28} {rate:>12} {:>10.1} {:>10.1}", format!("{writers} writers"), p50 as f64 / 1e3, p99 as f64 / 1e3);
    }
    floor.sort_unstable();
    let peer = quantile(&floor, 0.5);
    println!("{:<28} {:>12} {:>10.1}", "peer: fdatasync of 4 KiB", "", peer as f64 / 1e3);
    println!("ratio of a lone commit to the peer: {:.2}", lone[0] as f64 / peer as f64);
    drop(engine);
    writer.join().unwrap();
}

/// Events per second, p50 and p99 in ns.
async fn round(engine: &Engine, targets: &Arc<Vec<String>>, writers: usize, time: Duration) -> (u64, u64, u64) {
    let started = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let (engine, targets) = (engine.clone(), Arc::clone(targets));
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                let mut turn = writer * 131;
                while started.elapsed() < time {
                    turn += 7_919;
                    let command = check(&targets[turn % targets.len()]);
                    let asked = Instant::now();
                    engine.submit(command).await.unwrap();
                    latencies.push(asked.elapsed().as_nanos() as u64);
                }
                latencies
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    let rate = latencies.len() as f64 / started.elapsed().as_secs_f64();
    latencies.sort_unstable();
    (rate as u64, quantile(&latencies, 0.5), quantile(&latencies, 0.99))
}
