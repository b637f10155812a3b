//! The operator's token: drawn for a new directory and shown once. The directory keeps its hash, which opens nothing.

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::chance;
use crate::data_dir::{DataDir, DataDirError};

const FILE: &str = "admin.hash";
/// The token holds 32 bytes of chance, so a fast hash is as good as a slow one.
const DOMAIN: &str = "allowlog 2026-11-26 admin token v1";

/// What a token is compared with.
pub struct AdminToken {
    /// None after a restore, say: then no text is the token, until another is drawn.
    hash: Option<[u8; 32]>,
    /// The token itself, until whoever had it drawn has taken it.
    drawn: Option<Zeroizing<String>>,
}

impl AdminToken {
    /// The token that is this text.
    pub fn of(text: &str) -> Self {
        Self { hash: Some(hash(text)), drawn: None }
    }

    /// The one whose hash the directory keeps. Where it keeps none, checks are answered all the same, and nobody operates.
    ///
    /// # Errors
    /// If what it keeps is no hash, or others could read it.
    pub fn load(directory: &DataDir) -> Result<Self, DataDirError> {
        let Some(text) = directory.read_secret(FILE)? else {
            tracing::warn!("there is no admin token, so that nobody can operate the server; `allowlog admin-token rotate` draws one");
            return Ok(Self { hash: None, drawn: None });
        };
        let none = || DataDirError::NoAdminToken(directory.path().join(FILE));
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(|_| none())?;
        Ok(Self { hash: Some(bytes.try_into().map_err(|_| none())?), drawn: None })
    }

    /// Whether the directory keeps the hash of one.
    pub fn is_kept(directory: &DataDir) -> bool {
        directory.path().join(FILE).exists()
    }

    /// Draws another; the one before opens nothing from the next start on.
    ///
    /// # Errors
    /// If its hash cannot be written.
    pub fn draw(directory: &DataDir) -> Result<Self, DataDirError> {
        let secret = Zeroizing::new(chance::bytes::<32>());
        let text = Zeroizing::new(format!("allowlog_admin_{}", *Zeroizing::new(data_encoding::HEXLOWER.encode(&*secret))));
        let hash = hash(&text);
        directory.write_secret(FILE, &data_encoding::HEXLOWER.encode(&hash))?;
        Ok(Self { hash: Some(hash), drawn: Some(text) })
    }

    /// The text of a token that was just drawn, once.
    pub fn take_drawn(&mut self) -> Option<Zeroizing<String>> {
        self.drawn.take()
    }

    /// Whether this text is the token; it takes as long for a wrong one.
    pub fn is(&self, text: &str) -> bool {
        self.hash.is_some_and(|known| hash(text).ct_eq(&known).into())
    }
}

fn hash(text: &str) -> [u8; 32] {
    blake3::derive_key(DOMAIN, text.as_bytes())
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_token_is_known_again_and_no_other_is() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::create(directory.path()).unwrap();
        assert!(!AdminToken::load(&data).unwrap().is("") && !AdminToken::is_kept(&data), "no token, and nothing is it");
        let mut drawn = AdminToken::draw(&data).unwrap();
        let text = drawn.take_drawn().unwrap();
        assert!(drawn.take_drawn().is_none(), "shown once");
        let loaded = AdminToken::load(&data).unwrap();
        assert!(loaded.is(&text) && drawn.is(&text));
        let stored = std::fs::read_to_string(directory.path().join(FILE)).unwrap();
        for other in ["", &text[1..], &text[..text.len() - 1], &format!("{} ", *text), stored.trim(), &text.to_uppercase()] {
            assert!(!loaded.is(other), "{other}");
        }
        assert!(AdminToken::is_kept(&data));
        let next = AdminToken::draw(&data).unwrap();
        assert!(!next.is(&text) && !AdminToken::load(&data).unwrap().is(&text), "the one before opens nothing");
    }
}
