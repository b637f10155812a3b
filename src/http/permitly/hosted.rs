//! `/c/{id}` and `/manage/{token}`: pages for people, who have nothing to show but the link.

use std::net::{IpAddr, SocketAddr};

use allowlog_projections::command::{Command, Visit};
use allowlog_projections::rejected::Rejected;
use allowlog_projections::state::{Consent, ConsentStatus, State as CoreState};
use allowlog_proto::event::Visitor;
use allowlog_proto::id::{ConsentId, WorkspaceId};
use allowlog_proto::limits::USER_AGENT_BYTES_MAX;
use allowlog_proto::text::{IpAddress, UserAgent};
use allowlog_proto::time::Timestamp;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use data_encoding::BASE64URL_NOPAD;
use subtle::ConstantTimeEq as _;
use tokio::sync::{Semaphore, SemaphorePermit};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::path_id;
use crate::app::App;
use crate::engine::Failure;
use crate::http::openapi::Entry;
use crate::http::pages::manage::{CONSENTS_SHOWN, ManageView, ManagedConsent};
use crate::http::pages::{Fault, Page, consent, manage};
use crate::http::{ApiError, call};
use crate::manage_link::ManageToken;

/// Pages that are made at a time: visitors need no key, and must leave room to those who have one.
const VISITORS_MAX: usize = 64;
static VISITORS: Semaphore = Semaphore::const_new(VISITORS_MAX);

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// A form of two short fields.
const FORM_BYTES_MAX: usize = 8 * 1024;
const NO_STORE: &str = "`no-store`";
/// What CSRF tokens are for.
const OF_CONSENT: &str = "csrf of a consent";
const OF_MANAGING: &str = "csrf of managing";

/// Where the connection of a request came from.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Asks a person, or says what became of it. Looking leaves a row in the audit and changes nothing: links are looked at by many machines.
pub async fn show(State(app): State<App>, path: Result<Path<String>, PathRejection>, request: Request) -> Result<Response, Fault> {
    let _place = place()?;
    let id = ConsentId::parse(&path_id(path));
    let visitor = visitor(&app, &request);
    visit(&app, visitor, Visit::View(id)).await?;
    Ok(Shown::read(&app, id).await?.page(&app).into_response())
}

pub fn show_entry() -> Entry {
    Entry::open("Pages", "consent_page", "The page on which a person is asked")
        .page()
        .about("HTML. It changes nothing but the audit. 410 once its time is over, or it was taken back.")
        .names::<ConsentId>("id", "The consent.")
        .answers_with("text/html", "The page.", ObjectBuilder::new().schema_type(Type::String))
        .header("Cache-Control", NO_STORE)
        .refuses_with(404, "There is no such consent.")
        .refuses_with(410, "Its time is over, or it was taken back.")
}

/// Takes the person's answer, the first one, and sends them back.
pub async fn answer(State(app): State<App>, path: Result<Path<String>, PathRejection>, request: Request) -> Result<Response, Fault> {
    let id = ConsentId::parse(&path_id(path));
    let visitor = visitor(&app, &request);
    let form = form(&app, request).await?;
    let _place = place()?;
    let shown = Shown::read(&app, id).await?;
    if !is_csrf(&app, OF_CONSENT, shown.consent.consent_id.to_string().as_bytes(), field(&form, "csrf")) {
        return Err(Fault::Untrusted);
    }
    let approves = match field(&form, "decision") {
        Some("approve") => true,
        Some("decline") => false,
        Some(_) | None => return Err(Fault::Unclear),
    };
    let visit = Command::Visitor { visitor, visit: Visit::Answer { consent_id: id, approves } };
    match app.submit(visit).await {
        Ok(_) => {}
        Err(Failure::Rejected(Rejected::Conflict(_) | Rejected::Gone(_))) => {
            return Ok(consent::already(&Shown::read(&app, id).await?.view(&app, &mut String::new())).into_response());
        }
        Err(failure) => return Err(fault(failure)),
    }
    let shown = Shown::read(&app, id).await?;
    let status = if approves { ConsentStatus::Approved } else { ConsentStatus::Declined };
    let url = shown.consent.redirect_url.with_answer(shown.consent.consent_id, status.as_str());
    // The agent may have been told since to send people elsewhere only.
    Ok(match url.filter(|_| shown.may_redirect) {
        Some(url) => see_other(&url),
        None => shown.page(&app).into_response(),
    })
}

pub fn answer_entry() -> Entry {
    Entry::open("Pages", "answer_consent", "The form on that page")
        .page()
        .about("303 to `redirect_url`, with `consent_id` and `status` in its query. 409 if it was answered before, 410 if it is too late.")
        .names::<ConsentId>("id", "The consent.")
        .form(&[("decision", "`approve` or `decline`."), ("csrf", "As the page has it.")])
        .answers_with(
            "text/html",
            "What was answered, where the agent may not send people to `redirect_url` any more.",
            ObjectBuilder::new().schema_type(Type::String),
        )
        .header("Cache-Control", NO_STORE)
        .answers_nothing(303, "The person goes back to who asked.")
        .header("Cache-Control", NO_STORE)
        .header("Location", "`redirect_url` with the answer.")
        .refuses_with(403, "The form is not that of this page.")
        .refuses_with(404, "There is no such consent.")
        .refuses_with(409, "It was answered before.")
        .refuses_with(410, "Its time is over, or it was taken back.")
        .refuses_with(422, "The form says neither yes nor no.")
}

/// What a person consented to in a workspace.
pub async fn overview(State(app): State<App>, path: Result<Path<String>, PathRejection>, uri: Uri) -> Result<Response, Fault> {
    let _place = place()?;
    let text = path_id(path);
    let token = ManageToken::read(&text, &app.keyring).ok_or(Fault::UnknownLink)?;
    let pairs = call::pairs(uri.query());
    let cursor = field(&pairs, "cursor").and_then(ConsentId::parse);
    let ManageToken { workspace_id, user_id, expires_at } = token;
    let person = user_id.clone();
    let read = app.engine.read(move |state, now| {
        let end = cursor.and_then(|id| state.consent_of(workspace_id, id)).map(|(place, _)| place);
        let consents = state.consents_of_user(workspace_id, &user_id, end).rev().take(CONSENTS_SHOWN.saturating_add(1));
        let consents: Vec<_> = consents.map(|(_, consent)| (consent.clone(), agent_name(state, workspace_id, consent))).collect();
        (consents, state.workspace(workspace_id).map(|workspace| workspace.name.to_string()), now)
    });
    let (mut consents, workspace, now) = read.await.map_err(fault)?;
    if now >= expires_at {
        return Err(Fault::ExpiredLink);
    }
    let has_more = consents.len() > CONSENTS_SHOWN;
    consents.truncate(CONSENTS_SHOWN);
    let next = consents.last().filter(|_| has_more).map(|(consent, _)| consent.consent_id.to_string());
    let csrf = csrf(&app, OF_MANAGING, text.as_bytes());
    let view = ManageView {
        workspace: workspace.as_deref().ok_or(Fault::UnknownLink)?,
        person: person.as_str(),
        consents: consents.iter().map(|(consent, agent)| ManagedConsent::of(consent, agent, now)).collect(),
        token: &text,
        csrf: &csrf,
        is_first: cursor.is_none(),
        cursor: next.as_deref(),
        just_revoked: field(&pairs, "revoked"),
    };
    Ok(manage::page(&view).into_response())
}

pub fn overview_entry() -> Entry {
    Entry::open("Pages", "manage_page", "The page on which a person manages consents")
        .page()
        .about("HTML, for whoever has the link of `GET /v1/consent/manage-url`.")
        .path("token", "As the link has it.", None)
        .query("cursor", "The page of older ones.", ObjectBuilder::new().schema_type(Type::String))
        .answers_with("text/html", "The page.", ObjectBuilder::new().schema_type(Type::String))
        .header("Cache-Control", NO_STORE)
        .refuses_with(404, "The link is none of this server's.")
        .refuses_with(410, "The link has worked for an hour.")
}

/// Takes back what the person consented to.
pub async fn revoke(State(app): State<App>, path: Result<Path<String>, PathRejection>, request: Request) -> Result<Response, Fault> {
    let text = path_id(path);
    let visitor = visitor(&app, &request);
    let form = form(&app, request).await?;
    let _place = place()?;
    let ManageToken { workspace_id, user_id, expires_at } = ManageToken::read(&text, &app.keyring).ok_or(Fault::UnknownLink)?;
    let now = app.engine.read(|_, now| now).await.map_err(fault)?;
    if now >= expires_at {
        return Err(Fault::ExpiredLink);
    }
    if !is_csrf(&app, OF_MANAGING, text.as_bytes(), field(&form, "csrf")) {
        return Err(Fault::Untrusted);
    }
    let id = field(&form, "consent_id").and_then(ConsentId::parse).ok_or(Fault::Unclear)?;
    match visit(&app, visitor, Visit::Withdraw { workspace_id, user_id, consent_id: Some(id) }).await {
        // What cannot be taken back is shown as it is.
        Ok(()) | Err(Fault::Unclear) => Ok(see_other(&format!("/manage/{text}?revoked={id}#{id}"))),
        Err(fault) => Err(fault),
    }
}

pub fn revoke_entry() -> Entry {
    Entry::open("Pages", "revoke_own_consent", "The form on that page")
        .page()
        .about("303 back to the page. Doing it again changes nothing.")
        .path("token", "As the link has it.", None)
        .form(&[("consent_id", "What is taken back."), ("csrf", "As the page has it.")])
        .answers_nothing(303, "Back to the page.")
        .header("Cache-Control", NO_STORE)
        .header("Location", "The page.")
        .refuses_with(403, "The form is not that of this page.")
        .refuses_with(404, "The link is none of this server's, or the consent is not this person's.")
        .refuses_with(410, "The link has worked for an hour.")
        .refuses_with(422, "The form names no consent.")
}

/// A place among those who look at pages.
fn place() -> Result<SemaphorePermit<'static>, Fault> {
    VISITORS.try_acquire().map_err(|_| Fault::Unavailable)
}

/// Whether a form may have been sent from another site than this one, whoever fetched its page: browsers say so. Those that are too old
/// to send `Sec-Fetch-Site` say where they come from, or nothing of use, since pages let no referrer out.
fn is_from_elsewhere(app: &App, headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(FETCH_SITE) {
        return site != "same-origin" && site != "none";
    }
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let is_here = |origin: &str| {
        let host = origin.split_once("://").map(|(_, host)| host);
        origin == "null"
            || (host.is_some() && host == text(header::HOST))
            || app.public_url.strip_prefix(origin).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    text(header::ORIGIN).is_some_and(|origin| !is_here(origin))
}

/// Who looks, as far as the connection tells.
fn visitor(app: &App, request: &Request) -> Visitor {
    let forwarded = || {
        let last = request.headers().get_all(FORWARDED_FOR).iter().next_back()?.to_str().ok()?.rsplit(',').next()?.trim();
        last.parse().ok().or_else(|| last.parse().ok().map(|address: SocketAddr| address.ip()))
    };
    let peer = request.extensions().get::<Peer>().map(|Peer(address)| address.ip());
    // What is no address is not believed.
    let address = if app.is_behind_proxy { forwarded().or(peer) } else { peer };
    let address = address.map(|address: IpAddr| address.to_canonical().to_string());
    let agent = request.headers().get(header::USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned());
    let agent = agent.map(|agent| agent.get(..agent.floor_char_boundary(USER_AGENT_BYTES_MAX)).unwrap_or_default().to_owned());
    Visitor {
        ip_address: address.and_then(|address| IpAddress::new(&address).ok()),
        user_agent: agent.and_then(|agent| UserAgent::new(&agent).ok()),
    }
}

async fn visit(app: &App, visitor: Visitor, visit: Visit) -> Result<(), Fault> {
    app.submit(Command::Visitor { visitor, visit }).await.map(drop).map_err(fault)
}

fn fault(failure: Failure) -> Fault {
    match failure {
        Failure::Rejected(Rejected::NotFound(_)) => Fault::UnknownRequest,
        Failure::Rejected(_) => Fault::Unclear,
        Failure::Busy | Failure::Unavailable => Fault::Unavailable,
    }
}

/// A consent with what its page says beside it.
struct Shown {
    consent: Consent,
    workspace: String,
    agent: String,
    may_redirect: bool,
    now: Timestamp,
}

impl Shown {
    async fn read(app: &App, id: Option<ConsentId>) -> Result<Self, Fault> {
        let read = app.engine.read(move |state, now| {
            let (workspace_id, _, consent) = state.consent(id?)?;
            let agent = state.consent_agent(workspace_id, consent.agent_id);
            let origins = agent.map(|agent| agent.terms.redirect_origins.as_slice()).unwrap_or_default();
            Some(Self {
                consent: consent.clone(),
                workspace: state.workspace(workspace_id)?.name.to_string(),
                agent: agent_name(state, workspace_id, consent),
                may_redirect: origins.is_empty() || origins.contains(&consent.redirect_url.origin()),
                now,
            })
        });
        read.await.map_err(fault)?.ok_or(Fault::UnknownRequest)
    }

    fn view<'a>(&'a self, app: &App, token: &'a mut String) -> consent::ConsentView<'a> {
        *token = csrf(app, OF_CONSENT, self.consent.consent_id.to_string().as_bytes());
        consent::ConsentView::of(&self.consent, &self.workspace, &self.agent, token, self.now)
    }

    fn page(&self, app: &App) -> Page {
        consent::page(&self.view(app, &mut String::new()))
    }
}

fn agent_name(state: &CoreState, workspace_id: WorkspaceId, consent: &Consent) -> String {
    state.consent_agent(workspace_id, consent.agent_id).map(|agent| agent.terms.name.to_string()).unwrap_or_default()
}

/// Shows that a form is that of the page about `subject`.
fn csrf(app: &App, purpose: &str, subject: &[u8]) -> String {
    BASE64URL_NOPAD.encode(&app.keyring.page_tag(purpose, subject))
}

fn is_csrf(app: &App, purpose: &str, subject: &[u8], given: Option<&str>) -> bool {
    given.is_some_and(|given| bool::from(given.as_bytes().ct_eq(csrf(app, purpose, subject).as_bytes())))
}

/// The fields of a form that was sent from a page of this server; a body that is none has none.
async fn form(app: &App, request: Request) -> Result<Vec<(String, String)>, Fault> {
    if is_from_elsewhere(app, request.headers()) {
        call::discard(request.into_body()).await;
        return Err(Fault::Untrusted);
    }
    let body = call::read(request.into_body(), FORM_BYTES_MAX).await.map_err(|_: ApiError| Fault::Unclear)?;
    Ok(call::pairs(std::str::from_utf8(&body).ok()))
}

fn field<'f>(fields: &'f [(String, String)], name: &str) -> Option<&'f str> {
    fields.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
}

fn see_other(url: &str) -> Response {
    let headers = [(header::LOCATION, url), (header::CACHE_CONTROL, "no-store"), (header::REFERRER_POLICY, "no-referrer")];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// What becomes of an error that no handler made, on the way of a page.
pub fn fault_of(status: StatusCode) -> Option<Fault> {
    match status {
        StatusCode::NOT_FOUND => Some(Fault::UnknownRequest),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::INTERNAL_SERVER_ERROR => Some(Fault::Unavailable),
        _ => None,
    }
}

/// Whether a path is that of a page.
pub fn is_page(path: &str) -> bool {
    path.starts_with("/c/") || path.starts_with("/manage/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_told_from_the_api() {
        assert!(is_page("/c/cr_1") && is_page("/manage/x/revoke"));
        assert!(!is_page("/v1/consent") && !is_page("/c") && !is_page("/consent"));
        assert_eq!(fault_of(StatusCode::NOT_FOUND), Some(Fault::UnknownRequest));
        assert_eq!(fault_of(StatusCode::METHOD_NOT_ALLOWED), None);
    }

    #[test]
    fn who_is_sent_on_is_sent_there_alone() {
        let response = see_other("https://a.example/?x=1");
        assert_eq!(
            (response.status(), response.headers()[header::LOCATION].to_str().unwrap()),
            (StatusCode::SEE_OTHER, "https://a.example/?x=1")
        );
    }
}
