//! The wire contracts of allowlog: everything a third party needs to read a log or to verify a receipt.
//!
//! To verify, begin with [`verify`] for a receipt, [`proof`] for a receipt and its place in the log, [`evidence`] for a bundle.
//!
//! No clock, no I/O, no runtime. `FORMAT.md` beside this crate specifies every byte in prose.
//! Read in this order:

pub mod limits;

pub mod id;
pub mod money;
pub mod redirect;
pub mod text;
pub mod time;

pub mod json;

pub mod chain;
pub mod event;
pub mod frame;
pub mod reason;
pub mod record;
pub mod snapshot;

pub mod key_document;
pub mod receipt;
pub mod signing;
pub mod verify;

pub mod offline_token;
pub mod token;

pub mod merkle;
pub mod note;
pub mod sha256;

pub mod checkpoint;
pub mod tile;

pub mod proof;
pub mod witness;

pub mod evidence;

pub mod api;

mod base64;
mod codec;
mod jws;
mod schema;
