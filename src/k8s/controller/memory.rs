//! What was applied to which Secret: the rows of `syncs`, loaded once, kept here, and written through the door.
//!
//! With it, a Secret that nobody touched is known to be right without a request, also after a restart.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::key::Key;
use crate::service::door::SyncRow;

/// The rows, by the uid of the `VaultSecret` and by Secret.
#[derive(Default)]
pub(super) struct Memory(RwLock<Maps>);

#[derive(Default)]
struct Maps {
    rows: HashMap<String, Arc<SyncRow>>,
    by_secret: HashMap<Key, BTreeSet<String>>,
}

impl Memory {
    pub(super) fn new(rows: Vec<SyncRow>) -> Self {
        let memory = Self::default();
        for row in rows {
            memory.put(row);
        }
        memory
    }

    pub(super) fn get(&self, uid: &str) -> Option<Arc<SyncRow>> {
        self.read().rows.get(uid).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<SyncRow>> {
        self.read().rows.values().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.read().rows.len()
    }

    /// The rows that speak of a Secret's name.
    pub(super) fn of_secret(&self, secret: &Key) -> Vec<Arc<SyncRow>> {
        let maps = self.read();
        let uids = maps.by_secret.get(secret).into_iter().flatten();
        uids.filter_map(|uid| maps.rows.get(uid).cloned()).collect()
    }

    pub(super) fn put(&self, row: SyncRow) {
        let mut maps = self.write();
        maps.take(&row.uid);
        maps.by_secret
            .entry(Key::new(&row.namespace, &row.secret_name))
            .or_default()
            .insert(row.uid.clone());
        maps.rows.insert(row.uid.clone(), Arc::new(row));
    }

    pub(super) fn remove(&self, uid: &str) {
        self.write().take(uid);
    }

    fn read(&self) -> RwLockReadGuard<'_, Maps> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Maps> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Maps {
    fn take(&mut self, uid: &str) {
        let Some(row) = self.rows.remove(uid) else { return };
        let secret = Key::new(&row.namespace, &row.secret_name);
        if let Some(uids) = self.by_secret.get_mut(&secret) {
            uids.remove(uid);
            if uids.is_empty() {
                self.by_secret.remove(&secret);
            }
        }
    }
}
