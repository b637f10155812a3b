//! Random commands at random instants, decided by the core and by the model; a failure prints its seed.

use std::collections::BTreeMap;

use allowlog_projections::command::{Action, Command, Visit};
use allowlog_projections::decide::Outcome;
use allowlog_projections::state::State;
use allowlog_proto::api::allowly::{CheckBody, Source};
use allowlog_proto::event::{Code, Withdrawer};
use allowlog_proto::json::Value;
use allowlog_proto::reason::Reason;
use allowlog_proto::time::Timestamp;

use crate::answer::{Answer, Line, real_answer};
use crate::commands::Commands;
use crate::dice::Dice;
use crate::log::Log;
use crate::model::Model;
use crate::payment_audit::assert_limits_held;
use crate::wording::instant;

const SEEDS: u64 = 600;
const COMMANDS: u64 = 170;
/// Of a hundred commands, those about payments.
const PAYING: u64 = 4;
const MOSTLY_PAYING: u64 = 92;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// What a run comes to, beside the reasons.
const REACHED: &[&str] = &[
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
    "created from a bundle",
    "bundled",
    "bundled again under the same id",
    "unbundled",
    "closed",
    "opened",
    "changed",
    "a condition fired",
    "no condition fired",
    "retried",
    "retry of a check of several scopes",
    "retry of a batch",
    "a batch of several checks",
    "an escalation opened and met in one batch",
    "named once more after 24 h",
    "at an edge",
    "lapsed at this instant",
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
    "linked",
    "agent",
    "consent taken back by the person",
    "consent taken back by the builder",
    "the revoke of a consent's authorization",
    "a check under a consent",
    "a consent at its end",
];

#[test]
fn the_core_agrees_with_the_model() {
    let mut tally = BTreeMap::new();
    for seed in 0..SEEDS {
        Run::new(seed, PAYING).go(&mut tally, COMMANDS);
    }
    // A run that never comes to a rung tests nothing of it.
    for reason in Reason::ALL {
        assert!(tally.get(reason.as_str()).is_some_and(|count| *count >= 100), "too few {}: {tally:?}", reason.as_str());
    }
    for what in ["a key at its end", "a token at its end"] {
        assert!(tally.get(what).is_some_and(|count| *count >= 20), "too few `{what}`: {tally:?}");
    }
    for what in REACHED {
        assert!(tally.get(*what).is_some_and(|count| *count >= 100), "too few `{what}`: {tally:?}");
    }
}

/// Commands of a run that is mostly about payments.
const PAYMENTS: u64 = 110;

/// What runs about payments come to, beside the codes of the gate.
const PAID: &[&str] = &[
    "ALLOW",
    "ALLOW_WITH_LIMITS",
    "DENY",
    "REVIEW",
    "STEP_UP_REQUIRED",
    "payer",
    "credential",
    "device",
    "delegated",
    "delegation revoked again",
    "intent",
    "an intent moved again",
    "authorised",
    "captured",
    "cancelled",
    "abandoned",
    "refused when fresh",
    "permission_required",
    "permission_denied",
    "permission_expired",
    "amount_exceeds_limit",
    "permission_mismatch",
    "delegation_revoked",
    "limit_exceeded",
    "already used",
    "token issued",
    "queued",
    "queued before",
    "settled",
    "double_spend",
    "expired",
    "over_limit",
    "conflict",
    "not found",
    "invalid",
    "retried",
];

#[test]
fn the_core_agrees_with_the_model_about_payments() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let each = |nth: usize| {
        let mut tally = BTreeMap::new();
        (0..SEEDS).skip(nth).step_by(threads).for_each(|seed| Run::new(seed, MOSTLY_PAYING).go(&mut tally, PAYMENTS));
        tally
    };
    let tallies: Vec<BTreeMap<String, u32>> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|nth| scope.spawn(move || each(nth))).collect();
        started.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let mut tally: BTreeMap<String, u32> = BTreeMap::new();
    tallies.into_iter().flatten().for_each(|(what, count)| *tally.entry(what).or_default() += count);
    let codes = Code::ALL.iter().map(|code| code.as_str());
    for what in codes.chain(PAID.iter().copied()) {
        assert!(tally.get(what).is_some_and(|count| *count >= 30), "too few `{what}`: {tally:?}");
    }
}

/// What the folds of the first seeds hash to, with the version of the state it was recorded under.
///
/// If this fails, the same log comes to another state than before, or the state has other bytes: raise `State::VERSION`, so
/// that no snapshot of before is read, and record the new hash. (It fails, too, when the drawing of commands changes.)
const FOLDED: (u32, &str) = (4, "bf8a608e0622c0623e577193d1087026bd765fd6a48570a54aab681ee14a1ece");

#[test]
fn the_version_of_the_state_is_that_of_its_fold() {
    let mut folded = String::new();
    for seed in 0..40 {
        let mut run = Run::new(seed, if seed % 2 == 0 { PAYING } else { MOSTLY_PAYING });
        run.play(&mut BTreeMap::new(), COMMANDS);
        folded += &run.log.state.hash().to_string();
    }
    let hash = blake3::hash(folded.as_bytes()).to_hex();
    assert_eq!((State::VERSION, hash.as_str()), FOLDED);
}

struct Run {
    seed: u64,
    paying: u64,
    dice: Dice,
    log: Log,
    model: Model,
    public_keys: [[u8; 32]; 40],
    now: Timestamp,
    /// The command at work, for whoever reads a failure.
    at_work: String,
}

impl Run {
    fn new(seed: u64, paying: u64) -> Self {
        let mut chance = Dice::new(!seed);
        let log = Log::new(move || (u128::from(chance.next()) << 64) | u128::from(chance.next()));
        let public_keys = std::array::from_fn(|n| [u8::try_from(n).unwrap(); 32]);
        let (model, now) = (Model::default(), instant("09:00"));
        Self { seed, paying, dice: Dice::new(seed), log, model, public_keys, now, at_work: String::new() }
    }

    fn commands(&mut self) -> Commands<'_> {
        Commands { dice: &mut self.dice, model: &self.model, now: self.now, paying: self.paying, public_keys: &self.public_keys }
    }

    fn go(mut self, tally: &mut BTreeMap<String, u32>, commands: u64) {
        self.play(tally, commands);
        assert_limits_held(&self.log.records);
    }

    fn play(&mut self, tally: &mut BTreeMap<String, u32>, commands: u64) {
        let workspace: fn(&mut Commands<'_>) -> Command = |commands| commands.workspace();
        let create: fn(&mut Commands<'_>) -> Command = |commands| commands.create();
        for make in [workspace, workspace, create, create] {
            let command = make(&mut self.commands());
            self.judge(&command, tally);
        }
        for _ in 0..commands {
            self.step_clock(tally);
            let command = self.commands().any();
            self.judge(&command, tally);
        }
    }

    fn judge(&mut self, command: &Command, tally: &mut BTreeMap<String, u32>) {
        self.at_work = format!("at {}: {command:?}", self.now);
        let expected = self.model.answer(command, self.now);
        let result = self.log.run(command, self.now);
        let answer = real_answer(&result);
        assert_eq!(answer, expected, "core and model");
        if let (Ok(decided), Answer::Payment(answer)) = (&result, &answer) {
            assert_eq!(decided.events.len(), answer.records(), "all of it is stored");
        }
        if let Ok(decided) = &result {
            self.model.learn(command, self.now, decided);
        }
        self.assert_lapsed_is_forgotten();
        self.model.assert_consents_are(&self.log.state, self.now);
        self.model.assert_limits_are(&self.log.state, self.now);
        if let Ok(Outcome::Repeated(answered)) = result.as_ref().map(|decided| &decided.outcome) {
            assert_eq!(self.log.first_answer(answered), *self.model.first_answer(answered.first), "the first answer again");
        }
        let mut count = |what: &str| *tally.entry(what.to_owned()).or_default() += 1;
        if self.model.edges().contains(&self.now) {
            count("lapsed at this instant");
        }
        self.tally_command(command, &answer, &mut count);
        tally_answer(answer, count);
    }

    /// What only the command, or what was before it, tells.
    fn tally_command(&self, command: &Command, answer: &Answer, mut count: impl FnMut(&str)) {
        if let Command::Visitor { visit: Visit::Answer { consent_id, .. }, .. } = command
            && self.model.asked.iter().any(|asked| Some(asked.id) == *consent_id && asked.expires_at == self.now)
        {
            count("a consent at its end");
        }
        let Command::Caller { credential, action, .. } = command else { return };
        if self.model.api_keys.iter().any(|key| key.credential == *credential && key.expires_at == Some(self.now)) {
            count("a key at its end");
        }
        match (action, answer) {
            (Action::Revoke(..), Answer::Revoked(Some(_))) => count("the revoke of a consent's authorization"),
            (Action::VerifyToken { token, .. }, Answer::Consent(_)) if token.expires_at == self.now => count("a token at its end"),
            (Action::Check(body), Answer::Checked(_)) if self.is_of_a_consent(body) => count("a check under a consent"),
            (Action::Create(body), Answer::Created(..)) if matches!(body.source, Source::Bundle(_)) => count("created from a bundle"),
            (Action::CreateBundle(body), Answer::Bundled) => {
                let id = &body.bundle.bundle_id;
                if self.model.bundles.iter().any(|before| before.bundle.bundle_id == *id && before.deleted) {
                    count("bundled again under the same id");
                }
            }
            (Action::Check(body), Answer::Again { .. }) if body.scopes.len() > 1 => count("retry of a check of several scopes"),
            (Action::CheckBatch(checks), Answer::Again { .. }) if checks.len() > 1 => count("retry of a batch"),
            (Action::CheckBatch(checks), Answer::Checked(lines)) => {
                if checks.len() > 1 {
                    count("a batch of several checks");
                }
                if lines.iter().any(Line::meets_its_own_batch) {
                    count("an escalation opened and met in one batch");
                }
            }
            _ => {}
        }
        if self.model.requests.iter().filter(|named| named.command == *command).count() > 1 && !matches!(answer, Answer::Again { .. }) {
            count("named once more after 24 h");
        }
    }

    fn is_of_a_consent(&self, body: &CheckBody) -> bool {
        let granted = |id: &str| self.model.grants.iter().any(|grant| grant.id.to_string() == id);
        let id = body.authorization_id.as_str();
        self.model.asked.iter().any(|asked| asked.authorization.to_string() == id) && granted(id)
    }

    /// What lapsed by the time of the last record takes no memory any more.
    fn assert_lapsed_is_forgotten(&self) {
        let last = self.log.records.last().map_or(self.now, |record| record.time);
        for question in &self.model.questions {
            let open = self.model.workspaces.iter().any(|w| self.log.state.question(w.id, question.nonce).is_some());
            assert_eq!(open, !question.answered && last < question.until(), "{}", question.nonce);
        }
    }

    /// Often not at all, mostly a little, sometimes to the very millisecond at which something lapses, or beside it.
    fn step_clock(&mut self, tally: &mut BTreeMap<String, u32>) {
        // What is decided about payments is soon over.
        let is_slow = self.paying == MOSTLY_PAYING && self.dice.percent(70);
        let ms = match self.dice.below(100) {
            0..60 if is_slow => 0,
            60..97 if is_slow => self.dice.below(MINUTE / 15),
            0..30 => 0,
            30..80 => self.dice.below(MINUTE / 2),
            80..82 => self.dice.below(6 * HOUR),
            _ => {
                *tally.entry("at an edge".to_owned()).or_default() += 1;
                self.commands().beside_an_edge().as_ms() - self.now.as_ms()
            }
        };
        self.now = self.now.saturating_add_ms(ms);
    }
}

fn tally_answer(answer: Answer, mut count: impl FnMut(&str)) {
    match answer {
        Answer::Checked(lines) => {
            for line in lines {
                count(line.reason.as_str());
                if let Some(eval) = line.eval {
                    let fired = eval.get("matched_condition") != Some(&Value::Null);
                    count(if fired { "a condition fired" } else { "no condition fired" });
                }
            }
        }
        Answer::Refused(why) => count(why),
        Answer::Invalid(_) => count("invalid"),
        Answer::Resolved { again: true, .. } => count("resolved again"),
        Answer::Bundled => count("bundled"),
        Answer::Unbundled => count("unbundled"),
        Answer::Placed => count("closed"),
        Answer::Lifted(_) => count("opened"),
        Answer::Changed { .. } => count("changed"),
        Answer::Revoked(Some(by)) => count(match by {
            Withdrawer::EndUser => "consent taken back by the person",
            Withdrawer::Builder => "consent taken back by the builder",
        }),
        Answer::Consent(answer) => count(answer.as_str()),
        Answer::Payment(answer) => answer.told().into_iter().for_each(count),
        Answer::Again { .. } => count("retried"),
        Answer::Operated
        | Answer::Rotated(_)
        | Answer::Created(..)
        | Answer::Revoked(None)
        | Answer::Approved(_)
        | Answer::Declined
        | Answer::Resolved { .. } => {}
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("seed {}, {}", self.seed, self.at_work);
        }
    }
}
