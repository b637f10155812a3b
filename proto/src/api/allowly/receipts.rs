//! Receipts in answers: pending first, signed soon after.

use serde::Serialize;

use crate::id::ReceiptId;
use crate::json::Value;
use crate::time::Timestamp;

/// How long signing is expected to take, in ms.
const READY_AFTER_MS: u64 = 500;

/// `{"status": "pending", ...}`
#[derive(Debug, Clone, Serialize)]
pub struct PendingReceipt {
    status: &'static str,
    receipt_id: ReceiptId,
    ready_at_estimate: Timestamp,
    url: String,
}

impl PendingReceipt {
    /// The receipt of a record written at `issued_at`, to be had below `public_url` (without a slash at its end).
    pub fn new(receipt_id: ReceiptId, issued_at: Timestamp, public_url: &str) -> Self {
        let url = format!("{public_url}/v1/receipts/{receipt_id}");
        Self { status: "pending", receipt_id, ready_at_estimate: issued_at.saturating_add_ms(READY_AFTER_MS), url }
    }
}

/// A receipt in an answer.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum ReceiptBody {
    /// Not signed yet, or not waited for.
    Pending(PendingReceipt),
    /// Signed, and never changing from now on.
    Signed {
        /// Always `signed`.
        status: &'static str,
        /// The document.
        receipt: Value,
    },
}

impl ReceiptBody {
    /// A signed receipt.
    pub const fn signed(receipt: Value) -> Self {
        Self::Signed { status: "signed", receipt }
    }
}
