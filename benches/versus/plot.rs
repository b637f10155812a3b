//! Results as pictures: bars on white, so that they can be read on a page of any colour.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::{Measured, Report, Side, median};

const SIZE: (u32, u32) = (960, 530);
const OURS: RGBColor = RGBColor(0x1f, 0x6f, 0xeb);
const OURS_BEHIND: RGBColor = RGBColor(0xa5, 0xc8, 0xfa);
const THEIRS: RGBColor = RGBColor(0x8c, 0x95, 0x9f);
const CEILING: RGBColor = RGBColor(0xd0, 0xd7, 0xde);
const INK: RGBColor = RGBColor(0x1f, 0x23, 0x28);

/// A bar: its name, and its pieces with what is written behind them.
struct Bar {
    name: String,
    pieces: Vec<(f64, RGBColor)>,
    says: String,
}

/// Requests per second, and processor time of each.
pub fn versus(report: &Report) -> String {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE).unwrap();
        let (left, right) = root.split_horizontally(SIZE.0 / 2);
        let rounds = |side, connections, is_hot| report.rounds(side, connections, is_hot);
        let many = [
            ("echo, the ceiling", rounds(Side::Echo, 64, false), CEILING),
            ("allowlog", rounds(Side::Allowlog, 64, false), OURS),
            ("Redis", report.best(Side::Redis, false), THEIRS),
            ("PostgreSQL", report.best(Side::Postgres, false), THEIRS),
            ("PostgreSQL, signs + lists", report.best(Side::PostgresLists, false), THEIRS),
        ];
        let hot = [
            ("allowlog, one hot", rounds(Side::Allowlog, 64, true), OURS),
            ("PostgreSQL, one hot", report.best(Side::Postgres, true), THEIRS),
            ("… signs + lists, one hot", report.best(Side::PostgresLists, true), THEIRS),
        ];
        let rate = |m: &Measured| m.load.rate();
        let rates = many.iter().chain(&hot).map(|(name, rounds, color)| {
            let value = median(rounds.iter().map(rate)).unwrap_or_default();
            Bar { name: (*name).to_owned(), pieces: vec![(value, *color)], says: thousands(value) }
        });
        bars(&left, "Durable checks per second, peers at their best", &rates.collect::<Vec<_>>());
        let times = many.iter().map(|(name, rounds, color)| {
            let answered = median(rounds.iter().map(Measured::answered_us)).unwrap_or_default();
            let behind = median(rounds.iter().map(|m| m.behind_us)).unwrap_or_default();
            let (mut pieces, mut says) = (vec![(answered, *color)], format!("{answered:.0}"));
            if behind > 0.0 {
                pieces.push((behind, if *color == OURS { OURS_BEHIND } else { CEILING }));
                says = format!("{answered:.0} + {behind:.0}");
            }
            Bar { name: (*name).to_owned(), pieces, says }
        });
        bars(&right, "Processor time, µs a check + to sign and index", &times.collect::<Vec<_>>());
        root.present().unwrap();
    }
    svg
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn bars(area: &Area<'_>, title: &str, all: &[Bar]) {
    const TOP: i32 = 56;
    const STEP: i32 = 56;
    const LEFT: i32 = 190;
    /// For what is written behind the longest bar.
    const RIGHT: i32 = 78;
    let text = |size: i32| ("sans-serif", size).into_font().color(&INK);
    area.draw(&Text::new(title.to_owned(), (16, 20), text(20))).unwrap();
    let longest = all.iter().map(|bar| bar.pieces.iter().map(|(value, _)| value).sum::<f64>()).fold(1e-9, f64::max);
    let width = f64::from(i32::try_from(area.dim_in_pixel().0).unwrap() - LEFT - RIGHT);
    for (place, bar) in (0_i32..).zip(all) {
        let top = TOP + place * STEP;
        let middle = top + 15;
        let name = text(16).pos(Pos::new(HPos::Right, VPos::Center));
        area.draw(&Text::new(bar.name.clone(), (LEFT - 10, middle), name)).unwrap();
        let mut from = LEFT;
        for (value, color) in &bar.pieces {
            let to = from + (value / longest * width).round() as i32;
            area.draw(&Rectangle::new([(from, top), (to.max(from + 1), top + 30)], color.filled())).unwrap();
            from = to;
        }
        let says = text(16).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(bar.says.clone(), (from + 6, middle), says)).unwrap();
    }
}

fn thousands(value: f64) -> String {
    let value = value.round() as u64;
    if value < 1000 { value.to_string() } else { format!("{},{:03}", value / 1000, value % 1000) }
}
