//! Lists against a plain vector, over every state an index can be in.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use allowlog_projections::receipts;
use allowlog_proto::chain::Chain;
use allowlog_proto::event::{
    AuthorizationEvent, CheckEvent, Decided, Evaluation, Event, Granted, Plan, Subject, Terms, Verdict, WorkspaceEvent,
};
use allowlog_proto::frame::FrameBuilder;
use allowlog_proto::id::{AuthorizationId, ReceiptId, WorkspaceId};
use allowlog_proto::json::CanonicalObject;
use allowlog_proto::reason::{PolicyVersion, Reason};
use allowlog_proto::text::{AgentId, Name, OpaqueId, Resource, ScopeName, SessionId, UserId};
use allowlog_proto::time::Timestamp;
use proptest::prelude::*;

use super::follower::Indexing;
use super::index::Index;
use super::{Facet, Filter, Hit, Order, Request, Search};
use crate::log::Store as _;
use crate::log::memory::MemoryStore;

const START_MS: u64 = 1_790_000_000_000;

/// A log with a small vocabulary, so that filters meet, and the vector of what is in it.
struct World {
    store: Arc<MemoryStore>,
    chain: Chain,
    hits: Vec<Hit>,
    random: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        // What fails is said in the output of a test that fails.
        let _ = tracing_subscriber::fmt().with_test_writer().with_max_level(tracing::Level::ERROR).try_init();
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { store: Arc::new(MemoryStore::new()), chain: Chain::new(), hits: Vec::new(), random }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    /// Writes frames of so many records together; every fifth or so leads to no receipt.
    fn write(&mut self, mut records: u64) {
        while records > 0 {
            let mut frame = FrameBuilder::new();
            let first = self.chain.next_sequence();
            let count = records.min(1 + self.random(30));
            for _ in 0..count {
                let time_ms = self.chain.time().as_ms().max(START_MS) + self.random(4) / 3;
                let workspace_id = workspace(self.random(2));
                let event = self.event();
                let (record, _) = receipts::record(&self.chain, workspace_id, Timestamp::from_ms(time_ms).unwrap(), event, None);
                let hash = frame.push(&record).unwrap();
                self.chain.extend(&record, hash);
                if record.event.receipt_id().is_some() {
                    self.hits.push(Hit { sequence: self.chain.next_sequence() - 1, hash, record });
                }
            }
            let frame = frame.seal(first, self.chain.frame_hash()).unwrap();
            self.chain.close(frame.hash());
            self.store.append(frame).unwrap();
            records -= count;
        }
    }

    fn event(&mut self) -> Event {
        let receipt_id = ReceiptId::from_bytes(u128::from(self.random).to_be_bytes());
        let user_id = UserId::new(&format!("user_{}", self.random(3))).unwrap();
        let agent_id = AgentId::new("agent").unwrap();
        let authorization_id = authorization(self.random(4));
        let policy_version = PolicyVersion::CURRENT;
        match self.random(10) {
            0 | 1 => Event::Workspace(WorkspaceEvent::Created { name: Name::new("w").unwrap(), plan: Plan::Free }),
            2 => Event::Authorization(AuthorizationEvent::Granted(Box::new(Granted {
                receipt_id,
                authorization_id,
                user_id,
                terms: Terms {
                    agent_id,
                    scopes: Vec::new(),
                    requires_confirm_for: Vec::new(),
                    requires_escalation_for: Vec::new(),
                    escalation_targets: Vec::new(),
                },
                expires_at: Some(Timestamp::MAX),
                not_before: None,
                budget_limit: None,
                bundle_id: None,
                replaces: None,
                metadata: CanonicalObject::default(),
                policy_version,
                consent: None,
                delegation: None,
            }))),
            kind => {
                let subject = match kind {
                    3 => Subject::Unknown { asked: OpaqueId::new("x").unwrap() },
                    _ => Subject::Known { authorization_id, user_id, agent_id, expires_at: Some(Timestamp::MAX) },
                };
                let (resource, session) = (self.random(6), self.random(4));
                Event::Check(CheckEvent::Decided(Arc::new(Decided {
                    receipt_id,
                    subject,
                    scope: ScopeName::new(SCOPES[usize::from(self.random(2) == 0)]).unwrap(),
                    resource: (resource < 5).then(|| Resource::new(RESOURCES[resource as usize]).unwrap()),
                    session_id: (session < 3).then(|| SessionId::new(RESOURCES[session as usize]).unwrap()),
                    estimated_cost: None,
                    context: CanonicalObject::default(),
                    budget: None,
                    evaluation: Evaluation::NoConditions,
                    verdict: if kind % 2 == 0 { Verdict::Deny } else { Verdict::Allow { consumed: None } },
                    reason: Reason::ScopeNotAuthorized,
                    policy_version,
                })))
            }
        }
    }

    /// What a list must hold, oldest first, by an eye on each record.
    fn expected(&self, filter: &Filter) -> Vec<Hit> {
        self.hits.iter().filter(|hit| filter.matches(&hit.record)).cloned().collect()
    }

    fn follow(&self, dir: Option<&Path>) -> Following {
        let (wake, woken) = sync_channel(1);
        let (indexing, search) = Indexing::new(Arc::clone(&self.store) as _, dir.map(Path::to_owned), wake);
        Following { indexing, search, woken }
    }
}

const SCOPES: [&str; 2] = ["email.read", "email.send"];
/// The last two have the same key in the first workspace: found by some 2^32 attempts, as anybody could.
const RESOURCES: [&str; 5] = ["", "mail:1", "ü\u{1f600}\u{0}", "df72d057ba2f5fc3", "6fb2e378c8e0390b"];

fn workspace(n: u64) -> WorkspaceId {
    WorkspaceId::from_bytes([n as u8; 16])
}

fn authorization(n: u64) -> AuthorizationId {
    AuthorizationId::from_bytes([n as u8; 16])
}

/// A follower that does what it is told when it is told.
struct Following {
    indexing: Indexing,
    search: Search,
    woken: Receiver<()>,
}

impl Following {
    #[track_caller]
    fn index(&mut self) {
        // As the thread does: the library's own threads of an index that was just dropped may still be at work in its directory.
        assert!((0..100).any(|_| self.indexing.catch_up(|| false)));
        assert_eq!(self.search.position(), self.search.store.head());
    }

    fn page(&self, filter: &Filter, order: Order, after: Option<u64>, limit: usize) -> super::Page {
        self.search.find(&Request { filter: filter.clone(), order, after, limit }).unwrap()
    }

    /// Every list of a world is what it must be.
    #[track_caller]
    fn check(&self, world: &World) {
        for filter in filters() {
            let mut expected = world.expected(&filter);
            assert_eq!(self.page(&filter, Order::Ascending, None, usize::MAX).hits, expected, "{filter:?}");
            expected.reverse();
            assert_eq!(self.page(&filter, Order::Descending, None, usize::MAX).hits, expected, "{filter:?}");
        }
    }
}

fn filters() -> Vec<Filter> {
    let all = || Filter::all(workspace(0));
    let at = |ms| Timestamp::from_ms(START_MS + ms);
    vec![
        all(),
        Filter::all(workspace(1)),
        Filter::all(workspace(2)),
        all().with(Facet::AuthorizationId, &authorization(1).to_string()),
        all().with(Facet::UserId, "user_1"),
        all().with(Facet::UserId, "unknown"),
        all().with(Facet::Resource, ""),
        all().with(Facet::Resource, RESOURCES[2]),
        all().with(Facet::Resource, RESOURCES[3]),
        all().with(Facet::Resource, RESOURCES[4]).with(Facet::Decision, "allow"),
        all().with(Facet::SessionId, "mail:1"),
        all().with(Facet::Scope, "email.send").with(Facet::Decision, "allow"),
        all().with(Facet::Event, "authorization.create"),
        all().with(Facet::Event, "authorization.create").with(Facet::Scope, "email.send"),
        all().between(at(3), None),
        all().between(None, at(30)),
        all().between(at(10), at(20)).with(Facet::Decision, "deny"),
        all().between(at(20), at(10)),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Write(u64),
    Index,
    Page,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![(1_u64..80).prop_map(Step::Write), Just(Step::Index), Just(Step::Page), Just(Step::Page)];
    prop::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// A walk page by page, while records are written and indexed in between, against the vector.
    #[test]
    fn a_walk_sees_each_once(seed in 0_u64..1_000_000, steps in steps(), which in 0_usize..18, limit in 1_usize..30, ascending: bool) {
        let mut world = World::new(seed);
        let mut following = world.follow(None);
        world.write(300);
        let filter = filters()[which].clone();
        let order = if ascending { Order::Ascending } else { Order::Descending };
        let mut walked: Vec<Hit> = Vec::new();
        let mut began = None;
        let mut ended = false;
        for step in steps.into_iter().chain(std::iter::repeat_n(Step::Page, 3000)) {
            match step {
                Step::Write(records) => world.write(records),
                Step::Index => following.index(),
                Step::Page if ended => break,
                Step::Page => {
                    let began = *began.get_or_insert(world.chain.next_sequence());
                    let page = following.page(&filter, order, walked.last().map(|hit| hit.sequence), limit);
                    prop_assert!(page.hits.len() == limit || !page.has_more);
                    ended = !page.has_more;
                    walked.extend(page.hits);
                    let mut expected = world.expected(&filter);
                    if !ascending {
                        expected.retain(|hit| hit.sequence < began);
                        expected.reverse();
                    }
                    prop_assert_eq!(ended, walked.len() == expected.len());
                    expected.truncate(walked.len());
                    prop_assert_eq!(&walked, &expected);
                }
            }
        }
        prop_assert!(ended);
    }
}

#[test]
fn what_has_the_same_key_is_not_the_same() {
    let [one, other] = [3, 4].map(|n| Filter::all(workspace(0)).with(Facet::Resource, RESOURCES[n]));
    assert_eq!(one.terms()[0].key(), other.terms()[0].key());
    let mut world = World::new(9);
    let mut following = world.follow(None);
    world.write(600);
    following.index();
    let (one, other) = (world.expected(&one), world.expected(&other));
    assert!(one.len() > 10 && other.len() > 10 && one != other);
    following.check(&world);
    assert!(following.woken.try_recv().is_err(), "the index is as it should be");
}

#[test]
fn an_index_goes_on_where_it_was_and_stays_in_order_when_it_is_merged() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::new(1);
    for round in 0..12 {
        let mut following = world.follow(Some(directory.path()));
        for _ in 0..5 {
            world.write(1 + round);
            following.index();
        }
        following.check(&world);
    }
    let mut index = Index::open(directory.path()).unwrap().unwrap();
    assert_eq!(index.mark().position, world.store.head());
    assert_eq!(index.mark().documents, world.hits.len() as u64);
    let snapshot = index.snapshot(&Default::default()).unwrap();
    index.finish_merges(&snapshot).unwrap();
    drop(index);
    world.follow(Some(directory.path())).check(&world);
    let segments = fs::read_dir(directory.path()).unwrap().filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|e| e == "idx"));
    assert!(segments.count() < 20);
}

/// The files that a search directory holds.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_damaged_index_is_built_anew() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] = [
        ("removed", |path| fs::remove_file(path).unwrap()),
        ("halved", |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("a bit at the start", |path| flip(path, 0)),
        ("a bit in the middle", |path| flip(path, fs::metadata(path).unwrap().len() as usize / 2)),
    ];
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("search");
    let mut world = World::new(2);
    world.write(300);
    world.follow(Some(&dir)).index();
    let places = files(&dir).len();
    assert!(places > 8, "{:?}", files(&dir));
    for place in 0..places {
        for (name, damage) in damages {
            let Some(path) = files(&dir).get(place).cloned() else { continue };
            damage(&path);
            let mut following = world.follow(Some(&dir));
            following.check(&world);
            following.index();
            following.check(&world);
            drop(following);
            let index = Index::open(&dir).unwrap_or_else(|e| panic!("{name} {}: {e}", path.display())).unwrap();
            assert_eq!(index.mark().position, world.store.head(), "{name} {}", path.display());
        }
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 0x10;
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn an_index_of_another_log_is_built_anew() {
    for (name, seed, records) in [("another log", 4, 700), ("an older log", 3, 250), ("an empty log", 3, 0)] {
        let directory = tempfile::tempdir().unwrap();
        let mut world = World::new(3);
        world.write(500);
        world.follow(Some(directory.path())).index();
        let mut other = World::new(seed);
        other.write(records);
        let mut following = other.follow(Some(directory.path()));
        following.check(&other);
        following.index();
        following.check(&other);
        let filter = Filter::all(workspace(0));
        assert_eq!(following.page(&filter, Order::Ascending, None, usize::MAX).hits, other.expected(&filter), "{name}");
    }
}

#[test]
fn an_index_that_says_another_version_is_built_anew() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::new(5);
    world.write(300);
    world.follow(Some(directory.path())).index();
    let meta = directory.path().join("meta.json");
    let text = fs::read_to_string(&meta).unwrap();
    let payload = |mark: &str| format!(r#""payload": "{mark}"#);
    assert!(text.contains(&payload("3 ")), "{text}");
    for other in ["2 ", "", "3", "3 x "] {
        fs::write(&meta, text.replace(&payload("3 "), &payload(other))).unwrap();
        assert!(Index::open(directory.path()).is_err(), "{other}");
    }
    world.follow(Some(directory.path())).index();
    world.follow(Some(directory.path())).check(&world);
}

#[test]
fn an_index_that_lies_is_found_out() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::new(6);
    world.write(300);
    // Each receipt under the terms of the one before: sound in itself, and of this log.
    let mut index = Index::create(Some(directory.path())).unwrap();
    for pair in world.hits.windows(2) {
        let terms = super::terms::terms(&pair[0].record).unwrap();
        index.add(pair[1].sequence, pair[1].record.time.as_ms(), &terms).unwrap();
    }
    index.pass(world.store.head(), world.chain.frame_hash());
    index.commit().unwrap();
    drop(index);
    let mut following = world.follow(Some(directory.path()));
    following.index();
    let filter = Filter::all(workspace(0)).with(Facet::UserId, "user_1");
    assert_eq!(following.page(&filter, Order::Ascending, None, usize::MAX).hits, world.expected(&filter));
    assert!(following.woken.try_recv().is_ok(), "the follower is told");
    following.check(&world);
    following.index();
    following.check(&world);
}

#[test]
fn lists_are_complete_where_no_index_can_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("search");
    fs::write(&dir, "no directory").unwrap();
    let mut world = World::new(7);
    world.write(400);
    let mut following = world.follow(Some(&dir));
    assert!(!following.indexing.catch_up(|| false));
    following.check(&world);
    fs::remove_file(&dir).unwrap();
    following.index();
    following.check(&world);
}

#[test]
fn a_long_log_is_committed_in_pieces_and_can_be_left_in_between() {
    let mut world = World::new(8);
    world.write(140_000);
    let directory = tempfile::tempdir().unwrap();
    let mut following = world.follow(Some(directory.path()));
    assert!(following.indexing.catch_up(|| true));
    let position = following.search.position();
    assert!(position > 40_000 && position < world.store.head(), "{position}");
    let filter = Filter::all(workspace(1)).with(Facet::SessionId, "mail:1");
    assert_eq!(following.page(&filter, Order::Descending, None, usize::MAX).hits.len(), world.expected(&filter).len());
    drop(following);
    let mut following = world.follow(Some(directory.path()));
    following.index();
    assert_eq!(following.page(&filter, Order::Ascending, None, usize::MAX).hits, world.expected(&filter));
}
