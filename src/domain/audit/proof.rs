//! An inclusion proof: that one entry is in a signed block, shown without any other entry.

use serde::{Deserialize, Serialize};

use super::chain::{Block, signed_block};
use super::leaf::StoredEntry;
use super::merkle;
use super::report::{Check, Signature};

/// What is needed to show, offline, that an entry was sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Proof {
    /// The entry.
    pub entry: StoredEntry,
    /// The block that has it.
    pub block: Block,
    /// Its place among the block's entries, from 0.
    pub index: u64,
    /// The hashes by which the block's root follows from the entry's leaf, from the bottom up; hex.
    pub path: Vec<String>,
    /// The public half of the key that signed the block, hex. Trust it only if it is known from elsewhere.
    pub public_key: String,
}

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// The hashes do not lead from the entry to the block's root.
    #[error("the entry is not the one that the block has at this place")]
    Entry,
    /// The block does not have its own hash.
    #[error("what the block says does not have its hash")]
    Block,
    /// The signature is wrong.
    #[error("the block was not signed by the vault's key")]
    Signature,
    /// There is no such key.
    #[error("the block was signed with a key that is not at hand")]
    UnknownKey,
}

impl Proof {
    /// Checks the proof.
    ///
    /// # Errors
    /// [`Unproven`].
    pub fn verify(&self, check: &Check<'_>) -> Result<(), Unproven> {
        let header = &self.block.header;
        if header.hash() != self.block.hash {
            return Err(Unproven::Block);
        }
        match check(&header.kid, &signed_block(&self.block.hash), &self.block.signature) {
            Signature::Good => {}
            Signature::Bad => return Err(Unproven::Signature),
            Signature::UnknownKey => return Err(Unproven::UnknownKey),
        }
        let path: Option<Vec<_>> = self
            .path
            .iter()
            .map(|hash| super::chain::from_hex(hash)?.try_into().ok())
            .collect();
        let size = header.entries.unsigned_abs();
        let root = path.and_then(|path| merkle::root_from_path(&self.entry.leaf(), self.index, size, &path));
        if root == Some(header.root) {
            Ok(())
        } else {
            Err(Unproven::Entry)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::chain::{Tip, to_hex};
    use super::super::draft::plan;
    use super::super::leaf::tests::entry;
    use super::*;
    use crate::domain::change::SnapshotPoint;

    fn proof(index: usize) -> Proof {
        let entries: Vec<_> = (1..=5).map(entry).collect();
        let seen = SnapshotPoint::parse("10:10:").unwrap();
        let (header, leaves) = plan(
            &Tip::start(),
            &seen,
            entries.iter().collect(),
            jiff::Timestamp::UNIX_EPOCH,
            "k",
        )
        .remove(0);
        let hash = header.hash();
        Proof {
            entry: entries[index].clone(),
            block: Block {
                header,
                hash,
                signature: b"signed".to_vec(),
            },
            index: index as u64,
            path: merkle::path(&leaves.hashes, index)
                .unwrap()
                .iter()
                .map(|hash| to_hex(hash))
                .collect(),
            public_key: String::new(),
        }
    }

    fn check(kid: &str, _: &[u8], signature: &[u8]) -> Signature {
        match (kid, signature) {
            ("k", b"signed") => Signature::Good,
            ("k", _) => Signature::Bad,
            _ => Signature::UnknownKey,
        }
    }

    #[test]
    fn r26_a_proof_holds_for_its_entry_and_for_nothing_else() {
        for index in 0..5 {
            assert_eq!(proof(index).verify(&check), Ok(()));
            let mut other = proof(index);
            other.entry.reason = "x".into();
            assert_eq!(other.verify(&check), Err(Unproven::Entry));
            let mut other = proof(index);
            other.index = (other.index + 1) % 5;
            assert_eq!(other.verify(&check), Err(Unproven::Entry));
        }
        let mut other = proof(0);
        other.block.header.total += 1;
        assert_eq!(other.verify(&check), Err(Unproven::Block));
        let mut other = proof(0);
        other.block.signature = b"forged".to_vec();
        assert_eq!(other.verify(&check), Err(Unproven::Signature));
        let mut other = proof(0);
        other.block.header.kid = "l".into();
        other.block.hash = other.block.header.hash();
        assert_eq!(other.verify(&check), Err(Unproven::UnknownKey));
    }
}
