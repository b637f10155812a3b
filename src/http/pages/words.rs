//! Every text the pages say, in English. Sentences are whole, so that another language can order them as it must.

use allowlog_projections::state::ConsentStatus;
use allowlog_proto::event::{Risk, Withdrawer};
use allowlog_proto::time::Timestamp;
use jiff::SignedDuration;
use jiff::civil::DateTime;
use maud::{Markup, html};

use super::manage::Happened;
use super::{Fault, instant as at};

/// A sentence that may hold names and instants.
pub type Sentence = Markup;

pub const WHO_ASKS: &str = "Asked by";
pub const WHICH_AGENT: &str = "Agent";
pub const FOR_WHOM: &str = "For";
pub const ANSWER_BY: &str = "Answer by";

pub const SCOPES_ASKED: &str = "If you approve, the agent may";
pub const SCOPES_APPROVED: &str = "The agent may";
pub const SCOPES_WERE_ASKED: &str = "It was about";
pub const IRREVERSIBLE: &str = "Cannot be undone: what the agent does with this stays done.";

pub const ANSWER: &str = "Your answer";
pub const APPROVE: &str = "Approve";
pub const DECLINE: &str = "Decline";
pub const IF_UNANSWERED: &str = "If you do not answer, nothing is allowed.";

pub const REVOKE: &str = "Revoke permission";
pub const HISTORY: &str = "History";
pub const YOUR_PERMISSIONS: &str = "Your requests and permissions";
pub const PAGES: &str = "Pages";
pub const NEWEST: &str = "Back to the newest";
pub const OLDER: &str = "Show older ones";

const MONTHS: &str = "%-d %B %Y, %H:%M UTC";

/// `26 November 2026, 15:04 UTC`
pub fn instant(time: Timestamp) -> String {
    let since = SignedDuration::from_millis(i64::try_from(time.as_ms()).unwrap_or(i64::MAX));
    DateTime::constant(1970, 1, 1, 0, 0, 0, 0).saturating_add(since).strftime(MONTHS).to_string()
}

/// A name that somebody else gave. Whatever direction its letters have, the sentence around it keeps its own.
fn name(name: &str) -> Markup {
    html! { bdi { (name) } }
}

/// The same where there is no markup.
fn isolated(name: &str) -> String {
    format!("\u{2068}{name}\u{2069}")
}

pub const fn risk(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "Low risk",
        Risk::Medium => "Medium risk",
        Risk::High => "High risk",
        Risk::Critical => "Critical risk",
    }
}

pub fn title_asks(agent: &str) -> String {
    format!("{} asks for your permission", isolated(agent))
}

pub fn asks(agent: &str) -> Sentence {
    html! { (name(agent)) " asks for your permission" }
}

pub fn wants(workspace: &str) -> Sentence {
    html! { "This agent of " (name(workspace)) " would like to act for you." }
}

pub fn how_to_withdraw(workspace: &str) -> Sentence {
    html! {
        "You can take a permission back at any time: ask " (name(workspace))
        " for the link to your permissions. That page has a button to revoke each."
    }
}

pub fn who_wrote(workspace: &str) -> Sentence {
    html! { "Names, descriptions and risks on this page are what " (name(workspace)) " states." }
}

pub const APPROVED: &str = "You approved this request";
pub fn approved(agent: &str, workspace: &str, person: &str, time: Timestamp) -> Sentence {
    html! {
        "Since " (at(time)) ", the agent " (name(agent)) " of " (name(workspace)) " may act for " (name(person))
        " as listed below. You can close this page."
    }
}

pub const DECLINED: &str = "You declined this request";
pub fn declined(agent: &str, workspace: &str, time: Timestamp) -> Sentence {
    html! {
        "On " (at(time)) ", you declined what the agent " (name(agent)) " of " (name(workspace))
        " asked for. Nothing was allowed. You can close this page."
    }
}

pub const EXPIRED: &str = "This request has expired";
pub fn expired(agent: &str, workspace: &str, time: Timestamp) -> Sentence {
    html! {
        "It could be answered until " (at(time)) ". Nothing was allowed. If you still want the agent " (name(agent))
        " to do this, ask " (name(workspace)) " to send a new request."
    }
}

pub const WITHDRAWN: &str = "This request was withdrawn";
pub fn withdrawn(agent: &str, workspace: &str, time: Timestamp) -> Sentence {
    html! {
        (name(workspace)) " took it back on " (at(time)) ", before it was answered. Nothing was allowed to the agent " (name(agent)) "."
    }
}

pub const REVOKED: &str = "This permission was revoked";
pub fn revoked(agent: &str, workspace: &str, person: &str, time: Timestamp) -> Sentence {
    html! {
        "Since " (at(time)) ", the agent " (name(agent)) " of " (name(workspace)) " may no longer act for " (name(person))
        " on the ground of this request."
    }
}

pub const ALREADY_APPROVED: &str = "The request had already been approved when your last answer came. That answer changed nothing.";
pub const ALREADY_DECLINED: &str = "The request had already been declined when your last answer came. That answer changed nothing.";

pub fn title_manage(workspace: &str) -> String {
    format!("Your permissions at {}", isolated(workspace))
}

pub fn manage(workspace: &str) -> Sentence {
    html! { "Your permissions at " (name(workspace)) }
}

pub fn manages(workspace: &str, person: &str) -> Sentence {
    html! {
        "What agents of " (name(workspace)) " have asked of " (name(person)) ", newest first. An agent may do what you approved until you revoke it."
    }
}

pub const EMPTY: &str = "There is nothing here.";
pub fn empty(workspace: &str, person: &str) -> Sentence {
    html! { (name(workspace)) " has not asked for any permission of " (name(person)) "." }
}

/// Behind the button's text, for those who hear the buttons without what is around them.
pub fn revoke_of(agent: &str, asked_at: Timestamp) -> String {
    format!(" of {}, asked for on {}", isolated(agent), instant(asked_at))
}

pub fn just_revoked(agent: &str) -> Sentence {
    html! { "Revoked. The agent " (name(agent)) " may no longer use this permission." }
}

pub const fn status(status: ConsentStatus) -> &'static str {
    match status {
        ConsentStatus::Pending => "Waiting for your answer",
        ConsentStatus::Approved => "Approved",
        ConsentStatus::Declined => "Declined",
        ConsentStatus::Expired => "Expired",
        ConsentStatus::Revoked => "Revoked",
    }
}

pub fn happened(what: Happened, workspace: &str) -> Sentence {
    match what {
        Happened::Asked => html! { "Asked for by " (name(workspace)) },
        Happened::Approved => html! { "Approved" },
        Happened::Declined => html! { "Declined" },
        Happened::Expired => html! { "Expired without an answer" },
        Happened::Revoked(Withdrawer::EndUser) => html! { "Revoked on this page" },
        Happened::Revoked(Withdrawer::Builder) => html! { "Revoked by " (name(workspace)) },
    }
}

/// Behind the number of scopes of a long list.
pub fn all_of(count: usize) -> String {
    format!("Show all {count}")
}

/// Heading of a page that cannot show what was asked for.
pub const fn fault(fault: Fault) -> &'static str {
    match fault {
        Fault::UnknownRequest => "There is no such request",
        Fault::UnknownLink => "This link does not work",
        Fault::ExpiredLink => "This link has expired",
        Fault::Untrusted => "Please open the link again",
        Fault::Unclear => "That was not understood",
        Fault::Unavailable => "Please try again in a moment",
    }
}

/// What to do about it.
pub const fn remedy(fault: Fault) -> &'static str {
    match fault {
        Fault::UnknownRequest => {
            "The link may be incomplete. Open it again where you found it, or ask whoever sent it to you for a new one."
        }
        Fault::UnknownLink => "It may be incomplete. Open it again where you found it, or ask whoever sent it to you for a new one.",
        Fault::ExpiredLink => {
            "Links to this page work for a short time only, since whoever has one can use it. Ask whoever sent it to you for a new one."
        }
        Fault::Untrusted => {
            "What was sent does not belong to a page that this server showed, or that page is too old. Nothing was changed. Open the link \
             you were sent again, and answer there."
        }
        Fault::Unclear => "Nothing was changed. Open the link you were sent again, and use the buttons on the page.",
        Fault::Unavailable => {
            "The server cannot answer just now. Open the link again: the page will show whether what you sent last has arrived."
        }
    }
}
