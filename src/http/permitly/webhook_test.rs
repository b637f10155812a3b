//! `POST /v1/consent-agents/{id}/webhook-test`: is anybody there, and do we agree on the secret?

use std::time::Duration;

use allowlog_projections::webhooks::test_body;
use allowlog_proto::api::envelope::FieldError;
use allowlog_proto::api::permitly::{Data, WebhookTestBody};
use allowlog_proto::id::{ConsentAgentId, WebhookId};
use allowlog_proto::limits::BODY_BYTES_MAX;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};

use super::path_id;
use crate::app::App;
use crate::chance;
use crate::http::openapi::Entry;
use crate::http::{ApiError, call};
use crate::webhooks::Failure;

/// Less than a webhook is given, since whoever asked is given no more.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Sends one message, once, and says what came of it.
pub async fn send(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<Data<WebhookTestBody>>, ApiError> {
    let agent_id = ConsentAgentId::parse(&path_id(path));
    let call = call::parse(&app, request, BODY_BYTES_MAX, |_| Ok(())).await?;
    let credential = call.credential().clone();
    app.engine.may_act(credential.clone()).await?;
    let read = app.engine.read_as(credential, move |state, workspace_id, _| {
        let agent_id = agent_id?;
        let agent = state.consent_agent(workspace_id, agent_id)?;
        Some((agent_id, agent.terms.webhook_url.clone(), agent.secret_generation))
    });
    let (agent_id, url, generation) = read.await?.ok_or_else(|| ApiError::not_found("agent"))?;
    let nowhere = || ApiError::invalid(vec![FieldError::new("body.webhook_url", "is not set: there is nowhere to send it")]);
    let url = url.ok_or_else(nowhere)?;
    let id = WebhookId::from_bytes(chance::bytes());
    let body = test_body(id, agent_id, app.clock.now());
    let secret = app.keyring.webhook_secret(agent_id, generation);
    let sending = tokio::time::timeout(TIMEOUT, app.webhook_sender.send(url.as_str(), &secret, body.into_bytes()));
    let sent = sending.await.unwrap_or(Err(Failure::Timeout));
    let status = match &sent {
        Ok(status) | Err(Failure::Status(status)) => Some(*status),
        Err(Failure::Target(_) | Failure::NotPublic | Failure::Timeout | Failure::Unreachable(_)) => None,
    };
    let error = sent.as_ref().err().map(ToString::to_string);
    Ok(Json(Data { data: WebhookTestBody { id, delivered: sent.is_ok(), status, error } }))
}

pub fn entry() -> Entry {
    Entry::acts("Consent agents", "test_webhook", "Send a webhook that means nothing")
        .permitly()
        .about("Its type is `webhook.test`. It is signed like any other, sent once, and leaves no event.")
        .names::<ConsentAgentId>("id", "Its id.")
        .ignored_body(BODY_BYTES_MAX)
        .answers::<Data<WebhookTestBody>>(200, "What came of it.")
        .refuses_with(404, "`not_found`: the workspace has no such agent.")
        .refuses_with(422, "`validation_error`: the agent has no URL.")
}
