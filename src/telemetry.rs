//! What the process says about itself: lines on standard error, metrics, traces. The log is something else: it is the chain.

use std::io::{self, IsTerminal as _, Write};

use opentelemetry_otlp::ExporterBuildError;
use tracing::Span;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, registry};

use self::traces::Traces;

pub mod metrics;
pub mod process;
pub mod traces;

/// Starts printing to standard error, where `ALLOWLOG_TELEMETRY` filters, as in `info` or `allowlog=debug`, and sending
/// traces to the collector at `otlp_endpoint` if there is one, as long as what is returned is held.
///
/// # Errors
/// If the endpoint is no address.
pub fn start(json: bool, otlp_endpoint: Option<&str>) -> Result<Option<Traces>, ExporterBuildError> {
    let filter = EnvFilter::try_from_env("ALLOWLOG_TELEMETRY").unwrap_or_else(|_| EnvFilter::new("warn,allowlog=info"));
    let traces = otlp_endpoint.map(Traces::start).transpose()?;
    // What cannot be printed is lost; to print that as well would fail likewise, and with a panic.
    let printer = fmt::layer().with_writer(|| Lossy(io::stderr())).with_ansi(io::stderr().is_terminal()).log_internal_errors(false);
    let printer = if json {
        printer.json().flatten_event(true).with_span_list(false).with_current_span(true).with_filter(filter).boxed()
    } else {
        printer.with_filter(filter).boxed()
    };
    // A second start, as in tests, keeps the first printer.
    let _ = registry().with(printer).with(traces.as_ref().map(Traces::layer)).try_init();
    Ok(traces)
}

/// Runs what blocks on a thread for that, within the span of whoever asks.
pub fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> tokio::task::JoinHandle<T> {
    let span = Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
}

/// A writer that never fails: a disk that is full, or a reader that is gone, must not end the process.
struct Lossy<W>(W);

impl<W: Write> Write for Lossy<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
