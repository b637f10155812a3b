//! `GET /v1/receipts/{id}`: pending, or signed and never changing from then on. `GET /v1/receipts`: what there is.

use std::sync::Arc;

use allowlog_projections::receipts::receipt;
use allowlog_projections::state::SigningKey;
use allowlog_proto::api::allowly::{self, Cursor, PendingReceipt, ReceiptBody, ReceiptItem, ReceiptsBody, ReceiptsQuery};
use allowlog_proto::id::{ReceiptId, WorkspaceId};
use allowlog_proto::json::Value;
use allowlog_proto::receipt::About;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};

use super::path_id;
use crate::app::App;
use crate::http::{ApiError, call};
use crate::log::StoreError;
use crate::receipts::{Standing, find as find_in_log, is_signed};
use crate::search::{Facet, Filter, Order, Page, Request};

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

/// A page of the receipts of the caller's workspace that fit the query.
pub async fn list(State(app): State<App>, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Response, ApiError> {
    let credential = call::credential(&app, &headers)?;
    let workspace_id = app.engine.authenticate(credential).await?;
    let query = ReceiptsQuery::parse(&call::pairs(query.as_deref())).map_err(ApiError::invalid)?;
    let keys = app.engine.read(move |state, _| state.workspace(workspace_id).map(|w| w.signing_keys.clone())).await?;
    // The index and the log are read beside the threads that answer.
    let found = tokio::task::spawn_blocking(move || {
        let page = app.search.find(&request(workspace_id, &query))?;
        body(&app, &page, &keys.unwrap_or_default()).map(|body| Json(body).into_response())
    });
    Ok(found.await.map_err(|_| ApiError::internal())??)
}

fn request(workspace_id: WorkspaceId, query: &ReceiptsQuery) -> Request {
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
    Request { filter, order, after: query.cursor.map(|Cursor(sequence)| sequence), limit: query.limit() }
}

fn body<'p>(app: &App, page: &'p Page, keys: &[SigningKey]) -> Result<ReceiptsBody<'p>, StoreError> {
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
            signed: is_signed(&app.store, &app.keyring, hit.sequence, &hit.record, keys)?,
            created_at: receipt.issued_at,
        });
    }
    let last = page.hits.last().filter(|_| page.has_more);
    Ok(ReceiptsBody { items, has_more: page.has_more, next_cursor: last.map(|hit| Cursor(hit.sequence)) })
}

/// The receipt of a workspace; the log is read beside the threads that answer.
pub(super) async fn find(app: &App, workspace_id: WorkspaceId, id: ReceiptId) -> Result<Option<ReceiptBody>, ApiError> {
    let keys = app.engine.read(move |state, _| state.workspace(workspace_id).map(|w| w.signing_keys.clone())).await?;
    let (store, keyring) = (Arc::clone(&app.store), Arc::clone(&app.keyring));
    let found = tokio::task::spawn_blocking(move || find_in_log(&store, &keyring, workspace_id, id, &keys.unwrap_or_default())).await;
    Ok(match found.map_err(|_| ApiError::internal())?? {
        None => None,
        Some(Standing::Pending(record)) => Some(ReceiptBody::Pending(PendingReceipt::new(id, record.time, &app.public_url))),
        Some(Standing::Signed(document)) => Some(ReceiptBody::signed(Value::parse(document.as_bytes()).map_err(|_| ApiError::internal())?)),
    })
}
