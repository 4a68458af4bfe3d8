//! Typed settings, from a YAML file, then the environment, then flags; parsed and checked once, at start.
//!
//! `cli` loads them, `app` hands each part what it needs; nothing else reads the environment. `config/settings.example.yaml` shows every
//! setting with its default.

mod check;
mod dsn;
mod human;
mod layers;
mod load;
mod passkeys;
mod passwords;
mod show;
mod sso;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use dsn::{Dsn, DsnError};
pub use human::{ByteSize, HumanDuration};
pub use layers::{Origin, Overrides};
pub use load::{DEFAULT_FILE, Loaded};
pub use passkeys::Passkeys;
pub use passwords::PasswordPolicy;
pub use sso::{Sso, SsoClaims, SsoProvider, SsoRoles, SsoSecondFactor};

use crate::domain::actor::Role;
use crate::domain::limits::MAX_BODY_BYTES;

/// Why settings cannot be used. Each problem names a setting, where it was set and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct SettingsError(Vec<String>);

impl SettingsError {
    /// One problem.
    #[must_use]
    pub fn new(problem: impl Into<String>) -> Self {
        Self(vec![problem.into()])
    }
}

/// All settings.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Postgres.
    pub database: Database,
    /// Root keys.
    pub keys: Keys,
    /// The API's listener.
    pub http: Http,
    /// The listener of the API's metrics.
    pub metrics: Metrics,
    /// Log-in and tokens.
    pub auth: Auth,
    /// The first administrator.
    pub bootstrap: Bootstrap,
    /// The cache of ciphertext.
    pub cache: Cache,
    /// The audit log.
    pub audit: Audit,
    /// Records.
    pub records: Records,
    /// The Kubernetes controller.
    pub controller: Controller,
    /// The log.
    pub log: Log,
}

/// Postgres. Each URL may stand in a file of its own, as Kubernetes mounts it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// The runtime role's URL: serves, and cannot change audit entries.
    pub url: Option<Dsn>,
    /// A file that holds it.
    pub url_file: Option<PathBuf>,
    /// The owner role's URL, which `migrate` uses; `url` if absent.
    pub owner_url: Option<Dsn>,
    /// A file that holds it.
    pub owner_url_file: Option<PathBuf>,
    /// A URL for LISTEN that passes no connection pooler; `url` if absent.
    pub listen_url: Option<Dsn>,
    /// A file that holds it.
    pub listen_url_file: Option<PathBuf>,
    /// Most connections of this process: 2 to 100.
    pub pool_max: u32,
    /// How long a request waits for a connection.
    pub acquire_timeout: HumanDuration,
    /// What Postgres lets a statement take.
    pub statement_timeout: HumanDuration,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            owner_url: None,
            owner_url_file: None,
            listen_url: None,
            listen_url_file: None,
            pool_max: 10,
            acquire_timeout: HumanDuration::from_secs(5),
            statement_timeout: HumanDuration::from_secs(15),
        }
    }
}

impl Database {
    /// The runtime role's URL.
    ///
    /// # Errors
    /// [`SettingsError`] if there is none.
    pub fn runtime(&self) -> Result<&Dsn, SettingsError> {
        self.url.as_ref().ok_or_else(|| {
            SettingsError::new(
                "database.url is not set: give the runtime role's URL in AETHER_VAULT__DATABASE__URL, or a file that holds it in database.url_file",
            )
        })
    }

    /// The owner role's URL, or the runtime role's if there is but one role.
    ///
    /// # Errors
    /// [`SettingsError`] if there is neither.
    pub fn owner(&self) -> Result<&Dsn, SettingsError> {
        match &self.owner_url {
            Some(url) => Ok(url),
            None => self.runtime(),
        }
    }

    /// The URL for LISTEN.
    ///
    /// # Errors
    /// [`SettingsError`] if there is neither one of its own nor the runtime role's.
    pub fn listen(&self) -> Result<&Dsn, SettingsError> {
        match &self.listen_url {
            Some(url) => Ok(url),
            None => self.runtime(),
        }
    }
}

/// Root keys.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// The root key file, made by `aether-vault keys init`.
    pub file: Option<PathBuf>,
}

impl Keys {
    /// The root key file.
    ///
    /// # Errors
    /// [`SettingsError`] if it is not set.
    pub fn file(&self) -> Result<&PathBuf, SettingsError> {
        self.file.as_ref().ok_or_else(|| {
            SettingsError::new(
                "keys.file is not set: make a root key with 'aether-vault keys init --file FILE' and name the file in AETHER_VAULT__KEYS__FILE",
            )
        })
    }
}

/// The API's listener.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address and port of the API.
    pub listen: SocketAddr,
    /// The address under which browsers reach the API, without a slash at its end.
    pub public_url: Option<String>,
    /// Certificate and key; with them the API speaks TLS only.
    pub tls: Tls,
    /// Serve without TLS on an address that others can reach, such as behind a proxy or in a mesh that encrypts.
    pub plaintext: bool,
    /// Largest request body.
    pub body_limit: ByteSize,
    /// Longest time for a request.
    pub request_timeout: HumanDuration,
    /// Longest time for a client to send the headers of a request.
    pub header_timeout: HumanDuration,
    /// Most connections; more are closed at once.
    pub max_connections: u32,
    /// How long running requests may take after a signal to stop.
    pub drain_timeout: HumanDuration,
    /// Networks of proxies whose `X-Forwarded-For` is believed. Nobody's by default.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins of web pages that may call the API from browsers, such as `https://console.example.org`. None by default.
    pub cors_origins: Vec<String>,
    /// How often clients may ask.
    pub rate_limits: RateLimits,
}

/// How often clients may ask, in each process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// Logins, and whatever else changes something without a token, of one client address.
    pub login: Rate,
    /// Requests of one client address.
    pub address: Rate,
    /// Requests with one token.
    pub token: Rate,
    /// Requests of one account.
    pub account: Rate,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            login: Rate {
                per_second: 20,
                burst: 200,
            },
            address: Rate::default(),
            token: Rate::default(),
            account: Rate::default(),
        }
    }
}

/// A rate and a burst; no bound while `per_second` is 0.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rate {
    /// Earned back a second.
    pub per_second: u32,
    /// At once.
    pub burst: u32,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8200)),
            public_url: None,
            tls: Tls::default(),
            plaintext: false,
            body_limit: ByteSize::bytes(MAX_BODY_BYTES as u64),
            request_timeout: HumanDuration::from_secs(30),
            header_timeout: HumanDuration::from_secs(10),
            max_connections: 4096,
            drain_timeout: HumanDuration::from_secs(20),
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            rate_limits: RateLimits::default(),
        }
    }
}

/// A certificate and its key. Both files are read again when they change.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM: the certificate, then its chain.
    pub cert_file: Option<PathBuf>,
    /// PEM: the private key.
    pub key_file: Option<PathBuf>,
}

/// The listener of the API's metrics, which also answers `/livez` and `/readyz`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Address and port.
    pub listen: SocketAddr,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9200)),
        }
    }
}

/// Records.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Records {
    /// How long a deleted record, or a version whose time has come, can be brought back: 1h to 3650d.
    pub deleted_retention: HumanDuration,
}

impl Default for Records {
    fn default() -> Self {
        Self {
            deleted_retention: HumanDuration::from_secs(30 * 86_400),
        }
    }
}

/// Log-in and tokens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Life of an access token: 1m to 24h, and not longer than `session_idle_ttl`.
    pub access_token_ttl: HumanDuration,
    /// How long a session lasts without being refreshed: 1m to 30d.
    pub session_idle_ttl: HumanDuration,
    /// How long a session lasts in any case: 5m to 365d.
    pub session_ttl: HumanDuration,
    /// Who needs a second factor.
    pub second_factor: SecondFactor,
    /// How old a key grows that signs tokens, before another one does: 1d to 365d.
    pub signing_key_age: HumanDuration,
    /// `iss` of tokens: this installation.
    pub issuer: String,
    /// `aud` of tokens.
    pub audience: String,
    /// For how long an API key may be made: 1h to 3650d.
    pub api_key_max_ttl: HumanDuration,
    /// Log-in of workloads.
    pub kubernetes: KubernetesLogin,
    /// Single sign-on.
    pub sso: Sso,
    /// What a password check costs.
    pub argon2: Argon2,
    /// Which passwords people may choose.
    pub password: PasswordPolicy,
    /// Whom passkeys are for.
    pub passkeys: Passkeys,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            access_token_ttl: HumanDuration::from_secs(600),
            session_idle_ttl: HumanDuration::from_secs(3600),
            session_ttl: HumanDuration::from_secs(12 * 3600),
            second_factor: SecondFactor::default(),
            signing_key_age: HumanDuration::from_secs(30 * 86_400),
            issuer: "aether-vault".to_owned(),
            audience: "aether-vault".to_owned(),
            api_key_max_ttl: HumanDuration::from_secs(365 * 86_400),
            kubernetes: KubernetesLogin::default(),
            sso: Sso::default(),
            argon2: Argon2::default(),
            password: PasswordPolicy::default(),
            passkeys: Passkeys::default(),
        }
    }
}

/// Who needs a second factor, beside those who have one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecondFactor {
    /// Roles whose log-ins need one: `admin`, `auditor`, `user`.
    pub required_roles: Vec<Role>,
    /// What authenticators show beside the user's name: this installation.
    pub issuer: String,
}

impl Default for SecondFactor {
    fn default() -> Self {
        Self {
            required_roles: Vec::new(),
            issuer: "Aether Vault".to_owned(),
        }
    }
}

/// Log-in of workloads with service account tokens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KubernetesLogin {
    /// The audience that tokens must be for.
    pub audience: String,
    /// Life of a workload's session, never past the end of its token: 1m to 1h.
    pub session_ttl: HumanDuration,
    /// Ask the API server of the API's own cluster (`controller.cluster_prefix`) for reviews of tokens. Without it, tokens are verified with
    /// the keys that the controller published.
    pub token_review: bool,
}

impl Default for KubernetesLogin {
    fn default() -> Self {
        Self {
            audience: "aether-vault".to_owned(),
            session_ttl: HumanDuration::from_secs(900),
            token_review: false,
        }
    }
}

/// Cost of Argon2id, and how many checks may run and wait. Defaults are those of OWASP's first choice with 19 MiB.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Argon2 {
    /// Memory of one check, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
    /// Checks at a time; 0 is one a core, at most four.
    pub concurrency: u32,
    /// Checks that may wait; more are refused with `Busy`.
    pub queue: u32,
}

impl Default for Argon2 {
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            iterations: 2,
            parallelism: 1,
            concurrency: 0,
            queue: 64,
        }
    }
}

/// The first administrator.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bootstrap {
    /// Where the one-time credential of the first administrator is written, mode 0600, if there is no user yet.
    pub credential_file: Option<PathBuf>,
}

/// The cache of ciphertext.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// Its size: 0 to 64GiB.
    pub max_bytes: ByteSize,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            max_bytes: ByteSize::mebibytes(32),
        }
    }
}

/// The audit log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// Where the newest signed checkpoint is written: on a disk, or a host, that the database's administrators do not have.
    pub checkpoint_file: Option<PathBuf>,
    /// For how many days entries are kept: 7 to 36500; 0 keeps them for ever.
    pub retention_days: u32,
    /// How often the servers verify the whole log: 1m to 365d; 0s is never.
    pub verify_every: HumanDuration,
    /// Write sealed entries to standard output, one JSON object a line.
    pub stdout: bool,
    /// A syslog server for sealed entries: `udp://HOST:PORT`, `tcp://HOST:PORT` or `unix:///dev/log`.
    pub syslog: Option<String>,
    /// A webhook for sealed entries.
    pub webhook: AuditWebhook,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            checkpoint_file: None,
            retention_days: 0,
            verify_every: HumanDuration::from_secs(86_400),
            stdout: false,
            syslog: None,
            webhook: AuditWebhook::default(),
        }
    }
}

/// Where audit entries are posted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditWebhook {
    /// The address: `https://`, or `http://` on this machine.
    pub url: Option<String>,
    /// The file with the secret that requests are signed with.
    pub secret_file: Option<PathBuf>,
}

/// The Kubernetes controller. It shares `database`, `keys` and `cache` with the API.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Controller {
    /// The first segment of the paths of this cluster's namespaces; one for each cluster that shares the vault.
    pub cluster_prefix: String,
    /// The namespace that the operator runs in: its `VaultPolicy` resources speak for the whole cluster.
    pub operator_namespace: String,
    /// The namespaces to watch; empty is all of them, which takes cluster-wide roles.
    pub watch_namespaces: Vec<String>,
    /// The name of the Lease by which one replica leads.
    pub lease_name: String,
    /// How long after its last word a leader is replaced: 3s to 5m.
    pub lease_duration: HumanDuration,
    /// How many resources are worked on at a time: 1 to 256.
    pub concurrency: u16,
    /// Every resource is compared with the vault at least this often: 1m to 7d.
    pub full_check_interval: HumanDuration,
    /// Whether workloads are restarted when a Secret that they use changes and its resource asks for it; takes the roles under
    /// `config/rbac/restarts-*.yaml`.
    pub restart_workloads: bool,
    /// This replica's name in the Lease; host name and process if empty.
    pub identity: String,
    /// Address and port of the controller's metrics and health.
    pub metrics_listen: SocketAddr,
}

impl Default for Controller {
    fn default() -> Self {
        Self {
            cluster_prefix: "k8s".to_owned(),
            operator_namespace: "aether-vault-system".to_owned(),
            watch_namespaces: Vec::new(),
            lease_name: "aether-vault-controller".to_owned(),
            lease_duration: HumanDuration::from_secs(9),
            concurrency: 16,
            full_check_interval: HumanDuration::from_secs(3600),
            restart_workloads: false,
            identity: String::new(),
            metrics_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9201)),
        }
    }
}

/// The log, on standard error.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Text for people, JSON for machines.
    pub format: LogFormat,
    /// What is logged: `info`, or directives such as `info,aether_vault::http=debug`.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: "info".to_owned(),
        }
    }
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line an event, for people.
    Text,
    /// One JSON object a line.
    Json,
}
