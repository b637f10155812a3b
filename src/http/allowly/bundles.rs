//! `/v1/agent-scope-bundles` and `/v1/agent-scope-bundles/{id}`.

use std::ops::Bound;

use allowlog_projections::command::Action;
use allowlog_projections::decide::Outcome;
use allowlog_proto::api::allowly::{BundleBody, DeletedBundleBody, KnownBundleBody};
use allowlog_proto::api::page::PageBody;
use allowlog_proto::limits::{BODY_BYTES_MAX, BODY_METADATA_BYTES_MAX};
use allowlog_proto::text::BundleId;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};

use super::path_id;
use crate::app::App;
use crate::http::openapi::Entry;
use crate::http::{ApiError, call};

/// Keeps a set of scopes to grant from.
pub async fn create(State(app): State<App>, request: Request) -> Result<(StatusCode, Json<KnownBundleBody>), ApiError> {
    let call = call::parse_naming(&app, request, BODY_METADATA_BYTES_MAX, &["agent_id"], BundleBody::parse).await?;
    let command = call.command(|body| Action::CreateBundle(Box::new(body)));
    let Outcome::BundleCreated(bundle, created_at) = app.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    Ok((StatusCode::CREATED, Json(KnownBundleBody::new(&bundle, created_at))))
}

pub fn create_entry() -> Entry {
    Entry::acts("Bundles", "create_bundle", "Keep a set of scopes to grant from")
        .body::<BundleBody>(BODY_METADATA_BYTES_MAX)
        .answers::<KnownBundleBody>(201, "The bundle.")
        .leads_to("delete_bundle", "id", "id")
        .refuses_with(409, "`conflict`: a live bundle has this id.")
}

/// The live bundles of the workspace, in the order of their ids.
pub async fn list(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Json<PageBody<KnownBundleBody>>, ApiError> {
    let (credential, page, ()) = call::page(&app, &headers, &uri, |id| BundleId::new(id).ok(), |_| ()).await?;
    let read = app.engine.read_as(credential, move |state, workspace_id, _| {
        let behind = page.after.map_or(Bound::Unbounded, Bound::Excluded);
        let bundles = state.workspace(workspace_id).map(|w| w.bundles.range((behind, Bound::Unbounded)));
        let bundles = bundles.into_iter().flatten().take(page.limit.saturating_add(1));
        bundles.map(|(_, live)| live.clone()).collect::<Vec<_>>()
    });
    // Copied where everybody waits, put into words here.
    let items = read.await?.iter().map(|live| KnownBundleBody::new(&live.bundle, live.created_at)).collect();
    Ok(Json(PageBody::new(items, page.limit, |last| last.id.to_string())))
}

pub fn list_entry() -> Entry {
    Entry::reads("Bundles", "list_bundles", "The live bundles of the workspace")
        .about("In the order of their ids.")
        .paged()
        .answers::<PageBody<KnownBundleBody>>(200, "A page.")
}

/// Grants from a bundle no more; what was granted stays as it is.
pub async fn remove(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<DeletedBundleBody>, ApiError> {
    let call = call::parse(&app, request, BODY_BYTES_MAX, |_| Ok(())).await?;
    let id = BundleId::new(&path_id(path)).ok();
    let command = call.command(|()| Action::DeleteBundle(id));
    let Outcome::BundleDeleted(id, deleted_at) = app.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    Ok(Json(DeletedBundleBody { id, deleted_at }))
}

pub fn remove_entry() -> Entry {
    Entry::acts("Bundles", "delete_bundle", "Grant from a bundle no more")
        .about("What was granted from it stays as it is, and its id may be used again.")
        .names::<BundleId>("id", "Its id.")
        .ignored_body(BODY_BYTES_MAX)
        .answers::<DeletedBundleBody>(200, "It is deleted.")
        .refuses_with(404, "`not_found`: the workspace has no such bundle.")
}
