//! Payments: what a delegation limits, what the gate decided, what was authorised, and what was paid offline.
//!
//! Source: sections 3 to 6 of the AffixIO API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Subject, Verdict};
use crate::id::{AuthorizationId, EscalationId, OfflineTokenId, OfflineTransactionId, PaymentIntentId, ReceiptId, RegisteredAgentId};
use crate::json::CanonicalObject;
use crate::money::{Amount, Currency};
use crate::reason::{PolicyVersion, Reason};
use crate::text::{AgentId, Category, Channel, ClientRef, MerchantId, OpaqueId, Resource, ScopeName, UserId};
use crate::time::Timestamp;

mod code;
mod limits;

pub use code::Code;
pub use limits::{Delegated, Interval, OnExceed, PaymentLimits, Period};

/// What happens to payments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentEvent {
    /// The gate decided.
    Decided(Box<PaymentDecided>),
    /// Somebody wants to pay something.
    IntentCreated(Box<IntentCreated>),
    /// A decision was consumed, and the limits with it.
    Authorised(Box<IntentMoved>),
    /// A decision was not honoured, since what it was made by is so no more.
    Refused(Box<IntentRefused>),
    /// What was authorised is paid; what is left of it is given back to the limits.
    Captured(Box<IntentMoved>),
    /// The intent is over; what was authorised is given back to the limits.
    Cancelled(Box<IntentMoved>),
    /// The intent is over before anything was authorised, and no delegation is named in it.
    Abandoned(PaymentIntentId),
    /// A token to pay with offline was made, and its amount reserved.
    TokenIssued(Box<TokenIssued>),
    /// A device told of a payment it made with a token.
    Queued(Box<Queued>),
    /// Such a payment was settled, or refused; once for each.
    Reconciled(Box<Reconciled>),
}

impl PaymentEvent {
    /// The delegation it is about, if it is about one.
    pub fn authorization_id(&self) -> Option<AuthorizationId> {
        match self {
            Self::Decided(decided) => decided.subject.authorization_id(),
            Self::IntentCreated(created) => created.authorization_id,
            Self::Authorised(moved) | Self::Captured(moved) | Self::Cancelled(moved) => Some(moved.authorization_id),
            Self::Refused(refused) => Some(refused.moved.authorization_id),
            Self::Abandoned(_) => None,
            Self::TokenIssued(issued) => Some(issued.authorization_id),
            Self::Queued(queued) => Some(queued.authorization_id),
            Self::Reconciled(reconciled) => Some(reconciled.authorization_id),
        }
    }

    /// The receipt it leads to, if it leads to one.
    pub fn receipt_id(&self) -> Option<ReceiptId> {
        match self {
            Self::Decided(decided) => Some(decided.receipt_id),
            Self::Authorised(moved) | Self::Captured(moved) | Self::Cancelled(moved) => Some(moved.receipt_id),
            Self::Refused(refused) => Some(refused.moved.receipt_id),
            Self::TokenIssued(issued) => Some(issued.receipt_id),
            Self::Reconciled(reconciled) => Some(reconciled.receipt_id),
            Self::IntentCreated(_) | Self::Abandoned(_) | Self::Queued(_) => None,
        }
    }

    /// What the receipts of payments have as the scope, where it is not a permission of the delegation: nobody may give a scope such a name.
    pub const SCOPES: [&'static str; 5] =
        ["payment_intent.authorise", "payment_intent.capture", "payment_intent.cancel", "offline_token.issue", "offline_token.settle"];
}

/// What somebody wants to pay, as far as it was said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Payment {
    /// To whom.
    pub merchant_id: Option<MerchantId>,
    /// How much.
    pub amount: Option<Amount>,
    /// Of what.
    pub currency: Option<Currency>,
    /// How.
    pub channel: Option<Channel>,
    /// To what kind of merchant.
    pub category: Option<Category>,
    /// For which payment intent, in the caller's words.
    pub intent_id: Option<OpaqueId>,
}

/// Why the gate was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// May this payment go ahead? The answer can be consumed, once.
    Permission,
    /// The same, of whatever action; it can be consumed if it is a payment.
    Policy,
    /// Is this agent to be trusted? Nothing is consumed.
    Trust,
    /// Does the delegation stand? Nothing is consumed.
    Verification,
    /// May a token be made? A yes is [`PaymentEvent::TokenIssued`].
    OfflineToken,
}

impl Purpose {
    /// The spelling in receipts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permission => "permission",
            Self::Policy => "policy",
            Self::Trust => "trust",
            Self::Verification => "verification",
            Self::OfflineToken => "offline_token",
        }
    }
}

/// The gate decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentDecided {
    /// The receipt of this decision; the decision has the same id.
    pub receipt_id: ReceiptId,
    /// Under which delegation; what was asked for if there is none.
    pub subject: Subject,
    /// Why it was asked.
    pub purpose: Purpose,
    /// Who wants to act, in the caller's words.
    pub agent: OpaqueId,
    /// From which device, in the caller's words.
    pub device: Option<OpaqueId>,
    /// What is to be permitted: what was named, else what the delegation grants.
    pub scope: ScopeName,
    /// What is to be paid.
    pub payment: Payment,
    /// What a question to a person about it is bound to.
    pub resource: Option<Resource>,
    /// The caller's own.
    pub context: CanonicalObject,
    /// The answer, with what it minted or consumed.
    pub verdict: Verdict,
    /// The tests that were passed, then the one that decided.
    pub codes: Vec<Code>,
    /// With an allow: at most so much may be authorised.
    pub max_amount: Option<Amount>,
    /// From this instant on it cannot be consumed.
    pub expires_at: Timestamp,
    /// By which version of the decision logic.
    pub policy_version: PolicyVersion,
}

impl PaymentDecided {
    /// What is to be done about it, as the API spells it.
    pub const fn action(&self) -> &'static str {
        match (&self.verdict, self.max_amount) {
            (Verdict::Allow { .. }, None) => "ALLOW",
            (Verdict::Allow { .. }, Some(_)) => "ALLOW_WITH_LIMITS",
            (Verdict::Deny, _) => "DENY",
            (Verdict::Confirm { .. }, _) => "STEP_UP_REQUIRED",
            (Verdict::Escalate { .. }, _) => "REVIEW",
        }
    }

    /// What its receipt has as the reason: that of the last test, which decided.
    pub fn reason(&self) -> &'static str {
        match self.subject {
            // So it is of every check that matched nothing; the codes say more.
            Subject::Unknown { .. } => Reason::AuthorizationNotFound.as_str(),
            Subject::Known { .. } => {
                let asked = self.codes.iter().rev().find(|code| code.is_failure() || code.reason() != Code::DelegationValid.reason());
                asked.unwrap_or(&Code::DelegationValid).reason()
            }
        }
    }

    /// Whether a payment intent may be authorised by it.
    pub const fn is_consumable(&self) -> bool {
        let is_whole = self.payment.merchant_id.is_some() && self.payment.amount.is_some() && self.payment.currency.is_some();
        is_whole && matches!(self.verdict, Verdict::Allow { .. }) && matches!(self.purpose, Purpose::Permission | Purpose::Policy)
    }
}

/// Somebody wants to pay something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentCreated {
    /// The delegation that is named in it.
    pub authorization_id: Option<AuthorizationId>,
    /// The new intent.
    pub intent_id: PaymentIntentId,
    /// To whom.
    pub merchant_id: MerchantId,
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// How.
    pub channel: Option<Channel>,
    /// Who wants to pay, if that is named.
    pub agent_id: Option<RegisteredAgentId>,
    /// From which device, in the caller's words.
    pub device: Option<OpaqueId>,
    /// The decision it is to be authorised by, if that is named.
    pub decision: Option<ReceiptId>,
    /// The caller's own.
    pub metadata: CanonicalObject,
    /// From this instant on it cannot be authorised.
    pub expires_at: Timestamp,
}

/// An intent was authorised, captured or cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentMoved {
    /// The receipt of it.
    pub receipt_id: ReceiptId,
    /// The delegation whose limits are consumed, or that is named in the intent.
    pub authorization_id: AuthorizationId,
    /// As granted.
    pub user_id: UserId,
    /// As granted.
    pub agent_id: AgentId,
    /// Which intent.
    pub intent_id: PaymentIntentId,
    /// The decision that was consumed; none if nothing was authorised.
    pub decision: Option<ReceiptId>,
    /// As the intent says.
    pub merchant_id: MerchantId,
    /// What is authorised, captured, or not to be paid any more.
    pub amount: Amount,
    /// As the intent says.
    pub currency: Currency,
    /// By which version of the decision logic.
    pub policy_version: PolicyVersion,
}

/// A decision was not honoured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentRefused {
    /// What was not done; `amount` is what was asked for.
    pub moved: IntentMoved,
    /// What the caller is told.
    pub refusal: Refusal,
    /// The test that failed.
    pub code: Code,
}

/// Why an intent is not authorised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// No decision allows it.
    PermissionRequired,
    /// The decision is no allow, or would be none now.
    PermissionDenied,
    /// The time of the decision is over, or that of its delegation.
    PermissionExpired,
    /// More than the decision, the intent or a single payment may be.
    AmountExceedsLimit,
    /// The decision is about something else.
    PermissionMismatch,
    /// The delegation was revoked in between.
    DelegationRevoked,
    /// Others have consumed the limit in between.
    LimitExceeded,
}

impl Refusal {
    /// Every refusal.
    pub const ALL: [Self; 7] = [
        Self::PermissionRequired,
        Self::PermissionDenied,
        Self::PermissionExpired,
        Self::AmountExceedsLimit,
        Self::PermissionMismatch,
        Self::DelegationRevoked,
        Self::LimitExceeded,
    ];

    /// The spelling on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PermissionRequired => "permission_required",
            Self::PermissionDenied => "permission_denied",
            Self::PermissionExpired => "permission_expired",
            Self::AmountExceedsLimit => "amount_exceeds_limit",
            Self::PermissionMismatch => "permission_mismatch",
            Self::DelegationRevoked => "delegation_revoked",
            Self::LimitExceeded => "limit_exceeded",
        }
    }
}

/// A token to pay with offline was made, and its amount reserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenIssued {
    /// The receipt of it.
    pub receipt_id: ReceiptId,
    /// The delegation whose limits it reserves.
    pub authorization_id: AuthorizationId,
    /// As granted.
    pub user_id: UserId,
    /// As granted.
    pub agent_id: AgentId,
    /// The new token.
    pub token_id: OfflineTokenId,
    /// What shows that it was spent: chance, and each but once.
    pub nullifier: [u8; 16],
    /// For which device, in the caller's words.
    pub device: OpaqueId,
    /// By which permission.
    pub scope: ScopeName,
    /// At most so much can be paid with it, once.
    pub max_amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// To whom; anybody if nothing is said.
    pub merchants: Option<Vec<MerchantId>>,
    /// The tests that were passed.
    pub codes: Vec<Code>,
    /// The approval that was used up.
    pub consumed: Option<EscalationId>,
    /// From this instant on nobody takes it.
    pub expires_at: Timestamp,
    /// By which version of the decision logic.
    pub policy_version: PolicyVersion,
}

/// A device told of a payment it made with a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// The delegation that the token is of.
    pub authorization_id: AuthorizationId,
    /// The new transaction.
    pub transaction_id: OfflineTransactionId,
    /// Which token.
    pub token_id: OfflineTokenId,
    /// Which device, in the caller's words.
    pub device: OpaqueId,
    /// To whom.
    pub merchant_id: MerchantId,
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// When, as the device says.
    pub occurred_at: Option<Timestamp>,
    /// What the device calls it.
    pub client_ref: Option<ClientRef>,
}

/// An offline payment was settled, or refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciled {
    /// The receipt of it.
    pub receipt_id: ReceiptId,
    /// The delegation that the token is of.
    pub authorization_id: AuthorizationId,
    /// As granted.
    pub user_id: UserId,
    /// As granted.
    pub agent_id: AgentId,
    /// Which transaction.
    pub transaction_id: OfflineTransactionId,
    /// Which token.
    pub token_id: OfflineTokenId,
    /// Which device, in the caller's words.
    pub device: OpaqueId,
    /// To whom.
    pub merchant_id: MerchantId,
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// What came of it.
    pub settlement: Settlement,
    /// By which version of the decision logic.
    pub policy_version: PolicyVersion,
}

/// What came of an offline payment: the first that applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Settlement {
    /// The token was spent before.
    DoubleSpend,
    /// It was made at or after the end of the token, or told of when the reservation had been given back.
    Expired,
    /// More than the token is good for, in another currency, or to somebody else.
    OverLimit,
    /// It counts, and what it is less than the reservation is given back.
    Settled,
}

impl Settlement {
    /// Whatever can come of one, in the order in which it is looked for.
    pub const ALL: [Self; 4] = [Self::DoubleSpend, Self::Expired, Self::OverLimit, Self::Settled];

    /// The spelling on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DoubleSpend => "double_spend",
            Self::Expired => "expired",
            Self::OverLimit => "over_limit",
            Self::Settled => "settled",
        }
    }
}
