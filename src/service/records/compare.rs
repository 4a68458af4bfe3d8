//! What two versions of a record differ in.

use super::{ReadRecord, Records};
use crate::domain::audit::Action;
use crate::domain::path::RecordPath;
use crate::domain::policy::Capability;
use crate::domain::record::{KeyChange, KeyName, Version, diff};
use crate::service::context::OpContext;
use crate::service::error::Result;

/// Two versions, and the keys in which they differ.
pub struct Compared {
    /// The one.
    pub from: ReadRecord,
    /// The other.
    pub to: ReadRecord,
    /// What became of the keys that differ.
    pub changes: Vec<(KeyName, KeyChange)>,
}

impl Records<'_> {
    /// Compares two versions by key. Needs `read`, also without values: whoever may write could otherwise write guesses and see which one is no
    /// change. With `values` it is audited as a read of both.
    ///
    /// # Errors
    /// As [`Records::read`].
    pub async fn compare(
        &self,
        ctx: &OpContext,
        path: &RecordPath,
        from: Version,
        to: Option<Version>,
        values: bool,
    ) -> Result<Compared> {
        let action = if values { Action::RecordRead } else { Action::RecordDiff };
        let (from, to) = futures::future::join(
            self.read_as(ctx, path, Some(from), Capability::Read, action),
            self.read_as(ctx, path, to, Capability::Read, action),
        )
        .await;
        let (from, to) = (from?, to?);
        let changes = diff(&from.data, &to.data);
        Ok(Compared { from, to, changes })
    }
}
