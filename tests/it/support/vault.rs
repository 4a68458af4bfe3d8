//! A vault on a database of its own, with a clock that the test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use aether_vault::crypto::keyring::Keyring;
use aether_vault::crypto::password::Argon2Settings;
use aether_vault::crypto::provider::{FileKeyProvider, generate_file};
use aether_vault::domain::actor::Role;
use aether_vault::domain::path::RecordPath;
use aether_vault::domain::record::RecordData;
use aether_vault::service::audit_log::AuditSettings;
use aether_vault::service::auth::{
    LoginRequest, PasswordSettings, RequestInfo, SecondFactorSettings, SessionSettings, SsoSettings, TokenSettings,
    WorkloadSettings,
};
use aether_vault::service::context::{Clock, OpContext};
use aether_vault::service::door::TokenReviewer;
use aether_vault::service::error::Result;
use aether_vault::service::sinks::Sink;
use aether_vault::service::{Metrics, Vault, VaultConfig};
use aether_vault::store::pool::{PoolOptions, connect_lazy};
use jiff::{SignedDuration, Timestamp};
use prometheus::Registry;
use secrecy::{ExposeSecret as _, SecretString};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::database::TestDatabase;

/// The password that tests give the first administrator.
pub const ADMIN_PASSWORD: &str = "correct horse battery staple";

/// The system's clock, moved by as much as the test wants.
#[derive(Default)]
pub struct MovedClock(AtomicI64);

impl MovedClock {
    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_secs()).unwrap(), Ordering::SeqCst);
    }

    /// Moves the clock back.
    pub fn rewind(&self, by: Duration) {
        self.0.fetch_sub(i64::try_from(by.as_secs()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for MovedClock {
    #[expect(clippy::disallowed_methods, reason = "the test's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

/// A process's vault with its background tasks.
pub struct TestVault {
    pub vault: Arc<Vault>,
    pub clock: Arc<MovedClock>,
    pub registry: Registry,
    pub folder: Arc<TempDir>,
    shutdown: CancellationToken,
    _tasks: JoinSet<&'static str>,
}

impl TestVault {
    /// Opens the first process of a new vault.
    pub async fn open(database: &TestDatabase) -> Self {
        let folder = tempfile::tempdir().unwrap();
        generate_file(&folder.path().join("root.key")).unwrap();
        Self::open_in(database, Arc::new(folder)).await.unwrap()
    }

    /// Opens another process of the same vault.
    pub async fn replica(&self, database: &TestDatabase) -> Self {
        Self::open_in(database, Arc::clone(&self.folder)).await.unwrap()
    }

    /// Opens another process of the same vault, which asks an API server about tokens of workloads.
    pub async fn reviewing(&self, database: &TestDatabase, reviewer: Arc<dyn TokenReviewer>) -> Self {
        self.replica_with(database, |config| config.workloads.reviewer = Some(reviewer))
            .await
    }

    /// Opens another process of the same vault, with other settings.
    pub async fn replica_with(&self, database: &TestDatabase, adjust: impl FnOnce(&mut VaultConfig)) -> Self {
        Self::open_as(database, Arc::clone(&self.folder), adjust).await.unwrap()
    }

    /// Opens a process with the root key in `folder`.
    pub async fn open_in(database: &TestDatabase, folder: Arc<TempDir>) -> Result<Self> {
        Self::open_as(database, folder, |_| {}).await
    }

    /// Opens another process of the same vault, in which logins of these roles need a second factor.
    pub async fn demanding(&self, database: &TestDatabase, roles: &[Role]) -> Self {
        self.replica_with(database, |config| config.second_factor.required_roles = roles.to_vec())
            .await
    }

    /// Opens the first process of a new vault, which sends its audit log to sinks.
    pub async fn with_sinks(database: &TestDatabase, sinks: Vec<Arc<dyn Sink>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        generate_file(&folder.path().join("root.key")).unwrap();
        Self::open_as(database, Arc::new(folder), |config| config.audit.sinks = sinks)
            .await
            .unwrap()
    }

    async fn open_as(
        database: &TestDatabase,
        folder: Arc<TempDir>,
        adjust: impl FnOnce(&mut VaultConfig),
    ) -> Result<Self> {
        let registry = Registry::new();
        let clock = Arc::new(MovedClock::default());
        let provider = FileKeyProvider::open(&folder.path().join("root.key")).unwrap();
        let options = PoolOptions {
            max_connections: 10,
            acquire_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(10),
            application_name: "it-vault",
        };
        let mut config = VaultConfig {
            pool: connect_lazy(&database.runtime_dsn, &options).unwrap(),
            listen_dsn: database.runtime_dsn.clone(),
            keyring: Keyring::new(Arc::new(provider)),
            tokens: TokenSettings {
                issuer: "https://vault.test".to_owned(),
                audience: "vault".to_owned(),
                ttl: Duration::from_secs(600),
                key_age: Duration::from_secs(30 * 86_400),
            },
            passwords: PasswordSettings {
                // The cheapest that Argon2 takes: these tests count verifications, they do not resist guessing.
                argon2: Argon2Settings {
                    memory_kib: 64,
                    iterations: 1,
                    parallelism: 1,
                },
                concurrency: 2,
                queue: 100,
                min_chars: 15,
                breached: None,
            },
            sessions: SessionSettings {
                idle_ttl: Duration::from_secs(3600),
                ttl: Duration::from_secs(12 * 3600),
            },
            second_factor: SecondFactorSettings {
                required_roles: Vec::new(),
                issuer: "Vault of a test".to_owned(),
            },
            passkeys: None,
            api_key_max_ttl: Duration::from_secs(365 * 86_400),
            workloads: WorkloadSettings {
                audience: "aether-vault".to_owned(),
                session_ttl: Duration::from_secs(900),
                default_cluster: "k8s".to_owned(),
                reviewer: None,
            },
            deleted_retention: Duration::from_secs(30 * 86_400),
            sso: SsoSettings::default(),
            cache_bytes: 8 << 20,
            audit: AuditSettings::default(),
            metrics: Metrics::register(&registry).unwrap(),
            clock: clock.clone(),
        };
        adjust(&mut config);
        let vault = Vault::open(config).await?;
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        vault.run_background(&mut tasks, &shutdown);
        Ok(Self {
            vault,
            clock,
            registry,
            folder,
            shutdown,
            _tasks: tasks,
        })
    }

    /// Makes the first administrator and logs in.
    pub async fn admin(&self) -> OpContext {
        let token = self.admin_token().await;
        self.vault
            .auth()
            .authenticate(token.expose_secret(), RequestInfo::default())
            .await
            .unwrap()
    }

    /// Makes the first administrator if there is none, and answers an access token.
    pub async fn admin_token(&self) -> SecretString {
        let file = self.folder.path().join("first-admin");
        self.vault.auth().bootstrap(&file).await.unwrap();
        let mut request = LoginRequest {
            name: "admin".to_owned(),
            password: ADMIN_PASSWORD.into(),
            new_password: None,
        };
        if let Ok(one_time) = std::fs::read_to_string(&file) {
            std::fs::remove_file(&file).unwrap();
            request.password = one_time.trim().into();
            request.new_password = Some(ADMIN_PASSWORD.into());
        }
        self.vault
            .auth()
            .login(request, RequestInfo::default())
            .await
            .unwrap()
            .session()
            .unwrap()
            .token
    }

    /// The value of a counter or gauge without labels, 0 if it was never touched.
    pub fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map_or(&[][..], |family| family.get_metric());
        metrics
            .iter()
            .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
            .sum()
    }
}

impl Drop for TestVault {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A parsed path.
pub fn path(text: &str) -> RecordPath {
    RecordPath::parse(text).unwrap()
}

/// A record of text values.
pub fn record(entries: &[(&str, &str)]) -> RecordData {
    let map = entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), serde_json::json!(value)))
        .collect();
    RecordData::from_json(map, std::collections::BTreeMap::new()).unwrap()
}

/// The text of a key.
pub fn text(data: &RecordData, key: &str) -> String {
    String::from_utf8(data.get(key).unwrap().as_bytes().to_vec()).unwrap()
}
