//! Who uses what: record paths and Secrets, each to the `VaultSecret`s that use it. A change wakes exactly those.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::key::Key;
use crate::domain::path::RecordPath;

/// What one `VaultSecret` uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Uses {
    /// The records that it reads.
    pub(super) paths: Vec<RecordPath>,
    /// The records of the authorities that issue its certificates: read when one is issued, and not part of what the vault is asked about it.
    pub(super) issuers: Vec<RecordPath>,
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
    by_issuer: HashMap<RecordPath, BTreeSet<Key>>,
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
        for path in &uses.issuers {
            maps.by_issuer.entry(path.clone()).or_default().insert(key.clone());
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

    /// The resources that read a record.
    pub(super) fn using(&self, path: &RecordPath) -> Vec<Key> {
        listed(&self.lock().by_path, path)
    }

    /// The resources whose certificates the authority of a record issues.
    pub(super) fn issued_by(&self, path: &RecordPath) -> Vec<Key> {
        listed(&self.lock().by_issuer, path)
    }

    /// The resources that write a Secret.
    pub(super) fn targeting(&self, secret: &Key) -> Vec<Key> {
        listed(&self.lock().by_target, secret)
    }

    fn lock(&self) -> MutexGuard<'_, Maps> {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Maps {
    fn take(&mut self, key: &Key) -> Option<Uses> {
        let uses = self.uses.remove(key)?;
        for path in &uses.paths {
            strike(&mut self.by_path, path, key);
        }
        for path in &uses.issuers {
            strike(&mut self.by_issuer, path, key);
        }
        strike(&mut self.by_target, &uses.target, key);
        Some(uses)
    }
}

fn listed<K: Eq + Hash>(map: &HashMap<K, BTreeSet<Key>>, at: &K) -> Vec<Key> {
    map.get(at)
        .map(|keys| keys.iter().cloned().collect())
        .unwrap_or_default()
}

fn strike<K: Eq + Hash>(map: &mut HashMap<K, BTreeSet<Key>>, at: &K, key: &Key) {
    if let Some(keys) = map.get_mut(at) {
        keys.remove(key);
        if keys.is_empty() {
            map.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(paths: &[&str], target: &str) -> Uses {
        Uses {
            paths: paths.iter().map(|path| RecordPath::parse(path).unwrap()).collect(),
            issuers: Vec::new(),
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
    #[test]
    fn an_authority_leads_to_those_that_it_issues_for_and_not_to_its_readers() {
        let index = Index::default();
        let (leaf, reader) = (Key::new("shop", "leaf"), Key::new("shop", "reader"));
        let ca = RecordPath::parse("shared/ca").unwrap();
        let issued = Uses {
            issuers: vec![ca.clone()],
            ..uses(&["k8s/shop/leaf"], "leaf")
        };
        index.set(&leaf, issued);
        index.set(&reader, uses(&["shared/ca"], "reader"));
        assert_eq!(
            (index.issued_by(&ca), index.using(&ca)),
            (vec![leaf.clone()], vec![reader])
        );
        index.set(&leaf, uses(&["k8s/shop/leaf"], "leaf"));
        assert!(index.issued_by(&ca).is_empty());
    }
}
