//! Bodies of `/v1/offline`.

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

use super::members::{amount, currency, opaque};
use super::payment_limits::merchant_list;
use super::spelling::snake_case;
use crate::api::envelope::FieldError;
use crate::api::fields::{Fields, integer, text};
use crate::event::Settlement;
use crate::id::{AuditEventId, DelegationId, OfflineTokenId, OfflineTransactionId, ProofId};
use crate::json::Value;
use crate::limits::{NULLIFIERS_MAX, OFFLINE_LIFE_S_DEFAULT, OFFLINE_LIFE_S_MAX, OFFLINE_TRANSACTIONS_MAX, PAYMENT_LIST_MAX};
use crate::money::{Amount, Currency};
use crate::offline_token::PresentedOffline;
use crate::schema::{self, Absent, Members, any_of, array, describe, named, one_of, patterned};
use crate::text::{ClientRef, MerchantId, OpaqueId};
use crate::time::{GivenTimestamp, Timestamp};

/// An offline token as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineTokenBody {
    /// For which agent.
    pub agent: OpaqueId,
    /// Under which delegation.
    pub delegation: OpaqueId,
    /// For which device.
    pub device: OpaqueId,
    /// At most so much can be paid with it.
    pub max_amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// To whom; to whomever the delegation allows if nothing is said.
    pub merchants: Option<Vec<MerchantId>>,
    /// How long it is taken.
    pub life_ms: u64,
}

impl OfflineTokenBody {
    /// Reads the body of `POST /v1/offline/tokens`.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let body = snake_case(body);
        let mut fields = Fields::of(&body, "body");
        let agent = fields.required("agent_id", opaque);
        let delegation = fields.required("delegation_id", opaque);
        let device = fields.required("device_id", opaque);
        let max_amount = fields.required("max_amount", amount);
        let currency = fields.required("currency", currency);
        let merchants = merchant_list(&mut fields, &body, "merchant_ids");
        let life_s = fields.optional("ttl_seconds", integer(1, OFFLINE_LIFE_S_MAX)).unwrap_or(OFFLINE_LIFE_S_DEFAULT);
        match (agent, delegation, device, max_amount, currency) {
            (Some(agent), Some(delegation), Some(device), Some(max_amount), Some(currency)) if fields.is_sound() => {
                let life_ms = u64::try_from(life_s).unwrap_or_default().saturating_mul(1000);
                Ok(Self { agent, delegation, device, max_amount, currency, merchants, life_ms })
            }
            _ => Err(fields.into_errors()),
        }
    }
}

describe!(OfflineTokenBody, refers to [OpaqueId, Amount, Currency, MerchantId, Absent], {
    let life = schema::integer(1, OFFLINE_LIFE_S_MAX).default(Some(OFFLINE_LIFE_S_DEFAULT.into()));
    Members::of("A token to pay with where the server cannot be asked. Members may be spelt in camel case as well.")
        .required("agent_id", "For which agent; one that is unknown is a denial.", named::<OpaqueId>())
        .required("delegation_id", "Under which delegation; one that is unknown is a denial.", named::<OpaqueId>())
        .required("device_id", "For which device.", named::<OpaqueId>())
        .required("max_amount", "At most so much can be paid with it, once.", named::<Amount>())
        .required("currency", "Of what.", named::<Currency>())
        .nullable("merchant_ids", "To whom; nobody if it is empty.", array(named::<MerchantId>(), 0, PAYMENT_LIST_MAX))
        .optional("ttl_seconds", "How long it is taken.", life)
        .build()
});

/// Payments that a device made offline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionsBody {
    /// Which device.
    pub device: OpaqueId,
    /// 1 to 100.
    pub transactions: Vec<TransactionBody>,
}

impl TransactionsBody {
    /// Reads the body of `POST /v1/offline/transactions`: of several, or of one that stands by itself.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let body = snake_case(body);
        let mut fields = Fields::of(&body, "body");
        let device = fields.required("device_id", opaque);
        let transactions = if fields.get("transactions").is_some() {
            fields.items("transactions", OFFLINE_TRANSACTIONS_MAX, |item, path, errors| {
                let mut fields = Fields::of(item, path);
                let transaction = TransactionBody::read(&mut fields);
                errors.extend(fields.into_errors());
                transaction
            })
        } else {
            TransactionBody::read(&mut fields).into_iter().collect()
        };
        match device {
            Some(device) if fields.is_sound() => Ok(Self { device, transactions }),
            _ => Err(fields.into_errors()),
        }
    }
}

describe!(TransactionsBody, refers to [OpaqueId, OfflineTransaction, MerchantId, Amount, Currency, GivenTimestamp, ClientRef, Absent], {
    let device = "Which device.";
    let one = Members::of("One payment by itself.")
        .required("device_id", device, named::<OpaqueId>())
        .absent("transactions", "Given instead of one payment.");
    let many = Members::of("Payments that a device made offline.")
        .required("device_id", device, named::<OpaqueId>())
        .required("transactions", "What it made.", array(named::<OfflineTransaction>(), 1, OFFLINE_TRANSACTIONS_MAX));
    any_of([many.build(), transaction(one)]).into()
});

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionBody {
    /// Of the token it was made with; nothing if what is written there is none that was ever given out.
    pub nullifier: Option<[u8; 16]>,
    /// To whom.
    pub merchant_id: MerchantId,
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// When, as the device says.
    pub occurred_at: Option<Timestamp>,
    /// What the device calls it: told twice, it is the same.
    pub client_ref: Option<ClientRef>,
}

impl TransactionBody {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let nullifier = fields.optional("nullifier", text(|text| Ok::<_, String>(nullifier(text))));
        let token =
            fields.optional("token", text(|token| Ok::<_, String>(PresentedOffline::parse(token).map(|token| token.claims.nullifier))));
        if nullifier.is_none() && token.is_none() && fields.get("token").is_none() {
            fields.require("nullifier");
        }
        if nullifier.zip(token).is_some_and(|(nullifier, token)| nullifier != token) {
            fields.refuse("nullifier", "must be that of `token`");
        }
        let merchant_id = fields.required("merchant_id", text(MerchantId::new));
        let amount = fields.required("amount", amount);
        let currency = fields.required("currency", currency);
        let occurred_at = fields.optional("occurred_at", text(Timestamp::parse));
        let client_ref = fields.optional("client_ref", text(ClientRef::new));
        let nullifier = nullifier.or(token)?;
        Some(Self { nullifier, merchant_id: merchant_id?, amount: amount?, currency: currency?, occurred_at, client_ref })
    }
}

/// The 16 bytes of a nullifier; nothing if no token can have this one.
pub fn nullifier(text: &str) -> Option<[u8; 16]> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// A payment that a device made offline.
enum OfflineTransaction {}

describe!(OfflineTransaction, refers to [MerchantId, Amount, Currency, GivenTimestamp, ClientRef, Absent], {
    transaction(Members::of("A payment that a device made offline."))
});

/// What is said of one payment, which names its token by the nullifier or as it is.
fn transaction(members: Members) -> RefOr<Schema> {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let named_by = |name: &str| ObjectBuilder::new().property(name, text()).required(name);
    let payment = members
        .optional("nullifier", "Of the token it was made with; this or `token`.", text())
        .optional("token", "The token itself.", text())
        .required("merchant_id", "To whom.", named::<MerchantId>())
        .required("amount", "How much.", named::<Amount>())
        .required("currency", "Of what.", named::<Currency>())
        .optional("occurred_at", "When, as the device says.", named::<GivenTimestamp>())
        .optional("client_ref", "What the device calls it: told twice, it is the same.", named::<ClientRef>())
        .build();
    let named = any_of([named_by("nullifier").into(), named_by("token").into()]);
    AllOfBuilder::new().item(payment).item(named).into()
}

/// Nullifiers that are asked about, as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NullifiersBody {
    /// 1 to 1,000.
    pub nullifiers: Vec<OpaqueId>,
}

impl NullifiersBody {
    /// Reads the body of `POST /v1/offline/nullifiers/check`.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let body = snake_case(body);
        let mut fields = Fields::of(&body, "body");
        fields.require("nullifiers");
        let nullifiers = fields.items("nullifiers", NULLIFIERS_MAX, |item, path, errors| {
            opaque(item).map_err(|error| errors.push(FieldError::new(path, error))).ok()
        });
        if fields.is_sound() { Ok(Self { nullifiers }) } else { Err(fields.into_errors()) }
    }
}

describe!(NullifiersBody, refers to [OpaqueId], {
    let list = array(named::<OpaqueId>(), 1, NULLIFIERS_MAX);
    Members::of("Which nullifiers are asked about.").required("nullifiers", "As the tokens have them.", list).build()
});

/// Which payments are to be settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconcileBody {
    /// Those of this device.
    pub device: OpaqueId,
}

impl ReconcileBody {
    /// Reads the body of `POST /v1/offline/nullifiers/reconcile`.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let body = snake_case(body);
        let mut fields = Fields::of(&body, "body");
        let device = fields.required("device_id", opaque);
        device.map(|device| Self { device }).ok_or_else(|| fields.into_errors())
    }
}

describe!(ReconcileBody, refers to [OpaqueId], {
    Members::of("Whose payments are to be settled.").required("device_id", "Those that this device told of.", named::<OpaqueId>()).build()
});

/// A token to pay with offline. Every member is there always.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfflineTokenIssuedBody {
    /// Names it.
    pub token_id: OfflineTokenId,
    /// The token: a JSON Web Signature (RFC 7515) of the org's key, compact.
    pub token: String,
    /// What shows that it was spent: 32 hex digits.
    #[schema(schema_with = nullifier_schema)]
    pub nullifier: String,
    /// At most so much can be paid with it, once.
    pub max_amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// The delegation whose limits it reserves.
    pub delegation_id: DelegationId,
    /// From then on nobody takes it.
    pub expires_at: Timestamp,
    /// The receipt of it.
    pub proof_id: ProofId,
    /// The record of it.
    pub audit_event_id: AuditEventId,
}

fn nullifier_schema() -> RefOr<Schema> {
    patterned("32 hex digits.", "^[0-9a-f]{32}$", "9f86d081884c7d659a2feaa0c55ad015").into()
}

/// Payments that wait to be reconciled. Every member is there always.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueBody {
    /// Which device.
    pub device_id: OpaqueId,
    /// So many.
    pub count: usize,
    /// In the order in which they were told.
    pub transactions: Vec<QueuedTransactionBody>,
}

/// A payment that waits to be reconciled, or what came of it. Every member is there always.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueuedTransactionBody {
    /// The transaction.
    pub transaction_id: OfflineTransactionId,
    /// `queued`, or what came of it.
    #[schema(schema_with = queued_status)]
    pub status: &'static str,
    /// Which token.
    pub token_id: OfflineTokenId,
    /// The token's.
    #[schema(schema_with = nullifier_schema)]
    pub nullifier: String,
    /// To whom.
    pub merchant_id: MerchantId,
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// When, as the device says.
    #[schema(required)]
    pub occurred_at: Option<Timestamp>,
    /// What the device calls it.
    #[schema(required)]
    pub client_ref: Option<ClientRef>,
    /// When it was told of.
    pub queued_at: Timestamp,
}

fn queued_status() -> RefOr<Schema> {
    one_of(&["queued", "settled", "double_spend", "expired", "over_limit"]).into()
}

/// Which nullifiers are spent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NullifiersCheckedBody {
    /// When.
    pub checked_at: Timestamp,
    /// In the order of the request.
    pub results: Vec<NullifierBody>,
}

/// Whether one nullifier is spent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NullifierBody {
    /// As it was asked for.
    pub nullifier: OpaqueId,
    /// Whether a payment with it was settled.
    pub spent: bool,
    /// `unspent`, `spent`, `expired` or `unknown`.
    #[schema(schema_with = nullifier_status)]
    pub status: &'static str,
}

fn nullifier_status() -> RefOr<Schema> {
    one_of(&["unspent", "spent", "expired", "unknown"]).into()
}

/// What came of a device's payments. Every member is there always.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReconciledBody {
    /// Which device.
    pub device_id: OpaqueId,
    /// When.
    pub reconciled_at: Timestamp,
    /// So many wait still: a call settles at most a hundred.
    pub remaining: usize,
    /// In the order in which they were told.
    pub results: Vec<SettlementBody>,
}

/// What came of one payment. Every member is there always.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettlementBody {
    /// The transaction.
    pub transaction_id: OfflineTransactionId,
    /// What came of it.
    pub status: Settlement,
    /// Which token.
    pub token_id: OfflineTokenId,
    /// The token's.
    #[schema(schema_with = nullifier_schema)]
    pub nullifier: String,
    /// To whom.
    pub merchant_id: MerchantId,
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// What the device calls it.
    #[schema(required)]
    pub client_ref: Option<ClientRef>,
    /// The receipt of it.
    pub proof_id: ProofId,
    /// The record of it.
    pub audit_event_id: AuditEventId,
}
