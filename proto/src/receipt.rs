//! The receipt, format "1.0": what is signed, and the document that carries the signature.

use std::fmt::{Display, Write as _};

use crate::id::{AuthorizationId, KeyId, ReceiptId, WorkspaceId};
use crate::json::{CanonicalObject, NotSignable, Object, Value, escape_into};
use crate::sha256::sha256;
use crate::signing::Signature;
use crate::time::Timestamp;

/// The receipt format this project writes.
pub const RECEIPT_VERSION: &str = "1.0";

/// Most receipts are shorter.
const CANONICAL_BYTES: usize = 768;

/// What a receipt says, before it is signed.
///
/// Source: section "Receipts" of the Allowly API in its scopes form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt<'a> {
    /// Increasing within a workspace.
    pub receipt_id: ReceiptId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// Time of the record it is made from.
    pub issued_at: Timestamp,
    /// What it is about.
    pub about: About<'a>,
    /// `allow`, `authorization_granted` ...
    pub decision: &'a str,
    /// Why.
    pub reason: &'a str,
    /// Absent only on a check that matched nothing.
    pub authorization_id: Option<AuthorizationId>,
    /// `unknown` on a check that matched nothing.
    pub user_id: &'a str,
    /// `unknown` on a check that matched nothing.
    pub agent_id: &'a str,
    /// On what.
    pub resource: Option<&'a str>,
    /// Whatever else is worth signing.
    pub context: Context<'a>,
    /// Version of the decision logic.
    pub policy_version: &'a str,
    /// On checks of a scope with conditions.
    pub policy_eval: Option<Object>,
}

/// A receipt is of one scope of a check, or of an event of an authorization's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About<'a> {
    /// A check.
    Scope(&'a str),
    /// A create, a revoke, a resolution.
    Event(&'a str),
}

/// What the caller said, and the server's members over it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Context<'a> {
    /// As it was stored.
    pub said: Option<&'a CanonicalObject>,
    /// A name that the caller has used too is the server's.
    pub added: Object,
}

impl From<Object> for Context<'_> {
    fn from(added: Object) -> Self {
        Self { said: None, added }
    }
}

impl Receipt<'_> {
    /// The bytes that are signed: the receipt without its signature, canonical.
    ///
    /// # Errors
    /// Names a place of the context that cannot be signed; events are only made of contexts that can.
    pub fn canonical(&self) -> Result<String, NotSignable> {
        let mut out = String::with_capacity(CANONICAL_BYTES);
        // In the order of the names.
        out.push_str(r#"{"agent_id":"#);
        escape_into(self.agent_id, &mut out);
        out.push_str(r#","authorization_id":"#);
        match &self.authorization_id {
            Some(id) => quoted(id, &mut out),
            None => out.push_str("null"),
        }
        out.push_str(r#","context":"#);
        match self.context.said {
            Some(said) => said.write_with(&self.context.added, "context", &mut out)?,
            None => crate::json::write_object(&self.context.added, "context", &mut out)?,
        }
        out.push_str(r#","decision":"#);
        escape_into(self.decision, &mut out);
        if let About::Event(event) = self.about {
            out.push_str(r#","event":"#);
            escape_into(event, &mut out);
        }
        out.push_str(r#","issued_at":"#);
        quoted(&self.issued_at, &mut out);
        if let Some(eval) = &self.policy_eval {
            out.push_str(r#","policy_eval":"#);
            crate::json::write_object(eval, "policy_eval", &mut out)?;
        }
        out.push_str(r#","policy_version":"#);
        escape_into(self.policy_version, &mut out);
        out.push_str(r#","reason":"#);
        escape_into(self.reason, &mut out);
        out.push_str(r#","receipt_id":"#);
        quoted(&self.receipt_id, &mut out);
        out.push_str(r#","resource":"#);
        match self.resource {
            Some(resource) => escape_into(resource, &mut out),
            None => out.push_str("null"),
        }
        if let About::Scope(scope) = self.about {
            out.push_str(r#","scope":"#);
            escape_into(scope, &mut out);
        }
        out.push_str(r#","user_id":"#);
        escape_into(self.user_id, &mut out);
        out.push_str(r#","version":"#);
        escape_into(RECEIPT_VERSION, &mut out);
        out.push_str(r#","workspace_id":"#);
        quoted(&self.workspace_id, &mut out);
        out.push('}');
        Ok(out)
    }
}

/// Appends a text of ours, in which nothing needs an escape.
fn quoted(text: &impl Display, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = write!(out, "\"{text}\"");
}

/// What a record carries of its receipt: SHA-256 of the canonical bytes.
pub fn hash(canonical: &str) -> [u8; 32] {
    sha256(&[canonical.as_bytes()])
}

/// The same of a signed document, of whatever origin; nothing if it is no object, or holds what cannot be signed.
pub fn hash_of_document(document: &Value) -> Option<[u8; 32]> {
    let mut signed = document.as_object()?.clone();
    signed.remove("signature");
    let mut canonical = String::new();
    crate::json::write_object(&signed, "", &mut canonical).ok()?;
    Some(hash(&canonical))
}

/// The signed document: the canonical receipt with its `signature` member.
pub fn signed_document(canonical: &str, key_id: KeyId, signature: &Signature) -> String {
    let mut out = String::with_capacity(canonical.len().saturating_add(180));
    out.push_str(canonical.strip_suffix('}').unwrap_or(canonical));
    let value = data_encoding::BASE64URL_NOPAD.encode(signature);
    // Writing to a string cannot fail.
    let _ = write!(out, r#","signature":{{"alg":"Ed25519","key_id":"{key_id}","value":"{value}"}}}}"#);
    out
}

/// Reads a JSON document that is a receipt, or an envelope `{"status": "signed", "receipt": ...}` around one.
pub fn unwrap_envelope(document: Value) -> Value {
    let signed = |o: &Object| o.get("status").and_then(Value::as_text) == Some("signed") && o.get("version").is_none();
    if document.as_object().is_some_and(signed)
        && let Value::Object(mut envelope) = document
    {
        return envelope.remove("receipt").unwrap_or(Value::Null);
    }
    document
}
