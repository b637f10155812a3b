//! The shell of allowlog: the only place with effects. Read in this order:

pub mod chance;
pub mod clock;
pub mod telemetry;

pub mod admin_token;
pub mod api_key;
pub mod data_dir;
pub mod hardening;
pub mod keyring;
pub mod manage_link;

pub mod checkpoints;
pub mod engine;
pub mod evidence;
pub mod fresh;
pub mod latch;
pub mod log;
pub mod priority;
pub mod receipts;
pub mod repeat;
pub mod replay;
pub mod search;
pub mod signing;
pub mod snapshots;
pub mod tiles;
pub mod webhooks;
pub mod witness;
pub mod witnesses;
pub mod writer;

pub mod app;
pub mod cli;
pub mod http;
pub mod opening;
