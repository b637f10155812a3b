//! The receipt, format "1.0": what is signed, and the document that carries the signature.

use std::fmt::Write as _;

use crate::id::{AuthorizationId, KeyId, ReceiptId, WorkspaceId};
use crate::json::{NotSignable, Object, Value, escape_into};
use crate::sha256::sha256;
use crate::signing::Signature;
use crate::time::Timestamp;

/// The receipt format this project writes.
pub const RECEIPT_VERSION: &str = "1.0";

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
    pub context: Object,
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

impl Receipt<'_> {
    /// The bytes that are signed: the receipt without its signature, canonical.
    ///
    /// # Errors
    /// Names a place of the context that cannot be signed; events are only made of contexts that can.
    pub fn canonical(&self) -> Result<String, NotSignable> {
        let mut out = String::with_capacity(512);
        let mut members = Members(&mut out);
        // In the order of the names.
        members.text("agent_id", self.agent_id);
        match self.authorization_id {
            Some(id) => members.text("authorization_id", &id.to_string()),
            None => members.null("authorization_id"),
        }
        members.name("context");
        crate::json::write_object(&self.context, "context", members.0)?;
        members.text("decision", self.decision);
        if let About::Event(event) = self.about {
            members.text("event", event);
        }
        members.text("issued_at", &self.issued_at.to_string());
        if let Some(eval) = &self.policy_eval {
            members.name("policy_eval");
            crate::json::write_object(eval, "policy_eval", members.0)?;
        }
        members.text("policy_version", self.policy_version);
        members.text("reason", self.reason);
        members.text("receipt_id", &self.receipt_id.to_string());
        match self.resource {
            Some(resource) => members.text("resource", resource),
            None => members.null("resource"),
        }
        if let About::Scope(scope) = self.about {
            members.text("scope", scope);
        }
        members.text("user_id", self.user_id);
        members.text("version", RECEIPT_VERSION);
        members.text("workspace_id", &self.workspace_id.to_string());
        out.push('}');
        Ok(out)
    }
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

/// Writes members behind each other.
struct Members<'o>(&'o mut String);

impl Members<'_> {
    fn name(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        escape_into(name, self.0);
        self.0.push(':');
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        escape_into(text, self.0);
    }

    fn null(&mut self, name: &str) {
        self.name(name);
        self.0.push_str("null");
    }
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
