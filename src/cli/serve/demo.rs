//! `serve --demo`: the first decision and its receipt, made through the API like anybody's.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::cli::say;

type Failed = Box<dyn std::error::Error>;

/// Records a permission, checks it, and prints what was asked and answered.
pub async fn run(router: Router, api_key: &str) -> Result<(), Failed> {
    let grant = json!({
        "user_id": "user_1",
        "agent_id": "mailer",
        "scopes": ["email.read"],
        "expires_at": "2099-01-01T00:00:00Z",
    });
    let created = call(&router, api_key, "/v1/authorizations", &grant).await?;
    let check = json!({
        "authorization_id": created["authorization_id"],
        "scopes": ["email.read"],
        "resource": "inbox:user_1",
        "context": { "purpose": "daily summary" },
    });
    let checked = call(&router, api_key, "/v1/check?wait=true", &check).await?;
    say(format_args!("The first check:\n\n{}\n", serde_json::to_string_pretty(&check)?))?;
    say(format_args!("Its decision, with the signed receipt:\n\n{}\n", serde_json::to_string_pretty(&checked)?))?;
    Ok(())
}

async fn call(router: &Router, api_key: &str, path: &str, body: &Value) -> Result<Value, Failed> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {api_key}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))?;
    let response = router.clone().oneshot(request).await?;
    let status = response.status();
    let answer: Value = serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?;
    if status.is_success() { Ok(answer) } else { Err(format!("{path} answered {status}: {answer}").into()) }
}
