//! The follower that makes the trees: records become entries, full tiles become hashes of the level above.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use allowlog_proto::chain::Hash;
use allowlog_proto::frame::Frame;
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::merkle::{ENTRY_BYTES, Tree, entry, leaf};
use allowlog_proto::record::Header;

use super::{HASH_BYTES, TILE_HEIGHT, Tiles, is_damage};
use crate::data_dir::write_durably;
use crate::log::{Store, StoreError, ends_at};

/// Written to files at the latest after so many records.
const FLUSH_RECORDS: u64 = 20_000;
/// The disk is waited for after so many, so that a start need not read more of the log again.
const SYNC_RECORDS: u64 = 500_000;

/// What the follower works with.
pub struct Tiling {
    store: Arc<dyn Store>,
    tiles: Arc<Tiles>,
    trees: BTreeMap<WorkspaceId, Tree>,
    /// What is not in the files yet.
    pending: BTreeMap<WorkspaceId, Pending>,
    /// Log sequence behind the last record in the trees, and behind the last that the disk has.
    position: u64,
    synced: u64,
    /// Written since the disk was last waited for.
    dirty: BTreeSet<WorkspaceId>,
}

/// What is to be written of one workspace.
#[derive(Default)]
struct Pending {
    /// Place of the first entry.
    first: u64,
    entries: Vec<u8>,
    /// Roots of full tiles, with the level they stand in and their place there.
    roots: Vec<(u32, u64, Hash)>,
}

/// Why the trees cannot be carried on.
#[derive(Debug, thiserror::Error)]
pub enum TilingError {
    /// The log.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was made before is gone or wrong; it is made again from the log.
    #[error("the trees are damaged: {0}")]
    Damaged(String),
    /// The operating system refused.
    #[error("the trees cannot be written: {0}")]
    Io(#[from] io::Error),
}

impl Tiling {
    /// A follower that goes on where the trees end, if that is a place of this log.
    pub fn new(store: Arc<dyn Store>, tiles: Arc<Tiles>) -> Self {
        let mut this =
            Self { store, tiles, trees: BTreeMap::new(), pending: BTreeMap::new(), position: 0, synced: 0, dirty: BTreeSet::new() };
        this.resume();
        this
    }

    /// Goes to where the disk had everything, else to the beginning.
    fn resume(&mut self) {
        let stored = fs::read_to_string(self.tiles.position_file()).ok();
        let stored = stored.as_deref().and_then(parse_position);
        self.position = match stored {
            Some((position, hash)) if ends_at(&*self.store, position, hash).unwrap_or(false) => position,
            _ => 0,
        };
        self.synced = self.position;
    }

    /// Throws the trees away; they are made again from the log.
    ///
    /// # Errors
    /// If they cannot be removed.
    pub fn begin_anew(&mut self) -> io::Result<()> {
        self.tiles.clear()?;
        self.trees.clear();
        self.pending.clear();
        self.dirty.clear();
        (self.position, self.synced) = (0, 0);
        Ok(())
    }

    /// Carries the trees on to a place in the log, which is the end of a frame; `is_over` ends it earlier. Says whether it got there.
    ///
    /// # Errors
    /// Says what stands in the way. What was not written yet is read again.
    pub fn catch_up(&mut self, end: u64, is_over: impl Fn() -> bool) -> Result<bool, TilingError> {
        if self.tiles.was_damaged() {
            return Err(TilingError::Damaged("a reader has met it".to_owned()));
        }
        let caught_up = self.carry_on(end, is_over);
        match caught_up {
            Ok(is_there) => self.tiles.is_unmade.store(!is_there, Ordering::Relaxed),
            Err(_) => {
                // What is in memory may be ahead of the files.
                self.trees.clear();
                self.pending.clear();
                self.resume();
            }
        }
        caught_up
    }

    fn carry_on(&mut self, end: u64, is_over: impl Fn() -> bool) -> Result<bool, TilingError> {
        let mut is_there = true;
        let mut flushed = self.position;
        let mut last = None;
        let mut frames = self.store.scan(self.position);
        while self.position < end
            && let Some(frame) = frames.next()
        {
            let frame = frame?;
            self.add(&frame)?;
            last = Some(frame.hash());
            if self.position.saturating_sub(flushed) >= FLUSH_RECORDS {
                self.flush()?;
                flushed = self.position;
                if is_over() {
                    is_there = false;
                    break;
                }
            }
        }
        self.flush()?;
        if let Some(last) = last
            && self.position.saturating_sub(self.synced) >= SYNC_RECORDS
        {
            self.sync(last)?;
        }
        Ok(is_there)
    }

    /// What the tree of a workspace comes to, made from the log, if it was carried on to this size in the life of this follower.
    pub fn root(&self, workspace_id: WorkspaceId, size: u64) -> Option<Hash> {
        self.trees.get(&workspace_id).filter(|tree| tree.size() == size).map(Tree::root)
    }

    fn add(&mut self, frame: &Frame) -> Result<(), TilingError> {
        let damaged = |problem: String| StoreError::Damaged { sequence: frame.header().first_sequence, problem };
        // Not the hashes that the commit has computed, which is what they are held against.
        let stored = Frame::read(frame.bytes()).map_err(|e| damaged(e.to_string()))?;
        let records = stored.records().map_err(|e| damaged(e.to_string()))?;
        for (sequence, (bytes, hash)) in (frame.header().first_sequence..).zip(records) {
            if sequence < self.position {
                continue;
            }
            let (header, _) = Header::read(bytes).map_err(|e| damaged(e.to_string()))?;
            let tree = match self.trees.entry(header.workspace_id) {
                Entry::Occupied(tree) => tree.into_mut(),
                Entry::Vacant(place) => {
                    let tree = self.tiles.tree(header.workspace_id, header.index);
                    let tree = tree.map_err(|e| if is_damage(&e) { TilingError::Damaged(e.to_string()) } else { e.into() })?;
                    place.insert(tree)
                }
            };
            if tree.size() != header.index {
                return Err(damaged(format!("a record of `{}` is missing", header.workspace_id)).into());
            }
            let pending = self.pending.entry(header.workspace_id).or_insert_with(|| Pending { first: header.index, ..Pending::default() });
            let entry = entry(hash, &header.receipt);
            pending.entries.extend_from_slice(&entry);
            tree.push(leaf(&entry), |subtree, root| {
                if subtree.height.is_multiple_of(TILE_HEIGHT) {
                    pending.roots.push((subtree.height / TILE_HEIGHT, subtree.index, root));
                }
            });
        }
        self.position = frame.header().end_sequence();
        Ok(())
    }

    /// Writes what is pending.
    fn flush(&mut self) -> io::Result<()> {
        for (workspace_id, pending) in &self.pending {
            self.tiles.write(*workspace_id, 0, pending.first, ENTRY_BYTES, &pending.entries)?;
            for (level, index, root) in &pending.roots {
                self.tiles.write(*workspace_id, *level, *index, HASH_BYTES, &root.0)?;
            }
            self.dirty.insert(*workspace_id);
        }
        self.pending.clear();
        Ok(())
    }

    /// Waits until the disk has all that was written, and notes how far that is.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn rest(&mut self) -> Result<(), TilingError> {
        let Some(last) = self.position.checked_sub(1).filter(|_| self.position > self.synced) else { return Ok(()) };
        match self.store.scan(last).next() {
            Some(frame) => Ok(self.sync(frame?.hash())?),
            None => Ok(()),
        }
    }

    fn sync(&mut self, end: Hash) -> io::Result<()> {
        for workspace_id in &self.dirty {
            self.tiles.sync(*workspace_id)?;
        }
        write_durably(&self.tiles.position_file(), format!("{} {end}\n", self.position).as_bytes()).map_err(io::Error::other)?;
        self.dirty.clear();
        self.synced = self.position;
        Ok(())
    }
}

/// A position and the hash of the frame that ends there.
fn parse_position(text: &str) -> Option<(u64, Hash)> {
    let (position, hash) = text.strip_suffix('\n')?.split_once(' ')?;
    let hash = data_encoding::HEXLOWER.decode(hash.as_bytes()).ok()?;
    Some((position.parse().ok()?, Hash(hash.try_into().ok()?)))
}
