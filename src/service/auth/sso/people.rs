//! Who somebody at a provider is here: a user whose identity it is, one who is linked by the settings, or a new one.

use jiff::Timestamp;
use uuid::Uuid;

use super::SsoProvider;
use crate::crypto::random;
use crate::domain::actor::{Actor, Role};
use crate::domain::audit::Action;
use crate::domain::sso::Profile;
use crate::service::auth::login::{login_failed, request_context};
use crate::service::auth::{Auth, RequestInfo};
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::accounts::{self, AccountChange, NewAccount};
use crate::store::identities::{self, LinkedUser};
use crate::store::{StoreError, Tx, audit, sso};

/// A user who came by a provider, as they are from now on.
pub(super) struct Arrival {
    pub(super) user: Uuid,
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) identity: Uuid,
}

impl Auth<'_> {
    /// Finds or makes the user, and renews what the provider has a say in. An account is never taken over because a name or an address is
    /// the same: only by a verified address, and only if the settings say so.
    pub(super) async fn arrive(
        &self,
        tx: &mut Tx<'_>,
        provider: &SsoProvider,
        profile: &Profile,
        info: &RequestInfo,
        now: Timestamp,
    ) -> Result<Arrival> {
        let user = match self.user_of(tx, provider, profile).await? {
            Some(user) => user,
            None if provider.just_in_time => self.make(tx, profile, info, now).await?,
            None => {
                return Err(Error::new(
                    Reason::IdentityUnknown,
                    format!(
                        "nobody is linked to this identity at '{}'; log in another way and link it, or ask an administrator for an account",
                        provider.name
                    ),
                ));
            }
        };
        // The same guard as for every login (R9), before anything of the user is changed.
        if !user.may_log_in {
            return Err(login_failed());
        }
        let identity = match user.identity_id {
            Some(identity) => identity,
            None => self.link(tx, provider, profile, &user, info, now).await?,
        };
        identities::logged_in(tx, identity, profile.email.as_deref())
            .await
            .map_err(store_failed)?;
        self.renew(tx, provider, profile, &user, now).await?;
        let held = Role::parse(&user.role).ok_or_else(|| Error::internal("a user has an unknown role"))?;
        let role = self
            .renew_role(tx, profile.role.unwrap_or(held), &user, info, now)
            .await?;
        Ok(Arrival {
            user: user.user_id,
            name: user.name,
            role,
            identity,
        })
    }

    async fn user_of(&self, tx: &mut Tx<'_>, provider: &SsoProvider, profile: &Profile) -> Result<Option<LinkedUser>> {
        let linked = identities::find_user(tx, &provider.name, &profile.subject)
            .await
            .map_err(store_failed)?;
        if linked.is_some() {
            return Ok(linked);
        }
        match profile
            .email
            .as_deref()
            .filter(|_| profile.email_verified && provider.link_verified_email)
        {
            Some(email) => identities::find_user_by_email(tx, email).await.map_err(store_failed),
            None => Ok(None),
        }
    }

    /// Makes a user out of what the provider says.
    async fn make(&self, tx: &mut Tx<'_>, profile: &Profile, info: &RequestInfo, now: Timestamp) -> Result<LinkedUser> {
        let name = profile.name.as_deref().ok_or_else(|| {
            Error::new(
                Reason::IdentityUnknown,
                "the provider gives no name that a user can have; 'claims.name' of the provider says which claim holds it",
            )
        })?;
        let id = random::uuid_v7(now);
        let account = NewAccount {
            id,
            name,
            kind: "person",
            role: Role::User.as_str(),
            // An address that is not verified may be anybody's.
            email: profile.email.as_deref().filter(|_| profile.email_verified),
            display_name: profile.display_name.as_deref(),
        };
        accounts::insert(tx, &account).await.map_err(exists)?;
        let mut entry = request_context(now, Actor::System, info).entry(Action::UserCreate, name);
        entry.actor_kind = "user";
        entry.actor_id = id.to_string();
        name.clone_into(&mut entry.actor_name);
        audit::insert(tx, &entry).await.map_err(store_failed)?;
        Ok(LinkedUser {
            identity_id: None,
            user_id: id,
            name: name.to_owned(),
            role: Role::User.as_str().to_owned(),
            may_log_in: true,
        })
    }

    /// Links an identity to a user of whom it is known.
    pub(super) async fn link(
        &self,
        tx: &mut Tx<'_>,
        provider: &SsoProvider,
        profile: &Profile,
        user: &LinkedUser,
        info: &RequestInfo,
        now: Timestamp,
    ) -> Result<Uuid> {
        let id = random::uuid_v7(now);
        let email = profile.email.as_deref();
        identities::insert(tx, id, user.user_id, &provider.name, &profile.subject, email)
            .await
            .map_err(taken)?;
        let mut entry = request_context(now, Actor::System, info).entry(Action::IdentityLink, &provider.name);
        entry.actor_kind = "user";
        entry.actor_id = user.user_id.to_string();
        entry.actor_name.clone_from(&user.name);
        audit::insert(tx, &entry).await.map_err(store_failed)?;
        Ok(id)
    }

    /// Makes the user's groups of this provider what its claims say. What changes ends the sessions that there were (R7).
    async fn renew(
        &self,
        tx: &mut Tx<'_>,
        provider: &SsoProvider,
        profile: &Profile,
        user: &LinkedUser,
        now: Timestamp,
    ) -> Result<()> {
        let ids: Vec<_> = profile.groups.iter().map(|_| random::uuid_v7(now)).collect();
        sso::renew_groups(tx, user.user_id, &provider.name, &ids, &profile.groups)
            .await
            .map_err(store_failed)
    }

    /// Gives the user the role that follows from the claims. The last administrator is not unmade by a provider: the login is refused, so
    /// that neither an installation without administrators nor rights without ground come of it.
    async fn renew_role(
        &self,
        tx: &mut Tx<'_>,
        role: Role,
        user: &LinkedUser,
        info: &RequestInfo,
        now: Timestamp,
    ) -> Result<Role> {
        if role.as_str() == user.role {
            return Ok(role);
        }
        let change = AccountChange {
            role: Some(role.as_str()),
            ..AccountChange::default()
        };
        accounts::change(tx, user.user_id, &change)
            .await
            .map_err(store_failed)?;
        let unmade = user.role == Role::Admin.as_str();
        if unmade && !accounts::administrators_left(tx).await.map_err(store_failed)? {
            return Err(Error::new(
                Reason::LastAdministrator,
                "the provider takes the role of the last administrator away; make another one first, or give it back there",
            ));
        }
        let mut entry = request_context(now, Actor::System, info).entry(Action::UserChange, &user.name);
        entry.actor_kind = "user";
        entry.actor_id = user.user_id.to_string();
        entry.actor_name.clone_from(&user.name);
        audit::insert(tx, &entry).await.map_err(store_failed)?;
        Ok(role)
    }
}

/// Somebody else has the name or the address.
fn exists(error: StoreError) -> Error {
    if !(error.is_constraint("users_name_key") || error.is_constraint("users_email_key")) {
        return store_failed(error);
    }
    Error::new(
        Reason::AccountExists,
        "there is an account with this name or address; if it is yours, log in to it another way and link the identity there",
    )
}

/// The identity is somebody else's.
pub(super) fn taken(error: StoreError) -> Error {
    if !error.is_constraint("identities_subject_key") {
        return store_failed(error);
    }
    Error::new(
        Reason::IdentityTaken,
        "this identity is linked to another user; unlink it there first",
    )
}
