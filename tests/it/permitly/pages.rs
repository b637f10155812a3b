//! `/c/{id}` and `/manage/{token}`

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;

use super::{answer, approved, ask, consent, id, submit, withdraw};
use crate::harness::{Reply, Server, send};

fn header<'r>(reply: &'r Reply, name: &str) -> &'r str {
    reply.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

async fn manage(server: &Server, user: &str) -> String {
    let reply = server.get(&format!("/v1/consent/manage-url?end_user_ref={user}")).await;
    reply.json()["data"]["url"].as_str().unwrap().strip_prefix("https://allow.example").unwrap().to_owned()
}

#[tokio::test]
async fn the_person_answers_once_and_goes_back() {
    let server = Server::start().await;
    for (decision, status) in [("approve", "approved"), ("decline", "declined")] {
        let asked = ask(&server, json!({ "redirect_url": "https://app.example/done?flow=7#top" })).await;
        let csrf = server.page(&format!("/c/{}", id(&asked))).await.csrf();
        let sent = submit(&server, &id(&asked), decision, &csrf).await;
        assert_eq!(sent.status, StatusCode::SEE_OTHER);
        assert_eq!(header(&sent, "location"), format!("https://app.example/done?flow=7&consent_id={}&status={status}#top", id(&asked)));
        // The second time changes nothing and says so.
        let records = server.records();
        for other in ["approve", "decline"] {
            assert_eq!(submit(&server, &id(&asked), other, &csrf).await.status, StatusCode::CONFLICT);
        }
        assert_eq!(server.records(), records);
        let page = server.page(&format!("/c/{}", id(&asked))).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(!page.text.contains("<button"), "{}", page.text);
    }
}

#[tokio::test]
async fn a_form_counts_only_from_its_own_page() {
    let server = Server::start().await;
    let (asked, other) = (ask(&server, json!({})).await, ask(&server, json!({})).await);
    let path = format!("/c/{}", id(&asked));
    let csrf = server.page(&path).await.csrf();
    let foreign = server.page(&format!("/c/{}", id(&other))).await.csrf();
    let records = server.records();
    for (fields, status) in [
        (vec![], StatusCode::FORBIDDEN),
        (vec![("decision", "approve")], StatusCode::FORBIDDEN),
        (vec![("decision", "approve"), ("csrf", "")], StatusCode::FORBIDDEN),
        (vec![("decision", "approve"), ("csrf", foreign.as_str())], StatusCode::FORBIDDEN),
        (vec![("csrf", csrf.as_str())], StatusCode::UNPROCESSABLE_ENTITY),
        (vec![("decision", "maybe"), ("csrf", csrf.as_str())], StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        assert_eq!(server.send_form(&path, &fields).await.status, status, "{fields:?}");
    }
    let huge = Request::post(&path).body(Body::from("x".repeat(100_000))).unwrap();
    assert_eq!(send(&server.router, huge).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    for path in ["/c/cr_nobody", "/c/cr_01ARZ3NDEKTSV4RRFFQ69G5FAV", "/c/%ff"] {
        assert_eq!(server.page(path).await.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(server.send_form(path, &[("decision", "approve"), ("csrf", &csrf)]).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(server.records(), records);
    assert_eq!(consent(&server, &id(&asked)).await["status"], "pending");
}

#[tokio::test]
async fn pages_are_kept_by_nobody_and_framed_by_nobody() {
    let server = Server::start().await;
    let asked = ask(&server, json!({})).await;
    let own = manage(&server, "user_1").await;
    for path in [format!("/c/{}", id(&asked)), own, "/c/cr_nobody".to_owned(), "/manage/x".to_owned()] {
        let page = server.page(&path).await;
        for (name, value) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(header(&page, name), value, "{path}");
        }
        let policy = header(&page, "content-security-policy");
        assert!(
            policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert!(!page.text.contains("<script") && !page.text.contains(" on") || !page.text.contains("onclick"), "{path}");
    }
}

#[tokio::test]
async fn what_callers_write_is_shown_and_never_run() {
    let server = Server::start().await;
    let evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let agent = server.post("/v1/consent-agents", json!({ "name": evil })).await.json()["data"]["id"].clone();
    let scopes = json!([{ "key": evil, "label": evil, "description": evil }]);
    let asked = ask(&server, json!({ "agent_id": agent, "scopes": scopes, "end_user_email": evil, "end_user_ref": "user_x" })).await;
    let page = server.page(&format!("/c/{}", id(&asked))).await;
    assert!(page.text.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count() >= 4, "{}", page.text);
    assert!(!page.text.contains("<script") && !page.text.contains("<img"), "{}", page.text);
    answer(&server, &id(&asked), "approve").await;
    let own = server.page(&manage(&server, "user_x").await).await;
    assert!(own.text.contains("&lt;script&gt;") && !own.text.contains("<script") && !own.text.contains("<img"), "{}", own.text);
}

#[tokio::test]
async fn people_take_back_their_own_and_nothing_else() {
    let server = Server::start().await;
    let given = approved(&server, json!({})).await;
    let others = approved(&server, json!({ "end_user_ref": "user_2" })).await;
    let declined = ask(&server, json!({})).await;
    answer(&server, &id(&declined), "decline").await;
    let own = manage(&server, "user_1").await;
    let page = server.page(&own).await;
    assert!(page.text.contains(&id(&given)) && page.text.contains(&id(&declined)) && !page.text.contains(&id(&others)));
    let csrf = page.csrf();
    let revoke = async |id: &str, csrf: &str| server.send_form(&format!("{own}/revoke"), &[("consent_id", id), ("csrf", csrf)]).await;
    let records = server.records();
    assert_eq!(revoke(&id(&given), "wrong").await.status, StatusCode::FORBIDDEN);
    assert_eq!(revoke(&id(&others), &csrf).await.status, StatusCode::NOT_FOUND, "another person's");
    assert_eq!(revoke("cr_x", &csrf).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(revoke(&id(&declined), &csrf).await.status, StatusCode::SEE_OTHER, "which is shown as it is");
    assert_eq!(server.records(), records);
    let sent = revoke(&id(&given), &csrf).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER);
    assert!(header(&sent, "location").starts_with(&format!("{own}?revoked={}", id(&given))));
    assert_eq!(server.records(), records + 1);
    assert_eq!(revoke(&id(&given), &csrf).await.status, StatusCode::SEE_OTHER, "again, quietly");
    assert_eq!(server.records(), records + 1);
    let taken = consent(&server, &id(&given)).await;
    assert_eq!((&taken["status"], &taken["revoked_by"]), (&json!("revoked"), &json!("end_user")));
    let rows = server.get("/v1/audit?event_type=revoked").await.json();
    assert_eq!((&rows["data"][0]["actor"], &rows["data"][0]["user_agent"]), (&json!("end_user"), &json!("Browser/1.0")));
    server.clock.advance_ms(60 * 60 * 1000);
    assert_eq!(revoke(&id(&given), &csrf).await.status, StatusCode::GONE);
    withdraw(&server, &id(&others)).await;
}

#[tokio::test]
async fn many_consents_are_shown_in_pages() {
    let server = Server::start().await;
    for _ in 0..120 {
        ask(&server, json!({ "scopes": [{ "key": "a" }] })).await;
    }
    let (own, mut seen) = (manage(&server, "user_1").await, 0);
    let mut path = own.clone();
    for shown in [50, 50, 20] {
        let page = server.page(&path).await;
        assert_eq!(page.text.matches("<li id=\"cr_").count(), shown);
        seen += shown;
        let next = page.text.split_once("?cursor=").map(|(_, rest)| rest.split('"').next().unwrap().to_owned());
        assert_eq!(next.is_some(), seen < 120);
        path = format!("{own}?cursor={}", next.unwrap_or_default());
    }
    // What a query says that is none of this page's is passed over.
    for query in ["cursor=nonsense", "cursor=%ff&cursor", "revoked=%3Cb%3E"] {
        assert_eq!(server.page(&format!("{own}?{query}")).await.status, StatusCode::OK, "{query}");
    }
}

/// A page that another site fetched, with the tag in its form, is sent by a browser that has never seen it.
#[tokio::test]
async fn a_form_from_another_site_does_not_count() {
    let server = Server::start().await;
    let asked = ask(&server, json!({})).await;
    let path = format!("/c/{}", id(&asked));
    let csrf = server.page(&path).await.csrf();
    let own = manage(&server, "user_1").await;
    let send_from = async |path: &str, headers: &[(&str, &str)]| {
        let mut request = Request::post(path).header("host", "allow.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let form = format!("decision=approve&csrf={csrf}&consent_id={}", id(&asked));
        send(&server.router, request.body(Body::from(form)).unwrap()).await.status
    };
    let records = server.records();
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site"), ("origin", "https://allow.example")],
        &[("sec-fetch-site", "x")],
        &[("origin", "https://evil.example")],
        &[("origin", "https://allow.example.evil.example")],
        &[("origin", "https://allow")],
    ] {
        for path in [path.as_str(), &format!("{own}/revoke")] {
            assert_eq!(send_from(path, headers).await, StatusCode::FORBIDDEN, "{headers:?}");
        }
    }
    assert_eq!(server.records(), records);
    for headers in [&[("origin", "null")][..], &[("origin", "https://allow.example")], &[("origin", "http://allow.example")]] {
        assert_ne!(
            send_from(&format!("{own}/revoke"), headers).await,
            StatusCode::UNPROCESSABLE_ENTITY,
            "the form is looked at: {headers:?}"
        );
    }
    assert_eq!(send_from(&path, &[("sec-fetch-site", "same-origin"), ("origin", "null")]).await, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_proxy_is_believed_what_is_an_address() {
    let server = Server::start_with(|parts| parts.is_behind_proxy = true).await;
    let asked = ask(&server, json!({})).await;
    for (forwarded, address) in [
        ("203.0.113.7", json!("203.0.113.7")),
        ("10.0.0.1, 2001:db8::1", json!("2001:db8::1")),
        ("198.51.100.2:5678", json!("198.51.100.2")),
        ("[2001:db8::2]:443", json!("2001:db8::2")),
        ("::ffff:192.0.2.9", json!("192.0.2.9")),
        ("unknown", json!(null)),
        ("203.0.113.7, <script>", json!(null)),
    ] {
        let request = Request::get(format!("/c/{}", id(&asked))).header("x-forwarded-for", forwarded);
        send(&server.router, request.body(Body::empty()).unwrap()).await;
        let rows = server.get("/v1/audit?event_type=viewed&limit=1").await.json();
        assert_eq!(rows["data"][0]["ip_address"], address, "{forwarded}");
    }
    // Without a proxy nobody is believed.
    let server = Server::start().await;
    let asked = ask(&server, json!({})).await;
    let request = Request::get(format!("/c/{}", id(&asked))).header("x-forwarded-for", "203.0.113.7");
    send(&server.router, request.body(Body::empty()).unwrap()).await;
    assert_eq!(server.get("/v1/audit?event_type=viewed").await.json()["data"][0]["ip_address"], json!(null));
}
