//! Conditions as a caller writes them: `{"field": name, "<op>": value}`, exactly two members.

use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};

use crate::api::envelope::FieldError;
use crate::api::fields::{Fields, boolean, text, wrong_kind};
use crate::event::{Condition, Scalar, Test};
use crate::json::{Object, Value};
use crate::limits::{CONDITION_ITEMS_MAX, CONDITIONS_MAX, SAFE_INTEGER_MAX};
use crate::schema::{self, any_of, array, closed, describe, integer, named, null, one_of};
use crate::text::{ConditionField, ConditionText};

/// Reads one of the condition lists; one that is there but empty is signed as it was given.
pub(super) fn parse(fields: &mut Fields<'_>, constraints: &Value, name: &str, path: &str) -> Option<Vec<Condition>> {
    let value = constraints.as_object()?.get(name)?;
    let Value::Array(items) = value else {
        if *value != Value::Null {
            fields.refuse(name, wrong_kind("an array of conditions", value));
        }
        return None;
    };
    if items.len() > CONDITIONS_MAX {
        fields.refuse(name, format!("must be at most {CONDITIONS_MAX} conditions"));
        return None;
    }
    let mut conditions = Vec::new();
    for (i, item) in items.iter().enumerate() {
        match condition(item) {
            Ok(condition) => conditions.push(condition),
            Err(problem) => fields.absorb(vec![FieldError::new(format!("{path}.{name}[{i}]"), problem)]),
        }
    }
    Some(conditions)
}

fn condition(item: &Value) -> Result<Condition, String> {
    let Some(object) = item.as_object() else { return Err(wrong_kind("an object", item)) };
    let field = object.get("field").ok_or("must have a `field`")?;
    let field = text(ConditionField::new)(field).map_err(|e| format!("has a `field` that {e}"))?;
    let mut others = object.iter().filter(|(name, _)| *name != "field");
    let (Some((operator, value)), None) = (others.next(), others.next()) else {
        return Err("must have exactly two members, `field` and an operator".to_owned());
    };
    let test = test(operator, value).map_err(|e| format!("has an operator `{operator}` that {e}"))?;
    Ok(Condition { field, test })
}

fn test(operator: &str, value: &Value) -> Result<Test, String> {
    Ok(match operator {
        "eq" => Test::Eq(scalar(value)?),
        "neq" => Test::Neq(scalar(value)?),
        "lt" => Test::Lt(whole(value)?),
        "lte" => Test::Lte(whole(value)?),
        "gt" => Test::Gt(whole(value)?),
        "gte" => Test::Gte(whole(value)?),
        "in" => Test::In(scalars(value)?),
        "exists" => Test::Exists(boolean(value)?),
        _ => return Err("is not one of eq, neq, lt, lte, gt, gte, in, exists".to_owned()),
    })
}

fn whole(value: &Value) -> Result<i64, String> {
    if let Value::Int(n) = value { Ok(*n) } else { Err(wrong_kind("an integer", value)) }
}

fn scalar(value: &Value) -> Result<Scalar, String> {
    Ok(match value {
        Value::Bool(b) => Scalar::Bool(*b),
        Value::Int(n) => Scalar::Int(*n),
        Value::Text(text) => Scalar::Text(ConditionText::new(text).map_err(|e| e.to_string())?),
        Value::Null | Value::Array(_) | Value::Object(_) | Value::Unsafe(_) => {
            return Err(wrong_kind("a string, an integer or a boolean", value));
        }
    })
}

fn scalars(value: &Value) -> Result<Vec<Scalar>, String> {
    let Value::Array(items) = value else { return Err(wrong_kind("an array", value)) };
    if !(1..=CONDITION_ITEMS_MAX).contains(&items.len()) {
        return Err(format!("must be 1 to {CONDITION_ITEMS_MAX} items"));
    }
    items.iter().map(scalar).collect()
}

/// A condition, in requests and in answers.
pub(super) enum ConditionBody {}

describe!(ConditionBody, refers to [ConditionField, ConditionScalar], {
    let scalar = || named::<ConditionScalar>();
    let integer = || integer(-SAFE_INTEGER_MAX, SAFE_INTEGER_MAX).into();
    let operators = [
        ("eq", scalar()),
        ("neq", scalar()),
        ("lt", integer()),
        ("lte", integer()),
        ("gt", integer()),
        ("gte", integer()),
        ("in", array(scalar(), 1, CONDITION_ITEMS_MAX).into()),
        ("exists", schema::boolean().into()),
    ];
    let mut alternatives = OneOfBuilder::new();
    for (operator, value) in operators {
        let object = ObjectBuilder::new().schema_type(Type::Object).title(Some(operator));
        let object = object.property("field", named::<ConditionField>()).required("field");
        alternatives = alternatives.item(closed(object.property(operator, value).required(operator)));
    }
    let about = "A member of the caller's context, and what is asked of it: exactly one operator. Typed, without coercion; what is absent \
                 or of another type fails closed.";
    alternatives.description(Some(about)).into()
});

/// What a condition compares with.
pub(super) enum ConditionScalar {}

describe!(ConditionScalar, refers to [ConditionText], {
    let integer = integer(-SAFE_INTEGER_MAX, SAFE_INTEGER_MAX);
    any_of([named::<ConditionText>(), integer.into(), schema::boolean().into()]).into()
});

/// What a decision says of a scope's conditions; [`super::policy_eval`] makes it.
pub(super) enum PolicyEval {}

describe!(PolicyEval, refers to [ConditionField, ConditionScalar], {
    let value = any_of([named::<ConditionScalar>(), array(named::<ConditionScalar>(), 1, CONDITION_ITEMS_MAX).into()]);
    let matched = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("field", named::<ConditionField>())
        .property("op", one_of(&["eq", "neq", "lt", "lte", "gt", "gte", "in", "exists"]))
        .property("value", value);
    let matched = ["field", "op", "value"].into_iter().fold(closed(matched), ObjectBuilder::required);
    let integer = integer(-SAFE_INTEGER_MAX, SAFE_INTEGER_MAX);
    let found = any_of([null().into(), schema::boolean().into(), integer.into(), ObjectBuilder::new().schema_type(Type::String).into()]);
    let eval = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("matched_condition", any_of([matched.into(), null().into()]).description(Some("Null if none fired.")))
        .property("field_value", found.description(Some("What the context holds there, if it is a scalar.")));
    closed(eval).required("matched_condition").required("field_value").into()
});

/// The condition as it was given.
pub(super) fn to_object(condition: &Condition) -> Object {
    let mut object = Object::new();
    object.insert("field", condition.field.as_str().into());
    object.insert(condition.test.operator(), value(&condition.test));
    object
}

/// The condition as a decision records it: `{field, op, value}`.
pub(super) fn matched(condition: &Condition) -> Object {
    let mut object = Object::new();
    object.insert("field", condition.field.as_str().into());
    object.insert("op", condition.test.operator().into());
    object.insert("value", value(&condition.test));
    object
}

fn value(test: &Test) -> Value {
    let scalar = |scalar: &Scalar| match scalar {
        Scalar::Bool(b) => Value::Bool(*b),
        Scalar::Int(n) => Value::Int(*n),
        Scalar::Text(text) => text.as_str().into(),
    };
    match test {
        Test::Eq(value) | Test::Neq(value) => scalar(value),
        Test::Lt(n) | Test::Lte(n) | Test::Gt(n) | Test::Gte(n) => Value::Int(*n),
        Test::In(items) => Value::Array(items.iter().map(scalar).collect()),
        Test::Exists(there) => Value::Bool(*there),
    }
}
