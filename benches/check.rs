//! What a check takes of the processor, part by part with a budget each, beside what the real server takes for one.
//!
//! Parts that need no other thread are timed alone; the rest is measured where it is alone, by the processor time of the
//! threads that do it. Nothing of it is measured on the server that they are to add up to, but for the way of a request
//! through sockets, HTTP and our stack: requests that are turned away before anybody is asked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test or a bench that meets the unexpected must end")]

mod driven;
mod fixture;
mod parts;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use allowlog::chance;
use allowlog::clock::Clock;
use allowlog::engine::Engine;
use allowlog::fresh::Fresh;
use allowlog::keyring::{Keyring, MasterKey};
use allowlog::latch::Latch;
use allowlog::log::Store;
use allowlog::log::disk::{DiskOptions, DiskStore};
use allowlog::replay::{Replayed, replay};
use allowlog::search::{Filter, Indexing, Order, Request};
use allowlog::signing::Signing as Signer;
use allowlog::tiles::{Tiles, follower::Tiling};
use allowlog::writer::{Followers, Writer};
use allowlog_projections::decide::Outcome;
use allowlog_projections::ids::Ids;
use allowlog_projections::receipts::receipt;
use allowlog_projections::state::State;
use allowlog_proto::frame::Frame;
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::record::Record;
use criterion::Criterion;
use driven::{Server, Time, Times, Waves};
use fixture::{check, check_body, create, create_workspace, create_workspace_signed_by, processor_time, quantile};
use parts::{Answering, Deciding, Encoding, Parsing, Part, SigningAlone};

const CONNECTIONS: usize = 64;
/// What a check may take of the threads that answer, by `limits`: the parts must not be promised more.
const ANSWER_BUDGET_US: f64 = 35.0;
const FOUND_PERCENT: f64 = 20.0;

/// How much of each.
struct Size {
    /// The server's, among which a check is decided.
    served: usize,
    /// Decided among beside it.
    authorizations: usize,
    checks: usize,
    events: usize,
}

const MEASURED: Size = Size { served: 10_000, authorizations: 1_000_000, checks: 300_000, events: 200_000 };
const SHOWN: Size = Size { served: 4, authorizations: 100, checks: 100, events: 400 };

/// Who does a part, as the server's threads are named.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Doer {
    Http,
    Writer,
    Signing,
    Search,
    Settler,
    Checkpoints,
    Others,
}

impl Doer {
    const ALL: [Self; 7] = [Self::Http, Self::Writer, Self::Signing, Self::Search, Self::Settler, Self::Checkpoints, Self::Others];

    const fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Writer => "writer",
            Self::Signing => "signing",
            Self::Search => "search",
            Self::Settler => "settler",
            Self::Checkpoints => "checkpoints",
            Self::Others => "others",
        }
    }

    const fn answers(self) -> bool {
        matches!(self, Self::Http | Self::Writer)
    }

    fn of(thread: &str) -> Self {
        match thread {
            "allowlog" => Self::Http,
            "writer" => Self::Writer,
            "signing" => Self::Signing,
            "search" => Self::Search,
            "settler" => Self::Settler,
            "checkpoints" => Self::Checkpoints,
            _ if thread.starts_with("tokio-") => Self::Http,
            _ if thread.starts_with("sled-") => Self::Settler,
            // What its merges ran on is gone.
            _ if thread == "ended" || ["tantivy", "merge", "segment"].iter().any(|of_index| thread.contains(of_index)) => Self::Search,
            _ => Self::Others,
        }
    }
}

struct Row {
    doer: Doer,
    part: &'static str,
    budget: f64,
    measured: f64,
}

/// What is no part of a check, or of each, and is measured on the same log.
struct Beside {
    what: &'static str,
    budget: f64,
    measured: f64,
}

fn main() {
    let size = if fixture::measures() { MEASURED } else { SHOWN };
    let alone = alone(&size);
    let served = serve(&size);
    let (stored, mut beside) = store(&size, served.events_per_commit);
    beside.insert(0, Beside { what: "decide among 1,000,000", budget: 2.0, measured: alone["decide among many"] });
    let handed = hand_over(&size);
    let handed_by_writer = handed.writer - alone["decide"] - alone["encode"] - stored.append;
    let row = |doer, part, budget, measured| Row { doer, part, budget, measured };
    let rows = [
        row(Doer::Http, "sockets, in the kernel", 9.5, served.turned_away.kernel),
        row(Doer::Http, "hyper, axum and our stack", 7.0, served.turned_away.all - served.turned_away.kernel),
        row(Doer::Http, "parse and authenticate", 2.0, alone["parse"]),
        row(Doer::Http, "hand over to the writer and wake", 3.0, handed.caller),
        row(Doer::Http, "write the answer", 1.5, alone["answer"]),
        row(Doer::Writer, "decide among 10,000", 1.5, alone["decide"]),
        row(Doer::Writer, "encode, chain, apply, seal", 4.5, alone["encode"]),
        row(Doer::Writer, "append and fdatasync", 3.0, stored.append),
        row(Doer::Writer, "take, answer, count", 3.0, handed_by_writer),
        row(Doer::Signing, "sign", 12.0, alone["sign"]),
        row(Doer::Signing, "read, give way, keep", 2.0, stored.sign - alone["sign"]),
        row(Doer::Search, "index", 8.0, stored.index),
        row(Doer::Settler, "settle into sled, with signatures", 3.0, stored.settle),
        row(Doer::Checkpoints, "carry the trees on", 2.0, stored.trees),
    ];
    let answering: f64 = rows.iter().filter(|row| row.doer.answers()).map(|row| row.budget).sum();
    assert!(answering <= ANSWER_BUDGET_US, "the answer is promised {answering} µs");
    let told = tell(&rows, &beside, &served);
    println!("{told}");
    if fixture::measures() {
        let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results");
        std::fs::create_dir_all(&results).unwrap();
        std::fs::write(results.join("micro.md"), told).unwrap();
        assert!(is_found(&rows, &served), "what is not found within {FOUND_PERCENT} % is to be looked for");
    }
}

/// Whether the parts add up to the whole, those of the threads that answer by themselves too.
fn is_found(rows: &[Row], served: &Served) -> bool {
    let is_near = |wanted: fn(Doer) -> bool| {
        let sum: f64 = rows.iter().filter(|row| wanted(row.doer)).map(|row| row.measured).sum();
        let whole: f64 = served.check.iter().filter(|(doer, _)| wanted(**doer)).map(|(_, time)| time.all).sum();
        (sum / whole - 1.0).abs() * 100.0 <= FOUND_PERCENT
    };
    is_near(|_| true) && is_near(Doer::answers)
}

/// Medians in µs of the parts that need no other thread.
fn alone(size: &Size) -> BTreeMap<&'static str, f64> {
    let mut criterion = Criterion::default().measurement_time(Duration::from_secs(3)).configure_from_args();
    let mut group = criterion.benchmark_group("check");
    let mut medians = BTreeMap::new();
    let parts: [(&'static str, Box<dyn Part>); 6] = [
        ("parse", Box::new(Parsing::new())),
        ("decide among many", Box::new(Deciding::among(size.authorizations))),
        ("decide", Box::new(Deciding::among(size.served))),
        ("encode", Box::new(Encoding::among(size.served))),
        ("answer", Box::new(Answering::new())),
        ("sign", Box::new(SigningAlone::new())),
    ];
    for (name, mut part) in parts {
        let mut samples = Vec::new();
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|operations| {
                let time = parts::timed(&mut *part, operations);
                samples.push(time.as_secs_f64() * 1e6 / operations as f64);
                time
            });
        });
        samples.sort_by(f64::total_cmp);
        medians.insert(name, samples.get(samples.len() / 2).copied().unwrap_or_default());
    }
    group.finish();
    criterion.final_summary();
    medians
}

/// What the real server takes.
struct Served {
    rate: f64,
    events_per_commit: f64,
    /// For one check.
    check: BTreeMap<Doer, Time>,
    threads: BTreeMap<String, Time>,
    /// For one request that is read and turned away at once.
    turned_away: Time,
}

fn serve(size: &Size) -> Served {
    let server = Server::start();
    let create = r#"{"user_id":"user_1","agent_id":"mailer","scopes":["email.read",{"name":"email.send","constraints":{"max_per_day":1000000}}],"expires_at":"2099-01-01T00:00:00Z"}"#;
    let created = server.drive(vec![server.request("/v1/authorizations", None, create)], size.served, CONNECTIONS, 201, None);
    let id = |body: &String| serde_json::from_str::<serde_json::Value>(body).unwrap()["authorization_id"].as_str().unwrap().to_owned();
    let ids: Vec<String> = created.bodies.iter().map(id).collect();
    let requests = |api_key| ids.iter().map(|id| server.request("/v1/check", api_key, &check_body(id))).collect::<Vec<_>>();
    // What an empty server does once, and what waits from before, is no part of it.
    server.drive(requests(None), size.checks / 10, CONNECTIONS, 200, None);
    server.rest();
    let commits = |server: &Server| server.metric("allowlog_commit_records_count");
    let (before, commits_before) = (server.time(), commits(&server));
    let seconds = server.drive(requests(None), size.checks, CONNECTIONS, 200, None).seconds;
    let commits = commits(&server) - commits_before;
    server.rest();
    let threads = server.time().since(&before, size.checks as f64);
    let events_per_commit = size.checks as f64 / commits;
    // As checks come: as many at a time as a commit has answered, and as often. The threads sleep and wake as they do then.
    let waves = Waves { requests: events_per_commit.round().max(1.0) as usize, period: Duration::from_secs_f64(seconds / commits) };
    let before = server.time();
    server.drive(requests(Some("nobody")), size.checks, CONNECTIONS, 401, Some(waves));
    let turned_away = by_doer(&server.time().since(&before, size.checks as f64))[&Doer::Http];
    Served { rate: size.checks as f64 / seconds, events_per_commit, check: by_doer(&threads), threads, turned_away }
}

fn by_doer(threads: &BTreeMap<String, Time>) -> BTreeMap<Doer, Time> {
    let mut times: BTreeMap<Doer, Time> = Doer::ALL.iter().map(|doer| (*doer, Time::default())).collect();
    for (thread, time) in threads {
        let sum = times.entry(Doer::of(thread)).or_default();
        sum.all += time.all;
        sum.kernel += time.kernel;
    }
    times
}

/// Processor time in µs an event of what is done with a frame.
struct Stored {
    append: f64,
    settle: f64,
    sign: f64,
    trees: f64,
    index: f64,
}

/// Appends a log of checks to the disk with the followers behind, some frames at a time, as they run in the server.
fn store(size: &Size, events_per_commit: f64) -> (Stored, Vec<Beside>) {
    const FRAMES_AT_A_TIME: usize = 32;
    let directory = fixture::directory();
    let keyring = Arc::new(Keyring::open(directory.path().join("keys"), &MasterKey::ephemeral()).unwrap());
    let (workspace_id, frames) = frames(size, events_per_commit.round() as u64, keyring.generate().unwrap());
    let disk = Arc::new(DiskStore::open(directory.path(), DiskOptions::default()).unwrap());
    let store: Arc<dyn Store> = Arc::clone(&disk) as Arc<dyn Store>;
    let fresh = Arc::new(Fresh::default());
    let (mut signer, _signed) = Signer::new(Arc::clone(&store), keyring, Arc::clone(&fresh), &State::new());
    let mut trees = Tiling::new(Arc::clone(&store), Arc::new(Tiles::open(directory.path().join("tiles")).unwrap()));
    let (mut append, mut sign, mut tile) = (0.0, 0.0, 0.0);
    let mut frames = frames.into_iter().peekable();
    let before = Times::own();
    while frames.peek().is_some() {
        let frames: Vec<_> = frames.by_ref().take(FRAMES_AT_A_TIME).collect();
        let receipts: Vec<_> = frames.iter().map(|frame| (frame.header().first_sequence, receipts_of(frame))).collect();
        append += spent(|| frames.into_iter().for_each(|frame| store.append(frame).unwrap()));
        receipts.into_iter().for_each(|(first, receipts)| fresh.put(first, receipts));
        sign += spent(|| assert!(signer.catch_up()));
        tile += spent(|| assert!(trees.catch_up(store.head(), || false).unwrap()));
    }
    assert_eq!(store.signed(), store.head());
    disk.settle().unwrap();
    let events = store.head() as f64;
    let settle = by_doer(&Times::own().since(&before, events))[&Doer::Settler].all;
    let index_dir = directory.path().join("search");
    let before = Times::own();
    Indexing::rebuild(Arc::clone(&store), index_dir.clone(), |_| {}).unwrap();
    let index = Times::own().since(&before, events).values().map(|time| time.all).sum();
    let started = Instant::now();
    assert_eq!(replay(&*store, None, |_| {}).unwrap().chain.next_sequence(), store.head());
    let replayed = started.elapsed().as_secs_f64() * 1e6 / events;
    let beside = vec![
        Beside { what: "replay of an event, elapsed", budget: 1.5, measured: replayed },
        Beside { what: "first page of a list, elapsed, p50", budget: 1_000.0, measured: list(&store, &index_dir, workspace_id) },
    ];
    let each = |ns: f64| ns / 1e3 / events;
    (Stored { append: each(append), settle, sign: each(sign), trees: each(tile), index }, beside)
}

/// What the writer leaves of a frame to be signed.
fn receipts_of(frame: &Frame) -> Vec<Option<String>> {
    let canonical = |record: &Record| receipt(record).map(|receipt| receipt.canonical().unwrap());
    frame.contents().map(|bytes| canonical(&Record::decode(bytes).unwrap())).collect()
}

/// Frames of checks of a workspace that signs with this key.
fn frames(size: &Size, events_per_frame: u64, public_key: [u8; 32]) -> (WorkspaceId, Vec<Frame>) {
    let mut log = fixture::Log::new(events_per_frame.max(1));
    let workspace_id = log.add(&create_workspace_signed_by(public_key)).workspace_id;
    let mut targets = Vec::new();
    for _ in 0..size.served {
        let Outcome::Created(created) = log.add(&create()).outcome else { panic!("a create creates") };
        targets.push(created.granted.authorization_id.to_string());
    }
    let checks: Vec<_> = targets.iter().map(|id| check(id)).collect();
    for turn in 0..size.events {
        log.add(&checks[turn % checks.len()]);
    }
    (workspace_id, log.into_frames())
}

/// The median in µs of the first page, newest first, of everything a workspace has.
fn list(store: &Arc<dyn Store>, index_dir: &Path, workspace_id: WorkspaceId) -> f64 {
    const ROUNDS: usize = 101;
    let (wake, woken) = sync_channel(1);
    let (indexing, search) = Indexing::new(Arc::clone(store), Some(index_dir.to_owned()), wake);
    let (alive, _ended) = tokio::sync::oneshot::channel();
    let indexing = indexing.start(woken, alive).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(runtime.block_on(search.indexed(store.head())));
    let request = Request { filter: Filter::all(workspace_id), order: Order::Descending, after: None, limit: 50 };
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            assert_eq!(search.find(&request).unwrap().hits.len(), 50);
            started.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    drop(search);
    indexing.join().unwrap();
    quantile(&times, 0.5)
}

/// Processor time of this thread in ns.
fn spent(work: impl FnOnce()) -> f64 {
    let before = processor_time();
    work();
    (processor_time() - before).as_nanos() as f64
}

/// Processor time in µs a check that is handed to a writer and answered, nothing else.
struct HandedOver {
    caller: f64,
    writer: f64,
}

fn hand_over(size: &Size) -> HandedOver {
    let directory = fixture::directory();
    let store = Arc::new(DiskStore::open(directory.path(), DiskOptions::default()).unwrap());
    let latch = Arc::new(Latch::default());
    let (engine, queue) = Engine::new(Arc::clone(&latch));
    // Told of each commit as the server's are, which are busy then too.
    let (wakes, _woken): (Vec<_>, Vec<_>) = (0..3).map(|_| sync_channel(1)).unzip();
    let followers = Followers { wakes, ..Followers::default() };
    let ids = Ids::new(chance::numbers());
    let writer = Writer::new(store, Clock::Wall, ids, Replayed::default(), None, latch, followers).start(queue, ()).unwrap();
    // As the server's.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.global_queue_interval(2).thread_name("callers").enable_all().build().unwrap();
    let commands: Arc<Vec<_>> = Arc::new(runtime.block_on(async {
        engine.submit(create_workspace()).await.unwrap();
        let mut commands = Vec::new();
        for _ in 0..size.served {
            let Outcome::Created(created) = engine.submit(create()).await.unwrap().outcome else { panic!("a create creates") };
            commands.push(check(&created.granted.authorization_id.to_string()));
        }
        commands
    }));
    let before = Times::own();
    runtime.block_on(async {
        let callers: Vec<_> = (0..CONNECTIONS)
            .map(|caller| {
                let (engine, commands, count) = (engine.clone(), Arc::clone(&commands), size.checks / CONNECTIONS);
                tokio::spawn(async move {
                    for turn in 0..count {
                        engine.submit(commands[(caller * 131 + turn * 7) % commands.len()].clone()).await.unwrap();
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
    });
    let times = Times::own().since(&before, (size.checks / CONNECTIONS * CONNECTIONS) as f64);
    drop(engine);
    writer.join().unwrap();
    HandedOver { caller: times["callers"].all, writer: times["writer"].all }
}

fn tell(rows: &[Row], beside: &[Beside], served: &Served) -> String {
    let mut told = String::new();
    let whole: f64 = served.check.values().map(|time| time.all).sum();
    let over = |measured: f64, budget: f64| if measured > budget { " (over)" } else { "" };
    told.push_str("| Thread | Part of a check | Budget µs | Measured µs | Share of the whole |\n|---|---|--:|--:|--:|\n");
    for Row { doer, part, budget, measured } in rows {
        let (share, over) = (measured / whole * 100.0, over(*measured, *budget));
        writeln!(told, "| {} | {part} | {budget:.1} | {measured:.2}{over} | {share:.1} % |", doer.name()).unwrap();
    }
    let sum: f64 = rows.iter().map(|row| row.measured).sum();
    let budget: f64 = rows.iter().map(|row| row.budget).sum();
    writeln!(told, "| **all** | **sum of the parts** | {budget:.1} | {sum:.2} | {:.1} % |\n", sum / whole * 100.0).unwrap();
    told.push_str("| Thread | Sum of its parts µs | A check on the server µs | of it in the kernel | Found |\n|---|--:|--:|--:|--:|\n");
    for doer in Doer::ALL {
        let parts: f64 = rows.iter().filter(|row| row.doer == doer).map(|row| row.measured).sum();
        let Time { all, kernel } = served.check[&doer];
        let found = if all > 0.05 { format!("{:.0} %", parts / all * 100.0) } else { String::new() };
        writeln!(told, "| {} | {parts:.2} | {all:.2} | {kernel:.2} | {found} |", doer.name()).unwrap();
    }
    let answering: f64 = served.check.iter().filter(|(doer, _)| doer.answers()).map(|(_, time)| time.all).sum();
    let of_it: f64 = rows.iter().filter(|row| row.doer.answers()).map(|row| row.measured).sum();
    writeln!(told, "| **those that answer** | {of_it:.2} | {answering:.2} | | {:.0} % |", of_it / answering * 100.0).unwrap();
    writeln!(told, "| **all** | {sum:.2} | {whole:.2} | | {:.0} % |\n", sum / whole * 100.0).unwrap();
    let verdict = if is_found(rows, served) { "within" } else { "not within" };
    writeln!(told, "The parts add up to the whole {verdict} {FOUND_PERCENT:.0} %.\n").unwrap();
    told.push_str("| Beside a check | Budget µs | Measured µs |\n|---|--:|--:|\n");
    for Beside { what, budget, measured } in beside {
        writeln!(told, "| {what} | {budget:.1} | {measured:.2}{} |", over(*measured, *budget)).unwrap();
    }
    let threads: Vec<_> =
        served.threads.iter().filter(|(_, time)| time.all > 0.01).map(|(name, t)| format!("{name} {:.2}", t.all)).collect();
    let (rate, commit) = (served.rate, served.events_per_commit);
    writeln!(
        told,
        "\n{rate:.0} checks/s at {CONNECTIONS} connections, {commit:.1} in a commit; µs a check by thread: {}.",
        threads.join(", ")
    )
    .unwrap();
    writeln!(told, "{}", machine()).unwrap();
    told
}

fn machine() -> String {
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("unknown", |(_, model)| model);
    format!("{model}, {} cores.", std::thread::available_parallelism().map_or(1, usize::from))
}
