//! The server beside what it could be at most and what a team would use instead: one load generator, one machine, one run.
//! What is measured and how is in `benches/README.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test or a bench that meets the unexpected must end")]

mod fixture;

#[path = "versus/echo.rs"]
mod echo;
#[path = "versus/front.rs"]
mod front;
#[path = "versus/load.rs"]
mod load;
#[path = "versus/machine.rs"]
mod machine;
#[path = "versus/plot.rs"]
mod plot;
#[path = "versus/postgres.rs"]
mod postgres;
#[path = "versus/process.rs"]
mod process;
#[path = "versus/redis.rs"]
mod redis;
#[path = "versus/report.rs"]
mod report;
#[path = "versus/rows.rs"]
mod rows;
#[path = "versus/server.rs"]
mod server;
#[path = "versus/signing.rs"]
mod signing;
#[path = "versus/subject.rs"]
mod subject;

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use echo::Echo;
use load::{Requests, STILL, StoodStill};
use machine::{Bench, Program, WRK};
use postgres::Postgres;
use redis::Redis;
use report::{Case, Held, Measured, Report, Side, Tried};
use server::{Server, Tenants};
use subject::Subject;

const PROGRAMS: [Program; 3] = [
    Program { name: "PostgreSQL", package: "postgresql", version: postgres::version },
    Program { name: "Redis", package: "redis-server", version: || machine::version(Path::new("redis-server")) },
    WRK,
];
const WORKSPACES: usize = 100;
const AUTHORIZATIONS: usize = 10_000;
/// Connections of the main comparison.
const MANY: u32 = 64;
/// Of an authorization that everybody asks about, as many as the peer is best at.
const HOT_COUNTS: [u32; 5] = [2, 4, 8, 16, 32];
const POSTGRES_COUNTS: [u32; 5] = [8, 16, 24, 32, 64];
const REDIS_COUNTS: [u32; 5] = [32, 64, 128, 256, 512];
/// Connections among which the load is sought that the followers can keep up with.
const HELD_COUNTS: [u32; 12] = [64, 48, 40, 32, 24, 20, 16, 12, 8, 6, 4, 2];
/// How far signing and search may be behind under that load, in seconds.
const BEHIND_S_MAX: f64 = 2.0;
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Authorizations that a build with a profile is taught to check in batches, and those whose receipts it is taught to look up.
const BATCHES: usize = 300;
const LOOKED_UP: usize = 1000;

/// Everybody who is measured. The peers end before the server does, since they are started after it.
struct Sides {
    redis: Option<Redis>,
    postgres_lists: Option<Postgres>,
    postgres: Option<Postgres>,
    echo: Echo,
    server: Server,
}

/// What is sent: a file with a request for each authorization, and one with requests for one authorization only.
struct Sent {
    many: Requests,
    hot: Requests,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["peer", "echo", bytes] => echo::serve(bytes.parse().unwrap()),
        ["peer", "postgres", port, clients, signs] => {
            postgres::serve(port.parse().unwrap(), clients.parse().unwrap(), signs.parse().unwrap());
        }
        ["peer", "redis", port] => redis::serve(port.parse().unwrap()),
        ["train", "--bench"] => train(&Bench::new("train", &[WRK])),
        _ => {
            measure(&Bench::new("versus", &PROGRAMS));
            if !fixture::measures() {
                train(&Bench::new("train", &[WRK]));
            }
        }
    }
}

/// What `benches/pgo` has the server do while the compiler watches: the loads of the comparison, batches, and what somebody looks up.
fn train(bench: &Bench) {
    let (runtime, (workspaces, authorizations)) = (runtime(), size(bench));
    let (mut server, admin_token) = Server::init(&runtime, &bench.directory().join("allowlog"));
    let tenants = server.tenants(&admin_token, workspaces, authorizations);
    let sent = Sent::write(bench.directory(), &tenants);
    for (requests, connections) in [(&sent.many, MANY), (&sent.hot, MANY), (&sent.many, 1)] {
        // One during which the machine stood still teaches as well.
        let _ = measured_once(bench.time(), &runtime, &mut server, requests, connections);
    }
    server.ask_in_batches(&tenants, BATCHES);
    server.look_up(&tenants, LOOKED_UP);
    let (_, ended) = server.stop();
    assert!(ended.success(), "the server has ended with {ended}, and may not have written what it counted");
}

/// How many workspaces, and how many authorizations.
const fn size(bench: &Bench) -> (usize, usize) {
    if bench.measures { (WORKSPACES, AUTHORIZATIONS) } else { (2, 20) }
}

fn runtime() -> Arc<Runtime> {
    Arc::new(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}

fn measure(bench: &Bench) {
    let (runtime, (workspaces, authorizations)) = (runtime(), size(bench));
    let directory = bench.directory();
    let (server, admin_token) = Server::init(&runtime, &directory.join("allowlog"));
    let tenants = server.tenants(&admin_token, workspaces, authorizations);
    let sent = Sent::write(directory, &tenants);
    let echo = Echo::start(tenants.answer_bytes);
    let postgres = bench.measures.then(|| Postgres::start(&runtime, directory, &tenants, false));
    let postgres_lists = bench.measures.then(|| Postgres::start(&runtime, directory, &tenants, true));
    let redis = bench.measures.then(|| Redis::start(&runtime, directory, &tenants));
    let mut sides = Sides { redis, postgres_lists, postgres, echo, server };
    let mut report = Report::new(bench, &tenants);
    let cases = cases(bench, &runtime, &mut sides, &sent, &mut report.tried);
    for round in 1..=bench.rounds {
        for case in &cases {
            let fdatasync_us = (case.connections == 1).then(|| fixture::fdatasync_p50_ns(directory) as f64 / 1e3);
            sides.prepare(case, &cases);
            let measured = measured(bench.time(), &runtime, sides.subject(case.side), sent.of(case), case.connections);
            bench.say(format_args!("round {round}: {}: {:.0}/s", case.name(), measured.load.rate()));
            report.add(*case, Measured { fdatasync_us, ..measured });
        }
    }
    drop((sides.redis, sides.postgres_lists, sides.postgres, sides.echo));
    report.held = held(bench, &mut sides.server, &sent.many);
    let (disk, ended) = sides.server.stop();
    report.disk = disk;
    bench.publish("versus", &report.markdown(), &plot::versus(&report));
    assert!(ended.success(), "the server has ended with {ended}");
}

impl Sent {
    fn write(directory: &Path, tenants: &Tenants) -> Self {
        let all = || tenants.authorizations.iter().map(|(workspace, id)| (tenants.api_keys[*workspace].as_str(), id.as_str()));
        let count = tenants.authorizations.len();
        Self {
            many: Requests::write(directory.join("many"), all()),
            hot: Requests::write(directory.join("hot"), all().take(1).cycle().take(count)),
        }
    }

    fn of(&self, case: &Case) -> &Requests {
        if case.is_hot { &self.hot } else { &self.many }
    }
}

impl Sides {
    fn subject(&mut self, side: Side) -> &mut dyn Subject {
        match side {
            Side::Echo => &mut self.echo,
            Side::Allowlog => &mut self.server,
            Side::Postgres => self.postgres.as_mut().unwrap(),
            Side::PostgresLists => self.postgres_lists.as_mut().unwrap(),
            Side::Redis => self.redis.as_mut().unwrap(),
        }
    }

    /// PostgreSQL's front has as many clients as it is best with, whatever comes in.
    fn prepare(&mut self, case: &Case, cases: &[Case]) {
        let of = |other: &&Case| other.side == case.side && other.is_hot == case.is_hot;
        let best = cases.iter().filter(of).find(|other| other.is_best).map_or(case.connections, |best| best.connections);
        let postgres = match case.side {
            Side::Postgres => &mut self.postgres,
            Side::PostgresLists => &mut self.postgres_lists,
            Side::Echo | Side::Allowlog | Side::Redis => return,
        };
        postgres.as_mut().unwrap().set_clients(best);
    }
}

/// What each round measures, once it is known what each peer is best with.
fn cases(bench: &Bench, runtime: &Runtime, sides: &mut Sides, sent: &Sent, tried: &mut Vec<Tried>) -> Vec<Case> {
    let case = |side, connections| Case { side, connections, is_hot: false, is_best: false };
    let hot = |side, connections| Case { is_hot: true, ..case(side, connections) };
    let mut cases = vec![case(Side::Echo, MANY), case(Side::Allowlog, MANY), hot(Side::Allowlog, MANY)];
    if bench.measures {
        for (side, is_hot) in Side::SOUGHT {
            let counts = match (side, is_hot) {
                (_, true) => &HOT_COUNTS,
                (Side::Redis, false) => &REDIS_COUNTS,
                (_, false) => &POSTGRES_COUNTS,
            };
            let mut rates = Vec::new();
            for connections in *counts {
                let case = Case { is_hot, ..case(side, connections) };
                sides.prepare(&case, &[]);
                let rate = measured(bench.brief(), runtime, sides.subject(side), sent.of(&case), connections).load.rate();
                bench.say(format_args!("{}: {rate:.0}/s", case.name()));
                tried.push(Tried { case, rate });
                rates.push((rate, connections));
            }
            let (_, best) = rates.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
            cases.push(Case { is_best: true, is_hot, ..case(side, best) });
            if !is_hot && best != MANY {
                cases.push(case(side, MANY));
            }
        }
        cases.extend([Side::Postgres, Side::PostgresLists, Side::Redis].map(|side| case(side, 1)));
    }
    cases.extend([case(Side::Echo, 1), case(Side::Allowlog, 1)]);
    cases
}

/// One load on one side, and what it took; without a time, one that only shows that it works. A machine that stood still
/// meanwhile has measured nothing: then again.
fn measured(time: Option<Duration>, runtime: &Runtime, subject: &mut dyn Subject, requests: &Requests, connections: u32) -> Measured {
    loop {
        match measured_once(time, runtime, subject, requests, connections) {
            Ok(measured) => return measured,
            Err(StoodStill) => eprintln!("the machine stood still; again"),
        }
    }
}

fn measured_once(
    time: Option<Duration>,
    runtime: &Runtime,
    subject: &mut dyn Subject,
    requests: &Requests,
    connections: u32,
) -> Result<Measured, StoodStill> {
    load::pause(time);
    let (counted, took) = (subject.counts(), subject.cpu());
    let load = match time {
        Some(time) => load::start(subject.url(), requests, connections, time).finish(),
        None => Ok(load::small(runtime, subject.url(), requests, connections.min(4), 40)),
    };
    let Ok(load) = load else {
        subject.rest();
        return Err(StoodStill);
    };
    let (answered, lag, resident_bytes) = (subject.cpu(), subject.lag(), subject.resident_bytes());
    let rested = subject.rest();
    let (followed, counted_after) = (subject.cpu(), subject.counts());
    let each = |from: f64, to: f64| (to - from) / load.requests as f64;
    let mut events_per_sync = None;
    if let (Some(before), Some(after)) = (counted, counted_after) {
        // Those that were on their way when the load ended are not among those whose answer was seen.
        let allowed = after.allowed - before.allowed;
        let seen = load.requests..=load.requests + u64::from(connections);
        assert!(seen.contains(&allowed), "{allowed} checks were allowed and {} answered", load.requests);
        if let (Some(before), Some(after)) = (before.events_and_syncs, after.events_and_syncs) {
            events_per_sync = Some((after.0 - before.0) as f64 / (after.1 - before.1) as f64);
        }
    }
    Ok(Measured {
        load,
        front_us: each(took.front_us, answered.front_us),
        database_us: each(took.database_us, answered.database_us),
        behind_us: each(took.behind_us, followed.behind_us),
        lag,
        resident_bytes,
        rested,
        events_per_sync,
        fdatasync_us: None,
    })
}

/// The most connections whose load signing and search keep up with; none if there are none.
fn held(bench: &Bench, server: &mut Server, requests: &Requests) -> Option<Held> {
    if !bench.measures {
        return None;
    }
    let time = Duration::from_secs_f64(60.0 * bench.minutes);
    let mut tried = Vec::new();
    let mut counts = HELD_COUNTS.into_iter().peekable();
    while let Some(connections) = counts.peek().copied() {
        let mut running = load::start(&server.url, requests, connections, time);
        let (started, mut signing_s, mut search_s) = (Instant::now(), 0.0_f64, 0.0_f64);
        let mut stood_still = false;
        while !running.has_ended() && signing_s.max(search_s) <= BEHIND_S_MAX && !stood_still {
            let looked = Instant::now();
            thread::sleep(LOOK);
            let lag = server.lag().unwrap();
            (signing_s, search_s) = (signing_s.max(lag.signing_seconds), search_s.max(lag.search_seconds));
            stood_still = looked.elapsed() > STILL;
        }
        let behind_s = signing_s.max(search_s);
        let load = (behind_s <= BEHIND_S_MAX && !stood_still).then(|| running.finish());
        let after = started.elapsed();
        server.rest();
        if stood_still || matches!(load, Some(Err(StoodStill))) {
            eprintln!("the machine stood still; again");
            continue;
        }
        bench.say(format_args!("{connections} connections: signing {signing_s:.1} s behind, search {search_s:.1} s"));
        tried.push((connections, behind_s, after));
        if let Some(Ok(load)) = load {
            return Some(Held { connections, rate: load.rate(), signing_s, search_s, time, tried });
        }
        counts.next();
    }
    Some(Held { connections: 0, rate: 0.0, signing_s: 0.0, search_s: 0.0, time, tried })
}
