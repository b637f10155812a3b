//! What the process says about itself: lines on standard error, metrics, traces. The log is something else: it is the chain.

use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;

use opentelemetry_otlp::ExporterBuildError;
use tracing::level_filters::LevelFilter;
use tracing::{Instrument as _, Span};
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
    let printer =
        if json { printer.json().flatten_event(true).with_span_list(false).with_current_span(true).boxed() } else { printer.boxed() };
    // A second start, as in tests, keeps the first printer.
    let _ = match &traces {
        // What is printed and what is sent differ. Every span is asked about by both, so it is not done where one filter will do.
        Some(traces) => registry().with(printer.with_filter(filter)).with(traces.layer()).try_init(),
        None => registry().with(printer).with(filter).try_init(),
    };
    Ok(traces)
}

tokio::task_local! {
    /// Makes the span of the request that this task answers.
    static REQUEST: Arc<dyn Fn() -> Span + Send + Sync>;
}

/// Whether somebody looks at every request. Making and entering a span costs a request more than the decision, and most have nothing to
/// say; so it is otherwise made for those who ask for it.
pub fn is_watched() -> bool {
    traces::are_on() || LevelFilter::current() >= LevelFilter::DEBUG
}

/// Answers a request that `span` names, within the span `watched` if there is one already.
pub fn answering<F: Future>(watched: Span, span: impl Fn() -> Span + Send + Sync + 'static, answer: F) -> impl Future<Output = F::Output> {
    REQUEST.scope(Arc::new(span), answer.instrument(watched))
}

/// The span of the request that is being answered here; to be entered by whoever prints something.
pub fn request() -> Span {
    let current = Span::current();
    let made = || REQUEST.try_with(|span| span()).unwrap_or(Span::none());
    if current.is_none() { made() } else { current }
}

/// Runs what blocks on a thread for that, within the span of whoever asks.
pub fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> tokio::task::JoinHandle<T> {
    let span = request();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_named_for_whoever_asks() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let name = || request().metadata().map(tracing::Metadata::name);
        tracing::subscriber::with_default(registry(), || {
            assert_eq!(name(), None);
            let answer = async { (Span::current().is_none(), name()) };
            let asked = answering(Span::none(), || tracing::error_span!("request"), answer);
            assert_eq!(runtime.block_on(asked), (true, Some("request")), "it is made then, and not before");
            let watched = answering(tracing::error_span!("watched"), || tracing::error_span!("request"), async { name() });
            assert_eq!(runtime.block_on(watched), Some("watched"));
        });
    }
}
