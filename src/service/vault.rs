//! The vault: everything that use cases share, opened once per process.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::audit::AuditCommitter;
use super::audit_log::{AuditKeys, AuditLog, AuditSettings, AuditState};
use super::auth::{
    Auth, KeyUse, KnownSession, PasswordPool, PasswordSettings, SecondFactorSettings, SessionSettings, SsoSettings,
    TokenSettings, Tokens, VerifiedKey, WorkloadSettings, Workloads,
};
use super::authority::Authority;
use super::cache::RecordCache;
use super::context::Clock;
use super::error::{Error, Reason, Result};
use super::failure::store_failed;
use super::feed::{Feed, STALE_AFTER_SECONDS};
use super::jobs;
use super::keys::Lineages;
use super::metrics::Metrics;
use super::noise::NoiseCounter;
use super::policies::Policies;
use super::records::Records;
use super::roots::Roots;
use super::sealing::SealingKeys;
use super::system::{LiveConfig, System};
use super::users::Users;
use crate::crypto::keyring::Keyring;
use crate::crypto::passkey::{PasskeySettings, RelyingParty};
use crate::crypto::random;
use crate::crypto::token::TokenHash;
use crate::store::{Pool, audit, migrate, pool};

/// Sessions, and API keys, whose actor is kept at hand.
const CACHED_ACTORS: u64 = 20_000;
/// Namespaces whose binding is kept at hand.
const CACHED_BINDINGS: u64 = 20_000;

/// What a vault is opened with.
pub struct VaultConfig {
    /// The serving role's connections.
    pub pool: Pool,
    /// The DSN to listen on; it must not lead through a pooler.
    pub listen_dsn: String,
    /// The root keys.
    pub keyring: Keyring,
    /// What tokens say of themselves.
    pub tokens: TokenSettings,
    /// How passwords are hashed.
    pub passwords: PasswordSettings,
    /// How long sessions of people last.
    pub sessions: SessionSettings,
    /// Who needs a second factor.
    pub second_factor: SecondFactorSettings,
    /// Whom passkeys are for; without it there are none.
    pub passkeys: Option<PasskeySettings>,
    /// For how long an API key may be made.
    pub api_key_max_ttl: Duration,
    /// How workloads log in.
    pub workloads: WorkloadSettings,
    /// How long a deleted record, or a version whose time has come, can be brought back.
    pub deleted_retention: Duration,
    /// How people log in by single sign-on.
    pub sso: SsoSettings,
    /// Bytes of ciphertext kept at hand.
    pub cache_bytes: u64,
    /// How the audit log is kept.
    pub audit: AuditSettings,
    /// Where metrics are registered.
    pub metrics: Metrics,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// The vault.
pub struct Vault {
    pub(super) pool: Pool,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Metrics,
    pub(super) keys: Lineages,
    pub(super) authority: Authority,
    pub(super) cache: RecordCache,
    pub(super) actors: Cache<Uuid, Arc<KnownSession>>,
    pub(super) api_keys: Cache<TokenHash, Arc<VerifiedKey>>,
    pub(super) api_key_max_ttl: Duration,
    pub(super) key_use: KeyUse,
    pub(super) workloads: Workloads,
    pub(super) deleted_retention: Duration,
    pub(super) sso: SsoSettings,
    pub(super) bindings: Cache<String, Arc<str>>,
    pub(super) audit: AuditCommitter,
    pub(super) feed: Feed,
    pub(super) tokens: Tokens,
    pub(super) sealing: SealingKeys,
    pub(super) passwords: PasswordPool,
    pub(super) passkeys: Option<RelyingParty>,
    pub(super) sessions: SessionSettings,
    pub(super) second_factor: SecondFactorSettings,
    pub(super) audit_keys: AuditKeys,
    pub(super) audit_state: AuditState,
    /// What tells this process from any other of the vault.
    pub(super) process_id: Uuid,
    pub(super) started_at: Timestamp,
    pub(super) config: LiveConfig,
    pub(super) noise: NoiseCounter,
    listen_dsn: String,
}

/// One thing that the vault needs, and whether it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// What is wrong, for the operator; absent if nothing is.
    pub problem: Option<String>,
}

impl Vault {
    /// Opens the vault: the schema must be there, commits must be durable, and the root key must be the right one.
    ///
    /// # Errors
    /// [`Reason::StoreUnavailable`], or [`Reason::KeyUnavailable`] with what to do.
    pub async fn open(config: VaultConfig) -> Result<Arc<Self>> {
        let VaultConfig {
            pool,
            listen_dsn,
            keyring,
            tokens,
            passwords,
            passkeys,
            sessions,
            second_factor,
            api_key_max_ttl,
            workloads,
            deleted_retention,
            sso,
            cache_bytes,
            audit: audit_settings,
            metrics,
            clock,
        } = config;
        check_server(&pool).await?;
        audit::make_partitions(&pool, 1).await.map_err(store_failed)?;
        let keys = Lineages::open(pool.clone(), keyring, metrics.clone()).await?;
        let authority = Authority::load(pool.clone(), metrics.clone()).await?;
        let config = LiveConfig::load(&pool).await?;
        let audit_keys = AuditKeys::open(&pool, &keys, clock.now()).await?;
        let tokens = Tokens::open(&pool, &keys, tokens, clock.now()).await?;
        let sealing = SealingKeys::open(&pool, &keys, clock.now()).await?;
        Ok(Arc::new(Self {
            keys,
            audit_keys,
            audit_state: AuditState::new(audit_settings),
            process_id: random::uuid_v7(clock.now()),
            started_at: clock.now(),
            config,
            noise: NoiseCounter::default(),
            authority,
            cache: RecordCache::new(cache_bytes, metrics.clone()),
            actors: Cache::new(CACHED_ACTORS),
            api_keys: Cache::new(CACHED_ACTORS),
            api_key_max_ttl,
            key_use: KeyUse::new(),
            workloads: Workloads::new(workloads),
            deleted_retention,
            sso,
            bindings: Cache::new(CACHED_BINDINGS),
            audit: AuditCommitter::new(),
            feed: Feed::new(),
            tokens,
            sealing,
            passwords: PasswordPool::new(&passwords, metrics.clone())?,
            passkeys: passkeys.map(RelyingParty::new),
            sessions,
            second_factor,
            listen_dsn,
            pool,
            clock,
            metrics,
        }))
    }

    /// Starts the tasks that every process needs. Each ends when `shutdown` is cancelled, except the audit committer, which serves
    /// requests that are still draining and ends with the process.
    pub fn run_background(self: &Arc<Self>, tasks: &mut JoinSet<&'static str>, shutdown: &CancellationToken) {
        let (vault, token) = (Arc::clone(self), shutdown.clone());
        tasks.spawn(async move {
            vault.follow_feed(token).await;
            "change feed"
        });
        let (vault, token) = (Arc::clone(self), shutdown.clone());
        tasks.spawn(async move {
            vault.notify_others(token).await;
            "change notifier"
        });
        let (vault, token) = (Arc::clone(self), shutdown.clone());
        tasks.spawn(async move {
            vault.listen(&vault.listen_dsn, token).await;
            "change listener"
        });
        let (vault, token) = (Arc::clone(self), shutdown.clone());
        tasks.spawn(async move {
            vault.keep_house(token).await;
            "upkeep"
        });
        for sink in &self.audit_state.settings.sinks {
            let (vault, token, sink) = (Arc::clone(self), shutdown.clone(), Arc::clone(sink));
            tasks.spawn(async move {
                vault.feed_sink(&*sink, token).await;
                "audit sink"
            });
        }
        let (vault, token) = (Arc::clone(self), shutdown.clone());
        tasks.spawn(async move {
            vault.tell_noise(token).await;
            "audit noise"
        });
        for job in jobs::all(self.audit_state.settings.verify_every) {
            let (vault, token) = (Arc::clone(self), shutdown.clone());
            tasks.spawn(async move {
                vault.run_job(&job, token).await;
                job.name
            });
        }
        let vault = Arc::clone(self);
        tasks.spawn(async move {
            vault.key_use.run(&vault.pool).await;
            "use of API keys"
        });
        let vault = Arc::clone(self);
        tasks.spawn(async move {
            vault.audit.run(vault.pool.clone(), vault.metrics.clone()).await;
            "audit committer"
        });
    }

    /// Use cases on records.
    #[must_use]
    pub fn records(&self) -> Records<'_> {
        Records::new(self)
    }

    /// Use cases on roots: quotas, shredding, and what prefixes ask of records.
    #[must_use]
    pub fn roots(&self) -> Roots<'_> {
        Roots::new(self)
    }

    /// Use cases on policies.
    #[must_use]
    pub fn policies(&self) -> Policies<'_> {
        Policies::new(self)
    }

    /// Use cases on users.
    #[must_use]
    pub fn users(&self) -> Users<'_> {
        Users::new(self)
    }

    /// Use cases on the installation.
    #[must_use]
    pub fn system(&self) -> System<'_> {
        System::new(self)
    }

    /// Use cases on the audit log.
    #[must_use]
    pub fn audit_log(&self) -> AuditLog<'_> {
        AuditLog::new(self)
    }

    /// Use cases on identity.
    #[must_use]
    pub fn auth(&self) -> Auth<'_> {
        Auth::new(self)
    }

    /// The clock that the vault goes by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Looks at everything that serving depends on.
    pub async fn readiness(&self) -> Vec<Check> {
        let database = pool::ping(&self.pool)
            .await
            .err()
            .map(|_| "the database does not answer".to_owned());
        let age = self.clock.now().as_second().saturating_sub(self.feed.last_pass());
        let feed = (age > STALE_AFTER_SECONDS).then(|| "the change feed was not read for a while".to_owned());
        let partitions =
            (self.metrics.audit_partition_days.get() < 1).then(|| "no audit partition for today".to_owned());
        vec![
            Check {
                name: "database",
                problem: database,
            },
            Check {
                name: "change_feed",
                problem: feed,
            },
            Check {
                name: "audit_partitions",
                problem: partitions,
            },
        ]
    }
}

/// Refuses a server on which an acknowledged write could be lost, or a schema that this binary cannot serve.
async fn check_server(pool: &Pool) -> Result<()> {
    let facts = pool::server_facts(pool).await.map_err(store_failed)?;
    let refuse = |message: &str| Err(Error::new(Reason::StoreUnavailable, message));
    if facts.version_number < 150_000 {
        return refuse("Postgres 15 or newer is needed");
    }
    if !facts.fsync || !facts.synchronous_commit {
        return refuse(
            "Postgres runs with fsync or synchronous_commit off: acknowledged writes could be lost; turn both on",
        );
    }
    if !migrate::state(pool).await.map_err(store_failed)?.is_usable() {
        return refuse(
            "the database schema is older than this program; run 'aether-vault migrate' with the owner's DSN",
        );
    }
    if facts.may_rewrite_audit {
        tracing::warn!(
            "the serving role may change audit entries; give the process a role of its own (database.url) beside the owner"
        );
    }
    Ok(())
}
