//! `POST /v1/check/batch`: many checks in one call, each decided for itself.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

use super::check::{CheckBody, CheckedBody};
use crate::api::envelope::{ErrorBody, FieldError};
use crate::api::fields::Fields;
use crate::json::Value;
use crate::limits::{BATCH_CHECKS_MAX, BATCH_SCOPES_MAX};
use crate::schema::{Members, any_of, array, closed, describe, named};

/// Checks as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckBatchBody {
    /// 1 to 1,000, decided in this order; of one that cannot be understood, every field at fault.
    pub checks: Vec<Result<CheckBody, Vec<FieldError>>>,
}

impl CheckBatchBody {
    /// Reads the body of `POST /v1/check/batch`. What is wrong with one check is no error of the batch.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::of(body, "body");
        if !fields.require("checks") {
            return Err(fields.into_errors());
        }
        let checks = fields.items("checks", BATCH_CHECKS_MAX, |item, path, _| Some(CheckBody::parse_at(item, path)));
        let scopes = checks.iter().flatten().fold(0_usize, |sum, check| sum.saturating_add(check.scopes.len()));
        if scopes > BATCH_SCOPES_MAX {
            fields.refuse("checks", format!("must name at most {BATCH_SCOPES_MAX} scopes together"));
        }
        if fields.is_sound() { Ok(Self { checks }) } else { Err(fields.into_errors()) }
    }
}

describe!(CheckBatchBody, refers to [CheckBody], {
    let anything = ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some("Refused in its place; the others are decided."));
    let checks = array(any_of([named::<CheckBody>(), anything.into()]).into(), 1, BATCH_CHECKS_MAX);
    Members::of("What agents are about to do.").required("checks", "Decided in this order, one behind the other.", checks).build()
});

/// The answers to a batch of checks.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckedBatchBody<'a> {
    /// One for each check, in the order of the request.
    pub results: Vec<CheckedItemBody<'a>>,
}

/// The answer to one check of a batch: what it would have been answered alone, but for its place.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum CheckedItemBody<'a> {
    /// It was decided.
    Checked {
        /// Always 200.
        status: u16,
        /// As `POST /v1/check` answers.
        body: CheckedBody<'a>,
    },
    /// It was not, and nothing is recorded of it.
    Refused {
        /// As the call alone would have been answered.
        status: u16,
        /// What is in the envelope of such an answer.
        error: ErrorBody,
    },
}

describe!(CheckedItemBody<'_>, refers to [CheckedBody<'_>, ErrorBody], {
    let item = |statuses: &[u16], name: &str, schema: RefOr<Schema>| {
        let status = ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some(statuses.iter().copied()));
        closed(ObjectBuilder::new().schema_type(Type::Object).property("status", status).required("status").property(name, schema).required(name))
    };
    let about = "422: the check cannot be understood. 413: the records of the checks before it fill the batch, and neither it nor any behind \
                 it was decided.";
    OneOfBuilder::new()
        .item(item(&[200], "body", named::<CheckedBody<'_>>()))
        .item(item(&[413, 422], "error", named::<ErrorBody>()))
        .description(Some(about))
        .into()
});
