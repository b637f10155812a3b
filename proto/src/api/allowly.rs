//! Bodies of the Allowly API in its scopes form.

mod authorizations;
mod check;
mod confirmations;
mod escalations;
mod receipts;

pub use authorizations::{AuthorizationBody, CreateBody, RevokeBody, RevokedBody};
pub use check::{CheckBody, CheckedBody, EscalationBody, ResultBody};
pub use confirmations::{ConfirmBody, ConfirmedBody};
pub use escalations::{ResolveBody, ResolvedBody};
pub use receipts::{PendingReceipt, ReceiptBody};
