//! Pages for people, over the router. What they say is held beside them, how they behave in a browser by `tests/clients/browser`.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Reply, Server, send};

const MINUTE_MS: u64 = 60_000;

/// A consent that somebody is asked for.
async fn ask(server: &Server, person: &str, more: Value) -> Value {
    let mut body = json!({
        "end_user_ref": person, "redirect_url": "https://app.example/back?own=%20a&own=b#part",
        "scopes": [{ "key": "email.send", "label": "Send", "risk": "high", "reversible": false }],
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let reply = server.post("/v1/consent/request", body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
    reply.json()["data"].clone()
}

/// Path of a consent's page.
fn page_of(consent: &Value) -> String {
    consent["consent_url"].as_str().unwrap().strip_prefix("https://allow.example").unwrap().to_owned()
}

async fn status_of(server: &Server, consent: &Value) -> String {
    let reply = server.get(&format!("/v1/consent/{}", consent["id"].as_str().unwrap())).await;
    reply.json()["data"]["status"].as_str().unwrap().to_owned()
}

/// As a browser does: without an API key.
async fn browse(server: &Server, method: Method, path: &str, form: Option<&str>) -> Reply {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/x-www-form-urlencoded");
    send(&server.router, request.body(Body::from(form.unwrap_or_default().to_owned())).unwrap()).await
}

async fn look(server: &Server, path: &str) -> Reply {
    let reply = browse(server, Method::GET, path, None).await;
    assert_eq!(reply.headers["content-type"], "text/html; charset=utf-8");
    for (name, value) in [("cache-control", "no-store"), ("referrer-policy", "no-referrer"), ("x-frame-options", "DENY")] {
        assert_eq!(reply.headers[name], value, "{path}");
    }
    let policy = reply.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; ") && policy.ends_with("; frame-ancestors 'none'"), "{policy}");
    reply
}

async fn submit(server: &Server, path: &str, form: &str) -> Reply {
    browse(server, Method::POST, path, Some(form)).await
}

/// The CSRF token on a page.
fn csrf(page: &Reply) -> &str {
    page.text.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap()
}

/// Looks at the page and answers.
async fn answer(server: &Server, consent: &Value, decision: &str) -> Reply {
    let path = page_of(consent);
    let page = look(server, &path).await;
    submit(server, &path, &format!("csrf={}&decision={decision}", csrf(&page))).await
}

/// Path of the page of somebody's permissions.
async fn manage_path(server: &Server, person: &str) -> String {
    let reply = server.get(&format!("/v1/consent/manage-url?end_user_ref={person}")).await;
    reply.json()["data"]["url"].as_str().unwrap().strip_prefix("https://allow.example").unwrap().to_owned()
}

#[tokio::test]
async fn the_stylesheet_is_served_to_everybody_and_asked_for_anew() {
    let server = Server::start().await;
    let file = server.get("/pages/style.css").await;
    assert_eq!(file.status, StatusCode::OK);
    assert_eq!(file.headers["content-type"], "text/css; charset=utf-8");
    assert_eq!(file.headers["cache-control"], "no-cache");
    assert_eq!(file.headers["x-content-type-options"], "nosniff");
    assert_eq!(file.text, include_str!("../../src/http/pages/style.css"));
    assert_eq!(server.get("/pages/style.cs").await.error(), (404, "not_found".into()));
}

#[tokio::test]
async fn the_first_answer_counts_and_leads_back() {
    let server = Server::start().await;
    for (decision, status) in [("approve", "approved"), ("decline", "declined")] {
        let consent = ask(&server, "user_1", json!({})).await;
        let reply = answer(&server, &consent, decision).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER);
        let id = consent["id"].as_str().unwrap();
        assert_eq!(reply.headers["location"], format!("https://app.example/back?own=%20a&own=b&consent_id={id}&status={status}#part"));
        assert_eq!(
            (&reply.headers["cache-control"], &reply.headers["referrer-policy"]),
            (&"no-store".parse().unwrap(), &"no-referrer".parse().unwrap())
        );
        assert_eq!(status_of(&server, &consent).await, status);
        let page = look(&server, &page_of(&consent)).await;
        assert!(page.status == StatusCode::OK && !page.text.contains("<form"), "{}", page.text);
    }
}

#[tokio::test]
async fn a_second_answer_is_told_the_first() {
    let server = Server::start().await;
    let consent = ask(&server, "user_1", json!({})).await;
    let path = page_of(&consent);
    let page = look(&server, &path).await;
    let form = |decision: &str| format!("decision={decision}&csrf={}", csrf(&page));
    assert_eq!(submit(&server, &path, &form("decline")).await.status, StatusCode::SEE_OTHER);
    let records = server.records();
    for decision in ["approve", "decline"] {
        let reply = submit(&server, &path, &form(decision)).await;
        assert_eq!(reply.status, StatusCode::CONFLICT);
        assert!(reply.text.contains("You declined this request") && !reply.headers.contains_key("location"), "{}", reply.text);
    }
    assert_eq!((status_of(&server, &consent).await.as_str(), server.records()), ("declined", records));
}

#[tokio::test]
async fn a_request_can_be_answered_until_it_expires() {
    let server = Server::start().await;
    for (ms, status) in [(MINUTE_MS - 1, StatusCode::SEE_OTHER), (MINUTE_MS, StatusCode::GONE)] {
        let consent = ask(&server, "user_1", json!({ "expires_in": 60 })).await;
        let path = page_of(&consent);
        let page = look(&server, &path).await;
        server.clock.advance_ms(ms);
        let reply = submit(&server, &path, &format!("decision=approve&csrf={}", csrf(&page))).await;
        assert_eq!(reply.status, status, "{ms}");
    }
    let consent = ask(&server, "user_1", json!({ "expires_in": 60 })).await;
    server.clock.advance_ms(MINUTE_MS);
    let page = look(&server, &page_of(&consent)).await;
    assert!(page.status == StatusCode::GONE && page.text.contains("This request has expired"), "{}", page.text);
    server.delete(&format!("/v1/consent/{}", consent["id"].as_str().unwrap()), None).await;
    assert_eq!(look(&server, &page_of(&consent)).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn looking_and_forging_decide_nothing() {
    let server = Server::start().await;
    let (consent, other) = (ask(&server, "user_1", json!({})).await, ask(&server, "user_1", json!({})).await);
    let path = page_of(&consent);
    let page = look(&server, &path).await;
    assert_eq!(browse(&server, Method::HEAD, &path, None).await.status, StatusCode::OK);
    let others = look(&server, &page_of(&other)).await;
    let (own, others) = (csrf(&page), csrf(&others));
    for (form, status) in [
        (String::new(), 403),
        ("decision=approve".to_owned(), 403),
        ("decision=approve&csrf=".to_owned(), 403),
        (format!("decision=approve&csrf={others}"), 403),
        (format!("decision=approve&csrf={own}x"), 403),
        (format!("csrf={own}"), 422),
        (format!("csrf={own}&decision=Approve"), 422),
        (format!("csrf={own}&decision=approve&x={}", "x".repeat(9000)), 422),
    ] {
        let reply = submit(&server, &path, &form).await;
        assert_eq!(reply.status.as_u16(), status, "{form:.100}: {}", reply.text);
        assert!(reply.text.starts_with("<!DOCTYPE html>") && !reply.headers.contains_key("location"), "{}", reply.text);
    }
    assert_eq!(status_of(&server, &consent).await, "pending");
    assert_eq!(look(&server, &format!("{path}x")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(submit(&server, &format!("{path}x"), &format!("decision=approve&csrf={own}")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_person_takes_back_what_is_theirs() {
    let server = Server::start().await;
    let (own, others) = (ask(&server, "user_1", json!({})).await, ask(&server, "user_2", json!({})).await);
    for consent in [&own, &others] {
        assert_eq!(answer(&server, consent, "approve").await.status, StatusCode::SEE_OTHER);
    }
    let path = manage_path(&server, "user_1").await;
    let page = look(&server, &path).await;
    assert!(page.text.contains(own["id"].as_str().unwrap()) && !page.text.contains(others["id"].as_str().unwrap()));
    let form = |consent: &Value, csrf: &str| format!("consent_id={}&csrf={csrf}", consent["id"].as_str().unwrap());
    let revoke = format!("{path}/revoke");
    let foreign = look(&server, &manage_path(&server, "user_2").await).await;
    for (form, status) in [
        (form(&own, ""), 403),
        (form(&own, csrf(&foreign)), 403),
        (form(&others, csrf(&page)), 404),
        (format!("csrf={}", csrf(&page)), 422),
        (form(&own, csrf(&page)), 303),
        // Done is done, however often.
        (form(&own, csrf(&page)), 303),
    ] {
        let reply = submit(&server, &revoke, &form).await;
        assert_eq!(reply.status.as_u16(), status, "{form}: {}", reply.text);
        assert_eq!(status_of(&server, &own).await, if status == 303 { "revoked" } else { "approved" });
    }
    assert_eq!(status_of(&server, &others).await, "approved");
    let page = look(&server, &path).await;
    assert!(page.text.contains("Revoked on this page") && !page.text.contains("<form"), "{}", page.text);
    assert_eq!(look(&server, &page_of(&own)).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn a_link_works_for_an_hour_and_only_as_it_was_made() {
    let server = Server::start().await;
    let consent = ask(&server, "user_1", json!({})).await;
    answer(&server, &consent, "approve").await;
    let path = manage_path(&server, "user_1").await;
    for forged in ["/manage/x".to_owned(), format!("{path}A"), path.replacen("/manage/", "/manage/A", 1)] {
        assert_eq!(look(&server, &forged).await.status, StatusCode::NOT_FOUND, "{forged}");
    }
    server.clock.advance_ms(60 * MINUTE_MS - 1);
    let page = look(&server, &path).await;
    assert_eq!(page.status, StatusCode::OK);
    server.clock.advance_ms(1);
    let late = look(&server, &path).await;
    assert!(late.status == StatusCode::GONE && late.text.contains("This link has expired"), "{}", late.text);
    let form = format!("consent_id={}&csrf={}", consent["id"].as_str().unwrap(), csrf(&page));
    assert_eq!(submit(&server, &format!("{path}/revoke"), &form).await.status, StatusCode::GONE);
    assert_eq!(status_of(&server, &consent).await, "approved");
}

#[tokio::test]
async fn nobody_is_sent_where_the_agent_no_longer_sends_people() {
    let server = Server::start().await;
    let consent = ask(&server, "user_1", json!({})).await;
    let agent = format!("/v1/consent-agents/{}", consent["agent_id"].as_str().unwrap());
    let change = json!({ "redirect_origins": ["https://elsewhere.example"] }).to_string();
    assert_eq!(server.send_as(&server.api_key, Method::PATCH, &agent, Some(change)).await.status, StatusCode::OK);
    let reply = answer(&server, &consent, "approve").await;
    assert_eq!((reply.status, reply.headers.get("location")), (StatusCode::OK, None));
    assert!(reply.text.contains("You approved this request"), "{}", reply.text);
    assert_eq!(status_of(&server, &consent).await, "approved");
}
