//! Errors on the wire: a code for machines, a sentence for people, and a cause that stays in the telemetry.

use allowlog_projections::rejected::Rejected;
use allowlog_proto::api::envelope::{Envelope, ErrorBody, FieldError};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::app::CreateError;
use crate::engine::Failure;
use crate::log::StoreError;
use crate::telemetry;

/// Seconds after which a refused caller may try again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Any answer that is not 2xx.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    fields: Vec<FieldError>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), fields: Vec::new() }
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

    /// 414.
    pub fn uri_too_long(limit_bytes: usize) -> Self {
        Self::new(StatusCode::URI_TOO_LONG, "uri_too_long", format!("Path and query must be shorter than {limit_bytes} bytes"))
    }

    /// 431.
    pub fn headers_too_large(limit_bytes: usize) -> Self {
        let message = format!("The headers must be shorter than {limit_bytes} bytes together");
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", message)
    }

    /// 429; the limit itself says when to try again.
    pub fn quota_exceeded() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "quota_exceeded", "This API key calls too often; try again later")
    }

    /// 422, with every field at fault.
    pub fn invalid(fields: Vec<FieldError>) -> Self {
        let message = match fields.as_slice() {
            [one] => format!("`{}` {}", one.field, one.message),
            many => format!("{} fields are invalid", many.len()),
        };
        Self { fields, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation_error", message) }
    }

    /// 500: our fault, and a defect.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "The server failed; the request may be tried again")
    }

    /// 503: nothing wrong with the request.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", message)
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
        let Self { status, code, message, fields } = self;
        let mut response = (status, Json(Envelope { error: ErrorBody { code, message, fields } })).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}
