//! The installation as a whole: what it is, what it does beside requests, and the settings that may change while it runs.

use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::Vault;
use super::context::OpContext;
use super::error::{Error, Reason, Result};
use super::failure::store_failed;
use super::jobs::Job;
use crate::domain::audit::{Action, Outcome};
use crate::domain::change::ChangeKind;
use crate::domain::system_config::{ConfigKey, Maintenance, RuntimeConfig};
use crate::store::{self, Pool, audit, audit_blocks, changes, jobs, migrate, pool, system_config};

/// The settings of the database, as this process knows them.
pub(super) struct LiveConfig(RwLock<Arc<RuntimeConfig>>);

impl LiveConfig {
    pub(super) async fn load(pool: &Pool) -> Result<Self> {
        Ok(Self(RwLock::new(Arc::new(load(pool).await?))))
    }

    pub(super) fn get(&self) -> Arc<RuntimeConfig> {
        // A poisoned lock holds a whole value all the same.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn load(pool: &Pool) -> Result<RuntimeConfig> {
    let rows = system_config::load(pool).await.map_err(store_failed)?;
    let (config, unread) = RuntimeConfig::of_rows(&rows);
    for key in unread {
        tracing::warn!(
            key,
            "a setting in the database is not understood, perhaps of a newer release; its default is in force"
        );
    }
    Ok(config)
}

/// What the installation is and how it stands.
#[derive(Debug, Clone)]
pub struct SystemInfo {
    /// This process.
    pub process_id: Uuid,
    /// When it opened the vault.
    pub started_at: Timestamp,
    /// Now, by its clock.
    pub now: Timestamp,
    /// Postgres's version number, such as 150018.
    pub postgres: i32,
    /// By how many seconds the database's clock is ahead of this process's.
    pub clock_ahead_seconds: f64,
    /// The newest migration that was applied.
    pub schema: i64,
    /// The epoch of the policies in force here.
    pub policy_epoch: i64,
    /// Seconds since the change feed was read.
    pub feed_age_seconds: i64,
    /// Height of the last audit block.
    pub audit_height: i64,
    /// Entries that are sealed.
    pub audit_entries: i64,
    /// Days, today included, that have an audit partition.
    pub audit_partition_days: i64,
    /// The key that signs audit blocks.
    pub audit_kid: String,
    /// Whether the vault is read-only.
    pub maintenance: Maintenance,
}

/// Use cases on the installation.
pub struct System<'v> {
    vault: &'v Vault,
}

impl<'v> System<'v> {
    pub(super) fn new(vault: &'v Vault) -> Self {
        Self { vault }
    }

    /// What the installation is and how it stands. For administrators and auditors.
    ///
    /// # Errors
    /// [`Reason::RoleRequired`], [`Reason::SessionEnded`], and those of the store.
    pub async fn info(&self, ctx: &OpContext) -> Result<SystemInfo> {
        self.look(ctx, "info").await?;
        let facts = pool::server_facts(&self.vault.pool).await.map_err(store_failed)?;
        let schema = migrate::state(&self.vault.pool).await.map_err(store_failed)?.applied;
        let tip = audit_blocks::tip(&self.vault.pool).await.map_err(store_failed)?;
        let now = self.vault.clock.now();
        let ahead = facts.clock_micros - now.as_microsecond();
        Ok(SystemInfo {
            process_id: self.vault.process_id,
            started_at: self.vault.started_at,
            now,
            postgres: facts.version_number,
            clock_ahead_seconds: std::time::Duration::from_micros(ahead.unsigned_abs())
                .as_secs_f64()
                .copysign(if ahead < 0 { -1.0 } else { 1.0 }),
            schema,
            policy_epoch: self.vault.authority.ruling().epoch,
            feed_age_seconds: now.as_second().saturating_sub(self.vault.feed.last_pass()),
            audit_height: tip.height,
            audit_entries: tip.total,
            audit_partition_days: self.vault.metrics.audit_partition_days.get(),
            audit_kid: self.vault.audit_keys.kid().to_owned(),
            maintenance: self.vault.config.get().maintenance.clone(),
        })
    }

    /// Every job: who does it, and how its last run went. For administrators and auditors.
    ///
    /// # Errors
    /// As [`System::info`].
    pub async fn jobs(&self, ctx: &OpContext) -> Result<Vec<Job>> {
        self.look(ctx, "jobs").await?;
        jobs::list(&self.vault.pool).await.map_err(store_failed)
    }

    /// The settings of the database that are in force. For administrators and auditors.
    ///
    /// # Errors
    /// As [`System::info`].
    pub async fn config(&self, ctx: &OpContext) -> Result<Vec<(ConfigKey, Value)>> {
        self.look(ctx, "config").await?;
        self.vault.reload_config().await?;
        let config = self.vault.config.get();
        Ok(ConfigKey::ALL.into_iter().map(|key| (key, config.get(key))).collect())
    }

    /// Sets a setting, or puts its default back in force; every process follows within a second. For administrators.
    ///
    /// # Errors
    /// [`Reason::AdministratorRequired`], [`Reason::InvalidRequest`] with what the value has to be, [`Reason::SessionEnded`], and those of
    /// the store.
    pub async fn set(&self, ctx: &OpContext, key: &str, value: Option<&Value>) -> Result<Value> {
        if let Err(refusal) = ctx.administrator() {
            let entry = ctx
                .entry(Action::SystemConfig, key)
                .ended(Outcome::Deny, refusal.reason().as_str());
            self.vault.audit.commit(entry, ctx.confirm()).await?;
            return Err(refusal);
        }
        let Some(known) = ConfigKey::parse(key) else {
            let names: Vec<_> = ConfigKey::ALL.into_iter().map(ConfigKey::as_str).collect();
            let message = format!(
                "there is no such setting in the database; there are: {}",
                names.join(", ")
            );
            return Err(Error::new(Reason::InvalidRequest, message));
        };
        let mut wanted = RuntimeConfig::default();
        if let Some(value) = value {
            wanted
                .set(known, value)
                .map_err(|problem| Error::new(Reason::InvalidRequest, problem))?;
        }
        let mut tx = self.vault.begin_held(ctx).await?;
        let value = wanted.get(known);
        match value.is_null() {
            false if wanted != RuntimeConfig::default() => system_config::set(&mut tx, key, &value).await,
            _ => system_config::reset(&mut tx, key).await,
        }
        .map_err(store_failed)?;
        audit::insert(&mut tx, &ctx.entry(Action::SystemConfig, key))
            .await
            .map_err(store_failed)?;
        changes::insert(&mut tx, ChangeKind::Config, key)
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        self.vault.feed.announce();
        self.vault.reload_config().await?;
        Ok(value)
    }

    async fn look(&self, ctx: &OpContext, what: &str) -> Result<()> {
        let (outcome, refusal) = match ctx.auditor() {
            Ok(()) => (ctx.entry(Action::SystemRead, what), None),
            Err(refusal) => (
                ctx.entry(Action::SystemRead, what)
                    .ended(Outcome::Deny, refusal.reason().as_str()),
                Some(refusal),
            ),
        };
        self.vault.looked(ctx, outcome).await?;
        refusal.map_or(Ok(()), Err)
    }
}

impl Vault {
    /// Whether the vault is read-only, as far as this process knows.
    #[must_use]
    pub fn maintenance(&self) -> Maintenance {
        self.config.get().maintenance.clone()
    }

    /// Refuses while the vault is read-only. For doors that do not see a method and a route.
    ///
    /// # Errors
    /// [`Reason::Maintenance`].
    pub(super) fn writable(&self) -> Result<()> {
        let config = self.config.get();
        if !config.maintenance.read_only {
            return Ok(());
        }
        let notice = &config.maintenance.notice;
        let notice = if notice.is_empty() { "maintenance" } else { notice };
        Err(Error::new(
            Reason::Maintenance,
            format!("the vault is read-only for the time being: {notice}; try again later"),
        ))
    }

    /// Brings the settings of the database up to date in this process.
    pub(super) async fn reload_config(&self) -> Result<()> {
        let fresh = load(&self.pool).await?;
        self.metrics.maintenance.set(i64::from(fresh.maintenance.read_only));
        *self.config.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        Ok(())
    }
}
