//! Who may do what, as an authorization and a bundle say it: agent, scopes, and who is asked.

use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::constraints::{self, GivenConstraints, ShownConstraints};
use crate::api::envelope::FieldError;
use crate::api::fields::{Fields, text, wrong_kind};
use crate::event::{Grant, Terms};
use crate::json::{Object, Value};
use crate::limits::{SCOPE_NAME_BYTES_MAX, SCOPES_GRANTED_MAX};
use crate::schema::{Absent, Members, any_of, array, closed, describe, named};
use crate::text::{AgentId, Approver, ScopeName};

/// Names of the members that make up the terms.
pub(super) const MEMBERS: [&str; 5] = ["agent_id", "scopes", "requires_confirm_for", "requires_escalation_for", "escalation_targets"];

/// Reads the terms among the members of a body; nothing if some of them are at fault.
pub(super) fn parse(fields: &mut Fields<'_>) -> Option<Terms> {
    let agent_id = fields.required("agent_id", text(AgentId::new));
    let scopes = scopes(fields);
    let granted = |name: &ScopeName| scopes.iter().any(|s| s.name == *name);
    let requires_confirm_for = listed(fields, "requires_confirm_for", granted);
    let requires_escalation_for = listed(fields, "requires_escalation_for", granted);
    let escalation_targets = targets(fields, granted);
    Some(Terms { agent_id: agent_id?, scopes, requires_confirm_for, requires_escalation_for, escalation_targets })
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
        return match ScopeName::given(name) {
            Ok(name) => Some(Grant { name, constraints: None }),
            Err(e) => {
                errors.push(FieldError::new(path, e.to_string()));
                None
            }
        };
    }
    let mut fields = Fields::of(item, path);
    let name = fields.required("name", text(ScopeName::given));
    let constraints = fields.get("constraints").and_then(|value| constraints::parse(value, &format!("{path}.constraints"), &mut fields));
    errors.extend(fields.into_errors());
    Some(Grant { name: name?, constraints: constraints.map(Box::new) })
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

/// The terms as members of a request; [`parse`] reads them.
pub(super) fn members(members: Members) -> Members {
    let listed = || array(named::<ScopeName>(), 0, SCOPES_GRANTED_MAX);
    members
        .required("agent_id", "Who acts.", named::<AgentId>())
        .required("scopes", "What may be done, each name once.", array(named::<GivenScope>(), 1, SCOPES_GRANTED_MAX))
        .optional("requires_confirm_for", "Granted scopes of which the user is asked each time.", listed())
        .optional(
            "requires_escalation_for",
            "Granted scopes of which a third party is asked each time. Needs the plan `pro` or `enterprise`.",
            listed(),
        )
        .optional("escalation_targets", "Who is asked, by the name of a granted scope.", named::<EscalationTargets>())
}

/// Who is asked, by scope.
pub(super) enum EscalationTargets {}

describe!(EscalationTargets, refers to [Approver], {
    let names = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(SCOPE_NAME_BYTES_MAX));
    let targets = ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(named::<Approver>()));
    let targets = targets.property_names(Some(names.build())).max_properties(Some(SCOPES_GRANTED_MAX));
    targets.description(Some("Whom to ask, under the name of the scope.")).into()
});

/// A scope as a request writes it.
pub(super) enum GivenScope {}

describe!(GivenScope, refers to [ScopeName, GivenConstraints, Absent], {
    let object = Members::of("A scope with its limits.")
        .required("name", "What may be done.", named::<ScopeName>())
        .optional("constraints", "Within which limits.", named::<GivenConstraints>());
    any_of([named::<ScopeName>(), object.build()]).description(Some("A name alone is a scope without constraints.")).into()
});

/// A scope as an answer shows it; [`shown_scope`] makes it.
pub(super) enum ShownScope {}

describe!(ShownScope, refers to [ScopeName, ShownConstraints], {
    let object = ObjectBuilder::new().schema_type(Type::Object).property("name", named::<ScopeName>()).required("name");
    closed(object.property("constraints", named::<ShownConstraints>()).required("constraints")).into()
});

/// A scope as a receipt says it: a plain string without constraints, `{name, constraints}` with them, as they were given.
pub fn signed_scope(grant: &Grant) -> Value {
    match &grant.constraints {
        None => grant.name.as_str().into(),
        Some(_) => shown_scope(grant),
    }
}

/// A scope as an answer shows it: always `{name, constraints}`.
pub fn shown_scope(grant: &Grant) -> Value {
    let mut scope = Object::new();
    scope.insert("name", grant.name.as_str().into());
    scope.insert("constraints", Value::Object(grant.constraints.as_deref().map(constraints::to_object).unwrap_or_default()));
    Value::Object(scope)
}

/// The approver of each scope that has one.
pub fn targets_object(targets: &[(ScopeName, Approver)]) -> Object {
    let mut object = Object::new();
    for (scope, target) in targets {
        object.insert(scope.as_str(), target.as_str().into());
    }
    object
}
