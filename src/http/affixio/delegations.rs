//! `/v1/delegations`: what agents may do and pay.

use allowlog_projections::command::{Action, Credential, Payments};
use allowlog_projections::decide::Outcome;
use allowlog_projections::state::{Authorization, Delegation, State as CoreState};
use allowlog_proto::api::affixio::{
    DelegationBody, DelegationRevokedBody, KnownDelegationBody, OwnBody, RevokeDelegationBody, WindowBody, limit_objects,
};
use allowlog_proto::api::envelope::FieldError;
use allowlog_proto::api::page::PageBody;
use allowlog_proto::api::query::Parameters;
use allowlog_proto::id::{AuthorizationId, DelegationId, RegisteredAgentId, WorkspaceId};
use allowlog_proto::limits::{BODY_BYTES_MAX, BODY_METADATA_BYTES_MAX};
use allowlog_proto::time::Timestamp;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::path_id;
use crate::app::App;
use crate::http::openapi::Entry;
use crate::http::{ApiError, call};

/// Delegations looked at in one turn of the writer: each may have a thousand names in its limits.
const LOOKED_AT: usize = 10;

/// Lets an agent do and pay something.
pub async fn create(State(app): State<App>, request: Request) -> Result<(StatusCode, Json<KnownDelegationBody>), ApiError> {
    let call = call::parse(&app, request, BODY_METADATA_BYTES_MAX, DelegationBody::parse).await?;
    let credential = call.credential().clone();
    let command = call.command(|body| Action::Pay(Payments::Delegate(Box::new(body))));
    let Outcome::Delegation(id) = app.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    Ok((StatusCode::CREATED, Json(shown(&app, credential, Some(id)).await?)))
}

pub fn create_entry() -> Entry {
    Entry::acts("Delegations", "create_delegation", "Let an agent do and pay something")
        .affixio()
        .about(
            "A limit that is not there limits nothing; a list that is there and empty allows nothing; a limit the server does not know is \
             refused. What is granted never changes: revoke it and grant anew.",
        )
        .body::<DelegationBody>(BODY_METADATA_BYTES_MAX)
        .answers::<KnownDelegationBody>(201, "The delegation, with every limit in canonical form.")
        .leads_to("get_delegation", "id", "id")
        .leads_to("verify_delegation", "id", "id")
        .leads_to("revoke_delegation", "id", "id")
        .refuses_with(404, "`not_found`: the org has no such agent.")
        .refuses_with(
            409,
            "`invalid_state`: the agent is suspended or revoked, or has as many delegations as one may have; or the idempotency key was given \
             with another request.",
        )
}

/// A delegation as it stands.
pub async fn by_id(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<KnownDelegationBody>, ApiError> {
    let credential = call::credential(&app, &headers)?;
    shown(&app, credential, named(path)).await.map(Json)
}

pub fn by_id_entry() -> Entry {
    Entry::reads("Delegations", "get_delegation", "A delegation as it stands")
        .affixio()
        .names::<DelegationId>("id", "Its id.")
        .answers::<KnownDelegationBody>(200, "The delegation.")
        .refuses_with(404, UNKNOWN)
}

pub(super) const UNKNOWN: &str = "`not_found`: the org has no such delegation.";

/// The delegations of an agent, newest first.
pub async fn list(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Json<PageBody<KnownDelegationBody>>, ApiError> {
    // In both spellings, as members of bodies.
    let read = |parameters: &mut Parameters<'_>| ["agent_id", "agentId"].map(|name| parameters.read(name, |text| Ok(text.to_owned())));
    let (credential, page, named) = call::page(&app, &headers, &uri, DelegationId::parse, read).await?;
    let agent = match named {
        [Some(one), Some(other)] if one != other => Err("is given more than once"),
        [one, other] => one.or(other).ok_or("is required"),
    };
    let agent = match agent {
        Ok(agent) => agent,
        Err(fault) => {
            app.engine.authenticate(credential).await?;
            return Err(ApiError::invalid(vec![FieldError::new("query.agent_id", fault)]));
        }
    };
    let agent_id = RegisteredAgentId::parse(&agent);
    let (limit, after) = (page.limit, page.after.map(AuthorizationId::from));
    let read = app.engine.read_as(credential, move |state, workspace_id, _| {
        let agent = state.registered_agent(workspace_id, agent_id?)?;
        let older = agent.delegations().rev().filter(|id| after.is_none_or(|after| *id < after));
        Some((workspace_id, older.take(limit.saturating_add(1)).collect::<Vec<_>>()))
    });
    let (workspace_id, ids) = read.await?.ok_or_else(|| ApiError::not_found("agent"))?;
    let mut items = Vec::with_capacity(ids.len());
    for some in ids.chunks(LOOKED_AT) {
        let some = some.to_vec();
        let read = app.engine.read(move |state, now| {
            let shown = some.into_iter().filter_map(|id| body(state, workspace_id, id, now));
            shown.collect::<Vec<_>>()
        });
        items.extend(read.await?);
    }
    Ok(Json(PageBody::new(items, limit, |last| last.id.to_string())))
}

pub fn list_entry() -> Entry {
    Entry::reads("Delegations", "list_delegations", "The delegations of an agent")
        .affixio()
        .about("Newest first, those that are over included.")
        .paged()
        .query("agent_id", "The agent. Required.", ObjectBuilder::new().schema_type(Type::String))
        .answers::<PageBody<KnownDelegationBody>>(200, "A page.")
        .refuses_with(404, "`not_found`: the org has no such agent.")
}

/// Lets the agent do nothing under it any more; told again, the first answer.
pub async fn revoke(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<DelegationRevokedBody>, ApiError> {
    let id = named(path);
    let call = call::parse(&app, request, BODY_BYTES_MAX, RevokeDelegationBody::parse).await?;
    let committed = app.submit(call.command(|body| Action::Pay(Payments::Revoke(id, Box::new(body))))).await?;
    let workspace_id = committed.workspace_id;
    let (id, revoked_at, receipt_id) = match committed.outcome {
        Outcome::Revoked(revoked) => (revoked.authorization_id, revoked.revoked_at, revoked.receipt_id),
        Outcome::Delegation(id) => {
            let read = app.engine.read(move |state, _| {
                let (authorization, delegation) = state.delegation(workspace_id, id)?;
                Some((id, authorization.revoked_at?, delegation.revoke_receipt_id?))
            });
            read.await?.ok_or_else(ApiError::internal)?
        }
        _ => return Err(ApiError::internal()),
    };
    let (audit_event_id, proof_id) = (receipt_id.into(), receipt_id.into());
    Ok(Json(DelegationRevokedBody { delegation_id: id.into(), status: "revoked", revoked_at, audit_event_id, proof_id }))
}

pub fn revoke_entry() -> Entry {
    Entry::acts("Delegations", "revoke_delegation", "Take a delegation back")
        .affixio()
        .about("From the next decision on nothing is allowed under it, whatever was decided before. Doing it again gets the first answer.")
        .names::<DelegationId>("id", "The delegation.")
        .optional_body::<RevokeDelegationBody>(BODY_BYTES_MAX)
        .answers::<DelegationRevokedBody>(200, "It is over.")
        .refuses_with(404, UNKNOWN)
}

/// The delegation that a path names.
pub(super) fn named(path: Result<Path<String>, PathRejection>) -> Option<AuthorizationId> {
    DelegationId::parse(&path_id(path)).map(AuthorizationId::from)
}

/// How a delegation stands at an instant.
pub(super) fn status(authorization: &Authorization, at: Timestamp) -> &'static str {
    if authorization.revoked_at.is_some_and(|end| end <= at) {
        "revoked"
    } else if authorization.is_expired(at) {
        "expired"
    } else if authorization.not_before().is_some_and(|start| at < start) {
        "pending"
    } else {
        "active"
    }
}

async fn shown(app: &App, credential: Credential, id: Option<AuthorizationId>) -> Result<KnownDelegationBody, ApiError> {
    let read = app.engine.read_as(credential, move |state, workspace_id, now| body(state, workspace_id, id?, now));
    read.await?.ok_or_else(|| ApiError::not_found("delegation"))
}

fn body(state: &CoreState, workspace_id: WorkspaceId, id: AuthorizationId, now: Timestamp) -> Option<KnownDelegationBody> {
    let (authorization, delegation) = state.delegation(workspace_id, id)?;
    let Delegation { agent_id, limits, metadata, receipt_id, .. } = delegation;
    let [merchant_constraints, amount_limits] = limit_objects(limits);
    Some(KnownDelegationBody {
        id: id.into(),
        delegation_id: id.into(),
        agent_id: *agent_id,
        status: status(authorization, now),
        permissions: authorization.scopes.iter().map(|scope| scope.name.clone()).collect(),
        merchant_constraints,
        amount_limits,
        currency_limits: limits.currencies.clone(),
        validity_window: WindowBody { start: authorization.not_before(), end: authorization.expires_at },
        channels: limits.channels.clone(),
        step_up_above: limits.step_up_above,
        review_above: limits.review_above,
        require_trusted_device: limits.requires_trusted_device,
        on_exceed: limits.on_exceed,
        metadata: OwnBody(metadata.clone()),
        policy_id: id.into(),
        created_at: state.granted_at(workspace_id, id),
        revoked_at: authorization.revoked_at,
        audit_event_id: (*receipt_id).into(),
        proof_id: (*receipt_id).into(),
    })
}
