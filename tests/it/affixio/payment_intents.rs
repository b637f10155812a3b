//! `/v1/payment-intents`

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{GATE, NOBODY, ask, authorise, granted, intent, json_of, laid_over, text};
use crate::harness::{Reply, Server};

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

fn refused(code: &str) -> (u16, String, Vec<String>) {
    (403, code.to_owned(), vec![])
}

fn conflict(code: &str) -> (u16, String, Vec<String>) {
    (409, code.to_owned(), vec![])
}

async fn step(server: &Server, intent: &str, step: &str, body: Value) -> Reply {
    server.post(&format!("/v1/payment-intents/{intent}/{step}"), body).await
}

#[tokio::test]
async fn from_a_decision_to_a_capture() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({ "amount_limits": { "daily": 5000 } })).await;
    let decision = ask(&server, (&agent, &delegation), 1850, json!({})).await;
    let body = json!({ "merchantId": "shop", "amount": 1850, "currency": "eur", "agentId": agent, "delegationId": delegation,
        "deviceId": "phone", "channel": "online", "decisionId": decision["decision_id"], "proofId": decision["proof_id"], "metadata": { "orderId": 7 } });
    let made = json_of(&server.post("/v1/payment-intents", body).await, StatusCode::CREATED);
    let id = text(&made, "id");
    let mut expected = json!({
        "id": id, "payment_intent_id": id, "status": "created", "merchant_id": "shop", "amount": 1850, "currency": "EUR", "channel": "online",
        "agent_id": agent, "delegation_id": delegation, "device_id": "phone", "decision_id": decision["decision_id"], "authorised_amount": null,
        "captured_amount": null, "metadata": { "orderId": 7 }, "created_at": "2026-03-01T10:00:00.000Z", "expires_at": "2026-03-02T10:00:00.000Z",
        "authorised_at": null, "captured_at": null, "cancelled_at": null, "proof_id": null, "permission_proof_id": null, "audit_event_id": null,
    });
    assert_eq!(made, expected);
    server.clock.advance_ms(1000);
    let authorised = json_of(&authorise(&server, &id, json!({})).await, StatusCode::OK);
    let proof = text(&authorised, "proof_id");
    assert_eq!(
        authorised,
        json!({ "payment_intent_id": id, "status": "authorised", "authorised_amount": 1850, "currency": "EUR",
            "decision_id": decision["decision_id"], "proof_id": proof, "permission_proof_id": decision["proof_id"],
            "audit_event_id": proof.replace("prf_", "evt_"), "authorised_at": "2026-03-01T10:00:01.000Z" })
    );
    server.clock.advance_ms(1000);
    assert_eq!(json_of(&step(&server, &id, "authorize", json!({ "amount": 1850 })).await, StatusCode::OK), authorised, "the same again");
    let captured = json_of(&step(&server, &id, "capture", json!({ "amount": 1800 })).await, StatusCode::OK);
    let last = text(&captured, "proof_id");
    expected = laid_over(
        expected,
        &json!({ "status": "captured", "authorised_amount": 1850, "captured_amount": 1800, "authorised_at": "2026-03-01T10:00:01.000Z",
            "captured_at": "2026-03-01T10:00:02.000Z", "proof_id": last, "permission_proof_id": decision["proof_id"],
            "audit_event_id": last.replace("prf_", "evt_") }),
    );
    assert_eq!(captured, expected);
    assert_eq!(json_of(&server.get(&format!("/v1/payment-intents/{id}")).await, StatusCode::OK), expected);
    assert_eq!(json_of(&step(&server, &id, "capture", json!({})).await, StatusCode::OK), expected, "the same again");
    assert_eq!(step(&server, &id, "capture", json!({ "amount": 1 })).await.affixio_error(), conflict("invalid_state"));
    assert_eq!(step(&server, &id, "cancel", json!({})).await.affixio_error(), conflict("invalid_state"));
    // An identical repeat gets the first answer, and what is no amount is not taken for none.
    assert_eq!(json_of(&authorise(&server, &id, json!({})).await, StatusCode::OK)["authorised_at"], expected["authorised_at"]);
    assert_eq!(authorise(&server, &id, json!({ "amount": 1 })).await.affixio_error(), conflict("invalid_state"));
    for step_name in ["authorise", "capture"] {
        for amount in [json!([]), json!({})] {
            let refused = step(&server, &id, step_name, json!({ "amount": amount })).await;
            assert_eq!(refused.affixio_error(), (400, "invalid_request".to_owned(), vec!["amount".to_owned()]), "{step_name}");
        }
    }
    // What was not captured is given back to the limits.
    let left = ask(&server, (&agent, &delegation), 3200, json!({})).await;
    assert_eq!(left["max_amount"], 3200);
}

#[tokio::test]
async fn a_decision_is_found_wherever_it_is_named_or_not_at_all() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({})).await;
    let decide = async |payment: Value| ask(&server, (&agent, &delegation), 100, json!({ "payment_intent": payment })).await;
    let by = async |intent: &str, body: Value| text(&json_of(&authorise(&server, intent, body).await, StatusCode::OK), "decision_id");
    // In the request, by either name.
    let (first, second) = (decide(json!({})).await, decide(json!({})).await);
    let pin = intent(&server, 100, json!({})).await;
    assert_eq!(by(&pin, json!({ "proof_id": first["proof_id"] })).await, text(&first, "decision_id"));
    // In the intent, before what was made for it.
    let pin = intent(&server, 100, json!({ "proof_id": second["proof_id"] })).await;
    decide(json!({ "id": pin })).await;
    assert_eq!(by(&pin, json!({})).await, text(&second, "decision_id"));
    // The one that was made for it, before any other.
    let pin = intent(&server, 100, json!({})).await;
    let made_for_it = decide(json!({ "id": pin })).await;
    let newest = decide(json!({})).await;
    assert_eq!(by(&pin, json!({})).await, text(&made_for_it, "decision_id"));
    // The newest that lets the same be paid.
    let pin = intent(&server, 100, json!({ "agent_id": agent, "delegation_id": delegation })).await;
    decide(json!({ "merchant_id": "elsewhere" })).await;
    decide(json!({ "currency": "USD" })).await;
    assert_eq!(by(&pin, json!({})).await, text(&newest, "decision_id"));
}

#[tokio::test]
async fn every_refusal() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({ "amount_limits": { "per_transaction": 1000, "daily": 1500 } })).await;
    let decide =
        async |amount: i64, payment: Value| ask(&server, (&agent, &delegation), amount, json!({ "payment_intent": payment })).await;
    let refusal = async |amount: i64, members: Value, body: Value| {
        let pin = intent(&server, amount, members).await;
        let error = authorise(&server, &pin, body).await.affixio_error();
        assert_eq!(server.get(&format!("/v1/payment-intents/{pin}")).await.json()["status"], "created", "nothing was consumed");
        error
    };
    let none = || json!({});
    assert_eq!(refusal(100, none(), none()).await, refused("permission_required"));
    assert_eq!(refusal(100, none(), json!({ "decision_id": "x" })).await, refused("permission_required"));
    let denied = decide(2000, none()).await;
    assert_eq!(refusal(100, none(), json!({ "decision_id": denied["decision_id"] })).await, refused("permission_denied"));
    let decision = decide(500, none()).await;
    let by_it = json!({ "decision_id": decision["decision_id"] });
    assert_eq!(refusal(500, json!({ "merchant_id": "elsewhere" }), by_it.clone()).await, refused("permission_mismatch"));
    assert_eq!(refusal(500, json!({ "currency": "USD" }), by_it.clone()).await, refused("permission_mismatch"));
    assert_eq!(refusal(1001, none(), by_it.clone()).await, refused("amount_exceeds_limit"));
    assert_eq!(refusal(500, none(), laid_over(by_it.clone(), &json!({ "amount": 501 }))).await, refused("amount_exceeds_limit"));
    // Both are let through; whoever comes second finds too little left.
    let (one, two) = (decide(1000, none()).await, decide(1000, none()).await);
    let pin = intent(&server, 1000, none()).await;
    json_of(&authorise(&server, &pin, json!({ "decision_id": one["decision_id"] })).await, StatusCode::OK);
    assert_eq!(refusal(1000, none(), json!({ "decision_id": two["decision_id"] })).await, refused("limit_exceeded"));
    assert_eq!(refusal(1000, none(), json!({ "decision_id": one["decision_id"] })).await, conflict("permission_already_used"));
    server.clock.advance_ms(5 * MINUTE_MS);
    assert_eq!(refusal(500, none(), by_it).await, refused("permission_expired"));
    assert_eq!(refusal(500, none(), none()).await, refused("permission_required"), "none is live");
    let decision = decide(100, none()).await;
    server.post(&format!("/v1/delegations/{delegation}/revoke"), none()).await;
    assert_eq!(refusal(100, none(), json!({ "decision_id": decision["decision_id"] })).await, refused("delegation_revoked"));
    // A refusal by what has changed in between is recorded, with its receipt.
    let list = server.get("/v1/receipts?scope=payment_intent.authorise&decision=deny").await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 2, "{list}");
}

#[tokio::test]
async fn what_changed_in_between_counts() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({ "require_trusted_device": true })).await;
    let device = text(&server.post("/v1/devices", json!({})).await.json(), "id");
    let decision = ask(&server, (&agent, &delegation), 100, json!({ "device_id": device })).await;
    assert_eq!(decision["action"], "ALLOW");
    let pin = intent(&server, 100, json!({ "decision_id": decision["decision_id"] })).await;
    server.post(&format!("/v1/agents/{agent}/suspend"), json!({})).await;
    assert_eq!(authorise(&server, &pin, json!({})).await.affixio_error(), refused("permission_denied"));
    server.post(&format!("/v1/agents/{agent}/activate"), json!({})).await;
    server.post(&format!("/v1/devices/{device}/revoke"), json!({})).await;
    assert_eq!(authorise(&server, &pin, json!({})).await.affixio_error(), refused("permission_denied"));
}

#[tokio::test]
async fn a_cancelled_intent_gives_its_amount_back() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({ "amount_limits": { "daily": 1000 } })).await;
    let decision = ask(&server, (&agent, &delegation), 1000, json!({})).await;
    let pin = intent(&server, 1000, json!({ "decision_id": decision["decision_id"] })).await;
    assert_eq!(step(&server, &pin, "capture", json!({})).await.affixio_error(), conflict("invalid_state"));
    json_of(&authorise(&server, &pin, json!({ "amount": 800 })).await, StatusCode::OK);
    assert_eq!(authorise(&server, &pin, json!({ "amount": 900 })).await.affixio_error(), conflict("invalid_state"));
    assert_eq!(step(&server, &pin, "capture", json!({ "amount": 801 })).await.affixio_error(), refused("amount_exceeds_limit"));
    assert_eq!(ask(&server, (&agent, &delegation), 201, json!({})).await["action"], "DENY");
    let cancelled = json_of(&step(&server, &pin, "cancel", json!({})).await, StatusCode::OK);
    assert_eq!((&cancelled["status"], &cancelled["authorised_amount"]), (&json!("cancelled"), &json!(800)));
    assert_eq!(json_of(&step(&server, &pin, "cancel", json!({})).await, StatusCode::OK), cancelled, "the same again");
    assert_eq!(ask(&server, (&agent, &delegation), 1000, json!({})).await["max_amount"], 1000);
    for what in ["authorise", "capture"] {
        assert_eq!(step(&server, &pin, what, json!({})).await.affixio_error(), conflict("invalid_state"), "{what}");
    }
    // A decision is used up all the same.
    let other = intent(&server, 800, json!({ "decision_id": decision["decision_id"] })).await;
    assert_eq!(authorise(&server, &other, json!({})).await.affixio_error(), conflict("permission_already_used"));
    // One that nobody authorised, of a delegation and of none.
    for members in [json!({ "delegation_id": delegation }), json!({})] {
        let pin = intent(&server, 1, members.clone()).await;
        let cancelled = json_of(&step(&server, &pin, "cancel", json!({})).await, StatusCode::OK);
        assert_eq!((&cancelled["status"], cancelled["proof_id"].is_null()), (&json!("cancelled"), members == json!({})));
    }
}

#[tokio::test]
async fn an_intent_lasts_a_day() {
    let server = Server::start().await;
    let pin = intent(&server, 100, json!({})).await;
    server.clock.advance_ms(DAY_MS);
    assert_eq!(server.get(&format!("/v1/payment-intents/{pin}")).await.json()["status"], "expired");
    for what in ["authorise", "capture", "cancel"] {
        assert_eq!(step(&server, &pin, what, json!({})).await.affixio_error(), conflict("invalid_state"), "{what}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_named() {
    let server = Server::start().await;
    let post = async |body: &str| server.send_as(&server.api_key, Method::POST, "/v1/payment-intents", Some(body.to_owned())).await;
    for amount in ["1850.0", "\"1850\"", "0", "-1", "9007199254740992"] {
        let reply = post(&format!(r#"{{"merchant_id":"m","amount":{amount},"currency":"EUR"}}"#)).await;
        assert_eq!(reply.affixio_error(), (400, "invalid_request".into(), vec!["amount".into()]), "{amount}");
    }
    assert_eq!(post("{}").await.affixio_error().2, ["merchant_id", "amount", "currency"]);
    let pin = intent(&server, 100, json!({})).await;
    let both = json!({ "decision_id": format!("dec_{NOBODY}"), "proof_id": "prf_01ARZ3NDEKTSV4RRFFQ69G5FAW" });
    assert_eq!(authorise(&server, &pin, both).await.affixio_error(), (400, "invalid_request".into(), vec!["proof_id".into()]));
    let (_, other) = server.other_workspace().await;
    let (agent, delegation) = granted(&server, json!({})).await;
    for members in
        [json!({ "agent_id": agent }), json!({ "delegation_id": delegation }), json!({ "agent_id": "x" }), json!({ "decision_id": "x" })]
    {
        let body = laid_over(json!({ "merchant_id": "m", "amount": 1, "currency": "EUR" }), &members);
        let reply = server.send_as(&other, Method::POST, "/v1/payment-intents", Some(body.to_string())).await;
        assert_eq!(reply.affixio_error(), (404, "not_found".into(), vec![]), "{members}");
    }
    for id in [pin.as_str(), &format!("pin_{NOBODY}"), "x"] {
        let path = format!("/v1/payment-intents/{id}");
        assert_eq!(server.send_as(&other, Method::GET, &path, None).await.affixio_error(), (404, "not_found".into(), vec![]));
        for what in ["authorise", "authorize", "capture", "cancel"] {
            let reply = server.send_as(&other, Method::POST, &format!("{path}/{what}"), None).await;
            assert_eq!(reply.affixio_error(), (404, "not_found".into(), vec![]), "{what} {id}");
        }
    }
    // The decisions of others are of no use.
    let decision = ask(&server, (&agent, &delegation), 1, json!({})).await;
    let body = json!({ "merchant_id": "shop", "amount": 1, "currency": "EUR", "decision_id": decision["decision_id"] });
    let foreign = json_of(&server.send_as(&other, Method::POST, "/v1/payment-intents", Some(body.to_string())).await, StatusCode::CREATED);
    let path = format!("/v1/payment-intents/{}/authorise", text(&foreign, "id"));
    assert_eq!(server.send_as(&other, Method::POST, &path, None).await.affixio_error(), refused("permission_required"));
}

#[tokio::test]
async fn one_decision_authorises_one_of_many() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({})).await;
    let decision = ask(&server, (&agent, &delegation), 100, json!({})).await;
    let mut intents = Vec::new();
    for _ in 0..64 {
        intents.push(intent(&server, 100, json!({ "decision_id": decision["decision_id"] })).await);
    }
    let replies = futures_util::future::join_all(intents.iter().map(|pin| authorise(&server, pin, json!({})))).await;
    let won = replies.iter().filter(|reply| reply.status == StatusCode::OK).count();
    let lost =
        replies.iter().filter(|reply| reply.status == StatusCode::CONFLICT && reply.affixio_error().1 == "permission_already_used").count();
    assert_eq!((won, lost), (1, 63));
}

#[tokio::test]
async fn a_retry_of_a_call_by_its_name_gets_the_first_answer() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({})).await;
    let payment = json!({ "merchant_id": "shop", "amount": 100, "currency": "EUR" });
    let asked = json!({ "agent_id": agent, "delegation_id": delegation, "payment_intent": payment });
    let named = async |name: &str, path: &str, body: &Value| server.send_named(name, Method::POST, path, Some(body.clone())).await.json();
    assert_eq!(named("1", GATE, &asked).await, named("1", GATE, &asked).await);
    let pin = named("2", "/v1/payment-intents", &payment).await;
    assert_eq!(named("2", "/v1/payment-intents", &payment).await, pin);
    let path = format!("/v1/payment-intents/{}/authorise", text(&pin, "id"));
    let authorised = named("3", &path, &json!({})).await;
    assert_eq!(authorised["status"], "authorised");
    assert_eq!(named("3", &path, &json!({})).await, authorised);
}
