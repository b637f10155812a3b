//! Keys of agents: P-256, sealed like those that sign receipts. Tokens are signed deterministically (RFC 6979), so that every retry of
//! a webhook carries the same bytes; what verifies is the faster library.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use allowlog_projections::state::compressed;
use allowlog_proto::id::KeyId;
use allowlog_proto::token::{Claims, signed_token};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use super::{AGENT_DOMAIN, Keyring, KeyringError};
use crate::chance;

/// Keys that were unsealed.
#[derive(Default)]
pub(super) struct AgentKeys(Mutex<BTreeMap<KeyId, Arc<SigningKey>>>);

/// The public half of an agent's key, ready to verify with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentPublicKey {
    /// Derived from the compressed key.
    pub key_id: KeyId,
    /// The uncompressed point: 4, x, y.
    point: [u8; 65],
}

impl AgentPublicKey {
    /// Nothing if it is no point of the curve.
    pub fn new(public_key: &(u8, [u8; 32])) -> Option<Self> {
        let (compressed, key_id) = compressed(public_key);
        let point = VerifyingKey::from_sec1_bytes(&compressed).ok()?.to_encoded_point(false);
        Some(Self { key_id, point: point.as_bytes().try_into().ok()? })
    }

    /// As in a JSON Web Key.
    pub fn coordinates(&self) -> (&[u8], &[u8]) {
        self.point.get(1..).unwrap_or_default().split_at(32)
    }

    /// Whether the signature, R and S, is of this key over these bytes.
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.point).verify(message, signature).is_ok()
    }
}

/// Tokens whose signature was verified: neither it nor the key can become another. A token is presented before every action of an
/// agent, and its signature is most of what that costs.
#[derive(Debug, Default)]
pub struct KnownTokens(RwLock<BTreeMap<[u8; 32], Arc<Claims>>>);

/// Tokens that are known at a time, some MiB; then they are verified anew.
const KNOWN_MAX: usize = 10_000;

impl KnownTokens {
    /// What a token says that was verified before.
    pub fn get(&self, token: &str) -> Option<Arc<Claims>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(blake3::hash(token.as_bytes()).as_bytes()).map(Arc::clone)
    }

    /// Remembers a token that was verified, and what it says.
    pub fn put(&self, token: &str, claims: Claims) -> Arc<Claims> {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        let claims = Arc::new(claims);
        known.insert(*blake3::hash(token.as_bytes()).as_bytes(), Arc::clone(&claims));
        claims
    }
}

impl Keyring {
    /// Draws a key for an agent and seals it, durably. One that nobody comes to use does no harm.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn generate_agent_key(&self) -> Result<(u8, [u8; 32]), KeyringError> {
        let (secret, signer) = loop {
            let secret = Zeroizing::new(chance::bytes::<32>());
            // All but one of 2^32 draws are a number below the order of the curve.
            if let Ok(signer) = SigningKey::from_slice(&*secret) {
                break (secret, signer);
            }
        };
        let (public_key, key_id) = public_of(&signer);
        self.seal_as(AGENT_DOMAIN, key_id, &secret)?;
        Ok(public_key)
    }

    /// The token of these claims: the same each time.
    ///
    /// # Errors
    /// If the key is not there, or was sealed under another master key.
    pub fn sign_token(&self, key_id: KeyId, claims: &Claims) -> Result<String, KeyringError> {
        let signer = self.agent_key(key_id)?;
        let input = claims.signing_input(key_id);
        let signature: Signature = signer.sign(input.as_bytes());
        Ok(signed_token(&input, &signature.to_bytes().into()))
    }

    fn agent_key(&self, key_id: KeyId) -> Result<Arc<SigningKey>, KeyringError> {
        let mut unsealed = self.agents.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = unsealed.get(&key_id) {
            return Ok(Arc::clone(key));
        }
        let secret = self.unseal_as(AGENT_DOMAIN, key_id)?;
        let signer = SigningKey::from_slice(&*secret).map_err(|_| KeyringError::Unseal(key_id))?;
        if public_of(&signer).1 != key_id {
            return Err(KeyringError::Unseal(key_id));
        }
        let signer = Arc::new(signer); // wiped when it is freed
        unsealed.insert(key_id, Arc::clone(&signer));
        Ok(signer)
    }
}

/// The public half as it is stored, and its id.
fn public_of(signer: &SigningKey) -> ((u8, [u8; 32]), KeyId) {
    let point = signer.verifying_key().to_encoded_point(true);
    let bytes = point.as_bytes();
    let x = bytes.get(1..).and_then(|x| <[u8; 32]>::try_from(x).ok()).unwrap_or_default();
    let public_key = (bytes.first().copied().unwrap_or_default(), x);
    (public_key, compressed(&public_key).1)
}

#[cfg(test)]
mod tests {
    use allowlog_proto::id::{ConsentAgentId, ConsentId, TokenId};
    use allowlog_proto::text::UserId;
    use allowlog_proto::time::Timestamp;
    use allowlog_proto::token::Presented;

    use super::*;
    use crate::keyring::MasterKey;

    #[test]
    fn tokens_are_the_same_each_time_and_verify_with_their_key_alone() {
        let directory = tempfile::tempdir().unwrap();
        let master = MasterKey::ephemeral();
        let keyring = Keyring::open(directory.path().to_owned(), &master).unwrap();
        let [public, other] = [(); 2].map(|()| AgentPublicKey::new(&keyring.generate_agent_key().unwrap()).unwrap());
        let claims = Claims {
            user_id: UserId::new("u").unwrap(),
            agent_id: ConsentAgentId::from_bytes([1; 16]),
            consent_id: ConsentId::from_bytes([2; 16]),
            scopes: Vec::new(),
            issued_at: Timestamp::default(),
            expires_at: Timestamp::default(),
            token_id: TokenId::from_bytes([3; 16]),
        };
        let token = keyring.sign_token(public.key_id, &claims).unwrap();
        let again = Keyring::open(directory.path().to_owned(), &master).unwrap().sign_token(public.key_id, &claims).unwrap();
        assert_eq!(token, again);
        let presented = Presented::parse(&token).unwrap();
        assert!(public.verifies(presented.signing_input.as_bytes(), &presented.signature));
        assert!(!other.verifies(presented.signing_input.as_bytes(), &presented.signature));
        assert!(!public.verifies(b"something else", &presented.signature));
        let mut flipped = presented.signature;
        flipped[63] ^= 1;
        assert!(!public.verifies(presented.signing_input.as_bytes(), &flipped));
        // Sealed under another master key, a key of another kind, and none at all.
        let stranger = Keyring::open(directory.path().to_owned(), &MasterKey::ephemeral()).unwrap();
        assert!(matches!(stranger.sign_token(public.key_id, &claims), Err(KeyringError::Unseal(_))));
        let receipts = KeyId::of(&keyring.generate().unwrap());
        assert!(matches!(keyring.sign_token(receipts, &claims), Err(KeyringError::Unseal(_))));
        assert!(keyring.private_key(public.key_id).is_err());
        assert!(matches!(keyring.sign_token(KeyId::of(b"none"), &claims), Err(KeyringError::Missing { .. })));
    }
}
