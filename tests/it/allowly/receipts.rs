//! `/v1/receipts` and `/v1/receipts/{id}`

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::Server;

/// One page of a list.
async fn list(server: &Server, query: &str) -> Value {
    let reply = server.get(&format!("/v1/receipts?{query}")).await;
    assert_eq!(reply.status, StatusCode::OK, "{query}: {}", reply.text);
    reply.json()
}

/// The receipt ids of every page, walked by cursor.
async fn walk(server: &Server, query: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = list(server, &format!("{query}&cursor={cursor}")).await;
        let items = page["items"].as_array().unwrap();
        ids.extend(items.iter().map(|item| item["receipt_id"].as_str().unwrap().to_owned()));
        assert_eq!(page["has_more"].as_bool().unwrap(), page["next_cursor"].is_string(), "{page}");
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return ids,
        }
    }
}

/// One member of each item.
fn column(page: &Value, member: &str) -> Vec<Value> {
    page["items"].as_array().unwrap().iter().map(|item| item[member].clone()).collect()
}

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

#[tokio::test]
async fn items_have_every_member() {
    let server = Server::start().await;
    let id = server.grant(json!({})).await;
    server.clock.advance_ms(1000);
    let check = server.check(&id, "email.read", Some("r")).await["receipt"]["receipt_id"].clone();
    let unknown = server.check("nobody", "email.read", None).await["receipt"]["receipt_id"].clone();
    server.signed_receipt(unknown.as_str().unwrap()).await;
    let mut page = list(&server, "").await;
    let grant = page["items"][2]["receipt_id"].take();
    assert!(grant.as_str().unwrap().starts_with("rcp_"));
    let item = |receipt: &Value, authorization: &Value, scope: Value, event: Value, decision: &str, at: &str| {
        json!({
            "receipt_id": receipt, "authorization_id": authorization, "scope": scope, "event": event, "decision": decision,
            "signed": true, "created_at": at,
        })
    };
    let (earlier, later) = ("2026-03-01T10:00:00.000Z", "2026-03-01T10:00:01.000Z");
    assert_eq!(
        page,
        json!({
            "items": [
                item(&unknown, &Value::Null, json!("email.read"), Value::Null, "deny", later),
                item(&check, &json!(id), json!("email.read"), Value::Null, "allow", later),
                item(&Value::Null, &json!(id), Value::Null, json!("authorization.create"), "authorization_granted", earlier),
            ],
            "has_more": false,
            "next_cursor": null,
        })
    );
}

/// Two persons, two authorizations, checks of every decision, a resolution and a revoke; a second between any two.
async fn world(server: &Server) -> (String, String) {
    let lists = json!({ "requires_confirm_for": ["email.send"], "scopes": ["email.read", "email.send", "email.purge"],
        "requires_escalation_for": ["email.purge"] });
    let one = server.grant(lists).await;
    let other = server.grant(json!({ "user_id": "user 2/ü" })).await;
    let check = async |id: &str, scope: &str, resource: Option<&str>, session: Option<&str>| {
        server.clock.advance_ms(1000);
        let body = json!({ "authorization_id": id, "scopes": [scope], "resource": resource, "session_id": session });
        server.post("/v1/check", body).await.json()["results"][scope].clone()
    };
    check(&one, "email.read", Some("mail:1"), Some("s1")).await;
    check(&one, "email.send", Some("mail:1"), None).await;
    let asked = check(&one, "email.purge", None, Some("s1")).await;
    let resolve = format!("/v1/escalations/{}/resolve", asked["escalation_id"].as_str().unwrap());
    server.clock.advance_ms(1000);
    server.post(&resolve, json!({ "resolution": "rejected", "resolved_by": "bob" })).await;
    check(&one, "email.purge", None, None).await;
    check(&other, "email.read", Some("a+b c&d=é\u{1f600}"), Some("s 2")).await;
    check(&other, "email.unknown", Some("mail:1"), Some("s1")).await;
    check("nobody", "email.read", None, None).await;
    server.clock.advance_ms(1000);
    server.delete(&format!("/v1/authorizations/{other}"), None).await;
    (one, other)
}

#[tokio::test]
async fn every_filter_alone_and_combined() {
    let server = Server::start().await;
    let (one, other) = world(&server).await;
    let all = walk(&server, "order=asc").await;
    assert_eq!(all.len(), 11);
    let rows: &[(&str, &[usize])] = &[
        ("", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (&format!("authorization_id={one}"), &[0, 2, 3, 4, 5, 6]),
        (&format!("authorization_id={other}"), &[1, 7, 8, 10]),
        ("authorization_id=auth_01ARZ3NDEKTSV4RRFFQ69G5FAV", &[]),
        ("authorization_id=nobody", &[]),
        ("user_id=user_1", &[0, 2, 3, 4, 5, 6]),
        ("user_id=user+2%2F%C3%BC", &[1, 7, 8, 10]),
        ("user_id=user%202/%C3%BC", &[1, 7, 8, 10]),
        ("user_id=unknown", &[9]),
        ("user_id=USER_1", &[]),
        ("user_id=user", &[]),
        ("resource=mail:1", &[2, 3, 8]),
        ("resource=mail%3A1&scope=email.send", &[3]),
        ("resource=a%2Bb+c%26d%3D%C3%A9%F0%9F%98%80", &[7]),
        ("session_id=s1", &[2, 4, 8]),
        ("session_id=s%202", &[7]),
        ("session_id=s1&user_id=user_1", &[2, 4]),
        ("scope=email.read", &[2, 7, 9]),
        ("scope=email.read&decision=deny", &[9]),
        ("scope=email.read&event=authorization.create", &[]),
        ("event=authorization.create", &[0, 1]),
        ("event=authorization.revoke", &[10]),
        ("event=escalation.resolve", &[5]),
        ("decision=allow", &[2, 7]),
        ("decision=deny", &[6, 8, 9]),
        ("decision=confirm", &[3]),
        ("decision=escalate", &[4]),
        ("decision=authorization_granted", &[0, 1]),
        ("decision=escalation_rejected", &[5]),
        ("decision=escalation_approved", &[]),
        ("from=2026-03-01T10:00:02Z", &[3, 4, 5, 6, 7, 8, 9, 10]),
        ("from=2026-03-01T10:00:02.001Z", &[4, 5, 6, 7, 8, 9, 10]),
        ("to=2026-03-01T10:00:02Z", &[0, 1, 2]),
        ("to=2026-03-01T12:00:02.001%2B02:00", &[0, 1, 2, 3]),
        ("from=2026-03-01T10:00:02Z&to=2026-03-01T10:00:04Z", &[3, 4]),
        ("from=2026-03-01T10:00:04Z&to=2026-03-01T10:00:02Z", &[]),
        ("from=2026-03-01T10:00:03Z&decision=deny&user_id=user_1", &[6]),
        ("user_id=&resource=&session_id=&scope=&event=&decision=&from=&to=&authorization_id=", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ("unheard=of&unheard=again&%ff=1&=&&x", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
    ];
    // From the log alone as from the index.
    for indexed in [false, true] {
        if indexed {
            assert!(server.app().search.indexed(server.records()).await);
        }
        for (query, places) in rows {
            let mut expected: Vec<_> = places.iter().map(|place| all[*place].clone()).collect();
            let separator = if query.is_empty() { "" } else { "&" };
            assert_eq!(walk(&server, &format!("{query}{separator}order=asc&limit=2")).await, expected, "{query}");
            expected.reverse();
            assert_eq!(walk(&server, &format!("{query}{separator}order=desc&limit=3")).await, expected, "{query}");
        }
    }
}

#[tokio::test]
async fn newest_first_unless_it_is_the_chain_of_an_authorization() {
    let server = Server::start().await;
    let (one, _) = world(&server).await;
    let all = walk(&server, "order=asc").await;
    let reversed: Vec<_> = all.iter().rev().cloned().collect();
    assert_eq!(walk(&server, "").await, reversed);
    assert_eq!(walk(&server, "user_id=unknown&limit=1").await, [all[9].clone()]);
    let chain = list(&server, &format!("authorization_id={one}")).await;
    assert_eq!(column(&chain, "receipt_id"), [0, 2, 3, 4, 5, 6].map(|place| json!(all[place])));
    assert_eq!(column(&chain, "event")[0], "authorization.create");
    let newest = list(&server, &format!("authorization_id={one}&order=desc&limit=1")).await;
    assert_eq!(column(&newest, "receipt_id"), [json!(all[6])]);
}

#[tokio::test]
async fn what_a_list_refuses() {
    let server = Server::start().await;
    let rows: &[(&str, &[&str])] = &[
        ("limit=0", &["query.limit"]),
        ("limit=101", &["query.limit"]),
        ("limit=-1", &["query.limit"]),
        ("limit=%2B5", &["query.limit"]),
        ("limit=1.0", &["query.limit"]),
        ("limit=ten", &["query.limit"]),
        ("limit=99999999999999999999999", &["query.limit"]),
        ("cursor=x", &["query.cursor"]),
        ("cursor=AAAAAAAAAAE%3D", &["query.cursor"]),
        ("cursor=AAAAAAAAAAF", &["query.cursor"]),
        ("cursor=AAAAAAAAAAAAAAAAAAAA", &["query.cursor"]),
        ("cursor=%00", &["query.cursor"]),
        // "rcp_01ARZ3NDEKTSV4RRFFQ69G5FAV", which no list has given.
        ("cursor=cmNwXzAxQVJaM05ERUtUU1Y0UlJGRlE2OUc1RkFW", &["query.cursor"]),
        ("order=newest", &["query.order"]),
        ("order=ASC", &["query.order"]),
        ("from=yesterday", &["query.from"]),
        ("from=2026-03-01T10:00:00", &["query.from"]),
        ("from=2026-03-01T10:00:00+01:00", &["query.from"]),
        ("to=2026-03-01", &["query.to"]),
        ("user_id=a&user_id=a", &["query.user_id"]),
        ("limit=1&limit=", &["query.limit"]),
        ("order=x&limit=0&from=x&user_id=a&user_id=b", &["query.limit", "query.user_id", "query.from", "query.order"]),
    ];
    for (query, fields) in rows {
        let path = format!("/v1/receipts?{query}");
        assert_eq!(server.get(&path).await.fields(), *fields, "{query}");
        let stranger = server.send_as("allowly_l1_s001_x_y", Method::GET, &path, None).await;
        assert_eq!(stranger.error(), (401, "unauthorized".into()), "{query}");
    }
    for nothing in ["event=authorization.created", "event=Authorization.create", "decision=allowed", "scope=x&event=authorization.create"] {
        let page = server.get(&format!("/v1/receipts?{nothing}")).await.json();
        assert_eq!(page, json!({ "items": [], "has_more": false, "next_cursor": null }), "{nothing}: compared, never judged");
    }
    for limit in [1, 100] {
        assert_eq!(server.get(&format!("/v1/receipts?limit={limit}")).await.status, StatusCode::OK);
    }
    for method in [Method::POST, Method::DELETE] {
        assert_eq!(server.send_as(&server.api_key, method, "/v1/receipts", None).await.error().0, 405);
    }
}

#[tokio::test]
async fn the_longest_values_are_found() {
    let server = Server::start().await;
    let (user, resource, session) = ("ü".repeat(128), "\u{1f600}".repeat(128), "s".repeat(256));
    let id = server.grant(json!({ "user_id": user, "scopes": ["x".repeat(128)] })).await;
    let check =
        |resource: &str| json!({ "authorization_id": id, "scopes": ["x".repeat(128)], "resource": resource, "session_id": session });
    server.post("/v1/check", check(&resource)).await;
    server.post("/v1/check", check("")).await;
    for indexed in [false, true] {
        if indexed {
            server.app().search.indexed(server.records()).await;
        }
        let percent = |text: &str| text.bytes().map(|b| format!("%{b:02x}")).collect::<String>();
        for (query, count) in [
            (format!("user_id={}", percent(&user)), 3),
            (format!("resource={}", percent(&resource)), 1),
            (format!("resource={}", percent(&resource[4..])), 0),
            (format!("session_id={session}"), 2),
            (format!("session_id={session}s"), 0),
            (format!("scope={}", "x".repeat(128)), 2),
        ] {
            assert_eq!(column(&list(&server, &query).await, "receipt_id").len(), count, "{query}");
        }
    }
}

#[tokio::test]
async fn a_list_is_of_one_workspace() {
    let server = Server::start().await;
    let (_, foreign) = server.other_workspace().await;
    let (one, _) = world(&server).await;
    let as_foreign = async |query: &str| server.send_as(&foreign, Method::GET, &format!("/v1/receipts?{query}"), None).await.json();
    let body = json!({ "user_id": "user_1", "agent_id": "mailer", "scopes": ["email.read"], "expires_at": "2026-03-03T10:00:00Z" });
    let granted = server.send_as(&foreign, Method::POST, "/v1/authorizations", Some(body.to_string())).await.json();
    for indexed in [false, true] {
        if indexed {
            server.app().search.indexed(server.records()).await;
        }
        assert_eq!(column(&as_foreign("").await, "receipt_id"), [granted["receipt"]["receipt_id"].clone()]);
        assert_eq!(column(&as_foreign("user_id=user_1").await, "receipt_id").len(), 1);
        assert_eq!(as_foreign(&format!("authorization_id={one}")).await["items"], json!([]));
        assert_eq!(walk(&server, "user_id=user_1").await.len(), 6);
        // A cursor names a receipt, and a foreign one is as unknown as any that never was.
        let cursor = list(&server, "limit=1").await["next_cursor"].as_str().unwrap().to_owned();
        let path = format!("/v1/receipts?cursor={cursor}");
        assert_eq!(server.send_as(&foreign, Method::GET, &path, None).await.fields(), ["query.cursor"]);
    }
}

#[tokio::test]
async fn an_answered_call_is_listed_at_once() {
    let server = Server::start().await;
    let id = server.grant(json!({})).await;
    for turn in 0..300 {
        let receipt = server.check(&id, "email.read", Some(&format!("r{turn}"))).await["receipt"]["receipt_id"].clone();
        assert_eq!(column(&list(&server, "limit=1").await, "receipt_id"), std::slice::from_ref(&receipt));
        assert_eq!(column(&list(&server, &format!("resource=r{turn}")).await, "receipt_id"), [receipt]);
    }
    assert_eq!(walk(&server, &format!("authorization_id={id}")).await.len(), 301);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_walk_sees_every_receipt_once_while_new_ones_arrive() {
    let server = Arc::new(Server::start().await);
    let id = server.grant(json!({})).await;
    for _ in 0..400 {
        server.check(&id, "email.read", None).await;
    }
    let before: BTreeSet<_> = walk(&server, "limit=100").await.into_iter().collect();
    let writing = tokio::spawn({
        let (server, id) = (Arc::clone(&server), id.clone());
        async move {
            let mut written = Vec::new();
            for _ in 0..400 {
                written.push(server.check(&id, "email.read", None).await["receipt"]["receipt_id"].as_str().unwrap().to_owned());
            }
            written
        }
    });
    let mut walks = 0;
    while !writing.is_finished() || walks < 2 {
        // Newest first: what was there when it began, and nothing twice. Oldest first: also what came meanwhile.
        for query in ["limit=7", "order=asc&limit=23", "scope=email.read&limit=50"] {
            let walked = walk(&server, query).await;
            let seen: BTreeSet<_> = walked.iter().cloned().collect();
            assert_eq!(seen.len(), walked.len(), "{query}: none twice");
            let ordered = if query.contains("asc") { walked.is_sorted() } else { walked.iter().rev().is_sorted() };
            assert!(ordered, "{query}");
            assert!(before.iter().skip(usize::from(query.contains("scope"))).all(|id| seen.contains(id)), "{query}: none left out");
        }
        walks += 1;
    }
    let written = writing.await.unwrap();
    let all: BTreeSet<_> = walk(&server, "limit=100").await.into_iter().collect();
    assert!(written.iter().all(|id| all.contains(id)));
    assert_eq!(all.len(), 801);
}
