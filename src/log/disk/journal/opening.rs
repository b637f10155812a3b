//! Opening the journal: what it holds beyond the settled log, and whether that is all.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use allowlog_proto::frame::Frame;

use super::format::{
    FRAMES_START, HEADER_BYTES, Header, Marks, Position, bytes_of, end_without_header, frame_at, goes_on, marked, seal_place, sealed_from,
    settled_place, valid_frame_from,
};
use super::{Blank, Current, Journal, damaged};
use crate::log::StoreError;
use crate::log::disk::cannot;
use crate::log::disk::files::Files;

/// What the journal holds beyond the settled log.
pub(in crate::log::disk) struct Opened {
    pub(in crate::log::disk) journal: Journal,
    pub(in crate::log::disk) unsettled: Vec<Frame>,
}

/// A file as it was found.
struct Found {
    blank: Blank,
    /// The header, if it can be read.
    header: Option<Header>,
}

impl Found {
    /// The header, if the file was begun in the generation of its name.
    fn begun(&self) -> Option<Header> {
        self.header.filter(|header| header.generation == self.blank.generation)
    }
}

/// How far the frames of one file go.
struct Walk {
    /// Behind the last frame that follows from the ones before it.
    end: Position,
    /// Where in the file that is.
    offset: u64,
    /// The last frame, with its place.
    last: Option<(Frame, u64)>,
}

impl Journal {
    /// Opens the journal behind what is settled. With `write` unset nothing on disk is changed.
    pub(in crate::log::disk) fn open(
        files: Arc<dyn Files>,
        dir: &Path,
        file_bytes: u64,
        settled: Position,
        write: bool,
    ) -> Result<Opened, StoreError> {
        let mut found = find(files.as_ref(), dir)?;
        found.sort_by_key(|f| f.blank.generation);
        let next_generation = found.last().map_or(0, |f| f.blank.generation).saturating_add(1);
        let (begun, blank): (Vec<Found>, Vec<Found>) = found.into_iter().partition(|f| f.begun().is_some());
        let mut journal = Self {
            files,
            dir: dir.to_owned(),
            file_bytes,
            current: None,
            full: Vec::new(),
            spares: VecDeque::new(),
            retired: Vec::new(),
            preparing: 0,
            next_generation,
            begun: 0,
            head: settled,
            settled: settled.sequence,
            archived: u64::MAX,
            failed: None,
        };
        let mut unsettled = Vec::new();
        let tail = journal.walk_all(&begun, settled, &mut unsettled)?;
        for found in blank.iter().filter(|found| found.header.is_none()) {
            // A header is durable before the first frame is written, so frames without one are damage, not a crash.
            let bytes = read(journal.files.as_ref(), &found.blank)?;
            if end_without_header(&bytes) > journal.head.sequence {
                return Err(damaged(journal.head.sequence, &found.blank.path, "the header of a file with frames cannot be read"));
            }
        }
        // The file that is appended to reaches at least as far as what is settled, and there is one from the first append on.
        let end = tail.as_ref().map_or(0, |walk| walk.end.sequence);
        if end < settled.sequence {
            return Err(damaged(end, dir, "the journal ends before the settled log does: a file of it is missing, cut or an old one"));
        }
        if write {
            journal.take_over(begun, blank, tail)?;
        }
        Ok(Opened { journal, unsettled })
    }

    /// Walks the files in order and collects the frames behind `settled`; moves the head behind the last of them.
    fn walk_all(&mut self, begun: &[Found], settled: Position, unsettled: &mut Vec<Frame>) -> Result<Option<Walk>, StoreError> {
        let mut tail = None;
        let mut expected: Option<Position> = None;
        for (at, found) in begun.iter().enumerate() {
            let Some(header) = found.begun() else { continue };
            let next = begun.get(at.saturating_add(1)).and_then(Found::begun).map(|h| h.first);
            if let Some(next) = next.filter(|next| next.sequence <= settled.sequence) {
                // Settled to its end: that the next file begins at the settled place is checked there.
                self.full.push((found.blank.clone(), next.sequence));
                continue;
            }
            let path = &found.blank.path;
            if found.blank.bytes < header.bytes {
                return Err(damaged(settled.sequence, path, "the file is shorter than it was made"));
            }
            match expected {
                None if header.first.sequence > settled.sequence => {
                    return Err(damaged(settled.sequence, path, "the frames before this file are missing"));
                }
                Some(expected) if header.first != expected => {
                    return Err(damaged(expected.sequence, path, "the file does not follow from the one before it"));
                }
                None | Some(_) => {}
            }
            let bytes = read(self.files.as_ref(), &found.blank)?;
            let walk = walk(&bytes, path, header, settled, next, unsettled)?;
            if let Some(next) = next {
                self.full.push((found.blank.clone(), next.sequence));
            }
            expected = Some(walk.end);
            tail = Some(walk);
        }
        if let Some(last) = unsettled.last() {
            self.head = Position::behind(last);
        }
        Ok(tail)
    }

    /// Makes durable what was found, and takes the files for writing.
    fn take_over(&mut self, mut begun: Vec<Found>, blank: Vec<Found>, tail: Option<Walk>) -> Result<(), StoreError> {
        // Renames and creations before a crash may not be durable yet.
        self.files.sync_dir(&self.dir).map_err(cannot("sync", &self.dir))?;
        if let (Some(Found { blank, header: Some(header) }), Some(walk)) = (begun.pop(), tail) {
            let file = self.files.open(&blank.path).map_err(cannot("open", &blank.path))?;
            // The last frame may stem from an append that failed or was cut short: it may be in the cache and not on disk,
            // even if an fdatasync would say otherwise. Written again it is durable, and only then shown to anybody.
            let marks = header.marks();
            let last = walk.last.as_ref().map(|(frame, offset)| file.write_at(&marked(marks.mark, frame), *offset));
            let written = file.write_at(&header.bytes(), 0).and_then(|()| last.unwrap_or(Ok(()))).and_then(|()| file.sync_data());
            written.map_err(cannot("make durable", &blank.path))?;
            if let Some((frame, offset)) = &walk.last {
                // Now the frame counts, so its loss must be noticed. Without the seal all is as well as before it.
                drop(file.write_at(&marks.seal, seal_place(frame, *offset)));
            }
            if walk.end == self.head {
                self.current = Some(Current { blank, file, marks, first: header.first.sequence, position: walk.offset });
            } else {
                // All of it is settled, and the log went on elsewhere.
                self.full.push((blank, walk.end.sequence.min(self.head.sequence)));
            }
        }
        let begun = self.current.as_ref().map(|c| c.blank.generation).into_iter().chain(self.full.iter().map(|(b, _)| b.generation)).max();
        self.begun = begun.unwrap_or_default();
        for Found { blank, .. } in blank {
            if blank.bytes < self.file_bytes {
                // Its making was cut short, or sizes were changed.
                self.files.remove(&blank.path).map_err(cannot("remove", &blank.path))?;
            } else if self.begun > blank.generation {
                self.retired.push(blank);
            } else {
                self.spares.push_back(blank);
            }
        }
        Ok(())
    }
}

/// Follows the frames of one file; those that end behind `settled` are added to `unsettled`.
fn walk(
    bytes: &[u8],
    path: &Path,
    header: Header,
    settled: Position,
    next: Option<Position>,
    unsettled: &mut Vec<Frame>,
) -> Result<Walk, StoreError> {
    let disagree = || damaged(settled.sequence, path, "the journal and the settled log disagree");
    let (first, Marks { mark, seal, more }) = (header.first, header.marks());
    let mut walk = Walk { end: first, offset: FRAMES_START, last: None };
    if first.sequence == settled.sequence && first != settled {
        return Err(disagree());
    }
    // What a later file says it begins with makes void whatever else stands here.
    while next.is_none_or(|next| walk.end.sequence < next.sequence) {
        let Some(frame) = frame_at(bytes, walk.offset, Some(mark)).filter(|frame| walk.end.precedes(frame)) else {
            let behind = walk.end.sequence.saturating_add(1).max(settled.sequence);
            match (settled_place(bytes, mark, settled), next) {
                // Damaged where it no longer matters: go on where the settled log ends.
                (Some(offset), _) if walk.end.sequence < settled.sequence => {
                    walk = Walk { end: settled, offset, last: None };
                    continue;
                }
                // Never answered: a frame that was has its seal, or another one behind it.
                (_, None) if goes_on(bytes, more, walk.offset) => {
                    return Err(damaged(walk.end.sequence, path, "the file that follows is missing"));
                }
                (_, None) if !sealed_from(bytes, seal, walk.offset) && !valid_frame_from(bytes, mark, walk.offset, behind) => break,
                _ => return Err(damaged(walk.end.sequence.max(settled.sequence), path, "a frame in the middle cannot be read")),
            }
        };
        let place = walk.offset;
        walk.offset = place.saturating_add(bytes_of(&frame));
        walk.end = Position::behind(&frame);
        if frame.header().first_sequence < settled.sequence {
            // A frame across the settled place, or another one before it, is not what was settled.
            if walk.end.sequence > settled.sequence || (walk.end.sequence == settled.sequence && walk.end != settled) {
                return Err(disagree());
            }
        } else {
            unsettled.push(frame.clone());
        }
        walk.last = Some((frame, place));
    }
    Ok(walk)
}

fn find(files: &dyn Files, dir: &Path) -> Result<Vec<Found>, StoreError> {
    let mut all = Vec::new();
    for path in files.list(dir).map_err(cannot("list", dir))? {
        let generation = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".journal"));
        let Some(generation) = generation.and_then(|digits| digits.parse().ok()) else { continue };
        let file = files.open(&path).map_err(cannot("open", &path))?;
        let bytes = file.size().map_err(cannot("read", &path))?;
        let mut header = [0; HEADER_BYTES];
        if bytes >= FRAMES_START {
            file.read_at(&mut header, 0).map_err(cannot("read", &path))?;
        }
        all.push(Found { blank: Blank { path, generation, bytes }, header: Header::read(&header) });
    }
    Ok(all)
}

/// The earliest sequence that a file of the journal begins with.
pub(in crate::log::disk) fn begins(files: &dyn Files, dir: &Path) -> Result<Option<u64>, StoreError> {
    Ok(find(files, dir)?.iter().filter_map(Found::begun).map(|header| header.first.sequence).min())
}

/// How far the frames of the journal can be read, whether or not anything is amiss with it.
pub(in crate::log::disk) fn reach(files: &dyn Files, dir: &Path) -> u64 {
    let found = find(files, dir).unwrap_or_default();
    let begun = found.iter().filter_map(|found| found.begun().map(|header| (header, &found.blank.path)));
    let ends = begun.map(|(header, path)| {
        let frames = frames_of(files, path).unwrap_or_default();
        frames.last().map_or(header.first.sequence, |frame| frame.header().end_sequence())
    });
    ends.max().unwrap_or_default()
}

/// The frames of a file that has been filled. Behind them may stand what an earlier generation left.
pub(in crate::log::disk) fn frames_of(files: &dyn Files, path: &Path) -> Result<Vec<Frame>, StoreError> {
    let file = files.open(path).map_err(cannot("open", path))?;
    let mut bytes = vec![0; usize::try_from(file.size().map_err(cannot("read", path))?).unwrap_or(usize::MAX)];
    file.read_at(&mut bytes, 0).map_err(cannot("read", path))?;
    // A file that was tried to begin and could not be has no frames.
    let Some(header) = Header::read(&bytes) else { return Ok(Vec::new()) };
    let (mut offset, mut end, mut frames) = (FRAMES_START, header.first, Vec::new());
    while let Some(frame) = frame_at(&bytes, offset, Some(header.marks().mark)).filter(|frame| end.precedes(frame)) {
        offset = offset.saturating_add(bytes_of(&frame));
        end = Position::behind(&frame);
        frames.push(frame);
    }
    Ok(frames)
}

fn read(files: &dyn Files, blank: &Blank) -> Result<Vec<u8>, StoreError> {
    let file = files.open(&blank.path).map_err(cannot("open", &blank.path))?;
    let mut bytes = vec![0; usize::try_from(blank.bytes).unwrap_or(usize::MAX)];
    file.read_at(&mut bytes, 0).map_err(cannot("read", &blank.path))?;
    Ok(bytes)
}
