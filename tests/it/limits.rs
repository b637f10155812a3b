//! What callers may not do: call too often, all at once, with heads or bodies without end.

use std::sync::Arc;

use allowlog::engine::CALLERS_MAX;
use allowlog::http::{HEADER_BYTES_MAX, REQUESTS_MAX, URI_BYTES_MAX, stack};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::routing::{get, post};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::harness::{Reply, Server, send};

fn rate(headers: &HeaderMap) -> (&str, &str) {
    (headers["ratelimit"].to_str().unwrap(), headers["ratelimit-policy"].to_str().unwrap())
}

#[tokio::test]
async fn a_key_that_calls_too_often_is_told_when_it_may_again() {
    let server = Server::start().await;
    let limited = server.limited(2, 5);
    let call = async || send(&limited, server.request(Method::GET, "/v1/escalations")).await;
    for remaining in (0..5).rev() {
        let reply = call().await;
        assert_eq!(reply.status, StatusCode::OK);
        let full_in = [3, 2, 2, 1, 1][remaining];
        assert_eq!(rate(&reply.headers), (format!("\"key\";r={remaining};t={full_in}").as_str(), "\"key\";q=5;w=3"));
    }
    for _ in 0..3 {
        let reply = call().await;
        assert_eq!(reply.error(), (429, "quota_exceeded".into()));
        assert_eq!(reply.headers["retry-after"], "1");
        assert_eq!(rate(&reply.headers), ("\"key\";r=0;t=3", "\"key\";q=5;w=3"));
    }
    server.clock.advance_ms(499);
    assert_eq!(call().await.status, StatusCode::TOO_MANY_REQUESTS, "refusals cost nothing, and waiting is not rounded");
    server.clock.advance_ms(1);
    assert_eq!((call().await.status, call().await.status), (StatusCode::OK, StatusCode::TOO_MANY_REQUESTS));
    server.clock.advance_ms(60_000);
    let statuses: Vec<_> = futures(6, &call).await;
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::OK).count(), 5, "a bucket holds no more than the burst");
}

async fn futures(count: usize, call: &impl AsyncFn() -> Reply) -> Vec<StatusCode> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(call().await.status);
    }
    statuses
}

#[tokio::test]
async fn who_has_no_key_takes_from_no_bucket() {
    let server = Server::start().await;
    let limited = server.limited(1, 1);
    let (_, other) = server.other_workspace().await;
    let call = async |key: &str, path: &str| {
        let request = Request::get(path).header("authorization", format!("Bearer {key}"));
        send(&limited, request.body(Body::empty()).unwrap()).await
    };
    // The public part of the key is known to others; without its secret they cannot spend what is the key's.
    let spliced = format!("{}{}", &server.api_key[..42], &other[42..]);
    for key in ["", "x", &spliced, &spliced] {
        let reply = call(key, "/v1/escalations").await;
        assert_eq!(reply.error(), (401, "unauthorized".into()), "{key}");
        assert!(!reply.headers.contains_key("ratelimit"));
    }
    assert_eq!(call(&server.api_key, "/v1/escalations").await.status, StatusCode::OK);
    assert_eq!(call(&server.api_key, "/v1/escalations").await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(call(&other, "/v1/escalations").await.status, StatusCode::OK, "each key has its own");
    // Neither the operator nor what is open to everybody is limited.
    for _ in 0..3 {
        assert_eq!(call(crate::harness::ADMIN_TOKEN, "/admin/v1/workspaces").await.status, StatusCode::OK);
        assert_eq!(call("", &format!("/v1/workspaces/{}/keys", server.workspace_id)).await.status, StatusCode::OK);
    }
    assert!(!server.get("/v1/escalations").await.headers.contains_key("ratelimit"), "off unless asked for");
}

#[tokio::test]
async fn a_call_that_is_refused_is_neither_decided_nor_stored() {
    let server = Server::start().await;
    let id = server.grant(json!({})).await;
    let limited = server.limited(1, 3);
    let before = server.records();
    let check = json!({ "authorization_id": id, "scopes": ["email.read"] }).to_string();
    let calls = (0..10).map(|_| {
        let request = Request::post("/v1/check").header("authorization", format!("Bearer {}", server.api_key));
        let request = request.header("content-type", "application/json").body(Body::from(check.clone())).unwrap();
        let limited = limited.clone();
        tokio::spawn(async move { send(&limited, request).await.status })
    });
    let mut allowed = 0;
    for call in calls.collect::<Vec<_>>() {
        allowed += u64::from(call.await.unwrap() == StatusCode::OK);
    }
    assert_eq!(allowed, 3, "to the unit, also when the first calls of a key come all at once");
    assert_eq!(server.records() - before, 3);
}

#[tokio::test]
async fn too_many_in_flight_are_refused_at_once() {
    let (gate, entered) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let slow = {
        let (gate, entered) = (Arc::clone(&gate), Arc::clone(&entered));
        async move || {
            entered.add_permits(1);
            drop(gate.acquire().await.unwrap());
            "done"
        }
    };
    let router = stack(Router::new().route("/slow", get(slow)).route("/fast", get(async || "done")), None);
    let call = |path: &str| {
        let (router, request) = (router.clone(), Request::get(path).body(Body::empty()).unwrap());
        tokio::spawn(async move { send(&router, request).await })
    };
    let calls: Vec<_> = (0..REQUESTS_MAX).map(|_| call("/slow")).collect();
    drop(entered.acquire_many(u32::try_from(REQUESTS_MAX).unwrap()).await.unwrap());
    let refused = call("/fast").await.unwrap();
    assert_eq!(refused.error(), (503, "service_unavailable".into()));
    assert_eq!(refused.headers["retry-after"], "1");
    gate.add_permits(1);
    for call in calls {
        assert_eq!(call.await.unwrap().status, StatusCode::OK, "who was let in is answered");
    }
    assert_eq!(call("/fast").await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn heads_have_a_length() {
    let server = Server::start().await;
    let query = |bytes: usize| format!("/v1/escalations?x={}", "x".repeat(bytes - "/v1/escalations?x=".len()));
    assert_eq!(server.get(&query(URI_BYTES_MAX - 1)).await.status, StatusCode::OK);
    assert_eq!(server.get(&query(URI_BYTES_MAX)).await.error(), (414, "uri_too_long".into()));
    assert_eq!(server.get(&format!("/nowhere/{}", "x".repeat(URI_BYTES_MAX))).await.error().0, 414);
    let with_header = async |bytes: usize| {
        let mut request = server.request(Method::GET, "/v1/escalations");
        let others: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        request.headers_mut().insert("x", "x".repeat(bytes - others - 1).parse().unwrap());
        send(&server.router, request).await
    };
    assert_eq!(with_header(HEADER_BYTES_MAX - 1).await.status, StatusCode::OK);
    assert_eq!(with_header(HEADER_BYTES_MAX).await.error(), (431, "headers_too_large".into()));
}

#[tokio::test]
async fn a_stranger_is_refused_whatever_comes_behind() {
    let server = Server::start().await;
    let router = stack(Router::new().route("/known", post(async || "done")), None);
    // More than any body may have: nobody keeps it.
    let body = || Body::from(vec![b'x'; 2 * 1024 * 1024]);
    assert_eq!(send(&server.router, Request::post("/v1/check").body(body()).unwrap()).await.error().0, 401);
    assert_eq!(send(&router, Request::post("/unknown").body(body()).unwrap()).await.error().0, 404);
}

#[tokio::test]
async fn when_too_many_wait_for_the_writer_the_next_is_refused_at_once() {
    let server = Server::start().await;
    let engine = server.app().engine.clone();
    // The writer is held up by the first; the others wait behind it.
    let (go_on, held_up) = std::sync::mpsc::channel::<()>();
    let first = {
        tokio::spawn({
            let engine = engine.clone();
            async move { engine.read(move |_, _| held_up.recv().is_err()).await }
        })
    };
    let others: Vec<_> = (1..CALLERS_MAX)
        .map(|_| {
            tokio::spawn({
                let engine = engine.clone();
                async move { engine.read(|_, _| ()).await }
            })
        })
        .collect();
    while !engine.is_full() {
        tokio::task::yield_now().await;
    }
    for path in ["/v1/escalations", "/v1/receipts", "/v1/authorizations"] {
        let refused = server.get(path).await;
        assert_eq!(refused.error(), (503, "service_unavailable".into()));
        assert_eq!(refused.headers["retry-after"], "1");
    }
    let operations = server.operations.clone();
    let ready = tokio::spawn(async move { send(&operations, Request::get("/readyz").body(Body::empty()).unwrap()).await });
    tokio::task::yield_now().await;
    assert!(!ready.is_finished(), "readiness is asked in its turn");
    drop(go_on);
    assert_eq!(ready.await.unwrap().status, StatusCode::OK, "a server with much to do is ready");
    assert_eq!(first.await.unwrap(), Ok(true));
    for other in others {
        assert_eq!(other.await.unwrap(), Ok(()), "who was let in is answered");
    }
    assert_eq!(server.get("/v1/escalations").await.status, StatusCode::OK);
}
