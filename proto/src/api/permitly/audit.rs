//! `/v1/audit`: what happened to consents, as rows.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::query::{Parameters, one_of};
use crate::id::{AuditId, ConsentId};
use crate::text::{IpAddress, UserAgent};
use crate::time::Timestamp;

/// Something that happened to a consent. Every member is there always.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditRowBody {
    /// Names the row.
    pub id: AuditId,
    /// What happened.
    pub event_type: &'static str,
    /// `end_user`, `builder` or `system`.
    pub actor: &'static str,
    /// The consent; null for what concerns all of a person's.
    #[schema(required)]
    pub consent_id: Option<ConsentId>,
    /// The agent; null for what concerns all of a person's.
    #[schema(required)]
    pub agent_id: Option<String>,
    /// Of who looked at a page.
    #[schema(required)]
    pub ip_address: Option<IpAddress>,
    /// Of who looked at a page.
    #[schema(required)]
    pub user_agent: Option<UserAgent>,
    /// When.
    pub created_at: Timestamp,
}

/// Which rows are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Those of this consent. Opaque, as every id a caller writes.
    pub consent_id: Option<String>,
    /// Those of this kind.
    pub event_type: Option<&'static str>,
}

impl AuditQuery {
    /// What can happen.
    pub const EVENT_TYPES: &'static [&'static str] =
        &["requested", "viewed", "approved", "declined", "revoked", "expired", "verified", "verify_failed", "manage_link_created"];

    /// Reads the filters among the parameters of a query.
    pub fn read(parameters: &mut Parameters<'_>) -> Self {
        let opaque = |text: &str| Ok::<_, String>(text.to_owned());
        Self { consent_id: parameters.read("consent_id", opaque), event_type: parameters.read("event_type", one_of(Self::EVENT_TYPES)) }
    }
}
