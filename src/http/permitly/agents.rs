//! `/v1/consent-agents`: agents that people are asked to consent to.

use allowlog_projections::command::Action;
use allowlog_projections::decide::Outcome;
use allowlog_projections::state::ConsentAgent;
use allowlog_proto::api::permitly::{AgentBody, ChangeAgentBody, CreateAgentBody, Data, JwkBody, JwksBody, ListQuery, Listed};
use allowlog_proto::api::query::Parameters;
use allowlog_proto::id::{ConsentAgentId, WorkspaceId};
use allowlog_proto::limits::BODY_BYTES_MAX;
use allowlog_proto::text::WebhookUrl;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use data_encoding::BASE64URL_NOPAD;

use super::path_id;
use super::requests::agent_key;
use crate::app::App;
use crate::http::openapi::Entry;
use crate::http::{ApiError, call};
use crate::keyring::AgentPublicKey;
use crate::webhooks::Target;

/// Makes an agent; the secret of its webhooks is in this answer and nowhere else.
pub async fn create(State(app): State<App>, request: Request) -> Result<(StatusCode, Json<Data<AgentBody>>), ApiError> {
    let call = call::parse(&app, request, BODY_BYTES_MAX, |body| CreateAgentBody::parse(body, &|text| webhook_url(&app, text))).await?;
    // Nothing is sealed for who may not ask.
    app.engine.may_act(call.credential().clone()).await?;
    let public_key = agent_key(&app).await?;
    let committed = app.submit(call.command(|body| Action::CreateConsentAgent(Box::new(body.terms), public_key))).await?;
    let Outcome::ConsentAgent(id) = committed.outcome else { return Err(ApiError::internal()) };
    Ok((StatusCode::CREATED, Json(Data { data: with_secret(&app, committed.workspace_id, id).await? })))
}

pub fn create_entry() -> Entry {
    Entry::acts("Consent agents", "create_consent_agent", "Make an agent that people can be asked to consent to")
        .permitly()
        .about(
            "It gets a P-256 key of its own, which signs its tokens, and a secret, which signs its webhooks and is in this answer alone.",
        )
        .body::<CreateAgentBody>(BODY_BYTES_MAX)
        .answers::<Data<AgentBody>>(201, "The agent, with its secret.")
}

/// The agents of the workspace, newest first.
pub async fn list(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Json<Listed<AgentBody>>, ApiError> {
    let credential = call::credential(&app, &headers)?;
    let pairs = call::pairs(uri.query());
    let mut parameters = Parameters::of(&pairs);
    let page = ListQuery::read(&mut parameters);
    let read = app.engine.read_as(credential, |state, workspace_id, _| {
        state.consent_agents(workspace_id).rev().map(|(id, agent)| (id, agent.clone())).collect::<Vec<_>>()
    });
    let agents = read.await?;
    let page = parameters.finish(page).map_err(ApiError::invalid)?;
    let begin = match &page.after {
        None => usize::try_from(page.skipped()).unwrap_or(usize::MAX),
        Some(name) => {
            let place = agents.iter().position(|(id, _)| id.to_string() == *name);
            place.ok_or_else(call::unknown_cursor)?.saturating_add(1)
        }
    };
    let rest = agents.get(begin..).unwrap_or_default();
    let shown = rest.get(..page.limit).unwrap_or(rest);
    let next = shown.last().filter(|_| rest.len() > shown.len()).map(|(id, _)| id.to_string());
    let meta = page.meta(u64::try_from(agents.len()).unwrap_or(u64::MAX), next.as_deref());
    Ok(Json(Listed { data: shown.iter().map(|(id, agent)| body(&app, *id, agent)).collect(), meta }))
}

pub fn list_entry() -> Entry {
    Entry::reads("Consent agents", "list_consent_agents", "The agents of the workspace")
        .permitly()
        .about("Newest first.")
        .numbered()
        .answers::<Listed<AgentBody>>(200, "A page.")
}

/// An agent as it is.
pub async fn by_id(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<Data<AgentBody>>, ApiError> {
    let credential = call::credential(&app, &headers)?;
    let id = ConsentAgentId::parse(&path_id(path));
    let read = app.engine.read_as(credential, move |state, workspace_id, _| {
        let id = id?;
        Some((id, state.consent_agent(workspace_id, id)?.clone()))
    });
    let (id, agent) = read.await?.ok_or_else(|| ApiError::not_found("agent"))?;
    Ok(Json(Data { data: body(&app, id, &agent) }))
}

pub fn by_id_entry() -> Entry {
    Entry::reads("Consent agents", "get_consent_agent", "An agent as it is")
        .permitly()
        .names::<ConsentAgentId>("id", "Its id.")
        .answers::<Data<AgentBody>>(200, "The agent.")
        .refuses_with(404, "`not_found`: the workspace has no such agent.")
}

/// Makes something else of an agent.
pub async fn change(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<Data<AgentBody>>, ApiError> {
    let id = ConsentAgentId::parse(&path_id(path));
    let call = call::parse(&app, request, BODY_BYTES_MAX, |body| ChangeAgentBody::parse(body, &|text| webhook_url(&app, text))).await?;
    let committed = app.submit(call.command(|body| Action::ChangeConsentAgent(id, Box::new(body)))).await?;
    let Outcome::ConsentAgent(id) = committed.outcome else { return Err(ApiError::internal()) };
    let agent = known(&app, committed.workspace_id, id).await?;
    Ok(Json(Data { data: body(&app, id, &agent) }))
}

pub fn change_entry() -> Entry {
    Entry::acts("Consent agents", "change_consent_agent", "Change an agent")
        .permitly()
        .about("What is not named stays as it is. Webhooks that are still to be delivered go to the URL of the moment.")
        .names::<ConsentAgentId>("id", "Its id.")
        .body::<ChangeAgentBody>(BODY_BYTES_MAX)
        .answers::<Data<AgentBody>>(200, "The agent as it is now.")
        .refuses_with(404, "`not_found`: the workspace has no such agent.")
}

/// Signs the webhooks of an agent with another secret from now on.
pub async fn rotate(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<Data<AgentBody>>, ApiError> {
    let id = ConsentAgentId::parse(&path_id(path));
    let call = call::parse(&app, request, BODY_BYTES_MAX, |_| Ok(())).await?;
    let committed = app.submit(call.command(|()| Action::RotateWebhookSecret(id))).await?;
    let Outcome::ConsentAgent(id) = committed.outcome else { return Err(ApiError::internal()) };
    Ok(Json(Data { data: with_secret(&app, committed.workspace_id, id).await? }))
}

pub fn rotate_entry() -> Entry {
    Entry::acts("Consent agents", "rotate_webhook_secret", "Sign an agent's webhooks with another secret")
        .permitly()
        .about("From the next attempt on, that of webhooks which are still to be delivered included. The secret is in this answer alone.")
        .names::<ConsentAgentId>("id", "Its id.")
        .ignored_body(BODY_BYTES_MAX)
        .answers::<Data<AgentBody>>(200, "The agent, with its new secret.")
        .refuses_with(404, "`not_found`: the workspace has no such agent.")
}

/// The public key of an agent, for everybody: what its tokens verify with.
pub async fn jwks(State(app): State<App>, path: Result<Path<String>, PathRejection>) -> Result<Json<JwksBody>, ApiError> {
    let id = ConsentAgentId::parse(&path_id(path));
    let read = app.engine.read(move |state, _| state.consent_agent_anywhere(id?).map(|agent| agent.public_key));
    let key = read.await?.and_then(|public_key| AgentPublicKey::new(&public_key)).ok_or_else(|| ApiError::not_found("agent"))?;
    let (x, y) = key.coordinates();
    let (x, y) = (BASE64URL_NOPAD.encode(x), BASE64URL_NOPAD.encode(y));
    Ok(Json(JwksBody { keys: [JwkBody { kty: "EC", crv: "P-256", x, y, kid: key.key_id, alg: "ES256", usage: "sig" }] }))
}

pub fn jwks_entry() -> Entry {
    Entry::open("Consent agents", "agent_jwks", "What an agent's tokens verify with")
        .permitly()
        .about("A JSON Web Key Set (RFC 7517), as libraries read it.")
        .names::<ConsentAgentId>("id", "The agent.")
        .answers::<JwksBody>(200, "Its key, which never changes.")
        .refuses_with(404, "`not_found`: there is no such agent.")
}

/// A URL that webhooks may be sent to, as far as that can be said before one is.
fn webhook_url(app: &App, text: &str) -> Result<WebhookUrl, String> {
    Target::parse(text, app.webhook_sender.allows_private())?;
    WebhookUrl::new(text).map_err(|error| error.to_string())
}

async fn known(app: &App, workspace_id: WorkspaceId, id: ConsentAgentId) -> Result<ConsentAgent, ApiError> {
    let read = app.engine.read(move |state, _| state.consent_agent(workspace_id, id).cloned());
    read.await?.ok_or_else(ApiError::internal)
}

async fn with_secret(app: &App, workspace_id: WorkspaceId, id: ConsentAgentId) -> Result<AgentBody, ApiError> {
    let agent = known(app, workspace_id, id).await?;
    let secret = app.keyring.webhook_secret(id, agent.secret_generation);
    Ok(AgentBody { webhook_secret: Some(secret.to_string()), ..body(app, id, &agent) })
}

fn body(app: &App, id: ConsentAgentId, agent: &ConsentAgent) -> AgentBody {
    let terms = agent.terms.clone();
    AgentBody {
        id,
        name: terms.name,
        is_default: terms.is_default,
        token_lifetime: terms.token_life_s,
        webhook_url: terms.webhook_url,
        redirect_origins: terms.redirect_origins,
        key_id: agent.key_id,
        jwks_url: format!("{}/v1/consent-agents/{id}/jwks.json", app.public_url),
        created_at: agent.created_at,
        webhook_secret: None,
    }
}
