//! The real binary over a real socket.

mod audit;
mod batch;
mod budget;
mod commands;
mod edge;
mod insist;
mod kill;
mod metrics;
mod payments;
mod process;
mod quickstart;
mod restore;
mod rollback;
mod search;
mod secrets;
mod signup;
mod telemetry;
mod tls;
mod versions;
mod webhooks;
mod witness;
