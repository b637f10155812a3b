//! `POST /v1/consent/verify` and `POST /v1/consent/{id}/token`.

use std::sync::Arc;

use allowlog_projections::command::{Action, Credential};
use allowlog_projections::decide::Outcome;
use allowlog_projections::rejected::Rejected;
use allowlog_projections::webhooks::claims_of;
use allowlog_proto::api::permitly::{ClaimsBody, Data, MintedBody, VerifyBody};
use allowlog_proto::event::TokenTerms;
use allowlog_proto::id::ConsentId;
use allowlog_proto::limits::BODY_BYTES_MAX;
use allowlog_proto::reason::{Decision, Reason};
use allowlog_proto::token::{Claims, Presented};
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;

use super::path_id;
use crate::app::{App, CreateError};
use crate::engine::Failure;
use crate::http::openapi::Entry;
use crate::http::{ApiError, call};
use crate::keyring::AgentPublicKey;
use crate::telemetry::blocking;

/// Whether a token may be relied on now. Signature, then revocation, then time.
pub async fn verify(State(app): State<App>, request: Request) -> Result<Json<Data<ClaimsBody>>, ApiError> {
    let call = call::parse(&app, request, BODY_BYTES_MAX, VerifyBody::parse).await?;
    let claims = match app.tokens.get(&call.body.token) {
        Some(claims) => Some(claims),
        None => genuine(&app, call.credential(), &call.body.token).await?,
    };
    let Some(claims) = claims else {
        // A stranger is not told that either.
        app.engine.may_act(call.credential().clone()).await?;
        return Err(invalid());
    };
    let (consent_id, agent_id) = (claims.consent_id, claims.agent_id);
    let terms = TokenTerms { token_id: claims.token_id, expires_at: claims.expires_at };
    let committed = app.submit(call.fresh_command(|_| Action::VerifyToken { consent_id, agent_id, token: terms })).await;
    let outcome = match committed {
        Ok(committed) => committed.outcome,
        Err(Failure::Rejected(Rejected::NotFound(_))) => return Err(invalid()),
        Err(failure) => return Err(failure.into()),
    };
    let Outcome::TokenVerified(verified) = outcome else { return Err(ApiError::internal()) };
    match verified.decision() {
        Decision::Allow => Ok(Json(Data { data: (*claims).clone().into() })),
        Decision::Deny | Decision::Confirm | Decision::Escalate if verified.reason == Reason::AuthorizationRevoked => {
            Err(ApiError::token("token_revoked", "The consent was taken back"))
        }
        Decision::Deny | Decision::Confirm | Decision::Escalate => Err(ApiError::token("token_expired", "The token's time is over")),
    }
}

pub fn verify_entry() -> Entry {
    Entry::reads("Consent", "verify_token", "Whether a token may be relied on now")
        .permitly()
        .acting()
        .about(
            "A check like any other: it leaves a signed receipt, of the scope `consent.verify` with the consent in its context. A token that no \
             agent of the workspace has signed leaves none. It is decided anew each time: an `Idempotency-Key` is passed over.",
        )
        .body::<VerifyBody>(BODY_BYTES_MAX)
        .answers::<Data<ClaimsBody>>(200, "It may: what it says.")
        .refuses_with(
            422,
            "`token_invalid`, `token_revoked` or `token_expired`, the first that applies; `validation_error` if there is no token in the body.",
        )
}

fn invalid() -> ApiError {
    ApiError::token("token_invalid", "No agent of this workspace has signed this token")
}

/// What a token says that an agent of the caller's workspace has signed.
async fn genuine(app: &App, credential: &Credential, token: &str) -> Result<Option<Arc<Claims>>, ApiError> {
    let Some(Presented { key_id, claims, signing_input, signature }) = Presented::parse(token) else { return Ok(None) };
    let agent_id = claims.agent_id;
    let public_key = app.engine.read_as(credential.clone(), move |state, workspace_id, _| {
        state.consent_agent(workspace_id, agent_id).map(|agent| agent.public_key)
    });
    let key = public_key.await?.and_then(|public_key| AgentPublicKey::new(&public_key)).filter(|key| key.key_id == key_id);
    let is_genuine = key.is_some_and(|key| key.verifies(signing_input.as_bytes(), &signature));
    Ok(is_genuine.then(|| app.tokens.put(token, claims)))
}

/// One more token for a consent that stands.
pub async fn mint(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<(StatusCode, Json<Data<MintedBody>>), ApiError> {
    let id = ConsentId::parse(&path_id(path));
    let call = call::parse(&app, request, BODY_BYTES_MAX, |_| Ok(())).await?;
    let committed = app.submit(call.command(|()| Action::MintToken(id))).await?;
    let Outcome::TokenMinted(minted, at) = committed.outcome else { return Err(ApiError::internal()) };
    let claims = claims_of(&minted, at);
    let (workspace_id, agent_id) = (committed.workspace_id, minted.agent_id);
    let key_id = app.engine.read(move |state, _| state.consent_agent(workspace_id, agent_id).map(|agent| agent.key_id)).await?;
    let (keyring, key_id) = (Arc::clone(&app.keyring), key_id.ok_or_else(ApiError::internal)?);
    let signed = blocking(move || keyring.sign_token(key_id, &claims)).await.map_err(|_| ApiError::internal())?;
    let token = signed.map_err(|error| ApiError::from(CreateError::from(error)))?;
    Ok((StatusCode::CREATED, Json(Data { data: MintedBody { token, expires_at: minted.token.expires_at } })))
}

pub fn mint_entry() -> Entry {
    Entry::acts("Consent", "mint_token", "One more token")
        .permitly()
        .about("For a consent that stands. The token is not kept; it lives as long as the agent says.")
        .names::<ConsentId>("id", "The consent.")
        .ignored_body(BODY_BYTES_MAX)
        .answers::<Data<MintedBody>>(201, "The token.")
        .refuses_with(404, "`not_found`: the workspace has no such consent.")
        .refuses_with(422, "`validation_error`: the consent does not stand.")
}
