//! The one file that knows bincode: events, each with its request, to bytes and back, trailing bytes refused; and the items
//! of a snapshot.

use std::io::{Read, Write};

use bincode::config::{Configuration, Limit, LittleEndian, NoLimit, Varint};

use crate::event::Event;
use crate::limits::RECORD_BYTES_MAX;
use crate::record::Request;
use crate::snapshot::Item;

/// Of a record, whose bytes are all there: a text or a list ends where they end, whatever length it claims, so nothing needs
/// to be counted. That is why every text of an event is made from a `CompactString`, which borrows what it is read from; for
/// a `String`, memory of the claimed length would be taken first.
const RECORD: Configuration<LittleEndian, Varint, NoLimit> = bincode::config::standard();

/// What bincode may count while it reads an item of a snapshot, so that a length that is none takes no memory. It counts a
/// number by the size of its type, not by the bytes it took, so a string of length zero, one byte as stored, counts as eight.
const ITEM_BYTES_MAX: usize = 8 * RECORD_BYTES_MAX;

const ITEM: Configuration<LittleEndian, Varint, Limit<ITEM_BYTES_MAX>> = bincode::config::standard().with_limit::<ITEM_BYTES_MAX>();

/// Appends the bytes of an event and of the request it came from.
pub(crate) fn encode(event: &Event, request: Option<&Request>, to: &mut Vec<u8>) -> Result<(), EncodeError> {
    bincode::serde::encode_into_std_write((event, request), to, RECORD).map(|_| ()).map_err(|_| EncodeError)
}

/// Reads an event with its request that fills `bytes` exactly.
pub(crate) fn decode(bytes: &[u8]) -> Result<(Event, Option<Request>), DecodeError> {
    match bincode::serde::decode_from_slice(bytes, RECORD) {
        Ok((decoded, read)) if read == bytes.len() => Ok(decoded),
        Ok(_) => Err(DecodeError::TrailingBytes),
        Err(error) => Err(DecodeError::Malformed(error.to_string())),
    }
}

/// Appends an item of a snapshot.
pub(crate) fn encode_item(item: &impl Item, mut to: &mut dyn Write) -> Result<(), bincode::error::EncodeError> {
    bincode::serde::encode_into_std_write(item, &mut to, ITEM).map(drop)
}

/// Reads the next item of a snapshot.
pub(crate) fn decode_item<T: Item>(mut from: &mut dyn Read) -> Result<T, bincode::error::DecodeError> {
    bincode::serde::decode_from_std_read(&mut from, ITEM)
}

/// An event that cannot be written; no event this project makes is one.
#[derive(Debug, thiserror::Error)]
#[error("the event is too large to be stored")]
pub struct EncodeError;

/// Bytes that are no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The event ends before its bytes do.
    #[error("the event is followed by bytes that do not belong to it")]
    TrailingBytes,
    /// No event this version knows.
    #[error("the event cannot be decoded: {0}")]
    Malformed(String),
}
