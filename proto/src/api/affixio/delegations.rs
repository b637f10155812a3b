//! Bodies of `/v1/delegations`.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::members::{OwnBody, OwnMetadata, opaque, own, permission};
use super::payment_limits::{
    self, AmountLimits, CurrencyLimits, MerchantConstraints, ShownAmountLimits, ShownMerchantConstraints, ValidityWindow, limits,
};
use super::spelling::snake_case;
use crate::api::envelope::FieldError;
use crate::api::fields::{Fields, is_absent, text, wrong_kind};
use crate::event::{Code, OnExceed, PaymentLimits};
use crate::id::{AuditEventId, DelegationId, PolicyId, ProofId, RegisteredAgentId};
use crate::json::{CanonicalObject, Object, Value};
use crate::limits::SCOPES_GRANTED_MAX;
use crate::money::{Amount, Currency};
use crate::schema::{Absent, Members, any_of, array, describe, named, one_of};
use crate::text::{Channel, Label, Note, OpaqueId, ScopeName};
use crate::time::Timestamp;

/// A delegation as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelegationBody {
    /// To which agent.
    pub agent: OpaqueId,
    /// What it may do: 1 to 100, each once.
    pub permissions: Vec<ScopeName>,
    /// Before this instant nothing is allowed.
    pub not_before: Option<Timestamp>,
    /// From this instant on nothing is allowed.
    pub expires_at: Option<Timestamp>,
    /// What it may pay.
    pub limits: PaymentLimits,
    /// The caller's own.
    pub metadata: CanonicalObject,
}

/// Names of the receipt's context that metadata must not take.
const RESERVED_METADATA: [&str; 5] = ["scopes", "not_before", "expires_at", "delegation_id", "limits"];

impl DelegationBody {
    /// Reads the body of `POST /v1/delegations`.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let body = snake_case(body);
        let mut fields = Fields::of(&body, "body");
        let agent = fields.required("agent_id", opaque);
        let permissions = permissions(&mut fields);
        let limits = payment_limits::parse(&mut fields, &body);
        let (not_before, expires_at) = payment_limits::validity_window(&mut fields, &body);
        let metadata = own(&mut fields, "metadata", &RESERVED_METADATA);
        match agent {
            Some(agent) if fields.is_sound() => Ok(Self { agent, permissions, not_before, expires_at, limits, metadata }),
            _ => Err(fields.into_errors()),
        }
    }
}

fn permissions(fields: &mut Fields<'_>) -> Vec<ScopeName> {
    if !fields.require("permissions") {
        return Vec::new();
    }
    if let Some(Value::Text(_)) = fields.get("permissions") {
        return fields.optional("permissions", permission).into_iter().collect();
    }
    let permissions = fields.items("permissions", SCOPES_GRANTED_MAX, named_permission);
    let mut seen = std::collections::BTreeSet::new();
    if let Some(twice) = permissions.iter().find(|permission| !seen.insert(*permission)) {
        fields.refuse("permissions", format!("names `{twice}` more than once"));
    }
    permissions
}

/// A permission, or an object that has nothing but its name: a limit that stands there is not to be passed over.
fn named_permission(item: &Value, path: &str, errors: &mut Vec<FieldError>) -> Option<ScopeName> {
    match item {
        Value::Text(_) => permission(item).map_err(|error| errors.push(FieldError::new(path, error))).ok(),
        Value::Object(object) => {
            let mut fields = Fields::of(item, path);
            let name = fields.required("name", permission);
            for (other, _) in object.iter().filter(|(name, value)| *name != "name" && !is_absent(value)) {
                fields.refuse(other, "is not a member of a permission; limits are the delegation's");
            }
            errors.extend(fields.into_errors());
            name
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Array(_) | Value::Unsafe(_) => {
            errors.push(FieldError::new(path, wrong_kind("a string or an object with a name", item)));
            None
        }
    }
}

describe!(DelegationBody, refers to [
    OpaqueId, GivenPermission, MerchantConstraints, AmountLimits, CurrencyLimits, ValidityWindow, Channel, DelegationMetadata, Absent,
], {
    let about = "What an agent may do and pay. A limit that is not there limits nothing; a list that is there and empty allows nothing. Members \
                 may be spelt in camel case as well.";
    let permissions = any_of([array(named::<GivenPermission>(), 1, SCOPES_GRANTED_MAX).into(), named::<ScopeName>()]);
    let members = Members::of(about)
        .required("agent_id", "To which agent.", named::<OpaqueId>())
        .required("permissions", "What it may do, each once; payments are what begins with `pay`, `purchase`, `spend`, `checkout` or `transfer`.", permissions);
    payment_limits::members(members).optional("metadata", "Your own.", named::<DelegationMetadata>()).build()
});

/// A permission as a request writes it.
enum GivenPermission {}

describe!(GivenPermission, refers to [ScopeName, Absent], {
    let object = Members::of("The same in an object, which has no other member.").required("name", "What may be done.", named::<ScopeName>());
    any_of([named::<ScopeName>(), object.build_closed()]).into()
});

/// `metadata` of a delegation.
enum DelegationMetadata {}

describe!(DelegationMetadata, refers to [crate::schema::Signable], {
    let about = "Members for the receipt's context: nested at most 32 deep, at most 16 KiB as canonical JSON, and none of the names that are \
                 the server's there.";
    crate::schema::signable_object(&RESERVED_METADATA).description(Some(about)).into()
});

/// Why a delegation is over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RevokeDelegationBody {
    /// For a human.
    pub reason: Option<Note>,
    /// Who revokes it.
    pub revoked_by: Option<Label>,
}

impl RevokeDelegationBody {
    /// Reads the body of `POST /v1/delegations/{id}/revoke`, which may be absent.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let body = snake_case(body);
        let mut fields = Fields::of(&body, "body");
        let reason = fields.optional("reason", text(Note::new));
        let revoked_by = fields.optional("revoked_by", text(Label::new));
        if fields.is_sound() { Ok(Self { reason, revoked_by }) } else { Err(fields.into_errors()) }
    }
}

describe!(RevokeDelegationBody, refers to [Note, Label, Absent], {
    let members = Members::of("Why it is over, if anybody wants to say.")
        .optional("reason", "For a human.", named::<Note>())
        .optional("revoked_by", "Who revokes it.", named::<Label>());
    any_of([members.build(), named::<Absent>()]).into()
});

/// A delegation as it stands. Every member is there always; a limit that is none is null.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownDelegationBody {
    /// The delegation.
    pub id: DelegationId,
    /// The same.
    pub delegation_id: DelegationId,
    /// Who may act.
    pub agent_id: RegisteredAgentId,
    /// `pending`, `active`, `expired` or `revoked`.
    #[schema(schema_with = status)]
    pub status: &'static str,
    /// What it may do.
    pub permissions: Vec<ScopeName>,
    /// Whom it may pay.
    #[schema(value_type = Option<ShownMerchantConstraints>, required)]
    pub merchant_constraints: Value,
    /// How much.
    #[schema(value_type = Option<ShownAmountLimits>, required)]
    pub amount_limits: Value,
    /// In which currencies.
    #[schema(required)]
    pub currency_limits: Option<Vec<Currency>>,
    /// From when to when it stands.
    pub validity_window: WindowBody,
    /// How it may pay.
    #[schema(required)]
    pub channels: Option<Vec<Channel>>,
    /// Above it the user is asked first.
    #[schema(required)]
    pub step_up_above: Option<Amount>,
    /// Above it a reviewer is asked first.
    #[schema(required)]
    pub review_above: Option<Amount>,
    /// Only from registered devices.
    pub require_trusted_device: bool,
    /// What becomes of a payment above the limits.
    pub on_exceed: OnExceed,
    /// Yours.
    #[schema(value_type = OwnMetadata)]
    pub metadata: OwnBody,
    /// The terms by which it decides.
    pub policy_id: PolicyId,
    /// When it was granted.
    pub created_at: Timestamp,
    /// When it was revoked.
    #[schema(required)]
    pub revoked_at: Option<Timestamp>,
    /// The record of the grant.
    pub audit_event_id: AuditEventId,
    /// The receipt of the grant.
    pub proof_id: ProofId,
}

/// From when to when a delegation stands.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowBody {
    /// Before it nothing is allowed.
    #[schema(required)]
    pub start: Option<Timestamp>,
    /// From then on nothing is allowed.
    #[schema(required)]
    pub end: Option<Timestamp>,
}

/// The limits whose canonical form is an object: of merchants and of amounts, null where there are none.
pub fn limit_objects(given: &PaymentLimits) -> [Value; 2] {
    let mut canonical: Object = limits(given);
    ["merchant_constraints", "amount_limits"].map(|name| canonical.remove(name).unwrap_or(Value::Null))
}

fn status() -> RefOr<Schema> {
    one_of(&["pending", "active", "expired", "revoked"]).into()
}

/// Whether a delegation stands. Every member is there always.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DelegationVerifiedBody {
    /// The delegation.
    pub delegation_id: DelegationId,
    /// Whether it stands, and would allow the payment if one was asked about.
    pub valid: bool,
    /// How it stands: `pending`, `active`, `expired` or `revoked`.
    #[schema(schema_with = status)]
    pub status: &'static str,
    /// The tests that were passed, then the one that decided.
    pub reason_codes: Vec<Code>,
    /// When.
    pub checked_at: Timestamp,
    /// The receipt of it.
    pub proof_id: ProofId,
}

/// A delegation that is over.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DelegationRevokedBody {
    /// The delegation.
    pub delegation_id: DelegationId,
    /// Always `revoked`.
    pub status: &'static str,
    /// When it was revoked first.
    pub revoked_at: Timestamp,
    /// The record of it.
    pub audit_event_id: AuditEventId,
    /// The receipt of it.
    pub proof_id: ProofId,
}
