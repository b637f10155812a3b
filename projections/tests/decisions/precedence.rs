//! Precedence: for each pair of neighbours in `Reason::ALL` there is a case in which both apply and the earlier wins.

use allowlog_proto::reason::Reason;

use crate::table;

const TABLE: &str = include_str!("tables/precedence.txt");
const LADDER: &str = include_str!("../../src/decide/check.rs");

/// Whether the ladder of this release can answer with the reason. A new reason does not compile until it is placed here.
pub(crate) const fn is_reached(reason: Reason) -> bool {
    match reason {
        Reason::AuthorizationNotFound
        | Reason::AuthorizationRevoked
        | Reason::AuthorizationExpired
        | Reason::ScopeNotAuthorized
        | Reason::RateLimitExceeded
        | Reason::EscalationRejected
        | Reason::EscalationRequired
        | Reason::ScopeRequiresUserConfirmation
        | Reason::AuthorizationGrantedViaEscalation
        | Reason::AuthorizationGrantedViaConfirmation
        | Reason::AuthorizationGrantedScopeActive => true,
        // Tombstones, budgets and conditions come with later releases.
        Reason::ResourceTombstoned
        | Reason::BudgetExceeded
        | Reason::DenyConditionMatched
        | Reason::EscalateConditionMatched
        | Reason::ContextFieldMissing
        | Reason::ConfirmConditionMatched => false,
    }
}

pub(crate) fn reached() -> Vec<Reason> {
    Reason::ALL.iter().copied().filter(|reason| is_reached(*reason)).collect()
}

#[test]
fn the_ladder_names_what_is_reached_and_nothing_else() {
    for reason in Reason::ALL {
        let named = LADDER.contains(&format!("Reason::{reason:?}"));
        assert_eq!(named, is_reached(*reason), "{reason:?}: its place in `is_reached` is stale");
    }
}

#[test]
fn the_rungs_stand_in_the_order_of_all() {
    let places: Vec<_> = reached().iter().map(|reason| LADDER.find(&format!("Reason::{reason:?}"))).collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn every_pair_of_neighbours_has_its_case() {
    let reached = reached();
    let pairs: Vec<String> = reached.windows(2).map(|pair| format!("{} before {}", pair[0].as_str(), pair[1].as_str())).collect();
    let cases = table::cases(TABLE);
    let titles: Vec<&str> = cases.iter().map(|(title, _)| *title).collect();
    assert_eq!(titles, pairs);
    for (pair, (title, steps)) in reached.windows(2).zip(&cases) {
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
