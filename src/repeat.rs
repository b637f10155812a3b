//! A retry: the first answer again, made from the records that the first request led to. So it is the same after a crash.

use std::sync::Arc;

use allowlog_projections::decide::Outcome;
use allowlog_projections::state::Answered;
use allowlog_proto::record::Record;

use crate::log::{Store, StoreError};

/// What was answered to the request that led to these records.
///
/// # Errors
/// If the log cannot be read, or what is stored there answers nothing.
pub fn outcome(store: &Arc<dyn Store>, answered: Answered) -> Result<Outcome, StoreError> {
    let damaged = |problem: String| StoreError::Damaged { sequence: answered.first, problem };
    // All records of a command are in one frame.
    let frame = store.scan(answered.first).next().ok_or_else(|| damaged("there is no such record".to_owned()))??;
    let first = frame.header().first_sequence;
    let wanted = answered.first..answered.first.saturating_add(answered.count);
    let (mut events, mut time) = (Vec::new(), None);
    for (sequence, (bytes, _)) in (first..).zip(frame.records().map_err(|e| damaged(e.to_string()))?) {
        if wanted.contains(&sequence) {
            let record = Record::decode(bytes).map_err(|e| damaged(e.to_string()))?;
            time.get_or_insert(record.time);
            events.push(record.event);
        }
    }
    let outcome = time.and_then(|time| Outcome::of(&events, time));
    outcome.ok_or_else(|| damaged("the records there answer no request".to_owned()))
}
