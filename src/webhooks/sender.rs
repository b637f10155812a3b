//! Sends one message: to the addresses that were checked and no others, once, within a time.
//!
//! Names are resolved once for each attempt, and the connection goes to what came out. So a name that first leads to a public
//! address and then to one inside does not get past the check.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, header};

use super::signature::signature;
use super::target::{Target, is_public};

/// For an attempt as a whole.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Of an answer so much is read, so that its sender sees it arrive; nobody looks at it.
const ANSWER_BYTES_MAX: usize = 4096;
/// The header of the signature, as the published clients know it.
const SIGNATURE: &str = "x-permitly-signature";
const USER_AGENT: &str = concat!("allowlog/", env!("CARGO_PKG_VERSION"));

/// What a name leads to.
pub type Resolved = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Asks what a name leads to.
pub type Lookup = Arc<dyn Fn(String) -> Resolved + Send + Sync>;

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The URL may not be sent to.
    #[error("the URL {0}")]
    Target(String),
    /// The name leads to an address that may not be sent to.
    #[error("the name leads to an address that is not public")]
    NotPublic,
    /// There was no answer in time.
    #[error("no answer in time")]
    Timeout,
    /// There was no answer.
    #[error("{0}")]
    Unreachable(String),
    /// The answer was not that it is taken; a redirect is not followed.
    #[error("answered {0}")]
    Status(u16),
}

/// Sends messages. Cheap to clone; keeps no connection.
#[derive(Clone)]
pub struct Sender(Arc<Inner>);

struct Inner {
    allow_private: bool,
    /// For an attempt as a whole.
    timeout: Duration,
    lookup: Lookup,
    /// Made for the first message: it looks for the certificates that the machine trusts.
    http: OnceLock<Result<Client, String>>,
}

impl Sender {
    /// Sends to public addresses, and to others if they are allowed. A provider of TLS must be installed before the first message.
    pub fn new(allow_private: bool) -> Self {
        let lookup: Lookup = Arc::new(|name| Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }));
        Self::with(allow_private, TIMEOUT, lookup)
    }

    /// The same with another time limit and other names.
    pub fn with(allow_private: bool, timeout: Duration, lookup: Lookup) -> Self {
        Self(Arc::new(Inner { allow_private, timeout, lookup, http: OnceLock::new() }))
    }

    /// Whether addresses that are not public are allowed, and plain HTTP.
    pub fn allows_private(&self) -> bool {
        self.0.allow_private
    }

    /// Sends a message once: it is taken if the answer is a 2xx, whose status is returned.
    ///
    /// # Errors
    /// Says why it was not, without anything secret.
    pub async fn send(&self, url: &str, secret: &str, body: Vec<u8>) -> Result<u16, Failure> {
        let target = Target::parse(url, self.0.allow_private).map_err(Failure::Target)?;
        let http = self.0.http.get_or_init(|| client(self.0.allow_private, &self.0.lookup)).as_ref();
        let request = http
            .map_err(|error| Failure::Unreachable(error.clone()))?
            .post(target.url())
            .timeout(self.0.timeout)
            .header(header::CONTENT_TYPE, "application/json")
            .header(SIGNATURE, signature(secret, &body))
            .body(body);
        let mut answer = request.send().await.map_err(|error| failure(&error))?;
        let status = answer.status();
        let mut read = 0_usize;
        while let Ok(Some(piece)) = answer.chunk().await {
            read = read.saturating_add(piece.len());
            if read > ANSWER_BYTES_MAX {
                break;
            }
        }
        if status.is_success() { Ok(status.as_u16()) } else { Err(Failure::Status(status.as_u16())) }
    }
}

fn client(allow_private: bool, lookup: &Lookup) -> Result<Client, String> {
    let http = builder(allow_private, lookup).build().or_else(|error| {
        // A machine that trusts nobody can still send over plain HTTP, and says at each attempt over TLS what is wrong.
        tracing::warn!(error = innermost(&error), "this machine has no certificates to trust, so no webhook can be sent over TLS");
        builder(allow_private, lookup).tls_certs_only([]).build()
    });
    http.map_err(|error| innermost(&error))
}

fn builder(allow_private: bool, lookup: &Lookup) -> ClientBuilder {
    Client::builder()
        .user_agent(USER_AGENT)
        .redirect(Policy::none())
        .no_proxy()
        .https_only(!allow_private)
        // A connection that is kept would go to where the name led when it was made.
        .pool_max_idle_per_host(0)
        .dns_resolver(Checked { lookup: Arc::clone(lookup), allow_private })
}

/// Resolves names to addresses that may be sent to: all of them, or none.
struct Checked {
    lookup: Lookup,
    allow_private: bool,
}

/// What stands in the way of a connection to where a name leads.
#[derive(Debug, thiserror::Error)]
#[error("not public")]
struct NotPublic;

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolved, allow_private) = ((self.lookup)(name.as_str().to_owned()), self.allow_private);
        Box::pin(async move {
            let addresses = resolved.await?;
            if !allow_private && addresses.iter().any(|address| !is_public(address.ip())) {
                return Err(NotPublic.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn failure(error: &reqwest::Error) -> Failure {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<NotPublic>() {
            return Failure::NotPublic;
        }
        cause = error.source();
    }
    if error.is_timeout() { Failure::Timeout } else { Failure::Unreachable(innermost(error)) }
}

/// The cause at the bottom of an error: what is above it may hold the URL, which is nobody's business.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
