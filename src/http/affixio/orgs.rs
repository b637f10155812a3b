//! `POST /v1/orgs` and `POST /v1/api-keys`: an org is a workspace, which is made without a key.

use allowlog_projections::command::{Action, Command, NewApiKey, Operation};
use allowlog_projections::decide::Outcome;
use allowlog_projections::rejected::Rejected;
use allowlog_proto::api::admin::NewKeyBody;
use allowlog_proto::api::affixio::{OrgBody, OrgCreatedBody, OrgKeyBody, OrgKeyCreatedBody};
use allowlog_proto::event::{Plan, Role, Style};
use allowlog_proto::id::{OrgId, WorkspaceId};
use allowlog_proto::limits::BODY_BYTES_MAX;
use allowlog_proto::text::Name;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};

use crate::api_key;
use crate::app::App;
use crate::engine::Failure;
use crate::http::openapi::Entry;
use crate::http::{ApiError, call};

/// What a key is called that nobody calls anything.
const NAME_OF_KEY: &str = "AffixIO";

/// Makes an org. Its first key is another call, so that the two can be made by two.
pub async fn create(State(app): State<App>, request: Request) -> Result<(StatusCode, Json<OrgCreatedBody>), ApiError> {
    if !is_operator(&app, request.headers()) && !app.is_signup_open {
        call::discard(request.into_body()).await;
        return Err(ApiError::unauthorized_operator());
    }
    let OrgBody { name, metadata } = OrgBody::parse(&call::body(request, BODY_BYTES_MAX).await?).map_err(ApiError::invalid)?;
    let public_key = app.generate_signing_key().await?;
    let operation = Operation::CreateWorkspace { name, plan: Plan::Enterprise, public_key, api_key: None, metadata };
    let outcome = app.engine.submit(Command::Operator(operation)).await?.outcome;
    let Outcome::WorkspaceCreated(created) = outcome else { return Err(ApiError::internal()) };
    let id = OrgId::from(created.workspace_id);
    let body = OrgCreatedBody { id, org_id: id, name: created.name, status: "active", created_at: created.created_at };
    Ok((StatusCode::CREATED, Json(body)))
}

pub fn create_entry() -> Entry {
    Entry::signs_up("Agents", "create_org", "Make an org")
        .affixio()
        .about(
            "An org is a workspace, under the same id but for its prefix. It takes the admin token, unless the server runs with \
             `--open-signup`. It has no API key yet: see `POST /v1/api-keys`.",
        )
        .body::<OrgBody>(BODY_BYTES_MAX)
        .answers::<OrgCreatedBody>(201, "The org.")
}

/// Makes an API key for an org: the caller's own, one that has none yet, or whichever the operator says.
pub async fn create_key(State(app): State<App>, request: Request) -> Result<(StatusCode, Json<OrgKeyCreatedBody>), ApiError> {
    let is_operator = is_operator(&app, request.headers());
    let is_anybody = app.is_signup_open && !call::presents_key(request.headers());
    // Its secret is kept nowhere, so that no retry could be told it again.
    let (text, command) = if is_operator || is_anybody {
        let body = OrgKeyBody::parse(&call::body(request, BODY_BYTES_MAX).await?).map_err(ApiError::invalid)?;
        let unknown = || if is_operator { ApiError::not_found("org") } else { ApiError::unauthorized() };
        let workspace_id = body.org.map(WorkspaceId::from).ok_or_else(unknown)?;
        let (text, api_key) = draw(&app, body.name)?;
        let operation = match is_operator {
            true => Operation::CreateApiKey { workspace_id, api_key },
            false => Operation::CreateFirstApiKey { workspace_id, api_key },
        };
        (text, Command::Operator(operation))
    } else {
        let call = call::parse(&app, request, BODY_BYTES_MAX, OrgKeyBody::parse).await?;
        let (text, api_key) = draw(&app, call.body.name.clone())?;
        (text, call.fresh_command(|body| Action::CreateApiKey(body.org.map(WorkspaceId::from), Box::new(api_key))))
    };
    let committed = app.submit(command).await.map_err(|failure| match failure {
        Failure::Rejected(Rejected::NotFound(_)) => ApiError::not_found("org"),
        other => other.into(),
    })?;
    let Outcome::ApiKeyCreated(created) = committed.outcome else { return Err(ApiError::internal()) };
    let key_prefix = text.rsplit_once('_').map_or("", |(public, _)| public).to_owned();
    let body = OrgKeyCreatedBody {
        id: created.api_key.api_key_id.into(),
        key: text.clone(),
        api_key: text,
        key_prefix,
        org_id: committed.workspace_id.into(),
        created_at: created.created_at,
    };
    Ok((StatusCode::CREATED, Json(body)))
}

pub fn create_key_entry() -> Entry {
    Entry::signs_in("Agents", "create_org_api_key", "Make an API key for an org")
        .affixio()
        .about(
            "With a key of that org, or with the admin token. Where the server runs with `--open-signup`, anybody may make the first key of an \
             org within 60 minutes of the org, with no key at all. The key is in this answer and nowhere else; it opens every API of this \
             server.",
        )
        .acting()
        .body::<OrgKeyBody>(BODY_BYTES_MAX)
        .answers::<OrgKeyCreatedBody>(201, "The key, with its secret.")
        .refuses_with(404, "`not_found`: the key that was shown opens no such org.")
}

fn is_operator(app: &App, headers: &HeaderMap) -> bool {
    call::bearer(headers).is_some_and(|token| app.admin_token.is(token))
}

fn draw(app: &App, name: Option<Name>) -> Result<(String, NewApiKey), ApiError> {
    let name = name.or_else(|| Name::new(NAME_OF_KEY).ok()).ok_or_else(ApiError::internal)?;
    Ok(api_key::draw(NewKeyBody { name, style: Style::Affixio, role: Role::Runtime, expires_at: None }, &app.keyring))
}
