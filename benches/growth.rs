//! What grows with the server: its rate with the authorizations it knows and the connections it has, its memory, latency and
//! start with the events of its log. A cost that grows with the log is a defect. The ceiling is loaded beside each load, since the
//! machine changes more from minute to minute than the server does from size to size.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test or a bench that meets the unexpected must end")]

mod fixture;

#[path = "versus/curves.rs"]
mod curves;
#[path = "versus/echo.rs"]
mod echo;
#[allow(dead_code, reason = "it does more for `versus`")]
#[path = "versus/front.rs"]
mod front;
#[allow(dead_code, reason = "it does more for `versus`")]
#[path = "versus/load.rs"]
mod load;
#[allow(dead_code, reason = "it does more for `versus`")]
#[path = "versus/machine.rs"]
mod machine;
#[allow(dead_code, reason = "it does more for `versus`")]
#[path = "versus/process.rs"]
mod process;
#[allow(dead_code, reason = "it does more for `versus`")]
#[path = "versus/server.rs"]
mod server;
#[allow(dead_code, reason = "it does more for `versus`")]
#[path = "versus/subject.rs"]
mod subject;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use curves::{Curve, Panel};
use echo::Echo;
use load::{Load, Requests, StoodStill};
use machine::{Bench, WRK};
use server::{Server, Tenants};
use subject::Subject;

const WORKSPACES: usize = 100;
const CONNECTIONS: [u32; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];
const MANY: u32 = 64;
/// Sizes grow by tens from the one to the other.
const SMALLEST: u64 = 10_000;
const LARGEST: u64 = 1_000_000;
/// Requests that the load generator holds ready: so many different authorizations, spread over all there are.
const REQUESTS_MAX: usize = 200_000;
/// A load that adds little to the log, and what would take many of them to add.
const SHORT: Duration = Duration::from_secs(1);
const FAR: u64 = 500_000;

/// Who is loaded, and with what.
struct Sides {
    /// The ceiling.
    echo: Echo,
    server: Server,
    requests: Requests,
}

/// A server of one size under one load.
struct Point {
    /// Authorizations, connections or events.
    size: u64,
    load: Load,
    /// The median of what it is of the echo's load just before.
    of_ceiling: f64,
    cpu_us: f64,
    resident_bytes: u64,
}

/// A start of the server, from the call to its first answer.
struct Start {
    events: u64,
    warm_s: f64,
    cold_s: f64,
    resident_bytes: u64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["peer", "echo", bytes] => echo::serve(bytes.parse().unwrap()),
        _ => measure(&Bench::new("growth", &[WRK])),
    }
}

fn measure(bench: &Bench) {
    let sizes = |name: &str, small: [u64; 2]| {
        let largest = std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(LARGEST);
        let sizes = std::iter::successors(Some(SMALLEST), |size| size.checked_mul(10)).take_while(|size| *size <= largest);
        if bench.measures { sizes.collect() } else { small.to_vec() }
    };
    let (authorizations, events) = (sizes("ALLOWLOG_BENCH_AUTHORIZATIONS", [10, 20]), sizes("ALLOWLOG_BENCH_EVENTS", [30, 60]));
    let runtime = Arc::new(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());
    let data = bench.directory().join("allowlog");
    let (few, many) = (authorizations[0], authorizations.iter().copied());
    let sides = Sides::fresh(bench, &runtime, &data, few);
    let (by_events, starts) = by_events(bench, &runtime, sides, &data, &events);
    let (mut by_authorizations, mut by_connections) = (Vec::new(), Vec::new());
    for size in many {
        let mut sides = Sides::fresh(bench, &runtime, &data, size);
        by_authorizations.push(point(bench, bench.time(), &runtime, &mut sides, MANY, size));
        if size == few {
            let counts = if bench.measures { &CONNECTIONS[..] } else { &CONNECTIONS[..1] };
            by_connections = counts.iter().map(|n| point(bench, bench.time(), &runtime, &mut sides, *n, u64::from(*n))).collect();
        }
    }
    let markdown = markdown(bench, &by_authorizations, &by_connections, &by_events, &starts);
    let svg = curves::svg(&panels(&by_authorizations, &by_connections, &by_events, &starts));
    bench.publish("growth", &markdown, &svg);
}

impl Sides {
    /// With so many authorizations, in a directory where others may have been; the server is started again since they were made.
    fn fresh(bench: &Bench, runtime: &Arc<Runtime>, data: &Path, authorizations: u64) -> Self {
        if data.exists() {
            fs::remove_dir_all(data).unwrap();
        }
        let (server, admin_token) = Server::init(runtime, data);
        let authorizations = usize::try_from(authorizations).unwrap();
        let tenants = server.tenants(&admin_token, WORKSPACES.min(authorizations), authorizations);
        let requests = requests(bench.directory(), &tenants);
        drop(server);
        let mut server = Server::serve(runtime, data);
        server.rest();
        Self { echo: Echo::start(tenants.answer_bytes), server, requests }
    }
}

/// As many as the load generator holds, from all over.
fn requests(directory: &Path, tenants: &Tenants) -> Requests {
    let step = tenants.authorizations.len().div_ceil(REQUESTS_MAX);
    // A step that shares nothing with the number of workspaces goes through all of them.
    let step = if step > 1 { step | 1 } else { 1 };
    let all = tenants.authorizations.iter().step_by(step);
    Requests::write(directory.join("requests"), all.map(|(workspace, id)| (tenants.api_keys[*workspace].as_str(), id.as_str())))
}

/// One size: the median of the rounds by rate.
fn point(bench: &Bench, time: Option<Duration>, runtime: &Runtime, sides: &mut Sides, connections: u32, size: u64) -> Point {
    let Sides { echo, server, requests } = sides;
    let (mut rounds, mut shares) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        load::pause(time);
        let (ceiling, _) = load(time, runtime, echo, requests, connections);
        load::pause(time);
        let (load, cpu_us) = load(time, runtime, server, requests, connections);
        server.rest();
        shares.push(load.rate() / ceiling.rate());
        rounds.push((load, cpu_us));
    }
    rounds.sort_by(|a, b| a.0.rate().total_cmp(&b.0.rate()));
    shares.sort_by(f64::total_cmp);
    let (load, cpu_us) = fixture::quantile(&rounds, 0.5);
    let of_ceiling = fixture::quantile(&shares, 0.5);
    bench.say(format_args!("{size} with {connections} connections: {:.0}/s, {of_ceiling:.2} of the ceiling", load.rate()));
    Point { size, load, of_ceiling, cpu_us, resident_bytes: server.resident_bytes() }
}

/// One load, and the processor time to each of its answers.
fn load(time: Option<Duration>, runtime: &Runtime, subject: &impl Subject, requests: &Requests, connections: u32) -> (Load, f64) {
    loop {
        let before = subject.cpu();
        let load = match time {
            Some(time) => load::start(subject.url(), requests, connections, time).finish(),
            None => Ok(load::small(runtime, subject.url(), requests, connections.min(4), 20)),
        };
        match load {
            Ok(load) => return (load, (subject.cpu().front_us - before.front_us) / load.requests as f64),
            Err(StoodStill) => eprintln!("the machine stood still; again"),
        }
    }
}

/// Fills the log up to each size, measures there, and starts the server again with it.
fn by_events(bench: &Bench, runtime: &Arc<Runtime>, mut sides: Sides, data: &Path, sizes: &[u64]) -> (Vec<Point>, Vec<Start>) {
    // So short that the log hardly grows while it is measured.
    let short = bench.time().map(|_| SHORT);
    let (mut points, mut starts) = (Vec::new(), Vec::new());
    for size in sizes {
        while sides.server.events() < *size {
            let is_far = size - sides.server.events() > FAR;
            load(if is_far { bench.time() } else { short }, runtime, &sides.server, &sides.requests, MANY);
        }
        sides.server.rest();
        let events = sides.server.events();
        points.push(point(bench, short, runtime, &mut sides, MANY, events));
        let events = sides.server.events();
        drop(sides.server);
        let started = Instant::now();
        sides.server = Server::serve(runtime, data);
        let warm_s = started.elapsed().as_secs_f64();
        drop(sides.server);
        chill(data);
        let started = Instant::now();
        sides.server = Server::serve(runtime, data);
        let cold_s = started.elapsed().as_secs_f64();
        sides.server.rest();
        bench.say(format_args!("{events} events: start {warm_s:.2} s, with a cold page cache {cold_s:.2} s"));
        starts.push(Start { events, warm_s, cold_s, resident_bytes: sides.server.resident_bytes() });
    }
    (points, starts)
}

/// Takes every file of the directory out of the page cache.
fn chill(path: &Path) {
    if path.is_dir() {
        return fs::read_dir(path).unwrap().for_each(|entry| chill(&entry.unwrap().path()));
    }
    let file = File::open(path).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}

fn markdown(bench: &Bench, authorizations: &[Point], connections: &[Point], events: &[Point], starts: &[Start]) -> String {
    let mut text = format!(
        "# How allowlog grows\n\n{}.\n\n{} workspaces; median of {} rounds of {} s a load; client and server share the machine. The ceiling is an echo of the same sizes, loaded just before each load: compare the shares of it, since the machine changes meanwhile.\n",
        bench.describe(),
        WORKSPACES,
        bench.rounds,
        bench.seconds
    );
    let mut table = |name: &str, points: &[Point]| {
        writeln!(
            text,
            "\n| {name} | checks/s | of the ceiling | p50 ms | p99 ms | CPU µs to the answer | RSS MB |\n|---|---|---|---|---|---|---|"
        )
        .unwrap();
        for point in points {
            let Load { p50_us, p99_us, .. } = point.load;
            let (rate, resident) = (point.load.rate(), point.resident_bytes / 1_000_000);
            let (p50, p99) = (p50_us / 1e3, p99_us / 1e3);
            writeln!(
                text,
                "| {} | {rate:.0} | {:.2} | {p50:.2} | {p99:.2} | {:.1} | {resident} |",
                point.size, point.of_ceiling, point.cpu_us
            )
            .unwrap();
        }
    };
    table("authorizations", authorizations);
    table("connections, 10,000 authorizations", connections);
    table("events in the log before loads of 1 s, 10,000 authorizations", events);
    writeln!(text, "\n| events in the log | start s | start, cold page cache, s | RSS MB then |\n|---|---|---|---|").unwrap();
    for Start { events, warm_s, cold_s, resident_bytes } in starts {
        writeln!(text, "| {events} | {warm_s:.2} | {cold_s:.2} | {} |", resident_bytes / 1_000_000).unwrap();
    }
    text
}

fn panels(authorizations: &[Point], connections: &[Point], events: &[Point], starts: &[Start]) -> [Panel; 4] {
    let of = |points: &[Point], value: fn(&Point) -> f64| points.iter().map(|point| (point.size as f64, value(point))).collect();
    let share = |points| Curve { name: "of the ceiling", points: of(points, |point| point.of_ceiling) };
    let latency = |points| {
        [
            Curve { name: "p50", points: of(points, |point| point.load.p50_us / 1e3) },
            Curve { name: "p99", points: of(points, |point| point.load.p99_us / 1e3) },
        ]
    };
    let start = |value: fn(&Start) -> f64| starts.iter().map(|start| (start.events as f64, value(start))).collect();
    [
        Panel { title: "share of the ceiling by authorizations", curves: vec![share(authorizations)] },
        Panel { title: "share of the ceiling by connections", curves: vec![share(connections)] },
        Panel { title: "latency by events in the log, ms", curves: latency(events).into() },
        Panel {
            title: "start by events in the log, s",
            curves: vec![
                Curve { name: "warm", points: start(|start| start.warm_s) },
                Curve { name: "cold page cache", points: start(|start| start.cold_s) },
            ],
        },
    ]
}
