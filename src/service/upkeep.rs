//! Work that has to be done from time to time: audit partitions ahead in every process, for without one of today nothing is answered; and a
//! job that removes rows that nobody reads any more.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Vault;
use super::failure::store_failed;
use crate::store::{
    access_daily, api_keys, audit, changes, cluster_namespaces, device_grants, keks, login_attempts, login_challenges,
    one_time_tokens, passkeys, sessions, sso, totp,
};

/// How often.
const EVERY: Duration = Duration::from_secs(60);
/// How soon again after a failure.
const RETRY: Duration = Duration::from_secs(15);
/// Days for which partitions are kept ahead.
const DAYS_AHEAD: i32 = 14;
/// Days for which sums of access are kept.
const ACCESS_DAYS: i32 = 400;

impl Vault {
    /// Keeps partitions ahead until the process drains. Every process does: each needs to know that there is one for today.
    pub(super) async fn keep_house(&self, shutdown: CancellationToken) {
        loop {
            let wait = match self.house_round().await {
                Ok(()) => EVERY,
                Err(error) => {
                    tracing::warn!(cause = error.source_for_log(), "upkeep failed; trying again soon");
                    RETRY
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                // Perhaps for want of a partition.
                () = self.audit.refused() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn house_round(&self) -> super::error::Result<()> {
        let days = audit::make_partitions(&self.pool, DAYS_AHEAD)
            .await
            .map_err(store_failed)?;
        self.metrics.audit_partition_days.set(days.into());
        Ok(())
    }

    /// Removes rows that nobody reads any more. Each step is idempotent, and cheap when there is nothing to do.
    pub(super) async fn clean_up(&self) -> super::error::Result<()> {
        while changes::prune(&self.pool).await.map_err(store_failed)? > 0 {}
        while access_daily::prune(&self.pool, ACCESS_DAYS)
            .await
            .map_err(store_failed)?
            > 0
        {}
        self.auth().keep_signing_keys().await?;
        sessions::prune(&self.pool).await.map_err(store_failed)?;
        cluster_namespaces::prune(&self.pool).await.map_err(store_failed)?;
        api_keys::prune(&self.pool).await.map_err(store_failed)?;
        totp::prune(&self.pool).await.map_err(store_failed)?;
        login_challenges::prune(&self.pool).await.map_err(store_failed)?;
        login_attempts::prune(&self.pool).await.map_err(store_failed)?;
        one_time_tokens::prune(&self.pool).await.map_err(store_failed)?;
        passkeys::prune(&self.pool).await.map_err(store_failed)?;
        sso::prune(&self.pool).await.map_err(store_failed)?;
        device_grants::prune(&self.pool).await.map_err(store_failed)?;
        self.look_at_keys().await?;
        self.clear_records().await
    }

    async fn look_at_keys(&self) -> super::error::Result<()> {
        let ages = keks::ages(&self.pool).await.map_err(store_failed)?;
        for (key, age) in [
            ("record", ages.record),
            ("signing", ages.signing),
            ("sealing", ages.sealing),
            ("audit", ages.audit),
        ] {
            self.metrics.key_age.with_label_values(&[key]).set(age);
        }
        Ok(())
    }
}
