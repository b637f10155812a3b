//! The engine's handle: all that a face knows of the core.

use std::sync::Arc;

use allowlog_projections::command::{Command, Credential};
use allowlog_projections::decide::{authenticate, may_act};
use allowlog_projections::rejected::Rejected;
use allowlog_projections::state::State;
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::limits::COMMIT_COMMANDS_MAX;
use allowlog_proto::time::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument as _;

use crate::clock::Stopwatch;
use crate::latch::Latch;
use crate::writer::{Committed, Input};

/// Commands and reads that may wait for the writer; one more is refused at once. It is what the writer gets through in
/// some 20 ms: whoever is let in is answered soon, and a longer queue would only let more callers wait for longer.
pub const QUEUE_LENGTH_MAX: usize = 512;

// More than one commit takes, so that the next one has something to do.
const _: () = assert!(QUEUE_LENGTH_MAX >= 2 * COMMIT_COMMANDS_MAX);

/// Asks the writer. Cheap to clone; the writer ends when the last one is gone.
#[derive(Clone)]
pub struct Engine {
    queue: mpsc::Sender<Input>,
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
        let (queue, receiver) = mpsc::channel(QUEUE_LENGTH_MAX);
        (Self { queue, latch }, receiver)
    }

    /// Decides a command; answers once its events are durable.
    ///
    /// # Errors
    /// Says who must act.
    pub async fn submit(&self, command: Command) -> Result<Committed, Failure> {
        let (answer, answered) = oneshot::channel();
        self.enter(Input::Command { command, answer, entered: Stopwatch::start() })?;
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
        self.enter(Input::Read(Box::new(move |state, now| {
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

    /// Whether commands are taken. Asking makes a writer that takes none try to go on.
    ///
    /// # Errors
    /// Says who must act.
    pub async fn probe(&self) -> Result<(), Failure> {
        let (answer, answered) = oneshot::channel();
        self.enter(Input::Probe(answer))?;
        answered.await.unwrap_or(Err(Failure::Unavailable))
    }

    /// Why commands are refused, if they are.
    pub fn refusing(&self) -> Option<String> {
        self.latch.reason()
    }

    /// How many commands and reads wait for the writer, and how many may.
    pub fn waiting(&self) -> (usize, usize) {
        (self.queue.max_capacity().saturating_sub(self.queue.capacity()), self.queue.max_capacity())
    }

    fn enter(&self, input: Input) -> Result<(), Failure> {
        self.queue.try_send(input).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Failure::Busy,
            mpsc::error::TrySendError::Closed(_) => Failure::Unavailable,
        })
    }
}
