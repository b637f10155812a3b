//! The tree against a naive one, which is RFC 6962 as it is written: recursive, over all leaves.

use std::collections::BTreeMap;
use std::convert::Infallible;

use allowlog_proto::chain::Hash;
use allowlog_proto::merkle::{
    Subtree, Tree, after, before, consistency_proof, entry, inclusion_proof, leaf, node, verify_consistency, verify_inclusion,
};
use allowlog_proto::sha256::sha256;
use proptest::prelude::*;

/// Section 2.1.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash(sha256(&[])),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(root(left), root(right))
        }
    }
}

/// Section 2.1.1.
fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut below, beside) =
        if index < left.len() { (path(index, left), root(right)) } else { (path(index - left.len(), right), root(left)) };
    below.push(beside);
    below
}

/// Section 2.1.2.
fn subproof(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if whole { Vec::new() } else { vec![root(leaves)] };
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut below, beside) =
        if old <= left.len() { (subproof(old, left, whole), root(right)) } else { (subproof(old - left.len(), right, false), root(left)) };
    below.push(beside);
    below
}

/// The largest power of two below `n`.
fn split(n: usize) -> usize {
    n.next_power_of_two() / 2
}

fn leaves(count: usize) -> Vec<Hash> {
    (0..count).map(|n| leaf(&entry(Hash(sha256(&[&n.to_be_bytes()])), &[7; 32]))).collect()
}

/// A tree of these leaves, and every full subtree of it by its place.
fn grow(leaves: &[Hash]) -> (Tree, BTreeMap<Subtree, Hash>) {
    let mut tree = Tree::new();
    let mut nodes = BTreeMap::new();
    for (leaf, index) in leaves.iter().zip(0..) {
        assert_eq!(nodes.insert(Subtree { height: 0, index }, *leaf), None);
        tree.push(*leaf, |subtree, hash| assert_eq!(nodes.insert(subtree, hash), None, "told once of {subtree:?}"));
    }
    (tree, nodes)
}

fn u(n: usize) -> u64 {
    n.try_into().unwrap()
}

fn proved(index: usize, size: usize, nodes: &BTreeMap<Subtree, Hash>) -> Vec<Hash> {
    inclusion_proof(u(index), u(size), |subtree| Ok::<_, Infallible>(nodes[&subtree])).unwrap()
}

fn continued(old: usize, new: usize, nodes: &BTreeMap<Subtree, Hash>) -> Vec<Hash> {
    consistency_proof(u(old), u(new), |subtree| Ok::<_, Infallible>(nodes[&subtree])).unwrap()
}

#[test]
fn hashes_are_those_of_the_known_trees() {
    // The trees of the reference implementation's tests (RFC 6962, section 2.1.3 has their shapes).
    let inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut tree = Tree::new();
    assert_eq!(tree.root().to_string(), roots[0]);
    for (input, root) in inputs.iter().zip(&roots[1..]) {
        tree.push(leaf(&data_encoding::HEXLOWER.decode(input.as_bytes()).unwrap()), |_, _| {});
        assert_eq!(tree.root().to_string(), *root);
    }
}

#[test]
fn the_tree_of_no_leaves_has_one_root() {
    let empty = Tree::new().root();
    assert!(verify_consistency(0, empty, 0, empty, &[]));
    assert!(!verify_consistency(0, Hash::default(), 0, Hash::default(), &[]));
    assert!(!verify_consistency(0, Hash::default(), 1, Hash::default(), &[]));
}

#[test]
fn an_entry_is_both_hashes() {
    let entry = entry(Hash([1; 32]), &[2; 32]);
    assert_eq!((&entry[..32], &entry[32..]), (&[1; 32][..], &[2; 32][..]));
    assert_eq!(leaf(&entry), Hash(sha256(&[&[0], &entry])));
}

#[test]
fn roots_and_nodes_are_those_of_the_naive_tree() {
    let leaves = leaves(70);
    for size in 0..=leaves.len() {
        let (tree, nodes) = grow(&leaves[..size]);
        assert_eq!((tree.size(), tree.root()), (u(size), root(&leaves[..size])));
        let full: usize = (0..7).map(|height| size >> height).sum();
        assert_eq!(nodes.len(), full, "every full subtree is told of");
        for (subtree, hash) in nodes {
            let [start, end] = [subtree.index, subtree.index + 1].map(|n| usize::try_from(n << subtree.height).unwrap());
            assert_eq!(hash, root(&leaves[start..end]), "{subtree:?}");
        }
        assert_eq!(Tree::from_edge(u(size), tree.edge().to_vec()).as_ref(), Some(&tree));
        assert_eq!(Tree::from_edge(u(size), [tree.edge(), &[Hash::default()]].concat()), None);
        assert_eq!(tree.edge().len(), before(u(size)).len());
    }
}

#[test]
fn proofs_are_those_of_the_naive_tree_and_verify() {
    let leaves = leaves(70);
    let (_, nodes) = grow(&leaves);
    for size in 0..=leaves.len() {
        let whole = root(&leaves[..size]);
        for index in 0..size {
            let proof = proved(index, size, &nodes);
            assert_eq!(proof, path(index, &leaves[..size]), "leaf {index} of {size}");
            assert!(verify_inclusion(u(index), u(size), leaves[index], &proof, whole));
        }
        for old in 0..=size {
            let proof = continued(old, size, &nodes);
            let expected = if old == 0 { Vec::new() } else { subproof(old, &leaves[..size], true) };
            assert_eq!(proof, expected, "{old} to {size}");
            assert!(verify_consistency(u(old), root(&leaves[..old]), u(size), whole, &proof));
        }
    }
}

/// The proof with one fault, whichever way: a flipped bit of each byte, a hash more or less at each place, two swapped.
fn spoilt(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut all = Vec::new();
    for at in 0..proof.len() {
        for byte in 0..32 {
            let mut other = proof.to_vec();
            other[at].0[byte] ^= 1 << (byte % 8);
            all.push(other);
        }
        let mut other = proof.to_vec();
        other.remove(at);
        all.push(other);
        if at > 0 {
            let mut other = proof.to_vec();
            other.swap(at - 1, at);
            all.push(other);
        }
    }
    for at in 0..=proof.len() {
        for hash in [Hash::default(), proof.get(at).or(proof.last()).copied().unwrap_or_default()] {
            let mut other = proof.to_vec();
            other.insert(at, hash);
            all.push(other);
        }
    }
    all
}

#[test]
fn no_other_inclusion_proof_verifies() {
    let leaves = leaves(19);
    let (_, nodes) = grow(&leaves);
    for size in 1..=leaves.len() {
        let whole = root(&leaves[..size]);
        for index in 0..size {
            let proof = proved(index, size, &nodes);
            let refused = |index, size, leaf, proof: &[Hash], root| !verify_inclusion(u(index), u(size), leaf, proof, root);
            for other in spoilt(&proof) {
                assert!(refused(index, size, leaves[index], &other, whole), "leaf {index} of {size}");
            }
            for other in (0..size + 3).filter(|other| *other != index) {
                assert!(refused(other, size, leaves[index], &proof, whole));
                assert!(other >= size || refused(index, size, leaves[other], &proof, whole));
            }
            for byte in 0..32 {
                let flip = |hash: Hash| {
                    let mut hash = hash;
                    hash.0[byte] ^= 0x80;
                    hash
                };
                assert!(refused(index, size, flip(leaves[index]), &proof, whole));
                assert!(refused(index, size, leaves[index], &proof, flip(whole)));
            }
            assert!(refused(index, 0, leaves[index], &proof, whole));
        }
    }
}

#[test]
fn no_other_consistency_proof_verifies() {
    let leaves = leaves(19);
    let (_, nodes) = grow(&leaves);
    for new in 0..=leaves.len() {
        let new_root = root(&leaves[..new]);
        for old in 0..=new {
            let old_root = root(&leaves[..old]);
            let proof = continued(old, new, &nodes);
            let refused = |old, old_root, new, new_root, proof: &[Hash]| !verify_consistency(u(old), old_root, u(new), new_root, proof);
            for other in spoilt(&proof) {
                assert!(refused(old, old_root, new, new_root, &other), "{old} to {new}");
            }
            for byte in 0..32 {
                let flip = |hash: Hash| {
                    let mut hash = hash;
                    hash.0[byte] ^= 0x80;
                    hash
                };
                assert!(refused(old, flip(old_root), new, new_root, &proof));
                assert!(old == 0 && new > 0 || refused(old, old_root, new, flip(new_root), &proof));
            }
            for other in (0..new + 3).filter(|other| *other != old) {
                assert!(refused(other, old_root, new, new_root, &proof), "{old} as {other} to {new}");
            }
            assert!(old == new || refused(new, new_root, old, old_root, &proof), "backwards");
        }
    }
}

#[test]
fn the_records_beside_a_run_make_its_root() {
    let leaves = leaves(40);
    let (_, nodes) = grow(&leaves);
    for size in 0..=leaves.len() {
        for end in 0..=size {
            for first in 0..=end {
                let (first, end, size) = (u(first), u(end), u(size));
                let mut tree = Tree::from_edge(first, before(first).iter().map(|subtree| nodes[subtree]).collect()).unwrap();
                for index in first..end {
                    tree.push(nodes[&Subtree { height: 0, index }], |_, _| {});
                }
                for subtree in after(end, size) {
                    tree.push_subtree(subtree.height, nodes[&subtree]).unwrap();
                }
                let size = usize::try_from(size).unwrap();
                assert_eq!((tree.size(), tree.root()), (u(size), root(&leaves[..size])), "{first} to {end} of {size}");
            }
        }
    }
}

#[test]
fn the_ends_of_64_bits_hold() {
    for size in [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) + 1] {
        assert_eq!(u32::try_from(before(size).len()).unwrap(), size.count_ones());
        assert!(after(size, size).is_empty());
        for end in [0, 1, 2, 3, size - 1, size / 2, size / 2 + 1] {
            let covered: u64 = after(end, size).iter().map(|subtree| 1 << subtree.height).sum();
            assert_eq!(covered, size - end);
        }
        let zero = |_| Ok::<_, Infallible>(Hash::default());
        assert!(inclusion_proof(size - 1, size, zero).unwrap().len() <= 64);
        assert!(consistency_proof(1, size, zero).unwrap().len() <= 65);
        assert!(!verify_inclusion(size - 1, size, Hash::default(), &[Hash::default(); 64], Hash::default()));
        assert!(!verify_consistency(size / 3, Hash::default(), size, Hash::default(), &[Hash::default(); 64]));
    }
    let mut full = Tree::from_edge(u64::MAX, vec![Hash::default(); 64]).unwrap();
    let same = full.clone();
    full.push(Hash::default(), |_, _| {});
    assert_eq!((full.push_subtree(0, Hash::default()), &full), (None, &same));
    let mut tree = Tree::from_edge(6, vec![Hash::default(); 2]).unwrap();
    for height in [2, 3, 63, 64, u32::MAX] {
        assert_eq!(tree.push_subtree(height, Hash::default()), None, "{height}");
    }
    assert_eq!((tree.push_subtree(1, Hash::default()), tree.size()), (Some(()), 8));
    assert!(inclusion_proof(8, 8, |_| Err(())).unwrap().is_empty());
    assert!(consistency_proof(9, 8, |_| Err(())).unwrap().is_empty());
    assert!(inclusion_proof(7, 8, |_| Err::<Hash, _>(())).is_err());
    assert!(consistency_proof(7, 8, |_| Err::<Hash, _>(())).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn larger_trees_too(size in 1_usize..1500, index: prop::sample::Index, old: prop::sample::Index) {
        let leaves = leaves(size);
        let (tree, nodes) = grow(&leaves);
        let (index, old) = (index.index(size), old.index(size) + 1);
        let proof = proved(index, size, &nodes);
        prop_assert_eq!(tree.root(), root(&leaves));
        prop_assert_eq!(&proof, &path(index, &leaves));
        prop_assert!(verify_inclusion(u(index), u(size), leaves[index], &proof, tree.root()));
        let proof = continued(old, size, &nodes);
        prop_assert_eq!(&proof, &subproof(old, &leaves, true));
        prop_assert!(verify_consistency(u(old), root(&leaves[..old]), u(size), tree.root(), &proof));
    }

    #[test]
    fn verifiers_are_total(
        a: u64, b: u64, seed: [u8; 4], hashes in prop::collection::vec(any::<[u8; 32]>().prop_map(Hash), 0..70),
    ) {
        let hash = Hash(sha256(&[&seed]));
        prop_assert!(!verify_inclusion(a, b, hash, &hashes, hash) || hashes.is_empty());
        prop_assert!(!verify_consistency(a, hash, b, hash, &hashes) || a == b);
    }
}
