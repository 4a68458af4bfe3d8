//! Writing a version: whole, as a patch of the current one, or an earlier one anew. All of them pass through [`Records::put`].

use std::sync::Arc;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::managed::{Feeder, check_manager};
use super::{ATTEMPTS, Records, TABLE, busy, deleted, not_found};
use crate::crypto::envelope::RecordContext;
use crate::crypto::random;
use crate::domain::audit::{Action, Outcome};
use crate::domain::path::RecordPath;
use crate::domain::policy::Capability;
use crate::domain::record::{DataError, Expect, Patch, RecordData, Retention, Version, VersionState, encode};
use crate::service::authority::{Ruling, denied};
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::StoreError;
use crate::store::record_writes::{NewVersion, create, update};
use crate::store::records::{StoredRecord, StoredVersion, fetch};

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

/// Where the values of the new version come from.
#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    /// These.
    Whole(&'a RecordData),
    /// Those of the current version, changed.
    Patch(&'a Patch),
    /// Those of an earlier version.
    Version(Version),
}

/// On which terms a version is written.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) expect: Expect,
    /// One capability instead of `create` and `update`: a resource that generates needs `generate`.
    pub(super) capability: Option<Capability>,
    pub(super) action: Action,
    /// The resource that writes and feeds the record, and what is remembered of that.
    pub(super) feeder: Option<Feeder<'a>>,
}

impl Terms<'_> {
    pub(super) fn of(action: Action) -> Self {
        Self {
            expect: Expect::Any,
            capability: None,
            action,
            feeder: None,
        }
    }
}

impl Records<'_> {
    /// Writes a version under check-and-set. Needs `create` for the first version, `update` for any other.
    ///
    /// # Errors
    /// [`Reason::PolicyDenied`], [`Reason::CheckAndSetFailed`], [`Reason::CasRequired`], [`Reason::RecordDeleted`],
    /// [`Reason::ManagedByResource`], [`Reason::QuotaExceeded`], [`Reason::WriteRateExceeded`], [`Reason::RootShredded`],
    /// [`Reason::SessionEnded`], and those of the store. After an error of the store it is unknown whether the version was written.
    pub async fn write(
        &self,
        ctx: &OpContext,
        path: &RecordPath,
        data: &RecordData,
        expect: Expect,
    ) -> Result<Written> {
        self.write_as(ctx, path, data, expect, None, Action::RecordWrite).await
    }

    /// Changes some keys of a record; what others wrote in between is kept. Needs `update`.
    ///
    /// # Errors
    /// As [`Records::write`]; [`Reason::PathNotFound`], [`Reason::VersionGone`] if the current version cannot be read, and
    /// [`Reason::TooLarge`] or [`Reason::InvalidRecord`] if what comes out is no record.
    pub async fn patch(&self, ctx: &OpContext, path: &RecordPath, patch: &Patch, expect: Expect) -> Result<Written> {
        let terms = Terms {
            expect,
            ..Terms::of(Action::RecordPatch)
        };
        self.put(ctx, path, Content::Patch(patch), terms).await
    }

    /// Writes the values of an earlier version as a new one. Needs `update`.
    ///
    /// # Errors
    /// As [`Records::patch`].
    pub async fn rollback(&self, ctx: &OpContext, path: &RecordPath, to: Version, expect: Expect) -> Result<Written> {
        let terms = Terms {
            expect,
            ..Terms::of(Action::RecordRollback)
        };
        self.put(ctx, path, Content::Version(to), terms).await
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
        let terms = Terms {
            expect,
            capability,
            ..Terms::of(action)
        };
        self.put(ctx, path, Content::Whole(data), terms).await
    }

    /// Writes a version: decides, makes its content, encrypts it for n+1, and stores it in one statement if n is still current.
    pub(super) async fn put(
        &self,
        ctx: &OpContext,
        path: &RecordPath,
        content: Content<'_>,
        terms: Terms<'_>,
    ) -> Result<Written> {
        self.vault.writable()?;
        for attempt in 0..ATTEMPTS {
            let ruling = self.vault.authority.ruling();
            let decide = |capability| ruling.decide(ctx, capability, path, &self.vault.metrics);
            let (first, further) = match (terms.capability, content) {
                (Some(capability), _) => (capability, capability),
                (None, Content::Whole(_)) => (Capability::Create, Capability::Update),
                (None, _) => (Capability::Update, Capability::Update),
            };
            let (may_create, may_update) = (decide(first), decide(further));
            // Whoever may do neither learns nothing about the path (R35).
            if !may_create.is_allowed() && !may_update.is_allowed() {
                match self
                    .refuse(ctx, terms.action, path.as_str(), first, &may_create, ruling.epoch)
                    .await?
                {
                    Some(refusal) => return Err(refusal),
                    None => self.catch_up(ctx, Some(path)).await?,
                }
                continue;
            }
            // A head from memory may be old: it is good for an optimistic write, not for a refusal, nor for values whose time may have come.
            if attempt > 0 || (matches!(content, Content::Patch(_)) && self.may_have_gone(path)) {
                self.vault.cache.forget(path);
            }
            // The statement that makes a record looks whether there is one.
            let blind = attempt == 0
                && terms.expect == Expect::Absent
                && matches!(content, Content::Whole(_))
                && may_create.is_allowed();
            let current = if blind {
                self.vault.cache.get(path)
            } else {
                self.current(path).await?
            };
            let current = current.as_deref();
            let (decision, needed) = match current {
                None => (may_create, first),
                Some(_) => (may_update, further),
            };
            let own = current.map(|record| record.retention).unwrap_or_default();
            let retention = ruling.retention(path, own);
            let made = if decision.is_allowed() {
                self.prepare(path, content, terms, current, retention, &ruling)
                    .await
                    .map_err(|error| (Outcome::Fail, error))
            } else {
                Err((Outcome::Deny, denied(&decision, needed)))
            };
            let entry = ctx.entry(terms.action, path.as_str()).decided(&decision);
            let (version, plaintext) = match made {
                Ok(made) => made,
                Err((_, error)) if error.reason() == Reason::StoreUnavailable => return Err(error),
                Err((outcome, error)) => {
                    let entry = entry.ended(outcome, error.reason().as_str());
                    match self.confirm(ctx, entry, current, ruling.epoch, error).await? {
                        Some(error) => return Err(error),
                        None => self.catch_up(ctx, Some(path)).await?,
                    }
                    continue;
                }
            };
            let written = entry.clone().version(version.number());
            let root_id = self.vault.keys.ensure_root(ctx, &ruling.root_of(path)?).await?;
            let record_id = current.map_or_else(|| random::uuid_v7(ctx.now()), |record| record.id);
            let context = RecordContext {
                root_id,
                table: TABLE,
                record_id,
                version,
                path,
            };
            let sealed = self.vault.keys.seal(&context, &plaintext).await?;
            let new = NewVersion {
                record_id,
                root_id,
                path,
                version,
                revision: current.map(|record| record.revision),
                kept: retention.kept(),
                delete_after: retention.delete_version_after,
                wrapped_dek: &sealed.wrapped_dek,
                ciphertext: &sealed.ciphertext,
                entry: &written,
                bearer: ctx.decided_bearer(),
                policy_epoch: ruling.epoch,
                source: terms.feeder.map(Feeder::columns),
            };
            let statement = if current.is_some() { "update" } else { "create" };
            let timer = self
                .vault
                .metrics
                .write_seconds
                .with_label_values(&[statement])
                .start_timer();
            self.vault.cache.expect(path);
            let row = match current {
                Some(_) => update(&self.vault.pool, &new).await,
                None => create(&self.vault.pool, &new).await,
            };
            timer.observe_duration();
            if !matches!(row, Ok(Some(_))) {
                self.vault.cache.unexpect(path);
            }
            let row = match row {
                Ok(Some(row)) => row,
                Ok(None) => {
                    self.catch_up(ctx, Some(path)).await?;
                    continue;
                }
                Err(error) => {
                    let Some(error) = over_quota(&error) else {
                        return Err(store_failed(error));
                    };
                    if blind {
                        self.catch_up(ctx, Some(path)).await?;
                        continue;
                    }
                    let entry = entry.ended(Outcome::Fail, error.reason().as_str());
                    match self.confirm(ctx, entry, current, ruling.epoch, error).await? {
                        Some(error) => return Err(error),
                        None => self.catch_up(ctx, Some(path)).await?,
                    }
                    continue;
                }
            };
            self.vault.feed.announce();
            let record = StoredRecord {
                id: record_id,
                root_id,
                current_version: version,
                revision: row.revision,
                retention: own,
                managed_by: match terms.feeder {
                    Some(feeder) => feeder.columns().managed_by.map(str::to_owned),
                    None => current.and_then(|record| record.managed_by.clone()),
                },
                source: match terms.feeder {
                    Some(feeder) => Some(feeder.state.clone()),
                    None => current.and_then(|record| record.source.clone()),
                },
                expires_at: current.and_then(|record| record.expires_at),
                deleted_at: None,
                version: Some(StoredVersion {
                    number: version,
                    state: VersionState::Live,
                    sealed: Some((sealed.wrapped_dek, sealed.ciphertext)),
                    created_at: row.at,
                    delete_at: row.delete_at,
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
        Err(busy())
    }

    /// Whether the version in memory has an end, which only the database can tell.
    fn may_have_gone(&self, path: &RecordPath) -> bool {
        let cached = self.vault.cache.get(path);
        cached.is_some_and(|record| {
            record
                .version
                .as_ref()
                .is_some_and(|version| version.delete_at.is_some())
        })
    }

    /// Which version to write, and what it holds; or why none is written.
    async fn prepare(
        &self,
        path: &RecordPath,
        content: Content<'_>,
        terms: Terms<'_>,
        current: Option<&StoredRecord>,
        retention: Retention,
        ruling: &Ruling,
    ) -> Result<(Version, Zeroizing<Vec<u8>>)> {
        ruling.root_of(path)?;
        if let Some(record) = current {
            if record.deleted_at.is_some() {
                return Err(deleted());
            }
            check_manager(record, terms.feeder.map(|feeder| feeder.name))?;
        }
        if retention.cas_required && terms.expect == Expect::Any {
            return Err(Error::new(
                Reason::CasRequired,
                "writes here have to say which version they follow: send 'cas' (0 for a new record), or If-Match or If-None-Match",
            ));
        }
        let version = terms
            .expect
            .next(current.map(|record| record.current_version))
            .map_err(|error| Error::new(Reason::CheckAndSetFailed, error.to_string()))?;
        let plaintext = match content {
            Content::Whole(data) => encode(data),
            Content::Patch(patch) => {
                let record = current.ok_or_else(not_found)?;
                let read = self.open(path, record, None, ruling).await?;
                encode(&patch.apply(read.data).map_err(|error| refused(&error))?)
            }
            Content::Version(to) => {
                let record = current.ok_or_else(not_found)?;
                // Whether the record is still at the same revision is for the statement to say.
                let earlier = fetch(&self.vault.pool, path, Some(to)).await.map_err(store_failed)?;
                let earlier = earlier
                    .filter(|earlier| earlier.id == record.id)
                    .ok_or_else(not_found)?;
                encode(&self.open(path, &earlier, Some(to), ruling).await?.data)
            }
        };
        Ok((version, plaintext))
    }
}

/// The error of data that is no record.
fn refused(error: &DataError) -> Error {
    let reason = match error {
        DataError::TooLarge | DataError::TooManyKeys => Reason::TooLarge,
        _ => Reason::InvalidRecord,
    };
    Error::new(reason, error.to_string())
}

/// The error of a write that the quota of its root refused.
pub(super) fn over_quota(error: &StoreError) -> Option<Error> {
    let StoreError::Constraint { name, .. } = error else {
        return None;
    };
    let (reason, message) = match name.as_str() {
        "root_quotas_records" => (
            Reason::QuotaExceeded,
            "the root holds as many records as its quota allows; remove some for good, or ask an administrator for more",
        ),
        "root_quotas_bytes" => (
            Reason::QuotaExceeded,
            "the root holds as many bytes as its quota allows, all versions counted; destroy some, or ask an administrator for more",
        ),
        "root_quotas_writes" => (
            Reason::WriteRateExceeded,
            "the root is written as often as its quota allows; try again in a second",
        ),
        _ => return None,
    };
    Some(Error::new(reason, message))
}
