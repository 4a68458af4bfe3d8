//! Sums of access by day, made from entries as they are sealed; and what looks like somebody trying doors.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;

use super::chain::day_of;
use super::leaf::StoredEntry;

/// Refusals of one actor within a minute that count as a burst.
const BURST: u64 = 20;
/// The rule of accesses that no rule decided.
pub const NO_RULE: i32 = -1;

/// What one actor did with one resource on one day, by one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DailyAccess {
    /// The day (UTC).
    pub day: Date,
    /// The path.
    pub resource: String,
    /// Kind of the actor.
    pub actor_kind: String,
    /// Id of the actor.
    pub actor_id: String,
    /// Name of the actor.
    pub actor_name: String,
    /// The policy that decided, or the built-in right; empty if none is named.
    pub policy: String,
    /// The rule, or [`NO_RULE`].
    pub rule: i32,
    /// Reads of values.
    pub reads: i64,
    /// Writes and other changes.
    pub writes: i64,
    /// The last of them.
    pub last_at: Timestamp,
}

impl DailyAccess {
    fn add(&mut self, reads: i64, writes: i64, last_at: Timestamp) {
        self.reads += reads;
        self.writes += writes;
        self.last_at = self.last_at.max(last_at);
    }

    /// What there is one sum for.
    fn key(&self) -> (Date, &str, &str, &str, &str, i32) {
        (
            self.day,
            &self.resource,
            &self.actor_kind,
            &self.actor_id,
            &self.policy,
            self.rule,
        )
    }
}

/// Adds up sums that were made apart, so that there is one of each, in the order of their keys.
#[must_use]
pub fn merged(mut sums: Vec<DailyAccess>) -> Vec<DailyAccess> {
    sums.sort_by(|one, other| one.key().cmp(&other.key()));
    sums.dedup_by(|next, sum| {
        let same = next.key() == sum.key();
        if same {
            sum.add(next.reads, next.writes, next.last_at);
        }
        same
    });
    sums
}

/// Sums up the accesses to records among entries.
#[must_use]
pub fn sum(entries: &[StoredEntry]) -> Vec<DailyAccess> {
    let mut sums: BTreeMap<(Date, &str, &str, &str, &str, i32), DailyAccess> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.decision == "allow") {
        let (reads, writes) = match entry.action.as_str() {
            "record.read" | "record.unwrap" | "sync.read" => (entry.count, 0),
            action if is_change(action) => (0, entry.count),
            _ => continue,
        };
        let policy = entry.policy.as_deref().unwrap_or_default();
        let rule = entry.rule.unwrap_or(NO_RULE);
        let day = day_of(entry.at);
        let sum = sums
            .entry((day, &entry.resource, &entry.actor_kind, &entry.actor_id, policy, rule))
            .or_insert_with(|| DailyAccess {
                day,
                resource: entry.resource.clone(),
                actor_kind: entry.actor_kind.clone(),
                actor_id: entry.actor_id.clone(),
                actor_name: entry.actor_name.clone(),
                policy: policy.to_owned(),
                rule,
                reads: 0,
                writes: 0,
                last_at: entry.at,
            });
        sum.add(reads, writes, entry.at);
    }
    sums.into_values().collect()
}

/// Whether an action changes a record. Looking at names, versions and metadata is neither a read of values nor a change.
fn is_change(action: &str) -> bool {
    const CHANGES: [&str; 13] = [
        "copy", "delete", "describe", "destroy", "generate", "move", "patch", "purge", "remove", "restore", "rollback",
        "undelete", "write",
    ];
    action
        .strip_prefix("record.")
        .is_some_and(|verb| CHANGES.contains(&verb))
}

/// Counts refusals by actor and minute, and tells when they become a burst.
#[derive(Debug, Default)]
pub struct Bursts {
    minute: i64,
    denied: BTreeMap<(String, String), u64>,
}

impl Bursts {
    /// Takes entries in about the order of time; answers how many bursts began with them: an actor who was refused the twentieth time within
    /// a minute.
    pub fn take(&mut self, entries: &[StoredEntry]) -> u64 {
        let mut begun = 0;
        for entry in entries.iter().filter(|entry| entry.decision == "deny") {
            let minute = entry.at.as_second().div_euclid(60);
            if minute > self.minute {
                self.minute = minute;
                self.denied.clear();
            }
            // An anonymous sender is told by where it comes from.
            let who = match entry.actor_kind.as_str() {
                "anonymous" => entry.client.clone().unwrap_or_default(),
                _ => entry.actor_id.clone(),
            };
            let denied = self.denied.entry((entry.actor_kind.clone(), who)).or_default();
            let before = *denied;
            *denied += entry.count.unsigned_abs();
            begun += u64::from(before < BURST && *denied >= BURST);
        }
        begun
    }
}

#[cfg(test)]
mod tests {
    use super::super::leaf::tests::entry;
    use super::*;

    fn of(id: i64, action: &str, decision: &str, actor: &str) -> StoredEntry {
        StoredEntry {
            action: action.into(),
            decision: decision.into(),
            actor_id: actor.into(),
            resource: "shared/a".into(),
            ..entry(id)
        }
    }

    #[test]
    fn accesses_are_summed_by_who_what_day_and_rule() {
        let mut other_rule = of(5, "record.read", "allow", "ann");
        other_rule.rule = None;
        let entries = [
            of(1, "record.read", "allow", "ann"),
            of(2, "record.read", "allow", "ann"),
            of(3, "record.write", "allow", "ann"),
            of(4, "record.read", "deny", "ann"),
            other_rule,
            of(6, "record.list", "allow", "ann"),
            of(9, "record.unwrap_lookup", "allow", "ann"),
            of(7, "user.list", "allow", "ann"),
            of(8, "sync.read", "allow", "bob"),
        ];
        let sums = sum(&entries);
        for at in 0..entries.len() {
            let (one, other) = entries.split_at(at);
            assert_eq!(merged([sum(other), sum(one)].concat()), sums, "in two pages");
        }
        let told: Vec<_> = sums
            .iter()
            .map(|sum| (sum.actor_id.as_str(), sum.rule, sum.reads, sum.writes))
            .collect();
        assert_eq!(told, [("ann", NO_RULE, 1, 0), ("ann", 2, 2, 1), ("bob", 2, 1, 0)]);
        assert_eq!(sums[1].last_at, entry(3).at);
    }

    #[test]
    fn a_burst_is_counted_once_a_minute() {
        let mut bursts = Bursts::default();
        let denied: Vec<_> = (0..100).map(|n| of(n, "record.read", "deny", "ann")).collect();
        assert_eq!(bursts.take(&denied[..19]), 0);
        assert_eq!(bursts.take(&denied[19..]), 1);
        assert_eq!(
            bursts.take(&(0..19).map(|n| of(n, "record.read", "deny", "bob")).collect::<Vec<_>>()),
            0
        );
        let mut later = of(0, "record.read", "deny", "ann");
        later.at = Timestamp::from_second(later.at.as_second() + 60).unwrap();
        later.count = 20;
        assert_eq!(bursts.take(&[later]), 1);
    }
}
