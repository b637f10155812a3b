//! Merkle trees (RFC 6962, SHA-256) over the records of a workspace: roots, and proofs that need nobody's trust.
//!
//! A [`Tree`] is the right edge alone, all that is needed to extend it. Whoever keeps the [`Subtree`]s that
//! [`Tree::push`] completes can make proofs from them; whoever has a proof and two roots can verify it with nothing else.
//!
//! ```
//! use std::convert::Infallible;
//! use allowlog_proto::chain::Hash;
//! use allowlog_proto::merkle::{self, Subtree, Tree};
//!
//! // The log keeps its leaves and every node above them.
//! let mut nodes = Vec::new();
//! let mut tree = Tree::new();
//! for n in 0..7 {
//!     let leaf = merkle::leaf(&merkle::entry(Hash([n; 32]), &[0; 32]));
//!     nodes.push((Subtree { height: 0, index: n.into() }, leaf));
//!     tree.push(leaf, |subtree, hash| nodes.push((subtree, hash)));
//! }
//! let node = |wanted| Ok::<Hash, Infallible>(nodes.iter().find(|(subtree, _)| *subtree == wanted).unwrap().1);
//! let proof = merkle::inclusion_proof(5, 7, node).unwrap();
//!
//! // A reader has the record, the proof and a root.
//! let leaf = merkle::leaf(&merkle::entry(Hash([5; 32]), &[0; 32]));
//! assert!(merkle::verify_inclusion(5, 7, leaf, &proof, tree.root()));
//! assert!(!merkle::verify_inclusion(4, 7, leaf, &proof, tree.root()));
//! ```

use crate::chain::Hash;
use crate::sha256::sha256;

/// What a record is in the tree: [`entry`].
pub const ENTRY_BYTES: usize = 64;

/// The entry of a record: its hash, then the SHA-256 of its receipt's signed bytes, zeros if it has none.
pub fn entry(record: Hash, receipt: &[u8; 32]) -> [u8; ENTRY_BYTES] {
    let mut entry = [0; ENTRY_BYTES];
    let (to_record, to_receipt) = entry.split_at_mut(record.0.len());
    to_record.copy_from_slice(&record.0);
    to_receipt.copy_from_slice(receipt);
    entry
}

/// The hash of a leaf: `SHA-256(00 || entry)`.
pub fn leaf(entry: &[u8]) -> Hash {
    Hash(sha256(&[&[0], entry]))
}

/// The hash over two: `SHA-256(01 || left || right)`.
pub fn node(left: Hash, right: Hash) -> Hash {
    Hash(sha256(&[&[1], &left.0, &right.0]))
}

/// The full subtree over the leaves `index * 2^height .. (index + 1) * 2^height`; at height 0 a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subtree {
    /// Levels above its leaves.
    pub height: u32,
    /// Place among the subtrees of its height, from 0.
    pub index: u64,
}

/// The right edge of a tree: all that is needed to extend it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    /// Roots of the full subtrees, largest first.
    edge: Vec<Hash>, // INVARIANT: one for each 1 bit of `size`
}

impl Tree {
    /// The tree of no leaves.
    pub const fn new() -> Self {
        Self { size: 0, edge: Vec::new() }
    }

    /// Number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the full subtrees the leaves fall into ([`before`]), largest first.
    pub fn edge(&self) -> &[Hash] {
        &self.edge
    }

    /// The root: `SHA-256("")` of no leaves.
    pub fn root(&self) -> Hash {
        self.edge.iter().copied().rev().reduce(|right, left| node(left, right)).unwrap_or_else(|| Hash(sha256(&[])))
    }

    /// The tree of this size and edge; nothing if these are not as many hashes as `size` has 1 bits.
    pub fn from_edge(size: u64, edge: Vec<Hash>) -> Option<Self> {
        (u32::try_from(edge.len()).ok()? == size.count_ones()).then_some(Self { size, edge })
    }

    /// Appends a leaf; `made` is told of every full subtree of height 1 and more that it completes, the lowest first.
    ///
    /// A tree of 2^64 - 1 leaves stays as it is.
    pub fn push(&mut self, leaf: Hash, made: impl FnMut(Subtree, Hash)) {
        // At height 0 only the size can stand in the way, as said.
        let _ = self.append(0, leaf, made);
    }

    /// Appends a full subtree of 2^height leaves whose `root` is known and whose leaves need not be.
    ///
    /// Nothing, and the tree as it was, if the size is no multiple of 2^height or the new one would pass 64 bits.
    pub fn push_subtree(&mut self, height: u32, root: Hash) -> Option<()> {
        self.append(height, root, |_, _| {})
    }

    fn append(&mut self, height: u32, root: Hash, mut made: impl FnMut(Subtree, Hash)) -> Option<()> {
        let leaves = 1_u64.checked_shl(height)?;
        if self.size.trailing_zeros() < height {
            return None;
        }
        let size = self.size.checked_add(leaves)?;
        let mut subtree = Subtree { height, index: self.size >> height };
        let mut root = root;
        while subtree.index & 1 == 1
            && let Some(left) = self.edge.pop()
        {
            root = node(left, root);
            subtree = Subtree { height: subtree.height.saturating_add(1), index: subtree.index >> 1 };
            made(subtree, root);
        }
        self.edge.push(root);
        self.size = size;
        Some(())
    }
}

/// The full subtrees the leaves `0..first` fall into, left to right: one for each power of two in `first`, the largest first.
pub fn before(first: u64) -> Vec<Subtree> {
    let heights = (0..u64::BITS).rev().filter(|height| first >> height & 1 == 1);
    heights.map(|height| Subtree { height, index: first >> height & !1 }).collect()
}

/// The full subtrees the leaves `end..size` fall into, left to right: at place p the largest power of two that divides p and does
/// not reach beyond `size`. None if `end` is not before `size`.
pub fn after(end: u64, size: u64) -> Vec<Subtree> {
    let mut subtrees = Vec::new();
    let mut place = end;
    while let Some(height) = size.saturating_sub(place).checked_ilog2() {
        let height = height.min(place.trailing_zeros());
        subtrees.push(Subtree { height, index: place >> height });
        place = place.saturating_add(1 << height);
    }
    subtrees
}

/// The proof that the leaf at `index` is in the tree of `size`: the roots beside its path, from the leaf upwards
/// (RFC 6962, section 2.1.1). Empty if the leaf is not within the tree.
///
/// `node` gives the root of a full subtree within `size`; at height 0 that is the leaf's hash.
///
/// # Errors
/// As `node` says.
pub fn inclusion_proof<E>(index: u64, size: u64, mut node: impl FnMut(Subtree) -> Result<Hash, E>) -> Result<Vec<Hash>, E> {
    let mut proof = Vec::new();
    let mut range = (0, size);
    while index < size
        && let Some((left, right)) = halves(range)
    {
        let (towards, beside) = if index < left.1 { (left, right) } else { (right, left) };
        proof.push(root_of(beside, &mut node)?);
        range = towards;
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of `new` leaves begins with those of the tree of `old` (RFC 6962, section 2.1.2).
/// Empty if `old` is 0, `new`, or more.
///
/// `node` gives the root of a full subtree within `new`; at height 0 that is the leaf's hash.
///
/// # Errors
/// As `node` says.
pub fn consistency_proof<E>(old: u64, new: u64, mut node: impl FnMut(Subtree) -> Result<Hash, E>) -> Result<Vec<Hash>, E> {
    let mut proof = Vec::new();
    if old == 0 || old >= new {
        return Ok(proof);
    }
    let mut range = (0, new);
    while range.1 != old
        && let Some((left, right)) = halves(range)
    {
        let (towards, beside) = if old <= left.1 { (left, right) } else { (right, left) };
        proof.push(root_of(beside, &mut node)?);
        range = towards;
    }
    // A reader has the root of the whole old tree; of a part of it he has to be told.
    if range.0 != 0 {
        proof.push(root_of(range, &mut node)?);
    }
    proof.reverse();
    Ok(proof)
}

type Range = (u64, u64);

/// What the tree over a range has on its left, the largest power of two below its size, and on its right. Nothing of a leaf.
fn halves((start, end): Range) -> Option<(Range, Range)> {
    let height = end.checked_sub(start)?.checked_sub(1)?.checked_ilog2()?;
    let middle = start.checked_add(1 << height)?;
    Some(((start, middle), (middle, end)))
}

/// The root over a range that [`halves`] made.
fn root_of<E>((start, end): Range, node: &mut impl FnMut(Subtree) -> Result<Hash, E>) -> Result<Hash, E> {
    let mut root = None;
    for subtree in after(start, end).into_iter().rev() {
        let left = node(subtree)?;
        root = Some(root.map_or(left, |right| self::node(left, right)));
    }
    Ok(root.unwrap_or_default())
}

/// Whether `leaf` is at `index` in the tree of this size and root.
pub fn verify_inclusion(index: u64, size: u64, leaf: Hash, proof: &[Hash], root: Hash) -> bool {
    let Some(last) = size.checked_sub(1).filter(|last| index <= *last) else {
        return false;
    };
    let mut path = Path { at: index, last };
    let mut hash = leaf;
    for beside in proof {
        hash = match path.climb() {
            Some(Side::Left) => node(*beside, hash),
            Some(Side::Right) => node(hash, *beside),
            None => return false,
        };
    }
    path.last == 0 && hash == root
}

/// Whether the tree of `new` leaves and `new_root` begins with the leaves of that of `old` and `old_root`.
///
/// The tree of no leaves has its one root, and every tree begins with it.
pub fn verify_consistency(old: u64, old_root: Hash, new: u64, new_root: Hash, proof: &[Hash]) -> bool {
    if old == new {
        return proof.is_empty() && old_root == new_root && (old != 0 || old_root == Tree::new().root());
    }
    let Some(at) = old.checked_sub(1) else {
        return proof.is_empty() && old_root == Tree::new().root();
    };
    let Some(last) = new.checked_sub(1).filter(|last| at < *last) else {
        return false;
    };
    // The largest full subtree that ends where the old tree ends: where that is the whole of it, its root is known.
    let height = at.trailing_ones();
    let mut path = Path { at: at.checked_shr(height).unwrap_or(0), last: last.checked_shr(height).unwrap_or(0) };
    let (start, proof) = if old.is_power_of_two() {
        (old_root, proof)
    } else {
        let Some((start, proof)) = proof.split_first() else { return false };
        (*start, proof)
    };
    let (mut hash_old, mut hash_new) = (start, start);
    for beside in proof {
        match path.climb() {
            Some(Side::Left) => {
                hash_old = node(*beside, hash_old);
                hash_new = node(*beside, hash_new);
            }
            Some(Side::Right) => hash_new = node(hash_new, *beside),
            None => return false,
        }
    }
    path.last == 0 && hash_old == old_root && hash_new == new_root
}

/// The way from a node up to the root: its place on its level, and that of the last node there (RFC 9162, section 2.1.3.2).
struct Path {
    at: u64,
    last: u64,
}

/// On which side of the path the next hash of a proof is.
enum Side {
    Left,
    Right,
}

impl Path {
    /// Goes up by one hash of the proof. Nothing at the root.
    fn climb(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let side = if self.at & 1 == 1 || self.at == self.last { Side::Left } else { Side::Right };
        // The last node of a level without a partner rises as it is, until it is a right child.
        let levels = if matches!(side, Side::Left) { self.at.trailing_zeros() } else { 0 }.saturating_add(1);
        self.at = self.at.checked_shr(levels).unwrap_or(0);
        self.last = self.last.checked_shr(levels).unwrap_or(0);
        Some(side)
    }
}
