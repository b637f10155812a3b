//! `POST /v1/consent/verify` and `POST /v1/consent/{id}/token`

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::{answer, approved, ask, id, token, verify, withdraw};
use crate::harness::Server;

fn claims(token: &str) -> Value {
    serde_json::from_slice(&BASE64URL_NOPAD.decode(token.split('.').nth(1).unwrap().as_bytes()).unwrap()).unwrap()
}

fn error(reply: &crate::harness::Reply) -> (u16, String) {
    let (status, code, _) = reply.permitly_error();
    (status, code)
}

#[tokio::test]
async fn a_token_says_what_was_approved_and_each_look_leaves_a_receipt() {
    let server = Server::start().await;
    let given = approved(&server, json!({})).await;
    server.clock.advance_ms(1_500);
    let token = token(&server, &id(&given)).await;
    let said = claims(&token);
    assert_eq!((said["iat"].as_u64(), said["exp"].as_u64()), (Some(1_772_359_201), Some(1_772_359_201 + 3600)));
    let records = server.records();
    let reply = verify(&server, &token).await;
    let mut expected = said.clone();
    expected["scopes"] = said["scp"].clone();
    assert_eq!(reply.json()["data"], expected);
    assert_eq!(server.records(), records + 1);
    let authorization = given["authorization_id"].as_str().unwrap();
    let listed = server.get(&format!("/v1/receipts?authorization_id={authorization}")).await.json();
    let [grant, checked] = &listed["items"].as_array().unwrap()[..] else { panic!("{listed}") };
    assert_eq!(
        (&grant["event"], &checked["scope"], &checked["decision"]),
        (&json!("authorization.create"), &json!("consent.verify"), &json!("allow"))
    );
    let receipt = server.signed_receipt(checked["receipt_id"].as_str().unwrap()).await;
    let context = json!({ "consent_id": id(&given), "token_id": said["jti"], "token_expires_at": "2026-03-01T11:00:01.000Z" });
    assert_eq!((&receipt["context"], &receipt["reason"]), (&context, &json!("authorization_granted_scope_active")));
    assert_eq!((&receipt["user_id"], &receipt["agent_id"]), (&json!("user_1"), &given["agent_id"]));
    // The grant names the consent too, and nothing else of it.
    let receipt = server.signed_receipt(grant["receipt_id"].as_str().unwrap()).await;
    assert_eq!(receipt["context"], json!({ "consent_id": id(&given), "scopes": ["email.read", "email.send"] }));
}

#[tokio::test]
async fn signature_then_revocation_then_time() {
    let server = Server::start().await;
    let given = approved(&server, json!({})).await;
    let token = token(&server, &id(&given)).await;
    server.clock.advance_ms(3_600_000 - 1);
    assert_eq!(verify(&server, &token).await.status, 200, "in the last millisecond");
    server.clock.advance_ms(1);
    assert_eq!(error(&verify(&server, &token).await), (422, "token_expired".to_owned()));
    withdraw(&server, &id(&given)).await;
    assert_eq!(error(&verify(&server, &token).await), (422, "token_revoked".to_owned()), "revocation comes before time");
    // The last character has bits that mean nothing; the last but one has none.
    let (rest, last) = token.split_at(token.len() - 2);
    let tampered = format!("{rest}{}{}", if last.starts_with('A') { 'B' } else { 'A' }, &last[1..]);
    assert_eq!(error(&verify(&server, &tampered).await), (422, "token_invalid".to_owned()), "and the signature before both");
    let reasons = server
        .get(&format!("/v1/receipts?authorization_id={}&scope=consent.verify", given["authorization_id"].as_str().unwrap()))
        .await
        .json();
    let mut found = Vec::new();
    for item in reasons["items"].as_array().unwrap() {
        let receipt = server.signed_receipt(item["receipt_id"].as_str().unwrap()).await;
        found.push((receipt["decision"].as_str().unwrap().to_owned(), receipt["reason"].as_str().unwrap().to_owned()));
    }
    let expected = [("allow", "authorization_granted_scope_active"), ("deny", "authorization_expired"), ("deny", "authorization_revoked")];
    assert_eq!(found, expected.map(|(decision, reason)| (decision.to_owned(), reason.to_owned())));
}

#[tokio::test]
async fn forged_and_foreign_tokens_are_invalid_and_leave_nothing() {
    let server = Server::start().await;
    let given = approved(&server, json!({})).await;
    let genuine = token(&server, &id(&given)).await;
    // Another agent of the same workspace, and one of another.
    let other = server.post("/v1/consent-agents", json!({ "name": "other" })).await.json()["data"]["id"].clone();
    let others = approved(&server, json!({ "agent_id": other })).await;
    let others = token(&server, &id(&others)).await;
    let [head, body, signature] = genuine.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let [other_head, other_body, _] = others.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let encoded = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let said = claims(&genuine);
    let with = |name: &str, value: Value| {
        let mut said = said.clone();
        said[name] = value;
        encoded(said)
    };
    let kid: Value = serde_json::from_slice(&BASE64URL_NOPAD.decode(head.as_bytes()).unwrap()).unwrap();
    let header = |alg: &str| encoded(json!({ "alg": alg, "kid": kid["kid"], "typ": "JWT" }));
    // DER in place of R and S.
    let raw = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    let der = [&[0x30, 0x44, 0x02, 0x20], &raw[..32], &[0x02, 0x20], &raw[32..]].concat();
    let zeros = BASE64URL_NOPAD.encode(&[0; 64]);
    let records = server.records();
    for forged in [
        "x".to_owned(),
        "..".to_owned(),
        format!("{}.{body}.", header("none")),
        format!("{}.{body}.{signature}", header("none")),
        format!("{}.{body}.{signature}", header("HS256")),
        format!("{head}.{body}"),
        format!("{head}.{body}."),
        format!("{head}.{body}.{}", BASE64URL_NOPAD.encode(&der)),
        format!("{head}.{body}.{zeros}"),
        format!("{head}.{}.{signature}", with("exp", json!(9_999_999_999_u64))),
        format!("{head}.{}.{signature}", with("scp", json!(["everything"]))),
        format!("{head}.{other_body}.{signature}"),
        format!("{other_head}.{body}.{signature}"),
        genuine[..genuine.len() - 1].to_owned(),
        format!("{genuine}="),
        format!(" {genuine}"),
    ] {
        assert_eq!(error(&verify(&server, &forged).await), (422, "token_invalid".to_owned()), "{forged}");
    }
    for body in [json!({}), json!({ "token": null }), json!({ "token": 7 }), json!([])] {
        assert_eq!(error(&server.post("/v1/consent/verify", body.clone()).await), (422, "validation_error".to_owned()), "{body}");
    }
    let (_, stranger) = server.other_workspace().await;
    let body = json!({ "token": genuine }).to_string();
    let reply = server.send_as(&stranger, axum::http::Method::POST, "/v1/consent/verify", Some(body.clone())).await;
    assert_eq!(error(&reply), (422, "token_invalid".to_owned()), "another workspace's");
    assert_eq!(server.records(), records + 3, "nothing but the other workspace is recorded");
    // Once the key is known to the server, it is still not that workspace's.
    assert_eq!(verify(&server, &genuine).await.status, 200);
    let reply = server.send_as(&stranger, axum::http::Method::POST, "/v1/consent/verify", Some(body)).await;
    assert_eq!(error(&reply), (422, "token_invalid".to_owned()));
    assert_eq!(server.records(), records + 4);
    assert_eq!(verify(&server, &others).await.status, 200);
}

#[tokio::test]
async fn tokens_are_made_as_long_as_the_consent_stands() {
    let server = Server::start().await;
    let agent = server.post("/v1/consent-agents", json!({ "name": "brief", "token_lifetime": 60 })).await.json()["data"]["id"].clone();
    let asked = ask(&server, json!({ "agent_id": agent })).await;
    let mint = async || server.post(&format!("/v1/consent/{}/token", id(&asked)), json!({})).await;
    assert_eq!(error(&mint().await), (422, "validation_error".to_owned()), "nobody has answered");
    answer(&server, &id(&asked), "approve").await;
    let minted = mint().await.json()["data"].clone();
    assert_eq!(minted["expires_at"], "2026-03-01T10:01:00.000Z");
    let again = mint().await.json()["data"].clone();
    assert_ne!(again["token"], minted["token"], "each has its own name");
    withdraw(&server, &id(&asked)).await;
    assert_eq!(error(&mint().await), (422, "validation_error".to_owned()));
    assert_eq!(error(&server.post("/v1/consent/cr_x/token", json!({})).await), (404, "not_found".to_owned()));
}

/// A retry of an earlier call must not bring back what was true then.
#[tokio::test]
async fn a_name_for_the_call_makes_nothing_true_again() {
    let server = Server::start().await;
    let given = approved(&server, json!({})).await;
    let token = token(&server, &id(&given)).await;
    let named = async || server.send_named("once", axum::http::Method::POST, "/v1/consent/verify", Some(json!({ "token": token }))).await;
    assert_eq!(named().await.status, 200);
    withdraw(&server, &id(&given)).await;
    assert_eq!(error(&named().await), (422, "token_revoked".to_owned()));
}

/// No check can leave a receipt that looks like that of a token.
#[tokio::test]
async fn the_scope_of_its_receipts_is_nobody_elses() {
    let server = Server::start().await;
    let given = approved(&server, json!({})).await;
    let scopes = json!([{ "key": "consent.verify" }]);
    let asked = super::try_ask(&server, json!({ "scopes": scopes })).await;
    assert_eq!(asked.permitly_error(), (422, "validation_error".to_owned(), vec!["scopes.0.key".to_owned()]));
    let check =
        json!({ "authorization_id": given["authorization_id"], "scopes": ["consent.verify"], "context": { "consent_id": id(&given) } });
    assert_eq!(server.post("/v1/check", check).await.fields(), ["body.scopes[0]"]);
    let grant = json!({ "user_id": "u", "agent_id": "a", "scopes": ["consent.verify", { "name": "consent.verify" }], "expires_at": "2099-01-01T00:00:00Z" });
    assert_eq!(server.post("/v1/authorizations", grant.clone()).await.fields(), ["body.scopes[0]", "body.scopes[1].name"]);
    let bundle = json!({ "id": "b", "agent_id": "a", "scopes": ["consent.verify"] });
    assert_eq!(server.post("/v1/agent-scope-bundles", bundle).await.fields(), ["body.scopes[0]"]);
}
