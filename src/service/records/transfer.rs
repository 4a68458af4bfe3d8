//! Copying and moving records, with policy at both ends. Values never leave the vault on the way, and what arrives is bound to the root and the
//! path where it arrives (R38).

use super::managed::check_manager;
use super::write::over_quota;
use super::{ATTEMPTS, Records, TABLE, Written, busy, deleted, not_found};
use crate::crypto::envelope::RecordContext;
use crate::domain::audit::{Action, Outcome};
use crate::domain::change::ChangeKind;
use crate::domain::path::RecordPath;
use crate::domain::policy::Capability;
use crate::domain::record::{Expect, Version};
use crate::service::authority::Ruling;
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::records::StoredRecord;
use crate::store::{self, audit, changes, record_moves, record_states};

impl Records<'_> {
    /// Writes the values of a version at another path, as a new version there. Needs `read` at the source, and `create` or `update` at the target.
    ///
    /// # Errors
    /// As [`Records::read`] and [`Records::write`].
    pub async fn copy(
        &self,
        ctx: &OpContext,
        from: &RecordPath,
        version: Option<Version>,
        to: &RecordPath,
        expect: Expect,
    ) -> Result<Written> {
        let read = self
            .read_as(ctx, from, version, Capability::Read, Action::RecordCopy)
            .await?;
        self.write(ctx, to, &read.data, expect).await
    }

    /// Moves a record with all its versions and metadata to a path where there is none. Needs `read` and `delete` at the source, since who can
    /// read at the target would read it otherwise, and `create` at the target.
    ///
    /// # Errors
    /// [`Reason::PolicyDenied`], [`Reason::PathNotFound`], [`Reason::RecordDeleted`], [`Reason::ManagedByResource`],
    /// [`Reason::CheckAndSetFailed`] if there is a record at the target, [`Reason::QuotaExceeded`], [`Reason::KeyUnavailable`] if a version
    /// was changed outside the vault, [`Reason::SessionEnded`], and those of the store.
    pub async fn rename(&self, ctx: &OpContext, from: &RecordPath, to: &RecordPath) -> Result<()> {
        const ACTION: Action = Action::RecordMove;
        self.vault.writable()?;
        if from == to {
            return Err(Error::new(Reason::InvalidRequest, "the record is at this path already"));
        }
        for _ in 0..ATTEMPTS {
            let ruling = self.vault.authority.ruling();
            let needed = [
                (from, Capability::Read),
                (from, Capability::Delete),
                (to, Capability::Create),
            ];
            let decisions = needed.map(|(path, capability)| ruling.decide(ctx, capability, path, &self.vault.metrics));
            let denied = decisions
                .iter()
                .zip(needed)
                .find(|(decision, _)| !decision.is_allowed());
            if let Some((decision, (path, capability))) = denied {
                match self
                    .refuse(ctx, ACTION, path.as_str(), capability, decision, ruling.epoch)
                    .await?
                {
                    Some(refusal) => return Err(refusal),
                    None => self.catch_up(ctx, Some(from)).await?,
                }
                continue;
            }
            let [_, leaves, arrives] = &decisions;
            let leaves = ctx.entry(ACTION, from.as_str()).decided(leaves);
            let arrives = ctx.entry(ACTION, to.as_str()).decided(arrives);
            let record = self.current(from).await?;
            let prepared = self.prepare_move(ctx, record.as_deref(), from, to, &ruling).await;
            let failed = match prepared {
                Ok((record, root_id, keys)) => {
                    let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
                    let claimed =
                        record_states::claim(&mut tx, record.id, record.revision, ctx.decided_bearer(), ruling.epoch)
                            .await;
                    if !claimed.map_err(store_failed)? {
                        drop(tx);
                        self.catch_up(ctx, Some(from)).await?;
                        continue;
                    }
                    match record_moves::relocate(&mut tx, record.id, root_id, to, &keys).await {
                        Ok(true) => {
                            for (path, entry) in [(from, &leaves), (to, &arrives)] {
                                let entry = entry.clone().version(record.current_version.number());
                                audit::insert(&mut tx, &entry).await.map_err(store_failed)?;
                                changes::insert(&mut tx, ChangeKind::Record, path.as_str())
                                    .await
                                    .map_err(store_failed)?;
                            }
                            store::commit(tx).await.map_err(store_failed)?;
                            self.vault.cache.forget(from);
                            self.vault.cache.forget(to);
                            self.vault.feed.announce();
                            return Ok(());
                        }
                        Ok(false) => Error::new(
                            Reason::CheckAndSetFailed,
                            "there is a record at the target, perhaps a deleted one; move to a path where there is none",
                        ),
                        Err(error) => over_quota(&error).unwrap_or_else(|| store_failed(error)),
                    }
                }
                Err(error) => error,
            };
            if matches!(failed.reason(), Reason::StoreUnavailable | Reason::Internal) {
                return Err(failed);
            }
            let entry = arrives.ended(Outcome::Fail, failed.reason().as_str());
            match self
                .confirm(ctx, entry, record.as_deref(), ruling.epoch, failed)
                .await?
            {
                Some(error) => return Err(error),
                None => self.catch_up(ctx, Some(from)).await?,
            }
        }
        Err(busy())
    }

    /// The record as it is, the root where it arrives, and the keys of its versions wrapped for there.
    async fn prepare_move<'r>(
        &self,
        ctx: &OpContext,
        record: Option<&'r StoredRecord>,
        from: &RecordPath,
        to: &RecordPath,
        ruling: &Ruling,
    ) -> Result<(&'r StoredRecord, uuid::Uuid, Vec<(i64, Vec<u8>)>)> {
        let record = record.ok_or_else(not_found)?;
        if record.deleted_at.is_some() {
            return Err(deleted());
        }
        check_manager(record, None)?;
        // The root of the path that was asked for, never the one that the row names.
        let from_root = self.vault.keys.root_of(&ruling.root_of(from)?).await?;
        let to_root = self.vault.keys.ensure_root(ctx, &ruling.root_of(to)?).await?;
        let stored = record_moves::wrapped_keys(&self.vault.pool, record.id)
            .await
            .map_err(store_failed)?;
        let mut keys = Vec::with_capacity(stored.len());
        for (number, wrapped) in stored {
            let version = Version::new(number).map_err(Error::internal)?;
            let place = |root_id, path| RecordContext {
                root_id,
                table: TABLE,
                record_id: record.id,
                version,
                path,
            };
            let wrapped = self
                .vault
                .keys
                .rewrap(&place(from_root, from), &place(to_root, to), &wrapped)
                .await?;
            keys.push((number, wrapped));
        }
        Ok((record, to_root, keys))
    }
}
