//! Receipts of what happens to payments. Each is of a scope, since format "1.0" knows no such events: decisions of the permission that
//! was asked for, the others of a name that nobody can give to a permission.

use allowlog_proto::event::{IntentMoved, Payment, PaymentDecided, PaymentEvent, Reconciled, Settlement, TokenIssued};
use allowlog_proto::id::{AuthorizationId, DecisionId, DelegationId, ReceiptId};
use allowlog_proto::json::{Object, Value};
use allowlog_proto::money::{Amount, Currency};
use allowlog_proto::reason::PolicyVersion;
use allowlog_proto::receipt::{About, Context, Receipt};
use allowlog_proto::record::Record;
use allowlog_proto::text::{AgentId, MerchantId, UserId};

use super::{named, requested};

const AUTHORISE: &str = PaymentEvent::SCOPES[0];
const CAPTURE: &str = PaymentEvent::SCOPES[1];
const CANCEL: &str = PaymentEvent::SCOPES[2];
const ISSUE: &str = PaymentEvent::SCOPES[3];
const SETTLE: &str = PaymentEvent::SCOPES[4];

/// The receipt of such a record, if it leads to one.
pub(super) fn receipt<'r>(record: &Record, event: &'r PaymentEvent) -> Option<Receipt<'r>> {
    match event {
        PaymentEvent::Decided(decided) => Some(of_decision(record, decided)),
        PaymentEvent::Authorised(moved) => Some(of_move(record, moved, AUTHORISE, ("allow", "payment_authorised"))),
        PaymentEvent::Refused(refused) => {
            let mut receipt = of_move(record, &refused.moved, AUTHORISE, ("deny", refused.refusal.as_str()));
            receipt.context.added.insert("reason_codes", Value::Array(vec![refused.code.as_str().into()]));
            Some(receipt)
        }
        PaymentEvent::Captured(moved) => Some(of_move(record, moved, CAPTURE, ("allow", "payment_captured"))),
        PaymentEvent::Cancelled(moved) => Some(of_move(record, moved, CANCEL, ("allow", "payment_cancelled"))),
        PaymentEvent::TokenIssued(issued) => Some(of_token(record, issued)),
        PaymentEvent::Reconciled(reconciled) => Some(of_settlement(record, reconciled)),
        PaymentEvent::IntentCreated(_) | PaymentEvent::Abandoned(_) | PaymentEvent::Queued(_) => None,
    }
}

fn of_decision<'r>(record: &Record, decided: &'r PaymentDecided) -> Receipt<'r> {
    let mut permission = Object::new();
    permission.insert("decision_id", text(&DecisionId::from(decided.receipt_id)));
    permission.insert("purpose", decided.purpose.as_str().into());
    permission.insert("action", decided.action().into());
    permission.insert("reason_codes", Value::Array(decided.codes.iter().map(|code| code.as_str().into()).collect()));
    permission.insert("max_amount", decided.max_amount.map_or(Value::Null, |amount| Value::Int(amount.get())));
    permission.insert("agent_id", decided.agent.as_str().into());
    permission.insert("device_id", decided.device.as_ref().map_or(Value::Null, |device| device.as_str().into()));
    permission.insert("expires_at", text(&decided.expires_at));
    let mut context = Object::new();
    context.insert("permission", Value::Object(permission));
    // Also where nothing is said: what stands there is never the caller's.
    context.insert("payment_intent", Value::Object(payment(&decided.payment)));
    if let Some(escalation) = requested(&decided.verdict, &decided.scope) {
        context.insert("escalation", Value::Object(escalation));
    }
    let (authorization_id, user_id, agent_id) = named(&decided.subject);
    Receipt {
        receipt_id: decided.receipt_id,
        workspace_id: record.workspace_id,
        issued_at: record.time,
        about: About::Scope(decided.scope.as_str()),
        decision: decided.verdict.decision().as_str(),
        reason: decided.reason(),
        authorization_id,
        user_id,
        agent_id,
        resource: decided.resource.as_ref().map(|resource| resource.as_str()),
        context: Context { said: Some(&decided.context), added: context },
        policy_version: decided.policy_version.as_str(),
        policy_eval: None,
    }
}

/// What is to be paid, as far as it was said.
fn payment(payment: &Payment) -> Object {
    let Payment { merchant_id, amount, currency, channel, category, intent_id } = payment;
    let mut object = Object::new();
    let mut put = |name, value: Option<&str>| {
        if let Some(value) = value {
            object.insert(name, value.into());
        }
    };
    put("merchant_id", merchant_id.as_ref().map(|id| id.as_str()));
    put("currency", currency.as_ref().map(|currency| currency.as_str()));
    put("channel", channel.as_ref().map(|channel| channel.as_str()));
    put("merchant_category", category.as_ref().map(|category| category.as_str()));
    put("id", intent_id.as_ref().map(|id| id.as_str()));
    if let Some(amount) = amount {
        object.insert("amount", Value::Int(amount.get()));
    }
    object
}

fn of_move<'r>(record: &Record, moved: &'r IntentMoved, scope: &'static str, (decision, reason): (&'r str, &'r str)) -> Receipt<'r> {
    let mut context = paid(&moved.merchant_id, moved.amount, moved.currency);
    context.insert("payment_intent_id", text(&moved.intent_id));
    context.insert("decision_id", moved.decision.map_or(Value::Null, |id| text(&DecisionId::from(id))));
    let IntentMoved { receipt_id, authorization_id, user_id, agent_id, policy_version, .. } = moved;
    let who = (*receipt_id, *authorization_id, user_id, agent_id, *policy_version);
    of_scope(record, who, scope, (decision, reason), context)
}

fn of_token<'r>(record: &Record, issued: &'r TokenIssued) -> Receipt<'r> {
    let mut context = Object::new();
    context.insert("token_id", text(&issued.token_id));
    context.insert("device_id", issued.device.as_str().into());
    context.insert("permission", issued.scope.as_str().into());
    context.insert("max_amount", Value::Int(issued.max_amount.get()));
    context.insert("currency", issued.currency.as_str().into());
    let merchants = issued.merchants.as_ref().map(|list| Value::Array(list.iter().map(|id| id.as_str().into()).collect()));
    context.insert("merchant_ids", merchants.unwrap_or(Value::Null));
    context.insert("reason_codes", Value::Array(issued.codes.iter().map(|code| code.as_str().into()).collect()));
    context.insert("expires_at", text(&issued.expires_at));
    let TokenIssued { receipt_id, authorization_id, user_id, agent_id, policy_version, .. } = issued;
    let who = (*receipt_id, *authorization_id, user_id, agent_id, *policy_version);
    of_scope(record, who, ISSUE, ("allow", "offline_token_issued"), context)
}

fn of_settlement<'r>(record: &Record, reconciled: &'r Reconciled) -> Receipt<'r> {
    let mut context = paid(&reconciled.merchant_id, reconciled.amount, reconciled.currency);
    context.insert("transaction_id", text(&reconciled.transaction_id));
    context.insert("token_id", text(&reconciled.token_id));
    context.insert("device_id", reconciled.device.as_str().into());
    let decision = match reconciled.settlement {
        Settlement::Settled => "allow",
        Settlement::DoubleSpend | Settlement::Expired | Settlement::OverLimit => "deny",
    };
    let Reconciled { receipt_id, authorization_id, user_id, agent_id, policy_version, .. } = reconciled;
    let who = (*receipt_id, *authorization_id, user_id, agent_id, *policy_version);
    of_scope(record, who, SETTLE, (decision, reconciled.settlement.as_str()), context)
}

fn of_scope<'r>(
    record: &Record,
    (receipt_id, authorization_id, user_id, agent_id, policy_version): (ReceiptId, AuthorizationId, &'r UserId, &'r AgentId, PolicyVersion),
    scope: &'static str,
    (decision, reason): (&'r str, &'r str),
    mut context: Object,
) -> Receipt<'r> {
    context.insert("delegation_id", text(&DelegationId::from(authorization_id)));
    Receipt {
        receipt_id,
        workspace_id: record.workspace_id,
        issued_at: record.time,
        about: About::Scope(scope),
        decision,
        reason,
        authorization_id: Some(authorization_id),
        user_id: user_id.as_str(),
        agent_id: agent_id.as_str(),
        resource: None,
        context: context.into(),
        policy_version: policy_version.as_str(),
        policy_eval: None,
    }
}

fn paid(merchant_id: &MerchantId, amount: Amount, currency: Currency) -> Object {
    let mut context = Object::new();
    context.insert("merchant_id", merchant_id.as_str().into());
    context.insert("amount", Value::Int(amount.get()));
    context.insert("currency", currency.as_str().into());
    context
}

fn text(value: &impl ToString) -> Value {
    value.to_string().as_str().into()
}
