//! Verification: everything is computed anew from the entries, and whatever does not fit is named.
//!
//! A [`Verifier`] is fed one [`Item`] after the other, from the database or from an export: both are the same sequence. It keeps one block
//! at a time, and what did not fit. Signatures are checked by a function that it is given, so that this stays pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::chain::{Block, Checkpoint, Header, Leaves, from_hex, signed_block, to_hex};
use super::leaf::StoredEntry;
use super::merkle::{self, Hash};
use super::report::{Check, DROP, Damage, Finding, Item, Report, Signature, Verdict};
use crate::domain::change::SnapshotPoint;

/// Findings that are listed; more are only counted.
const LISTED: usize = 1000;
/// Mismatches that are tried against each other, to tell a swap from two changes.
const PAIRED: usize = 256;

/// An entry that does not fit its leaf.
struct Misfit {
    block: i64,
    leaf: Hash,
    entry: StoredEntry,
}

struct Open {
    header: Header,
    leaves: Option<Leaves>,
    entries: BTreeMap<i64, StoredEntry>,
    extra: Vec<i64>,
}

/// Verifies a log, item by item.
pub struct Verifier<'a> {
    check: &'a Check<'a>,
    checkpoint: Option<Checkpoint>,
    dropped: BTreeSet<Date>,
    recorded_drops: BTreeSet<Date>,
    gone: BTreeMap<Date, (i64, i64)>,
    open: Option<Open>,
    last: Option<(Header, Hash)>,
    misfits: Vec<Misfit>,
    findings: Vec<Finding>,
    found: u64,
    problems: BTreeSet<String>,
    strangers: Vec<(u64, i64)>,
    blocks: u64,
    entries: u64,
    unsealed: u64,
    begun: bool,
    ended: bool,
}

impl<'a> Verifier<'a> {
    /// Begins a verification, against a checkpoint if there is one.
    #[must_use]
    pub fn new(check: &'a Check<'a>, checkpoint: Option<Checkpoint>) -> Self {
        let mut problems = BTreeSet::new();
        if let Some(point) = &checkpoint {
            let signed = Checkpoint::signed(point.height, &point.hash, point.total);
            match check(&point.kid, &signed, &point.signature) {
                Signature::Good => {}
                Signature::Bad => {
                    problems
                        .insert("the checkpoint's signature is wrong: it is damaged, or of another vault".to_owned());
                }
                Signature::UnknownKey => {
                    problems.insert(format!(
                        "the checkpoint was signed with key {}, which is not at hand",
                        point.kid
                    ));
                }
            }
        }
        Self {
            check,
            checkpoint,
            dropped: BTreeSet::new(),
            recorded_drops: BTreeSet::new(),
            gone: BTreeMap::new(),
            open: None,
            last: None,
            misfits: Vec::new(),
            findings: Vec::new(),
            found: 0,
            problems,
            strangers: Vec::new(),
            blocks: 0,
            entries: 0,
            unsealed: 0,
            begun: false,
            ended: false,
        }
    }

    /// Takes the next item.
    pub fn feed(&mut self, item: Item) {
        if !self.begun && !matches!(item, Item::Begin { .. }) {
            self.problems.insert("the export does not begin as one does".to_owned());
        }
        match item {
            Item::Begin { format, dropped } => {
                self.begun = true;
                if format != 1 {
                    self.problems
                        .insert(format!("the export has format {format}; this program reads format 1"));
                }
                self.dropped = dropped.into_iter().collect();
            }
            Item::Block { block, ids, leaves } => {
                self.close();
                self.block(block, ids, leaves.as_deref());
            }
            Item::Entry { entry } => match &mut self.open {
                Some(open) if open.entries.contains_key(&entry.id) => open.extra.push(entry.id),
                Some(open) => {
                    open.entries.insert(entry.id, entry);
                }
                None => {
                    self.problems
                        .insert("the export has an entry before any block".to_owned());
                }
            },
            Item::Unsealed { xid, entry } => {
                self.close();
                self.strangers.push((xid, entry.id));
            }
            Item::End { blocks } => {
                self.close();
                self.ended = true;
                if blocks != self.blocks {
                    self.problems.insert(format!(
                        "the export says that it has {blocks} blocks, and has {}",
                        self.blocks
                    ));
                }
            }
        }
    }

    /// Notes that something needed is missing.
    pub fn cannot_tell(&mut self, problem: impl Into<String>) {
        self.problems.insert(problem.into());
    }

    fn find(&mut self, block: Option<i64>, entry: Option<i64>, damage: Damage, detail: impl Into<String>) {
        self.found += 1;
        if self.findings.len() < LISTED {
            self.findings.push(Finding {
                block,
                entry,
                damage,
                detail: detail.into(),
            });
        }
    }

    /// What can be said of a block before its entries are known: its number, hash, signature and place in the chain.
    fn block(&mut self, block: Block, ids: Option<Vec<i64>>, leaves: Option<&str>) {
        self.blocks += 1;
        let Block {
            header,
            hash,
            signature,
        } = block;
        let at = Some(header.height);
        let true_hash = header.hash();
        if true_hash != hash {
            self.find(
                at,
                None,
                Damage::Rewritten,
                "what the block says does not have its hash",
            );
        } else {
            match (self.check)(&header.kid, &signed_block(&hash), &signature) {
                Signature::Good => {}
                Signature::Bad => self.find(
                    at,
                    None,
                    Damage::Rewritten,
                    "the block was not signed by the vault's key",
                ),
                Signature::UnknownKey => self.cannot_tell(format!(
                    "block {} was signed with key {}, which is not at hand",
                    header.height, header.kid
                )),
            }
        }
        let (height, last_hash, total) = self
            .last
            .as_ref()
            .map_or((0, [0; 32], 0), |(last, hash)| (last.height, *hash, last.total));
        if header.height > height + 1 {
            let detail = match header.height - height {
                2 => format!("block {} is gone", height + 1),
                _ => format!("blocks {} to {} are gone", height + 1, header.height - 1),
            };
            self.find(Some(height + 1), None, Damage::Deleted, detail);
        } else if header.previous != last_hash {
            self.find(
                at,
                None,
                Damage::Rewritten,
                "the block does not follow from the one before",
            );
        } else if header.total != total + header.entries {
            self.find(
                at,
                None,
                Damage::Rewritten,
                "the block does not count on from the one before",
            );
        }
        let seen = self.checkpoint.as_ref().filter(|point| point.height == header.height);
        if seen.is_some_and(|point| point.hash != hash || point.total != header.total) {
            self.find(
                at,
                None,
                Damage::Rewritten,
                "the block is another than the checkpoint saw",
            );
        }
        let leaves = ids.zip(leaves).and_then(|(ids, leaves)| {
            let bytes = from_hex(leaves)?;
            let hashes: Vec<Hash> = bytes.chunks_exact(32).filter_map(|hash| hash.try_into().ok()).collect();
            (hashes.len() == ids.len() && bytes.len() == 32 * ids.len()).then_some(Leaves { ids, hashes })
        });
        self.last = Some((header.clone(), hash));
        self.open = Some(Open {
            header,
            leaves,
            entries: BTreeMap::new(),
            extra: Vec::new(),
        });
    }

    /// Ends the block whose entries came: each has to have its leaf, and the leaves the signed root.
    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let (header, mut entries) = (open.header, open.entries);
        for id in open.extra {
            self.find(
                Some(header.height),
                Some(id),
                Damage::Inserted,
                "a second entry has this id",
            );
        }
        let Some(mut leaves) = open.leaves else {
            return self.without_leaves(&header, &entries);
        };
        let rooted = merkle::root(&leaves.hashes) == header.root;
        if rooted && !leaves.ids.is_sorted() {
            let first = leaves.ids.windows(2).find(|pair| pair[0] > pair[1]).map(|pair| pair[0]);
            self.find(
                Some(header.height),
                first,
                Damage::Reordered,
                "the block lists its entries in another order",
            );
            // The hashes are those that were signed, in the order of the ids.
            leaves.ids.sort_unstable();
        }
        if !rooted {
            self.broken_leaves(&header, &leaves, &entries);
        }
        for (id, leaf) in leaves.ids.iter().zip(&leaves.hashes) {
            match entries.remove(id) {
                None => self.find(Some(header.height), Some(*id), Damage::Deleted, "the entry is gone"),
                Some(entry) if entry.leaf() == *leaf => {
                    self.entries += 1;
                    self.note_drop(&entry);
                }
                // Against leaves that are not what was signed, nothing can be said of an entry.
                Some(_) if !rooted => {}
                Some(entry) => self.misfits.push(Misfit {
                    block: header.height,
                    leaf: *leaf,
                    entry,
                }),
            }
        }
        for id in entries.into_keys() {
            self.find(
                Some(header.height),
                Some(id),
                Damage::Inserted,
                "the block has no leaf for the entry",
            );
        }
    }

    /// Leaves that do not have the signed root: the entries themselves may tell what was done to them.
    fn broken_leaves(&mut self, header: &Header, leaves: &Leaves, entries: &BTreeMap<i64, StoredEntry>) {
        let at = Some(header.height);
        let own: Vec<(i64, Hash)> = entries.values().map(|entry| (entry.id, entry.leaf())).collect();
        let hashes: Vec<Hash> = own.iter().map(|(_, leaf)| *leaf).collect();
        if merkle::root(&hashes) != header.root {
            let detail = "its leaves do not have the signed root, and neither have its entries";
            return self.find(at, None, Damage::Rewritten, detail);
        }
        let (mut kept, mut whole) = (leaves.hashes.clone(), hashes);
        kept.sort_unstable();
        whole.sort_unstable();
        if kept == whole {
            let first = own.iter().zip(&leaves.ids).find(|((id, _), stored)| id != *stored);
            let entry = first.map(|((id, _), _)| *id);
            return self.find(
                at,
                entry,
                Damage::Reordered,
                "the leaves stand in another order; the entries are whole",
            );
        }
        let stored: BTreeMap<i64, Hash> = leaves.ids.iter().copied().zip(leaves.hashes.iter().copied()).collect();
        for (id, leaf) in own {
            match stored.get(&id) {
                Some(hash) if *hash == leaf => {}
                Some(_) => self.find(
                    at,
                    Some(id),
                    Damage::Changed,
                    "the entry's leaf was changed; the entry is whole",
                ),
                None => self.find(
                    at,
                    Some(id),
                    Damage::Deleted,
                    "the entry's leaf is gone; the entry is whole",
                ),
            }
        }
    }

    /// A block whose leaves are gone: by retention, or not.
    fn without_leaves(&mut self, header: &Header, entries: &BTreeMap<i64, StoredEntry>) {
        if entries.is_empty() && self.dropped.contains(&header.day) {
            let range = self.gone.entry(header.day).or_insert((header.height, header.height));
            range.1 = header.height;
            return;
        }
        let hashes: Vec<Hash> = entries.values().map(StoredEntry::leaf).collect();
        let detail = if merkle::root(&hashes) == header.root {
            self.entries += header.entries.unsigned_abs();
            "the block's leaves are gone; its entries are whole"
        } else {
            "the block's leaves are gone, and retention did not drop its day"
        };
        self.find(Some(header.height), None, Damage::Deleted, detail);
    }

    /// A sealed entry by which retention dropped a day.
    fn note_drop(&mut self, entry: &StoredEntry) {
        if entry.action == DROP && entry.decision == "allow" {
            self.recorded_drops.extend(entry.resource.parse::<Date>().ok());
        }
    }

    /// Ends the verification.
    #[must_use]
    pub fn finish(mut self) -> Report {
        self.close();
        if !self.ended {
            self.cannot_tell("the export was cut off: its last line is missing");
        }
        self.settle_misfits();
        self.settle_drops();
        let seen = self
            .last
            .as_ref()
            .map(|(header, _)| SnapshotPoint::parse(&header.snapshot));
        for (xid, id) in std::mem::take(&mut self.strangers) {
            match &seen {
                Some(Ok(seen)) if seen.has_seen(xid) => {
                    self.find(
                        None,
                        Some(id),
                        Damage::Inserted,
                        "no block has the entry, though it would have been sealed",
                    );
                }
                _ => self.unsealed += 1,
            }
        }
        let (height, hash, total) = self
            .last
            .as_ref()
            .map_or((0, [0; 32], 0), |(header, hash)| (header.height, *hash, header.total));
        if let Some(point) = self.checkpoint.clone().filter(|point| point.height > height) {
            let (blocks, entries) = (point.height - height, point.total - total);
            let detail =
                format!("the log ends at block {height}; the checkpoint saw {blocks} more, with {entries} entries");
            self.find(Some(height + 1), None, Damage::Truncated, detail);
        }
        self.findings.sort();
        let verdict = match (self.found, self.problems.is_empty()) {
            (0, true) => Verdict::Intact,
            (0, false) => Verdict::CannotTell,
            _ => Verdict::Tampered,
        };
        Report {
            verdict,
            findings: self.findings,
            found: self.found,
            problems: self.problems.into_iter().collect(),
            blocks: self.blocks,
            entries: self.entries,
            unsealed: self.unsealed,
            dropped: self.gone.into_keys().collect(),
            height,
            hash: to_hex(&hash),
        }
    }

    /// Tells entries that stand in each other's places from entries that were changed.
    fn settle_misfits(&mut self) {
        let misfits = std::mem::take(&mut self.misfits);
        let near = misfits.get(..misfits.len().min(PAIRED)).unwrap_or_default();
        // For each misfit, the one whose content belongs in its place.
        let owner: Vec<Option<usize>> = near
            .iter()
            .map(|place| {
                near.iter().position(|other| {
                    let (id, at) = (place.entry.id, place.entry.at);
                    other.entry.leaf_as(id, None) == place.leaf || other.entry.leaf_as(id, Some(at)) == place.leaf
                })
            })
            .collect();
        for (n, misfit) in misfits.iter().enumerate() {
            let (block, id) = (Some(misfit.block), Some(misfit.entry.id));
            match owner.get(n).copied().flatten().filter(|other| *other != n) {
                Some(other) if owner.get(other) == Some(&Some(n)) => {
                    let detail = format!(
                        "the entry holds what entry {} held, and that one what this held",
                        misfits[other].entry.id
                    );
                    self.find(block, id, Damage::Swapped, detail);
                }
                Some(other) => {
                    let detail = format!("what the entry held is in entry {} now", misfits[other].entry.id);
                    self.find(block, id, Damage::Reordered, detail);
                }
                None => self.find(block, id, Damage::Changed, "the entry is not what was sealed"),
            }
        }
    }

    /// A day may be gone if an entry that is still sealed says that retention dropped it. What was dropped so long ago that its record is
    /// gone too counts as well, if a later day is recorded as dropped.
    fn settle_drops(&mut self) {
        let newest = self.recorded_drops.last().copied();
        let unrecorded: Vec<(Date, (i64, i64))> = self
            .gone
            .iter()
            .filter(|(day, _)| newest.is_none_or(|newest| **day > newest))
            .map(|(day, range)| (*day, *range))
            .collect();
        for (day, (first, last)) in unrecorded {
            let detail = format!(
                "the entries of {day} are gone (blocks {first} to {last}), and no entry says that retention dropped them"
            );
            self.find(Some(first), None, Damage::Deleted, detail);
        }
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
