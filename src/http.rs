//! HTTP: what is around every face. Each face is a file with the list of its endpoints.

use std::time::Duration;

use allowlog_proto::limits::BODY_BYTES_MAX;
use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Response};
use axum::middleware::{Next, from_fn};
use tower_http::catch_panic::CatchPanicLayer;

use self::routes::Routes;
use crate::app::App;
use crate::chance;

pub mod admin;
pub mod allowly;
mod call;
mod docs;
mod error;
pub mod listener;
pub mod openapi;
pub mod operations;
mod routes;

pub use error::ApiError;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A request that takes longer is given up; the writer answers within milliseconds.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Everything on the API's listener.
pub fn router(app: App) -> Router {
    stack(routes().into_router().with_state(app))
}

/// Every route of every face, with what the document says of it.
fn routes() -> Routes {
    allowly::routes().merge(admin::routes()).merge(docs::routes())
}

/// The tower stack, from the inside out.
pub fn stack(router: Router) -> Router {
    router
        // Unknown routes and wrong methods answer in the envelope too.
        .fallback(async |request| answered(request, ApiError::not_found("route")).await)
        .method_not_allowed_fallback(async |request| answered(request, ApiError::method_not_allowed()).await)
        // A request that hangs is told so; what it asked for may still happen.
        .layer(from_fn(timeout))
        // A panic in a handler is one request's misfortune.
        .layer(CatchPanicLayer::custom(panicked))
        // Every answer, whichever of the above made it, can be found again in the telemetry.
        .layer(from_fn(request_id))
}

/// An error that does not depend on the body. The body is read all the same, so that the connection can go on.
async fn answered(request: Request, error: ApiError) -> ApiError {
    drop(call::body(request, BODY_BYTES_MAX).await);
    error
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
    let method = request.method().clone();
    let mut response = next.run(request).await;
    tracing::debug!(request.id = ?id, request.method = %method, request.route = route, response.status = response.status().as_u16(), "answered");
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

fn mint_request_id() -> HeaderValue {
    let id = data_encoding::HEXLOWER.encode(&chance::bytes::<16>());
    HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("unknown"))
}
