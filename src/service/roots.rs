//! Administering roots: how much they may hold, the end of their keys, and what prefixes ask of the records below. By role, never by policy.

use super::Vault;
use super::context::OpContext;
use super::error::{Error, Reason, Result};
use super::failure::store_failed;
use crate::domain::audit::Action;
use crate::domain::change::ChangeKind;
use crate::domain::limits::MAX_PATH_SETTINGS;
use crate::domain::path::PathPrefix;
use crate::domain::record::Retention;
use crate::store::audit;
use crate::store::path_settings::{self, PathSettingRow};
use crate::store::quotas;
pub use crate::store::quotas::{Quota, RootUse};
use crate::store::{self, Tx, changes, policies, roots};

/// Records removed at a time after a root was shredded.
const CHUNK: i64 = 1_000;

/// Use cases on roots.
pub struct Roots<'v> {
    vault: &'v Vault,
}

/// Some roots, in the order of paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootPage {
    /// The roots.
    pub items: Vec<RootUse>,
    /// The path after which the next page begins, if there is one.
    pub next: Option<String>,
}

impl<'v> Roots<'v> {
    pub(super) fn new(vault: &'v Vault) -> Self {
        Self { vault }
    }

    /// Roots after a path, at most `limit`, with their quotas and what is used of them.
    ///
    /// # Errors
    /// [`Reason::RoleRequired`], [`Reason::SessionEnded`], and those of the store.
    pub async fn list(&self, ctx: &OpContext, after: Option<&str>, limit: u32) -> Result<RootPage> {
        ctx.auditor()?;
        let mut items = quotas::roots(&self.vault.pool, after.unwrap_or_default(), i64::from(limit) + 1)
            .await
            .map_err(store_failed)?;
        self.vault.looked(ctx, ctx.entry(Action::RootList, "roots")).await?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|root| root.path.clone());
        Ok(RootPage { items, next })
    }

    /// Sets how much a root may hold; `None` takes the bound away. What it holds already stays, also beyond it.
    ///
    /// # Errors
    /// [`Reason::AdministratorRequired`], [`Reason::PathNotFound`] for a root under which nothing was ever written,
    /// [`Reason::InvalidRequest`] for a number out of bounds, and those of the store.
    pub async fn set_quota(&self, ctx: &OpContext, root: &str, quota: Option<&Quota>) -> Result<()> {
        if let Some(quota) = quota {
            let not_negative = |n: Option<i64>| n.is_none_or(|n| n >= 0);
            let sound = not_negative(quota.records)
                && not_negative(quota.bytes)
                && quota.writes_per_second.is_none_or(|n| n >= 1);
            if !sound {
                let message =
                    "'records' and 'bytes' are from 0, 'writesPerSecond' is from 1; leave out what has no bound";
                return Err(Error::new(Reason::InvalidRequest, message));
            }
        }
        ctx.administrator()?;
        let found = roots::find(&self.vault.pool, root).await.map_err(store_failed)?;
        let found = found.filter(|root| !root.id.is_nil() && root.state != "shredded");
        let id = found.ok_or_else(no_such_root)?.id;
        let mut tx = self.administer(ctx).await?;
        match quota {
            Some(quota) => quotas::set(&mut tx, id, quota).await.map_err(store_failed)?,
            None => {
                quotas::remove(&mut tx, id).await.map_err(store_failed)?;
            }
        }
        audit::insert(&mut tx, &ctx.entry(Action::RootQuota, root))
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)
    }

    /// Shreds a root: its keys are removed for good, so that nothing sealed with them opens again, whoever has the database. Then its records
    /// are removed. Backups made before hold both until they expire.
    ///
    /// # Errors
    /// [`Reason::AdministratorRequired`], [`Reason::PathNotFound`], and those of the store.
    pub async fn shred(&self, ctx: &OpContext, root: &str) -> Result<()> {
        let mut tx = self.administer(ctx).await?;
        if roots::shred(&mut tx, root).await.map_err(store_failed)?.is_none() {
            return Err(no_such_root());
        }
        audit::insert(&mut tx, &ctx.entry(Action::RootShred, root))
            .await
            .map_err(store_failed)?;
        self.in_force(tx, ChangeKind::Root, root).await?;
        self.vault.keys.forget_roots();
        self.vault.cache.clear();
        // Its values are gone. What is left of the records is names; if this process ends here, upkeep goes on.
        while roots::purge_shredded(&self.vault.pool, CHUNK)
            .await
            .map_err(store_failed)?
            > 0
        {}
        Ok(())
    }

    /// What prefixes ask of the records below.
    ///
    /// # Errors
    /// [`Reason::RoleRequired`], [`Reason::SessionEnded`], and those of the store.
    pub async fn path_settings(&self, ctx: &OpContext) -> Result<Vec<PathSettingRow>> {
        ctx.auditor()?;
        let rows = path_settings::all(&self.vault.pool).await.map_err(store_failed)?;
        self.vault
            .looked(ctx, ctx.entry(Action::PathSettingsRead, "path-settings"))
            .await?;
        Ok(rows)
    }

    /// Sets what a prefix asks of the records below; in force in every process at the next write.
    ///
    /// # Errors
    /// [`Reason::AdministratorRequired`], [`Reason::InvalidRequest`] for a number out of bounds, [`Reason::LimitReached`], and those of the store.
    pub async fn set_path_settings(&self, ctx: &OpContext, prefix: &PathPrefix, retention: Retention) -> Result<()> {
        retention
            .check()
            .map_err(|error| Error::new(Reason::InvalidRequest, error.to_string()))?;
        let mut tx = self.administer(ctx).await?;
        let count = path_settings::set(&mut tx, prefix, retention)
            .await
            .map_err(store_failed)?;
        if usize::try_from(count).is_ok_and(|count| count > MAX_PATH_SETTINGS) {
            let message = format!("{MAX_PATH_SETTINGS} prefixes have settings of their own; remove one first");
            return Err(Error::new(Reason::LimitReached, message));
        }
        audit::insert(&mut tx, &ctx.entry(Action::PathSettingsChange, prefix.as_str()))
            .await
            .map_err(store_failed)?;
        self.in_force(tx, ChangeKind::Policy, prefix.as_str()).await
    }

    /// Ends what a prefix asks of the records below.
    ///
    /// # Errors
    /// [`Reason::AdministratorRequired`], [`Reason::PathNotFound`] if it asks nothing, and those of the store.
    pub async fn remove_path_settings(&self, ctx: &OpContext, prefix: &PathPrefix) -> Result<()> {
        let mut tx = self.administer(ctx).await?;
        if !path_settings::remove(&mut tx, prefix).await.map_err(store_failed)? {
            let message = "this prefix has no settings of its own; 'GET /api/v1/path-settings' lists those that have";
            return Err(Error::new(Reason::PathNotFound, message));
        }
        audit::insert(&mut tx, &ctx.entry(Action::PathSettingsChange, prefix.as_str()))
            .await
            .map_err(store_failed)?;
        self.in_force(tx, ChangeKind::Policy, prefix.as_str()).await
    }

    /// A transaction for administrators.
    async fn administer(&self, ctx: &OpContext) -> Result<Tx<'static>> {
        ctx.administrator()?;
        self.vault.begin_held(ctx).await
    }

    /// Commits what decisions rest on: every process decides anew.
    async fn in_force(&self, mut tx: Tx<'_>, kind: ChangeKind, subject: &str) -> Result<()> {
        changes::insert(&mut tx, kind, subject).await.map_err(store_failed)?;
        policies::raise_epoch(&mut tx).await.map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        self.vault.feed.announce();
        self.vault.authority.refresh().await?;
        Ok(())
    }
}

fn no_such_root() -> Error {
    Error::new(
        Reason::PathNotFound,
        "there is no such root, or it is shredded; 'GET /api/v1/roots' lists them",
    )
}
