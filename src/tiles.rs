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

use allowlog_proto::chain::Hash;
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::merkle::{ENTRY_BYTES, Subtree, Tree, before, consistency_proof, inclusion_proof, leaf, node};

use crate::data_dir::make_directory;

pub mod follower;

/// A full tile is a subtree of this height.
const TILE_HEIGHT: u32 = 8;
const HASH_BYTES: usize = 32;

/// The trees on disk. One thread writes, any thread reads.
#[derive(Debug)]
pub struct Tiles {
    directory: PathBuf,
}

impl Tiles {
    /// The trees in this directory. What the follower has not seen yet may be anything.
    ///
    /// # Errors
    /// If the directory cannot be made.
    pub fn open(directory: PathBuf) -> io::Result<Self> {
        make_directory(&directory).map_err(io::Error::other)?;
        Ok(Self { directory })
    }

    /// Entries back to back, from a place on.
    ///
    /// # Errors
    /// If they are not all there.
    pub fn entries(&self, workspace_id: WorkspaceId, first: u64, count: u64) -> io::Result<Vec<u8>> {
        self.read(workspace_id, 0, first, count, ENTRY_BYTES)
    }

    /// Hashes of a tile's level, from a place on: of leaves, or of full tiles of the level below.
    ///
    /// # Errors
    /// If they are not all there.
    pub fn hashes(&self, workspace_id: WorkspaceId, level: u32, first: u64, count: u64) -> io::Result<Vec<Hash>> {
        if level == 0 {
            return Ok(self.entries(workspace_id, first, count)?.chunks_exact(ENTRY_BYTES).map(leaf).collect());
        }
        let bytes = self.read(workspace_id, level, first, count, HASH_BYTES)?;
        Ok(bytes.as_chunks().0.iter().map(|hash| Hash(*hash)).collect())
    }

    /// The root of a full subtree.
    ///
    /// # Errors
    /// If it is not all there.
    pub fn node(&self, workspace_id: WorkspaceId, subtree: Subtree) -> io::Result<Hash> {
        let (level, within) = (subtree.height / TILE_HEIGHT, subtree.height % TILE_HEIGHT);
        let first = subtree.index.checked_shl(within).ok_or(io::ErrorKind::InvalidInput)?;
        let mut hashes = self.hashes(workspace_id, level, first, 1 << within)?;
        while hashes.len() > 1 {
            hashes = hashes.as_chunks().0.iter().map(|[left, right]| node(*left, *right)).collect();
        }
        hashes.pop().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// The right edge of the tree as it was at a size.
    ///
    /// # Errors
    /// If it is not all there.
    pub fn tree(&self, workspace_id: WorkspaceId, size: u64) -> io::Result<Tree> {
        let edge = before(size).into_iter().map(|subtree| self.node(workspace_id, subtree)).collect::<io::Result<_>>()?;
        Tree::from_edge(size, edge).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// That the record at `index` is in the tree of `size` records.
    ///
    /// # Errors
    /// If the tree is not all there.
    pub fn inclusion(&self, workspace_id: WorkspaceId, index: u64, size: u64) -> io::Result<Vec<Hash>> {
        inclusion_proof(index, size, |subtree| self.node(workspace_id, subtree))
    }

    /// That the tree of `old` records is what the tree of `new` begins with.
    ///
    /// # Errors
    /// If the tree is not all there.
    pub fn consistency(&self, workspace_id: WorkspaceId, old: u64, new: u64) -> io::Result<Vec<Hash>> {
        consistency_proof(old, new, |subtree| self.node(workspace_id, subtree))
    }

    fn read(&self, workspace_id: WorkspaceId, level: u32, first: u64, count: u64, width: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(count).map_err(io::Error::other)?.saturating_mul(width)];
        File::open(self.file(workspace_id, level))?.read_exact_at(&mut bytes, place(first, width)?)?;
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

    /// Forgets everything, to begin anew.
    fn clear(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.directory)?;
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

fn place(first: u64, width: usize) -> io::Result<u64> {
    u64::try_from(width).ok().and_then(|width| first.checked_mul(width)).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}
