//! From a token to an [`OpContext`], and the end of a session.

use uuid::Uuid;

use super::login::{origin_of, user_actor};
use super::{Auth, RequestInfo};
use crate::domain::actor::{Actor, GroupName, Role};
use crate::domain::audit::Action;
use crate::service::context::{Credential, Door, OpContext};
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::{self, audit, sessions};

/// The caller, as shown to themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Me {
    /// The user's id.
    pub id: Uuid,
    /// The canonical name.
    pub name: String,
    /// The role.
    pub role: Role,
}

impl Auth<'_> {
    /// Verifies an access token and makes the context of its bearer. Whether the session still holds is confirmed by the commit that
    /// every operation ends in.
    ///
    /// # Errors
    /// [`Reason::TokenInvalid`], [`Reason::TokenExpired`], [`Reason::SessionEnded`], and those of the store.
    pub async fn authenticate(&self, token: &str, info: RequestInfo) -> Result<OpContext> {
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

    /// Whether the session behind a context still holds; asked of the database.
    ///
    /// # Errors
    /// [`Reason::SessionEnded`], and those of the store.
    pub(in crate::service) async fn still_in_force(&self, ctx: &OpContext) -> Result<()> {
        let Some(id) = ctx.session() else { return Ok(()) };
        match sessions::find(&self.vault.pool, id).await.map_err(store_failed)? {
            Some(session) if session.live => Ok(()),
            _ => {
                self.vault.actors.invalidate(&id);
                Err(ended())
            }
        }
    }

    /// The caller, as shown to themselves.
    ///
    /// # Errors
    /// [`Reason::SessionEnded`], and those of the store.
    pub async fn me(&self, ctx: &OpContext) -> Result<Me> {
        self.still_in_force(ctx).await?;
        match ctx.actor().user() {
            Some(user) => Ok(Me {
                id: user.id,
                name: user.name.clone(),
                role: user.role,
            }),
            None => Err(Error::internal(format!(
                "a {} came through the REST door",
                ctx.actor().kind()
            ))),
        }
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
        let row = sessions::find(&self.vault.pool, session).await.map_err(store_failed)?;
        // The token's subject and the session's user are the same, or one of them is not ours.
        let row = row.filter(|row| row.live && row.user_id == user).ok_or_else(ended)?;
        let groups = sessions::groups_of(&self.vault.pool, row.user_id)
            .await
            .map_err(store_failed)?
            .into_iter()
            .map(|(name, since)| GroupName { name, since })
            .collect();
        let actor = user_actor(row.user_id, &row.user_name, &row.role, row.name_since, groups)?;
        self.vault.actors.insert(session, actor.clone());
        Ok(actor)
    }
}

fn ended() -> Error {
    Error::new(Reason::SessionEnded, "the session has ended; log in again")
}
