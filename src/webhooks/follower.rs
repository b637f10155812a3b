//! The follower that delivers: it reads the log from its position, keeps what is to be told in the outbox, and sends what is due.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use allowlog_projections::webhooks::{Notice, notice};
use allowlog_proto::chain::Hash;
use allowlog_proto::event::Event;
use allowlog_proto::frame::Frame;
use allowlog_proto::id::ConsentAgentId;
use allowlog_proto::record::{Record, family};
use tokio::runtime::{self, Runtime};
use tokio::sync::{oneshot, watch};

use super::endpoints::{Endpoint, Endpoints};
use super::outbox::{Delivery, Outbox};
use super::sender::{Failure, Sender};
use crate::clock::{Clock, Stopwatch};
use crate::data_dir::write_durably;
use crate::log::{Store, ends_at};
use crate::priority::step_back;
use crate::telemetry::metrics::{DeliveryResult, metrics};

/// While there is something to deliver, it is looked this often whether it is due.
const LOOK: Duration = Duration::from_millis(200);
/// While something is under way, it is looked this often whether there is more.
const GLANCE: Duration = Duration::from_millis(20);
/// What could not be read or written is tried again after so long.
const RETRY: Duration = Duration::from_secs(1);
/// A message that cannot be made is tried again after so long.
const RETRY_MESSAGE_MS: u64 = 60_000;
/// Once the writer is gone, what is under way is given so long.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// Records that are read before what is due is sent.
const RECORDS_AT_ONCE: u64 = 10_000;
/// A position that moves over nothing that is to be told is stored after so many records: the next start reads them again.
const RECORDS_UNSTORED_MAX: u64 = 100_000;
/// What comes and goes is gathered for so long before it is stored: most messages do both meanwhile. A crash sends them again.
const GATHER: Duration = Duration::from_millis(50);
/// Of an outbox that is large, so much is written in a second.
const STORED_BYTES_A_SECOND: usize = 1024 * 1024;
/// Below the threads that answer, but not as far as signing is: an attempt has its time.
const NICE: i32 = 5;

/// What the follower works with.
pub struct Sources {
    /// The log.
    pub store: Arc<dyn Store>,
    /// Where messages go.
    pub endpoints: Endpoints,
    /// What says when a message is due.
    pub clock: Clock,
    /// What sends.
    pub sender: Sender,
    /// Where the outbox is kept; in memory without.
    pub file: Option<PathBuf>,
}

/// How far deliveries are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Log sequence behind the last record that was looked at.
    pub position: u64,
    /// Messages that were neither delivered nor given up.
    pub pending: usize,
    /// Attempts that came to an end in this process.
    pub attempts: u64,
}

/// The follower.
pub struct Delivering {
    sources: Sources,
    outbox: Outbox,
    /// Agents whose last attempt failed, so that it is told once.
    failing: BTreeSet<ConsentAgentId>,
    /// What was told of storing or reading, for the same reason.
    told: Option<String>,
    attempts: u64,
    stored: Stored,
    progress: watch::Sender<Progress>,
}

/// What is on disk.
struct Stored {
    position: u64,
    /// Since when it is not what it should be, and for how long it is left at that.
    outdated: Option<Stopwatch>,
    pause: Duration,
}

impl Stored {
    /// Messages have come or gone.
    fn mark(&mut self) {
        self.outdated.get_or_insert_with(Stopwatch::start);
    }

    /// How long it is left at that; nothing if it is as it should be.
    fn left(&self) -> Option<Duration> {
        self.outdated.map(|since| self.pause.saturating_sub(since.elapsed()))
    }
}

/// What became of an attempt.
type Attempted = (Delivery, Result<u16, Failure>);

impl Delivering {
    /// A follower that goes on from its file; the receiver sees how far it is.
    ///
    /// # Errors
    /// If the file or the log cannot be read.
    pub fn new(mut sources: Sources) -> io::Result<(Self, watch::Receiver<Progress>)> {
        let outbox = open(&sources)?;
        if outbox.position() == 0 {
            sources.endpoints.begin_anew();
        }
        let (progress, seen) = watch::channel(Progress { position: outbox.position(), pending: outbox.len(), attempts: 0 });
        metrics().webhooks_pending.set(i64::try_from(outbox.len()).unwrap_or(i64::MAX));
        let stored = Stored { position: outbox.position(), outdated: None, pause: GATHER };
        let (failing, told) = (BTreeSet::new(), None);
        Ok((Self { sources, outbox, failing, told, attempts: 0, stored, progress }, seen))
    }

    /// Runs until the writer, which holds the other end of `wake`, is gone; what was not delivered until then, the next start
    /// does. `alive` is dropped when it ends, by a panic too.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(mut self, wake: Receiver<()>, alive: oneshot::Sender<()>) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name("webhooks".into()).spawn(move || {
            let _alive = alive;
            // The runtime's thread is started by this one and inherits it.
            step_back(NICE);
            // Made with the first message: most servers have none to send, and a runtime takes descriptors and a thread.
            let mut runtime = None;
            let (done, attempted) = mpsc::channel();
            loop {
                let is_well = self.read_log();
                if let Err(error) = self.send_due(&mut runtime, &done) {
                    // The thread ends, which the server takes as a reason to stop.
                    return tracing::error!(error = %error, "webhooks have no thread to be sent by");
                }
                self.store(false);
                self.tell_progress();
                let is_behind = is_well && self.outbox.position() < self.sources.store.head();
                if self.rest(&wake, &attempted, is_behind, is_well) {
                    break;
                }
            }
            let waited = Stopwatch::start();
            while self.outbox.under_way() > 0 {
                let Ok(answer) = attempted.recv_timeout(LAST_ANSWERS.saturating_sub(waited.elapsed())) else { break };
                self.take(answer);
            }
            if let Some(runtime) = runtime {
                runtime.shutdown_background();
            }
            self.store(true);
            self.tell_progress();
        })
    }

    /// Waits until there may be something to do, and takes the answers that come in meanwhile. True if the writer is gone.
    fn rest(&mut self, wake: &Receiver<()>, attempted: &Receiver<Attempted>, is_behind: bool, is_well: bool) -> bool {
        let until = |woken: Result<(), RecvTimeoutError>| woken == Err(RecvTimeoutError::Disconnected);
        // A wake that is taken at a glance is not missed: the log is read next.
        let glance = || wake.try_recv() == Err(TryRecvError::Disconnected);
        let is_over = if is_behind {
            glance()
        } else if self.outbox.under_way() > 0 {
            if let Ok(answer) = attempted.recv_timeout(GLANCE) {
                self.take(answer);
            }
            glance()
        } else if !is_well {
            until(wake.recv_timeout(RETRY))
        } else if self.outbox.is_empty() && self.stored.outdated.is_none() {
            let is_over = wake.recv().is_err();
            if !is_over {
                // Most commits tell nobody anything: under load they are looked at some at a time.
                thread::sleep(GLANCE);
            }
            is_over
        } else {
            until(wake.recv_timeout(self.stored.left().map_or(LOOK, |left| LOOK.min(left))))
        };
        while let Ok(answer) = attempted.try_recv() {
            self.take(answer);
        }
        is_over
    }

    /// Reads on in the log; false if that failed and is to be tried again.
    fn read_log(&mut self) -> bool {
        let until = self.outbox.position().saturating_add(RECORDS_AT_ONCE);
        for frame in self.sources.store.scan(self.outbox.position()) {
            let passed = frame.map_err(|e| e.to_string()).and_then(|frame| self.pass(&frame));
            if let Err(error) = passed {
                self.complain("webhooks stopped, they are tried again in a second", error);
                return false;
            }
            if self.outbox.position() >= until {
                break;
            }
        }
        true
    }

    fn pass(&mut self, frame: &Frame) -> Result<(), String> {
        let (mut new, mut is_quiet) = (Vec::new(), true);
        for (sequence, (bytes, hash)) in (frame.header().first_sequence..).zip(frame.records().map_err(|e| e.to_string())?) {
            // Nearly everything in a log, and nothing that anybody is told.
            if family(bytes) == Some(Event::CHECKS) {
                continue;
            }
            let record = Record::decode(bytes).map_err(|e| e.to_string())?;
            self.sources.endpoints.learn(sequence, &record);
            if let Some(Notice { agent_id, .. }) = notice(&record, hash) {
                is_quiet = false;
                if self.sources.endpoints.is_told(sequence, agent_id) {
                    new.push(Delivery { sequence, workspace_id: record.workspace_id, agent_id });
                }
            }
        }
        self.outbox.pass(frame.header().end_sequence(), frame.hash(), &new);
        let is_far = self.outbox.position().saturating_sub(self.stored.position) > RECORDS_UNSTORED_MAX;
        // What was meant for nobody has to be passed on disk, too, before a URL comes to be that it could go to.
        if is_far || !is_quiet {
            self.stored.mark();
        }
        Ok(())
    }

    /// Puts what is due on its way.
    fn send_due(&mut self, runtime: &mut Option<Runtime>, done: &mpsc::Sender<Attempted>) -> io::Result<()> {
        for delivery in self.outbox.take_due(self.sources.clock.now()) {
            let Some(Endpoint { url, secret }) = self.sources.endpoints.of(delivery.agent_id) else {
                // What another has under way is in its own hands.
                self.outbox.delivered(delivery.sequence);
                self.outbox.dismiss(delivery.workspace_id, delivery.agent_id);
                self.stored.mark();
                continue;
            };
            match self.compose(delivery) {
                Ok(body) => {
                    let runtime = match runtime {
                        Some(runtime) => runtime,
                        None => runtime.insert(runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?),
                    };
                    let (sender, done) = (self.sources.sender.clone(), done.clone());
                    runtime.spawn(async move {
                        let sent = sender.send(&url, &secret, body).await;
                        // Nobody listens once the server has ended without it.
                        let _ = done.send((delivery, sent));
                    });
                }
                Err(error) => {
                    let again = self.sources.clock.now().saturating_add_ms(RETRY_MESSAGE_MS);
                    self.outbox.postponed(delivery.sequence, again);
                    self.stored.mark();
                    self.complain("a webhook cannot be made, it is tried again in a minute", error);
                }
            }
        }
        Ok(())
    }

    fn compose(&self, delivery: Delivery) -> Result<Vec<u8>, String> {
        let (record, hash) = read(&*self.sources.store, delivery.sequence)?;
        let notice = notice(&record, hash).ok_or("its record tells nothing")?;
        self.sources.endpoints.compose(&notice)
    }

    /// Takes note of what became of an attempt.
    fn take(&mut self, (Delivery { sequence, agent_id, .. }, sent): Attempted) {
        self.attempts = self.attempts.saturating_add(1);
        self.stored.mark();
        let result = match sent {
            Ok(_) => {
                self.outbox.delivered(sequence);
                if self.failing.remove(&agent_id) {
                    tracing::info!(webhook.agent = %agent_id, "webhooks of this agent arrive again");
                }
                DeliveryResult::Delivered
            }
            Err(failure) => {
                let is_news = self.failing.insert(agent_id);
                match self.outbox.failed(sequence, self.sources.clock.now()) {
                    Some(next) => {
                        if is_news {
                            tracing::warn!(
                                webhook.agent = %agent_id, log.sequence = sequence, webhook.next = %next, webhook.reason = %failure,
                                "a webhook did not arrive and is tried again; of those after it, only this is told: that they arrive again, \
                                 or are given up"
                            );
                        }
                        DeliveryResult::Failed
                    }
                    None => {
                        tracing::warn!(
                            webhook.agent = %agent_id, log.sequence = sequence, webhook.reason = %failure,
                            "a webhook is given up: it was tried for more than 14 hours, or its agent has no URL any more"
                        );
                        DeliveryResult::GivenUp
                    }
                }
            }
        };
        metrics().webhook_attempted(result);
    }

    /// Writes the outbox to its file, if it is time to.
    fn store(&mut self, is_last: bool) {
        let Some(file) = &self.sources.file else { return self.stored.outdated = None };
        let is_due = self.stored.left().is_some_and(|left| left.is_zero());
        let is_moved = self.stored.outdated.is_some() || self.outbox.position() != self.stored.position;
        let is_wanted = is_due || is_last && is_moved;
        // Cut before it has caught up, the next start begins anew once more.
        if !is_wanted || self.sources.endpoints.is_anew(self.outbox.position()) {
            return;
        }
        let text = self.outbox.write();
        match write_durably(file, text.as_bytes()) {
            Ok(()) => {
                let ms = text.len().saturating_mul(1000).checked_div(STORED_BYTES_A_SECOND).and_then(|ms| u64::try_from(ms).ok());
                let pause = Duration::from_millis(ms.unwrap_or_default()).max(GATHER);
                self.stored = Stored { position: self.outbox.position(), outdated: None, pause };
                self.told = None;
            }
            Err(error) => {
                self.stored = Stored { outdated: Some(Stopwatch::start()), pause: RETRY, ..self.stored };
                self.complain("what was delivered cannot be noted, a restart would send it again", error.to_string());
            }
        }
    }

    fn tell_progress(&self) {
        let progress = Progress { position: self.outbox.position(), pending: self.outbox.len(), attempts: self.attempts };
        metrics().webhooks_pending.set(i64::try_from(progress.pending).unwrap_or(i64::MAX));
        self.progress.send_if_modified(|told| std::mem::replace(told, progress) != progress);
    }

    /// Tells an error once, until there is another.
    fn complain(&mut self, sentence: &str, error: String) {
        if self.told.as_ref() != Some(&error) {
            tracing::error!(webhooks.position = self.outbox.position(), webhooks.error = error, "{sentence}");
            self.told = Some(error);
        }
    }
}

/// The outbox that is in the file, if it is one of this log.
fn open(sources: &Sources) -> io::Result<Outbox> {
    let Some(file) = &sources.file else { return Ok(Outbox::default()) };
    let text = match std::fs::read(file) {
        Ok(text) => text,
        // As in a new directory. A log that is restored into another one is told from the start, too.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Outbox::default()),
        Err(error) => return Err(io::Error::other(format!("cannot read `{}`: {error}", file.display()))),
    };
    let problem = match std::str::from_utf8(&text).ok().and_then(Outbox::read) {
        None => "is damaged",
        Some(outbox) => match ends_at(&*sources.store, outbox.position(), outbox.hash()) {
            Ok(true) => return Ok(outbox),
            Ok(false) => "is of another log, or of one that was longer",
            Err(error) => return Err(io::Error::other(error)),
        },
    };
    tracing::error!("`{}` {problem}: every webhook of this log is sent once more, with the id it had", file.display());
    Ok(Outbox::default())
}

/// The record at this place in the log, and its hash.
fn read(store: &dyn Store, sequence: u64) -> Result<(Record, Hash), String> {
    let frame = store.scan(sequence).next().ok_or_else(|| format!("there is no record at sequence {sequence}"))?;
    let frame = frame.map_err(|e| e.to_string())?;
    let mut records = (frame.header().first_sequence..).zip(frame.records().map_err(|e| e.to_string())?);
    let found = records.find(|(at, _)| *at == sequence).ok_or_else(|| format!("there is no record at sequence {sequence}"))?;
    let (bytes, hash) = found.1;
    Ok((Record::decode(bytes).map_err(|e| e.to_string())?, hash))
}
