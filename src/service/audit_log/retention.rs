//! Retention: days whose entries are older than the setting says are dropped; their blocks stay.

use jiff::civil::Date;

use super::AuditLog;
use crate::domain::audit::Action;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::service::maintenance::process_context;
use crate::store::{self, audit, audit_blocks};

/// Days that are dropped in one call.
const DAYS: i64 = 31;

impl AuditLog<'_> {
    /// Drops what is older than the settings keep; answers the days.
    ///
    /// # Errors
    /// As [`AuditLog::drop_day`].
    pub async fn drop_old_days(&self) -> Result<Vec<Date>> {
        let Some(keep) = self.vault.audit_state.settings.retention_days else {
            return Ok(Vec::new());
        };
        let keep = i32::try_from(keep).unwrap_or(i32::MAX);
        let days = audit_blocks::days_older_than(&self.vault.pool, keep, DAYS)
            .await
            .map_err(store_failed)?;
        for day in &days {
            self.drop_day(*day).await?;
        }
        Ok(days)
    }

    /// Drops the entries of a day, in one transaction with an entry that says so.
    ///
    /// # Errors
    /// [`Reason::InvalidRequest`] if the day is younger than a week, holds nothing, or is not wholly sealed; and those of the store.
    pub async fn drop_day(&self, day: Date) -> Result<i64> {
        let ctx = process_context(self.vault.clock.now());
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        audit::insert(&mut tx, &ctx.entry(Action::AuditDrop, &day.to_string()))
            .await
            .map_err(store_failed)?;
        let entries = audit_blocks::drop_day(&mut tx, day)
            .await
            .map_err(store_failed)?
            .map_err(|refused| Error::new(Reason::InvalidRequest, refused))?;
        store::commit(tx).await.map_err(store_failed)?;
        tracing::info!(%day, entries, "dropped a day of the audit log; its blocks stay");
        Ok(entries)
    }
}
