//! Conditions: tests on the caller's context that route a decision.
//!
//! Source: section "Constraints" of the Allowly API in its scopes form. Typed, without coercion.

use serde::{Deserialize, Serialize};

use crate::text::{ConditionField, ConditionText};

/// `{"field": name, "<op>": value}`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Condition {
    /// A member of the caller's context; dots are no path.
    pub field: ConditionField,
    /// What is asked of it.
    pub test: Test,
}

/// An operator with its value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Equal, of the same type.
    Eq(Scalar),
    /// Not equal, of the same type.
    Neq(Scalar),
    /// Less; integers only.
    Lt(i64),
    /// Less or equal; integers only.
    Lte(i64),
    /// Greater; integers only.
    Gt(i64),
    /// Greater or equal; integers only.
    Gte(i64),
    /// Equal to one of 1 to 128; those of another type are passed over.
    In(Vec<Scalar>),
    /// There, or not; a null is there.
    Exists(bool),
}

/// What can be compared. There is no null: it means absent wherever a caller writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scalar {
    /// `true` or `false`
    Bool(bool),
    /// Within plus or minus 2^53 - 1.
    Int(i64),
    /// A string.
    Text(ConditionText),
}

impl Test {
    /// The spelling of the operator on the wire.
    pub const fn operator(&self) -> &'static str {
        match self {
            Self::Eq(_) => "eq",
            Self::Neq(_) => "neq",
            Self::Lt(_) => "lt",
            Self::Lte(_) => "lte",
            Self::Gt(_) => "gt",
            Self::Gte(_) => "gte",
            Self::In(_) => "in",
            Self::Exists(_) => "exists",
        }
    }
}
