//! Sessions, looked at and ended: one's own, and for administrators anybody's and those of workloads.

use uuid::Uuid;

use super::{Auth, Owner};
use crate::domain::audit::Action;
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::{self, Tx, api_keys, audit, session_list};

/// A session as it is shown. Its tokens are not part of it.
pub type Session = crate::store::session_list::SessionInfo;

/// Some sessions of workloads, newest first.
pub struct SessionPage {
    /// The sessions.
    pub items: Vec<Session>,
    /// The id after which the next page begins, if there is one.
    pub next: Option<Uuid>,
}

impl Auth<'_> {
    /// The sessions of the caller, or of a user for administrators and auditors; newest first.
    ///
    /// # Errors
    /// [`Reason::SessionRequired`], [`Reason::RoleRequired`], [`Reason::UserNotFound`], [`Reason::SessionEnded`], and those of the store.
    pub async fn list_sessions(&self, ctx: &OpContext, owner: Owner) -> Result<Vec<Session>> {
        let user = match owner {
            Owner::Caller => ctx.person()?.0.id,
            Owner::User(id) => {
                ctx.auditor()?;
                self.known(id).await?
            }
        };
        let sessions = session_list::of_user(&self.vault.pool, user)
            .await
            .map_err(store_failed)?;
        self.vault
            .looked(ctx, ctx.entry(Action::SessionList, &user.to_string()))
            .await?;
        Ok(sessions)
    }

    /// The sessions of workloads that began before the one with this id, at most `limit`.
    ///
    /// # Errors
    /// [`Reason::RoleRequired`], [`Reason::SessionEnded`], and those of the store.
    pub async fn list_workload_sessions(
        &self,
        ctx: &OpContext,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<SessionPage> {
        ctx.auditor()?;
        let mut items = session_list::of_workloads(&self.vault.pool, after, i64::from(limit) + 1)
            .await
            .map_err(store_failed)?;
        self.vault
            .looked(ctx, ctx.entry(Action::SessionList, "workloads"))
            .await?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|session| session.id);
        Ok(SessionPage { items, next })
    }

    /// Ends a session of the caller, or of a user for administrators: its tokens are refused at the very next call, by every process.
    ///
    /// # Errors
    /// [`Reason::SessionNotFound`], [`Reason::SessionRequired`], [`Reason::AdministratorRequired`], [`Reason::UserNotFound`],
    /// [`Reason::SessionEnded`], and those of the store.
    pub async fn revoke_session(&self, ctx: &OpContext, owner: Owner, id: Uuid) -> Result<()> {
        let user = self.owner_of_sessions(ctx, owner).await?;
        let mut tx = self.vault.begin_held(ctx).await?;
        if !session_list::revoke_of_user(&mut tx, user, id)
            .await
            .map_err(store_failed)?
        {
            return Err(not_found());
        }
        self.end_sessions(tx, ctx, &id.to_string(), &[id]).await
    }

    /// Ends the session of a workload, for administrators. While the workload's own token is good it can log in again.
    ///
    /// # Errors
    /// [`Reason::SessionNotFound`], [`Reason::AdministratorRequired`], [`Reason::SessionEnded`], and those of the store.
    pub async fn revoke_workload_session(&self, ctx: &OpContext, id: Uuid) -> Result<()> {
        ctx.administrator()?;
        let mut tx = self.vault.begin_held(ctx).await?;
        if !session_list::revoke_of_workload(&mut tx, id)
            .await
            .map_err(store_failed)?
        {
            return Err(not_found());
        }
        self.end_sessions(tx, ctx, &id.to_string(), &[id]).await
    }

    /// Ends all sessions of the caller but the one that asks, or all of a user for administrators; answers how many.
    ///
    /// # Errors
    /// As [`Auth::revoke_session`], less [`Reason::SessionNotFound`].
    pub async fn revoke_sessions(&self, ctx: &OpContext, owner: Owner) -> Result<usize> {
        let user = self.owner_of_sessions(ctx, owner).await?;
        let but = match owner {
            Owner::Caller => ctx.session(),
            Owner::User(_) => None,
        };
        let mut tx = self.vault.begin_held(ctx).await?;
        let ended = session_list::revoke_all_but(&mut tx, user, but)
            .await
            .map_err(store_failed)?;
        let resource = format!("sessions of {user}");
        self.end_sessions(tx, ctx, &resource, &ended).await?;
        Ok(ended.len())
    }

    async fn owner_of_sessions(&self, ctx: &OpContext, owner: Owner) -> Result<Uuid> {
        match owner {
            Owner::Caller => Ok(ctx.person()?.0.id),
            Owner::User(id) => {
                ctx.administrator()?;
                self.known(id).await
            }
        }
    }

    async fn known(&self, user: Uuid) -> Result<Uuid> {
        match api_keys::owner_exists(&self.vault.pool, user)
            .await
            .map_err(store_failed)?
        {
            true => Ok(user),
            false => Err(Error::new(
                Reason::UserNotFound,
                "there is no such user, or it may not act: then it has no sessions",
            )),
        }
    }

    async fn end_sessions(&self, mut tx: Tx<'_>, ctx: &OpContext, resource: &str, ids: &[Uuid]) -> Result<()> {
        audit::insert(&mut tx, &ctx.entry(Action::SessionRevoke, resource))
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        for id in ids {
            self.vault.actors.invalidate(id);
        }
        Ok(())
    }
}

fn not_found() -> Error {
    Error::new(
        Reason::SessionNotFound,
        "there is no such session, or it has ended; the list of sessions has their ids",
    )
}
