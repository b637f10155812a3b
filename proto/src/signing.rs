//! Ed25519 (RFC 8032): deterministic, so a signature is a function of bytes and key.

use ed25519_dalek::{Signer as _, SigningKey};

/// 64 bytes.
pub type Signature = [u8; 64];

/// Signs canonical bytes.
pub fn sign(key: &SigningKey, canonical: &[u8]) -> Signature {
    let signature = key.sign(canonical);
    debug_assert!(key.verifying_key().verify_strict(canonical, &signature).is_ok(), "a signature verifies right after it is made");
    signature.to_bytes()
}
