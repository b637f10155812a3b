//! What holds for every page, whatever it is made of.

use super::consent::{ConsentView, Standing};
use super::manage::{Happened, ManageView, ManagedConsent};
use super::{Fault, Page, STYLE, ScopeView, consent, manage, words};
use allowlog_projections::state::ConsentStatus as Status;
use allowlog_proto::event::{Risk, Withdrawer};
use allowlog_proto::redirect::RedirectUrl;
use allowlog_proto::time::Timestamp;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;

const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&lt;";

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn scope(label: &str) -> ScopeView<'_> {
    ScopeView { label, description: Some("Into your outbox."), risk: Some(Risk::Low), reversible: true }
}

fn view(standing: Standing<'_>) -> ConsentView<'_> {
    ConsentView {
        workspace: "Acme",
        agent: "Mail helper",
        person: "anna@example.org",
        scopes: vec![scope("Send email"), ScopeView { risk: Some(Risk::Critical), reversible: false, ..scope("Delete email") }],
        expires_at: at("2026-11-26T15:04:00Z"),
        standing,
    }
}

/// Waits for an answer that leads to this URL.
fn pending_to(csrf: &'static str, url: &str) -> Standing<'static> {
    Standing::Pending { csrf, redirect_url: Box::leak(Box::new(RedirectUrl::new(url).unwrap())) }
}

fn pending() -> Standing<'static> {
    pending_to("cs-rf", "https://app.example/back?a=1")
}

fn settled() -> [Standing<'static>; 5] {
    let time = at("2026-11-26T14:00:00Z");
    [
        Standing::Approved { at: time },
        Standing::Declined { at: time },
        Standing::Expired,
        Standing::Revoked { at: time, was_approved: true },
        Standing::Revoked { at: time, was_approved: false },
    ]
}

fn managed(id: &str, status: Status) -> ManagedConsent<'_> {
    let time = at("2026-11-26T14:00:00Z");
    let history = vec![
        (Happened::Approved, time),
        (Happened::Declined, time),
        (Happened::Expired, time),
        (Happened::Revoked(Withdrawer::EndUser), time),
        (Happened::Revoked(Withdrawer::Builder), time),
    ];
    ManagedConsent { id: id.into(), agent: "Mail helper", scopes: vec![scope("Send email")], status, asked_at: time, history }
}

fn managing<'a>(consents: Vec<ManagedConsent<'a>>) -> ManageView<'a> {
    let (token, csrf) = ("to-ken", "cs-rf");
    let (workspace, person) = ("Acme", "anna@example.org");
    ManageView { workspace, person, consents, token, csrf, is_first: true, cursor: None, just_revoked: None }
}

/// One of each page there is.
fn pages() -> Vec<Page> {
    let all = [Status::Pending, Status::Approved, Status::Declined, Status::Expired, Status::Revoked];
    let mut pages = vec![consent::page(&view(pending())), manage::page(&managing(Vec::new()))];
    pages.extend(settled().iter().flat_map(|standing| [consent::page(&view(*standing)), consent::already(&view(*standing))]));
    pages.extend(Fault::ALL.map(Fault::page));
    let every = managing(all.iter().map(|status| managed("cr_1", *status)).collect());
    pages.push(manage::page(&ManageView { is_first: false, cursor: Some("cur-sor"), just_revoked: Some("cr_1"), ..every }));
    pages
}

fn html(page: &Page) -> String {
    page.html().into_string()
}

/// The tags of this name, each as it is written.
fn tags<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let begins = |part: &&str| part.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '>']));
    html.split('<').filter(begins).filter_map(|part| part.split('>').next()).collect()
}

#[test]
fn every_page_is_a_document_that_runs_nothing_and_loads_the_stylesheet_alone() {
    for page in pages() {
        let html = html(&page);
        assert!(html.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{html}");
        for (tag, count) in [("h1", 1), ("title", 1), ("main", 1), ("link", 1), ("script", 0), ("style", 0), ("img", 0), ("iframe", 0)] {
            assert_eq!(tags(&html, tag).len(), count, "{tag} in {html}");
        }
        assert!(html.contains("<link rel=\"stylesheet\" href=\"/pages/style.css\">"), "{html}");
        assert!(html.contains("name=\"viewport\""), "{html}");
        for word in [" style=", " onclick=", "javascript:", "http:", "https:", "<title></title>"] {
            assert!(!html.contains(word), "{word} in {html}");
        }
    }
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
}

#[test]
fn every_control_has_a_name_and_every_reference_its_target() {
    for page in pages() {
        let html = html(&page);
        for input in tags(&html, "input") {
            assert!(input.contains("type=\"hidden\""), "{input} needs a label");
        }
        for (tag, ends) in [("button", "</button>"), ("a", "</a>"), ("summary", "</summary>")] {
            for part in html.split(&format!("<{tag}")).skip(1).filter(|part| part.starts_with([' ', '>'])) {
                let text = part.split_once('>').and_then(|(_, rest)| rest.split('<').next()).unwrap();
                assert!(!text.trim().is_empty() && part.contains(ends), "{tag} in {html}");
            }
        }
        let references = html.split("aria-labelledby=\"").skip(1).chain(html.split("aria-describedby=\"").skip(1));
        for id in references.filter_map(|part| part.split('"').next()) {
            assert_eq!(html.matches(&format!(" id=\"{id}\"")).count(), 1, "{id}");
        }
    }
}

#[test]
fn every_page_has_the_headers_that_keep_it_to_itself() {
    for page in pages() {
        let has_form = html(&page).contains("<form");
        let status = page.status;
        let response = page.into_response();
        let header = |name: header::HeaderName| response.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(response.status(), status);
        assert_eq!(header(header::CONTENT_TYPE), Some("text/html; charset=utf-8"));
        assert_eq!(header(header::CACHE_CONTROL), Some("no-store"));
        assert_eq!(header(header::REFERRER_POLICY), Some("no-referrer"));
        assert_eq!(header(header::X_CONTENT_TYPE_OPTIONS), Some("nosniff"));
        assert_eq!(header(header::X_FRAME_OPTIONS), Some("DENY"));
        let policy = header(header::CONTENT_SECURITY_POLICY).unwrap();
        let (before, rest) = policy.split_once("form-action ").unwrap();
        let (forms, after) = rest.split_once(';').unwrap();
        assert_eq!((before, after), ("default-src 'none'; style-src 'self'; ", " base-uri 'none'; frame-ancestors 'none'"));
        assert_eq!(forms != "'none'", has_form, "{policy}");
        assert_eq!(header(header::RETRY_AFTER).is_some(), status == StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[test]
fn the_answer_may_lead_on_to_the_application() {
    for (redirect_url, sources) in [
        ("https://app.example/back?a=http://evil.example", "https:"),
        ("https://app.example:8443", "https:"),
        ("https://[2001:db8::1]/;script-src", "https:"),
        ("https://b\u{fc}cher.example/", "https:"),
        ("http://localhost:4000/done", "https: http://localhost:*"),
        ("http://LOCALHOST", "https: http://localhost:*"),
        ("http://127.0.0.1?x", "https: http://127.0.0.1:*"),
        // Policies know no other addresses.
        ("http://127.0.0.2:4000/", "https: http:"),
        ("http://[::1]:4000/", "https: http:"),
    ] {
        let page = consent::page(&view(pending_to("c", redirect_url)));
        assert!(page.policy().contains(&format!("form-action 'self' {sources}; base-uri")), "{redirect_url}: {}", page.policy());
        assert!(!html(&page).contains("evil"));
    }
}

#[test]
fn statuses_say_what_can_be_done() {
    let of = |pages: [Page; 5]| pages.map(|page| page.status.as_u16());
    assert_eq!(consent::page(&view(pending())).status, StatusCode::OK);
    assert_eq!(of(settled().map(|standing| consent::page(&view(standing)))), [200, 200, 410, 410, 410]);
    assert_eq!(of(settled().map(|standing| consent::already(&view(standing)))), [409, 409, 410, 410, 410]);
    assert_eq!(Fault::ALL.map(|fault| fault.page().status.as_u16()), [404, 404, 410, 403, 422, 503]);
    assert_eq!(manage::page(&managing(Vec::new())).status, StatusCode::OK);
}

#[test]
fn what_others_wrote_is_shown_and_never_run() {
    let scopes = || vec![ScopeView { description: Some(HOSTILE), ..scope(HOSTILE) }];
    let told =
        |standing| consent::page(&ConsentView { workspace: HOSTILE, agent: HOSTILE, person: HOSTILE, scopes: scopes(), ..view(standing) });
    let mut pages: Vec<_> = settled().into_iter().map(told).collect();
    pages.push(told(pending_to(HOSTILE, "https://app.example/?<script>alert(1)</script>")));
    let consent = ManagedConsent { agent: HOSTILE, scopes: scopes(), ..managed(HOSTILE, Status::Approved) };
    let mut many = managing(vec![consent, ManagedConsent { agent: HOSTILE, ..managed("cr_2", Status::Revoked) }]);
    (many.workspace, many.person, many.token, many.csrf) = (HOSTILE, HOSTILE, HOSTILE, HOSTILE);
    (many.cursor, many.just_revoked) = (Some(HOSTILE), Some("cr_2"));
    pages.push(manage::page(&many));
    pages.push(manage::page(&ManageView { consents: Vec::new(), ..many }));
    let escaped = "&lt;script&gt;alert(1)&lt;/script&gt;&quot;'&gt;&lt;img src=x onerror=alert(1)&gt;&amp;lt;";
    for page in pages {
        let html = html(&page);
        assert!(html.contains(escaped), "{html}");
        for tag in ["script", "img"] {
            assert!(tags(&html, tag).is_empty(), "{html}");
        }
        assert_eq!(html.replace(escaped, "").matches("alert").count(), 0, "every one is escaped: {html}");
    }
}

#[test]
fn somebody_who_is_asked_is_told_everything_and_has_two_equal_buttons() {
    let html = html(&consent::page(&view(pending())));
    for text in [
        "Acme",
        "Mail helper",
        "anna@example.org",
        "Send email",
        "Delete email",
        "Into your outbox.",
        "Low risk",
        "Critical risk",
        "26 November 2026, 15:04 UTC",
        "datetime=\"2026-11-26T15:04:00.000Z\"",
        words::IF_UNANSWERED,
        "take a permission back",
    ] {
        assert!(html.contains(text), "{text} in {html}");
    }
    assert_eq!(html.matches(words::IRREVERSIBLE).count(), 1, "of the one that cannot be undone");
    let buttons = tags(&html, "button");
    let [approve, decline] = buttons.as_slice() else { panic!("{buttons:?}") };
    assert_eq!(approve.replace("\"approve\"", "\"decline\""), *decline);
    assert_eq!(tags(&html, "form"), ["form method=\"post\" aria-labelledby=\"answer\""], "to where it came from");
    assert!(html.contains("<input type=\"hidden\" name=\"csrf\" value=\"cs-rf\">"));
    let answers = STYLE.lines().filter(|line| line.starts_with(".answer ") || line.contains("value="));
    assert_eq!(answers.count(), 1, "one rule for both");
}

#[test]
fn a_risk_nobody_stated_has_no_badge() {
    let scopes = vec![ScopeView { risk: None, description: None, ..scope("Read") }];
    let html = html(&consent::page(&ConsentView { scopes, ..view(pending()) }));
    assert!(!html.contains("badge") && !html.contains("warning"), "{html}");
}

#[test]
fn somebody_who_has_answered_is_told_so_and_has_no_buttons() {
    let headings = [words::APPROVED, words::DECLINED, words::EXPIRED, words::REVOKED, words::WITHDRAWN];
    for (standing, heading) in settled().into_iter().zip(headings) {
        for page in [consent::page(&view(standing)), consent::already(&view(standing))] {
            let html = html(&page);
            assert!(html.contains(&format!("<title>{heading}</title>")) && html.contains(&format!("<h1>{heading}</h1>")), "{html}");
            for tag in ["form", "button", "input", "a"] {
                assert!(tags(&html, tag).is_empty(), "{tag} in {html}");
            }
            assert_eq!(html.contains("That answer changed nothing."), page.status == StatusCode::CONFLICT, "{html}");
        }
    }
}

#[test]
fn what_was_approved_has_a_revoke_button_that_says_what_it_revokes() {
    let asked = |id, minute: &str, status| ManagedConsent { asked_at: at(&format!("2026-11-26T14:{minute}:00Z")), ..managed(id, status) };
    let consents = vec![
        asked("cr_1", "05", Status::Approved),
        asked("cr_2", "04", Status::Approved),
        asked("cr_3", "03", Status::Pending),
        asked("cr_4", "02", Status::Declined),
        asked("cr_5", "01", Status::Expired),
        asked("cr_6", "00", Status::Revoked),
    ];
    let html = html(&manage::page(&managing(consents)));
    assert_eq!(tags(&html, "form"), vec!["form method=\"post\" action=\"/manage/to-ken/revoke\""; 2]);
    let names: Vec<_> = html.split("<button type=\"submit\">").skip(1).filter_map(|part| part.split("</button>").next()).collect();
    let name = |minute| {
        format!(
            "Revoke permission<span class=\"heard\"> of \u{2068}Mail helper\u{2069}, asked for on 26 November 2026, 14:{minute} UTC</span>"
        )
    };
    assert_eq!(names, [name("05"), name("04")]);
    let ids: Vec<_> = html.split("name=\"consent_id\" value=\"").skip(1).filter_map(|part| part.split('"').next()).collect();
    assert_eq!(ids, ["cr_1", "cr_2"]);
    assert!(tags(&html, "nav").is_empty() && !html.contains("role=\"status\""));
    for text in ["Asked for by", "Approved", "Declined", "Expired without an answer", "Revoked on this page", "Revoked by"] {
        assert!(html.contains(text), "{text} in {html}");
    }
}

#[test]
fn a_long_list_goes_on_and_a_long_consent_is_folded() {
    let scopes = |count| vec![scope("Send email"); count];
    let with = |count| managing(vec![ManagedConsent { scopes: scopes(count), ..managed("cr_1", Status::Pending) }]);
    assert!(tags(&html(&manage::page(&with(6))), "details").is_empty());
    let folded = html(&manage::page(&with(7)));
    assert!(folded.contains("<summary>Show all 7</summary>") && folded.matches("Send email").count() == 7, "{folded}");
    let next = html(&manage::page(&ManageView { cursor: Some("a1"), ..with(1) }));
    assert_eq!(tags(&next, "a"), ["a rel=\"next\" href=\"/manage/to-ken?cursor=a1\""]);
    let last = html(&manage::page(&ManageView { is_first: false, ..with(1) }));
    assert_eq!(tags(&last, "a"), ["a href=\"/manage/to-ken\""]);
}

#[test]
fn a_revoke_is_confirmed_only_where_it_is_true() {
    let told = |status, id| html(&manage::page(&ManageView { just_revoked: Some(id), ..managing(vec![managed("cr_1", status)]) }));
    assert!(told(Status::Revoked, "cr_1").contains("role=\"status\""));
    assert!(!told(Status::Approved, "cr_1").contains("role=\"status\""));
    assert!(!told(Status::Revoked, "cr_2").contains("role=\"status\""));
}

#[test]
fn instants_are_written_for_people() {
    for (time, text) in [
        ("1970-01-01T00:00:00Z", "1 January 1970, 00:00 UTC"),
        ("2028-02-29T23:59:59.999Z", "29 February 2028, 23:59 UTC"),
        ("9999-12-31T23:59:59.999Z", "31 December 9999, 23:59 UTC"),
    ] {
        assert_eq!(words::instant(at(time)), text);
    }
}

#[test]
fn every_text_is_in_the_file_of_words() {
    let files = [
        include_str!("../pages.rs"),
        include_str!("consent.rs"),
        include_str!("manage.rs"),
        include_str!("fault.rs"),
        include_str!("parts.rs"),
    ];
    for file in files {
        // What is said of the stylesheet is for the document of the API.
        let code =
            file.lines().filter(|line| !line.trim_start().starts_with("//") && !line.contains("answers_with") && !line.contains("Entry::"));
        for line in code {
            let literals = line.split('"').skip(1).step_by(2);
            let said: Vec<_> = literals.filter(|l| l.starts_with(|c: char| c.is_uppercase()) && l.len() > 1).collect();
            assert!(said.is_empty() || line.contains("Cache-Control") || said == ["DENY"], "{line}");
        }
    }
}

/// Relative luminance as WCAG 2 defines it.
fn luminance(colour: &str) -> f64 {
    let channel = |range| {
        let value = f64::from(u8::from_str_radix(&colour[range], 16).unwrap()) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(1..3) + 0.7152 * channel(3..5) + 0.0722 * channel(5..7)
}

#[test]
fn contrast_suffices_in_light_and_in_dark() {
    let (light, dark) = STYLE.split_once("prefers-color-scheme: dark").unwrap();
    for (scheme, rules) in [("light", light), ("dark", dark)] {
        let colour = |name: &str| {
            let rest = rules.split(&format!("--{name}: ")).nth(1).unwrap();
            rest.split(';').next().unwrap().to_owned()
        };
        for (front, back, least) in [
            ("text", "panel", 7.0),
            ("text", "ground", 7.0),
            ("quiet", "panel", 4.5),
            ("good", "panel", 4.5),
            ("doubt", "panel", 4.5),
            ("bad", "panel", 4.5),
            ("focus", "panel", 4.5),
            ("focus", "ground", 3.0),
            // What shows where a button is.
            ("edge", "panel", 3.0),
            ("edge", "ground", 3.0),
        ] {
            let (a, b) = (luminance(&colour(front)), luminance(&colour(back)));
            let ratio = (a.max(b) + 0.05) / (a.min(b) + 0.05);
            assert!(ratio >= least, "{scheme}: {front} on {back} has {ratio:.2}");
        }
    }
    let outside = STYLE.lines().filter(|line| line.contains('#') && !line.trim_start().starts_with("--"));
    assert_eq!(outside.count(), 0, "a colour is named before it is used");
}
