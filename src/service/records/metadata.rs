//! Reading what a record says of itself: no values, and no key of the envelope is touched.

use super::{ATTEMPTS, Records, busy, not_found};
use crate::domain::audit::{Action, Outcome};
use crate::domain::path::RecordPath;
use crate::domain::policy::Capability;
use crate::domain::record::Retention;
use crate::service::audit::Verdict;
use crate::service::context::OpContext;
use crate::service::error::{Reason, Result};
use crate::service::failure::store_failed;
use crate::store::audit::Confirm;
pub use crate::store::record_metadata::MetadataRow;
use crate::store::record_metadata::fetch;

/// A record without its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordMetadata {
    /// What is stored of it.
    pub row: MetadataRow,
    /// What holds for its versions in the end, prefixes considered.
    pub effective: Retention,
}

impl Records<'_> {
    /// What a record says of itself, a deleted one too. Needs `list`.
    ///
    /// # Errors
    /// [`Reason::PolicyDenied`], [`Reason::PathNotFound`], [`Reason::SessionEnded`], and those of the store.
    pub async fn metadata(&self, ctx: &OpContext, path: &RecordPath) -> Result<RecordMetadata> {
        const ACTION: Action = Action::RecordMetadata;
        for _ in 0..ATTEMPTS {
            let ruling = self.vault.authority.ruling();
            let decision = ruling.decide(ctx, Capability::List, path, &self.vault.metrics);
            if !decision.is_allowed() {
                let refusal = self.refuse(ctx, ACTION, path.as_str(), Capability::List, &decision, ruling.epoch);
                match refusal.await? {
                    Some(refusal) => return Err(refusal),
                    None => self.catch_up(ctx, Some(path)).await?,
                }
                continue;
            }
            let entry = ctx.entry(ACTION, path.as_str()).decided(&decision);
            let Some(row) = fetch(&self.vault.pool, path).await.map_err(store_failed)? else {
                let entry = entry.ended(Outcome::Fail, Reason::PathNotFound.as_str());
                match self.confirm(ctx, entry, None, ruling.epoch, not_found()).await? {
                    Some(error) => return Err(error),
                    None => self.catch_up(ctx, Some(path)).await?,
                }
                continue;
            };
            let confirm = Confirm {
                record: Some((row.id, row.revision)),
                bearer: ctx.decided_bearer(),
                policy_epoch: Some(ruling.epoch),
                ..Confirm::default()
            };
            match self.vault.audit.commit(entry, confirm).await? {
                Verdict::Confirmed => {
                    let effective = ruling.retention(path, row.metadata.retention);
                    return Ok(RecordMetadata { row, effective });
                }
                Verdict::Stale => self.catch_up(ctx, Some(path)).await?,
            }
        }
        Err(busy())
    }
}
