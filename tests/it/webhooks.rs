//! Webhooks over sockets: what is sent, to whom it is not, and what becomes of it when the receiver is unwell.

mod face;
mod follower;
pub mod receiver;
mod sender;
