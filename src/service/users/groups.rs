//! Groups of users: policies name them. Whoever joins, leaves, or is in one that gets another name begins anew (R7): the database ends
//! their sessions in the same commit, and raises the revision of their API keys.

use uuid::Uuid;

use super::{Users, invalid};
use crate::crypto::random;
use crate::domain::account::parse_name;
use crate::domain::audit::Action;
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::groups::{self, GroupRow, MemberRow};
use crate::store::{self, StoreError};

/// A group as administrators see it.
pub type Group = GroupRow;

/// A member of a group.
pub type Member = MemberRow;

/// Some of a list, in the order of names.
pub struct NamedPage<T> {
    /// What there is.
    pub items: Vec<T>,
    /// The name after which the next page begins, if there is one.
    pub next: Option<String>,
}

impl Users<'_> {
    /// Groups after a name, at most `limit`.
    ///
    /// # Errors
    /// [`Reason::RoleRequired`], [`Reason::SessionEnded`], and those of the store.
    pub async fn groups(&self, ctx: &OpContext, after: Option<&str>, limit: u32) -> Result<NamedPage<Group>> {
        ctx.auditor()?;
        let items = groups::list(&self.vault.pool, after.unwrap_or_default(), i64::from(limit) + 1)
            .await
            .map_err(store_failed)?;
        self.vault.looked(ctx, ctx.entry(Action::GroupList, "groups")).await?;
        Ok(page(items, limit, |group| &group.name))
    }

    /// One group.
    ///
    /// # Errors
    /// [`Reason::RoleRequired`], [`Reason::GroupNotFound`], [`Reason::SessionEnded`], and those of the store.
    pub async fn group(&self, ctx: &OpContext, id: Uuid) -> Result<Group> {
        ctx.auditor()?;
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let group = groups::find(&mut tx, id).await.map_err(store_failed)?;
        drop(tx);
        self.vault
            .looked(ctx, ctx.entry(Action::GroupRead, &id.to_string()))
            .await?;
        group.ok_or_else(not_found)
    }

    /// Makes a group without members.
    ///
    /// # Errors
    /// [`Reason::AdministratorRequired`], [`Reason::InvalidRequest`], [`Reason::GroupExists`], and those of the store.
    pub async fn create_group(&self, ctx: &OpContext, name: &str) -> Result<Group> {
        let name = parse_name(name).map_err(invalid)?;
        let id = random::uuid_v7(ctx.now());
        let mut tx = self.administer(ctx).await?;
        groups::insert(&mut tx, id, &name).await.map_err(taken)?;
        let group = groups::find(&mut tx, id).await.map_err(store_failed)?;
        self.commit(tx, ctx, Action::GroupCreate, &name).await?;
        group.ok_or_else(not_found)
    }

    /// Gives a group another name. Policies go by names: those that name the old one do not mean this group any more, nor a later one
    /// that bears it (R40); its members' sessions end.
    ///
    /// # Errors
    /// [`Reason::AdministratorRequired`], [`Reason::InvalidRequest`], [`Reason::GroupNotFound`], [`Reason::GroupExists`], and those of
    /// the store.
    pub async fn rename_group(&self, ctx: &OpContext, id: Uuid, name: &str) -> Result<Group> {
        let name = parse_name(name).map_err(invalid)?;
        let mut tx = self.administer(ctx).await?;
        if !groups::rename(&mut tx, id, &name).await.map_err(taken)? {
            return Err(not_found());
        }
        let group = groups::find(&mut tx, id).await.map_err(store_failed)?;
        self.commit(tx, ctx, Action::GroupRename, &name).await?;
        group.ok_or_else(not_found)
    }

    /// Removes a group. What policies granted it ends, also for a group that is made under the same name later (R40).
    ///
    /// # Errors
    /// [`Reason::AdministratorRequired`], [`Reason::GroupNotFound`], and those of the store.
    pub async fn remove_group(&self, ctx: &OpContext, id: Uuid) -> Result<()> {
        let mut tx = self.administer(ctx).await?;
        let name = groups::remove(&mut tx, id).await.map_err(store_failed)?;
        let name = name.ok_or_else(not_found)?;
        self.commit(tx, ctx, Action::GroupRemove, &name).await
    }

    /// Members of a group after a name, at most `limit`.
    ///
    /// # Errors
    /// [`Reason::RoleRequired`], [`Reason::GroupNotFound`], [`Reason::SessionEnded`], and those of the store.
    pub async fn members(
        &self,
        ctx: &OpContext,
        id: Uuid,
        after: Option<&str>,
        limit: u32,
    ) -> Result<NamedPage<Member>> {
        ctx.auditor()?;
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let group = groups::find(&mut tx, id).await.map_err(store_failed)?;
        let items = groups::members(&mut tx, id, after.unwrap_or_default(), i64::from(limit) + 1)
            .await
            .map_err(store_failed)?;
        drop(tx);
        self.vault
            .looked(ctx, ctx.entry(Action::GroupRead, &id.to_string()))
            .await?;
        group.ok_or_else(not_found)?;
        Ok(page(items, limit, |member| &member.name))
    }

    /// Makes a user a member; nothing happens if it is one.
    ///
    /// # Errors
    /// [`Reason::AdministratorRequired`], [`Reason::GroupNotFound`], [`Reason::UserNotFound`], and those of the store.
    pub async fn add_member(&self, ctx: &OpContext, id: Uuid, user: Uuid) -> Result<()> {
        let mut tx = self.administer(ctx).await?;
        groups::add_member(&mut tx, id, user).await.map_err(absent)?;
        self.commit(tx, ctx, Action::GroupMemberAdd, &format!("{id}/{user}"))
            .await
    }

    /// Ends the membership that an administrator made.
    ///
    /// # Errors
    /// [`Reason::AdministratorRequired`], [`Reason::MemberNotFound`], and those of the store.
    pub async fn remove_member(&self, ctx: &OpContext, id: Uuid, user: Uuid) -> Result<()> {
        let mut tx = self.administer(ctx).await?;
        if !groups::remove_member(&mut tx, id, user).await.map_err(store_failed)? {
            return Err(Error::new(
                Reason::MemberNotFound,
                "no administrator made this user a member of this group; memberships that come by single sign-on end at the provider",
            ));
        }
        self.commit(tx, ctx, Action::GroupMemberRemove, &format!("{id}/{user}"))
            .await
    }
}

fn page<T>(mut items: Vec<T>, limit: u32, name: impl Fn(&T) -> &String) -> NamedPage<T> {
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| more).map(|item| name(item).clone());
    NamedPage { items, next }
}

fn not_found() -> Error {
    Error::new(
        Reason::GroupNotFound,
        "there is no such group; the list of groups has their ids",
    )
}

fn taken(error: StoreError) -> Error {
    if error.is_constraint("groups_name_key") {
        return Error::new(Reason::GroupExists, "there is a group of this name; choose another");
    }
    store_failed(error)
}

/// Names the end of a membership that is not there.
fn absent(error: StoreError) -> Error {
    if error.is_constraint("group_members_group_id_fkey") {
        return not_found();
    }
    if error.is_constraint("group_members_user_id_fkey") {
        return super::not_found();
    }
    store_failed(error)
}
