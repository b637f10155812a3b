//! For auditors: `GET /verify`, a page that verifies evidence in the browser. It is all in the binary and may call nobody.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::ApiError;
use super::openapi::Entry;
use super::routes::{Routes, get};

/// What the page is made of. The verifier is written from `FORMAT.md` alone and shares nothing with the one in Rust.
const FILES: [(&str, &str, &str); 16] = [
    ("page.js", JAVASCRIPT, include_str!("verify/page.js")),
    ("page.css", "text/css", include_str!("verify/page.css")),
    ("worker.js", JAVASCRIPT, include_str!("verify/worker.js")),
    ("verdict.js", JAVASCRIPT, include_str!("verify/verdict.js")),
    ("verifier.js", JAVASCRIPT, include_str!("verify/verifier.js")),
    ("bundle.js", JAVASCRIPT, include_str!("verify/bundle.js")),
    ("receipt.js", JAVASCRIPT, include_str!("verify/receipt.js")),
    ("record.js", JAVASCRIPT, include_str!("verify/record.js")),
    ("sentences.js", JAVASCRIPT, include_str!("verify/sentences.js")),
    ("events.js", JAVASCRIPT, include_str!("verify/events.js")),
    ("story.js", JAVASCRIPT, include_str!("verify/story.js")),
    ("tlog.js", JAVASCRIPT, include_str!("verify/tlog.js")),
    ("json.js", JAVASCRIPT, include_str!("verify/json.js")),
    ("bytes.js", JAVASCRIPT, include_str!("verify/bytes.js")),
    ("signatures.js", JAVASCRIPT, include_str!("verify/signatures.js")),
    ("noble.js", JAVASCRIPT, include_str!("verify/noble.js")),
];
const PAGE: &str = include_str!("verify/page.html");
const JAVASCRIPT: &str = "text/javascript";

/// What the page and its worker may do: run the files above. They can send nothing, and no text of a bundle can become HTML.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src data:; connect-src 'none'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types verify",
);
/// Files of two releases do not fit together, and an old verifier is none: they are asked for anew.
const CACHED: HeaderValue = HeaderValue::from_static("no-cache");
const CACHE_IS: &str = "`no-cache`";

/// The page and its files.
pub fn routes() -> Routes {
    Routes::default().route("/verify", [get(page, page_entry())]).route("/verify/{file}", [get(file, file_entry())])
}

/// The page.
async fn page() -> Response {
    served("text/html; charset=utf-8", PAGE)
}

fn page_entry() -> Entry {
    let text = ObjectBuilder::new().schema_type(Type::String);
    Entry::open("Documentation", "verify_page", "A page that verifies evidence in the browser; nothing is uploaded")
        .answers_with("text/html", "The page.", text)
        .header("Cache-Control", CACHE_IS)
}

/// What the page is made of.
async fn file(path: Result<Path<String>, PathRejection>) -> Result<Response, ApiError> {
    let unknown = || ApiError::not_found("file");
    let Path(name) = path.map_err(|_| unknown())?;
    let (_, media_type, text) = FILES.into_iter().find(|(known, ..)| *known == name).ok_or_else(unknown)?;
    Ok(served(media_type, text))
}

/// The worker is held by the policy it is served with, not by that of the page.
fn served(media_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, CACHED),
    ];
    (headers, text).into_response()
}

fn file_entry() -> Entry {
    let any = || ObjectBuilder::new().schema_type(Type::String);
    Entry::open("Documentation", "verify_file", "What the page is made of")
        .path("file", "Its name.", Some("verifier.js".into()))
        .answers_with("text/javascript", "The file.", any())
        .or_as("text/css", any())
        .header("Cache-Control", CACHE_IS)
        .refuses_with(404, "`not_found`: the page has no such file.")
}
