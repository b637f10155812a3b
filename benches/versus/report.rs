//! What came of it, as Markdown: medians of the rounds, and ratios of what was measured in the same round.

use std::fmt::Write as _;
use std::time::Duration;

use crate::fixture::quantile;
use crate::load::Load;
use crate::machine::Bench;
use crate::rows;
use crate::server::{Disk, Tenants};
use crate::subject::Lag;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Echo,
    Allowlog,
    Postgres,
    /// The same, which also signs receipts and keeps lists.
    PostgresLists,
    Redis,
}

/// A load on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    pub side: Side,
    pub connections: u32,
    /// All ask about one authorization.
    pub is_hot: bool,
    /// As many connections as a peer answers most checks with.
    pub is_best: bool,
}

/// One load of one round; processor time is in microseconds a request.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    pub load: Load,
    pub front_us: f64,
    pub database_us: f64,
    pub behind_us: f64,
    /// Right when the load ended.
    pub lag: Option<Lag>,
    /// The same.
    pub resident_bytes: u64,
    /// Until followers had done everything that the load had left to be done.
    pub rested: Duration,
    pub events_per_sync: Option<f64>,
    /// What the disk took for 4 KiB just before.
    pub fdatasync_us: Option<f64>,
}

/// What a peer did while its best number of connections was sought.
#[derive(Debug, Clone, Copy)]
pub struct Tried {
    pub case: Case,
    pub rate: f64,
}

/// The most connections that the followers kept up with.
#[derive(Debug, Clone)]
pub struct Held {
    pub connections: u32,
    pub rate: f64,
    pub signing_s: f64,
    pub search_s: f64,
    pub time: Duration,
    /// Connections, seconds behind at most, and how long it was tried.
    pub tried: Vec<(u32, f64, Duration)>,
}

#[derive(Debug)]
pub struct Report {
    pub machine: String,
    pub setting: String,
    pub cases: Vec<(Case, Vec<Measured>)>,
    pub tried: Vec<Tried>,
    pub held: Option<Held>,
    pub disk: Disk,
}

impl Side {
    /// Those whose best number of connections is sought, for all authorizations and for a hot one.
    pub const SOUGHT: [(Self, bool); 5] =
        [(Self::Postgres, false), (Self::Postgres, true), (Self::PostgresLists, false), (Self::PostgresLists, true), (Self::Redis, false)];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo (the ceiling)",
            Self::Allowlog => "allowlog",
            Self::Postgres => "PostgreSQL",
            Self::PostgresLists => "PostgreSQL with signed receipts and lists",
            Self::Redis => "Redis",
        }
    }
}

impl Case {
    pub fn name(&self) -> String {
        let hot = if self.is_hot { ", one authorization" } else { "" };
        format!("{}, {} connection{}{hot}", self.side.name(), self.connections, if self.connections == 1 { "" } else { "s" })
    }
}

impl Measured {
    /// Processor time until the answer: a database is in its way, followers are not.
    pub fn answered_us(&self) -> f64 {
        self.front_us + self.database_us
    }
}

/// The middle one.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    (!values.is_empty()).then(|| quantile(&values, 0.5))
}

impl Report {
    pub fn new(bench: &Bench, tenants: &Tenants) -> Self {
        let (body, answer) = (crate::load::body(&tenants.authorizations[0].1, 0).len(), tenants.answer_bytes);
        let setting = format!(
            "{} authorizations in {} workspaces, bodies of {body} bytes, answers of {answer}; median of {} rounds of {} s a load, \
             the sides in turn within each round; client and server share the machine. RSS when a load ends.",
            tenants.authorizations.len(),
            tenants.api_keys.len(),
            bench.rounds,
            bench.seconds,
        );
        Self { machine: bench.describe(), setting, cases: Vec::new(), tried: Vec::new(), held: None, disk: Disk::default() }
    }

    pub fn add(&mut self, case: Case, measured: Measured) {
        match self.cases.iter_mut().find(|(known, _)| *known == case) {
            Some((_, rounds)) => rounds.push(measured),
            None => self.cases.push((case, vec![measured])),
        }
    }

    /// The rounds of a case, if it was measured.
    pub fn rounds(&self, side: Side, connections: u32, is_hot: bool) -> &[Measured] {
        let is_it = |case: &Case| case.side == side && case.connections == connections && case.is_hot == is_hot;
        self.cases.iter().find(|(case, _)| is_it(case)).map_or(&[], |(_, rounds)| rounds)
    }

    /// The same with as many connections as the side is best with.
    pub fn best(&self, side: Side, is_hot: bool) -> &[Measured] {
        let is_it = |case: &Case| case.side == side && case.is_best && case.is_hot == is_hot;
        self.cases.iter().find(|(case, _)| is_it(case)).map_or(&[], |(_, rounds)| rounds)
    }

    /// Everything.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let parts = [self.sides(), self.ours(), self.signed(), rows::markdown(self), self.notes()];
        writeln!(text, "# allowlog and its peers\n\n{}.\n\n{}\n", self.machine, self.setting).unwrap();
        text.push_str(&parts.join("\n"));
        text
    }

    fn sides(&self) -> String {
        let mut text = String::from(
            "| | connections | requests/s | of the ceiling | allowlog by this | p50 ms | p99 ms | CPU µs to the answer | CPU µs of it in the database | \
             CPU µs of followers | RSS MB |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
        );
        for (case, rounds) in &self.cases {
            let of = |value: &dyn Fn(&Measured) -> f64| median(rounds.iter().map(value)).unwrap_or_default();
            let ceiling = self.rounds(Side::Echo, if case.connections == 1 { 1 } else { 64 }, false);
            let of_ceiling = ratio(rounds, ceiling, |m| m.load.rate()).unwrap_or_default();
            let ours = self.rounds(Side::Allowlog, if case.connections == 1 { 1 } else { 64 }, case.is_hot);
            let ours = ratio(ours, rounds, |m| m.load.rate()).unwrap_or_default();
            // Nothing where there is none.
            let shown = |value: f64| if value > 0.0 { format!("{value:.1}") } else { String::new() };
            let resident = of(&|m| m.resident_bytes as f64) / 1e6;
            writeln!(
                text,
                "| {}{}{} | {} | {:.0} | {of_ceiling:.2} | {ours:.2} | {:.2} | {:.2} | {:.1} | {} | {} | {resident:.0} |",
                case.side.name(),
                if case.is_hot { ", one hot authorization" } else { "" },
                if case.is_best { ", at its best" } else { "" },
                case.connections,
                of(&|m| m.load.rate()),
                of(&|m| m.load.p50_us) / 1e3,
                of(&|m| m.load.p99_us) / 1e3,
                of(&Measured::answered_us),
                shown(of(&|m| m.database_us)),
                shown(of(&|m| m.behind_us)),
            )
            .unwrap();
        }
        text
    }

    /// What only the server has.
    fn ours(&self) -> String {
        let rounds = self.rounds(Side::Allowlog, 64, false);
        let lone = self.rounds(Side::Allowlog, 1, false);
        let of = |value: &dyn Fn(&Measured) -> Option<f64>| median(rounds.iter().filter_map(value)).unwrap_or_default();
        let disk = &self.disk;
        let per_event = |bytes: u64| bytes as f64 / disk.events.max(1) as f64;
        let parts = disk.parts.iter().filter(|(_, bytes)| per_event(*bytes) >= 1.0);
        let parts: Vec<String> = parts.map(|(name, bytes)| format!("`{name}` {:.0}", per_event(*bytes))).collect();
        let mut text = String::from("| allowlog | |\n|---|---|\n");
        let mut row = |name: &str, value: String| writeln!(text, "| {name} | {value} |").unwrap();
        row("events per fdatasync, 64 connections", format!("{:.1}", of(&|m| m.events_per_sync)));
        let signing =
            format!("{:.0} records, {:.2} s", of(&|m| Some(m.lag?.signing_records as f64)), of(&|m| Some(m.lag?.signing_seconds)));
        row("signing behind, when the load of 64 ends", signing);
        let search = format!("{:.0} records, {:.2} s", of(&|m| Some(m.lag?.search_records as f64)), of(&|m| Some(m.lag?.search_seconds)));
        row("search behind, when the load of 64 ends", search);
        row("until all followers have caught up", format!("{:.1} s", of(&|m| Some(m.rested.as_secs_f64()))));
        if let Some(held) = &self.held {
            let value = format!("{:.0} checks/s; signing {:.2} s behind at most, search {:.2} s", held.rate, held.signing_s, held.search_s);
            row(&format!("held by {} connections for {:.0} s", held.connections, held.time.as_secs_f64()), value);
        }
        let syncs = median(lone.iter().filter_map(|m| m.fdatasync_us)).unwrap_or_default();
        row("fdatasync of 4 KiB, zero-filled file, p50", format!("{syncs:.0} µs"));
        row("disk per event", format!("{:.0} bytes ({}), {} events", disk.bytes_per_event(), parts.join(", "), disk.events));
        row("journal, zero-filled ahead and reused, not counted in that", format!("{} MB", disk.journal_bytes / 1_000_000));
        text
    }

    /// How the PostgreSQL side that signs keeps up with it.
    fn signed(&self) -> String {
        let side = Side::PostgresLists;
        let cases = self.cases.iter().filter(|(case, _)| case.side == side);
        let line = |(case, rounds): &(Case, Vec<Measured>)| {
            let of = |value: &dyn Fn(&Measured) -> Option<f64>| median(rounds.iter().filter_map(value)).unwrap_or_default();
            let (records, seconds) = (of(&|m| Some(m.lag?.signing_records as f64)), of(&|m| Some(m.lag?.signing_seconds)));
            let caught_up = of(&|m| Some(m.rested.as_secs_f64()));
            let hot = if case.is_hot { ", one hot authorization" } else { "" };
            format!("| {}{hot} | {records:.0} | {seconds:.2} | {caught_up:.1} |\n", case.connections)
        };
        let lines: String = cases.map(line).collect();
        if lines.is_empty() {
            return lines;
        }
        let name = side.name();
        format!(
            "| {name}, connections | not signed when the load ends | the oldest, s | until all are signed, s |\n|---|---|---|---|\n{lines}"
        )
    }

    fn notes(&self) -> String {
        let mut text = String::new();
        for (side, is_hot) in Side::SOUGHT {
            let tried = self.tried.iter().filter(|tried| tried.case.side == side && tried.case.is_hot == is_hot);
            let rates: Vec<String> = tried.map(|tried| format!("{} at {}", tried.rate as u64, tried.case.connections)).collect();
            if !rates.is_empty() {
                let hot = if is_hot { ", one hot authorization" } else { "" };
                writeln!(text, "{}{hot}, requests/s when its best was sought: {}.\n", side.name(), rates.join(", ")).unwrap();
            }
        }
        if let Some(held) = &self.held {
            let tried = held.tried.iter().map(|(connections, behind, time)| {
                format!("{connections}: {behind:.1} s behind at most, within {:.0} s", time.as_secs_f64())
            });
            writeln!(text, "Connections whose load was to be held: {}.", tried.collect::<Vec<_>>().join("; ")).unwrap();
        }
        text
    }
}

/// The median over the rounds of one value of ours by the same of theirs.
pub fn ratio(ours: &[Measured], theirs: &[Measured], value: impl Fn(&Measured) -> f64) -> Option<f64> {
    median(ours.iter().zip(theirs).map(|(ours, theirs)| value(ours) / value(theirs)))
}
