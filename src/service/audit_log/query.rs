//! Queries of auditors, and exports of what they may see. A look at the log is an entry of the log.

use super::AuditLog;
use crate::domain::audit::Action;
use crate::domain::audit::leaf::StoredEntry;
use crate::domain::audit::query::{AuditCursor, AuditFilter};
use crate::domain::limits::MAX_PAGE;
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::audit_rows;

/// Some entries, newest first.
#[derive(Debug, Clone)]
pub struct EntryPage {
    /// The entries.
    pub items: Vec<StoredEntry>,
    /// Where the next page goes on; absent at the end.
    pub next: Option<AuditCursor>,
}

impl AuditLog<'_> {
    /// Entries that pass a filter, newest first, behind `after`. For auditors and administrators.
    ///
    /// # Errors
    /// [`Reason::RoleRequired`], [`Reason::InvalidRequest`], [`Reason::SessionEnded`], and those of the store.
    pub async fn entries(
        &self,
        ctx: &OpContext,
        filter: &AuditFilter,
        after: Option<AuditCursor>,
        limit: u32,
    ) -> Result<EntryPage> {
        let resource = filter.path.as_deref().unwrap_or_default();
        self.require_auditor(ctx, Action::AuditRead, resource).await?;
        filter
            .check()
            .map_err(|problem| Error::new(Reason::InvalidRequest, problem))?;
        let page = self.page(filter, after, limit.clamp(1, MAX_PAGE)).await?;
        self.vault.looked(ctx, ctx.entry(Action::AuditRead, resource)).await?;
        Ok(page)
    }

    /// Begins an export: from here on [`AuditLog::export_page`] may be called. For auditors and administrators.
    ///
    /// # Errors
    /// As [`AuditLog::entries`].
    pub async fn begin_export(&self, ctx: &OpContext, filter: &AuditFilter) -> Result<()> {
        let resource = filter.path.as_deref().unwrap_or_default();
        self.require_auditor(ctx, Action::AuditExport, resource).await?;
        filter
            .check()
            .map_err(|problem| Error::new(Reason::InvalidRequest, problem))?;
        self.vault.looked(ctx, ctx.entry(Action::AuditExport, resource)).await
    }

    /// The next part of an export that was begun. It ends when the session that began it does.
    ///
    /// # Errors
    /// [`Reason::SessionEnded`], and those of the store.
    pub async fn export_page(
        &self,
        ctx: &OpContext,
        filter: &AuditFilter,
        after: Option<AuditCursor>,
    ) -> Result<EntryPage> {
        self.vault.auth().still_in_force(ctx).await?;
        self.page(filter, after, MAX_PAGE).await
    }

    async fn page(&self, filter: &AuditFilter, after: Option<AuditCursor>, limit: u32) -> Result<EntryPage> {
        let mut items = audit_rows::find(&self.vault.pool, filter, after, i64::from(limit) + 1)
            .await
            .map_err(store_failed)?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|last| AuditCursor {
            at: last.at,
            id: last.id,
        });
        Ok(EntryPage { items, next })
    }
}
