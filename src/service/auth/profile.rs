//! The caller's own account.

use uuid::Uuid;

use super::Auth;
use crate::domain::account::{parse_display_name, parse_email};
use crate::domain::audit::Action;
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::profiles::{self, ProfileRow};
use crate::store::{self, StoreError, audit};

/// The caller, as shown to themselves.
pub type Me = ProfileRow;

/// What people may set of their own accounts; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct ProfileChange {
    /// The e-mail address, or none.
    pub email: Option<Option<String>>,
    /// What the user is called, or nothing.
    pub display_name: Option<Option<String>>,
}

impl Auth<'_> {
    /// The caller's account; for an API key its owner's.
    ///
    /// # Errors
    /// [`Reason::SessionEnded`], [`Reason::SessionRequired`] for a workload, and those of the store.
    pub async fn me(&self, ctx: &OpContext) -> Result<Me> {
        self.still_in_force(ctx).await?;
        let Some(user) = ctx.actor().user() else {
            return Err(Error::new(
                Reason::SessionRequired,
                "a workload has no account; its service account is what policies name",
            ));
        };
        self.profile(user.id).await
    }

    /// Sets what the caller is called, and the address.
    ///
    /// # Errors
    /// [`Reason::SessionRequired`], [`Reason::InvalidRequest`], [`Reason::UserExists`] if the address is another user's, and those of
    /// the store.
    pub async fn change_me(&self, ctx: &OpContext, change: ProfileChange) -> Result<Me> {
        let (person, _) = ctx.person()?;
        let parse = |text: Option<Option<String>>, parse: fn(&str) -> std::result::Result<String, &'static str>| {
            text.map(|text| text.as_deref().map(parse).transpose())
                .transpose()
                .map_err(|message| Error::new(Reason::InvalidRequest, message))
        };
        let email = parse(change.email, parse_email)?;
        let display_name = parse(change.display_name, parse_display_name)?;
        let mut tx = self.vault.begin_held(ctx).await?;
        let (email, display_name) = (
            email.as_ref().map(Option::as_deref),
            display_name.as_ref().map(Option::as_deref),
        );
        profiles::change(&mut tx, person.id, email, display_name)
            .await
            .map_err(taken)?;
        audit::insert(&mut tx, &ctx.entry(Action::ProfileChange, &person.name))
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        self.profile(person.id).await
    }

    async fn profile(&self, id: Uuid) -> Result<Me> {
        let found = profiles::find(&self.vault.pool, id).await.map_err(store_failed)?;
        found.ok_or_else(|| Error::new(Reason::SessionEnded, "the account is gone"))
    }
}

fn taken(error: StoreError) -> Error {
    if error.is_constraint("users_email_key") {
        return Error::new(Reason::UserExists, "another user has this e-mail address");
    }
    store_failed(error)
}
