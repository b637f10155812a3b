//! The gate: `POST /v1/nior/agent/permission`, `/v1/nior/policy/decide`, `/v1/trust/check` and `/v1/delegations/{id}/verify`. A denial is
//! no error.

use allowlog_projections::command::{Action, Payments};
use allowlog_projections::decide::Outcome;
use allowlog_proto::api::affixio::{
    DecisionBody, DelegationVerifiedBody, GateBody, PermissionAsked, PolicyAsked, TrustAsked, TrustBody, TrustCheckBody, VerificationAsked,
};
use allowlog_proto::api::envelope::FieldError;
use allowlog_proto::event::{Code, PaymentDecided, Verdict};
use allowlog_proto::id::{AuthorizationId, DelegationId, WorkspaceId};
use allowlog_proto::json::Value;
use allowlog_proto::limits::BODY_BYTES_MAX;
use allowlog_proto::text::OpaqueId;
use allowlog_proto::time::Timestamp;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use utoipa::ToSchema;

use super::delegations::{UNKNOWN, status};
use super::path_id;
use crate::app::App;
use crate::http::openapi::Entry;
use crate::http::{ApiError, call};

/// May this payment go ahead?
pub async fn permission(State(app): State<App>, request: Request) -> Result<Json<DecisionBody>, ApiError> {
    let decided = decide(&app, request, GateBody::parse_permission).await?;
    Ok(Json(body(&decided.event, decided.asked)))
}

pub fn permission_entry() -> Entry {
    entry::<PermissionAsked>("Payments", "ask_permission", "May this payment go ahead?")
        .about(
            "The main gate: agent, delegation, permission, device, merchant, currency, channel and amount are tested in this order, and the first \
             that fails decides. Nothing is consumed yet: an intent that is authorised within 300 s consumes the decision and the limits. With \
             `REVIEW` and `STEP_UP_REQUIRED` somebody is to be asked: send `escalation_id` or `confirm_nonce` there, and ask again after that.",
        )
        .answers::<DecisionBody>(200, "The decision; a denial is no error.")
}

/// May the agent do this?
pub async fn policy(State(app): State<App>, request: Request) -> Result<Json<DecisionBody>, ApiError> {
    let decided = decide(&app, request, GateBody::parse_policy).await?;
    Ok(Json(body(&decided.event, decided.asked)))
}

pub fn policy_entry() -> Entry {
    entry::<PolicyAsked>("Payments", "decide_policy", "May the agent do this?")
        .about("The same tests of whatever action. If no delegation is named, each of the agent's is tried, the newest first.")
        .answers::<DecisionBody>(200, "The decision; a denial is no error.")
}

/// Is this agent to be trusted?
pub async fn trust(State(app): State<App>, request: Request) -> Result<Json<TrustBody>, ApiError> {
    let decided = decide(&app, request, GateBody::parse_trust).await?;
    let Asked { event, asked, .. } = &decided;
    let (decision, trust_level) = match event.verdict {
        Verdict::Allow { .. } if event.codes.contains(&Code::DeviceTrusted) => ("allow", "high"),
        Verdict::Allow { .. } => ("allow", "medium"),
        Verdict::Deny => ("deny", "low"),
        Verdict::Confirm { .. } | Verdict::Escalate { .. } => ("review", "medium"),
    };
    let checks = event.codes.iter().copied().map(TrustCheckBody::of).collect();
    Ok(Json(TrustBody { decision, trust_level, checks, decided: body(event, asked.clone()) }))
}

pub fn trust_entry() -> Entry {
    entry::<TrustAsked>("Delegations", "check_trust", "Is this agent to be trusted?")
        .about("The same tests, of as much as is said. Nothing can be authorised by the decision.")
        .answers::<TrustBody>(200, "The decision, and what it means.")
}

/// Does the delegation stand?
pub async fn verify(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<DelegationVerifiedBody>, ApiError> {
    let id = DelegationId::parse(&path_id(path));
    // Whatever the path says, it is not longer than what it might name.
    let named = id.map_or_else(|| "unknown".to_owned(), |id| id.to_string());
    let parse = |body: &Value| {
        let named = OpaqueId::new(&named).map_err(|error| vec![FieldError::new("path.id", error.to_string())])?;
        GateBody::parse_verification(body, named)
    };
    let decided = decide(&app, request, parse).await?;
    let id = id.ok_or_else(ApiError::internal)?;
    let status = standing(&app, decided.workspace_id, id.into(), decided.at).await?;
    let PaymentDecided { verdict, codes, receipt_id, .. } = *decided.event;
    Ok(Json(DelegationVerifiedBody {
        delegation_id: id,
        valid: matches!(verdict, Verdict::Allow { .. }),
        status,
        reason_codes: codes,
        checked_at: decided.at,
        proof_id: receipt_id.into(),
    }))
}

pub fn verify_entry() -> Entry {
    Entry::acts("Delegations", "verify_delegation", "Does the delegation stand?")
        .affixio()
        .about("And would it allow this payment, if one is given? Nothing is consumed and nobody is asked; the answer has a receipt.")
        .names::<DelegationId>("id", "The delegation.")
        .optional_body::<VerificationAsked>(BODY_BYTES_MAX)
        .answers::<DelegationVerifiedBody>(200, "Whether it does.")
        .refuses_with(404, UNKNOWN)
}

fn entry<T: ToSchema>(tag: &'static str, id: &'static str, summary: &'static str) -> Entry {
    Entry::acts(tag, id, summary).affixio().body::<T>(BODY_BYTES_MAX)
}

/// What the gate decided, and what it was asked.
struct Asked {
    event: Box<PaymentDecided>,
    /// The delegation that was named.
    asked: Option<OpaqueId>,
    workspace_id: WorkspaceId,
    at: Timestamp,
}

async fn decide(app: &App, request: Request, parse: impl FnOnce(&Value) -> Result<GateBody, Vec<FieldError>>) -> Result<Asked, ApiError> {
    let call = call::parse(app, request, BODY_BYTES_MAX, parse).await?;
    let asked = call.body.delegation.clone();
    let committed = app.submit(call.command(|body| Action::Pay(Payments::Decide(Box::new(body))))).await?;
    let Outcome::PaymentDecided(event, at) = committed.outcome else { return Err(ApiError::internal()) };
    Ok(Asked { event, asked, workspace_id: committed.workspace_id, at })
}

async fn standing(app: &App, workspace_id: WorkspaceId, id: AuthorizationId, at: Timestamp) -> Result<&'static str, ApiError> {
    let read = app.engine.read(move |state, _| state.delegation(workspace_id, id).map(|(authorization, _)| status(authorization, at)));
    read.await?.ok_or_else(ApiError::internal)
}

/// A decision as it is told; `asked` is the delegation that was named.
pub(super) fn body(decided: &PaymentDecided, asked: Option<OpaqueId>) -> DecisionBody {
    let under = decided.subject.authorization_id();
    let action = decided.action();
    let (mut escalation_id, mut confirm_nonce) = (None, None);
    match decided.verdict {
        Verdict::Escalate { escalation_id: id, .. } => escalation_id = Some(id),
        Verdict::Confirm { nonce, .. } => confirm_nonce = Some(nonce),
        Verdict::Allow { .. } | Verdict::Deny => {}
    }
    DecisionBody {
        decision_id: decided.receipt_id.into(),
        allowed: matches!(decided.verdict, Verdict::Allow { .. }),
        action,
        reason_codes: decided.codes.clone(),
        policy_id: under.map(Into::into),
        delegation_id: under.and_then(|id| OpaqueId::new(&DelegationId::from(id).to_string()).ok()).or(asked),
        max_amount: decided.max_amount,
        currency: decided.payment.currency,
        requires_step_up: confirm_nonce.is_some(),
        proof_id: decided.receipt_id.into(),
        audit_event_id: decided.receipt_id.into(),
        expires_at: decided.expires_at,
        escalation_id,
        confirm_nonce,
    }
}
