//! Traces: what became of a request, as OpenTelemetry spans sent to a collector over OTLP, where one is configured.
//!
//! A thread of its own sends them in batches. A span that finds its queue full is dropped, so a collector that is slow or
//! gone costs traces and nothing else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use opentelemetry::KeyValue;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::clock::Stopwatch;

/// A collector that takes longer has not got the batch.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The last batch gets so long when the server ends.
const LAST_TIMEOUT: Duration = Duration::from_secs(2);
/// A collector that cannot be reached is reported no more often.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(300);

/// Whether spans are sent anywhere.
static IS_ON: AtomicBool = AtomicBool::new(false);

/// The sending of traces; it ends with this.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Sends to the collector of this address, over HTTP.
    ///
    /// # Errors
    /// If it is no address.
    pub fn start(endpoint: &str) -> Result<Self, ExporterBuildError> {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_timeout(TIMEOUT)
            .build()?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name("allowlog").with_attribute(version).build();
        let exporter = Complaining { exporter, complained: Mutex::default() };
        let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
        IS_ON.store(true, Ordering::SeqCst);
        Ok(Self(provider))
    }

    /// What turns our own spans into traces; those of libraries stay out.
    pub fn layer<S: Subscriber + for<'s> LookupSpan<'s> + Send + Sync>(&self) -> impl Layer<S> + Send + Sync + use<S> {
        let tracer = self.0.tracer("allowlog");
        let ours = Targets::new().with_target("allowlog", tracing::Level::DEBUG);
        tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false).with_filter(ours)
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // What could not be sent has been reported.
        let _ = self.0.shutdown_with_timeout(LAST_TIMEOUT);
    }
}

/// Whether spans are sent anywhere.
pub fn are_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Makes the caller's span, if its `traceparent` names one, the parent of the request's, which must not have been entered.
pub fn continue_from(headers: &HeaderMap, span: &Span) {
    if are_on() {
        // A span that is not sampled has no parent to be set.
        let _ = span.set_parent(TraceContextPropagator::new().extract(&Headers(headers)));
    }
}

/// Adds what is known of a request once it is answered.
pub fn answered(method: &'static str, route: &str, status: u16) {
    if are_on() {
        let span = Span::current();
        span.set_attribute("http.request.method", method);
        span.set_attribute("http.route", route.to_owned());
        span.set_attribute("http.response.status_code", i64::from(status));
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}

/// An exporter that says now and then that it does not get through.
#[derive(Debug)]
struct Complaining<E> {
    exporter: E,
    complained: Mutex<Option<Stopwatch>>,
}

impl<E: SpanExporter> SpanExporter for Complaining<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sent = self.exporter.export(batch).await;
        if let Err(error) = &sent {
            let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
            if complained.as_ref().is_none_or(|since| since.elapsed() >= COMPLAINT_PAUSE) {
                *complained = Some(Stopwatch::start());
                tracing::warn!(traces.error = %error, "traces cannot be sent and are dropped; requests are answered all the same");
            }
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
