//! `/v1/agents`

use axum::http::{Method, StatusCode};
use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

use super::{NOBODY, agent, ask, codes, granted, json_of, laid_over, org, text};
use crate::harness::Server;

#[tokio::test]
async fn agents_are_registered_and_shown() {
    let server = Server::start().await;
    let body =
        json!({ "name": "Shopper", "type": "robot-controller", "ownerOrgId": org(&server), "metadata": { "modelName": "m", "n": 1 } });
    let made = json_of(&server.post("/v1/agents", body.clone()).await, StatusCode::CREATED);
    assert_eq!(made["id"], made["agent_id"]);
    let expected = json!({ "id": made["id"], "agent_id": made["id"], "name": "Shopper", "type": "robot-controller", "status": "active",
        "ownerOrgId": org(&server), "metadata": { "modelName": "m", "n": 1 }, "createdAt": "2026-03-01T10:00:00.000Z" });
    assert_eq!(made, expected);
    assert_eq!(json_of(&server.get(&format!("/v1/agents/{}", text(&made, "id"))).await, StatusCode::OK), expected);
    // The other spelling, and a retry.
    let snake = json!({ "name": "Shopper", "type": "llm", "owner_org_id": org(&server) });
    assert_eq!(server.post("/v1/agents", snake).await.status, StatusCode::CREATED);
    let named = async || server.send_named("a", Method::POST, "/v1/agents", Some(body.clone())).await.json()["id"].clone();
    assert_eq!(named().await, named().await);
    let (other, _) = server.other_workspace().await;
    for (members, expected) in [
        (json!({ "type": "human" }), (400, "invalid_request", vec!["type"])),
        (json!({ "name": "", "type": null }), (400, "invalid_request", vec!["name", "type"])),
        (json!({ "owner_org_id": "org_x" }), (400, "invalid_request", vec!["owner_org_id"])),
        (json!({ "metadata": { "a": 1.5 } }), (400, "invalid_request", vec!["metadata.a"])),
        (json!({ "ownerOrgId": other.replace("ws_", "org_") }), (404, "not_found", vec![])),
        (json!({ "ownerOrgId": "x" }), (404, "not_found", vec![])),
    ] {
        let (status, code, fields) = server.post("/v1/agents", laid_over(body.clone(), &members)).await.affixio_error();
        assert_eq!((status, code.as_str(), fields.iter().map(String::as_str).collect()), expected, "{members}");
    }
}

#[tokio::test]
async fn an_agent_acts_while_it_may() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({})).await;
    let change = async |what: &str| server.post(&format!("/v1/agents/{agent}/{what}"), json!({})).await;
    let decided = async || ask(&server, (&agent, &delegation), 100, json!({})).await;
    assert_eq!(decided().await["action"], "ALLOW");
    for _ in 0..2 {
        assert_eq!(json_of(&change("suspend").await, StatusCode::OK)["status"], "suspended", "twice is as once");
    }
    let denied = decided().await;
    assert_eq!((codes(&denied), &denied["allowed"]), (vec!["AGENT_SUSPENDED"], &json!(false)));
    let body = json!({ "agent_id": agent, "permissions": "pay" });
    assert_eq!(server.post("/v1/delegations", body.clone()).await.affixio_error(), (409, "invalid_state".into(), vec![]));
    assert_eq!(json_of(&change("activate").await, StatusCode::OK)["status"], "active");
    assert_eq!(decided().await["action"], "ALLOW");
    let records = server.records();
    assert_eq!(json_of(&change("activate").await, StatusCode::OK)["status"], "active");
    assert_eq!(server.records(), records, "what changes nothing leaves nothing");
    assert_eq!(json_of(&change("revoke").await, StatusCode::OK)["status"], "revoked");
    assert_eq!(codes(&decided().await), ["AGENT_REVOKED"]);
    for what in ["activate", "suspend", "credentials"] {
        assert_eq!(change(what).await.affixio_error(), (409, "invalid_state".into(), vec![]), "{what}: for good");
    }
    assert_eq!(server.post("/v1/delegations", body).await.affixio_error().0, 409);
    assert_eq!(json_of(&change("revoke").await, StatusCode::OK)["status"], "revoked");
}

#[tokio::test]
async fn the_agents_of_others_are_unknown() {
    let server = Server::start().await;
    let (agent, (_, other)) = (agent(&server).await, server.other_workspace().await);
    for id in [agent.as_str(), &format!("agt_{NOBODY}"), "x", "%ff"] {
        let path = format!("/v1/agents/{id}");
        assert_eq!(server.send_as(&other, Method::GET, &path, None).await.affixio_error(), (404, "not_found".into(), vec![]));
        for what in ["suspend", "activate", "revoke", "credentials"] {
            let reply = server.send_as(&other, Method::POST, &format!("{path}/{what}"), None).await;
            assert_eq!(reply.affixio_error(), (404, "not_found".into(), vec![]), "{what} {id}");
        }
    }
    assert_eq!(server.get(&format!("/v1/agents/{agent}")).await.json()["status"], "active");
}

#[tokio::test]
async fn a_pair_of_keys_is_shown_once_and_kept_nowhere() {
    let server = Server::start().await;
    let path = format!("/v1/agents/{}/credentials", agent(&server).await);
    let made = json_of(&server.send_as(&server.api_key, Method::POST, &path, None).await, StatusCode::CREATED);
    assert_eq!((&made["type"], &made["algorithm"], &made["status"]), (&json!("ed25519"), &json!("Ed25519"), &json!("active")));
    assert_eq!(made["expires_at"], Value::Null);
    let bytes = |name: &str| <[u8; 32]>::try_from(BASE64URL_NOPAD.decode(text(&made, name).as_bytes()).unwrap()).unwrap();
    let pair = SigningKey::from_bytes(&bytes("private_key"));
    assert_eq!(pair.verifying_key().to_bytes(), bytes("public_key"), "two halves of one");
    for frame in server.store.scan(0) {
        for record in frame.unwrap().records().unwrap() {
            let seed = bytes("private_key");
            assert!(!record.0.windows(32).any(|window| window == seed), "no private half in the log");
        }
    }
    // A retry is told of the same public half, and of no private one, which would be that of another.
    let named = async || server.send_named("c", Method::POST, &path, Some(json!({}))).await;
    let (first, second) = (json_of(&named().await, StatusCode::CREATED), json_of(&named().await, StatusCode::CREATED));
    assert!(first.get("private_key").is_some() && second.get("private_key").is_none());
    assert_eq!((&first["public_key"], &first["credential_id"]), (&second["public_key"], &second["credential_id"]));
    // One's own.
    let own = json!({ "publicKey": BASE64URL_NOPAD.encode(&pair.verifying_key().to_bytes()), "expires_at": "2026-03-02T10:00:00Z" });
    let own = json_of(&server.post(&path, own).await, StatusCode::CREATED);
    assert_eq!((&own["public_key"], own.get("private_key")), (&made["public_key"], None));
    assert_eq!(own["expires_at"], "2026-03-02T10:00:00.000Z");
    for (body, field) in [
        (json!({ "public_key": "AAAA" }), "public_key"),
        (json!({ "type": "password" }), "type"),
        (json!({ "expires_at": "2026-03-01T10:00:00Z" }), "expires_at"),
    ] {
        assert_eq!(server.post(&path, body).await.affixio_error(), (400, "invalid_request".into(), vec![field.into()]));
    }
}
