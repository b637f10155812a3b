//! Pages for those who cannot be shown what they asked for.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::html;

use super::{Page, opening, words};

/// Why somebody is not shown what they asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 404: no consent has this id.
    UnknownRequest,
    /// 404: the link to a person's permissions is none of ours.
    UnknownLink,
    /// 410: it was, and its time is over.
    ExpiredLink,
    /// 403: the CSRF token is missing or of another page.
    Untrusted,
    /// 422: the form is not one that a page has.
    Unclear,
    /// 503: the engine cannot answer now.
    Unavailable,
}

impl Fault {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::UnknownRequest, Self::UnknownLink, Self::ExpiredLink, Self::Untrusted, Self::Unclear, Self::Unavailable];

    /// The page that says so.
    pub fn page(self) -> Page {
        let heading = words::fault(self);
        Page::new(self.status(), heading.into(), opening(&html! { (heading) }, &[html! { (words::remedy(self)) }]))
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::UnknownRequest | Self::UnknownLink => StatusCode::NOT_FOUND,
            Self::ExpiredLink => StatusCode::GONE,
            Self::Untrusted => StatusCode::FORBIDDEN,
            Self::Unclear => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        self.page().into_response()
    }
}
