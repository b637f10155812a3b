//! Integration tests: in process through the router, on a virtual clock, each ending with a full audit of the log;
//! and a few with the real binary over a real socket.

mod harness;

mod admin;
mod allowly;
mod binary;
mod envelope;
mod exactness;
mod faults;
mod story;
