//! A scan: from sled as long as memory does not reach back so far, then from memory, without a gap or a repetition.

use std::collections::VecDeque;
use std::sync::Arc;

use allowlog_proto::frame::Frame;

use crate::log::StoreError;
use crate::log::disk::volumes::Pages;
use crate::log::disk::{Shared, lock};

/// Frames taken from memory at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// Reads frames as they are asked for.
pub(super) struct Scan {
    shared: Arc<Shared>,
    /// What the next frame must begin with; at first, a sequence it must hold.
    next: u64,
    begun: bool,
    /// The head when the scan was made.
    end: u64,
    ready: VecDeque<Arc<Frame>>,
    pages: Option<Pages>,
}

impl Scan {
    pub(super) const fn new(shared: Arc<Shared>, sequence: u64, end: u64) -> Self {
        Self { shared, next: sequence, begun: false, end, ready: VecDeque::new(), pages: None }
    }

    /// Lets the frame out if it is the one that follows.
    fn check(&mut self, frame: Arc<Frame>) -> Result<Arc<Frame>, StoreError> {
        let (first, end) = (frame.header().first_sequence, frame.header().end_sequence());
        if first > self.next || end <= self.next || (self.begun && first != self.next) {
            let problem = format!("the frame that is stored there begins at {first}");
            return Err(self.fail(problem));
        }
        self.begun = true;
        self.next = end;
        Ok(frame)
    }

    /// Damage in a sealed volume is an error only if the volume cannot be made again.
    fn fill(&mut self) -> Result<(), StoreError> {
        let (next, end) = (self.next, self.end);
        let Err(error) = self.try_to_fill() else { return Ok(()) };
        self.pages = None;
        if !self.shared.volumes.heal(next, &error) {
            return Err(error);
        }
        (self.next, self.end) = (next, end);
        self.try_to_fill()
    }

    fn try_to_fill(&mut self) -> Result<(), StoreError> {
        // Memory first: what is settled while we read stays in memory until sled has it.
        let recent = lock(&self.shared.live).recent.from(self.next, PIECE_BYTES);
        if !recent.is_empty() {
            self.pages = None;
            self.ready.extend(recent);
            return Ok(());
        }
        // A reader that came to the end of its volume, or of what was there when it looked, is replaced once.
        for fresh in [false, true] {
            let pages = match &mut self.pages {
                Some(pages) if !fresh && pages.end().is_none_or(|end| self.next < end) => pages,
                _ => {
                    // Lets go of the volume before the next is opened.
                    self.pages = None;
                    self.pages.insert(self.shared.volumes.pages(self.next)?)
                }
            };
            while let Some(page) = pages.next_page()? {
                self.ready.extend(page.into_iter().filter(|frame| frame.header().end_sequence() > self.next));
                if !self.ready.is_empty() {
                    return Ok(());
                }
            }
        }
        Err(self.fail("the frame that belongs there is missing".to_owned()))
    }

    fn fail(&mut self, problem: String) -> StoreError {
        let sequence = self.next;
        self.stop();
        StoreError::Damaged { sequence, problem }
    }

    fn stop(&mut self) {
        self.next = self.end;
        self.ready.clear();
        self.pages = None;
    }
}

impl Iterator for Scan {
    type Item = Result<Arc<Frame>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        if self.ready.is_empty()
            && let Err(error) = self.fill()
        {
            self.stop();
            return Some(Err(error));
        }
        let frame = self.ready.pop_front()?;
        Some(self.check(frame))
    }
}
