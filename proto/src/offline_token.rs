//! Offline tokens: JSON Web Signatures with EdDSA by a workspace's key, so that whoever has its public key can check them without asking.
//! A token is a function of its record and the key, and is never stored.
//!
//! Source: section 6 of the AffixIO API.

use data_encoding::HEXLOWER;

use crate::event::TokenIssued;
use crate::id::{DelegationId, KeyId, OfflineTokenId, OrgId, WorkspaceId};
use crate::json::{Object, Value};
use crate::jws::{self, Parts};
use crate::money::{Amount, Currency};
use crate::text::{AgentId, MerchantId, OpaqueId};
use crate::time::Timestamp;
use crate::token::whole_second;

/// The algorithm in every header (RFC 8037); no other is read.
const ALGORITHM: &str = "EdDSA";
/// What the header says it is, so that it is taken for nothing else.
const KIND: &str = "offline-token+jwt";
/// Milliseconds of a second, in which tokens count.
const SECOND_MS: u64 = 1000;

/// What an offline token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineClaims {
    /// `iss`
    pub org_id: OrgId,
    /// `sub`: the agent, as granted.
    pub agent_id: AgentId,
    /// `jti`
    pub token_id: OfflineTokenId,
    /// What shows that it was spent.
    pub nullifier: [u8; 16],
    /// Whose limits it reserves.
    pub delegation_id: DelegationId,
    /// For which device.
    pub device: OpaqueId,
    /// At most so much can be paid with it, once.
    pub max_amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// To whom; anybody if nothing is said.
    pub merchants: Option<Vec<MerchantId>>,
    /// `iat`, whole seconds.
    pub issued_at: Timestamp,
    /// `exp`, whole seconds: from then on nobody takes it.
    pub expires_at: Timestamp,
}

impl OfflineClaims {
    /// The claims of a token of this workspace that was issued at this time of its record.
    pub fn of(workspace_id: WorkspaceId, time: Timestamp, issued: &TokenIssued) -> Self {
        Self {
            org_id: workspace_id.into(),
            agent_id: issued.agent_id.clone(),
            token_id: issued.token_id,
            nullifier: issued.nullifier,
            delegation_id: issued.authorization_id.into(),
            device: issued.device.clone(),
            max_amount: issued.max_amount,
            currency: issued.currency,
            merchants: issued.merchants.clone(),
            issued_at: whole_second(time),
            expires_at: whole_second(issued.expires_at),
        }
    }

    /// The claims as an object.
    pub fn to_object(&self) -> Object {
        let text = |value: &dyn ToString| Value::from(value.to_string().as_str());
        let seconds = |time: Timestamp| Value::Int(i64::try_from(time.as_ms().checked_div(SECOND_MS).unwrap_or(0)).unwrap_or(i64::MAX));
        let merchants = self.merchants.as_ref().map(|list| Value::Array(list.iter().map(|id| id.as_str().into()).collect()));
        let mut claims = Object::new();
        claims.insert("iss", text(&self.org_id));
        claims.insert("sub", self.agent_id.as_str().into());
        claims.insert("jti", text(&self.token_id));
        claims.insert("nullifier", HEXLOWER.encode(&self.nullifier).as_str().into());
        claims.insert("delegation_id", text(&self.delegation_id));
        claims.insert("device_id", self.device.as_str().into());
        claims.insert("max_amount", Value::Int(self.max_amount.get()));
        claims.insert("currency", self.currency.as_str().into());
        claims.insert("merchant_ids", merchants.unwrap_or(Value::Null));
        claims.insert("iat", seconds(self.issued_at));
        claims.insert("exp", seconds(self.expires_at));
        claims
    }

    /// What is signed; [`crate::token::signed_token`] puts the signature behind it.
    pub fn signing_input(&self, key_id: KeyId) -> String {
        jws::signing_input(ALGORITHM, KIND, key_id, &self.to_object())
    }

    fn read(claims: &Object) -> Option<Self> {
        let text = |name| claims.get(name).and_then(Value::as_text);
        let int = |name| if let Some(Value::Int(int)) = claims.get(name) { Some(*int) } else { None };
        let seconds = |name| Timestamp::from_ms(u64::try_from(int(name)?).ok()?.checked_mul(SECOND_MS)?);
        let merchants = match claims.get("merchant_ids")? {
            Value::Null => None,
            Value::Array(list) => Some(list.iter().map(|id| MerchantId::new(id.as_text()?).ok()).collect::<Option<_>>()?),
            Value::Bool(_) | Value::Int(_) | Value::Text(_) | Value::Object(_) | Value::Unsafe(_) => return None,
        };
        Some(Self {
            org_id: OrgId::parse(text("iss")?)?,
            agent_id: AgentId::new(text("sub")?).ok()?,
            token_id: OfflineTokenId::parse(text("jti")?)?,
            nullifier: HEXLOWER.decode(text("nullifier")?.as_bytes()).ok()?.try_into().ok()?,
            delegation_id: DelegationId::parse(text("delegation_id")?)?,
            device: OpaqueId::new(text("device_id")?).ok()?,
            max_amount: Amount::new(int("max_amount")?)?,
            currency: Currency::new(text("currency")?).ok()?,
            merchants,
            issued_at: seconds("iat")?,
            expires_at: seconds("exp")?,
        })
    }
}

/// An offline token as it was presented. Nothing of it is to be believed before the signature has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentedOffline<'t> {
    /// Which key is said to have signed it.
    pub key_id: KeyId,
    /// What it says.
    pub claims: OfflineClaims,
    /// What the signature must be of.
    pub signing_input: &'t str,
    /// Ed25519.
    pub signature: [u8; 64],
}

impl<'t> PresentedOffline<'t> {
    /// Reads a token; nothing if no workspace can have signed it, whatever the reason.
    pub fn parse(token: &'t str) -> Option<Self> {
        let Parts { key_id, claims, signing_input, signature } = Parts::read(token, ALGORITHM)?;
        let claims = OfflineClaims::read(&claims)?;
        // What is signed has one spelling: members that nobody wrote, or another order of them, are no token.
        (claims.signing_input(key_id) == signing_input).then_some(Self { key_id, claims, signing_input, signature })
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64URL_NOPAD;

    use super::*;
    use crate::token::{Presented, signed_token};

    fn claims(merchants: Option<&[&str]>) -> OfflineClaims {
        OfflineClaims {
            org_id: OrgId::from_bytes([1; 16]),
            agent_id: AgentId::new("agt_01").unwrap(),
            token_id: OfflineTokenId::from_bytes([2; 16]),
            nullifier: [0xab; 16],
            delegation_id: DelegationId::from_bytes([3; 16]),
            device: OpaqueId::new("terminal \"1\"\n").unwrap(),
            max_amount: Amount::new(1850).unwrap(),
            currency: Currency::new("EUR").unwrap(),
            merchants: merchants.map(|list| list.iter().map(|id| MerchantId::new(id).unwrap()).collect()),
            issued_at: Timestamp::from_ms(1_772_359_200_000).unwrap(),
            expires_at: Timestamp::from_ms(1_772_362_800_000).unwrap(),
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        let key_id = KeyId::of(&[2; 32]);
        for merchants in [None, Some(&[][..]), Some(&["m", "é"])] {
            let token = signed_token(&claims(merchants).signing_input(key_id), &[7; 64]);
            let presented = PresentedOffline::parse(&token).unwrap();
            assert_eq!((presented.key_id, &presented.claims, presented.signature), (key_id, &claims(merchants), [7; 64]));
            assert_eq!(Presented::parse(&token), None, "it is no consent token");
        }
        let token = signed_token(&claims(None).signing_input(key_id), &[7; 64]);
        let [head, body, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
        let header = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        let said = String::from_utf8(BASE64URL_NOPAD.decode(body.as_bytes()).unwrap()).unwrap();
        let other_body = |from: &str, to: &str| {
            assert!(said.contains(from), "{said}");
            format!("{head}.{}.{signature}", header(&said.replace(from, to)))
        };
        for other in [
            String::new(),
            "..".to_owned(),
            format!("{head}.{body}"),
            format!("{head}.{body}.{signature}."),
            format!("{token}A"),
            token[1..].to_owned(),
            format!("{}.{body}.{signature}", header(r#"{"alg":"none"}"#)),
            format!("{}.{body}.{signature}", header(&format!(r#"{{"alg":"EdDSA","kid":"{key_id}","typ":"JWT"}}"#))),
            format!("{}.{body}.{signature}", header(&format!(r#"{{"alg":"ES256","kid":"{key_id}","typ":"offline-token+jwt"}}"#))),
            format!("{head}.{}.{signature}", header("{}")),
            other_body("\"EUR\"", "\"eur\""),
            other_body("1850", "0"),
            other_body("abab", "ABab"),
            other_body("null", "7"),
            other_body("{\"currency\"", "{\"a\":1,\"currency\""),
        ] {
            assert_eq!(PresentedOffline::parse(&other), None, "{other}");
        }
    }
}
