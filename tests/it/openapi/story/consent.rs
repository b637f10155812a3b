//! The part of the story in which a person is asked.

use axum::http::Method;
use serde_json::json;

use super::{Story, text};
use crate::harness::Server;

const UNKNOWN_CONSENT: &str = "/v1/consent/cr_01ARZ3NDEKTSV4RRFFQ69G5FAV";
const UNKNOWN_AGENT: &str = "/v1/consent-agents/ag_01ARZ3NDEKTSV4RRFFQ69G5FAV";

pub(super) async fn play(story: &mut Story<'_>) {
    let scopes = json!([
        { "key": "send_email", "label": "Send emails", "description": "On your behalf", "risk": "medium" },
        { "key": "write_files", "label": "Modify files", "risk_level": "HIGH", "reversible": false },
    ]);
    let ask = json!({ "end_user_ref": "user_1", "scopes": scopes, "redirect_url": "https://app.example.com/done", "end_user_email": "ann@example.com", "metadata": { "order": 7 } });
    let asked = story.post("request_consent: a person", "/v1/consent/request", ask).await;
    let path = format!("/v1/consent/{}", text(&asked["data"], "id"));
    let wrong = json!({ "end_user_ref": "user_1", "scopes": [{ "key": "a" }, { "key": "a" }], "redirect_url": "http://elsewhere.example" });
    story.post("request_consent: fields at fault", "/v1/consent/request", wrong).await;
    agents(story, text(&asked["data"], "agent_id")).await;
    story.post("mint_token: nobody has answered", &format!("{path}/token"), json!({})).await;
    approve(story.server, text(&asked["data"], "id")).await;
    story.read("get_consent: approved", &path).await;
    story.read("get_consent: unknown", UNKNOWN_CONSENT).await;
    let minted = story.post("mint_token: one more", &format!("{path}/token"), json!({})).await;
    story.post("mint_token: unknown", &format!("{UNKNOWN_CONSENT}/token"), json!({})).await;
    let token = json!({ "token": text(&minted["data"], "token") });
    story.post("verify_token: valid", "/v1/consent/verify", token.clone()).await;
    story.read("get_manage_url: for an hour", "/v1/consent/manage-url?end_user_ref=user_1").await;
    story.read("list_consents: a page", "/v1/consent?limit=1").await;
    let taken = story.server.send_accepting("application/json", Method::DELETE, &path).await;
    story.keep("withdraw_consent: taken back", None, &taken);
    story.tell("withdraw_consent: unknown", Method::DELETE, UNKNOWN_CONSENT, None).await;
    let short =
        json!({ "end_user_ref": "user_2", "scopes": [{ "key": "a" }], "redirect_url": "https://app.example.com/done", "expires_in": 60 });
    let short = story.server.post("/v1/consent/request", short).await.json();
    story.server.clock.advance_ms(60_000);
    story.tell("withdraw_consent: too late", Method::DELETE, &format!("/v1/consent/{}", text(&short["data"], "id")), None).await;
    story.post("verify_token: revoked", "/v1/consent/verify", token).await;
    story.read("list_audit: what happened", &format!("/v1/audit?consent_id={}&limit=3", text(&asked["data"], "id"))).await;
    errors(story).await;
    super::failures(story, "permitly_errors", "/v1/consent", ("/v1/consent-agents", json!({ "name": "Mailer" }))).await;
}

async fn agents(story: &mut Story<'_>, first: &str) {
    let path = "/v1/consent-agents";
    let made = json!({ "name": "Mailer", "token_lifetime": 600, "webhook_url": "https://app.example.com/hook", "redirect_origins": ["https://app.example.com"] });
    let made = story.post("create_consent_agent: made", path, made).await;
    let agent = format!("{path}/{}", text(&made["data"], "id"));
    story.post("create_consent_agent: no name", path, json!({ "webhook_url": "http://10.0.0.1/" })).await;
    story.read("list_consent_agents: a page", path).await;
    story.read("get_consent_agent: one", &agent).await;
    story.read("get_consent_agent: unknown", UNKNOWN_AGENT).await;
    story.tell("change_consent_agent: no webhooks", Method::PATCH, &agent, Some(json!({ "webhook_url": null }))).await;
    story.tell("change_consent_agent: unknown", Method::PATCH, UNKNOWN_AGENT, Some(json!({}))).await;
    story.post("rotate_webhook_secret: another", &format!("{agent}/rotate-webhook-secret"), json!({})).await;
    story.post("rotate_webhook_secret: unknown", &format!("{UNKNOWN_AGENT}/rotate-webhook-secret"), json!({})).await;
    story.read("agent_jwks: its key", &format!("{agent}/jwks.json")).await;
    story.read("agent_jwks: unknown", &format!("{UNKNOWN_AGENT}/jwks.json")).await;
    story.post("test_webhook: no URL", &format!("{path}/{first}/webhook-test"), json!({})).await;
    story.post("test_webhook: unknown", &format!("{UNKNOWN_AGENT}/webhook-test"), json!({})).await;
    // Names of this kind lead nowhere, on every machine.
    story
        .server
        .send_as(&story.server.api_key, Method::PATCH, &agent, Some(json!({ "webhook_url": "https://nobody.invalid/" }).to_string()))
        .await;
    let mut tried = story.server.post(&format!("{agent}/webhook-test"), json!({})).await;
    let mut told = tried.json();
    // The system says so in its own words.
    told["data"]["error"] = json!("the name leads nowhere");
    tried.text = told.to_string();
    story.keep("test_webhook: nobody is there", Some(json!({})), &tried);
}

/// What a person does in a browser.
async fn approve(server: &Server, id: &str) {
    let page = server.page(&format!("/c/{id}")).await;
    let sent = server.send_form(&format!("/c/{id}"), &[("decision", "approve"), ("csrf", &page.csrf())]).await;
    assert_eq!(sent.status, 303, "{}", sent.text);
}

/// Errors that mean the same wherever this API is spoken.
async fn errors(story: &mut Story<'_>) {
    let server = story.server;
    let reply = server.send_as("sk_live_unknown", Method::GET, "/v1/consent", None).await;
    story.keep("permitly_errors: no such key", None, &reply);
    let path = format!("workspaces/{}/api-keys", server.workspace_id);
    let reader = server.admin(Method::POST, &path, Some(json!({ "name": "board", "role": "read" }))).await.json();
    let reply = server.send_as(text(&reader, "api_key"), Method::POST, "/v1/consent/request", Some("{}".to_owned())).await;
    story.keep("permitly_errors: may only read", None, &reply);
    let reply = server.get("/v1/consent/x/y").await;
    story.keep("permitly_errors: no such route", None, &reply);
    let reply = server.delete("/v1/audit", None).await;
    story.keep("permitly_errors: wrong method", None, &reply);
    let reply = server.send_as(&server.api_key, Method::POST, "/v1/consent/verify", Some(format!("\"{}\"", "x".repeat(65_536)))).await;
    story.keep("permitly_errors: too large", None, &reply);
    let reply = server.send_as(&server.api_key, Method::POST, "/v1/consent/request", Some("{".to_owned())).await;
    story.keep("permitly_errors: no JSON", None, &reply);
    let reply = server.get(&format!("/v1/consent?end_user_ref={}", "x".repeat(8_192))).await;
    story.keep("permitly_errors: path and query too long", None, &reply);
}
