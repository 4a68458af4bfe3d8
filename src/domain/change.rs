//! The change feed's rules: what a row says, and which rows are new to a reader.
//!
//! A reader resumes at the Postgres snapshot that its last pass read under. A row is new exactly when the transaction that wrote it was
//! not visible in that snapshot, so no order of commits can hide a row or deliver it twice. (Whoever remembers the highest id instead
//! skips rows that commit late; whoever waits for the horizon stalls behind any long transaction of the server.)

use std::fmt;

/// What a row of the feed says to look at; never what is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// A record: its path.
    Record,
    /// Policies.
    Policy,
    /// What the controller remembers, or a confirmation for it.
    Sync,
    /// A root was made, adopted or purged.
    Root,
    /// Configuration kept in the database.
    Config,
    /// A session or a user: its id.
    Session,
    /// A namespace that a login asks about: cluster prefix and name.
    Namespace,
}

impl ChangeKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Record,
        Self::Policy,
        Self::Sync,
        Self::Root,
        Self::Config,
        Self::Session,
        Self::Namespace,
    ];

    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Policy => "policy",
            Self::Sync => "sync",
            Self::Root => "root",
            Self::Config => "config",
            Self::Session => "session",
            Self::Namespace => "namespace",
        }
    }

    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A Postgres snapshot in the text form of `pg_current_snapshot()`: `xmin:xmax:xip,…` (PostgreSQL documentation, table 9.83).
///
/// Transactions below `xmin` have ended, those from `xmax` had not begun, and in between all have ended but those in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotPoint {
    xmin: u64,
    xmax: u64,
    in_progress: Vec<u64>,
}

/// A text that is not a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a Postgres snapshot; the form is 'xmin:xmax:xip,…'")]
pub struct BadSnapshot;

impl SnapshotPoint {
    /// Reads Postgres's text form.
    ///
    /// # Errors
    /// [`BadSnapshot`], also when the numbers contradict each other.
    pub fn parse(text: &str) -> Result<Self, BadSnapshot> {
        let mut parts = text.splitn(3, ':');
        let (Some(xmin), Some(xmax), Some(list)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(BadSnapshot);
        };
        let (xmin, xmax) = (number(xmin)?, number(xmax)?);
        let in_progress = match list {
            "" => Vec::new(),
            list => list.split(',').map(number).collect::<Result<Vec<_>, _>>()?,
        };
        let inside = in_progress.iter().all(|xid| (xmin..xmax).contains(xid));
        if xmin == 0 || xmin > xmax || !inside || !in_progress.is_sorted_by(|a, b| a < b) {
            return Err(BadSnapshot);
        }
        Ok(Self {
            xmin,
            xmax,
            in_progress,
        })
    }

    /// The snapshot that has seen nothing: `1:1:`.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            xmin: 1,
            xmax: 1,
            in_progress: Vec::new(),
        }
    }

    /// Whether it is the one that has seen nothing.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.xmax == 1
    }

    /// What a reader has seen that resumed from this snapshot and stopped short: of transactions below `xid` what `now` shows, of the
    /// others what this one did.
    #[must_use]
    pub fn advanced(&self, now: &Self, xid: u64) -> Self {
        let xid = xid.max(1);
        let xmax = if xid < self.xmax { self.xmax } else { now.xmax.min(xid) };
        let below = now.in_progress.iter().filter(|running| **running < xid);
        let above = self.in_progress.iter().filter(|running| **running >= xid);
        let in_progress: Vec<u64> = below.chain(above).copied().filter(|running| *running < xmax).collect();
        Self {
            xmin: in_progress.first().copied().unwrap_or(xmax),
            xmax,
            in_progress,
        }
    }

    /// The oldest transaction that was running; all before it had ended.
    #[must_use]
    pub fn xmin(&self) -> u64 {
        self.xmin
    }

    /// The first transaction that had not begun.
    #[must_use]
    pub fn xmax(&self) -> u64 {
        self.xmax
    }

    /// Transactions below [`Self::xmax`] that were running, in ascending order.
    #[must_use]
    pub fn in_progress(&self) -> &[u64] {
        &self.in_progress
    }

    /// Whether what transaction `xid` wrote was visible, if it committed at all. A row is new to a reader when its last snapshot
    /// had not seen it.
    #[must_use]
    pub fn has_seen(&self, xid: u64) -> bool {
        xid < self.xmin || (xid < self.xmax && self.in_progress.binary_search(&xid).is_err())
    }

    /// Whether `next`, read later, comes from another history: transaction numbers never go back on one server, so this is a restore
    /// or a fail-over that lost commits, and the reader has to compare everything.
    #[must_use]
    pub fn is_other_server(&self, next: &Self) -> bool {
        next.xmax < self.xmax
    }
}

/// As Postgres writes it, so that a resume point can be kept as text.
impl fmt::Display for SnapshotPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.xmin, self.xmax)?;
        for (index, xid) in self.in_progress.iter().enumerate() {
            write!(f, "{}{xid}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

fn number(text: &str) -> Result<u64, BadSnapshot> {
    // `u64::from_str` takes a leading '+', Postgres writes none.
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(BadSnapshot);
    }
    text.parse().map_err(|_| BadSnapshot)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    #[test]
    fn kinds_come_back_from_their_stored_form() {
        for kind in ChangeKind::ALL {
            assert_eq!(ChangeKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(ChangeKind::parse("Record"), None);
    }

    #[test]
    fn a_snapshot_says_what_it_has_seen() {
        let point = SnapshotPoint::parse("10:20:10,14,15").unwrap();
        assert_eq!(
            (point.xmin(), point.xmax(), point.in_progress()),
            (10, 20, &[10, 14, 15][..])
        );
        let unseen: Vec<u64> = (0..25).filter(|xid| !point.has_seen(*xid)).collect();
        assert_eq!(unseen, [10, 14, 15, 20, 21, 22, 23, 24]);
    }

    #[test]
    fn a_reader_that_stopped_short_has_seen_what_lies_below() {
        let resume = SnapshotPoint::parse("10:20:10,14,15").unwrap();
        let now = SnapshotPoint::parse("14:30:14,22,25").unwrap();
        for cut in [1, 5, 10, 11, 14, 15, 16, 19, 20, 21, 23, 26, 30] {
            let short = resume.advanced(&now, cut);
            assert_eq!(SnapshotPoint::parse(&short.to_string()).unwrap(), short, "{cut}");
            for xid in 0..40 {
                let expected = if xid < cut {
                    now.has_seen(xid)
                } else {
                    resume.has_seen(xid)
                };
                assert_eq!(short.has_seen(xid), expected, "{cut} {xid}");
            }
        }
        assert!(SnapshotPoint::nothing().is_nothing() && !resume.is_nothing());
    }

    #[test]
    fn texts_that_contradict_themselves_are_refused() {
        for text in [
            "",
            "1",
            "1:2",
            "0:2:",
            "3:2:",
            "1:2:2",
            "2:5:1",
            "1:5:3,2",
            "1:5:2,2",
            "1:5:2,",
            "a:2:",
            "+1:2:",
            "1:2:1:",
            "1:99999999999999999999:",
        ] {
            assert_eq!(SnapshotPoint::parse(text), Err(BadSnapshot), "{text}");
        }
        assert!(SnapshotPoint::parse("740:740:").is_ok());
    }

    #[test]
    fn numbers_that_went_back_are_another_server() {
        let point = |text| SnapshotPoint::parse(text).unwrap();
        assert!(point("10:20:").is_other_server(&point("5:19:")));
        assert!(!point("10:20:").is_other_server(&point("10:20:")));
        // A long transaction holds the horizon; that is no restore.
        assert!(!point("18:20:").is_other_server(&point("18:21:18")));
    }

    /// A server whose transactions begin, write a row, and end in any order.
    #[derive(Default)]
    struct Server {
        next: u64,
        running: BTreeSet<u64>,
        committed: BTreeSet<u64>,
    }

    impl Server {
        fn snapshot(&self) -> SnapshotPoint {
            let xmax = self.next + 1;
            let xmin = self.running.first().copied().unwrap_or(xmax);
            let list: Vec<_> = self.running.iter().map(ToString::to_string).collect();
            SnapshotPoint::parse(&format!("{xmin}:{xmax}:{}", list.join(","))).unwrap()
        }
    }

    proptest! {
        #[test]
        fn every_committed_row_is_delivered_exactly_once(steps in proptest::collection::vec((0_u8..8, any::<Index>()), 0..200)) {
            let mut server = Server::default();
            let mut resume = server.snapshot();
            let mut delivered: BTreeMap<u64, u32> = BTreeMap::new();
            let mut pass = |server: &Server| {
                for xid in server.committed.iter().filter(|xid| !resume.has_seen(**xid)) {
                    *delivered.entry(*xid).or_default() += 1;
                }
                let next = server.snapshot();
                assert!(!resume.is_other_server(&next));
                resume = next;
            };
            for (step, choice) in steps {
                match step {
                    0..3 => {
                        server.next += 1;
                        server.running.insert(server.next);
                    }
                    3..6 if !server.running.is_empty() => {
                        let xid = *choice.get(&server.running.iter().copied().collect::<Vec<_>>());
                        server.running.remove(&xid);
                        // Some roll back.
                        if step != 5 {
                            server.committed.insert(xid);
                        }
                    }
                    _ => pass(&server),
                }
            }
            pass(&server);
            let once: BTreeMap<u64, u32> = server.committed.iter().map(|xid| (*xid, 1)).collect();
            prop_assert_eq!(delivered, once);
        }

        #[test]
        fn a_snapshot_comes_back_from_its_text(xmin in 1_u64..1000, gaps in proptest::collection::vec(1_u64..9, 0..6), end in 0_u64..9) {
            let list: Vec<u64> = gaps.iter().scan(xmin - 1, |xid, gap| { *xid += gap; Some(*xid) }).collect();
            let xmax = list.last().map_or(xmin, |last| last + 1) + end;
            let list: Vec<_> = list.iter().map(ToString::to_string).collect();
            let text = format!("{xmin}:{xmax}:{}", list.join(","));
            prop_assert_eq!(SnapshotPoint::parse(&text).unwrap().to_string(), text);
        }

        #[test]
        fn r31_no_text_panics(text in any::<String>(), like in "[0-9:,]{0,20}") {
            let _ = SnapshotPoint::parse(&text);
            let _ = SnapshotPoint::parse(&like);
        }
    }
}
