//! Where a person is sent with an answer: an absolute URL that no browser reads otherwise than this server does.

use std::fmt;

use compact_str::CompactString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::{Host, Url};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::id::ConsentId;
use crate::limits::URL_BYTES_MAX;
use crate::schema;

/// A URL that nobody may be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// Too long, or empty.
    #[error("must be 1 to {URL_BYTES_MAX} bytes long")]
    Length,
    /// Characters that readers of URLs pass over or replace.
    #[error("must not contain white space, control characters or backslashes")]
    Characters,
    /// Not a URL, or a relative one.
    #[error("must be an absolute https URL, or http on localhost")]
    Scheme,
    /// A name or a password in front of the host.
    #[error("must not contain credentials")]
    Credentials,
    /// A URL where an origin is wanted.
    #[error("must be an origin, as in `https://app.example.com`, without a path")]
    Origin,
}

/// Absolute, https, or http on this very machine; no credentials. As the caller wrote it.
///
/// Source: section "Request" of the Permitly API.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RedirectUrl(CompactString); // INVARIANT: 1 to 2048 bytes; `read` takes it, unless somebody else wrote the log it was read from

/// Scheme, host and port of such a URL, as browsers write it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin(CompactString); // INVARIANT: what `RedirectUrl::origin` gives

impl RedirectUrl {
    /// Takes the URL if people may be sent there.
    ///
    /// # Errors
    /// Says what stands in the way.
    pub fn new(text: &str) -> Result<Self, RedirectError> {
        read(text).map(|_| Self(text.into()))
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its origin.
    pub fn origin(&self) -> Origin {
        // What was taken once is taken again.
        Origin(read(&self.0).map(|url| url.origin().ascii_serialization()).unwrap_or_default().into())
    }

    /// The URL with the answer behind its own query; nothing if nobody may be sent there, as it may have been stored otherwise.
    pub fn with_answer(&self, consent_id: ConsentId, status: &str) -> Option<String> {
        let mut url = read(&self.0).ok()?;
        url.query_pairs_mut().append_pair("consent_id", &consent_id.to_string()).append_pair("status", status);
        Some(url.into())
    }
}

impl Origin {
    /// Takes an origin.
    ///
    /// # Errors
    /// Says what stands in the way.
    pub fn new(text: &str) -> Result<Self, RedirectError> {
        // A pattern would match nothing: origins are compared as they are.
        if text.contains('*') {
            return Err(RedirectError::Origin);
        }
        let origin = RedirectUrl::new(text)?.origin();
        let bare = text.strip_suffix('/').unwrap_or(text);
        if origin.0.eq_ignore_ascii_case(bare) { Ok(origin) } else { Err(RedirectError::Origin) }
    }

    /// The origin.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn read(text: &str) -> Result<Url, RedirectError> {
    if !(1..=URL_BYTES_MAX).contains(&text.len()) {
        return Err(RedirectError::Length);
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err(RedirectError::Characters);
    }
    let url = Url::parse(text).map_err(|_| RedirectError::Scheme)?;
    // `https:example.com` is read as absolute by browsers; it is not what anybody means.
    let is_written_out = text.get(url.scheme().len()..).is_some_and(|rest| rest.starts_with("://"));
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let may_be = is_written_out && url.has_host() && (url.scheme() == "https" || (url.scheme() == "http" && is_here));
    if !may_be {
        return Err(RedirectError::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(RedirectError::Credentials);
    }
    Ok(url)
}

macro_rules! as_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        // Of stored bytes only the length is judged, as of every text: no record comes to be unreadable because a library comes to
        // read URLs otherwise, and whoever verifies a log needs no reader of URLs.
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = CompactString::deserialize(deserializer)?;
                if (1..=URL_BYTES_MAX).contains(&text.len()) {
                    Ok(Self(text))
                } else {
                    Err(serde::de::Error::custom(RedirectError::Length))
                }
            }
        }
    };
}

as_text!(RedirectUrl);
as_text!(Origin);

impl PartialSchema for RedirectUrl {
    fn schema() -> RefOr<Schema> {
        let about = "An absolute https URL, or http on localhost, without credentials.";
        schema::patterned(about, "^https?://[^\\s\\\\]+$", "https://app.example.com/done").max_length(Some(URL_BYTES_MAX)).into()
    }
}

impl ToSchema for RedirectUrl {}

impl PartialSchema for Origin {
    fn schema() -> RefOr<Schema> {
        let about = "Scheme, host and port of a URL.";
        schema::patterned(about, "^https?://[^\\s\\\\/]+/?$", "https://app.example.com").max_length(Some(URL_BYTES_MAX)).into()
    }
}

impl ToSchema for Origin {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_where_a_browser_would_go_instead() {
        for good in
            ["https://a.example", "https://a.example/x?y=1&z=%20#f", "http://localhost:3000/cb", "http://127.0.0.1/", "http://[::1]:8/"]
        {
            assert_eq!(RedirectUrl::new(good).map(|url| url.to_string()), Ok(good.to_owned()));
        }
        let long = format!("https://a.example/{}", "x".repeat(URL_BYTES_MAX));
        for (bad, error) in [
            ("", RedirectError::Length),
            (long.as_str(), RedirectError::Length),
            ("/relative", RedirectError::Scheme),
            ("//a.example/", RedirectError::Scheme),
            ("https:a.example", RedirectError::Scheme),
            ("https:/a.example", RedirectError::Scheme),
            ("http://a.example/", RedirectError::Scheme),
            ("http://localhost.a.example/", RedirectError::Scheme),
            ("http://10.0.0.1/", RedirectError::Scheme),
            ("javascript:alert(1)", RedirectError::Scheme),
            ("data:text/html,x", RedirectError::Scheme),
            ("https://", RedirectError::Scheme),
            ("https://user@a.example/", RedirectError::Credentials),
            ("https://:secret@a.example/", RedirectError::Credentials),
            ("https://a.example\\@b.example/", RedirectError::Characters),
            ("https://a.example/\n", RedirectError::Characters),
            (" https://a.example/", RedirectError::Characters),
        ] {
            assert_eq!(RedirectUrl::new(bad), Err(error), "{bad}");
        }
    }

    #[test]
    fn the_answer_comes_behind_the_urls_own_query_and_before_its_fragment() {
        let id = ConsentId::from_bytes([1; 16]);
        for (url, with) in [
            ("https://a.example", format!("https://a.example/?consent_id={id}&status=approved")),
            (
                "https://a.example/x?a=b%20c&status=no#top",
                format!("https://a.example/x?a=b%20c&status=no&consent_id={id}&status=approved#top"),
            ),
        ] {
            assert_eq!(RedirectUrl::new(url).unwrap().with_answer(id, "approved"), Some(with));
        }
    }

    #[test]
    fn what_is_stored_is_read_whatever_it_is_and_nobody_is_sent_there() {
        let stored = |text: &str| serde_json::from_value::<RedirectUrl>(text.into());
        assert_eq!(stored("https://a.example/x").unwrap(), RedirectUrl::new("https://a.example/x").unwrap());
        let foreign = stored("javascript:alert(1)").unwrap();
        assert_eq!((foreign.with_answer(ConsentId::from_bytes([1; 16]), "approved"), foreign.origin().as_str()), (None, ""));
        for text in [String::new(), "x".repeat(URL_BYTES_MAX + 1)] {
            assert!(stored(&text).is_err(), "{} bytes", text.len());
            assert!(serde_json::from_value::<Origin>(text.into()).is_err());
        }
    }

    #[test]
    fn an_origin_is_no_more_than_that() {
        for text in ["https://a.example", "https://A.example", "https://a.example/"] {
            assert_eq!(Origin::new(text).map(|origin| origin.to_string()), Ok("https://a.example".to_owned()), "{text}");
        }
        for text in ["https://a.example/x", "https://*.example", "https://a.example:443", "https://a.example?", "https://a.example//"] {
            assert_eq!(Origin::new(text), Err(RedirectError::Origin), "{text}");
        }
        assert_eq!(RedirectUrl::new("https://a.example:8443/x?y").unwrap().origin().as_str(), "https://a.example:8443");
    }
}
