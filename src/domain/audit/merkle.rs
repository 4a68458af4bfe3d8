//! Merkle trees over leaves, as in RFC 6962, section 2.1: leaf and node hashes are kept apart by their first byte, so that no node passes
//! for a leaf. Inclusion proofs are those of RFC 9162, section 2.1.3.

use sha2::{Digest as _, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// The hash of a leaf's bytes.
#[must_use]
pub fn leaf(bytes: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(bytes).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// The root over leaf hashes; that of no leaves is the hash of nothing.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        leaves => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(&root(left), &root(right))
        }
    }
}

/// The hashes by which the root follows from the leaf at `index`, from the bottom to the top; nothing if there is no such leaf.
#[must_use]
pub fn path(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    let mut path = Vec::new();
    let (mut part, mut index) = (leaves, index);
    while part.len() > 1 {
        let (left, right) = part.split_at(split(part.len()));
        if index < left.len() {
            path.push(root(right));
            part = left;
        } else {
            path.push(root(left));
            index -= left.len();
            part = right;
        }
    }
    path.reverse();
    Some(path)
}

/// The root that a leaf at `index` among `size` and its path lead to; nothing if they do not fit together.
#[must_use]
pub fn root_from_path(leaf: &Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut index, mut last, mut hash) = (index, size - 1, *leaf);
    for beside in path {
        if last == 0 {
            return None;
        }
        if index & 1 == 1 || index == last {
            hash = node(beside, &hash);
            while index & 1 == 0 && index != 0 {
                index >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, beside);
        }
        index >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

/// The largest power of two below `len`, which is at least 2.
fn split(len: usize) -> usize {
    1 << (len - 1).ilog2()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|n| leaf(&n.to_be_bytes())).collect()
    }

    fn hex(hash: Hash) -> String {
        hash.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The test vectors of Certificate Transparency's reference implementation.
    #[test]
    fn the_tree_is_that_of_rfc_6962() {
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let leaves: Vec<Hash> = inputs.iter().map(|input| leaf(input)).collect();
        for (size, expected) in [
            (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
            (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
        ] {
            assert_eq!(hex(root(&leaves[..size])), expected, "{size}");
        }
    }

    proptest! {
        #[test]
        fn r26_a_proof_leads_to_the_root_from_its_own_place_only(size in 1usize..70, index in 0usize..70, other in 0usize..70, drop in 0usize..8) {
            let index = index % size;
            let leaves = leaves(size);
            let top = root(&leaves);
            let proof = path(&leaves, index).unwrap();
            prop_assert_eq!(root_from_path(&leaves[index], index as u64, size as u64, &proof), Some(top));
            let other = other % size;
            if other != index {
                prop_assert_ne!(root_from_path(&leaves[other], index as u64, size as u64, &proof), Some(top));
                prop_assert_ne!(root_from_path(&leaves[index], other as u64, size as u64, &proof), Some(top));
            }
            if drop < proof.len() {
                let mut short = proof.clone();
                short.remove(drop);
                prop_assert_ne!(root_from_path(&leaves[index], index as u64, size as u64, &short), Some(top));
            }
        }

        #[test]
        fn r26_a_root_changes_with_any_leaf_and_any_order(size in 2usize..70, at in 0usize..70, with in 0usize..70) {
            let (at, with) = (at % size, with % size);
            let whole = leaves(size);
            let mut changed = whole.clone();
            changed[at][0] ^= 1;
            prop_assert_ne!(root(&changed), root(&whole));
            let mut swapped = whole.clone();
            swapped.swap(at, with);
            prop_assert_eq!(root(&swapped) == root(&whole), at == with);
            prop_assert_ne!(root(&whole[..size - 1]), root(&whole));
        }
    }

    #[test]
    fn there_is_no_proof_for_a_leaf_that_is_not_there() {
        assert_eq!(path(&leaves(3), 3), None);
        assert_eq!(root_from_path(&leaf(b""), 0, 0, &[]), None);
    }
}
