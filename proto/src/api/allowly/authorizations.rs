//! `POST /v1/authorizations` and `DELETE /v1/authorizations/{id}`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::receipts::PendingReceipt;
use crate::api::envelope::FieldError;
use crate::api::fields::{Fields, integer, is_absent, text, wrong_kind};
use crate::event::{Constraints, Grant};
use crate::id::AuthorizationId;
use crate::json::{CanonicalObject, Object, Value};
use crate::limits::{CONSTRAINT_LIST_MAX, METADATA_BYTES_MAX, SAFE_INTEGER_MAX, SCOPES_GRANTED_MAX};
use crate::text::{AgentId, Approver, ConstraintItem, Label, Note, OpaqueId, Pattern, ScopeName, UserId};
use crate::time::Timestamp;

/// A create as asked for; that `expires_at` lies ahead is for the decider to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateBody {
    /// For whom the agent acts.
    pub user_id: UserId,
    /// Who acts.
    pub agent_id: AgentId,
    /// 1 to 100, each name once.
    pub scopes: Vec<Grant>,
    /// Each is granted; each once.
    pub requires_confirm_for: Vec<ScopeName>,
    /// Each is granted; each once.
    pub requires_escalation_for: Vec<ScopeName>,
    /// Each is granted; in canonical order of the names.
    pub escalation_targets: Vec<(ScopeName, Approver)>,
    /// As the caller says.
    pub expires_at: Timestamp,
    /// As the caller says; whether there is such an authorization is for the decider to say.
    pub replaces: Option<OpaqueId>,
    /// Can be signed, holds no reserved name.
    pub metadata: CanonicalObject,
}

/// Names of the receipt's context that metadata must not take.
const RESERVED_METADATA: [&str; 8] = [
    "scopes",
    "requires_confirm_for",
    "requires_escalation_for",
    "escalation_targets",
    "expires_at",
    "budget_limit_micros",
    "replaces",
    "bundle_id",
];

/// What this release cannot enforce. A limit must never be dropped silently, so asking for one is refused.
const NOT_OFFERED: [&str; 2] = ["bundle_id", "budget_limit_micros"];

impl CreateBody {
    /// Reads the body of `POST /v1/authorizations`.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::of(body, "body");
        for name in NOT_OFFERED {
            if fields.get(name).is_some() {
                fields.refuse(name, "is not offered by this release");
            }
        }
        let user_id = fields.required("user_id", text(UserId::new));
        let agent_id = fields.required("agent_id", text(AgentId::new));
        let expires_at = fields.required("expires_at", text(Timestamp::parse));
        let replaces = fields.optional("replaces", text(OpaqueId::new));
        let scopes = scopes(&mut fields);
        let granted = |name: &ScopeName| scopes.iter().any(|s| s.name == *name);
        let requires_confirm_for = listed(&mut fields, "requires_confirm_for", granted);
        let requires_escalation_for = listed(&mut fields, "requires_escalation_for", granted);
        let escalation_targets = targets(&mut fields, granted);
        let metadata = metadata(&mut fields);
        match (user_id, agent_id, expires_at) {
            (Some(user_id), Some(agent_id), Some(expires_at)) if fields.is_sound() => Ok(Self {
                user_id,
                agent_id,
                scopes,
                requires_confirm_for,
                requires_escalation_for,
                escalation_targets,
                expires_at,
                replaces,
                metadata,
            }),
            _ => Err(fields.into_errors()),
        }
    }
}

fn scopes(fields: &mut Fields<'_>) -> Vec<Grant> {
    if !fields.require("scopes") {
        return Vec::new();
    }
    let scopes = fields.items("scopes", SCOPES_GRANTED_MAX, scope);
    let mut seen = std::collections::BTreeSet::new();
    if let Some(twice) = scopes.iter().find(|s| !seen.insert(&s.name)) {
        fields.refuse("scopes", format!("names `{}` more than once", twice.name));
    }
    scopes
}

fn scope(item: &Value, path: &str, errors: &mut Vec<FieldError>) -> Option<Grant> {
    if let Value::Text(name) = item {
        return match ScopeName::new(name) {
            Ok(name) => Some(Grant { name, constraints: None }),
            Err(e) => {
                errors.push(FieldError::new(path, e.to_string()));
                None
            }
        };
    }
    let mut fields = Fields::of(item, path);
    let name = fields.required("name", text(ScopeName::new));
    let constraints = fields.get("constraints").and_then(|value| constraints(value, &format!("{path}.constraints"), &mut fields));
    errors.extend(fields.into_errors());
    Some(Grant { name: name?, constraints: constraints.map(Box::new) })
}

fn constraints(value: &Value, path: &str, outer: &mut Fields<'_>) -> Option<Constraints> {
    let mut fields = Fields::of(value, path);
    let mut constraints = Constraints::default();
    let known = ["max_per_day", "resource_pattern", "allowed_initiators", "allowed_domains", "allowed_fields"];
    for (name, value) in value.as_object().into_iter().flat_map(Object::iter) {
        let empty_list = matches!(value, Value::Array(items) if items.is_empty());
        if known.contains(&name) || is_absent(value) && !empty_list {
            continue;
        }
        // An empty condition list limits nothing, so clients that always send one lose nothing.
        if !(empty_list && ["confirm_when", "escalate_when", "deny_when"].contains(&name)) {
            fields.refuse(name, "is not a constraint this release enforces");
        }
    }
    // `[]` and `{}` mean absent elsewhere; here they could be a limit that somebody meant.
    for name in ["max_per_day", "resource_pattern"] {
        if let Some(given) = value.as_object().and_then(|o| o.get(name)).filter(|given| is_absent(given) && **given != Value::Null) {
            fields.refuse(name, format!("must not be {}", given.kind()));
        }
    }
    constraints.max_per_day = fields.optional("max_per_day", integer(1, SAFE_INTEGER_MAX)).and_then(|n| u64::try_from(n).ok());
    constraints.resource_pattern = fields.optional("resource_pattern", text(Pattern::new));
    constraints.allowed_initiators = list(&mut fields, value, "allowed_initiators", path);
    constraints.allowed_domains = list(&mut fields, value, "allowed_domains", path);
    constraints.allowed_fields = list(&mut fields, value, "allowed_fields", path);
    let initiators = value.as_object().and_then(|o| o.get("allowed_initiators"));
    if matches!(initiators, Some(Value::Array(items)) if items.is_empty()) {
        fields.refuse("allowed_initiators", "must name at least one initiator");
    }
    let sound = fields.is_sound();
    outer.absorb(fields.into_errors());
    (sound && constraints != Constraints::default()).then_some(constraints)
}

/// A list constraint; one that is there but empty is signed as it was given.
fn list(fields: &mut Fields<'_>, constraints: &Value, name: &str, path: &str) -> Option<Vec<ConstraintItem>> {
    let value = constraints.as_object()?.get(name)?;
    let Value::Array(items) = value else {
        if *value != Value::Null {
            fields.refuse(name, wrong_kind("an array of strings", value));
        }
        return None;
    };
    if items.len() > CONSTRAINT_LIST_MAX {
        fields.refuse(name, format!("must be at most {CONSTRAINT_LIST_MAX} strings"));
        return None;
    }
    let mut out = Vec::new();
    for (i, item) in items.iter().enumerate() {
        match text(ConstraintItem::new)(item) {
            Ok(item) => out.push(item),
            Err(e) => fields.absorb(vec![FieldError::new(format!("{path}.{name}[{i}]"), e)]),
        }
    }
    Some(out)
}

fn listed(fields: &mut Fields<'_>, name: &str, granted: impl Fn(&ScopeName) -> bool) -> Vec<ScopeName> {
    let mut out: Vec<ScopeName> = Vec::new();
    let items = fields.items(name, SCOPES_GRANTED_MAX, |item, path, errors| match text(ScopeName::new)(item) {
        Ok(scope) if granted(&scope) => Some(scope),
        Ok(scope) => {
            errors.push(FieldError::new(path, format!("names `{scope}`, which is not granted")));
            None
        }
        Err(e) => {
            errors.push(FieldError::new(path, e));
            None
        }
    });
    for scope in items {
        if !out.contains(&scope) {
            out.push(scope);
        }
    }
    out
}

fn targets(fields: &mut Fields<'_>, granted: impl Fn(&ScopeName) -> bool) -> Vec<(ScopeName, Approver)> {
    let Some(value) = fields.get("escalation_targets") else { return Vec::new() };
    let Some(targets) = value.as_object() else {
        fields.refuse("escalation_targets", wrong_kind("an object", value));
        return Vec::new();
    };
    if targets.iter().count() > SCOPES_GRANTED_MAX {
        fields.refuse("escalation_targets", format!("must be at most {SCOPES_GRANTED_MAX} scopes"));
        return Vec::new();
    }
    let mut out = Vec::new();
    for (name, target) in targets.iter() {
        let path = format!("escalation_targets.{name}");
        match (ScopeName::new(name), text(Approver::new)(target)) {
            (Ok(scope), _) if !granted(&scope) => fields.refuse(&path, "names a scope that is not granted"),
            (Ok(scope), Ok(target)) => out.push((scope, target)),
            (Err(e), _) => fields.refuse(&path, e.to_string()),
            (_, Err(e)) => fields.refuse(&path, e),
        }
    }
    out
}

fn metadata(fields: &mut Fields<'_>) -> CanonicalObject {
    let Some((_, metadata)) = fields.signable("metadata", &RESERVED_METADATA) else { return CanonicalObject::default() };
    if metadata.as_str().len() > METADATA_BYTES_MAX {
        fields.refuse("metadata", format!("must be at most {METADATA_BYTES_MAX} bytes as canonical JSON"));
    }
    metadata
}

/// The answer to a create.
#[derive(Debug, Serialize)]
pub struct AuthorizationBody {
    /// The new authorization.
    pub authorization_id: AuthorizationId,
    /// Time of its record.
    pub created_at: Timestamp,
    /// As granted.
    pub expires_at: Timestamp,
    /// As granted.
    pub user_id: UserId,
    /// As granted.
    pub agent_id: AgentId,
    /// Null for an inline create.
    pub bundle_id: Option<String>,
    /// Always there.
    pub requires_confirm_for: Vec<ScopeName>,
    /// Always there.
    pub requires_escalation_for: Vec<ScopeName>,
    /// Always there.
    pub escalation_targets: BTreeMap<String, Approver>,
    /// Always pending.
    pub receipt: PendingReceipt,
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

/// The answer to a revoke.
#[derive(Debug, Serialize)]
pub struct RevokedBody {
    /// What was revoked.
    pub authorization_id: AuthorizationId,
    /// Time of the record.
    pub revoked_at: Timestamp,
    /// Always pending.
    pub receipt: PendingReceipt,
}
