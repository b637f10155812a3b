//! A call as every face takes it: who calls, and what the body says.

use std::time::Duration;

use allowlog_projections::command::Credential;
use allowlog_proto::api::envelope::FieldError;
use allowlog_proto::json::Value;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::ApiError;
use crate::api_key;
use crate::app::App;

/// A body that takes longer is the caller's fault, and is told so before the request as a whole takes too long.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// The API key of the request, as far as it can be one.
pub fn credential(app: &App, headers: &HeaderMap) -> Result<Credential, ApiError> {
    bearer(headers).and_then(|token| api_key::credential(token, &app.keyring)).ok_or_else(ApiError::unauthorized)
}

/// The token behind `Bearer`, whose name is read in any letter case.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (values.next().is_none() && scheme.eq_ignore_ascii_case("bearer")).then(|| token.trim())
}

/// Who calls and the parsed body. A caller without a valid key is told so whatever else is wrong.
pub async fn parse<T>(
    app: &App,
    request: Request,
    limit_bytes: usize,
    parse: impl FnOnce(&Value) -> Result<T, Vec<FieldError>>,
) -> Result<(Credential, T), ApiError> {
    // The body is read in any case: a connection whose request was read half is closed behind the answer.
    let credential = credential(app, request.headers());
    let body = body(request, limit_bytes).await;
    let credential = credential?;
    let parsed = body.and_then(|value| parse(&value).map_err(ApiError::invalid));
    match parsed {
        Ok(parsed) => Ok((credential, parsed)),
        Err(error) => {
            app.engine.authenticate(credential).await?;
            Err(error)
        }
    }
}

/// The body as JSON; no body at all is `null`.
pub async fn body(request: Request, limit_bytes: usize) -> Result<Value, ApiError> {
    let (parts, body) = request.into_parts();
    let bytes = read(body, limit_bytes).await?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    if let Some(media_type) = parts.headers.get(header::CONTENT_TYPE) {
        let essence = media_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(ApiError::bad_request("The content type must be application/json"));
        }
    }
    Value::parse(&bytes).map_err(|e| ApiError::bad_request(format!("The body is {e}")))
}

async fn read(body: Body, limit_bytes: usize) -> Result<Bytes, ApiError> {
    let Ok(read) = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, limit_bytes).collect()).await else {
        return Err(ApiError::bad_request("The body did not arrive in time"));
    };
    match read {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::too_large(limit_bytes)),
        Err(_) => Err(ApiError::bad_request("The body was cut off")),
    }
}

/// A switch of the query, as in `?wait=true`; absent is false.
pub fn switch(query: Option<&str>, name: &str) -> Result<bool, ApiError> {
    let mut value = false;
    for pair in query.unwrap_or_default().split('&') {
        let (key, given) = pair.split_once('=').unwrap_or((pair, ""));
        if key == name {
            value = match given {
                "true" | "1" => true,
                "false" | "0" | "" => false,
                _ => return Err(ApiError::invalid(vec![FieldError::new(format!("query.{name}"), "must be `true` or `false`")])),
            };
        }
    }
    Ok(value)
}
