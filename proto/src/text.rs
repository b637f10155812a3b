//! Customers' strings: bounded types, checked once at the edge and trusted afterwards. Most are short, and up to 24 bytes
//! need no memory of their own.

use std::fmt;

use compact_str::CompactString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::event::{PaymentEvent, TokenVerified};
use crate::limits;

/// A string outside its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {min} to {max} bytes long")]
pub struct LengthError {
    min: usize,
    max: usize,
}

macro_rules! bounded_text {
    ($(#[doc = $doc:literal])* $name:ident, $min:expr, $max:expr) => {
        $(#[doc = $doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(CompactString); // INVARIANT: between $min and $max bytes

        impl $name {
            /// Takes the text if its length in bytes is within the bounds.
            ///
            /// # Errors
            /// Names the bounds.
            pub fn new(text: &str) -> Result<Self, LengthError> {
                if ($min..=$max).contains(&text.len()) {
                    Ok(Self(text.into()))
                } else {
                    Err(LengthError { min: $min, max: $max })
                }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = CompactString::deserialize(deserializer)?;
                if ($min..=$max).contains(&text.len()) {
                    Ok(Self(text))
                } else {
                    Err(serde::de::Error::custom(LengthError { min: $min, max: $max }))
                }
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                crate::schema::text(concat!($($doc),*), $min, $max)
            }
        }

        impl ToSchema for $name {}
    };
}

bounded_text!(
    /// The person an agent acts for: opaque, 1 to 256 bytes.
    UserId, 1, limits::USER_ID_BYTES_MAX
);
bounded_text!(
    /// The agent that acts: opaque, 1 to 256 bytes.
    AgentId, 1, limits::AGENT_ID_BYTES_MAX
);
bounded_text!(
    /// What may be done, dotted by convention (`email.send`): 1 to 128 bytes.
    ScopeName, 1, limits::SCOPE_NAME_BYTES_MAX
);
bounded_text!(
    /// What it is done to: up to 512 bytes, compared exactly.
    Resource, 0, limits::RESOURCE_BYTES_MAX
);
bounded_text!(
    /// The caller's own session: up to 256 bytes.
    SessionId, 0, limits::SESSION_ID_BYTES_MAX
);
bounded_text!(
    /// A third party who resolves escalations: opaque, 1 to 128 bytes.
    Approver, 1, limits::APPROVER_BYTES_MAX
);
bounded_text!(
    /// Who revoked (`user`, `admin`, `expired`, `superseded` ...): 1 to 128 bytes.
    Label, 1, limits::LABEL_BYTES_MAX
);
bounded_text!(
    /// Free text for a human: up to 512 bytes.
    Note, 0, limits::NOTE_BYTES_MAX
);
bounded_text!(
    /// `*` matches any run of characters, all else itself: up to 256 bytes.
    Pattern, 0, limits::PATTERN_BYTES_MAX
);
bounded_text!(
    /// One string of a list constraint: up to 256 bytes.
    ConstraintItem, 0, limits::CONSTRAINT_ITEM_BYTES_MAX
);
bounded_text!(
    /// Name of a workspace or of an API key: 1 to 128 bytes.
    Name, 1, limits::NAME_BYTES_MAX
);
bounded_text!(
    /// An id as a caller wrote it: its alphabet is never judged, 1 to 256 bytes.
    OpaqueId, 1, limits::OPAQUE_ID_BYTES_MAX
);
bounded_text!(
    /// A bundle's id, which is the caller's own: 1 to 128 bytes.
    BundleId, 1, limits::BUNDLE_ID_BYTES_MAX
);
bounded_text!(
    /// What a caller names one call, so that its retry is told apart from another: 1 to 255 bytes.
    IdempotencyKey, 1, limits::IDEMPOTENCY_KEY_BYTES_MAX
);
bounded_text!(
    /// The member of the caller's context that a condition looks at; dots are no path: 1 to 128 bytes.
    ConditionField, 1, limits::CONDITION_FIELD_BYTES_MAX
);
bounded_text!(
    /// A string that a condition compares with: up to 256 bytes.
    ConditionText, 0, limits::CONDITION_TEXT_BYTES_MAX
);
bounded_text!(
    /// An email address, which is merely shown: 1 to 320 bytes.
    Email, 1, limits::EMAIL_BYTES_MAX
);
bounded_text!(
    /// What a person reads as the name of a scope: 1 to 256 bytes.
    ScopeLabel, 1, limits::SCOPE_LABEL_BYTES_MAX
);
bounded_text!(
    /// What a person reads about a scope: up to 1024 bytes.
    ScopeDescription, 0, limits::SCOPE_DESCRIPTION_BYTES_MAX
);
bounded_text!(
    /// An address of the internet as a visitor's connection has it: up to 45 bytes.
    IpAddress, 1, limits::IP_ADDRESS_BYTES_MAX
);
bounded_text!(
    /// What a visitor's browser calls itself: up to 512 bytes.
    UserAgent, 0, limits::USER_AGENT_BYTES_MAX
);
bounded_text!(
    /// Where webhooks go to: up to 2048 bytes.
    WebhookUrl, 1, limits::URL_BYTES_MAX
);

bounded_text!(
    /// Who is paid: opaque, 1 to 128 bytes.
    MerchantId, 1, limits::MERCHANT_ID_BYTES_MAX
);
bounded_text!(
    /// What kind of merchant is paid, a category code or a word: 1 to 64 bytes.
    Category, 1, limits::CATEGORY_BYTES_MAX
);
bounded_text!(
    /// How it is paid (`online`, `terminal` ...): 1 to 32 bytes.
    Channel, 1, limits::CHANNEL_BYTES_MAX
);
bounded_text!(
    /// What a device calls one payment, so that it can tell of it twice: 1 to 128 bytes.
    ClientRef, 1, limits::CLIENT_REF_BYTES_MAX
);

impl ScopeName {
    /// Takes a name that a caller gives to a scope: not one that receipts of something else have, or a check of it would look like that.
    ///
    /// # Errors
    /// Names the bounds, or what the name stands for.
    pub fn given(text: &str) -> Result<Self, String> {
        if text == TokenVerified::SCOPE || PaymentEvent::SCOPES.contains(&text) {
            return Err("is a name the server uses".to_owned());
        }
        Self::new(text).map_err(|error| error.to_string())
    }
}
