//! The follower that makes checkpoints: it carries the trees on, signs what they come to, has it cosigned, and publishes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use allowlog_proto::checkpoint::{Checkpoint, origin};
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::note::{Note, NoteSignature};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::ledger::{self, Ledger};
use super::{Checkpoints, Head, Heads, Published, Taken, verifier_key};
use crate::clock::Stopwatch;
use crate::keyring::Keyring;
use crate::latch::Latch;
use crate::log::Store;
use crate::priority::{give_way, step_back};
use crate::tiles::follower::{Tiling, TilingError};
use crate::tiles::is_damage;
use crate::witnesses::{Collected, Witnesses};

/// Records are gathered for so long before the next round, so that a checkpoint is there well within a second.
const GATHER: Duration = Duration::from_millis(150);
/// What failed is tried again after so long, and trees that a reader found wrong are looked at.
const RETRY: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1_000 });
/// Workspaces whose checkpoints are with the witnesses at a time.
const SUBMITTED_MAX: usize = 64;
/// Below the threads that answer, as signing is.
const NICE: i32 = 15;

/// What an operator can do about a log that is not what a witness has seen.
const WAY_OUT: &str = "`allowlog restore` brings back what is missing from a newer copy; if this is the log to go on with, \
                       `serve --accept-rollback` does, and publishes what enough witnesses still cosign";

/// What the follower works with.
pub struct Checkpointing {
    tiling: Tiling,
    heads: Arc<Heads>,
    ledger: Ledger,
    keyring: Arc<Keyring>,
    checkpoints: Arc<Checkpoints>,
    witnesses: Option<Cosigning>,
    /// What this process signed last: the state it signed for has grown since.
    signed: BTreeMap<WorkspaceId, ledger::Signed>,
    /// Heads without a published checkpoint.
    pending: BTreeMap<WorkspaceId, Head>,
    /// What was told of a workspace, so that it is told once.
    told: BTreeMap<WorkspaceId, String>,
}

/// What checkpoints are made from.
pub struct Sources {
    /// The log.
    pub store: Arc<dyn Store>,
    /// Where commits leave the trees.
    pub heads: Arc<Heads>,
    /// What signs.
    pub keyring: Arc<Keyring>,
}

/// The witnesses, and what asking them needs.
pub struct Cosigning {
    witnesses: Arc<Witnesses>,
    runtime: Runtime,
    /// Shut for good if a witness knows more of this log than there is, unless the operator has said that this is so.
    latch: Option<Arc<Latch>>,
}

impl Cosigning {
    /// Asks these; `latch` is shut for good if one of them knows more of the log than there is.
    ///
    /// # Errors
    /// If they cannot be asked at all.
    pub fn new(witnesses: Witnesses, latch: Option<Arc<Latch>>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Self { witnesses: Arc::new(witnesses), runtime, latch })
    }
}

/// A checkpoint that is signed and not published yet.
struct Signed {
    workspace_id: WorkspaceId,
    published: Published,
}

/// What came of asking the witnesses, and what those have cosigned who speak against it.
struct Answered {
    signed: Signed,
    collected: Collected,
    shown: Vec<Note>,
}

impl Checkpointing {
    /// A follower that publishes to `checkpoints` what it makes.
    pub fn new(sources: Sources, ledger: Ledger, checkpoints: Arc<Checkpoints>, witnesses: Option<Cosigning>) -> Self {
        let Sources { store, heads, keyring } = sources;
        let tiling = Tiling::new(store, Arc::clone(&checkpoints.tiles));
        let (signed, pending, told) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { tiling, heads, ledger, keyring, checkpoints, witnesses, signed, pending, told }
    }

    /// Runs until the writer, which holds the other end of `wake`, is gone and all of it is published, or cannot be. `first` is
    /// told when the first round is over; `alive` is dropped when it ends, by a panic too.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(mut self, wake: Receiver<()>, first: oneshot::Sender<()>, alive: oneshot::Sender<()>) -> std::io::Result<JoinHandle<()>> {
        thread::Builder::new().name("checkpoints".into()).spawn(move || {
            let _alive = alive;
            step_back(NICE);
            // Long work is the first round over a log whose trees are lost. A wake that is taken here is not missed: a round follows.
            let is_gone = || wake.try_recv() == Err(TryRecvError::Disconnected);
            self.round(is_gone);
            let _ = first.send(()); // nobody has to listen
            loop {
                let woken = wake.recv_timeout(RETRY);
                let is_over = woken == Err(RecvTimeoutError::Disconnected);
                if woken.is_ok() {
                    // More is gathered, unless the writer ends.
                    thread::sleep(GATHER);
                }
                self.round(is_gone);
                if is_over {
                    break;
                }
            }
            if let Err(error) = self.tiling.rest() {
                tracing::warn!(error = %error, "the next start reads some of the log again for the trees");
            }
        })
    }

    /// Carries the trees on and publishes what they come to; false if something is to be tried again.
    pub fn round(&mut self, is_over: impl Fn() -> bool) -> bool {
        // The trees are carried on to where these are from, so that both have the same sizes.
        let Taken { heads, end } = self.heads.take();
        self.pending.extend(heads);
        let is_well = self.try_round(end, is_over);
        if is_well {
            self.checkpoints.reached(end);
        }
        is_well
    }

    fn try_round(&mut self, end: u64, is_over: impl Fn() -> bool) -> bool {
        match self.tiling.catch_up(end, is_over) {
            Ok(true) => {}
            Ok(false) => return false,
            Err(error @ TilingError::Damaged(_)) => return self.begin_anew(&error),
            Err(error) => {
                tracing::error!(error = %error, "checkpoints stopped, it is tried again in a second");
                return false;
            }
        }
        let signing = Stopwatch::start();
        let mut due = Vec::new();
        for (workspace_id, head) in &self.pending {
            give_way(&signing);
            match self.allowed(*workspace_id, head) {
                Ok(()) => due.push(*workspace_id),
                Err(Refusal::Trees(problem)) => return self.begin_anew(&problem),
                Err(Refusal::Later(problem) | Refusal::Never(problem)) => tell(&self.checkpoints, &mut self.told, *workspace_id, problem),
            }
        }
        let noted: Vec<_> =
            due.iter().filter_map(|id| self.pending.get(id).map(|head| (*id, (head.tree.size(), head.tree.root())))).collect();
        let news: Vec<_> = noted.iter().copied().filter(|(id, signed)| self.ledger.last(*id) != Some(*signed)).collect();
        if let Err(error) = self.ledger.add(&news) {
            tracing::error!(error = %error, "checkpoints cannot be noted, so none is signed; it is tried again in a second");
            return false;
        }
        self.signed.extend(noted);
        let signed: Vec<Signed> = due.into_iter().inspect(|_| give_way(&signing)).filter_map(|id| self.sign(id)).collect();
        self.cosign(signed)
    }

    /// Whether a head may be signed: the trees come to it, and to what was signed before.
    fn allowed(&self, workspace_id: WorkspaceId, head: &Head) -> Result<(), Refusal> {
        let root_at = |size| {
            let tree = self.checkpoints.tiles.tree(workspace_id, size);
            tree.map(|tree| tree.root()).map_err(|error| {
                let problem = format!("the trees of workspace `{workspace_id}`: {error}");
                if is_damage(&error) { Refusal::Trees(problem) } else { Refusal::Later(problem) }
            })
        };
        let size = head.tree.size();
        if let Some((last, root)) = self.ledger.last(workspace_id) {
            if last > size {
                return Err(Refusal::Never(format!("a checkpoint of {last} records was signed, and the log has {size}")));
            }
            if self.signed.get(&workspace_id) != Some(&(last, root)) && root_at(last)? != root {
                let state = format!("the first {last} records are not those that a checkpoint was signed of");
                return Err(if head.tree.size() == last && head.tree.root() == root {
                    Refusal::Trees(state)
                } else {
                    Refusal::Never(state)
                });
            }
        }
        // Made from the stored bytes, beside the one that the writer extended in memory.
        let made = self.tiling.root(workspace_id, size).map_or_else(|| root_at(size), Ok)?;
        if made == head.tree.root() { Ok(()) } else { Err(Refusal::Trees("they do not come to what was committed".to_owned())) }
    }

    /// Has the trees made again from the log.
    fn begin_anew(&mut self, problem: &dyn std::fmt::Display) -> bool {
        tracing::error!(trees.problem = %problem, "the trees are made again from the log");
        if let Err(error) = self.tiling.begin_anew() {
            tracing::error!(error = %error, "the trees cannot be removed");
        }
        false
    }

    fn sign(&self, workspace_id: WorkspaceId) -> Option<Signed> {
        let Head { tree, signing_key } = self.pending.get(&workspace_id)?;
        let (key, origin) = (verifier_key(workspace_id, &signing_key.public_key)?, origin(workspace_id));
        let (size, root) = (tree.size(), tree.root());
        let text = Checkpoint { origin, size, root }.to_string();
        // That a key is missing is told where receipts are signed.
        let signature = self.keyring.private_key(signing_key.key_id).ok()?.sign(text.as_bytes());
        let note = Note { text, signatures: vec![NoteSignature::ed25519(&key, signature)] };
        Some(Signed { workspace_id, published: Published { size, root, note } })
    }

    /// Has checkpoints cosigned, if they are to be, and publishes those that enough have cosigned.
    fn cosign(&mut self, signed: Vec<Signed>) -> bool {
        let Some(Cosigning { witnesses, runtime, .. }) = &self.witnesses else {
            signed.into_iter().for_each(|signed| self.publish(signed));
            return self.pending.is_empty();
        };
        let mut answered = Vec::new();
        let mut signed = signed.into_iter();
        runtime.block_on(async {
            let mut asking = JoinSet::new();
            loop {
                while asking.len() < SUBMITTED_MAX
                    && let Some(Signed { workspace_id, published }) = signed.next()
                {
                    let (witnesses, tiles) = (Arc::clone(witnesses), Arc::clone(&self.checkpoints.tiles));
                    asking.spawn(async move {
                        let (size, root) = (published.size, published.root);
                        // A proof from damaged files would look like another history.
                        let proof =
                            move |old| tiles.vouch(workspace_id, size, root).and_then(|()| tiles.consistency(workspace_id, old, size));
                        let collected = witnesses.collect(&published.note, size, proof).await;
                        let origin = origin(workspace_id);
                        let against = collected.behind.iter().map(|(witness, _)| witness).chain(&collected.forked);
                        let mut shown = Vec::new();
                        for witness in against {
                            shown.extend(witnesses.last_cosigned(witness, &origin).await);
                        }
                        Answered { signed: Signed { workspace_id, published }, collected, shown }
                    });
                }
                match asking.join_next().await {
                    Some(Ok(answer)) => answered.push(answer),
                    Some(Err(error)) => tracing::error!(error = %error, "a checkpoint was not submitted"),
                    None => break,
                }
            }
        });
        let witnesses = Arc::clone(witnesses);
        for answer in answered {
            self.judge(answer, &witnesses);
        }
        self.pending.is_empty()
    }

    fn judge(&mut self, Answered { mut signed, collected, shown }: Answered, witnesses: &Witnesses) {
        let (id, size) = (signed.workspace_id, signed.published.size);
        let quorum = witnesses.quorum();
        let problem = match (collected.behind.first(), collected.forked.first()) {
            (Some((witness, held)), _) => Some(format!(
                "the log was set back, or goes on elsewhere: witness `{witness}` has cosigned {held} records of workspace `{id}`, and the \
                 log has {size}; {WAY_OUT}"
            )),
            (None, Some(witness)) => Some(format!(
                "the log is another one: witness `{witness}` has cosigned other records of workspace `{id}` than the log has; {WAY_OUT}"
            )),
            (None, None) => None,
        };
        let against = collected.behind.len().saturating_add(collected.forked.len());
        match problem {
            // One alone may lie, unless it shows what this log has signed.
            Some(problem) if witnesses.is_lost_with(against) || shown.iter().any(|note| self.contradicts(id, note)) => {
                self.refuse(id, problem);
            }
            // What it says has been told where it was asked.
            Some(_) | None => {}
        }
        if collected.cosignatures.len() >= quorum {
            signed.published.note.signatures.extend(collected.cosignatures);
            self.publish(signed);
        } else if let Some((witness, reason)) = collected.unreachable.first() {
            let missing = format!("{} of {quorum} witnesses have cosigned; `{witness}`: {reason}", collected.cosignatures.len());
            tell(&self.checkpoints, &mut self.told, id, missing);
        }
    }

    /// Whether a checkpoint that this workspace's key has signed is of another history than the log's.
    fn contradicts(&self, workspace_id: WorkspaceId, note: &Note) -> bool {
        let Some(Head { tree, signing_key }) = self.pending.get(&workspace_id) else { return false };
        let is_ours = verifier_key(workspace_id, &signing_key.public_key).is_some_and(|key| note.is_signed_by(&key));
        let Some(Checkpoint { size, root, origin: of }) = Checkpoint::parse(&note.text).ok().filter(|_| is_ours) else { return false };
        let tiles = &self.checkpoints.tiles;
        let vouched = || tiles.vouch(workspace_id, tree.size(), tree.root());
        let here = || vouched().and_then(|()| tiles.tree(workspace_id, size)).map(|tree| tree.root());
        of == origin(workspace_id) && (size > tree.size() || here().is_ok_and(|here| here != root))
    }

    /// What a witness knows better: nothing may be written that contradicts it, unless the operator has said so.
    fn refuse(&mut self, workspace_id: WorkspaceId, problem: String) {
        if let Some(latch) = self.witnesses.as_ref().and_then(|cosigning| cosigning.latch.as_ref()) {
            latch.shut(&problem);
        }
        tell(&self.checkpoints, &mut self.told, workspace_id, problem);
    }

    fn publish(&mut self, Signed { workspace_id, published }: Signed) {
        // What was committed meanwhile is still to come.
        if self.pending.get(&workspace_id).is_some_and(|head| head.tree.size() == published.size) {
            self.pending.remove(&workspace_id);
        }
        if self.told.remove(&workspace_id).is_some() {
            tracing::info!(checkpoint.workspace = %workspace_id, checkpoint.size = published.size, "checkpoints are published again");
        }
        self.checkpoints.publish(workspace_id, published);
    }
}

/// Why no checkpoint is signed.
enum Refusal {
    /// The trees on disk are wrong; they are made again.
    Trees(String),
    /// The operating system would not read them just now.
    Later(String),
    /// It would contradict what was signed.
    Never(String),
}

fn tell(checkpoints: &Checkpoints, told: &mut BTreeMap<WorkspaceId, String>, workspace_id: WorkspaceId, problem: String) {
    checkpoints.hold_up(workspace_id);
    if told.get(&workspace_id) != Some(&problem) {
        tracing::error!(checkpoint.workspace = %workspace_id, checkpoint.problem = problem, "no checkpoint is published");
        told.insert(workspace_id, problem);
    }
}
