//! `/c/{id}`: a person is asked, or told what became of it.

use allowlog_projections::state::{Consent, ConsentAnswer};
use allowlog_proto::redirect::RedirectUrl;
use allowlog_proto::time::Timestamp;
use axum::http::StatusCode;
use maud::{Markup, html};

use super::{Forms, Page, ScopeView, instant, onward, opening, parts, words};

/// A consent as the person sees it whom it is about.
#[derive(Debug, Clone)]
pub struct ConsentView<'a> {
    /// Who asks: the workspace's name.
    pub workspace: &'a str,
    /// For which agent: its name.
    pub agent: &'a str,
    /// For whom: the address if there is one, else the reference.
    pub person: &'a str,
    /// What is asked for; once approved, what was approved.
    pub scopes: Vec<ScopeView<'a>>,
    /// Until when it can be answered.
    pub expires_at: Timestamp,
    /// What became of it so far.
    pub standing: Standing<'a>,
}

/// What became of a consent so far.
#[derive(Debug, Clone, Copy)]
pub enum Standing<'a> {
    /// It can be answered.
    Pending {
        /// Comes back in the form's `csrf`.
        csrf: &'a str,
        /// The page's policy lets the answer lead there.
        redirect_url: &'a RedirectUrl,
    },
    /// The person approved.
    Approved {
        /// When.
        at: Timestamp,
    },
    /// The person declined.
    Declined {
        /// When.
        at: Timestamp,
    },
    /// Nobody answered in time.
    Expired,
    /// It was revoked.
    Revoked {
        /// When.
        at: Timestamp,
        /// Whether it had been approved before.
        was_approved: bool,
    },
}

impl<'a> ConsentView<'a> {
    /// A consent as it stands now. The names are those of the workspace and of the agent.
    pub fn of(consent: &'a Consent, workspace: &'a str, agent: &'a str, csrf: &'a str, now: Timestamp) -> Self {
        let standing = match consent.answer {
            ConsentAnswer::None if now >= consent.expires_at => Standing::Expired,
            ConsentAnswer::None => Standing::Pending { csrf, redirect_url: &consent.redirect_url },
            ConsentAnswer::Approved { at } => Standing::Approved { at },
            ConsentAnswer::Declined { at } => Standing::Declined { at },
            ConsentAnswer::Withdrawn { approved_at, at, by: _ } => Standing::Revoked { at, was_approved: approved_at.is_some() },
        };
        let person = consent.email.as_ref().map_or(consent.user_id.as_str(), |email| email.as_str());
        let scopes = consent.scopes.iter().map(ScopeView::from).collect();
        Self { workspace, agent, person, scopes, expires_at: consent.expires_at, standing }
    }
}

/// What `GET /c/{id}` answers: 200, or 410 if it has expired or was revoked.
pub fn page(view: &ConsentView) -> Page {
    told(view, None)
}

/// What `POST /c/{id}` answers when there is nothing left to decide: 409 with what was decided first, or 410 as above.
pub fn already(view: &ConsentView) -> Page {
    let page = match view.standing {
        Standing::Approved { .. } => told(view, Some(words::ALREADY_APPROVED)),
        Standing::Declined { .. } => told(view, Some(words::ALREADY_DECLINED)),
        Standing::Pending { .. } | Standing::Expired | Standing::Revoked { .. } => return told(view, None),
    };
    Page { status: StatusCode::CONFLICT, ..page }
}

fn told(view: &ConsentView, notice: Option<&str>) -> Page {
    let ConsentView { workspace, agent, person, .. } = *view;
    let settled = |status, heading: &str, sentence, rest: Markup| {
        let main = html! {
            @if let Some(notice) = notice { p.notice role="status" { (notice) } }
            (opening(&html! { (heading) }, &[sentence]))
            (rest)
        };
        Page::new(status, heading.into(), main)
    };
    match view.standing {
        Standing::Pending { csrf, redirect_url } => pending(view, csrf, redirect_url),
        Standing::Approved { at } => {
            let rest = html! {
                h2 { (words::SCOPES_APPROVED) }
                (parts::scopes(&view.scopes))
                p { (words::how_to_withdraw(workspace)) }
            };
            settled(StatusCode::OK, words::APPROVED, words::approved(agent, workspace, person, at), rest)
        }
        Standing::Declined { at } => settled(StatusCode::OK, words::DECLINED, words::declined(agent, workspace, at), was_about(view)),
        Standing::Expired => settled(StatusCode::GONE, words::EXPIRED, words::expired(agent, workspace, view.expires_at), was_about(view)),
        Standing::Revoked { at, was_approved: true } => {
            settled(StatusCode::GONE, words::REVOKED, words::revoked(agent, workspace, person, at), was_about(view))
        }
        Standing::Revoked { at, was_approved: false } => {
            settled(StatusCode::GONE, words::WITHDRAWN, words::withdrawn(agent, workspace, at), was_about(view))
        }
    }
}

fn was_about(view: &ConsentView) -> Markup {
    html! {
        h2 { (words::SCOPES_WERE_ASKED) }
        (parts::scopes_in_short(&view.scopes))
    }
}

fn pending(view: &ConsentView, csrf: &str, redirect_url: &RedirectUrl) -> Page {
    let main = html! {
        (opening(&words::asks(view.agent), &[words::wants(view.workspace)]))
        dl.facts {
            div { dt { (words::WHO_ASKS) } dd { bdi { (view.workspace) } } }
            div { dt { (words::WHICH_AGENT) } dd { bdi { (view.agent) } } }
            div { dt { (words::FOR_WHOM) } dd { bdi { (view.person) } } }
            div { dt { (words::ANSWER_BY) } dd { (instant(view.expires_at)) } }
        }
        h2 { (words::SCOPES_ASKED) }
        (parts::scopes(&view.scopes))
        // Without an action, so that it goes where the page came from.
        form method="post" aria-labelledby="answer" {
            h2 id="answer" { (words::ANSWER) }
            div id="before" {
                p { (words::IF_UNANSWERED) " " (words::how_to_withdraw(view.workspace)) }
                p.quiet { (words::who_wrote(view.workspace)) }
            }
            input type="hidden" name="csrf" value=(csrf);
            div.answers {
                button.answer type="submit" name="decision" value="approve" aria-describedby="before" { (words::APPROVE) }
                button.answer type="submit" name="decision" value="decline" aria-describedby="before" { (words::DECLINE) }
            }
        }
    };
    Page::new(StatusCode::OK, words::title_asks(view.agent), main).with_forms(Forms::HereAndOnward(onward(redirect_url)))
}
