//! The cache of ciphertext: current versions of records, as stored. Never trusted: each read is confirmed by its audit commit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moka::sync::Cache;

use super::metrics::Metrics;
use crate::domain::path::RecordPath;
use crate::store::records::StoredRecord;

/// Bytes that an entry costs besides its ciphertext: path, ids, the table's own overhead.
const ENTRY_OVERHEAD: usize = 400;

/// Own writes whose change has not come by yet, at most: beyond it they are forgotten, and what they wrote is fetched again.
const MAX_OWN: usize = 100_000;

/// Records by path, up to a number of bytes.
pub(super) struct RecordCache {
    records: Cache<RecordPath, Arc<StoredRecord>>,
    /// How many changes of this process the feed has yet to bring, by path: what they wrote is at hand already.
    own: Mutex<HashMap<RecordPath, u32>>,
    metrics: Metrics,
}

impl RecordCache {
    pub(super) fn new(max_bytes: u64, metrics: Metrics) -> Self {
        let records = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|path: &RecordPath, record: &Arc<StoredRecord>| {
                let sealed = record.version.as_ref().and_then(|version| version.sealed.as_ref());
                let bytes = sealed.map_or(0, |(dek, ciphertext)| dek.len() + ciphertext.len());
                u32::try_from(ENTRY_OVERHEAD + path.as_str().len() + bytes).unwrap_or(u32::MAX)
            })
            .build();
        Self {
            records,
            own: Mutex::default(),
            metrics,
        }
    }

    /// Says that this process is about to write a version, and will put it in here.
    pub(super) fn expect(&self, path: &RecordPath) {
        let mut own = self.own();
        if own.len() >= MAX_OWN {
            own.clear();
        }
        *own.entry(path.clone()).or_insert(0) += 1;
    }

    /// Says that it did not.
    pub(super) fn unexpect(&self, path: &RecordPath) {
        self.is_own(path);
    }

    /// The feed brought a change: what is kept is old, unless the change is one of this process.
    pub(super) fn changed(&self, path: &RecordPath) {
        if !self.is_own(path) {
            self.forget(path);
        }
    }

    /// Takes one expected change out, if there is one.
    fn is_own(&self, path: &RecordPath) -> bool {
        let mut own = self.own();
        let Some(count) = own.get_mut(path) else { return false };
        *count -= 1;
        if *count == 0 {
            own.remove(path);
        }
        true
    }

    fn own(&self) -> MutexGuard<'_, HashMap<RecordPath, u32>> {
        // Every critical section leaves the map whole.
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, path: &RecordPath) -> Option<Arc<StoredRecord>> {
        let found = self.records.get(path);
        self.metrics
            .cache_lookups
            .with_label_values(&[if found.is_some() { "hit" } else { "miss" }])
            .inc();
        found
    }

    pub(super) fn insert(&self, path: RecordPath, record: Arc<StoredRecord>) {
        self.records.insert(path, record);
    }

    pub(super) fn forget(&self, path: &RecordPath) {
        self.records.invalidate(path);
    }

    pub(super) fn clear(&self) {
        self.own().clear();
        self.records.invalidate_all();
    }
}
