//! For readers: the document of the API, and `GET /docs`, a page that shows it. Everything the page needs is in the binary.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa_swagger_ui::Config;

use super::ApiError;
use super::openapi::{self, Entry};
use super::routes::{Routes, get};

const PAGE: &str = include_str!("docs/page.html");
const SCRIPT: &str = include_str!("docs/page.js");
/// What the page loads of the library, compressed when it was built.
const LIBRARY: [(&str, &str); 3] =
    [("swagger-ui-bundle.js", "text/javascript"), ("swagger-ui.css", "text/css"), ("favicon-32x32.png", "image/png")];

/// What the page may do: show itself and call this server. People type API keys into it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// A new release may bring new files under the same names.
const CACHED: HeaderValue = HeaderValue::from_static("max-age=3600");
const CACHE_IS: &str = "`max-age=3600`";

/// Every route for readers.
pub fn routes() -> Routes {
    Routes::default()
        .route("/v1/openapi.json", [get(openapi::serve, openapi::serve_entry())])
        .route("/docs", [get(page, page_entry())])
        .route("/docs/{file}", [get(file, file_entry())])
}

/// The page.
async fn page() -> Response {
    ([(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, CACHED)], axum::response::Html(PAGE)).into_response()
}

fn page_entry() -> Entry {
    let text = ObjectBuilder::new().schema_type(Type::String);
    Entry::open("Documentation", "documentation_page", "A page that shows this document")
        .answers_with("text/html", "The page.", text)
        .header("Cache-Control", CACHE_IS)
}

/// What the page is made of.
async fn file(path: Result<Path<String>, PathRejection>) -> Result<Response, ApiError> {
    let unknown = || ApiError::not_found("file");
    let Path(name) = path.map_err(|_| unknown())?;
    if name == "page.js" {
        return Ok(served("text/javascript", SCRIPT.into(), false));
    }
    let (_, media_type) = LIBRARY.into_iter().find(|(known, _)| *known == name).ok_or_else(unknown)?;
    let file = utoipa_swagger_ui::serve(&name, Arc::new(Config::from("/v1/openapi.json"))).ok().flatten().ok_or_else(unknown)?;
    Ok(served(media_type, file.bytes.into_owned().into(), file.gzpipped))
}

fn served(media_type: &'static str, bytes: Bytes, is_compressed: bool) -> Response {
    let type_and_cache: [(HeaderName, HeaderValue); 2] =
        [(header::CONTENT_TYPE, HeaderValue::from_static(media_type)), (header::CACHE_CONTROL, CACHED)];
    let compression = is_compressed.then_some([(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
    let mut response = (type_and_cache, bytes).into_response();
    response.headers_mut().extend(compression.into_iter().flatten());
    response
}

fn file_entry() -> Entry {
    let any = || ObjectBuilder::new().schema_type(Type::String);
    Entry::open("Documentation", "documentation_file", "What the page is made of")
        .path("file", "Its name.", Some("page.js".into()))
        .answers_with("text/javascript", "The file.", any())
        .or_as("text/css", any())
        .or_as("image/png", any())
        .header("Cache-Control", CACHE_IS)
        .refuses_with(404, "`not_found`: the page has no such file.")
}
