//! `GET /v1/consent`, and `GET` and `DELETE /v1/consent/{id}`.

use allowlog_projections::command::{Action, Credential};
use allowlog_projections::decide::Outcome;
use allowlog_projections::state::{Consent, ConsentAnswer, State as CoreState};
use allowlog_proto::api::permitly::{ConsentBody, ConsentsQuery, Data, ListQuery, Listed};
use allowlog_proto::api::query::Parameters;
use allowlog_proto::event::Withdrawer;
use allowlog_proto::id::{AuthorizationId, ConsentAgentId, ConsentId, WorkspaceId};
use allowlog_proto::json::Value;
use allowlog_proto::text::UserId;
use allowlog_proto::time::Timestamp;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::path_id;
use crate::app::App;
use crate::http::openapi::Entry;
use crate::http::{ApiError, call};

/// Consents looked at in one turn of the writer, some tenths of a millisecond: a list of many is read in several.
const LOOKED_AT: usize = 2_000;

/// How a request stands.
pub async fn by_id(State(app): State<App>, path: Result<Path<String>, PathRejection>, headers: HeaderMap) -> Result<Response, ApiError> {
    let credential = call::credential(&app, &headers)?;
    match ConsentId::parse(&path_id(path)) {
        Some(id) => shown(&app, credential, id, StatusCode::OK).await,
        None => {
            app.engine.authenticate(credential).await?;
            Err(ApiError::not_found("consent"))
        }
    }
}

pub fn by_id_entry() -> Entry {
    Entry::reads("Consent", "get_consent", "How a request for consent stands")
        .permitly()
        .names::<ConsentId>("id", "Its id.")
        .answers::<Data<ConsentBody<'static>>>(200, "The request as it stands.")
        .refuses_with(404, "`not_found`: the workspace has no such consent.")
}

/// Takes a request back, or what was consented to. Clients that take nothing but JSON get the consent.
pub async fn withdraw(State(app): State<App>, path: Result<Path<String>, PathRejection>, request: Request) -> Result<Response, ApiError> {
    let wants_body = wants_body(request.headers());
    let id = ConsentId::parse(&path_id(path));
    let call = call::without_body(&app, request).await?;
    let credential = call.credential().clone();
    let committed = app.submit(call.command(|()| Action::WithdrawConsent(id))).await?;
    if !wants_body {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let id = match committed.outcome {
        Outcome::Consent(id) => id,
        Outcome::Revoked(revoked) => {
            let read = app
                .engine
                .read(move |state, _| state.consent_at(committed.workspace_id, revoked.authorization_id).map(|consent| consent.consent_id));
            read.await?.ok_or_else(ApiError::internal)?
        }
        _ => return Err(ApiError::internal()),
    };
    shown(&app, credential, id, StatusCode::OK).await
}

pub fn withdraw_entry() -> Entry {
    Entry::acts("Consent", "withdraw_consent", "Take a request for consent back, or what was consented to")
        .permitly()
        .about(
            "What was approved is over at once; a request that nobody has answered cannot be answered any more. Doing it again changes \
             nothing. With `Accept: application/json`, which must name it and hold no wildcard, the answer is the consent.",
        )
        .names::<ConsentId>("id", "Its id.")
        .answers_nothing(204, "It is taken back.")
        .answers::<Data<ConsentBody<'static>>>(200, "The same, for clients that take nothing but JSON.")
        .refuses_with(404, "`not_found`: the workspace has no such consent.")
        .refuses_with(422, "`validation_error`: it was declined, or its time was over.")
}

/// Whether `Accept` names JSON and nothing that would take an answer without a body as well.
fn wants_body(headers: &HeaderMap) -> bool {
    let accepted: Vec<_> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let accepted = accepted.join(",").to_ascii_lowercase();
    let mut types = accepted.split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
    types.any(|one| one == "application/json") && !accepted.contains('*')
}

/// The consents of the workspace that fit the query, newest first.
pub async fn list(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, ApiError> {
    let credential = call::credential(&app, &headers)?;
    let pairs = call::pairs(uri.query());
    let mut parameters = Parameters::of(&pairs);
    let asked = (ListQuery::read(&mut parameters), ConsentsQuery::read(&mut parameters));
    let (page, query) = match parameters.finish(asked) {
        Ok(asked) => asked,
        Err(fields) => {
            app.engine.authenticate(credential).await?;
            return Err(ApiError::invalid(fields));
        }
    };
    let found = find(&app, credential, &page, query).await?;
    let has_more = found.wanted.len() > page.limit;
    let shown: Vec<_> = found.wanted.iter().take(page.limit).collect();
    let next = shown.last().filter(|_| has_more).map(|(_, consent)| consent.consent_id.to_string());
    let meta = page.meta(found.total, next.as_deref());
    let data = shown.into_iter().map(|(place, consent)| body(&app, *place, consent, found.now)).collect();
    Ok(Json(Listed { data, meta }).into_response())
}

pub fn list_entry() -> Entry {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    Entry::reads("Consent", "list_consents", "The requests for consent of the workspace")
        .permitly()
        .about("Newest first. Filters are combined with AND and compared exactly.")
        .numbered()
        .query("status", "Those that stand so now.", text().enum_values(Some(ConsentsQuery::STATUSES.iter().copied())))
        .query("agent_id", "Those of this agent.", text())
        .query("end_user_ref", "Those of this person.", text())
        .answers::<Listed<ConsentBody<'static>>>(200, "A page.")
}

/// Looks through the consents of a workspace, some at a time, so that nobody else waits for long.
async fn find(app: &App, credential: Credential, page: &ListQuery, query: ConsentsQuery) -> Result<Found, ApiError> {
    let after = match &page.after {
        None => None,
        Some(name) => {
            let id = ConsentId::parse(name);
            let place =
                move |state: &CoreState, workspace_id, _| id.and_then(|id| state.consent_of(workspace_id, id)).map(|(place, _)| place);
            Some(app.engine.read_as(credential.clone(), place).await?.ok_or_else(call::unknown_cursor)?)
        }
    };
    // Ids that nobody can have name nothing.
    let agent_id = query.agent_id.as_deref().map(ConsentAgentId::parse);
    let user_id = query.user_id.as_deref().map(|text| UserId::new(text).ok());
    if agent_id == Some(None) || user_id == Some(None) {
        app.engine.authenticate(credential).await?;
        return Ok(Found::default());
    }
    let mut looking = Looking {
        status: query.status,
        agent_id: agent_id.flatten(),
        user_id: user_id.flatten(),
        after,
        skipped: page.skipped(),
        want: page.limit.saturating_add(1),
        end: None,
        found: Found::default(),
    };
    loop {
        let is_over;
        let turn = move |state: &CoreState, workspace_id, now| looking.turn(state, workspace_id, now);
        (looking, is_over) = app.engine.read_as(credential.clone(), turn).await?;
        if is_over {
            return Ok(looking.found);
        }
    }
}

/// What of a list was found.
#[derive(Default)]
struct Found {
    /// One more than the page holds, if there are so many.
    wanted: Vec<(AuthorizationId, Consent)>,
    total: u64,
    /// The instant of the first turn, at which all of it is looked at.
    now: Timestamp,
}

/// What is looked for, and how far that is.
struct Looking {
    status: Option<&'static str>,
    agent_id: Option<ConsentAgentId>,
    user_id: Option<UserId>,
    /// The page begins behind this one.
    after: Option<AuthorizationId>,
    /// So many are still before the page.
    skipped: u64,
    want: usize,
    /// What lies before this one was not looked at yet.
    end: Option<AuthorizationId>,
    found: Found,
}

impl Looking {
    /// Looks at the next ones; true if there are no more.
    fn turn(mut self, state: &CoreState, workspace_id: WorkspaceId, now: Timestamp) -> (Self, bool) {
        if self.end.is_none() {
            self.found.now = now;
        }
        let consents: Vec<_> = match &self.user_id {
            Some(user_id) => state.consents_of_user(workspace_id, user_id, self.end).rev().take(LOOKED_AT).collect(),
            None => state.consents(workspace_id, self.end).rev().take(LOOKED_AT).collect(),
        };
        self.end = consents.last().map(|(place, _)| *place).or(self.end);
        let is_over = consents.len() < LOOKED_AT;
        for (place, consent) in consents {
            self.look(place, consent);
        }
        (self, is_over)
    }

    fn look(&mut self, place: AuthorizationId, consent: &Consent) {
        let fits = self.agent_id.is_none_or(|id| consent.agent_id == id)
            && self.status.is_none_or(|status| consent.status(self.found.now).as_str() == status);
        if !fits {
            return;
        }
        self.found.total = self.found.total.saturating_add(1);
        if self.after.is_some_and(|after| place >= after) {
            return;
        }
        if self.skipped > 0 {
            self.skipped = self.skipped.saturating_sub(1);
        } else if self.found.wanted.len() < self.want {
            self.found.wanted.push((place, consent.clone()));
        }
    }
}

/// A consent of the caller's workspace, as the answer to whatever was done.
pub(super) async fn shown(app: &App, credential: Credential, id: ConsentId, status: StatusCode) -> Result<Response, ApiError> {
    let read = app.engine.read_as(credential, move |state, workspace_id, now| {
        state.consent_of(workspace_id, id).map(|(place, consent)| (place, consent.clone(), now))
    });
    let (place, consent, now) = read.await?.ok_or_else(|| ApiError::not_found("consent"))?;
    Ok((status, Json(Data { data: body(app, place, &consent, now) })).into_response())
}

fn body<'a>(app: &App, place: AuthorizationId, consent: &'a Consent, now: Timestamp) -> ConsentBody<'a> {
    let approved_at = consent.approved_at();
    let (decided_at, revoked_at, revoked_by) = match consent.answer {
        ConsentAnswer::None => (None, None, None),
        ConsentAnswer::Approved { at } | ConsentAnswer::Declined { at } => (Some(at), None, None),
        ConsentAnswer::Withdrawn { approved_at, at, by } => (approved_at, Some(at), Some(Withdrawer::as_str(by))),
    };
    let scopes: Vec<_> = consent.scopes.iter().map(Into::into).collect();
    ConsentBody {
        id: consent.consent_id,
        status: consent.status(now).as_str(),
        consent_url: format!("{}/c/{}", app.public_url, consent.consent_id),
        end_user_ref: &consent.user_id,
        end_user_email: consent.email.as_ref(),
        agent_id: consent.agent_id,
        approved_scopes: approved_at.map(|_| scopes.clone()),
        scopes,
        redirect_url: &consent.redirect_url,
        metadata: Value::parse(consent.metadata.as_str().as_bytes()).unwrap_or(Value::Null),
        created_at: consent.created_at,
        decided_at,
        expires_at: consent.expires_at,
        revoked_at,
        revoked_by,
        authorization_id: approved_at.map(|_| place),
    }
}
