//! The follower over a log in memory: nothing is lost, whatever becomes of the receiver, the process or the file.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use allowlog::clock::Clock;
use allowlog::keyring::{AgentPublicKey, Keyring, MasterKey};
use allowlog::log::Store as _;
use allowlog::log::memory::MemoryStore;
use allowlog::webhooks::{Delivering, Endpoints, LADDER_MS, Progress, Sources, signature};
use allowlog_projections::state::{State, compressed};
use allowlog_proto::chain::Hash;
use allowlog_proto::event::{
    AgentTerms, Asked, AuthorizationEvent, ConsentAgentEvent, ConsentEvent, Consented, Declined, Event, Granted, Plan, Terms, TokenTerms,
    Visitor, WorkspaceEvent,
};
use allowlog_proto::frame::FrameBuilder;
use allowlog_proto::id::{AuthorizationId, ConsentAgentId, ConsentId, ReceiptId, TokenId, WorkspaceId};
use allowlog_proto::json::CanonicalObject;
use allowlog_proto::reason::PolicyVersion;
use allowlog_proto::record::{NO_RECEIPT, Record};
use allowlog_proto::redirect::RedirectUrl;
use allowlog_proto::text::{AgentId, Name, UserId, WebhookUrl};
use allowlog_proto::time::Timestamp;
use allowlog_proto::token::Presented;
use serde_json::Value;
use tokio::sync::{oneshot, watch};

use super::receiver::{Answer, Received, Receiver};
use super::sender::sender;
use crate::harness::START;

const LONG: Duration = Duration::from_secs(3600);

/// What happens, in short.
#[derive(Debug, Clone)]
enum Happens {
    /// An agent comes to be, or has another URL from now on.
    Url(u8, Option<String>),
    /// Its webhooks have another secret.
    Rotated(u8, u32),
    /// Somebody does not consent to it, or does.
    Declined(u8),
    Approved(u8),
    /// Something that is told to nobody.
    Nothing,
}

/// A log, the file beside it, the keys and the clock: what outlives a process.
struct World {
    store: Arc<MemoryStore>,
    clock: Clock,
    timeout: Duration,
    keyring: Arc<Keyring>,
    agents: Mutex<BTreeMap<u8, (u8, [u8; 32])>>,
    directory: tempfile::TempDir,
}

struct Process {
    wake: Option<SyncSender<()>>,
    progress: watch::Receiver<Progress>,
    thread: Option<JoinHandle<()>>,
}

/// Agents up to 15 are of one, those above of another.
fn workspace(tag: u8) -> WorkspaceId {
    WorkspaceId::from_bytes([if tag < 16 { 1 } else { 2 }; 16])
}

fn agent(tag: u8) -> ConsentAgentId {
    ConsentAgentId::from_bytes([tag; 16])
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let keyring = Keyring::open(directory.path().join("keys"), &MasterKey::ephemeral()).unwrap();
        let this = Self {
            store: Arc::default(),
            clock: Clock::standing_at(Timestamp::parse(START).unwrap()),
            timeout: LONG,
            keyring: Arc::new(keyring),
            agents: Mutex::default(),
            directory,
        };
        for tag in [1, 16] {
            let created = WorkspaceEvent::Created { name: Name::new("test").unwrap(), plan: Plan::Pro };
            this.append(workspace(tag), &[Event::Workspace(created)]);
        }
        this
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("webhooks")
    }

    /// The sealed key of an agent.
    fn key_file(&self, tag: u8) -> PathBuf {
        let key_id = compressed(&self.agents.lock().unwrap()[&tag]).1;
        self.directory.path().join(format!("keys/{key_id}.sealed"))
    }

    fn append(&self, workspace_id: WorkspaceId, events: &[Event]) {
        let mut frame = FrameBuilder::new();
        let head = self.store.head();
        for (index, event) in (head..).zip(events.iter().cloned()) {
            let previous = Hash::default();
            let receipt = if event.receipt_id().is_some() { [1; 32] } else { NO_RECEIPT };
            frame.push(&Record { workspace_id, index, time: self.clock.now(), previous, receipt, event, request: None }).unwrap();
        }
        let previous = head.checked_sub(1).map_or(Hash::default(), |last| self.store.scan(last).next().unwrap().unwrap().hash());
        self.store.append(frame.seal(head, previous).unwrap()).unwrap();
    }

    /// Appends a frame of what this is in full.
    fn happens(&self, what: Happens) {
        let tag = match what {
            Happens::Url(tag, _) | Happens::Rotated(tag, _) | Happens::Declined(tag) | Happens::Approved(tag) => tag,
            Happens::Nothing => 1,
        };
        let events = match what {
            Happens::Url(tag, url) => vec![self.url(tag, url)],
            Happens::Rotated(tag, generation) => {
                vec![Event::ConsentAgent(ConsentAgentEvent::SecretRotated { agent_id: agent(tag), generation })]
            }
            Happens::Declined(tag) => self.answered(tag, false),
            Happens::Approved(tag) => self.answered(tag, true),
            Happens::Nothing => {
                vec![Event::Workspace(WorkspaceEvent::Changed { name: Name::new("test").unwrap(), plan: Plan::Pro })]
            }
        };
        self.append(workspace(tag), &events);
    }

    fn url(&self, tag: u8, url: Option<String>) -> Event {
        let terms = Box::new(AgentTerms {
            name: Name::new("agent").unwrap(),
            token_life_s: 60,
            webhook_url: url.map(|url| WebhookUrl::new(&url).unwrap()),
            redirect_origins: Vec::new(),
            is_default: false,
        });
        let (agent_id, mut agents) = (agent(tag), self.agents.lock().unwrap());
        Event::ConsentAgent(match agents.entry(tag) {
            Entry::Occupied(_) => ConsentAgentEvent::Changed { agent_id, terms },
            Entry::Vacant(vacant) => {
                let public_key = *vacant.insert(self.keyring.generate_agent_key().unwrap());
                ConsentAgentEvent::Created { agent_id, public_key, terms }
            }
        })
    }

    /// A request, and its answer.
    fn answered(&self, tag: u8, approves: bool) -> Vec<Event> {
        let mut id = [0; 16];
        id[8..].copy_from_slice(&self.store.head().to_be_bytes());
        let (consent_id, authorization_id, agent_id) = (ConsentId::from_bytes(id), AuthorizationId::from_bytes(id), agent(tag));
        let (user_id, expires_at) = (UserId::new("user_1").unwrap(), Timestamp::MAX);
        let asked = Asked {
            consent_id,
            authorization_id,
            agent_id,
            user_id: user_id.clone(),
            email: None,
            scopes: Vec::new(),
            redirect_url: RedirectUrl::new("https://app.example/back").unwrap(),
            expires_at,
            metadata: CanonicalObject::default(),
        };
        let visitor = Visitor::default();
        let answer = if approves {
            let token = TokenTerms { token_id: TokenId::from_bytes(id), expires_at };
            let terms = Terms {
                agent_id: AgentId::new(&agent_id.to_string()).unwrap(),
                scopes: Vec::new(),
                requires_confirm_for: Vec::new(),
                requires_escalation_for: Vec::new(),
                escalation_targets: Vec::new(),
            };
            Event::Authorization(AuthorizationEvent::Granted(Box::new(Granted {
                receipt_id: ReceiptId::from_bytes(id),
                authorization_id,
                user_id,
                terms,
                expires_at: None,
                not_before: None,
                budget_limit: None,
                bundle_id: None,
                replaces: None,
                metadata: CanonicalObject::default(),
                policy_version: PolicyVersion::CURRENT,
                consent: Some(Box::new(Consented { consent_id, agent_id, token, visitor })),
                delegation: None,
            })))
        } else {
            let declined = Declined { consent_id, authorization_id, agent_id, user_id, scopes: Vec::new(), visitor };
            Event::Consent(ConsentEvent::Declined(Box::new(declined)))
        };
        vec![Event::Consent(ConsentEvent::Requested(Box::new(asked))), answer]
    }

    /// What a start makes of the log.
    fn state(&self) -> State {
        let mut state = State::new();
        for frame in self.store.scan(0) {
            for (bytes, hash) in frame.unwrap().records().unwrap() {
                state.apply(&Record::decode(bytes).unwrap(), hash);
            }
        }
        state
    }

    fn sources(&self) -> Sources {
        Sources {
            store: Arc::clone(&self.store) as _,
            endpoints: Endpoints::new(Arc::clone(&self.keyring), &self.state(), self.store.head()),
            clock: self.clock.clone(),
            sender: sender(self.timeout),
            file: Some(self.file()),
        }
    }

    fn start(&self) -> Process {
        let (delivering, progress) = Delivering::new(self.sources()).unwrap();
        let (wake, woken) = sync_channel(1);
        let thread = delivering.start(woken, oneshot::channel().0).unwrap();
        Process { wake: Some(wake), progress, thread: Some(thread) }
    }
}

impl Process {
    /// Appends records, each with a frame of its own, and wakes the follower as the writer does.
    fn write(&self, world: &World, all: impl IntoIterator<Item = Happens>) {
        for what in all {
            world.happens(what);
            let _ = self.wake.as_ref().unwrap().try_send(());
        }
    }

    /// Waits until so many attempts came to an end.
    async fn attempts(&mut self, count: u64) -> Progress {
        *self.progress.wait_for(|progress| progress.attempts >= count).await.unwrap()
    }

    /// Waits until nothing is left to be delivered of all that is in the log.
    async fn settled(&mut self, world: &World) -> Progress {
        let head = world.store.head();
        *self.progress.wait_for(|progress| progress.position == head && progress.pending == 0).await.unwrap()
    }

    fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.wake.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn tell(tag: u8, count: usize) -> impl Iterator<Item = Happens> {
    std::iter::repeat_n(Happens::Declined(tag), count)
}

fn url(tag: u8, receiver: &Receiver) -> Happens {
    Happens::Url(tag, Some(receiver.url()))
}

async fn next(receiver: &mut Receiver, count: usize) -> Vec<Received> {
    let mut received = Vec::new();
    while received.len() < count {
        received.push(receiver.next().await);
    }
    received
}

fn bodies(received: &[Received]) -> BTreeSet<&str> {
    received.iter().map(|request| request.body.as_str()).collect()
}

#[tokio::test]
async fn each_record_is_told_once_to_whom_it_concerns() {
    let (world, mut first) = (World::new(), Receiver::new(|_| Answer::Status(200)).await);
    let mut second = Receiver::new(|_| Answer::Status(200)).await;
    let mut process = world.start();
    process.write(&world, [url(1, &first), url(2, &second)]);
    process.write(&world, tell(1, 30).chain(tell(2, 20)).chain(tell(3, 10)).chain([Happens::Nothing]));
    let progress = process.settled(&world).await;
    assert_eq!(progress.attempts, 50, "an agent without a URL is told nothing");
    let received = [next(&mut first, 30).await, next(&mut second, 20).await];
    assert_eq!(received.each_ref().map(|requests| bodies(requests).len()), [30, 20]);
    for request in received[0].iter() {
        let secret = world.keyring.webhook_secret(agent(1), 0);
        assert_eq!(request.header("x-permitly-signature"), Some(signature(&secret, request.body.as_bytes()).as_str()));
    }
    process.stop();
    // A restart has nothing to say.
    let mut process = world.start();
    process.write(&world, tell(1, 1));
    assert_eq!(process.settled(&world).await.attempts, 1);
    assert_eq!((next(&mut first, 1).await.len(), first.rest(), second.rest()), (1, vec![], vec![]));
}

#[tokio::test]
async fn the_ladder_is_climbed_by_the_clock_and_carries_the_same_bytes() {
    let (world, mut receiver) = (World::new(), Receiver::new(|_| Answer::Status(500)).await);
    let mut process = world.start();
    process.write(&world, [url(1, &receiver)].into_iter().chain(tell(1, 1)));
    assert_eq!(process.attempts(1).await.pending, 1);
    for (rung, wait) in (2..).zip(LADDER_MS) {
        // A millisecond earlier it is not due; a record that is told meanwhile shows that the follower has looked.
        world.clock.advance_ms(wait - 1);
        process.write(&world, tell(9, 1));
        process.progress.wait_for(|progress| progress.position == world.store.head()).await.unwrap();
        assert_eq!(process.progress.borrow().attempts, rung - 1);
        world.clock.advance_ms(1);
        let progress = process.attempts(rung).await;
        assert_eq!(progress.pending, usize::from(rung < 6), "rung {rung}");
    }
    world.clock.advance_ms(1 << 40);
    process.write(&world, tell(9, 1));
    assert_eq!(process.settled(&world).await.attempts, 6);
    let received = next(&mut receiver, 6).await;
    assert!(received.iter().all(|request| *request == received[0]), "same head, same bytes, same id: {received:?}");
    assert_eq!(receiver.rest(), []);
}

#[tokio::test]
async fn what_failed_is_delivered_once_the_receiver_is_well() {
    // In turn: an error, a redirect, a connection that is closed, one that is closed in the middle of the answer.
    let unwell = |nth| [Answer::Status(500), Answer::Redirect("/".to_owned()), Answer::Close, Answer::Half].get(nth).cloned();
    let mut receiver = Receiver::new(move |nth| unwell(nth).unwrap_or(Answer::Status(200))).await;
    let world = World::new();
    let mut process = world.start();
    process.write(&world, [url(1, &receiver)].into_iter().chain(tell(1, 1)));
    for (attempt, wait) in (1..).zip(&LADDER_MS[..4]) {
        assert_eq!(process.attempts(attempt).await.pending, 1);
        world.clock.advance_ms(*wait);
    }
    assert_eq!(process.settled(&world).await.attempts, 5);
    let received = next(&mut receiver, 5).await;
    assert!(received.iter().all(|request| *request == received[0]), "{received:?}");
}

#[tokio::test]
async fn an_outage_of_the_receiver_loses_nothing() {
    let (world, receiver) = (World::new(), Receiver::new(|_| Answer::Status(200)).await);
    let mut process = world.start();
    process.write(&world, [url(1, &receiver)]);
    let address = receiver.go_down().await;
    process.write(&world, tell(1, 40));
    assert_eq!(process.attempts(40).await.pending, 40);
    let mut receiver = Receiver::at(address, |_| Answer::Status(200)).await;
    // A restart in between keeps when they are due.
    process.stop();
    let mut process = world.start();
    process.write(&world, tell(1, 1));
    assert_eq!(process.attempts(1).await.pending, 40);
    assert_eq!(next(&mut receiver, 1).await.len(), 1);
    world.clock.advance_ms(LADDER_MS[0]);
    assert_eq!(process.settled(&world).await.attempts, 41);
    assert_eq!(bodies(&next(&mut receiver, 40).await).len(), 40);
    assert_eq!(receiver.rest(), []);
}

#[tokio::test]
async fn a_receiver_that_never_answers_holds_up_nobody_else() {
    let (world, mut stuck) = (World::new(), Receiver::new(|_| Answer::Never).await);
    let mut well = Receiver::new(|_| Answer::Status(200)).await;
    let process = world.start();
    process.write(&world, (1..=15).map(|tag| url(tag, &stuck)).chain([url(20, &well)]));
    process.write(&world, (1..=15).flat_map(|tag| tell(tag, 20)).chain(tell(20, 50)));
    assert_eq!(bodies(&next(&mut well, 50).await).len(), 50);
    assert_eq!(next(&mut stuck, 16).await.len(), 16, "to all agents of a workspace");
    assert_eq!(stuck.rest(), []);
    // Nobody waits an hour for them at the end, either.
    process.stop();
}

#[tokio::test]
async fn a_slow_receiver_is_tried_again() {
    let mut receiver = Receiver::new(|nth| if nth == 0 { Answer::Never } else { Answer::Status(200) }).await;
    let world = World { timeout: Duration::from_millis(50), ..World::new() };
    let mut process = world.start();
    process.write(&world, [url(1, &receiver)].into_iter().chain(tell(1, 1)));
    assert_eq!(process.attempts(1).await.pending, 1);
    world.clock.advance_ms(LADDER_MS[0]);
    // On a busy machine the second may be late as well.
    while process.progress.borrow().pending > 0 {
        let attempts = process.progress.borrow().attempts;
        process.progress.wait_for(|progress| progress.pending == 0 || progress.attempts > attempts).await.unwrap();
        world.clock.advance_ms(LADDER_MS[4]);
    }
    let received = next(&mut receiver, 2).await;
    assert_eq!(received[0], received[1]);
}

#[tokio::test]
async fn the_url_of_now_counts() {
    let (world, mut wrong) = (World::new(), Receiver::new(|_| Answer::Status(404)).await);
    let mut right = Receiver::new(|_| Answer::Status(200)).await;
    let mut process = world.start();
    process.write(&world, [url(1, &wrong)].into_iter().chain(tell(1, 2)));
    assert_eq!(process.attempts(2).await.pending, 2);
    process.write(&world, [url(1, &right)]);
    world.clock.advance_ms(LADDER_MS[0]);
    assert_eq!(process.settled(&world).await.attempts, 4);
    assert_eq!(bodies(&next(&mut wrong, 2).await), bodies(&next(&mut right, 2).await));
    // Without a URL nothing is sent, and nothing waits for one.
    process.write(&world, [url(1, &wrong)].into_iter().chain(tell(1, 3)));
    assert_eq!(process.attempts(7).await.pending, 3);
    process.write(&world, [Happens::Url(1, None)]);
    world.clock.advance_ms(LADDER_MS[0]);
    assert_eq!(process.settled(&world).await.attempts, 7);
    process.write(&world, [url(1, &right)].into_iter().chain(tell(1, 1)));
    assert_eq!(process.settled(&world).await.attempts, 8);
    assert_eq!(next(&mut right, 1).await.len(), 1);
    assert_eq!((next(&mut wrong, 3).await.len(), wrong.rest(), right.rest()), (3, vec![], vec![]));
    // An address that may not be sent to fails as others do.
    process.write(&world, [Happens::Url(1, Some("ftp://127.0.0.1/".to_owned()))].into_iter().chain(tell(1, 1)));
    assert_eq!(process.attempts(9).await.pending, 1);
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was_cut() {
    let (world, mut stuck) = (World::new(), Receiver::new(|_| Answer::Never).await);
    let process = world.start();
    process.write(&world, [url(1, &stuck)].into_iter().chain(tell(1, 10)));
    let tried = next(&mut stuck, 4).await;
    process.stop();
    // While nobody followed, more has happened, and the URL has moved.
    let mut well = Receiver::new(|_| Answer::Status(200)).await;
    for what in tell(1, 5).chain([url(1, &well)]) {
        world.happens(what);
    }
    let mut process = world.start();
    assert_eq!(process.settled(&world).await.attempts, 15);
    let received = next(&mut well, 15).await;
    assert_eq!(bodies(&received).len(), 15);
    assert!(bodies(&tried).is_subset(&bodies(&received)), "what was under way is sent again, the same");
    assert_eq!((well.rest(), stuck.rest()), (vec![], vec![]));
}

#[tokio::test]
async fn an_outbox_that_is_damaged_or_gone_or_of_another_log_is_begun_anew() {
    let (world, mut receiver) = (World::new(), Receiver::new(|_| Answer::Status(200)).await);
    let mut process = world.start();
    process.write(&world, [url(1, &receiver)].into_iter().chain(tell(1, 7)));
    process.settled(&world).await;
    process.stop();
    let first = next(&mut receiver, 7).await;
    let sound = std::fs::read_to_string(world.file()).unwrap();
    let other = {
        let world = World::new();
        world.happens(Happens::Nothing);
        world.start().stop();
        std::fs::read_to_string(world.file()).unwrap()
    };
    for damaged in [Some(sound.replace("v2", "v1")), Some(sound[..sound.len() / 2].to_owned()), Some("\u{0}".to_owned()), Some(other), None]
    {
        match &damaged {
            Some(text) => std::fs::write(world.file(), text).unwrap(),
            None => std::fs::remove_file(world.file()).unwrap(),
        }
        let mut process = world.start();
        assert_eq!(process.settled(&world).await.attempts, 7, "{damaged:?}");
        assert_eq!(bodies(&next(&mut receiver, 7).await), bodies(&first), "once more, with the same ids: {damaged:?}");
    }
    let mut process = world.start();
    process.write(&world, tell(1, 1));
    assert_eq!(process.settled(&world).await.attempts, 1, "and it is kept from then on");
    process.stop();
    assert_eq!(std::fs::read_to_string(world.file()).unwrap().lines().count(), 3);
}

#[tokio::test]
async fn what_happened_without_a_url_is_not_sent_to_one_of_later() {
    let (world, mut receiver) = (World::new(), Receiver::new(|_| Answer::Status(200)).await);
    let mut process = world.start();
    process.write(&world, [Happens::Url(1, None), Happens::Approved(1), url(1, &receiver), Happens::Declined(1)]);
    process.settled(&world).await;
    process.write(&world, [Happens::Url(1, None), Happens::Approved(1), Happens::Rotated(1, 1), url(1, &receiver)]);
    process.settled(&world).await;
    process.stop();
    let told = next(&mut receiver, 1).await;
    assert_eq!(serde_json::from_str::<Value>(&told[0].body).unwrap()["type"], "consent.declined");
    assert_eq!(receiver.rest(), []);
    // More than is read before the first is sent, so that a start can be cut in the middle.
    let nothing = WorkspaceEvent::Changed { name: Name::new("test").unwrap(), plan: Plan::Pro };
    for _ in 0..11 {
        world.append(workspace(1), &vec![Event::Workspace(nothing.clone()); 1000]);
    }
    for what in [Happens::Url(2, None), Happens::Approved(2), url(2, &receiver), Happens::Declined(2)] {
        world.happens(what);
    }
    std::fs::remove_file(world.file()).unwrap();
    let (delivering, progress) = Delivering::new(world.sources()).unwrap();
    // The writer is gone already: it looks once.
    let (wake, woken) = sync_channel(1);
    drop(wake);
    delivering.start(woken, oneshot::channel().0).unwrap().join().unwrap();
    assert!(progress.borrow().position < world.store.head(), "it was cut");
    let mut process = world.start();
    process.settled(&world).await;
    process.stop();
    let received = receiver.rest();
    assert!(bodies(&received).contains(told[0].body.as_str()), "{received:?}");
    for request in &received {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!(body["type"], "consent.declined", "{received:?}");
    }
    assert_eq!(bodies(&received).len(), 2, "one of each agent: {received:?}");
}

#[tokio::test]
async fn an_approval_carries_its_token_and_waits_for_its_key() {
    let (world, mut first) = (World::new(), Receiver::new(|nth| Answer::Status(if nth == 0 { 500 } else { 200 })).await);
    let mut second = Receiver::new(|_| Answer::Status(200)).await;
    let mut process = world.start();
    process.write(&world, [url(1, &first), url(2, &second)]);
    process.settled(&world).await;
    let (key, hidden) = (world.key_file(1), world.directory.path().join("hidden"));
    std::fs::rename(&key, &hidden).unwrap();
    process.write(&world, [Happens::Approved(1)]);
    // Without its key it holds up nobody and has not failed, however often it is looked for.
    for n in 1..10 {
        process.write(&world, tell(2, 1));
        process.attempts(n).await;
        process.progress.wait_for(|progress| progress.pending == 1).await.unwrap();
        world.clock.advance_ms(60_000);
    }
    assert_eq!((next(&mut second, 9).await.len(), first.rest()), (9, vec![]));
    std::fs::rename(&hidden, &key).unwrap();
    world.clock.advance_ms(60_000);
    assert_eq!(process.attempts(10).await.pending, 1);
    world.clock.advance_ms(LADDER_MS[0]);
    assert_eq!(process.settled(&world).await.attempts, 11);
    let received = next(&mut first, 2).await;
    assert_eq!(received[0], received[1], "the token is the same each time");
    let body: Value = serde_json::from_str(&received[0].body).unwrap();
    assert_eq!(body["type"], "consent.approved");
    let token = Presented::parse(body["data"]["token"].as_str().unwrap()).unwrap();
    let public_key = AgentPublicKey::new(&world.agents.lock().unwrap()[&1]).unwrap();
    assert!(public_key.verifies(token.signing_input.as_bytes(), &token.signature));
}

#[tokio::test]
async fn the_secret_of_now_signs() {
    let (world, mut receiver) = (World::new(), Receiver::new(|nth| Answer::Status(if nth == 0 { 500 } else { 200 })).await);
    let mut process = world.start();
    process.write(&world, [url(1, &receiver)].into_iter().chain(tell(1, 1)));
    process.attempts(1).await;
    process.write(&world, [Happens::Rotated(1, 1)]);
    world.clock.advance_ms(LADDER_MS[0]);
    process.settled(&world).await;
    process.stop();
    let mut process = world.start();
    process.write(&world, tell(1, 1));
    process.settled(&world).await;
    for (generation, request) in [0, 1, 1].into_iter().zip(next(&mut receiver, 3).await) {
        let secret = world.keyring.webhook_secret(agent(1), generation);
        assert_eq!(request.header("x-permitly-signature"), Some(signature(&secret, request.body.as_bytes()).as_str()));
    }
}
