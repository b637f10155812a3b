//! `/v1/tombstones` and `/v1/tombstones/{id}`.

use std::ops::Bound;

use allowlog_projections::command::Action;
use allowlog_projections::decide::Outcome;
use allowlog_proto::api::allowly::{KnownTombstoneBody, LiftedTombstoneBody, TombstoneBody};
use allowlog_proto::api::page::PageBody;
use allowlog_proto::id::TombstoneId;
use allowlog_proto::limits::BODY_BYTES_MAX;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};

use super::path_id;
use crate::app::App;
use crate::http::openapi::Entry;
use crate::http::{ApiError, call};

/// Closes a resource to every agent.
pub async fn place(State(app): State<App>, request: Request) -> Result<(StatusCode, Json<KnownTombstoneBody>), ApiError> {
    let call = call::parse(&app, request, BODY_BYTES_MAX, TombstoneBody::parse).await?;
    let command = call.command(|body| Action::PlaceTombstone(Box::new(body)));
    let Outcome::TombstonePlaced { tombstone_id, resource, reason, created_at } = app.submit(command).await?.outcome else {
        return Err(ApiError::internal());
    };
    Ok((StatusCode::CREATED, Json(KnownTombstoneBody { tombstone_id, resource, reason, created_at })))
}

pub fn place_entry() -> Entry {
    Entry::acts("Tombstones", "place_tombstone", "Close a resource to every agent")
        .about("From the next check on, everything on exactly this resource is denied.")
        .body::<TombstoneBody>(BODY_BYTES_MAX)
        .answers::<KnownTombstoneBody>(201, "The tombstone.")
        .leads_to("lift_tombstone", "id", "tombstone_id")
        .refuses_with(409, "`conflict`: the resource has a tombstone already.")
}

/// The live tombstones of the workspace, newest first.
pub async fn list(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Json<PageBody<KnownTombstoneBody>>, ApiError> {
    let (credential, page, ()) = call::page(&app, &headers, &uri, TombstoneId::parse, |_| ()).await?;
    let read = app.engine.read_as(credential, move |state, workspace_id, _| {
        let before = page.after.map_or(Bound::Unbounded, Bound::Excluded);
        let tombstones = state.workspace(workspace_id).map(|w| w.tombstones.range((Bound::Unbounded, before)).rev());
        let tombstones = tombstones.into_iter().flatten().take(page.limit.saturating_add(1));
        tombstones
            .map(|(id, tombstone)| KnownTombstoneBody {
                tombstone_id: *id,
                resource: tombstone.resource.clone(),
                reason: tombstone.reason.clone(),
                created_at: tombstone.created_at,
            })
            .collect()
    });
    Ok(Json(PageBody::new(read.await?, page.limit, |last| last.tombstone_id.to_string())))
}

pub fn list_entry() -> Entry {
    Entry::reads("Tombstones", "list_tombstones", "The live tombstones of the workspace").about("Newest first.").paged().answers::<PageBody<
        KnownTombstoneBody,
    >>(
        200, "A page."
    )
}

/// Opens the resource again.
pub async fn lift(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<LiftedTombstoneBody>, ApiError> {
    let call = call::parse(&app, request, BODY_BYTES_MAX, |_| Ok(())).await?;
    let id = TombstoneId::parse(&path_id(path));
    let command = call.command(|()| Action::LiftTombstone(id));
    let Outcome::TombstoneLifted { tombstone_id, resource, lifted_at } = app.submit(command).await?.outcome else {
        return Err(ApiError::internal());
    };
    Ok(Json(LiftedTombstoneBody { tombstone_id, resource, lifted_at }))
}

pub fn lift_entry() -> Entry {
    Entry::acts("Tombstones", "lift_tombstone", "Open a resource again")
        .names::<TombstoneId>("id", "The id of its tombstone.")
        .ignored_body(BODY_BYTES_MAX)
        .answers::<LiftedTombstoneBody>(200, "It is lifted.")
        .refuses_with(404, "`not_found`: the workspace has no such tombstone.")
}
