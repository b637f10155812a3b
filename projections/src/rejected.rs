//! Rejections: nothing was decided and nothing is stored. A denial is no rejection, it is a decision.

use allowlog_proto::api::envelope::FieldError;
use allowlog_proto::event::Refusal;

/// Why a command was not decided; the caller must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The API key is unknown or revoked; which of these is nobody's business.
    #[error("invalid or revoked API key")]
    Unauthorized,
    /// The API key may only read.
    #[error("this API key may only read")]
    Forbidden,
    /// The workspace's plan has no budgets.
    #[error("budgets need the plan `pro` or `enterprise`")]
    BudgetPlanRequired,
    /// The workspace's plan has no escalations.
    #[error("escalations need the plan `pro` or `enterprise`")]
    PaymentRequired,
    /// The idempotency key was given to another request less than 24 h ago.
    #[error("the idempotency key was used for another request")]
    IdempotencyKeyReused,
    /// No such thing in this workspace.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// It was done before, or otherwise.
    #[error("{0}")]
    Conflict(&'static str),
    /// It was there once.
    #[error("{0}")]
    Gone(&'static str),
    /// A payment intent is not authorised, and nothing was consumed.
    #[error("the payment intent is not authorised: {}", .0.as_str())]
    NotAuthorised(Refusal),
    /// The decision was consumed before, by another payment intent.
    #[error("the decision was used for another payment intent")]
    AlreadyUsed,
    /// The request contradicts the state or the time.
    #[error("the request is invalid")]
    Invalid(Vec<FieldError>),
}

impl Rejected {
    /// One field at fault.
    pub fn field(field: &str, message: &str) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }
}
