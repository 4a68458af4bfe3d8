//! The credential behind what goes by role alone: held while something changes, confirmed by the entry of a look.

use super::Vault;
use super::audit::Verdict;
use super::context::OpContext;
use super::error::{Error, Reason, Result};
use super::failure::store_failed;
use crate::domain::audit::AuditEntry;
use crate::store::{self, Tx, audit};

impl Vault {
    /// A transaction in which the caller's credential is held: nothing ends it before the transaction does.
    ///
    /// # Errors
    /// [`Reason::SessionEnded`], [`Reason::ApiKeyEnded`], [`Reason::Busy`] if what it stands for changed, and those of the store.
    pub(super) async fn begin_held(&self, ctx: &OpContext) -> Result<Tx<'static>> {
        let mut tx = store::begin(&self.pool).await.map_err(store_failed)?;
        if audit::hold(&mut tx, ctx.bearer()).await.map_err(store_failed)? {
            return Ok(tx);
        }
        drop(tx);
        Err(self.not_in_force(ctx).await)
    }

    /// The same in a transaction that began with something else.
    ///
    /// # Errors
    /// As [`Vault::begin_held`].
    pub(super) async fn hold(&self, tx: &mut Tx<'_>, ctx: &OpContext) -> Result<()> {
        if audit::hold(tx, ctx.bearer()).await.map_err(store_failed)? {
            return Ok(());
        }
        Err(self.not_in_force(ctx).await)
    }

    /// Commits the entry of a look, which confirms the caller's credential.
    ///
    /// # Errors
    /// As [`Vault::begin_held`].
    pub(super) async fn looked(&self, ctx: &OpContext, entry: AuditEntry) -> Result<()> {
        match self.audit.commit(entry, ctx.confirm()).await? {
            Verdict::Confirmed => Ok(()),
            Verdict::Stale => Err(self.not_in_force(ctx).await),
        }
    }

    /// Why a credential did not hold.
    async fn not_in_force(&self, ctx: &OpContext) -> Error {
        match self.auth().still_in_force(ctx).await {
            Err(error) => error,
            Ok(()) => Error::new(Reason::Busy, "your rights changed a moment ago; send the request again"),
        }
    }
}
