//! Conditions once more, as the table of the contract says them: typed, without coercion, absent is unknown.

use allowlog_proto::event::{Condition, Scalar, Test};
use allowlog_proto::json::{Object, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    Yes,
    No,
    /// The field is absent, or of a type that cannot be compared.
    Unknown,
}

/// What a condition says of a context.
pub(crate) fn say(condition: &Condition, context: &Object) -> Said {
    let found = context.iter().find(|(name, _)| *name == condition.field.as_str()).map(|(_, value)| value.clone());
    let told = |yes: bool| if yes { Said::Yes } else { Said::No };
    match (&condition.test, found) {
        (Test::Exists(true), found) => told(found.is_some()),
        (Test::Exists(false), found) => told(found.is_none()),
        (_, None) => Said::Unknown,
        (Test::Eq(wanted), Some(found)) if one_type(wanted, &found) => told(value(wanted) == found),
        (Test::Neq(wanted), Some(found)) if one_type(wanted, &found) => told(value(wanted) != found),
        (Test::In(items), Some(found)) if items.iter().any(|item| one_type(item, &found)) => {
            told(items.iter().any(|item| value(item) == found))
        }
        (Test::Lt(n), Some(Value::Int(found))) => told(found < *n),
        (Test::Lte(n), Some(Value::Int(found))) => told(found <= *n),
        (Test::Gt(n), Some(Value::Int(found))) => told(found > *n),
        (Test::Gte(n), Some(Value::Int(found))) => told(found >= *n),
        (_, Some(_)) => Said::Unknown,
    }
}

fn one_type(wanted: &Scalar, found: &Value) -> bool {
    matches!((wanted, found), (Scalar::Bool(_), Value::Bool(_)) | (Scalar::Int(_), Value::Int(_)) | (Scalar::Text(_), Value::Text(_)))
}

fn value(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Bool(b) => Value::Bool(*b),
        Scalar::Int(n) => Value::Int(*n),
        Scalar::Text(text) => Value::Text(text.as_str().into()),
    }
}

/// How a condition that fired is recorded: `{"field_value": .., "matched_condition": {"field": .., "op": .., "value": ..}}`.
pub(crate) fn recorded(condition: &Condition, context: &Object) -> Object {
    let found = context.iter().find(|(name, _)| *name == condition.field.as_str()).map(|(_, value)| value.clone());
    let (op, wanted) = match &condition.test {
        Test::Eq(wanted) => ("eq", value(wanted)),
        Test::Neq(wanted) => ("neq", value(wanted)),
        Test::Lt(n) => ("lt", Value::Int(*n)),
        Test::Lte(n) => ("lte", Value::Int(*n)),
        Test::Gt(n) => ("gt", Value::Int(*n)),
        Test::Gte(n) => ("gte", Value::Int(*n)),
        Test::In(items) => ("in", Value::Array(items.iter().map(value).collect())),
        Test::Exists(there) => ("exists", Value::Bool(*there)),
    };
    let mut matched = Object::new();
    matched.insert("field", condition.field.as_str().into());
    matched.insert("op", op.into());
    matched.insert("value", wanted);
    let found = match found {
        Some(scalar @ (Value::Bool(_) | Value::Int(_) | Value::Text(_))) => scalar,
        _ => Value::Null,
    };
    let mut eval = Object::new();
    eval.insert("matched_condition", Value::Object(matched));
    eval.insert("field_value", found);
    eval
}

/// How it is recorded that none fired.
pub(crate) fn quiet() -> Object {
    let mut eval = Object::new();
    eval.insert("matched_condition", Value::Null);
    eval.insert("field_value", Value::Null);
    eval
}

/// Tries every way a star can be read.
pub(crate) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|at| glob(rest, &text[at..])),
        Some((byte, rest)) => text.first() == Some(byte) && glob(rest, &text[1..]),
    }
}
