//! The verifier: is this receipt genuine? It needs the receipt, the workspace's key document and the time, nothing else.
//!
//! It shares no code with the signer but the canonical bytes, and checks in the published order:
//! the first check that fails is the reason it reports.

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signature, VerifyingKey};
use jiff::SignedDuration;

use crate::id::KeyId;
use crate::json::{Malformed, NotSignable, Object, Value};
use crate::limits::ISSUED_AHEAD_MS_MAX;
use crate::time::{self, Timestamp};

/// Why a receipt is not genuine, in the order of the checks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Another format, or not a receipt at all.
    #[error("`version` is not \"1.0\"")]
    Version,
    /// Genuine, perhaps, but of somebody else.
    #[error("the receipt belongs to workspace `{0}`")]
    Workspace(String),
    /// One extra top-level field.
    #[error("`{0}` is not a field of a receipt")]
    UnknownField(String),
    /// A top-level field too few.
    #[error("`{0}` is missing")]
    MissingField(&'static str),
    /// A field of the wrong type.
    #[error("`{0}` has the wrong type")]
    Type(&'static str),
    /// `signature.value` is not 64 bytes in base64url without padding.
    #[error("`signature.value` is not 64 bytes in base64url without padding")]
    SignatureEncoding,
    /// `policy_eval` has other members than its two.
    #[error("`policy_eval` must have exactly `matched_condition` and `field_value`")]
    PolicyEval,
    /// Both or neither.
    #[error("exactly one of `scope` and `event` must be present")]
    ScopeOrEvent,
    /// `event`, `decision`, `authorization_id` and `resource` contradict each other.
    #[error("{0}")]
    Pairing(&'static str),
    /// Another algorithm.
    #[error("`signature.alg` is not \"Ed25519\"")]
    Algorithm,
    /// Not an instant with an offset.
    #[error("`issued_at` {0}")]
    IssuedAt(time::TimeError),
    /// From the future.
    #[error("`issued_at` is more than 5 minutes ahead")]
    IssuedAhead,
    /// A float, a big integer, a lone surrogate or a duplicate name.
    #[error("not canonical: {0}")]
    NotSignable(#[from] NotSignable),
    /// No such key in the document.
    #[error("key `{0}` is not in the key document")]
    UnknownKey(String),
    /// The key is known but was not active.
    #[error("key `{0}` was not active when the receipt was issued")]
    KeyInactive(String),
    /// The signature is not one of these bytes by this key.
    #[error("the signature does not match")]
    Signature,
}

impl Invalid {
    /// A code for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Version => "unsupported_version",
            Self::Workspace(_) => "wrong_workspace",
            Self::UnknownField(_) => "unknown_field",
            Self::MissingField(_) => "missing_field",
            Self::Type(_) => "wrong_type",
            Self::SignatureEncoding => "malformed_signature",
            Self::PolicyEval => "malformed_policy_eval",
            Self::ScopeOrEvent => "scope_or_event",
            Self::Pairing(_) => "pairing",
            Self::Algorithm => "unsupported_alg",
            Self::IssuedAt(_) => "malformed_issued_at",
            Self::IssuedAhead => "issued_in_future",
            Self::NotSignable(_) => "not_canonical",
            Self::UnknownKey(_) => "unknown_key",
            Self::KeyInactive(_) => "inactive_key",
            Self::Signature => "bad_signature",
        }
    }
}

/// The keys receipts are verified against.
#[derive(Debug, Clone)]
pub struct TrustedKeys(Vec<TrustedKey>);

#[derive(Debug, Clone)]
struct TrustedKey {
    key_id: String,
    key: VerifyingKey,
    active_from: SignedDuration,
    active_until: Option<SignedDuration>,
}

/// A key document nobody can verify with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// Not JSON.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// JSON of another shape.
    #[error("not a key document: `{0}` is missing or has the wrong type")]
    Shape(&'static str),
    /// Not a point of the curve, or not 32 bytes.
    #[error("key `{0}` is not an Ed25519 public key")]
    Key(String),
}

impl TrustedKeys {
    /// Reads the document of `GET /v1/workspaces/{id}/keys`. Keys of other algorithms are passed over.
    ///
    /// # Errors
    /// Says what of the document cannot be read.
    pub fn parse(document: &[u8]) -> Result<Self, KeysError> {
        let document = Value::parse(document)?;
        let Some(Value::Array(items)) = document.as_object().and_then(|o| o.get("keys")) else {
            return Err(KeysError::Shape("keys"));
        };
        let mut keys = Vec::new();
        for item in items {
            let item = item.as_object().ok_or(KeysError::Shape("keys[]"))?;
            if text(item, "alg").ok_or(KeysError::Shape("alg"))? == "Ed25519" {
                keys.push(TrustedKey::read(item)?);
            }
        }
        Ok(Self(keys))
    }

    /// Keys as their activations give them, oldest first: each ends where the next one begins.
    pub fn from_activations(activations: &[(KeyId, VerifyingKey, Timestamp)]) -> Self {
        let instant = |time: Timestamp| SignedDuration::from_millis(i64::try_from(time.as_ms()).unwrap_or(i64::MAX));
        let ends = activations.iter().skip(1).map(|(_, _, from)| Some(instant(*from))).chain([None]);
        let key = |((key_id, key, active_from), active_until): (&(KeyId, VerifyingKey, Timestamp), Option<SignedDuration>)| TrustedKey {
            key_id: key_id.to_string(),
            key: *key,
            active_from: instant(*active_from),
            active_until,
        };
        Self(activations.iter().zip(ends).map(key).collect())
    }
}

impl TrustedKey {
    fn read(item: &Object) -> Result<Self, KeysError> {
        let key_id = text(item, "key_id").ok_or(KeysError::Shape("key_id"))?.to_owned();
        let instant = |name| text(item, name).and_then(|t| time::parse_instant(t).ok()).ok_or(KeysError::Shape(name));
        let active_from = instant("active_from")?;
        let active_until = match item.get("active_until") {
            Some(Value::Null) => None,
            _ => Some(instant("active_until")?),
        };
        let key = text(item, "public_key").ok_or(KeysError::Shape("public_key"))?;
        let key = BASE64URL_NOPAD.decode(key.as_bytes()).ok();
        let key = key.and_then(|k| VerifyingKey::from_bytes(k.as_slice().try_into().ok()?).ok());
        let key = key.ok_or_else(|| KeysError::Key(key_id.clone()))?;
        Ok(Self { key_id, key, active_from, active_until })
    }
}

/// Checks a receipt, which may be of any origin, at the instant `now`; `workspace` is the one it must belong to, if any.
///
/// # Errors
/// The first check that fails, in the published order.
pub fn verify(receipt: &Value, keys: &TrustedKeys, workspace: Option<&str>, now: Timestamp) -> Result<(), Invalid> {
    let object = receipt.as_object().ok_or(Invalid::Version)?;
    if text(object, "version") != Some("1.0") {
        return Err(Invalid::Version);
    }
    if let Some(expected) = workspace {
        match text(object, "workspace_id") {
            Some(found) if found == expected => {}
            found => return Err(Invalid::Workspace(found.unwrap_or_default().to_owned())),
        }
    }
    fields(object)?;
    let receipt = Fields::read(object)?;
    let signature = BASE64URL_NOPAD.decode(receipt.signature_value.as_bytes()).map_err(|_| Invalid::SignatureEncoding)?;
    let signature = Signature::from_slice(&signature).map_err(|_| Invalid::SignatureEncoding)?;
    policy_eval(object)?;
    pairing(object, &receipt)?;
    if receipt.alg != "Ed25519" {
        return Err(Invalid::Algorithm);
    }
    let issued_at = time::parse_instant(receipt.issued_at).map_err(Invalid::IssuedAt)?;
    let latest = i64::try_from(now.saturating_add_ms(ISSUED_AHEAD_MS_MAX).as_ms()).unwrap_or(i64::MAX);
    if issued_at > SignedDuration::from_millis(latest) {
        return Err(Invalid::IssuedAhead);
    }
    let mut signed = object.clone();
    signed.remove("signature");
    let mut canonical = String::new();
    Value::Object(signed).write_canonical("", &mut canonical)?;
    let mut of_this_id = keys.0.iter().filter(|k| k.key_id == receipt.key_id).peekable();
    if of_this_id.peek().is_none() {
        return Err(Invalid::UnknownKey(receipt.key_id.to_owned()));
    }
    let active = of_this_id.find(|k| k.active_from <= issued_at && k.active_until.is_none_or(|until| issued_at < until));
    let key = active.ok_or_else(|| Invalid::KeyInactive(receipt.key_id.to_owned()))?;
    key.key.verify_strict(canonical.as_bytes(), &signature).map_err(|_| Invalid::Signature)
}

/// Fields every receipt has.
const REQUIRED: [&str; 13] = [
    "version",
    "receipt_id",
    "workspace_id",
    "issued_at",
    "decision",
    "reason",
    "user_id",
    "agent_id",
    "resource",
    "context",
    "authorization_id",
    "policy_version",
    "signature",
];
/// Fields some receipts have.
const OPTIONAL: [&str; 3] = ["scope", "event", "policy_eval"];

fn fields(receipt: &Object) -> Result<(), Invalid> {
    if let Some((name, _)) = receipt.iter().find(|(name, _)| !REQUIRED.contains(name) && !OPTIONAL.contains(name)) {
        return Err(Invalid::UnknownField(name.to_owned()));
    }
    match REQUIRED.iter().find(|name| receipt.get(name).is_none()) {
        Some(missing) => Err(Invalid::MissingField(missing)),
        None => Ok(()),
    }
}

/// The fields whose values are looked at, once their types are known.
struct Fields<'r> {
    decision: &'r str,
    reason: &'r str,
    issued_at: &'r str,
    resource: Option<&'r str>,
    authorization_id: Option<&'r str>,
    scope: Option<&'r str>,
    event: Option<&'r str>,
    alg: &'r str,
    key_id: &'r str,
    signature_value: &'r str,
}

impl<'r> Fields<'r> {
    fn read(receipt: &'r Object) -> Result<Self, Invalid> {
        let string = |name| text(receipt, name).ok_or(Invalid::Type(name));
        let nullable = |name| match receipt.get(name) {
            Some(Value::Null) => Ok(None),
            _ => string(name).map(Some),
        };
        let optional = |name| if receipt.get(name).is_some() { string(name).map(Some) } else { Ok(None) };
        for name in ["receipt_id", "workspace_id", "user_id", "agent_id", "policy_version"] {
            string(name)?;
        }
        for name in ["context", "policy_eval"] {
            if receipt.get(name).is_some_and(|v| v.as_object().is_none()) {
                return Err(Invalid::Type(name));
            }
        }
        let signature = receipt.get("signature").and_then(Value::as_object).ok_or(Invalid::Type("signature"))?;
        let of_signature = |name, path| text(signature, name).ok_or(Invalid::Type(path));
        let fields = Self {
            decision: string("decision")?,
            reason: string("reason")?,
            issued_at: string("issued_at")?,
            resource: nullable("resource")?,
            authorization_id: nullable("authorization_id")?,
            scope: optional("scope")?,
            event: optional("event")?,
            alg: of_signature("alg", "signature.alg")?,
            key_id: of_signature("key_id", "signature.key_id")?,
            signature_value: of_signature("value", "signature.value")?,
        };
        match signature.iter().find(|(name, _)| !["alg", "key_id", "value"].contains(name)) {
            Some((extra, _)) => Err(Invalid::UnknownField(format!("signature.{extra}"))),
            None => Ok(fields),
        }
    }
}

fn policy_eval(receipt: &Object) -> Result<(), Invalid> {
    let Some(eval) = receipt.get("policy_eval").and_then(Value::as_object) else {
        return Ok(());
    };
    let names: Vec<&str> = eval.iter().map(|(name, _)| name).collect();
    if names == ["field_value", "matched_condition"] { Ok(()) } else { Err(Invalid::PolicyEval) }
}

fn pairing(object: &Object, receipt: &Fields<'_>) -> Result<(), Invalid> {
    let fail = |why| Err(Invalid::Pairing(why));
    match (receipt.scope, receipt.event) {
        (Some(_), Some(_)) | (None, None) => Err(Invalid::ScopeOrEvent),
        (Some(_), None) => {
            let matched_nothing = receipt.reason == "authorization_not_found";
            if !["allow", "deny", "confirm", "escalate"].contains(&receipt.decision) {
                fail("the decision is not one of a check")
            } else if receipt.authorization_id.is_none() != matched_nothing {
                fail("`authorization_id` must be null exactly when the check matched nothing")
            } else if matched_nothing && receipt.decision != "deny" {
                fail("a check that matched nothing must be a deny")
            } else {
                Ok(())
            }
        }
        (None, Some(event)) => {
            let decisions: &[&str] = match event {
                "authorization.create" => &["authorization_granted"],
                "authorization.revoke" => &["authorization_revoked"],
                "escalation.resolve" => &["escalation_approved", "escalation_rejected"],
                _ => return fail("`event` is not one a receipt can be of"),
            };
            if !decisions.contains(&receipt.decision) {
                fail("the decision is not one of the event")
            } else if receipt.authorization_id.is_none() {
                fail("an event belongs to an authorization")
            } else if event != "escalation.resolve" && receipt.resource.is_some() {
                fail("`resource` must be null on a create and on a revoke")
            } else if object.get("policy_eval").is_some() {
                fail("`policy_eval` belongs to checks only")
            } else {
                Ok(())
            }
        }
    }
}

fn text<'o>(object: &'o Object, name: &str) -> Option<&'o str> {
    object.get(name).and_then(Value::as_text)
}
