//! Precedence: for each pair of neighbours in `Reason::ALL` there is a case in which both apply and the earlier wins.

use allowlog_proto::reason::Reason;

use crate::table;

const TABLE: &str = include_str!("tables/precedence.txt");
const LADDER: &str = include_str!("../../src/decide/check.rs");

#[test]
fn the_ladder_names_every_reason() {
    for reason in Reason::ALL {
        assert!(LADDER.contains(&format!("Reason::{reason:?}")), "{reason:?} is answered nowhere");
    }
}

#[test]
fn the_rungs_stand_in_the_order_of_all() {
    let places: Vec<_> = Reason::ALL.iter().map(|reason| LADDER.find(&format!("Reason::{reason:?}"))).collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn every_pair_of_neighbours_has_its_case() {
    let pairs: Vec<String> = Reason::ALL.windows(2).map(|pair| format!("{} before {}", pair[0].as_str(), pair[1].as_str())).collect();
    let cases = table::cases(TABLE);
    let titles: Vec<&str> = cases.iter().map(|(title, _)| *title).collect();
    assert_eq!(titles, pairs);
    for (pair, (title, steps)) in Reason::ALL.windows(2).zip(&cases) {
        let answers: Vec<&str> = steps.iter().flat_map(|step| &step.then).filter_map(|line| line.split(' ').nth(1)).collect();
        let place = |reason: Reason| answers.iter().position(|answer| *answer == reason.as_str());
        let (earlier, later) = (place(pair[0]), place(pair[1]));
        assert!(earlier.is_some() && earlier < later, "{title}: the earlier wins, and without it the later decides");
    }
}

#[test]
fn the_earlier_of_each_pair_wins() {
    table::run(TABLE);
}
