//! `POST /v1/check`.

use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

use super::conditions::{self, PolicyEval};
use super::receipts::ReceiptBody;
use crate::api::envelope::FieldError;
use crate::api::fields::{Fields, integer, text};
use crate::event::{Decided, Evaluation};
use crate::id::{EscalationId, Nonce};
use crate::json::{CanonicalObject, Object, Value};
use crate::limits::{CONTEXT_BYTES_MAX, SAFE_INTEGER_MAX, SCOPES_CHECKED_MAX};
use crate::money::Micros;
use crate::reason::{Decision, Reason};
use crate::schema::{Absent, Members, Signable, any_of, array, closed, describe, named, null, one_of, signable_object};
use crate::text::{Approver, OpaqueId, Resource, ScopeName, SessionId};
use crate::time::Timestamp;

/// A check as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckBody {
    /// As the caller wrote it.
    pub authorization_id: OpaqueId,
    /// 1 to 25, each once, decided in this order.
    pub scopes: Vec<ScopeName>,
    /// On what.
    pub resource: Option<Resource>,
    /// In which session of the caller.
    pub session_id: Option<SessionId>,
    /// What it is thought to cost.
    pub estimated_cost: Option<Micros>,
    /// Can be signed, holds no reserved name.
    pub context: CanonicalObject,
    /// The same as members: what constraints and conditions look at.
    pub facts: Object,
}

/// Members of a receipt's context that are the server's.
const RESERVED_CONTEXT: [&str; 3] = ["budget", "escalation", "session_id"];

impl CheckBody {
    /// Reads the body of `POST /v1/check`.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        Self::parse_at(body, "body")
    }

    /// The same of a check that stands at `path`.
    pub(super) fn parse_at(body: &Value, path: impl Into<String>) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::of(body, path);
        let authorization_id = fields.required("authorization_id", text(OpaqueId::new));
        let scopes = scopes(&mut fields);
        let resource = fields.optional("resource", text(Resource::new));
        let session_id = fields.optional("session_id", text(SessionId::new));
        let estimated_cost = fields.optional("estimated_cost_micros", integer(0, SAFE_INTEGER_MAX)).and_then(Micros::new);
        let (context, facts) = context(&mut fields);
        match authorization_id {
            Some(authorization_id) if fields.is_sound() => {
                Ok(Self { authorization_id, scopes, resource, session_id, estimated_cost, context, facts })
            }
            _ => Err(fields.into_errors()),
        }
    }
}

fn scopes(fields: &mut Fields<'_>) -> Vec<ScopeName> {
    if !fields.require("scopes") {
        return Vec::new();
    }
    let scopes = fields.items("scopes", SCOPES_CHECKED_MAX, |item, path, errors| {
        text(ScopeName::given)(item).map_err(|e| errors.push(FieldError::new(path, e))).ok()
    });
    for (i, scope) in scopes.iter().enumerate() {
        if scopes.iter().take(i).any(|earlier| earlier == scope) {
            fields.refuse("scopes", format!("names `{scope}` more than once"));
        }
    }
    scopes
}

fn context(fields: &mut Fields<'_>) -> (CanonicalObject, Object) {
    let Some((object, context)) = fields.signable("context", &RESERVED_CONTEXT) else { return Default::default() };
    if context.compact_len() > CONTEXT_BYTES_MAX {
        fields.refuse("context", format!("must be at most {CONTEXT_BYTES_MAX} bytes as compact JSON"));
    }
    (context, object.clone())
}

describe!(CheckBody, refers to [OpaqueId, ScopeName, Resource, SessionId, Micros, CheckContext, Absent], {
    let scopes = array(named::<ScopeName>(), 1, SCOPES_CHECKED_MAX).unique_items(true);
    Members::of("What the agent is about to do. Who it is and for whom it acts is what the authorization says.")
        .required("authorization_id", "As it was given out; one that is unknown is a denial.", named::<OpaqueId>())
        .required("scopes", "Decided in this order, at the same instant.", scopes)
        .optional("resource", "On what.", named::<Resource>())
        .optional("session_id", "In which session of the caller.", named::<SessionId>())
        .optional("estimated_cost_micros", "What it is thought to cost; 0 where it is absent.", named::<Micros>())
        .optional("context", "What conditions look at, and what the receipt says.", named::<CheckContext>())
        .build()
});

/// The caller's context of a check.
enum CheckContext {}

describe!(CheckContext, refers to [Signable], {
    let about = "Members for the receipt's context: nested at most 32 deep, at most 4096 bytes as compact JSON; `budget`, `escalation` \
                 and `session_id` are the server's.";
    signable_object(&RESERVED_CONTEXT).description(Some(about)).into()
});

/// What a decision says of a budget; [`budget`] makes it.
pub(super) enum EvaluatedBudget {}

describe!(EvaluatedBudget, refers to [Micros], {
    let names = ["limit_micros", "spent_micros", "estimated_cost_micros", "spent_after_micros"];
    let member = |object: ObjectBuilder, name| object.property(name, named::<Micros>()).required(name);
    let object = names.into_iter().fold(ObjectBuilder::new().schema_type(Type::Object), member);
    closed(object).description(Some("`spent_micros` is before this check, `spent_after_micros` behind it.")).into()
});

fn pending() -> RefOr<Schema> {
    one_of(&["pending"]).into()
}

/// The answer to a check.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckedBody<'a> {
    /// Echoed as it was written.
    pub authorization_id: &'a str,
    /// As granted, or `unknown`.
    pub user_id: &'a str,
    /// As granted, or `unknown`.
    pub agent_id: &'a str,
    /// Null when the authorization is unknown.
    #[schema(required)]
    pub authorization_expires_at: Option<Timestamp>,
    /// By which version of the ladder.
    pub policy_version: &'a str,
    /// One for each scope, under its name, in the order of the request.
    #[serde(serialize_with = "as_map")]
    #[schema(value_type = std::collections::BTreeMap<String, ResultBody>)]
    pub results: Vec<(&'a str, ResultBody<'a>)>,
}

fn as_map<S: Serializer>(results: &[(&str, ResultBody<'_>)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(results.iter().map(|(scope, result)| (scope, result)))
}

/// The answer for one scope. Members that do not apply are absent.
#[derive(Debug, Serialize)]
pub struct ResultBody<'a> {
    /// The answer.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
    /// Pending, or signed where the caller waited and it was done in time.
    pub receipt: ReceiptBody,
    /// Where a budget was evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Value>,
    /// Where the scope has conditions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_eval: Option<Value>,
    /// On confirm: what the user's answer is posted to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm_nonce: Option<Nonce>,
    /// On confirm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm_expires_at: Option<Timestamp>,
    /// On confirm: the name of the scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm_prompt_hint: Option<&'a str>,
    /// On escalate: what the resolution is posted to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalation_id: Option<EscalationId>,
    /// On escalate: whom to ask, null if the grant does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalation_to: Option<Option<&'a Approver>>,
    /// On escalate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalation_expires_at: Option<Timestamp>,
    /// On escalate: the same once more in one object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalation: Option<EscalationBody<'a>>,
}

describe!(ResultBody<'_>, refers to [Reason, ReceiptBody, EvaluatedBudget, PolicyEval, Nonce, ScopeName, EscalationId, Approver, EscalationBody<'_>], {
    let result = |decisions: &[&str]| {
        let object = ObjectBuilder::new()
            .schema_type(Type::Object)
            .title(Some(decisions.join(" or ")))
            .property("decision", one_of(decisions))
            .property("reason", named::<Reason>())
            .property("receipt", named::<ReceiptBody>())
            .property("budget", named::<EvaluatedBudget>())
            .property("policy_eval", named::<PolicyEval>());
        with_required(closed(object), &["decision", "reason", "receipt"])
    };
    let confirm = result(&["confirm"])
        .property("confirm_nonce", named::<Nonce>())
        .property("confirm_expires_at", named::<Timestamp>())
        .property("confirm_prompt_hint", named::<ScopeName>());
    let escalate = result(&["escalate"])
        .property("escalation_id", named::<EscalationId>())
        .property("escalation_to", any_of([named::<Approver>(), null().into()]))
        .property("escalation_expires_at", named::<Timestamp>())
        .property("escalation", named::<EscalationBody<'_>>());
    let about = "`budget` is there where a budget was evaluated, `policy_eval` where the scope has conditions. `confirm_nonce` is what the \
                 user's answer is posted to, `escalation_id` what the third party's is; `escalation_to` is null if the grant does not say.";
    OneOfBuilder::new()
        .item(result(&["allow", "deny"]))
        .item(with_required(confirm, &["confirm_nonce", "confirm_expires_at", "confirm_prompt_hint"]))
        .item(with_required(escalate, &["escalation_id", "escalation_to", "escalation_expires_at", "escalation"]))
        .description(Some(about))
        .into()
});

fn with_required(object: ObjectBuilder, names: &[&str]) -> ObjectBuilder {
    names.iter().copied().fold(object, ObjectBuilder::required)
}

/// An open escalation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EscalationBody<'a> {
    /// The escalation.
    pub escalation_id: EscalationId,
    /// Always `pending`.
    #[schema(schema_with = pending)]
    pub status: &'static str,
    /// Null if the grant does not say.
    #[schema(required)]
    #[schema(value_type = Option<Approver>)]
    pub escalation_to: Option<&'a Approver>,
    /// When it lapses.
    pub expires_at: Timestamp,
}

/// What a decision says of the budget, in the answer and in the receipt's context, if one was evaluated.
pub fn budget(decided: &Decided) -> Option<Object> {
    let budget = decided.budget?;
    Some(Object::of([
        ("estimated_cost_micros", Value::Int(decided.cost().get())),
        ("limit_micros", Value::Int(budget.limit.get())),
        ("spent_after_micros", Value::Int(decided.spent_after(budget).get())),
        ("spent_micros", Value::Int(budget.spent.get())),
    ]))
}

/// What a decision says of the conditions, in the answer and in the receipt, if the scope has any.
pub fn policy_eval(decided: &Decided) -> Option<Object> {
    let (matched, found) = match &decided.evaluation {
        Evaluation::NoConditions => return None,
        Evaluation::NoneFired => (Value::Null, Value::Null),
        Evaluation::Fired(condition) => {
            let found = decided.context.to_object().remove(condition.field.as_str());
            let scalar = found.filter(|value| matches!(value, Value::Bool(_) | Value::Int(_) | Value::Text(_)));
            (Value::Object(conditions::matched(condition)), scalar.unwrap_or(Value::Null))
        }
    };
    Some(Object::of([("field_value", found), ("matched_condition", matched)]))
}
