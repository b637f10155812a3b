//! One check decided in memory, among 1,000,000 authorizations.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test or a bench that meets the unexpected must end")]

mod fixture;
mod parts;

use std::time::Duration;

use criterion::Criterion;
use parts::{Deciding, Part};

fn main() {
    let mut criterion = Criterion::default().measurement_time(Duration::from_secs(3)).configure_from_args();
    let mut deciding = Deciding::among(if fixture::measures() { 1_000_000 } else { 100 });
    let mut finding = deciding.finding();
    let mut group = criterion.benchmark_group("decide");
    let parts: [(&str, &mut dyn Part); 2] = [("peer: find the authorization", &mut finding), ("check", &mut deciding)];
    for (name, part) in parts {
        group.bench_function(name, |bencher| bencher.iter_custom(|operations| parts::timed(part, operations)));
    }
    group.finish();
    criterion.final_summary();
}
