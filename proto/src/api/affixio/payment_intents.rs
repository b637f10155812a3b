//! Bodies of `/v1/payment-intents`.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::members::{OwnBody, OwnMetadata, amount, currency, decision, metadata, opaque};
use super::spelling::snake_case;
use crate::api::envelope::FieldError;
use crate::api::fields::{Fields, text};
use crate::id::{AuditEventId, DecisionId, DelegationId, PaymentIntentId, ProofId, RegisteredAgentId};
use crate::json::{CanonicalObject, Value};
use crate::money::{Amount, Currency};
use crate::schema::{Absent, Members, any_of, describe, named, one_of};
use crate::text::{Channel, MerchantId, OpaqueId};
use crate::time::Timestamp;

/// A payment intent as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentBody {
    /// To whom.
    pub merchant_id: MerchantId,
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// How.
    pub channel: Option<Channel>,
    /// Who wants to pay.
    pub agent: Option<OpaqueId>,
    /// Under which delegation.
    pub delegation: Option<OpaqueId>,
    /// From which device.
    pub device: Option<OpaqueId>,
    /// By which decision, a `decision_id` or a `proof_id`.
    pub decision: Option<OpaqueId>,
    /// The caller's own.
    pub metadata: CanonicalObject,
}

impl IntentBody {
    /// Reads the body of `POST /v1/payment-intents`.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let body = snake_case(body);
        let mut fields = Fields::of(&body, "body");
        let merchant_id = fields.required("merchant_id", text(MerchantId::new));
        let amount = fields.required("amount", amount);
        let currency = fields.required("currency", currency);
        let channel = fields.optional("channel", text(Channel::new));
        let agent = fields.optional("agent_id", opaque);
        let delegation = fields.optional("delegation_id", opaque);
        let device = fields.optional("device_id", opaque);
        let decision = decision(&mut fields);
        let metadata = metadata(&mut fields);
        match (merchant_id, amount, currency) {
            (Some(merchant_id), Some(amount), Some(currency)) if fields.is_sound() => {
                Ok(Self { merchant_id, amount, currency, channel, agent, delegation, device, decision, metadata })
            }
            _ => Err(fields.into_errors()),
        }
    }
}

describe!(IntentBody, refers to [MerchantId, Amount, Currency, Channel, OpaqueId, OwnMetadata, Absent], {
    let members = Members::of("What is to be paid. Members may be spelt in camel case as well.")
        .required("merchant_id", "To whom.", named::<MerchantId>())
        .required("amount", "How much, in minor units: never a float, never a string.", named::<Amount>())
        .required("currency", "Of what.", named::<Currency>())
        .optional("channel", "How.", named::<Channel>())
        .optional("agent_id", "Who wants to pay.", named::<OpaqueId>())
        .optional("delegation_id", "Under which delegation.", named::<OpaqueId>())
        .optional("device_id", "From which device.", named::<OpaqueId>());
    by_decision(members).optional("metadata", "Your own.", named::<OwnMetadata>()).build()
});

fn by_decision(members: Members) -> Members {
    members.optional("decision_id", "The decision it is to be authorised by.", named::<OpaqueId>()).optional(
        "proof_id",
        "The same by its proof; of both, they must name the same.",
        named::<OpaqueId>(),
    )
}

/// How an intent is to be authorised.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuthoriseBody {
    /// By which decision, a `decision_id` or a `proof_id`.
    pub decision: Option<OpaqueId>,
    /// How much of it; all if nothing is said.
    pub amount: Option<Amount>,
}

impl AuthoriseBody {
    /// Reads the body of `POST /v1/payment-intents/{id}/authorise`, which may be absent.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let body = snake_case(body);
        let mut fields = Fields::of(&body, "body");
        let decision = decision(&mut fields);
        let amount = fields.nullable("amount", amount);
        if fields.is_sound() { Ok(Self { decision, amount }) } else { Err(fields.into_errors()) }
    }
}

describe!(AuthoriseBody, refers to [OpaqueId, Amount, Absent], {
    let members = by_decision(Members::of("By which decision, and how much; if nothing is said, the decision is looked for."));
    let members = members.nullable("amount", "How much of it; all if absent.", named::<Amount>());
    any_of([members.build(), named::<Absent>()]).into()
});

/// How much of what was authorised is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CaptureBody {
    /// All if nothing is said.
    pub amount: Option<Amount>,
}

impl CaptureBody {
    /// Reads the body of `POST /v1/payment-intents/{id}/capture`, which may be absent.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let body = snake_case(body);
        let mut fields = Fields::of(&body, "body");
        let amount = fields.nullable("amount", amount);
        if fields.is_sound() { Ok(Self { amount }) } else { Err(fields.into_errors()) }
    }
}

describe!(CaptureBody, refers to [Amount, Absent], {
    let members = Members::of("How much is paid; what is left of what was authorised is given back.");
    let members = members.nullable("amount", "All if absent.", named::<Amount>());
    any_of([members.build(), named::<Absent>()]).into()
});

/// A payment intent as it stands. Every member is there always.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentIntentBody {
    /// The intent.
    pub id: PaymentIntentId,
    /// The same.
    pub payment_intent_id: PaymentIntentId,
    /// `created`, `authorised`, `captured`, `cancelled` or `expired`.
    #[schema(schema_with = status)]
    pub status: &'static str,
    /// To whom.
    pub merchant_id: MerchantId,
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// How.
    #[schema(required)]
    pub channel: Option<Channel>,
    /// Who wants to pay.
    #[schema(required)]
    pub agent_id: Option<RegisteredAgentId>,
    /// Under which delegation.
    #[schema(required)]
    pub delegation_id: Option<DelegationId>,
    /// From which device.
    #[schema(required)]
    pub device_id: Option<OpaqueId>,
    /// The decision it was authorised by, or is to be.
    #[schema(required)]
    pub decision_id: Option<DecisionId>,
    /// How much may be paid.
    #[schema(required)]
    pub authorised_amount: Option<Amount>,
    /// How much was paid.
    #[schema(required)]
    pub captured_amount: Option<Amount>,
    /// Yours.
    #[schema(value_type = OwnMetadata)]
    pub metadata: OwnBody,
    /// When it was created.
    pub created_at: Timestamp,
    /// From then on it cannot be authorised.
    pub expires_at: Timestamp,
    /// When it was authorised.
    #[schema(required)]
    pub authorised_at: Option<Timestamp>,
    /// When it was captured.
    #[schema(required)]
    pub captured_at: Option<Timestamp>,
    /// When it was cancelled.
    #[schema(required)]
    pub cancelled_at: Option<Timestamp>,
    /// The receipt of the latest step, if it has one.
    #[schema(required)]
    pub proof_id: Option<ProofId>,
    /// The receipt of the decision that was consumed.
    #[schema(required)]
    pub permission_proof_id: Option<ProofId>,
    /// The record of the latest step, if it has a receipt.
    #[schema(required)]
    pub audit_event_id: Option<AuditEventId>,
}

fn status() -> RefOr<Schema> {
    one_of(&["created", "authorised", "captured", "cancelled", "expired"]).into()
}

/// A payment intent that was authorised. Every member is there always.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthorisedBody {
    /// The intent.
    pub payment_intent_id: PaymentIntentId,
    /// Always `authorised`.
    pub status: &'static str,
    /// How much may be paid.
    pub authorised_amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// The decision that was consumed.
    pub decision_id: DecisionId,
    /// The receipt of the authorisation.
    pub proof_id: ProofId,
    /// The receipt of the decision.
    pub permission_proof_id: ProofId,
    /// The record of the authorisation.
    pub audit_event_id: AuditEventId,
    /// When.
    pub authorised_at: Timestamp,
}
