//! The real binary over a real socket.

mod audit;
mod batch;
mod budget;
mod commands;
mod edge;
mod kill;
mod metrics;
mod process;
mod quickstart;
mod restore;
mod rollback;
mod search;
mod secrets;
mod telemetry;
mod tls;
mod webhooks;
mod witness;
