//! `POST /v1/escalations/{id}/resolve`.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::receipts::PendingReceipt;
use crate::api::envelope::FieldError;
use crate::api::fields::{Fields, text};
use crate::event::Resolution;
use crate::id::{AuthorizationId, EscalationId};
use crate::json::Value;
use crate::schema::{Absent, Members, describe, named, one_of};
use crate::text::{Approver, Note, Resource, ScopeName};
use crate::time::Timestamp;

/// A third party's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveBody {
    /// The answer.
    pub resolution: Resolution,
    /// Who answers.
    pub resolved_by: Approver,
    /// For a human.
    pub note: Option<Note>,
}

impl ResolveBody {
    /// Reads the body of `POST /v1/escalations/{id}/resolve`.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::of(body, "body");
        let resolution = fields.required(
            "resolution",
            text(|text| match text {
                "approved" => Ok(Resolution::Approved),
                "rejected" => Ok(Resolution::Rejected),
                _ => Err("must be `approved` or `rejected`"),
            }),
        );
        let resolved_by = fields.required("resolved_by", text(Approver::new));
        let note = fields.optional("note", text(Note::new));
        match (resolution, resolved_by) {
            (Some(resolution), Some(resolved_by)) if fields.is_sound() => Ok(Self { resolution, resolved_by, note }),
            _ => Err(fields.into_errors()),
        }
    }
}

describe!(ResolveBody, refers to [Resolution, Approver, Note, Absent], {
    Members::of("What the third party said.")
        .required("resolution", "An approval allows once, within 24 h; a rejection denies for 24 h.", named::<Resolution>())
        .required("resolved_by", "Who says so.", named::<Approver>())
        .optional("note", "For a human.", named::<Note>())
        .build()
});

fn status() -> RefOr<Schema> {
    one_of(&["pending", "approved", "rejected", "expired"]).into()
}

/// The answer to a third party's answer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolvedBody {
    /// The escalation.
    pub escalation_id: EscalationId,
    /// `approved` or `rejected`.
    pub status: Resolution,
    /// Who answered first.
    pub resolved_by: Approver,
    /// When.
    pub resolved_at: Timestamp,
    /// Null when the same answer had been given before.
    #[schema(required)]
    pub receipt: Option<PendingReceipt>,
}

/// An escalation as it stands: the answer to `GET /v1/escalations/{id}`, and an item of the list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownEscalationBody {
    /// The escalation.
    pub escalation_id: EscalationId,
    /// `pending`, `approved`, `rejected`, or `expired` where nobody answered in time, or before a revoke.
    #[schema(schema_with = status)]
    pub status: &'static str,
    /// About which authorization.
    pub authorization_id: AuthorizationId,
    /// About which of its scopes.
    pub scope: ScopeName,
    /// On which resource.
    #[schema(required)]
    pub resource: Option<Resource>,
    /// Who is asked, null if the grant does not say.
    #[schema(required)]
    pub escalation_to: Option<Approver>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it lapses, or would have.
    pub expires_at: Timestamp,
    /// Who answered; null while nobody has.
    #[schema(required)]
    pub resolved_by: Option<Approver>,
    /// When; null while nobody has.
    #[schema(required)]
    pub resolved_at: Option<Timestamp>,
}
