//! A log in memory: commits as the writer does, and audits the bytes it stored when it is dropped.

use std::ops::Range;

use allowlog_projections::command::{Action, Command, Visit};
use allowlog_projections::decide::{Decided, Outcome, decide};
use allowlog_projections::ids::Ids;
use allowlog_projections::receipts::{self, receipt};
use allowlog_projections::rejected::Rejected;
use allowlog_projections::state::{Answered, SigningKey, State};
use allowlog_proto::chain::Chain;
use allowlog_proto::event::{CheckEvent, Event};
use allowlog_proto::frame::{Frame, FrameBuilder};
use allowlog_proto::id::{KeyId, WorkspaceId};
use allowlog_proto::json::Value;
use allowlog_proto::record::{Record, Request};
use allowlog_proto::time::Timestamp;

pub(crate) struct Log {
    pub(crate) state: State,
    pub(crate) records: Vec<Record>,
    chain: Chain,
    ids: Ids,
    bytes: Vec<u8>,
    /// Who would have signed each receipt, at the moment it was issued.
    signers: Vec<(WorkspaceId, Timestamp, KeyId)>,
    /// The records of each command that its caller named, and what was answered then.
    named: Vec<(Range<usize>, Outcome)>,
}

impl Log {
    pub(crate) fn new(random: impl FnMut() -> u128 + Send + 'static) -> Self {
        Self {
            state: State::new(),
            records: Vec::new(),
            chain: Chain::new(),
            ids: Ids::new(random),
            bytes: Vec::new(),
            signers: Vec::new(),
            named: Vec::new(),
        }
    }

    /// Decides, and stores what was decided in one frame.
    pub(crate) fn run(&mut self, command: &Command, now: Timestamp) -> Result<Decided, Rejected> {
        let mut decided = decide(&self.state, command, now, &mut self.ids)?;
        let request = match command {
            Command::Caller { request, .. } => request.clone(),
            Command::Operator(_) | Command::Visitor { .. } => None,
        };
        if let Outcome::Repeated(answered) = &decided.outcome {
            assert!(request.is_some() && self.records[place(answered.first)].request == request, "the request is the first one's");
            self.first_answer(answered);
        }
        let start = self.records.len();
        let (first, previous) = (self.chain.next_sequence(), self.chain.frame_hash());
        let mut frame = FrameBuilder::new();
        let mut events = decided.events.clone();
        let mut checks = command.batch().iter();
        loop {
            for event in std::mem::take(&mut events) {
                self.store(&mut frame, decided.workspace_id, now, event, request.clone());
            }
            let Some(check) = checks.next() else { break };
            events = decided.decide_next(&self.state, check, now, &mut self.ids);
            decided.events.extend(events.clone());
        }
        assert_outcome_says_what_is_stored(&decided);
        assert_outcome_can_be_told_again(command, &decided, now);
        if let Some(frame) = frame.seal(first, previous) {
            self.chain.close(frame.hash());
            self.bytes.extend_from_slice(frame.bytes());
        }
        if request.is_some() && !decided.events.is_empty() {
            self.named.push((start..self.records.len(), decided.outcome.clone()));
            self.assert_a_retry_gets_this_answer(command, now);
        }
        Ok(decided)
    }

    fn store(&mut self, frame: &mut FrameBuilder, workspace_id: WorkspaceId, now: Timestamp, event: Event, request: Option<Request>) {
        let has_receipt = event.receipt_id().is_some();
        let (record, _) = receipts::record(&self.chain, workspace_id, now, event, request);
        let hash = frame.push(&record).expect("a record within its limit");
        self.chain.extend(&record, hash);
        self.state.apply(&record, hash);
        if has_receipt {
            let workspace = self.state.workspace(workspace_id).unwrap();
            let signer = SigningKey::active_at(&workspace.signing_keys, now).expect("a signer");
            self.signers.push((workspace_id, now, signer.key_id));
        }
        self.records.push(record);
    }

    /// The same again at once leaves nothing, and is told what the last command was, which left the last records.
    fn assert_a_retry_gets_this_answer(&mut self, command: &Command, now: Timestamp) {
        let again = decide(&self.state, command, now, &mut self.ids).expect("whoever was answered is answered again");
        let Outcome::Repeated(answered) = &again.outcome else { panic!("{:?} is no retry", again.outcome) };
        assert!(again.events.is_empty(), "a retry leaves nothing");
        let (last, outcome) = self.named.last().expect("the command itself");
        assert_eq!(place(answered.first)..place(answered.first + answered.count), *last);
        assert_eq!(self.first_answer(answered), *outcome);
    }

    /// What was answered to the command that left these records: its own records, all of them and no others.
    pub(crate) fn first_answer(&self, answered: &Answered) -> Outcome {
        let range = place(answered.first)..place(answered.first + answered.count);
        let (_, outcome) = self.named.iter().find(|(records, _)| *records == range).expect("the records of one command");
        let records = &self.records[range];
        let events: Vec<Event> = records.iter().map(|record| record.event.clone()).collect();
        assert_eq!(Outcome::of(&events, records[0].time).as_ref(), Some(outcome), "the log tells the first answer");
        outcome.clone()
    }

    /// Folds the stored bytes again and finds the same records, the same head and the same state.
    pub(crate) fn audit(&self) {
        let (mut chain, mut state, mut records) = (Chain::new(), State::new(), Vec::new());
        let mut rest = self.bytes.as_slice();
        while !rest.is_empty() {
            let frame = Frame::read(rest).expect("a stored frame");
            rest = &rest[frame.bytes().len()..];
            let each = |_, record: &Record, hash| {
                assert_eq!(record.receipt, receipts::receipt_hash(record), "a record carries the hash of its receipt");
                state.apply(record, hash);
                records.push(record.clone());
            };
            chain.admit(&frame, each).expect("a frame that follows");
        }
        assert_eq!(records, self.records, "what was read is what was written");
        assert_eq!(chain, self.chain, "both come to the same head");
        assert_eq!(state, self.state, "replay is the state");
        assert_eq!(state.hash(), self.state.hash(), "equal states have equal hashes");
        let mut saved = Vec::new();
        state.save(&mut saved).unwrap();
        assert_eq!(State::load(&mut saved.as_slice()).unwrap(), state, "a snapshot is the state");
        self.audit_receipts();
        self.audit_signers();
    }

    /// Every receipt is canonical, carries the time of its record, and follows the one before it.
    fn audit_receipts(&self) {
        let mut last = None;
        for record in &self.records {
            let made = receipt(record);
            assert_eq!(made.as_ref().map(|r| r.receipt_id), record.event.receipt_id());
            let Some(made) = made else { continue };
            assert!(Some(made.receipt_id) > last, "receipt ids increase");
            last = Some(made.receipt_id);
            assert_eq!((made.receipt_id.time_ms(), made.issued_at), (record.time.as_ms(), record.time));
            let text = made.canonical().expect("a context that can be signed");
            let mut again = String::new();
            Value::parse(text.as_bytes()).unwrap().write_canonical("", &mut again).unwrap();
            assert_eq!(text, again, "a receipt is written canonically");
        }
    }

    /// The key document names, for every receipt, the very key that was active when it was issued, and no other.
    fn audit_signers(&self) {
        for (workspace_id, issued_at, key_id) in &self.signers {
            let document = self.state.workspace(*workspace_id).unwrap().key_document(*workspace_id);
            let covers = |from: Timestamp, until: Option<Timestamp>| from <= *issued_at && until.is_none_or(|until| *issued_at < until);
            let active: Vec<KeyId> = document.keys.iter().filter(|k| covers(k.active_from, k.active_until)).map(|k| k.key_id).collect();
            assert_eq!(active, [*key_id], "one key is active at {issued_at}");
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.audit();
        }
    }
}

fn place(sequence: u64) -> usize {
    usize::try_from(sequence).unwrap()
}

/// The answer to a caller is a function of what is stored. An operator's command cannot be named, so nobody asks.
fn assert_outcome_can_be_told_again(command: &Command, decided: &Decided, now: Timestamp) {
    let told = Outcome::of(&decided.events, now);
    match command {
        // The secret of a key is told once: nobody can be told again.
        Command::Caller { request: None, action: Action::CreateApiKey(..), .. } => assert_eq!(told, None),
        // Nobody asks again for having looked.
        Command::Visitor { visit: Visit::View(_), .. } => assert_eq!(told, None),
        Command::Caller { .. } | Command::Visitor { .. } if !decided.events.is_empty() => {
            assert_eq!(told.as_ref(), Some(&decided.outcome));
        }
        Command::Caller { .. } | Command::Visitor { .. } | Command::Operator(_) => assert_eq!(told, None),
    }
}

/// What the caller is told is what is stored: the results of a check are its events, a receipt named is one made.
fn assert_outcome_says_what_is_stored(decided: &Decided) {
    let receipts: Vec<_> = decided.events.iter().filter_map(Event::receipt_id).collect();
    match &decided.outcome {
        Outcome::Checked(checked) => {
            let stored = checked.results.iter().map(|result| Event::Check(CheckEvent::Decided(std::sync::Arc::clone(result))));
            assert_eq!(decided.events, stored.collect::<Vec<_>>());
        }
        Outcome::Created(created) => assert_eq!(receipts, [created.granted.receipt_id]),
        Outcome::Revoked(revoked) => assert_eq!(receipts, [revoked.receipt_id]),
        Outcome::Resolved(resolved) => assert_eq!(receipts, resolved.receipt_id.into_iter().collect::<Vec<_>>()),
        Outcome::TokenVerified(verified) => assert_eq!(receipts, [verified.receipt_id]),
        Outcome::PaymentDecided(decided, _) => assert_eq!(receipts, [decided.receipt_id]),
        Outcome::Refused(refused) => assert_eq!(receipts, [refused.moved.receipt_id]),
        Outcome::TokenIssued(issued, _) => assert_eq!(receipts, [issued.receipt_id]),
        Outcome::Reconciled(settled) => {
            assert_eq!(receipts, settled.results.iter().map(|reconciled| reconciled.receipt_id).collect::<Vec<_>>());
        }
        // The first answer again names the first receipt.
        Outcome::Intent(_) if decided.events.is_empty() => {}
        Outcome::Intent(intent) => assert_eq!(receipts, intent.receipt_id.into_iter().collect::<Vec<_>>()),
        Outcome::Delegation(_) => assert_eq!(receipts.len(), decided.events.len(), "a grant, or nothing"),
        Outcome::WorkspaceCreated(_)
        | Outcome::WorkspaceChanged(_)
        | Outcome::Agent(_)
        | Outcome::Credential(_)
        | Outcome::Device(_)
        | Outcome::IntentCreated(_)
        | Outcome::Abandoned(..)
        | Outcome::Queued(_)
        | Outcome::ApiKeyCreated(_)
        | Outcome::ApiKeyRevoked(_)
        | Outcome::SigningKeyRotated(_)
        | Outcome::Confirmed(_)
        | Outcome::BundleCreated(..)
        | Outcome::BundleDeleted(..)
        | Outcome::TombstonePlaced { .. }
        | Outcome::TombstoneLifted { .. }
        | Outcome::Consent(_)
        | Outcome::ConsentViewed(_)
        | Outcome::TokenMinted(..)
        | Outcome::ManageLink(_)
        | Outcome::ConsentAgent(_) => assert!(receipts.is_empty(), "no receipt of its own"),
        Outcome::Repeated(_) => assert!(decided.events.is_empty(), "a retry leaves nothing"),
    }
}
