//! One life of the server: the real engine, writer and signing over the store in memory, each moved by hand.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::task::{Context, Poll, Waker};

use allowlog::clock::Clock;
use allowlog::engine::{Engine, Failure};
use allowlog::fresh::Fresh;
use allowlog::latch::Latch;
use allowlog::log::Store;
use allowlog::log::memory::MemoryStore;
use allowlog::replay::replay;
use allowlog::signing::Signing;
use allowlog::writer::{Committed, Followers, Input, Writer};
use allowlog_projections::command::{Command, Credential};
use allowlog_projections::ids::Ids;
use allowlog_projections::state::State;
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::time::Timestamp;
use tokio::sync::{mpsc, watch};

use crate::keys::Keys;

pub(crate) struct Life {
    pub(crate) store: Arc<MemoryStore>,
    clock: Clock,
    /// None once the server is being stopped.
    engine: Option<Engine>,
    latch: Arc<Latch>,
    writer: Writer,
    queue: mpsc::Receiver<Input>,
    signing: Signing,
    signed: watch::Receiver<u64>,
    /// Signing is told of commits here; it signs when the dice say so.
    _woken: Receiver<()>,
}

/// What one client wants.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    Command(Command),
    /// The whole state, as it is in this place of the queue.
    Read,
    Authenticate(Credential),
    /// Whether commands are taken.
    Probe,
    /// The clock jumps while the batch is being decided.
    Jump(Timestamp),
}

/// What the client is told.
#[derive(Debug)]
pub(crate) enum Told {
    Command(Result<Committed, Failure>),
    Read(Result<Box<State>, Failure>),
    Authenticate(Result<WorkspaceId, Failure>),
    Probe(Result<(), Failure>),
    Jump(Result<(), Failure>),
}

/// A client that waits.
pub(crate) struct Asked {
    pub(crate) item: Item,
    answer: Pin<Box<dyn Future<Output = Told>>>,
}

impl Life {
    /// Begins with what is stored, as a start of the server does.
    pub(crate) fn begin(store: MemoryStore, clock: &Clock, keys: &Keys) -> Self {
        let store = Arc::new(store);
        let replayed = replay(&*store, None, |_| {}).expect("a log that can be replayed");
        let latch = Arc::new(Latch::default());
        let (engine, queue) = Engine::new(Arc::clone(&latch));
        let (wake, woken) = sync_channel(1);
        let fresh = Arc::new(Fresh::default());
        let (signing, signed) = Signing::new(Arc::clone(&store) as _, Arc::clone(&keys.keyring), Arc::clone(&fresh), &replayed.state);
        // Chance at its worst: time alone keeps the ids of two lives apart. What is nothing but chance counts on, in the bits that
        // no other id has any use for: from the records there are, so that no life draws what an earlier one has left.
        let mut drawn = u128::from(replayed.chain.next_sequence()) << 20;
        let ids = Ids::new(move || {
            drawn += 1;
            drawn << 80
        });
        let writer = Writer::new(
            Arc::clone(&store) as _,
            clock.clone(),
            ids,
            replayed,
            None,
            Arc::clone(&latch),
            Followers { fresh, wakes: vec![wake], ..Followers::default() },
        );
        Self { store, clock: clock.clone(), engine: Some(engine), latch, writer, queue, signing, signed, _woken: woken }
    }

    /// Puts it into the queue, where it waits.
    pub(crate) fn ask(&self, item: Item) -> Asked {
        let mut asked = self.send(item);
        assert!(asked.poll().is_none(), "nobody is answered before the writer has had its turn");
        asked
    }

    /// Finds the queue full, and is told so at once.
    pub(crate) fn ask_in_vain(&self, item: Item) {
        let told = self.send(item).poll();
        assert!(matches!(told, Some(Told::Command(Err(Failure::Busy)))), "too many wait: {told:?}");
    }

    fn send(&self, item: Item) -> Asked {
        let engine = self.engine.clone().expect("the server is not being stopped");
        let clock = self.clock.clone();
        let answer: Pin<Box<dyn Future<Output = Told>>> = match item.clone() {
            Item::Command(command) => Box::pin(async move { Told::Command(engine.submit(command).await) }),
            Item::Read => Box::pin(async move { Told::Read(engine.read(|state, _| Box::new(state.clone())).await) }),
            Item::Authenticate(credential) => Box::pin(async move { Told::Authenticate(engine.authenticate(credential).await) }),
            Item::Probe => Box::pin(async move { Told::Probe(engine.probe().await) }),
            Item::Jump(to) => Box::pin(async move { Told::Jump(engine.read(move |_, _| clock.set(to)).await) }),
        };
        Asked { item, answer }
    }

    /// One commit of what waits; false if nobody can come any more.
    pub(crate) fn turn(&mut self) -> bool {
        self.writer.turn(&mut self.queue)
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Whether commands are refused, as `/readyz` says.
    pub(crate) fn refusing(&self) -> bool {
        let set = self.latch.is_set();
        assert!(self.engine.as_ref().is_none_or(|engine| engine.refusing().is_some() == set), "the latch is what readiness goes by");
        set
    }

    /// Signs all there is.
    pub(crate) fn sign(&mut self) {
        assert!(self.signing.catch_up(), "nothing stands in the way of signing");
        assert_eq!(self.store.signed(), self.store.head(), "all is signed");
        assert_eq!(*self.signed.borrow(), self.store.signed(), "whoever waits for signatures is told");
    }

    /// Nobody can ask any more; who waits already is still answered.
    pub(crate) fn close(&mut self) {
        self.engine = None;
    }
}

impl Item {
    /// Whether it only looks: then it is answered while nothing can be stored, too.
    pub(crate) const fn only_reads(&self) -> bool {
        match self {
            Self::Read | Self::Authenticate(_) | Self::Jump(_) => true,
            Self::Command(_) | Self::Probe => false,
        }
    }
}

impl Asked {
    /// What the client is told, if it is told already.
    pub(crate) fn poll(&mut self) -> Option<Told> {
        match self.answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(told) => Some(told),
            Poll::Pending => None,
        }
    }
}

impl Told {
    /// Whether it is that the server is of no use now.
    pub(crate) const fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Self::Command(Err(Failure::Unavailable))
                | Self::Read(Err(Failure::Unavailable))
                | Self::Authenticate(Err(Failure::Unavailable))
                | Self::Probe(Err(Failure::Unavailable))
                | Self::Jump(Err(Failure::Unavailable))
        )
    }
}
