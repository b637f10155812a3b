//! The trees of all workspaces as files: the entries of every record, and the roots of full tiles. They are made from the
//! log by one follower, and made again if they are lost or wrong.
//!
//! A workspace has a directory with `entries`, 64 bytes for each record, and `level-1`, `level-2` ..., 32 bytes for each full
//! tile of the level below. Every number has its place, so that writing one again changes nothing. Hashes between are
//! computed when they are asked for.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use allowlog_proto::chain::Hash;
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::merkle::{ENTRY_BYTES, Subtree, Tree, before, consistency_proof, inclusion_proof, leaf, node};

use crate::data_dir::make_directory;

pub mod follower;

/// Hashes of a full tile.
const TILE_WIDTH: u64 = 256;
/// A full tile is a subtree of this height.
const TILE_HEIGHT: u32 = 8;
const HASH_BYTES: usize = 32;

/// The trees on disk. One thread writes, any thread reads.
#[derive(Debug)]
pub struct Tiles {
    directory: PathBuf,
    /// A reader has met something that is not what was written.
    is_damaged: AtomicBool,
    /// They are not all there yet.
    is_unmade: AtomicBool,
}

impl Tiles {
    /// The trees in this directory. What the follower has not seen yet may be anything.
    ///
    /// # Errors
    /// If the directory cannot be made.
    pub fn open(directory: PathBuf) -> io::Result<Self> {
        make_directory(&directory).map_err(io::Error::other)?;
        Ok(Self { directory, is_damaged: AtomicBool::new(false), is_unmade: AtomicBool::new(true) })
    }

    /// Entries back to back, from a place on; all of one tile.
    ///
    /// # Errors
    /// If they are not all there, or are damaged.
    pub fn entries(&self, workspace_id: WorkspaceId, first: u64, count: u64) -> io::Result<Vec<u8>> {
        let index = first / TILE_WIDTH;
        let above = self.above(workspace_id, 0, index)?;
        let bytes = self.raw(workspace_id, 0, index)?;
        let hashes: Vec<Hash> = bytes.chunks_exact(ENTRY_BYTES).map(leaf).collect();
        self.check(workspace_id, 0, index, &hashes, above)?;
        let wanted = range(first, count)?;
        let wanted = wanted.start.saturating_mul(ENTRY_BYTES)..wanted.end.saturating_mul(ENTRY_BYTES);
        Ok(bytes.get(wanted).ok_or(io::ErrorKind::UnexpectedEof)?.to_vec())
    }

    /// Hashes of a level, from a place on; all of one tile. Those of level 0 are of leaves, above it of full tiles of the
    /// level below.
    ///
    /// # Errors
    /// If they are not all there, or are damaged.
    pub fn hashes(&self, workspace_id: WorkspaceId, level: u32, first: u64, count: u64) -> io::Result<Vec<Hash>> {
        let tile = self.tile(workspace_id, level, first / TILE_WIDTH)?;
        Ok(tile.get(range(first, count)?).ok_or(io::ErrorKind::UnexpectedEof)?.to_vec())
    }

    /// The root of a full subtree.
    ///
    /// # Errors
    /// If it is not all there, or is damaged.
    pub fn node(&self, workspace_id: WorkspaceId, subtree: Subtree) -> io::Result<Hash> {
        self.nodes(workspace_id)(subtree)
    }

    /// The same for many: most of those that are asked for together are of one tile, which is read once.
    fn nodes(&self, workspace_id: WorkspaceId) -> impl FnMut(Subtree) -> io::Result<Hash> {
        let mut last: Option<(u32, u64, Vec<Hash>)> = None;
        move |subtree| {
            let (level, within) = (subtree.height / TILE_HEIGHT, subtree.height % TILE_HEIGHT);
            let first = subtree.index.checked_mul(1 << within).ok_or(io::ErrorKind::InvalidInput)?;
            let index = first / TILE_WIDTH;
            let tile = match last.take() {
                Some((of, at, tile)) if (of, at) == (level, index) => tile,
                _ => self.tile(workspace_id, level, index)?,
            };
            let wanted = tile.get(range(first, 1 << within)?).map(|hashes| root(hashes.to_vec()));
            last = Some((level, index, tile));
            wanted.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// What is there of a tile. If it is full it must come to the hash that the level above has of it.
    fn tile(&self, workspace_id: WorkspaceId, level: u32, index: u64) -> io::Result<Vec<Hash>> {
        // Read first: it is written when the tile is whole, so that a tile that grows meanwhile is not taken for a damaged one.
        let above = self.above(workspace_id, level, index)?;
        let bytes = self.raw(workspace_id, level, index)?;
        let hashes: Vec<Hash> = if level == 0 {
            bytes.chunks_exact(ENTRY_BYTES).map(leaf).collect()
        } else {
            bytes.as_chunks().0.iter().map(|hash| Hash(*hash)).collect()
        };
        self.check(workspace_id, level, index, &hashes, above)?;
        Ok(hashes)
    }

    /// The hash that the level above has of a tile, once it is full.
    fn above(&self, workspace_id: WorkspaceId, level: u32, index: u64) -> io::Result<Option<Hash>> {
        let mut above = [0; HASH_BYTES];
        let file = File::open(self.file(workspace_id, level.saturating_add(1)));
        match file.and_then(|file| file.read_exact_at(&mut above, place(index, HASH_BYTES)?)) {
            Ok(()) => Ok(Some(Hash(above))),
            Err(error) if is_damage(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Refuses hashes that do not come to the one above. Where there is none they are of the last tile, whose hashes go into the
    /// root that is compared before it is signed.
    fn check(&self, workspace_id: WorkspaceId, level: u32, index: u64, hashes: &[Hash], above: Option<Hash>) -> io::Result<()> {
        if above.is_none_or(|above| root(hashes.to_vec()) == above) {
            return Ok(());
        }
        self.is_damaged.store(true, Ordering::Relaxed);
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("tile {index} of level {level} of `{workspace_id}` is damaged")))
    }

    /// Makes sure that the tree of a workspace comes to a root that is known to be right. What is read of it after that is right
    /// too: full tiles are held against the level above, and all others go into the root. To be asked before anything that is
    /// read is handed out; what is found damaged is made again.
    ///
    /// # Errors
    /// If it is not all there, or is damaged.
    pub fn vouch(&self, workspace_id: WorkspaceId, size: u64, root: Hash) -> io::Result<()> {
        let problem = || io::Error::new(io::ErrorKind::InvalidData, format!("the tree of `{workspace_id}` does not come to its root"));
        let vouched = self.tree(workspace_id, size).and_then(|tree| if tree.root() == root { Ok(()) } else { Err(problem()) });
        if vouched.as_ref().is_err_and(is_damage) && !self.is_unmade.load(Ordering::Relaxed) {
            self.is_damaged.store(true, Ordering::Relaxed);
        }
        vouched
    }

    /// Whether something damaged was met since this was last asked.
    fn was_damaged(&self) -> bool {
        self.is_damaged.swap(false, Ordering::Relaxed)
    }

    /// The right edge of the tree as it was at a size.
    ///
    /// # Errors
    /// If it is not all there.
    pub fn tree(&self, workspace_id: WorkspaceId, size: u64) -> io::Result<Tree> {
        let edge = before(size).into_iter().map(self.nodes(workspace_id)).collect::<io::Result<_>>()?;
        Tree::from_edge(size, edge).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// That the record at `index` is in the tree of `size` records.
    ///
    /// # Errors
    /// If the tree is not all there.
    pub fn inclusion(&self, workspace_id: WorkspaceId, index: u64, size: u64) -> io::Result<Vec<Hash>> {
        inclusion_proof(index, size, self.nodes(workspace_id))
    }

    /// That the tree of `old` records is what the tree of `new` begins with.
    ///
    /// # Errors
    /// If the tree is not all there.
    pub fn consistency(&self, workspace_id: WorkspaceId, old: u64, new: u64) -> io::Result<Vec<Hash>> {
        consistency_proof(old, new, self.nodes(workspace_id))
    }

    /// The bytes that are there of a tile.
    fn raw(&self, workspace_id: WorkspaceId, level: u32, index: u64) -> io::Result<Vec<u8>> {
        let width = if level == 0 { ENTRY_BYTES } else { HASH_BYTES };
        let file = File::open(self.file(workspace_id, level))?;
        let first = place(index.checked_mul(TILE_WIDTH).ok_or(io::ErrorKind::InvalidInput)?, width)?;
        let there = file.metadata()?.len().saturating_sub(first);
        let full = place(TILE_WIDTH, width)?;
        let mut bytes = vec![0; usize::try_from(there.min(full)).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, first)?;
        Ok(bytes)
    }

    /// Writes what belongs at these places.
    fn write(&self, workspace_id: WorkspaceId, level: u32, first: u64, width: usize, bytes: &[u8]) -> io::Result<()> {
        let path = self.file(workspace_id, level);
        let open = || OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_directory(&self.of(workspace_id)).map_err(io::Error::other)?;
                open()?
            }
            other => other?,
        };
        file.write_all_at(bytes, place(first, width)?)
    }

    /// Waits until the disk has what was written of a workspace.
    fn sync(&self, workspace_id: WorkspaceId) -> io::Result<()> {
        let directory = self.of(workspace_id);
        for file in fs::read_dir(&directory)? {
            File::open(file?.path())?.sync_data()?;
        }
        File::open(&directory)?.sync_all()
    }

    /// Forgets everything, to begin anew, and what was found wrong with it.
    fn clear(&self) -> io::Result<()> {
        self.is_unmade.store(true, Ordering::Relaxed);
        fs::remove_dir_all(&self.directory)?;
        self.is_damaged.store(false, Ordering::Relaxed);
        make_directory(&self.directory).map_err(io::Error::other)
    }

    fn of(&self, workspace_id: WorkspaceId) -> PathBuf {
        self.directory.join(workspace_id.to_string())
    }

    fn file(&self, workspace_id: WorkspaceId, level: u32) -> PathBuf {
        self.of(workspace_id).join(if level == 0 { "entries".to_owned() } else { format!("level-{level}") })
    }

    fn position_file(&self) -> PathBuf {
        self.directory.join("position")
    }
}

/// Whether it is about what is stored, and not about what the operating system would not do just now.
pub fn is_damage(error: &io::Error) -> bool {
    [io::ErrorKind::NotFound, io::ErrorKind::UnexpectedEof, io::ErrorKind::InvalidData].contains(&error.kind())
}

/// Of the hashes of a full subtree.
fn root(mut hashes: Vec<Hash>) -> Hash {
    while hashes.len() > 1 {
        hashes = hashes.as_chunks().0.iter().map(|[left, right]| node(*left, *right)).collect();
    }
    hashes.pop().unwrap_or_default()
}

/// Places within a tile.
fn range(first: u64, count: u64) -> io::Result<std::ops::Range<usize>> {
    let first = usize::try_from(first % TILE_WIDTH).map_err(io::Error::other)?;
    Ok(first..first.saturating_add(usize::try_from(count).map_err(io::Error::other)?))
}

fn place(first: u64, width: usize) -> io::Result<u64> {
    u64::try_from(width).ok().and_then(|width| first.checked_mul(width)).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn a_tile_that_fills_while_it_is_read_is_no_damage() {
        let directory = tempfile::tempdir().unwrap();
        let tiles = Tiles::open(directory.path().to_owned()).unwrap();
        let entries: Vec<u8> = (0..TILE_WIDTH).flat_map(|n| [u8::try_from(n).unwrap(); ENTRY_BYTES]).collect();
        let above = root(entries.chunks_exact(ENTRY_BYTES).map(leaf).collect());
        for n in 0..300_u128 {
            let id = WorkspaceId::from_bytes(n.to_be_bytes());
            let (most, last) = entries.split_at(entries.len() - ENTRY_BYTES);
            tiles.write(id, 0, 0, ENTRY_BYTES, most).unwrap();
            let (is_read, is_full) = (AtomicBool::new(false), AtomicBool::new(false));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !is_full.load(Ordering::SeqCst) {
                        tiles.tile(id, 0, 0).unwrap();
                        is_read.store(true, Ordering::SeqCst);
                        tiles.entries(id, 0, 1).unwrap();
                    }
                });
                while !is_read.load(Ordering::SeqCst) {
                    std::hint::spin_loop();
                }
                tiles.write(id, 0, TILE_WIDTH - 1, ENTRY_BYTES, last).unwrap();
                tiles.write(id, 1, 0, HASH_BYTES, &above.0).unwrap();
                is_full.store(true, Ordering::SeqCst);
            });
            assert_eq!(tiles.tile(id, 0, 0).unwrap().len(), 256);
            assert!(!tiles.was_damaged());
        }
    }
}
