//! The parts of a check that need no other thread, on inputs that are the same in every run.

#![allow(dead_code, reason = "each bench uses what it needs")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use allowlog::api_key;
use allowlog::keyring::{Keyring, MasterKey};
use allowlog_projections::command::Command;
use allowlog_projections::decide::{Outcome, decide};
use allowlog_projections::receipts;
use allowlog_projections::state::State;
use allowlog_proto::api::allowly::{CheckBody, CheckedBody, PendingReceipt, ReceiptBody, ResultBody, budget, policy_eval};
use allowlog_proto::chain::Chain;
use allowlog_proto::event::{Decided, Event, Subject};
use allowlog_proto::frame::FrameBuilder;
use allowlog_proto::id::{AuthorizationId, KeyId, WorkspaceId};
use allowlog_proto::json::Value;
use allowlog_proto::receipt::hash;
use allowlog_proto::record::Record;
use allowlog_proto::time::Timestamp;
use zeroize::Zeroizing;

use super::fixture::{self, EVENTS_PER_FRAME, World, processor_time};

/// Commands are made of so many authorizations.
const COMMANDS_MAX: usize = 65_536;
const OPERATIONS_AT_A_TIME: u64 = 400;

pub trait Part {
    /// Makes ready for so many operations.
    fn prepare(&mut self, _operations: usize) {}

    /// Does at most as many operations as were made ready for.
    fn run(&mut self, operations: usize);
}

/// Processor time that so many operations take, a few at a time so that what they are made of is warm.
pub fn timed(part: &mut dyn Part, mut operations: u64) -> Duration {
    let mut time = Duration::ZERO;
    while operations > 0 {
        let some = operations.min(OPERATIONS_AT_A_TIME);
        part.prepare(some as usize);
        let before = processor_time();
        part.run(some as usize);
        time += processor_time() - before;
        operations -= some;
    }
    time
}

/// Finding an authorization, and nothing else.
pub struct Finding {
    state: State,
    wanted: Vec<(WorkspaceId, AuthorizationId)>,
    turn: usize,
}

/// A check decided.
pub struct Deciding {
    world: World,
    commands: Vec<Command>,
    turn: usize,
    /// Warm, as behind the parser that has just made them; the authorizations are as cold as they are.
    ready: Vec<Command>,
}

/// The event of a check made a record with the hash of its receipt, encoded, chained and applied; a frame sealed of some 20.
pub struct Encoding {
    /// Makes the events.
    world: World,
    commands: Vec<Command>,
    turn: usize,
    ready: std::vec::IntoIter<Event>,
    state: State,
    chain: Chain,
    frame: FrameBuilder,
}

/// The receipt of a record made canonical, held against the record's hash, and signed.
pub struct Signing {
    keyring: Keyring,
    key_id: KeyId,
    record: Record,
}

/// A receipt that the writer made canonical, signed.
pub struct SigningAlone {
    signing: Signing,
    canonical: String,
}

/// The body of a check and the text of an API key, parsed.
pub struct Parsing {
    keyring: Keyring,
    api_key: String,
    body: String,
}

/// The body of an answer, as the face writes it.
pub struct Answering {
    asked: String,
    decided: Arc<Decided>,
    now: Timestamp,
}

impl Deciding {
    pub fn among(authorizations: usize) -> Self {
        let world = World::with_authorizations(authorizations);
        // A stride that is prime to the number visits every authorization, none twice in a row.
        let count = authorizations.min(COMMANDS_MAX);
        let commands = (1..=count).map(|turn| world.check(&world.authorizations[turn * 7_919 % authorizations])).collect();
        Self { world, commands, turn: 0, ready: Vec::new() }
    }

    /// The peer, in the same state.
    pub fn finding(&self) -> Finding {
        let ids = self.world.authorizations.iter().map(|id| AuthorizationId::parse(id).unwrap());
        Finding { state: self.world.state.clone(), wanted: ids.map(|id| (self.world.workspace_id, id)).collect(), turn: 0 }
    }
}

impl Part for Finding {
    fn run(&mut self, operations: usize) {
        for _ in 0..operations {
            self.turn = (self.turn + 7_919) % self.wanted.len();
            let (workspace_id, authorization_id) = self.wanted[self.turn];
            black_box(self.state.authorization(workspace_id, authorization_id));
        }
    }
}

impl Part for Deciding {
    fn prepare(&mut self, operations: usize) {
        let turn = self.turn;
        self.ready.clear();
        self.ready.extend((turn..turn + operations).map(|turn| self.commands[turn % self.commands.len()].clone()));
        self.turn = turn + operations;
    }

    fn run(&mut self, operations: usize) {
        for command in &self.ready[..operations] {
            black_box(decide(&self.world.state, command, self.world.now, &mut self.world.ids)).unwrap();
        }
    }
}

impl Encoding {
    pub fn among(authorizations: usize) -> Self {
        let world = World::with_authorizations(authorizations);
        let commands = world.authorizations.iter().map(|id| world.check(id)).collect();
        let (state, chain) = (world.state.clone(), world.chain.clone());
        Self { world, commands, turn: 0, ready: Vec::new().into_iter(), state, chain, frame: FrameBuilder::new() }
    }
}

impl Part for Encoding {
    fn prepare(&mut self, operations: usize) {
        let mut events = Vec::with_capacity(operations);
        for _ in 0..operations {
            self.turn += 1;
            events.extend(self.world.decide(&self.commands[self.turn % self.commands.len()]).events);
        }
        self.ready = events.into_iter();
    }

    fn run(&mut self, operations: usize) {
        for event in self.ready.by_ref().take(operations) {
            let (record, _) = receipts::record(&self.chain, self.world.workspace_id, self.world.now, event, None);
            let hash = self.frame.push(&record).unwrap();
            self.chain.extend(&record, hash);
            self.state.apply(&record, hash);
            let count = self.frame.count() as u64;
            if count == EVENTS_PER_FRAME {
                let frame = std::mem::take(&mut self.frame);
                let sealed = frame.seal(self.chain.next_sequence() - count, self.chain.frame_hash()).unwrap();
                self.chain.close(black_box(&sealed).hash());
            }
        }
    }
}

impl Signing {
    pub fn new() -> Self {
        let (keyring, key_id) = keyring();
        let mut world = World::with_authorizations(1);
        let check = world.check(&world.authorizations[0]);
        let event = world.decide(&check).events.remove(0);
        let (record, _) = receipts::record(&world.chain, world.workspace_id, world.now, event, None);
        Self { keyring, key_id, record }
    }
}

impl Part for Signing {
    fn run(&mut self, operations: usize) {
        for _ in 0..operations {
            let canonical = receipts::receipt(black_box(&self.record)).unwrap().canonical().unwrap();
            assert_eq!(hash(&canonical), self.record.receipt);
            black_box(self.keyring.private_key(self.key_id).unwrap().sign(canonical.as_bytes()));
        }
    }
}

impl SigningAlone {
    pub fn new() -> Self {
        let signing = Signing::new();
        let canonical = receipts::receipt(&signing.record).unwrap().canonical().unwrap();
        Self { signing, canonical }
    }
}

impl Part for SigningAlone {
    fn run(&mut self, operations: usize) {
        let Self { signing, canonical } = self;
        for _ in 0..operations {
            black_box(signing.keyring.private_key(signing.key_id).unwrap().sign(black_box(canonical.as_bytes())));
        }
    }
}

impl Parsing {
    pub fn new() -> Self {
        let body = fixture::check_body(&World::with_authorizations(1).authorizations[0]);
        Self { keyring: keyring().0, api_key: format!("allowly_l1_s001_{}_{}", "a".repeat(26), "a".repeat(52)), body }
    }
}

impl Part for Parsing {
    fn run(&mut self, operations: usize) {
        for _ in 0..operations {
            black_box(api_key::credential(black_box(&self.api_key), &self.keyring)).unwrap();
            let value = Value::parse(black_box(self.body.as_bytes())).unwrap();
            black_box(CheckBody::parse(&value)).unwrap();
        }
    }
}

impl Answering {
    pub fn new() -> Self {
        let mut world = World::with_authorizations(1);
        let asked = world.authorizations[0].clone();
        let Outcome::Checked(mut checked) = world.decide(&world.check(&asked)).outcome else { panic!("a check checks") };
        Self { asked, decided: checked.results.remove(0), now: checked.checked_at }
    }
}

impl Part for Answering {
    fn run(&mut self, operations: usize) {
        for _ in 0..operations {
            let decided: &Decided = black_box(&self.decided);
            let Subject::Known { user_id, agent_id, expires_at, .. } = &decided.subject else { panic!("the authorization is there") };
            let result = ResultBody {
                decision: decided.verdict.decision(),
                reason: decided.reason,
                receipt: ReceiptBody::Pending(PendingReceipt::new(decided.receipt_id, self.now, "http://127.0.0.1:8700")),
                budget: budget(decided).map(Value::Object),
                policy_eval: policy_eval(decided).map(Value::Object),
                confirm_nonce: None,
                confirm_expires_at: None,
                confirm_prompt_hint: None,
                escalation_id: None,
                escalation_to: None,
                escalation_expires_at: None,
                escalation: None,
            };
            let body = CheckedBody {
                authorization_id: &self.asked,
                user_id: user_id.as_str(),
                agent_id: agent_id.as_str(),
                authorization_expires_at: *expires_at,
                policy_version: decided.policy_version.as_str(),
                results: vec![(decided.scope.as_str(), result)],
            };
            black_box(serde_json::to_vec(&body)).unwrap();
        }
    }
}

/// A keyring that holds one signing key unsealed, and so needs its directory no longer.
fn keyring() -> (Keyring, KeyId) {
    let directory = fixture::directory();
    let keyring = Keyring::open(directory.path().to_owned(), &MasterKey::ephemeral()).unwrap();
    let key_id = KeyId::of(&keyring.seal(&Zeroizing::new([7; 32])).unwrap());
    keyring.private_key(key_id).unwrap();
    (keyring, key_id)
}
