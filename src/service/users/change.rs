//! Changing users, and ending them. Whatever changes what a user may do ends its sessions in the same commit (R7): the database does.

use uuid::Uuid;

use super::create::parse_groups;
use super::{OneTimeLink, User, Users, invalid, not_found, taken};
use crate::domain::account::{parse_display_name, parse_email};
use crate::domain::actor::Role;
use crate::domain::audit::Action;
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::accounts::{self, AccountChange};
use crate::store::login_attempts::{self, Factor};
use crate::store::one_time_tokens::Purpose;
use crate::store::second_factors;

/// What of a user is set; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    /// What it may administer.
    pub role: Option<Role>,
    /// Its e-mail address, or none.
    pub email: Option<Option<String>>,
    /// What it is called, or nothing.
    pub display_name: Option<Option<String>>,
    /// Whether it may not act.
    pub disabled: Option<bool>,
    /// Whether its logins need a second factor.
    pub second_factor_required: Option<bool>,
    /// The groups that it belongs to; new ones are made.
    pub groups: Option<Vec<String>>,
}

impl Users<'_> {
    /// Changes a user. Another role, other groups or a disabled account end its sessions at the very next call.
    ///
    /// # Errors
    /// [`Reason::AdministratorRequired`], [`Reason::UserNotFound`], [`Reason::UserExists`], [`Reason::LastAdministrator`],
    /// [`Reason::InvalidRequest`], and those of the store.
    pub async fn change(&self, ctx: &OpContext, id: Uuid, change: UserChange) -> Result<User> {
        let parse = |text: Option<Option<String>>, parse: fn(&str) -> Result<String, &'static str>| {
            text.map(|text| text.as_deref().map(parse).transpose())
                .transpose()
                .map_err(invalid)
        };
        let email = parse(change.email, parse_email)?;
        let display_name = parse(change.display_name, parse_display_name)?;
        let groups = change.groups.as_deref().map(parse_groups).transpose()?;
        let mut tx = self.administer(ctx).await?;
        let row = AccountChange {
            role: change.role.map(Role::as_str),
            email: email.as_ref().map(Option::as_deref),
            display_name: display_name.as_ref().map(Option::as_deref),
            disabled: change.disabled,
            second_factor_required: change.second_factor_required,
        };
        if !accounts::change(&mut tx, id, &row).await.map_err(taken)? {
            return Err(not_found());
        }
        if let Some(groups) = &groups {
            self.set_groups(&mut tx, ctx, id, groups).await?;
        }
        if change.role.is_some() || change.disabled == Some(true) {
            self.keep_an_administrator(&mut tx).await?;
        }
        let user = accounts::find(&mut tx, id)
            .await
            .map_err(store_failed)?
            .ok_or_else(not_found)?;
        self.commit(tx, ctx, Action::UserChange, &user.name).await?;
        Ok(user)
    }

    /// Deletes a user so that it can be restored, or for good. For good, its records under `users/` stay with nobody's rights, its name
    /// becomes free, and policies written before mean nobody who bears it later (R40).
    ///
    /// # Errors
    /// [`Reason::AdministratorRequired`], [`Reason::UserNotFound`], [`Reason::LastAdministrator`], and those of the store.
    pub async fn remove(&self, ctx: &OpContext, id: Uuid, permanently: bool) -> Result<()> {
        let mut tx = self.administer(ctx).await?;
        let (done, action) = match permanently {
            true => (accounts::remove(&mut tx, id).await, Action::UserRemove),
            false => (accounts::delete(&mut tx, id).await, Action::UserDelete),
        };
        if !done.map_err(store_failed)? {
            return Err(not_found());
        }
        self.keep_an_administrator(&mut tx).await?;
        self.commit(tx, ctx, action, &id.to_string()).await
    }

    /// Restores a deleted user.
    ///
    /// # Errors
    /// [`Reason::AdministratorRequired`], [`Reason::UserNotFound`], and those of the store.
    pub async fn restore(&self, ctx: &OpContext, id: Uuid) -> Result<()> {
        let mut tx = self.administer(ctx).await?;
        if !accounts::restore(&mut tx, id).await.map_err(store_failed)? {
            return Err(not_found());
        }
        self.commit(tx, ctx, Action::UserRestore, &id.to_string()).await
    }

    /// Takes a person's password away, ends their sessions, and answers a link to set a new one by.
    ///
    /// # Errors
    /// [`Reason::AdministratorRequired`], [`Reason::UserNotFound`], [`Reason::LastAdministrator`], [`Reason::InvalidRequest`] for a
    /// machine, and those of the store.
    pub async fn reset(&self, ctx: &OpContext, id: Uuid) -> Result<OneTimeLink> {
        let mut tx = self.administer(ctx).await?;
        let user = accounts::find(&mut tx, id).await.map_err(store_failed)?;
        let user = user.filter(|user| user.deleted_at.is_none()).ok_or_else(not_found)?;
        if user.kind == "machine" {
            return Err(Error::new(
                Reason::InvalidRequest,
                "a machine has no password; rotate its API keys instead",
            ));
        }
        accounts::drop_password(&mut tx, id).await.map_err(store_failed)?;
        self.keep_an_administrator(&mut tx).await?;
        login_attempts::forget_all(&mut tx, id).await.map_err(store_failed)?;
        let link = self.link(&mut tx, ctx, id, Purpose::Reset).await?;
        self.commit(tx, ctx, Action::UserReset, &user.name).await?;
        Ok(link)
    }

    /// Takes every second factor of a user away, for somebody who has lost them; every session of the user ends.
    ///
    /// # Errors
    /// [`Reason::AdministratorRequired`], [`Reason::UserNotFound`], [`Reason::SecondFactorNotEnrolled`], and those of the store.
    pub async fn remove_second_factors(&self, ctx: &OpContext, id: Uuid) -> Result<()> {
        let mut tx = self.administer(ctx).await?;
        let user = accounts::find(&mut tx, id).await.map_err(store_failed)?;
        let user = user.ok_or_else(not_found)?;
        if !second_factors::remove_all(&mut tx, id).await.map_err(store_failed)? {
            return Err(Error::new(
                Reason::SecondFactorNotEnrolled,
                "the user has no second factor",
            ));
        }
        login_attempts::forget(&mut tx, id, Factor::SecondFactor)
            .await
            .map_err(store_failed)?;
        self.commit(tx, ctx, Action::SecondFactorRemove, &user.name).await
    }

    /// Unlocks an account after too many attempts.
    ///
    /// # Errors
    /// [`Reason::AdministratorRequired`], [`Reason::UserNotFound`], and those of the store.
    pub async fn unlock(&self, ctx: &OpContext, id: Uuid) -> Result<()> {
        let mut tx = self.administer(ctx).await?;
        let user = accounts::find(&mut tx, id).await.map_err(store_failed)?;
        let user = user.ok_or_else(not_found)?;
        login_attempts::forget_all(&mut tx, id).await.map_err(store_failed)?;
        self.commit(tx, ctx, Action::UserUnlock, &user.name).await
    }
}
