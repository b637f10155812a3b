//! The application: the parts put together, and taken apart in the right order.

use std::future::Future as _;
use std::ops::Deref;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{channel, sync_channel};
use std::task::Poll;
use std::thread::JoinHandle;

use allowlog_projections::command::{Command, Operation};
use allowlog_projections::decide::{Outcome, WorkspaceCreated};
use allowlog_projections::ids::Ids;
use allowlog_proto::api::admin::NewKeyBody;
use allowlog_proto::event::{Plan, Role, Style};
use allowlog_proto::json::CanonicalObject;
use allowlog_proto::text::Name;
use tokio::sync::{oneshot, watch};

use crate::admin_token::AdminToken;
use crate::api_key;
use crate::checkpoints::follower::{Checkpointing, Cosigning, Sources};
use crate::checkpoints::ledger::Ledger;
use crate::checkpoints::{Checkpoints, Heads};
use crate::clock::Clock;
use crate::engine::{Engine, Failure};
use crate::fresh::Fresh;
use crate::keyring::{Keyring, KeyringError, KnownTokens};
use crate::latch::Latch;
use crate::log::Store;
use crate::repeat;
use crate::replay::Replayed;
use crate::search::{Indexing, Search};
use crate::signing::Signing;
use crate::snapshots::{Snapshots, Snapshotting};
use crate::telemetry;
use crate::tiles::Tiles;
use crate::webhooks::{self, Delivering, Endpoints, Sender};
use crate::witnesses::Witnesses;
use crate::writer::{Committed, Followers, Writer};

/// What faces and commands work with. Cheap to clone: every layer of a request does.
#[derive(Clone)]
pub struct App(Arc<Shared>);

/// What an [`App`] gives access to.
pub struct Shared {
    /// Decides.
    pub engine: Engine,
    /// Is read, never written from here.
    pub store: Arc<dyn Store>,
    /// What everybody may hold this server to.
    pub checkpoints: Arc<Checkpoints>,
    /// Draws and hashes.
    pub keyring: Arc<Keyring>,
    /// Tokens of consents that were verified.
    pub tokens: KnownTokens,
    /// Log sequence behind the last signed record.
    pub signed: watch::Receiver<u64>,
    /// Finds receipts.
    pub search: Search,
    /// How far webhooks are.
    pub webhooks: watch::Receiver<webhooks::Progress>,
    /// Sends webhooks, and says where they may go.
    pub webhook_sender: Sender,
    /// What records are dated by.
    pub clock: Clock,
    /// What absolute links begin with, without a slash at its end.
    pub public_url: Arc<str>,
    /// Opens `/admin/v1`.
    pub admin_token: AdminToken,
    /// Whether ids of people that look like an email address are refused.
    pub refuses_emails: bool,
    /// Whether the address of a visitor is what a proxy says it is.
    pub is_behind_proxy: bool,
    /// Whether anybody may make an org, and its first API key.
    pub is_signup_open: bool,
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// What an application is started from.
pub struct Parts {
    /// Where frames are kept.
    pub store: Arc<dyn Store>,
    /// What the store comes to.
    pub replayed: Replayed,
    /// Where snapshots are, with the position of the one the state was made from; none are made without.
    pub snapshots: Option<(Arc<Snapshots>, u64)>,
    /// Records between two snapshots, at least.
    pub snapshot_records: u64,
    /// The trees of the log.
    pub tiles: Tiles,
    /// What was signed of them.
    pub ledger: Ledger,
    /// Who is to cosign it, if anybody is.
    pub witnesses: Option<Witnesses>,
    /// Whether a log that has lost records is written on all the same.
    pub accepts_rollback: bool,
    /// Where the search index is kept; in memory without.
    pub search_dir: Option<PathBuf>,
    /// Where it is kept which webhooks are still to be delivered; in memory without.
    pub webhook_file: Option<PathBuf>,
    /// Whether webhooks may go to addresses that are not public, and over plain HTTP.
    pub webhook_allow_private: bool,
    /// Keys of every workspace.
    pub keyring: Arc<Keyring>,
    /// Where time comes from.
    pub clock: Clock,
    /// Where ids come from.
    pub ids: Ids,
    /// What absolute links begin with.
    pub public_url: String,
    /// Opens `/admin/v1`.
    pub admin_token: AdminToken,
    /// Whether ids of people that look like an email address are refused.
    pub refuses_emails: bool,
    /// Whether the address of a visitor is what a proxy says it is.
    pub is_behind_proxy: bool,
    /// Whether anybody may make an org, and its first API key.
    pub is_signup_open: bool,
}

/// The threads behind an application. They end once every [`App`] is gone: the writer first, when its queue is empty.
pub struct Threads {
    all: Vec<Running>,
    first_checkpoints: Option<oneshot::Receiver<()>>,
}

/// A thread, and what is dropped when it ends, by a panic too.
struct Running {
    thread: JoinHandle<()>,
    ended: oneshot::Receiver<()>,
}

impl Running {
    fn start(start: impl FnOnce(oneshot::Sender<()>) -> std::io::Result<JoinHandle<()>>) -> std::io::Result<Self> {
        let (alive, ended) = oneshot::channel();
        Ok(Self { thread: start(alive)?, ended })
    }
}

impl App {
    /// Starts the writer and the followers.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(parts: Parts) -> std::io::Result<(Self, Threads)> {
        let Parts {
            store,
            replayed,
            snapshots,
            snapshot_records,
            tiles,
            ledger,
            witnesses,
            accepts_rollback,
            search_dir,
            webhook_file,
            webhook_allow_private,
            keyring,
            clock,
            ids,
            public_url,
            admin_token,
            refuses_emails,
            is_behind_proxy,
            is_signup_open,
        } = parts;
        let latch = Arc::new(Latch::default());
        let (engine, queue) = Engine::new(Arc::clone(&latch));
        let (fresh, (wake, woken)) = (Arc::new(Fresh::default()), sync_channel(1));
        let (follower, signed) = Signing::new(Arc::clone(&store), Arc::clone(&keyring), Arc::clone(&fresh), &replayed.state);
        let signing = Running::start(|alive| follower.start(woken, alive))?;
        let (wake_search, search_woken) = sync_channel(1);
        let (indexing, search) = Indexing::new(Arc::clone(&store), search_dir, wake_search.clone());
        let indexing = Running::start(|alive| indexing.start(search_woken, alive))?;
        let heads = Arc::new(Heads::of(&replayed.state, replayed.chain.next_sequence()));
        let checkpoints = Arc::new(Checkpoints::new(Arc::new(tiles)));
        let cosigning =
            witnesses.map(|witnesses| Cosigning::new(witnesses, (!accepts_rollback).then(|| Arc::clone(&latch)))).transpose()?;
        let sources = Sources { store: Arc::clone(&store), heads: Arc::clone(&heads), keyring: Arc::clone(&keyring) };
        let follower = Checkpointing::new(sources, ledger, Arc::clone(&checkpoints), cosigning);
        let (wake_checkpoints, checkpoints_woken) = sync_channel(1);
        let (first, first_checkpoints) = oneshot::channel();
        let checkpointing = Running::start(|alive| follower.start(checkpoints_woken, first, alive))?;
        let webhook_sender = Sender::new(webhook_allow_private);
        let (follower, webhooks) = delivering(&store, &keyring, &replayed, &clock, webhook_sender.clone(), webhook_file)?;
        let (wake_webhooks, webhooks_woken) = sync_channel(1);
        let delivering = Running::start(|alive| follower.start(webhooks_woken, alive))?;
        let mut all = vec![signing, indexing, checkpointing, delivering];
        // Nothing is ever sent: it is dropped with the writer.
        let (writes, over) = channel();
        if let Some((snapshots, position)) = &snapshots {
            let follower = Snapshotting::new(Arc::clone(&store), Arc::clone(snapshots), *position, &replayed.state, snapshot_records);
            all.push(Running::start(|alive| follower.start(over, alive))?);
        }
        let snapshots = snapshots.map(|(snapshots, _)| snapshots);
        let followers = Followers { heads, fresh, wakes: vec![wake, wake_search, wake_checkpoints, wake_webhooks] };
        let writer = Writer::new(Arc::clone(&store), clock.clone(), ids, replayed, snapshots, latch, followers);
        all.insert(0, Running::start(|alive| writer.start(queue, (alive, writes)))?);
        let shared = Shared {
            engine,
            store,
            checkpoints,
            keyring,
            tokens: KnownTokens::default(),
            signed,
            search,
            webhooks,
            webhook_sender,
            clock,
            public_url: public_url.trim_end_matches('/').into(),
            admin_token,
            refuses_emails,
            is_behind_proxy,
            is_signup_open,
        };
        Ok((Self(Arc::new(shared)), Threads { all, first_checkpoints: Some(first_checkpoints) }))
    }

    /// Decides a command; answers once its events are durable. A retry gets what the first of its name was answered.
    ///
    /// # Errors
    /// Says who must act.
    pub async fn submit(&self, command: Command) -> Result<Committed, Failure> {
        let mut committed = self.engine.submit(command).await?;
        if let Outcome::Repeated(answered) = committed.outcome {
            let store = Arc::clone(&self.store);
            let found = telemetry::blocking(move || repeat::outcome(&store, answered)).await;
            committed.outcome = found.map_err(|_| Failure::Unavailable)?.map_err(|cause| {
                let _request = telemetry::request().entered();
                tracing::error!(storage.error = %cause, "the first answer to a request could not be read");
                Failure::Unavailable
            })?;
            committed.end = answered.first.saturating_add(answered.count);
        }
        Ok(committed)
    }

    /// Makes a workspace with its first signing key and its first API key, whose text is returned to be shown once.
    ///
    /// # Errors
    /// Says who must act.
    pub async fn create_workspace(&self, name: Name, plan: Plan) -> Result<(WorkspaceCreated, String), CreateError> {
        let public_key = self.generate_signing_key().await?;
        let name_of_key = Name::new("first").map_err(|_| Failure::Unavailable)?;
        let body = NewKeyBody { name: name_of_key, style: Style::Allowly, role: Role::Runtime, expires_at: None };
        let (text, api_key) = api_key::draw(body, &self.keyring);
        let command = Command::Operator(Operation::CreateWorkspace {
            name,
            plan,
            public_key,
            api_key: Some(api_key),
            metadata: CanonicalObject::default(),
        });
        match self.engine.submit(command).await?.outcome {
            Outcome::WorkspaceCreated(created) => Ok((created, text)),
            _ => Err(Failure::Unavailable.into()),
        }
    }

    /// Draws a signing key and seals it; the disk is waited for beside the threads that answer.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn generate_signing_key(&self) -> Result<[u8; 32], CreateError> {
        let keyring = Arc::clone(&self.keyring);
        let generated = telemetry::blocking(move || keyring.generate()).await;
        Ok(generated.map_err(|_| Failure::Unavailable)??)
    }
}

/// The follower that delivers webhooks.
fn delivering(
    store: &Arc<dyn Store>,
    keyring: &Arc<Keyring>,
    replayed: &Replayed,
    clock: &Clock,
    sender: Sender,
    file: Option<PathBuf>,
) -> std::io::Result<(Delivering, watch::Receiver<webhooks::Progress>)> {
    Delivering::new(webhooks::Sources {
        store: Arc::clone(store),
        endpoints: Endpoints::new(Arc::clone(keyring), &replayed.state, replayed.chain.next_sequence()),
        clock: clock.clone(),
        sender,
        file,
    })
}

/// Why no workspace or signing key was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The core.
    #[error(transparent)]
    Engine(#[from] Failure),
    /// The keys.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
}

impl Threads {
    /// Waits for the threads, once every [`App`] has been dropped: then all that was answered is stored, and signed and
    /// indexed but for what is so much that it is left to the next start. False if one of them panicked.
    pub fn join(self) -> bool {
        // Each of them, whatever became of the others.
        self.all.into_iter().fold(true, |clean, running| running.thread.join().is_ok() & clean)
    }

    /// Waits until the trees have caught up with the log and every checkpoint has been made, and the witnesses have been asked.
    pub async fn first_checkpoints(&mut self) {
        if let Some(first) = self.first_checkpoints.take() {
            // A thread that ended instead is seen by `ended`.
            let _ = first.await;
        }
    }

    /// Waits until one of the threads ends: while an [`App`] is there, that is a defect.
    pub async fn ended(&mut self) {
        // Nothing is ever sent; the senders are dropped.
        std::future::poll_fn(|context| {
            let mut any = self.all.iter_mut().map(|running| Pin::new(&mut running.ended).poll(context).is_ready());
            if any.any(|is_ready| is_ready) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
