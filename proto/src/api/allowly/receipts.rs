//! Receipts in answers: pending first, signed soon after; and lists of them.

use data_encoding::BASE64URL_NOPAD;
use serde::{Serialize, Serializer};

use crate::api::envelope::FieldError;
use crate::api::query::{Parameters, limit, one_of};
use crate::id::{AuthorizationId, ReceiptId};
use crate::json::Value;
use crate::limits::PAGE_ITEMS_DEFAULT;
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

/// What a list of receipts asks for. Every filter that is there must fit; values are compared exactly.
///
/// Source: section "Receipts" of the Allowly API, list filters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReceiptsQuery {
    /// Of this authorization. Opaque, as every id a caller writes.
    pub authorization_id: Option<String>,
    /// Of this person.
    pub user_id: Option<String>,
    /// About this resource.
    pub resource: Option<String>,
    /// Of checks in this session.
    pub session_id: Option<String>,
    /// Of checks of this scope.
    pub scope: Option<String>,
    /// Of this event.
    pub event: Option<String>,
    /// With this decision.
    pub decision: Option<String>,
    /// Written at this instant or later.
    pub from: Option<Timestamp>,
    /// Written before this instant.
    pub to: Option<Timestamp>,
    /// Behind this place, in the order of the list.
    pub cursor: Option<Cursor>,
    /// Items on the page, 1 to `PAGE_ITEMS_MAX`; [`PAGE_ITEMS_DEFAULT`] if the caller names none.
    pub limit: Option<usize>,
    /// As the caller says; [`ReceiptsQuery::order`] knows the default.
    pub order: Option<Order>,
}

/// The order of a list, by time and then by place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// A place in the log that a list goes on behind. On the wire it is text that means nothing to callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub u64);

impl Cursor {
    fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        Some(Self(u64::from_be_bytes(bytes.try_into().ok()?)))
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64URL_NOPAD.encode(&self.0.to_be_bytes()))
    }
}

impl ReceiptsQuery {
    const ORDERS: &'static [&'static str] = &["asc", "desc"];

    /// Reads decoded pairs of a query string. An empty value means absent, a name this list does not have is ignored.
    ///
    /// # Errors
    /// Every parameter at fault, each once, in the order of the fields.
    pub fn parse(pairs: &[(String, String)]) -> Result<Self, Vec<FieldError>> {
        let mut parameters = Parameters::of(pairs);
        let text = |text: &str| Ok::<_, String>(text.to_owned());
        let instant = |text: &str| Timestamp::parse(text).map_err(|e| e.to_string());
        let query = Self {
            authorization_id: parameters.read("authorization_id", text),
            user_id: parameters.read("user_id", text),
            resource: parameters.read("resource", text),
            session_id: parameters.read("session_id", text),
            scope: parameters.read("scope", text),
            event: parameters.read("event", text),
            decision: parameters.read("decision", text),
            from: parameters.read("from", instant),
            to: parameters.read("to", instant),
            cursor: parameters.read("cursor", |text| Cursor::parse(text).ok_or_else(|| "is no cursor that a list has given".to_owned())),
            limit: parameters.read("limit", limit),
            order: parameters.read("order", order),
        };
        parameters.finish(query)
    }

    /// Newest first, but the chain of one authorization reads oldest first, unless the caller says otherwise.
    pub fn order(&self) -> Order {
        let default = if self.authorization_id.is_some() { Order::Ascending } else { Order::Descending };
        self.order.unwrap_or(default)
    }

    /// Items on the page.
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(PAGE_ITEMS_DEFAULT)
    }
}

fn order(text: &str) -> Result<Order, String> {
    Ok(if one_of(ReceiptsQuery::ORDERS)(text)? == "asc" { Order::Ascending } else { Order::Descending })
}

/// One page of a list of receipts.
#[derive(Debug, Serialize)]
pub struct ReceiptsBody<'a> {
    /// In the order of the list.
    pub items: Vec<ReceiptItem<'a>>,
    /// Whether there are further ones.
    pub has_more: bool,
    /// What to ask for them with; null at the end.
    pub next_cursor: Option<Cursor>,
}

/// A receipt in a list. Every member is there always.
#[derive(Debug, Serialize)]
pub struct ReceiptItem<'a> {
    /// Which.
    pub receipt_id: ReceiptId,
    /// Null on a check that matched nothing.
    pub authorization_id: Option<AuthorizationId>,
    /// What was checked; null if it was no check.
    pub scope: Option<&'a str>,
    /// What happened; null on a check.
    pub event: Option<&'a str>,
    /// As in the receipt.
    pub decision: &'a str,
    /// Whether the signature is there.
    pub signed: bool,
    /// Time of the record it is made from.
    pub created_at: Timestamp,
}
