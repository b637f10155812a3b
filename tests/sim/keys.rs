//! Signing keys of every seed: the same in each process, or two runs of a seed would not be the same.

use std::sync::Arc;

use allowlog::keyring::{Keyring, MasterKey};
use allowlog_proto::id::KeyId;
use tempfile::TempDir;
use zeroize::Zeroizing;

/// So few that a workspace comes to be given one again.
const KEYS: u8 = 12;

pub(crate) struct Keys {
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) public: Vec<[u8; 32]>,
    /// The key whose private half is not to be had: its receipts cannot be signed, and must hold up no others.
    pub(crate) missing: KeyId,
    _directory: TempDir,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let (directory, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let open = |directory: &TempDir| Keyring::open(directory.path().to_owned(), &MasterKey::ephemeral()).unwrap();
        let (keyring, lost) = (open(&directory), open(&elsewhere));
        let mut public: Vec<[u8; 32]> = (1..KEYS).map(|n| keyring.seal(&Zeroizing::new([n; 32])).unwrap()).collect();
        let missing = lost.seal(&Zeroizing::new([KEYS; 32])).unwrap();
        public.push(missing);
        Self { keyring: Arc::new(keyring), public, missing: KeyId::of(&missing), _directory: directory }
    }
}
