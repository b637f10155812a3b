//! What the core decides: text tables, precedence, a slow model beside it, and what its receipts say.
//!
//! `log` commits as the writer does and audits what it stored, `table` reads the tables, `wording` puts outcomes and
//! events into their words. `model` decides everything once more, `interpreter` the conditions, `commands` draws what both
//! are asked; consents and payments have files of their own beside each, and `payment_audit` says what holds in every log.
//! To add a reason: a row in `tables/check.txt`, a pair in `tables/precedence.txt`; a code of the gate: a row in
//! `tables/gate.txt`, a pair in `tables/gate_precedence.txt`.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that goes wrong stops"
)]

mod answer;
mod commands;
mod conditions;
mod consent_commands;
mod consent_model;
mod consent_wording;
mod consent_words;
mod consents;
mod dice;
mod interpreter;
mod log;
mod model;
mod offline_model;
mod payment_answer;
mod payment_audit;
mod payment_commands;
mod payment_limits;
mod payment_model;
mod payment_precedence;
mod payment_receipts;
mod payment_wording;
mod payment_words;
mod precedence;
mod published;
mod random_runs;
mod receipts;
mod table;
mod wording;

/// One test for each table, so that a failure names its table.
macro_rules! tables {
    ($($name:ident: $file:literal,)*) => {
        $(
            #[test]
            fn $name() {
                table::run(include_str!($file));
            }
        )*
    };
}

tables! {
    workspaces_and_keys: "tables/keys.txt",
    create: "tables/create.txt",
    check: "tables/check.txt",
    constraints: "tables/constraints.txt",
    confirm: "tables/confirm.txt",
    resolve: "tables/resolve.txt",
    both_requirements: "tables/both_requirements.txt",
    revoke: "tables/revoke.txt",
    isolation: "tables/isolation.txt",
    operators: "tables/operators.txt",
    conditions: "tables/conditions.txt",
    budget: "tables/budget.txt",
    bundles: "tables/bundles.txt",
    tombstones: "tables/tombstones.txt",
    plans: "tables/plans.txt",
    requests: "tables/requests.txt",
    consents: "tables/consents.txt",
    consent_agents: "tables/consent_agents.txt",
    registry: "tables/registry.txt",
    gate: "tables/gate.txt",
    payment_intents: "tables/payment_intents.txt",
    offline: "tables/offline.txt",
}
