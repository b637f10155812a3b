//! What a snapshot, a saved fold, is made of: items one behind the other, in the encoding of events.
//!
//! A snapshot can always be made again from the log, and only the version of the program that wrote it reads it: so no
//! layout is promised here, and `FORMAT.md` says nothing of it.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;

/// A value that can be an item.
pub trait Item: Serialize + DeserializeOwned {}

impl<T: Serialize + DeserializeOwned> Item for T {}

/// Appends an item.
///
/// # Errors
/// As the writer says, or if the item is too large to be read again.
pub fn save(item: &impl Item, to: &mut dyn Write) -> io::Result<()> {
    codec::encode_item(item, to).map_err(io::Error::other)
}

/// Reads the next item.
///
/// # Errors
/// As the reader says, or if what is there is no such item.
pub fn load<T: Item>(from: &mut dyn Read) -> io::Result<T> {
    codec::decode_item(from).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
