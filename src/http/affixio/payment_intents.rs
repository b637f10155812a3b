//! `/v1/payment-intents`: what agents want to pay. Limits are consumed when one is authorised.

use allowlog_projections::command::{Action, Credential, Payments};
use allowlog_projections::decide::{IntentAt, Outcome};
use allowlog_projections::state::{Intent, Progress};
use allowlog_proto::api::affixio::{AuthoriseBody, AuthorisedBody, CaptureBody, IntentBody, OwnBody, PaymentIntentBody};
use allowlog_proto::id::{PaymentIntentId, ReceiptId};
use allowlog_proto::limits::BODY_BYTES_MAX;
use allowlog_proto::time::Timestamp;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};

use super::path_id;
use crate::app::App;
use crate::http::openapi::Entry;
use crate::http::{ApiError, call};

/// Somebody wants to pay something.
pub async fn create(State(app): State<App>, request: Request) -> Result<(StatusCode, Json<PaymentIntentBody>), ApiError> {
    let call = call::parse(&app, request, BODY_BYTES_MAX, IntentBody::parse).await?;
    let credential = call.credential().clone();
    let command = call.command(|body| Action::Pay(Payments::CreateIntent(Box::new(body))));
    let Outcome::IntentCreated(id) = app.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    Ok((StatusCode::CREATED, Json(shown(&app, credential, Some(id)).await?)))
}

pub fn create_entry() -> Entry {
    Entry::acts("Payments", "create_payment_intent", "Say what is to be paid")
        .affixio()
        .about("Nothing is consumed yet. It can be authorised for 24 h.")
        .body::<IntentBody>(BODY_BYTES_MAX)
        .answers::<PaymentIntentBody>(201, "The intent.")
        .leads_to("get_payment_intent", "id", "id")
        .leads_to("authorise_payment_intent", "id", "id")
        .refuses_with(404, "`not_found`: the org has no such agent or delegation, or what is named is no decision.")
}

/// An intent as it stands.
pub async fn by_id(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<PaymentIntentBody>, ApiError> {
    let credential = call::credential(&app, &headers)?;
    shown(&app, credential, named(path)).await.map(Json)
}

const UNKNOWN: &str = "`not_found`: the org has no such payment intent.";

pub fn by_id_entry() -> Entry {
    Entry::reads("Payments", "get_payment_intent", "A payment intent as it stands")
        .affixio()
        .names::<PaymentIntentId>("id", "Its id.")
        .answers::<PaymentIntentBody>(200, "The intent.")
        .refuses_with(404, UNKNOWN)
}

/// Consumes a decision for it, and the limits with it.
pub async fn authorise(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<AuthorisedBody>, ApiError> {
    let id = named(path);
    let call = call::parse(&app, request, BODY_BYTES_MAX, AuthoriseBody::parse).await?;
    let outcome = app.submit(call.command(|body| Action::Pay(Payments::Authorise(id, Box::new(body))))).await?.outcome;
    match outcome {
        Outcome::Intent(authorised) => body_of_authorised(&authorised).map(Json).ok_or_else(ApiError::internal),
        // That is recorded, with a receipt: it was a decision.
        Outcome::Refused(refused) => Err(ApiError::refused(refused.refusal)),
        _ => Err(ApiError::internal()),
    }
}

pub fn authorise_entry(id: &'static str) -> Entry {
    Entry::acts("Payments", id, "Authorise a payment intent")
        .affixio()
        .about(
            "Consumes a decision of the gate, and the limits with it, behind a fresh look at all that the decision was made by: a revoke in \
             between wins, a decision authorises once, and no limit is ever passed. The decision is the one that is named here, else the one \
             named when the intent was created, else the latest that was made for its id, else the latest that lets the same be paid. The same \
             again gets the first answer.",
        )
        .names::<PaymentIntentId>("id", "The intent.")
        .optional_body::<AuthoriseBody>(BODY_BYTES_MAX)
        .answers::<AuthorisedBody>(200, "It may be captured.")
        .refuses_with(
            403,
            "`permission_required`, `permission_denied`, `permission_expired`, `permission_mismatch`, `amount_exceeds_limit`, \
             `delegation_revoked` or `limit_exceeded`: nothing was consumed. `forbidden`: this API key may only read.",
        )
        .refuses_with(404, UNKNOWN)
        .refuses_with(
            409,
            "`permission_already_used`: the decision authorised another intent. `invalid_state`: the intent is over or authorised otherwise, or \
             the idempotency key was given with another request.",
        )
}

/// It is paid.
pub async fn capture(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<PaymentIntentBody>, ApiError> {
    let id = named(path);
    let call = call::parse(&app, request, BODY_BYTES_MAX, CaptureBody::parse).await?;
    let credential = call.credential().clone();
    app.submit(call.command(|body| Action::Pay(Payments::Capture(id, body)))).await?;
    shown(&app, credential, id).await.map(Json)
}

pub fn capture_entry() -> Entry {
    Entry::acts("Payments", "capture_payment_intent", "Say that an intent is paid")
        .affixio()
        .about("All of what was authorised, or less: what is left is given back to the limits. The same again changes nothing.")
        .names::<PaymentIntentId>("id", "The intent.")
        .optional_body::<CaptureBody>(BODY_BYTES_MAX)
        .answers::<PaymentIntentBody>(200, "The intent as it is now.")
        .refuses_with(403, "`amount_exceeds_limit`: more than was authorised. `forbidden`: this API key may only read.")
        .refuses_with(404, UNKNOWN)
        .refuses_with(
            409,
            "`invalid_state`: the intent is not authorised, over or captured otherwise; or the idempotency key was given with another request.",
        )
}

/// It is over.
pub async fn cancel(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<PaymentIntentBody>, ApiError> {
    let id = named(path);
    let call = call::parse(&app, request, BODY_BYTES_MAX, |_| Ok(())).await?;
    let credential = call.credential().clone();
    app.submit(call.command(|()| Action::Pay(Payments::Cancel(id)))).await?;
    shown(&app, credential, id).await.map(Json)
}

pub fn cancel_entry() -> Entry {
    Entry::acts("Payments", "cancel_payment_intent", "Give a payment intent up")
        .affixio()
        .about("Until it is captured. What was authorised is given back to the limits; the decision stays used. The same again changes nothing.")
        .names::<PaymentIntentId>("id", "The intent.")
        .ignored_body(BODY_BYTES_MAX)
        .answers::<PaymentIntentBody>(200, "The intent as it is now.")
        .refuses_with(404, UNKNOWN)
        .refuses_with(
            409,
            "`invalid_state`: the intent is captured, or its time was over; or the idempotency key was given with another request.",
        )
}

fn named(path: Result<Path<String>, PathRejection>) -> Option<PaymentIntentId> {
    PaymentIntentId::parse(&path_id(path))
}

fn body_of_authorised(authorised: &IntentAt) -> Option<AuthorisedBody> {
    let (decision, receipt_id) = (authorised.decision?, authorised.receipt_id?);
    Some(AuthorisedBody {
        payment_intent_id: authorised.intent_id,
        status: "authorised",
        authorised_amount: authorised.amount,
        currency: authorised.currency,
        decision_id: decision.into(),
        proof_id: receipt_id.into(),
        permission_proof_id: decision.into(),
        audit_event_id: receipt_id.into(),
        authorised_at: authorised.at,
    })
}

async fn shown(app: &App, credential: Credential, id: Option<PaymentIntentId>) -> Result<PaymentIntentBody, ApiError> {
    let read = app.engine.read_as(credential, move |state, workspace_id, now| {
        let id = id?;
        Some(body(id, state.payment_intent(workspace_id, id)?, now))
    });
    read.await?.ok_or_else(|| ApiError::not_found("payment intent"))
}

fn body(id: PaymentIntentId, intent: &Intent, now: Timestamp) -> PaymentIntentBody {
    let authorisation = intent.authorisation();
    let decision = authorisation.map(|authorisation| authorisation.decision);
    let (captured, cancelled) = match &intent.progress {
        Progress::Created | Progress::Authorised(_) => (None, None),
        Progress::Captured(_, done) => (Some(done), None),
        Progress::Cancelled(_, done) => (None, Some(done)),
    };
    let latest: Option<ReceiptId> = match captured.or(cancelled) {
        Some(done) => done.receipt_id,
        None => authorisation.map(|authorisation| authorisation.receipt_id),
    };
    PaymentIntentBody {
        id,
        payment_intent_id: id,
        status: intent.status(now).as_str(),
        merchant_id: intent.merchant_id.clone(),
        amount: intent.amount,
        currency: intent.currency,
        channel: intent.channel.clone(),
        agent_id: intent.agent_id,
        delegation_id: intent.authorization_id.or(authorisation.map(|authorisation| authorisation.authorization_id)).map(Into::into),
        device_id: intent.device.clone(),
        decision_id: decision.or(intent.decision).map(Into::into),
        authorised_amount: authorisation.map(|authorisation| authorisation.amount),
        captured_amount: captured.map(|done| done.amount),
        metadata: OwnBody(intent.metadata.clone()),
        created_at: intent.created_at,
        expires_at: intent.expires_at,
        authorised_at: authorisation.map(|authorisation| authorisation.at),
        captured_at: captured.map(|done| done.at),
        cancelled_at: cancelled.map(|done| done.at),
        proof_id: latest.map(Into::into),
        permission_proof_id: decision.map(Into::into),
        audit_event_id: latest.map(Into::into),
    }
}
