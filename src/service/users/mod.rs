//! Users, administered: who there is, what they may be, how they get in. Everything here is by role, never by policy.

mod change;
mod create;
mod groups;
mod passwords;

use jiff::Timestamp;
use secrecy::SecretString;
use uuid::Uuid;

pub use change::UserChange;
pub use create::NewUser;
pub use groups::{Group, Member, NamedPage};

use super::Vault;
use super::context::OpContext;
use super::error::{Error, Reason, Result};
use super::failure::store_failed;
use crate::domain::audit::Action;
use crate::store::accounts::{self, AccountRow};
use crate::store::{self, StoreError, Tx, audit};

/// What tokens of invitations and resets begin with.
pub(super) const ONE_TIME_PREFIX: &str = "avo";

/// Use cases on users.
pub struct Users<'v> {
    vault: &'v Vault,
}

/// A user as administrators see it.
pub type User = AccountRow;

/// A link for one use, by which a person sets a password.
pub struct OneTimeLink {
    /// What the link carries; shown once.
    pub token: SecretString,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Some users, in the order of names.
pub struct UserPage {
    /// The users.
    pub items: Vec<User>,
    /// The name after which the next page begins, if there is one.
    pub next: Option<String>,
}

impl<'v> Users<'v> {
    pub(super) fn new(vault: &'v Vault) -> Self {
        Self { vault }
    }

    /// Users after a name, at most `limit`.
    ///
    /// # Errors
    /// [`Reason::RoleRequired`], [`Reason::SessionEnded`], and those of the store.
    pub async fn list(&self, ctx: &OpContext, after: Option<&str>, limit: u32) -> Result<UserPage> {
        ctx.auditor()?;
        let mut items = accounts::list(&self.vault.pool, after.unwrap_or_default(), i64::from(limit) + 1)
            .await
            .map_err(store_failed)?;
        self.vault.looked(ctx, ctx.entry(Action::UserList, "users")).await?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|user| user.name.clone());
        Ok(UserPage { items, next })
    }

    /// One user.
    ///
    /// # Errors
    /// [`Reason::RoleRequired`], [`Reason::UserNotFound`], [`Reason::SessionEnded`], and those of the store.
    pub async fn get(&self, ctx: &OpContext, id: Uuid) -> Result<User> {
        ctx.auditor()?;
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let user = accounts::find(&mut tx, id).await.map_err(store_failed)?;
        drop(tx);
        self.vault
            .looked(ctx, ctx.entry(Action::UserRead, &id.to_string()))
            .await?;
        user.ok_or_else(not_found)
    }

    /// A transaction for administrators.
    async fn administer(&self, ctx: &OpContext) -> Result<Tx<'static>> {
        ctx.administrator()?;
        self.vault.begin_held(ctx).await
    }

    /// Ends a change: the entry and the change are one commit.
    async fn commit(&self, mut tx: Tx<'_>, ctx: &OpContext, action: Action, resource: &str) -> Result<()> {
        audit::insert(&mut tx, &ctx.entry(action, resource))
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)
    }

    /// Refuses what would leave nobody who can administer.
    async fn keep_an_administrator(&self, tx: &mut Tx<'_>) -> Result<()> {
        if accounts::administrators_left(tx).await.map_err(store_failed)? {
            return Ok(());
        }
        Err(Error::new(
            Reason::LastAdministrator,
            "this is the last administrator who can log in; make another one first",
        ))
    }
}

fn not_found() -> Error {
    Error::new(
        Reason::UserNotFound,
        "there is no such user; the list of users has their ids",
    )
}

fn invalid(message: &str) -> Error {
    Error::new(Reason::InvalidRequest, message)
}

/// Names the constraint that a user's name or address met.
fn taken(error: StoreError) -> Error {
    let constraint = match &error {
        StoreError::Constraint { name, .. } => name.as_str(),
        _ => "",
    };
    match constraint {
        "users_name_key" => Error::new(
            Reason::UserExists,
            "there is a user of this name, perhaps a deleted one; restore it, remove it for good, or choose another name",
        ),
        "users_email_key" => Error::new(Reason::UserExists, "another user has this e-mail address"),
        _ => store_failed(error),
    }
}
