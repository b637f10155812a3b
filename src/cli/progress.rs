//! Progress of long work: a line on a terminal, nothing in a pipe.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A counter of records on standard error.
pub fn records(doing: &'static str) -> ProgressBar {
    // The library draws nothing where standard error is no terminal.
    let bar = ProgressBar::no_length().with_message(doing);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}: {human_pos} records, {per_sec}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A counter of bytes on standard error.
pub fn bytes(doing: &'static str) -> ProgressBar {
    let bar = ProgressBar::no_length().with_message(doing);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}: {bytes}, {bytes_per_sec}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
