//! Who uses what: record paths and Secrets, each to the `VaultSecret`s that use it. A change wakes exactly those.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::key::Key;
use crate::domain::path::RecordPath;

/// What one `VaultSecret` uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Uses {
    pub(super) paths: Vec<RecordPath>,
    /// The Secret that its record follows.
    pub(super) follows: Option<Key>,
    /// The Secret that it writes.
    pub(super) target: Key,
}

/// The reverse index.
#[derive(Default)]
pub(super) struct Index {
    maps: Mutex<Maps>,
    /// Rings when another Secret is followed, or one no longer is.
    follows_changed: Notify,
}

#[derive(Default)]
struct Maps {
    uses: HashMap<Key, Uses>,
    by_path: HashMap<RecordPath, BTreeSet<Key>>,
    by_target: HashMap<Key, BTreeSet<Key>>,
}

impl Index {
    /// Notes what a resource uses; answers the Secret that it used before, if that is another one.
    pub(super) fn set(&self, key: &Key, uses: Uses) -> Option<Key> {
        let mut maps = self.lock();
        if maps.uses.get(key) == Some(&uses) {
            return None;
        }
        let before = maps.take(key);
        let target = uses.target.clone();
        for path in &uses.paths {
            maps.by_path.entry(path.clone()).or_default().insert(key.clone());
        }
        maps.by_target
            .entry(uses.target.clone())
            .or_default()
            .insert(key.clone());
        if uses.follows.is_some() || before.as_ref().is_some_and(|before| before.follows.is_some()) {
            self.follows_changed.notify_one();
        }
        maps.uses.insert(key.clone(), uses);
        before.map(|before| before.target).filter(|former| *former != target)
    }

    /// Forgets a resource; answers the Secret that it used.
    pub(super) fn remove(&self, key: &Key) -> Option<Key> {
        let uses = self.lock().take(key)?;
        if uses.follows.is_some() {
            self.follows_changed.notify_one();
        }
        Some(uses.target)
    }

    /// Every Secret that a record follows, with the resources that say so.
    pub(super) fn followed(&self) -> HashMap<Key, Vec<Key>> {
        let mut followed: HashMap<Key, Vec<Key>> = HashMap::new();
        for (key, uses) in &self.lock().uses {
            if let Some(secret) = &uses.follows {
                followed.entry(secret.clone()).or_default().push(key.clone());
            }
        }
        followed
    }

    /// Waits until what is followed may have changed.
    pub(super) async fn follows_changed(&self) {
        self.follows_changed.notified().await;
    }

    /// The resources that use a record.
    pub(super) fn using(&self, path: &RecordPath) -> Vec<Key> {
        self.lock()
            .by_path
            .get(path)
            .map(|keys| keys.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// The resources that write a Secret.
    pub(super) fn targeting(&self, secret: &Key) -> Vec<Key> {
        self.lock()
            .by_target
            .get(secret)
            .map(|keys| keys.iter().cloned().collect())
            .unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Maps> {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Maps {
    fn take(&mut self, key: &Key) -> Option<Uses> {
        let uses = self.uses.remove(key)?;
        for path in &uses.paths {
            if let Some(keys) = self.by_path.get_mut(path) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_path.remove(path);
                }
            }
        }
        if let Some(keys) = self.by_target.get_mut(&uses.target) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_target.remove(&uses.target);
            }
        }
        Some(uses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(paths: &[&str], target: &str) -> Uses {
        Uses {
            paths: paths.iter().map(|path| RecordPath::parse(path).unwrap()).collect(),
            follows: None,
            target: Key::new("shop", target),
        }
    }

    #[test]
    fn a_path_leads_to_exactly_those_that_use_it() {
        let index = Index::default();
        let (a, b) = (Key::new("shop", "a"), Key::new("shop", "b"));
        index.set(&a, uses(&["k8s/shop/x", "shared/ca"], "a"));
        index.set(&b, uses(&["shared/ca"], "b"));
        let ca = RecordPath::parse("shared/ca").unwrap();
        assert_eq!(index.using(&ca), vec![a.clone(), b.clone()]);
        assert_eq!(index.set(&a, uses(&["k8s/shop/y"], "c")), Some(Key::new("shop", "a")));
        assert_eq!(index.using(&ca), vec![b.clone()]);
        assert_eq!(index.remove(&b), Some(Key::new("shop", "b")));
        assert!(index.using(&ca).is_empty());
        assert_eq!(index.targeting(&Key::new("shop", "c")), vec![a]);
    }
}
