//! What the receipts of delegations and payments say, to the byte: from what is asked of the core to the canonical text that is signed.
//!
//! Source: sections 3 to 6 of the AffixIO API; `FORMAT.md`, section "Receipt".

use allowlog_projections::command::{Action, Payments, Registration};
use allowlog_proto::api::affixio::{
    CaptureBody, DelegationBody, GateBody, IntentBody, OfflineTokenBody, ReconcileBody, RegisterAgentBody, RevokeDelegationBody,
    TransactionBody, TransactionsBody,
};
use allowlog_proto::event::{AgentKind, Event, Interval, OnExceed, Payment, PaymentEvent, PaymentLimits, Period, Purpose};
use allowlog_proto::id::{AuthorizationId, DelegationId, OrgId};
use allowlog_proto::json::{CanonicalObject, Value};
use allowlog_proto::money::{Amount, Currency};
use allowlog_proto::text::{Category, Channel, MerchantId, Name, Note, OpaqueId, Resource, ScopeName};

use crate::receipts::Issuer;
use crate::wording::instant;

/// What every receipt of these tests ends with.
const TAIL: &str = r#","version":"1.0","workspace_id":"ws_01KKBFJYM00000000000000000"}"#;
const ORG: &str = "org_01KKBFJYM00000000000000000";
const AGENT: &str = "agt_01KKBK0T800000000000000000";
const DELEGATION: &str = "dlg_01KKBK2MV00000000000000001";

fn amount(minor: i64) -> Amount {
    Amount::new(minor).unwrap()
}

fn currency(letters: &str) -> Currency {
    Currency::new(letters).unwrap()
}

fn opaque(text: &str) -> OpaqueId {
    OpaqueId::new(text).unwrap()
}

fn merchants(ids: &[&str]) -> Vec<MerchantId> {
    ids.iter().map(|id| MerchantId::new(id).unwrap()).collect()
}

fn object(text: &str) -> CanonicalObject {
    CanonicalObject::new(Value::parse(text.as_bytes()).unwrap().as_object().unwrap(), "").unwrap()
}

fn payment(merchant: &str, minor: i64) -> Payment {
    Payment {
        merchant_id: Some(MerchantId::new(merchant).unwrap()),
        amount: Some(amount(minor)),
        currency: Some(currency("usd")),
        ..Payment::default()
    }
}

fn gate(payment: Payment) -> GateBody {
    GateBody {
        purpose: Purpose::Permission,
        agent: Some(opaque(AGENT)),
        delegation: Some(opaque(DELEGATION)),
        device: None,
        permission: None,
        payment,
        resource: None,
        context: CanonicalObject::default(),
    }
}

fn delegation(limits: PaymentLimits) -> DelegationBody {
    DelegationBody {
        agent: opaque(AGENT),
        permissions: vec![ScopeName::given("payments.create").unwrap()],
        not_before: None,
        expires_at: None,
        limits,
        metadata: CanonicalObject::default(),
    }
}

/// A workspace with an agent, of 10:00.
fn with_an_agent() -> Issuer {
    let mut issuer = Issuer::new();
    let agent = RegisterAgentBody {
        name: Name::new("shop").unwrap(),
        kind: AgentKind::Llm,
        owner: OrgId::parse(ORG),
        metadata: CanonicalObject::default(),
    };
    assert_eq!(issuer.ask("10:00", Action::Register(Registration::Agent(Box::new(agent)))), [""; 0], "no receipt");
    issuer
}

/// And a delegation of 10:01.
fn with_a_delegation(limits: PaymentLimits) -> Issuer {
    let mut issuer = with_an_agent();
    assert_eq!(pay(&mut issuer, "10:01", Payments::Delegate(Box::new(delegation(limits)))).len(), 1);
    issuer
}

fn pay(issuer: &mut Issuer, at: &str, what: Payments) -> Vec<String> {
    issuer.ask(at, Action::Pay(what))
}

fn decide(issuer: &mut Issuer, at: &str, body: GateBody) -> String {
    one(pay(issuer, at, Payments::Decide(Box::new(body))))
}

fn one(receipts: Vec<String>) -> String {
    let [receipt] = <[String; 1]>::try_from(receipts).expect("one receipt");
    receipt.strip_suffix(TAIL).expect("the workspace's").to_owned()
}

#[test]
fn a_delegation_with_all_there_is_and_its_end() {
    let limits = PaymentLimits {
        merchants: Some(merchants(&["mer_2", "mer_1"])),
        categories: Some(vec![Category::new("5812").unwrap()]),
        blocked_merchants: merchants(&["mer_9"]),
        per_transaction: Some(amount(2000)),
        daily: Some(amount(9_007_199_254_740_991)),
        period: Some(Period { amount: amount(5000), interval: Interval::parse("P1DT6H").unwrap() }),
        currencies: Some(vec![currency("jpy")]),
        channels: Some(vec![Channel::new("online").unwrap()]),
        step_up_above: Some(amount(1500)),
        review_above: Some(amount(1800)),
        requires_trusted_device: true,
        on_exceed: OnExceed::Cap,
    };
    let body = DelegationBody {
        not_before: Some(instant("11:00")),
        expires_at: Some(instant("12:00")),
        metadata: object(r#"{"team":7,"Zone":"x"}"#),
        ..delegation(limits)
    };
    let mut issuer = with_an_agent();
    assert_eq!(
        one(pay(&mut issuer, "10:01", Payments::Delegate(Box::new(body)))),
        concat!(
            r#"{"agent_id":"agt_01KKBK0T800000000000000000","authorization_id":"auth_01KKBK2MV00000000000000001","#,
            r#""context":{"Zone":"x","delegation_id":"dlg_01KKBK2MV00000000000000001","expires_at":"2026-03-10T12:00:00.000Z","#,
            r#""limits":{"amount_limits":{"daily":9007199254740991,"per_transaction":2000,"period":{"amount":5000,"#,
            r#""interval":"P1DT21600S"}},"channels":["online"],"currency_limits":["JPY"],"#,
            r#""merchant_constraints":{"allowed_categories":["5812"],"allowed_merchants":["mer_2","mer_1"],"#,
            r#""blocked_merchants":["mer_9"]},"on_exceed":"cap","require_trusted_device":true,"review_above":1800,"#,
            r#""step_up_above":1500},"not_before":"2026-03-10T11:00:00.000Z","scopes":["payments.create"],"team":7},"#,
            r#""decision":"authorization_granted","event":"authorization.create","issued_at":"2026-03-10T10:01:00.000Z","#,
            r#""policy_version":"2026-11-26.1","reason":"user_approved_via_customer_ui","#,
            r#""receipt_id":"rcp_01KKBK2MV00000000000000000","resource":null,"user_id":"org_01KKBFJYM00000000000000000""#,
        )
    );
    assert_eq!(
        decide(&mut issuer, "10:02", gate(payment("mer_1", 1))),
        concat!(
            r#"{"agent_id":"agt_01KKBK0T800000000000000000","authorization_id":"auth_01KKBK2MV00000000000000001","#,
            r#""context":{"payment_intent":{"amount":1,"currency":"USD","merchant_id":"mer_1"},"permission":{"action":"DENY","#,
            r#""agent_id":"agt_01KKBK0T800000000000000000","decision_id":"dec_01KKBK4FE00000000000000000","device_id":null,"#,
            r#""expires_at":"2026-03-10T10:07:00.000Z","max_amount":null,"purpose":"permission","#,
            r#""reason_codes":["DELEGATION_NOT_YET_VALID"]}},"decision":"deny","issued_at":"2026-03-10T10:02:00.000Z","#,
            r#""policy_version":"2026-11-26.1","reason":"authorization_not_yet_valid","receipt_id":"rcp_01KKBK4FE00000000000000000","#,
            r#""resource":"payment:USD:1:::mer_1","scope":"payments.create","user_id":"org_01KKBFJYM00000000000000000""#,
        )
    );
    let id = DelegationId::parse(DELEGATION).map(AuthorizationId::from);
    let revoke = RevokeDelegationBody { reason: Some(Note::new("enough").unwrap()), revoked_by: None };
    assert_eq!(
        one(pay(&mut issuer, "10:03", Payments::Revoke(id, Box::new(revoke)))),
        concat!(
            r#"{"agent_id":"agt_01KKBK0T800000000000000000","authorization_id":"auth_01KKBK2MV00000000000000001","#,
            r#""context":{"notes":"enough"},"decision":"authorization_revoked","event":"authorization.revoke","#,
            r#""issued_at":"2026-03-10T10:03:00.000Z","policy_version":"2026-11-26.1","reason":"user_revoked_via_settings","#,
            r#""receipt_id":"rcp_01KKBK6A100000000000000000","resource":null,"user_id":"org_01KKBFJYM00000000000000000""#,
        )
    );
}

/// No limit but what becomes of more, a list that allows nothing, and no end.
#[test]
fn a_delegation_that_says_next_to_nothing() {
    let mut issuer = with_an_agent();
    let limits = PaymentLimits { merchants: Some(Vec::new()), ..PaymentLimits::default() };
    assert_eq!(
        one(pay(&mut issuer, "10:01", Payments::Delegate(Box::new(delegation(limits))))),
        concat!(
            r#"{"agent_id":"agt_01KKBK0T800000000000000000","authorization_id":"auth_01KKBK2MV00000000000000001","#,
            r#""context":{"delegation_id":"dlg_01KKBK2MV00000000000000001","limits":{"merchant_constraints":{"allowed_merchants":[]},"#,
            r#""on_exceed":"deny"},"scopes":["payments.create"]},"decision":"authorization_granted","event":"authorization.create","#,
            r#""issued_at":"2026-03-10T10:01:00.000Z","policy_version":"2026-11-26.1","reason":"user_approved_via_customer_ui","#,
            r#""receipt_id":"rcp_01KKBK2MV00000000000000000","resource":null,"user_id":"org_01KKBFJYM00000000000000000""#,
        )
    );
}

#[test]
fn decisions_of_the_gate() {
    let mut issuer = with_a_delegation(PaymentLimits {
        daily: Some(amount(4000)),
        merchants: Some(merchants(&["mer_1", "mer_2"])),
        step_up_above: Some(amount(1900)),
        review_above: Some(amount(2500)),
        on_exceed: OnExceed::Cap,
        ..PaymentLimits::default()
    });
    let full = Payment {
        channel: Some(Channel::new("online").unwrap()),
        category: Some(Category::new("5812").unwrap()),
        intent_id: Some(opaque("order 7")),
        ..payment("mer_1", 1850)
    };
    assert_eq!(
        decide(&mut issuer, "10:02", GateBody { device: Some(opaque("till 7")), ..gate(full) }),
        concat!(
            r#"{"agent_id":"agt_01KKBK0T800000000000000000","authorization_id":"auth_01KKBK2MV00000000000000001","#,
            r#""context":{"payment_intent":{"amount":1850,"channel":"online","currency":"USD","id":"order 7","#,
            r#""merchant_category":"5812","merchant_id":"mer_1"},"permission":{"action":"ALLOW_WITH_LIMITS","#,
            r#""agent_id":"agt_01KKBK0T800000000000000000","decision_id":"dec_01KKBK4FE00000000000000000","device_id":"till 7","#,
            r#""expires_at":"2026-03-10T10:07:00.000Z","max_amount":4000,"purpose":"permission","reason_codes":["DELEGATION_VALID","#,
            r#""DEVICE_UNVERIFIED","MERCHANT_ALLOWED"]}},"decision":"allow","issued_at":"2026-03-10T10:02:00.000Z","#,
            r#""policy_version":"2026-11-26.1","reason":"authorization_granted_scope_active","#,
            r#""receipt_id":"rcp_01KKBK4FE00000000000000000","resource":"payment+17b5d2aa3376faa46efbe9f881f9ff16:USD:1850:online:5812:mer_1","#,
            r#""scope":"payments.create","user_id":"org_01KKBFJYM00000000000000000""#,
        )
    );
    assert_eq!(
        decide(&mut issuer, "10:03", gate(payment("mer_3", 1))),
        concat!(
            r#"{"agent_id":"agt_01KKBK0T800000000000000000","authorization_id":"auth_01KKBK2MV00000000000000001","#,
            r#""context":{"payment_intent":{"amount":1,"currency":"USD","merchant_id":"mer_3"},"permission":{"action":"DENY","#,
            r#""agent_id":"agt_01KKBK0T800000000000000000","decision_id":"dec_01KKBK6A100000000000000000","device_id":null,"#,
            r#""expires_at":"2026-03-10T10:08:00.000Z","max_amount":null,"purpose":"permission","reason_codes":["DELEGATION_VALID","#,
            r#""MERCHANT_NOT_ALLOWED"]}},"decision":"deny","issued_at":"2026-03-10T10:03:00.000Z","policy_version":"2026-11-26.1","#,
            r#""reason":"merchant_not_allowed","receipt_id":"rcp_01KKBK6A100000000000000000","resource":"payment:USD:1:::mer_3","#,
            r#""scope":"payments.create","user_id":"org_01KKBFJYM00000000000000000""#,
        )
    );
    assert_eq!(
        decide(&mut issuer, "10:04", gate(payment("mer_1", 1950))),
        concat!(
            r#"{"agent_id":"agt_01KKBK0T800000000000000000","authorization_id":"auth_01KKBK2MV00000000000000001","#,
            r#""context":{"payment_intent":{"amount":1950,"currency":"USD","merchant_id":"mer_1"},"#,
            r#""permission":{"action":"STEP_UP_REQUIRED","agent_id":"agt_01KKBK0T800000000000000000","#,
            r#""decision_id":"dec_01KKBK84M00000000000000001","device_id":null,"expires_at":"2026-03-10T10:09:00.000Z","#,
            r#""max_amount":null,"purpose":"permission","reason_codes":["DELEGATION_VALID","MERCHANT_ALLOWED","STEP_UP_REQUIRED"]}},"#,
            r#""decision":"confirm","issued_at":"2026-03-10T10:04:00.000Z","policy_version":"2026-11-26.1","#,
            r#""reason":"scope_requires_user_confirmation","receipt_id":"rcp_01KKBK84M00000000000000001","#,
            r#""resource":"payment:USD:1950:::mer_1","scope":"payments.create","user_id":"org_01KKBFJYM00000000000000000""#,
        )
    );
    assert_eq!(
        decide(&mut issuer, "10:05", gate(payment("mer_1", 3000))),
        concat!(
            r#"{"agent_id":"agt_01KKBK0T800000000000000000","authorization_id":"auth_01KKBK2MV00000000000000001","#,
            r#""context":{"escalation":{"escalation_to":null,"event":"requested","id":"esc_01KKBK9Z700000000000000000","#,
            r#""scope":"payments.create","status":"pending"},"payment_intent":{"amount":3000,"currency":"USD","merchant_id":"mer_1"},"#,
            r#""permission":{"action":"REVIEW","agent_id":"agt_01KKBK0T800000000000000000","#,
            r#""decision_id":"dec_01KKBK9Z700000000000000001","device_id":null,"expires_at":"2026-03-10T10:10:00.000Z","#,
            r#""max_amount":null,"purpose":"permission","reason_codes":["DELEGATION_VALID","MERCHANT_ALLOWED","#,
            r#""MANUAL_REVIEW_REQUIRED"]}},"decision":"escalate","issued_at":"2026-03-10T10:05:00.000Z","#,
            r#""policy_version":"2026-11-26.1","reason":"escalation_required","receipt_id":"rcp_01KKBK9Z700000000000000001","#,
            r#""resource":"payment:USD:3000:::mer_1","scope":"payments.create","user_id":"org_01KKBFJYM00000000000000000""#,
        )
    );
}

#[test]
fn decisions_about_nobody_and_about_no_payment() {
    let mut issuer = with_a_delegation(PaymentLimits::default());
    assert_eq!(
        decide(&mut issuer, "10:02", GateBody { delegation: Some(opaque("who?")), ..gate(payment("mer_1", 1)) }),
        concat!(
            r#"{"agent_id":"unknown","authorization_id":null,"context":{"payment_intent":{"amount":1,"currency":"USD","#,
            r#""merchant_id":"mer_1"},"permission":{"action":"DENY","agent_id":"agt_01KKBK0T800000000000000000","#,
            r#""decision_id":"dec_01KKBK4FE00000000000000000","device_id":null,"expires_at":"2026-03-10T10:07:00.000Z","#,
            r#""max_amount":null,"purpose":"permission","reason_codes":["DELEGATION_NOT_FOUND"]}},"decision":"deny","#,
            r#""issued_at":"2026-03-10T10:02:00.000Z","policy_version":"2026-11-26.1","reason":"authorization_not_found","#,
            r#""receipt_id":"rcp_01KKBK4FE00000000000000000","resource":"payment:USD:1:::mer_1","scope":"payment","user_id":"unknown""#,
        )
    );
    // Nothing of the caller's stands where the server says something.
    let policy = GateBody {
        purpose: Purpose::Policy,
        permission: Some(ScopeName::given("report.read").unwrap()),
        resource: Some(Resource::new("report:7").unwrap()),
        context: object(r#"{"payment_intent":{"amount":7},"permission":1,"x":2}"#),
        ..gate(Payment::default())
    };
    assert_eq!(
        decide(&mut issuer, "10:03", policy),
        concat!(
            r#"{"agent_id":"agt_01KKBK0T800000000000000000","authorization_id":"auth_01KKBK2MV00000000000000001","#,
            r#""context":{"payment_intent":{},"permission":{"action":"DENY","agent_id":"agt_01KKBK0T800000000000000000","#,
            r#""decision_id":"dec_01KKBK6A100000000000000000","device_id":null,"expires_at":"2026-03-10T10:08:00.000Z","#,
            r#""max_amount":null,"purpose":"policy","reason_codes":["DELEGATION_VALID","PERMISSION_NOT_GRANTED"]},"x":2},"#,
            r#""decision":"deny","issued_at":"2026-03-10T10:03:00.000Z","policy_version":"2026-11-26.1","#,
            r#""reason":"permission_not_granted","receipt_id":"rcp_01KKBK6A100000000000000000","resource":"report:7","#,
            r#""scope":"report.read","user_id":"org_01KKBFJYM00000000000000000""#,
        )
    );
    assert_eq!(
        decide(&mut issuer, "10:04", GateBody { purpose: Purpose::Verification, ..gate(Payment::default()) }),
        concat!(
            r#"{"agent_id":"agt_01KKBK0T800000000000000000","authorization_id":"auth_01KKBK2MV00000000000000001","#,
            r#""context":{"payment_intent":{},"permission":{"action":"ALLOW","agent_id":"agt_01KKBK0T800000000000000000","#,
            r#""decision_id":"dec_01KKBK84M00000000000000000","device_id":null,"expires_at":"2026-03-10T10:09:00.000Z","#,
            r#""max_amount":null,"purpose":"verification","reason_codes":["DELEGATION_VALID"]}},"decision":"allow","#,
            r#""issued_at":"2026-03-10T10:04:00.000Z","policy_version":"2026-11-26.1","reason":"authorization_granted_scope_active","#,
            r#""receipt_id":"rcp_01KKBK84M00000000000000000","resource":null,"scope":"payments.create","#,
            r#""user_id":"org_01KKBFJYM00000000000000000""#,
        )
    );
}

#[test]
fn an_intent_is_authorised_and_captured_and_another_refused() {
    let mut issuer = with_a_delegation(PaymentLimits { daily: Some(amount(2000)), ..PaymentLimits::default() });
    let intent = IntentBody {
        merchant_id: MerchantId::new("mer_1").unwrap(),
        amount: amount(1850),
        currency: currency("USD"),
        channel: None,
        agent: None,
        delegation: Some(opaque(DELEGATION)),
        device: None,
        decision: None,
        metadata: CanonicalObject::default(),
    };
    let unnamed = IntentBody { delegation: None, ..intent.clone() };
    for at in ["10:02", "10:03"] {
        decide(&mut issuer, at, gate(payment("mer_1", 1850)));
    }
    let [first, second, third] = [("10:04", intent.clone()), ("10:05", intent), ("10:06", unnamed)].map(|(at, body)| {
        assert!(pay(&mut issuer, at, Payments::CreateIntent(Box::new(body))).is_empty(), "no receipt");
        let Event::Payment(PaymentEvent::IntentCreated(created)) = &issuer.0.records.last().unwrap().event else { panic!("an intent") };
        Some(created.intent_id)
    });
    assert_eq!(
        one(pay(&mut issuer, "10:06", Payments::Authorise(first, Box::default()))),
        concat!(
            r#"{"agent_id":"agt_01KKBK0T800000000000000000","authorization_id":"auth_01KKBK2MV00000000000000001","#,
            r#""context":{"amount":1850,"currency":"USD","decision_id":"dec_01KKBK6A100000000000000000","#,
            r#""delegation_id":"dlg_01KKBK2MV00000000000000001","merchant_id":"mer_1","#,
            r#""payment_intent_id":"pin_01KKBK84M00000000000000000"},"decision":"allow","issued_at":"2026-03-10T10:06:00.000Z","#,
            r#""policy_version":"2026-11-26.1","reason":"payment_authorised","receipt_id":"rcp_01KKBKBST00000000000000001","#,
            r#""resource":null,"scope":"payment_intent.authorise","user_id":"org_01KKBFJYM00000000000000000""#,
        )
    );
    assert_eq!(
        one(pay(&mut issuer, "10:06", Payments::Authorise(second, Box::default()))),
        concat!(
            r#"{"agent_id":"agt_01KKBK0T800000000000000000","authorization_id":"auth_01KKBK2MV00000000000000001","#,
            r#""context":{"amount":1850,"currency":"USD","decision_id":"dec_01KKBK4FE00000000000000000","#,
            r#""delegation_id":"dlg_01KKBK2MV00000000000000001","merchant_id":"mer_1","#,
            r#""payment_intent_id":"pin_01KKBK9Z700000000000000000","reason_codes":["DAILY_LIMIT_EXCEEDED"]},"decision":"deny","#,
            r#""issued_at":"2026-03-10T10:06:00.000Z","policy_version":"2026-11-26.1","reason":"limit_exceeded","#,
            r#""receipt_id":"rcp_01KKBKBST00000000000000002","resource":null,"scope":"payment_intent.authorise","#,
            r#""user_id":"org_01KKBFJYM00000000000000000""#,
        )
    );
    assert_eq!(
        one(pay(&mut issuer, "10:07", Payments::Capture(first, CaptureBody { amount: Some(amount(1800)) }))),
        concat!(
            r#"{"agent_id":"agt_01KKBK0T800000000000000000","authorization_id":"auth_01KKBK2MV00000000000000001","#,
            r#""context":{"amount":1800,"currency":"USD","decision_id":"dec_01KKBK6A100000000000000000","#,
            r#""delegation_id":"dlg_01KKBK2MV00000000000000001","merchant_id":"mer_1","#,
            r#""payment_intent_id":"pin_01KKBK84M00000000000000000"},"decision":"allow","issued_at":"2026-03-10T10:07:00.000Z","#,
            r#""policy_version":"2026-11-26.1","reason":"payment_captured","receipt_id":"rcp_01KKBKDMD00000000000000000","#,
            r#""resource":null,"scope":"payment_intent.capture","user_id":"org_01KKBFJYM00000000000000000""#,
        )
    );
    assert_eq!(
        one(pay(&mut issuer, "10:08", Payments::Cancel(second))),
        concat!(
            r#"{"agent_id":"agt_01KKBK0T800000000000000000","authorization_id":"auth_01KKBK2MV00000000000000001","#,
            r#""context":{"amount":1850,"currency":"USD","decision_id":null,"delegation_id":"dlg_01KKBK2MV00000000000000001","#,
            r#""merchant_id":"mer_1","payment_intent_id":"pin_01KKBK9Z700000000000000000"},"decision":"allow","#,
            r#""issued_at":"2026-03-10T10:08:00.000Z","policy_version":"2026-11-26.1","reason":"payment_cancelled","#,
            r#""receipt_id":"rcp_01KKBKFF000000000000000000","resource":null,"scope":"payment_intent.cancel","#,
            r#""user_id":"org_01KKBFJYM00000000000000000""#,
        )
    );
    assert!(pay(&mut issuer, "10:09", Payments::Cancel(third)).is_empty(), "what names no delegation is abandoned without a receipt");
}

fn token() -> OfflineTokenBody {
    OfflineTokenBody {
        agent: opaque(AGENT),
        delegation: opaque(DELEGATION),
        device: opaque("till 7"),
        max_amount: amount(5000),
        currency: currency("EUR"),
        merchants: Some(merchants(&["mer_1"])),
        life_ms: 3_600_000,
    }
}

#[test]
fn an_offline_token_is_issued_and_spent_twice() {
    let mut issuer = with_a_delegation(PaymentLimits { daily: Some(amount(9000)), ..PaymentLimits::default() });
    assert_eq!(
        one(pay(&mut issuer, "10:02", Payments::IssueToken(Box::new(token())))),
        concat!(
            r#"{"agent_id":"agt_01KKBK0T800000000000000000","authorization_id":"auth_01KKBK2MV00000000000000001","#,
            r#""context":{"currency":"EUR","delegation_id":"dlg_01KKBK2MV00000000000000001","device_id":"till 7","#,
            r#""expires_at":"2026-03-10T11:02:00.000Z","max_amount":5000,"merchant_ids":["mer_1"],"permission":"payments.create","#,
            r#""reason_codes":["DELEGATION_VALID","DEVICE_UNVERIFIED","MERCHANT_ALLOWED"],"#,
            r#""token_id":"oft_01KKBK4FE00000000000000001"},"decision":"allow","issued_at":"2026-03-10T10:02:00.000Z","#,
            r#""policy_version":"2026-11-26.1","reason":"offline_token_issued","receipt_id":"rcp_01KKBK4FE00000000000000000","#,
            r#""resource":null,"scope":"offline_token.issue","user_id":"org_01KKBFJYM00000000000000000""#,
        )
    );
    let Event::Payment(PaymentEvent::TokenIssued(issued)) = &issuer.0.records.last().unwrap().event else { panic!("a token") };
    let nullifier = Some(issued.nullifier);
    let paid = |minor| TransactionBody {
        nullifier,
        merchant_id: MerchantId::new("mer_1").unwrap(),
        amount: amount(minor),
        currency: currency("EUR"),
        occurred_at: None,
        client_ref: None,
    };
    let told = TransactionsBody { device: opaque("till 7"), transactions: vec![paid(4200), paid(1)] };
    assert!(pay(&mut issuer, "10:04", Payments::Queue(Box::new(told))).is_empty(), "no receipt");
    let settled = pay(&mut issuer, "10:05", Payments::Reconcile(Box::new(ReconcileBody { device: opaque("till 7") })));
    let [first, second] = <[String; 2]>::try_from(settled).expect("two receipts").map(|receipt| one(vec![receipt]));
    assert_eq!(
        first,
        concat!(
            r#"{"agent_id":"agt_01KKBK0T800000000000000000","authorization_id":"auth_01KKBK2MV00000000000000001","#,
            r#""context":{"amount":4200,"currency":"EUR","delegation_id":"dlg_01KKBK2MV00000000000000001","device_id":"till 7","#,
            r#""merchant_id":"mer_1","token_id":"oft_01KKBK4FE00000000000000001","transaction_id":"otx_01KKBK84M00000000000000000"},"#,
            r#""decision":"allow","issued_at":"2026-03-10T10:05:00.000Z","policy_version":"2026-11-26.1","reason":"settled","#,
            r#""receipt_id":"rcp_01KKBK9Z700000000000000000","resource":null,"scope":"offline_token.settle","#,
            r#""user_id":"org_01KKBFJYM00000000000000000""#,
        )
    );
    assert_eq!(
        second,
        concat!(
            r#"{"agent_id":"agt_01KKBK0T800000000000000000","authorization_id":"auth_01KKBK2MV00000000000000001","#,
            r#""context":{"amount":1,"currency":"EUR","delegation_id":"dlg_01KKBK2MV00000000000000001","device_id":"till 7","#,
            r#""merchant_id":"mer_1","token_id":"oft_01KKBK4FE00000000000000001","transaction_id":"otx_01KKBK84M00000000000000001"},"#,
            r#""decision":"deny","issued_at":"2026-03-10T10:05:00.000Z","policy_version":"2026-11-26.1","reason":"double_spend","#,
            r#""receipt_id":"rcp_01KKBK9Z700000000000000001","resource":null,"scope":"offline_token.settle","#,
            r#""user_id":"org_01KKBFJYM00000000000000000""#,
        )
    );
}

/// That is a decision like any other.
#[test]
fn an_offline_token_that_is_denied() {
    let mut issuer = with_a_delegation(PaymentLimits { daily: Some(amount(4999)), ..PaymentLimits::default() });
    assert_eq!(
        one(pay(&mut issuer, "10:02", Payments::IssueToken(Box::new(OfflineTokenBody { merchants: None, ..token() })))),
        concat!(
            r#"{"agent_id":"agt_01KKBK0T800000000000000000","authorization_id":"auth_01KKBK2MV00000000000000001","#,
            r#""context":{"payment_intent":{"amount":5000,"channel":"offline","currency":"EUR"},"permission":{"action":"DENY","#,
            r#""agent_id":"agt_01KKBK0T800000000000000000","decision_id":"dec_01KKBK4FE00000000000000000","device_id":"till 7","#,
            r#""expires_at":"2026-03-10T10:07:00.000Z","max_amount":null,"purpose":"offline_token","#,
            r#""reason_codes":["DELEGATION_VALID","DEVICE_UNVERIFIED","DAILY_LIMIT_EXCEEDED"]}},"decision":"deny","#,
            r#""issued_at":"2026-03-10T10:02:00.000Z","policy_version":"2026-11-26.1","reason":"daily_limit_exceeded","#,
            r#""receipt_id":"rcp_01KKBK4FE00000000000000000","resource":"offline_token+0dcbc954560c1312f9f4c2cf8f424b0a:EUR:5000:offline::","#,
            r#""scope":"payments.create","user_id":"org_01KKBFJYM00000000000000000""#,
        )
    );
}
