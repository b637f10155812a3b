//! Consent tokens: JSON Web Tokens (RFC 7519) signed with ES256 by an agent's key. Who signs and who verifies is elsewhere; what is
//! signed is here, and so is the reader, which takes nothing but what [`Claims::signing_input`] can have written.
//!
//! Source: section "Token" of the Permitly API.

use data_encoding::BASE64URL_NOPAD;

use crate::id::{ConsentAgentId, ConsentId, KeyId, TokenId};
use crate::json::{Object, Value};
use crate::jws::{self, Parts};
use crate::limits::TOKEN_BYTES_MAX;
use crate::text::{ScopeName, UserId};
use crate::time::Timestamp;

/// The algorithm in every header; no other is read.
const ALGORITHM: &str = "ES256";
/// Milliseconds of a second, in which tokens count.
const SECOND_MS: u64 = 1000;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// `sub`: the person, as whoever asked calls them.
    pub user_id: UserId,
    /// `agt`
    pub agent_id: ConsentAgentId,
    /// `cid`
    pub consent_id: ConsentId,
    /// `scp`: what was approved.
    pub scopes: Vec<ScopeName>,
    /// `iat`, whole seconds.
    pub issued_at: Timestamp,
    /// `exp`, whole seconds: from then on it is of no use.
    pub expires_at: Timestamp,
    /// `jti`
    pub token_id: TokenId,
}

/// The instant without what is below its second.
pub fn whole_second(time: Timestamp) -> Timestamp {
    let ms = time.as_ms();
    Timestamp::from_ms(ms.saturating_sub(ms.checked_rem(SECOND_MS).unwrap_or(0))).unwrap_or(time)
}

impl Claims {
    /// The claims as an object.
    pub fn to_object(&self) -> Object {
        let seconds = |time: Timestamp| Value::Int(i64::try_from(time.as_ms().checked_div(SECOND_MS).unwrap_or(0)).unwrap_or(i64::MAX));
        let mut claims = Object::new();
        claims.insert("sub", self.user_id.as_str().into());
        claims.insert("agt", self.agent_id.to_string().as_str().into());
        claims.insert("cid", self.consent_id.to_string().as_str().into());
        claims.insert("scp", Value::Array(self.scopes.iter().map(|scope| scope.as_str().into()).collect()));
        claims.insert("iat", seconds(self.issued_at));
        claims.insert("exp", seconds(self.expires_at));
        claims.insert("jti", self.token_id.to_string().as_str().into());
        claims
    }

    /// What is signed: header and claims. The same claims and key give the same text, so with a deterministic signature a token can be
    /// made again.
    pub fn signing_input(&self, key_id: KeyId) -> String {
        jws::signing_input(ALGORITHM, "JWT", key_id, &self.to_object())
    }

    fn read(claims: &Object) -> Option<Self> {
        let text = |name| claims.get(name).and_then(Value::as_text);
        let seconds = |name| {
            let Some(Value::Int(seconds)) = claims.get(name) else { return None };
            Timestamp::from_ms(u64::try_from(*seconds).ok()?.checked_mul(SECOND_MS)?)
        };
        let Some(Value::Array(scopes)) = claims.get("scp") else { return None };
        Some(Self {
            user_id: UserId::new(text("sub")?).ok()?,
            agent_id: ConsentAgentId::parse(text("agt")?)?,
            consent_id: ConsentId::parse(text("cid")?)?,
            scopes: scopes.iter().map(|scope| ScopeName::new(scope.as_text()?).ok()).collect::<Option<_>>()?,
            issued_at: seconds("iat")?,
            expires_at: seconds("exp")?,
            token_id: TokenId::parse(text("jti")?)?,
        })
    }
}

/// The token: what was signed, with the 64 bytes of R and S.
pub fn signed_token(signing_input: &str, signature: &[u8; 64]) -> String {
    format!("{signing_input}.{}", BASE64URL_NOPAD.encode(signature))
}

/// A token as it was presented. Nothing of it is to be believed before the signature has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented<'t> {
    /// Which key is said to have signed it.
    pub key_id: KeyId,
    /// What it says.
    pub claims: Claims,
    /// What the signature must be of.
    pub signing_input: &'t str,
    /// R and S, as JOSE has them and not as DER.
    pub signature: [u8; 64],
}

impl<'t> Presented<'t> {
    /// Reads a token; nothing if no agent can have signed it, whatever the reason.
    pub fn parse(token: &'t str) -> Option<Self> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let Parts { key_id, claims, signing_input, signature } = Parts::read(token, ALGORITHM)?;
        let claims = Claims::read(&claims)?;
        // What is signed has one spelling: members that nobody wrote, or another order of them, are no token.
        (claims.signing_input(key_id) == signing_input).then_some(Self { key_id, claims, signing_input, signature })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{CONSENT_SCOPES_MAX, SCOPE_NAME_BYTES_MAX, USER_ID_BYTES_MAX};

    fn claims() -> Claims {
        Claims {
            user_id: UserId::new("user \"1\"\n").unwrap(),
            agent_id: ConsentAgentId::from_bytes([1; 16]),
            consent_id: ConsentId::from_bytes([2; 16]),
            scopes: ["email.send", "é"].map(|scope| ScopeName::new(scope).unwrap()).to_vec(),
            issued_at: Timestamp::from_ms(1_772_359_200_000).unwrap(),
            expires_at: Timestamp::from_ms(1_772_362_800_000).unwrap(),
            token_id: TokenId::from_bytes([3; 16]),
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        let key_id = KeyId::of(&[2; 33]);
        let token = signed_token(&claims().signing_input(key_id), &[7; 64]);
        let presented = Presented::parse(&token).unwrap();
        assert_eq!((presented.key_id, &presented.claims, presented.signature), (key_id, &claims(), [7; 64]));
        let header = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        let [head, body, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
        for other in [
            String::new(),
            "..".to_owned(),
            format!("{head}.{body}"),
            format!("{head}.{body}."),
            format!("{head}.{body}.{signature}."),
            format!("{token}A"),
            format!("{token}="),
            token[1..].to_owned(),
            format!("{}.{body}.{signature}", header(r#"{"alg":"none","typ":"JWT"}"#)),
            format!("{}.{body}.{signature}", header(&format!(r#"{{"alg":"HS256","kid":"{key_id}","typ":"JWT"}}"#))),
            format!("{}.{body}.{signature}", header(&format!(r#"{{"alg":"es256","kid":"{key_id}","typ":"JWT"}}"#))),
            format!("{}.{body}.{signature}", header(&format!(r#"{{"alg":"ES256","kid":"{key_id}","typ":"JWT","crit":[]}}"#))),
            format!("{head}.{}.{signature}", header("{}")),
            format!("{head}.{}.{signature}", header("[]")),
            "x".repeat(TOKEN_BYTES_MAX + 1),
        ] {
            assert_eq!(Presented::parse(&other), None, "{other}");
        }
    }

    #[test]
    fn the_largest_token_is_read() {
        // Of what is escaped, each byte becomes six, and base64 makes four of three.
        let worst = "\u{1}".repeat(SCOPE_NAME_BYTES_MAX);
        let claims = Claims {
            user_id: UserId::new(&"\u{1}".repeat(USER_ID_BYTES_MAX)).unwrap(),
            scopes: vec![ScopeName::new(&worst).unwrap(); CONSENT_SCOPES_MAX],
            ..claims()
        };
        let token = signed_token(&claims.signing_input(KeyId::of(&[2; 33])), &[7; 64]);
        assert!(token.len() > TOKEN_BYTES_MAX / 5 * 4, "{} bytes", token.len());
        assert_eq!(Presented::parse(&token).map(|presented| presented.claims), Some(claims));
    }

    #[test]
    fn seconds_are_whole() {
        let time = Timestamp::from_ms(1_772_359_200_999).unwrap();
        assert_eq!(whole_second(time).as_ms(), 1_772_359_200_000);
        assert_eq!(claims().to_object().get("iat"), Some(&Value::Int(1_772_359_200)));
    }
}
