//! How long after the answer of a check its proof is there, under a checkpoint that two witnesses have cosigned.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test or a bench that meets the unexpected must end")]

mod fixture;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use allowlog::app::{App, Threads};
use allowlog::clock::Clock;
use allowlog::http;
use allowlog::http::listener::{Limits, Listener};
use allowlog::log::Store;
use allowlog::opening::{open, open_log};
use allowlog::tiles::Tiles;
use allowlog::tiles::follower::Tiling;
use allowlog::witness::Witness as Cosigner;
use allowlog::witness::trust::Trust;
use allowlog::witnesses::{Witness, Witnesses};
use allowlog_projections::command::{Action, Command, Credential};
use allowlog_projections::decide::Outcome;
use allowlog_projections::receipts::receipt_hash;
use allowlog_proto::api::allowly::{CheckBody, CreateBody};
use allowlog_proto::checkpoint::{Checkpoint, origin};
use allowlog_proto::event::Plan;
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::json::Value;
use allowlog_proto::merkle::{Tree, entry, leaf};
use allowlog_proto::note::{Note, VerifierKey};
use allowlog_proto::record::Record;
use allowlog_proto::text::Name;
use fixture::quantile;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

const CHECKS_PER_SECOND: u32 = 5_000;
const AUTHORIZATIONS: usize = 1_000;
const WORKSPACES: usize = 4;
const WITNESSES: usize = 2;
const ROUNDS: usize = 3;

/// Workspaces with a credential and authorizations each.
struct Tenant {
    workspace_id: WorkspaceId,
    credential: Credential,
    authorizations: Vec<String>,
}

fn main() {
    http::tls::install();
    let (time, rate) = if fixture::measures() { (Duration::from_secs(10), CHECKS_PER_SECOND) } else { (Duration::from_millis(600), 200) };
    let directory = fixture::directory();
    let data = directory.path().join("data");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (app, threads) = start(&data, None);
    let tenants = Arc::new(runtime.block_on(tenants(&app)));
    let trust = runtime.block_on(trust(&app, &tenants));
    stop(app, threads);
    let (stop_witnesses, stopped) = watch::channel(false);
    let witnesses = runtime.block_on(witnesses(directory.path(), &trust, &stopped));
    println!("{rate} checks/s in {WORKSPACES} workspaces, median of {ROUNDS} rounds");
    println!("{:<28} {:>9} {:>9} {:>9} {:>9}", "from answer to proof, ms", "p50", "p99", "max", "proofs");
    let mut p99 = [Vec::new(), Vec::new()];
    let mut shown = [Vec::new(), Vec::new()];
    let mut cpu = Vec::new();
    for _ in 0..ROUNDS {
        for (place, asked) in [None, Some(&witnesses)].into_iter().enumerate() {
            let (app, threads) = start(&data, asked.map(|witnesses| Witnesses::new(witnesses.clone(), WITNESSES).unwrap()));
            let before = cpu_time();
            let mut waits = runtime.block_on(round(&app, &tenants, rate, time));
            if asked.is_none() {
                cpu.push((cpu_time() - before) / waits.len() as u32);
            }
            if let Some(witnesses) = asked {
                tenants.iter().for_each(|tenant| cosigned(&app, tenant, witnesses));
            }
            stop(app, threads);
            waits.sort_unstable();
            p99[place].push(quantile(&waits, 0.99));
            shown[place].push((quantile(&waits, 0.99), quantile(&waits, 0.5), *waits.last().unwrap(), waits.len()));
        }
    }
    for (name, shown) in ["no witness", "2 of 2 witnesses"].into_iter().zip(&mut shown) {
        shown.sort_unstable();
        let (p99, p50, max, count) = shown[ROUNDS / 2];
        let ms = |wait: Duration| wait.as_secs_f64() * 1e3;
        println!("{name:<28} {:>9.0} {:>9.0} {:>9.0} {count:>9}", ms(p50), ms(p99), ms(max));
    }
    for p99 in &mut p99 {
        p99.sort_unstable();
    }
    cost(&data, &directory.path().join("again"), cpu);
    println!("p99 with witnesses / without: {:.2}", p99[1][ROUNDS / 2].as_secs_f64() / p99[0][ROUNDS / 2].as_secs_f64());
    stop_witnesses.send_replace(true);
}

/// Processor time of this process.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ticks = stat.rsplit(") ").next().unwrap().split(' ').skip(11).take(2).map(|n| n.parse::<u64>().unwrap()).sum::<u64>();
    Duration::from_millis(ticks * 10)
}

/// What the tree takes of a check: in the commit, and in the follower that makes it again.
fn cost(data: &Path, again: &Path, mut cpu: Vec<Duration>) {
    let (_lock, store) = open_log(data).unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    let mut records = Vec::new();
    for frame in store.scan(0) {
        records.extend(frame.unwrap().records().unwrap().map(|(bytes, hash)| (Record::decode(bytes).unwrap(), hash)));
    }
    let count = records.len() as u32;
    let (mut tree, committing) = (Tree::new(), Instant::now());
    for (record, hash) in &records {
        tree.push(leaf(&entry(*hash, &receipt_hash(std::hint::black_box(record)))), |_, _| {});
    }
    let committing = committing.elapsed() / count;
    std::hint::black_box(tree.root());
    let mut tiling = Tiling::new(Arc::clone(&store), Arc::new(Tiles::open(again.to_owned()).unwrap()));
    let following = Instant::now();
    assert!(tiling.catch_up(store.head(), || false).unwrap());
    let following = following.elapsed() / count;
    cpu.sort_unstable();
    let whole = cpu[ROUNDS / 2];
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    println!(
        "of {:.1} µs of processor time a check without witnesses: in the commit {:.1}, in the follower {:.1}; share {:.2}",
        us(whole),
        us(committing),
        us(following),
        (committing + following).as_secs_f64() / whole.as_secs_f64()
    );
}

fn start(data: &Path, witnesses: Option<Witnesses>) -> (App, Threads) {
    let (lock, parts) = open(data, None, None, String::new(), false, |_| {}).unwrap();
    let started = App::start(allowlog::app::Parts { witnesses, ..parts }).unwrap();
    // The process keeps the directory to itself until it ends: the next opening is its own.
    drop(lock);
    started
}

fn stop(app: App, threads: Threads) {
    drop(app);
    assert!(threads.join());
}

async fn tenants(app: &App) -> Vec<Tenant> {
    let mut tenants = Vec::new();
    for n in 0..WORKSPACES {
        let (created, text) = app.create_workspace(Name::new(&format!("w{n}")).unwrap(), Plan::Enterprise).await.unwrap();
        let credential = allowlog::api_key::credential(&text, &app.keyring).unwrap();
        let body = br#"{"user_id":"u","agent_id":"a","scopes":["email.send"],"expires_at":"2099-01-01T00:00:00Z"}"#;
        let body = CreateBody::parse(&Value::parse(body).unwrap()).unwrap();
        let mut authorizations = Vec::new();
        for _ in 0..AUTHORIZATIONS / WORKSPACES {
            let command = Command::Caller { credential: credential.clone(), request: None, action: Action::Create(Box::new(body.clone())) };
            let Outcome::Created(created) = app.submit(command).await.unwrap().outcome else { panic!("a create creates") };
            authorizations.push(created.granted.authorization_id.to_string());
        }
        tenants.push(Tenant { workspace_id: created.workspace_id, credential, authorizations });
    }
    tenants
}

/// The verifier keys of the logs, as the witnesses are told.
async fn trust(app: &App, tenants: &[Tenant]) -> Vec<String> {
    let ids: Vec<WorkspaceId> = tenants.iter().map(|tenant| tenant.workspace_id).collect();
    let keys = |state: &allowlog_projections::state::State| {
        let key =
            |id: WorkspaceId| allowlog::checkpoints::verifier_key(id, &state.workspace(id).unwrap().signing_keys[0].public_key).unwrap();
        ids.iter().map(|id| key(*id).to_string()).collect::<Vec<_>>()
    };
    let keys = keys(&app.engine.read(|state, _| state.clone()).await.unwrap());
    assert_eq!(keys.len(), WORKSPACES);
    keys
}

/// Witnesses behind sockets of their own.
async fn witnesses(directory: &Path, logs: &[String], stopped: &watch::Receiver<bool>) -> Vec<Witness> {
    let mut witnesses = Vec::new();
    for n in 0..WITNESSES {
        let mut trust = Trust::default();
        logs.iter().for_each(|key| trust.add(key).unwrap());
        let name = format!("witness-{n}");
        let cosigner = Arc::new(Cosigner::open(&directory.join(&name), Some(&name), trust, Clock::Wall).unwrap());
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        witnesses.push(Witness::parse(&format!("{} {url}", cosigner.verifier_key())).unwrap());
        let listener = Listener { socket, tls: None, limits: Limits::of(64) };
        tokio::spawn(listener.serve(http::witness::router(cosigner), stopped.clone()));
    }
    witnesses
}

/// Checks at an even rate; how long each waited from its answer to its proof.
async fn round(app: &App, tenants: &Arc<Vec<Tenant>>, rate: u32, time: Duration) -> Vec<Duration> {
    let (answered, mut answers) = mpsc::unbounded_channel();
    let checking = async {
        let started = Instant::now();
        let mut sent = 0_u32;
        while started.elapsed() < time {
            let due = (started.elapsed().as_secs_f64() * f64::from(rate)) as u32;
            while sent < due {
                let (app, tenants, answered, n) = (app.clone(), Arc::clone(tenants), answered.clone(), sent as usize);
                tokio::spawn(async move {
                    let tenant = &tenants[n % WORKSPACES];
                    let id = &tenant.authorizations[n / WORKSPACES % tenant.authorizations.len()];
                    let body = format!(r#"{{"authorization_id":"{id}","scopes":["email.send"],"resource":"r{n}"}}"#);
                    let action = Action::Check(Box::new(CheckBody::parse(&Value::parse(body.as_bytes()).unwrap()).unwrap()));
                    let command = Command::Caller { credential: tenant.credential.clone(), request: None, action };
                    // One that is refused as too many has no proof to wait for.
                    if let Ok(committed) = app.submit(command).await {
                        let _ = answered.send((committed.end, Instant::now()));
                    }
                });
                sent += 1;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(answered);
    };
    let watching = async {
        let (mut position, mut waiting, mut waits) = (app.checkpoints.position(), Vec::new(), Vec::new());
        let mut is_over = false;
        while !(is_over && waiting.is_empty()) {
            tokio::select! {
                answer = answers.recv(), if !is_over => match answer {
                    Some(answer) => waiting.push(answer),
                    None => is_over = true,
                },
                _ = position.changed() => {}
            }
            let reached = *position.borrow_and_update();
            let now = Instant::now();
            waiting.retain(|(end, answered)| {
                let is_proved = *end <= reached;
                if is_proved {
                    waits.push(now - *answered);
                }
                !is_proved
            });
        }
        waits
    };
    tokio::join!(checking, watching).1
}

/// The last checkpoint of a workspace has the cosignatures of all witnesses.
fn cosigned(app: &App, tenant: &Tenant, witnesses: &[Witness]) {
    let published = app.checkpoints.latest(tenant.workspace_id).unwrap();
    let note = Note::parse(&published.note.to_string()).unwrap();
    let keys: Vec<VerifierKey> = witnesses.iter().map(|witness| witness.key.clone()).collect();
    assert_eq!(note.cosigners(&keys).len(), WITNESSES);
    assert_eq!(Checkpoint::parse(&note.text).unwrap().origin, origin(tenant.workspace_id));
}
