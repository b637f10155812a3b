//! A run: what the dice say happens to the server, step by step, and what must be true after each step.

use allowlog::clock::Clock;
use allowlog::engine::CALLERS_MAX;
use allowlog::log::Store as _;
use allowlog::log::memory::{Fault, MemoryStore};
use allowlog_proto::limits::COMMIT_COMMANDS_MAX;
use allowlog_proto::time::Timestamp;

use crate::Tally;
use crate::audit;
use crate::commands::Commands;
use crate::dice::Dice;
use crate::keys::Keys;
use crate::ledger::Ledger;
use crate::life::{Asked, Item, Life};

const STEPS: u64 = 70;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const START: &str = "2026-03-10T09:00:00Z";

/// What every range of seeds comes to, beside the reasons and the refusals.
pub(crate) const REACHED: &[&str] = &[
    "batch of one",
    "batch of several",
    "batch that passes the limit of a commit",
    "queue full",
    "the same command twice in a batch",
    "asked again, and was stored before",
    "asked again, and decided now",
    "a read behind an undecided command",
    "authenticated",
    "not authenticated",
    "append lost",
    "append done but failed",
    "failed batch of several",
    "refused while latched",
    "read while latched",
    "commands are asked for",
    "recovered",
    "recovered at once",
    "crash",
    "crash with clients waiting",
    "begun after a lost append",
    "begun after an append done but failed",
    "begun after a recovery that failed",
    "stop",
    "stop with clients waiting",
    "stop while latched",
    "taken over from the log",
    "begun on a clock behind the log",
    "clock to an edge",
    "clock ahead",
    "clock back",
    "clock across midnight",
    "clock jumps within a batch",
    "decided on a clock that is behind",
    "signing lags at a crash",
    "check decided again",
    "receipt verified",
    "receipt of a missing key",
];

pub(crate) struct Run<'k> {
    dice: Dice,
    /// Of a hundred commands, those about payments: the same in a whole run.
    paying: u64,
    keys: &'k Keys,
    clock: Clock,
    life: Life,
    /// The append that is scripted to fail next.
    fault: Option<Fault>,
    /// While the latch is set: recoveries that are scripted to fail still.
    latched: Option<u32>,
    ledger: Ledger,
}

/// What a run came to.
pub(crate) struct Ended {
    pub(crate) transcript: String,
    pub(crate) head: String,
    pub(crate) tally: Tally,
}

impl<'k> Run<'k> {
    /// A run that has not begun; `show` prints its transcript as it goes.
    pub(crate) fn new(seed: u64, keys: &'k Keys, show: bool) -> Self {
        let start = Timestamp::parse(START).unwrap();
        let clock = Clock::standing_at(start);
        let life = Life::begin(MemoryStore::new(), &clock, keys);
        let paying = if seed % 5 < 2 { 80 } else { 5 };
        Self { dice: Dice::new(seed), paying, keys, clock, life, fault: None, latched: None, ledger: Ledger::new(seed, start, show) }
    }

    pub(crate) fn go(mut self) -> Ended {
        for step in 0..STEPS {
            self.ledger.say(&format!("step {step}"));
            self.move_clock();
            match self.dice.below(100) {
                0..4 => self.stop(),
                4..9 => self.crash(),
                9..20 => self.sign(),
                20 => self.flood(),
                _ => self.batch(),
            }
        }
        self.end()
    }

    /// Whatever went wrong is over; all that was answered is there, and signed.
    fn end(mut self) -> Ended {
        self.ledger.say("end");
        while self.latched.is_some() {
            self.submit_and_turn(vec![Item::Probe]);
        }
        self.life.close();
        assert!(!self.life.turn(), "the writer ends when nobody can come any more");
        self.life.sign();
        audit::log(&self.life.store, &self.ledger.known);
        audit::names(&self.life.store, &self.ledger.model);
        self.ledger.model.assert_consents_are(&self.ledger.known.state, self.ledger.floor);
        self.ledger.model.assert_limits_are(&self.ledger.known.state, self.ledger.floor);
        audit::limits(&self.life.store);
        let checks = audit::checks(&self.life.store);
        self.ledger.count_many("check decided again", checks);
        let (verified, unsigned) = audit::receipts(&self.life.store, self.keys, &self.ledger.known.state, self.ledger.floor);
        self.ledger.count_many("receipt verified", verified);
        self.ledger.count_many("receipt of a missing key", unsigned);
        self.ledger.ended()
    }

    fn commands(&mut self) -> Commands<'_> {
        let now = self.ledger.next_instant();
        Commands { dice: &mut self.dice, model: &self.ledger.model, now, paying: self.paying, public_keys: &self.keys.public }
    }

    /// Mostly a little ahead, often to where something lapses; sometimes back.
    fn move_clock(&mut self) {
        let wall = self.ledger.wall;
        let (what, to) = match self.dice.below(100) {
            // What is decided about payments is soon over.
            0..75 if self.paying > 50 => return,
            0..30 => return,
            30..70 => ("clock ahead", wall.saturating_add_ms(self.dice.below(MINUTE / 2))),
            70..73 => ("clock ahead", wall.saturating_add_ms(self.dice.below(6 * HOUR))),
            73..92 => ("clock to an edge", self.commands().beside_an_edge()),
            92..98 => ("clock back", back(wall, self.dice.below(10 * MINUTE))),
            _ => ("clock back", back(wall, self.dice.below(30 * HOUR))),
        };
        self.ledger.count(what);
        if to.day() > wall.day() {
            self.ledger.count("clock across midnight");
        }
        self.ledger.say(&format!("{what}: {to}"));
        self.clock.set(to);
        self.ledger.wall = to;
    }

    fn sign(&mut self) {
        self.ledger.say("sign");
        self.life.sign();
    }

    fn batch(&mut self) {
        if self.fault.is_none() && self.latched.is_none() && self.dice.percent(12) {
            self.script_fault();
        }
        let size = if self.dice.percent(40) { 1 } else { 2 + self.dice.below(7) };
        let items = self.draw(size);
        self.submit_and_turn(items);
    }

    /// The next append fails, and perhaps a few recoveries after it.
    fn script_fault(&mut self) {
        let fault = if self.dice.percent(40) { Fault::Lost } else { Fault::DoneButFailed };
        self.ledger.say(&format!("the next append is {fault:?}"));
        self.life.store.fail_append(0, fault);
        self.fault = Some(fault);
    }

    /// More than one commit takes, or even as much as may wait.
    fn flood(&mut self) {
        let Some(credential) = self.ledger.credentials().last().copied().cloned() else { return };
        let full = self.dice.percent(30);
        let others = self.draw(4);
        // Whoever asks whether commands are taken is let in all the same.
        let callers = others.iter().filter(|item| !matches!(item, Item::Probe)).count();
        let count = if full { CALLERS_MAX - callers } else { COMMIT_COMMANDS_MAX };
        let mut items = vec![Item::Authenticate(credential); count];
        items.extend(others);
        self.ledger.count("batch that passes the limit of a commit");
        let asked = self.submit(items);
        if full {
            let one_more = self.command();
            self.life.ask_in_vain(one_more);
            self.ledger.count("queue full");
        }
        self.turn_all(asked);
    }

    /// What several clients ask for who know nothing of each other.
    fn draw(&mut self, size: u64) -> Vec<Item> {
        // Whoever comes first after a recovery sees the state as it was rebuilt.
        let mut items = if self.latched == Some(0) { vec![Item::Read] } else { Vec::new() };
        while items.len() < usize::try_from(size).unwrap() {
            let item = match self.dice.below(100) {
                0..8 => Item::Read,
                8 => {
                    self.ledger.count("commands are asked for");
                    Item::Probe
                }
                9..14 => match self.dice.pick_recent(&self.ledger.credentials()) {
                    Some(credential) => Item::Authenticate(credential.clone()),
                    None => continue,
                },
                14..17 if size > 1 => self.jump(),
                17..27 => match self.ledger.unanswered() {
                    [] => continue,
                    waiting => Item::Command(self.dice.pick(&waiting.iter().collect::<Vec<_>>()).clone()),
                },
                27..32 => match items.last() {
                    Some(Item::Command(command)) => {
                        let again = Item::Command(command.clone());
                        self.ledger.count("the same command twice in a batch");
                        again
                    }
                    _ => continue,
                },
                _ => self.command(),
            };
            items.push(item);
        }
        items
    }

    fn command(&mut self) -> Item {
        let command = if self.ledger.model.workspaces.is_empty() {
            self.commands().workspace()
        } else if self.ledger.model.grants.is_empty() {
            self.commands().create()
        } else {
            self.commands().any()
        };
        Item::Command(command)
    }

    fn jump(&mut self) -> Item {
        self.ledger.count("clock jumps within a batch");
        let wall = self.ledger.wall;
        Item::Jump(match self.dice.below(3) {
            0 => back(wall, self.dice.below(MINUTE)),
            1 => wall.saturating_add_ms(self.dice.below(MINUTE)),
            _ => self.commands().beside_an_edge(),
        })
    }

    fn submit_and_turn(&mut self, items: Vec<Item>) {
        let asked = self.submit(items);
        self.turn_all(asked);
    }

    fn submit(&mut self, items: Vec<Item>) -> Vec<Asked> {
        if !items.is_empty() {
            self.ledger.count(if items.len() == 1 { "batch of one" } else { "batch of several" });
        }
        items.into_iter().map(|item| self.life.ask(item)).collect()
    }

    /// As many commits as it takes.
    fn turn_all(&mut self, mut asked: Vec<Asked>) {
        while !asked.is_empty() {
            // While nothing can be stored a reader is answered by itself, and a recovery that fails is told to everybody who
            // waits; a commit is told to those it took.
            let taken = match self.latched {
                Some(_) if asked[0].item.only_reads() => 1,
                Some(1..) => asked.len(),
                Some(0) | None => asked.len().min(COMMIT_COMMANDS_MAX),
            };
            let rest = asked.split_off(taken);
            self.turn(asked);
            assert_eq!(self.life.waiting(), rest.len(), "a commit takes what waits, up to its limit");
            asked = rest;
        }
    }

    fn turn(&mut self, asked: Vec<Asked>) {
        self.ledger.at_work(asked.iter().map(|asked| &asked.item));
        let mut recovers = false;
        if let Some(failures) = self.latched {
            self.ledger.rebuilt();
            let reads = asked[0].item.only_reads();
            recovers = !reads && failures == 0;
            if !recovers {
                assert!(self.life.turn());
                self.latched = Some(if reads { failures } else { failures - 1 });
                self.ledger.stood_by(asked);
                assert!(self.life.refusing(), "the latch stays set");
                return;
            }
        }
        if recovers {
            self.latched = None;
            self.ledger.recovered();
        }
        let asked = self.ledger.date(asked);
        let appends = self.ledger.will_append(&asked);
        assert!(self.life.turn());
        match self.fault.take_if(|_| appends) {
            None => {
                self.ledger.judge(asked, &self.life.store);
                assert!(!self.life.refusing(), "nothing is wrong");
            }
            Some(fault) => {
                self.ledger.failed(asked, fault);
                let failures = if self.dice.percent(50) { 0 } else { 1 + self.dice.below(3) };
                let failures = u32::try_from(failures).unwrap();
                self.life.store.fail_recover(failures);
                self.latched = Some(failures);
            }
        }
        assert_eq!(self.ledger.wall, self.clock.now(), "the clock stands where the run put it");
        if recovers {
            audit::log(&self.life.store, &self.ledger.known);
        }
    }

    /// Told to stop: whoever waits is answered, all is signed, then it begins again.
    fn stop(&mut self) {
        self.ledger.count("stop");
        let waiting = if self.dice.percent(50) { self.dice.below(4) } else { 0 };
        let items = self.draw(waiting);
        let asked = self.submit(items);
        if !asked.is_empty() {
            self.ledger.count("stop with clients waiting");
        }
        self.ledger.say("stop");
        self.life.close();
        self.turn_all(asked);
        assert!(!self.life.turn(), "the writer ends when nobody can come any more");
        self.life.sign();
        if self.latched.is_some() {
            self.ledger.count("stop while latched");
        }
        self.begin_again(self.life.store.crash());
    }

    /// Ends at once: whoever waits is told nothing but that.
    fn crash(&mut self) {
        self.ledger.count("crash");
        let waiting = if self.dice.percent(50) { self.dice.below(4) } else { 0 };
        let items = self.draw(waiting);
        let asked = self.submit(items);
        if !asked.is_empty() {
            self.ledger.count("crash with clients waiting");
        }
        self.ledger.say("crash");
        let store = self.life.store.crash();
        if self.dice.percent(50) {
            let kept = self.dice.below(1 + store.signed());
            self.ledger.say(&format!("signatures are lost from {kept} on"));
            store.lose_signatures(kept);
        }
        self.begin_again(store);
        self.ledger.cut_off(asked);
    }

    fn begin_again(&mut self, store: MemoryStore) {
        self.life = Life::begin(store, &self.clock, self.keys);
        (self.fault, self.latched) = (None, None);
        self.ledger.begun(&self.life.store);
        audit::log(&self.life.store, &self.ledger.known);
        self.submit_and_turn(vec![Item::Read]);
    }
}

fn back(from: Timestamp, ms: u64) -> Timestamp {
    Timestamp::from_ms(from.as_ms() - ms).unwrap()
}
