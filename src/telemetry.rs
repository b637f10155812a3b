//! What the process prints about itself. The log is something else: it is the chain.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

pub mod metrics;
pub mod process;

/// Starts printing to standard error; `ALLOWLOG_TELEMETRY` filters, as in `info` or `allowlog=debug`.
pub fn start(json: bool) {
    let filter = EnvFilter::try_from_env("ALLOWLOG_TELEMETRY").unwrap_or_else(|_| EnvFilter::new("warn,allowlog=info"));
    let printer = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    // A second start, as in tests, keeps the first printer.
    let _ = if json { printer.json().try_init() } else { printer.try_init() };
}
