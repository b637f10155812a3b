//! Snapshots under crashes, faults and damage: whatever happens to one, a start comes to the same state.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use allowlog_projections::command::{Action, Command, Credential, NewApiKey, Operation};
use allowlog_projections::decide::{Outcome, decide};
use allowlog_projections::ids::Ids;
use allowlog_projections::receipts;
use allowlog_projections::state::State;
use allowlog_proto::api::allowly::{CheckBody, CreateBody};
use allowlog_proto::chain::Chain;
use allowlog_proto::event::{Plan, Role, Style};
use allowlog_proto::frame::FrameBuilder;
use allowlog_proto::id::ApiKeyId;
use allowlog_proto::json::{CanonicalObject, Value};
use allowlog_proto::record::Request;
use allowlog_proto::text::{IdempotencyKey, Name};
use allowlog_proto::time::Timestamp;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::{Snapshots, Snapshotting};
use crate::log::Store as _;
use crate::log::disk::files::scripted::{Fault, ScriptedFiles};
use crate::log::memory::MemoryStore;

const KEY: [u8; 32] = [7; 32];

/// A log that the decider itself writes, with something of everything that a state holds.
struct World {
    store: Arc<MemoryStore>,
    state: State,
    chain: Chain,
    ids: Ids,
    now: Timestamp,
    authorizations: Vec<String>,
}

impl World {
    fn new() -> Self {
        let mut drawn = 0_u128;
        let ids = Ids::new(move || {
            drawn += 1;
            drawn
        });
        let now = Timestamp::parse("2026-03-01T10:00:00Z").unwrap();
        let store = Arc::new(MemoryStore::new());
        let mut world = Self { store, state: State::new(), chain: Chain::new(), ids, now, authorizations: Vec::new() };
        let name = Name::new("acme").unwrap();
        let api_key = NewApiKey {
            api_key_id: ApiKeyId::from_bytes([1; 16]),
            name: name.clone(),
            style: Style::Allowly,
            role: Role::Runtime,
            expires_at: None,
            secret_hash: [2; 32],
        };
        world.run(&Command::Operator(Operation::CreateWorkspace {
            name,
            plan: Plan::Enterprise,
            public_key: [3; 32],
            api_key: Some(api_key),
            metadata: CanonicalObject::default(),
        }));
        world
    }

    /// Writes a grant and some checks of it; every check is a frame of its own.
    fn write(&mut self, turns: usize) {
        for turn in 0..turns {
            let body = r#"{"user_id":"u","agent_id":"a","expires_at":"2099-01-01T00:00:00Z","budget_limit_micros":900,
                "scopes":[{"name":"send","constraints":{"max_per_day":3,"deny_when":[{"field":"n","gt":7}]}},"ask","purge"],
                "requires_confirm_for":["ask"],"requires_escalation_for":["purge"],"escalation_targets":{"purge":"bob"}}"#;
            self.act(Action::Create(Box::new(CreateBody::parse(&Value::parse(body.as_bytes()).unwrap()).unwrap())), None);
            let id = self.authorizations.last().unwrap().clone();
            for scope in ["send", "ask", "purge", "send"] {
                let body = format!(
                    r#"{{"authorization_id":"{id}","scopes":["{scope}"],"resource":"r{turn}","estimated_cost_micros":7,"context":{{"n":{turn}}}}}"#
                );
                let body = CheckBody::parse(&Value::parse(body.as_bytes()).unwrap()).unwrap();
                let name = IdempotencyKey::new(&format!("{id}-{scope}-{}", self.chain.next_sequence())).unwrap();
                let request = Request::new(name, "POST", "/v1/check", scope.as_bytes());
                self.act(Action::Check(Box::new(body)), Some(request));
            }
        }
    }

    fn act(&mut self, action: Action, request: Option<Request>) {
        let credential = Credential { api_key_id: ApiKeyId::from_bytes([1; 16]), secret_hash: [2; 32] };
        self.run(&Command::Caller { credential, request, action });
    }

    fn run(&mut self, command: &Command) {
        self.now = self.now.saturating_add_ms(700);
        let decided = decide(&self.state, command, self.now, &mut self.ids).unwrap();
        if let Outcome::Created(created) = &decided.outcome {
            self.authorizations.push(created.granted.authorization_id.to_string());
        }
        let mut frame = FrameBuilder::new();
        let first = self.chain.next_sequence();
        for event in decided.events {
            let request = match command {
                Command::Caller { request, .. } => request.clone(),
                Command::Operator(_) | Command::Visitor { .. } => None,
            };
            let (record, _) = receipts::record(&self.chain, decided.workspace_id, self.now, event, request);
            let hash = frame.push(&record).unwrap();
            self.chain.extend(&record, hash);
            self.state.apply(&record, hash);
        }
        let frame = frame.seal(first, self.chain.frame_hash()).unwrap();
        self.chain.close(frame.hash());
        self.store.append(frame).unwrap();
    }

    /// Snapshots of this log, the older ones first, at these numbers of turns.
    fn with_snapshots(dir: &TempDir, turns: &[usize]) -> (Self, Snapshots) {
        let mut world = Self::new();
        let snapshots = snapshots(dir, &ScriptedFiles::new());
        for turns in turns {
            world.write(*turns);
            world.snapshot(&snapshots).unwrap();
        }
        (world, snapshots)
    }

    fn snapshot(&self, snapshots: &Snapshots) -> std::io::Result<()> {
        let (replayed, _) = snapshots.replay(&*self.store, |_| {}).unwrap();
        snapshots.write(&replayed)
    }

    /// Whatever is in the directory, a start comes to what the log says; says where the snapshot it took ended.
    fn starts(&self, snapshots: &Snapshots, context: &str) -> u64 {
        let (replayed, position) = snapshots.replay(&*self.store, |_| {}).unwrap();
        assert_eq!(replayed.chain, self.chain, "{context}");
        assert!(replayed.state == self.state, "the state differs, {context}");
        assert_eq!(replayed.state.hash(), self.state.hash(), "{context}");
        position
    }
}

fn snapshots(dir: &TempDir, files: &ScriptedFiles) -> Snapshots {
    Snapshots::new(Arc::new(files.clone()), dir.path().join("snapshots"), Zeroizing::new(KEY))
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(dir.join("snapshots")).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

#[test]
fn a_start_takes_the_newest_and_folds_the_tail() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new();
    let snapshots = snapshots(&dir, &ScriptedFiles::new());
    assert_eq!(world.starts(&snapshots, "without any"), 0);
    for turns in 1..5 {
        world.write(turns);
        world.snapshot(&snapshots).unwrap();
        assert_eq!(world.starts(&snapshots, "just made"), world.chain.next_sequence());
        let position = world.chain.next_sequence();
        world.write(turns);
        assert_eq!(world.starts(&snapshots, "with a tail"), position);
        assert!(files(dir.path()).len() <= 2, "two are kept");
    }
}

#[test]
fn a_flipped_bit_anywhere_throws_it_away() {
    let dir = tempfile::tempdir().unwrap();
    let (mut world, snapshots) = World::with_snapshots(&dir, &[2, 1]);
    world.write(1);
    let all = files(dir.path());
    let (older, newest) = (&all[0], &all[1]);
    let older: u64 = older.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let sound = fs::read(newest).unwrap();
    for at in 0..sound.len() {
        let mut damaged = sound.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(newest, &damaged).unwrap();
        assert_eq!(world.starts(&snapshots, &format!("byte {at}")), older, "byte {at}");
        assert!(!newest.exists(), "byte {at}: it is removed");
    }
    for length in [0, 1, 80, 81, 112, 113, sound.len() / 2, sound.len() - 1] {
        fs::write(newest, &sound[..length]).unwrap();
        assert_eq!(world.starts(&snapshots, &format!("{length} bytes")), older);
        assert!(!newest.exists());
    }
    fs::write(newest, [&sound[..], b"x"].concat()).unwrap();
    assert_eq!(world.starts(&snapshots, "longer"), older);
    fs::write(newest, &sound).unwrap();
    assert!(world.starts(&snapshots, "sound again") > older);
}

#[test]
fn one_of_another_log_or_name_or_version_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (world, snapshots) = World::with_snapshots(&dir, &[2, 1]);
    let all = files(dir.path());
    // Swapped: each says that it ends elsewhere than its name does.
    let (one, other) = (fs::read(&all[0]).unwrap(), fs::read(&all[1]).unwrap());
    fs::write(&all[0], &other).unwrap();
    fs::write(&all[1], &one).unwrap();
    assert_eq!(world.starts(&snapshots, "swapped"), 0);
    // Of another version, that of the state or that of its records, with a checksum that is right.
    let end = other.len() - 32;
    for at in [7, 8] {
        let mut version = other.clone();
        version[at] ^= 0x40;
        let checksum = *blake3::keyed_hash(&KEY, &version[..end]).as_bytes();
        version[end..].copy_from_slice(&checksum);
        fs::write(&all[1], &version).unwrap();
        assert_eq!(world.starts(&snapshots, "of another version"), 0);
    }
    // Made by somebody who has not the key.
    let mut forged = other.clone();
    let checksum = *blake3::hash(&forged[..end]).as_bytes();
    forged[end..].copy_from_slice(&checksum);
    fs::write(&all[1], &forged).unwrap();
    assert_eq!(world.starts(&snapshots, "forged"), 0);
    // Of a log that was longer, and of one that says something else at the same place.
    fs::write(&all[1], &other).unwrap();
    let mut shorter = World::new();
    assert_eq!(shorter.starts(&snapshots, "ahead of the log"), 0);
    fs::write(&all[1], &other).unwrap();
    shorter.now = shorter.now.saturating_add_ms(1);
    shorter.write(3);
    assert_eq!(shorter.chain.next_sequence(), world.chain.next_sequence());
    assert_eq!(shorter.starts(&snapshots, "of another log"), 0);
}

#[test]
fn what_cannot_be_read_for_the_moment_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (world, snapshots) = World::with_snapshots(&dir, &[2]);
    let newest = files(dir.path()).remove(0);
    let aside = newest.with_extension("aside");
    fs::rename(&newest, &aside).unwrap();
    fs::create_dir(&newest).unwrap();
    assert_eq!(world.starts(&snapshots, "a directory in its place"), 0);
    assert!(newest.exists());
    fs::remove_dir(&newest).unwrap();
    fs::rename(&aside, &newest).unwrap();
    assert!(world.starts(&snapshots, "again in its place") > 0);
}

#[test]
fn every_operation_of_a_snapshot_may_fail() {
    for fault in [Fault::Lost, Fault::DoneButFailed, Fault::Torn] {
        for nth in 0.. {
            let dir = tempfile::tempdir().unwrap();
            let scripted = ScriptedFiles::new();
            let snapshots = snapshots(&dir, &scripted);
            let mut world = World::new();
            for _ in 0..3 {
                // Two to be kept, and a third that takes the place of the first.
                world.write(1);
                world.snapshot(&snapshots).unwrap();
            }
            world.write(1);
            scripted.fail(nth, fault);
            let failed = world.snapshot(&snapshots).is_err();
            // A crash at this instant leaves exactly these files.
            world.starts(&snapshots, &format!("{fault:?} of operation {nth}"));
            scripted.mend();
            world.write(1);
            world.snapshot(&snapshots).unwrap();
            assert_eq!(world.starts(&snapshots, "mended"), world.chain.next_sequence());
            assert_eq!(files(dir.path()).len(), 2, "{fault:?} of operation {nth}: nothing is left over");
            if !failed {
                assert!(nth > 5, "there are further operations than {nth}");
                break;
            }
        }
    }
}

#[test]
fn the_follower_makes_one_when_it_is_due() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new();
    let snapshots = Arc::new(snapshots(&dir, &ScriptedFiles::new()));
    let mut follower = Snapshotting::new(Arc::clone(&world.store) as _, Arc::clone(&snapshots), 0, &world.state, 40);
    world.write(5);
    assert!(!follower.make_if_due(|| false).unwrap(), "too few records");
    world.write(5);
    assert!(!follower.make_if_due(|| true).unwrap(), "it is over");
    assert!(!dir.path().join("snapshots").exists());
    assert!(follower.make_if_due(|| false).unwrap());
    let position = world.chain.next_sequence();
    assert_eq!(world.starts(&snapshots, "made"), position);
    assert!(!follower.make_if_due(|| false).unwrap(), "there is one already");
    // The next is due behind as many records as the state is large, which is more than 40 by now.
    world.write(8);
    assert!(world.state.size() > 40 && !follower.make_if_due(|| false).unwrap());
    world.write(8);
    assert!(follower.make_if_due(|| false).unwrap());
    assert!(world.starts(&snapshots, "made again") > position);
}
