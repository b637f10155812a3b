//! `/v1/offline`: tokens to pay with where the server cannot be asked, and what devices tell of them.

use std::sync::Arc;

use allowlog_projections::command::{Action, Payments};
use allowlog_projections::decide::Outcome;
use allowlog_projections::state::{OfflineTransaction, SigningKey, State as CoreState};
use allowlog_proto::api::affixio::{
    DecisionBody, NullifierBody, NullifiersBody, NullifiersCheckedBody, OfflineTokenBody, OfflineTokenIssuedBody, QueueBody,
    QueuedTransactionBody, ReconcileBody, ReconciledBody, SettlementBody, TransactionsBody, nullifier,
};
use allowlog_proto::event::{Reconciled, TokenIssued};
use allowlog_proto::id::{OfflineTransactionId, WorkspaceId};
use allowlog_proto::limits::{BODY_BYTES_MAX, BODY_METADATA_BYTES_MAX};
use allowlog_proto::offline_token::OfflineClaims;
use allowlog_proto::text::OpaqueId;
use allowlog_proto::time::Timestamp;
use allowlog_proto::token::signed_token;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use data_encoding::HEXLOWER;

use super::{gate, path_id};
use crate::app::{App, CreateError};
use crate::http::openapi::Entry;
use crate::http::{ApiError, call};
use crate::telemetry::blocking;

/// Makes a token, if the gate lets so much be paid.
pub async fn issue(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let call = call::parse(&app, request, BODY_BYTES_MAX, OfflineTokenBody::parse).await?;
    let asked = Some(call.body.delegation.clone());
    let committed = app.submit(call.command(|body| Action::Pay(Payments::IssueToken(Box::new(body))))).await?;
    match committed.outcome {
        Outcome::TokenIssued(issued, at) => {
            let token = sign(&app, committed.workspace_id, &issued, at).await?;
            Ok((StatusCode::CREATED, Json(issued_body(&issued, token))).into_response())
        }
        Outcome::PaymentDecided(decided, _) => Ok(Json(gate::body(&decided, asked)).into_response()),
        _ => Err(ApiError::internal()),
    }
}

pub fn issue_entry() -> Entry {
    Entry::acts("Offline payments", "issue_offline_token", "Make a token to pay with offline")
        .affixio()
        .about(
            "The gate decides, and the amount is reserved. The token is a JSON Web Signature (EdDSA) of the org's key at `GET \
             /v1/workspaces/{id}/keys`, so that a terminal checks it without asking. What is not spent is given back 24 h after its end.",
        )
        .body::<OfflineTokenBody>(BODY_BYTES_MAX)
        .answers::<OfflineTokenIssuedBody>(201, "The token.")
        .answers::<DecisionBody>(200, "No token: the gate's decision, which is no error.")
        .refuses_with(
            409,
            "`invalid_state`: the delegation has as many tokens as one may have; or the idempotency key was given with another request.",
        )
}

/// The token, signed with the key that was active when it was issued: so it can be made again.
async fn sign(app: &App, workspace_id: WorkspaceId, issued: &TokenIssued, at: Timestamp) -> Result<String, ApiError> {
    let claims = OfflineClaims::of(workspace_id, at, issued);
    let keys = app.engine.read(move |state, _| {
        let workspace = state.workspace(workspace_id)?;
        SigningKey::active_at(&workspace.signing_keys, at).map(|key| key.key_id)
    });
    let key_id = keys.await?.ok_or_else(ApiError::internal)?;
    let keyring = Arc::clone(&app.keyring);
    let signed = blocking(move || {
        let private = keyring.private_key(key_id)?;
        let input = claims.signing_input(key_id);
        Ok(signed_token(&input, &private.sign(input.as_bytes())))
    });
    signed.await.map_err(|_| ApiError::internal())?.map_err(|error| CreateError::Keyring(error).into())
}

fn issued_body(issued: &TokenIssued, token: String) -> OfflineTokenIssuedBody {
    OfflineTokenIssuedBody {
        token_id: issued.token_id,
        token,
        nullifier: HEXLOWER.encode(&issued.nullifier),
        max_amount: issued.max_amount,
        currency: issued.currency,
        delegation_id: issued.authorization_id.into(),
        expires_at: issued.expires_at,
        proof_id: issued.receipt_id.into(),
        audit_event_id: issued.receipt_id.into(),
    }
}

/// A device tells what it paid.
pub async fn queue(State(app): State<App>, request: Request) -> Result<(StatusCode, Json<QueueBody>), ApiError> {
    let call = call::parse(&app, request, BODY_METADATA_BYTES_MAX, TransactionsBody::parse).await?;
    let device = call.body.device.clone();
    let refs: Vec<_> = call.body.transactions.iter().map(|transaction| transaction.client_ref.clone()).collect();
    let committed = app.submit(call.command(|body| Action::Pay(Payments::Queue(Box::new(body))))).await?;
    let Outcome::Queued(ids) = committed.outcome else { return Err(ApiError::internal()) };
    let workspace_id = committed.workspace_id;
    let asked = device.clone();
    let read = app.engine.read(move |state, _| {
        let queue = state.offline_queue(workspace_id, &asked)?;
        // Those that were told of before are found by what the device calls them, the others are new.
        let unnamed = ids.into_iter().filter(|id| queue.get(*id).is_some_and(|transaction| transaction.client_ref.is_none()));
        let mut unnamed = unnamed.filter_map(|id| Some((id, queue.get(id)?)));
        let found = refs.iter().filter_map(|client_ref| match client_ref {
            Some(client_ref) => queue.called(client_ref),
            None => unnamed.next(),
        });
        Some(found.filter_map(|(id, transaction)| told(state, workspace_id, id, transaction)).collect::<Vec<_>>())
    });
    let transactions = read.await?.ok_or_else(ApiError::internal)?;
    Ok((StatusCode::ACCEPTED, Json(QueueBody { device_id: device, count: transactions.len(), transactions })))
}

pub fn queue_entry() -> Entry {
    Entry::acts("Offline payments", "queue_offline_transactions", "Tell what a device paid offline")
        .affixio()
        .about("They wait until they are reconciled. What the device gave a `client_ref` it may tell again: it is the same transaction.")
        .body::<TransactionsBody>(BODY_METADATA_BYTES_MAX)
        .answers::<QueueBody>(202, "Those of the request, as they stand.")
        .refuses_with(
            409,
            "`invalid_state`: the device has called another transaction so, or has as many waiting as one may have; or the idempotency key was \
             given with another request.",
        )
}

/// What of a device's payments waits to be reconciled.
pub async fn queued(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<QueueBody>, ApiError> {
    let credential = call::credential(&app, &headers)?;
    let Ok(device) = OpaqueId::new(&path_id(path)) else {
        app.engine.authenticate(credential).await?;
        return Err(ApiError::not_found("device"));
    };
    let asked = device.clone();
    let read = app.engine.read_as(credential, move |state, workspace_id, _| {
        let waiting = state.offline_queue(workspace_id, &asked).into_iter().flat_map(|queue| queue.waiting());
        waiting.filter_map(|(id, transaction)| told(state, workspace_id, id, transaction)).collect::<Vec<_>>()
    });
    let transactions = read.await?;
    Ok(Json(QueueBody { device_id: device, count: transactions.len(), transactions }))
}

pub fn queued_entry() -> Entry {
    Entry::reads("Offline payments", "get_offline_queue", "What waits to be reconciled")
        .affixio()
        .about("Of one device, the oldest first; nothing of a device that has told nothing.")
        .path("device_id", "The device, as it is called in transactions.", Some("till-3".into()))
        .answers::<QueueBody>(200, "All that waits, at most 1,000.")
        .refuses_with(404, "`not_found`: no device can be called so.")
}

/// Whether nullifiers are spent.
pub async fn check(State(app): State<App>, request: Request) -> Result<Json<NullifiersCheckedBody>, ApiError> {
    let credential = match call::credential(&app, request.headers()) {
        Ok(credential) => credential,
        Err(error) => {
            call::discard(request.into_body()).await;
            return Err(error);
        }
    };
    let body = call::body(request, BODY_METADATA_BYTES_MAX).await;
    let nullifiers = match body.and_then(|body| NullifiersBody::parse(&body).map_err(ApiError::invalid)) {
        Ok(body) => body.nullifiers,
        Err(error) => {
            app.engine.authenticate(credential).await?;
            return Err(error);
        }
    };
    let read = app.engine.read_as(credential, move |state, workspace_id, now| {
        let results = nullifiers.into_iter().map(|asked| checked(state, workspace_id, asked, now)).collect();
        NullifiersCheckedBody { checked_at: now, results }
    });
    Ok(Json(read.await?))
}

pub fn check_entry() -> Entry {
    Entry::reads("Offline payments", "check_nullifiers", "Whether nullifiers are spent")
        .affixio()
        .about("One is spent once a payment with it is settled. Nothing is recorded.")
        .body::<NullifiersBody>(BODY_METADATA_BYTES_MAX)
        .answers::<NullifiersCheckedBody>(200, "Each as it stands.")
}

fn checked(state: &CoreState, workspace_id: WorkspaceId, asked: OpaqueId, now: Timestamp) -> NullifierBody {
    let token = nullifier(asked.as_str()).and_then(|nullifier| state.nullified_by(workspace_id, nullifier));
    let status = match token {
        None => "unknown",
        Some((_, token)) if token.spent_by.is_some() => "spent",
        Some((_, token)) if now >= token.expires_at => "expired",
        Some(_) => "unspent",
    };
    NullifierBody { nullifier: asked, spent: status == "spent", status }
}

/// Settles what a device told.
pub async fn reconcile(State(app): State<App>, request: Request) -> Result<Json<ReconciledBody>, ApiError> {
    let call = call::parse(&app, request, BODY_BYTES_MAX, ReconcileBody::parse).await?;
    let device = call.body.device.clone();
    let committed = app.submit(call.command(|body| Action::Pay(Payments::Reconcile(Box::new(body))))).await?;
    let Outcome::Reconciled(settled) = committed.outcome else { return Err(ApiError::internal()) };
    let (workspace_id, asked) = (committed.workspace_id, device.clone());
    let read = app.engine.read(move |state, _| {
        let remaining = state.offline_queue(workspace_id, &asked).map_or(0, |queue| queue.waiting_count());
        let results = settled.results.iter().filter_map(|reconciled| settlement(state, workspace_id, reconciled)).collect();
        ReconciledBody { device_id: asked, reconciled_at: settled.reconciled_at, remaining, results }
    });
    Ok(Json(read.await?))
}

pub fn reconcile_entry(id: &'static str) -> Entry {
    Entry::acts("Offline payments", id, "Settle what a device paid offline")
        .affixio()
        .about(
            "Each once, the oldest first, at most a hundred in one call: `settled`; `double_spend` if another payment with the same token was \
             settled before; `expired` if it was made after the token's end, or told of too late; `over_limit` if the token is not good for so \
             much, in this currency, or to this merchant. Whoever reconciles first wins.",
        )
        .body::<ReconcileBody>(BODY_BYTES_MAX)
        .answers::<ReconciledBody>(200, "What came of each.")
}

/// A transaction as it stands.
fn told(
    state: &CoreState,
    workspace_id: WorkspaceId,
    id: OfflineTransactionId,
    transaction: &OfflineTransaction,
) -> Option<QueuedTransactionBody> {
    let token = state.offline_token(workspace_id, transaction.token_id)?;
    Some(QueuedTransactionBody {
        transaction_id: id,
        status: transaction.settled.map_or("queued", |((settlement, _), _)| settlement.as_str()),
        token_id: transaction.token_id,
        nullifier: HEXLOWER.encode(&token.nullifier),
        merchant_id: transaction.merchant_id.clone(),
        amount: transaction.amount,
        currency: transaction.currency,
        occurred_at: transaction.occurred_at,
        client_ref: transaction.client_ref.clone(),
        queued_at: transaction.queued_at,
    })
}

fn settlement(state: &CoreState, workspace_id: WorkspaceId, reconciled: &Reconciled) -> Option<SettlementBody> {
    let token = state.offline_token(workspace_id, reconciled.token_id)?;
    let transaction = state.offline_queue(workspace_id, &reconciled.device)?.get(reconciled.transaction_id)?;
    Some(SettlementBody {
        transaction_id: reconciled.transaction_id,
        status: reconciled.settlement,
        token_id: reconciled.token_id,
        nullifier: HEXLOWER.encode(&token.nullifier),
        merchant_id: reconciled.merchant_id.clone(),
        amount: reconciled.amount,
        currency: reconciled.currency,
        client_ref: transaction.client_ref.clone(),
        proof_id: reconciled.receipt_id.into(),
        audit_event_id: reconciled.receipt_id.into(),
    })
}
