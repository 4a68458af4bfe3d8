//! From a token to an [`OpContext`], and the end of a session.

use std::sync::Arc;

use uuid::Uuid;

use super::login::{origin_of, user_actor};
use super::{Auth, RequestInfo};
use crate::domain::actor::{Actor, GroupName, Role, UserIdentity};
use crate::domain::audit::Action;
use crate::service::context::{Credential, Door, OpContext, SessionCredential, SessionState};
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::sessions::{self, SessionRow};
use crate::store::{self, audit};

/// What a workload's session stands for beside the workload: it has no second factor, so it is as it began.
const WORKLOAD_STATE: SessionState = SessionState {
    revision: 1,
    second_factor_at: None,
};

/// A session that was looked up, and what it stood for then.
pub(in crate::service) struct KnownSession {
    actor: Actor,
    state: SessionState,
}

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
        let claims = self.claims_of(token, now).await?;
        let known = match self.vault.actors.get(&claims.sid) {
            Some(known) => known,
            None => self.load_session(claims.sid, claims.sub).await?,
        };
        Ok(OpContext {
            actor: known.actor.clone(),
            door: Door::Rest,
            now,
            request_id: info.request_id,
            origin: origin_of(&info),
            credential: Credential::Session(SessionCredential::new(claims.sid, known.state)),
        })
    }

    /// Whether the session or the key behind a context still holds; asked of the database. What a session stands for by now is noted in the
    /// context, so that what was not confirmed can be decided anew.
    ///
    /// # Errors
    /// [`Reason::SessionEnded`], [`Reason::ApiKeyEnded`], [`Reason::Busy`] if it stands for something else by now, and those of the store.
    pub(in crate::service) async fn still_in_force(&self, ctx: &OpContext) -> Result<()> {
        let session = match &ctx.credential {
            Credential::Session(session) => session,
            Credential::ApiKey { id, revision, hash } => return self.key_still_in_force(*id, *revision, *hash).await,
            Credential::Own => return Ok(()),
        };
        if let Actor::ServiceAccount { .. } = ctx.actor() {
            if self.load_workload(session.id).await?.is_some() {
                return Ok(());
            }
            self.vault.actors.invalidate(&session.id);
            return Err(ended());
        }
        let found = sessions::find(&self.vault.pool, session.id)
            .await
            .map_err(store_failed)?;
        let Some(row) = found.filter(|row| row.live) else {
            self.vault.actors.invalidate(&session.id);
            return Err(ended());
        };
        let state = state_of(&row);
        if state != session.state() {
            self.vault.actors.invalidate(&session.id);
            session.update(state);
        }
        Ok(())
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

    async fn load_session(&self, session: Uuid, user: Uuid) -> Result<Arc<KnownSession>> {
        // A workload has no account: its session stands for itself, and never changes.
        if user == session {
            let actor = self.load_workload(session).await?.ok_or_else(ended)?;
            return Ok(self.remember(session, actor, WORKLOAD_STATE));
        }
        let row = sessions::find(&self.vault.pool, session).await.map_err(store_failed)?;
        // The token's subject and the session's user are the same, or one of them is not ours.
        let row = row.filter(|row| row.live && row.user_id == user).ok_or_else(ended)?;
        let groups = self.groups_of(row.user_id).await?;
        let actor = user_actor(row.user_id, &row.user_name, &row.role, row.name_since, groups)?;
        Ok(self.remember(session, actor, state_of(&row)))
    }

    fn remember(&self, session: Uuid, actor: Actor, state: SessionState) -> Arc<KnownSession> {
        let known = Arc::new(KnownSession { actor, state });
        self.vault.actors.insert(session, Arc::clone(&known));
        known
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

fn state_of(row: &SessionRow) -> SessionState {
    SessionState {
        revision: row.revision,
        second_factor_at: row.second_factor_at,
    }
}

pub(super) fn ended() -> Error {
    Error::new(Reason::SessionEnded, "the session has ended; log in again")
}
