//! Answers that are written while they are sent, no faster than the client takes them.

use std::fmt::Display;
use std::io::{self, Write};

use axum::body::{Body, Bytes};
use http_body_util::channel::{Channel, Sender};
use tokio::runtime::Handle;

use crate::telemetry::blocking;

const PIECE_BYTES: usize = 64 * 1024;
/// Pieces read ahead of a slow client.
const PIECES: usize = 4;

/// A body that `write` writes, on a thread that may wait. If it fails the connection ends early, as `what` tells the operator.
pub fn body<E: Display>(what: &'static str, write: impl FnOnce(&mut dyn Write) -> Result<(), E> + Send + 'static) -> Body {
    let (sender, body) = Channel::<Bytes, io::Error>::new(PIECES);
    let mut pieces = Pieces { sender, runtime: Handle::current(), piece: Vec::with_capacity(PIECE_BYTES) };
    blocking(move || {
        let written = write(&mut pieces).map_err(|e| e.to_string()).and_then(|()| pieces.flush().map_err(|e| e.to_string()));
        if let Err(error) = written {
            tracing::warn!(error, "{what} was not completed");
            pieces.sender.abort(io::Error::other("the answer was not completed"));
        }
    });
    Body::new(body)
}

/// What is written goes to the client, piece by piece.
struct Pieces {
    sender: Sender<Bytes, io::Error>,
    runtime: Handle,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        let sent = self.runtime.block_on(self.sender.send_data(piece.into()));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the client is gone"))
    }
}
