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

/// How much of a file has been checked; of a pipe nobody knows how much there is.
pub fn checked(doing: &'static str, length: Option<u64>) -> ProgressBar {
    let Some(length) = length else { return bytes(doing) };
    let bar = ProgressBar::new(length).with_message(doing);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}: {percent} % [{bar:30}] {eta} left") {
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
