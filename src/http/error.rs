//! Errors on the wire: a code for machines, a sentence for people, and a cause that stays in the telemetry.

use std::time::Duration;

use allowlog_projections::rejected::Rejected;
use allowlog_proto::api::envelope::{Envelope, ErrorBody, FieldError};
use allowlog_proto::event::Refusal;
use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::app::CreateError;
use crate::engine::Failure;
use crate::log::StoreError;
use crate::telemetry;

/// After which a caller may try again whom nothing but the moment was against.
const RETRY_AFTER_SECONDS: u64 = 1;

/// Any answer that is not 2xx. It travels with its response, so that a face can spell it as its API does.
#[derive(Debug, Clone)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    fields: Vec<FieldError>,
    /// When to try again, in seconds.
    retry_after: Option<u64>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), fields: Vec::new(), retry_after: None }
    }

    /// 400: not what this API speaks.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 401: missing, malformed, unknown and revoked keys alike.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Invalid or revoked API key")
    }

    /// 401 on the operator's face.
    pub fn unauthorized_operator() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Invalid admin token")
    }

    /// 404.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("No such {what}"))
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This route does not take this method")
    }

    /// 413.
    pub fn too_large(limit_bytes: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", format!("The body must be at most {limit_bytes} bytes"))
    }

    /// 413 of one check of a batch.
    pub fn batch_is_full(limit_bytes: usize) -> Self {
        let message =
            format!("The records of the checks before this one fill the batch, which takes {limit_bytes} bytes; ask again from here on");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", message)
    }

    /// 414.
    pub fn uri_too_long(limit_bytes: usize) -> Self {
        Self::new(StatusCode::URI_TOO_LONG, "uri_too_long", format!("Path and query must be shorter than {limit_bytes} bytes"))
    }

    /// 431.
    pub fn headers_too_large(limit_bytes: usize) -> Self {
        let message = format!("The headers must be shorter than {limit_bytes} bytes together");
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", message)
    }

    /// 429 until then.
    pub fn quota_exceeded(wait: Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "quota_exceeded", "This API key calls too often; try again later");
        Self { retry_after: Some(seconds), ..error }
    }

    /// 422, with every field at fault.
    pub fn invalid(fields: Vec<FieldError>) -> Self {
        let message = match fields.as_slice() {
            [one] => format!("`{}` {}", one.field, one.message),
            many => format!("{} fields are invalid", many.len()),
        };
        Self { fields, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation_error", message) }
    }

    /// 403: a payment intent that is not authorised, and why.
    pub fn refused(refusal: Refusal) -> Self {
        let message = match refusal {
            Refusal::PermissionRequired => "No decision lets this be paid; ask for one first",
            Refusal::PermissionDenied => "The decision is no allow, or would be none now",
            Refusal::PermissionExpired => "The time of the decision is over; ask for another one",
            Refusal::AmountExceedsLimit => "The amount is more than the decision, the intent or a single payment may be",
            Refusal::PermissionMismatch => "The decision is about another payment",
            Refusal::DelegationRevoked => "The delegation was revoked",
            Refusal::LimitExceeded => "What is left of the limit is less than the amount",
        };
        Self::new(StatusCode::FORBIDDEN, refusal.as_str(), message)
    }

    /// 422: a token that may not be relied on, and why.
    pub fn token(code: &'static str, message: &'static str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// 500: our fault, and a defect.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "The server failed; the request may be tried again")
    }

    /// 503: nothing wrong with the request.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { retry_after: Some(RETRY_AFTER_SECONDS), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", message) }
    }
}

impl ApiError {
    /// The status, and what is in the envelope.
    pub fn into_parts(self) -> (StatusCode, ErrorBody) {
        let Self { status, code, message, fields, retry_after: _ } = self;
        (status, ErrorBody { code, message, fields })
    }
}

impl From<Rejected> for ApiError {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Unauthorized => Self::unauthorized(),
            Rejected::Forbidden => Self::new(StatusCode::FORBIDDEN, "forbidden", "This API key may only read"),
            Rejected::BudgetPlanRequired => {
                Self::new(StatusCode::PAYMENT_REQUIRED, "budget_plan_required", "Budgets need the plan `pro` or `enterprise`")
            }
            Rejected::PaymentRequired => {
                Self::new(StatusCode::PAYMENT_REQUIRED, "payment_required", "Escalations need the plan `pro` or `enterprise`")
            }
            Rejected::IdempotencyKeyReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "The idempotency key was used for another request less than 24 h ago",
            ),
            Rejected::NotFound(what) => Self::not_found(what),
            Rejected::Conflict(message) => Self::new(StatusCode::CONFLICT, "conflict", sentence(message)),
            Rejected::Gone(message) => Self::new(StatusCode::GONE, "gone", sentence(message)),
            Rejected::NotAuthorised(refusal) => Self::refused(refusal),
            Rejected::AlreadyUsed => {
                Self::new(StatusCode::CONFLICT, "permission_already_used", "The decision was used for another payment intent")
            }
            Rejected::Invalid(fields) => Self::invalid(fields),
        }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Rejected(rejected) => rejected.into(),
            Failure::Busy => Self::unavailable("Too many requests wait; try again shortly"),
            Failure::Unavailable => Self::unavailable("The log cannot be written at the moment"),
        }
    }
}

impl From<CreateError> for ApiError {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Engine(failure) => failure.into(),
            CreateError::Keyring(cause) => {
                let _request = telemetry::request().entered();
                tracing::error!(keyring.error = %cause, "a signing key could not be sealed");
                Self::unavailable("The key directory cannot be written at the moment")
            }
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(cause: StoreError) -> Self {
        let _request = telemetry::request().entered();
        tracing::error!(storage.error = %cause, "the log could not be read");
        Self::unavailable("The log cannot be read at the moment")
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), chars.as_str()))
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let travelling = self.clone();
        let retry_after = self.retry_after;
        let (status, error) = self.into_parts();
        let mut response = (status, Json(Envelope { error })).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(travelling);
        response
    }
}
