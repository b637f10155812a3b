//! The signer: from the same receipt and key it makes the very bytes that the independent generator made.

use allowlog_proto::id::{AuthorizationId, KeyId, ReceiptId, WorkspaceId};
use allowlog_proto::json::{Object, Value};
use allowlog_proto::key_document::{KeyDocument, PublicKey};
use allowlog_proto::receipt::{About, Receipt, signed_document, unwrap_envelope};
use allowlog_proto::signing::sign;
use allowlog_proto::time::Timestamp;
use allowlog_proto::verify::{TrustedKeys, verify};
use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;

use crate::{files, fixtures, vectors};

/// SHA-256 of `current`: the key of most vectors.
const SEED: &str = "97b0560280ed60a5a1eaa1bc45492543c8a986ad5a25b468c427eb83c3e88191";

fn key() -> SigningKey {
    SigningKey::from_bytes(&HEXLOWER.decode(SEED.as_bytes()).unwrap().try_into().unwrap())
}

/// The receipt of a document this project could have written.
fn receipt(document: &Object) -> Receipt<'_> {
    let text = |name| document.get(name).and_then(Value::as_text);
    Receipt {
        receipt_id: ReceiptId::parse(text("receipt_id").unwrap()).unwrap(),
        workspace_id: WorkspaceId::parse(text("workspace_id").unwrap()).unwrap(),
        issued_at: fixtures::at(text("issued_at").unwrap()),
        about: text("scope").map(About::Scope).or(text("event").map(About::Event)).unwrap(),
        decision: text("decision").unwrap(),
        reason: text("reason").unwrap(),
        authorization_id: text("authorization_id").map(|id| AuthorizationId::parse(id).unwrap()),
        user_id: text("user_id").unwrap(),
        agent_id: text("agent_id").unwrap(),
        resource: text("resource"),
        context: document.get("context").and_then(Value::as_object).cloned().unwrap().into(),
        policy_version: text("policy_version").unwrap(),
        policy_eval: document.get("policy_eval").and_then(Value::as_object).cloned(),
    }
}

#[test]
fn the_signer_writes_the_published_signatures() {
    let key_id = KeyId::of(&key().verifying_key().to_bytes());
    let mut made = 0;
    for text in vectors::valid_receipts() {
        let published = Value::parse(text.as_bytes()).unwrap();
        let document = published.as_object().unwrap();
        let of_this_key = text.contains(&key_id.to_string());
        let issued_at = document.get("issued_at").and_then(Value::as_text).unwrap();
        let as_written = Timestamp::parse(issued_at).unwrap().to_string() == issued_at;
        if !of_this_key || !as_written {
            continue;
        }
        let canonical = receipt(document).canonical().unwrap();
        let signed = signed_document(&canonical, key_id, &sign(&key(), canonical.as_bytes()));
        assert_eq!(Value::parse(signed.as_bytes()).as_ref(), Ok(&published), "{text}");
        made += 1;
    }
    assert!(made >= 20, "{made}");
}

#[test]
fn a_key_document_of_ours_is_one_that_is_read() {
    let public = key().verifying_key().to_bytes();
    let active_from = fixtures::at("2026-06-01T00:00:00Z");
    let until = fixtures::at("2026-12-01T00:00:00Z");
    for active_until in [None, Some(until)] {
        let keys = vec![PublicKey::new(KeyId::of(&public), &public, active_from, active_until)];
        let document = serde_json::to_string(&KeyDocument { workspace_id: fixtures::workspace_id(), keys }).unwrap();
        let keys = TrustedKeys::parse(document.as_bytes()).unwrap();
        let receipt = Value::parse(files::read("tests/vectors/valid/check_allow.json").as_bytes()).unwrap();
        let text = receipt.as_object().and_then(|o| o.get("receipt_text")).and_then(Value::as_text).unwrap();
        let receipt = Value::parse(text.as_bytes()).unwrap();
        assert_eq!(verify(&receipt, &keys, None, until), Ok(()));

        let envelope = |status: &str| Value::parse(format!(r#"{{"status":"{status}","receipt":{text}}}"#).as_bytes()).unwrap();
        assert_eq!(unwrap_envelope(envelope("signed")), receipt);
        assert_eq!(unwrap_envelope(envelope("pending")), envelope("pending"));
        assert_eq!(unwrap_envelope(receipt.clone()), receipt);
        assert_eq!(unwrap_envelope(Value::parse(br#"{"status":"signed"}"#).unwrap()), Value::Null);
    }
}
