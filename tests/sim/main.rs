//! Simulation: the real engine over a store in memory beside a slow model of the contract, from one seed.
//!
//! Batches, reads, clock jumps, restarts, crashes and storage faults fall as the dice say; all of it runs in one thread
//! for each seed, so a seed is a run, to the byte. A failure prints its seed and the command at work.
//!
//! `ALLOWLOG_SIM_SEED=7` runs that seed and prints its transcript, `ALLOWLOG_SIM_SEEDS=0..100000` runs many.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that meets the unexpected must end")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::thread;

use allowlog_proto::reason::Reason;

use crate::keys::Keys;
use crate::run::{Ended, Run};

mod audit;
mod keys;
mod ledger;
mod life;
mod retold;
mod run;

// The core's own tests hold the model and draw the commands; what one of them learns the other knows.
#[path = "../../projections/tests/decisions/answer.rs"]
mod answer;
#[path = "../../projections/tests/decisions/commands.rs"]
mod commands;
#[path = "../../projections/tests/decisions/consent_commands.rs"]
mod consent_commands;
#[path = "../../projections/tests/decisions/consent_model.rs"]
mod consent_model;
#[path = "../../projections/tests/decisions/dice.rs"]
mod dice;
#[path = "../../projections/tests/decisions/interpreter.rs"]
mod interpreter;
#[path = "../../projections/tests/decisions/model.rs"]
mod model;
#[path = "../../projections/tests/decisions/offline_model.rs"]
mod offline_model;
#[path = "../../projections/tests/decisions/payment_answer.rs"]
mod payment_answer;
#[path = "../../projections/tests/decisions/payment_audit.rs"]
mod payment_audit;
#[path = "../../projections/tests/decisions/payment_commands.rs"]
mod payment_commands;
#[path = "../../projections/tests/decisions/payment_model.rs"]
mod payment_model;

/// Seeds that every change runs.
const SEEDS: Range<u64> = 0..400;

/// How often what happened.
type Tally = BTreeMap<String, u32>;

#[test]
fn the_engine_agrees_with_the_model() {
    let keys = Keys::new();
    if let Ok(seed) = std::env::var("ALLOWLOG_SIM_SEED") {
        Run::new(seed.parse().expect("a seed"), &keys, true).go();
        return;
    }
    let given = std::env::var("ALLOWLOG_SIM_SEEDS").ok();
    let seeds = given.as_ref().map_or(SEEDS, |text| {
        let (from, to) = text.split_once("..").expect("seeds as from..to");
        from.parse().expect("the first seed")..to.parse().expect("the seed behind the last")
    });
    let tally = run_all(&keys, seeds.clone());
    // Any range of this size comes to everything; a smaller one may not.
    if seeds.end - seeds.start >= SEEDS.end {
        assert_all_was_reached(&tally);
    }
}

#[test]
fn a_seed_is_a_run_to_the_byte() {
    let keys = Keys::new();
    let run = |seed| Run::new(seed, &keys, false).go();
    for seed in [3, 4] {
        let (one, other): (Ended, Ended) = (run(seed), run(seed));
        assert_eq!(one.transcript, other.transcript);
        assert_eq!((one.head, one.tally), (other.head, other.tally));
    }
    assert_ne!(run(3).head, run(4).head);
}

/// Each thread takes every n-th seed; the seeds know nothing of each other.
fn run_all(keys: &Keys, seeds: Range<u64>) -> Tally {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let tallies: Vec<Tally> = thread::scope(|scope| {
        let started: Vec<_> = (0..threads)
            .map(|nth| {
                let mine = seeds.clone().skip(nth).step_by(threads);
                scope.spawn(move || {
                    let mut tally = Tally::new();
                    for seed in mine {
                        for (what, count) in Run::new(seed, keys, false).go().tally {
                            *tally.entry(what).or_default() += count;
                        }
                    }
                    tally
                })
            })
            .collect();
        started.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let mut all = Tally::new();
    for (what, count) in tallies.into_iter().flatten() {
        *all.entry(what).or_default() += count;
    }
    all
}

/// A simulation that never comes to a thing tests nothing of it.
fn assert_all_was_reached(tally: &Tally) {
    let often = |what: &str, least: u32| {
        assert!(tally.get(what).is_some_and(|count| *count >= least), "too few `{what}`: {tally:#?}");
    };
    for reason in Reason::ALL {
        often(reason.as_str(), 40);
    }
    for answer in ledger::ANSWERED {
        often(answer, 40);
    }
    for answer in ledger::PAID {
        often(answer, 8);
    }
    for what in run::REACHED {
        often(what, 20);
    }
}
