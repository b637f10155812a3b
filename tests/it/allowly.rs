//! The Allowly face: a file for each of its files.

mod authorizations;
mod check;
mod confirmations;
mod escalations;
mod keys;
mod receipts;
