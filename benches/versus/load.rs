//! The load generator, the same for everybody: `wrk`, or a few requests of our own where nothing is to be measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::runtime::Runtime;

use crate::process::{Process, tied};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/versus/load.lua");
/// `wrk` has a thread for each core of the machine the figures are for; one connection has one.
const THREADS: u32 = 2;

/// What a load came to. Every answer of it was 200.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub requests: u64,
    pub seconds: f64,
    pub p50_us: f64,
    pub p99_us: f64,
}

impl Load {
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }
}

/// Requests, each for an authorization of its own, in a file with a line for each: API key, space, body.
#[derive(Debug, Clone)]
pub struct Requests {
    pub file: PathBuf,
}

impl Requests {
    pub fn write<'a>(file: PathBuf, of: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let line = |(turn, (key, id))| format!("{key} {}\n", body(id, turn));
        fs::write(&file, of.enumerate().map(line).collect::<String>()).unwrap();
        Self { file }
    }
}

/// The body of a check: about 320 bytes.
pub fn body(authorization_id: &str, turn: usize) -> String {
    let turn = turn % 1_000_000;
    format!(
        r#"{{"authorization_id":"{authorization_id}","scopes":["email.send"],"resource":"mail:{turn:06}","session_id":"sess-{:03}","estimated_cost_micros":12,"context":{{"purpose":"daily summary of the inbox, sent to the owner of the mailbox","amount":12,"currency":"EUR","recipient":"owner@example.org","thread":"th-{turn:06}"}}}}"#,
        turn % 1000
    )
}

/// A closed loop of so many connections that is on its way.
pub struct Running {
    wrk: Process,
    time: Duration,
}

/// A load that took much longer than it was told to: the whole machine stood still meanwhile, as virtual ones do at times.
#[derive(Debug)]
pub struct StoodStill;

/// More than a load needs to end.
pub const STILL: Duration = Duration::from_secs(3);

/// Before each load that is measured, so that none begins the moment another ends.
const PAUSE: Duration = Duration::from_secs(3);

/// Before a load that lasts so long; without a time it only shows that it works.
pub fn pause(time: Option<Duration>) {
    if time.is_some() {
        thread::sleep(PAUSE);
    }
}

/// Starts `wrk`.
pub fn start(url: &str, requests: &Requests, connections: u32, time: Duration) -> Running {
    let mut wrk = tied(Path::new("wrk"), None, Signal::TERM);
    wrk.arg(format!("-t{}", connections.min(THREADS))).arg(format!("-c{connections}"));
    wrk.arg(format!("-d{}s", time.as_secs().max(1))).args(["--timeout", "10s", "-s", SCRIPT, url, "--"]).arg(&requests.file);
    Running { wrk: Process::spawn(wrk, Signal::TERM), time }
}

impl Running {
    pub fn has_ended(&mut self) -> bool {
        self.wrk.has_ended()
    }

    /// Waits for its end. An answer that is not 200, or none at all, is the end of the run.
    pub fn finish(self) -> Result<Load, StoodStill> {
        let output = self.wrk.output();
        let line = output.lines().find_map(|line| line.strip_prefix("measured ")).unwrap_or_else(|| panic!("wrk said: {output}"));
        let numbers: Vec<f64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
        let [requests, failed, late, duration_us, p50_us, p99_us] = numbers[..] else { panic!("wrk said: {line}") };
        assert!(requests > 0.0 && failed == 0.0, "{failed} of {requests} requests failed: {output}");
        if duration_us / 1e6 > (self.time + STILL).as_secs_f64() {
            return Err(StoodStill);
        }
        assert!(late == 0.0, "{late} of {requests} requests were not answered in time: {output}");
        Ok(Load { requests: requests as u64, seconds: duration_us / 1e6, p50_us, p99_us })
    }
}

/// The same without `wrk`: so many requests, to show that both sides work.
pub fn small(runtime: &Runtime, url: &str, requests: &Requests, connections: u32, count: usize) -> Load {
    let client = reqwest::Client::new();
    let text = fs::read_to_string(&requests.file).unwrap();
    let lines: Arc<Vec<(String, String)>> =
        Arc::new(text.lines().map(|line| line.split_once(' ').unwrap()).map(|(key, body)| (key.to_owned(), body.to_owned())).collect());
    let url: Arc<str> = format!("{url}/v1/check").into();
    let started = Instant::now();
    let mut latencies: Vec<f64> = runtime.block_on(async {
        let connection = |connection: usize| {
            let (client, lines, url) = (client.clone(), Arc::clone(&lines), Arc::clone(&url));
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                for turn in 0..count / connections as usize {
                    let (key, body) = &lines[(turn * connections as usize + connection) % lines.len()];
                    let asked = Instant::now();
                    let request = client.post(&*url).bearer_auth(key).header("content-type", "application/json").body(body.clone());
                    let answer = request.send().await.unwrap();
                    assert_eq!(answer.status(), 200);
                    answer.bytes().await.unwrap();
                    latencies.push(asked.elapsed().as_secs_f64() * 1e6);
                }
                latencies
            })
        };
        let mut latencies = Vec::new();
        for task in (0..connections as usize).map(connection).collect::<Vec<_>>() {
            latencies.extend(task.await.unwrap());
        }
        latencies
    });
    latencies.sort_unstable_by(f64::total_cmp);
    let quantile = |share| crate::fixture::quantile(&latencies, share);
    Load { requests: latencies.len() as u64, seconds: started.elapsed().as_secs_f64(), p50_us: quantile(0.5), p99_us: quantile(0.99) }
}
