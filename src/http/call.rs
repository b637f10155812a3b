//! A call as every face takes it: who calls, and what the body says.

use std::time::Duration;

use allowlog_projections::command::{Action, Command, Credential};
use allowlog_proto::api::envelope::FieldError;
use allowlog_proto::api::fields::is_absent;
use allowlog_proto::api::page::PageQuery;
use allowlog_proto::api::query::Parameters;
use allowlog_proto::json::{Object, Value};
use allowlog_proto::limits::BODY_BATCH_BYTES_MAX;
use allowlog_proto::record::Request as NamedRequest;
use allowlog_proto::text::IdempotencyKey;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, Uri, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::Semaphore;

use super::ApiError;
use crate::api_key;
use crate::app::App;

/// Where a key may stand beside `Authorization`, which is what most clients send.
static KEY_HEADERS: [HeaderName; 2] = [HeaderName::from_static("x-affixio-key"), HeaderName::from_static("x-api-key")];
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// A body that takes longer is the caller's fault, and is told so before the request as a whole takes too long.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of all bodies together that have arrived in part. What has arrived whole waits for the writer, if it is let in.
const BODIES_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A permit for each of them.
static BODIES: Semaphore = Semaphore::const_new(BODIES_BYTES_MAX);

/// The API key of the request, as far as it can be one.
pub fn credential(app: &App, headers: &HeaderMap) -> Result<Credential, ApiError> {
    presented(headers).and_then(|key| api_key::credential(key, &app.keyring)).ok_or_else(ApiError::unauthorized)
}

/// Whether a request says who calls, rightly or not.
pub fn presents_key(headers: &HeaderMap) -> bool {
    KEY_HEADERS.iter().any(|name| headers.contains_key(name)) || headers.contains_key(header::AUTHORIZATION)
}

/// The key, in whichever header it stands. Where several say something they must say the same: which of two callers it is nobody guesses.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let plain = KEY_HEADERS.iter().flat_map(|name| headers.get_all(name)).map(|value| value.to_str().ok().map(str::trim));
    let mut keys = plain.chain(headers.contains_key(header::AUTHORIZATION).then(|| bearer(headers)));
    let first = keys.next()??;
    keys.all(|other| other == Some(first)).then_some(first)
}

/// The token behind `Bearer`, whose name is read in any letter case.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (values.next().is_none() && scheme.eq_ignore_ascii_case("bearer")).then(|| token.trim())
}

/// A call that leaves an event, as far as it could be read.
pub struct Call<T> {
    credential: Credential,
    request: Option<NamedRequest>,
    /// What the body says.
    pub body: T,
}

impl<T> Call<T> {
    /// Who calls.
    pub const fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The command of a call whose retry is to see what has changed since: whatever it was named, it is decided anew.
    pub fn fresh_command(self, action: impl FnOnce(T) -> Action) -> Command {
        Command::Caller { credential: self.credential, request: None, action: action(self.body) }
    }

    /// The command of this call.
    pub fn command(self, action: impl FnOnce(T) -> Action) -> Command {
        Command::Caller { credential: self.credential, request: self.request, action: action(self.body) }
    }
}

/// Who calls, and what the caller named the request; whatever its body is, nobody looks at it.
pub async fn without_body(app: &App, request: Request) -> Result<Call<()>, ApiError> {
    let credential = credential(app, request.headers());
    let name = idempotency_key(request.headers());
    let (method, uri) = (request.method().clone(), request.uri().clone());
    discard(request.into_body()).await;
    let credential = credential?;
    match name {
        Ok(name) => {
            let request = name.map(|name| NamedRequest::new(name, method.as_str(), uri.path(), &[]));
            Ok(Call { credential, request, body: () })
        }
        Err(error) => refuse(app, credential, error).await,
    }
}

/// Addresses of people in texts that name them, where the operator does not want any.
pub fn refuse_email(app: &App, field: &str, text: &str) -> Result<(), ApiError> {
    if app.refuses_emails && text.contains('@') { Err(ApiError::invalid(vec![no_email(field)])) } else { Ok(()) }
}

fn no_email(field: &str) -> FieldError {
    FieldError::new(field, "must not be an email address; derive an id from it")
}

/// Who calls, what the caller named the request, and the parsed body. A caller without a valid key, or with one that may
/// only read, is told so whatever else is wrong.
pub fn parse<T>(
    app: &App,
    request: Request,
    limit_bytes: usize,
    parse: impl FnOnce(&Value) -> Result<T, Vec<FieldError>>,
) -> impl Future<Output = Result<Call<T>, ApiError>> {
    parse_naming(app, request, limit_bytes, &[], parse)
}

/// The same for a body in which these members name people: an address in one is refused where the operator wants that.
pub async fn parse_naming<T>(
    app: &App,
    request: Request,
    limit_bytes: usize,
    people: &[&str],
    parse: impl FnOnce(&Value) -> Result<T, Vec<FieldError>>,
) -> Result<Call<T>, ApiError> {
    // The body is read in any case: a connection whose request was read half is closed behind the answer.
    let credential = match credential(app, request.headers()) {
        Ok(credential) => credential,
        Err(error) => {
            discard(request.into_body()).await;
            return Err(error);
        }
    };
    let name = idempotency_key(request.headers());
    let place = matches!(name, Ok(Some(_))).then(|| (request.method().clone(), request.uri().clone()));
    let body = read_json(request, limit_bytes).await;
    let parsed = body.and_then(|(value, bytes)| {
        if app.refuses_emails {
            refuse_emails(&value, people)?;
        }
        let named = name?.zip(place).map(|(name, (method, uri))| {
            let fingerprinted = fingerprinted(&value, bytes);
            NamedRequest::new(name, method.as_str(), uri.path(), &fingerprinted)
        });
        parse(&value).map(|parsed| (parsed, named)).map_err(ApiError::invalid)
    });
    match parsed {
        Ok((body, request)) => Ok(Call { credential, request, body }),
        Err(error) => refuse(app, credential, error).await,
    }
}

/// The error of a request that cannot be understood, unless its caller may not even ask.
async fn refuse<T>(app: &App, credential: Credential, error: ApiError) -> Result<T, ApiError> {
    app.engine.may_act(credential).await?;
    Err(error)
}

/// What the caller named the request, 1 to 255 visible characters of ASCII.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, ApiError> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_graphic()));
    let key = text.and_then(|text| IdempotencyKey::new(text).ok()).filter(|_| values.next().is_none());
    let wrong = || FieldError::new("headers.Idempotency-Key", "must be 1 to 255 visible ASCII characters, given once");
    key.map(Some).ok_or_else(|| ApiError::invalid(vec![wrong()]))
}

/// What two requests must have in common to be the same: canonical, so that neither white space nor order counts, and
/// without the members that are absent.
fn fingerprinted(value: &Value, bytes: Bytes) -> Bytes {
    let mut present = Object::new();
    for (name, member) in value.as_object().into_iter().flat_map(Object::iter).filter(|(_, member)| !is_absent(member)) {
        present.insert(name, member.clone());
    }
    let present = Value::Object(present);
    let value = if is_absent(value) || value.as_object().is_some() { &present } else { value };
    let mut canonical = String::new();
    match value.write_canonical("", &mut canonical) {
        Ok(()) => canonical.into(),
        Err(_) => bytes,
    }
}

fn refuse_emails(body: &Value, people: &[&str]) -> Result<(), ApiError> {
    let is_email =
        |name: &&&str| body.as_object().and_then(|o| o.get(name)).and_then(Value::as_text).is_some_and(|text| text.contains('@'));
    let refused = |name: &&str| no_email(&format!("body.{name}"));
    let fields: Vec<_> = people.iter().filter(is_email).map(refused).collect();
    if fields.is_empty() { Ok(()) } else { Err(ApiError::invalid(fields)) }
}

/// Reads a body that nobody looks at, and keeps nothing of it. One that is too long or too slow is left where it is.
pub async fn discard(body: Body) {
    let mut body = Limited::new(body, BODY_BATCH_BYTES_MAX);
    let read = async { while let Some(Ok(_)) = body.frame().await {} };
    // In any case the answer is what it is.
    let _ = tokio::time::timeout(BODY_TIMEOUT, read).await;
}

/// The body as JSON; no body at all is `null`.
pub async fn body(request: Request, limit_bytes: usize) -> Result<Value, ApiError> {
    read_json(request, limit_bytes).await.map(|(value, _)| value)
}

async fn read_json(request: Request, limit_bytes: usize) -> Result<(Value, Bytes), ApiError> {
    let (parts, body) = request.into_parts();
    let bytes = read(body, limit_bytes).await?;
    if bytes.is_empty() {
        return Ok((Value::Null, bytes));
    }
    if let Some(media_type) = parts.headers.get(header::CONTENT_TYPE) {
        let essence = media_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(ApiError::bad_request("The content type must be application/json"));
        }
    }
    let value = Value::parse(&bytes).map_err(|e| ApiError::bad_request(format!("The body is {e}")))?;
    Ok((value, bytes))
}

/// The bytes of a body, up to a limit.
pub async fn read(body: Body, limit_bytes: usize) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(BODY_TIMEOUT, collect(Limited::new(body, limit_bytes))).await {
        Ok(Err(Unread::TooLong)) => Err(ApiError::too_large(limit_bytes)),
        Ok(Err(Unread::CutOff)) => Err(ApiError::bad_request("The body was cut off")),
        Ok(Err(Unread::NoRoom)) => Err(ApiError::unavailable("Too many bodies are on their way; try again shortly")),
        Ok(Ok(bytes)) => Ok(bytes),
        Err(_) => Err(ApiError::bad_request("The body did not arrive in time")),
    }
}

/// Why a body is not there.
enum Unread {
    TooLong,
    CutOff,
    NoRoom,
}

async fn collect(mut body: Limited<Body>) -> Result<Bytes, Unread> {
    let (mut first, mut pieces, mut room) = (Bytes::new(), Vec::new(), None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| if error.is::<LengthLimitError>() { Unread::TooLong } else { Unread::CutOff })?;
        let Ok(data) = frame.into_data() else { continue };
        let bytes = u32::try_from(data.len()).map_err(|_| Unread::TooLong)?;
        let taken = BODIES.try_acquire_many(bytes).map_err(|_| Unread::NoRoom)?;
        match &mut room {
            None => room = Some(taken),
            Some(room) => room.merge(taken),
        }
        // Most bodies come in one piece, and are taken as they are.
        if first.is_empty() {
            first = data;
        } else {
            if pieces.is_empty() {
                pieces.extend_from_slice(&first);
            }
            pieces.extend_from_slice(&data);
        }
    }
    Ok(if pieces.is_empty() { first } else { pieces.into() })
}

/// A cursor that the list has not given.
pub fn unknown_cursor() -> ApiError {
    ApiError::invalid(vec![no_cursor()])
}

fn no_cursor() -> FieldError {
    FieldError::new("query.cursor", "is no cursor that this list has given")
}

/// Which page of a list is asked for; `after` names the last item of the page before.
pub struct PageOf<I> {
    /// Items at most.
    pub limit: usize,
    /// This page begins behind it.
    pub after: Option<I>,
}

/// Who asks for a page of a list, for which, and what else the query says; `id` makes an id of what the cursor says.
pub async fn page<I, T>(
    app: &App,
    headers: &HeaderMap,
    uri: &Uri,
    id: impl FnOnce(&str) -> Option<I>,
    more: impl FnOnce(&mut Parameters<'_>) -> T,
) -> Result<(Credential, PageOf<I>, T), ApiError> {
    let credential = credential(app, headers)?;
    let pairs = pairs(uri.query());
    let mut parameters = Parameters::of(&pairs);
    let PageQuery { limit, after } = PageQuery::read(&mut parameters);
    let more = more(&mut parameters);
    let read = parameters.finish(more).and_then(|more| match after.as_deref().map(id) {
        Some(None) => Err(vec![no_cursor()]),
        after => Ok((PageOf { limit, after: after.flatten() }, more)),
    });
    match read {
        Ok((page, more)) => Ok((credential, page, more)),
        Err(fields) => {
            app.engine.authenticate(credential).await?;
            Err(ApiError::invalid(fields))
        }
    }
}

/// The parameters of the query, decoded as those of a form: `+` is a space.
pub fn pairs(query: Option<&str>) -> Vec<(String, String)> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect()
}

/// A switch of the query, as in `?wait=true`, in the spellings that clients have for yes. Whatever else it says is no: a
/// switch fails no call.
pub fn switch(query: Option<&str>, name: &str) -> bool {
    let pairs = pairs(query);
    let last = pairs.iter().rfind(|(key, _)| key == name);
    last.is_some_and(|(_, value)| ["true", "1", "yes", "on"].iter().any(|yes| value.eq_ignore_ascii_case(yes)))
}
