//! The text of an API key: `allowly_l1_s001_<public part>_<secret>`.

use std::sync::LazyLock;

use allowlog_projections::command::{Credential, NewApiKey};
use allowlog_proto::id::ApiKeyId;
use allowlog_proto::text::Name;
use data_encoding::{Encoding, Specification};

use crate::chance;
use crate::keyring::Keyring;

/// `l1` is the format, `s001` the partition of the log that owns the workspace.
const PREFIX: &str = "allowly_l1_s001_";

/// Base32 without padding, in the lower case of the rest.
#[expect(clippy::expect_used, reason = "a constant that every test of this file checks")]
static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    specification.encoding().expect("32 symbols make an encoding")
});

/// Draws a key: its text, to be shown once, and what is stored of it.
pub fn draw(name: Name, keyring: &Keyring) -> (String, NewApiKey) {
    let public: [u8; 16] = chance::bytes();
    let secret: [u8; 32] = chance::bytes();
    let text = format!("{PREFIX}{}_{}", BASE32.encode(&public), BASE32.encode(&secret));
    let api_key_id = ApiKeyId::from_bytes(public);
    (text, NewApiKey { api_key_id, name, secret_hash: keyring.secret_hash(&secret) })
}

/// Reads a key as a caller presents it; nothing if no key was ever written like this.
pub fn credential(text: &str, keyring: &Keyring) -> Option<Credential> {
    let (public, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let public: [u8; 16] = BASE32.decode(public.as_bytes()).ok()?.try_into().ok()?;
    let secret: [u8; 32] = BASE32.decode(secret.as_bytes()).ok()?.try_into().ok()?;
    Some(Credential { api_key_id: ApiKeyId::from_bytes(public), secret_hash: keyring.secret_hash(&secret) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::MasterKey;

    #[test]
    fn a_drawn_key_is_read_back_and_nothing_else_is() {
        let directory = tempfile::tempdir().unwrap();
        let keyring = Keyring::open(directory.path().to_owned(), &MasterKey::ephemeral()).unwrap();
        let (text, stored) = draw(Name::new("test").unwrap(), &keyring);
        let credential = credential(&text, &keyring).unwrap();
        assert_eq!((credential.api_key_id, credential.secret_hash), (stored.api_key_id, stored.secret_hash));
        for other in [
            "",
            "allowly_l1_s001_",
            &text[1..],
            &text[..text.len() - 1],
            &text.to_uppercase(),
            &format!("{text}a"),
            &text.replace("l1", "l2"),
        ] {
            assert_eq!(super::credential(other, &keyring), None, "{other}");
        }
    }
}
