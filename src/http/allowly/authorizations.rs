//! `/v1/authorizations` and `/v1/authorizations/{id}`.

use allowlog_projections::command::Action;
use allowlog_projections::decide::Outcome;
use allowlog_projections::state::{Authorization, Scope};
use allowlog_proto::api::allowly::{
    AuthorizationBody, CreateBody, KnownAuthorizationBody, PendingReceipt, RevokeBody, RevokedBody, shown_scope, targets_object,
};
use allowlog_proto::api::page::PageBody;
use allowlog_proto::event::Grant;
use allowlog_proto::id::AuthorizationId;
use allowlog_proto::json::Value;
use allowlog_proto::limits::{BODY_BYTES_MAX, BODY_METADATA_BYTES_MAX};
use allowlog_proto::money::Micros;
use allowlog_proto::text::ScopeName;
use allowlog_proto::time::Timestamp;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};

use super::path_id;
use crate::app::App;
use crate::http::openapi::Entry;
use crate::http::{ApiError, call};

/// Records a permission.
pub async fn create(State(app): State<App>, request: Request) -> Result<(StatusCode, Json<AuthorizationBody>), ApiError> {
    let call = call::parse_naming(&app, request, BODY_METADATA_BYTES_MAX, &["user_id", "agent_id"], CreateBody::parse).await?;
    let command = call.command(|body| Action::Create(Box::new(body)));
    let Outcome::Created(created) = app.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    let (granted, created_at) = (created.granted, created.created_at);
    let terms = granted.terms;
    let body = AuthorizationBody {
        authorization_id: granted.authorization_id,
        created_at,
        expires_at: granted.expires_at,
        not_before: granted.not_before,
        user_id: granted.user_id,
        agent_id: terms.agent_id,
        bundle_id: granted.bundle_id,
        requires_confirm_for: terms.requires_confirm_for,
        requires_escalation_for: terms.requires_escalation_for,
        escalation_targets: Value::Object(targets_object(&terms.escalation_targets)),
        budget_limit_micros: granted.budget_limit,
        budget_spent_micros: granted.budget_limit.map(|_| Micros::default()),
        receipt: PendingReceipt::new(granted.receipt_id, created_at, &app.public_url),
    };
    Ok((StatusCode::CREATED, Json(body)))
}

pub fn create_entry() -> Entry {
    Entry::acts("Authorizations", "create_authorization", "Record a permission")
        .about("A person lets an agent do something, within limits, until a date. An authorization never changes afterwards.")
        .body::<CreateBody>(BODY_METADATA_BYTES_MAX)
        .answers::<AuthorizationBody>(201, "The authorization. Its receipt is always pending here.")
        .leads_to("get_authorization", "id", "authorization_id")
        .leads_to("revoke_authorization", "id", "authorization_id")
        .leads_to("get_receipt", "id", "receipt/receipt_id")
        .refuses_with(402, "`budget_plan_required` or `payment_required`: budgets and escalations need the plan `pro` or `enterprise`.")
        .refuses_with(404, "`not_found`: there is no such bundle.")
}

/// An authorization as it stands.
pub async fn by_id(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<KnownAuthorizationBody>, ApiError> {
    let credential = call::credential(&app, &headers)?;
    let id = AuthorizationId::parse(&path_id(path));
    let read = app.engine.read_as(credential, move |state, workspace_id, now| {
        let id = id?;
        Some((id, state.authorization(workspace_id, id)?.clone(), state.granted_at(workspace_id, id), now))
    });
    let (id, authorization, granted_at, now) = read.await?.ok_or_else(|| ApiError::not_found("authorization"))?;
    Ok(Json(known(id, &authorization, granted_at, now)))
}

pub fn by_id_entry() -> Entry {
    Entry::reads("Authorizations", "get_authorization", "An authorization as it stands")
        .names::<AuthorizationId>("id", "Its id.")
        .answers::<KnownAuthorizationBody>(200, "The authorization, also when it is expired or revoked.")
        .refuses_with(404, "`not_found`: the workspace has no such authorization.")
}

/// The authorizations of the workspace, newest first.
pub async fn list(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Json<PageBody<KnownAuthorizationBody>>, ApiError> {
    let (credential, page, ()) = call::page(&app, &headers, &uri, AuthorizationId::parse, |_| ()).await?;
    let read = app.engine.read_as(credential, move |state, workspace_id, now| {
        let behind = state.authorizations(workspace_id, page.after).rev().take(page.limit.saturating_add(1));
        let behind = behind.map(|(id, authorization)| (id, authorization.clone(), state.granted_at(workspace_id, id)));
        (behind.collect::<Vec<_>>(), now)
    });
    // Copied where everybody waits, put into words here.
    let (behind, now) = read.await?;
    let items = behind.iter().map(|(id, authorization, granted_at)| known(*id, authorization, *granted_at, now)).collect();
    Ok(Json(PageBody::new(items, page.limit, |last| last.authorization_id.to_string())))
}

pub fn list_entry() -> Entry {
    Entry::reads("Authorizations", "list_authorizations", "The authorizations of the workspace")
        .about("Newest first.")
        .paged()
        .answers::<PageBody<KnownAuthorizationBody>>(200, "A page.")
}

/// Withdraws a permission.
pub async fn revoke(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<RevokedBody>, ApiError> {
    let call = call::parse(&app, request, BODY_BYTES_MAX, RevokeBody::parse).await?;
    let id = AuthorizationId::parse(&path_id(path));
    let command = call.command(|body| Action::Revoke(id, Box::new(body)));
    let Outcome::Revoked(revoked) = app.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    Ok(Json(RevokedBody {
        authorization_id: revoked.authorization_id,
        revoked_at: revoked.revoked_at,
        receipt: PendingReceipt::new(revoked.receipt_id, revoked.revoked_at, &app.public_url),
    }))
}

pub fn revoke_entry() -> Entry {
    Entry::acts("Authorizations", "revoke_authorization", "Withdraw a permission")
        .about("Every check from now on is denied, whatever was confirmed or approved before. An expired authorization can be revoked too.")
        .names::<AuthorizationId>("id", "Its id.")
        .optional_body::<RevokeBody>(BODY_BYTES_MAX)
        .answers::<RevokedBody>(200, "It is revoked.")
        .leads_to("get_receipt", "id", "receipt/receipt_id")
        .refuses_with(404, "`not_found`: the workspace has no such authorization.")
        .refuses_with(409, "`conflict`: it is revoked already.")
}

fn known(
    authorization_id: AuthorizationId,
    authorization: &Authorization,
    granted_at: Timestamp,
    now: Timestamp,
) -> KnownAuthorizationBody {
    let scopes = &authorization.scopes;
    let listed =
        |is_listed: fn(&Scope) -> bool| -> Vec<ScopeName> { scopes.iter().filter(|s| is_listed(s)).map(|s| s.name.clone()).collect() };
    let targets: Vec<_> = scopes.iter().filter_map(|s| Some((s.name.clone(), s.escalation_to.as_deref()?.clone()))).collect();
    KnownAuthorizationBody {
        authorization_id,
        status: match authorization.revoked_at {
            Some(_) => "revoked",
            None if authorization.is_expired(now) => "expired",
            None if authorization.not_before().is_some_and(|start| now < start) => "pending",
            None => "active",
        },
        created_at: granted_at,
        expires_at: authorization.expires_at,
        not_before: authorization.not_before(),
        revoked_at: authorization.revoked_at,
        user_id: authorization.user_id.clone(),
        agent_id: authorization.agent_id.clone(),
        bundle_id: authorization.bundle_id().cloned(),
        scopes: scopes.iter().map(|s| shown_scope(&Grant { name: s.name.clone(), constraints: s.constraints.clone() })).collect(),
        requires_confirm_for: listed(|s| s.requires_confirm),
        requires_escalation_for: listed(|s| s.requires_escalation),
        escalation_targets: Value::Object(targets_object(&targets)),
        replaces: authorization.replaces(),
        budget_limit_micros: authorization.budget().map(|budget| budget.limit),
        budget_spent_micros: authorization.budget().map(|budget| budget.spent),
    }
}
