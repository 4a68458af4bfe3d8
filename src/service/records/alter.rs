//! Changing a record without writing a version: its states, its metadata, its end and return. Each is a transaction that first claims the
//! record at the revision that the decision rested on, and raises it.

use super::managed::check_manager;
use super::{ATTEMPTS, Records, busy, deleted, not_found};
use crate::domain::audit::{Action, Outcome};
use crate::domain::change::ChangeKind;
use crate::domain::path::RecordPath;
use crate::domain::policy::Capability;
use crate::domain::record::{Metadata, MetadataPatch, Version};
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::records::StoredRecord;
use crate::store::{self, Tx, audit, changes, record_metadata, record_states};

/// What happens to the record.
#[derive(Clone, Copy)]
pub(super) enum Change<'a> {
    /// Versions are soft-deleted; the current one, if none is named.
    Delete(Option<&'a [Version]>),
    Undelete(&'a [Version]),
    Destroy(&'a [Version]),
    Describe(&'a Metadata),
    Patch(&'a MetadataPatch),
    /// The whole record is deleted, on behalf of a resource or of nobody.
    Remove(Option<&'a str>),
    Restore,
    Purge,
}

impl Change<'_> {
    fn needs(self) -> (Action, Capability) {
        match self {
            Self::Delete(_) => (Action::RecordDelete, Capability::Delete),
            Self::Undelete(_) => (Action::RecordUndelete, Capability::Undelete),
            Self::Destroy(_) => (Action::RecordDestroy, Capability::Destroy),
            Self::Describe(_) | Self::Patch(_) => (Action::RecordDescribe, Capability::Update),
            Self::Remove(_) => (Action::RecordRemove, Capability::Delete),
            Self::Restore => (Action::RecordRestore, Capability::Undelete),
            Self::Purge => (Action::RecordPurge, Capability::Destroy),
        }
    }

    /// Why the record as it is cannot be changed so.
    fn refused(self, record: &StoredRecord) -> Option<Error> {
        match self {
            Self::Restore => {
                return record.deleted_at.is_none().then(|| {
                    Error::new(
                        Reason::InvalidRequest,
                        "the record is not deleted; single versions come back with 'undelete'",
                    )
                });
            }
            Self::Purge => return check_manager(record, None).err(),
            _ => {}
        }
        if record.deleted_at.is_some() {
            return Some(deleted());
        }
        match self {
            // What is said of a record beside its values is not what the resource feeds.
            Self::Describe(_) | Self::Patch(_) => None,
            Self::Remove(manager) => check_manager(record, manager).err(),
            _ => check_manager(record, None).err(),
        }
    }

    /// Does it; answers the version for the audit entry, if there is one.
    async fn apply(self, tx: &mut Tx<'_>, record: &StoredRecord) -> Result<Option<i64>> {
        let numbers = |versions: &[Version]| versions.iter().map(|version| version.number()).collect::<Vec<_>>();
        let changed = match self {
            Self::Delete(versions) => {
                let numbers = numbers(versions.unwrap_or(&[record.current_version]));
                record_states::delete(tx, record.id, &numbers).await
            }
            Self::Undelete(versions) => {
                let changed = record_states::undelete(tx, record.id, &numbers(versions)).await;
                if changed.as_ref().is_ok_and(Vec::is_empty) {
                    return Err(Error::new(
                        Reason::VersionGone,
                        "none of these versions is deleted; 'versions' lists their states",
                    ));
                }
                changed
            }
            Self::Destroy(versions) => record_states::destroy(tx, record.id, &numbers(versions)).await,
            Self::Describe(metadata) => record_metadata::set(tx, record.id, metadata).await.map(|()| Vec::new()),
            Self::Patch(patch) => {
                let before = record_metadata::held(tx, record.id).await.map_err(store_failed)?;
                let after = patch.apply(before);
                check(&after)?;
                record_metadata::set(tx, record.id, &after).await.map(|()| Vec::new())
            }
            Self::Remove(_) => record_states::delete_record(tx, record.id).await.map(|()| Vec::new()),
            Self::Restore => record_states::restore_record(tx, record.id).await.map(|()| Vec::new()),
            Self::Purge => record_states::purge_record(tx, record.id).await.map(|()| Vec::new()),
        };
        Ok(match changed.map_err(store_failed)?.as_slice() {
            [only] => Some(*only),
            _ => None,
        })
    }
}

impl Records<'_> {
    /// Soft-deletes versions, the current one if none is named. Deleting what is deleted is no error. Needs `delete`.
    ///
    /// # Errors
    /// [`Reason::PolicyDenied`], [`Reason::PathNotFound`], [`Reason::RecordDeleted`], [`Reason::ManagedByResource`],
    /// [`Reason::SessionEnded`], and those of the store.
    pub async fn delete(&self, ctx: &OpContext, path: &RecordPath, versions: Option<&[Version]>) -> Result<()> {
        self.alter(ctx, path, Change::Delete(versions)).await
    }

    /// Brings soft-deleted versions back, those too whose time had come. Needs `undelete`.
    ///
    /// # Errors
    /// As [`Records::delete`]; [`Reason::VersionGone`] if none of them can be brought back.
    pub async fn undelete(&self, ctx: &OpContext, path: &RecordPath, versions: &[Version]) -> Result<()> {
        self.alter(ctx, path, Change::Undelete(versions)).await
    }

    /// Removes the values of versions for good. Needs `destroy`.
    ///
    /// # Errors
    /// As [`Records::delete`].
    pub async fn destroy(&self, ctx: &OpContext, path: &RecordPath, versions: &[Version]) -> Result<()> {
        self.alter(ctx, path, Change::Destroy(versions)).await
    }

    /// Says anew what a record says of itself. Needs `update`.
    ///
    /// # Errors
    /// As [`Records::delete`]; [`Reason::InvalidRequest`] for a field out of bounds.
    pub async fn describe(&self, ctx: &OpContext, path: &RecordPath, metadata: &Metadata) -> Result<()> {
        check(metadata)?;
        self.alter(ctx, path, Change::Describe(metadata)).await
    }

    /// Changes some of what a record says of itself. Needs `update`.
    ///
    /// # Errors
    /// As [`Records::describe`].
    pub async fn patch_metadata(&self, ctx: &OpContext, path: &RecordPath, patch: &MetadataPatch) -> Result<()> {
        self.alter(ctx, path, Change::Patch(patch)).await
    }

    /// Deletes a whole record: nothing of it is read, listed or written until it is restored, or goes for good after
    /// `records.deleted_retention`. Needs `delete`. A resource that feeds the record names itself.
    ///
    /// # Errors
    /// As [`Records::delete`].
    pub async fn remove(&self, ctx: &OpContext, path: &RecordPath, manager: Option<&str>) -> Result<()> {
        self.alter(ctx, path, Change::Remove(manager)).await
    }

    /// Brings a whole deleted record back as it was. Needs `undelete`.
    ///
    /// # Errors
    /// As [`Records::delete`]; [`Reason::InvalidRequest`] if it is not deleted.
    pub async fn restore(&self, ctx: &OpContext, path: &RecordPath) -> Result<()> {
        self.alter(ctx, path, Change::Restore).await
    }

    /// Removes a whole record for good, deleted or not; the path is free then. Needs `destroy`.
    ///
    /// # Errors
    /// As [`Records::delete`].
    pub async fn purge(&self, ctx: &OpContext, path: &RecordPath) -> Result<()> {
        self.alter(ctx, path, Change::Purge).await
    }

    async fn alter(&self, ctx: &OpContext, path: &RecordPath, change: Change<'_>) -> Result<()> {
        self.vault.writable()?;
        let (action, capability) = change.needs();
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
                Some(record) => ruling.root_of(path).and_then(|_| match change.refused(record) {
                    Some(error) => Err(error),
                    None => Ok(record),
                }),
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
            let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
            let claimed =
                record_states::claim(&mut tx, record.id, record.revision, ctx.decided_bearer(), ruling.epoch).await;
            if !claimed.map_err(store_failed)? {
                drop(tx);
                self.catch_up(ctx, Some(path)).await?;
                continue;
            }
            let entry = match change.apply(&mut tx, record).await? {
                Some(version) => entry.version(version),
                None => entry,
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

fn check(metadata: &Metadata) -> Result<()> {
    metadata
        .check()
        .map_err(|error| Error::new(Reason::InvalidRequest, error.to_string()))
}
