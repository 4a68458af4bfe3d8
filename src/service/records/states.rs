//! Soft-deleting, bringing back and destroying versions.

use super::{ATTEMPTS, Records, busy, not_found};
use crate::domain::audit::{Action, Outcome};
use crate::domain::change::ChangeKind;
use crate::domain::path::RecordPath;
use crate::domain::policy::Capability;
use crate::domain::record::Version;
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::{self, audit, changes, record_states};

/// What happens to the versions.
#[derive(Clone, Copy)]
enum Change {
    Delete,
    Undelete,
    Destroy,
}

impl Records<'_> {
    /// Soft-deletes versions, the current one if none is named. Deleting what is deleted is no error. Needs `delete`.
    ///
    /// # Errors
    /// [`Reason::PolicyDenied`], [`Reason::PathNotFound`], [`Reason::SessionEnded`], and those of the store.
    pub async fn delete(&self, ctx: &OpContext, path: &RecordPath, versions: Option<&[Version]>) -> Result<()> {
        self.change(ctx, path, versions, Change::Delete).await
    }

    /// Brings soft-deleted versions back. Needs `undelete`.
    ///
    /// # Errors
    /// As [`Records::delete`]; [`Reason::VersionGone`] if none of them can be brought back.
    pub async fn undelete(&self, ctx: &OpContext, path: &RecordPath, versions: &[Version]) -> Result<()> {
        self.change(ctx, path, Some(versions), Change::Undelete).await
    }

    /// Removes the values of versions for good. Needs `destroy`.
    ///
    /// # Errors
    /// As [`Records::delete`].
    pub async fn destroy(&self, ctx: &OpContext, path: &RecordPath, versions: &[Version]) -> Result<()> {
        self.change(ctx, path, Some(versions), Change::Destroy).await
    }

    async fn change(
        &self,
        ctx: &OpContext,
        path: &RecordPath,
        versions: Option<&[Version]>,
        change: Change,
    ) -> Result<()> {
        self.vault.writable()?;
        let (action, capability) = match change {
            Change::Delete => (Action::RecordDelete, Capability::Delete),
            Change::Undelete => (Action::RecordUndelete, Capability::Undelete),
            Change::Destroy => (Action::RecordDestroy, Capability::Destroy),
        };
        for _ in 0..ATTEMPTS {
            let ruling = self.vault.authority.ruling();
            let decision = ruling.decide(ctx, capability, path, &self.vault.metrics);
            if !decision.is_allowed() {
                match self
                    .refuse(ctx, action, path.as_str(), capability, &decision, ruling.epoch)
                    .await?
                {
                    Some(refusal) => return Err(refusal),
                    None => self.catch_up(ctx, Some(path)).await?,
                }
                continue;
            }
            let entry = ctx.entry(action, path.as_str()).decided(&decision);
            let current = self.current(path).await?;
            let found = match &current {
                None => Err(not_found()),
                Some(record) => match &record.managed_by {
                    Some(owner) => Err(Error::new(
                        Reason::ManagedByResource,
                        format!("{owner} feeds this record; change it there"),
                    )),
                    None => Ok(record),
                },
            };
            let record = match found {
                Ok(record) => record,
                Err(error) => {
                    let entry = entry.ended(Outcome::Fail, error.reason().as_str());
                    match self
                        .confirm(ctx, entry, current.as_deref(), ruling.epoch, error)
                        .await?
                    {
                        Some(error) => return Err(error),
                        None => self.catch_up(ctx, Some(path)).await?,
                    }
                    continue;
                }
            };
            let numbers: Vec<i64> = versions
                .unwrap_or(&[record.current_version])
                .iter()
                .map(|version| version.number())
                .collect();
            let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
            let claimed = record_states::claim(&mut tx, record.id, record.revision, ctx.bearer(), ruling.epoch).await;
            if !claimed.map_err(store_failed)? {
                drop(tx);
                self.catch_up(ctx, Some(path)).await?;
                continue;
            }
            let changed = match change {
                Change::Delete => record_states::delete(&mut tx, record.id, &numbers).await,
                Change::Undelete => record_states::undelete(&mut tx, record.id, &numbers).await,
                Change::Destroy => record_states::destroy(&mut tx, record.id, &numbers).await,
            }
            .map_err(store_failed)?;
            if changed.is_empty() && matches!(change, Change::Undelete) {
                return Err(Error::new(
                    Reason::VersionGone,
                    "none of these versions is deleted; 'versions' lists their states",
                ));
            }
            let entry = match changed.as_slice() {
                [only] => entry.version(*only),
                _ => entry,
            };
            audit::insert(&mut tx, &entry).await.map_err(store_failed)?;
            changes::insert(&mut tx, ChangeKind::Record, path.as_str())
                .await
                .map_err(store_failed)?;
            store::commit(tx).await.map_err(store_failed)?;
            self.vault.cache.forget(path);
            self.vault.feed.announce();
            return Ok(());
        }
        Err(busy())
    }
}
