//! Writing a version.

use std::sync::Arc;

use jiff::Timestamp;

use super::{ATTEMPTS, Records, TABLE, busy};
use crate::crypto::envelope::RecordContext;
use crate::crypto::random;
use crate::domain::audit::{Action, Outcome};
use crate::domain::limits::DEFAULT_MAX_VERSIONS;
use crate::domain::path::RecordPath;
use crate::domain::policy::Capability;
use crate::domain::record::{Expect, RecordData, Version, VersionState, encode};
use crate::service::authority::denied;
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::record_writes::{NewVersion, create, update};
use crate::store::records::{StoredRecord, StoredVersion};

/// A version that was written: it and its audit entry are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The record's id.
    pub id: uuid::Uuid,
    /// The version that the write made.
    pub version: Version,
    /// The record's revision after it.
    pub revision: i64,
    /// When, by the database's clock.
    pub created_at: Timestamp,
}

impl Records<'_> {
    /// Writes a version under check-and-set. Needs `create` for the first version, `update` for any other.
    ///
    /// # Errors
    /// [`Reason::PolicyDenied`], [`Reason::CheckAndSetFailed`], [`Reason::ManagedByResource`], [`Reason::SessionEnded`], and those of
    /// the store. After an error of the store it is unknown whether the version was written.
    pub async fn write(
        &self,
        ctx: &OpContext,
        path: &RecordPath,
        data: &RecordData,
        expect: Expect,
    ) -> Result<Written> {
        self.write_as(ctx, path, data, expect, None, Action::RecordWrite).await
    }

    /// Writes under one capability instead of `create` and `update`: a resource that generates needs `generate`.
    pub(in crate::service) async fn write_as(
        &self,
        ctx: &OpContext,
        path: &RecordPath,
        data: &RecordData,
        expect: Expect,
        capability: Option<Capability>,
        action: Action,
    ) -> Result<Written> {
        self.vault.writable()?;
        let plaintext = encode(data);
        for attempt in 0..ATTEMPTS {
            let ruling = self.vault.authority.ruling();
            let decide = |capability| ruling.decide(ctx, capability, path, &self.vault.metrics);
            let (first, further) = match capability {
                Some(capability) => (capability, capability),
                None => (Capability::Create, Capability::Update),
            };
            let (may_create, may_update) = (decide(first), decide(further));
            // Whoever may do neither learns nothing about the path (R35).
            if !may_create.is_allowed() && !may_update.is_allowed() {
                match self
                    .refuse(ctx, action, path.as_str(), first, &may_create, ruling.epoch)
                    .await?
                {
                    Some(refusal) => return Err(refusal),
                    None => self.catch_up(ctx, Some(path)).await?,
                }
                continue;
            }
            let root = ruling.root_of(path)?;
            // A head from memory may be old: it is good for an optimistic write, not for a refusal.
            if attempt > 0 {
                self.vault.cache.forget(path);
            }
            let current = self.current(path).await?;
            let (decision, needed) = if current.is_none() {
                (may_create, first)
            } else {
                (may_update, further)
            };
            let refused = if !decision.is_allowed() {
                Some((Outcome::Deny, denied(&decision, needed)))
            } else if let Some(owner) = current.as_ref().and_then(|record| record.managed_by.as_deref()) {
                let message = format!("{owner} feeds this record; change it there");
                Some((Outcome::Fail, Error::new(Reason::ManagedByResource, message)))
            } else {
                None
            };
            let next = expect.next(current.as_ref().map(|record| record.current_version));
            let refused = refused.or_else(|| {
                let error = next.as_ref().err()?;
                Some((Outcome::Fail, Error::new(Reason::CheckAndSetFailed, error.to_string())))
            });
            let entry = ctx.entry(action, path.as_str()).decided(&decision);
            if let Some((outcome, error)) = refused {
                let entry = entry.ended(outcome, error.reason().as_str());
                match self
                    .confirm(ctx, entry, current.as_deref(), ruling.epoch, error)
                    .await?
                {
                    Some(error) => return Err(error),
                    None => self.catch_up(ctx, Some(path)).await?,
                }
                continue;
            }
            let Ok(version) = next else { continue };
            let entry = entry.version(version.number());
            let root_id = self.vault.keys.ensure_root(ctx, &root).await?;
            let record_id = current
                .as_ref()
                .map_or_else(|| random::uuid_v7(ctx.now()), |record| record.id);
            let context = RecordContext {
                root_id,
                table: TABLE,
                record_id,
                version,
                path,
            };
            let sealed = self.vault.keys.seal(&context, &plaintext).await?;
            let max_versions = current
                .as_ref()
                .map_or(DEFAULT_MAX_VERSIONS, |record| record.max_versions);
            let new = NewVersion {
                record_id,
                root_id,
                path,
                version,
                max_versions,
                wrapped_dek: &sealed.wrapped_dek,
                ciphertext: &sealed.ciphertext,
                entry: &entry,
                bearer: ctx.bearer(),
                policy_epoch: ruling.epoch,
            };
            let statement = if current.is_some() { "update" } else { "create" };
            let timer = self
                .vault
                .metrics
                .write_seconds
                .with_label_values(&[statement])
                .start_timer();
            let row = match current {
                Some(_) => update(&self.vault.pool, &new).await,
                None => create(&self.vault.pool, &new).await,
            };
            timer.observe_duration();
            match row.map_err(store_failed)? {
                Some(row) => {
                    self.vault.feed.announce();
                    let record = StoredRecord {
                        id: record_id,
                        root_id,
                        current_version: version,
                        revision: row.revision,
                        max_versions,
                        managed_by: None,
                        version: Some(StoredVersion {
                            number: version,
                            state: VersionState::Live,
                            sealed: Some((sealed.wrapped_dek, sealed.ciphertext)),
                            created_at: row.at,
                        }),
                    };
                    // At hand for the next read or write.
                    self.vault.cache.insert(path.clone(), Arc::new(record));
                    return Ok(Written {
                        id: record_id,
                        version,
                        revision: row.revision,
                        created_at: row.at,
                    });
                }
                None => self.catch_up(ctx, Some(path)).await?,
            }
        }
        Err(busy())
    }
}
