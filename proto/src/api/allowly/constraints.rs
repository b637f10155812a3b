//! Constraints: limits inside a grant, read from what a caller writes and written as they were given.
//!
//! Source: section "Constraints" of the Allowly API in its scopes form. Dropping a limit silently is unsafe, so what is
//! not known here is refused, never passed over.

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

use super::conditions::{self, ConditionBody};
use crate::api::envelope::FieldError;
use crate::api::fields::{Fields, integer, is_absent, text, wrong_kind};
use crate::event::Constraints;
use crate::json::{Object, Value};
use crate::limits::{CONDITIONS_MAX, CONSTRAINT_LIST_MAX, SAFE_INTEGER_MAX};
use crate::schema::{self, any_of, array, closed, describe, named, null};
use crate::text::{ConstraintItem, Pattern};

/// Every constraint.
const KNOWN: [&str; 8] = [
    "max_per_day",
    "resource_pattern",
    "allowed_initiators",
    "allowed_domains",
    "allowed_fields",
    "confirm_when",
    "escalate_when",
    "deny_when",
];

/// Reads the constraints of one scope, which stand at `path`; nothing if there are none, or some of them are at fault.
pub(super) fn parse(value: &Value, path: &str, outer: &mut Fields<'_>) -> Option<Constraints> {
    let mut fields = Fields::of(value, path);
    for (name, given) in value.as_object().into_iter().flat_map(Object::iter) {
        let absent = is_absent(given) && !matches!(given, Value::Array(_));
        if !KNOWN.contains(&name) && !absent {
            fields.refuse(name, "is not a constraint this server knows");
        }
    }
    // `[]` and `{}` mean absent elsewhere; here they could be a limit that somebody meant.
    for name in ["max_per_day", "resource_pattern"] {
        if let Some(given) = value.as_object().and_then(|o| o.get(name)).filter(|given| is_absent(given) && **given != Value::Null) {
            fields.refuse(name, format!("must not be {}", given.kind()));
        }
    }
    let constraints = Constraints {
        max_per_day: fields.optional("max_per_day", integer(1, SAFE_INTEGER_MAX)).and_then(|n| u64::try_from(n).ok()),
        resource_pattern: fields.optional("resource_pattern", text(Pattern::new)),
        allowed_initiators: list(&mut fields, value, "allowed_initiators", path),
        allowed_domains: list(&mut fields, value, "allowed_domains", path),
        allowed_fields: list(&mut fields, value, "allowed_fields", path),
        confirm_when: conditions::parse(&mut fields, value, "confirm_when", path),
        escalate_when: conditions::parse(&mut fields, value, "escalate_when", path),
        deny_when: conditions::parse(&mut fields, value, "deny_when", path),
    };
    let initiators = value.as_object().and_then(|o| o.get("allowed_initiators"));
    if matches!(initiators, Some(Value::Array(items)) if items.is_empty()) {
        fields.refuse("allowed_initiators", "must name at least one initiator");
    }
    let lists = [&constraints.confirm_when, &constraints.escalate_when, &constraints.deny_when];
    if lists.into_iter().flatten().map(Vec::len).sum::<usize>() > CONDITIONS_MAX {
        outer.absorb(vec![FieldError::new(path, format!("must hold at most {CONDITIONS_MAX} conditions over all three lists"))]);
        return None;
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

/// Constraints as a request writes them.
pub(super) enum GivenConstraints {}

describe!(GivenConstraints, refers to [Pattern, ConstraintItem, ConditionBody], {
    let unknown: RefOr<Schema> = any_of([null().into(), ObjectBuilder::new().schema_type(Type::Object).max_properties(Some(0)).into()]).into();
    let nullable = |schema: RefOr<Schema>| any_of([schema, null().into()]).into();
    let about = "Limits inside a grant, signed as they were given. One the server does not know is refused: dropping a limit silently \
                 is unsafe. At most 10 conditions over all three lists.";
    object(nullable).additional_properties(Some(unknown)).description(Some(about)).into()
});

/// Constraints as an answer shows them; [`to_object`] makes them.
pub(super) enum ShownConstraints {}

describe!(ShownConstraints, refers to [Pattern, ConstraintItem, ConditionBody], {
    closed(object(|schema| schema)).description(Some("Limits inside the grant, as they were given.")).into()
});

fn object(member: impl Fn(RefOr<Schema>) -> RefOr<Schema>) -> ObjectBuilder {
    let max_per_day = schema::integer(1, SAFE_INTEGER_MAX).description(Some("Allows per UTC calendar day.")).examples([5]);
    let list = |min| array(named::<ConstraintItem>(), min, CONSTRAINT_LIST_MAX);
    let conditions = || array(named::<ConditionBody>(), 0, CONDITIONS_MAX);
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("max_per_day", member(max_per_day.into()))
        .property("resource_pattern", member(named::<Pattern>()))
        .property("allowed_initiators", member(list(1).description(Some("`context.initiated_by` must be one of these.")).into()))
        .property("allowed_domains", member(list(0).description(Some("Recorded and signed; its meaning is the caller's.")).into()))
        .property("allowed_fields", member(list(0).description(Some("Recorded and signed; its meaning is the caller's.")).into()))
        .property("confirm_when", member(conditions().description(Some("One that fires makes the check a confirm.")).into()))
        .property("escalate_when", member(conditions().description(Some("One that fires makes the check an escalate.")).into()))
        .property("deny_when", member(conditions().description(Some("One that fires makes the check a deny.")).into()))
}

/// The constraints as they were given, without the members that were absent.
pub(super) fn to_object(given: &Constraints) -> Object {
    let mut object = Object::new();
    // At most 2^53 - 1 by its parser, so the conversion cannot fail.
    if let Some(max) = given.max_per_day.and_then(|max| i64::try_from(max).ok()) {
        object.insert("max_per_day", Value::Int(max));
    }
    if let Some(pattern) = &given.resource_pattern {
        object.insert("resource_pattern", pattern.as_str().into());
    }
    for (name, items) in [
        ("allowed_initiators", &given.allowed_initiators),
        ("allowed_domains", &given.allowed_domains),
        ("allowed_fields", &given.allowed_fields),
    ] {
        if let Some(items) = items {
            object.insert(name, Value::Array(items.iter().map(|i| i.as_str().into()).collect()));
        }
    }
    for (name, list) in [("confirm_when", &given.confirm_when), ("escalate_when", &given.escalate_when), ("deny_when", &given.deny_when)] {
        if let Some(list) = list {
            object.insert(name, Value::Array(list.iter().map(|c| Value::Object(conditions::to_object(c))).collect()));
        }
    }
    object
}
