//! What a verification reads, and what it comes to.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::chain::{Block, Leaves, to_hex};
use super::leaf::StoredEntry;

/// The action of an entry by which retention dropped a day; the day is its resource.
pub const DROP: &str = "audit.drop";

/// One line of an export, and one step of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Item {
    /// Comes first.
    Begin {
        /// The format: 1.
        format: u32,
        /// The days that retention has dropped.
        dropped: Vec<Date>,
    },
    /// A block, before its entries.
    Block {
        /// What is stored of it.
        #[serde(flatten)]
        block: Block,
        /// The ids of its entries; absent if its leaves are gone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ids: Option<Vec<i64>>,
        /// Their leaf hashes, 64 hex digits each, joined.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        leaves: Option<String>,
    },
    /// An entry of the block that came before it.
    Entry {
        /// The entry.
        entry: StoredEntry,
    },
    /// An entry that no block has; after all blocks.
    Unsealed {
        /// The transaction that wrote it.
        xid: u64,
        /// The entry.
        entry: StoredEntry,
    },
    /// Comes last: an export without it was cut off.
    End {
        /// How many blocks there were.
        blocks: u64,
    },
}

impl Item {
    /// A block with its leaves.
    #[must_use]
    pub fn block(block: Block, leaves: Option<Leaves>) -> Self {
        let (ids, leaves) = leaves.map_or((None, None), |leaves| {
            (Some(leaves.ids), Some(to_hex(&leaves.hashes.concat())))
        });
        Self::Block { block, ids, leaves }
    }
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Damage {
    /// An entry is not what was sealed.
    Changed,
    /// An entry, or a block, that was sealed is gone.
    Deleted,
    /// An entry was never sealed, though it is old enough to have been.
    Inserted,
    /// Entries stand under each other's ids, in a circle of more than two, or leaves in another order.
    Reordered,
    /// Two entries stand under each other's ids.
    Swapped,
    /// The log ends before the checkpoint.
    Truncated,
    /// A block is not what was signed, or does not follow from the one before.
    Rewritten,
}

impl Damage {
    /// As it is shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Deleted => "deleted",
            Self::Inserted => "inserted",
            Self::Reordered => "reordered",
            Self::Swapped => "swapped",
            Self::Truncated => "truncated",
            Self::Rewritten => "rewritten",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The block concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<i64>,
    /// The entry concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<i64>,
    /// What is wrong.
    pub damage: Damage,
    /// The same in words.
    pub detail: String,
}

/// What a verification came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Everything fits.
    Intact,
    /// Something was tampered with.
    Tampered,
    /// It cannot be told: something that is needed is missing.
    CannotTell,
}

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What it came to.
    pub verdict: Verdict,
    /// What is wrong, in the order of blocks; the first thousand.
    pub findings: Vec<Finding>,
    /// How many there are in all.
    pub found: u64,
    /// What kept it from telling.
    pub problems: Vec<String>,
    /// Blocks looked at.
    pub blocks: u64,
    /// Entries that fit their leaves.
    pub entries: u64,
    /// Entries that are not sealed yet: those of the last second or so.
    pub unsealed: u64,
    /// Days whose entries retention has dropped; of them the blocks alone were verified.
    pub dropped: Vec<Date>,
    /// The height of the last block, 0 for none.
    pub height: i64,
    /// Its hash.
    pub hash: String,
}

/// Whether a signature is one of a trusted key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// It is.
    Good,
    /// The key is trusted, and did not make it.
    Bad,
    /// There is no such trusted key.
    UnknownKey,
}

/// Checks a signature: key, message, signature.
pub type Check<'a> = dyn Fn(&str, &[u8], &[u8]) -> Signature + Send + Sync + 'a;
