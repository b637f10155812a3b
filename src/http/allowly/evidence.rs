//! `GET /v1/evidence`: the story of an authorization, or everything of a workspace, with what proves it.

use std::sync::Arc;

use allowlog_projections::state::State as CoreState;
use allowlog_proto::api::allowly::EvidenceQuery;
use allowlog_proto::api::query::Parameters;
use allowlog_proto::id::AuthorizationId;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, SchemaType, Type};

use crate::app::App;
use crate::evidence::{Bundle, EvidenceError, Request};
use crate::http::openapi::Entry;
use crate::http::{ApiError, call, streaming, tlog};
use crate::telemetry::{self, blocking};

const MEDIA_TYPE: &str = "application/jsonl";

/// The bundle, read as the client takes it.
pub async fn export(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, ApiError> {
    let credential = call::credential(&app, &headers)?;
    let keys = |state: &CoreState, workspace_id| state.workspace(workspace_id).map(|w| w.signing_keys.clone()).unwrap_or_default();
    let size = |state: &CoreState, workspace_id| state.workspace(workspace_id).map_or(0, |workspace| workspace.tree.size());
    let read =
        app.engine.read_as(credential, move |state, workspace_id, _| (workspace_id, keys(state, workspace_id), size(state, workspace_id)));
    let (workspace_id, keys, size) = read.await?;
    let pairs = call::pairs(uri.query());
    let mut parameters = Parameters::of(&pairs);
    let query = EvidenceQuery::read(&mut parameters);
    let EvidenceQuery { authorization_id, from, to } = parameters.finish(query).map_err(ApiError::invalid)?;
    let unknown = || ApiError::not_found("authorization");
    let authorization_id = authorization_id.map(|id| AuthorizationId::parse(&id).ok_or_else(unknown)).transpose()?;
    let request = Request { workspace_id, keys, authorization_id, from, to };
    // Whatever was answered before is in it.
    let published = tlog::covering(&app, workspace_id, size).await?;
    let prepared =
        blocking(move || Bundle::prepare(Arc::clone(&app.store), Arc::clone(&app.keyring), &app.checkpoints.tiles, &published, request));
    let bundle = prepared.await.map_err(|_| ApiError::internal())?.map_err(|error| match error {
        EvidenceError::Unknown => unknown(),
        EvidenceError::Store(error) => error.into(),
        EvidenceError::Io(error) => {
            let _request = telemetry::request().entered();
            tracing::error!(error = %error, "evidence could not be put together");
            ApiError::unavailable("The trees cannot be read at the moment")
        }
    })?;
    let body = streaming::body("evidence", move |out| bundle.write(out, |_| {}));
    let headers = [(header::CONTENT_TYPE, MEDIA_TYPE), (header::CONTENT_DISPOSITION, "attachment; filename=\"evidence.jsonl\"")];
    Ok((headers, body).into_response())
}

pub fn export_entry() -> Entry {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    // Some readers take a bundle of one line for an object.
    let lines = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
    let instant = || text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    Entry::reads("Receipts", "evidence", "Evidence that needs no trust in this server")
        .about(
            "A bundle, one JSON object to a line: records, receipts, keys, and the proofs that lead to the last checkpoint. It is verified \
             offline by `allowlog audit verify`, or on the page `/verify`. In the story of an authorization every other record of the workspace is \
             shown to be in its place and about something else, without its contents.",
        )
        .query("authorization_id", "The story of this authorization, from its grant on, or from the request for consent that led to it; else everything of the workspace.", text())
        .query("from", "Records of this instant or later; RFC 3339 with an offset.", instant())
        .query("to", "Records before this instant; RFC 3339 with an offset.", instant())
        .answers_with(MEDIA_TYPE, "A bundle, as proto/FORMAT.md has it.", lines)
        .header("Content-Disposition", "`attachment; filename=\"evidence.jsonl\"`")
        .refuses_with(404, "`not_found`: the workspace has no such authorization.")
}
