//! The face of a witness, on a listener of its own: `add-checkpoint` of C2SP tlog-witness, and what was cosigned last.

use std::sync::Arc;

use allowlog_proto::limits::{PROOF_BYTES_MAX, SIGNED_NOTE_BYTES_MAX};
use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::{ApiError, call, stack};
use crate::witness::{Refusal, Witness};

const TEXT: &str = "text/plain; charset=utf-8";
/// Of a body that says no more than the size that is held.
const SIZE: &str = "text/x.tlog.size";

/// Every endpoint of the listener.
pub fn router(witness: Arc<Witness>) -> Router {
    let router = Router::new().route("/healthz", get(healthz)).route("/add-checkpoint", post(add_checkpoint));
    stack(router.route("/{origin}/checkpoint", get(last_cosigned)).with_state(witness), None)
}

/// The process answers.
async fn healthz() -> &'static str {
    "ok\n"
}

/// A checkpoint with the proof that its tree grew from the one cosigned last, for a cosignature.
async fn add_checkpoint(State(witness): State<Arc<Witness>>, request: Request) -> Result<Response, ApiError> {
    let body = call::read(request.into_body(), PROOF_BYTES_MAX + SIGNED_NOTE_BYTES_MAX).await?;
    let Ok(body) = std::str::from_utf8(&body) else {
        return Ok(refused(StatusCode::BAD_REQUEST, &"the body is no text"));
    };
    let refusal = match witness.add_checkpoint(body).await {
        Ok(cosignature) => return Ok(text(StatusCode::OK, TEXT, cosignature.to_string())),
        Err(refusal) => refusal,
    };
    Ok(match refusal {
        Refusal::Malformed(_) => refused(StatusCode::BAD_REQUEST, &refusal),
        Refusal::UnknownOrigin => refused(StatusCode::NOT_FOUND, &refusal),
        Refusal::Unsigned => refused(StatusCode::FORBIDDEN, &refusal),
        Refusal::Conflict { held } => text(StatusCode::CONFLICT, SIZE, format!("{held}\n")),
        Refusal::Inconsistent => refused(StatusCode::UNPROCESSABLE_ENTITY, &refusal),
        Refusal::Storage => return Err(ApiError::unavailable("The checkpoint cannot be kept at the moment")),
    })
}

/// The checkpoint that was cosigned last for the origin of this SHA-256: two that were shown different trees can compare.
async fn last_cosigned(State(witness): State<Arc<Witness>>, path: Result<Path<String>, PathRejection>) -> Result<Response, ApiError> {
    let unknown = || ApiError::not_found("log");
    let Path(origin) = path.map_err(|_| unknown())?;
    let origin = data_encoding::HEXLOWER.decode(origin.as_bytes()).map_err(|_| unknown())?;
    let origin = origin.try_into().map_err(|_| unknown())?;
    let note = witness.last_cosigned(origin).await.ok_or_else(unknown)?;
    Ok(text(StatusCode::OK, TEXT, note))
}

fn refused(status: StatusCode, why: &dyn std::fmt::Display) -> Response {
    text(status, TEXT, format!("{why}\n"))
}

fn text(status: StatusCode, media_type: &'static str, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, media_type)], text).into_response()
}
