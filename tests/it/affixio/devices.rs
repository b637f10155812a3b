//! `/v1/devices`

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{NOBODY, ask, codes, granted, json_of, text};
use crate::harness::Server;

#[tokio::test]
async fn devices_are_registered_attested_and_revoked() {
    let server = Server::start().await;
    let made = json_of(
        &server.post("/v1/devices", json!({ "name": "till 3", "type": "terminal", "metadata": { "siteId": 7 } })).await,
        StatusCode::CREATED,
    );
    let expected = json!({ "id": made["id"], "device_id": made["id"], "name": "till 3", "type": "terminal", "status": "active",
        "attested_at": null, "metadata": { "siteId": 7 }, "created_at": "2026-03-01T10:00:00.000Z", "revoked_at": null });
    assert_eq!(made, expected);
    let path = format!("/v1/devices/{}", text(&made, "id"));
    assert_eq!(json_of(&server.get(&path).await, StatusCode::OK), expected);
    server.clock.advance_ms(1000);
    let attested = json_of(&server.post(&format!("{path}/attest"), json!({ "attestation": { "by": "Ann" } })).await, StatusCode::OK);
    assert_eq!(attested["attested_at"], "2026-03-01T10:00:01.000Z");
    let revoke = async || server.post(&format!("{path}/revoke"), json!({ "reason": "lost" })).await;
    let revoked = json_of(&revoke().await, StatusCode::OK);
    assert_eq!((&revoked["status"], &revoked["revoked_at"]), (&json!("revoked"), &json!("2026-03-01T10:00:01.000Z")));
    server.clock.advance_ms(1000);
    assert_eq!(json_of(&revoke().await, StatusCode::OK), revoked, "again changes nothing");
    let reply = server.post(&format!("{path}/attest"), json!({})).await;
    assert_eq!(reply.affixio_error(), (409, "invalid_state".into(), vec![]));
    let empty = json_of(&server.send_as(&server.api_key, Method::POST, "/v1/devices", None).await, StatusCode::CREATED);
    assert_eq!((&empty["name"], &empty["metadata"]), (&Value::Null, &json!({})));
    assert_eq!(
        server.post("/v1/devices", json!({ "name": 7 })).await.affixio_error(),
        (400, "invalid_request".into(), vec!["name".into()])
    );
    let (_, other) = server.other_workspace().await;
    for id in [text(&made, "id").as_str(), &format!("dev_{NOBODY}"), "x"] {
        assert_eq!(server.send_as(&other, Method::GET, &format!("/v1/devices/{id}"), None).await.affixio_error().0, 404);
        for what in ["attest", "revoke"] {
            assert_eq!(server.send_as(&other, Method::POST, &format!("/v1/devices/{id}/{what}"), None).await.affixio_error().0, 404);
        }
    }
}

#[tokio::test]
async fn what_a_device_is_worth_at_the_gate() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({})).await;
    let strict = super::delegation(&server, &agent, json!({ "require_trusted_device": true })).await;
    let device = text(&server.post("/v1/devices", json!({})).await.json(), "id");
    let (_, other) = server.other_workspace().await;
    let foreign = text(&server.send_as(&other, Method::POST, "/v1/devices", None).await.json(), "id");
    let decided = async |delegation: &str, device: Value| {
        let decision = ask(&server, (&agent, delegation), 100, json!({ "device_id": device })).await;
        let device = codes(&decision).into_iter().find(|code| code.starts_with("DEVICE")).unwrap_or("none").to_owned();
        (decision["action"].as_str().unwrap().to_owned(), device)
    };
    let says = |action: &str, code: &str| (action.to_owned(), code.to_owned());
    assert_eq!(decided(&delegation, json!(device)).await, says("ALLOW", "DEVICE_TRUSTED"));
    assert_eq!(decided(&delegation, json!("nobody registered it")).await, says("ALLOW", "DEVICE_UNVERIFIED"));
    assert_eq!(decided(&delegation, json!(foreign)).await, says("ALLOW", "DEVICE_UNVERIFIED"));
    assert_eq!(decided(&delegation, Value::Null).await, says("ALLOW", "none"));
    assert_eq!(decided(&strict, json!(device)).await, says("ALLOW", "DEVICE_TRUSTED"));
    assert_eq!(decided(&strict, json!(foreign)).await, says("DENY", "DEVICE_NOT_TRUSTED"));
    assert_eq!(decided(&strict, Value::Null).await, says("DENY", "DEVICE_NOT_TRUSTED"));
    server.post(&format!("/v1/devices/{device}/revoke"), json!({})).await;
    assert_eq!(decided(&delegation, json!(device)).await, says("DENY", "DEVICE_REVOKED"));
}
