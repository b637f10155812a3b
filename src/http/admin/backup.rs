//! `GET /admin/v1/backup`: the whole log and the sealed signing keys as one file, while the server goes on.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use tokio::task::spawn_blocking;
use utoipa::openapi::KnownFormat;
use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};

use super::Operator;
use crate::app::App;
use crate::http::openapi::Entry;
use crate::http::{ApiError, streaming};
use crate::log::backup;
use crate::telemetry;

const MEDIA_TYPE: &str = "application/octet-stream";

/// Everything that is durable now, read as the client takes it.
pub async fn stream(_: Operator, State(app): State<App>) -> Result<Response, ApiError> {
    // The end is fixed before the keys are listed: each is sealed before the record that names it.
    let frames = app.store.scan(0);
    let keyring = Arc::clone(&app.keyring);
    let keys = spawn_blocking(move || keyring.sealed()).await.map_err(|_| ApiError::internal())?;
    let keys = keys.map_err(|error| {
        let _request = telemetry::request().entered();
        tracing::error!(error = %error, "the signing keys could not be read for a backup");
        ApiError::unavailable("the signing keys cannot be read")
    })?;
    let body = streaming::body("a backup", move |out| backup::write(out, &keys, frames, |_| {}).map(drop));
    let headers = [(header::CONTENT_TYPE, MEDIA_TYPE), (header::CONTENT_DISPOSITION, "attachment; filename=\"allowlog.backup\"")];
    Ok((headers, body).into_response())
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
