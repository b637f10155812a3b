//! The Allowly face: a file for each of its files, and one for each thing that goes through several.

mod authorizations;
mod budgets;
mod bundles;
mod check;
mod check_batch;
mod conditions;
mod confirmations;
mod escalations;
mod idempotency;
mod keys;
mod receipts;
mod tombstones;
