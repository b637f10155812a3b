//! JSON Web Signatures (RFC 7515) in compact form, as this server writes them and no other way: who signs and who verifies is elsewhere.

use data_encoding::BASE64URL_NOPAD;

use crate::id::KeyId;
use crate::json::{Object, Value, write_object};

/// What is signed: header and claims. The same claims and key give the same text.
pub(crate) fn signing_input(algorithm: &str, kind: &str, key_id: KeyId, claims: &Object) -> String {
    let header = format!(r#"{{"alg":"{algorithm}","kid":"{key_id}","typ":"{kind}"}}"#);
    let mut text = String::new();
    // None of it is what cannot be signed.
    let _ = write_object(claims, "", &mut text);
    format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(text.as_bytes()))
}

/// A signature taken apart. Nothing of it is to be believed before it has been verified.
pub(crate) struct Parts<'t> {
    /// Which key is said to have signed it.
    pub(crate) key_id: KeyId,
    /// What it says.
    pub(crate) claims: Object,
    /// What the signature must be of.
    pub(crate) signing_input: &'t str,
    /// 64 bytes.
    pub(crate) signature: [u8; 64],
}

impl<'t> Parts<'t> {
    /// Takes it apart; nothing if it is of another algorithm: `none`, HS256 and whatever else was never written by anybody here.
    pub(crate) fn read(token: &'t str, algorithm: &str) -> Option<Self> {
        let (signing_input, signature) = token.rsplit_once('.')?;
        let (header, claims) = signing_input.split_once('.')?;
        let object = |part: &str| Value::parse(&BASE64URL_NOPAD.decode(part.as_bytes()).ok()?).ok()?.as_object().cloned();
        let header = object(header)?;
        header.get("alg").and_then(Value::as_text).filter(|given| *given == algorithm)?;
        let key_id = KeyId::parse(header.get("kid")?.as_text()?)?;
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?.try_into().ok()?;
        Some(Self { key_id, claims: object(claims)?, signing_input, signature })
    }
}
