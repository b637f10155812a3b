//! A workspace with authorizations, made by the decider itself.

#![allow(dead_code, reason = "each bench uses what it needs")]

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use allowlog::log::Store as _;
use allowlog::log::disk::{DiskOptions, DiskStore};
use allowlog_projections::command::{Action, Command, Credential, NewApiKey, Operation};
use allowlog_projections::decide::{Decided, Outcome, decide};
use allowlog_projections::ids::Ids;
use allowlog_projections::receipts;
use allowlog_projections::state::State;
use allowlog_proto::api::allowly::{CheckBody, CreateBody};
use allowlog_proto::chain::{Chain, Hash};
use allowlog_proto::event::{Plan, Role, Style};
use allowlog_proto::frame::{Frame, FrameBuilder};
use allowlog_proto::id::{ApiKeyId, WorkspaceId};
use allowlog_proto::json::{CanonicalObject, Value};
use allowlog_proto::text::Name;
use allowlog_proto::time::Timestamp;

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As many as 64 clients leave in one commit on a machine of two cores.
pub const EVENTS_PER_FRAME: u64 = 20;

pub struct World {
    pub state: State,
    pub chain: Chain,
    pub ids: Ids,
    pub now: Timestamp,
    pub workspace_id: WorkspaceId,
    pub authorizations: Vec<String>,
}

pub fn credential() -> Credential {
    Credential { api_key_id: ApiKeyId::from_bytes([1; 16]), secret_hash: [2; 32] }
}

pub fn create_workspace() -> Command {
    create_workspace_signed_by([3; 32])
}

pub fn create_workspace_signed_by(public_key: [u8; 32]) -> Command {
    let name = Name::new("bench").unwrap();
    let (style, role, expires_at) = (Style::Allowly, Role::Runtime, None);
    let api_key_id = ApiKeyId::from_bytes([1; 16]);
    let api_key = NewApiKey { api_key_id, name: name.clone(), style, role, expires_at, secret_hash: [2; 32] };
    Command::Operator(Operation::CreateWorkspace {
        name,
        plan: Plan::Enterprise,
        public_key,
        api_key: Some(api_key),
        metadata: CanonicalObject::default(),
    })
}

pub fn create() -> Command {
    let body = r#"{"user_id":"user_1","agent_id":"mailer","scopes":["email.read",{"name":"email.send","constraints":{"max_per_day":1000000}}],"expires_at":"2099-01-01T00:00:00Z"}"#;
    ask(Action::Create(Box::new(CreateBody::parse(&Value::parse(body.as_bytes()).unwrap()).unwrap())))
}

pub fn check_body(authorization_id: &str) -> String {
    format!(
        r#"{{"authorization_id":"{authorization_id}","scopes":["email.send"],"resource":"mail:12345","session_id":"s-1","context":{{"purpose":"daily summary","amount":12}}}}"#
    )
}

pub fn check(authorization_id: &str) -> Command {
    let body = check_body(authorization_id);
    ask(Action::Check(Box::new(CheckBody::parse(&Value::parse(body.as_bytes()).unwrap()).unwrap())))
}

/// Random numbers, the same in every run (SplitMix64).
pub fn numbers() -> impl FnMut() -> u128 + Send + 'static {
    let mut state = 0_u64;
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u128::from(mixed ^ (mixed >> 31))
    };
    move || next() << 64 | next()
}

fn ask(action: Action) -> Command {
    Command::Caller { credential: credential(), request: None, action }
}

impl World {
    pub fn with_authorizations(count: usize) -> Self {
        let now = Timestamp::parse("2026-03-01T10:00:00Z").unwrap();
        let mut world = Self {
            state: State::new(),
            chain: Chain::new(),
            ids: Ids::new(numbers()),
            now,
            workspace_id: WorkspaceId::from_bytes([0; 16]),
            authorizations: Vec::new(),
        };
        world.workspace_id = world.decide(&create_workspace()).workspace_id;
        let create = create();
        for _ in 0..count {
            let Outcome::Created(created) = world.decide(&create).outcome else { panic!("a create creates") };
            world.authorizations.push(created.granted.authorization_id.to_string());
        }
        world
    }

    /// Decides a command and applies its events, without storing them.
    pub fn decide(&mut self, command: &Command) -> Decided {
        let decided = decide(&self.state, command, self.now, &mut self.ids).unwrap();
        for event in &decided.events {
            let (record, _) = receipts::record(&self.chain, decided.workspace_id, self.now, event.clone(), None);
            self.chain.extend(&record, Hash::default());
            self.state.apply(&record, Hash::default());
        }
        decided
    }

    pub fn check(&self, authorization_id: &str) -> Command {
        check(authorization_id)
    }
}

/// Whether this run is to measure, and not only to show that it works.
pub fn measures() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// A fresh directory on the disk the build is on; a temporary one may be in memory.
pub fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Processor time of the calling thread so far: what others do on the machine is no part of it.
pub fn processor_time() -> Duration {
    // What a thread has run since it was last switched to is counted when it is switched from.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// The value below which this share of the sorted values lies.
pub fn quantile<T: Copy>(sorted: &[T], share: f64) -> T {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

/// What the disk takes to make 4 KiB durable in a file that is there already.
pub fn fdatasync_p50_ns(directory: &Path) -> u64 {
    const BLOCKS: u64 = 400;
    let path = directory.join("peer");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(path).unwrap();
    file.write_all(&vec![0; BLOCKS as usize * 4096]).unwrap();
    file.sync_all().unwrap();
    let mut times: Vec<u64> = (0..BLOCKS)
        .map(|block| {
            let started = Instant::now();
            file.write_all_at(&[1; 4096], block * 4096).unwrap();
            file.sync_data().unwrap();
            started.elapsed().as_nanos() as u64
        })
        .collect();
    times.sort_unstable();
    quantile(&times, 0.5)
}

/// A log in the making: what commands come to, in frames of so many events.
pub struct Log {
    world: World,
    frame: FrameBuilder,
    events_per_frame: u64,
    frames: Vec<Frame>,
}

impl Log {
    pub fn new(events_per_frame: u64) -> Self {
        let mut world = World::with_authorizations(0);
        world.state = State::new();
        world.chain = Chain::new();
        Self { world, frame: FrameBuilder::new(), events_per_frame, frames: Vec::new() }
    }

    pub fn next_sequence(&self) -> u64 {
        self.world.chain.next_sequence()
    }

    /// Decides a command, applies and encodes its events.
    pub fn add(&mut self, command: &Command) -> Decided {
        let world = &mut self.world;
        let decided = decide(&world.state, command, world.now, &mut world.ids).unwrap();
        for event in &decided.events {
            let (record, _) = receipts::record(&world.chain, decided.workspace_id, world.now, event.clone(), None);
            let hash = self.frame.push(&record).unwrap();
            world.chain.extend(&record, hash);
            world.state.apply(&record, hash);
        }
        if self.frame.count() as u64 >= self.events_per_frame {
            self.close();
        }
        decided
    }

    /// The frames that are full.
    pub fn full_frames(&mut self) -> Vec<Frame> {
        std::mem::take(&mut self.frames)
    }

    /// The same, and what is left.
    pub fn into_frames(mut self) -> Vec<Frame> {
        if self.frame.count() > 0 {
            self.close();
        }
        self.frames
    }

    fn close(&mut self) {
        let world = &mut self.world;
        let first = world.chain.next_sequence() - self.frame.count() as u64;
        let sealed = std::mem::take(&mut self.frame).seal(first, world.chain.frame_hash()).unwrap();
        world.chain.close(sealed.hash());
        world.now = world.now.saturating_add_ms(1);
        self.frames.push(sealed);
    }
}

/// Writes a log of so many events: so many authorizations first, or a tenth of the events, then checks of them.
pub fn write(directory: &Path, events: u64, authorizations: usize) {
    let store = DiskStore::open(directory, DiskOptions::default()).unwrap();
    let mut log = Log::new(EVENTS_PER_FRAME);
    log.add(&create_workspace());
    let mut targets: Vec<String> = Vec::new();
    let create = create();
    let mut turn = 0;
    while log.next_sequence() < events {
        if targets.len() < authorizations.min(events as usize / 10) {
            let Outcome::Created(created) = log.add(&create).outcome else { panic!("a create creates") };
            targets.push(created.granted.authorization_id.to_string());
        } else {
            turn += 7_919;
            log.add(&check(&targets[turn % targets.len()]));
        }
        log.full_frames().into_iter().for_each(|frame| store.append(frame).unwrap());
    }
    log.into_frames().into_iter().for_each(|frame| store.append(frame).unwrap());
}
