//! Bodies of `/v1/orgs` and `/v1/api-keys`.

use serde::Serialize;
use utoipa::ToSchema;

use super::members::{metadata, opaque};
use super::spelling::snake_case;
use crate::api::envelope::FieldError;
use crate::api::fields::{Fields, text};
use crate::id::{OrgId, OrgKeyId};
use crate::json::{CanonicalObject, Value};
use crate::schema::{Absent, Members, describe, named};
use crate::text::{Name, OpaqueId};
use crate::time::Timestamp;

use super::members::OwnMetadata;

/// An org as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgBody {
    /// What people call it.
    pub name: Name,
    /// The caller's own.
    pub metadata: CanonicalObject,
}

impl OrgBody {
    /// Reads the body of `POST /v1/orgs`.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let body = snake_case(body);
        let mut fields = Fields::of(&body, "body");
        let name = fields.required("name", text(Name::new));
        let metadata = metadata(&mut fields);
        match name {
            Some(name) if fields.is_sound() => Ok(Self { name, metadata }),
            _ => Err(fields.into_errors()),
        }
    }
}

describe!(OrgBody, refers to [Name, OwnMetadata, Absent], {
    Members::of("An org to be made.")
        .required("name", "What people call it.", named::<Name>())
        .optional("metadata", "Your own.", named::<OwnMetadata>())
        .build()
});

/// An API key as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgKeyBody {
    /// Of which org; nothing if what is named is no org at all.
    pub org: Option<OrgId>,
    /// What people call it.
    pub name: Option<Name>,
}

impl OrgKeyBody {
    /// Reads the body of `POST /v1/api-keys`.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let body = snake_case(body);
        let mut fields = Fields::of(&body, "body");
        let org = fields.required("org_id", opaque);
        let name = fields.optional("name", text(Name::new));
        match org {
            Some(org) if fields.is_sound() => Ok(Self { org: OrgId::parse(org.as_str()), name }),
            _ => Err(fields.into_errors()),
        }
    }
}

describe!(OrgKeyBody, refers to [OpaqueId, Name, Absent], {
    Members::of("An API key to be made. Members may be spelt with underscores as well: `org_id`.")
        .required("orgId", "Of which org.", named::<OpaqueId>())
        .optional("name", "What people call it.", named::<Name>())
        .build()
});

/// An org that was made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct OrgCreatedBody {
    /// The new org.
    pub id: OrgId,
    /// The same.
    #[serde(rename = "org_id")]
    pub org_id: OrgId,
    /// What people call it.
    pub name: Name,
    /// Always `active`.
    pub status: &'static str,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An API key that was made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct OrgKeyCreatedBody {
    /// Its public part.
    pub id: OrgKeyId,
    /// The key, in this answer and nowhere else.
    pub key: String,
    /// The same.
    #[serde(rename = "api_key")]
    pub api_key: String,
    /// What the key begins with, up to and including its public part.
    pub key_prefix: String,
    /// Of which org.
    pub org_id: OrgId,
    /// When it was made.
    pub created_at: Timestamp,
}
