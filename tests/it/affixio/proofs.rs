//! `/v1/proofs/{id}`: whatever was decided has a receipt, and its proof id leads there.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{NOBODY, ask, authorise, granted, intent, json_of, text};
use crate::harness::Server;

#[tokio::test]
async fn every_proof_leads_to_its_receipt() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({})).await;
    let mut proofs: Vec<(&str, Value)> = vec![("grant", server.get(&format!("/v1/delegations/{delegation}")).await.json())];
    let decision = ask(&server, (&agent, &delegation), 100, json!({})).await;
    let pin = intent(&server, 100, json!({ "decision_id": decision["decision_id"] })).await;
    let post = async |path: String, body: Value| server.post(&path, body).await.json();
    proofs.push(("decision", decision));
    proofs.push(("authorisation", authorise(&server, &pin, json!({})).await.json()));
    proofs.push(("capture", post(format!("/v1/payment-intents/{pin}/capture"), json!({})).await));
    let other = intent(&server, 100, json!({ "delegation_id": delegation })).await;
    proofs.push(("cancellation", post(format!("/v1/payment-intents/{other}/cancel"), json!({})).await));
    proofs.push(("trust", post("/v1/trust/check".to_owned(), json!({ "agent_id": agent })).await));
    proofs.push(("policy", post("/v1/nior/policy/decide".to_owned(), json!({ "agent_id": agent, "action": "payments.create" })).await));
    proofs.push(("verification", post(format!("/v1/delegations/{delegation}/verify"), json!({})).await));
    let body = json!({ "agent_id": agent, "delegation_id": delegation, "device_id": "v", "max_amount": 5, "currency": "EUR" });
    let token = post("/v1/offline/tokens".to_owned(), body).await;
    let body = json!({ "device_id": "v", "nullifier": token["nullifier"], "merchant_id": "m", "amount": 5, "currency": "EUR" });
    post("/v1/offline/transactions".to_owned(), body).await;
    proofs.push(("token", token));
    proofs.push(("settlement", post("/v1/offline/reconcile".to_owned(), json!({ "device_id": "v" })).await["results"][0].clone()));
    proofs.push(("revoke", post(format!("/v1/delegations/{delegation}/revoke"), json!({})).await));
    let (_, stranger) = server.other_workspace().await;
    for (what, answer) in proofs {
        let proof = text(&answer, "proof_id");
        let receipt = server.signed_receipt(&proof.replace("prf_", "rcp_")).await;
        let reply = json_of(&server.get(&format!("/v1/proofs/{proof}")).await, StatusCode::OK);
        assert_eq!((&reply["status"], &reply["receipt"]), (&json!("signed"), &receipt), "{what}");
        if let Some(event) = answer.get("audit_event_id") {
            assert_eq!(event, &json!(proof.replace("prf_", "evt_")), "{what}");
        }
        let foreign = server.send_as(&stranger, Method::GET, &format!("/v1/proofs/{proof}"), None).await;
        assert_eq!(foreign.affixio_error(), (404, "not_found".into(), vec![]), "{what}");
    }
    for id in [format!("prf_{NOBODY}"), "x".to_owned(), format!("rcp_{NOBODY}")] {
        assert_eq!(server.get(&format!("/v1/proofs/{id}")).await.affixio_error(), (404, "not_found".into(), vec![]));
    }
    assert_eq!(super::call(&server, &[], Method::GET, "/v1/proofs/x", None).await.affixio_error().0, 401);
}
