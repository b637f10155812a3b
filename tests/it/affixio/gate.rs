//! `/v1/nior/agent/permission`, `/v1/nior/policy/decide` and `/v1/trust/check`

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{GATE, NOBODY, agent, ask, codes, delegation, granted, json_of, laid_over, text};
use crate::harness::Server;

/// Every member of a decision.
const MEMBERS: [&str; 12] = [
    "action",
    "allowed",
    "audit_event_id",
    "currency",
    "decision_id",
    "delegation_id",
    "expires_at",
    "max_amount",
    "policy_id",
    "proof_id",
    "reason_codes",
    "requires_step_up",
];

#[tokio::test]
async fn a_device_and_a_merchant_that_nobody_registered_reach_an_allow() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({ "amount_limits": { "per_transaction": 5000, "daily": 6000 } })).await;
    let decision = ask(&server, (&agent, &delegation), 1850, json!({ "device_id": "dev_phone" })).await;
    let proof = text(&decision, "proof_id");
    assert_eq!(
        decision,
        json!({ "decision_id": proof.replace("prf_", "dec_"), "allowed": true, "action": "ALLOW_WITH_LIMITS",
            "reason_codes": ["DELEGATION_VALID", "DEVICE_UNVERIFIED", "MERCHANT_ALLOWED"], "policy_id": delegation.replace("dlg_", "pol_"),
            "delegation_id": delegation, "max_amount": 5000, "currency": "EUR", "requires_step_up": false, "proof_id": proof,
            "audit_event_id": proof.replace("prf_", "evt_"), "expires_at": "2026-03-01T10:05:00.000Z" })
    );
    let receipt = server.signed_receipt(&proof.replace("prf_", "rcp_")).await;
    assert_eq!((&receipt["decision"], &receipt["context"]["permission"]["max_amount"]), (&json!("allow"), &json!(5000)));
    // Without limits there is no ceiling.
    let (agent, delegation) = granted(&server, json!({})).await;
    let decision = ask(&server, (&agent, &delegation), 1850, json!({})).await;
    assert_eq!((&decision["action"], &decision["max_amount"]), (&json!("ALLOW"), &Value::Null));
}

#[tokio::test]
async fn both_spellings_are_the_same_question() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({ "channels": ["online"], "merchant_constraints": { "categories": ["5411"] } })).await;
    let camel = json!({ "agentId": agent, "delegationId": delegation, "deviceId": "v", "context": { "orderId": 7 },
        "paymentIntent": { "merchantId": "shop", "amount": 100, "currency": "eur", "merchantCategory": "5411", "channel": "online" } });
    let decision = json_of(&server.post(GATE, camel.clone()).await, StatusCode::OK);
    assert_eq!(decision["action"], "ALLOW");
    let receipt = server.signed_receipt(&text(&decision, "proof_id").replace("prf_", "rcp_")).await;
    assert_eq!(receipt["context"]["orderId"], 7, "what is the caller's own is not spelt anew");
    let mut both = camel;
    both["agent_id"] = json!("another");
    assert_eq!(server.post(GATE, both).await.affixio_error(), (400, "invalid_request".into(), vec!["agent_id".into()]));
}

/// What is asked of a delegation with every limit, and the codes of the answer.
#[tokio::test]
async fn every_test_of_the_gate() {
    let server = Server::start().await;
    let limits = json!({
        "merchant_constraints": { "allowed_merchants": ["shop", "blocked"], "blocked_merchants": ["blocked"], "allowed_categories": ["5411"] },
        "amount_limits": { "per_transaction": 1000, "daily": 1500, "period": { "amount": 1800, "interval": "P7D" } },
        "currency_limits": ["EUR"], "channels": ["online"],
    });
    let (agent, delegation) = granted(&server, limits.clone()).await;
    let (other_agent, _) = granted(&server, json!({})).await;
    let body = json!({ "agent_id": agent, "delegation_id": delegation, "payment_intent": { "merchant_id": "shop", "amount": 100, "currency": "EUR",
        "channel": "online", "merchant_category": "5411" } });
    let last = async |top: Value, payment: Value| {
        let mut asked = laid_over(body.clone(), &top);
        asked["payment_intent"] = laid_over(asked["payment_intent"].clone(), &payment);
        let decision = json_of(&server.post(GATE, asked).await, StatusCode::OK);
        let names: Vec<&str> = decision.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, MEMBERS, "every member, always");
        assert_eq!(decision["allowed"], json!(decision["action"] != "DENY"));
        codes(&decision).pop().unwrap().to_owned()
    };
    let none = || json!({});
    assert_eq!(last(none(), none()).await, "MERCHANT_ALLOWED");
    for (top, payment, code) in [
        (json!({ "agent_id": format!("agt_{NOBODY}") }), none(), "AGENT_NOT_FOUND"),
        (json!({ "agent_id": "anything" }), none(), "AGENT_NOT_FOUND"),
        (json!({ "delegation_id": format!("dlg_{NOBODY}") }), none(), "DELEGATION_NOT_FOUND"),
        (json!({ "delegation_id": "anything" }), none(), "DELEGATION_NOT_FOUND"),
        (json!({ "agent_id": other_agent }), none(), "DELEGATION_AGENT_MISMATCH"),
        (json!({ "permission": "catalog.read" }), none(), "PERMISSION_NOT_GRANTED"),
        (none(), json!({ "merchant_id": "elsewhere" }), "MERCHANT_NOT_ALLOWED"),
        (none(), json!({ "merchant_id": "blocked" }), "MERCHANT_NOT_ALLOWED"),
        (none(), json!({ "merchant_category": "7995" }), "MERCHANT_NOT_ALLOWED"),
        (none(), json!({ "merchant_category": null }), "MERCHANT_NOT_ALLOWED"),
        (none(), json!({ "currency": "USD" }), "CURRENCY_NOT_ALLOWED"),
        (none(), json!({ "channel": "terminal" }), "CHANNEL_NOT_ALLOWED"),
        (none(), json!({ "channel": null }), "CHANNEL_NOT_ALLOWED"),
        (none(), json!({ "amount": 1001 }), "AMOUNT_LIMIT_EXCEEDED"),
    ] {
        assert_eq!(last(top.clone(), payment.clone()).await, code, "{top} {payment}");
    }
    // What others have is as what does not exist.
    let (_, other) = server.other_workspace().await;
    let decision = json_of(&server.send_as(&other, Method::POST, GATE, Some(body.to_string())).await, StatusCode::OK);
    assert_eq!(
        (codes(&decision), &decision["delegation_id"], &decision["policy_id"]),
        (vec!["AGENT_NOT_FOUND"], &json!(delegation), &Value::Null)
    );
    for empty in [json!({ "merchant_constraints": [] }), json!({ "currency_limits": [] }), json!({ "channels": [] })] {
        let nothing = super::delegation(&server, &agent, empty.clone()).await;
        let code = last(json!({ "delegation_id": nothing }), none()).await;
        assert!(code.ends_with("_NOT_ALLOWED"), "an empty list allows nothing: {empty} {code}");
    }
}

#[tokio::test]
async fn limits_are_told_by_what_was_authorised() {
    let server = Server::start().await;
    let limits = json!({ "amount_limits": { "daily": 1000, "period": { "amount": 1500, "interval": "P7D" } } });
    let (agent, delegation) = granted(&server, limits).await;
    let spend = async |amount: i64, currency: &str| {
        let decision = ask(&server, (&agent, &delegation), amount, json!({ "payment_intent": { "currency": currency } })).await;
        let intent = super::intent(&server, amount, json!({ "currency": currency, "decision_id": decision["decision_id"] })).await;
        json_of(&super::authorise(&server, &intent, json!({})).await, StatusCode::OK);
    };
    let asked = async |amount: i64, currency: &str| {
        let decision = ask(&server, (&agent, &delegation), amount, json!({ "payment_intent": { "currency": currency } })).await;
        (decision["max_amount"].as_i64(), codes(&decision).pop().unwrap().to_owned())
    };
    assert_eq!(asked(1001, "EUR").await, (None, "DAILY_LIMIT_EXCEEDED".into()));
    spend(600, "EUR").await;
    assert_eq!(asked(400, "EUR").await, (Some(400), "MERCHANT_ALLOWED".into()));
    assert_eq!(asked(401, "EUR").await, (None, "DAILY_LIMIT_EXCEEDED".into()));
    // Each currency by itself, whatever its minor units are.
    assert_eq!(asked(1000, "JPY").await, (Some(1000), "MERCHANT_ALLOWED".into()));
    spend(1000, "KWD").await;
    assert_eq!(asked(1, "KWD").await, (None, "DAILY_LIMIT_EXCEEDED".into()));
    server.clock.advance_ms(24 * 60 * 60 * 1000);
    assert_eq!(asked(901, "EUR").await, (None, "PERIOD_LIMIT_EXCEEDED".into()));
    assert_eq!(asked(900, "EUR").await, (Some(900), "MERCHANT_ALLOWED".into()));
}

#[tokio::test]
async fn less_than_was_asked_for_may_be_allowed() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({ "amount_limits": 1000, "on_exceed": "cap" })).await;
    let decision = ask(&server, (&agent, &delegation), 5000, json!({})).await;
    assert_eq!((&decision["action"], &decision["max_amount"]), (&json!("ALLOW_WITH_LIMITS"), &json!(1000)));
    assert_eq!(codes(&decision), ["DELEGATION_VALID", "MERCHANT_ALLOWED", "AMOUNT_CAPPED"]);
}

#[tokio::test]
async fn a_review_is_an_escalation_and_allows_once() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({ "review_above": 1000 })).await;
    let asked = async || ask(&server, (&agent, &delegation), 1500, json!({})).await;
    assert_eq!(ask(&server, (&agent, &delegation), 1000, json!({})).await["action"], "ALLOW");
    let decision = asked().await;
    assert_eq!(
        (&decision["action"], &decision["allowed"], &decision["requires_step_up"]),
        (&json!("REVIEW"), &json!(false), &json!(false))
    );
    let escalation = text(&decision, "escalation_id");
    assert_eq!(asked().await["escalation_id"], json!(escalation), "the same question has the same answer to wait for");
    let yes = json!({ "resolution": "approved", "resolved_by": "ann" });
    json_of(&server.post(&format!("/v1/escalations/{escalation}/resolve"), yes).await, StatusCode::OK);
    let allowed = asked().await;
    assert_eq!((&allowed["action"], codes(&allowed).pop()), (&json!("ALLOW"), Some("MANUAL_REVIEW_APPROVED")));
    assert_eq!(asked().await["action"], "REVIEW", "an approval is good for one decision");
}

#[tokio::test]
async fn a_step_up_is_a_confirmation() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({ "step_up_above": 1000 })).await;
    let asked = async |amount| ask(&server, (&agent, &delegation), amount, json!({})).await;
    let decision = asked(1500).await;
    assert_eq!(
        (&decision["action"], &decision["allowed"], &decision["requires_step_up"]),
        (&json!("STEP_UP_REQUIRED"), &json!(false), &json!(true))
    );
    let nonce = text(&decision, "confirm_nonce");
    json_of(&server.post(&format!("/v1/confirmations/{nonce}"), json!({ "approved": true })).await, StatusCode::OK);
    let allowed = asked(1500).await;
    assert_eq!((&allowed["action"], codes(&allowed).pop()), (&json!("ALLOW"), Some("STEP_UP_CONFIRMED")));
    assert_eq!(asked(1501).await["action"], "STEP_UP_REQUIRED", "of that payment alone");
}

#[tokio::test]
async fn a_policy_is_decided_under_whichever_delegation_allows() {
    let server = Server::start().await;
    let agent = agent(&server).await;
    let decide = async |members: Value| {
        let body = laid_over(json!({ "agentId": agent, "action": "payments.create" }), &members);
        json_of(&server.post("/v1/nior/policy/decide", body).await, StatusCode::OK)
    };
    let nothing = decide(json!({})).await;
    assert_eq!((codes(&nothing), &nothing["delegation_id"]), (vec!["DELEGATION_NOT_FOUND"], &Value::Null));
    let roomy = delegation(&server, &agent, json!({ "amount_limits": 5000 })).await;
    let narrow = delegation(&server, &agent, json!({ "amount_limits": 100 })).await;
    let payment =
        |amount| json!({ "amount": amount, "currency": "EUR", "merchant_id": "shop", "channel": "online", "context": { "n": 1 } });
    let decision = decide(payment(1000)).await;
    assert_eq!((&decision["delegation_id"], &decision["max_amount"]), (&json!(roomy), &json!(5000)));
    assert_eq!(decide(payment(50)).await["delegation_id"], json!(narrow), "the newest that allows");
    assert_eq!(codes(&decide(payment(6000)).await).pop(), Some("AMOUNT_LIMIT_EXCEEDED"));
    let named = decide(laid_over(payment(1000), &json!({ "delegation_id": narrow }))).await;
    assert_eq!(named["action"], "DENY", "whoever names one means it");
    assert_eq!(codes(&decide(json!({ "action": "catalog.read" })).await), ["DELEGATION_VALID", "PERMISSION_NOT_GRANTED"]);
    // It can be consumed if it is a whole payment.
    let intent = super::intent(&server, 1000, json!({ "decision_id": decision["decision_id"] })).await;
    assert_eq!(super::authorise(&server, &intent, json!({})).await.status, StatusCode::OK);
    let reply = server.post("/v1/nior/policy/decide", json!({ "agent_id": agent, "amount": "5" })).await;
    assert_eq!(reply.affixio_error(), (400, "invalid_request".into(), vec!["action".into(), "amount".into()]));
}

#[tokio::test]
async fn trust_is_high_with_a_device_that_is_known() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({ "review_above": 1000 })).await;
    let device = text(&server.post("/v1/devices", json!({})).await.json(), "id");
    let check = async |members: Value| {
        let trust = json_of(&server.post("/v1/trust/check", laid_over(json!({ "agent_id": agent }), &members)).await, StatusCode::OK);
        let checks = trust["checks"].as_array().unwrap();
        assert_eq!(checks.iter().map(|check| check["code"].as_str().unwrap()).collect::<Vec<_>>(), codes(&trust));
        assert!(MEMBERS.iter().all(|name| trust.get(name).is_some()), "{trust}");
        let failed = checks.iter().filter(|check| check["passed"] == false).map(|check| text(check, "name")).collect::<Vec<_>>();
        (text(&trust, "decision"), text(&trust, "trust_level"), failed.join(" "))
    };
    let says = |decision: &str, level: &str, failed: &str| (decision.to_owned(), level.to_owned(), failed.to_owned());
    let payment =
        |amount| json!({ "delegation_id": delegation, "payment_intent": { "merchant_id": "shop", "amount": amount, "currency": "EUR" } });
    assert_eq!(check(json!({})).await, says("allow", "medium", ""));
    assert_eq!(check(json!({ "device_id": device })).await, says("allow", "high", ""));
    assert_eq!(check(json!({ "device_id": "unknown" })).await, says("allow", "medium", "device"));
    assert_eq!(check(payment(500)).await, says("allow", "medium", ""));
    assert_eq!(check(payment(1500)).await, says("review", "medium", "review"));
    assert_eq!(check(json!({ "permission": "catalog.read" })).await, says("deny", "low", "permission"));
    assert_eq!(check(json!({ "agent_id": "anybody" })).await, says("deny", "low", "agent"));
    assert_eq!(server.post("/v1/trust/check", json!({})).await.affixio_error(), (400, "invalid_request".into(), vec!["agent_id".into()]));
}

#[tokio::test]
async fn money_is_an_integer_of_minor_units() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({ "amount_limits": 5000 })).await;
    let post = async |amount: &str, currency: &str| {
        let body = format!(
            r#"{{"agent_id":"{agent}","delegation_id":"{delegation}","payment_intent":{{"merchant_id":"m","amount":{amount},"currency":"{currency}"}}}}"#
        );
        server.send_as(&server.api_key, Method::POST, GATE, Some(body)).await
    };
    for amount in ["1850.0", "\"1850\"", "0", "-1", "9007199254740992", "1e3", "null", "true"] {
        let expected = (400, "invalid_request".into(), vec!["payment_intent.amount".into()]);
        assert_eq!(post(amount, "EUR").await.affixio_error(), expected, "{amount}");
    }
    for currency in ["EUR", "jpy", "KWD"] {
        let decision = json_of(&post("5000", currency).await, StatusCode::OK);
        assert_eq!((&decision["action"], &decision["currency"]), (&json!("ALLOW_WITH_LIMITS"), &json!(currency.to_uppercase())));
        assert_eq!(json_of(&post("5001", currency).await, StatusCode::OK)["action"], "DENY", "{currency} is not scaled");
    }
    assert_eq!(json_of(&post("9007199254740991", "EUR").await, StatusCode::OK)["action"], "DENY");
    assert_eq!(post("1", "EURO").await.affixio_error().2, ["payment_intent.currency"]);
}

#[tokio::test]
async fn a_retry_gets_the_first_decision() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({})).await;
    let body = json!({ "agent_id": agent, "delegation_id": delegation, "payment_intent": { "merchant_id": "shop", "amount": 1, "currency": "EUR" } });
    let named = async |body: &Value| server.send_named("g", Method::POST, GATE, Some(body.clone())).await;
    let first = json_of(&named(&body).await, StatusCode::OK);
    server.post(&format!("/v1/delegations/{delegation}/revoke"), json!({})).await;
    assert_eq!(json_of(&named(&body).await, StatusCode::OK), first);
    let other = laid_over(body, &json!({ "device_id": "v" }));
    assert_eq!(named(&other).await.affixio_error(), (409, "invalid_state".into(), vec![]));
}
