//! The index, in the one file that knows tantivy: terms of receipts, and where in the log each is.
//!
//! | Field | Holds |
//! |---|---|
//! | `terms` | the keys of the terms of [`super::terms`] |
//! | `sequence`, `time` | place in the log and milliseconds of the record, as columns |
//!
//! Documents are in the order of the log within a segment, and segments do not overlap: only neighbours are merged, in
//! their order. So a range of the log, or of time, is a range of documents, found by halving, and the newest hits are at
//! the end of the lists. Nothing here is taken on trust: how far the index goes, of which log, and how much it holds is
//! in the payload of each commit; checksums are verified when it is opened, the order whenever a segment is new.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use allowlog_proto::chain::Hash;
use tantivy::columnar::ColumnValues;
use tantivy::directory::{Directory as _, MmapDirectory};
use tantivy::indexer::{IndexWriterOptions, NoMergePolicy, UserOperation};
use tantivy::postings::SegmentPostings;
use tantivy::schema::{BytesOptions, FAST, Field, IndexRecordOption, Schema};
use tantivy::{
    DocId, DocSet as _, FutureResult, IndexReader, IndexSettings, IndexWriter, ReloadPolicy, Searcher, SegmentMeta, SegmentReader,
    TantivyDocument, TantivyError,
};

use crate::search::terms::{Filter, Term};

/// Version of what is in the index, to be raised when records that are stored get other terms. Another one is not read:
/// the index is built anew.
const FORMAT: u64 = 3;
/// Memory for documents that are not committed; the least that tantivy takes.
const MEMORY_BYTES: usize = 15_000_000;
/// Neighbours are merged when together they hold so many times the largest of them: so there are few segments, and
/// no document is written often.
const MERGE_GROWTH: u64 = 6;
/// A larger segment is left as it is.
const MERGED_DOCUMENTS_MAX: u64 = 100_000_000;
/// Documents handed to the library at a time.
const BATCH_DOCUMENTS: usize = 256;
/// Documents looked at first when looking backwards; each further window is twice as long.
const WINDOW: DocId = 1024;

const TERMS: &str = "terms";
const SEQUENCE: &str = "sequence";
const TIME: &str = "time";

/// Why an index is of no use. The log is none the worse: it is built anew, or the same is tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum IndexError {
    /// What is stored is not what belongs there.
    #[error("{0}")]
    Wrong(String),
    /// The library, or the disk under it.
    #[error(transparent)]
    Library(#[from] TantivyError),
    /// The directory.
    #[error("cannot use the directory: {0}")]
    Io(#[from] io::Error),
}

/// Up to where of which log an index goes, and how much is in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Log sequence behind the last indexed record: the end of a frame.
    pub(super) position: u64,
    /// Closing hash of that frame, which stands for all of the log before it.
    pub(super) frame: Hash,
    /// Receipts indexed.
    pub(super) documents: u64,
}

impl Mark {
    fn write(&self) -> String {
        format!("{FORMAT} {} {} {}", self.position, self.frame, self.documents)
    }

    fn read(payload: &str) -> Option<Self> {
        let mut words = payload.split(' ');
        let number = |words: &mut std::str::Split<'_, char>| words.next()?.parse::<u64>().ok();
        (number(&mut words)? == FORMAT).then_some(())?;
        let position = number(&mut words)?;
        let frame = data_encoding::HEXLOWER.decode(words.next()?.as_bytes()).ok()?;
        let documents = number(&mut words)?;
        Some(Self { position, frame: Hash(frame.try_into().ok()?), documents })
    }
}

/// The fields of a document.
#[derive(Clone, Copy)]
struct Fields {
    terms: Field,
    sequence: Field,
    time: Field,
}

fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let terms = schema.add_bytes_field(TERMS, BytesOptions::default().set_indexed());
    let sequence = schema.add_u64_field(SEQUENCE, FAST);
    let time = schema.add_u64_field(TIME, FAST);
    (schema.build(), Fields { terms, sequence, time })
}

/// The index as its one writer has it.
pub(super) struct Index {
    writer: IndexWriter,
    reader: IndexReader,
    fields: Fields,
    /// As committed.
    mark: Mark,
    /// The same with what was added since.
    reached: Mark,
    /// What of it the library has not been handed yet.
    batch: Vec<UserOperation>,
    merge: Option<FutureResult<Option<SegmentMeta>>>,
}

impl Index {
    /// An empty index in this directory, whatever was there before, or in memory.
    pub(super) fn create(dir: Option<&Path>) -> Result<Self, IndexError> {
        let settings = IndexSettings { docstore_compress_dedicated_thread: false, ..IndexSettings::default() };
        let builder = tantivy::Index::builder().schema(schema().0).settings(settings);
        let index = match dir {
            None => builder.create_in_ram()?,
            Some(dir) => {
                match fs::remove_dir_all(dir) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                    _ => fs::create_dir_all(dir)?,
                }
                builder.create_in_dir(dir)?
            }
        };
        Self::over(&index, Mark::default())
    }

    /// The index in this directory, every byte of it read and checked; nothing if there is none.
    pub(super) fn open(dir: &Path) -> Result<Option<Self>, IndexError> {
        if !dir.join("meta.json").exists() {
            return Ok(None);
        }
        let index = tantivy::Index::open(MmapDirectory::open(dir).map_err(TantivyError::from)?)?;
        if index.schema() != schema().0 {
            return Err(IndexError::Wrong("it has other fields".to_owned()));
        }
        let meta = index.load_metas()?;
        for file in meta.list_segment_files() {
            if index.directory().exists(&file).map_err(TantivyError::from)?
                && !index.directory().validate_checksum(&file).map_err(TantivyError::from)?
            {
                return Err(IndexError::Wrong(format!("`{}` is damaged", file.display())));
            }
        }
        let mark = match &meta.payload {
            None if meta.segments.is_empty() => Mark::default(),
            payload => {
                let mark = Mark::read(payload.as_deref().unwrap_or_default());
                mark.ok_or_else(|| IndexError::Wrong("it is of another version".to_owned()))?
            }
        };
        Self::over(&index, mark).map(Some)
    }

    fn over(index: &tantivy::Index, mark: Mark) -> Result<Self, IndexError> {
        // One worker keeps documents in the order in which they were added.
        let options = IndexWriterOptions::builder().num_worker_threads(1).num_merge_threads(1).memory_budget_per_thread(MEMORY_BYTES);
        let writer: IndexWriter = index.writer_with_options(options.build())?;
        // What is merged is decided here, since neighbours are to stay neighbours.
        writer.set_merge_policy(Box::new(NoMergePolicy));
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok(Self { writer, reader, fields: schema().1, mark, reached: mark, batch: Vec::new(), merge: None })
    }

    /// How far the index goes, as committed.
    pub(super) const fn mark(&self) -> &Mark {
        &self.mark
    }

    /// How far it goes with what is not committed.
    pub(super) const fn reached(&self) -> &Mark {
        &self.reached
    }

    /// Documents that are not committed.
    pub(super) const fn added(&self) -> u64 {
        self.reached.documents.saturating_sub(self.mark.documents)
    }

    /// Adds a receipt; sequences must increase.
    pub(super) fn add(&mut self, sequence: u64, time_ms: u64, terms: &[Term]) -> Result<(), IndexError> {
        let mut document = TantivyDocument::new();
        for term in terms {
            document.add_bytes(self.fields.terms, &term.key()[..]);
        }
        document.add_u64(self.fields.sequence, sequence);
        document.add_u64(self.fields.time, time_ms);
        self.batch.push(UserOperation::Add(document));
        self.reached.documents = self.reached.documents.saturating_add(1);
        if self.batch.len() >= BATCH_DOCUMENTS { self.hand_over() } else { Ok(()) }
    }

    /// Each message to the library's thread may wake it, so one holds many documents.
    fn hand_over(&mut self) -> Result<(), IndexError> {
        self.writer.run(std::mem::take(&mut self.batch))?;
        Ok(())
    }

    /// All of the log up to the end of a frame, which has this hash, was added.
    pub(super) const fn pass(&mut self, position: u64, frame: Hash) {
        (self.reached.position, self.reached.frame) = (position, frame);
    }

    /// Makes durable what was added, which ends with a frame.
    pub(super) fn commit(&mut self) -> Result<(), IndexError> {
        self.hand_over()?;
        let mut commit = self.writer.prepare_commit()?;
        commit.set_payload(&self.reached.write());
        commit.commit()?;
        self.mark = self.reached;
        Ok(())
    }

    /// The committed index, to be searched; segments that are in `last` too were checked then.
    pub(super) fn snapshot(&self, last: &Snapshot) -> Result<Snapshot, IndexError> {
        self.reader.reload()?;
        let searcher = self.reader.searcher();
        let mut segments = Vec::new();
        for reader in searcher.segment_readers() {
            let known = last.segments.iter().find(|segment| segment.reader.segment_id() == reader.segment_id());
            segments.push(match known {
                Some(segment) => segment.clone(),
                None => Segment::checked(reader.clone())?,
            });
        }
        segments.sort_by_key(|segment| segment.sequences.start);
        let apart = segments.array_windows().all(|[one, next]| one.sequences.end <= next.sequences.start);
        let within = segments.last().is_none_or(|last| last.sequences.end <= self.mark.position);
        let documents: u64 = segments.iter().map(|segment| u64::from(segment.reader.max_doc())).sum();
        if !apart || !within || documents != self.mark.documents {
            return Err(IndexError::Wrong("its segments are not those of its last commit".to_owned()));
        }
        Ok(Snapshot { position: self.mark.position, segments, source: Some((self.fields.terms, searcher)) })
    }

    /// Merges the newest segments of a snapshot if there are many of about the same size, beside whatever follows.
    pub(super) fn merge(&mut self, snapshot: &Snapshot) -> Result<(), IndexError> {
        if let Some(merge) = &mut self.merge {
            match Pin::new(merge).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => return Ok(()),
                Poll::Ready(merged) => {
                    self.merge = None;
                    // The snapshot may still have the segments that were merged: the next one tells.
                    return merged.map(drop).map_err(Into::into);
                }
            }
        }
        let sizes: Vec<DocId> = snapshot.segments.iter().map(|segment| segment.reader.max_doc()).collect();
        if let Some(newest) = snapshot.segments.get(merge_from(&sizes)..).filter(|newest| newest.len() > 1) {
            let ids: Vec<_> = newest.iter().map(|segment| segment.reader.segment_id()).collect();
            self.merge = Some(self.writer.merge(&ids));
        }
        Ok(())
    }

    /// Merges until nothing is worth merging any more, and waits for it.
    pub(super) fn finish_merges(&mut self, last: &Snapshot) -> Result<(), IndexError> {
        loop {
            if let Some(merge) = self.merge.take() {
                merge.wait()?;
            }
            self.merge(&self.snapshot(last)?)?;
            if self.merge.is_none() {
                return Ok(());
            }
        }
    }
}

/// Where the run of newest segments begins that is worth merging: the shortest that holds [`MERGE_GROWTH`] times its
/// largest, and the smaller ones before it. Beyond the end if there is none.
fn merge_from(sizes: &[DocId]) -> usize {
    let (mut total, mut largest) = (0_u64, 0);
    for (start, size) in sizes.iter().enumerate().rev() {
        total = total.saturating_add(u64::from(*size));
        largest = largest.max(*size);
        if total > MERGED_DOCUMENTS_MAX {
            break;
        }
        if total >= u64::from(largest).saturating_mul(MERGE_GROWTH) {
            let before = sizes.get(..start).unwrap_or_default();
            return before.iter().rposition(|size| *size > largest).map_or(0, |larger| larger.saturating_add(1));
        }
    }
    sizes.len()
}

/// The index as of one commit, to be searched by anybody.
#[derive(Default)]
pub(super) struct Snapshot {
    /// Log sequence behind the last indexed record.
    position: u64,
    /// In the order of the log.
    segments: Vec<Segment>,
    /// The field that is searched, and what keeps the files of the segments.
    source: Option<(Field, Searcher)>,
}

#[derive(Clone)]
struct Segment {
    reader: SegmentReader,
    /// From the first to behind the last.
    sequences: Range<u64>,
    sequence: Arc<dyn ColumnValues<u64>>,
    time: Arc<dyn ColumnValues<u64>>,
}

impl Snapshot {
    /// Log sequence behind the last indexed record.
    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// The first sequences within the range that the filter wants, at most `want`.
    pub(super) fn first(&self, filter: &Filter, range: Range<u64>, want: usize) -> Result<Vec<u64>, IndexError> {
        let (wanted, mut found) = (self.wanted(filter), Vec::new());
        for segment in &self.segments {
            if found.len() < want {
                segment.first(&wanted, segment.documents(filter, &range), want, &mut found)?;
            }
        }
        Ok(found)
    }

    /// The last sequences within the range that the filter wants, at most `want`, the last one first.
    pub(super) fn last(&self, filter: &Filter, range: Range<u64>, want: usize) -> Result<Vec<u64>, IndexError> {
        let (wanted, mut found) = (self.wanted(filter), Vec::new());
        for segment in self.segments.iter().rev() {
            if found.len() < want {
                segment.last(&wanted, segment.documents(filter, &range), want, &mut found)?;
            }
        }
        Ok(found)
    }

    /// How many documents within the range the filter wants.
    pub(super) fn count(&self, filter: &Filter, range: &Range<u64>) -> Result<u64, IndexError> {
        let wanted = self.wanted(filter);
        let counts = self.segments.iter().map(|segment| segment.count(&wanted, segment.documents(filter, range)));
        counts.sum()
    }

    fn wanted(&self, filter: &Filter) -> Vec<tantivy::Term> {
        let Some((field, _)) = &self.source else { return Vec::new() };
        filter.terms().iter().map(|term| tantivy::Term::from_field_bytes(*field, &term.key())).collect()
    }
}

impl Segment {
    /// A segment whose documents are in the order of the log.
    fn checked(reader: SegmentReader) -> Result<Self, IndexError> {
        let column = |name| Ok::<_, TantivyError>(reader.fast_fields().u64(name)?.first_or_default_col(u64::MAX));
        let (sequence, time) = (column(SEQUENCE)?, column(TIME)?);
        let (mut start, mut end, mut last_time) = (None, 0, 0);
        for document in 0..reader.max_doc() {
            let (at, time) = (sequence.get_val(document), time.get_val(document));
            if at < end || at == u64::MAX || time < last_time || time == u64::MAX {
                return Err(IndexError::Wrong("its documents are not in the order of the log".to_owned()));
            }
            start.get_or_insert(at);
            (end, last_time) = (at.saturating_add(1), time);
        }
        Ok(Self { reader, sequences: start.unwrap_or_default()..end, sequence, time })
    }

    /// The documents of this range of the log, and of the times the filter wants.
    fn documents(&self, filter: &Filter, range: &Range<u64>) -> Range<DocId> {
        let count = self.reader.max_doc();
        let early = |document| self.sequence.get_val(document) < range.start || !filter.is_late_enough(self.time.get_val(document));
        let wanted = |document| self.sequence.get_val(document) < range.end && filter.is_early_enough(self.time.get_val(document));
        partition_point(count, early)..partition_point(count, wanted)
    }

    fn first(&self, wanted: &[tantivy::Term], documents: Range<DocId>, want: usize, found: &mut Vec<u64>) -> Result<(), IndexError> {
        let Some(mut lists) = self.lists(wanted)? else { return Ok(()) };
        let mut hit = lists.seek(documents.start);
        while hit < documents.end && found.len() < want {
            found.push(self.sequence.get_val(hit));
            hit = lists.seek(hit.saturating_add(1));
        }
        Ok(())
    }

    fn count(&self, wanted: &[tantivy::Term], documents: Range<DocId>) -> Result<u64, IndexError> {
        let Some(mut lists) = self.lists(wanted)? else { return Ok(0) };
        let (mut count, mut hit) = (0_u64, lists.seek(documents.start));
        while hit < documents.end {
            count = count.saturating_add(1);
            hit = lists.seek(hit.saturating_add(1));
        }
        Ok(count)
    }

    fn last(&self, wanted: &[tantivy::Term], documents: Range<DocId>, want: usize, found: &mut Vec<u64>) -> Result<(), IndexError> {
        let (mut end, mut window) = (documents.end, WINDOW);
        while end > documents.start && found.len() < want {
            // Lists are read forwards only, so each window begins them anew.
            let Some(mut lists) = self.lists(wanted)? else { return Ok(()) };
            let start = end.saturating_sub(window).max(documents.start);
            let mut hits = Vec::new();
            let mut hit = lists.seek(start);
            while hit < end {
                hits.push(hit);
                hit = lists.seek(hit.saturating_add(1));
            }
            let missing = want.saturating_sub(found.len());
            found.extend(hits.iter().rev().take(missing).map(|hit| self.sequence.get_val(*hit)));
            (end, window) = (start, window.saturating_mul(2));
        }
        Ok(())
    }

    /// The documents of each term; nothing if there are none of one of them.
    fn lists(&self, wanted: &[tantivy::Term]) -> Result<Option<Lists>, IndexError> {
        let mut lists = Vec::with_capacity(wanted.len());
        for term in wanted {
            let index = self.reader.inverted_index(term.field())?;
            match index.read_postings(term, IndexRecordOption::Basic).map_err(TantivyError::from)? {
                Some(list) => lists.push(list),
                None => return Ok(None),
            }
        }
        // The shortest leads.
        lists.sort_by_key(SegmentPostings::doc_freq);
        Ok(Some(Lists(lists)))
    }
}

/// Lists of documents in their order. What is in all of them is a hit.
///
/// The library's own intersection looks for its first hit in the whole segment before it can be told where to begin,
/// which for two long lists without a common document is all the work there is, once for each window.
struct Lists(Vec<SegmentPostings>);

impl Lists {
    /// The first hit at this document or behind it; a number beyond all documents if there is none.
    fn seek(&mut self, mut document: DocId) -> DocId {
        loop {
            let mut next = document;
            for list in &mut self.0 {
                next = if list.doc() < next { list.seek(next) } else { list.doc() };
            }
            if next == document {
                return document;
            }
            document = next;
        }
    }
}

/// The first number below `count` for which `before` is false, if it is true up to there and false from there on.
fn partition_point(count: DocId, before: impl Fn(DocId) -> bool) -> DocId {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if before(middle) { low = middle.saturating_add(1) } else { high = middle }
    }
    low
}
