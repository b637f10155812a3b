//! `/v1/escalations`, `/v1/escalations/{id}` and `/v1/escalations/{id}/resolve`: what third parties are asked, and answered.

use allowlog_projections::command::Action;
use allowlog_projections::decide::Outcome;
use allowlog_projections::state::{Escalation, Status};
use allowlog_proto::api::allowly::{KnownEscalationBody, PendingReceipt, ResolveBody, ResolvedBody};
use allowlog_proto::api::page::PageBody;
use allowlog_proto::api::query::{Parameters, one_of};
use allowlog_proto::id::EscalationId;
use allowlog_proto::limits::{BODY_BYTES_MAX, ESCALATION_LIFE_MS};
use allowlog_proto::time::Timestamp;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Uri};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::path_id;
use crate::app::App;
use crate::http::openapi::Entry;
use crate::http::{ApiError, call};

/// Escalations looked at for one page, so that a rare status holds nobody up; such a page is short and has a cursor.
const EXAMINED_MAX: usize = 10_000;
const STATUSES: &[&str] = &["pending", "approved", "rejected", "expired"];

/// An escalation as it stands.
pub async fn by_id(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<KnownEscalationBody>, ApiError> {
    let credential = call::credential(&app, &headers)?;
    let id = EscalationId::parse(&path_id(path));
    let read = app.engine.read_as(credential, move |state, workspace_id, now| {
        let id = id?;
        let escalation = state.escalation(workspace_id, id)?;
        Some(known(id, escalation, state.is_answerable(workspace_id, escalation, now)))
    });
    read.await?.map(Json).ok_or_else(|| ApiError::not_found("escalation"))
}

pub fn by_id_entry() -> Entry {
    Entry::reads("Escalations", "get_escalation", "An escalation as it stands")
        .names::<EscalationId>("id", "Its id.")
        .answers::<KnownEscalationBody>(200, "The escalation.")
        .refuses_with(404, "`not_found`: the workspace has no such escalation.")
}

/// The escalations of the workspace, newest first; `status` picks those that stand so.
pub async fn list(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Json<PageBody<KnownEscalationBody>>, ApiError> {
    let wanted = |parameters: &mut Parameters<'_>| parameters.read("status", one_of(STATUSES));
    let (credential, page, wanted) = call::page(&app, &headers, &uri, EscalationId::parse, wanted).await?;
    let read = app.engine.read_as(credential, move |state, workspace_id, now| {
        let (mut items, mut last) = (Vec::new(), None);
        let mut behind = state.escalations(workspace_id, page.after).rev();
        for (id, escalation) in behind.by_ref().take(EXAMINED_MAX) {
            last = Some(id);
            let known = known(id, escalation, state.is_answerable(workspace_id, escalation, now));
            items.extend(Some(known).filter(|one| wanted.is_none_or(|wanted| one.status == wanted)));
            if items.len() == page.limit {
                break;
            }
        }
        let has_more = behind.next().is_some();
        (items, last.filter(|_| has_more).map(|id| id.to_string()))
    });
    let (items, next) = read.await?;
    Ok(Json(PageBody::up_to(items, next.as_deref())))
}

pub fn list_entry() -> Entry {
    let status = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(STATUSES.iter().copied()));
    Entry::reads("Escalations", "list_escalations", "The escalations of the workspace")
        .about("Newest first. A page of a rare status may be short, or empty, and have more behind it.")
        .paged()
        .query("status", "Only those that stand so.", status)
        .answers::<PageBody<KnownEscalationBody>>(200, "A page.")
}

/// Records the third party's answer.
pub async fn resolve(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<ResolvedBody>, ApiError> {
    let call = call::parse_naming(&app, request, BODY_BYTES_MAX, &["resolved_by"], ResolveBody::parse).await?;
    let id = EscalationId::parse(&path_id(path));
    let command = call.command(|body| Action::Resolve(id, Box::new(body)));
    let Outcome::Resolved(resolved) = app.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    Ok(Json(ResolvedBody {
        escalation_id: resolved.escalation_id,
        status: resolved.resolution,
        resolved_by: resolved.resolved_by,
        resolved_at: resolved.resolved_at,
        receipt: resolved.receipt_id.map(|id| PendingReceipt::new(id, resolved.resolved_at, &app.public_url)),
    }))
}

pub fn resolve_entry() -> Entry {
    Entry::acts("Escalations", "resolve_escalation", "What the third party said")
        .about(
            "An approval lets one check through, within 24 h; a rejection denies for 24 h. The same resolution again gets the first one's \
             name and time, and no receipt.",
        )
        .names::<EscalationId>("id", "Its id.")
        .body::<ResolveBody>(BODY_BYTES_MAX)
        .answers::<ResolvedBody>(200, "How it is resolved.")
        .refuses_with(404, "`not_found`: the workspace has no such escalation.")
        .refuses_with(409, "`conflict`: it was resolved otherwise.")
        .refuses_with(410, "`gone`: nobody resolved it within 24 h, or the authorization was revoked.")
}

fn known(escalation_id: EscalationId, escalation: &Escalation, is_answerable: bool) -> KnownEscalationBody {
    let created_at = Timestamp::from_ms(escalation_id.time_ms()).unwrap_or_default();
    let (status, resolved) = match &escalation.status {
        Status::Open { .. } if is_answerable => ("pending", None),
        Status::Open { .. } => ("expired", None),
        Status::Approved { by, at, .. } => ("approved", Some((by.clone(), *at))),
        Status::Rejected { by, at } => ("rejected", Some((by.clone(), *at))),
    };
    let (resolved_by, resolved_at) = resolved.unzip();
    KnownEscalationBody {
        escalation_id,
        status,
        authorization_id: escalation.authorization_id,
        scope: escalation.scope.clone(),
        resource: escalation.resource.clone(),
        escalation_to: escalation.escalation_to.clone(),
        created_at,
        expires_at: created_at.saturating_add_ms(ESCALATION_LIFE_MS),
        resolved_by,
        resolved_at,
    }
}
