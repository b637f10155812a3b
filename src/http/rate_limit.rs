//! How often an API key may call: a bucket for each that opens a workspace, if the operator wants that.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use allowlog_proto::api::envelope::FieldError;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response};
use axum::middleware::Next;
use axum::response::IntoResponse as _;
use governor::clock::Clock as _;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::{ApiError, call};
use crate::app::App;
use crate::clock::Clock;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// API keys that are known to open a workspace; with one more all are asked again, and buckets that are full are dropped.
const KNOWN_MAX: usize = 10_000;

/// An API key among the buckets: the keyed hash of its secret. Nobody without the secret can take from its bucket.
type Key = [u8; 32];

type Buckets = RateLimiter<Key, HashMapStateStore<Key>, Ticks, StateInformationMiddleware>;

/// Calls per second, and how many may come at once.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// What a bucket gets back each second.
    pub per_second: NonZeroU32,
    /// What a full bucket holds.
    pub burst: NonZeroU32,
}

/// A bucket for each API key.
pub struct RateLimits {
    rate: Rate,
    clock: Ticks,
    buckets: Buckets,
    known: Mutex<HashSet<Key>>,
}

/// The bucket a call has taken from: for a call that counts as several.
#[derive(Clone)]
pub struct Bucket {
    limits: Arc<RateLimits>,
    key: Key,
}

/// Goes with an answer whose call counted as several: so many more might follow at once.
#[derive(Clone, Copy)]
pub struct Remaining(u32);

/// Our clock, as the buckets read it.
#[derive(Clone)]
struct Ticks(Clock);

/// What became of one call.
enum Taken {
    /// It may go on; so many more might follow at once.
    Allowed(u32),
    /// There is nothing in the bucket for so long.
    Refused(Duration),
}

impl RateLimits {
    /// Every bucket is full.
    pub fn new(rate: Rate, clock: Clock) -> Self {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        let clock = Ticks(clock);
        let buckets = Buckets::new(quota, HashMapStateStore::default(), clock.clone());
        Self { rate, clock, buckets, known: Mutex::default() }
    }

    fn knows(&self, key: &Key) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    fn admit(&self, key: Key) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
            self.buckets.retain_recent();
            self.buckets.shrink_to_fit();
        }
        known.insert(key);
    }

    /// Takes for so many calls at once; nothing if they are more than a full bucket holds.
    fn take(&self, key: &Key, calls: NonZeroU32) -> Option<Taken> {
        Some(match self.buckets.check_key_n(key, calls).ok()? {
            Ok(bucket) => Taken::Allowed(bucket.remaining_burst_capacity()),
            Err(refused) => Taken::Refused(refused.wait_time_from(self.clock.now())),
        })
    }

    /// What the answer says of the limit, as in the IETF's draft "RateLimit header fields for HTTP".
    fn announce(&self, remaining: u32, headers: &mut HeaderMap) {
        let Rate { per_second, burst } = self.rate;
        let full_in = burst.get().saturating_sub(remaining).div_ceil(per_second.get());
        let window = burst.get().div_ceil(per_second.get());
        let texts =
            [(RATE_LIMIT, format!("\"key\";r={remaining};t={full_in}")), (RATE_LIMIT_POLICY, format!("\"key\";q={burst};w={window}"))];
        for (name, text) in texts {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
    }
}

impl Bucket {
    /// Takes for so many calls more than the one that has been counted: all of them or none.
    ///
    /// # Errors
    /// Says when there is room, or that there never is.
    pub fn take_more(&self, calls: usize) -> Result<Option<Remaining>, ApiError> {
        let burst = self.limits.rate.burst;
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        let Some(more) = NonZeroU32::new(calls) else { return Ok(None) };
        let taken = if more < burst { self.limits.take(&self.key, more) } else { None };
        match taken {
            Some(Taken::Allowed(remaining)) => Ok(Some(Remaining(remaining))),
            Some(Taken::Refused(wait)) => Err(ApiError::quota_exceeded(wait)),
            None => {
                let most = format!("must be at most {burst} items: each counts as a call, of which this API key may make so many at once");
                Err(ApiError::invalid(vec![FieldError::new("body.checks", most)]))
            }
        }
    }
}

impl governor::clock::Clock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}

/// Holds each API key to the limit. Who has none that opens a workspace has no bucket either, and is refused by whoever is
/// asked: strangers neither fill the memory nor empty the buckets of others.
pub async fn hold(State((app, limits)): State<(App, Arc<RateLimits>)>, mut request: Request, next: Next) -> Response<Body> {
    let Ok(credential) = call::credential(&app, request.headers()) else { return next.run(request).await };
    let key = credential.secret_hash;
    if !limits.knows(&key) {
        match app.engine.authenticate(credential).await {
            Ok(_) => limits.admit(key),
            Err(_) => return next.run(request).await,
        }
    }
    let taken = limits.take(&key, NonZeroU32::MIN);
    let (mut response, remaining) = match taken {
        Some(Taken::Refused(wait)) => {
            call::discard(request.into_body()).await;
            (ApiError::quota_exceeded(wait).into_response(), 0)
        }
        Some(Taken::Allowed(remaining)) => {
            request.extensions_mut().insert(Bucket { limits: Arc::clone(&limits), key });
            (next.run(request).await, remaining)
        }
        // A full bucket holds at least one.
        None => (ApiError::internal().into_response(), 0),
    };
    let remaining = response.extensions().get::<Remaining>().map_or(remaining, |Remaining(after)| *after);
    limits.announce(remaining, response.headers_mut());
    response
}
