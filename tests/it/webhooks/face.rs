//! Webhooks of the whole server: what the API says of them, and what arrives.

use std::collections::{BTreeMap, BTreeSet};

use allowlog::webhooks::signature;
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::receiver::{Answer, Received, Receiver};
use crate::harness::{Reply, Server, send};

async fn server() -> Server {
    Server::start_with(|parts| parts.webhook_allow_private = true).await
}

/// An agent with this URL: its id and its secret.
async fn agent(server: &Server, url: Option<String>) -> (String, String) {
    let reply = server.post("/v1/consent-agents", json!({ "name": "mailer", "webhook_url": url })).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
    let data = &reply.json()["data"];
    ["id", "webhook_secret"].map(|member| data[member].as_str().unwrap().to_owned()).into()
}

async fn ask(server: &Server, agent_id: &str, user: &str) -> Value {
    let body = json!({
        "agent_id": agent_id, "end_user_ref": user, "redirect_url": "https://app.example/back",
        "scopes": [{ "key": "email.send", "label": "Send" }, { "key": "email.read" }],
    });
    let reply = server.post("/v1/consent/request", body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
    reply.json()["data"].clone()
}

/// Takes a consent back as the published client does.
async fn withdraw(server: &Server, consent: &Value) -> Reply {
    let mut request = server.request(Method::DELETE, &format!("/v1/consent/{}", consent["id"].as_str().unwrap()));
    request.headers_mut().insert("accept", "application/json".parse().unwrap());
    send(&server.router, request).await
}

async fn test(server: &Server, agent_id: &str) -> Reply {
    server.post(&format!("/v1/consent-agents/{agent_id}/webhook-test"), json!({})).await
}

/// The body, once its signature is this secret's.
fn signed(received: &Received, secret: &str) -> Value {
    assert_eq!(received.header("x-permitly-signature"), Some(signature(secret, received.body.as_bytes()).as_str()));
    serde_json::from_str(&received.body).unwrap()
}

#[tokio::test]
async fn what_is_taken_back_is_told_once() {
    let (server, mut receiver) = (server().await, Receiver::new(|_| Answer::Status(200)).await);
    let (agent_id, secret) = agent(&server, Some(receiver.url())).await;
    let consent = ask(&server, &agent_id, "user_1").await;
    for _ in 0..2 {
        assert_eq!(withdraw(&server, &consent).await.json()["data"]["status"], "revoked");
    }
    let told = signed(&receiver.next().await, &secret);
    assert_eq!(told["type"], "consent.revoked");
    assert!(told["id"].as_str().unwrap().starts_with("evt_"));
    assert_eq!(told["created_at"], server.clock.now().to_string());
    let data = json!({
        "consent_id": consent["id"], "agent_id": agent_id, "end_user_ref": "user_1", "scopes": ["email.send", "email.read"],
    });
    assert_eq!(told["data"], data, "without a token");
    // The second time changed nothing; what comes next is about somebody else.
    let consent = ask(&server, &agent_id, "user_2").await;
    withdraw(&server, &consent).await;
    assert_eq!(signed(&receiver.next().await, &secret)["data"]["end_user_ref"], "user_2");
    assert_eq!(receiver.rest(), []);
}

#[tokio::test]
async fn a_webhook_can_be_tried_out() {
    let answers = [Answer::Status(202), Answer::Status(500), Answer::Redirect("/".to_owned()), Answer::Close, Answer::Status(200)];
    let (server, mut receiver) = (server().await, Receiver::new(move |nth| answers[nth].clone()).await);
    let (agent_id, secret) = agent(&server, Some(receiver.url())).await;
    let records = server.records();
    for (delivered, status) in [(true, Some(202)), (false, Some(500)), (false, Some(302)), (false, None)] {
        let reply = test(&server, &agent_id).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        let data = reply.json()["data"].clone();
        assert_eq!((&data["delivered"], &data["status"]), (&json!(delivered), &json!(status)), "{data}");
        assert_eq!(data["error"].is_null(), delivered, "{data}");
        let told = signed(&receiver.next().await, &secret);
        assert_eq!((&told["type"], &told["id"], &told["data"]), (&json!("webhook.test"), &data["id"], &json!({ "agent_id": agent_id })));
    }
    assert_eq!(server.records(), records, "it leaves no event");
    let rotated = server.post(&format!("/v1/consent-agents/{agent_id}/rotate-webhook-secret"), json!({})).await;
    let fresh = rotated.json()["data"]["webhook_secret"].as_str().unwrap().to_owned();
    assert_ne!(fresh, secret);
    test(&server, &agent_id).await;
    signed(&receiver.next().await, &fresh);
    // Nowhere to send it, and nobody to send it for.
    let (silent, _) = agent(&server, None).await;
    assert_eq!(test(&server, &silent).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let (_, stranger) = server.other_workspace().await;
    let path = format!("/v1/consent-agents/{agent_id}/webhook-test");
    for (key, path, status) in [
        (stranger.as_str(), path.as_str(), StatusCode::NOT_FOUND),
        (&server.api_key, "/v1/consent-agents/ag_x/webhook-test", StatusCode::NOT_FOUND),
        ("wrong", &path, StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(server.send_as(key, Method::POST, path, Some("{}".to_owned())).await.status, status, "{path}");
    }
    assert_eq!(receiver.rest(), []);
}

#[tokio::test]
async fn urls_that_lead_inside_are_refused_where_they_are_given() {
    let server = Server::start().await;
    let (agent_id, _) = agent(&server, Some("https://hooks.example.com/allowlog".to_owned())).await;
    for url in ["http://hooks.example.com/", "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/", "https://localhost/", "x"]
    {
        let body = json!({ "name": "mailer", "webhook_url": url });
        let created = server.post("/v1/consent-agents", body.clone()).await;
        let changed =
            server.send_as(&server.api_key, Method::PATCH, &format!("/v1/consent-agents/{agent_id}"), Some(body.to_string())).await;
        for reply in [created, changed] {
            assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{url}: {}", reply.text);
            assert!(reply.json()["error"]["errors"]["webhook_url"].is_array(), "{url}: {}", reply.text);
        }
    }
}

/// The CSRF token of a consent's page.
async fn csrf(server: &Server, page: &str) -> String {
    let answer = server.router.clone().oneshot(Request::get(page).body(Body::empty()).unwrap()).await.unwrap();
    let text = String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
    text.split(r#"name="csrf" value=""#).nth(1).expect("the form has it").split('"').next().unwrap().to_owned()
}

async fn post(router: Router, page: String, form: String) -> StatusCode {
    let request = Request::post(page).header("content-type", "application/x-www-form-urlencoded").body(Body::from(form)).unwrap();
    router.oneshot(request).await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_wins_is_told_once() {
    let (server, mut receiver) = (server().await, Receiver::new(|_| Answer::Status(200)).await);
    let (agent_id, secret) = agent(&server, Some(receiver.url())).await;
    let mut expected = BTreeMap::new();
    for n in 0..250 {
        let consent = ask(&server, &agent_id, "user_1").await;
        let id = consent["id"].as_str().unwrap().to_owned();
        let page = format!("/c/{id}");
        let csrf = csrf(&server, &page).await;
        let decide = |decision: &str| {
            let form = format!("decision={decision}&csrf={csrf}");
            tokio::spawn(post(server.router.clone(), page.clone(), form))
        };
        let answers = [decide("approve"), decide("decline"), decide("approve")];
        let withdrawn = (n % 2 == 0).then(|| {
            let request = server.request(Method::DELETE, &format!("/v1/consent/{id}"));
            tokio::spawn(server.router.clone().oneshot(request))
        });
        let mut won = 0;
        for answer in answers {
            won += usize::from(answer.await.unwrap() == StatusCode::SEE_OTHER);
        }
        if let Some(withdrawn) = withdrawn {
            withdrawn.await.unwrap().unwrap();
        }
        let stands = server.get(&format!("/v1/consent/{id}")).await.json()["data"].clone();
        let told = match (stands["status"].as_str().unwrap(), stands["decided_at"].is_null()) {
            ("approved", _) => vec!["consent.approved"],
            ("declined", _) => vec!["consent.declined"],
            ("revoked", true) => vec!["consent.revoked"],
            ("revoked", false) => vec!["consent.approved", "consent.revoked"],
            other => panic!("{other:?}"),
        };
        assert_eq!(won, usize::from(told != ["consent.revoked"]), "one winner");
        expected.insert(id, told);
    }
    let head = server.store.head();
    server.app().webhooks.clone().wait_for(|progress| progress.position == head && progress.pending == 0).await.unwrap();
    let mut told = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for received in receiver.rest() {
        let body = signed(&received, &secret);
        let is_approved = body["type"] == "consent.approved";
        assert_eq!(body["data"]["token"].is_string(), is_approved, "{body}");
        assert!(ids.insert(body["id"].to_string()), "an id of its own, once");
        let consent: &mut Vec<_> = told.entry(body["data"]["consent_id"].as_str().unwrap().to_owned()).or_default();
        consent.push(body["type"].as_str().unwrap().to_owned());
        consent.sort();
    }
    assert_eq!(told.len(), expected.len());
    for (id, expected) in expected {
        assert_eq!(told[&id], expected, "{id}");
    }
}
