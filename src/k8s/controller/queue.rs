//! What waits to be reconciled.
//!
//! Each resource stands in the queue once, with everything that was learnt about it since it was last worked on; it is never worked on
//! twice at a time; what changed goes before what is merely due again; and one resource that fails waits alone. (kube-runtime's scheduler
//! knows neither priorities nor causes, and watches of several single namespaces cannot share one of its controllers.)

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::key::Key;

/// How long several causes are gathered before the work begins.
const DEBOUNCE: Duration = Duration::from_millis(5);

/// Why a resource is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Causes {
    /// Something in the vault that it uses changed.
    pub(super) vault: bool,
    /// It, its Secret, or something else in the cluster changed.
    pub(super) cluster: bool,
}

impl Causes {
    pub(super) const VAULT: Self = Self {
        vault: true,
        cluster: false,
    };
    pub(super) const CLUSTER: Self = Self {
        vault: false,
        cluster: true,
    };
    /// A retry: nothing new is known, so everything is looked at.
    pub(super) const AGAIN: Self = Self {
        vault: true,
        cluster: true,
    };

    fn and(self, other: Self) -> Self {
        Self {
            vault: self.vault || other.vault,
            cluster: self.cluster || other.cluster,
        }
    }
}

/// How soon a resource is worked on, among those that are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Somebody changed something.
    Change,
    /// Start, retry and periodic work.
    Routine,
}

/// A piece of work.
#[derive(Debug)]
pub(super) struct Work<T> {
    pub(super) key: Key,
    pub(super) causes: Causes,
    /// Since when it is wanted.
    pub(super) since: Instant,
    /// Whatever the waker learnt already.
    pub(super) known: Option<T>,
}

struct Entry<T> {
    causes: Causes,
    class: Class,
    since: Instant,
    due: Instant,
    known: Option<T>,
}

struct State<T> {
    entries: HashMap<Key, Entry<T>>,
    /// Waiting for their time, soonest first.
    later: BTreeSet<(Instant, Key)>,
    /// Due, in the order of work.
    ready: BTreeSet<(Class, Instant, Key)>,
    working: HashSet<Key>,
}

/// The queue of one kind of resource.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Notify,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        let state = State {
            entries: HashMap::new(),
            later: BTreeSet::new(),
            ready: BTreeSet::new(),
            working: HashSet::new(),
        };
        Self {
            state: Mutex::new(state),
            changed: Notify::new(),
        }
    }

    /// Asks for a resource to be worked on soon. `known` replaces what was known before; without it, what was known is dropped, since it
    /// may be out of date.
    pub(super) fn add(&self, key: Key, causes: Causes, class: Class, known: Option<T>) {
        self.put(key, causes, class, known, Instant::now() + DEBOUNCE);
    }

    /// Asks for a resource to be worked on after a while, unless something happens before.
    pub(super) fn retry(&self, key: Key, delay: Duration) {
        self.put(key, Causes::AGAIN, Class::Routine, None, Instant::now() + delay);
    }

    fn put(&self, key: Key, causes: Causes, class: Class, known: Option<T>, due: Instant) {
        let mut state = self.lock();
        let now = Instant::now();
        let before = state.entries.remove(&key);
        if let Some(entry) = &before {
            state.later.remove(&(entry.due, key.clone()));
            state.ready.remove(&(entry.class, entry.due, key.clone()));
        }
        let entry = match before {
            None => Entry {
                causes,
                class,
                since: now.max(due.checked_sub(DEBOUNCE).unwrap_or(due)),
                due,
                known,
            },
            Some(before) => Entry {
                causes: before.causes.and(causes),
                class: before.class.min(class),
                since: before.since.min(now),
                due: before.due.min(due),
                known,
            },
        };
        state.later.insert((entry.due, key.clone()));
        state.entries.insert(key, entry);
        drop(state);
        self.changed.notify_one();
    }

    /// Drops a resource that is gone.
    pub(super) fn forget(&self, key: &Key) {
        let mut state = self.lock();
        if let Some(entry) = state.entries.remove(key) {
            state.later.remove(&(entry.due, key.clone()));
            state.ready.remove(&(entry.class, entry.due, key.clone()));
        }
    }

    /// The next piece of work; call [`Queue::done`] after it.
    pub(super) async fn next(&self) -> Work<T> {
        loop {
            let wait = match self.take() {
                Ok(work) => {
                    // Another worker may find more.
                    self.changed.notify_one();
                    return work;
                }
                Err(wait) => wait,
            };
            match wait {
                Some(due) => tokio::select! {
                    () = sleep_until(due) => {}
                    () = self.changed.notified() => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    fn take(&self) -> Result<Work<T>, Option<Instant>> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let now = Instant::now();
        while let Some((due, _)) = state.later.first() {
            if *due > now {
                break;
            }
            if let Some((due, key)) = state.later.pop_first()
                && let Some(entry) = state.entries.get(&key)
            {
                state.ready.insert((entry.class, due, key));
            }
        }
        let Some(next) = state
            .ready
            .iter()
            .find(|(_, _, key)| !state.working.contains(key))
            .cloned()
        else {
            return Err(state.later.first().map(|(due, _)| *due));
        };
        state.ready.remove(&next);
        let (_, _, key) = next;
        match state.entries.remove(&key) {
            Some(Entry {
                causes, since, known, ..
            }) => {
                state.working.insert(key.clone());
                Ok(Work {
                    key,
                    causes,
                    since,
                    known,
                })
            }
            None => Err(Some(now)),
        }
    }

    /// The work on a resource ended.
    pub(super) fn done(&self, key: &Key) {
        self.lock().working.remove(key);
        self.changed.notify_one();
    }

    /// How many wait, and the age of the oldest that is due.
    pub(super) fn backlog(&self) -> (usize, Duration) {
        let state = self.lock();
        let now = Instant::now();
        let due = state.entries.values().filter(|entry| entry.due <= now);
        let oldest = due
            .map(|entry| now.saturating_duration_since(entry.since))
            .max()
            .unwrap_or_default();
        (state.entries.len(), oldest)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Every change of the state is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    fn key(name: &str) -> Key {
        Key::new("shop", name)
    }

    async fn next(queue: &Queue<u8>) -> Option<Work<u8>> {
        timeout(Duration::from_millis(100), queue.next()).await.ok()
    }

    #[tokio::test]
    async fn causes_gather_and_each_resource_stands_once() {
        let queue = Queue::new();
        queue.add(key("a"), Causes::VAULT, Class::Change, Some(1));
        queue.add(key("a"), Causes::CLUSTER, Class::Change, Some(2));
        let work = next(&queue).await.unwrap();
        assert_eq!((work.causes, work.known), (Causes::AGAIN, Some(2)));
        queue.done(&work.key);
        assert!(next(&queue).await.is_none());
    }

    #[tokio::test]
    async fn a_newer_cause_drops_what_was_known() {
        let queue = Queue::new();
        queue.add(key("a"), Causes::VAULT, Class::Change, Some(1));
        queue.add(key("a"), Causes::VAULT, Class::Change, None);
        assert_eq!(next(&queue).await.unwrap().known, None);
    }

    #[tokio::test]
    async fn a_change_goes_before_routine_work() {
        let queue = Queue::new();
        for name in ["a", "b", "c"] {
            queue.add(key(name), Causes::AGAIN, Class::Routine, None::<u8>);
        }
        queue.add(key("z"), Causes::VAULT, Class::Change, None);
        tokio::time::sleep(DEBOUNCE * 2).await;
        assert_eq!(next(&queue).await.unwrap().key, key("z"));
    }

    #[tokio::test]
    async fn a_resource_is_never_worked_on_twice_at_a_time() {
        let queue = Queue::new();
        queue.add(key("a"), Causes::VAULT, Class::Change, None::<u8>);
        let first = next(&queue).await.unwrap();
        queue.add(key("a"), Causes::CLUSTER, Class::Change, None);
        assert!(next(&queue).await.is_none());
        queue.done(&first.key);
        assert_eq!(next(&queue).await.unwrap().causes, Causes::CLUSTER);
    }

    #[tokio::test]
    async fn a_change_does_not_wait_for_a_retry() {
        let queue = Queue::new();
        queue.retry(key("a"), Duration::from_secs(600));
        assert_eq!(queue.backlog(), (1, Duration::ZERO));
        assert!(next(&queue).await.is_none());
        queue.add(key("a"), Causes::VAULT, Class::Change, None::<u8>);
        assert!(next(&queue).await.is_some());
        queue.retry(key("b"), Duration::from_secs(600));
        queue.forget(&key("b"));
        assert_eq!(queue.backlog().0, 0);
    }
}
