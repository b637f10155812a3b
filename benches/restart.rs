//! How long a start takes with nothing in the page cache, from a snapshot and from nothing, beside reading the same files;
//! and what an authorization takes in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test or a bench that meets the unexpected must end")]

mod fixture;

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use allowlog::log::Store as _;
use allowlog::log::disk::files::OsFiles;
use allowlog::log::disk::{DiskOptions, DiskStore};
use allowlog::replay::{Replayed, replay};
use allowlog::snapshots::Snapshots;
use fixture::quantile;

const ROUNDS: usize = 5;
/// Set for the process that writes.
const WRITES: &str = "ALLOWLOG_BENCH_WRITES";

fn main() {
    let number = |name| std::env::var(name).ok().and_then(|n| n.parse().ok());
    let (events, authorizations) = if fixture::measures() { (1_000_000, 100_000) } else { (2_000, 100) };
    let events = number("ALLOWLOG_BENCH_EVENTS").unwrap_or(events);
    let authorizations = number("ALLOWLOG_BENCH_AUTHORIZATIONS").unwrap_or(authorizations);
    // One that is kept is written once and measured many times.
    let kept = std::env::var_os("ALLOWLOG_BENCH_DIRECTORY").map(PathBuf::from);
    let temporary = fixture::directory();
    let directory = kept.as_deref().unwrap_or(temporary.path());
    let snapshots = Snapshots::new(Arc::new(OsFiles), directory.join("snapshots"), zeroize::Zeroizing::new([0; 32]));
    if std::env::var_os(WRITES).is_some() {
        fixture::write(directory, events, usize::try_from(authorizations).unwrap());
        return snapshots.write(&replay(&open(directory), None, |_| {}).unwrap()).unwrap();
    }
    if !directory.join("log").exists() {
        // By another process, whose memory is not ours.
        let mut writer = std::process::Command::new(std::env::current_exe().unwrap());
        let writer = writer.args(std::env::args().skip(1)).env(WRITES, "1").env("ALLOWLOG_BENCH_DIRECTORY", directory);
        assert!(writer.status().unwrap().success());
    }
    // What the database holds of its newest volume is no part of the state: it is there before.
    let store = open(directory);
    drop(store.scan(store.head() - 1).next());
    let before = resident();
    let replayed = snapshots.newest(&store).unwrap();
    let grown = resident().saturating_sub(before);
    drop(store);
    let count = replayed.state.authorizations_count();
    println!("{} events, {count} authorizations, median of {ROUNDS} rounds with a cold page cache", replayed.chain.next_sequence());
    println!("{:<46} {:>8} bytes", "resident memory an authorization of two scopes", grown / count.max(1));
    drop(replayed);
    let from_snapshot = timed(directory, |store| snapshots.replay(store, |_| {}).unwrap().0);
    let from_nothing = timed(directory, |store| replay(store, None, |_| {}).unwrap());
    let newest = newest_files(directory);
    let peer = median(|| {
        chill(directory);
        let started = Instant::now();
        let mut bytes = Vec::new();
        for path in &newest {
            File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
        }
        started.elapsed().as_secs_f64()
    });
    println!("{:<46} {from_snapshot:>8.2} s", "start from a snapshot");
    println!("{:<46} {from_nothing:>8.2} s", "start from nothing");
    println!("{:<46} {peer:>8.2} s", "peer: reading what a start from a snapshot needs");
    println!("ratio to the peer: {:.1}", from_snapshot / peer);
}

fn open(directory: &Path) -> DiskStore {
    DiskStore::open(directory, DiskOptions { settle: false, ..DiskOptions::default() }).unwrap()
}

fn timed(directory: &Path, start: impl Fn(&DiskStore) -> Replayed) -> f64 {
    median(|| {
        chill(directory);
        let started = Instant::now();
        let store = open(directory);
        let replayed = start(&store);
        let seconds = started.elapsed().as_secs_f64();
        drop((store, replayed));
        seconds
    })
}

fn median(measure: impl FnMut() -> f64) -> f64 {
    let mut all: Vec<f64> = std::iter::repeat_with(measure).take(ROUNDS).collect();
    all.sort_by(f64::total_cmp);
    quantile(&all, 0.5)
}

/// Takes every file of the directory out of the page cache.
fn chill(directory: &Path) {
    for path in walk(directory) {
        let file = File::open(path).unwrap();
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }
}

/// The newest volume, the newest snapshot and the journal.
fn newest_files(directory: &Path) -> Vec<PathBuf> {
    let newest = |of: &str| fs::read_dir(directory.join(of)).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    let mut files = walk(&newest("log"));
    files.extend(walk(&directory.join("journal")));
    files.push(newest("snapshots"));
    files
}

fn walk(directory: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or_default() * rustix::param::page_size()
}
