//! `/v1/agents`: agents that can be given delegations, and the keys they prove themselves by.

use allowlog_projections::command::{Action, Credential, Registration};
use allowlog_projections::decide::Outcome;
use allowlog_projections::state::RegisteredAgent;
use allowlog_proto::api::affixio::{CredentialBody, CredentialCreatedBody, OwnBody, RegisterAgentBody, RegisteredAgentBody};
use allowlog_proto::event::AgentStatus;
use allowlog_proto::id::{OrgId, RegisteredAgentId};
use allowlog_proto::limits::BODY_BYTES_MAX;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use super::path_id;
use crate::app::App;
use crate::chance;
use crate::http::openapi::Entry;
use crate::http::{ApiError, call};

/// Registers an agent.
pub async fn register(State(app): State<App>, request: Request) -> Result<(StatusCode, Json<RegisteredAgentBody>), ApiError> {
    let call = call::parse(&app, request, BODY_BYTES_MAX, RegisterAgentBody::parse).await?;
    let credential = call.credential().clone();
    let command = call.command(|body| Action::Register(Registration::Agent(Box::new(body))));
    let Outcome::Agent(id) = app.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    Ok((StatusCode::CREATED, Json(shown(&app, credential, Some(id)).await?)))
}

pub fn register_entry() -> Entry {
    Entry::acts("Agents", "register_agent", "Register an agent")
        .affixio()
        .about("It may be given delegations from then on.")
        .body::<RegisterAgentBody>(BODY_BYTES_MAX)
        .answers::<RegisteredAgentBody>(201, "The agent.")
        .leads_to("get_agent", "id", "id")
        .leads_to("issue_credential", "id", "id")
        .refuses_with(404, "`not_found`: the API key opens no such org.")
}

/// An agent as it is.
pub async fn by_id(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<RegisteredAgentBody>, ApiError> {
    let credential = call::credential(&app, &headers)?;
    shown(&app, credential, RegisteredAgentId::parse(&path_id(path))).await.map(Json)
}

pub fn by_id_entry() -> Entry {
    Entry::reads("Agents", "get_agent", "An agent as it is")
        .affixio()
        .names::<RegisteredAgentId>("id", "Its id.")
        .answers::<RegisteredAgentBody>(200, "The agent.")
        .refuses_with(404, UNKNOWN)
}

const UNKNOWN: &str = "`not_found`: the org has no such agent.";
const REVOKED: &str = "`invalid_state`: the agent is revoked for good; or the idempotency key was given with another request.";

/// Lets it do nothing for now.
pub async fn suspend(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<RegisteredAgentBody>, ApiError> {
    change(&app, path, request, AgentStatus::Suspended).await
}

pub fn suspend_entry() -> Entry {
    change_entry("suspend_agent", "Let an agent do nothing for now", "Every decision about it is a denial until it is activated.")
}

/// Lets it act again.
pub async fn activate(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<RegisteredAgentBody>, ApiError> {
    change(&app, path, request, AgentStatus::Active).await
}

pub fn activate_entry() -> Entry {
    change_entry("activate_agent", "Let an agent act again", "What it was delegated stands as before.")
}

/// Lets it do nothing any more.
pub async fn revoke(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<RegisteredAgentBody>, ApiError> {
    change(&app, path, request, AgentStatus::Revoked).await
}

pub fn revoke_entry() -> Entry {
    change_entry("revoke_agent", "Let an agent do nothing any more", "For good: it cannot be activated again.")
}

async fn change(
    app: &App,
    path: Result<Path<String>, PathRejection>,
    request: Request,
    status: AgentStatus,
) -> Result<Json<RegisteredAgentBody>, ApiError> {
    let id = RegisteredAgentId::parse(&path_id(path));
    let call = call::parse(app, request, BODY_BYTES_MAX, |_| Ok(())).await?;
    let credential = call.credential().clone();
    let command = call.command(|()| Action::Register(Registration::AgentStatus(id, status)));
    let Outcome::Agent(id) = app.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    shown(app, credential, Some(id)).await.map(Json)
}

fn change_entry(id: &'static str, summary: &'static str, about: &'static str) -> Entry {
    Entry::acts("Agents", id, summary)
        .affixio()
        .about(about)
        .names::<RegisteredAgentId>("id", "The agent.")
        .ignored_body(BODY_BYTES_MAX)
        .answers::<RegisteredAgentBody>(200, "The agent as it is now; doing it again changes nothing.")
        .refuses_with(404, UNKNOWN)
        .refuses_with(409, REVOKED)
}

/// Gives an agent one more key to prove itself by. Of a pair that is made here the private half is in this answer and nowhere else.
pub async fn issue_credential(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<(StatusCode, Json<CredentialCreatedBody>), ApiError> {
    let agent_id = RegisteredAgentId::parse(&path_id(path));
    let call = call::parse(&app, request, BODY_BYTES_MAX, CredentialBody::parse).await?;
    let CredentialBody { public_key, expires_at } = call.body;
    let (public_key, private) = match public_key {
        Some(public_key) => (public_key, None),
        None => {
            let seed = Zeroizing::new(chance::bytes::<32>());
            (SigningKey::from_bytes(&seed).verifying_key().to_bytes(), Some(seed))
        }
    };
    let command = call.command(|_| Action::Register(Registration::Credential { agent_id, public_key, expires_at }));
    let Outcome::Credential(issued) = app.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    // A retry is told of the first key, whose private half is gone.
    let private = private.filter(|_| issued.public_key == public_key);
    let body = CredentialCreatedBody {
        credential_id: issued.credential_id,
        agent_id: issued.agent_id,
        kind: "ed25519",
        algorithm: "Ed25519",
        public_key: BASE64URL_NOPAD.encode(&issued.public_key),
        private_key: private.map(|seed| BASE64URL_NOPAD.encode(&*seed)),
        status: "active",
        created_at: issued.created_at,
        expires_at: issued.expires_at,
    };
    Ok((StatusCode::CREATED, Json(body)))
}

pub fn issue_credential_entry() -> Entry {
    Entry::acts("Agents", "issue_credential", "Give an agent a key to prove itself by")
        .affixio()
        .about(
            "Your own public key, or a pair that is made here: then `private_key` is in this answer and nowhere else, and a retry by \
             `Idempotency-Key` does not have it.",
        )
        .names::<RegisteredAgentId>("id", "The agent.")
        .optional_body::<CredentialBody>(BODY_BYTES_MAX)
        .answers::<CredentialCreatedBody>(201, "The credential.")
        .refuses_with(404, UNKNOWN)
        .refuses_with(409, REVOKED)
}

async fn shown(app: &App, credential: Credential, id: Option<RegisteredAgentId>) -> Result<RegisteredAgentBody, ApiError> {
    let read = app.engine.read_as(credential, move |state, workspace_id, _| {
        let id = id?;
        Some(body(workspace_id.into(), id, state.registered_agent(workspace_id, id)?))
    });
    read.await?.ok_or_else(|| ApiError::not_found("agent"))
}

fn body(owner_org_id: OrgId, id: RegisteredAgentId, agent: &RegisteredAgent) -> RegisteredAgentBody {
    RegisteredAgentBody {
        id,
        agent_id: id,
        name: agent.name.clone(),
        kind: agent.kind,
        status: agent.status,
        owner_org_id,
        metadata: OwnBody(agent.metadata.clone()),
        created_at: agent.created_at,
    }
}
