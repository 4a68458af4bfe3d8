//! How a person sets a password: by a link for one use, or by the password they have.

use secrecy::{ExposeSecret as _, SecretString};

use super::{ONE_TIME_PREFIX, Users};
use crate::crypto::token;
use crate::domain::actor::Actor;
use crate::domain::audit::Action;
use crate::service::auth::{RequestInfo, request_context};
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::login_attempts::{self, Factor};
use crate::store::{self, accounts, audit, one_time_tokens, users};

impl Users<'_> {
    /// Sets a password by a link for one use. Nobody is logged in by it: a link that was read by somebody else shows at the next login.
    ///
    /// # Errors
    /// [`Reason::OneTimeTokenInvalid`], [`Reason::PasswordTooWeak`], [`Reason::Busy`], and those of the store.
    pub async fn redeem(&self, token: &SecretString, password: SecretString, info: RequestInfo) -> Result<()> {
        let hash = token::parse(ONE_TIME_PREFIX, token.expose_secret()).map_err(|_| worthless())?;
        self.vault.passwords.check_new(&password, None).await?;
        let password_hash = self.vault.passwords.hash(password).await?;
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let user = one_time_tokens::take(&mut tx, hash.as_bytes())
            .await
            .map_err(store_failed)?
            .ok_or_else(worthless)?;
        users::set_password(&mut tx, user, &password_hash)
            .await
            .map_err(store_failed)?;
        login_attempts::forget(&mut tx, user, Factor::Password)
            .await
            .map_err(store_failed)?;
        let account = accounts::find(&mut tx, user)
            .await
            .map_err(store_failed)?
            .ok_or_else(worthless)?;
        let ctx = request_context(self.vault.clock.now(), Actor::System, &info);
        let mut entry = ctx.entry(Action::PasswordChange, &account.name);
        entry.actor_kind = "user";
        entry.actor_id = account.id.to_string();
        entry.actor_name = account.name;
        audit::insert(&mut tx, &entry).await.map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)
    }

    /// Changes the caller's own password. Every session of theirs ends, this one too.
    ///
    /// # Errors
    /// [`Reason::SessionRequired`], [`Reason::LoginFailed`] for a wrong password, which counts as an attempt to log in,
    /// [`Reason::PasswordTooWeak`], [`Reason::Busy`], and those of the store.
    pub async fn change_own_password(&self, ctx: &OpContext, current: SecretString, new: SecretString) -> Result<()> {
        let (person, _) = ctx.person()?;
        self.vault.passwords.check_new(&new, Some(&current)).await?;
        let user = self.vault.auth().person_by_password(&person.name, current).await?;
        let Some(user) = user.filter(|user| user.id == person.id) else {
            return Err(Error::new(Reason::LoginFailed, "the current password is wrong"));
        };
        let hash = self.vault.passwords.hash(new).await?;
        let mut tx = self.vault.begin_held(ctx).await?;
        let replaced = users::replace_password(&mut tx, user.id, user.password_hash.as_deref(), &hash).await;
        if !replaced.map_err(store_failed)? {
            return Err(Error::new(Reason::LoginFailed, "the current password is wrong"));
        }
        login_attempts::forget(&mut tx, user.id, Factor::Password)
            .await
            .map_err(store_failed)?;
        self.commit(tx, ctx, Action::PasswordChange, &user.name).await
    }
}

fn worthless() -> Error {
    Error::new(
        Reason::OneTimeTokenInvalid,
        "the link was used, is past its end, or is not one of this vault's; ask an administrator for another",
    )
}
