//! SHA-256: what trees, key ids of notes and the hashes of receipts are made with.

use sha2::{Digest as _, Sha256};

/// The SHA-256 of the parts, one behind the other.
///
/// ```
/// use allowlog_proto::chain::Hash;
/// use allowlog_proto::sha256::sha256;
///
/// let hash = sha256(&[b"a", b"bc"]);
/// assert_eq!(hash, sha256(&[b"abc"]));
/// assert_eq!(Hash(hash).to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
/// ```
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}
