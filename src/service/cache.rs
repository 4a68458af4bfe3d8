//! The cache of ciphertext: current versions of records, as stored. Never trusted: each read is confirmed by its audit commit.

use std::sync::Arc;

use moka::sync::Cache;

use super::metrics::Metrics;
use crate::domain::path::RecordPath;
use crate::store::records::StoredRecord;

/// Bytes that an entry costs besides its ciphertext: path, ids, the table's own overhead.
const ENTRY_OVERHEAD: usize = 400;

/// Records by path, up to a number of bytes.
pub(super) struct RecordCache {
    records: Cache<RecordPath, Arc<StoredRecord>>,
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
        Self { records, metrics }
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
        self.records.invalidate_all();
    }
}
