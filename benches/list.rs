//! The first page of a list among 1,000,000 receipts of one workspace, by every filter, beside reading the log through.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test or a bench that meets the unexpected must end")]

mod fixture;

use std::collections::VecDeque;
use std::path::Path;
use std::process::Command as Process;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use allowlog::log::Store;
use allowlog::log::disk::{DiskOptions, DiskStore};
use allowlog::replay::replay;
use allowlog::search::{Facet, Filter, Indexing, Order, Request, Search};
use allowlog_projections::command::{Action, Command};
use allowlog_projections::decide::{Outcome, decide};
use allowlog_projections::ids::Ids;
use allowlog_projections::receipts;
use allowlog_projections::state::State;
use allowlog_proto::api::allowly::{CheckBody, CreateBody};
use allowlog_proto::chain::Chain;
use allowlog_proto::frame::FrameBuilder;
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::json::Value;
use allowlog_proto::record::Record;
use allowlog_proto::time::Timestamp;
use fixture::{credential, quantile};

const ROUNDS: usize = 21;
const PAGE: usize = 50;
/// As many as 64 clients leave in one commit on a machine of two cores.
const EVENTS_PER_FRAME: usize = 20;
/// Tells a process of its own to fill this directory, so that what it takes is not measured with what searching takes.
const FILL: &str = "ALLOWLOG_BENCH_FILL";

fn main() {
    let events = std::env::var("ALLOWLOG_BENCH_EVENTS").ok().and_then(|n| n.parse().ok());
    let events: u64 = if fixture::measures() { events.unwrap_or(1_000_000) } else { 5_000 };
    if let Ok(directory) = std::env::var(FILL) {
        return fill(Path::new(&directory), events);
    }
    let directory = fixture::directory();
    let mode = if fixture::measures() { &["--bench"][..] } else { &[] };
    let filled = Process::new(std::env::current_exe().unwrap()).args(mode).env(FILL, directory.path()).status().unwrap();
    assert!(filled.success());
    let store = Arc::new(DiskStore::open(directory.path(), DiskOptions::default()).unwrap());
    let (wake, woken) = sync_channel(1);
    let search_dir = directory.path().join("search");
    let (indexing, search) = Indexing::new(Arc::clone(&store) as _, Some(search_dir.clone()), wake.clone());
    let started = Instant::now();
    let (alive, _ended) = tokio::sync::oneshot::channel();
    let follower = indexing.start(woken, alive).unwrap();
    wait(&search, store.head());
    let rate = events as f64 / started.elapsed().as_secs_f64();
    println!("{events} receipts indexed at {rate:.0}/s; RSS {} MB, index {} MB", rss_mb(), bytes(&search_dir) / 1_000_000);
    pages(&*store, &search);
    println!("RSS {} MB", rss_mb());
    let seconds = if fixture::measures() { 20 } else { 1 };
    let behind = behind(&store, &search, &wake, seconds);
    println!("most behind while 5,000 checks/s are written for {seconds} s: {behind:.2} s; RSS {} MB", rss_mb());
    drop((search, wake));
    follower.join().unwrap();
}

/// Median time of the first page, by filter.
fn pages(store: &dyn Store, search: &Search) {
    let (workspace_id, first) = first_grant(store);
    let all = || Filter::all(workspace_id);
    let middle = all().between(Some(START.saturating_add_ms(20_000)), Some(START.saturating_add_ms(30_000)));
    let cases = [
        ("none", all()),
        ("authorization_id", all().with(Facet::AuthorizationId, &first)),
        ("user_id", all().with(Facet::UserId, "user_7")),
        ("user_id, half of all", all().with(Facet::UserId, "user_0")),
        ("resource, once", all().with(Facet::Resource, "mail:11")),
        ("resource, half of all", all().with(Facet::Resource, "mail:common")),
        ("session_id", all().with(Facet::SessionId, "s-77")),
        ("scope, half of all", all().with(Facet::Scope, "email.read")),
        ("event, the oldest only", all().with(Facet::Event, "authorization.create")),
        ("decision, nearly all", all().with(Facet::Decision, "allow")),
        ("decision, none", all().with(Facet::Decision, "escalate")),
        ("from and to", middle),
        ("scope and resource, none of both halves", all().with(Facet::Scope, "email.read").with(Facet::Resource, "mail:common")),
    ];
    let mut peer: Vec<u64> = (0..3).map(|_| timed(|| linear(store, workspace_id, "escalate"))).collect();
    peer.sort_unstable();
    let peer = quantile(&peer, 0.5);
    println!("{:<42} {:>10} {:>10} {:>10} {:>14}", "median of 21 first pages", "newest ms", "oldest ms", "slowest ms", "peer / newest");
    for (name, filter) in cases {
        let [newest, oldest] = [Order::Descending, Order::Ascending].map(|order| {
            let request = Request { filter: filter.clone(), order, after: None, limit: PAGE };
            let mut times: Vec<u64> = (0..ROUNDS).map(|_| timed(|| page(store, search, &request))).collect();
            times.sort_unstable();
            times
        });
        let (new, old) = (quantile(&newest, 0.5), quantile(&oldest, 0.5));
        let slowest = quantile(&newest, 1.0).max(quantile(&oldest, 1.0));
        let ratio = peer as f64 / new as f64;
        println!("{name:<42} {:>10.2} {:>10.2} {:>10.2} {ratio:>14.0}", new as f64 / 1e6, old as f64 / 1e6, slowest as f64 / 1e6);
    }
    println!("{:<42} {:>10.2}", "peer: the log read through once", peer as f64 / 1e6);
}

/// What an answer takes but the rendering: the hits, and whether each is signed.
fn page(store: &dyn Store, search: &Search, request: &Request) -> usize {
    let page = search.find(request).unwrap();
    page.hits.iter().filter(|hit| store.signature(hit.sequence).unwrap().is_some()).count()
}

/// The same without an index, for one decision.
fn linear(store: &dyn Store, workspace_id: WorkspaceId, decision: &str) -> usize {
    let mut newest = VecDeque::new();
    for frame in store.scan(0) {
        for (bytes, _) in frame.unwrap().records().unwrap() {
            let record = Record::decode(bytes).unwrap();
            let receipt = allowlog_projections::receipts::receipt(&record);
            if record.workspace_id == workspace_id && receipt.is_some_and(|receipt| receipt.decision == decision) {
                newest.push_back(record);
                if newest.len() > PAGE {
                    newest.pop_front();
                }
            }
        }
    }
    newest.len()
}

fn first_grant(store: &dyn Store) -> (WorkspaceId, String) {
    for frame in store.scan(0) {
        for (bytes, _) in frame.unwrap().records().unwrap() {
            let record = Record::decode(bytes).unwrap();
            if let Some(id) = allowlog_projections::receipts::receipt(&record).and_then(|receipt| receipt.authorization_id) {
                return (record.workspace_id, id.to_string());
            }
        }
    }
    panic!("there is a grant");
}

/// Seconds that the index was behind the log at most, while 5,000 checks are written each second.
fn behind(store: &Arc<DiskStore>, search: &Search, wake: &SyncSender<()>, seconds: u32) -> f64 {
    const FRAMES_PER_SECOND: u32 = 250;
    let mut author = Author::on(&**store);
    let (started, mut written, mut most) = (Instant::now(), VecDeque::new(), Duration::ZERO);
    for turn in 0..FRAMES_PER_SECOND * seconds {
        author.frame(&**store, EVENTS_PER_FRAME);
        let _ = wake.try_send(());
        written.push_back((store.head(), Instant::now()));
        while written.front().is_some_and(|(head, _)| *head <= search.position()) {
            written.pop_front();
        }
        most = most.max(written.front().map_or(Duration::ZERO, |(_, at)| at.elapsed()));
        thread::sleep((started + Duration::from_secs(1) * turn / FRAMES_PER_SECOND).saturating_duration_since(Instant::now()));
    }
    most.as_secs_f64()
}

fn wait(search: &Search, position: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(runtime.block_on(search.indexed(position)));
}

fn timed<T>(act: impl FnOnce() -> T) -> u64 {
    let started = Instant::now();
    std::hint::black_box(act());
    started.elapsed().as_nanos() as u64
}

fn rss_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1000
}

fn bytes(directory: &Path) -> u64 {
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

/// When the first record is written; a frame each millisecond.
const START: Timestamp = Timestamp::from_ms(1_772_359_200_000).unwrap();

/// Writes a log as the writer does, without its clients.
struct Author {
    state: State,
    chain: Chain,
    ids: Ids,
    now: Timestamp,
    authorizations: Vec<String>,
    turn: usize,
}

impl Author {
    /// Goes on behind what is stored.
    fn on(store: &dyn Store) -> Self {
        let replayed = replay(store, None, |_| {}).unwrap();
        let now = replayed.chain.time().max(START);
        let ids = Ids::new(allowlog::chance::numbers());
        let mut this = Self { state: replayed.state, chain: replayed.chain, ids, now, authorizations: Vec::new(), turn: 0 };
        if this.chain.next_sequence() == 0 {
            this.commit(store, &[fixture::create_workspace()]);
        }
        for _ in 0..10 {
            let grants: Vec<_> = (0..100).map(|_| this.grant()).collect();
            this.commit(store, &grants);
        }
        this
    }

    /// Writes a frame of so many checks.
    fn frame(&mut self, store: &dyn Store, count: usize) {
        let checks: Vec<_> = (0..count).map(|_| self.check()).collect();
        self.commit(store, &checks);
    }

    fn grant(&mut self) -> Command {
        self.turn += 1;
        // Every second authorization is one person's.
        let user = if self.turn.is_multiple_of(2) { 0 } else { self.turn };
        let body = format!(
            r#"{{"user_id":"user_{user}","agent_id":"mailer","scopes":["email.read","email.send"],"expires_at":"2099-01-01T00:00:00Z"}}"#
        );
        Command::Caller {
            credential: credential(),
            request: None,
            action: Action::Create(Box::new(CreateBody::parse(&Value::parse(body.as_bytes()).unwrap()).unwrap())),
        }
    }

    fn check(&mut self) -> Command {
        self.turn += 1;
        let turn = self.turn;
        let id = &self.authorizations[turn * 7_919 % self.authorizations.len()];
        let (scope, resource) = if turn.is_multiple_of(2) {
            ("email.send", "mail:common".to_owned())
        } else {
            ("email.read", format!("mail:{}", turn % 200_000))
        };
        let session = turn / 100;
        let body = format!(
            r#"{{"authorization_id":"{id}","scopes":["{scope}"],"resource":"{resource}","session_id":"s-{session}","context":{{"purpose":"daily summary","amount":12}}}}"#
        );
        Command::Caller {
            credential: credential(),
            request: None,
            action: Action::Check(Box::new(CheckBody::parse(&Value::parse(body.as_bytes()).unwrap()).unwrap())),
        }
    }

    fn commit(&mut self, store: &dyn Store, commands: &[Command]) {
        let first = self.chain.next_sequence();
        let mut frame = FrameBuilder::new();
        for command in commands {
            let decided = decide(&self.state, command, self.now, &mut self.ids).unwrap();
            if let Outcome::Created(created) = &decided.outcome {
                self.authorizations.push(created.granted.authorization_id.to_string());
            }
            for event in decided.events {
                let (record, _) = receipts::record(&self.chain, decided.workspace_id, self.now, event, None);
                let hash = frame.push(&record).unwrap();
                self.chain.extend(&record, hash);
                self.state.apply(&record, hash);
            }
        }
        let sealed = frame.seal(first, self.chain.frame_hash()).unwrap();
        self.chain.close(sealed.hash());
        store.append(sealed).unwrap();
        store.put_signatures(first, &vec![[1; 64]; (self.chain.next_sequence() - first) as usize]).unwrap();
        self.now = self.now.saturating_add_ms(1);
    }
}

fn fill(directory: &Path, events: u64) {
    let store = DiskStore::open(directory, DiskOptions::default()).unwrap();
    let mut author = Author::on(&store);
    while author.chain.next_sequence() < events {
        author.frame(&store, EVENTS_PER_FRAME);
    }
    store.close().unwrap();
}
