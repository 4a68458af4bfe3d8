//! Showing a second factor again within a session, for policies that want one shown lately.

use super::{Look, ShownFactor, not_enrolled};
use crate::domain::audit::Action;
use crate::service::auth::Auth;
use crate::service::auth::sessions::ended;
use crate::service::context::OpContext;
use crate::service::error::Result;
use crate::service::failure::store_failed;
use crate::store::{self, audit, second_factors, sessions};

impl Auth<'_> {
    /// Notes that the caller's session has seen a second factor just now. Every process goes by it at the very next call.
    ///
    /// # Errors
    /// [`crate::service::error::Reason::SecondFactorFailed`], `SecondFactorLocked`, `SecondFactorNotEnrolled`, `SessionRequired`,
    /// `SessionEnded`, and those of the store.
    pub async fn step_up(&self, ctx: &OpContext, shown: &ShownFactor) -> Result<()> {
        let (person, session) = ctx.person()?;
        self.still_in_force(ctx).await?;
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let standing = second_factors::hold(&mut tx, person.id).await.map_err(store_failed)?;
        drop(tx);
        if !standing.is_some_and(|standing| standing.totp || standing.passkey) {
            return Err(not_enrolled());
        }
        let claim = match self.look_at(person.id, shown).await? {
            Look::Claim(claim) => claim,
            Look::Wrong => return Err(self.factor_refused(ctx, Action::StepUp, false).await?),
            Look::Locked => return Err(self.factor_refused(ctx, Action::StepUp, true).await?),
        };
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        if !self.spend(&mut tx, person.id, &claim).await? {
            drop(tx);
            return Err(self.factor_refused(ctx, Action::StepUp, false).await?);
        }
        if !sessions::step_up(&mut tx, session, ctx.now())
            .await
            .map_err(store_failed)?
        {
            return Err(ended());
        }
        audit::insert(&mut tx, &ctx.entry(Action::StepUp, &person.name))
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        self.vault.actors.invalidate(&session);
        Ok(())
    }
}
