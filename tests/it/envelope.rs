//! Errors: always the envelope, whatever went wrong.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use axum::routing::get;
use serde_json::json;

use crate::harness::{Server, send};

#[tokio::test]
async fn unknown_routes_and_wrong_methods() {
    let server = Server::start().await;
    for path in ["/", "/v1", "/v1/nothing", "/v1/check/", "/admin/v1/nothing", "/%ff", "/v1/receipts/a/b"] {
        assert_eq!(server.get(path).await.error(), (404, "not_found".into()), "{path}");
    }
    let reply = server.get("/v1/check").await;
    assert_eq!(reply.error(), (405, "method_not_allowed".into()));
    assert_eq!(reply.headers["allow"], "POST");
    let options = server.send_as(&server.api_key, Method::OPTIONS, "/v1/check", None).await;
    assert_eq!(options.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn keys_that_open_nothing_answer_alike() {
    let server = Server::start().await;
    let (_, other) = server.other_workspace().await;
    let spliced = format!("{}{}", &server.api_key[..42], &other[42..]);
    let request = |header: Option<&str>| {
        let request = Request::post("/v1/check").header("content-type", "application/json");
        let request = header.map_or(Request::post("/v1/check"), |value| request.header("authorization", value));
        // The body is malformed as well: who has no key is not told so.
        request.body(Body::from("{")).unwrap()
    };
    let mut texts = Vec::new();
    for header in [
        None,
        Some(""),
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearer x"),
        Some("Basic dTpw"),
        Some(server.api_key.as_str()),
        Some(format!("Bearer {spliced}").as_str()),
        Some(format!("Bearer {}x", server.api_key).as_str()),
        Some(format!("Bearer {}", server.api_key.to_uppercase()).as_str()),
    ] {
        let reply = send(&server.router, request(header)).await;
        assert_eq!(reply.error(), (401, "unauthorized".into()), "{header:?}");
        texts.push(reply.text);
    }
    assert!(texts.iter().all(|text| *text == r#"{"error":{"code":"unauthorized","message":"Invalid or revoked API key"}}"#), "{texts:?}");
    let known = format!("bearer  {}", server.api_key);
    assert_eq!(send(&server.router, request(Some(&known))).await.error(), (400, "bad_request".into()), "the scheme in any case");
}

#[tokio::test]
async fn malformed_and_oversized_bodies() {
    let server = Server::start().await;
    let before = server.records();
    for body in ["{", "{\"a\":1,}", "[1", "\u{feff}{}", "{} {}", "nul", "{\"a\":\u{0}}", &"[".repeat(60_000)] {
        let reply = server.send_as(&server.api_key, Method::POST, "/v1/check", Some(body.to_owned())).await;
        assert_eq!(reply.error(), (400, "bad_request".into()), "{body:.40}");
    }
    let post = |path: &str, content_type: &str, body: Vec<u8>| {
        let request = Request::post(path).header("authorization", format!("Bearer {}", server.api_key));
        let request = if content_type.is_empty() { request } else { request.header("content-type", content_type) };
        send(&server.router, request.body(Body::from(body)).unwrap())
    };
    assert_eq!(post("/v1/check", "application/json", b"\"\xff\"".to_vec()).await.error(), (400, "bad_request".into()));
    assert_eq!(post("/v1/check", "text/plain", b"{}".to_vec()).await.error(), (400, "bad_request".into()));
    assert_eq!(post("/v1/check", "application/x-www-form-urlencoded", b"{}".to_vec()).await.error(), (400, "bad_request".into()));
    for content_type in ["", "Application/JSON; charset=utf-8"] {
        assert_eq!(post("/v1/check", content_type, b"{}".to_vec()).await.fields(), ["body.authorization_id", "body.scopes"]);
    }
    let large = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8)).into_bytes();
    for (path, limit) in [("/v1/check", 64 * 1024), ("/v1/authorizations", 256 * 1024)] {
        assert_eq!(post(path, "application/json", large(limit)).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        assert_eq!(post(path, "application/json", large(limit + 1)).await.error(), (413, "payload_too_large".into()), "{path}");
    }
    let many = format!(r#"{{"requires_confirm_for":[{}1],"escalation_targets":[{}1]}}"#, "1,".repeat(60_000), "1,".repeat(60_000));
    let reply = post("/v1/authorizations", "application/json", many.into_bytes()).await;
    assert!(reply.text.len() < 10_000, "a large mistake is no large answer");
    assert_eq!(server.records(), before, "nothing was stored");
}

#[tokio::test]
async fn panics_and_request_ids() {
    let panicking = async || -> &'static str { panic!("a defect") };
    let router = allowlog::http::stack(Router::new().route("/panic", get(panicking)).route("/fine", get(async || "fine")), None);
    let reply = send(&router, Request::get("/panic").body(Body::empty()).unwrap()).await;
    assert_eq!(reply.error(), (500, "internal_error".into()));
    assert!(!reply.text.contains("defect"), "the cause stays inside");
    let with_id = Request::get("/fine").header("x-request-id", "mine-1").body(Body::empty()).unwrap();
    assert_eq!(send(&router, with_id).await.headers["x-request-id"], "mine-1");
    let without = Request::get("/fine").body(Body::empty()).unwrap();
    assert_eq!(send(&router, without).await.headers["x-request-id"].len(), 32);
}

#[tokio::test]
async fn health_and_readiness() {
    let server = Server::start().await;
    for path in ["/healthz", "/readyz"] {
        let reply = send(&server.operations, Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}");
    }
    assert_eq!(server.get("/readyz").await.status, StatusCode::NOT_FOUND, "not on the API's listener");
    let reply = server.post("/v1/check", json!({})).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
}
