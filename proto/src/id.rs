//! Ids: 16 bytes inside, a prefix and 26 characters of Crockford base32 only in text.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// What ids look like in the OpenAPI document: minted at 2026-03-01T10:00:00Z.
const EXAMPLE: Ulid = Ulid::from_parts(1_772_359_200_000, 1);

/// Writes the ids this project knows; each kind is a type, so one cannot stand for another.
macro_rules! id {
    ($(#[doc = $doc:literal])* $name:ident, $prefix:literal) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// What the text form begins with.
            pub const PREFIX: &'static str = $prefix;

            /// The id with these 16 bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(u128::from_be_bytes(bytes))
            }

            /// The 16 bytes, big-endian, as stored.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.to_be_bytes()
            }

            /// Reads the text form, and only the very text this id is written as.
            ///
            /// Nothing means that no such id was ever given out: ids are opaque to callers, so an unreadable
            /// one is merely unknown.
            pub fn parse(text: &str) -> Option<Self> {
                let text = text.strip_prefix(Self::PREFIX)?;
                let ulid = Ulid::from_string(text).ok()?;
                (*ulid.array_to_str(&mut [0; ulid::ULID_LEN]) == *text).then_some(Self(ulid.0))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Self::PREFIX)?;
                fmt::Display::fmt(&Ulid(self.0), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.to_bytes().serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <[u8; 16]>::deserialize(deserializer).map(Self::from_bytes)
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let pattern = concat!("^", $prefix, "[0-7][0-9A-HJKMNP-TV-Z]{25}$");
                crate::schema::patterned(concat!($($doc),*), pattern, &Self(EXAMPLE.0).to_string()).into()
            }
        }

        impl ToSchema for $name {}
    };
}

id!(
    /// A tenant: owner of a chain, of keys and of everything behind them.
    WorkspaceId, "ws_"
);
id!(
    /// The public part of an API key; its secret is never stored.
    ApiKeyId, "ak_"
);
id!(
    /// A signing key: the first 16 bytes of BLAKE3 over its public bytes, so an id cannot be reused for another key.
    KeyId, "key_"
);
id!(
    /// A recorded permission, or the short-lived confirmation of one scope of it.
    AuthorizationId, "auth_"
);
id!(
    /// A receipt; its first 48 bits are the milliseconds of the record it is made from.
    ReceiptId, "rcp_"
);
id!(
    /// What a confirm answer asks the user to resolve.
    Nonce, "cnf_"
);
id!(
    /// What an escalate answer asks a third party to resolve.
    EscalationId, "esc_"
);

id!(
    /// A mark on a resource that denies every check of it.
    TombstoneId, "tmb_"
);

id!(
    /// A request for consent: 128 bits of chance, since whoever has the link to its page may answer it.
    ConsentId, "cr_"
);
id!(
    /// An agent that people are asked to consent to.
    ConsentAgentId, "ag_"
);
id!(
    /// A consent token, its claim `jti`; the token itself is never stored.
    TokenId, "tok_"
);
id!(
    /// What a webhook tells: the same in every attempt.
    WebhookId, "evt_"
);
id!(
    /// A row of the audit list; its first 48 bits are the milliseconds of what it tells.
    AuditId, "aud_"
);

id!(
    /// A workspace as a payment permission names it: the same 16 bytes.
    OrgId, "org_"
);
id!(
    /// An API key as a payment permission names it: the public part of the key, by the same 16 bytes.
    OrgKeyId, "key_"
);
id!(
    /// An agent that was registered, to be given delegations.
    RegisteredAgentId, "agt_"
);
id!(
    /// A public key of a registered agent.
    CredentialId, "crd_"
);
id!(
    /// A device that was registered.
    DeviceId, "dev_"
);
id!(
    /// A delegation: the authorization with the same 16 bytes.
    DelegationId, "dlg_"
);
id!(
    /// The terms by which a delegation decides: the same 16 bytes as it.
    PolicyId, "pol_"
);
id!(
    /// A decision about a payment: the same 16 bytes as its receipt.
    DecisionId, "dec_"
);
id!(
    /// What proves something: the receipt with the same 16 bytes.
    ProofId, "prf_"
);
id!(
    /// The record of something in the log: the same 16 bytes as its receipt.
    AuditEventId, "evt_"
);
id!(
    /// What an agent wants to pay.
    PaymentIntentId, "pin_"
);
id!(
    /// A token that is paid with where the server cannot be asked.
    OfflineTokenId, "oft_"
);
id!(
    /// A payment that a device made with such a token and has told of since.
    OfflineTransactionId, "otx_"
);

/// Ids that are other names of the same thing.
macro_rules! same {
    ($($name:ident is $of:ident,)*) => {
        $(
            impl From<$of> for $name {
                fn from(id: $of) -> Self {
                    Self(id.0)
                }
            }

            impl From<$name> for $of {
                fn from(id: $name) -> Self {
                    Self(id.0)
                }
            }
        )*
    };
}

same! {
    OrgId is WorkspaceId,
    OrgKeyId is ApiKeyId,
    DelegationId is AuthorizationId,
    PolicyId is AuthorizationId,
    DecisionId is ReceiptId,
    ProofId is ReceiptId,
    AuditEventId is ReceiptId,
}

impl WorkspaceId {
    /// Milliseconds since the epoch at which the workspace was made.
    pub const fn time_ms(self) -> u64 {
        Ulid(self.0).timestamp_ms()
    }
}

impl ReceiptId {
    /// Milliseconds since the epoch at which the receipt's record was written.
    pub const fn time_ms(self) -> u64 {
        Ulid(self.0).timestamp_ms()
    }
}

impl AuthorizationId {
    /// Milliseconds since the epoch at which the authorization was recorded.
    pub const fn time_ms(self) -> u64 {
        Ulid(self.0).timestamp_ms()
    }
}

impl EscalationId {
    /// Milliseconds since the epoch at which the question was opened.
    pub const fn time_ms(self) -> u64 {
        Ulid(self.0).timestamp_ms()
    }
}

impl AuditId {
    /// The row of what happened at this instant; `hash` tells it from others of the same millisecond.
    pub fn new(time_ms: u64, hash: &[u8; 32]) -> Self {
        let random = hash.first_chunk::<16>().map_or(0, |bytes| u128::from_be_bytes(*bytes));
        Self(Ulid::from_parts(time_ms, random).0)
    }

    /// Milliseconds since the epoch of what it tells.
    pub const fn time_ms(self) -> u64 {
        Ulid(self.0).timestamp_ms()
    }
}

impl KeyId {
    /// The id of the key with these public bytes.
    pub fn of(public_key: &[u8]) -> Self {
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(blake3::hash(public_key).as_bytes()) {
            *to = *from;
        }
        Self::from_bytes(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_agree() {
        let id = ReceiptId::from_bytes([0x01; 16]);
        let text = id.to_string();
        assert_eq!(text.len(), 4 + 26);
        assert_eq!(ReceiptId::parse(&text), Some(id));
        assert_eq!(id.to_bytes(), [1; 16]);
    }

    #[test]
    fn only_the_written_form_is_read() {
        let text = ReceiptId::from_bytes([0x1f; 16]).to_string();
        for other in [
            text.to_lowercase(),
            text.replacen("rcp_", "auth_", 1),
            format!("{text} "),
            text[..29].to_owned(),
            String::new(),
            "rcp_".to_owned(),
            "rcp_ZZZZZZZZZZZZZZZZZZZZZZZZZZ".to_owned(),
        ] {
            assert_eq!(ReceiptId::parse(&other), None, "{other}");
        }
    }
}
