//! From a token to an [`OpContext`], and the end of a session.

use uuid::Uuid;

use super::login::{origin_of, user_actor};
use super::{Auth, RequestInfo};
use crate::domain::actor::{Actor, GroupName, Role, UserIdentity};
use crate::domain::audit::Action;
use crate::service::context::{Credential, Door, OpContext};
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::{self, audit, sessions};

impl Auth<'_> {
    /// Verifies an access token, or an API key, and makes the context of its bearer. Whether the session, or the key, still holds is
    /// confirmed by the commit that every operation ends in.
    ///
    /// # Errors
    /// [`Reason::TokenInvalid`], [`Reason::TokenExpired`], [`Reason::SessionEnded`], [`Reason::ApiKeyEnded`],
    /// [`Reason::AddressNotAllowed`], and those of the store.
    pub async fn authenticate(&self, token: &str, info: RequestInfo) -> Result<OpContext> {
        if Self::is_api_key(token) {
            return self.authenticate_key(token, info).await;
        }
        let now = self.vault.clock.now();
        let claims = self.vault.tokens.verify(token, now)?;
        let actor = match self.vault.actors.get(&claims.sid) {
            Some(actor) => actor,
            None => self.load_actor(claims.sid, claims.sub).await?,
        };
        Ok(OpContext {
            actor,
            door: Door::Rest,
            now,
            request_id: info.request_id,
            origin: origin_of(&info),
            credential: Credential::Session(claims.sid),
            second_factor_at: None,
        })
    }

    /// Whether the session or the key behind a context still holds; asked of the database.
    ///
    /// # Errors
    /// [`Reason::SessionEnded`], [`Reason::ApiKeyEnded`], [`Reason::Busy`] if it stands for something else by now, and those of the store.
    pub(in crate::service) async fn still_in_force(&self, ctx: &OpContext) -> Result<()> {
        let id = match ctx.credential {
            Credential::Session(id) => id,
            Credential::ApiKey { id, revision, hash } => return self.key_still_in_force(id, revision, hash).await,
            Credential::Own => return Ok(()),
        };
        let live = match ctx.actor() {
            Actor::ServiceAccount { .. } => self.load_workload(id).await?.is_some(),
            _ => {
                let found = sessions::find(&self.vault.pool, id).await.map_err(store_failed)?;
                found.is_some_and(|session| session.live)
            }
        };
        if live {
            return Ok(());
        }
        self.vault.actors.invalidate(&id);
        Err(ended())
    }

    /// Ends the caller's session: its token is refused at the very next call, by every process.
    ///
    /// # Errors
    /// [`Reason::SessionEnded`] if it was ended before, and those of the store.
    pub async fn logout(&self, ctx: &OpContext) -> Result<()> {
        let id = ctx.session().ok_or_else(ended)?;
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        if !sessions::revoke(&mut tx, id).await.map_err(store_failed)? {
            return Err(ended());
        }
        audit::insert(&mut tx, &ctx.entry(Action::Logout, "session"))
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        self.vault.actors.invalidate(&id);
        Ok(())
    }

    async fn load_actor(&self, session: Uuid, user: Uuid) -> Result<Actor> {
        // A workload has no account: its session stands for itself.
        if user == session {
            let actor = self.load_workload(session).await?.ok_or_else(ended)?;
            self.vault.actors.insert(session, actor.clone());
            return Ok(actor);
        }
        let row = sessions::find(&self.vault.pool, session).await.map_err(store_failed)?;
        // The token's subject and the session's user are the same, or one of them is not ours.
        let row = row.filter(|row| row.live && row.user_id == user).ok_or_else(ended)?;
        let groups = self.groups_of(row.user_id).await?;
        let actor = user_actor(row.user_id, &row.user_name, &row.role, row.name_since, groups)?;
        self.vault.actors.insert(session, actor.clone());
        Ok(actor)
    }

    /// A user as policy sees them now; `None` if there is no such user.
    pub(super) async fn identity_of(&self, id: Uuid) -> Result<Option<UserIdentity>> {
        let row = sessions::bearer_of(&self.vault.pool, id).await.map_err(store_failed)?;
        let Some((name, role, name_since)) = row else {
            return Ok(None);
        };
        let role = Role::parse(&role).ok_or_else(|| Error::internal(format!("user {id} has an unknown role")))?;
        Ok(Some(UserIdentity {
            id,
            name,
            name_since,
            role,
            groups: self.groups_of(id).await?,
        }))
    }

    async fn groups_of(&self, user: Uuid) -> Result<Vec<GroupName>> {
        let groups = sessions::groups_of(&self.vault.pool, user)
            .await
            .map_err(store_failed)?;
        Ok(groups
            .into_iter()
            .map(|(name, since)| GroupName { name, since })
            .collect())
    }
}

pub(super) fn ended() -> Error {
    Error::new(Reason::SessionEnded, "the session has ended; log in again")
}
