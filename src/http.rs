//! HTTP: what is around every face. Each face is a file with the list of its endpoints.

use std::any::Any;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, Response, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::IntoResponse as _;
use futures_util::FutureExt as _;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;
use tracing::Span;

use self::rate_limit::RateLimits;
use self::routes::Routes;
use crate::app::App;
use crate::chance;
use crate::clock::Stopwatch;
use crate::engine::Failure;
use crate::telemetry::metrics::metrics;
use crate::telemetry::{self, traces};

pub mod admin;
mod affixio;
pub mod allowly;
mod call;
mod docs;
mod error;
pub mod listener;
pub mod openapi;
pub mod operations;
pub mod pages;
mod permitly;
pub mod rate_limit;
mod receipt;
mod routes;
mod streaming;
mod tlog;
pub mod tls;
mod verify;
pub mod witness;

pub use error::ApiError;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A request that takes longer is given up; the writer answers within milliseconds.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Requests without a body in flight on one listener; one more is refused at once. A body may be slow to come, so that
/// strangers could hold every permit; calls that have one are bounded by the engine, once it is there.
pub const REQUESTS_MAX: usize = 1024;
/// Path and query of a request, in bytes.
pub const URI_BYTES_MAX: usize = 8 * 1024;
/// Names and values of all headers of a request, in bytes.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;

/// What a listener hands requests to: a router, and a way around it for the one that nearly all requests of the API are.
#[derive(Clone)]
pub struct Front {
    router: Router,
    /// Where checks go in by themselves.
    checks: Option<(Arc<Door>, App)>,
}

impl From<Router> for Front {
    fn from(router: Router) -> Self {
        Self { router, checks: None }
    }
}

impl Front {
    /// Everything on the API's listener. A check is answered as its route would: finding the way through the router, which keeps
    /// every handler behind three types it has erased, costs some 8 % of all that the server does for one.
    pub fn api(app: App) -> Self {
        let door = Arc::new(Door::new(Some(app.clone())));
        Self { router: behind(routes().into_router().with_state(app.clone()), Arc::clone(&door)), checks: Some((door, app)) }
    }

    /// Answers a request that came from `peer`, whatever becomes of it.
    async fn answer(self, mut request: Request, peer: SocketAddr) -> Response<Body> {
        match self.checks {
            Some((door, app)) if request.method() == Method::POST && request.uri().path() == allowly::CHECK => {
                // Boxed twice: what is around a handler is moved from hand to hand while it is put together, and must not carry the
                // room of the handler with it; and a connection that waits holds none for either.
                let check = async |request| Box::pin(allowly::check(State(app), request)).await.into_response();
                Box::pin(tell(&door, Route::Fixed(allowly::CHECK), request, check)).await
            }
            _ => {
                request.extensions_mut().insert(permitly::Peer(peer));
                match self.router.oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
        }
    }
}

/// The same without the way around the router.
pub fn router(app: App) -> Router {
    Front::api(app).router
}

/// The same, with a limit on how often each API key may call.
pub fn limited_router(app: App, rate_limits: RateLimits) -> Router {
    let routes = routes().into_router().with_state(app.clone());
    let routes = routes.layer(from_fn_with_state((app.clone(), Arc::new(rate_limits)), rate_limit::hold));
    stack(routes, Some(app))
}

/// Every route of every face, with what the document says of it.
fn routes() -> Routes {
    let faces = allowly::routes().merge(permitly::routes()).merge(affixio::routes()).merge(tlog::routes()).merge(admin::routes());
    faces.merge(docs::routes()).merge(verify::routes()).merge(pages::routes())
}

/// What is around every handler of a listener. One layer, since each costs every request two allocations and a walk through
/// one more future: what it does is [`tell`] and [`held`].
pub fn stack(router: Router, app: Option<App>) -> Router {
    behind(router, Arc::new(Door::new(app)))
}

fn behind(router: Router, door: Arc<Door>) -> Router {
    router
        // Unknown routes and wrong methods answer in the envelope too.
        .fallback(async |request| answered(request, ApiError::not_found("route")).await)
        .method_not_allowed_fallback(async |request| answered(request, ApiError::method_not_allowed()).await)
        .layer(from_fn_with_state(door, told))
}

/// What requests of one listener have in common.
struct Door {
    /// For requests without a body.
    room: Semaphore,
    /// Whose engine may be full, where requests are for one.
    app: Option<App>,
}

impl Door {
    const fn new(app: Option<App>) -> Self {
        Self { room: Semaphore::const_new(REQUESTS_MAX), app }
    }
}

/// An error that does not depend on the body. The body is read all the same, so that the connection can go on.
async fn answered(request: Request, error: ApiError) -> ApiError {
    call::discard(request.into_body()).await;
    error
}

async fn told(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response<Body> {
    // The route and not the path, which may hold a nonce.
    let route = request.extensions().get::<MatchedPath>().cloned().map_or(Route::Unknown, Route::Matched);
    tell(&door, route, request, |request| next.run(request)).await
}

/// What a request is called in the telemetry.
#[derive(Clone)]
enum Route {
    Matched(MatchedPath),
    Fixed(&'static str),
    Unknown,
}

impl Route {
    fn as_str(&self) -> &str {
        match self {
            Self::Matched(path) => path.as_str(),
            Self::Fixed(path) => path,
            Self::Unknown => "unknown",
        }
    }
}

/// How errors are told on a path of a face that spells them in its own way.
enum Speech {
    Permitly(permitly::Speech),
    Affixio,
}

impl Speech {
    fn on(path: &str) -> Option<Self> {
        permitly::speech(path).map(Self::Permitly).or_else(|| affixio::has(path).then_some(Self::Affixio))
    }

    fn tell(self, response: Response<Body>) -> Response<Body> {
        match self {
            Self::Permitly(speech) => speech.tell(response),
            Self::Affixio => affixio::tell(response),
        }
    }
}

/// An error as a face tells it, with all that goes with an answer but says nothing of its body.
fn retold(response: &Response<Body>, mut told: Response<Body>) -> Response<Body> {
    for (name, value) in response.headers() {
        if ![header::CONTENT_LENGTH, header::CONTENT_TYPE, header::RETRY_AFTER].contains(name) || !told.headers().contains_key(name) {
            told.headers_mut().append(name, value.clone());
        }
    }
    told
}

/// Every answer, whoever made it, can be found again in the telemetry.
async fn tell<F>(door: &Door, route: Route, request: Request, answer: impl FnOnce(Request) -> F) -> Response<Body>
where
    F: Future<Output = Response<Body>>,
{
    let id = match request.headers().get(REQUEST_ID) {
        Some(id) if (1..=1024).contains(&id.len()) => id.clone(),
        _ => mint_request_id(),
    };
    let method = known(request.method());
    let speech = Speech::on(request.uri().path());
    let (took, _in_flight) = (Stopwatch::start(), InFlight::enter());
    let (named, known_route) = (id.clone(), route.clone());
    let span = move || {
        let (id, route) = (named.to_str().unwrap_or("unreadable"), known_route.as_str());
        // An error, so that whatever is printed within is printed with it, whatever is filtered out.
        tracing::error_span!("request", request.id = id, request.method = method, request.route = route)
    };
    let watched = if telemetry::is_watched() { span() } else { Span::none() };
    traces::continue_from(request.headers(), &watched);
    // Pinned where it is made, here and below: each hand that a future goes through costs a copy of all that it has room for.
    let told = pin!(async {
        let held = held(door, !matches!(route, Route::Unknown), request, answer).await;
        let mut response = held.unwrap_or_else(ApiError::into_response);
        if let Some(speech) = speech {
            response = speech.tell(response);
        }
        let status = response.status().as_u16();
        tracing::debug!(response.status = status, response.duration_seconds = took.seconds(), "answered");
        traces::answered(method, route.as_str(), status);
        metrics().request(method, route.as_str(), status, &took);
        response.headers_mut().insert(REQUEST_ID, id);
        response
    });
    telemetry::answering(watched, span, told).await
}

/// The limits, from the outside in, and what becomes of a handler that does not answer.
async fn held<F>(door: &Door, is_routed: bool, request: Request, answer: impl FnOnce(Request) -> F) -> Result<Response<Body>, ApiError>
where
    F: Future<Output = Response<Body>>,
{
    // Nobody waits for others to be done: who comes when too many are in flight is told so at once.
    let _room = match request.body().is_end_stream() {
        true => Some(door.room.try_acquire().map_err(|_| ApiError::unavailable("Too many requests are in flight; try again shortly"))?),
        false => None,
    };
    // A panic in a handler is one request's misfortune.
    let answer = pin!(
        AssertUnwindSafe(async {
            // A head that is too long is told what is.
            if let Some(error) = too_long(&request) {
                return Err(Box::pin(answered(request, error)).await);
            }
            // Under more load than the writer can take, most calls are refused; it is cheapest before anything is read or parsed.
            if is_routed && door.app.as_ref().is_some_and(|app| app.engine.is_full()) {
                return Err(Failure::Busy.into());
            }
            Ok(answer(request).await)
        })
        .catch_unwind()
    );
    // A request that hangs is told so; what it asked for may still happen.
    match tokio::time::timeout(TIMEOUT, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(panic)) => Err(panicked(&*panic)),
        Err(_) => Err(ApiError::unavailable("the request took too long")),
    }
}

fn too_long(request: &Request) -> Option<ApiError> {
    let uri = request.uri().path_and_query().map_or(0, |uri| uri.as_str().len());
    let headers = request.headers().iter().fold(0_usize, |sum, (name, value)| sum.saturating_add(name.as_str().len() + value.len()));
    match (uri, headers) {
        (URI_BYTES_MAX.., _) => Some(ApiError::uri_too_long(URI_BYTES_MAX)),
        (_, HEADER_BYTES_MAX..) => Some(ApiError::headers_too_large(HEADER_BYTES_MAX)),
        _ => None,
    }
}

fn panicked(panic: &(dyn Any + Send)) -> ApiError {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let _request = telemetry::request().entered();
    tracing::error!(panic.message = text.unwrap_or("unknown"), "a handler panicked");
    ApiError::internal()
}

/// A request that is being answered, until it is or its caller has gone.
struct InFlight;

impl InFlight {
    fn enter() -> Self {
        metrics().requests_in_flight.inc();
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        metrics().requests_in_flight.dec();
    }
}

/// The name of a method, of which a caller could make up any number.
fn known(method: &Method) -> &'static str {
    let known = ["GET", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS", "PUT"];
    known.into_iter().find(|known| method == known).unwrap_or("other")
}

fn mint_request_id() -> HeaderValue {
    thread_local! {
        static NUMBERS: RefCell<Box<dyn FnMut() -> u128>> = RefCell::new(Box::new(chance::numbers()));
    }
    let number = NUMBERS.with_borrow_mut(|numbers| numbers());
    HeaderValue::try_from(data_encoding::HEXLOWER.encode(&number.to_be_bytes())).unwrap_or(HeaderValue::from_static("unknown"))
}
