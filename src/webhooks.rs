//! Webhooks: what happened to a consent is told to the URL of its agent. A follower of the log, with its own stored position.
//!
//! At least once: a message stays in the outbox until it was delivered or given up, and the position passes a record only with
//! its message in there. Its bytes are a function of the record, so every attempt carries the same ones, and the same id.

mod endpoints;
mod follower;
mod outbox;
mod sender;
mod signature;
mod target;

pub use endpoints::Endpoints;
pub use follower::{Delivering, Progress, Sources};
pub use outbox::{LADDER_MS, Outbox};
pub use sender::{Failure, Lookup, Resolved, Sender};
pub use signature::signature;
pub use target::{Target, is_public};
