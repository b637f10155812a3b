//! One story: the receipts of a consent verify like any other, and the evidence tells all of it, from the request on.

use allowlog_proto::evidence::verify as verify_evidence;
use allowlog_proto::id::KeyId;
use serde_json::{Value, json};

use super::{approved, id, token, verify, withdraw};
use crate::harness::Server;

#[tokio::test]
async fn the_evidence_begins_with_the_request_and_ends_with_the_revoke() {
    let server = Server::start().await;
    server.grant(json!({})).await;
    let given = approved(&server, json!({})).await;
    let token = token(&server, &id(&given)).await;
    verify(&server, &token).await;
    server.grant(json!({ "user_id": "somebody else" })).await;
    withdraw(&server, &id(&given)).await;
    verify(&server, &token).await;
    server.published().await;
    let authorization = given["authorization_id"].as_str().unwrap();
    let bundle = server.get(&format!("/v1/evidence?authorization_id={authorization}")).await;
    assert_eq!(bundle.status, 200, "{}", bundle.text);
    let keys = server.get(&format!("/v1/workspaces/{}/keys", server.workspace_id)).await.json();
    let trusted = KeyId::parse(keys["keys"][0]["key_id"].as_str().unwrap()).unwrap();
    let verdict = verify_evidence(bundle.text.as_bytes(), &[trusted], &[], 0).unwrap();
    assert_eq!((verdict.begins_with_grant, verdict.reaches_end()), (Some(true), true));
    let lines: Vec<Value> = bundle.text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    let (hidden, whole): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.get("hidden").is_some());
    assert_eq!(hidden.len(), 1, "what happened to somebody else is shown to be in its place, and nothing of it");
    // Requested, viewed, approved, a token made, verified, revoked, verified in vain.
    assert_eq!(whole.len(), 7);
    let receipts: Vec<_> = whole.iter().filter_map(|line| line.get("receipt")).collect();
    let said: Vec<_> =
        receipts.iter().map(|receipt| (receipt.get("event").or_else(|| receipt.get("scope")).unwrap(), &receipt["decision"])).collect();
    let expected = json!([
        ["authorization.create", "authorization_granted"],
        ["consent.verify", "allow"],
        ["authorization.revoke", "authorization_revoked"],
        ["consent.verify", "deny"],
    ]);
    assert_eq!(serde_json::to_value(said).unwrap(), expected);
    assert!(receipts.iter().all(|receipt| receipt["context"]["consent_id"] == given["id"]), "each names the consent");
}
