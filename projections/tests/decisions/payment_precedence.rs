//! Precedence at the gate: for each pair of neighbours among the failures in `Code::ALL` there is a case in which both apply, or could,
//! and the earlier wins; and every code has its row.

use std::collections::BTreeSet;

use allowlog_proto::event::Code;

use crate::table;

const TABLE: &str = include_str!("tables/gate_precedence.txt");
const GATE: &str = include_str!("tables/gate.txt");

fn failures() -> Vec<Code> {
    Code::ALL.iter().copied().filter(|code| code.is_failure()).collect()
}

#[test]
fn every_pair_of_neighbours_has_its_case() {
    let failures = failures();
    let pairs: Vec<String> = failures.windows(2).map(|pair| format!("{} before {}", pair[0].as_str(), pair[1].as_str())).collect();
    let cases = table::cases(TABLE);
    let titles: Vec<&str> = cases.iter().map(|(title, _)| *title).collect();
    assert_eq!(titles, pairs);
    for (pair, (title, steps)) in failures.windows(2).zip(&cases) {
        let decided: Vec<&str> = steps.iter().flat_map(|step| &step.then).filter_map(|line| line.split(' ').next_back()).collect();
        assert_eq!(decided, [pair[0].as_str(), pair[1].as_str()], "{title}: the earlier wins, and without it the later decides");
    }
}

#[test]
fn the_earlier_of_each_pair_wins() {
    table::run(TABLE);
}

/// Passed codes stand before the one that decides, in the order of the tests.
#[test]
fn every_code_has_its_row_and_stands_in_its_place() {
    let order = [
        "DELEGATION_VALID",
        "DEVICE_TRUSTED",
        "DEVICE_UNVERIFIED",
        "MERCHANT_ALLOWED",
        "AMOUNT_CAPPED",
        "MANUAL_REVIEW_APPROVED",
        "STEP_UP_CONFIRMED",
    ];
    let mut seen = BTreeSet::new();
    for (title, steps) in table::cases(GATE) {
        for line in steps.iter().flat_map(|step| &step.then) {
            let Some((_, codes)) = line.split_once(" | ") else { continue };
            let codes: Vec<&str> = codes.split(' ').collect();
            let (last, passed) = codes.split_last().unwrap();
            let places = |codes: &[&str]| codes.iter().map(|code| order.iter().position(|known| known == code)).collect::<Vec<_>>();
            let is_allow = line.starts_with("ALLOW");
            let places = places(if is_allow { &codes } else { passed });
            assert!(places.is_sorted() && !places.contains(&None), "{title}: {line}");
            assert_eq!(is_allow, order.contains(last), "{title}: {line}");
            seen.extend(codes.into_iter().map(str::to_owned));
        }
    }
    let missing: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).filter(|code| !seen.contains(*code)).collect();
    assert_eq!(missing, Vec::<&str>::new(), "codes without a row in `tables/gate.txt`");
}
