//! Opening the vault: pool, root keys, and patience with a database that is not there yet.

use std::sync::Arc;

use prometheus::Registry;
use tokio_util::sync::CancellationToken;

use super::AppError;
use super::patience::patiently;
use crate::crypto::breached::BreachedList;
use crate::crypto::keyring::Keyring;
use crate::crypto::passkey::PasskeySettings;
use crate::crypto::password::Argon2Settings;
use crate::crypto::provider::FileKeyProvider;
use crate::service::audit_log::AuditSettings;
use crate::service::auth::{
    PasswordSettings, SecondFactorSettings, SessionSettings, SsoSettings, TokenSettings, WorkloadSettings,
};
use crate::service::context::SystemClock;
use crate::service::door::TokenReviewer;
use crate::service::{Metrics, Vault, VaultConfig, register_pool};
use crate::settings::{Auth, Dsn, Settings};
use crate::store::Pool;
use crate::store::pool::{PoolOptions, connect_lazy};

/// Most password checks at a time when the setting leaves it open.
const PASSWORD_CHECKS: usize = 4;

/// What a vault asks of others: nothing, in a process that logs nobody in.
#[derive(Clone, Default)]
pub(super) struct Outside {
    /// The API server that is asked about tokens of workloads.
    pub(super) reviewer: Option<Arc<dyn TokenReviewer>>,
    /// The providers of single sign-on.
    pub(super) sso: SsoSettings,
}

/// Connections by a DSN of the settings.
pub(super) fn pool(settings: &Settings, dsn: &Dsn, name: &'static str) -> Result<Pool, AppError> {
    Ok(connect_lazy(dsn.expose(), &pool_options(settings, name))?)
}

/// How connections are made.
pub(super) fn pool_options(settings: &Settings, name: &'static str) -> PoolOptions {
    let database = &settings.database;
    PoolOptions {
        max_connections: database.pool_max,
        acquire_timeout: database.acquire_timeout.get(),
        statement_timeout: database.statement_timeout.get(),
        application_name: name,
    }
}

/// The root keys of the settings.
pub(super) fn root_keys(settings: &Settings) -> Result<Arc<FileKeyProvider>, AppError> {
    let provider = FileKeyProvider::open(settings.keys.file()?);
    provider
        .map(Arc::new)
        .map_err(|error| AppError::Failed(error.to_string()))
}

/// Opens the vault once; for commands.
pub(super) async fn open_once(settings: &Settings) -> Result<Arc<Vault>, AppError> {
    open_with(settings, settings.database.runtime()?, "aether-vault command").await
}

/// Opens the vault once as the owner of its schema; for break-glass.
pub(super) async fn open_as_owner(settings: &Settings) -> Result<Arc<Vault>, AppError> {
    open_with(settings, settings.database.owner()?, "aether-vault recover").await
}

async fn open_with(settings: &Settings, dsn: &Dsn, name: &'static str) -> Result<Arc<Vault>, AppError> {
    let metrics = Metrics::register(&Registry::new()).map_err(|error| AppError::Failed(error.to_string()))?;
    let pool = pool(settings, dsn, name)?;
    Ok(Vault::open(config(
        settings,
        pool,
        root_keys(settings)?,
        metrics,
        Outside::default(),
    )?)
    .await?)
}

/// Opens the vault; waits as long as the database is not there, so that a process may start before it. `None` if the process was told
/// to stop first.
pub(super) async fn open(
    settings: &Settings,
    pool: &Pool,
    keys: &Arc<FileKeyProvider>,
    registry: &Registry,
    outside: &Outside,
    stop: &CancellationToken,
) -> Result<Option<Arc<Vault>>, AppError> {
    let metrics = Metrics::register(registry)
        .and_then(|metrics| register_pool(registry, pool.clone()).map(|()| metrics))
        .map_err(|error| AppError::Failed(error.to_string()))?;
    patiently(stop, "opening the vault", async || {
        let config = config(
            settings,
            pool.clone(),
            Arc::clone(keys),
            metrics.clone(),
            outside.clone(),
        )?;
        Ok(Vault::open(config).await)
    })
    .await
}

fn config(
    settings: &Settings,
    pool: Pool,
    keys: Arc<FileKeyProvider>,
    metrics: Metrics,
    outside: Outside,
) -> Result<VaultConfig, AppError> {
    Ok(VaultConfig {
        pool,
        listen_dsn: settings.database.listen()?.expose().to_owned(),
        keyring: Keyring::new(keys),
        tokens: TokenSettings {
            issuer: settings.auth.issuer.clone(),
            audience: settings.auth.audience.clone(),
            ttl: settings.auth.access_token_ttl.get(),
            key_age: settings.auth.signing_key_age.get(),
        },
        passwords: passwords(&settings.auth)?,
        sessions: SessionSettings {
            idle_ttl: settings.auth.session_idle_ttl.get(),
            ttl: settings.auth.session_ttl.get(),
        },
        second_factor: SecondFactorSettings {
            required_roles: settings.auth.second_factor.required_roles.clone(),
            issuer: settings.auth.second_factor.issuer.clone(),
        },
        passkeys: passkeys(&settings.auth),
        api_key_max_ttl: settings.auth.api_key_max_ttl.get(),
        workloads: WorkloadSettings {
            audience: settings.auth.kubernetes.audience.clone(),
            session_ttl: settings.auth.kubernetes.session_ttl.get(),
            default_cluster: settings.controller.cluster_prefix.clone(),
            reviewer: outside.reviewer,
        },
        deleted_retention: settings.records.deleted_retention.get(),
        sso: outside.sso,
        cache_bytes: settings.cache.max_bytes.get(),
        audit: audit(settings)?,
        metrics,
        clock: Arc::new(SystemClock),
    })
}

fn audit(settings: &Settings) -> Result<AuditSettings, AppError> {
    let audit = &settings.audit;
    Ok(AuditSettings {
        checkpoint_file: audit.checkpoint_file.clone(),
        retention_days: (audit.retention_days > 0).then_some(audit.retention_days),
        verify_every: Some(audit.verify_every.get()).filter(|every| !every.is_zero()),
        sinks: super::sinks::of(audit)?,
    })
}

fn passkeys(auth: &Auth) -> Option<PasskeySettings> {
    Some(PasskeySettings {
        rp_id: auth.passkeys.rp_id.clone()?,
        origins: auth.passkeys.origins.clone(),
        name: auth.passkeys.name.clone(),
    })
}

fn passwords(auth: &Auth) -> Result<PasswordSettings, AppError> {
    let argon2 = &auth.argon2;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let concurrency = match argon2.concurrency {
        0 => (cores / 2).clamp(1, PASSWORD_CHECKS),
        set => set as usize,
    };
    let breached = auth.password.breached_file.as_deref().map(|file| {
        BreachedList::open(file)
            .map(Arc::new)
            .map_err(|error| AppError::Failed(format!("auth.password.breached_file: {}: {error}", file.display())))
    });
    Ok(PasswordSettings {
        argon2: Argon2Settings {
            memory_kib: argon2.memory_kib,
            iterations: argon2.iterations,
            parallelism: argon2.parallelism,
        },
        concurrency,
        queue: argon2.queue as usize,
        min_chars: auth.password.min_length as usize,
        breached: breached.transpose()?,
    })
}
