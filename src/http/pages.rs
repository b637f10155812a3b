//! Pages for people: consent, and what somebody has consented to. Rendered here, without scripts; they know no face.

use allowlog_proto::event::{ConsentScope, Risk};
use allowlog_proto::redirect::RedirectUrl;
use allowlog_proto::time::Timestamp;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use self::words::Sentence;
use super::openapi::Entry;
use super::routes::{Routes, get};

pub mod consent;
pub mod fault;
pub mod manage;
mod parts;
mod words;

pub use fault::Fault;

const STYLE: &str = include_str!("pages/style.css");
/// Pages and stylesheet of two releases do not fit together.
const CACHED: HeaderValue = HeaderValue::from_static("no-cache");

/// The stylesheet, which every page shares.
pub fn routes() -> Routes {
    Routes::default().route("/pages/style.css", [get(style, style_entry())])
}

async fn style() -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8")),
        (header::CACHE_CONTROL, CACHED),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, STYLE).into_response()
}

fn style_entry() -> Entry {
    Entry::open("Pages", "pages_style", "The stylesheet of the pages for people")
        .answers_with("text/css", "The stylesheet.", ObjectBuilder::new().schema_type(Type::String))
        .header("Cache-Control", "`no-cache`")
}

/// A scope as a person is shown it.
#[derive(Debug, Clone)]
pub struct ScopeView<'a> {
    /// What it is called.
    pub label: &'a str,
    /// What it is for, if anybody said so.
    pub description: Option<&'a str>,
    /// How much harm it can do, if anybody said so.
    pub risk: Option<Risk>,
    /// Whether what is done with it can be undone.
    pub reversible: bool,
}

impl<'a> From<&'a ConsentScope> for ScopeView<'a> {
    fn from(scope: &'a ConsentScope) -> Self {
        let ConsentScope { key, label, description, risk, reversible } = scope;
        let says = |text: &&str| text.chars().any(is_seen);
        Self {
            label: Some(label.as_str()).filter(says).unwrap_or(key.as_str()),
            description: description.as_ref().map(|text| text.as_str()).filter(says),
            risk: *risk,
            reversible: *reversible,
        }
    }
}

/// Whether a character leaves a mark on the page by itself.
fn is_seen(c: char) -> bool {
    let leaves_none = matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}');
    !c.is_whitespace() && !c.is_control() && !leaves_none
}

/// A page that is ready to be sent: everything about the answer but the headers that all pages have.
#[derive(Debug)]
pub struct Page {
    status: StatusCode,
    title: String,
    main: Markup,
    forms: Forms,
}

/// Where the forms of a page may lead.
#[derive(Debug)]
enum Forms {
    /// There is none.
    None,
    /// Back to this server.
    Here,
    /// To this server, and from there to these sources.
    HereAndOnward(&'static str),
}

impl Page {
    /// A page without forms.
    fn new(status: StatusCode, title: String, main: Markup) -> Self {
        Self { status, title, main, forms: Forms::None }
    }

    fn with_forms(self, forms: Forms) -> Self {
        Self { forms, ..self }
    }

    /// The whole document.
    fn html(&self) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="robots" content="noindex";
                    title { (self.title) }
                    link rel="stylesheet" href="/pages/style.css";
                }
                body { main { (self.main) } }
            }
        }
    }

    /// What the page may do: show itself, load the stylesheet, and send its forms where they belong.
    fn policy(&self) -> String {
        let forms = match &self.forms {
            Forms::None => "'none'".into(),
            Forms::Here => "'self'".into(),
            Forms::HereAndOnward(sources) => format!("'self' {sources}"),
        };
        format!("default-src 'none'; style-src 'self'; form-action {forms}; base-uri 'none'; frame-ancestors 'none'")
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        ];
        // An origin has no character that a header may not have; a page without its policy is not sent.
        let Ok(policy) = HeaderValue::try_from(self.policy()) else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
        let retry = (self.status == StatusCode::SERVICE_UNAVAILABLE).then_some([(header::RETRY_AFTER, HeaderValue::from_static("1"))]);
        let mut response = (self.status, headers, self.html().into_string()).into_response();
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        response.headers_mut().extend(retry.into_iter().flatten());
        response
    }
}

/// What a policy must name so that an answer can lead to this URL.
///
/// Browsers hold `form-action` against every redirect behind a form. Applications lead people on, from `acme.example` to
/// `www.acme.example`; if the policy named the first origin alone, browsers would stop there without a word, on a page whose
/// buttons seem to do nothing. So it names the scheme, and of this machine the host, where a policy can name it.
fn onward(url: &RedirectUrl) -> &'static str {
    let origin = url.origin();
    let is = |host: &str| origin.as_str().strip_prefix(host).is_some_and(|port| port.is_empty() || port.starts_with(':'));
    match origin.as_str() {
        https if https.starts_with("https:") => "https:",
        _ if is("http://localhost") => "https: http://localhost:*",
        _ if is("http://127.0.0.1") => "https: http://127.0.0.1:*",
        _ => "https: http:",
    }
}

/// What a page says first: its state, and a sentence or two about it.
fn opening(heading: &Sentence, sentences: &[Sentence]) -> Markup {
    html! {
        h1 { (heading) }
        @for sentence in sentences { p.lead { (sentence) } }
    }
}

/// An instant for people, and for machines beside it.
fn instant(time: Timestamp) -> Markup {
    html! { time datetime=(time) { (words::instant(time)) } }
}

#[cfg(test)]
mod tests;
