//! Reading a record, and listing its versions.

use std::sync::Arc;

use jiff::Timestamp;

use super::{ATTEMPTS, Records, TABLE, busy, not_found};
use crate::crypto::envelope::RecordContext;
use crate::domain::audit::{Action, Outcome};
use crate::domain::path::RecordPath;
use crate::domain::policy::Capability;
use crate::domain::record::{RecordData, Version, VersionState, decode};
use crate::service::audit::Verdict;
use crate::service::authority::Ruling;
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::audit::Confirm;
use crate::store::records::{StoredRecord, StoredVersion, fetch, versions};

/// A record that was read.
pub struct ReadRecord {
    /// The version that was read.
    pub version: Version,
    /// The record's revision when it was read.
    pub revision: i64,
    /// The record's id.
    pub id: uuid::Uuid,
    /// When the version was written.
    pub created_at: Timestamp,
    /// When the record says that its values stop being of use.
    pub expires_at: Option<Timestamp>,
    /// When the version counts as deleted; the commit of the read confirms that this has not come.
    pub(super) until: Option<Timestamp>,
    /// The resource that feeds the record.
    pub managed_by: Option<String>,
    /// What its source did so far.
    pub(in crate::service) source: Option<serde_json::Value>,
    /// Keys and values.
    pub data: RecordData,
}

/// A version without its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionInfo {
    /// Its number.
    pub version: Version,
    /// What it holds.
    pub state: VersionState,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was deleted or destroyed, or will count as deleted.
    pub deleted_at: Option<Timestamp>,
}

impl Records<'_> {
    /// Reads the current version, or a chosen one. Needs `read`.
    ///
    /// # Errors
    /// [`Reason::PolicyDenied`], [`Reason::PathNotFound`], [`Reason::VersionGone`], [`Reason::SessionEnded`], and those of the store.
    pub async fn read(&self, ctx: &OpContext, path: &RecordPath, version: Option<Version>) -> Result<ReadRecord> {
        self.read_as(ctx, path, version, Capability::Read, Action::RecordRead)
            .await
    }

    /// Reads under another capability: a sync is a read that ends in a Kubernetes Secret.
    pub(in crate::service) async fn read_as(
        &self,
        ctx: &OpContext,
        path: &RecordPath,
        version: Option<Version>,
        capability: Capability,
        action: Action,
    ) -> Result<ReadRecord> {
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
            let record = match version {
                None => self.current(path).await?,
                Some(_) => fetch(&self.vault.pool, path, version)
                    .await
                    .map_err(store_failed)?
                    .map(Arc::new),
            };
            let opened = match &record {
                None => Err(not_found()),
                Some(record) => self.open(path, record, version, &ruling).await,
            };
            match opened {
                Ok(read) => {
                    let confirm = Confirm {
                        record: Some((read.id, read.revision)),
                        until: read.until,
                        bearer: ctx.decided_bearer(),
                        policy_epoch: Some(ruling.epoch),
                    };
                    match self
                        .vault
                        .audit
                        .commit(entry.version(read.version.number()), confirm)
                        .await?
                    {
                        Verdict::Confirmed => return Ok(read),
                        Verdict::Stale => self.catch_up(ctx, Some(path)).await?,
                    }
                }
                Err(error) => {
                    let entry = entry.ended(Outcome::Fail, error.reason().as_str());
                    match self.confirm(ctx, entry, record.as_deref(), ruling.epoch, error).await? {
                        Some(error) => return Err(error),
                        None => self.catch_up(ctx, Some(path)).await?,
                    }
                }
            }
        }
        Err(busy())
    }

    /// The versions kept of a record, oldest first. Needs `list`.
    ///
    /// # Errors
    /// As [`Records::read`].
    pub async fn versions(&self, ctx: &OpContext, path: &RecordPath) -> Result<Vec<VersionInfo>> {
        for _ in 0..ATTEMPTS {
            let ruling = self.vault.authority.ruling();
            let decision = ruling.decide(ctx, Capability::List, path, &self.vault.metrics);
            if !decision.is_allowed() {
                let refusal = self.refuse(
                    ctx,
                    Action::RecordVersions,
                    path.as_str(),
                    Capability::List,
                    &decision,
                    ruling.epoch,
                );
                match refusal.await? {
                    Some(refusal) => return Err(refusal),
                    None => self.catch_up(ctx, Some(path)).await?,
                }
                continue;
            }
            let entry = ctx.entry(Action::RecordVersions, path.as_str()).decided(&decision);
            let Some(record) = self.current(path).await? else {
                let entry = entry.ended(Outcome::Fail, Reason::PathNotFound.as_str());
                match self.confirm(ctx, entry, None, ruling.epoch, not_found()).await? {
                    Some(error) => return Err(error),
                    None => self.catch_up(ctx, Some(path)).await?,
                }
                continue;
            };
            let rows = versions(&self.vault.pool, record.id).await.map_err(store_failed)?;
            let confirm = Confirm {
                record: Some((record.id, record.revision)),
                bearer: ctx.decided_bearer(),
                policy_epoch: Some(ruling.epoch),
                ..Confirm::default()
            };
            match self.vault.audit.commit(entry, confirm).await? {
                Verdict::Confirmed => {
                    let info = |row: crate::store::records::VersionRow| VersionInfo {
                        version: row.number,
                        state: row.state,
                        created_at: row.created_at,
                        deleted_at: row.deleted_at,
                    };
                    return Ok(rows.into_iter().map(info).collect());
                }
                Verdict::Stale => self.catch_up(ctx, Some(path)).await?,
            }
        }
        Err(busy())
    }

    /// Decrypts the version that was fetched.
    pub(super) async fn open(
        &self,
        path: &RecordPath,
        record: &StoredRecord,
        asked: Option<Version>,
        ruling: &Ruling,
    ) -> Result<ReadRecord> {
        let gone = |version: Version, what: &str| {
            Error::new(
                Reason::VersionGone,
                format!("version {version} {what}; 'versions' lists what can be read"),
            )
        };
        if record.deleted_at.is_some() {
            let message = "the record is deleted; 'restore' brings it back as long as it is kept";
            return Err(Error::new(Reason::VersionGone, message));
        }
        let Some(version) = &record.version else {
            return Err(gone(
                asked.unwrap_or(record.current_version),
                "was never written, or is no longer kept",
            ));
        };
        let StoredVersion {
            number,
            state,
            sealed,
            created_at,
            delete_at,
        } = version;
        let sealed = match (state, sealed) {
            (VersionState::Live, Some(sealed)) => sealed,
            (VersionState::Deleted, _) => return Err(gone(*number, "is deleted")),
            _ => return Err(gone(*number, "is destroyed")),
        };
        // The root of the path that was asked for, never the one that the row names: a row moved between roots must not open.
        let root_id = self.vault.keys.root_of(&ruling.root_of(path)?).await?;
        let context = RecordContext {
            root_id,
            table: TABLE,
            record_id: record.id,
            version: *number,
            path,
        };
        let plaintext = self.vault.keys.unseal(&context, &sealed.0, &sealed.1).await?;
        let data = decode(&plaintext).map_err(Error::internal)?;
        Ok(ReadRecord {
            version: *number,
            revision: record.revision,
            id: record.id,
            created_at: *created_at,
            expires_at: record.expires_at,
            until: *delete_at,
            managed_by: record.managed_by.clone(),
            source: record.source.clone(),
            data,
        })
    }
}
