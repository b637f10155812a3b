//! Links to the page on which a person manages what they consented to. Nothing is kept of them: the tag in a link shows that this
//! server made it.

use allowlog_proto::id::WorkspaceId;
use allowlog_proto::text::UserId;
use allowlog_proto::time::Timestamp;
use data_encoding::BASE64URL_NOPAD;
use subtle::ConstantTimeEq as _;

use crate::keyring::Keyring;

/// What the tag is for.
const PURPOSE: &str = "manage link";
const TAG_BYTES: usize = 32;

/// What a link says: whose consents, where, and how long it works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManageToken {
    /// Whose agents they are.
    pub workspace_id: WorkspaceId,
    /// Whose consents.
    pub user_id: UserId,
    /// From then on it leads nowhere.
    pub expires_at: Timestamp,
}

impl ManageToken {
    /// The token as it stands in a link.
    pub fn write(&self, keyring: &Keyring) -> String {
        let mut bytes = self.workspace_id.to_bytes().to_vec();
        bytes.extend_from_slice(&self.expires_at.as_ms().to_be_bytes());
        bytes.extend_from_slice(self.user_id.as_str().as_bytes());
        let tag = keyring.page_tag(PURPOSE, &bytes);
        BASE64URL_NOPAD.encode(&[tag.as_slice(), &bytes].concat())
    }

    /// Reads what [`ManageToken::write`] wrote; whether its time is over is another question.
    pub fn read(text: &str, keyring: &Keyring) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (tag, bytes) = bytes.split_first_chunk::<TAG_BYTES>()?;
        if !bool::from(tag.ct_eq(&keyring.page_tag(PURPOSE, bytes))) {
            return None;
        }
        let (workspace_id, rest) = bytes.split_first_chunk()?;
        let (expires_at, user_id) = rest.split_first_chunk()?;
        Some(Self {
            workspace_id: WorkspaceId::from_bytes(*workspace_id),
            user_id: UserId::new(std::str::from_utf8(user_id).ok()?).ok()?,
            expires_at: Timestamp::from_ms(u64::from_be_bytes(*expires_at))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::MasterKey;

    #[test]
    fn only_what_this_server_wrote_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Keyring::open(directory.path().to_owned(), &MasterKey::ephemeral()).unwrap();
        let keyring = open();
        let token = ManageToken {
            workspace_id: WorkspaceId::from_bytes([7; 16]),
            user_id: UserId::new("user é 1").unwrap(),
            expires_at: Timestamp::from_ms(1_772_359_200_000).unwrap(),
        };
        let text = token.write(&keyring);
        assert_eq!(ManageToken::read(&text, &keyring), Some(token.clone()));
        assert_eq!(ManageToken::read(&text, &open()), None, "of another master key");
        for place in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[place] = if other[place] == b'A' { b'B' } else { b'A' };
            assert_eq!(ManageToken::read(std::str::from_utf8(&other).unwrap(), &keyring), None, "at {place}");
            assert_eq!(ManageToken::read(&text[..place], &keyring), None, "cut at {place}");
        }
    }
}
