//! Use cases on records.
//!
//! Each authorises before it looks anything up, rests on what it read from memory, and is confirmed by the commit that carries its
//! audit entry. What was not confirmed is decided and read anew, a few times at most.

mod alter;
mod batch;
mod clear;
mod compare;
mod consumers;
mod list;
mod managed;
mod metadata;
mod read;
mod search;
mod transfer;
mod wrap;
mod write;

use std::sync::Arc;

use jiff::Timestamp;

pub use compare::Compared;
pub use consumers::{CarriedVersion, Consumer, ConsumerWorkload, Consumers};
pub use list::{ListItem, ListOptions, Page};
pub(super) use managed::{Feeder, managed_by};
pub use metadata::{MetadataRow, RecordMetadata};
pub use read::{ReadRecord, VersionInfo};
pub use search::{SearchOptions, SearchPage};
pub use wrap::{Unwrapped, WrapInfo, Wrapped};
pub use write::Written;

use super::Vault;
use super::audit::Verdict;
use super::authority::denied;
use super::context::OpContext;
use super::error::{Error, Reason, Result};
use super::failure::store_failed;
use crate::domain::audit::{Action, AuditEntry, Outcome};
use crate::domain::path::RecordPath;
use crate::domain::policy::{Capability, Decision};
use crate::store::audit::Confirm;
use crate::store::records::{StoredRecord, fetch};

/// How often an operation is decided anew before the caller is asked to try later.
const ATTEMPTS: usize = 8;
/// The table that envelopes of records are bound to.
pub(super) const TABLE: &str = "secret_versions";

/// Use cases on records.
pub struct Records<'v> {
    vault: &'v Vault,
}

/// A time as the API shows it.
pub type Time = Timestamp;

impl<'v> Records<'v> {
    pub(super) fn new(vault: &'v Vault) -> Self {
        Self { vault }
    }

    /// The record with its current version, from the cache or the database.
    async fn current(&self, path: &RecordPath) -> Result<Option<Arc<StoredRecord>>> {
        if let Some(record) = self.vault.cache.get(path) {
            return Ok(Some(record));
        }
        let found = fetch(&self.vault.pool, path, None)
            .await
            .map_err(store_failed)?
            .map(Arc::new);
        if let Some(record) = &found {
            self.vault.cache.insert(path.clone(), Arc::clone(record));
        }
        Ok(found)
    }

    /// Whether there is a record: for who is about to make it, and told nobody else.
    pub(super) async fn is_there(&self, path: &RecordPath) -> Result<bool> {
        Ok(self.current(path).await?.is_some())
    }

    /// Commits the entry of a refusal and answers the refusal.
    async fn refuse(
        &self,
        ctx: &OpContext,
        action: Action,
        path: &str,
        capability: Capability,
        decision: &Decision,
        epoch: i64,
    ) -> Result<Option<Error>> {
        let refusal = denied(decision, capability);
        let entry = ctx
            .entry(action, path)
            .decided(decision)
            .ended(Outcome::Deny, refusal.reason().as_str());
        self.confirm(ctx, entry, None, epoch, refusal).await
    }

    /// Commits an entry whose outcome is an error; `None` if it was not confirmed and must be decided anew.
    async fn confirm(
        &self,
        ctx: &OpContext,
        entry: AuditEntry,
        record: Option<&StoredRecord>,
        epoch: i64,
        error: Error,
    ) -> Result<Option<Error>> {
        let confirm = Confirm {
            record: record.map(|record| (record.id, record.revision)),
            bearer: ctx.decided_bearer(),
            policy_epoch: Some(epoch),
            ..Confirm::default()
        };
        Ok(match self.vault.audit.commit(entry, confirm).await? {
            Verdict::Confirmed => Some(error),
            Verdict::Stale => None,
        })
    }

    /// After something was not confirmed: ends the operation if the session is over, and brings memory up to date.
    pub(super) async fn catch_up(&self, ctx: &OpContext, path: Option<&RecordPath>) -> Result<()> {
        self.vault.metrics.reads_repeated.inc();
        if let Some(path) = path {
            self.vault.cache.forget(path);
        }
        self.vault.auth().still_in_force(ctx).await?;
        self.vault.authority.refresh().await?;
        Ok(())
    }
}

fn busy() -> Error {
    Error::new(
        Reason::Busy,
        "the record is changing faster than it can be read or written; try again shortly",
    )
}

fn not_found() -> Error {
    Error::new(Reason::PathNotFound, "there is no record at this path")
}

fn deleted() -> Error {
    Error::new(
        Reason::RecordDeleted,
        "the record is deleted; restore it, or remove it for good, before it is written again",
    )
}
