//! The newest frames in memory: all that are not settled, and those settled last, so that followers read from memory.

use std::collections::VecDeque;
use std::sync::Arc;

use allowlog_proto::frame::Frame;

/// Settled frames are kept up to this many bytes: under load a follower may be a second or two behind.
const WINDOW_BYTES: usize = 32 * 1024 * 1024;

/// Frames in order without a gap, up to the head.
pub(super) struct Recent {
    frames: VecDeque<Arc<Frame>>,
    head: u64,
    settled: u64,
    settled_bytes: usize,
    unsettled_bytes: usize,
}

impl Recent {
    /// Nothing in memory, everything settled.
    pub(super) const fn new(settled: u64) -> Self {
        Self { frames: VecDeque::new(), head: settled, settled, settled_bytes: 0, unsettled_bytes: 0 }
    }

    pub(super) const fn head(&self) -> u64 {
        self.head
    }

    /// Behind the last settled record.
    pub(super) const fn settled(&self) -> u64 {
        self.settled
    }

    /// Bytes of frames that are not settled.
    pub(super) const fn unsettled_bytes(&self) -> usize {
        self.unsettled_bytes
    }

    pub(super) fn push(&mut self, frame: Arc<Frame>) {
        assert_eq!(frame.header().first_sequence, self.head, "frames are shown in order");
        self.head = frame.header().end_sequence();
        self.unsettled_bytes = self.unsettled_bytes.saturating_add(frame.bytes().len());
        self.frames.push_back(frame);
    }

    /// Frames from the one that holds `sequence` on, up to about `bytes`; none if it is not in memory.
    pub(super) fn from(&self, sequence: u64, bytes: usize) -> Vec<Arc<Frame>> {
        let start = self.frames.partition_point(|frame| frame.header().end_sequence() <= sequence);
        let mut taken = 0_usize;
        let mut frames = Vec::new();
        for frame in self.frames.range(start..) {
            if taken >= bytes || (frames.is_empty() && frame.header().first_sequence > sequence) {
                break;
            }
            taken = taken.saturating_add(frame.bytes().len());
            frames.push(Arc::clone(frame));
        }
        frames
    }

    /// Told that everything before `sequence`, which is a frame's end, is settled.
    pub(super) fn settle(&mut self, sequence: u64) {
        let start = self.frames.partition_point(|frame| frame.header().end_sequence() <= self.settled);
        for frame in self.frames.range(start..).take_while(|frame| frame.header().end_sequence() <= sequence) {
            let bytes = frame.bytes().len();
            self.settled_bytes = self.settled_bytes.saturating_add(bytes);
            self.unsettled_bytes = self.unsettled_bytes.saturating_sub(bytes);
        }
        self.settled = self.settled.max(sequence);
        while self.settled_bytes > WINDOW_BYTES {
            let Some(frame) = self.frames.pop_front() else { break };
            self.settled_bytes = self.settled_bytes.saturating_sub(frame.bytes().len());
        }
    }

    /// A sequence from which a scan meets every record whose time is at least `time_ms`, if memory can tell.
    pub(super) fn locate(&self, time_ms: u64) -> Option<u64> {
        // What was before the first frame is not known here, so that one must begin before the time asked for.
        self.frames.front().filter(|first| first.header().first_time_ms < time_ms)?;
        let behind = self.frames.partition_point(|frame| frame.header().last_time_ms < time_ms);
        Some(self.frames.get(behind).map_or(self.head, |frame| frame.header().first_sequence))
    }
}
