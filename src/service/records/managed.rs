//! Records that a resource feeds: only that resource writes them, whichever door others come by. The one place that says so.

use super::Records;
use super::write::{Content, Terms};
use crate::domain::audit::Action;
use crate::domain::path::RecordPath;
use crate::domain::record::{Expect, RecordData};
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::records::Written;
use crate::store::records::StoredRecord;

impl Records<'_> {
    /// Writes a version as the resource that feeds the record, and makes the record that resource's from then on. `manager` is how people know
    /// the resource: `VaultSecret k8s/shop/orders-db`. Needs `create` or `update`.
    ///
    /// # Errors
    /// As [`Records::write`]; [`Reason::ManagedByResource`] if another resource feeds it.
    pub async fn write_managed(
        &self,
        ctx: &OpContext,
        path: &RecordPath,
        data: &RecordData,
        expect: Expect,
        manager: &str,
    ) -> Result<Written> {
        let terms = Terms {
            expect,
            manager: Some(manager),
            ..Terms::of(Action::RecordWrite)
        };
        self.put(ctx, path, Content::Whole(data), terms).await
    }
}

/// Refuses whoever is not the resource that feeds the record.
pub(super) fn check_manager(record: &StoredRecord, asks: Option<&str>) -> Result<()> {
    match record.managed_by.as_deref() {
        Some(owner) if asks != Some(owner) => Err(Error::new(
            Reason::ManagedByResource,
            format!("{owner} feeds this record; change it there"),
        )),
        _ => Ok(()),
    }
}
