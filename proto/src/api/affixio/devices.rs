//! Bodies of `/v1/devices`.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::members::{OwnBody, OwnMetadata, metadata, own};
use super::spelling::snake_case;
use crate::api::envelope::FieldError;
use crate::api::fields::{Fields, text};
use crate::id::DeviceId;
use crate::json::{CanonicalObject, Value};
use crate::schema::{Absent, Members, any_of, describe, named, one_of};
use crate::text::{Name, Note};
use crate::time::Timestamp;

/// A device as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterDeviceBody {
    /// What people call it.
    pub name: Option<Name>,
    /// What it is, in the caller's words.
    pub kind: Option<Name>,
    /// The caller's own.
    pub metadata: CanonicalObject,
}

impl RegisterDeviceBody {
    /// Reads the body of `POST /v1/devices`, which may be absent.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let body = snake_case(body);
        let mut fields = Fields::of(&body, "body");
        let name = fields.optional("name", text(Name::new));
        let kind = fields.optional("type", text(Name::new));
        let metadata = metadata(&mut fields);
        if fields.is_sound() { Ok(Self { name, kind, metadata }) } else { Err(fields.into_errors()) }
    }
}

describe!(RegisterDeviceBody, refers to [Name, OwnMetadata, Absent], {
    let members = Members::of("A device to be registered; it is trusted from then on.")
        .optional("name", "What people call it.", named::<Name>())
        .optional("type", "What it is, in your words.", named::<Name>())
        .optional("metadata", "Your own.", named::<OwnMetadata>());
    any_of([members.build(), named::<Absent>()]).into()
});

/// What is said of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestBody {
    /// Nobody but the caller judges it.
    pub attestation: CanonicalObject,
}

impl AttestBody {
    /// Reads the body of `POST /v1/devices/{id}/attest`, which may be absent.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let body = snake_case(body);
        let mut fields = Fields::of(&body, "body");
        let attestation = own(&mut fields, "attestation", &[]);
        if fields.is_sound() { Ok(Self { attestation }) } else { Err(fields.into_errors()) }
    }
}

describe!(AttestBody, refers to [OwnMetadata, Absent], {
    let members = Members::of("Who vouches for a device, and how.").optional("attestation", "Recorded; nobody but you judges it.", named::<OwnMetadata>());
    any_of([members.build(), named::<Absent>()]).into()
});

/// Why a device is not trusted any more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RevokeDeviceBody {
    /// For a human.
    pub reason: Option<Note>,
}

impl RevokeDeviceBody {
    /// Reads the body of `POST /v1/devices/{id}/revoke`, which may be absent.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let body = snake_case(body);
        let mut fields = Fields::of(&body, "body");
        let reason = fields.optional("reason", text(Note::new));
        if fields.is_sound() { Ok(Self { reason }) } else { Err(fields.into_errors()) }
    }
}

describe!(RevokeDeviceBody, refers to [Note, Absent], {
    let members = Members::of("Why, if anybody wants to say.").optional("reason", "For a human.", named::<Note>());
    any_of([members.build(), named::<Absent>()]).into()
});

/// A registered device. Every member is there always.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceBody {
    /// The device.
    pub id: DeviceId,
    /// The same.
    pub device_id: DeviceId,
    /// What people call it.
    #[schema(required)]
    pub name: Option<Name>,
    /// What it is, in your words.
    #[serde(rename = "type")]
    #[schema(required)]
    pub kind: Option<Name>,
    /// `active` or `revoked`.
    #[schema(schema_with = device_status)]
    pub status: &'static str,
    /// When it was last vouched for.
    #[schema(required)]
    pub attested_at: Option<Timestamp>,
    /// Yours.
    #[schema(value_type = OwnMetadata)]
    pub metadata: OwnBody,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was revoked.
    #[schema(required)]
    pub revoked_at: Option<Timestamp>,
}

fn device_status() -> RefOr<Schema> {
    one_of(&["active", "revoked"]).into()
}
