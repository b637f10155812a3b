//! Keys at rest and in use: signing keys sealed under a master key, secrets hashed with a key derived from it.
//!
//! Signing is most of what a check costs, so it is done by AWS-LC, which takes half as long as the implementation that verifies.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use allowlog_proto::id::{ConsentAgentId, KeyId};
use allowlog_proto::signing::Signature;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::chance;
use crate::data_dir::{DataDir, DataDirError, make_directory, write_durably};
use crate::log::backup::{SealedKey, sealed_keys};

mod agents;

pub use agents::{AgentPublicKey, KnownTokens};

const SEAL_DOMAIN: &str = "allowlog.signing-key.v1";
const AGENT_DOMAIN: &str = "allowlog.agent-key.v1";
const WEBHOOK_DOMAIN: &str = "allowlog 2026-11-26 webhook secrets v1";
const PAGE_DOMAIN: &str = "allowlog 2026-11-26 pages v1";
const SNAPSHOT_DOMAIN: &str = "allowlog 2026-11-26 snapshots v1";
const SECRET_DOMAIN: &str = "allowlog 2026-11-23 api key secrets v1";
const NONCE_BYTES: usize = 24;

/// The master key: 32 bytes that never leave the process.
pub struct MasterKey(Zeroizing<[u8; 32]>);

/// Signing keys of every workspace, unsealed when they are first needed.
pub struct Keyring {
    directory: PathBuf,
    cipher: XChaCha20Poly1305,
    secret_hash_key: Zeroizing<[u8; 32]>,
    webhook_key: Zeroizing<[u8; 32]>,
    page_key: Zeroizing<[u8; 32]>,
    agents: agents::AgentKeys,
    unsealed: Mutex<BTreeMap<KeyId, Arc<PrivateKey>>>,
}

/// A private key; it is not shown, not copied, not written but sealed.
pub struct PrivateKey {
    key_id: KeyId,
    pair: Ed25519KeyPair, // wiped when it is freed
}

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The text of a master key.
    #[error("the master key must be 64 hexadecimal digits, as from `openssl rand -hex 32`")]
    MasterKey,
    /// Sealed under another master key, or damaged.
    #[error("signing key `{0}` cannot be unsealed: the master key is another one, or its file is damaged")]
    Unseal(KeyId),
    /// Not there.
    #[error("signing key `{key_id}` is not in the data directory: {source}")]
    Missing {
        /// Which.
        key_id: KeyId,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The library that signs.
    #[error("a signing key cannot be made ready: the system gives no memory for it")]
    Signer,
    /// It cannot be written.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
}

impl MasterKey {
    /// The key from the environment if given, else from the directory's file, which is made when it is not there.
    ///
    /// # Errors
    /// If the text is no key, or the file cannot be used.
    pub fn load(directory: &DataDir, environment: Option<&str>) -> Result<Self, KeyringError> {
        let text = match environment {
            Some(text) => Zeroizing::new(text.to_owned()),
            None => {
                let drawn = || Zeroizing::new(data_encoding::HEXLOWER.encode(&*Zeroizing::new(chance::bytes::<32>())));
                directory.master_key(drawn)?
            }
        };
        let bytes = Zeroizing::new(data_encoding::HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).unwrap_or_default());
        let key = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| KeyringError::MasterKey)?;
        Ok(Self(Zeroizing::new(key)))
    }

    /// The key that snapshots are hashed with: who can write the disk and has not this cannot make one.
    pub fn snapshot_key(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(SNAPSHOT_DOMAIN, &*self.0))
    }

    /// A key of chance that is kept nowhere: for tests.
    pub fn ephemeral() -> Self {
        Self(Zeroizing::new(chance::bytes()))
    }
}

impl Keyring {
    /// The keys sealed in this directory.
    ///
    /// # Errors
    /// If the directory cannot be made.
    pub fn open(directory: PathBuf, master: &MasterKey) -> Result<Self, KeyringError> {
        make_directory(&directory)?;
        Ok(Self {
            directory,
            cipher: XChaCha20Poly1305::new((&*master.0).into()),
            secret_hash_key: Zeroizing::new(blake3::derive_key(SECRET_DOMAIN, &*master.0)),
            webhook_key: Zeroizing::new(blake3::derive_key(WEBHOOK_DOMAIN, &*master.0)),
            page_key: Zeroizing::new(blake3::derive_key(PAGE_DOMAIN, &*master.0)),
            agents: agents::AgentKeys::default(),
            unsealed: Mutex::default(),
        })
    }

    /// Draws a key and seals it, durably, before anybody can depend on it. A key nobody comes to use does no harm.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn generate(&self) -> Result<[u8; 32], KeyringError> {
        self.seal(&Zeroizing::new(chance::bytes()))
    }

    /// Seals a key that was drawn elsewhere, durably, and returns its public half.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn seal(&self, secret: &Zeroizing<[u8; 32]>) -> Result<[u8; 32], KeyringError> {
        let (_, public_key) = pair(secret)?;
        self.seal_as(SEAL_DOMAIN, KeyId::of(&public_key), secret)?;
        Ok(public_key)
    }

    fn seal_as(&self, domain: &str, key_id: KeyId, secret: &Zeroizing<[u8; 32]>) -> Result<(), KeyringError> {
        let nonce: [u8; NONCE_BYTES] = chance::bytes();
        let associated = format!("{domain}\n{key_id}");
        let payload = Payload { msg: secret.as_slice(), aad: associated.as_bytes() };
        let sealed = self.cipher.encrypt(XNonce::from_slice(&nonce), payload).map_err(|_| KeyringError::Unseal(key_id))?;
        Ok(write_durably(&self.file(key_id), &[nonce.as_slice(), &sealed].concat())?)
    }

    /// Every sealed key, as it is stored.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn sealed(&self) -> std::io::Result<Vec<SealedKey>> {
        sealed_keys(&self.directory)
    }

    /// The private key of this id.
    ///
    /// # Errors
    /// If it is not there, or was sealed under another master key.
    pub fn private_key(&self, key_id: KeyId) -> Result<Arc<PrivateKey>, KeyringError> {
        let mut unsealed = self.unsealed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = unsealed.get(&key_id) {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(self.unseal(key_id)?);
        unsealed.insert(key_id, Arc::clone(&key));
        Ok(key)
    }

    fn unseal(&self, key_id: KeyId) -> Result<PrivateKey, KeyringError> {
        let secret = self.unseal_as(SEAL_DOMAIN, key_id)?;
        let (pair, public_key) = pair(&secret)?;
        if KeyId::of(&public_key) == key_id { Ok(PrivateKey { key_id, pair }) } else { Err(KeyringError::Unseal(key_id)) }
    }

    fn unseal_as(&self, domain: &str, key_id: KeyId) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
        let stored = fs::read(self.file(key_id)).map_err(|source| KeyringError::Missing { key_id, source })?;
        let wrong = || KeyringError::Unseal(key_id);
        let (nonce, sealed) = stored.split_at_checked(NONCE_BYTES).ok_or_else(wrong)?;
        let associated = format!("{domain}\n{key_id}");
        let payload = Payload { msg: sealed, aad: associated.as_bytes() };
        let secret = Zeroizing::new(self.cipher.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| wrong())?);
        Ok(Zeroizing::new(<[u8; 32]>::try_from(secret.as_slice()).map_err(|_| wrong())?))
    }

    /// Keyed hash of an API key's secret: what is stored instead of it.
    pub fn secret_hash(&self, secret: &[u8; 32]) -> [u8; 32] {
        *blake3::keyed_hash(&self.secret_hash_key, secret).as_bytes()
    }

    /// What the webhooks of an agent are signed with: a function of the master key, kept nowhere.
    pub fn webhook_secret(&self, agent_id: ConsentAgentId, generation: u32) -> Zeroizing<String> {
        let input = [agent_id.to_bytes().as_slice(), &generation.to_be_bytes()].concat();
        let secret = blake3::keyed_hash(&self.webhook_key, &input);
        Zeroizing::new(format!("whsec_{}", data_encoding::HEXLOWER.encode(secret.as_bytes())))
    }

    /// A tag that shows that this server wrote `text` into a page or a link, for this purpose.
    pub fn page_tag(&self, purpose: &str, text: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.page_key);
        hasher.update(purpose.as_bytes()).update(b"\n").update(text);
        *hasher.finalize().as_bytes()
    }

    fn file(&self, key_id: KeyId) -> PathBuf {
        self.directory.join(format!("{key_id}.sealed"))
    }
}

impl PrivateKey {
    /// Signs canonical bytes.
    pub fn sign(&self, canonical: &[u8]) -> Signature {
        let made = self.pair.sign(canonical);
        let mut signature = [0; 64];
        signature.copy_from_slice(made.as_ref()); // Ed25519 has no other length
        debug_assert!(self.verifies(canonical, &signature), "a signature verifies right after it is made");
        signature
    }

    /// By the implementation that verifiers use, which is another one.
    fn verifies(&self, canonical: &[u8], signature: &Signature) -> bool {
        let public_key = <[u8; 32]>::try_from(self.pair.public_key().as_ref()).ok();
        let public_key = public_key.and_then(|bytes| ed25519_dalek::VerifyingKey::from_bytes(&bytes).ok());
        public_key.is_some_and(|key| key.verify_strict(canonical, &ed25519_dalek::Signature::from_bytes(signature)).is_ok())
    }
}

/// The pair of this secret, and its public half.
fn pair(secret: &Zeroizing<[u8; 32]>) -> Result<(Ed25519KeyPair, [u8; 32]), KeyringError> {
    let pair = Ed25519KeyPair::from_seed_unchecked(&**secret).map_err(|_| KeyringError::Signer)?;
    let public_key = <[u8; 32]>::try_from(pair.public_key().as_ref()).map_err(|_| KeyringError::Signer)?;
    Ok((pair, public_key))
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.key_id)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({})", self.directory.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_key_opens_under_its_master_key_only() {
        let directory = tempfile::tempdir().unwrap();
        let master = MasterKey::ephemeral();
        let public = Keyring::open(directory.path().to_owned(), &master).unwrap().generate().unwrap();
        let key_id = KeyId::of(&public);
        let again = Keyring::open(directory.path().to_owned(), &master).unwrap();
        assert_eq!(again.private_key(key_id).unwrap().pair.public_key().as_ref(), public);
        let other = Keyring::open(directory.path().to_owned(), &MasterKey::ephemeral()).unwrap();
        assert!(matches!(other.private_key(key_id), Err(KeyringError::Unseal(_))));
        let file = again.file(key_id);
        let sound = fs::read(&file).unwrap();
        for i in 0..sound.len() {
            let mut damaged = sound.clone();
            damaged[i] ^= 1;
            fs::write(&file, &damaged).unwrap();
            let ring = Keyring::open(directory.path().to_owned(), &master).unwrap();
            assert!(matches!(ring.private_key(key_id), Err(KeyringError::Unseal(_))), "byte {i}");
        }
    }

    #[test]
    fn a_crash_while_sealing_leaves_a_key_or_none() {
        let directory = tempfile::tempdir().unwrap();
        let master = MasterKey::ephemeral();
        let ring = || Keyring::open(directory.path().to_owned(), &master).unwrap();
        let secret = Zeroizing::new([7; 32]);
        let key_id = KeyId::of(&ring().seal(&secret).unwrap());
        let file = ring().file(key_id);
        let sealed = fs::read(&file).unwrap();
        // Before the rename there is a temporary file at most, of which any part may be there.
        for length in 0..=sealed.len() {
            fs::remove_file(&file).unwrap();
            fs::write(file.with_extension("new"), &sealed[..length]).unwrap();
            assert!(matches!(ring().private_key(key_id), Err(KeyringError::Missing { .. })), "{length} bytes");
            ring().seal(&secret).unwrap();
            assert!(ring().private_key(key_id).is_ok() && !file.with_extension("new").exists(), "{length} bytes");
        }
        // Reported as failed though it was done: the key is there, nobody depends on it, and sealing again gives the same.
        assert_eq!(KeyId::of(&ring().seal(&secret).unwrap()), key_id);
        // Nothing can be written: the failure is told, and the key of before stays.
        fs::create_dir(file.with_extension("new")).unwrap();
        assert!(matches!(ring().seal(&secret), Err(KeyringError::DataDir(_))));
        assert!(ring().private_key(key_id).is_ok());
    }
}
