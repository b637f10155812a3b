//! The log itself as the index of what is not in the index yet: read in either direction, filtered by the same terms.

use std::collections::VecDeque;
use std::ops::Range;

use allowlog_proto::chain::Hash;
use allowlog_proto::frame::Frame;
use allowlog_proto::record::Record;

use crate::log::{Store, StoreError};
use crate::search::terms::Filter;

/// Records read first when reading backwards; each further piece is twice as long.
const WINDOW: u64 = 512;

/// A record that leads to what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Its place in the log.
    pub sequence: u64,
    /// Its hash.
    pub hash: Hash,
    /// What it says.
    pub record: Record,
}

/// The first hits of a range of the log, at most `want`.
pub(super) fn first(store: &dyn Store, filter: &Filter, range: Range<u64>, want: usize) -> Result<Vec<Hit>, StoreError> {
    matching(store, filter, range).take(want).collect()
}

/// How many hits a range of the log has.
pub(super) fn count(store: &dyn Store, filter: &Filter, range: Range<u64>) -> Result<u64, StoreError> {
    matching(store, filter, range).try_fold(0_u64, |count, hit| hit.map(|_| count.saturating_add(1)))
}

/// The last hits of a range of the log, at most `want`, the last one first.
pub(super) fn last(store: &dyn Store, filter: &Filter, range: Range<u64>, want: usize) -> Result<Vec<Hit>, StoreError> {
    let mut hits = Vec::new();
    let (mut end, mut window) = (range.end, WINDOW);
    while end > range.start && hits.len() < want {
        let start = end.saturating_sub(window).max(range.start);
        let missing = want.saturating_sub(hits.len());
        let mut found = VecDeque::new();
        for hit in matching(store, filter, start..end) {
            found.push_back(hit?);
            if found.len() > missing {
                found.pop_front();
            }
        }
        hits.extend(found.into_iter().rev());
        (end, window) = (start, window.saturating_mul(2));
    }
    Ok(hits)
}

/// The records at these places, in their order. Those of one frame that stand behind each other are read at once: a frame
/// may hold thousands, and all of it is hashed before any of it is believed.
pub(super) fn at(store: &dyn Store, sequences: &[u64]) -> Result<Vec<Hit>, StoreError> {
    let mut hits = Vec::with_capacity(sequences.len());
    let mut rest = sequences;
    while let Some(next) = rest.first() {
        let missing = |sequence| damaged(sequence, "the record is missing".to_owned());
        let frame = store.scan(*next).next().ok_or_else(|| missing(*next))??;
        let records: Vec<_> = frame.records().map_err(|e| damaged(*next, e.to_string()))?.collect();
        let bytes_at = |sequence: u64| {
            let place = sequence.checked_sub(frame.header().first_sequence)?;
            usize::try_from(place).ok().and_then(|place| records.get(place)).copied()
        };
        let here = rest.iter().map_while(|sequence| Some((*sequence, bytes_at(*sequence)?)));
        let before = hits.len();
        for (sequence, (bytes, hash)) in here {
            let record = Record::decode(bytes).map_err(|e| damaged(sequence, e.to_string()))?;
            hits.push(Hit { sequence, hash, record });
        }
        let read = hits.len().saturating_sub(before);
        rest = rest.get(read..).filter(|_| read > 0).ok_or_else(|| missing(*next))?;
    }
    Ok(hits)
}

/// The hits of a range of the log, read as they are asked for.
fn matching<'a>(store: &dyn Store, filter: &'a Filter, range: Range<u64>) -> impl Iterator<Item = Result<Hit, StoreError>> + use<'a> {
    let Range { start, end } = range;
    // Made even if the range is empty; it reads nothing until it is asked.
    let frames = store.scan(start);
    let frames = frames.take_while(move |frame| frame.as_ref().map_or(true, |frame| start < end && frame.header().first_sequence < end));
    frames.flat_map(move |frame| match frame.and_then(|frame| of_frame(&frame, filter, start..end)) {
        Ok(hits) => hits.into_iter().map(Ok).collect::<Vec<_>>(),
        Err(error) => vec![Err(error)],
    })
}

fn of_frame(frame: &Frame, filter: &Filter, range: Range<u64>) -> Result<Vec<Hit>, StoreError> {
    let header = frame.header();
    if !filter.is_late_enough(header.last_time_ms) || !filter.is_early_enough(header.first_time_ms) {
        return Ok(Vec::new());
    }
    let mut hits = Vec::new();
    let records = frame.records().map_err(|e| damaged(header.first_sequence, e.to_string()))?;
    for (sequence, (bytes, hash)) in (header.first_sequence..).zip(records) {
        if range.contains(&sequence) {
            let record = Record::decode(bytes).map_err(|e| damaged(sequence, e.to_string()))?;
            if filter.matches(&record) {
                hits.push(Hit { sequence, hash, record });
            }
        }
    }
    Ok(hits)
}

fn damaged(sequence: u64, problem: String) -> StoreError {
    StoreError::Damaged { sequence, problem }
}
