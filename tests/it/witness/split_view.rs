//! Split views: two servers with one key, forked from one log, before three witnesses of whom two must cosign. Whatever is lost,
//! whoever restarts and in whatever order they come, no two trees that contradict each other ever have a quorum.
//!
//! `ALLOWLOG_SPLIT_SEED=7` runs that seed alone, `ALLOWLOG_SPLIT_SEEDS=1000` so many.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use allowlog::http;
use allowlog::http::listener::{Limits, Listener};
use allowlog::witnesses::{Collected, Witness as Known, Witnesses};
use allowlog_proto::chain::Hash;
use allowlog_proto::checkpoint::Checkpoint;
use allowlog_proto::witness::AddCheckpoint;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{RwLock, watch};
use tower::ServiceExt as _;

use super::log::{Log, ORIGIN};
use super::open;
use crate::dice::Dice;

const SEEDS: u64 = 100;
const ROUNDS: u64 = 12;
const WITNESSES: usize = 3;
const QUORUM: usize = 2;

/// A witness behind a socket, between which and the world requests and answers get lost.
struct Post {
    name: String,
    directory: PathBuf,
    /// Written by a restart: then nothing is in flight.
    router: RwLock<Router>,
    dice: Mutex<Dice>,
    losses_percent: u64,
    /// Every checkpoint it gave a cosignature for, whether it arrived or not, in the order of the answers.
    issued: Mutex<Vec<Checkpoint>>,
    lost: Mutex<u64>,
}

/// Three of them.
struct Street {
    posts: Vec<Arc<Post>>,
    witnesses: Vec<Known>,
    log: Log,
    _stop: watch::Sender<bool>,
    _directory: TempDir,
}

impl Post {
    /// The process is killed and started again.
    async fn restart(&self, log: &Log) {
        let mut router = self.router.write().await;
        *router = Router::new();
        *router = http::witness::router(Arc::new(open(&self.directory, Some(&self.name), &[log]).unwrap()));
    }

    fn loses(&self) -> bool {
        let loses = self.dice.lock().unwrap().percent(self.losses_percent);
        *self.lost.lock().unwrap() += u64::from(loses);
        loses
    }
}

async fn through(State(post): State<Arc<Post>>, request: Request) -> Response {
    let gone = || StatusCode::BAD_GATEWAY.into_response();
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    if post.loses() {
        return gone();
    }
    // A task of its own: a client that goes away leaves no request behind that a restart does not wait for.
    let answering = {
        let post = Arc::clone(&post);
        tokio::spawn(async move {
            // Held until the answer is written down: a restart comes before or after.
            let router = post.router.read().await;
            let answer = router.clone().oneshot(Request::from_parts(parts, Body::from(body.clone()))).await.unwrap();
            if answer.status() == StatusCode::OK {
                let request = AddCheckpoint::parse(std::str::from_utf8(&body).unwrap()).unwrap();
                post.issued.lock().unwrap().push(Checkpoint::parse(&request.checkpoint.text).unwrap());
            }
            answer
        })
    };
    let answer = answering.await.unwrap();
    if post.loses() { gone() } else { answer }
}

impl Street {
    async fn open(seed: u64, losses_percent: u64) -> Self {
        allowlog::http::tls::install();
        let (directory, log) = (tempfile::tempdir().unwrap(), Log::new(ORIGIN, 1));
        let (stop, stopped) = watch::channel(false);
        let (mut posts, mut witnesses) = (Vec::new(), Vec::new());
        for number in 0..WITNESSES {
            let (name, path) = (format!("witness.example/{number}"), directory.path().join(number.to_string()));
            let witness = Arc::new(open(&path, Some(&name), &[&log]).unwrap());
            let key = witness.verifier_key().clone();
            let post = Arc::new(Post {
                name,
                directory: path,
                router: RwLock::new(http::witness::router(witness)),
                dice: Mutex::new(Dice::new(seed * 1000 + u64::try_from(number).unwrap())),
                losses_percent,
                issued: Mutex::default(),
                lost: Mutex::default(),
            });
            let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", socket.local_addr().unwrap());
            let router = Router::new().fallback(through).with_state(Arc::clone(&post));
            tokio::spawn(Listener { socket, tls: None, limits: Limits::of(64) }.serve(router, stopped.clone()));
            witnesses.push(Known { key, url });
            posts.push(post);
        }
        Self { posts, witnesses, log, _stop: stop, _directory: directory }
    }

    fn witnesses(&self) -> Witnesses {
        Witnesses::new(self.witnesses.clone(), QUORUM).unwrap()
    }

    /// Every checkpoint that so many witnesses have given a cosignature for.
    fn quorums(&self) -> Vec<Checkpoint> {
        let mut by: BTreeMap<(u64, Hash), BTreeSet<&str>> = BTreeMap::new();
        let issued: Vec<_> = self.posts.iter().map(|post| (post, post.issued.lock().unwrap().clone())).collect();
        for (post, issued) in &issued {
            for checkpoint in issued {
                by.entry((checkpoint.size, checkpoint.root)).or_default().insert(&post.name);
            }
        }
        let quorums = by.into_iter().filter(|(_, names)| names.len() >= QUORUM);
        quorums.map(|((size, root), _)| Checkpoint { origin: ORIGIN.to_owned(), size, root }).collect()
    }
}

async fn collect(log: &Log, witnesses: &Witnesses) -> Collected {
    let proving = log.clone();
    let collected = witnesses.collect(&log.checkpoint(), log.size(), move |old| Ok::<_, String>(proving.proof(old))).await;
    let cosigned = collected.cosignatures.len();
    assert!(cosigned + collected.behind.len() + collected.forked.len() + collected.unreachable.len() <= WITNESSES, "{collected:?}");
    collected
}

/// A server: what its log is now, and every tree it ever had.
struct Fork {
    log: Log,
    salt: u64,
    witnesses: Witnesses,
    trees: BTreeMap<(u64, Hash), Vec<Hash>>,
    quorums: u64,
}

impl Fork {
    fn new(log: Log, salt: u64, street: &Street) -> Self {
        Self { log, salt, witnesses: street.witnesses(), trees: BTreeMap::new(), quorums: 0 }
    }

    /// Grows, as it does between two checkpoints; now and then it loses its tail first, and grows another one.
    fn go_on(&mut self, dice: &mut Dice, seen: &mut Seen) {
        if dice.percent(10) && self.log.size() > 0 {
            let size = usize::try_from(dice.below(self.log.size())).unwrap();
            self.salt += 100;
            self.log = self.log.clone().cut(size);
            seen.tails += 1;
        }
        let more = usize::try_from(dice.below(6)).unwrap();
        self.log = self.log.clone().grown(more, self.salt);
        self.trees.insert((self.log.size(), self.log.root()), self.log.leaves.clone());
    }

    async fn submit(&mut self) -> Collected {
        let collected = collect(&self.log, &self.witnesses).await;
        self.quorums += u64::from(self.witnesses.is_met_by(&collected));
        collected
    }
}

/// What came up over all seeds: a run in which nothing happens proves nothing.
#[derive(Debug, Default)]
struct Seen {
    quorums: [u64; 2],
    cosigned_apart: u64,
    forked: usize,
    behind: usize,
    lost: u64,
    restarts: u64,
    tails: u64,
}

/// Whether one of them begins with the other.
fn agree(one: &[Hash], other: &[Hash]) -> bool {
    one.iter().zip(other).all(|(one, other)| one == other)
}

async fn run(seed: u64, seen: &mut Seen) {
    let mut dice = Dice::new(seed);
    let street = Street::open(seed, 10).await;
    let base = street.log.clone().grown(usize::try_from(dice.below(12)).unwrap(), 0);
    let mut forks = [1, 2].map(|salt| Fork::new(base.clone(), salt, &street));
    for _ in 0..ROUNDS {
        let [one, other] = &mut forks;
        let answers = match dice.below(4) {
            0 => {
                one.go_on(&mut dice, seen);
                vec![one.submit().await]
            }
            1 => {
                other.go_on(&mut dice, seen);
                vec![other.submit().await]
            }
            _ => {
                one.go_on(&mut dice, seen);
                other.go_on(&mut dice, seen);
                let (one, other) = tokio::join!(one.submit(), other.submit());
                vec![one, other]
            }
        };
        for answer in answers {
            seen.forked += answer.forked.len();
            seen.behind += answer.behind.len();
        }
        if dice.percent(30) {
            let post = dice.below(3);
            street.posts[usize::try_from(post).unwrap()].restart(&street.log).await;
            seen.restarts += 1;
        }
    }
    // What is still on its way is waited for by a restart.
    for post in &street.posts {
        post.restart(&street.log).await;
        seen.lost += *post.lost.lock().unwrap();
    }
    judge(seed, &street, &forks, seen);
}

fn judge(seed: u64, street: &Street, forks: &[Fork; 2], seen: &mut Seen) {
    let leaves = |checkpoint: &Checkpoint| {
        let tree = (checkpoint.size, checkpoint.root);
        forks.iter().find_map(|fork| fork.trees.get(&tree)).expect("a tree that one of them had")
    };
    let agreed = |what: &str, checkpoints: &[Checkpoint]| {
        for (place, one) in checkpoints.iter().enumerate() {
            for other in &checkpoints[place + 1..] {
                assert!(agree(leaves(one), leaves(other)), "seed {seed}: {what} has {} and {} of two histories", one.size, other.size);
            }
        }
    };
    agreed("the quorum", &street.quorums());
    for post in &street.posts {
        agreed(&post.name, &post.issued.lock().unwrap());
    }
    let is_of = |fork: &Fork, tree: &(u64, Hash)| fork.trees.contains_key(tree);
    let [one, other] = forks;
    let all: BTreeSet<_> = street.posts.iter().flat_map(|p| p.issued.lock().unwrap().clone()).map(|c| (c.size, c.root)).collect();
    let apart = |fork: &Fork, from: &Fork| all.iter().any(|tree| is_of(fork, tree) && !is_of(from, tree));
    seen.cosigned_apart += u64::from(apart(one, other) && apart(other, one));
    for (fork, seen) in forks.iter().zip(&mut seen.quorums) {
        *seen += fork.quorums;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_forks_never_both_have_a_quorum() {
    let given = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let mut seen = Seen::default();
    if let Some(seed) = given("ALLOWLOG_SPLIT_SEED") {
        run(seed, &mut seen).await;
        println!("{seen:?}");
        return;
    }
    let seeds = given("ALLOWLOG_SPLIT_SEEDS").unwrap_or(SEEDS);
    for seed in 0..seeds {
        run(seed, &mut seen).await;
    }
    println!("{seeds} seeds: {seen:?}");
    let Seen { quorums: [one, other], cosigned_apart, forked, behind, lost, restarts, tails } = seen;
    let often = [one, other, forked.try_into().unwrap(), lost, restarts, tails];
    assert!(often.iter().all(|count| *count >= seeds) && cosigned_apart > 0 && behind > 0, "{often:?} {cosigned_apart} {behind}");
}

#[tokio::test]
async fn a_log_that_lost_its_tail_gathers_no_quorum() {
    let street = Street::open(0, 0).await;
    let witnesses = street.witnesses();
    let log = street.log.clone().grown(40, 0);
    assert!(witnesses.is_met_by(&collect(&log, &witnesses).await));
    // All of them know it, the one that was too late for the quorum too.
    let names: BTreeSet<_> = street.posts.iter().map(|post| post.name.clone()).collect();
    for _ in 0..WITNESSES {
        collect(&log, &witnesses).await;
    }
    let restored = log.clone().cut(25);
    for client in [&witnesses, &street.witnesses()] {
        let behind = collect(&restored, client).await;
        assert!(behind.cosignatures.is_empty() && behind.forked.is_empty() && behind.unreachable.is_empty(), "{behind:?}");
        assert_eq!(behind.behind.into_iter().collect::<BTreeSet<_>>(), names.iter().map(|name| (name.clone(), 40)).collect());
        for regrown in [restored.clone().grown(15, 7), restored.clone().grown(30, 7)] {
            let forked = collect(&regrown, client).await;
            assert!(forked.cosignatures.is_empty() && forked.behind.is_empty() && forked.unreachable.is_empty(), "{forked:?}");
            assert_eq!(forked.forked.into_iter().collect::<BTreeSet<_>>(), names);
        }
    }
    // With what it lost it goes on.
    assert!(witnesses.is_met_by(&collect(&log.grown(5, 0), &witnesses).await));
}
