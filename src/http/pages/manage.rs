//! `/manage/{token}`: what somebody was asked in one workspace, and what they can take back.

use allowlog_projections::state::{Consent, ConsentAnswer, ConsentStatus};
use allowlog_proto::event::Withdrawer;
use allowlog_proto::time::Timestamp;
use axum::http::StatusCode;
use maud::{Markup, html};

use super::{Forms, Page, ScopeView, instant, opening, parts, words};

/// Consents that one page shows.
pub const CONSENTS_SHOWN: usize = 50;

/// Somebody's consents in one workspace, or a page of them.
#[derive(Debug, Clone)]
pub struct ManageView<'a> {
    /// Whose agents they are: the workspace's name.
    pub workspace: &'a str,
    /// Whom they are about.
    pub person: &'a str,
    /// Newest first, at most [`CONSENTS_SHOWN`].
    pub consents: Vec<ManagedConsent<'a>>,
    /// The token in the page's own path.
    pub token: &'a str,
    /// Comes back in `csrf` of each form.
    pub csrf: &'a str,
    /// Whether these are the newest.
    pub is_first: bool,
    /// Goes on behind these, if there are more; as it stands in a query.
    pub cursor: Option<&'a str>,
    /// The consent that was revoked just now: the page says so if it shows it as revoked.
    pub just_revoked: Option<&'a str>,
}

/// One of somebody's consents.
#[derive(Debug, Clone)]
pub struct ManagedConsent<'a> {
    /// `cr_...`
    pub id: String,
    /// For which agent: its name.
    pub agent: &'a str,
    /// What was asked for; once approved, what was approved.
    pub scopes: Vec<ScopeView<'a>>,
    /// What became of it so far.
    pub status: ConsentStatus,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// What happened after that, oldest first.
    pub history: Vec<(Happened, Timestamp)>,
}

/// A line of a consent's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// The workspace asked.
    Asked,
    /// The person approved.
    Approved,
    /// The person declined.
    Declined,
    /// Nobody answered in time.
    Expired,
    /// It was revoked.
    Revoked(Withdrawer),
}

impl<'a> ManagedConsent<'a> {
    /// A consent as it stands now. The name is that of the agent.
    pub fn of(consent: &'a Consent, agent: &'a str, now: Timestamp) -> Self {
        let approved = |at| (Happened::Approved, at);
        let history = match consent.answer {
            ConsentAnswer::None if now >= consent.expires_at => vec![(Happened::Expired, consent.expires_at)],
            ConsentAnswer::None => Vec::new(),
            ConsentAnswer::Approved { at } => vec![approved(at)],
            ConsentAnswer::Declined { at } => vec![(Happened::Declined, at)],
            ConsentAnswer::Withdrawn { approved_at, at, by } => {
                approved_at.map(approved).into_iter().chain([(Happened::Revoked(by), at)]).collect()
            }
        };
        let scopes = consent.scopes.iter().map(ScopeView::from).collect();
        Self { id: consent.consent_id.to_string(), agent, scopes, status: consent.status(now), asked_at: consent.created_at, history }
    }
}

/// What `GET /manage/{token}` answers.
pub fn page(view: &ManageView) -> Page {
    let revoked =
        view.just_revoked.and_then(|id| view.consents.iter().find(|consent| consent.id == id && consent.status == ConsentStatus::Revoked));
    let main = html! {
        @if let Some(consent) = revoked { p.notice role="status" { (words::just_revoked(consent.agent)) } }
        @if view.consents.is_empty() {
            (opening(&words::manage(view.workspace), &[html! { (words::EMPTY) }, words::empty(view.workspace, view.person)]))
        } @else {
            (opening(&words::manage(view.workspace), &[words::manages(view.workspace, view.person)]))
            ul.consents role="list" aria-label=(words::YOUR_PERMISSIONS) {
                @for consent in &view.consents { li id=(consent.id) { (managed(view, consent)) } }
            }
        }
        @if !view.is_first || view.cursor.is_some() {
            nav aria-label=(words::PAGES) {
                @if !view.is_first { a href={ "/manage/" (view.token) } { (words::NEWEST) } }
                @if let Some(cursor) = view.cursor {
                    a rel="next" href={ "/manage/" (view.token) "?cursor=" (cursor) } { (words::OLDER) }
                }
            }
        }
    };
    let has_form = view.consents.iter().any(|consent| consent.status == ConsentStatus::Approved);
    let forms = if has_form { Forms::Here } else { Forms::None };
    Page::new(StatusCode::OK, words::title_manage(view.workspace), main).with_forms(forms)
}

fn managed(view: &ManageView, consent: &ManagedConsent) -> Markup {
    let asked = (Happened::Asked, consent.asked_at);
    html! {
        div.name {
            h2 dir="auto" { (consent.agent) }
            span class=(class(consent.status)) { (words::status(consent.status)) }
        }
        (parts::scopes_in_short(&consent.scopes))
        h3 { (words::HISTORY) }
        ol.history role="list" {
            @for (what, time) in std::iter::once(&asked).chain(&consent.history) {
                li { (instant(*time)) ": " (words::happened(*what, view.workspace)) }
            }
        }
        @if consent.status == ConsentStatus::Approved {
            form method="post" action={ "/manage/" (view.token) "/revoke" } {
                input type="hidden" name="csrf" value=(view.csrf);
                input type="hidden" name="consent_id" value=(consent.id);
                button type="submit" {
                    (words::REVOKE)
                    span.heard { (words::revoke_of(consent.agent, consent.asked_at)) }
                }
            }
        }
    }
}

const fn class(status: ConsentStatus) -> &'static str {
    match status {
        ConsentStatus::Pending => "status pending",
        ConsentStatus::Approved => "status approved",
        ConsentStatus::Declined => "status declined",
        ConsentStatus::Expired => "status expired",
        ConsentStatus::Revoked => "status revoked",
    }
}
