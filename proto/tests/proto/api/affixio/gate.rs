//! What the gate is asked, by its four endpoints.

use allowlog_proto::api::affixio::{GateBody, PermissionAsked, PolicyAsked, TrustAsked, TrustCheckBody, VerificationAsked};
use allowlog_proto::api::envelope::FieldError;
use allowlog_proto::event::{Code, Payment, Purpose};
use allowlog_proto::json::Value;
use allowlog_proto::text::OpaqueId;
use utoipa::ToSchema;

use super::super::schemas::agreed_as;
use super::super::{fields, json, with};
use super::{AMOUNTS, same_in_camel_case};

const PERMISSION: &str = r#"{"agent_id":"a","delegation_id":"d","payment_intent":{"merchant_id":"m","amount":1850,"currency":"eur"}}"#;
const POLICY: &str = r#"{"agent_id":"a","action":"payments.create"}"#;

fn table<S: ToSchema>(parse: impl Fn(&Value) -> Result<GateBody, Vec<FieldError>>, base: &str, rows: &[(&str, &[&str])]) {
    for (changed, expected) in rows {
        assert_eq!(fields(agreed_as::<S, _>(&with(base, changed), &parse)), *expected, "{changed}");
    }
}

fn verification(body: &Value) -> Result<GateBody, Vec<FieldError>> {
    GateBody::parse_verification(body, OpaqueId::new("dlg_1").unwrap())
}

#[test]
fn the_main_gate() {
    let whole = r#"{"agent_id":"a","device_id":"v","delegation_id":"d","permission":"pay","context":{"orderId":7},
        "payment_intent":{"merchant_id":"m","amount":1850,"currency":"eur","channel":"online","merchant_category":"5411","id":"pin_1"}}"#;
    let asked = GateBody::parse_permission(&json(whole)).unwrap();
    assert_eq!(asked.purpose, Purpose::Permission);
    assert_eq!(asked.context.as_str(), r#"{"orderId":7}"#);
    let text = |id: &Option<OpaqueId>| id.as_ref().map(ToString::to_string).unwrap_or_default();
    assert_eq!([text(&asked.agent), text(&asked.device), text(&asked.delegation)], ["a", "v", "d"]);
    let Payment { merchant_id, amount, currency, channel, category, intent_id } = &asked.payment;
    assert_eq!(merchant_id.as_ref().map(|id| id.as_str()), Some("m"));
    assert_eq!((amount.map(|a| a.get()), currency.map(|c| c.to_string()).as_deref()), (Some(1850), Some("EUR")));
    assert_eq!((channel.as_ref().map(|c| c.as_str()), category.as_ref().map(|c| c.as_str())), (Some("online"), Some("5411")));
    assert_eq!(text(intent_id), "pin_1");
    same_in_camel_case(GateBody::parse_permission, &whole.replace("orderId", "order"));
    table::<PermissionAsked>(
        GateBody::parse_permission,
        PERMISSION,
        &[
            ("{}", &[]),
            (r#"{"agent_id":"nobody knows me ☂","device_id":null,"permission":[],"unknown":1}"#, &[]),
            (r#"{"agent_id":"-"}"#, &["body.agent_id"]),
            (r#"{"delegation_id":"-","agent_id":7}"#, &["body.agent_id", "body.delegation_id"]),
            (r#"{"device_id":7}"#, &["body.device_id"]),
            (r#"{"payment_intent":"-"}"#, &["body.payment_intent"]),
            (r#"{"payment_intent":{}}"#, &["body.payment_intent"]),
            (r#"{"payment_intent":"pin_1"}"#, &["body.payment_intent"]),
            (
                r#"{"payment_intent":{"id":"x"}}"#,
                &["body.payment_intent.merchant_id", "body.payment_intent.amount", "body.payment_intent.currency"],
            ),
            (
                r#"{"payment_intent":{"merchant_id":7,"amount":1,"currency":"EURO"}}"#,
                &["body.payment_intent.merchant_id", "body.payment_intent.currency"],
            ),
            (r#"{"payment_intent":{"merchant_id":"m","amount":1,"currency":"EUR","channel":""}}"#, &["body.payment_intent.channel"]),
            (r#"{"permission":7}"#, &["body.permission"]),
            (
                r#"{"context":{"permission":1,"payment_intent":2,"escalation":3}}"#,
                &["body.context.permission", "body.context.payment_intent", "body.context.escalation"],
            ),
        ],
    );
    assert_eq!(
        fields(GateBody::parse_permission(&json(&with(PERMISSION, r#"{"permission":"offline_token.issue"}"#)))),
        ["body.permission"]
    );
    let both = PERMISSION.replace(r#""merchant_id":"m""#, r#""merchant_id":"m","merchantId":"n""#);
    assert_eq!(fields(GateBody::parse_permission(&json(&both))), ["body.payment_intent.merchant_id"]);
    assert_eq!(fields(GateBody::parse_permission(&json(&both.replace("\"n\"", "\"m\"")))), [""; 0]);
}

#[test]
fn amounts_are_integers_of_minor_units() {
    for amount in AMOUNTS {
        let body = PERMISSION.replace("1850", amount);
        assert_eq!(fields(agreed_as::<PermissionAsked, _>(&body, GateBody::parse_permission)), ["body.payment_intent.amount"], "{body}");
        let body = format!(r#"{{"agent_id":"a","action":"pay","amount":{amount}}}"#);
        assert_eq!(fields(agreed_as::<PolicyAsked, _>(&body, GateBody::parse_policy)), ["body.amount"], "{body}");
    }
    // No currency is scaled, whatever its minor units are.
    for currency in ["JPY", "KWD"] {
        let asked = GateBody::parse_permission(&json(&PERMISSION.replace("eur", currency))).unwrap();
        assert_eq!(
            (asked.payment.amount.map(|a| a.get()), asked.payment.currency.map(|c| c.to_string()).as_deref()),
            (Some(1850), Some(currency))
        );
    }
}

#[test]
fn policies() {
    table::<PolicyAsked>(
        GateBody::parse_policy,
        POLICY,
        &[
            ("{}", &[]),
            (r#"{"resource":"r","amount":1,"currency":"EUR","merchant_id":"m","channel":"c","context":{"a":1}}"#, &[]),
            (r#"{"delegation_id":"d","device_id":"v","merchant_category":"5411","amount":null}"#, &[]),
            (r#"{"agent_id":"-","action":"-"}"#, &["body.agent_id", "body.action"]),
            (
                r#"{"action":7,"resource":7,"currency":7,"merchant_id":""}"#,
                &["body.action", "body.resource", "body.merchant_id", "body.currency"],
            ),
        ],
    );
    let asked = GateBody::parse_policy(&json(&with(POLICY, r#"{"resource":"r","amount":1}"#))).unwrap();
    assert_eq!((asked.purpose, asked.permission.map(|p| p.to_string()).as_deref()), (Purpose::Policy, Some("payments.create")));
    assert_eq!((asked.resource.map(|r| r.to_string()).as_deref(), asked.payment.amount.map(|a| a.get())), (Some("r"), Some(1)));
    same_in_camel_case(GateBody::parse_policy, r#"{"agent_id":"a","action":"p","merchant_id":"m","merchant_category":"c"}"#);
    let large = |n: usize| with(POLICY, &format!(r#"{{"context":{{"a":"{}"}}}}"#, "x".repeat(n)));
    assert_eq!(fields(GateBody::parse_policy(&json(&large(4096 - 8)))), [""; 0]);
    assert_eq!(fields(GateBody::parse_policy(&json(&large(4096 - 7)))), ["body.context"]);
}

#[test]
fn trust_and_verification() {
    table::<TrustAsked>(
        GateBody::parse_trust,
        r#"{"agent_id":"a"}"#,
        &[
            ("{}", &[]),
            (r#"{"payment_intent":{"amount":5}}"#, &[]),
            (r#"{"delegation_id":"d","device_id":"v","permission":"p","payment_intent":{}}"#, &[]),
            (r#"{"agent_id":"-","payment_intent":{"amount":"5"}}"#, &["body.agent_id", "body.payment_intent.amount"]),
        ],
    );
    for empty in ["null", "[]", "{}"] {
        let asked = agreed_as::<VerificationAsked, _>(empty, verification).unwrap();
        assert_eq!((asked.purpose, asked.agent, asked.payment), (Purpose::Verification, None, Payment::default()));
        assert_eq!(asked.delegation.map(|id| id.to_string()).as_deref(), Some("dlg_1"));
    }
    table::<VerificationAsked>(
        verification,
        r#"{"device_id":"v"}"#,
        &[
            (r#"{"payment_intent":{"merchant_id":"m","amount":5,"currency":"EUR"},"permission":"p"}"#, &[]),
            (r#"{"payment_intent":{"amount":5}}"#, &["body.payment_intent.merchant_id", "body.payment_intent.currency"]),
        ],
    );
    assert_eq!(fields(verification(&json("7"))), ["body"]);
    assert!(Code::ALL.iter().all(|code| !(code.is_failure() && TrustCheckBody::of(*code).passed)), "no failure is a test that was passed");
}
