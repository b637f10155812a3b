//! The pure core of allowlog: state folded from events, the decisions made on it, and what receipts say.
//!
//! No clock, no chance, no I/O, no async: time and chance are arguments. Read in this order:

pub mod command;
pub mod ids;
pub mod rejected;

pub mod audit;
pub mod decide;
pub mod receipts;
pub mod state;
pub mod webhooks;
