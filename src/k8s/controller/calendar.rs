//! When something is due for a resource: rotations, ends of overlaps, renewals. Kept in memory, made of what the vault remembers.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::jiff::Timestamp;

use super::key::Key;
use crate::domain::source::Next;

/// The times, by resource and in their order.
#[derive(Default)]
pub(super) struct Calendar(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    next: HashMap<Key, Next>,
    /// Those whose time has not been told yet.
    waiting: BTreeSet<(Timestamp, Key)>,
}

impl Calendar {
    /// Notes when something is due next for a resource.
    pub(super) fn set(&self, key: Key, next: Next) {
        let mut entries = self.lock();
        entries.take(&key);
        if let Some(wake) = next.wake {
            entries.waiting.insert((wake, key.clone()));
        }
        if next != Next::default() {
            entries.next.insert(key, next);
        }
    }

    /// Nothing is ever due for it.
    pub(super) fn remove(&self, key: &Key) {
        self.lock().take(key);
    }

    /// When something is due next for a resource.
    pub(super) fn get(&self, key: &Key) -> Next {
        self.lock().next.get(key).copied().unwrap_or_default()
    }

    /// The resources whose time has come. Each is told once; what is due next for it is noted by whoever looks at it.
    pub(super) fn due(&self, now: Timestamp) -> Vec<Key> {
        let mut entries = self.lock();
        let mut due = Vec::new();
        while let Some((at, _)) = entries.waiting.first()
            && *at <= now
        {
            due.extend(entries.waiting.pop_first().map(|(_, key)| key));
        }
        due
    }

    /// How many resources have something that is due and not done, and for how many seconds the first of them.
    pub(super) fn overdue(&self, now: Timestamp) -> (usize, i64) {
        let entries = self.lock();
        let late = entries
            .next
            .values()
            .filter_map(|next| next.wake)
            .filter(|wake| *wake <= now);
        let late: Vec<i64> = late
            .map(|wake| now.as_second().saturating_sub(wake.as_second()))
            .collect();
        (late.len(), late.into_iter().max().unwrap_or(0))
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn take(&mut self, key: &Key) {
        if let Some(Next { wake: Some(wake), .. }) = self.next.remove(key) {
            self.waiting.remove(&(wake, key.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn wake(second: i64) -> Next {
        Next {
            rotation: None,
            wake: Some(at(second)),
        }
    }

    #[test]
    fn each_time_is_told_once_and_stays_overdue_until_it_is_done() {
        let calendar = Calendar::default();
        let (a, b) = (Key::new("shop", "a"), Key::new("shop", "b"));
        calendar.set(a.clone(), wake(10));
        calendar.set(b.clone(), wake(20));
        assert!(calendar.due(at(9)).is_empty());
        assert_eq!(calendar.due(at(15)), std::slice::from_ref(&a));
        assert!(calendar.due(at(15)).is_empty());
        assert_eq!(calendar.overdue(at(15)), (1, 5));
        calendar.set(a.clone(), wake(30));
        assert_eq!(calendar.overdue(at(15)), (0, 0));
        calendar.remove(&b);
        assert_eq!(calendar.due(at(99)), [a]);
    }
}
