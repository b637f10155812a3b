//! Bodies of the Allowly API in its scopes form.

mod authorizations;
mod bundles;
mod check;
mod check_batch;
mod conditions;
mod confirmations;
mod constraints;
mod escalations;
mod evidence;
mod receipts;
mod terms;
mod tombstones;

pub use authorizations::{AuthorizationBody, CreateBody, KnownAuthorizationBody, RevokeBody, RevokedBody, Source};
pub use bundles::{BundleBody, DeletedBundleBody, KnownBundleBody};
pub use check::{CheckBody, CheckedBody, EscalationBody, ResultBody, budget, policy_eval};
pub use check_batch::{CheckBatchBody, CheckedBatchBody, CheckedItemBody};
pub use confirmations::{ConfirmBody, ConfirmedBody};
pub use escalations::{KnownEscalationBody, ResolveBody, ResolvedBody};
pub use evidence::EvidenceQuery;
pub use receipts::{Order, PendingReceipt, ReceiptBody, ReceiptItem, ReceiptsQuery};
pub use terms::{shown_scope, signed_scope, targets_object};
pub use tombstones::{KnownTombstoneBody, LiftedTombstoneBody, TombstoneBody};
