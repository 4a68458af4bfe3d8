//! One's own second factor: what there is, another authenticator, new recovery codes, none.
//!
//! What changes a factor ends every session of its user, the one that changed it too (R7): the database does.

use secrecy::SecretString;
use uuid::Uuid;

use super::complete::exists;
use super::{RECENT, ShownFactor, not_enrolled};
use crate::crypto::totp::Enrolment;
use crate::domain::audit::Action;
use crate::service::auth::Auth;
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::login_attempts::{self, Factor};
use crate::store::second_factors::{self, LoginStanding};
use crate::store::{self, Tx, audit, recovery_codes, sessions, totp};

/// What an account has, as shown to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecondFactorState {
    /// Whether an authenticator counts.
    pub totp: bool,
    /// Whether it has passkeys.
    pub passkey: bool,
    /// Recovery codes that are left.
    pub recovery_codes: i64,
    /// Whether its logins need a second factor.
    pub required: bool,
}

impl Auth<'_> {
    /// What the caller's account has.
    ///
    /// # Errors
    /// [`Reason::SessionRequired`], [`Reason::SessionEnded`], and those of the store.
    pub async fn second_factor_state(&self, ctx: &OpContext) -> Result<SecondFactorState> {
        let (person, _) = ctx.person()?;
        self.still_in_force(ctx).await?;
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let standing = self.standing(&mut tx, person.id).await?;
        Ok(SecondFactorState {
            totp: standing.totp,
            passkey: standing.passkey,
            recovery_codes: standing.recovery_codes,
            required: self.needs_second_factor(&standing),
        })
    }

    /// Offers an authenticator's secret to the caller's account. It counts once [`Auth::confirm_totp`] has seen a code of it. The caller shows
    /// who they are again: by the password, or by a second factor shown lately.
    ///
    /// # Errors
    /// [`Reason::SecondFactorExists`], [`Reason::ReauthenticationRequired`], [`Reason::LoginFailed`] for a wrong password, which counts as an
    /// attempt to log in, [`Reason::SessionRequired`], [`Reason::SessionEnded`], [`Reason::Busy`], and those of the store.
    pub async fn enrol_totp(&self, ctx: &OpContext, password: Option<SecretString>) -> Result<Enrolment> {
        let user = self.shown_again(ctx, password).await?;
        let name = ctx.actor().display();
        let (secret, enrolment) = self.sealed_secret(ctx, user, &name).await?;
        let mut tx = self.change_of_factor(ctx, user).await?.0;
        let offered = totp::offer(&mut tx, user, secret.id, &secret.wrapped_dek, &secret.ciphertext).await;
        if !offered.map_err(store_failed)? {
            return Err(exists());
        }
        self.end_change(tx, ctx, Action::SecondFactorOffer).await?;
        Ok(enrolment)
    }

    /// Makes the authenticator count that was offered; answers the recovery codes, which are shown once. Every session of the caller ends.
    ///
    /// # Errors
    /// [`Reason::SecondFactorFailed`], [`Reason::SecondFactorLocked`], [`Reason::SecondFactorNotEnrolled`], [`Reason::InvalidRequest`],
    /// [`Reason::SessionRequired`], [`Reason::SessionEnded`], and those of the store.
    pub async fn confirm_totp(&self, ctx: &OpContext, shown: &ShownFactor) -> Result<Vec<SecretString>> {
        let user = ctx.person()?.0.id;
        let ShownFactor::Totp(code) = shown else {
            return Err(Error::new(Reason::InvalidRequest, "send a 'code' of the authenticator"));
        };
        let secret = totp::find(&self.vault.pool, user).await.map_err(store_failed)?;
        let secret = secret.ok_or_else(not_enrolled)?;
        if secret.confirmed {
            return Err(exists());
        }
        if !self.admit(user).await? {
            return Err(self.factor_refused(ctx, Action::SecondFactorEnrol, true).await?);
        }
        let Some(step) = self.step_of(user, &secret, code).await? else {
            return Err(self.factor_refused(ctx, Action::SecondFactorEnrol, false).await?);
        };
        let mut tx = self.change_of_factor(ctx, user).await?.0;
        if !totp::confirm(&mut tx, user, secret.id, step)
            .await
            .map_err(store_failed)?
        {
            return Err(exists());
        }
        let codes = self.renew_recovery_codes(&mut tx, user).await?;
        login_attempts::forget(&mut tx, user, Factor::SecondFactor)
            .await
            .map_err(store_failed)?;
        self.end_change(tx, ctx, Action::SecondFactorEnrol).await?;
        self.counted("ok");
        Ok(codes)
    }

    /// Removes the caller's authenticator, and the recovery codes unless a passkey is left. Every session of the caller ends.
    ///
    /// # Errors
    /// [`Reason::ReauthenticationRequired`], [`Reason::SecondFactorNotEnrolled`], [`Reason::SessionRequired`], [`Reason::SessionEnded`], and
    /// those of the store.
    pub async fn remove_totp(&self, ctx: &OpContext) -> Result<()> {
        let user = self.factor_shown_lately(ctx)?;
        let (mut tx, standing) = self.change_of_factor(ctx, user).await?;
        if !totp::remove(&mut tx, user).await.map_err(store_failed)? {
            return Err(not_enrolled());
        }
        if !standing.passkey {
            recovery_codes::remove(&mut tx, user).await.map_err(store_failed)?;
        }
        self.end_change(tx, ctx, Action::SecondFactorRemove).await
    }

    /// Gives the caller new recovery codes, and ends those before, and every session of the caller.
    ///
    /// # Errors
    /// As [`Auth::remove_totp`].
    pub async fn new_recovery_codes(&self, ctx: &OpContext) -> Result<Vec<SecretString>> {
        let user = self.factor_shown_lately(ctx)?;
        let (mut tx, standing) = self.change_of_factor(ctx, user).await?;
        if !standing.totp && !standing.passkey {
            return Err(not_enrolled());
        }
        let codes = self.renew_recovery_codes(&mut tx, user).await?;
        self.end_change(tx, ctx, Action::RecoveryCodes).await?;
        Ok(codes)
    }

    /// The caller, if they have shown a second factor within minutes. A session that was left open, with or without the password beside it, must
    /// not be enough to take a factor away.
    pub(in crate::service::auth) fn factor_shown_lately(&self, ctx: &OpContext) -> Result<Uuid> {
        let (person, _) = ctx.person()?;
        let lately = ctx
            .circumstances()
            .second_factor_at
            .is_some_and(|at| ctx.now().duration_since(at) <= RECENT);
        if lately {
            return Ok(person.id);
        }
        Err(Error::new(
            Reason::ReauthenticationRequired,
            "this needs a second factor shown within 5 minutes: send one to POST /api/v1/auth/step-up, then try again",
        ))
    }

    /// The caller, if they have shown again who they are: by a second factor shown lately, by the password, or, where the account has none, by a
    /// login within minutes.
    pub(in crate::service::auth) async fn shown_again(
        &self,
        ctx: &OpContext,
        password: Option<SecretString>,
    ) -> Result<Uuid> {
        if let Ok(user) = self.factor_shown_lately(ctx) {
            return Ok(user);
        }
        let (person, session) = ctx.person()?;
        if let Some(password) = password {
            let found = self.person_by_password(&person.name, password).await?;
            let Some(user) = found.filter(|user| user.id == person.id) else {
                return Err(Error::new(Reason::LoginFailed, "the password is wrong"));
            };
            let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
            login_attempts::forget(&mut tx, user.id, Factor::Password)
                .await
                .map_err(store_failed)?;
            store::commit(tx).await.map_err(store_failed)?;
            return Ok(person.id);
        }
        let recent = sessions::began_without_password(&self.vault.pool, session, RECENT.as_secs_f64())
            .await
            .map_err(store_failed)?;
        if recent {
            return Ok(person.id);
        }
        Err(Error::new(
            Reason::ReauthenticationRequired,
            "show again who you are: send 'password', or a second factor to POST /api/v1/auth/step-up and try again; an account without a \
             password logs in anew",
        ))
    }

    /// Begins a change of the caller's factors: the user's row is held, then the session. In this order everything takes them.
    async fn change_of_factor(&self, ctx: &OpContext, user: Uuid) -> Result<(Tx<'static>, LoginStanding)> {
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let standing = self.standing(&mut tx, user).await?;
        self.vault.hold(&mut tx, ctx).await?;
        Ok((tx, standing))
    }

    async fn end_change(&self, mut tx: Tx<'_>, ctx: &OpContext, action: Action) -> Result<()> {
        let entry = ctx.entry(action, &ctx.actor().display());
        audit::insert(&mut tx, &entry).await.map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)
    }

    async fn standing(&self, tx: &mut Tx<'_>, user: Uuid) -> Result<LoginStanding> {
        let standing = second_factors::hold(tx, user).await.map_err(store_failed)?;
        standing.ok_or_else(crate::service::auth::sessions::ended)
    }
}
