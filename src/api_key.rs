//! The text of an API key: `allowly_l1_s001_<public part>_<secret>`, or the prefix of another style in front.

use std::sync::LazyLock;

use allowlog_projections::command::{Credential, NewApiKey};
use allowlog_proto::api::admin::NewKeyBody;
use allowlog_proto::event::Style;
use allowlog_proto::id::ApiKeyId;
use data_encoding::{Encoding, Specification};
use zeroize::Zeroizing;

use crate::chance;
use crate::keyring::Keyring;

/// What the text of each style begins with.
const fn prefix(style: Style) -> &'static str {
    match style {
        // `l1` is the format, `s001` the partition of the log that owns the workspace.
        Style::Allowly => "allowly_l1_s001_",
        Style::Permitly => "sk_live_",
        Style::Affixio => "aff_",
    }
}

/// Base32 without padding, in the lower case of the rest.
#[expect(clippy::expect_used, reason = "a constant that every test of this file checks")]
static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    specification.encoding().expect("32 symbols make an encoding")
});

/// Draws a key: its text, to be shown once, and what is stored of it.
pub fn draw(body: NewKeyBody, keyring: &Keyring) -> (String, NewApiKey) {
    let NewKeyBody { name, style, role, expires_at } = body;
    let public: [u8; 16] = chance::bytes();
    let secret = Zeroizing::new(chance::bytes::<32>());
    let text = format!("{}{}_{}", prefix(style), BASE32.encode(&public), *Zeroizing::new(BASE32.encode(&*secret)));
    let api_key_id = ApiKeyId::from_bytes(public);
    (text, NewApiKey { api_key_id, name, style, role, expires_at, secret_hash: keyring.secret_hash(&secret) })
}

/// Reads a key as a caller presents it; nothing if no key was ever written like this.
pub fn credential(text: &str, keyring: &Keyring) -> Option<Credential> {
    let (public, secret) = Style::ALL.into_iter().find_map(|style| text.strip_prefix(prefix(style)))?.split_once('_')?;
    let public: [u8; 16] = BASE32.decode(public.as_bytes()).ok()?.try_into().ok()?;
    let secret = Zeroizing::new(BASE32.decode(secret.as_bytes()).ok()?);
    let secret = Zeroizing::new(<[u8; 32]>::try_from(secret.as_slice()).ok()?);
    Some(Credential { api_key_id: ApiKeyId::from_bytes(public), secret_hash: keyring.secret_hash(&secret) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::MasterKey;
    use allowlog_proto::event::Role;
    use allowlog_proto::text::Name;

    #[test]
    fn a_drawn_key_is_read_back_and_nothing_else_is() {
        let directory = tempfile::tempdir().unwrap();
        let keyring = Keyring::open(directory.path().to_owned(), &MasterKey::ephemeral()).unwrap();
        for (style, begins) in [(Style::Allowly, "allowly_l1_s001_"), (Style::Permitly, "sk_live_"), (Style::Affixio, "aff_")] {
            let body = NewKeyBody { name: Name::new("test").unwrap(), style, role: Role::Runtime, expires_at: None };
            let (text, stored) = draw(body, &keyring);
            assert!(text.starts_with(begins), "{text}");
            let credential = credential(&text, &keyring).unwrap();
            assert_eq!((credential.api_key_id, credential.secret_hash), (stored.api_key_id, stored.secret_hash));
            for other in ["", begins, &text[1..], &text[..text.len() - 1], &text.to_uppercase(), &format!("{text}a"), &format!("x{text}")] {
                assert_eq!(super::credential(other, &keyring), None, "{other}");
            }
            assert_eq!(super::credential(&text.replace("l1", "l2"), &keyring).is_some(), style != Style::Allowly);
        }
    }
}
