//! `/v1/receipts/{id}`

use axum::http::Method;
use serde_json::json;

use crate::harness::Server;

#[tokio::test]
async fn belong_to_their_workspace() {
    let server = Server::start().await;
    let (_, foreign) = server.other_workspace().await;
    let id = server.grant(json!({})).await;
    let receipt = server.check(&id, "email.read", None).await["receipt"]["receipt_id"].as_str().unwrap().to_owned();
    server.signed_receipt(&receipt).await;
    let reply = server.send_as(&foreign, Method::GET, &format!("/v1/receipts/{receipt}"), None).await;
    assert_eq!(reply.error(), (404, "not_found".into()));
    for unknown in ["rcp_01ARZ3NDEKTSV4RRFFQ69G5FAV", "rcp_7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "x", "%ff", &receipt.to_lowercase()] {
        assert_eq!(server.get(&format!("/v1/receipts/{unknown}")).await.text, reply.text, "{unknown}");
    }
}

#[tokio::test]
async fn increase_within_a_workspace() {
    let server = Server::start().await;
    let id = server.grant(json!({})).await;
    let mut last = String::new();
    for step in [0, 0, 0, 1, 0, 5000, 0] {
        server.clock.advance_ms(step);
        let receipt = server.check(&id, "email.read", None).await["receipt"]["receipt_id"].as_str().unwrap().to_owned();
        assert!(receipt > last);
        last = receipt;
    }
}
