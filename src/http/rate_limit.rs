//! How often an API key may call: a bucket for each that opens a workspace, if the operator wants that.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, header};
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

    fn take(&self, key: &Key) -> Taken {
        match self.buckets.check_key(key) {
            Ok(bucket) => Taken::Allowed(bucket.remaining_burst_capacity()),
            Err(refused) => Taken::Refused(refused.wait_time_from(self.clock.now())),
        }
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

impl governor::clock::Clock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}

/// Holds each API key to the limit. Who has none that opens a workspace has no bucket either, and is refused by whoever is
/// asked: strangers neither fill the memory nor empty the buckets of others.
pub async fn hold(State((app, limits)): State<(App, Arc<RateLimits>)>, request: Request, next: Next) -> Response<Body> {
    let Ok(credential) = call::credential(&app, request.headers()) else { return next.run(request).await };
    let key = credential.secret_hash;
    if !limits.knows(&key) {
        match app.engine.authenticate(credential).await {
            Ok(_) => limits.admit(key),
            Err(_) => return next.run(request).await,
        }
    }
    match limits.take(&key) {
        Taken::Allowed(remaining) => {
            let mut response = next.run(request).await;
            limits.announce(remaining, response.headers_mut());
            response
        }
        Taken::Refused(wait) => {
            call::discard(request.into_body()).await;
            let mut response = ApiError::quota_exceeded().into_response();
            let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            limits.announce(0, response.headers_mut());
            response
        }
    }
}
