//! `GET /v1/consent`, `GET` and `DELETE /v1/consent/{id}`

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{answer, approved, ask, consent, id, withdraw};
use crate::harness::Server;

#[tokio::test]
async fn each_answer_ends_the_asking() {
    let server = Server::start().await;
    let given = approved(&server, json!({})).await;
    assert_eq!(
        (&given["status"], &given["approved_scopes"], &given["decided_at"]),
        (&json!("approved"), &given["scopes"], &given["created_at"])
    );
    let declined = ask(&server, json!({})).await;
    assert_eq!(answer(&server, &id(&declined), "decline").await.status, StatusCode::SEE_OTHER);
    let declined = consent(&server, &id(&declined)).await;
    assert_eq!(
        (&declined["status"], &declined["approved_scopes"], &declined["authorization_id"]),
        (&json!("declined"), &Value::Null, &Value::Null)
    );
    // The authorization is one like any other, without an end.
    let authorization = given["authorization_id"].as_str().unwrap();
    let known = server.get(&format!("/v1/authorizations/{authorization}")).await.json();
    assert_eq!((&known["status"], &known["expires_at"], &known["user_id"]), (&json!("active"), &Value::Null, &json!("user_1")));
    assert_eq!(known["agent_id"], given["agent_id"]);
    server.clock.advance_ms(1000 * 24 * 60 * 60 * 1000);
    assert_eq!(server.decide(authorization, "email.send", None).await.0, "allow");
    assert_eq!(server.decide(authorization, "email.purge", None).await.1, "scope_not_authorized");
    assert_eq!(consent(&server, &id(&given)).await["status"], "approved", "it does not expire with its token");
}

#[tokio::test]
async fn what_is_taken_back_stays_so() {
    let server = Server::start().await;
    let given = approved(&server, json!({})).await;
    server.clock.advance_ms(1000);
    let taken = withdraw(&server, &id(&given)).await;
    assert_eq!(taken.status, StatusCode::OK);
    let taken = taken.json()["data"].clone();
    assert_eq!(
        (&taken["status"], &taken["revoked_by"], &taken["revoked_at"]),
        (&json!("revoked"), &json!("builder"), &json!("2026-03-01T10:00:01.000Z"))
    );
    assert_eq!((&taken["decided_at"], &taken["authorization_id"]), (&given["decided_at"], &given["authorization_id"]));
    let records = server.records();
    assert_eq!(withdraw(&server, &id(&given)).await.json()["data"], taken, "again, quietly");
    assert_eq!(server.delete(&format!("/v1/consent/{}", id(&given)), None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(server.records(), records);
    assert_eq!(server.decide(given["authorization_id"].as_str().unwrap(), "email.send", None).await.1, "authorization_revoked");
    // Before an answer.
    let pending = ask(&server, json!({})).await;
    assert_eq!(withdraw(&server, &id(&pending)).await.json()["data"]["status"], "revoked");
    assert_eq!(server.page(&format!("/c/{}", id(&pending))).await.status, StatusCode::GONE);
    // Too late.
    let declined = ask(&server, json!({})).await;
    answer(&server, &id(&declined), "decline").await;
    let expired = ask(&server, json!({ "expires_in": 60 })).await;
    server.clock.advance_ms(60_000);
    for one in [&declined, &expired] {
        assert_eq!(withdraw(&server, &id(one)).await.permitly_error(), (422, "validation_error".to_owned(), vec!["status".to_owned()]));
    }
    // Allowly's own revoke is the same.
    let given = approved(&server, json!({})).await;
    let path = format!("/v1/authorizations/{}", given["authorization_id"].as_str().unwrap());
    assert_eq!(server.delete(&path, Some(json!({ "revoked_by": "admin" }))).await.status, StatusCode::OK);
    let taken = consent(&server, &id(&given)).await;
    assert_eq!((&taken["status"], &taken["revoked_by"]), (&json!("revoked"), &json!("builder")));
}

#[tokio::test]
async fn only_who_takes_json_alone_gets_the_consent() {
    let server = Server::start().await;
    for (accept, status) in [
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("text/html, application/json;q=0.9", 200),
        ("*/*", 204),
        ("application/json, */*", 204),
        ("application/*", 204),
        ("text/html", 204),
        ("application/jsonl", 204),
    ] {
        let asked = ask(&server, json!({})).await;
        let reply = server.send_accepting(accept, Method::DELETE, &format!("/v1/consent/{}", id(&asked))).await;
        assert_eq!((reply.status.as_u16(), reply.text.is_empty()), (status, status == 204), "{accept}");
        assert_eq!(consent(&server, &id(&asked)).await["status"], "revoked");
    }
    // Whatever comes with it.
    for body in ["", "{", "[1]", "\u{0}"] {
        let asked = ask(&server, json!({})).await;
        let path = format!("/v1/consent/{}", id(&asked));
        let reply = server.send_as(&server.api_key, Method::DELETE, &path, Some(body.to_owned())).await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT, "{body}");
    }
}

#[tokio::test]
async fn expiry_is_a_comparison() {
    let server = Server::start().await;
    let asked = ask(&server, json!({ "expires_in": 60 })).await;
    server.clock.advance_ms(59_999);
    assert_eq!(consent(&server, &id(&asked)).await["status"], "pending");
    let csrf = server.page(&format!("/c/{}", id(&asked))).await.csrf();
    let records = server.records();
    server.clock.advance_ms(1);
    assert_eq!(consent(&server, &id(&asked)).await["status"], "expired");
    assert_eq!(super::submit(&server, &id(&asked), "approve", &csrf).await.status, StatusCode::GONE);
    assert_eq!(server.records(), records, "nothing is recorded");
}

#[tokio::test]
async fn lists_are_filtered_and_cut() {
    let server = Server::start().await;
    let agent = server.post("/v1/consent-agents", json!({ "name": "other" })).await.json()["data"]["id"].clone();
    let mut ids = Vec::new();
    for n in 0..7 {
        let agent = if n % 2 == 0 { agent.clone() } else { Value::Null };
        let asked = ask(&server, json!({ "end_user_ref": format!("user_{}", n % 3), "agent_id": agent, "expires_in": 60 + n })).await;
        ids.insert(0, id(&asked));
    }
    let list = async |query: &str| {
        let reply = server.get(&format!("/v1/consent{query}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{query}: {}", reply.text);
        let json = reply.json();
        let ids: Vec<String> = json["data"].as_array().unwrap().iter().map(id).collect();
        (ids, json["meta"].clone())
    };
    let (all, meta) = list("").await;
    assert_eq!(all, ids, "newest first");
    assert_eq!(meta, json!({ "total": 7, "current_page": 1, "per_page": 20, "last_page": 1, "cursor": null, "has_more": false }));
    for (query, wanted, total) in [
        ("?end_user_ref=user_0", vec![0, 3, 6], 3),
        ("?end_user_ref=nobody", vec![], 0),
        (&*format!("?agent_id={}", agent.as_str().unwrap()), vec![0, 1, 2, 3, 4, 5, 6], 7),
        ("?agent_id=ag_nobody", vec![], 0),
        ("?status=pending", vec![0, 1, 2, 3, 4, 5, 6], 7),
        ("?status=expired", vec![], 0),
        ("?limit=2&page=2", vec![2, 3], 7),
        ("?per_page=2&page=4", vec![6], 7),
        ("?per_page=3&page=9", vec![], 7),
        ("?limit=0&page=7", vec![6], 7),
        ("?limit=-5", vec![0], 7),
        ("?limit=1000", vec![0, 1, 2, 3, 4, 5, 6], 7),
    ] {
        let (found, meta) = list(query).await;
        assert_eq!(found, wanted.into_iter().map(|n: usize| ids[n].clone()).collect::<Vec<_>>(), "{query}");
        assert_eq!(meta["total"], total, "{query}");
    }
    // By cursor, which wins over a page.
    let (mut seen, mut query) = (Vec::new(), "?limit=3".to_owned());
    loop {
        let (found, meta) = list(&query).await;
        seen.extend(found);
        let Some(cursor) = meta["cursor"].as_str() else { break };
        query = format!("?limit=3&page=5&cursor={cursor}");
        assert_eq!((&meta["total"], &meta["last_page"], &meta["has_more"]), (&json!(7), &json!(3), &json!(true)));
    }
    assert_eq!(seen, ids);
    server.clock.advance_ms(62_000);
    assert_eq!(list("?status=expired").await.0, ids[4..], "as of now");
    for (query, field) in
        [("?status=gone", "status"), ("?limit=x", "limit"), ("?page=0", "page"), ("?cursor=!", "cursor"), ("?cursor=eA", "cursor")]
    {
        let reply = server.get(&format!("/v1/consent{query}")).await;
        assert_eq!(reply.permitly_error(), (422, "validation_error".to_owned(), vec![field.to_owned()]), "{query}");
    }
    let (_, stranger) = server.other_workspace().await;
    assert_eq!(server.send_as(&stranger, Method::GET, "/v1/consent", None).await.json()["meta"]["total"], 0);
}

/// More than the writer looks at in one turn.
#[tokio::test]
async fn a_long_list_is_read_in_turns() {
    let server = Server::start().await;
    for n in 0..4_100 {
        ask(&server, json!({ "scopes": [{ "key": "a" }], "end_user_ref": if n % 2 == 0 { "even" } else { "odd" } })).await;
    }
    for (query, total) in [("?limit=1&page=4100", 4_100), ("?limit=1&page=2050&end_user_ref=odd", 2_050), ("?status=declined", 0)] {
        let json = server.get(&format!("/v1/consent{query}")).await.json();
        assert_eq!((&json["meta"]["total"], &json["meta"]["has_more"]), (&json!(total), &json!(false)), "{query}");
        assert_eq!(json["data"].as_array().unwrap().len(), usize::from(total > 0), "{query}");
    }
}
