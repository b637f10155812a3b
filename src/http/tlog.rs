//! The transparency log of each workspace, for everybody: its last checkpoint, and the tiles of its tree (C2SP tlog-tiles).

use allowlog_proto::api::query::Parameters;
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::merkle::ENTRY_BYTES;
use allowlog_proto::tile::{TILE_WIDTH, Tile};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, Uri, header};
use axum::response::{IntoResponse as _, Response};
use data_encoding::BASE64;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use utoipa::openapi::KnownFormat;
use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};

use super::openapi::Entry;
use super::routes::{Routes, get};
use super::{ApiError, call};
use crate::app::App;
use crate::checkpoints::{Published, verifier_key};
use crate::telemetry::{self, blocking};
use crate::tiles::Tiles;

/// A checkpoint that is due is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// A tile of one width never changes.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const FOREVER_IS: &str = "`public, max-age=31536000, immutable`";
const TEXT: &str = "text/plain; charset=utf-8";
const TEXT_IS: &str = "text/plain";
const BYTES: &str = "application/octet-stream";
const TAG: &str = "Transparency log";

/// Every endpoint.
pub fn routes() -> Routes {
    Routes::default()
        .route("/tlog/{id}/checkpoint", [get(checkpoint, checkpoint_entry())])
        .route("/tlog/{id}/keys", [get(keys, keys_entry())])
        .route("/tlog/{id}/consistency", [get(consistency, consistency_entry())])
        .route("/tlog/{id}/tile/{*tile}", [get(tile, tile_entry())])
}

/// The last one that was published.
async fn checkpoint(State(app): State<App>, path: Result<Path<String>, PathRejection>) -> Result<Response, ApiError> {
    let (_, published) = published(&app, path.map(|Path(id)| id)).await?;
    let headers = [(header::CONTENT_TYPE, TEXT), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, published.note.to_string()).into_response())
}

fn checkpoint_entry() -> Entry {
    let text = ObjectBuilder::new().schema_type(Type::String);
    Entry::open(TAG, "checkpoint", "What the log of a workspace comes to, signed")
        .about(
            "A signed note (C2SP tlog-checkpoint): origin, size and root of the tree over all records of the workspace, by its signing key, \
             with the cosignatures of the witnesses the server is told to wait for. It is at most a second behind the last answer.",
        )
        .names::<WorkspaceId>("id", "The workspace.")
        .answers_with(TEXT_IS, "The checkpoint.", text)
        .header("Cache-Control", "`no-cache`")
        .refuses_with(404, "`not_found`: there is no such workspace.")
}

/// What its checkpoints were and are signed with.
async fn keys(State(app): State<App>, path: Result<Path<String>, PathRejection>) -> Result<Response, ApiError> {
    let unknown = || ApiError::not_found("workspace");
    let id = path.ok().and_then(|Path(id)| WorkspaceId::parse(&id)).ok_or_else(unknown)?;
    let keys = app.engine.read(move |state, _| state.workspace(id).map(|workspace| workspace.signing_keys.clone())).await?;
    let text: String =
        keys.ok_or_else(unknown)?.iter().filter_map(|key| Some(verifier_key(id, &key.public_key)?.to_string() + "\n")).collect();
    Ok(([(header::CONTENT_TYPE, TEXT)], text).into_response())
}

fn keys_entry() -> Entry {
    Entry::open(TAG, "log_keys", "What the checkpoints of a workspace are verified with")
        .about(
            "Its signing keys as verifier keys (C2SP), a line for each, oldest first; the last one signs. `allowlog witness --trust-file` takes the \
             answer as it is.",
        )
        .names::<WorkspaceId>("id", "The workspace.")
        .answers_with(TEXT_IS, "The keys.", ObjectBuilder::new().schema_type(Type::String))
        .refuses_with(404, "`not_found`: there is no such workspace.")
}

/// That the tree of one size is what the tree of another begins with.
async fn consistency(State(app): State<App>, path: Result<Path<String>, PathRejection>, uri: Uri) -> Result<Response, ApiError> {
    let pairs = call::pairs(uri.query());
    let mut parameters = Parameters::of(&pairs);
    let size = |text: &str| text.parse::<u64>().map_err(|_| "must be a number of records".to_owned());
    let (old, new) = (parameters.read("old", size), parameters.read("new", size));
    let (old, new) = parameters.finish((old, new)).map_err(ApiError::invalid)?;
    let (id, published) = published(&app, path.map(|Path(id)| id)).await?;
    let (old, new) = (old.unwrap_or(0), new.unwrap_or(published.size));
    if old > new || new > published.size {
        return Err(ApiError::not_found("pair of sizes"));
    }
    let hashes = read(&app, id, published, move |tiles| tiles.consistency(id, old, new)).await?;
    let text: String = hashes.iter().map(|hash| BASE64.encode(&hash.0) + "\n").collect();
    Ok(([(header::CONTENT_TYPE, TEXT)], text).into_response())
}

fn consistency_entry() -> Entry {
    let size = || ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(9_007_199_254_740_991_i64));
    Entry::open(TAG, "consistency", "That one tree of a workspace is what another begins with")
        .about("An RFC 6962 consistency proof: a line in base64 for each hash, none if nothing has to be proved.")
        .names::<WorkspaceId>("id", "The workspace.")
        .query("old", "Size of the smaller tree; 0 if absent.", size())
        .query("new", "Size of the larger tree; that of the last checkpoint if absent.", size())
        .answers_with(TEXT_IS, "The proof.", ObjectBuilder::new().schema_type(Type::String))
        .refuses_with(404, "`not_found`: there is no such workspace, or the last checkpoint does not reach so far, or `old` is larger.")
}

/// Hashes or entries, as many as the path says and the last checkpoint covers.
async fn tile(State(app): State<App>, path: Result<Path<(String, String)>, PathRejection>) -> Result<Response, ApiError> {
    let unknown = || ApiError::not_found("tile");
    let Path((id, tile)) = path.map_err(|_| unknown())?;
    let tile = Tile::parse(&tile).ok_or_else(unknown)?;
    let (id, published) = published(&app, Ok(id)).await?;
    let (level, index, width) = match tile {
        Tile::Hashes { level, index, width } => (u32::from(level), index, u64::from(width)),
        Tile::Entries { index, width } => (0, index, u64::from(width)),
    };
    let first = index.checked_mul(u64::from(TILE_WIDTH)).ok_or_else(unknown)?;
    let there = published.size.checked_shr(level.saturating_mul(8)).unwrap_or(0);
    if first.checked_add(width).is_none_or(|end| end > there) {
        return Err(unknown());
    }
    let bytes = match tile {
        Tile::Hashes { .. } => {
            read(&app, id, published, move |tiles| tiles.hashes(id, level, first, width)).await?.iter().flat_map(|h| h.0).collect()
        }
        Tile::Entries { .. } => bundle(&read(&app, id, published, move |tiles| tiles.entries(id, first, width)).await?),
    };
    let headers: [(HeaderName, HeaderValue); 2] =
        [(header::CONTENT_TYPE, HeaderValue::from_static(BYTES)), (header::CACHE_CONTROL, FOREVER)];
    Ok((headers, bytes).into_response())
}

/// Each entry behind its length.
fn bundle(entries: &[u8]) -> Vec<u8> {
    const LENGTH: [u8; 2] = (ENTRY_BYTES as u16).to_be_bytes();
    entries.chunks(ENTRY_BYTES).flat_map(|entry| LENGTH.iter().chain(entry)).copied().collect()
}

fn tile_entry() -> Entry {
    let bytes = ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
    Entry::open(TAG, "tile", "Hashes or entries of the tree of a workspace")
        .about(
            "As C2SP tlog-tiles has them: `<level>/<index>` for 256 hashes, `entries/<index>` for 256 entries, `.p/<width>` behind one that is \
             not full. The index is written in groups of three digits, all but the last behind an `x`. An entry tells nothing: it is the hash of \
             a record and that of its receipt.",
        )
        .names::<WorkspaceId>("id", "The workspace.")
        .path("tile", "Which; the slashes within it are written as they are.", Some("0/000.p/1".into()))
        .answers_with(BYTES, "The hashes back to back, or the entries, each behind its length (2 bytes).", bytes)
        .header("Cache-Control", FOREVER_IS)
        .refuses_with(404, "`not_found`: there is no such workspace or tile, or the last checkpoint does not reach so far.")
}

/// The last checkpoint of a workspace. One that is new has its first within a second.
async fn published(app: &App, id: Result<String, PathRejection>) -> Result<(WorkspaceId, Arc<Published>), ApiError> {
    let unknown = || ApiError::not_found("workspace");
    let id = id.ok().and_then(|id| WorkspaceId::parse(&id)).ok_or_else(unknown)?;
    if let Some(published) = app.checkpoints.latest(id) {
        return Ok((id, published));
    }
    let is_there = app.engine.read(move |state, _| state.workspace(id).is_some()).await?;
    if is_there { Ok((id, covering(app, id, 1).await?)) } else { Err(unknown()) }
}

/// The last checkpoint of a workspace, once it covers so many records: that takes less than a second, if nothing is in the way.
pub(super) async fn covering(app: &App, workspace_id: WorkspaceId, records: u64) -> Result<Arc<Published>, ApiError> {
    let published = app.checkpoints.covering(workspace_id, records, PATIENCE).await;
    published.ok_or_else(|| {
        ApiError::unavailable(if app.checkpoints.is_held_up(workspace_id) {
            "No checkpoint of this workspace can be published at the moment; the server's operator is told why"
        } else {
            "No checkpoint covers it yet; try again shortly"
        })
    })
}

/// Reads the tree of a workspace beside the threads that answer, once it is sure to be that of the checkpoint.
pub(super) async fn read<T: Send + 'static>(
    app: &App,
    workspace_id: WorkspaceId,
    published: Arc<Published>,
    read: impl FnOnce(&Tiles) -> io::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    let tiles = Arc::clone(&app.checkpoints.tiles);
    let read = move || tiles.vouch(workspace_id, published.size, published.root).and_then(|()| read(&tiles));
    let read = blocking(read).await.map_err(|_| ApiError::internal())?;
    read.map_err(|error| {
        let _request = telemetry::request().entered();
        tracing::error!(error = %error, "the trees could not be read");
        ApiError::unavailable("The trees cannot be read at the moment")
    })
}
