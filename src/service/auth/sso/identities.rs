//! Identities, seen, linked and unlinked by their owners, and by administrators.

use secrecy::SecretString;
use uuid::Uuid;

use super::SsoExchange;
use super::people::taken;
use crate::crypto::random;
use crate::domain::audit::Action;
use crate::service::auth::Auth;
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::identities::{self, IdentityRow};
use crate::store::{self, Tx, accounts, audit};

/// Identities of a user at most.
const MAX_IDENTITIES: usize = 20;

/// An identity of a user.
pub type Identity = IdentityRow;

impl Auth<'_> {
    /// The identities of the caller.
    ///
    /// # Errors
    /// [`Reason::SessionRequired`], [`Reason::SessionEnded`], and those of the store.
    pub async fn own_identities(&self, ctx: &OpContext) -> Result<Vec<Identity>> {
        let user = ctx.person()?.0.id;
        self.identities_of(ctx, user).await
    }

    /// The identities of any user, for administrators and auditors.
    ///
    /// # Errors
    /// [`Reason::RoleRequired`], [`Reason::UserNotFound`], [`Reason::SessionEnded`], and those of the store.
    pub async fn user_identities(&self, ctx: &OpContext, user: Uuid) -> Result<Vec<Identity>> {
        ctx.auditor()?;
        self.vault.users().get(ctx, user).await?;
        self.identities_of(ctx, user).await
    }

    /// Links the identity that a login at a provider came to with the caller's account. It takes the one-time code of a flow that the caller
    /// began, and the caller's own credentials anew: an identity that somebody else slipped in would be a way in for them.
    ///
    /// # Errors
    /// [`Reason::SessionRequired`], [`Reason::SsoFlowInvalid`], [`Reason::IdentityTaken`], [`Reason::LimitReached`],
    /// [`Reason::LoginFailed`] and [`Reason::ReauthenticationRequired`] if the caller does not show who they are, and those of the store.
    pub async fn link_identity(
        &self,
        ctx: &OpContext,
        exchange: SsoExchange,
        password: Option<SecretString>,
    ) -> Result<Identity> {
        let user = self.shown_again(ctx, password).await?;
        let (provider, outcome) = self.take_outcome(&exchange).await?;
        let known = identities::of_user(&self.vault.pool, user)
            .await
            .map_err(store_failed)?;
        if known.len() >= MAX_IDENTITIES {
            return Err(Error::new(
                Reason::LimitReached,
                "an account has at most 20 identities; unlink one first",
            ));
        }
        let id = random::uuid_v7(ctx.now());
        let mut tx = self.vault.begin_held(ctx).await?;
        let (subject, email) = (&outcome.profile.subject, outcome.profile.email.as_deref());
        identities::insert(&mut tx, id, user, &provider.name, subject, email)
            .await
            .map_err(taken)?;
        self.commit_identity(tx, ctx, Action::IdentityLink, &provider.name)
            .await?;
        let linked = identities::of_user(&self.vault.pool, user)
            .await
            .map_err(store_failed)?;
        let linked = linked.into_iter().find(|identity| identity.id == id);
        linked.ok_or_else(identity_not_found)
    }

    /// Unlinks an identity of the caller, and ends the sessions that came by it.
    ///
    /// # Errors
    /// [`Reason::SessionRequired`], [`Reason::IdentityNotFound`], [`Reason::LastCredential`] if nothing would be left to log in with,
    /// [`Reason::LoginFailed`] and [`Reason::ReauthenticationRequired`] if the caller does not show who they are, and those of the store.
    pub async fn unlink_own_identity(&self, ctx: &OpContext, id: Uuid, password: Option<SecretString>) -> Result<()> {
        let user = self.shown_again(ctx, password).await?;
        let mut tx = self.vault.begin_held(ctx).await?;
        let removed = identities::remove(&mut tx, user, id).await.map_err(store_failed)?;
        let provider = removed.ok_or_else(identity_not_found)?;
        if !identities::can_log_in(&mut tx, user).await.map_err(store_failed)? {
            return Err(Error::new(
                Reason::LastCredential,
                "nothing would be left to log in with; set a password or link another identity first",
            ));
        }
        self.commit_identity(tx, ctx, Action::IdentityUnlink, &provider).await
    }

    /// Unlinks an identity of any user, as an administrator, and ends the sessions that came by it.
    ///
    /// # Errors
    /// [`Reason::AdministratorRequired`], [`Reason::IdentityNotFound`], and those of the store.
    pub async fn unlink_identity(&self, ctx: &OpContext, user: Uuid, id: Uuid) -> Result<()> {
        ctx.administrator()?;
        let mut tx = self.vault.begin_held(ctx).await?;
        let removed = identities::remove(&mut tx, user, id).await.map_err(store_failed)?;
        let provider = removed.ok_or_else(identity_not_found)?;
        let account = accounts::find(&mut tx, user).await.map_err(store_failed)?;
        let name = account.map(|account| account.name).unwrap_or_default();
        let resource = format!("{name} at {provider}");
        self.commit_identity(tx, ctx, Action::IdentityUnlink, &resource).await
    }

    async fn identities_of(&self, ctx: &OpContext, user: Uuid) -> Result<Vec<Identity>> {
        let found = identities::of_user(&self.vault.pool, user)
            .await
            .map_err(store_failed)?;
        let entry = ctx.entry(Action::IdentityList, &user.to_string());
        self.vault.looked(ctx, entry).await?;
        Ok(found)
    }

    async fn commit_identity(&self, mut tx: Tx<'_>, ctx: &OpContext, action: Action, resource: &str) -> Result<()> {
        audit::insert(&mut tx, &ctx.entry(action, resource))
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)
    }
}

fn identity_not_found() -> Error {
    Error::new(
        Reason::IdentityNotFound,
        "there is no such identity; the list of identities has their ids",
    )
}
