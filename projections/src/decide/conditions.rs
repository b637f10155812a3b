//! Conditions: what the caller's context says about a scope that has them.
//!
//! Typed, without coercion. What is absent or cannot be compared is unknown, and an unknown fact never becomes an allow.

use allowlog_proto::event::{Condition, Constraints, Scalar, Test};
use allowlog_proto::json::{Object, Value};

/// Which conditions of a scope route its decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Routes<'c> {
    /// The first of the deny list that matches.
    pub(super) deny: Option<&'c Condition>,
    /// The first of the deny list that cannot be evaluated: remembered, in case nothing else decides.
    pub(super) unknown_deny: Option<&'c Condition>,
    /// The first of the escalate list that matches or cannot be evaluated.
    pub(super) escalate: Option<Fired<'c>>,
    /// The first of the confirm list that matches or cannot be evaluated.
    pub(super) confirm: Option<Fired<'c>>,
}

/// A condition that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fired<'c> {
    pub(super) condition: &'c Condition,
    /// Whether it matched; else it could not be evaluated.
    pub(super) matched: bool,
}

/// Evaluates all three lists against the caller's own context.
pub(super) fn route<'c>(constraints: &'c Constraints, facts: &Object) -> Routes<'c> {
    let outcomes = |list: &'c Option<Vec<Condition>>| list.iter().flatten().map(|condition| (condition, evaluate(condition, facts)));
    let first = |list: &'c Option<Vec<Condition>>| {
        outcomes(list).find_map(|(condition, outcome)| match outcome {
            Some(false) => None,
            Some(true) => Some(Fired { condition, matched: true }),
            None => Some(Fired { condition, matched: false }),
        })
    };
    let denies =
        |wanted: Option<bool>| outcomes(&constraints.deny_when).find(|(_, outcome)| *outcome == wanted).map(|(condition, _)| condition);
    Routes {
        deny: denies(Some(true)),
        unknown_deny: denies(None),
        escalate: first(&constraints.escalate_when),
        confirm: first(&constraints.confirm_when),
    }
}

/// Whether the condition matches; nothing if the field is absent or cannot be compared.
fn evaluate(condition: &Condition, facts: &Object) -> Option<bool> {
    let found = facts.get(condition.field.as_str());
    if let Test::Exists(wanted) = condition.test {
        return Some(found.is_some() == wanted);
    }
    let found = found?;
    match &condition.test {
        Test::Exists(_) => None,
        Test::Eq(value) => same(value, found),
        Test::Neq(value) => same(value, found).map(|same| !same),
        Test::Lt(n) => whole(found).map(|found| found < *n),
        Test::Lte(n) => whole(found).map(|found| found <= *n),
        Test::Gt(n) => whole(found).map(|found| found > *n),
        Test::Gte(n) => whole(found).map(|found| found >= *n),
        // Items of another type are passed over; where none is left there is nothing to compare with.
        Test::In(items) => items.iter().filter_map(|item| same(item, found)).reduce(|a, b| a | b),
    }
}

/// Whether two of one type are equal; nothing if they are of two.
fn same(value: &Scalar, found: &Value) -> Option<bool> {
    match (value, found) {
        (Scalar::Bool(value), Value::Bool(found)) => Some(value == found),
        (Scalar::Int(value), Value::Int(found)) => Some(value == found),
        (Scalar::Text(value), Value::Text(found)) => Some(value.as_str() == found),
        (Scalar::Bool(_) | Scalar::Int(_) | Scalar::Text(_), _) => None,
    }
}

const fn whole(found: &Value) -> Option<i64> {
    if let Value::Int(n) = found { Some(*n) } else { None }
}
