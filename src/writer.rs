//! The writer: one thread decides, stores and answers. There is no other way to change anything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::{self, JoinHandle};

use allowlog_projections::command::Command;
use allowlog_projections::decide::{Outcome, decide};
use allowlog_projections::ids::Ids;
use allowlog_projections::receipts;
use allowlog_projections::state::State;
use allowlog_proto::chain::Chain;
use allowlog_proto::event::Event;
use allowlog_proto::frame::FrameBuilder;
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::limits::{BATCH_BYTES_GOAL, COMMIT_BYTES_GOAL, COMMIT_COMMANDS_MAX};
use allowlog_proto::record::Request;
use allowlog_proto::time::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::checkpoints::Heads;
use crate::clock::{Clock, Stopwatch};
use crate::engine::Failure;
use crate::fresh::Fresh;
use crate::latch::Latch;
use crate::log::Store;
use crate::replay::{ReplayError, Replayed, replay};
use crate::snapshots::Snapshots;
use crate::telemetry::metrics::{CommandResult, kind, metrics};

/// The one input of the writer.
pub enum Input {
    /// To be decided, stored, answered.
    Command {
        /// What is wanted.
        command: Command,
        /// Where the answer goes, once it is durable.
        answer: oneshot::Sender<Result<Committed, Failure>>,
        /// Since it waits.
        entered: Stopwatch,
    },
    /// To be read from the state.
    Read(Read),
    /// Whether commands are taken; a writer that takes none tries to go on before it answers.
    Probe(oneshot::Sender<Result<(), Failure>>),
}

/// Reads the state, and the instant it is read at, in its place in the queue; what it returns is called once the batch
/// is durable.
pub type Read = Box<dyn FnOnce(&State, Timestamp) -> Answer + Send>;

/// Answers a caller: with what was prepared, or with a failure of the batch.
pub type Answer = Box<dyn FnOnce(Result<(), Failure>) + Send>;

/// A decided command whose events are durable.
#[derive(Debug)]
pub struct Committed {
    /// Whose events they are.
    pub workspace_id: WorkspaceId,
    /// What to answer.
    pub outcome: Outcome,
    /// Log sequence behind the last of its events.
    pub end: u64,
}

/// A clock set back by less is nobody's business: time servers do that.
const CLOCK_BEHIND_MS: u64 = 2_000;

/// What the writer works with.
pub struct Writer {
    store: Arc<dyn Store>,
    clock: Clock,
    ids: Ids,
    state: State,
    chain: Chain,
    /// No command is decided at an earlier instant.
    now: Timestamp,
    /// That the clock is behind has been told.
    is_behind: bool,
    snapshots: Option<Arc<Snapshots>>,
    latch: Arc<Latch>,
    /// The state holds what is not durable, and is of no use.
    is_spoilt: bool,
    followers: Followers,
}

/// What a commit makes before it is stored.
#[derive(Default)]
struct Made {
    frame: FrameBuilder,
    /// The canonical receipt of each record of the frame, if it leads to one.
    receipts: Vec<Option<String>>,
    /// Workspaces with a record among them.
    changed: BTreeSet<WorkspaceId>,
}

/// What followers are told of each commit.
#[derive(Default)]
pub struct Followers {
    /// Where it leaves the trees, to be vouched for.
    pub heads: Arc<Heads>,
    /// Its receipts, to be signed.
    pub fresh: Arc<Fresh>,
    /// That there was one.
    pub wakes: Vec<SyncSender<()>>,
}

impl Writer {
    /// A writer that goes on where `replayed` ends; after a failure it does so from the newest of `snapshots`. `followers`
    /// are told of each commit.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Clock,
        ids: Ids,
        replayed: Replayed,
        snapshots: Option<Arc<Snapshots>>,
        latch: Arc<Latch>,
        followers: Followers,
    ) -> Self {
        let now = resume_at(&replayed.chain);
        Self {
            store,
            clock,
            ids,
            state: replayed.state,
            chain: replayed.chain,
            now,
            is_behind: false,
            snapshots,
            latch,
            is_spoilt: false,
            followers,
        }
    }

    /// Runs until every sender is gone and the queue is empty. `alive` is dropped when it ends, by a panic too.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(mut self, mut queue: mpsc::Receiver<Input>, alive: impl Send + 'static) -> std::io::Result<JoinHandle<()>> {
        thread::Builder::new().name("writer".into()).spawn(move || {
            let _alive = alive;
            while self.turn(&mut queue) {}
        })
    }

    /// One commit, once something waits; false when every sender is gone and the queue is empty.
    pub fn turn(&mut self, queue: &mut mpsc::Receiver<Input>) -> bool {
        let Some(first) = queue.blocking_recv() else { return false };
        // Where processors are scarce, others are about to ask who would wait for a commit of their own: they get their turn first.
        thread::yield_now();
        self.commit(first, queue);
        true
    }

    /// One commit, from the queue to the answers.
    fn commit(&mut self, first: Input, queue: &mut mpsc::Receiver<Input>) {
        // 1. After a failure nothing is decided until the state is again what the log says and the log can be written.
        let Some(first) = self.unlatch(first, queue) else { return };
        let mut made = Made::default();
        let mut answers: Vec<Answer> = Vec::new();
        let mut next = Some(first);
        let deciding = Stopwatch::start();
        // 2. Take what waits, decide and apply each in order. Memory only: a crash here leaves nothing behind.
        while let Some(input) = next {
            answers.push(self.take(input, &mut made));
            let room = answers.len() < COMMIT_COMMANDS_MAX && made.frame.size() < COMMIT_BYTES_GOAL;
            next = if room { queue.try_recv().ok() } else { None };
        }
        let Made { frame, receipts, changed } = made;
        if frame.count() > 0 {
            metrics().commit_decide_seconds.observe(deciding.seconds());
        }
        // 3. Append the frame and wait for the disk. A crash before the disk has it all leaves a torn frame, which is
        //    cut at the next start; one after it leaves events whose callers never heard of them.
        let stored = self.store(frame);
        // Signing may see the frame from here on; with its receipts it need not make them again.
        if stored.is_ok() {
            let count = u64::try_from(receipts.len()).unwrap_or(u64::MAX);
            self.followers.fresh.put(self.chain.next_sequence().saturating_sub(count), receipts);
        }
        // 4. Answer every caller, readers too: whatever they saw is durable now, or they are told that it is not.
        for answer in answers {
            answer(stored.clone());
        }
        // 5. Followers read the frame from the log, and the trees may be vouched for as they are now. A crash before they did costs
        //    nothing: they go by their position.
        if stored.is_ok() {
            self.followers.heads.put(&self.state, changed, self.chain.next_sequence());
            for wake in &self.followers.wakes {
                let _ = wake.try_send(()); // a full channel means that it has been told already
            }
        }
    }

    /// The instant of the next command: never before the last, whatever the clock does.
    fn tick(&mut self) {
        let wall = self.clock.now();
        let behind = self.now.as_ms().saturating_sub(wall.as_ms());
        if behind > CLOCK_BEHIND_MS && !self.is_behind {
            tracing::warn!(clock.behind_ms = behind, clock.now = %wall, "the clock is behind the log, time stands still until it has caught up");
        }
        // One that has caught up by half is not told of again before it falls behind once more.
        self.is_behind = behind > if self.is_behind { CLOCK_BEHIND_MS / 2 } else { CLOCK_BEHIND_MS };
        self.now = self.now.max(wall);
    }

    /// Decides a command or reads the state; what it returns answers, once the batch is stored.
    fn take(&mut self, input: Input, made: &mut Made) -> Answer {
        self.tick();
        let (command, answer, entered) = match input {
            Input::Read(read) => return read(&self.state, self.now),
            Input::Probe(answer) => return tell(answer, Ok(())),
            Input::Command { command, answer, entered } => (command, answer, entered),
        };
        metrics().queue_wait_seconds.observe(entered.seconds());
        let result = decide(&self.state, &command, self.now, &mut self.ids);
        let result = result.map_err(Failure::Rejected).map(|mut decided| {
            let (start, workspace_id) = (made.frame.count(), decided.workspace_id);
            self.record(made, workspace_id, std::mem::take(&mut decided.events), request_of(&command));
            let end_of_batch = made.frame.size().saturating_add(BATCH_BYTES_GOAL);
            for check in command.batch() {
                // What does not fit is told so: one commit holds a batch, or as much of it as was decided.
                if made.frame.size() >= end_of_batch {
                    break;
                }
                let events = decided.decide_next(&self.state, check, self.now, &mut self.ids);
                self.record(made, workspace_id, events, request_of(&command));
            }
            if made.frame.count() > start {
                made.changed.insert(workspace_id);
            }
            Committed { workspace_id, outcome: decided.outcome, end: self.chain.next_sequence() }
        });
        let kind = kind(&command);
        Box::new(move |stored| {
            let result = stored.and(result);
            count(kind, &result);
            // A caller that has gone away does not need the answer.
            let _ = answer.send(result);
        })
    }

    /// Makes records of what was decided and applies them: whoever is decided next sees them.
    fn record(&mut self, made: &mut Made, workspace_id: WorkspaceId, events: Vec<Event>, request: Option<&Request>) {
        for event in events {
            let (record, receipt) = receipts::record(&self.chain, workspace_id, self.now, event, request.cloned());
            let Ok(hash) = made.frame.push(&record) else {
                unreachable!("limits.rs holds every event below the limit of a record");
            };
            self.chain.extend(&record, hash);
            self.state.apply(&record, hash);
            made.receipts.push(receipt);
        }
    }

    fn store(&mut self, frame: FrameBuilder) -> Result<(), Failure> {
        let count = u64::try_from(frame.count()).unwrap_or(u64::MAX);
        if count == 0 {
            return Ok(());
        }
        let first = self.chain.next_sequence().saturating_sub(count);
        let Some(frame) = frame.seal(first, self.chain.frame_hash()) else {
            unreachable!("limits.rs holds every commit below the limit of a frame");
        };
        let (hash, bytes, appending) = (frame.hash(), frame.bytes().len(), Stopwatch::start());
        match self.store.append(frame) {
            Ok(()) => {
                metrics().committed(count, bytes, &appending);
                self.chain.close(hash);
                Ok(())
            }
            Err(error) => {
                // Nobody has seen what the state holds now.
                self.is_spoilt = true;
                self.latch.set(&error.to_string());
                Err(Failure::Unavailable)
            }
        }
    }

    /// If a commit has failed: answers who reads from what is durable, and tries to go on for everybody else. The input
    /// comes back once all is well, or is answered.
    fn unlatch(&mut self, first: Input, queue: &mut mpsc::Receiver<Input>) -> Option<Input> {
        if !self.latch.is_set() {
            return Some(first);
        }
        let readable = self.rebuild().map_err(|error| error.to_string());
        let writable = match (&readable, &first) {
            (Ok(()), Input::Read(_)) => {
                self.stand_by(first);
                return None;
            }
            (Ok(()), _) if self.latch.is_shut() => Err(self.latch.reason().unwrap_or_default()),
            (Ok(()), Input::Command { .. } | Input::Probe(_)) => self.store.recover().map_err(|error| error.to_string()),
            (Err(reason), _) => Err(reason.clone()),
        };
        if let Err(reason) = writable {
            self.latch.set(&reason);
            // An attempt is expensive: whoever waits already is told by this one, and who comes once somebody was told, by the next.
            let waiting: Vec<_> = std::iter::from_fn(|| queue.try_recv().ok()).collect();
            for input in std::iter::once(first).chain(waiting) {
                self.stand_by(input);
            }
            return None;
        }
        self.latch.release();
        Some(first)
    }

    /// Makes the state again what the log says. The frame that failed is no part of that, wherever its bytes may be.
    fn rebuild(&mut self) -> Result<(), ReplayError> {
        if !self.is_spoilt {
            return Ok(());
        }
        let Replayed { state, chain } = match &self.snapshots {
            Some(snapshots) => snapshots.replay(&*self.store, |_| {})?.0,
            None => replay(&*self.store, None, |_| {})?,
        };
        self.now = self.now.max(resume_at(&chain));
        (self.state, self.chain, self.is_spoilt) = (state, chain, false);
        Ok(())
    }

    /// Answers while nothing can be stored: whoever reads, from what is durable if that could be read; nobody else.
    fn stand_by(&mut self, input: Input) {
        self.tick();
        match input {
            Input::Command { answer, .. } => tell(answer, Err(Failure::Unavailable))(Ok(())),
            Input::Probe(answer) => tell(answer, Err(Failure::Unavailable))(Ok(())),
            // The reader is given a state that holds nothing, and its answer is the failure.
            Input::Read(read) if self.is_spoilt => read(&State::new(), self.now)(Err(Failure::Unavailable)),
            Input::Read(read) => read(&self.state, self.now)(Ok(())),
        }
    }
}

/// Counts what is answered, when it is: before, it was not durable.
fn count(kind: &'static str, result: &Result<Committed, Failure>) {
    let came_of_it = match result {
        Ok(Committed { outcome: Outcome::Repeated(_), .. }) => CommandResult::Repeated,
        Ok(_) => CommandResult::Stored,
        Err(Failure::Rejected(_)) => CommandResult::Rejected,
        Err(Failure::Busy | Failure::Unavailable) => CommandResult::Failed,
    };
    metrics().answered(kind, came_of_it, result.as_ref().ok().map(|committed| &committed.outcome));
}

/// A millisecond after the last record: ids of the two lives of a writer cannot meet, since they differ in time.
fn resume_at(chain: &Chain) -> Timestamp {
    chain.time().saturating_add_ms(1)
}

/// What the caller named the request, if it did.
const fn request_of(command: &Command) -> Option<&Request> {
    match command {
        Command::Operator(_) | Command::Visitor { .. } => None,
        Command::Caller { request, .. } => request.as_ref(),
    }
}

/// Sends a result once the batch is stored, or the failure of the batch.
fn tell<T: Send + 'static>(answer: oneshot::Sender<Result<T, Failure>>, result: Result<T, Failure>) -> Answer {
    Box::new(move |stored| {
        // A caller that has gone away does not need the answer.
        let _ = answer.send(stored.and(result));
    })
}
