//! `GET /admin/v1/backup`: the whole log and the sealed signing keys as one file, while the server goes on.

use std::io::{self, Write};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use http_body_util::channel::{Channel, Sender};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use utoipa::openapi::KnownFormat;
use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};

use super::Operator;
use crate::app::App;
use crate::http::ApiError;
use crate::http::openapi::Entry;
use crate::log::backup;

const MEDIA_TYPE: &str = "application/octet-stream";
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces read ahead of a slow client.
const PIECES: usize = 4;

/// Everything that is durable now, read as the client takes it.
pub async fn stream(_: Operator, State(app): State<App>) -> Result<Response, ApiError> {
    // The end is fixed before the keys are listed: each is sealed before the record that names it.
    let frames = app.store.scan(0);
    let keyring = Arc::clone(&app.keyring);
    let keys = spawn_blocking(move || keyring.sealed()).await.map_err(|_| ApiError::internal())?;
    let keys = keys.map_err(|error| {
        tracing::error!(error = %error, "the signing keys could not be read for a backup");
        ApiError::unavailable("the signing keys cannot be read")
    })?;
    let (sender, body) = Channel::<Bytes, io::Error>::new(PIECES);
    let mut pieces = Pieces { sender, runtime: Handle::current(), piece: Vec::with_capacity(PIECE_BYTES) };
    spawn_blocking(move || {
        if let Err(error) = backup::write(&mut pieces, &keys, frames, |_| {}) {
            // The client sees that the connection ends early, and that the footer is missing.
            tracing::warn!(error = %error, "a backup was not completed");
            pieces.sender.abort(io::Error::other("the backup was not completed"));
        }
    });
    let headers = [(header::CONTENT_TYPE, MEDIA_TYPE), (header::CONTENT_DISPOSITION, "attachment; filename=\"allowlog.backup\"")];
    Ok((headers, Body::new(body)).into_response())
}

pub fn entry() -> Entry {
    let bytes = ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
    Entry::operates("backup", "The whole log as one file")
        .about(
            "From the first event to the last that is durable now, with the sealed signing keys, but neither the master key nor the admin \
             token. `allowlog backup` asks for it and checks it; `allowlog restore` makes a data directory of it. An answer without the \
             footer that the format has is none.",
        )
        .answers_with(MEDIA_TYPE, "A backup, as proto/FORMAT.md has it.", bytes)
}

/// What is written goes to the client, piece by piece, no faster than it takes them.
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
