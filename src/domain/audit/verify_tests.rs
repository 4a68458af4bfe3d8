use jiff::Timestamp;
use proptest::prelude::*;

use super::super::chain::Tip;
use super::super::draft::plan;
use super::super::leaf::tests::entry;
use super::*;

/// What a log consists of, before and after somebody had their hands in it.
#[derive(Clone)]
struct Log {
    blocks: Vec<(Block, Option<Leaves>, Vec<StoredEntry>)>,
    unsealed: Vec<(u64, StoredEntry)>,
    dropped: Vec<Date>,
}

/// Damage, block, entry.
type Found = (Damage, Option<i64>, Option<i64>);

/// "Signs" with the hash itself: whoever knows that can sign, as whoever has the key can.
fn sign(message: &[u8]) -> Vec<u8> {
    message.to_vec()
}

fn check(kid: &str, message: &[u8], signature: &[u8]) -> Signature {
    match kid {
        "k" if signature == message => Signature::Good,
        "k" => Signature::Bad,
        _ => Signature::UnknownKey,
    }
}

impl Log {
    /// Blocks of five entries each: 1 to 5, 6 to 10, and so on.
    fn of(blocks: i64) -> Self {
        let mut tip = Tip::start();
        let mut log = Self {
            blocks: Vec::new(),
            unsealed: Vec::new(),
            dropped: Vec::new(),
        };
        for n in 0..blocks {
            let entries: Vec<_> = (n * 5 + 1..=n * 5 + 5).map(entry).collect();
            let xid = 100 + n.unsigned_abs() * 10;
            let seen = SnapshotPoint::parse(&format!("{xid}:{xid}:")).unwrap();
            for (header, leaves) in plan(&tip, &seen, entries.iter().collect(), Timestamp::UNIX_EPOCH, "k") {
                let hash = header.hash();
                tip = Tip {
                    height: header.height,
                    hash,
                    total: header.total,
                    snapshot: seen.clone(),
                };
                let signature = sign(&signed_block(&hash));
                log.blocks.push((
                    Block {
                        header,
                        hash,
                        signature,
                    },
                    Some(leaves),
                    entries.clone(),
                ));
            }
        }
        log
    }

    fn items(&self) -> Vec<Item> {
        let mut items = vec![Item::Begin {
            format: 1,
            dropped: self.dropped.clone(),
        }];
        for (block, leaves, entries) in &self.blocks {
            items.push(Item::block(block.clone(), leaves.clone()));
            items.extend(entries.iter().cloned().map(|entry| Item::Entry { entry }));
        }
        let strangers = self.unsealed.iter().cloned();
        items.extend(strangers.map(|(xid, entry)| Item::Unsealed { xid, entry }));
        items.push(Item::End {
            blocks: self.blocks.len() as u64,
        });
        items
    }

    fn checkpoint(&self, block: usize) -> Checkpoint {
        let block = &self.blocks[block].0;
        let (height, total) = (block.header.height, block.header.total);
        Checkpoint {
            height,
            hash: block.hash,
            total,
            sealed_at: block.header.sealed_at,
            kid: "k".into(),
            public_key: Vec::new(),
            signature: sign(&Checkpoint::signed(height, &block.hash, total)),
        }
    }

    fn entry(&mut self, id: i64) -> &mut StoredEntry {
        self.blocks
            .iter_mut()
            .flat_map(|(_, _, entries)| entries)
            .find(|entry| entry.id == id)
            .unwrap()
    }

    /// What is found: damage, block, entry.
    fn found(&self, checkpoint: Option<Checkpoint>) -> (Verdict, Vec<Found>) {
        let report = report(self.items(), checkpoint);
        let found = report
            .findings
            .iter()
            .map(|finding| (finding.damage, finding.block, finding.entry))
            .collect();
        (report.verdict, found)
    }
}

fn report(items: Vec<Item>, checkpoint: Option<Checkpoint>) -> Report {
    let mut verifier = Verifier::new(&check, checkpoint);
    for item in items {
        // As it comes out of an export.
        let line = serde_json::to_string(&item).unwrap();
        verifier.feed(serde_json::from_str(&line).unwrap());
    }
    verifier.finish()
}

#[test]
fn r26_a_whole_log_is_intact() {
    let mut log = Log::of(4);
    log.unsealed.push((500, entry(99)));
    for checkpoint in [None, Some(log.checkpoint(1)), Some(log.checkpoint(3))] {
        let report = report(log.items(), checkpoint);
        assert_eq!((report.verdict, report.findings.as_slice()), (Verdict::Intact, &[][..]));
        assert_eq!(
            (report.blocks, report.entries, report.unsealed, report.height),
            (4, 20, 1, 4)
        );
    }
}

#[test]
fn r26_a_changed_entry_is_named() {
    let mut log = Log::of(3);
    log.entry(7).actor_name = "eve".into();
    assert_eq!(
        log.found(None),
        (Verdict::Tampered, vec![(Damage::Changed, Some(2), Some(7))])
    );
}

#[test]
fn r26_a_deleted_entry_is_named() {
    let mut log = Log::of(3);
    log.blocks[1].2.remove(1);
    assert_eq!(
        log.found(None),
        (Verdict::Tampered, vec![(Damage::Deleted, Some(2), Some(7))])
    );
}

#[test]
fn r26_an_inserted_entry_is_named() {
    let mut log = Log::of(3);
    log.unsealed.push((105, entry(50)));
    assert_eq!(
        log.found(None),
        (Verdict::Tampered, vec![(Damage::Inserted, None, Some(50))])
    );
    let mut log = Log::of(3);
    let mut twice = entry(7);
    twice.resource = "else".into();
    log.blocks[1].2.push(twice);
    assert_eq!(
        log.found(None),
        (Verdict::Tampered, vec![(Damage::Inserted, Some(2), Some(7))])
    );
}

#[test]
fn r26_swapped_entries_are_told_from_changed_ones_within_a_block_and_across_blocks() {
    for (a, b, blocks) in [(7, 9, (2, 2)), (2, 14, (1, 3))] {
        for with_time in [false, true] {
            let mut log = Log::of(3);
            let (mut one, mut two) = (log.entry(a).clone(), log.entry(b).clone());
            std::mem::swap(&mut one.id, &mut two.id);
            if with_time {
                std::mem::swap(&mut one.at, &mut two.at);
            }
            *log.entry(a) = two;
            *log.entry(b) = one;
            assert_eq!(
                log.found(None),
                (
                    Verdict::Tampered,
                    vec![
                        (Damage::Swapped, Some(blocks.0), Some(a)),
                        (Damage::Swapped, Some(blocks.1), Some(b))
                    ]
                ),
                "{a} {b} {with_time}"
            );
        }
    }
}

#[test]
fn r26_reordered_entries_and_leaves_are_named() {
    let mut log = Log::of(3);
    let before: Vec<_> = [6, 8, 10].map(|id| log.entry(id).clone()).into();
    for (place, id) in [6, 8, 10].into_iter().enumerate() {
        let mut other = before[(place + 1) % 3].clone();
        other.id = id;
        *log.entry(id) = other;
    }
    let three = [6, 8, 10].map(|id| (Damage::Reordered, Some(2), Some(id))).to_vec();
    assert_eq!(log.found(None), (Verdict::Tampered, three));

    let mut log = Log::of(3);
    let leaves = log.blocks[1].1.as_mut().unwrap();
    leaves.ids.swap(0, 3);
    leaves.hashes.swap(0, 3);
    assert_eq!(
        log.found(None),
        (Verdict::Tampered, vec![(Damage::Reordered, Some(2), Some(6))])
    );

    let mut log = Log::of(3);
    log.blocks[1].1.as_mut().unwrap().ids.swap(1, 2);
    assert_eq!(
        log.found(None),
        (Verdict::Tampered, vec![(Damage::Reordered, Some(2), Some(8))])
    );
}

#[test]
fn r26_a_cut_off_tail_shows_against_a_checkpoint_only() {
    let whole = Log::of(4);
    let mut log = whole.clone();
    log.blocks.truncate(2);
    assert_eq!(log.found(None).0, Verdict::Intact);
    let report = report(log.items(), Some(whole.checkpoint(3)));
    assert_eq!(report.verdict, Verdict::Tampered);
    let finding = &report.findings[0];
    assert_eq!((finding.damage, finding.block), (Damage::Truncated, Some(3)));
    assert!(finding.detail.contains("2 more, with 10 entries"), "{}", finding.detail);
}

#[test]
fn r26_a_block_that_is_gone_from_the_middle_is_named() {
    let mut log = Log::of(4);
    log.blocks.remove(1);
    assert_eq!(
        log.found(None),
        (Verdict::Tampered, vec![(Damage::Deleted, Some(2), None)])
    );
}

#[test]
fn r26_a_rewritten_block_is_named_with_the_key_and_without_it() {
    // Without the key: the hash or the signature gives it away.
    for rehash in [false, true] {
        let mut log = Log::of(3);
        let block = &mut log.blocks[1].0;
        block.header.sealed_at = Timestamp::from_second(1).unwrap();
        if rehash {
            block.hash = block.header.hash();
        }
        let (verdict, found) = log.found(None);
        assert_eq!(verdict, Verdict::Tampered);
        assert!(found.contains(&(Damage::Rewritten, Some(2), None)), "{found:?}");
    }
    // With the key: what follows does not follow from it any more.
    let mut log = Log::of(3);
    let whole = log.clone();
    let block = &mut log.blocks[1].0;
    block.header.sealed_at = Timestamp::from_second(1).unwrap();
    block.hash = block.header.hash();
    block.signature = sign(&signed_block(&block.hash));
    assert_eq!(
        log.found(None),
        (Verdict::Tampered, vec![(Damage::Rewritten, Some(3), None)])
    );
    // The last block has no successor; a checkpoint knows it.
    let mut log = Log::of(3);
    let block = &mut log.blocks[2].0;
    block.header.sealed_at = Timestamp::from_second(1).unwrap();
    block.hash = block.header.hash();
    block.signature = sign(&signed_block(&block.hash));
    assert_eq!(log.found(None).0, Verdict::Intact);
    assert_eq!(
        log.found(Some(whole.checkpoint(2))),
        (Verdict::Tampered, vec![(Damage::Rewritten, Some(3), None)])
    );
}

#[test]
fn r26_an_entry_that_was_changed_with_its_leaf_leaves_its_block_broken() {
    let mut log = Log::of(3);
    log.entry(7).actor_name = "eve".into();
    let leaf = log.entry(7).leaf();
    log.blocks[1].1.as_mut().unwrap().hashes[1] = leaf;
    assert_eq!(
        log.found(None),
        (Verdict::Tampered, vec![(Damage::Rewritten, Some(2), None)])
    );
    // The leaf alone: the entry is whole, and is named.
    let mut log = Log::of(3);
    log.blocks[1].1.as_mut().unwrap().hashes[1] = [0; 32];
    assert_eq!(
        log.found(None),
        (Verdict::Tampered, vec![(Damage::Changed, Some(2), Some(7))])
    );
}

#[test]
fn a_day_may_be_gone_if_a_sealed_entry_says_so() {
    let mut log = Log::of(3);
    let day = log.blocks[0].0.header.day;
    log.dropped = vec![day];
    for (_, leaves, entries) in &mut log.blocks {
        *leaves = None;
        entries.clear();
    }
    assert_eq!(
        log.found(None),
        (Verdict::Tampered, vec![(Damage::Deleted, Some(1), None)])
    );

    // The same with a later block that says it.
    let last = log.blocks[2].0.clone();
    let tip = Tip {
        height: 3,
        hash: last.hash,
        total: last.header.total,
        snapshot: SnapshotPoint::nothing(),
    };
    let mut record = entry(100);
    record.at = Timestamp::from_second(record.at.as_second() + 10 * 86_400).unwrap();
    record.action = DROP.into();
    record.resource = day.to_string();
    let seen = SnapshotPoint::parse("900:900:").unwrap();
    let (header, leaves) = plan(&tip, &seen, [&record].into_iter().collect(), Timestamp::UNIX_EPOCH, "k").remove(0);
    let hash = header.hash();
    let signature = sign(&signed_block(&hash));
    log.blocks.push((
        Block {
            header,
            hash,
            signature,
        },
        Some(leaves),
        vec![record],
    ));
    let report = report(log.items(), None);
    assert_eq!((report.verdict, report.dropped), (Verdict::Intact, vec![day]));
}

#[test]
fn what_is_missing_for_a_verdict_is_said() {
    let log = Log::of(2);
    let verdict = |items: Vec<Item>, checkpoint| report(items, checkpoint).verdict;
    let mut cut = log.items();
    cut.pop();
    assert_eq!(verdict(cut, None), Verdict::CannotTell);
    assert_eq!(verdict(Vec::new(), None), Verdict::CannotTell);
    assert_eq!(verdict(log.items()[1..].to_vec(), None), Verdict::CannotTell);
    let mut foreign = log.checkpoint(1);
    foreign.kid = "other".into();
    assert_eq!(verdict(log.items(), Some(foreign)), Verdict::CannotTell);
    let mut damaged = log.checkpoint(1);
    damaged.total += 1;
    damaged.height = 1;
    damaged.hash = log.blocks[0].0.hash;
    assert_ne!(verdict(log.items(), Some(damaged)), Verdict::Intact);
    let mut unknown = log.clone();
    for (block, ..) in &mut unknown.blocks {
        block.header.kid = "other".into();
        block.hash = block.header.hash();
    }
    unknown.blocks.truncate(1);
    assert_eq!(verdict(unknown.items(), None), Verdict::CannotTell);
}

proptest! {
    /// Whatever is done to one line of an export, it does not pass.
    #[test]
    fn r26_no_change_of_one_item_passes(line in 0usize..18, what in 0usize..3) {
        let log = Log::of(3);
        let whole = log.items();
        // Begin and the end say nothing that a checkpoint protects; blocks and entries do.
        let at = 1 + line % (whole.len() - 2);
        let mut items = whole.clone();
        match what {
            0 => { items.remove(at); }
            1 => { let copy = items[at].clone(); items.insert(at, copy); }
            _ => items.swap(at, 1 + (at + 1) % (whole.len() - 2)),
        }
        // Entries of one block may come in any order.
        let block = |item: &Item| match item {
            Item::Entry { entry } => Some((entry.id - 1) / 5),
            _ => None,
        };
        let (one, other) = (block(&whole[at]), block(&whole[1 + (at + 1) % (whole.len() - 2)]));
        let same = what == 2 && one.is_some() && one == other;
        let found = report(items, Some(log.checkpoint(2)));
        prop_assert_eq!(found.verdict == Verdict::Intact, same, "{:?}", found);
    }
}
