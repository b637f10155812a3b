//! `/v1/tombstones`: resources closed to every agent of the workspace.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::envelope::FieldError;
use crate::api::fields::{Fields, text};
use crate::id::TombstoneId;
use crate::json::Value;
use crate::schema::{Absent, Members, describe, named};
use crate::text::{Note, Resource};
use crate::time::Timestamp;

/// A tombstone as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TombstoneBody {
    /// What is to be closed, exactly.
    pub resource: Resource,
    /// For a human.
    pub reason: Option<Note>,
}

impl TombstoneBody {
    /// Reads the body of `POST /v1/tombstones`.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::of(body, "body");
        let resource = fields.required("resource", text(Resource::new));
        let reason = fields.optional("reason", text(Note::new));
        match resource {
            Some(resource) if fields.is_sound() => Ok(Self { resource, reason }),
            _ => Err(fields.into_errors()),
        }
    }
}

describe!(TombstoneBody, refers to [Resource, Note, Absent], {
    Members::of("A resource to be closed.")
        .required("resource", "What is to be closed, compared exactly.", named::<Resource>())
        .optional("reason", "For a human.", named::<Note>())
        .build()
});

/// A live tombstone: the answer to its create, and an item of the list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownTombstoneBody {
    /// The tombstone.
    pub tombstone_id: TombstoneId,
    /// What is closed.
    pub resource: Resource,
    /// For a human.
    #[schema(required)]
    pub reason: Option<Note>,
    /// Time of its record.
    pub created_at: Timestamp,
}

/// The answer to a delete.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LiftedTombstoneBody {
    /// The tombstone.
    pub tombstone_id: TombstoneId,
    /// What is open again.
    pub resource: Resource,
    /// Time of the record.
    pub lifted_at: Timestamp,
}
