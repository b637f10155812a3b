//! Bodies of the APIs. A request is parsed into types that need no further check; an answer is a struct to serialize.

pub mod admin;
pub mod affixio;
pub mod allowly;
pub mod envelope;
pub mod fields;
pub mod page;
pub mod permitly;
pub mod query;
