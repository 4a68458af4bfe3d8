//! Blocks: what is signed about the entries of one second, and how each follows from the one before.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::leaf::Encoder;
use super::merkle::{self, Hash};
use crate::domain::change::SnapshotPoint;

/// What the bytes of a block begin with, before they are hashed.
const BLOCK: &[u8] = b"aether-vault audit block 1";
/// What the signed bytes of a block begin with.
const SIGNED_BLOCK: &[u8] = b"aether-vault audit block signature 1";
/// What the signed bytes of a checkpoint begin with.
const SIGNED_CHECKPOINT: &[u8] = b"aether-vault audit checkpoint 1";
/// The snapshot that has seen nothing: whoever resumes from it compares everything.
pub const NOTHING_SEEN: &str = "1:1:";

/// What a block says of its entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// Its number, from 1 without gaps.
    pub height: i64,
    /// The day (UTC) of all its entries.
    pub day: Date,
    /// When it was sealed, by the sealer's clock.
    pub sealed_at: Timestamp,
    /// The time of the earliest of its entries.
    pub first_at: Timestamp,
    /// The time of the latest of its entries.
    pub last_at: Timestamp,
    /// How many entries it has.
    pub entries: i64,
    /// How many entries it and all blocks before it have.
    pub total: i64,
    /// What had been seen: every entry visible in it is in this block or an earlier one.
    pub snapshot: String,
    /// The hash of the block before; zeroes for the first.
    #[serde(with = "hex_hash")]
    pub previous: Hash,
    /// The Merkle root of its entries, in the order of their ids.
    #[serde(with = "hex_hash")]
    pub root: Hash,
    /// The key that signed it.
    pub kid: String,
}

impl Header {
    /// The hash of the block.
    #[must_use]
    pub fn hash(&self) -> Hash {
        let mut out = Encoder(Vec::with_capacity(256));
        out.bytes(BLOCK);
        out.number(self.height);
        out.bytes(self.day.to_string().as_bytes());
        for at in [self.sealed_at, self.first_at, self.last_at] {
            out.number(at.as_microsecond());
        }
        out.number(self.entries);
        out.number(self.total);
        out.bytes(self.snapshot.as_bytes());
        out.bytes(&self.previous);
        out.bytes(&self.root);
        out.bytes(self.kid.as_bytes());
        merkle::leaf(&out.0)
    }
}

/// A block as stored: what it says, its hash, and the signature over that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// What it says.
    #[serde(flatten)]
    pub header: Header,
    /// Its hash.
    #[serde(with = "hex_hash")]
    pub hash: Hash,
    /// Ed25519, over [`signed_block`].
    #[serde(with = "hex_bytes")]
    pub signature: Vec<u8>,
}

/// The bytes that a block's signature is over.
#[must_use]
pub fn signed_block(hash: &Hash) -> Vec<u8> {
    [SIGNED_BLOCK, hash].concat()
}

/// The leaves of a block, in the order of the entries' ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leaves {
    /// The entries' ids, ascending.
    pub ids: Vec<i64>,
    /// Their leaf hashes.
    pub hashes: Vec<Hash>,
}

/// How far the log had come: what leaves the database, so that a tail that was cut off shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Checkpoint {
    /// The height of the block.
    pub height: i64,
    /// Its hash.
    #[serde(with = "hex_hash")]
    pub hash: Hash,
    /// The entries up to and with it.
    pub total: i64,
    /// When the block was sealed.
    pub sealed_at: Timestamp,
    /// The key that signed it.
    pub kid: String,
    /// The public half of that key, to verify with where the vault is not at hand.
    #[serde(with = "hex_bytes")]
    pub public_key: Vec<u8>,
    /// Ed25519, over [`Checkpoint::signed`].
    #[serde(with = "hex_bytes")]
    pub signature: Vec<u8>,
}

impl Checkpoint {
    /// The bytes that its signature is over.
    #[must_use]
    pub fn signed(height: i64, hash: &Hash, total: i64) -> Vec<u8> {
        let mut out = Encoder(Vec::with_capacity(96));
        out.0.extend_from_slice(SIGNED_CHECKPOINT);
        out.number(height);
        out.bytes(hash);
        out.number(total);
        out.0
    }
}

/// Where the next block goes on.
#[derive(Debug, Clone)]
pub struct Tip {
    /// The height of the last block, 0 for none.
    pub height: i64,
    /// Its hash; zeroes for none.
    pub hash: Hash,
    /// The entries up to and with it.
    pub total: i64,
    /// What it had seen.
    pub snapshot: SnapshotPoint,
}

impl Tip {
    /// Before the first block.
    #[must_use]
    pub fn start() -> Self {
        Self {
            height: 0,
            hash: [0; 32],
            total: 0,
            snapshot: SnapshotPoint::nothing(),
        }
    }
}

/// The day (UTC) of a time.
#[must_use]
pub fn day_of(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// Hashes as hex digits.
pub mod hex_hash {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::Hash;

    /// Writes the digits.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::to_hex(hash))
    }

    /// Reads the digits.
    ///
    /// # Errors
    /// If there are not 64 of them.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::from_hex(&text)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| serde::de::Error::custom("a hash is 64 hex digits"))
    }
}

/// Bytes as hex digits.
pub mod hex_bytes {
    use serde::{Deserialize as _, Deserializer, Serializer};

    /// Writes the digits.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::to_hex(bytes))
    }

    /// Reads the digits.
    ///
    /// # Errors
    /// If they are none.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::from_hex(&text).ok_or_else(|| serde::de::Error::custom("bytes are hex digits, two each"))
    }
}

/// Bytes as lower-case hex digits.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
}

/// Bytes from hex digits.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::draft::plan;
    use super::super::leaf::tests::entry;
    use super::*;

    fn seen() -> SnapshotPoint {
        SnapshotPoint::parse("10:20:12").unwrap()
    }

    #[test]
    fn the_header_is_hashed_like_this() {
        let golden: serde_json::Value = serde_json::from_str(include_str!("../../../tests/golden/audit.json")).unwrap();
        let block: Block = serde_json::from_value(golden["block"].clone()).unwrap();
        assert_eq!(to_hex(&block.header.hash()), golden["block"]["hash"].as_str().unwrap());
        assert_eq!(block.hash, block.header.hash());
    }

    #[test]
    fn r26_every_part_of_a_header_counts() {
        let (header, _) = plan(
            &Tip::start(),
            &seen(),
            [&entry(1)].into_iter().collect(),
            Timestamp::UNIX_EPOCH,
            "k",
        )
        .remove(0);
        let json = serde_json::to_value(&header).unwrap();
        for (field, value) in json.as_object().unwrap() {
            let mut changed = json.clone();
            changed[field] = match value {
                serde_json::Value::Number(number) => (number.as_i64().unwrap() + 1).into(),
                _ => match field.as_str() {
                    "day" => "2031-01-01".into(),
                    "previous" | "root" => "11".repeat(32).into(),
                    "snapshot" | "kid" => "2:2:".into(),
                    _ => "2031-01-01T00:00:00Z".into(),
                },
            };
            let changed: Header = serde_json::from_value(changed).unwrap();
            assert_ne!(changed.hash(), header.hash(), "{field}");
        }
    }

    #[test]
    fn hex_is_read_back() {
        assert_eq!(from_hex(&to_hex(&[0, 1, 0xfe])).unwrap(), [0, 1, 0xfe]);
        assert_eq!((from_hex("0"), from_hex("0g"), from_hex("é")), (None, None, None));
    }
}
