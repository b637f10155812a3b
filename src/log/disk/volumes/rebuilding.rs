//! A volume that cannot be read is made again from the archive, and the one that was there is set aside.
//!
//! The new one is whole and durable as `<first>.rebuilt` before the old one gets the name `<first>.set-aside-<n>`, in which it
//! is kept. A crash in between leaves `<first>` missing, and the next opening gives the name to the rebuilt one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use super::{Page, Row, Spoilt, VALUE_BYTES_MAX, Volume, Volumes, next_page, size};
use crate::log::StoreError;
use crate::log::disk::archive::Archive;
use crate::log::disk::cannot;
use crate::log::disk::files::Files;
use crate::log::disk::journal::format::Position;
use crate::log::disk::journal::opening;

/// Bytes written between two flushes.
const BATCH_BYTES: u64 = 4 * 1024 * 1024;

/// What a volume is made again from: the archive, and for the newest the journal behind it.
pub(in crate::log::disk) struct Remedy {
    pub(in crate::log::disk) archive: Arc<Archive>,
    pub(in crate::log::disk) journal: PathBuf,
}

/// Finishes or takes back what a crash left: volumes in the making.
pub(super) fn clear(files: &dyn Files, dir: &Path, paths: &[PathBuf]) -> Result<(), StoreError> {
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some((first, state)) = name.split_once('.').filter(|(first, _)| first.parse::<u64>().is_ok()) else { continue };
        let first = dir.join(first);
        if state == "rebuilt" && !first.exists() {
            files.rename(path, &first).map_err(cannot("rename", path))?;
            files.sync_dir(dir).map_err(cannot("sync", dir))?;
        } else if state == "rebuilt" || state == "new" {
            // It never was a part of the log.
            fs::remove_dir_all(path).map_err(cannot("remove", path))?;
        }
    }
    Ok(())
}

impl Volumes {
    /// After damage was met while reading the volume that holds `sequence`: makes it again if it is sealed and can be.
    pub(in crate::log::disk) fn heal(&self, sequence: u64, error: &StoreError) -> bool {
        if self.remedy.is_none() || !error.is_damage() {
            return false;
        }
        let mut row = self.lock();
        let Some(first) = row.volumes.range(..=sequence).next_back().map(|(first, _)| *first) else { return false };
        if row.end_of(first).is_none() {
            return false;
        }
        let outcome = self.replace(&mut row, first, error);
        outcome.inspect_err(|cause| tracing::error!(error = %cause, "a damaged volume could not be made again")).is_ok()
    }

    /// Makes the volume again.
    pub(super) fn rebuild(&self, first: u64, error: &StoreError) -> Result<(), StoreError> {
        self.replace(&mut self.lock(), first, error)
    }

    pub(super) fn replace(&self, row: &mut Row, first: u64, error: &StoreError) -> Result<(), StoreError> {
        let Some(remedy) = &self.remedy else { return Err(self.beyond_help(first, error, "there is no archive")) };
        let end = row.end_of(first);
        let reach = remedy.archive.reach()?.end.sequence.max(first);
        if end.is_some_and(|end| reach < end) {
            return Err(self.beyond_help(first, error, "the archive does not reach its end"));
        }
        if end.is_none() && opening::begins(self.files.as_ref(), &remedy.journal)?.is_none_or(|journal| journal > reach) {
            return Err(self.beyond_help(first, error, "the journal does not go on where the archive ends"));
        }
        let path = self.path(first);
        tracing::error!(error = %error, volume = %path.display(), "a volume cannot be read; it is made again from the archive");
        let rebuilt = path.with_extension("rebuilt");
        if rebuilt.exists() {
            fs::remove_dir_all(&rebuilt).map_err(cannot("remove", &rebuilt))?;
        }
        let before = self.neighbour_before(row, first);
        let last = self.refill(&rebuilt, first, end, before)?;
        self.check_behind(row, end, last)?;
        let aside = (1_u32..).map(|n| path.with_extension(format!("set-aside-{n}"))).find(|aside| !aside.exists());
        let Some(aside) = aside else { return Err(self.beyond_help(first, error, "no name is left to set it aside under")) };
        // Whoever still reads the old one goes on reading it.
        row.volumes.insert(first, Weak::new());
        row.sealed.retain(|volume| volume.first != first);
        row.first_times.remove(&first);
        super::lock(&self.spoilt).remove(&first);
        self.files.rename(&path, &aside).map_err(cannot("rename", &path))?;
        self.files.rename(&rebuilt, &path).map_err(cannot("rename", &rebuilt))?;
        self.files.sync_dir(&self.dir).map_err(cannot("sync", &self.dir))?;
        tracing::warn!(kept = %aside.display(), "the volume was made again; the damaged one is kept beside it");
        Ok(())
    }

    /// Writes the frames of the archive from `first` on into a volume of their own, each checked; says where they end.
    fn refill(&self, path: &Path, first: u64, end: Option<u64>, before: Option<Position>) -> Result<Option<Position>, StoreError> {
        let Some(remedy) = &self.remedy else { return Ok(None) };
        let volume = Volume::open(self.files.as_ref(), path, first, &Spoilt::default())?;
        let (mut page, mut bytes, mut last) = (Page::default(), 0, before);
        for frame in remedy.archive.frames(first) {
            let frame = frame?;
            if end.is_some_and(|end| frame.header().first_sequence >= end) {
                break;
            }
            let follows = last.map_or(frame.header().first_sequence == first, |last| last.precedes(&frame));
            if !follows {
                return Err(disagree(first, path));
            }
            if page.bytes.len().saturating_add(frame.bytes().len()) > VALUE_BYTES_MAX {
                volume.insert(&mut page)?;
            }
            page.add(&frame);
            bytes = size(frame.bytes().len()).saturating_add(bytes);
            volume.payload.fetch_add(size(frame.bytes().len()), super::Ordering::Relaxed);
            if bytes >= BATCH_BYTES {
                volume.insert(&mut page)?;
                volume.commit()?;
                bytes = 0;
            }
            last = Some(Position::behind(&frame));
        }
        volume.insert(&mut page)?;
        volume.commit()?;
        drop(volume);
        for file in self.files.list(path).map_err(cannot("list", path))?.iter().filter(|file| file.is_file()) {
            self.files.open(file).and_then(|f| f.sync_data()).map_err(cannot("sync", file))?;
        }
        self.files.sync_dir(path).map_err(cannot("sync", path))?;
        Ok(last)
    }

    /// Where the volume before ends, if it can be told.
    fn neighbour_before(&self, row: &Row, first: u64) -> Option<Position> {
        let (before, _) = row.volumes.range(..first).next_back()?;
        self.peek(row, *before).ok()?.end().ok()?.filter(|end| end.sequence == first)
    }

    /// That the volume behind goes on where the rebuilt one ends, if it can be told.
    fn check_behind(&self, row: &Row, end: Option<u64>, last: Option<Position>) -> Result<(), StoreError> {
        let Some(end) = end else { return Ok(()) };
        let damaged = || disagree(end, &self.path(end));
        let last = last.filter(|last| last.sequence == end).ok_or_else(damaged)?;
        let Ok(behind) = self.peek(row, end) else { return Ok(()) };
        match next_page(&mut behind.frames.iter(), &behind.path) {
            Ok(Some(frames)) if !frames.first().is_some_and(|frame| last.precedes(frame)) => Err(damaged()),
            _ => Ok(()),
        }
    }

    /// The volume, whether or not it is open, without the lock on the row.
    fn peek(&self, row: &Row, first: u64) -> Result<Arc<Volume>, StoreError> {
        match row.volumes.get(&first).and_then(Weak::upgrade) {
            Some(volume) => Ok(volume),
            None => Volume::open(self.files.as_ref(), &self.path(first), first, &self.spoilt).map(Arc::new),
        }
    }

    fn beyond_help(&self, first: u64, error: &StoreError, why: &str) -> StoreError {
        let path = self.path(first);
        StoreError::Damaged { sequence: first, problem: format!("the volume {} cannot be read and {why}: {error}", path.display()) }
    }
}

fn disagree(sequence: u64, path: &Path) -> StoreError {
    StoreError::Damaged { sequence, problem: format!("the archive is not that of the volumes beside {}", path.display()) }
}
