//! The ledger of a run: what was asked, what was told, what the log holds, and whether the model agrees.
//!
//! It never looks into the server: it knows what clients were told and what is stored.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::Arc;

use allowlog::engine::Failure;
use allowlog::log::Store;
use allowlog::log::memory::{Fault, MemoryStore};
use allowlog::repeat;
use allowlog::replay::Replayed;
use allowlog::writer::Committed;
use allowlog_projections::command::{Command, Credential};
use allowlog_projections::decide::{Decided, Outcome};
use allowlog_projections::rejected::Rejected;
use allowlog_projections::state::{Answered, State};
use allowlog_proto::chain::Hash;
use allowlog_proto::id::{ReceiptId, WorkspaceId};
use allowlog_proto::record::Record;
use allowlog_proto::time::Timestamp;

use crate::Tally;
use crate::answer::{Answer, real_answer};
use crate::life::{Asked, Item, Told};
use crate::model::Model;
use crate::retold;
use crate::run::Ended;

/// What every range of seeds is answered, beside the reasons.
pub(crate) const ANSWERED: &[&str] = &[
    "unauthorized",
    "forbidden",
    "not found",
    "conflict",
    "gone",
    "invalid",
    "budget plan required",
    "payment required",
    "key reused",
    "resolved again",
    "retried",
    "several checks in one command",
    "an escalation opened and met in one command",
    "bundled",
    "unbundled",
    "closed",
    "opened",
    "changed",
    "asked for consent",
    "asked for consent, with the default agent",
    "viewed",
    "consented",
    "declined",
    "withdrawn unanswered",
    "withdrawn again",
    "token minted",
    "token good",
    "token of a consent taken back",
    "token expired",
    "consent taken back",
    "agent",
    "ALLOW",
    "ALLOW_WITH_LIMITS",
    "DENY",
    "REVIEW",
    "STEP_UP_REQUIRED",
    "payer",
    "device",
    "delegated",
    "intent",
    "authorised",
    "captured",
    "cancelled",
    "permission_required",
    "token issued",
    "queued",
];

/// And some of them, of what is rarer about payments.
pub(crate) const PAID: &[&str] = &[
    "AMOUNT_CAPPED",
    "DAILY_LIMIT_EXCEEDED",
    "PERIOD_LIMIT_EXCEEDED",
    "MANUAL_REVIEW_APPROVED",
    "STEP_UP_CONFIRMED",
    "an intent moved again",
    "refused when fresh",
    "limit_exceeded",
    "delegation_revoked",
    "permission_expired",
    "permission_mismatch",
    "amount_exceeds_limit",
    "settled",
    "double_spend",
    "expired",
];

pub(crate) struct Ledger {
    seed: u64,
    pub(crate) model: Model,
    /// The log as far as it was looked at, and its fold.
    pub(crate) known: Replayed,
    /// Records of the commit being judged.
    fresh: VecDeque<(Record, Hash)>,
    last_receipt: Option<ReceiptId>,
    /// What the clock says.
    pub(crate) wall: Timestamp,
    /// No command is decided before this instant.
    pub(crate) floor: Timestamp,
    /// The commands of the commit that failed last, with how: nobody knows what became of them.
    doubt: Option<(Fault, Vec<(Command, Timestamp)>)>,
    /// Commands that their callers named and got no answer to: they will try again.
    unanswered: Vec<Command>,
    recovery_failed: bool,
    at_work: String,
    transcript: String,
    show: bool,
    tally: Tally,
}

/// A client that waits, with the instant at which its command is decided.
pub(crate) struct Dated {
    asked: Asked,
    at: Timestamp,
}

impl Ledger {
    pub(crate) fn new(seed: u64, wall: Timestamp, show: bool) -> Self {
        Self {
            seed,
            model: Model::default(),
            known: Replayed::default(),
            fresh: VecDeque::new(),
            last_receipt: None,
            wall,
            floor: Timestamp::default().saturating_add_ms(1),
            doubt: None,
            unanswered: Vec::new(),
            recovery_failed: false,
            at_work: String::new(),
            transcript: String::new(),
            show,
            tally: Tally::new(),
        }
    }

    pub(crate) fn say(&mut self, line: &str) {
        if self.show {
            // Past what the test harness would keep to itself.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
        self.transcript.push_str(line);
        self.transcript.push('\n');
    }

    pub(crate) fn count(&mut self, what: &str) {
        self.count_many(what, 1);
    }

    pub(crate) fn count_many(&mut self, what: &str, times: u32) {
        *self.tally.entry(what.to_owned()).or_default() += times;
    }

    pub(crate) fn at_work<'a>(&mut self, items: impl Iterator<Item = &'a Item>) {
        self.at_work = items.map(|item| format!("\n  {item:?}")).collect();
    }

    /// What somebody got no answer to and may ask again, under the name it had.
    pub(crate) fn unanswered(&self) -> &[Command] {
        &self.unanswered
    }

    /// When the next command will be decided.
    pub(crate) fn next_instant(&self) -> Timestamp {
        self.floor.max(self.wall)
    }

    pub(crate) fn credentials(&self) -> Vec<&Credential> {
        self.model.api_keys.iter().map(|key| &key.credential).collect()
    }

    /// Goes through a commit as the writer will: whatever is taken moves the floor, and jumps the clock behind it.
    pub(crate) fn date(&mut self, asked: Vec<Asked>) -> Vec<Dated> {
        let mut dated = Vec::new();
        for asked in asked {
            match &asked.item {
                Item::Jump(_) | Item::Read | Item::Authenticate(_) | Item::Probe => {}
                Item::Command(_) => {
                    if self.wall < self.floor {
                        self.count("decided on a clock that is behind");
                    }
                }
            }
            self.floor = self.next_instant();
            if let Item::Jump(to) = asked.item {
                self.wall = to;
            }
            dated.push(Dated { asked, at: self.floor });
        }
        dated
    }

    /// Whether a commit of these stores anything. The first command that does is decided on what is known now.
    pub(crate) fn will_append(&self, dated: &[Dated]) -> bool {
        dated.iter().any(|Dated { asked, at }| match &asked.item {
            Item::Command(command) => retold::records_of(command, &self.model.answer(command, *at)) > 0,
            Item::Read | Item::Authenticate(_) | Item::Probe | Item::Jump(_) => false,
        })
    }

    /// The state is again what the log says.
    pub(crate) fn rebuilt(&mut self) {
        self.floor = self.floor.max(self.resumed());
    }

    /// Nothing can be stored: who reads is told what is durable, and nobody else is let in.
    pub(crate) fn stood_by(&mut self, asked: Vec<Asked>) {
        self.recovery_failed |= asked.iter().any(|asked| !asked.item.only_reads());
        for Dated { mut asked, at } in self.date(asked) {
            if !asked.item.only_reads() {
                self.unavailable(asked, "refused while latched");
                continue;
            }
            self.count("read while latched");
            let told = asked.poll().unwrap_or_else(|| panic!("nobody answered {:?}", asked.item));
            self.judge_reader(asked.item, told, at);
        }
    }

    /// A recovery will succeed: what was in doubt is not there.
    pub(crate) fn recovered(&mut self) {
        self.count("recovered");
        if !self.recovery_failed {
            self.count("recovered at once");
        }
        (self.doubt, self.recovery_failed) = (None, false);
        self.say("recovery succeeds");
    }

    /// The append of these failed: readers and the refused are told so too, since what they saw may not be there.
    pub(crate) fn failed(&mut self, dated: Vec<Dated>, fault: Fault) {
        self.count(match fault {
            Fault::Lost => "append lost",
            Fault::DoneButFailed => "append done but failed",
        });
        if dated.len() > 1 {
            self.count("failed batch of several");
        }
        let mut commands = Vec::new();
        for Dated { asked, at } in dated {
            if let Item::Command(command) = &asked.item {
                commands.push((command.clone(), at));
            }
            self.unavailable(asked, "append failed");
        }
        self.doubt = Some((fault, commands));
    }

    /// The server is gone, and has not looked at these.
    pub(crate) fn cut_off(&mut self, asked: Vec<Asked>) {
        for asked in asked {
            self.unavailable(asked, "cut off");
        }
    }

    fn unavailable(&mut self, mut asked: Asked, what: &str) {
        let told = asked.poll();
        assert!(told.as_ref().is_some_and(Told::is_unavailable), "{what}, and yet {:?} was told {told:?}", asked.item);
        self.count(what);
        self.say(&format!("{what}: {:?}", asked.item));
        if let Item::Command(command @ Command::Caller { request: Some(_), .. }) = asked.item {
            self.unanswered.push(command);
        }
    }

    /// Another life has begun on what was stored.
    pub(crate) fn begun(&mut self, store: &MemoryStore) {
        self.admit(store);
        let found = !self.fresh.is_empty();
        if self.recovery_failed {
            self.count("begun after a recovery that failed");
        }
        self.recovery_failed = false;
        match self.doubt.take() {
            None => {}
            Some((Fault::Lost, _)) => self.count("begun after a lost append"),
            Some((Fault::DoneButFailed, commands)) => {
                self.count("begun after an append done but failed");
                assert!(found, "what the disk has a restart finds");
                self.take_over(commands);
            }
        }
        assert!(self.fresh.is_empty(), "the log holds more than anybody asked for: {:?}", self.fresh);
        if store.signed() < store.head() {
            self.count("signing lags at a crash");
        }
        self.floor = self.resumed();
        if self.wall < self.known.chain.time() {
            self.count("begun on a clock behind the log");
        }
    }

    /// Commands that are stored although nobody was told: all of them, as the model says they were decided.
    fn take_over(&mut self, commands: Vec<(Command, Timestamp)>) {
        for (command, at) in commands {
            let expected = self.model.answer(&command, at);
            let records = self.take(retold::records_of(&command, &expected), at);
            if records.is_empty() {
                continue;
            }
            self.count("taken over from the log");
            let outcome = retold::outcome(&records, &self.known.state);
            let decided = Decided { workspace_id: records[0].workspace_id, events: events(records), outcome };
            assert_eq!(real_answer(&Ok(decided.clone())), expected, "log and model, of {command:?}");
            self.model.learn(&command, at, &decided);
            self.say(&format!("taken over, decided at {at}: {command:?}: {expected:?}"));
        }
    }

    /// A millisecond after the last record.
    fn resumed(&self) -> Timestamp {
        self.known.chain.time().saturating_add_ms(1)
    }

    /// Everybody was told what the model says, and the log holds what they were told.
    pub(crate) fn judge(&mut self, dated: Vec<Dated>, store: &Arc<MemoryStore>) {
        self.admit(store);
        let mut undecided = false;
        for Dated { mut asked, at } in dated {
            let told = asked.poll().unwrap_or_else(|| panic!("nobody answered {:?}", asked.item));
            match (asked.item, told) {
                (Item::Command(command), Told::Command(result)) => {
                    if let Ok(Outcome::Repeated(answered)) = result.as_ref().map(|committed| &committed.outcome) {
                        self.judge_repeated(*answered, store);
                    }
                    self.judge_command(&command, at, result);
                    undecided = true;
                }
                (Item::Probe, Told::Probe(result)) => {
                    assert_eq!(result, Ok(()), "commands are taken");
                    self.say("commands are taken");
                }
                (item, told) => {
                    if undecided && matches!(item, Item::Read) {
                        self.count("a read behind an undecided command");
                    }
                    self.judge_reader(item, told, at);
                }
            }
        }
        assert!(self.fresh.is_empty(), "the log holds more than anybody was told: {:?}", self.fresh);
    }

    fn judge_command(&mut self, command: &Command, at: Timestamp, result: Result<Committed, Failure>) {
        self.at_work = format!(" at {at}: {command:?}");
        let expected = self.model.answer(command, at);
        let decided: Result<Decided, Rejected> = match result {
            Ok(committed) => {
                let sequence = self.known.chain.next_sequence() - u64::try_from(self.fresh.len()).unwrap();
                let count = usize::try_from(committed.end - sequence).unwrap();
                let records = self.take(count, at);
                if !records.is_empty() {
                    assert_eq!(retold::outcome(&records, &self.known.state), committed.outcome, "what is told is what is stored");
                }
                Ok(Decided { workspace_id: committed.workspace_id, events: events(records), outcome: committed.outcome })
            }
            Err(Failure::Rejected(rejected)) => Err(rejected),
            Err(failure) => panic!("{failure:?}, and nothing is wrong"),
        };
        let answer = real_answer(&decided);
        assert_eq!(answer, expected, "engine and model");
        if let Ok(decided) = &decided {
            assert_eq!(decided.events.len(), retold::records_of(command, &expected), "all of a command is stored");
            self.model.learn(command, at, decided);
        }
        self.say(&format!("decided at {at}: {command:?}: {decided:?}"));
        if command.batch().len() > 1 && matches!(answer, Answer::Checked(_)) {
            self.count("several checks in one command");
        }
        self.judge_retry(command, &answer);
        self.tally_answer(answer);
    }

    /// What a retry is told, from the log, is what was told first, or would have been.
    fn judge_repeated(&mut self, answered: Answered, store: &Arc<MemoryStore>) {
        let store: Arc<dyn Store> = Arc::clone(store) as _;
        let first = repeat::outcome(&store, answered).expect("the records of the first");
        // One that came first within this very batch is known by now.
        assert_eq!(first, *self.model.first_answer(answered.first), "the first answer again");
    }

    /// A caller that had got no answer has one: the first, if there was one to get.
    fn judge_retry(&mut self, command: &Command, answer: &Answer) {
        let waiting = self.unanswered.len();
        self.unanswered.retain(|unanswered| unanswered != command);
        if self.unanswered.len() < waiting {
            self.count(match answer {
                Answer::Again { .. } => "asked again, and was stored before",
                _ => "asked again, and decided now",
            });
        }
    }

    fn tally_answer(&mut self, answer: Answer) {
        let what = match answer {
            Answer::Checked(lines) => {
                for line in lines {
                    self.count(line.reason.as_str());
                    if line.meets_its_own_batch() {
                        self.count("an escalation opened and met in one command");
                    }
                }
                return;
            }
            Answer::Refused(why) => why,
            Answer::Invalid(_) => "invalid",
            Answer::Resolved { again: true, .. } => "resolved again",
            Answer::Again { .. } => "retried",
            Answer::Bundled => "bundled",
            Answer::Unbundled => "unbundled",
            Answer::Placed => "closed",
            Answer::Lifted(_) => "opened",
            Answer::Changed { .. } => "changed",
            Answer::Revoked(Some(_)) => "consent taken back",
            Answer::Consent(answer) => answer.as_str(),
            Answer::Payment(answer) => {
                answer.told().into_iter().for_each(|what| self.count(what));
                return;
            }
            Answer::Operated
            | Answer::Rotated(_)
            | Answer::Created(..)
            | Answer::Revoked(None)
            | Answer::Approved(_)
            | Answer::Declined
            | Answer::Resolved { .. } => return,
        };
        self.count(what);
    }

    /// A reader sees every command before it in the queue, and none behind it.
    fn judge_reader(&mut self, item: Item, told: Told, at: Timestamp) {
        match (item, told) {
            (Item::Read, Told::Read(state)) => self.judge_read(state),
            (Item::Authenticate(credential), Told::Authenticate(result)) => self.judge_authenticated(&credential, at, result),
            (Item::Jump(to), Told::Jump(Ok(()))) => self.say(&format!("the clock jumps to {to}")),
            (item, told) => panic!("{told:?} is no answer to {item:?}"),
        }
    }

    fn judge_read(&mut self, state: Result<Box<State>, Failure>) {
        assert!(state.as_deref() == Ok(&self.known.state), "a read sees what the log says in its place: {state:?}");
        self.model.assert_consents_are(&self.known.state, self.floor);
        self.model.assert_limits_are(&self.known.state, self.floor);
        self.say("read");
    }

    fn judge_authenticated(&mut self, credential: &Credential, at: Timestamp, result: Result<WorkspaceId, Failure>) {
        let key = self.model.key(credential, at);
        assert_eq!(result, key.map(|key| key.workspace).ok_or(Failure::Rejected(Rejected::Unauthorized)), "{credential:?}");
        self.count(if result.is_ok() { "authenticated" } else { "not authenticated" });
        self.say(&format!("authenticate {}: {result:?}", credential.api_key_id));
    }

    /// Reads what the store has beyond what is known: at most one frame, which follows.
    fn admit(&mut self, store: &MemoryStore) {
        let next = self.known.chain.next_sequence();
        let frames: Vec<_> = store.scan(next).map(Result::unwrap).collect();
        assert!(frames.len() <= 1, "a commit is one frame");
        for frame in frames {
            let fresh = &mut self.fresh;
            self.known.chain.admit(&frame, |_, record, hash| fresh.push_back((record.clone(), hash))).expect("a frame that follows");
        }
    }

    /// The next records, which are those of one command decided at this instant.
    fn take(&mut self, count: usize, at: Timestamp) -> Vec<Record> {
        assert!(count <= self.fresh.len(), "the log lacks records: {count} are due of {:?}", self.fresh);
        let records: Vec<(Record, Hash)> = self.fresh.drain(..count).collect();
        for (record, hash) in &records {
            assert_eq!(record.time, at, "a record carries the instant of its decision");
            if let Some(id) = record.event.receipt_id() {
                assert!(Some(id) > self.last_receipt, "receipt ids increase, across lives too");
                self.last_receipt = Some(id);
            }
            self.known.state.apply(record, *hash);
        }
        records.into_iter().map(|(record, _)| record).collect()
    }

    pub(crate) fn ended(&mut self) -> Ended {
        Ended {
            transcript: std::mem::take(&mut self.transcript),
            head: self.known.chain.frame_hash().to_string(),
            tally: std::mem::take(&mut self.tally),
        }
    }
}

fn events(records: Vec<Record>) -> Vec<allowlog_proto::event::Event> {
    records.into_iter().map(|record| record.event).collect()
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("ALLOWLOG_SIM_SEED={} repeats this; at work:{}", self.seed, self.at_work);
        }
    }
}
