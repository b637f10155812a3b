//! `/v1/delegations`

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{NOBODY, agent, ask, codes, delegation, granted, json_of, laid_over, text};
use crate::harness::Server;

#[tokio::test]
async fn a_delegation_is_shown_in_canonical_form() {
    let server = Server::start().await;
    let agent = agent(&server).await;
    let body = json!({
        "agentId": agent,
        "permissions": ["payments.create", { "name": "refunds" }],
        "merchantConstraints": { "merchantIds": ["m1"], "allowed_mcc": [] },
        "amount_limits": { "per_tx": 1850, "dailyMax": 5000, "weekly": 20_000 },
        "currency_limits": "eur",
        "validity_window": { "from": "2026-03-01T11:00:00+01:00", "valid_until": "2026-04-01T00:00:00Z" },
        "channel": "online",
        "stepUpAbove": 1000,
        "on_exceed": "cap",
        "metadata": { "projectCode": "p" },
    });
    let made = json_of(&server.post("/v1/delegations", body).await, StatusCode::CREATED);
    let (id, proof) = (text(&made, "id"), text(&made, "proof_id"));
    let expected = json!({
        "id": id, "delegation_id": id, "agent_id": agent, "status": "active", "permissions": ["payments.create", "refunds"],
        "merchant_constraints": { "allowed_merchants": ["m1"], "allowed_categories": [] },
        "amount_limits": { "per_transaction": 1850, "daily": 5000, "period": { "amount": 20_000, "interval": "P7D" } },
        "currency_limits": ["EUR"],
        "validity_window": { "start": "2026-03-01T10:00:00.000Z", "end": "2026-04-01T00:00:00.000Z" },
        "channels": ["online"], "step_up_above": 1000, "review_above": null, "require_trusted_device": false, "on_exceed": "cap",
        "metadata": { "projectCode": "p" }, "policy_id": id.replace("dlg_", "pol_"), "created_at": "2026-03-01T10:00:00.000Z",
        "revoked_at": null, "audit_event_id": proof.replace("prf_", "evt_"), "proof_id": proof,
    });
    assert_eq!(made, expected);
    assert_eq!(json_of(&server.get(&format!("/v1/delegations/{id}")).await, StatusCode::OK), expected);
    let receipt = server.signed_receipt(&proof.replace("prf_", "rcp_")).await;
    assert_eq!((&receipt["event"], &receipt["context"]["delegation_id"]), (&json!("authorization.create"), &json!(id)));
    assert_eq!(receipt["context"]["limits"]["merchant_constraints"], expected["merchant_constraints"]);
    assert_eq!(receipt["context"]["projectCode"], "p");
    // It is an authorization too, under the same 26 characters.
    assert_eq!(server.get(&format!("/v1/authorizations/{}", id.replace("dlg_", "auth_"))).await.status, StatusCode::OK);
    let least = json!({ "agent_id": agent, "permissions": "pay" });
    let made = json_of(&server.post("/v1/delegations", least).await, StatusCode::CREATED);
    for unlimited in ["merchant_constraints", "amount_limits", "currency_limits", "channels", "step_up_above", "review_above"] {
        assert_eq!(made[unlimited], Value::Null, "{unlimited}");
    }
    assert_eq!(made["validity_window"], json!({ "start": null, "end": null }));
}

#[tokio::test]
async fn what_cannot_be_delegated_is_refused_by_name() {
    let server = Server::start().await;
    let (_, other) = server.other_workspace().await;
    let agent = agent(&server).await;
    let body = json!({ "agent_id": agent, "permissions": ["payments.create"] });
    for (members, expected) in [
        (json!({ "agent_id": null, "permissions": [] }), (400, vec!["agent_id", "permissions"])),
        (json!({ "amount_limits": { "hourly": 5 } }), (400, vec!["amount_limits.hourly"])),
        (json!({ "amount_limits": 18.5 }), (400, vec!["amount_limits"])),
        (json!({ "amount_limits": { "per_tx": 5, "maxAmount": 6 } }), (400, vec!["amount_limits.max_amount"])),
        (json!({ "step_up_above": 5, "stepUpAbove": 6 }), (400, vec!["step_up_above"])),
        (json!({ "validity_window": { "end": "2026-03-01T10:00:00Z" } }), (400, vec!["validity_window.end"])),
        (json!({ "agent_id": format!("agt_{NOBODY}") }), (404, vec![])),
        (json!({ "agent_id": "x" }), (404, vec![])),
    ] {
        let (status, _, fields) = server.post("/v1/delegations", laid_over(body.clone(), &members)).await.affixio_error();
        assert_eq!((status, fields.iter().map(String::as_str).collect()), expected, "{members}");
    }
    let reply = server.send_as(&other, Method::POST, "/v1/delegations", Some(body.to_string())).await;
    assert_eq!(reply.affixio_error(), (404, "not_found".into(), vec![]));
    // Reviews are escalations, which a plan may not have.
    let path = format!("workspaces/{}", server.workspace_id);
    server.admin(Method::PATCH, &path, Some(json!({ "plan": "free" }))).await;
    let reply = server.post("/v1/delegations", laid_over(body, &json!({ "review_above": 5 }))).await;
    assert_eq!(reply.affixio_error(), (403, "forbidden".into(), vec![]));
}

#[tokio::test]
async fn every_limit_can_be_used_in_full() {
    let server = Server::start().await;
    let agent = agent(&server).await;
    let list = |of: usize, bytes: usize| (0..of).map(|i| format!("{i:0bytes$}")).collect::<Vec<_>>();
    let body = json!({
        "agent_id": agent, "permissions": list(100, 128), "channels": list(256, 32), "currency_limits": vec!["EUR"; 256],
        "merchant_constraints": { "allowed_merchants": list(256, 128), "blocked_merchants": list(256, 128), "allowed_categories": list(256, 64) },
        "metadata": { "a": "x".repeat(16 * 1024 - 8) },
    });
    let made = json_of(&server.post("/v1/delegations", body.clone()).await, StatusCode::CREATED);
    assert_eq!((&made["merchant_constraints"], &made["metadata"]), (&body["merchant_constraints"], &body["metadata"]));
    server.signed_receipt(&text(&made, "proof_id").replace("prf_", "rcp_")).await;
    let page = json_of(&server.get(&format!("/v1/delegations?agent_id={agent}")).await, StatusCode::OK);
    assert_eq!(page["items"], json!([made]));
    let more = laid_over(body, &json!({ "permissions": list(101, 128) }));
    assert_eq!(server.post("/v1/delegations", more).await.affixio_error().2, ["permissions"]);
}

#[tokio::test]
async fn a_delegation_stands_from_its_start_to_its_end() {
    let server = Server::start().await;
    let window = json!({ "start": "2026-03-01T10:00:01Z", "end": "2026-03-01T10:00:02Z" });
    let (agent, delegation) = granted(&server, json!({ "validity_window": window })).await;
    let path = format!("/v1/delegations/{delegation}");
    let look = async || {
        let decided = ask(&server, (&agent, &delegation), 100, json!({})).await;
        let verified = json_of(&server.post(&format!("{path}/verify"), json!({})).await, StatusCode::OK);
        let shown = server.get(&path).await.json();
        assert_eq!(
            (&shown["status"], codes(&verified)),
            (&verified["status"], codes(&decided).into_iter().filter(|c| *c != "MERCHANT_ALLOWED").collect())
        );
        (text(&shown, "status"), verified["valid"].as_bool().unwrap(), text(&decided, "expires_at"), codes(&decided).join(" "))
    };
    let says = |status: &str, valid, expires_at: &str, codes: &str| (status.to_owned(), valid, expires_at.to_owned(), codes.to_owned());
    assert_eq!(look().await, says("pending", false, "2026-03-01T10:00:02.000Z", "DELEGATION_NOT_YET_VALID"));
    server.clock.advance_ms(1000);
    // A decision never outlives its delegation.
    assert_eq!(look().await, says("active", true, "2026-03-01T10:00:02.000Z", "DELEGATION_VALID MERCHANT_ALLOWED"));
    server.clock.advance_ms(1000);
    assert_eq!(look().await, says("expired", false, "2026-03-01T10:05:02.000Z", "DELEGATION_EXPIRED"));
    json_of(&server.post(&format!("{path}/revoke"), json!({})).await, StatusCode::OK);
    assert_eq!(look().await, says("revoked", false, "2026-03-01T10:05:02.000Z", "DELEGATION_REVOKED"));
}

#[tokio::test]
async fn a_revoke_is_told_the_same_twice() {
    let server = Server::start().await;
    let (_, delegation) = granted(&server, json!({})).await;
    let path = format!("/v1/delegations/{delegation}");
    let revoke = async |body: Option<Value>| {
        server.send_as(&server.api_key, Method::POST, &format!("{path}/revoke"), body.map(|b| b.to_string())).await
    };
    let first = json_of(&revoke(Some(json!({ "reason": "over", "revokedBy": "user" }))).await, StatusCode::OK);
    let proof = text(&first, "proof_id");
    assert_eq!(
        first,
        json!({ "delegation_id": delegation, "status": "revoked", "revoked_at": "2026-03-01T10:00:00.000Z",
            "audit_event_id": proof.replace("prf_", "evt_"), "proof_id": proof })
    );
    let receipt = server.signed_receipt(&proof.replace("prf_", "rcp_")).await;
    assert_eq!((&receipt["event"], &receipt["context"]["notes"]), (&json!("authorization.revoke"), &json!("over")));
    server.clock.advance_ms(1000);
    assert_eq!(json_of(&revoke(None).await, StatusCode::OK), first);
    let shown = server.get(&path).await.json();
    assert_eq!((&shown["status"], &shown["revoked_at"]), (&json!("revoked"), &first["revoked_at"]));
    assert_eq!(revoke(Some(json!({ "reason": 7 }))).await.affixio_error(), (400, "invalid_request".into(), vec!["reason".into()]));
}

#[tokio::test]
async fn the_delegations_of_others_are_unknown() {
    let server = Server::start().await;
    let (agent, delegation) = granted(&server, json!({})).await;
    let (_, other) = server.other_workspace().await;
    // An authorization that is none is unknown as well.
    let plain = server.grant(json!({})).await.replace("auth_", "dlg_");
    for (key, id) in
        [(&other, delegation.as_str()), (&server.api_key, &plain), (&other, &format!("dlg_{NOBODY}")), (&other, "x"), (&other, "%ff")]
    {
        let path = format!("/v1/delegations/{id}");
        assert_eq!(server.send_as(key, Method::GET, &path, None).await.affixio_error(), (404, "not_found".into(), vec![]), "{id}");
        for what in ["verify", "revoke"] {
            let reply = server.send_as(key, Method::POST, &format!("{path}/{what}"), None).await;
            assert_eq!(reply.affixio_error(), (404, "not_found".into(), vec![]), "{what} {id}");
        }
    }
    let list = async |key: &str, agent: &str| server.send_as(key, Method::GET, &format!("/v1/delegations?agent_id={agent}"), None).await;
    assert_eq!(list(&other, &agent).await.affixio_error().0, 404);
    assert_eq!(list(&other, "x").await.affixio_error().0, 404);
    assert_eq!(server.get(&format!("/v1/delegations/{delegation}")).await.json()["status"], "active");
}

#[tokio::test]
async fn the_delegations_of_an_agent_are_listed_newest_first() {
    let server = Server::start().await;
    let (agent, first) = granted(&server, json!({})).await;
    let (_, of_another) = granted(&server, json!({})).await;
    let mut ids = vec![first];
    for _ in 0..2 {
        ids.push(delegation(&server, &agent, json!({})).await);
    }
    server.post(&format!("/v1/delegations/{}/revoke", ids[1]), json!({})).await;
    ids.reverse();
    let path = format!("/v1/delegations?agent_id={agent}");
    let page = async |query: &str| {
        let page = json_of(&server.get(&format!("{path}{query}")).await, StatusCode::OK);
        let found: Vec<String> = page["items"].as_array().unwrap().iter().map(|item| text(item, "id")).collect();
        (found, page["next_cursor"].as_str().map(str::to_owned))
    };
    assert_eq!(page("").await, (ids.clone(), None));
    let (found, cursor) = page("&limit=2").await;
    assert_eq!(found, ids[..2]);
    assert_eq!(page(&format!("&limit=2&cursor={}", cursor.unwrap())).await, (ids[2..].to_vec(), None));
    assert!(!ids.contains(&of_another));
    assert_eq!(page(&format!("&agentId={agent}")).await.0, ids);
    assert_eq!(
        json_of(&server.get(&format!("/v1/delegations?agentId={agent}")).await, StatusCode::OK)["items"].as_array().unwrap().len(),
        3
    );
    for (query, field) in [
        ("/v1/delegations", "agent_id"),
        ("/v1/delegations?agent_id=x&agentId=y", "agent_id"),
        ("/v1/delegations?agent_id=x&limit=0", "limit"),
        ("/v1/delegations?agent_id=x&cursor=eA", "cursor"),
    ] {
        assert_eq!(server.get(query).await.affixio_error(), (400, "invalid_request".into(), vec![field.into()]), "{query}");
    }
}

#[tokio::test]
async fn a_verification_consumes_nothing_and_asks_nobody() {
    let server = Server::start().await;
    let limits = json!({ "amount_limits": { "daily": 2000 }, "step_up_above": 500, "review_above": 1000 });
    let (_, delegation) = granted(&server, limits).await;
    let verify = async |amount: Value| {
        let body = json!({ "paymentIntent": { "merchantId": "m", "amount": amount, "currency": "EUR" } });
        server.post(&format!("/v1/delegations/{delegation}/verify"), body).await
    };
    for (amount, valid, last) in [
        (400, true, "MERCHANT_ALLOWED"),
        (600, false, "STEP_UP_REQUIRED"),
        (1500, false, "MANUAL_REVIEW_REQUIRED"),
        (2500, false, "DAILY_LIMIT_EXCEEDED"),
    ] {
        for _ in 0..3 {
            let verified = json_of(&verify(json!(amount)).await, StatusCode::OK);
            assert_eq!((verified["valid"].as_bool(), codes(&verified).pop()), (Some(valid), Some(last)), "{amount}");
            assert_eq!(verified["delegation_id"], json!(delegation));
        }
    }
    assert_eq!(server.get("/v1/escalations").await.json()["items"], json!([]), "nobody was asked");
    let reply = server.post(&format!("/v1/delegations/{delegation}/verify"), json!({ "payment_intent": { "amount": 5 } })).await;
    let fields = ["payment_intent.merchant_id", "payment_intent.currency"].map(str::to_owned).to_vec();
    assert_eq!(reply.affixio_error(), (400, "invalid_request".into(), fields));
}
