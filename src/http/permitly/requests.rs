//! `POST /v1/consent/request` and `GET /v1/consent/manage-url`.

use std::sync::Arc;

use allowlog_projections::command::{Action, Command};
use allowlog_projections::decide::Outcome;
use allowlog_proto::api::envelope::FieldError;
use allowlog_proto::api::permitly::{AskBody, ConsentBody, Data, ManageUrlBody};
use allowlog_proto::api::query::Parameters;
use allowlog_proto::limits::BODY_METADATA_BYTES_MAX;
use allowlog_proto::text::UserId;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::consents;
use crate::app::{App, CreateError};
use crate::http::openapi::Entry;
use crate::http::{ApiError, call};
use crate::manage_link::ManageToken;
use crate::telemetry::blocking;

/// Asks a person for consent.
pub async fn ask(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let call = call::parse_naming(&app, request, BODY_METADATA_BYTES_MAX, &["end_user_ref", "end_user_email"], AskBody::parse).await?;
    let credential = call.credential().clone();
    // A workspace's first request makes its default agent, whose key is sealed before anything depends on it.
    let has_agent = app.engine.read_as(credential.clone(), |state, workspace_id, _| {
        state.workspace(workspace_id).is_some_and(|workspace| workspace.default_agent.is_some())
    });
    let spare_key = if call.body.agent_id.is_none() && !has_agent.await? {
        // Nothing is sealed for who may not ask.
        app.engine.may_act(credential.clone()).await?;
        Some(agent_key(&app).await?)
    } else {
        None
    };
    let command = call.command(|body| Action::Ask(Box::new(body), spare_key));
    let Outcome::Consent(id) = app.submit(command).await?.outcome else { return Err(ApiError::internal()) };
    consents::shown(&app, credential, id, StatusCode::CREATED).await
}

pub fn ask_entry() -> Entry {
    Entry::acts("Consent", "request_consent", "Ask a person for consent")
        .permitly()
        .about(
            "Send the person to `consent_url`. With their answer they come back to `redirect_url`, which has `consent_id` and `status` in its \
             query; the token comes with the webhook, or from `POST /v1/consent/{id}/token`. The first request of a workspace makes its \
             default agent.",
        )
        .body::<AskBody>(BODY_METADATA_BYTES_MAX)
        .answers::<Data<ConsentBody<'static>>>(201, "The request, which can be answered from now on.")
        .leads_to("get_consent", "id", "data/id")
        .leads_to("withdraw_consent", "id", "data/id")
}

/// Draws a key for an agent and seals it, beside the threads that answer.
pub(super) async fn agent_key(app: &App) -> Result<(u8, [u8; 32]), ApiError> {
    let keyring = Arc::clone(&app.keyring);
    let drawn = blocking(move || keyring.generate_agent_key()).await.map_err(|_| ApiError::internal())?;
    drawn.map_err(|error| CreateError::from(error).into())
}

/// A link to the page on which a person manages what they consented to.
pub async fn manage_url(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Json<Data<ManageUrlBody>>, ApiError> {
    let credential = call::credential(&app, &headers)?;
    let pairs = call::pairs(uri.query());
    let mut parameters = Parameters::of(&pairs);
    let user_id = parameters.read("end_user_ref", |text| UserId::new(text).map_err(|error| error.to_string()));
    let missing = || vec![FieldError::new("query.end_user_ref", "is required")];
    let user_id = match parameters.finish(user_id).and_then(|user_id| user_id.ok_or_else(missing)) {
        Ok(user_id) => user_id,
        Err(fields) => {
            app.engine.may_act(credential).await?;
            return Err(ApiError::invalid(fields));
        }
    };
    call::refuse_email(&app, "query.end_user_ref", user_id.as_str())?;
    let command = Command::Caller { credential, request: None, action: Action::CreateManageLink(user_id) };
    let committed = app.submit(command).await?;
    let Outcome::ManageLink(link) = committed.outcome else { return Err(ApiError::internal()) };
    let token = ManageToken { workspace_id: committed.workspace_id, user_id: link.user_id, expires_at: link.expires_at };
    let url = format!("{}/manage/{}", app.public_url, token.write(&app.keyring));
    Ok(Json(Data { data: ManageUrlBody { url } }))
}

pub fn manage_url_entry() -> Entry {
    Entry::reads("Consent", "get_manage_url", "A link to the page on which a person manages consents")
        .permitly()
        .acting()
        .about("The link works for an hour, for whoever has it: send the person there, and nobody else. It leaves an event.")
        .query("end_user_ref", "The person, as you call them. Required.", ObjectBuilder::new().schema_type(Type::String))
        .answers::<Data<ManageUrlBody>>(200, "The link.")
}
