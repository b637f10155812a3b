//! Bodies of `/v1/agents`.

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::VerifyingKey;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::members::{OwnBody, OwnMetadata, metadata, opaque};
use super::spelling::snake_case;
use crate::api::envelope::FieldError;
use crate::api::fields::{Fields, text};
use crate::event::{AgentKind, AgentStatus};
use crate::id::{CredentialId, OrgId, RegisteredAgentId};
use crate::json::{CanonicalObject, Value};
use crate::schema::{Absent, Members, any_of, describe, named, one_of, patterned};
use crate::text::{Name, OpaqueId};
use crate::time::{GivenTimestamp, Timestamp};

/// An agent as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterAgentBody {
    /// What people call it.
    pub name: Name,
    /// What it is.
    pub kind: AgentKind,
    /// Whose it is to be; nothing if what is named is no org at all.
    pub owner: Option<OrgId>,
    /// The caller's own.
    pub metadata: CanonicalObject,
}

impl RegisterAgentBody {
    /// Reads the body of `POST /v1/agents`.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let body = snake_case(body);
        let mut fields = Fields::of(&body, "body");
        let name = fields.required("name", text(Name::new));
        let kind = fields.required("type", text(kind));
        let owner = fields.required("owner_org_id", opaque);
        let metadata = metadata(&mut fields);
        match (name, kind, owner) {
            (Some(name), Some(kind), Some(owner)) if fields.is_sound() => {
                Ok(Self { name, kind, owner: OrgId::parse(owner.as_str()), metadata })
            }
            _ => Err(fields.into_errors()),
        }
    }
}

fn kind(text: &str) -> Result<AgentKind, String> {
    AgentKind::parse(text).ok_or_else(|| format!("must be one of `{}`", AgentKind::ALL.map(AgentKind::as_str).join("`, `")))
}

describe!(RegisterAgentBody, refers to [Name, AgentKind, OpaqueId, OwnMetadata, Absent], {
    Members::of("An agent to be registered. Members may be spelt with underscores as well: `owner_org_id`.")
        .required("name", "What people call it.", named::<Name>())
        .required("type", "What it is.", named::<AgentKind>())
        .required("ownerOrgId", "Whose it is: the org of the API key.", named::<OpaqueId>())
        .optional("metadata", "Your own.", named::<OwnMetadata>())
        .build()
});

/// A credential as asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CredentialBody {
    /// Ed25519; one is made if none is given.
    pub public_key: Option<[u8; 32]>,
    /// From this instant on it proves nothing.
    pub expires_at: Option<Timestamp>,
}

/// What a credential can be called: all of them are Ed25519.
const CREDENTIAL_TYPES: [&str; 3] = ["ed25519", "Ed25519", "public_key"];

impl CredentialBody {
    /// Reads the body of `POST /v1/agents/{id}/credentials`, which may be absent.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let body = snake_case(body);
        let mut fields = Fields::of(&body, "body");
        fields.optional(
            "type",
            text(|text| match CREDENTIAL_TYPES.contains(&text) {
                true => Ok(()),
                false => Err("must be `ed25519`, which all credentials are"),
            }),
        );
        let public_key = fields.optional("public_key", text(public_key));
        let expires_at = fields.optional("expires_at", text(Timestamp::parse));
        if fields.is_sound() { Ok(Self { public_key, expires_at }) } else { Err(fields.into_errors()) }
    }
}

/// A key that something can be verified with: 32 bytes in base64url, or in base64.
fn public_key(text: &str) -> Result<[u8; 32], &'static str> {
    let plain = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
    let bytes = BASE64URL_NOPAD.decode(plain.as_bytes()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let bytes = bytes.ok_or("must be the 32 bytes of an Ed25519 public key in base64url")?;
    match VerifyingKey::from_bytes(&bytes) {
        Ok(key) if !key.is_weak() => Ok(bytes),
        Ok(_) | Err(_) => Err("is no public key of Ed25519"),
    }
}

describe!(CredentialBody, refers to [GivenTimestamp, Absent], {
    let key = patterned("32 bytes in base64url, or in base64.", "^[A-Za-z0-9_+/-]{43}=*$", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    let members = Members::of("A key to be made, or one that is yours already. Of an empty body a pair of keys is made.")
        .optional("type", "All credentials are Ed25519.", one_of(&CREDENTIAL_TYPES))
        .optional("public_key", "Your own; of a pair that is made here you get the private half once.", key)
        .optional("expires_at", "From then on it proves nothing.", named::<GivenTimestamp>());
    any_of([members.build(), named::<Absent>()]).into()
});

/// A registered agent. Every member is there always.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisteredAgentBody {
    /// The agent.
    pub id: RegisteredAgentId,
    /// The same.
    pub agent_id: RegisteredAgentId,
    /// What people call it.
    pub name: Name,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: AgentKind,
    /// Whether it may act.
    pub status: AgentStatus,
    /// Whose it is.
    #[serde(rename = "ownerOrgId")]
    pub owner_org_id: OrgId,
    /// Yours.
    #[schema(value_type = OwnMetadata)]
    pub metadata: OwnBody,
    /// When it was registered.
    #[serde(rename = "createdAt")]
    pub created_at: Timestamp,
}

/// A credential of an agent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialCreatedBody {
    /// The new credential.
    pub credential_id: CredentialId,
    /// Whose it is.
    pub agent_id: RegisteredAgentId,
    /// Always `ed25519`.
    #[serde(rename = "type")]
    #[schema(schema_with = credential_type)]
    pub kind: &'static str,
    /// Always `Ed25519`.
    pub algorithm: &'static str,
    /// base64url of 32 bytes.
    pub public_key: String,
    /// The other half of a pair that was made here, as base64url of its 32 bytes: in this answer and nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub private_key: Option<String>,
    /// Always `active`.
    pub status: &'static str,
    /// When it was made.
    pub created_at: Timestamp,
    /// From then on it proves nothing.
    #[schema(required)]
    pub expires_at: Option<Timestamp>,
}

fn credential_type() -> RefOr<Schema> {
    one_of(&["ed25519"]).into()
}
