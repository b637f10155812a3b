//! Integration tests: in process through the router, on a virtual clock, each ending with a full audit of the log;
//! and a few with the real binary over a real socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test or a bench that meets the unexpected must end")]

mod document;
mod harness;

mod admin;
mod affixio;
mod allowly;
mod binary;
mod clock;
mod durable;
mod envelope;
mod evidence;
mod exactness;
mod faults;
mod limits;
mod listener;
mod openapi;
mod pages;
mod permitly;
mod story;
mod verify;
mod webhooks;
mod witness;

// Chance that can be repeated is drawn as in the core's own tests.
#[expect(dead_code, reason = "these tests need some of it")]
#[path = "../../projections/tests/decisions/dice.rs"]
mod dice;
