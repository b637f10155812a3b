//! `POST /v1/check/batch`

use std::sync::Arc;

use allowlog::engine::BATCHED_CHECKS_MAX;
use allowlog::log::memory::{Fault, MemoryStore};
use allowlog_proto::limits::{BATCH_CHECKS_MAX, BATCH_SCOPES_MAX, BODY_BATCH_BYTES_MAX};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Reply, Server, send};

const PATH: &str = "/v1/check/batch";

fn check(authorization_id: &str, scopes: &[&str]) -> Value {
    json!({ "authorization_id": authorization_id, "scopes": scopes })
}

async fn post(server: &Server, checks: Value) -> Vec<Value> {
    let reply = server.post(PATH, json!({ "checks": checks })).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.json()["results"].as_array().unwrap().clone()
}

/// What was decided of each check, in a word; of one that was refused the status.
fn reasons(results: &[Value]) -> Vec<String> {
    let each = |item: &Value| match item["body"]["results"].as_object() {
        Some(scopes) => scopes.values().map(|result| result["reason"].as_str().unwrap()).collect::<Vec<_>>().join(" "),
        None => item["status"].to_string(),
    };
    results.iter().map(each).collect()
}

fn receipts(results: &[Value]) -> Vec<String> {
    let scopes = results.iter().filter_map(|item| item["body"]["results"].as_object()).flat_map(|scopes| scopes.values());
    scopes.map(|result| result["receipt"]["receipt_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn each_check_is_answered_in_its_place() {
    let server = Server::start().await;
    let id = server.grant(json!({ "scopes": ["a", "b", "c"], "requires_confirm_for": ["b"], "requires_escalation_for": ["c"] })).await;
    let before = server.records();
    let results = post(
        &server,
        json!([
            check(&id, &["a", "z"]),
            { "scopes": ["a", "a"], "context": { "price": 1.5 } },
            check("auth_01ARZ3NDEKTSV4RRFFQ69G5FAV", &["a"]),
            "nothing",
            check(&id, &["c"]),
            null,
            check(&id, &["b", "c"]),
            check(&id, &["a"]),
        ]),
    )
    .await;
    let expected = [
        "authorization_granted_scope_active scope_not_authorized",
        "422",
        "authorization_not_found",
        "422",
        "escalation_required",
        "422",
        "scope_requires_user_confirmation escalation_required",
        "authorization_granted_scope_active",
    ];
    assert_eq!(reasons(&results), expected);
    let error = &results[1]["error"];
    assert_eq!(error["code"], "validation_error");
    let fields: Vec<&str> = error["fields"].as_array().unwrap().iter().map(|field| field["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["body.checks[1].authorization_id", "body.checks[1].scopes", "body.checks[1].context.price"]);
    assert_eq!(results[3]["error"]["fields"][0]["field"], "body.checks[3]");
    assert_eq!(server.records() - before, 7, "one record for each scope, and none for what was refused");
    // Alone, a check is answered with the very same members.
    let alone = server.post("/v1/check", check(&id, &["a", "z"])).await.json();
    let members = |body: &Value| body.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!((results[0]["status"].as_u64(), members(&results[0]["body"])), (Some(200), members(&alone)));
    assert_eq!(results[2]["body"]["authorization_id"], "auth_01ARZ3NDEKTSV4RRFFQ69G5FAV");
    // An escalation that is open is the same for whoever comes behind.
    let escalation = |at: usize| &results[at]["body"]["results"]["c"]["escalation_id"];
    assert_eq!(escalation(4), escalation(6));
    let ids = receipts(&results);
    assert!(ids.is_sorted_by(|a, b| a < b) && ids.len() == 7, "each its own receipt: {ids:?}");
    for id in &ids {
        server.signed_receipt(id).await;
    }
}

#[tokio::test]
async fn a_check_sees_what_those_before_it_have_spent_and_counted() {
    let server = Server::start().await;
    let scopes = json!(["pay", { "name": "send", "constraints": { "max_per_day": 2 } }]);
    let id = server.grant(json!({ "scopes": scopes, "budget_limit_micros": 100 })).await;
    let pay = |cost: u64| json!({ "authorization_id": id, "scopes": ["pay"], "estimated_cost_micros": cost });
    let results = post(&server, json!([pay(60), pay(50), pay(40), pay(0), pay(1), pay(0)])).await;
    let budgets: Vec<String> = results
        .iter()
        .map(|item| &item["body"]["results"]["pay"])
        .map(|pay| {
            format!("{} {}+{}", pay["decision"].as_str().unwrap(), pay["budget"]["spent_micros"], pay["budget"]["estimated_cost_micros"])
        })
        .collect();
    assert_eq!(budgets, ["allow 0+60", "deny 60+50", "allow 60+40", "allow 100+0", "deny 100+1", "allow 100+0"]);
    let results = post(&server, json!([check(&id, &["send"]), check(&id, &["pay", "send"]), check(&id, &["send", "pay"])])).await;
    let allowed = "authorization_granted_scope_active";
    assert_eq!(reasons(&results), [allowed, &format!("{allowed} {allowed}"), &format!("{allowed} rate_limit_exceeded")]);
    assert_eq!(server.get(&format!("/v1/authorizations/{id}")).await.json()["budget_spent_micros"], 100);
}

#[tokio::test]
async fn an_approval_is_used_up_within_a_batch_and_a_confirmation_is_not() {
    let server = Server::start().await;
    let id = server.grant(json!({ "scopes": ["b", "c"], "requires_confirm_for": ["b"], "requires_escalation_for": ["c"] })).await;
    let asked = post(&server, json!([check(&id, &["b", "c"])])).await;
    let asked = &asked[0]["body"]["results"];
    let confirm = format!("/v1/confirmations/{}", asked["b"]["confirm_nonce"].as_str().unwrap());
    assert_eq!(server.post(&confirm, json!({ "approved": true })).await.status, StatusCode::OK);
    let resolve = format!("/v1/escalations/{}/resolve", asked["c"]["escalation_id"].as_str().unwrap());
    assert_eq!(server.post(&resolve, json!({ "resolution": "approved", "resolved_by": "bob" })).await.status, StatusCode::OK);
    let results = post(&server, json!([check(&id, &["c"]), check(&id, &["c"]), check(&id, &["b"]), check(&id, &["b"])])).await;
    let confirmed = "authorization_granted_via_confirmation";
    assert_eq!(reasons(&results), ["authorization_granted_via_escalation", "escalation_required", confirmed, confirmed]);
}

#[tokio::test]
async fn whoever_waits_gets_every_receipt_signed() {
    let server = Server::start().await;
    let id = server.grant(json!({})).await;
    let checks = vec![check(&id, &["email.read", "email.send"]); 100];
    let reply = server.post(&format!("{PATH}?wait=true"), json!({ "checks": checks })).await.json();
    let results = reply["results"].as_array().unwrap();
    let mut ids = Vec::new();
    for (scope, result) in results.iter().flat_map(|item| item["body"]["results"].as_object().unwrap()) {
        let receipt = &result["receipt"];
        assert_eq!(receipt["status"], "signed");
        assert_eq!(receipt["receipt"]["scope"], *scope);
        ids.push(receipt["receipt"]["receipt_id"].as_str().unwrap());
    }
    assert!(ids.is_sorted_by(|a, b| a < b) && ids.len() == 200);
}

#[tokio::test]
async fn limits() {
    let server = Server::start().await;
    let id = server.grant(json!({})).await;
    let before = server.records();
    let one = check(&id, &["email.read"]);
    for checks in
        [json!(null), json!([]), json!({}), json!("x"), json!([[one]])[0][0].clone(), json!(vec![one.clone(); BATCH_CHECKS_MAX + 1])]
    {
        assert_eq!(server.post(PATH, json!({ "checks": checks })).await.fields(), ["body.checks"], "{checks:.80}");
    }
    assert_eq!(server.post(PATH, json!([one])).await.fields(), ["body"]);
    let names: Vec<String> = (0..25).map(|n| format!("s{n}")).collect();
    let wide = json!({ "authorization_id": id, "scopes": names });
    let many = |count: usize| json!({ "checks": vec![wide.clone(); count] });
    assert_eq!(server.post(PATH, many(BATCH_SCOPES_MAX / 25 + 1)).await.fields(), ["body.checks"]);
    let padded = |bytes: usize| format!(r#"{{"checks":["{}"]}}"#, "x".repeat(bytes - r#"{"checks":[""]}"#.len()));
    let sized = async |bytes: usize| server.send_as(&server.api_key, Method::POST, PATH, Some(padded(bytes))).await;
    assert_eq!(sized(BODY_BATCH_BYTES_MAX + 1).await.error(), (413, "payload_too_large".into()));
    assert_eq!(sized(BODY_BATCH_BYTES_MAX).await.json()["results"][0]["status"], 422);
    assert_eq!(server.records(), before, "none of it left anything");
    assert_eq!(post(&server, json!(vec![one; BATCH_CHECKS_MAX])).await.len(), BATCH_CHECKS_MAX);
    assert_eq!(server.post(PATH, many(BATCH_SCOPES_MAX / 25)).await.status, StatusCode::OK);
    let stored = u64::try_from(BATCH_CHECKS_MAX + BATCH_SCOPES_MAX).unwrap();
    assert_eq!(server.records() - before, stored);
}

#[tokio::test]
async fn a_batch_of_too_many_bytes_is_decided_up_to_where_it_is_full() {
    let server = Server::start().await;
    let names: Vec<String> = (0..25).map(|n| format!("s{n}")).collect();
    let id = server.grant(json!({ "scopes": names })).await;
    // A control character takes six bytes where it is stored, and two where it is measured.
    let large = json!({ "authorization_id": id, "scopes": names, "context": { "x": "\n".repeat(2000) } });
    let mut checks = vec![large; 60];
    checks.push(json!(7));
    let before = server.records();
    let (name, body) = ("full", json!({ "checks": checks }));
    let first = server.send_named(name, Method::POST, PATH, Some(body.clone())).await;
    let results = first.json()["results"].as_array().unwrap().clone();
    let statuses: Vec<u64> = results.iter().map(|item| item["status"].as_u64().unwrap()).collect();
    let decided = statuses.iter().filter(|status| **status == 200).count();
    assert!((10..30).contains(&decided), "4 MiB of records: {decided}");
    assert_eq!(statuses, [vec![200; decided], vec![413; 60 - decided], vec![422]].concat());
    assert_eq!(results[59]["error"]["code"], "payload_too_large");
    assert_eq!(server.records() - before, u64::try_from(decided * 25).unwrap());
    assert_eq!(server.send_named(name, Method::POST, PATH, Some(body)).await.text, first.text, "a retry is as full as the first");
}

#[tokio::test]
async fn who_may_not_ask_is_told_so_for_all_of_it() {
    let server = Server::start().await;
    let id = server.grant(json!({})).await;
    let before = server.records();
    let path = format!("workspaces/{}/api-keys", server.workspace_id);
    let reader = server.admin(Method::POST, &path, Some(json!({ "name": "dashboard", "role": "read" }))).await.json();
    let reader = reader["api_key"].as_str().unwrap();
    let body = json!({ "checks": [check(&id, &["email.read"])] }).to_string();
    for (key, body, status) in [(reader, &*body, 403), (reader, r#"{"checks":[7]}"#, 403), (reader, "{", 403), ("nobody", &*body, 401)] {
        assert_eq!(server.send_as(key, Method::POST, PATH, Some(body.to_owned())).await.error().0, status);
    }
    let (_, foreign) = server.other_workspace().await;
    let theirs = server.send_as(&foreign, Method::POST, PATH, Some(body)).await.json();
    assert_eq!(theirs["results"][0]["body"]["results"]["email.read"]["reason"], "authorization_not_found");
    let own = server.get("/v1/receipts?event=&limit=100").await.json();
    assert_eq!(own["items"].as_array().unwrap().len(), 1, "the grant alone");
    // The reader's key, the other workspace with its two keys, and what was denied there.
    assert_eq!(server.records() - before, 5);
}

#[tokio::test]
async fn a_retry_is_answered_as_the_first_item_by_item() {
    let server = Server::start().await;
    let id = server.grant(json!({ "budget_limit_micros": 10 })).await;
    let pay = json!({ "authorization_id": id, "scopes": ["email.read", "email.send"], "estimated_cost_micros": 3 });
    // Items that are the same are no repeats of each other.
    let body = json!({ "checks": [pay, {}, pay, check("nonsense", &["x"]), pay] });
    let named = async |name: &str, path: &str, body: &Value| server.send_named(name, Method::POST, path, Some(body.clone())).await;
    let before = server.records();
    let (first, raced) = tokio::join!(named("n", PATH, &body), named("n", PATH, &body));
    assert_eq!((first.status, &first.text), (StatusCode::OK, &raced.text));
    assert_eq!(server.records() - before, 7);
    let allowed: Vec<usize> =
        reasons(first.json()["results"].as_array().unwrap()).iter().map(|all| all.matches("active").count()).collect();
    assert_eq!(allowed, [2, 0, 1, 0, 0], "ten are enough for three of three");
    server.clock.advance_ms(60_000);
    assert_eq!(named("n", PATH, &body).await.text, first.text);
    let waited = named("n", &format!("{PATH}?wait=1"), &body).await.json();
    let signed = &waited["results"][2]["body"]["results"]["email.send"]["receipt"];
    let pending = &first.json()["results"][2]["body"]["results"]["email.send"]["receipt"];
    assert_eq!((&signed["status"], &signed["receipt"]["receipt_id"]), (&json!("signed"), &pending["receipt_id"]));
    let shorter = json!({ "checks": [pay, {}, pay] });
    assert_eq!(named("n", PATH, &shorter).await.error(), (422, "idempotency_key_reused".into()));
    assert_eq!(named("n", "/v1/check", &pay).await.error(), (422, "idempotency_key_reused".into()));
    assert_eq!(server.records() - before, 7);
    // Nothing was decided of this one, so that it is not remembered.
    assert_eq!(named("m", PATH, &json!({ "checks": [7] })).await.json()["results"][0]["status"], 422);
    assert_eq!(named("m", PATH, &shorter).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_failed_append_fails_all_of_it_and_nothing_is_stored() {
    for fault in [Fault::Lost, Fault::DoneButFailed] {
        let store = Arc::new(MemoryStore::new());
        let server = Server::start_on(Arc::clone(&store) as _).await;
        let id = server.grant(json!({ "budget_limit_micros": 2 })).await;
        let pay = json!({ "authorization_id": id, "scopes": ["email.read"], "estimated_cost_micros": 1 });
        let body = json!({ "checks": [pay, 7, pay, pay] });
        let before = server.records();
        store.fail_append(0, fault);
        let failed = server.send_named("n", Method::POST, PATH, Some(body.clone())).await;
        assert_eq!(failed.error(), (503, "service_unavailable".into()));
        assert_eq!(server.records(), before, "all of it or nothing");
        let again = server.send_named("n", Method::POST, PATH, Some(body)).await.json();
        let allowed = "authorization_granted_scope_active";
        assert_eq!(reasons(again["results"].as_array().unwrap()), [allowed, "422", allowed, "budget_exceeded"], "nothing was counted");
        assert_eq!(server.records() - before, 3);
    }
}

#[tokio::test]
async fn a_batch_counts_as_many_calls_as_it_has_checks() {
    let server = Server::start().await;
    let id = server.grant(json!({})).await;
    let limited = server.limited(1, 10);
    let ask = async |count: usize| -> Reply {
        let mut request = server.request(Method::POST, PATH);
        *request.body_mut() = Body::from(json!({ "checks": vec![check(&id, &["email.read"]); count] }).to_string());
        send(&limited, request).await
    };
    let left = |reply: &Reply| reply.headers["ratelimit"].to_str().unwrap().to_owned();
    let first = ask(6).await;
    assert_eq!((first.status, left(&first)), (StatusCode::OK, r#""key";r=4;t=6"#.into()));
    let one = ask(1).await;
    assert_eq!((one.status, left(&one)), (StatusCode::OK, r#""key";r=3;t=7"#.into()));
    let before = server.records();
    let many = ask(5).await;
    assert_eq!(
        (many.error(), left(&many)),
        ((429, "quota_exceeded".into()), r#""key";r=2;t=8"#.into()),
        "the call counts, its checks do not"
    );
    assert_eq!(many.headers["retry-after"], "2");
    let never = ask(11).await;
    assert_eq!(never.fields(), ["body.checks"]);
    assert!(never.text.contains("at most 10 items"), "{}", never.text);
    assert_eq!(server.records(), before);
    server.clock.advance_ms(10_000);
    assert_eq!(left(&ask(10).await), r#""key";r=0;t=10"#);
}

#[tokio::test]
async fn batches_that_wait_are_few_and_a_single_check_is_let_in_beside_them() {
    let server = Arc::new(Server::start().await);
    let id = server.grant(json!({})).await;
    let (go_on, held_up) = std::sync::mpsc::channel::<()>();
    let engine = server.app().engine.clone();
    let hold = tokio::spawn(async move { engine.read(move |_, _| held_up.recv().is_err()).await });
    let call = |count: usize| {
        let (router, id, key) = (server.router.clone(), id.clone(), server.api_key.clone());
        let body = json!({ "checks": vec![check(&id, &["email.read"]); count] }).to_string();
        tokio::spawn(async move {
            let request = Request::post(PATH).header("authorization", format!("Bearer {key}")).body(Body::from(body)).unwrap();
            send(&router, request).await
        })
    };
    let waiting: Vec<_> = (0..BATCHED_CHECKS_MAX / BATCH_CHECKS_MAX).map(|_| call(BATCH_CHECKS_MAX)).collect();
    while server.app().engine.waiting().0 < waiting.len() {
        tokio::task::yield_now().await;
    }
    let refused = call(1).await.unwrap();
    assert_eq!((refused.error(), &refused.headers["retry-after"]), ((503, "service_unavailable".into()), &"1".parse().unwrap()));
    let one = {
        let (server, id) = (Arc::clone(&server), id.clone());
        tokio::spawn(async move { server.decide(&id, "email.read", None).await })
    };
    while server.app().engine.waiting().0 <= waiting.len() {
        tokio::task::yield_now().await;
    }
    drop(go_on);
    assert_eq!(hold.await.unwrap(), Ok(true));
    for call in waiting {
        assert_eq!(call.await.unwrap().status, StatusCode::OK);
    }
    assert_eq!(one.await.unwrap().0, "allow");
    assert_eq!(call(1).await.unwrap().status, StatusCode::OK);
}
