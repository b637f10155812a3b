//! The engine's handle: all that a face knows of the core.

use std::sync::Arc;

use allowlog_projections::command::{Command, Credential};
use allowlog_projections::decide::{authenticate, may_act};
use allowlog_projections::rejected::Rejected;
use allowlog_projections::state::State;
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::limits::{BATCH_CHECKS_MAX, COMMIT_COMMANDS_MAX};
use allowlog_proto::time::Timestamp;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot};
use tracing::Instrument as _;

use crate::clock::Stopwatch;
use crate::latch::Latch;
use crate::writer::{Committed, Input};

/// Callers that may wait for their answers; one more is refused at once. It is what the writer gets through in some 15 ms:
/// whoever is let in is answered soon, and more room would only let more callers wait for longer.
pub const CALLERS_MAX: usize = 320;
/// Checks that may wait in batches: what the writer gets through in some 100 ms. Whoever asks for one check beside them waits no
/// longer than that.
pub const BATCHED_CHECKS_MAX: usize = 8 * BATCH_CHECKS_MAX;
/// Questions whether the writer is there, which are asked whatever the load.
const PROBES_MAX: usize = 16;

// One commit is not all that may wait: the next one has something to do.
const _: () = assert!(CALLERS_MAX > COMMIT_COMMANDS_MAX);

/// Asks the writer. Cheap to clone; the writer ends when the last one is gone.
#[derive(Clone)]
pub struct Engine {
    queue: mpsc::Sender<Input>,
    /// A permit for each caller that may wait.
    callers: Arc<Semaphore>,
    /// A permit for each check of the batches among them.
    batched: Arc<Semaphore>,
    latch: Arc<Latch>,
}

/// Why there is no answer, sorted by who must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The caller: the request cannot be decided.
    #[error(transparent)]
    Rejected(Rejected),
    /// The caller, a little later: too many wait already. Nothing was decided.
    #[error("too many requests wait")]
    Busy,
    /// The operator: storage failed, or the server is stopping. Whether the command was stored is open.
    #[error("the log cannot be written")]
    Unavailable,
}

impl From<Rejected> for Failure {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl Engine {
    /// A handle and the queue it fills.
    pub fn new(latch: Arc<Latch>) -> (Self, mpsc::Receiver<Input>) {
        let (queue, receiver) = mpsc::channel(CALLERS_MAX + PROBES_MAX);
        (
            Self { queue, callers: Arc::new(Semaphore::new(CALLERS_MAX)), batched: Arc::new(Semaphore::new(BATCHED_CHECKS_MAX)), latch },
            receiver,
        )
    }

    /// Decides a command; answers once its events are durable.
    ///
    /// # Errors
    /// Says who must act.
    pub async fn submit(&self, command: Command) -> Result<Committed, Failure> {
        let checks = u32::try_from(command.batch().len()).map_err(|_| Failure::Busy)?;
        let _checks = self.batched.try_acquire_many(checks).map_err(|_| Failure::Busy)?;
        let (answer, answered) = oneshot::channel();
        let _room = self.enter(Input::Command { command, answer, entered: Stopwatch::start() })?;
        // From the queue to the disk.
        let committed = answered.instrument(tracing::debug_span!("commit")).await;
        committed.unwrap_or(Err(Failure::Unavailable))
    }

    /// Reads the state after every command that was answered before, at an instant no later decision lies before.
    ///
    /// # Errors
    /// Says who must act.
    pub async fn read<T: Send + 'static>(&self, read: impl FnOnce(&State, Timestamp) -> T + Send + 'static) -> Result<T, Failure> {
        let (answer, answered) = oneshot::channel();
        let _room = self.enter(Input::Read(Box::new(move |state, now| {
            let value = read(state, now);
            Box::new(move |stored| {
                // A reader that has gone away does not need the answer.
                let _ = answer.send(stored.map(|()| value));
            })
        })))?;
        answered.await.unwrap_or(Err(Failure::Unavailable))
    }

    /// The workspace an API key opens now.
    ///
    /// # Errors
    /// [`Rejected::Unauthorized`], or why it cannot be told.
    pub async fn authenticate(&self, credential: Credential) -> Result<WorkspaceId, Failure> {
        self.read(move |state, now| authenticate(state, &credential, now)).await?.map_err(Failure::Rejected)
    }

    /// The same for somebody who wants to do what leaves an event.
    ///
    /// # Errors
    /// [`Rejected::Unauthorized`], [`Rejected::Forbidden`], or why it cannot be told.
    pub async fn may_act(&self, credential: Credential) -> Result<WorkspaceId, Failure> {
        self.read(move |state, now| may_act(state, &credential, now)).await?.map_err(Failure::Rejected)
    }

    /// Reads the state for the holder of an API key, who sees its own workspace.
    ///
    /// # Errors
    /// [`Rejected::Unauthorized`], or why it cannot be told.
    pub async fn read_as<T: Send + 'static>(
        &self,
        credential: Credential,
        read: impl FnOnce(&State, WorkspaceId, Timestamp) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let read = self.read(move |state, now| authenticate(state, &credential, now).map(|workspace_id| read(state, workspace_id, now)));
        read.await?.map_err(Failure::Rejected)
    }

    /// Whether commands are taken; answers in its turn, whatever the load. Asking makes a writer that takes none try to go on.
    ///
    /// # Errors
    /// Says who must act.
    pub async fn probe(&self) -> Result<(), Failure> {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Input::Probe(answer)).map_err(refused)?;
        answered.await.unwrap_or(Err(Failure::Unavailable))
    }

    /// Whether as many wait as may: who asks now would be refused.
    pub fn is_full(&self) -> bool {
        self.callers.available_permits() == 0
    }

    /// Why commands are refused, if they are.
    pub fn refusing(&self) -> Option<String> {
        self.latch.reason()
    }

    /// How many commands and reads wait for the writer, and how many may.
    pub fn waiting(&self) -> (usize, usize) {
        (self.queue.max_capacity().saturating_sub(self.queue.capacity()), self.queue.max_capacity())
    }

    /// Puts something into the queue. What is returned is held until the caller has its answer.
    fn enter(&self, input: Input) -> Result<SemaphorePermit<'_>, Failure> {
        let room = self.callers.try_acquire().map_err(|_| Failure::Busy)?;
        self.queue.try_send(input).map(|()| room).map_err(refused)
    }
}

fn refused(error: mpsc::error::TrySendError<Input>) -> Failure {
    match error {
        mpsc::error::TrySendError::Full(_) => Failure::Busy,
        mpsc::error::TrySendError::Closed(_) => Failure::Unavailable,
    }
}
