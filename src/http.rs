//! HTTP: what is around every face. Each face is a file with the list of its endpoints.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, Response};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument as _;

use self::rate_limit::RateLimits;
use self::routes::Routes;
use crate::app::App;
use crate::chance;
use crate::clock::Stopwatch;
use crate::engine::Failure;
use crate::telemetry::metrics::metrics;
use crate::telemetry::traces;

pub mod admin;
pub mod allowly;
mod call;
mod docs;
mod error;
pub mod listener;
pub mod openapi;
pub mod operations;
pub mod rate_limit;
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

/// Everything on the API's listener.
pub fn router(app: App) -> Router {
    let routes = routes().into_router().with_state(app.clone());
    stack(routes.layer(from_fn_with_state(app, unless_full)))
}

/// The same, with a limit on how often each API key may call.
pub fn limited_router(app: App, rate_limits: RateLimits) -> Router {
    let routes = routes().into_router().with_state(app.clone());
    let routes = routes.layer(from_fn_with_state((app.clone(), Arc::new(rate_limits)), rate_limit::hold));
    stack(routes.layer(from_fn_with_state(app, unless_full)))
}

/// Every route of every face, with what the document says of it.
fn routes() -> Routes {
    allowly::routes().merge(tlog::routes()).merge(admin::routes()).merge(docs::routes()).merge(verify::routes())
}

/// The tower stack, from the inside out.
pub fn stack(router: Router) -> Router {
    router
        // Unknown routes and wrong methods answer in the envelope too.
        .fallback(async |request| answered(request, ApiError::not_found("route")).await)
        .method_not_allowed_fallback(async |request| answered(request, ApiError::method_not_allowed()).await)
        // A head that is too long is told what is.
        .layer(from_fn(bounded_head))
        // A request that hangs is told so; what it asked for may still happen.
        .layer(from_fn(timeout))
        // A panic in a handler is one request's misfortune.
        .layer(CatchPanicLayer::custom(panicked))
        // Nobody waits for others to be done: who comes when too many are in flight is told so at once.
        .layer(from_fn_with_state(Arc::new(Semaphore::new(REQUESTS_MAX)), in_flight))
        // Every answer, whichever of the above made it, can be found again in the telemetry.
        .layer(from_fn(request_id))
}

/// An error that does not depend on the body. The body is read all the same, so that the connection can go on.
async fn answered(request: Request, error: ApiError) -> ApiError {
    call::discard(request.into_body()).await;
    error
}

async fn bounded_head(request: Request, next: Next) -> Result<Response<Body>, ApiError> {
    let uri = request.uri().path_and_query().map_or(0, |uri| uri.as_str().len());
    let headers = request.headers().iter().fold(0_usize, |sum, (name, value)| sum.saturating_add(name.as_str().len() + value.len()));
    let error = match (uri, headers) {
        (URI_BYTES_MAX.., _) => ApiError::uri_too_long(URI_BYTES_MAX),
        (_, HEADER_BYTES_MAX..) => ApiError::headers_too_large(HEADER_BYTES_MAX),
        _ => return Ok(next.run(request).await),
    };
    Err(answered(request, error).await)
}

/// Under more load than the writer can take, most calls are refused; it is cheapest before anything is read or parsed.
async fn unless_full(State(app): State<App>, request: Request, next: Next) -> Result<Response<Body>, ApiError> {
    if app.engine.is_full() { Err(Failure::Busy.into()) } else { Ok(next.run(request).await) }
}

async fn in_flight(State(room): State<Arc<Semaphore>>, request: Request, next: Next) -> Result<Response<Body>, ApiError> {
    if !request.body().is_end_stream() {
        return Ok(next.run(request).await);
    }
    let Ok(_room) = room.try_acquire() else { return Err(ApiError::unavailable("Too many requests are in flight; try again shortly")) };
    Ok(next.run(request).await)
}

async fn timeout(request: Request, next: Next) -> Result<Response<Body>, ApiError> {
    tokio::time::timeout(TIMEOUT, next.run(request)).await.map_err(|_| ApiError::unavailable("the request took too long"))
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response<Body> {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic.message = text.unwrap_or("unknown"), "a handler panicked");
    axum::response::IntoResponse::into_response(ApiError::internal())
}

async fn request_id(request: Request, next: Next) -> Response<Body> {
    let id = match request.headers().get(REQUEST_ID) {
        Some(id) if (1..=1024).contains(&id.len()) => id.clone(),
        _ => mint_request_id(),
    };
    // The route and not the path, which may hold a nonce.
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_owned();
    let method = known(request.method());
    let (took, _in_flight) = (Stopwatch::start(), InFlight::enter());
    // An error, so that whatever is printed within is printed with it, whatever is filtered out.
    let span =
        tracing::error_span!("request", request.id = id.to_str().unwrap_or("unreadable"), request.method = method, request.route = route);
    traces::continue_from(request.headers(), &span);
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    span.in_scope(|| tracing::debug!(response.status = status, response.duration_seconds = took.seconds(), "answered"));
    traces::answered(&span, method, &route, status);
    metrics().request(method, route, status, &took);
    response.headers_mut().insert(REQUEST_ID, id);
    response
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
    let id = data_encoding::HEXLOWER.encode(&chance::bytes::<16>());
    HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("unknown"))
}
