//! The ratios to reach: what was measured beside what must be and what would be good.

use std::fmt::Write as _;

use crate::report::{Report, Side, median, ratio};

/// One line of the table.
struct Row {
    number: &'static str,
    measure: String,
    value: Option<f64>,
    unit: &'static str,
    must: f64,
    good: f64,
    is_more_better: bool,
}

/// The table of all rows that one run can fill.
pub fn markdown(report: &Report) -> String {
    let mut text = String::from("| # | Measure | measured | must | good | |\n|---|---|---|---|---|---|\n");
    for row in rows(report) {
        let reaches = |value: f64, goal: f64| if row.is_more_better { value >= goal } else { value <= goal };
        let verdict = match row.value {
            None => "not measured",
            Some(value) if reaches(value, row.good) => "good",
            Some(value) if reaches(value, row.must) => "met",
            Some(_) => "**not met**",
        };
        let shown = |value: f64| if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") };
        let (measured, goal) =
            (row.value.map_or(String::new(), |value| shown(value) + row.unit), |goal: f64| format!("{goal}{}", row.unit));
        writeln!(text, "| {} | {} | {measured} | {} | {} | {verdict} |", row.number, row.measure, goal(row.must), goal(row.good)).unwrap();
    }
    text
}

fn rows(report: &Report) -> Vec<Row> {
    let more = |number, measure: String, value, unit, must, good| Row { number, measure, value, unit, must, good, is_more_better: true };
    let less = |number, measure: String, value, unit, must, good| Row { number, measure, value, unit, must, good, is_more_better: false };
    let rounds = |side, connections| report.rounds(side, connections, false);
    let (ours, lone, hot) = (rounds(Side::Allowlog, 64), rounds(Side::Allowlog, 1), report.rounds(Side::Allowlog, 64, true));
    let (echo, lone_echo) = (rounds(Side::Echo, 64), rounds(Side::Echo, 1));
    let (postgres, hot_postgres) = (report.best(Side::Postgres, false), report.best(Side::Postgres, true));
    let (lists, hot_lists) = (report.best(Side::PostgresLists, false), report.best(Side::PostgresLists, true));
    let same_work = Side::PostgresLists.name();
    let redis = rounds(Side::Redis, 64);
    let redis = if redis.is_empty() { report.best(Side::Redis, false) } else { redis };
    let ceiling = median(echo.iter().map(|m| m.load.rate()));
    let held = report.held.as_ref();
    let held_name =
        held.map_or("a load".to_owned(), |held| format!("{} connections for {:.0} s", held.connections, held.time.as_secs_f64()));
    let floor = |place: usize| {
        let echo = lone_echo.get(place)?.load.p50_us;
        Some(lone.get(place)?.load.p50_us / (echo + lone.get(place)?.fdatasync_us?))
    };
    let caught_up = median(ours.iter().map(|m| m.rested.as_secs_f64()));
    vec![
        more("1", "answered durable checks/s at 64 connections / the ceiling".into(), ratio(ours, echo, |m| m.load.rate()), "", 0.40, 0.60),
        less("1", "seconds until all followers had caught up".into(), caught_up, " s", 5.0, 5.0),
        more(
            "2",
            format!("the same, held by {held_name} with followers at most 2 s behind"),
            held.zip(ceiling).map(|(held, ceiling)| held.rate / ceiling),
            "",
            0.25,
            0.35,
        ),
        more("3", "at 64 connections / PostgreSQL at its best".into(), ratio(ours, postgres, |m| m.load.rate()), "×", 7.0, 10.0),
        more("3", format!("at 64 connections / {same_work} at its best"), ratio(ours, lists, |m| m.load.rate()), "×", 7.0, 10.0),
        more("4", "one hot authorization / the same of PostgreSQL".into(), ratio(hot, hot_postgres, |m| m.load.rate()), "×", 15.0, 25.0),
        more("4", format!("one hot authorization / the same of {same_work}"), ratio(hot, hot_lists, |m| m.load.rate()), "×", 15.0, 25.0),
        more("4", "one hot authorization / our own rate on all".into(), ratio(hot, ours, |m| m.load.rate()), "", 0.8, 0.9),
        more("5", "at 64 connections / Redis at 64".into(), ratio(ours, redis, |m| m.load.rate()), "×", 1.0, 1.5),
        less("6", "p50 at one connection / (echo + fdatasync)".into(), median((0..lone.len()).filter_map(floor)), "", 2.0, 1.5),
        less("7", "p99 at 64 connections / p99 of the echo".into(), ratio(ours, echo, |m| m.load.p99_us), "", 2.0, 1.0),
        less("10", "server CPU to the answer of a check".into(), median(ours.iter().map(|m| m.front_us)), " µs", 35.0, 22.0),
        less(
            "12",
            "disk for each event, journal excluded".into(),
            (report.disk.events > 0).then(|| report.disk.bytes_per_event()),
            " B",
            900.0,
            600.0,
        ),
    ]
}
