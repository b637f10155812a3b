//! `/v1/authorizations` and `/v1/authorizations/{id}`.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::OneOfBuilder;
use utoipa::openapi::{RefOr, Schema};

use super::receipts::PendingReceipt;
use super::terms::{self, EscalationTargets, GivenScope, ShownScope};
use crate::api::envelope::FieldError;
use crate::api::fields::{Fields, integer, text};
use crate::event::Terms;
use crate::id::AuthorizationId;
use crate::json::{CanonicalObject, Value};
use crate::limits::{METADATA_BYTES_MAX, SAFE_INTEGER_MAX};
use crate::money::Micros;
use crate::schema::{self, Absent, Members, Signable, any_of, describe, named, one_of, signable_object};
use crate::text::{AgentId, BundleId, Label, Note, OpaqueId, ScopeName, UserId};
use crate::time::{GivenTimestamp, Timestamp};

/// A create as asked for; what depends on the state or the time is for the decider to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateBody {
    /// For whom the agent acts.
    pub user_id: UserId,
    /// Who may do what.
    pub source: Source,
    /// As the caller says; absent only where a bundle may say it.
    pub expires_at: Option<Timestamp>,
    /// Before this instant nothing is allowed.
    pub not_before: Option<Timestamp>,
    /// What all allows together may cost, at least 1.
    pub budget_limit: Option<Micros>,
    /// As the caller says; whether there is such an authorization is for the decider to say.
    pub replaces: Option<OpaqueId>,
    /// Can be signed, holds no reserved name.
    pub metadata: CanonicalObject,
}

/// The two shapes of a create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The request says it all.
    Inline(Terms),
    /// It is copied from this bundle.
    Bundle(BundleId),
}

/// Names of the receipt's context that metadata must not take.
const RESERVED_METADATA: [&str; 9] = [
    "scopes",
    "requires_confirm_for",
    "requires_escalation_for",
    "escalation_targets",
    "expires_at",
    "not_before",
    "budget_limit_micros",
    "replaces",
    "bundle_id",
];

impl CreateBody {
    /// Reads the body of `POST /v1/authorizations`. Which shape it has is judged by what is not absent.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::of(body, "body");
        let user_id = fields.required("user_id", text(UserId::new));
        let source = source(&mut fields);
        let is_inline = fields.get("bundle_id").is_none();
        let expires_at = if is_inline {
            fields.required("expires_at", text(Timestamp::parse))
        } else {
            fields.optional("expires_at", text(Timestamp::parse))
        };
        let not_before = fields.optional("not_before", text(Timestamp::parse));
        let budget_limit = fields.optional("budget_limit_micros", integer(1, SAFE_INTEGER_MAX)).and_then(Micros::new);
        let replaces = fields.optional("replaces", text(OpaqueId::new));
        let metadata = metadata(&mut fields);
        match (user_id, source) {
            (Some(user_id), Some(source)) if fields.is_sound() => {
                Ok(Self { user_id, source, expires_at, not_before, budget_limit, replaces, metadata })
            }
            _ => Err(fields.into_errors()),
        }
    }
}

fn source(fields: &mut Fields<'_>) -> Option<Source> {
    if fields.get("bundle_id").is_none() {
        return terms::parse(fields).map(Source::Inline);
    }
    for name in terms::MEMBERS {
        if fields.get(name).is_some() {
            fields.refuse(name, "must not be given beside `bundle_id`: the bundle says it");
        }
    }
    fields.optional("bundle_id", text(BundleId::new)).map(Source::Bundle)
}

fn metadata(fields: &mut Fields<'_>) -> CanonicalObject {
    let Some((_, metadata)) = fields.signable("metadata", &RESERVED_METADATA) else { return CanonicalObject::default() };
    if metadata.as_str().len() > METADATA_BYTES_MAX {
        fields.refuse("metadata", format!("must be at most {METADATA_BYTES_MAX} bytes as canonical JSON"));
    }
    metadata
}

describe!(CreateBody, refers to [InlineCreate, BundleCreate], {
    let shapes = OneOfBuilder::new().item(named::<InlineCreate>()).item(named::<BundleCreate>());
    shapes.description(Some("Either says everything itself, or names the bundle that does.")).into()
});

/// A create that says everything itself.
enum InlineCreate {}

describe!(InlineCreate, refers to [UserId, GivenTimestamp, AgentId, GivenScope, ScopeName, EscalationTargets, OpaqueId, Metadata, Absent], {
    let inline = Members::of("The request says everything itself.")
        .required("user_id", "For whom the agent acts.", named::<UserId>())
        .absent("bundle_id", "Given instead of the agent and its scopes.")
        .required("expires_at", "From then on nothing is allowed; must lie in the future.", named::<GivenTimestamp>());
    optional_members(terms::members(inline)).build()
});

/// A create that is copied from a bundle.
enum BundleCreate {}

describe!(BundleCreate, refers to [UserId, GivenTimestamp, BundleId, OpaqueId, Metadata, Absent], {
    let from_bundle = Members::of("Agent and scopes are copied from a bundle; what happens to it later changes nothing granted.")
        .required("user_id", "For whom the agent acts.", named::<UserId>())
        .required("bundle_id", "A live bundle of the workspace.", named::<BundleId>())
        .optional("expires_at", "Where it is absent, the bundle's `default_expiry_days` count from now.", named::<GivenTimestamp>());
    let says = "The bundle says it.";
    optional_members(terms::MEMBERS.into_iter().fold(from_bundle, |members, name| members.absent(name, says))).build()
});

fn optional_members(members: Members) -> Members {
    members
        .optional("not_before", "Before it nothing is allowed; must lie before the end.", named::<GivenTimestamp>())
        .optional(
            "budget_limit_micros",
            "What all allows together may cost, in micro-USD. Needs the plan `pro` or `enterprise`.",
            schema::integer(1, SAFE_INTEGER_MAX).examples([5_000_000]),
        )
        .optional(
            "replaces",
            "An authorization of this workspace that this one follows; that one is not revoked by it.",
            named::<OpaqueId>(),
        )
        .optional("metadata", "Its members become members of the receipt's context.", named::<Metadata>())
}

/// What a create adds to its receipt.
enum Metadata {}

describe!(Metadata, refers to [Signable], {
    let about = "Members for the receipt's context: nested at most 32 deep, at most 256 KiB as canonical JSON, and none of the names \
                 that are the server's there.";
    signable_object(&RESERVED_METADATA).description(Some(about)).into()
});

fn status() -> RefOr<Schema> {
    one_of(&["pending", "active", "expired", "revoked"]).into()
}

/// The answer to a create.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthorizationBody {
    /// The new authorization.
    pub authorization_id: AuthorizationId,
    /// Time of its record.
    pub created_at: Timestamp,
    /// As granted.
    #[schema(value_type = Timestamp)]
    pub expires_at: Option<Timestamp>,
    /// As granted; absent where it holds from the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Timestamp, required = false)]
    pub not_before: Option<Timestamp>,
    /// As granted.
    pub user_id: UserId,
    /// As granted.
    pub agent_id: AgentId,
    /// Null for an inline create.
    #[schema(required)]
    pub bundle_id: Option<BundleId>,
    /// Always there.
    pub requires_confirm_for: Vec<ScopeName>,
    /// Always there.
    pub requires_escalation_for: Vec<ScopeName>,
    /// Always there.
    #[schema(value_type = EscalationTargets)]
    pub escalation_targets: Value,
    /// What all allows together may cost; absent, as the next, where there is no budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Micros, required = false)]
    pub budget_limit_micros: Option<Micros>,
    /// What the allows given so far cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Micros, required = false)]
    pub budget_spent_micros: Option<Micros>,
    /// Always pending.
    pub receipt: PendingReceipt,
}

/// An authorization as it stands: the answer to `GET /v1/authorizations/{id}`, and an item of the list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownAuthorizationBody {
    /// The authorization.
    pub authorization_id: AuthorizationId,
    /// `pending` before its beginning, `active`, `expired` or `revoked`.
    #[schema(schema_with = status)]
    pub status: &'static str,
    /// Time of its record.
    pub created_at: Timestamp,
    /// As granted.
    #[schema(required)]
    pub expires_at: Option<Timestamp>,
    /// As granted; absent where it holds from the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Timestamp, required = false)]
    pub not_before: Option<Timestamp>,
    /// Null unless revoked.
    #[schema(required)]
    pub revoked_at: Option<Timestamp>,
    /// As granted.
    pub user_id: UserId,
    /// As granted.
    pub agent_id: AgentId,
    /// The bundle it was copied from, null for an inline create.
    #[schema(required)]
    pub bundle_id: Option<BundleId>,
    /// `{name, constraints}` of each scope.
    #[schema(value_type = Vec<ShownScope>)]
    pub scopes: Vec<Value>,
    /// As granted.
    pub requires_confirm_for: Vec<ScopeName>,
    /// As granted.
    pub requires_escalation_for: Vec<ScopeName>,
    /// As granted.
    #[schema(value_type = EscalationTargets)]
    pub escalation_targets: Value,
    /// The authorization it follows.
    #[schema(required)]
    pub replaces: Option<AuthorizationId>,
    /// What all allows together may cost; absent, as the next, where there is no budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Micros, required = false)]
    pub budget_limit_micros: Option<Micros>,
    /// What the allows given so far cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Micros, required = false)]
    pub budget_spent_micros: Option<Micros>,
}

/// A revoke as asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RevokeBody {
    /// Who revokes; `superseded` wherever `superseded_by` is given, whatever else the caller says.
    pub revoked_by: Option<Label>,
    /// What takes its place; whether there is such an authorization is for the decider to say.
    pub superseded_by: Option<OpaqueId>,
    /// For a human.
    pub notes: Option<Note>,
}

impl RevokeBody {
    /// Reads the body of `DELETE /v1/authorizations/{id}`, which may be absent.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::of(body, "body");
        let given_by = fields.optional("revoked_by", text(Label::new));
        let superseded_by = fields.optional("superseded_by", text(OpaqueId::new));
        let notes = fields.optional("notes", text(Note::new));
        let revoked_by = if superseded_by.is_some() { Label::new("superseded").ok() } else { given_by };
        if fields.is_sound() { Ok(Self { revoked_by, superseded_by, notes }) } else { Err(fields.into_errors()) }
    }
}

describe!(RevokeBody, refers to [Label, OpaqueId, Note, Absent], {
    let members = Members::of("Why it ends, if anybody wants to say.")
        .optional("revoked_by", "`user`, `admin`, `expired`, `tombstone`, `superseded` or another short label.", named::<Label>())
        .optional("superseded_by", "Another authorization of this workspace; makes `revoked_by` `superseded`.", named::<OpaqueId>())
        .optional("notes", "For a human.", named::<Note>());
    any_of([members.build(), named::<Absent>()]).into()
});

/// The answer to a revoke.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokedBody {
    /// What was revoked.
    pub authorization_id: AuthorizationId,
    /// Time of the record.
    pub revoked_at: Timestamp,
    /// Always pending.
    pub receipt: PendingReceipt,
}
