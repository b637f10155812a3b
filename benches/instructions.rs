//! Instructions of the parts of a check, counted under valgrind and held against the recorded ones: a guard no clock can move.
//!
//! Each case runs twice in a process of its own, once for so many operations and once for twice as many: the difference is
//! what they take, without what comes before them. `instructions.txt` holds what was recorded; more than 5 % off it, either
//! way, is a failure, and `ALLOWLOG_REGENERATE=1` records anew. Nothing here depends on time, chance, threads or the order of
//! a hash map. What was recorded is of the profile `instructions`, as continuous integration builds it.
//!
//! Valgrind shows every x86-64 machine with AVX2 the same processor, without AVX-512 and without SHA instructions, so what
//! BLAKE3, SHA-256 and memchr choose by it is the same everywhere; on any other machine the counts are printed and not
//! compared. They are those of one compiler, one C compiler and one C library: a new one may need them recorded anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test or a bench that meets the unexpected must end")]

mod fixture;
mod parts;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, exit};

use parts::{Deciding, Encoding, Parsing, Part, Signing};

/// Set for the process that is counted: the case, and how many operations.
const COUNTED: &str = "ALLOWLOG_BENCH_COUNTED";
const RECORDED: &str = "benches/instructions.txt";
const TOLERANCE_PERCENT: f64 = 5.0;

/// A part of a check.
struct Case {
    name: &'static str,
    /// Operations of the first run; the second has twice as many.
    operations: usize,
    part: fn() -> Box<dyn Part>,
}

const CASES: [Case; 4] = [
    Case { name: "decide", operations: 1_000, part: || Box::new(Deciding::among(1_000)) },
    Case { name: "encode-chain", operations: 400, part: || Box::new(Encoding::among(10)) },
    Case { name: "canonical-sign", operations: 50, part: || Box::new(Signing::new()) },
    Case { name: "parse-authenticate", operations: 400, part: || Box::new(Parsing::new()) },
];

fn main() {
    if let Ok(counted) = std::env::var(COUNTED) {
        let (name, operations) = counted.split_once(' ').unwrap();
        let case = CASES.iter().find(|case| case.name == name).unwrap();
        let mut part = (case.part)();
        part.prepare(2 * case.operations);
        part.run(operations.parse().unwrap());
        // What is left of the operations is not dropped: that would be counted too.
        exit(0);
    }
    if !fixture::measures() {
        for case in &CASES {
            let mut part = (case.part)();
            part.prepare(4);
            part.run(4);
        }
        assert!(judge("case", 104, Some(100)).is_ok() && judge("case", 96, Some(100)).is_ok());
        assert!(judge("case", 106, Some(100)).is_err() && judge("case", 94, Some(100)).is_err() && judge("case", 100, None).is_err());
        return println!("each case runs, and the guard refuses what is 6 % off");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(RECORDED);
    let counts: Vec<(&str, u64)> = CASES.iter().map(|case| (case.name, instructions(case))).collect();
    let incomparable = incomparable();
    if std::env::var_os("ALLOWLOG_REGENERATE").is_some() {
        assert_eq!(incomparable, None, "only comparable counts are recorded");
        let mut text = String::from("# Instructions of one operation, as `instructions.rs` recorded them.\n");
        counts.iter().for_each(|(name, count)| writeln!(text, "{name} {count}").unwrap());
        std::fs::write(&path, text).unwrap();
    }
    let recorded = std::fs::read_to_string(path).unwrap_or_default();
    let recorded = |name: &str| {
        let mut lines = recorded.lines().filter_map(|line| line.split_once(' '));
        lines.find_map(|(of, count)| (of == name).then(|| count.parse().ok())?)
    };
    let mut failed = false;
    for (name, count) in counts {
        let judged = judge(name, count, recorded(name));
        failed |= judged.is_err();
        println!("{}", judged.unwrap_or_else(|wrong| format!("OFF {wrong}")));
    }
    match incomparable {
        Some(why) => println!("that counts for nothing: {why}"),
        None => exit(i32::from(failed)),
    }
}

/// Why counts of this build on this machine say nothing about those that were recorded.
fn incomparable() -> Option<&'static str> {
    let program = std::env::current_exe().unwrap();
    if !program.components().any(|part| part.as_os_str() == "instructions") {
        return Some("this is not the profile `instructions`");
    }
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        return None;
    }
    Some("what was recorded is of x86-64 with AVX2")
}

fn judge(name: &str, count: u64, recorded: Option<u64>) -> Result<String, String> {
    let Some(recorded) = recorded else { return Err(format!("{name}: {count} instructions, of which nothing is recorded")) };
    let percent = (count as f64 / recorded as f64 - 1.0) * 100.0;
    let told = format!("{name}: {count} instructions, recorded {recorded}, {percent:+.2} %");
    if percent.abs() <= TOLERANCE_PERCENT { Ok(told) } else { Err(told) }
}

/// Of one operation.
fn instructions(case: &Case) -> u64 {
    let [once, twice] = [1, 2].map(|times| collected(case.name, times * case.operations));
    (twice - once) / case.operations as u64
}

/// Of a whole process.
fn collected(name: &str, operations: usize) -> u64 {
    let mut valgrind = Command::new("valgrind");
    let valgrind = valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(std::env::current_exe().unwrap());
    let output = valgrind.env(COUNTED, format!("{name} {operations}")).output().expect("valgrind is installed");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let count = told.lines().find_map(|line| line.split_once("Collected : ")).expect("callgrind tells what it collected").1;
    count.trim().parse().unwrap()
}
