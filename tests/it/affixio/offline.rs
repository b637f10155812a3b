//! `/v1/offline`

use std::time::Duration;

use allowlog_proto::offline_token::PresentedOffline;
use axum::http::{Method, StatusCode};
use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::{Value, json};

use super::{NOBODY, ask, codes, granted, json_of, laid_over, org, text};
use crate::harness::{Reply, Server};

const HOUR_MS: u64 = 60 * 60 * 1000;
const DAY_MS: u64 = 24 * HOUR_MS;

async fn try_issue(server: &Server, (agent, delegation): (&str, &str), members: Value) -> Reply {
    let body = json!({ "agent_id": agent, "delegation_id": delegation, "device_id": "till-1", "max_amount": 500, "currency": "EUR" });
    server.post("/v1/offline/tokens", laid_over(body, &members)).await
}

async fn issue(server: &Server, granted: (&str, &str), members: Value) -> Value {
    json_of(&try_issue(server, granted, members).await, StatusCode::CREATED)
}

/// A device tells of one payment with a token.
async fn pay(server: &Server, device: &str, token: &Value, members: Value) -> Reply {
    let body = json!({ "device_id": device, "nullifier": token["nullifier"], "merchant_id": "shop", "amount": 400, "currency": "EUR" });
    server.post("/v1/offline/transactions", laid_over(body, &members)).await
}

/// What came of what a device told.
async fn reconcile(server: &Server, device: &str) -> Vec<String> {
    let done = json_of(&server.post("/v1/offline/nullifiers/reconcile", json!({ "device_id": device })).await, StatusCode::OK);
    done["results"].as_array().unwrap().iter().map(|result| text(result, "status")).collect()
}

async fn standing(server: &Server, nullifier: &Value) -> String {
    let checked = json_of(&server.post("/v1/offline/nullifiers/check", json!({ "nullifiers": [nullifier] })).await, StatusCode::OK);
    assert_eq!(checked["results"][0]["spent"], json!(checked["results"][0]["status"] == "spent"));
    text(&checked["results"][0], "status")
}

/// What is left of the day.
async fn left(server: &Server, granted: (&str, &str)) -> Option<i64> {
    ask(server, granted, 1, json!({})).await["max_amount"].as_i64()
}

#[tokio::test]
async fn a_terminal_checks_a_token_with_the_public_key_alone() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({ "merchant_constraints": ["shop", "kiosk"] })).await;
    server.clock.advance_ms(1234);
    let token = issue(&server, (&agent, &delegation), json!({ "merchant_ids": ["shop"], "ttl_seconds": 60 })).await;
    assert_eq!((&token["max_amount"], &token["delegation_id"]), (&json!(500), &json!(delegation)));
    assert_eq!(token["expires_at"], "2026-03-01T10:01:01.000Z", "in whole seconds");
    let keys = server.get(&format!("/v1/workspaces/{}/keys", server.workspace_id)).await.json();
    let signed = text(&token, "token");
    let presented = PresentedOffline::parse(&signed).unwrap();
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["key_id"] == presented.key_id.to_string()).unwrap();
    let public = <[u8; 32]>::try_from(BASE64URL_NOPAD.decode(text(key, "public_key").as_bytes()).unwrap()).unwrap();
    let public = VerifyingKey::from_bytes(&public).unwrap();
    let verifies = |input: &str| public.verify_strict(input.as_bytes(), &Signature::from_bytes(&presented.signature)).is_ok();
    assert!(verifies(presented.signing_input) && !verifies(&presented.signing_input.replace('e', "f")));
    let said: Value = serde_json::from_slice(&BASE64URL_NOPAD.decode(signed.split('.').nth(1).unwrap().as_bytes()).unwrap()).unwrap();
    assert_eq!(
        said,
        json!({ "iss": org(&server), "sub": agent, "jti": token["token_id"], "nullifier": token["nullifier"], "delegation_id": delegation,
            "device_id": "till-1", "max_amount": 500, "currency": "EUR", "merchant_ids": ["shop"], "iat": 1_772_359_201, "exp": 1_772_359_261 })
    );
    let header: Value = serde_json::from_slice(&BASE64URL_NOPAD.decode(signed.split('.').next().unwrap().as_bytes()).unwrap()).unwrap();
    assert_eq!(header, json!({ "alg": "EdDSA", "kid": presented.key_id.to_string(), "typ": "offline-token+jwt" }));
    // Where none are named, those that the delegation allows.
    let token = issue(&server, (&agent, &delegation), json!({})).await;
    let claims = PresentedOffline::parse(token["token"].as_str().unwrap()).unwrap().claims;
    assert_eq!(claims.merchants.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>(), ["shop", "kiosk"]);
    assert_eq!(claims.expires_at.as_ms() - claims.issued_at.as_ms(), HOUR_MS);
}

#[tokio::test]
async fn a_token_is_signed_by_the_key_of_its_time() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({})).await;
    let body = json!({ "agent_id": agent, "delegation_id": delegation, "device_id": "v", "max_amount": 5, "currency": "EUR" });
    let named =
        async || json_of(&server.send_named("t", Method::POST, "/v1/offline/tokens", Some(body.clone())).await, StatusCode::CREATED);
    let first = named().await;
    server.clock.advance_ms(1000);
    server.admin(Method::POST, &format!("workspaces/{}/signing-keys", server.workspace_id), None).await;
    server.clock.advance_ms(1000);
    assert_eq!(named().await, first, "a retry gets the very bytes, behind a rotation of the key too");
    let next = issue(&server, (&agent, &delegation), json!({})).await;
    let key_of = |token: &Value| PresentedOffline::parse(token["token"].as_str().unwrap()).unwrap().key_id;
    assert_ne!(key_of(&first), key_of(&next));
}

#[tokio::test]
async fn the_gate_decides_whether_there_is_a_token() {
    let server = Server::start().await;
    let limits = json!({ "amount_limits": { "daily": 1000 }, "channels": ["online", "offline"], "merchant_constraints": ["shop"] });
    let (agent, delegation) = granted(&server, limits).await;
    let denied = async |members: Value| {
        let decision = json_of(&try_issue(&server, (&agent, &delegation), members).await, StatusCode::OK);
        assert_eq!((&decision["action"], decision.get("token")), (&json!("DENY"), None));
        codes(&decision).pop().unwrap().to_owned()
    };
    assert_eq!(denied(json!({ "max_amount": 1001 })).await, "DAILY_LIMIT_EXCEEDED");
    assert_eq!(denied(json!({ "merchant_ids": ["shop", "elsewhere"] })).await, "MERCHANT_NOT_ALLOWED");
    assert_eq!(denied(json!({ "agent_id": "x" })).await, "AGENT_NOT_FOUND");
    assert_eq!(denied(json!({ "delegation_id": format!("dlg_{NOBODY}") })).await, "DELEGATION_NOT_FOUND");
    issue(&server, (&agent, &delegation), json!({ "max_amount": 600 })).await;
    assert_eq!(denied(json!({ "max_amount": 401 })).await, "DAILY_LIMIT_EXCEEDED", "the first has reserved its amount");
    let online = super::delegation(&server, &agent, json!({ "channels": ["online"] })).await;
    let decision = json_of(&try_issue(&server, (&agent, &online), json!({})).await, StatusCode::OK);
    assert_eq!(codes(&decision).pop(), Some("CHANNEL_NOT_ALLOWED"));
    for (members, field) in [
        (json!({ "max_amount": "500" }), "max_amount"),
        (json!({ "max_amount": 0 }), "max_amount"),
        (json!({ "ttl_seconds": 86_401 }), "ttl_seconds"),
        (json!({ "device_id": null }), "device_id"),
    ] {
        let error = try_issue(&server, (&agent, &delegation), members).await.affixio_error();
        assert_eq!(error, (400, "invalid_request".into(), vec![field.into()]));
    }
}

#[tokio::test]
async fn spent_on_two_devices_one_is_settled() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({ "amount_limits": { "daily": 1000 } })).await;
    let token = issue(&server, (&agent, &delegation), json!({})).await;
    assert_eq!(left(&server, (&agent, &delegation)).await, Some(500));
    assert_eq!(standing(&server, &token["nullifier"]).await, "unspent");
    let told = json_of(&pay(&server, "till-1", &token, json!({ "client_ref": "a" })).await, StatusCode::ACCEPTED);
    let transaction = &told["transactions"][0];
    assert_eq!((&told["count"], &transaction["status"], &transaction["token_id"]), (&json!(1), &json!("queued"), &token["token_id"]));
    // The token itself says which it is.
    let by_token = json!({ "nullifier": null, "token": token["token"] });
    json_of(&pay(&server, "till-2", &token, by_token).await, StatusCode::ACCEPTED);
    assert_eq!(standing(&server, &token["nullifier"]).await, "unspent", "nothing has been settled");
    assert_eq!(reconcile(&server, "till-2").await, ["settled"], "whoever is reconciled first");
    assert_eq!(standing(&server, &token["nullifier"]).await, "spent");
    assert_eq!(reconcile(&server, "till-1").await, ["double_spend"]);
    assert_eq!(reconcile(&server, "till-1").await, [""; 0], "each once");
    assert_eq!(left(&server, (&agent, &delegation)).await, Some(600), "what was less than the reservation is given back");
    assert_eq!(json_of(&server.get("/v1/offline/queues/till-1").await, StatusCode::OK)["transactions"], json!([]));
}

#[tokio::test]
async fn a_transaction_that_is_told_twice_is_one() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({})).await;
    let token = issue(&server, (&agent, &delegation), json!({})).await;
    let one = |client_ref: Value, amount: u64| json!({ "nullifier": token["nullifier"], "merchant_id": "shop", "amount": amount, "currency": "EUR", "client_ref": client_ref });
    let tell = async |transactions: Value| {
        server.post("/v1/offline/transactions", json!({ "deviceId": "till", "transactions": transactions })).await
    };
    let ids = |told: &Value| told["transactions"].as_array().unwrap().iter().map(|one| text(one, "transaction_id")).collect::<Vec<_>>();
    let first = json_of(&tell(json!([one(json!("a"), 100), one(Value::Null, 200), one(json!("b"), 300)])).await, StatusCode::ACCEPTED);
    assert_eq!(
        first["transactions"].as_array().unwrap().iter().map(|t| t["amount"].as_u64().unwrap()).collect::<Vec<_>>(),
        [100, 200, 300]
    );
    let again = json_of(&tell(json!([one(json!("b"), 300), one(json!("c"), 400), one(json!("a"), 100)])).await, StatusCode::ACCEPTED);
    let (first, again) = (ids(&first), ids(&again));
    assert_eq!((&again[0], &again[2]), (&first[2], &first[0]));
    assert!(!first.contains(&again[1]));
    let reply = tell(json!([one(json!("a"), 101)])).await;
    assert_eq!(reply.affixio_error(), (409, "invalid_state".into(), vec![]), "another of the same name");
    let waiting = json_of(&server.get("/v1/offline/queues/till").await, StatusCode::OK);
    assert_eq!((&waiting["count"], &waiting["device_id"]), (&json!(4), &json!("till")));
    assert_eq!(reconcile(&server, "till").await, ["settled", "double_spend", "double_spend", "double_spend"]);
    let told = json_of(&tell(json!([one(json!("a"), 100), one(json!("b"), 300)])).await, StatusCode::ACCEPTED);
    assert_eq!((&told["transactions"][0]["status"], &told["transactions"][1]["status"]), (&json!("settled"), &json!("double_spend")));
}

#[tokio::test]
async fn what_a_token_is_not_good_for_is_not_settled() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({ "amount_limits": { "daily": 1000 } })).await;
    let token = issue(&server, (&agent, &delegation), json!({ "merchant_ids": ["shop"], "ttl_seconds": 60 })).await;
    for members in [json!({ "amount": 501 }), json!({ "currency": "USD" }), json!({ "merchant_id": "elsewhere" })] {
        json_of(&pay(&server, "till", &token, members).await, StatusCode::ACCEPTED);
    }
    json_of(&pay(&server, "till", &token, json!({ "occurred_at": "2026-03-01T10:01:00Z" })).await, StatusCode::ACCEPTED);
    json_of(&pay(&server, "till", &token, json!({ "occurred_at": "2026-03-01T10:00:59Z" })).await, StatusCode::ACCEPTED);
    server.clock.advance_ms(HOUR_MS);
    assert_eq!(standing(&server, &token["nullifier"]).await, "expired");
    assert_eq!(reconcile(&server, "till").await, ["over_limit", "over_limit", "over_limit", "expired", "settled"]);
}

#[tokio::test]
async fn an_unused_reservation_is_given_back() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({ "amount_limits": { "period": { "amount": 1000, "interval": "P30D" } } })).await;
    let token = issue(&server, (&agent, &delegation), json!({ "ttl_seconds": 60 })).await;
    json_of(&pay(&server, "till", &token, json!({})).await, StatusCode::ACCEPTED);
    server.clock.advance_ms(u64::try_from(Duration::from_secs(60).as_millis()).unwrap() + DAY_MS - 1);
    assert_eq!(left(&server, (&agent, &delegation)).await, Some(500));
    server.clock.advance_ms(1);
    assert_eq!(left(&server, (&agent, &delegation)).await, Some(1000));
    assert_eq!(reconcile(&server, "till").await, ["expired"], "told of too late");
    assert_eq!(left(&server, (&agent, &delegation)).await, Some(1000));
}

#[tokio::test]
async fn what_nobody_gave_out_is_refused_by_its_place() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({})).await;
    let token = issue(&server, (&agent, &delegation), json!({})).await;
    let (_, other) = server.other_workspace().await;
    let one = |nullifier: &Value| json!({ "nullifier": nullifier, "merchant_id": "shop", "amount": 1, "currency": "EUR" });
    let unknown = json!("00000000000000000000000000000000");
    let body = json!({ "device_id": "till", "transactions": [one(&token["nullifier"]), one(&unknown)] });
    let reply = server.post("/v1/offline/transactions", body).await;
    assert_eq!(reply.affixio_error(), (400, "invalid_request".into(), vec!["transactions[1].nullifier".into()]));
    assert_eq!(json_of(&server.get("/v1/offline/queues/till").await, StatusCode::OK)["count"], 0, "all or none");
    let body = laid_over(one(&token["nullifier"]), &json!({ "device_id": "till" }));
    let reply = server.send_as(&other, Method::POST, "/v1/offline/transactions", Some(body.to_string())).await;
    assert_eq!(reply.affixio_error().0, 400, "the token of another org");
    let body = json!({ "nullifiers": [token["nullifier"], unknown, "x"] });
    let checked =
        json_of(&server.send_as(&other, Method::POST, "/v1/offline/nullifiers/check", Some(body.to_string())).await, StatusCode::OK);
    assert!(checked["results"].as_array().unwrap().iter().all(|result| result["status"] == "unknown"), "{checked}");
    assert_eq!(checked["results"][2]["nullifier"], "x", "as it was written");
    let reply = server.post("/v1/offline/transactions", json!({ "device_id": "till", "merchant_id": "m", "amount": 1.5 })).await;
    assert_eq!(reply.affixio_error(), (400, "invalid_request".into(), ["nullifier", "amount", "currency"].map(str::to_owned).to_vec()));
    for (path, field) in [("/v1/offline/nullifiers/check", "nullifiers"), ("/v1/offline/reconcile", "device_id")] {
        assert_eq!(server.post(path, json!({})).await.affixio_error(), (400, "invalid_request".into(), vec![field.into()]));
    }
    // To ask is no act: a key that may only read may.
    let path = format!("workspaces/{}/api-keys", server.workspace_id);
    let reader = server.admin(Method::POST, &path, Some(json!({ "name": "till", "role": "read" }))).await.json();
    let body = json!({ "nullifiers": [token["nullifier"]] }).to_string();
    let checked = server.send_as(&text(&reader, "api_key"), Method::POST, "/v1/offline/nullifiers/check", Some(body)).await;
    assert_eq!(json_of(&checked, StatusCode::OK)["results"][0]["status"], "unspent");
}

#[tokio::test]
async fn a_call_settles_at_most_a_hundred() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({})).await;
    let token = issue(&server, (&agent, &delegation), json!({})).await;
    let one = json!({ "nullifier": token["nullifier"], "merchant_id": "shop", "amount": 1, "currency": "EUR" });
    for count in [100, 50] {
        let told = server.post("/v1/offline/transactions", json!({ "device_id": "till", "transactions": vec![one.clone(); count] })).await;
        assert_eq!(json_of(&told, StatusCode::ACCEPTED)["count"], count);
    }
    let reconcile = async || json_of(&server.post("/v1/offline/reconcile", json!({ "deviceId": "till" })).await, StatusCode::OK);
    let first = reconcile().await;
    assert_eq!((first["results"].as_array().unwrap().len(), &first["remaining"]), (100, &json!(50)));
    let second = reconcile().await;
    assert_eq!((second["results"].as_array().unwrap().len(), &second["remaining"]), (50, &json!(0)));
    let settled =
        [first, second].iter().flat_map(|done| done["results"].as_array().unwrap().clone()).filter(|r| r["status"] == "settled").count();
    assert_eq!(settled, 1);
}
