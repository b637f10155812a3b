//! `/v1/agent-scope-bundles`: named sets of scopes to grant from.

use serde::Serialize;
use utoipa::ToSchema;

use super::terms::{self, EscalationTargets, GivenScope, ShownScope};
use crate::api::envelope::FieldError;
use crate::api::fields::{Fields, integer, text};
use crate::event::Bundle;
use crate::json::Value;
use crate::limits::DEFAULT_EXPIRY_DAYS_MAX;
use crate::schema::{self, Absent, Members, describe, named};
use crate::text::{AgentId, BundleId, Note, ScopeName};
use crate::time::Timestamp;

/// A bundle as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleBody {
    /// What is to be recorded.
    pub bundle: Bundle,
}

impl BundleBody {
    /// Reads the body of `POST /v1/agent-scope-bundles`.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::of(body, "body");
        let bundle_id = fields.required("id", text(BundleId::new));
        let terms = terms::parse(&mut fields);
        let default_expiry_days = fields.optional("default_expiry_days", integer(1, DEFAULT_EXPIRY_DAYS_MAX));
        let description = fields.optional("description", text(Note::new));
        match (bundle_id, terms) {
            (Some(bundle_id), Some(terms)) if fields.is_sound() => {
                let default_expiry_days = default_expiry_days.and_then(|days| u16::try_from(days).ok());
                Ok(Self { bundle: Bundle { bundle_id, terms, default_expiry_days, description } })
            }
            _ => Err(fields.into_errors()),
        }
    }
}

describe!(BundleBody, refers to [BundleId, AgentId, GivenScope, ScopeName, EscalationTargets, Note, Absent], {
    let bundle = Members::of("A set of scopes to grant from.").required("id", "The caller's own.", named::<BundleId>());
    let days = schema::integer(1, DEFAULT_EXPIRY_DAYS_MAX).examples([90]);
    terms::members(bundle)
        .optional("default_expiry_days", "How long an authorization lasts that names no end itself.", days)
        .optional("description", "For a human.", named::<Note>())
        .build()
});

/// A bundle: the answer to its create, and an item of the list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownBundleBody {
    /// The caller's own.
    pub id: BundleId,
    /// Who acts.
    pub agent_id: AgentId,
    /// `{name, constraints}` of each scope.
    #[schema(value_type = Vec<ShownScope>)]
    pub scopes: Vec<Value>,
    /// Scopes of which the user is asked each time.
    pub requires_confirm_for: Vec<ScopeName>,
    /// Scopes of which a third party is asked each time.
    pub requires_escalation_for: Vec<ScopeName>,
    /// Who is asked, by scope.
    #[schema(value_type = EscalationTargets)]
    pub escalation_targets: Value,
    /// How long an authorization lasts that names no end itself.
    #[schema(required)]
    pub default_expiry_days: Option<u16>,
    /// For a human.
    #[schema(required)]
    pub description: Option<Note>,
    /// Time of its record.
    pub created_at: Timestamp,
}

impl KnownBundleBody {
    /// The bundle as it was recorded at `created_at`.
    pub fn new(bundle: &Bundle, created_at: Timestamp) -> Self {
        let terms = &bundle.terms;
        Self {
            id: bundle.bundle_id.clone(),
            agent_id: terms.agent_id.clone(),
            scopes: terms.scopes.iter().map(terms::shown_scope).collect(),
            requires_confirm_for: terms.requires_confirm_for.clone(),
            requires_escalation_for: terms.requires_escalation_for.clone(),
            escalation_targets: Value::Object(terms::targets_object(&terms.escalation_targets)),
            default_expiry_days: bundle.default_expiry_days,
            description: bundle.description.clone(),
            created_at,
        }
    }
}

/// The answer to a delete.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeletedBundleBody {
    /// Which; the id may be used again.
    pub id: BundleId,
    /// Time of the record.
    pub deleted_at: Timestamp,
}
