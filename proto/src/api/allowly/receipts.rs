//! Receipts in answers: pending first, signed soon after; and lists of them.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

use super::conditions::PolicyEval;
use crate::api::query::{Parameters, one_of as one_of_words};
use crate::event::{Code, Refusal, Settlement};
use crate::id::{AuthorizationId, KeyId, ReceiptId, WorkspaceId};
use crate::json::Value;
use crate::reason::{Decision, Reason};
use crate::receipt::RECEIPT_VERSION;
use crate::schema::{Signable, any_of, closed, describe, named, null, one_of, patterned, signable_object};
use crate::text::{AgentId, Resource, ScopeName, UserId};
use crate::time::Timestamp;

/// How long signing is expected to take, in ms.
const READY_AFTER_MS: u64 = 500;

/// `{"status": "pending", ...}`
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PendingReceipt {
    #[schema(schema_with = pending)]
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

impl ReceiptsQuery {
    const ORDERS: &'static [&'static str] = &["asc", "desc"];

    /// Reads the filters and the order among the parameters of a query.
    pub fn read(parameters: &mut Parameters<'_>) -> Self {
        let text = |text: &str| Ok::<_, String>(text.to_owned());
        let instant = |text: &str| Timestamp::parse(text).map_err(|e| e.to_string());
        Self {
            authorization_id: parameters.read("authorization_id", text),
            user_id: parameters.read("user_id", text),
            resource: parameters.read("resource", text),
            session_id: parameters.read("session_id", text),
            scope: parameters.read("scope", text),
            event: parameters.read("event", text),
            decision: parameters.read("decision", text),
            from: parameters.read("from", instant),
            to: parameters.read("to", instant),
            order: parameters.read("order", order),
        }
    }

    /// Newest first, but the chain of one authorization reads oldest first, unless the caller says otherwise.
    pub fn order(&self) -> Order {
        let default = if self.authorization_id.is_some() { Order::Ascending } else { Order::Descending };
        self.order.unwrap_or(default)
    }
}

fn order(text: &str) -> Result<Order, String> {
    Ok(if one_of_words(ReceiptsQuery::ORDERS)(text)? == "asc" { Order::Ascending } else { Order::Descending })
}

/// A receipt in a list. Every member is there always.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiptItem<'a> {
    /// The receipt.
    pub receipt_id: ReceiptId,
    /// Null on a check that matched nothing.
    #[schema(required)]
    pub authorization_id: Option<AuthorizationId>,
    /// What was checked; null if it was no check.
    #[schema(required)]
    pub scope: Option<&'a str>,
    /// What happened; null on a check.
    #[schema(required)]
    pub event: Option<&'a str>,
    /// As in the receipt.
    pub decision: &'a str,
    /// Whether the signature is there.
    pub signed: bool,
    /// Time of the record it is made from.
    pub created_at: Timestamp,
}

describe!(ReceiptBody, refers to [PendingReceipt, SignedReceipt], {
    let signed = object([("status", one_of(&["signed"]).into()), ("receipt", named::<SignedReceipt>())]);
    OneOfBuilder::new().item(named::<PendingReceipt>()).item(signed).into()
});

fn pending() -> RefOr<Schema> {
    one_of(&["pending"]).into()
}

/// The signed document, format "1.0": of a check, or of an event of an authorization's life.
enum SignedReceipt {}

describe!(
    SignedReceipt,
    refers to [
        ReceiptId, WorkspaceId, AuthorizationId, UserId, AgentId, ScopeName, Resource, KeyId, Decision, Reason, PaymentReason, PolicyEval, Signable,
    ],
    {
        let events = one_of(&["authorization.create", "authorization.revoke", "escalation.resolve"]);
        let decisions = one_of(&["authorization_granted", "authorization_revoked", "escalation_approved", "escalation_rejected"]);
        let reasons = one_of(&[
            "user_approved_via_customer_ui",
            "user_revoked_via_settings",
            "superseded_by_new_authorization",
            "escalation_resolved_by_approver",
        ]);
        let of_check = object([
            ("scope", named::<ScopeName>()),
            ("decision", named::<Decision>()),
            ("reason", any_of([named::<Reason>(), named::<PaymentReason>()]).into()),
            ("authorization_id", any_of([named::<AuthorizationId>(), null().into()]).into()),
        ]);
        let of_event = object([
            ("event", events.into()),
            ("decision", decisions.into()),
            ("reason", reasons.into()),
            ("authorization_id", named::<AuthorizationId>()),
        ]);
        let of_check = of_check.property("policy_eval", named::<PolicyEval>()).title(Some("of a check"));
        let of_event = of_event.title(Some("of an event"));
        let about = "The signature is Ed25519 over the canonical bytes of the document without `signature`. Exactly one of `scope` and \
                     `event` is there. An offline verifier needs nothing but this and the workspace's key document.";
        OneOfBuilder::new().item(with_the_rest(of_check)).item(with_the_rest(of_event)).description(Some(about)).into()
    }
);

/// What receipts of payments have as the reason, besides those of checks.
enum PaymentReason {}

describe!(PaymentReason, refers to [], {
    let done = ["payment_authorised", "payment_captured", "payment_cancelled", "offline_token_issued"];
    let of_codes = Code::ALL.iter().map(|code| code.reason()).filter(|reason| Reason::ALL.iter().all(|known| known.as_str() != *reason));
    let refused = Refusal::ALL.map(Refusal::as_str);
    let settled = Settlement::ALL.map(Settlement::as_str);
    let reasons: Vec<_> = of_codes.chain(done).chain(refused).chain(settled).collect();
    one_of(&reasons).description(Some("What was decided of a payment, and why.")).into()
});

/// What receipts of both kinds hold.
fn with_the_rest(receipt: ObjectBuilder) -> ObjectBuilder {
    let signature = object([
        ("alg", one_of(&["Ed25519"]).into()),
        ("key_id", named::<KeyId>()),
        ("value", patterned("64 bytes, base64url without padding.", "^[A-Za-z0-9_-]{86}$", &"A".repeat(86)).into()),
    ]);
    let members = [
        ("version", one_of(&[RECEIPT_VERSION]).into()),
        ("receipt_id", named::<ReceiptId>()),
        ("workspace_id", named::<WorkspaceId>()),
        ("issued_at", named::<Timestamp>()),
        ("user_id", named::<UserId>()),
        ("agent_id", named::<AgentId>()),
        ("resource", any_of([named::<Resource>(), null().into()]).into()),
        ("context", signable_object(&[]).into()),
        ("policy_version", ObjectBuilder::new().schema_type(Type::String).into()),
        ("signature", signature.into()),
    ];
    with(receipt, members)
}

/// An object of exactly these members.
fn object<const N: usize>(members: [(&str, RefOr<Schema>); N]) -> ObjectBuilder {
    with(closed(ObjectBuilder::new().schema_type(Type::Object)), members)
}

fn with<const N: usize>(object: ObjectBuilder, members: [(&str, RefOr<Schema>); N]) -> ObjectBuilder {
    members.into_iter().fold(object, |object, (name, schema)| object.property(name, schema).required(name))
}
