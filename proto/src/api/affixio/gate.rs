//! What the gate is asked: bodies of `/v1/nior/agent/permission`, `/v1/nior/policy/decide`, `/v1/trust/check` and
//! `/v1/delegations/{id}/verify`.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::ObjectBuilder;
use utoipa::openapi::{RefOr, Schema};

use super::members::{RESERVED_CONTEXT, amount, context, currency, opaque, permission};
use super::spelling::snake_case;
use crate::api::envelope::FieldError;
use crate::api::fields::{Fields, text};
use crate::event::{Code, Payment, Purpose};
use crate::id::{AuditEventId, DecisionId, EscalationId, Nonce, PolicyId, ProofId};
use crate::json::{CanonicalObject, Value};
use crate::money::{Amount, Currency};
use crate::schema::{self, Absent, Members, Signable, any_of, describe, named, one_of, signable_object};
use crate::text::{Category, Channel, MerchantId, OpaqueId, Resource, ScopeName};
use crate::time::Timestamp;

/// What the gate is asked. Ids are as the caller wrote them: what is unknown is a denial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateBody {
    /// Why; a verification is of the delegation that is named, whoever its agent is.
    pub purpose: Purpose,
    /// Who wants to act; named unless it is a verification.
    pub agent: Option<OpaqueId>,
    /// Under which delegation; if none is named, each of the agent's is tried, the newest first.
    pub delegation: Option<OpaqueId>,
    /// From which device.
    pub device: Option<OpaqueId>,
    /// What is to be permitted; a payment if nothing is named.
    pub permission: Option<ScopeName>,
    /// What is to be paid. [`Purpose::Permission`] has merchant, amount and currency.
    pub payment: Payment,
    /// On what, where it is no payment.
    pub resource: Option<Resource>,
    /// The caller's own.
    pub context: CanonicalObject,
}

/// How much of a payment must be said where there is one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// Merchant, amount and currency.
    Whole,
}

impl GateBody {
    /// Reads the body of `POST /v1/nior/agent/permission`.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse_permission(body: &Value) -> Result<Self, Vec<FieldError>> {
        let body = snake_case(body);
        let mut fields = Fields::of(&body, "body");
        let agent = fields.required("agent_id", opaque);
        let delegation = fields.required("delegation_id", opaque);
        fields.require("payment_intent");
        let asked = Self { agent, delegation, ..Self::of(&mut fields, Purpose::Permission, Needs::Whole) };
        asked.sound(fields)
    }

    /// Reads the body of `POST /v1/nior/policy/decide`, where a payment is no object of its own.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse_policy(body: &Value) -> Result<Self, Vec<FieldError>> {
        let body = snake_case(body);
        let mut fields = Fields::of(&body, "body");
        let asked = Self {
            purpose: Purpose::Policy,
            agent: fields.required("agent_id", opaque),
            permission: fields.required("action", permission),
            delegation: fields.optional("delegation_id", opaque),
            device: fields.optional("device_id", opaque),
            resource: fields.optional("resource", text(Resource::new)),
            payment: payment(&mut fields, Needs::Nothing),
            context: context(&mut fields),
        };
        asked.sound(fields)
    }

    /// Reads the body of `POST /v1/trust/check`.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse_trust(body: &Value) -> Result<Self, Vec<FieldError>> {
        let body = snake_case(body);
        let mut fields = Fields::of(&body, "body");
        let agent = fields.required("agent_id", opaque);
        let delegation = fields.optional("delegation_id", opaque);
        let asked = Self { agent, delegation, ..Self::of(&mut fields, Purpose::Trust, Needs::Nothing) };
        asked.sound(fields)
    }

    /// Reads the body of `POST /v1/delegations/{id}/verify`, which may be absent, of this delegation.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse_verification(body: &Value, delegation: OpaqueId) -> Result<Self, Vec<FieldError>> {
        let body = snake_case(body);
        let mut fields = Fields::of(&body, "body");
        let asked = Self::of(&mut fields, Purpose::Verification, Needs::Whole);
        Self { delegation: Some(delegation), ..asked }.sound(fields)
    }

    /// What the endpoints have in common.
    fn of(fields: &mut Fields<'_>, purpose: Purpose, needs: Needs) -> Self {
        Self {
            purpose,
            agent: None,
            delegation: None,
            device: fields.optional("device_id", opaque),
            permission: fields.optional("permission", permission),
            payment: payment_intent(fields, needs),
            resource: None,
            context: context(fields),
        }
    }

    fn sound(self, fields: Fields<'_>) -> Result<Self, Vec<FieldError>> {
        if fields.is_sound() { Ok(self) } else { Err(fields.into_errors()) }
    }
}

fn payment_intent(outer: &mut Fields<'_>, needs: Needs) -> Payment {
    let Some(value) = outer.get("payment_intent") else { return Payment::default() };
    let mut fields = Fields::of(value, outer.path_of("payment_intent"));
    let id = fields.optional("id", opaque);
    let payment = Payment { intent_id: id, ..payment(&mut fields, needs) };
    outer.absorb(fields.into_errors());
    payment
}

fn payment(fields: &mut Fields<'_>, needs: Needs) -> Payment {
    if needs == Needs::Whole {
        for name in ["merchant_id", "amount", "currency"] {
            fields.require(name);
        }
    }
    Payment {
        merchant_id: fields.optional("merchant_id", text(MerchantId::new)),
        amount: fields.nullable("amount", amount),
        currency: fields.optional("currency", currency),
        channel: fields.optional("channel", text(Channel::new)),
        category: fields.optional("merchant_category", text(Category::new)),
        intent_id: None,
    }
}

/// What may have been asked as `POST /v1/nior/agent/permission`: a [`GateBody`].
pub enum PermissionAsked {}

describe!(PermissionAsked, refers to [OpaqueId, PaymentAsked, ScopeName, GateContext, Absent], {
    let members = Members::of("May this payment go ahead? Members may be spelt in camel case as well.")
        .required("agent_id", "Who wants to pay; one that is unknown is a denial.", named::<OpaqueId>())
        .required("delegation_id", "Under which delegation; one that is unknown is a denial.", named::<OpaqueId>())
        .required("payment_intent", "What is to be paid.", named::<PaymentAsked>());
    common(members).build()
});

/// What may have been asked as `POST /v1/nior/policy/decide`: a [`GateBody`].
pub enum PolicyAsked {}

describe!(PolicyAsked, refers to [OpaqueId, ScopeName, Resource, MerchantId, Amount, Currency, Channel, Category, GateContext, Absent], {
    let members = Members::of("May the agent do this? Members may be spelt in camel case as well.")
        .required("agent_id", "Who wants to act; one that is unknown is a denial.", named::<OpaqueId>())
        .required("action", "What is to be permitted.", named::<ScopeName>())
        .optional("delegation_id", "Under which delegation; if absent, each of the agent's is tried, the newest first.", named::<OpaqueId>())
        .optional("device_id", "From which device.", named::<OpaqueId>())
        .optional("resource", "On what.", named::<Resource>());
    payment_members(members).optional("context", "For the receipt.", named::<GateContext>()).build()
});

/// What may have been asked as `POST /v1/trust/check`: a [`GateBody`].
pub enum TrustAsked {}

describe!(TrustAsked, refers to [OpaqueId, PaymentMentioned, ScopeName, GateContext, Absent], {
    let members = Members::of("Is this agent to be trusted? Members may be spelt in camel case as well.")
        .required("agent_id", "Who wants to act; one that is unknown is a denial.", named::<OpaqueId>())
        .optional("delegation_id", "Under which delegation; if absent, each of the agent's is tried, the newest first.", named::<OpaqueId>())
        .optional("payment_intent", "What is to be paid, as far as it is known.", named::<PaymentMentioned>());
    common(members).build()
});

/// What may have been asked as `POST /v1/delegations/{id}/verify`: a [`GateBody`].
pub enum VerificationAsked {}

describe!(VerificationAsked, refers to [PaymentAsked, ScopeName, GateContext, Absent], {
    let members = Members::of("Does the delegation stand, and would it allow this payment?")
        .optional("payment_intent", "Whether this could be paid.", named::<PaymentAsked>());
    any_of([common(members).build(), named::<Absent>()]).into()
});

fn common(members: Members) -> Members {
    members
        .optional("device_id", "From which device; one that is unknown is merely unverified.", named::<OpaqueId>())
        .optional("permission", "What is to be permitted; a payment if nothing is named.", named::<ScopeName>())
        .optional("context", "For the receipt.", named::<GateContext>())
}

/// A payment that is asked about.
enum PaymentAsked {}

describe!(PaymentAsked, refers to [MerchantId, Amount, Currency, Channel, Category, OpaqueId, Absent], {
    Members::of("A payment that is asked about.")
        .required("merchant_id", "To whom.", named::<MerchantId>())
        .required("amount", "How much, in minor units: never a float, never a string.", named::<Amount>())
        .required("currency", "Of what.", named::<Currency>())
        .optional("channel", "How: `online`, `terminal` ...", named::<Channel>())
        .optional("merchant_category", "To what kind of merchant.", named::<Category>())
        .optional("id", "For which payment intent; it may not exist yet.", named::<OpaqueId>())
        .build()
});

/// A payment as far as it is known.
enum PaymentMentioned {}

describe!(PaymentMentioned, refers to [MerchantId, Amount, Currency, Channel, Category, OpaqueId, Absent], {
    let members = Members::of("A payment as far as it is known.");
    payment_members(members).optional("id", "For which payment intent; it may not exist yet.", named::<OpaqueId>()).build()
});

fn payment_members(members: Members) -> Members {
    members
        .optional("merchant_id", "To whom.", named::<MerchantId>())
        .nullable("amount", "How much, in minor units: never a float, never a string.", named::<Amount>())
        .optional("currency", "Of what.", named::<Currency>())
        .optional("channel", "How: `online`, `terminal` ...", named::<Channel>())
        .optional("merchant_category", "To what kind of merchant.", named::<Category>())
}

/// The caller's context of a decision.
enum GateContext {}

describe!(GateContext, refers to [Signable], {
    let about = "Members for the receipt's context: nested at most 32 deep, at most 4096 bytes as compact JSON; `permission`, \
                 `payment_intent` and `escalation` are the server's.";
    signable_object(&RESERVED_CONTEXT).description(Some(about)).into()
});

/// What the gate decided. Every member is there always, but for the last two.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionBody {
    /// Names the decision.
    pub decision_id: DecisionId,
    /// True for `ALLOW` and `ALLOW_WITH_LIMITS`, and for nothing else.
    pub allowed: bool,
    /// What is to be done about it.
    #[schema(schema_with = action)]
    pub action: &'static str,
    /// The tests that were passed, then the one that decided.
    pub reason_codes: Vec<Code>,
    /// The terms by which it was decided; null if there is no such delegation.
    #[schema(required)]
    pub policy_id: Option<PolicyId>,
    /// The delegation, as it was asked for where it is unknown; null if none was named and none fits.
    #[schema(required)]
    pub delegation_id: Option<OpaqueId>,
    /// With `ALLOW_WITH_LIMITS`: at most so much may be authorised.
    #[schema(required)]
    pub max_amount: Option<Amount>,
    /// Of what; null if nothing was said of a currency.
    #[schema(required)]
    pub currency: Option<Currency>,
    /// Whether the user is to be asked first.
    pub requires_step_up: bool,
    /// The receipt of the decision.
    pub proof_id: ProofId,
    /// The record of the decision.
    pub audit_event_id: AuditEventId,
    /// From then on it cannot be used.
    pub expires_at: Timestamp,
    /// With `REVIEW`: what the reviewer's answer is posted to, `POST /v1/escalations/{id}/resolve`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub escalation_id: Option<EscalationId>,
    /// With `STEP_UP_REQUIRED`: what the user's answer is posted to, `POST /v1/confirmations/{nonce}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub confirm_nonce: Option<Nonce>,
}

fn action() -> RefOr<Schema> {
    one_of(&["ALLOW", "ALLOW_WITH_LIMITS", "DENY", "STEP_UP_REQUIRED", "REVIEW"]).into()
}

/// Whether an agent is to be trusted: the decision, and what it means.
#[derive(Debug, Clone, Serialize)]
pub struct TrustBody {
    /// `allow`, `deny` or `review`.
    pub decision: &'static str,
    /// `high`, `medium` or `low`.
    pub trust_level: &'static str,
    /// The tests that were passed, then the one that decided.
    pub checks: Vec<TrustCheckBody>,
    /// The decision itself.
    #[serde(flatten)]
    pub decided: DecisionBody,
}

/// A test that was passed or not.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustCheckBody {
    /// What was looked at: `agent`, `delegation`, `permission`, `device`, `merchant`, `currency`, `channel`, `amount`, `review` or `step_up`.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub passed: bool,
    /// Its code in the decision.
    pub code: Code,
}

impl TrustCheckBody {
    /// The test that a code tells of. A device that nobody registered is no trusted one, whatever became of it.
    pub fn of(code: Code) -> Self {
        let name = match code {
            Code::AgentNotFound | Code::AgentSuspended | Code::AgentRevoked => "agent",
            Code::DelegationNotFound
            | Code::DelegationAgentMismatch
            | Code::DelegationRevoked
            | Code::DelegationNotYetValid
            | Code::DelegationExpired
            | Code::DelegationValid => "delegation",
            Code::PermissionNotGranted => "permission",
            Code::DeviceRevoked | Code::DeviceNotTrusted | Code::DeviceTrusted | Code::DeviceUnverified => "device",
            Code::MerchantNotAllowed | Code::MerchantAllowed => "merchant",
            Code::CurrencyNotAllowed => "currency",
            Code::ChannelNotAllowed => "channel",
            Code::AmountLimitExceeded | Code::DailyLimitExceeded | Code::PeriodLimitExceeded | Code::AmountCapped => "amount",
            Code::ManualReviewRejected | Code::ManualReviewRequired | Code::ManualReviewApproved => "review",
            Code::StepUpRequired | Code::StepUpConfirmed => "step_up",
        };
        Self { name, passed: !code.is_failure() && code != Code::DeviceUnverified, code }
    }
}

describe!(TrustBody, refers to [DecisionBody, TrustCheckBody], {
    let decided = match DecisionBody::schema() {
        RefOr::T(Schema::Object(object)) => ObjectBuilder::from(object),
        RefOr::T(_) | RefOr::Ref(_) => ObjectBuilder::new(),
    };
    let level = one_of(&["high", "medium", "low"]).description(Some("`high` with a registered device, `low` with a denial."));
    decided
        .description(Some("Whether an agent is to be trusted: the decision, and what it means."))
        .property("decision", one_of(&["allow", "deny", "review"]))
        .required("decision")
        .property("trust_level", level)
        .required("trust_level")
        .property("checks", schema::array(named::<TrustCheckBody>(), 0, Code::ALL.len()))
        .required("checks")
        .into()
});
