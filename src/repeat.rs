//! A retry: the first answer again, made from the records that the first request led to. So it is the same after a crash.

use std::sync::Arc;

use allowlog_projections::decide::Outcome;
use allowlog_projections::state::Answered;

use crate::log::{Store, StoreError};
use crate::receipts::records;

/// What was answered to the request that led to these records.
///
/// # Errors
/// If the log cannot be read, or what is stored there answers nothing.
pub fn outcome(store: &Arc<dyn Store>, answered: Answered) -> Result<Outcome, StoreError> {
    let records = records(store, answered.first..answered.first.saturating_add(answered.count))?;
    let time = records.first().map(|record| record.time);
    let events: Vec<_> = records.into_iter().map(|record| record.event).collect();
    let nothing = || StoreError::Damaged { sequence: answered.first, problem: "the records there answer no request".to_owned() };
    time.and_then(|time| Outcome::of(&events, time)).ok_or_else(nothing)
}
