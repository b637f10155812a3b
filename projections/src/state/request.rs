//! Requests that callers named, and where in the log their answers are: a retry is answered from there.

use allowlog_proto::id::WorkspaceId;
use allowlog_proto::limits::IDEMPOTENCY_LIFE_MS;
use allowlog_proto::record::{Record, Request};
use allowlog_proto::time::Timestamp;

use super::stored::stored;
use super::{Lapse, State};

/// A request that was answered, by the records it led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// Log sequence of the first record.
    pub first: u64,
    /// Records of the same command behind each other, at least 1.
    pub count: u64,
    fingerprint: [u8; 16],
    until: Timestamp,
}

stored!(Answered { first, count, fingerprint, until });

impl Answered {
    /// Whether it was the same that was asked.
    pub fn is_same(&self, request: &Request) -> bool {
        self.fingerprint == request.fingerprint
    }
}

impl State {
    /// What a request of this name came to, less than 24 h ago.
    pub fn answered(&self, workspace_id: WorkspaceId, request: &Request, now: Timestamp) -> Option<Answered> {
        let answered = self.requests.get(&(workspace_id, request.idempotency_key.clone()))?;
        (now < answered.until).then_some(*answered)
    }

    pub(super) fn remember_request(&mut self, record: &Record) {
        let Some(request) = &record.request else { return };
        let until = record.time.saturating_add_ms(IDEMPOTENCY_LIFE_MS);
        let key = (record.workspace_id, request.idempotency_key.clone());
        let first = self.next_sequence;
        let answered = self.requests.entry(key).or_insert(Answered { first, count: 0, fingerprint: request.fingerprint, until });
        assert!(answered.is_same(request), "a name is given to one request");
        assert!(answered.first.checked_add(answered.count) == Some(first), "the records of a command follow each other");
        answered.count = answered.count.saturating_add(1);
        self.lapses.insert((until, Lapse::Request(record.workspace_id, request.idempotency_key.clone())));
    }
}
