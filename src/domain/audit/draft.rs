//! Entries on their way into blocks.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;

use super::chain::{Header, Leaves, Tip, day_of};
use super::leaf::StoredEntry;
use super::merkle::{self, Hash};
use crate::domain::change::SnapshotPoint;

/// Entries on their way into blocks, by day: what is kept of each once it has been read.
#[derive(Debug, Default)]
pub struct Draft {
    days: BTreeMap<Date, Vec<Drafted>>,
    entries: usize,
}

#[derive(Debug)]
struct Drafted {
    id: i64,
    at: Timestamp,
    leaf: Hash,
}

impl Draft {
    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }
}

impl<'a> Extend<&'a StoredEntry> for Draft {
    fn extend<I: IntoIterator<Item = &'a StoredEntry>>(&mut self, entries: I) {
        for entry in entries {
            self.entries += 1;
            self.days.entry(day_of(entry.at)).or_default().push(Drafted {
                id: entry.id,
                at: entry.at,
                leaf: entry.leaf(),
            });
        }
    }
}

impl<'a> FromIterator<&'a StoredEntry> for Draft {
    fn from_iter<I: IntoIterator<Item = &'a StoredEntry>>(entries: I) -> Self {
        let mut draft = Self::default();
        draft.extend(entries);
        draft
    }
}

/// Makes blocks that follow `tip`: one for each day, since a day may be dropped and its blocks must then stand without it.
/// The last one alone says that everything up to `seen` is sealed. Ids that come twice, which nobody but a tamperer makes, stay out.
#[must_use]
pub fn plan(tip: &Tip, seen: &SnapshotPoint, draft: Draft, sealed_at: Timestamp, kid: &str) -> Vec<(Header, Leaves)> {
    // Finer parts are not stored.
    let sealed_at = Timestamp::from_microsecond(sealed_at.as_microsecond()).unwrap_or(sealed_at);
    let mut blocks: Vec<(Header, Leaves)> = Vec::with_capacity(draft.days.len());
    let (mut height, mut total, mut previous) = (tip.height, tip.total, tip.hash);
    let count = draft.days.len();
    for (n, (day, mut entries)) in draft.days.into_iter().enumerate() {
        entries.sort_by_key(|entry| entry.id);
        entries.dedup_by_key(|entry| entry.id);
        let leaves = Leaves {
            ids: entries.iter().map(|entry| entry.id).collect(),
            hashes: entries.iter().map(|entry| entry.leaf).collect(),
        };
        let times = || entries.iter().map(|entry| entry.at);
        let number = i64::try_from(entries.len()).unwrap_or(i64::MAX);
        height += 1;
        total += number;
        let header = Header {
            height,
            day,
            sealed_at,
            first_at: times().min().unwrap_or(sealed_at),
            last_at: times().max().unwrap_or(sealed_at),
            entries: number,
            total,
            snapshot: if n + 1 == count { seen } else { &tip.snapshot }.to_string(),
            previous,
            root: merkle::root(&leaves.hashes),
            kid: kid.to_owned(),
        };
        previous = header.hash();
        blocks.push((header, leaves));
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::super::chain::NOTHING_SEEN;
    use super::super::leaf::tests::entry;
    use super::*;

    #[test]
    fn blocks_follow_each_other_and_hold_one_day_each() {
        let mut late = entry(2);
        late.at = Timestamp::from_microsecond(entry(1).at.as_microsecond() + 86_400_000_000).unwrap();
        let seen = SnapshotPoint::parse("10:20:12").unwrap();
        // As pages bring them; the one that comes twice stays out.
        let mut draft: Draft = [&late, &entry(3)].into_iter().collect();
        draft.extend(&[entry(1), entry(3)]);
        assert_eq!(draft.len(), 4);
        let blocks = plan(&Tip::start(), &seen, draft, Timestamp::UNIX_EPOCH, "k");
        assert_eq!(blocks.len(), 2);
        let ((one, first), (two, second)) = (&blocks[0], &blocks[1]);
        assert_eq!((one.height, one.entries, one.total), (1, 2, 2));
        assert_eq!((two.height, two.entries, two.total), (2, 1, 3));
        assert_eq!((first.ids.as_slice(), second.ids.as_slice()), (&[1, 3][..], &[2][..]));
        assert_eq!((one.previous, two.previous), ([0; 32], one.hash()));
        // Until all of a pass is sealed nothing of it counts as seen.
        assert_eq!(
            (one.snapshot.as_str(), two.snapshot.as_str()),
            (NOTHING_SEEN, "10:20:12")
        );
    }
}
