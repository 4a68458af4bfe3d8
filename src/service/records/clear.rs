//! Removing for good what was deleted long enough ago, and counting what is about to end. The database's clock decides.

use prometheus::GaugeVec;

use crate::domain::audit::Action;
use crate::domain::change::ChangeKind;
use crate::domain::record::{AgeBucket, ExpiryBucket};
use crate::service::Vault;
use crate::service::error::Result;
use crate::service::failure::store_failed;
use crate::service::maintenance::process_context;
use crate::store::{self, audit, changes, record_metadata, record_states, roots, wraps};

/// Records or versions of one transaction.
const CHUNK: i64 = 200;

/// Shows a count for each bucket.
fn show<const N: usize>(metric: &GaugeVec, labels: [&str; N], counts: [i64; N]) {
    for (label, count) in labels.into_iter().zip(counts) {
        let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        metric.with_label_values(&[label]).set(count);
    }
}

impl Vault {
    /// One round of it; what another process is busy with is left to that.
    pub(in crate::service) async fn clear_records(&self) -> Result<()> {
        let expiries = record_metadata::expiries(&self.pool).await.map_err(store_failed)?;
        let labels = ExpiryBucket::ALL.map(ExpiryBucket::as_str);
        show(&self.metrics.records_expiring, labels, expiries);
        let ages = record_metadata::ages(&self.pool).await.map_err(store_failed)?;
        show(
            &self.metrics.records_by_age,
            AgeBucket::ALL.map(AgeBucket::as_str),
            ages,
        );
        while wraps::prune(&self.pool).await.map_err(store_failed)? > 0 {}
        while roots::purge_shredded(&self.pool, CHUNK).await.map_err(store_failed)? > 0 {}
        while self.purge_deleted().await? {}
        while self.destroy_overdue().await? {}
        Ok(())
    }

    async fn purge_deleted(&self) -> Result<bool> {
        let ctx = process_context(self.clock.now());
        let mut tx = store::begin(&self.pool).await.map_err(store_failed)?;
        let paths = record_states::purge_deleted(&mut tx, self.deleted_retention.as_secs_f64(), CHUNK)
            .await
            .map_err(store_failed)?;
        for path in &paths {
            audit::insert(&mut tx, &ctx.entry(Action::RecordPurge, path))
                .await
                .map_err(store_failed)?;
            changes::insert(&mut tx, ChangeKind::Record, path)
                .await
                .map_err(store_failed)?;
        }
        store::commit(tx).await.map_err(store_failed)?;
        Ok(!paths.is_empty())
    }

    async fn destroy_overdue(&self) -> Result<bool> {
        let ctx = process_context(self.clock.now());
        let mut tx = store::begin(&self.pool).await.map_err(store_failed)?;
        let versions = record_states::destroy_overdue(&mut tx, self.deleted_retention.as_secs_f64(), CHUNK)
            .await
            .map_err(store_failed)?;
        for (path, version) in &versions {
            audit::insert(&mut tx, &ctx.entry(Action::RecordDestroy, path).version(*version))
                .await
                .map_err(store_failed)?;
            changes::insert(&mut tx, ChangeKind::Record, path)
                .await
                .map_err(store_failed)?;
        }
        store::commit(tx).await.map_err(store_failed)?;
        Ok(!versions.is_empty())
    }
}
