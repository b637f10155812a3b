//! `GET /v1/receipts/{id}`: pending, or signed and never changing from then on. `GET /v1/receipts`: what there is.

use allowlog_projections::receipts::receipt;
use allowlog_projections::state::{SigningKey, State as CoreState};
use allowlog_proto::api::allowly::{self, ReceiptBody, ReceiptItem, ReceiptsQuery};
use allowlog_proto::api::page::PageBody;
use allowlog_proto::id::{ReceiptId, WorkspaceId};
use allowlog_proto::receipt::About;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type};

use super::path_id;
use crate::app::App;
use crate::http::openapi::Entry;
use crate::http::receipt::find;
use crate::http::{ApiError, call};
use crate::log::StoreError;
use crate::receipts::{is_signed, locate};
use crate::search::{Facet, Filter, Order, Page, Request};
use crate::telemetry::blocking;

/// The receipt as it stands.
pub async fn by_id(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<ReceiptBody>, ApiError> {
    let credential = call::credential(&app, &headers)?;
    let workspace_id = app.engine.authenticate(credential).await?;
    let unknown = || ApiError::not_found("receipt");
    let id = ReceiptId::parse(&path_id(path)).ok_or_else(unknown)?;
    find(&app, workspace_id, id).await?.map(Json).ok_or_else(unknown)
}

pub fn by_id_entry() -> Entry {
    Entry::reads("Receipts", "get_receipt", "A receipt")
        .about("Pending for a moment, then signed, and never changing from then on.")
        .names::<ReceiptId>("id", "Its id.")
        .answers::<ReceiptBody>(200, "The receipt as it stands.")
        .refuses_with(404, "`not_found`: the workspace has no such receipt.")
}

/// A page of the receipts of the caller's workspace that fit the query.
pub async fn list(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, ApiError> {
    let (credential, page, query) = call::page(&app, &headers, &uri, ReceiptId::parse, ReceiptsQuery::read).await?;
    let keys = |state: &CoreState, workspace_id| state.workspace(workspace_id).map(|w| w.signing_keys.clone()).unwrap_or_default();
    let read = app.engine.read_as(credential, move |state, workspace_id, _| (workspace_id, keys(state, workspace_id)));
    let (workspace_id, keys) = read.await?;
    // The index and the log are read beside the threads that answer.
    let found = blocking(move || {
        // The cursor names a receipt of the workspace: its place in the log is nobody's business.
        let after = match page.after {
            None => None,
            Some(id) => Some(locate(&app.store, workspace_id, id)?.ok_or_else(call::unknown_cursor)?.sequence),
        };
        let page = app.search.find(&request(workspace_id, &query, after, page.limit))?;
        Ok::<_, ApiError>(Json(body(&app, &page, &keys)?).into_response())
    });
    found.await.map_err(|_| ApiError::internal())?
}

pub fn list_entry() -> Entry {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let date_time = || text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    // An empty value is as none.
    let instant = || AnyOfBuilder::new().item(date_time()).item(text().max_length(Some(0)));
    Entry::reads("Receipts", "list_receipts", "The receipts of the workspace")
        .about(
            "Newest first, but the chain of one authorization reads oldest first. Filters are combined with AND and compared exactly; an \
             answered call's receipts are listed from the next request on.",
        )
        .paged()
        .query("authorization_id", "Of this authorization: its create, checks, resolutions and revoke.", text())
        .query("user_id", "Of this person.", text())
        .query("resource", "On this resource.", text())
        .query("session_id", "Of checks in this session.", text())
        .query("scope", "Of checks of this scope.", text())
        .query("event", "Of this event: `authorization.create`, `authorization.revoke` or `escalation.resolve`.", text())
        .query("decision", "With this decision.", text())
        .query("from", "Issued at this instant or later; RFC 3339 with an offset, 1970 to 9999.", instant())
        .query("to", "Issued before this instant; RFC 3339 with an offset, 1970 to 9999.", instant())
        .query("order", "Oldest first, or newest first.", text().enum_values(Some(["asc", "desc"])))
        .answers::<PageBody<ReceiptItem<'static>>>(200, "A page.")
}

fn request(workspace_id: WorkspaceId, query: &ReceiptsQuery, after: Option<u64>, limit: usize) -> Request {
    let facets = [
        (Facet::AuthorizationId, query.authorization_id.as_deref()),
        (Facet::UserId, query.user_id.as_deref()),
        (Facet::Resource, query.resource.as_deref()),
        (Facet::SessionId, query.session_id.as_deref()),
        (Facet::Scope, query.scope.as_deref()),
        (Facet::Event, query.event.as_deref()),
        (Facet::Decision, query.decision.as_deref()),
    ];
    let mut filter = Filter::all(workspace_id).between(query.from, query.to);
    for (facet, value) in facets {
        if let Some(value) = value {
            filter = filter.with(facet, value);
        }
    }
    let order = match query.order() {
        allowly::Order::Ascending => Order::Ascending,
        allowly::Order::Descending => Order::Descending,
    };
    Request { filter, order, after, limit }
}

fn body<'p>(app: &App, page: &'p Page, keys: &[SigningKey]) -> Result<PageBody<ReceiptItem<'p>>, StoreError> {
    let mut items = Vec::with_capacity(page.hits.len());
    for hit in &page.hits {
        let Some(receipt) = receipt(&hit.record) else { continue };
        let (scope, event) = match receipt.about {
            About::Scope(scope) => (Some(scope), None),
            About::Event(event) => (None, Some(event)),
        };
        items.push(ReceiptItem {
            receipt_id: receipt.receipt_id,
            authorization_id: receipt.authorization_id,
            scope,
            event,
            decision: receipt.decision,
            signed: is_signed(&app.store, &app.keyring, hit.sequence, &hit.record, keys),
            created_at: receipt.issued_at,
        });
    }
    let last = items.last().filter(|_| page.has_more).map(|item| item.receipt_id.to_string());
    Ok(PageBody::up_to(items, last.as_deref()))
}
