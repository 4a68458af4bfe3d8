//! Records that a resource feeds: only that resource writes them, whichever door others come by. The one place that says so.

use super::Records;
use super::write::{Content, Terms};
use crate::domain::audit::Action;
use crate::domain::path::RecordPath;
use crate::domain::policy::Capability;
use crate::domain::record::{Expect, RecordData};
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::records::Written;
use crate::store::record_writes::SourceColumns;
use crate::store::records::StoredRecord;

/// The resource that feeds a record, and what is remembered of that.
#[derive(Clone, Copy)]
pub(in crate::service) struct Feeder<'a> {
    /// How people know it: `VaultSecret k8s/shop/orders-db`.
    pub(in crate::service) name: &'a str,
    /// Whether it alone may write the record.
    pub(in crate::service) alone: bool,
    /// What was done so far.
    pub(in crate::service) state: &'a serde_json::Value,
}

impl<'a> Feeder<'a> {
    /// What is stored of it.
    pub(in crate::service) fn columns(self) -> SourceColumns<'a> {
        SourceColumns {
            managed_by: self.alone.then_some(self.name),
            state: self.state,
        }
    }
}

impl Records<'_> {
    /// Writes a version as the resource that feeds the record, together with what is remembered of that. Needs `capability`, or `create` and
    /// `update`.
    ///
    /// # Errors
    /// As [`Records::write`]; [`Reason::ManagedByResource`] if another resource feeds it.
    #[expect(clippy::too_many_arguments, reason = "each is one condition of the write")]
    pub(in crate::service) async fn write_fed(
        &self,
        ctx: &OpContext,
        path: &RecordPath,
        data: &RecordData,
        expect: Expect,
        capability: Option<Capability>,
        action: Action,
        feeder: Feeder<'_>,
    ) -> Result<Written> {
        let terms = Terms {
            expect,
            capability,
            feeder: Some(feeder),
            ..Terms::of(action)
        };
        self.put(ctx, path, Content::Whole(data), terms).await
    }
}

/// The error of whoever is not the resource that feeds a record.
pub(in crate::service) fn managed_by(owner: &str) -> Error {
    Error::new(
        Reason::ManagedByResource,
        format!("{owner} feeds this record; change it there"),
    )
}

/// Refuses whoever is not the resource that feeds the record.
pub(super) fn check_manager(record: &StoredRecord, asks: Option<&str>) -> Result<()> {
    match record.managed_by.as_deref() {
        Some(owner) if asks != Some(owner) => Err(managed_by(owner)),
        _ => Ok(()),
    }
}
