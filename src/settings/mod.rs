//! Typed settings, from a YAML file, then the environment, then flags; parsed and checked once, at start.
//!
//! `cli` loads them, `app` hands each part what it needs; nothing else reads the environment. `config/settings.example.yaml` shows every
//! setting with its default. The comments on fields are what `docs/settings.md` says of them.

mod auth;
mod check;
mod dsn;
mod http;
mod human;
mod layers;
mod load;
mod passkeys;
mod passwords;
mod reference;
mod show;
mod sso;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use auth::{Argon2, Auth, KubernetesLogin, SecondFactor};
pub use dsn::{Dsn, DsnError};
pub use http::{Http, Metrics, Rate, RateLimits, Tls};
pub use human::{ByteSize, HumanDuration};
pub use layers::{Flag, Origin, Overrides};
pub use load::{DEFAULT_FILE, Loaded};
pub use passkeys::Passkeys;
pub use passwords::PasswordPolicy;
pub use reference::reference;
pub use sso::{Sso, SsoClaims, SsoProvider, SsoRoles, SsoSecondFactor};

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
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Postgres. A URL is `postgres://USER:PASSWORD@HOST:PORT/DATABASE?…` with special characters of the password percent-encoded, or with
    /// `?host=/var/run/postgresql` for a Unix socket.
    pub database: Database,
    /// Root keys.
    pub keys: Keys,
    /// The listener of the API. `drain_timeout`, `header_timeout` and `idle_timeout` hold for the controller too.
    pub http: Http,
    /// The listener of the API's `/metrics`, `/livez` and `/readyz`: plain HTTP without authentication.
    pub metrics: Metrics,
    /// Log-in and tokens.
    pub auth: Auth,
    /// The first administrator.
    pub bootstrap: Bootstrap,
    /// The cache of ciphertext.
    pub cache: Cache,
    /// The audit log. Give both processes the same settings: either may be the one that seals and delivers.
    pub audit: Audit,
    /// Records.
    pub records: Records,
    /// The Kubernetes controller.
    pub controller: Controller,
    /// The log, on standard error.
    pub log: Log,
    /// Traces of requests and reconciles.
    pub traces: Traces,
}

/// Postgres. Each URL may stand in a file of its own, as Kubernetes mounts it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// URL of the runtime role, which serves and cannot change audit entries. Required, here or in a file.
    pub url: Option<Dsn>,
    /// A file that holds it. It is read again when it changes.
    pub url_file: Option<PathBuf>,
    /// URL of the role that owns the schema, which `migrate` uses; `database.url` if absent.
    pub owner_url: Option<Dsn>,
    /// A file that holds it.
    pub owner_url_file: Option<PathBuf>,
    /// URL for `LISTEN`, needed only where `database.url` leads through a connection pooler; without a working one changes are found by
    /// polling, every 250 ms. `database.url` if absent.
    pub listen_url: Option<Dsn>,
    /// A file that holds it.
    pub listen_url_file: Option<PathBuf>,
    /// Most connections of this process, besides three that it keeps for the change feed and the audit log: 2 to 100.
    pub pool_max: u32,
    /// How long a request waits for a connection: 100ms to 1m.
    pub acquire_timeout: HumanDuration,
    /// How long Postgres lets a statement run: 1s to 5m.
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
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// The root key file, made by `aether-vault keys init`. Required. It is read again when it changes.
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

/// Records.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Records {
    /// How long a deleted record, or a version whose time has come, can be brought back before it goes for good: 1h to 3650d.
    pub deleted_retention: HumanDuration,
}

impl Default for Records {
    fn default() -> Self {
        Self {
            deleted_retention: HumanDuration::from_secs(30 * 86_400),
        }
    }
}

/// The first administrator.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bootstrap {
    /// Where the API writes a one-time password for the user `admin`, mode 0600, if there is no user yet.
    pub credential_file: Option<PathBuf>,
}

/// The cache of ciphertext.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// Ciphertext kept in memory, 0 to 64GiB; the controller, which hardly reads a record twice, keeps 4MiB at most. Every read is still
    /// confirmed by the database; 0 only makes reads slower.
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
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// Where the newest signed checkpoint is written, once a minute: on a disk, or a host, that the database's administrators do not have.
    pub checkpoint_file: Option<PathBuf>,
    /// For how many days entries are kept: 7 to 36500; 0 keeps them for ever. Blocks stay in any case.
    pub retention_days: u32,
    /// How often the servers verify the whole log: 1m to 365d; 0s is never.
    pub verify_every: HumanDuration,
    /// Write sealed entries to standard output, one JSON object a line.
    pub stdout: bool,
    /// A syslog server for sealed entries (RFC 5424): `udp://HOST:PORT`, `tcp://HOST:PORT` or `unix:///PATH`.
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
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuditWebhook {
    /// The address, `https://`, or `http://` on this machine.
    pub url: Option<String>,
    /// The file with the secret that requests are signed with (HMAC-SHA256): 16 bytes or more, white space around it apart. Required with
    /// the URL.
    pub secret_file: Option<PathBuf>,
}

/// The Kubernetes controller. It shares `database`, `keys` and `cache` with the API.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Controller {
    /// The first segment of the paths of this cluster's namespaces: a DNS label, not `users`. Each cluster that shares the vault needs its
    /// own; it is bound to the cluster's `kube-system` uid at the first start.
    pub cluster_prefix: String,
    /// The namespace of the operator: its `VaultPolicy` resources speak for the whole cluster, and the Lease is in it.
    pub operator_namespace: String,
    /// The namespaces to look after; empty is all of them, which takes the cluster-wide roles.
    pub watch_namespaces: Vec<String>,
    /// The class of the resources to look after, where a cluster has several controllers: those whose `spec.controllerClass` is this; empty
    /// is those without one. Each class needs a `cluster_prefix` or a vault of its own, to which it is bound at the first start.
    pub class: String,
    /// The name of the Lease by which one replica leads.
    pub lease_name: String,
    /// How long after its last word a leader is replaced: 3s to 5m.
    pub lease_duration: HumanDuration,
    /// Resources worked on at a time: 1 to 256.
    pub concurrency: u16,
    /// Every resource is compared with the vault at least this often: 1m to 7d.
    pub full_check_interval: HumanDuration,
    /// Whether workloads are restarted when a Secret that they use changes and its resource asks for it; takes the roles under
    /// `config/rbac/restarts-*.yaml`.
    pub restart_workloads: bool,
    /// This replica's name in the Lease; host name and process if empty.
    pub identity: String,
    /// Address and port of the controller's metrics and health.
    #[schemars(extend("format" = "address"))]
    pub metrics_listen: SocketAddr,
}

impl Default for Controller {
    fn default() -> Self {
        Self {
            cluster_prefix: "k8s".to_owned(),
            operator_namespace: "aether-vault-system".to_owned(),
            watch_namespaces: Vec::new(),
            class: String::new(),
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
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Text for people, JSON for machines; one event a line.
    pub format: LogFormat,
    /// A level, or directives such as `info,aether_vault::http=debug`. Libraries are never logged above `info`, whatever it says.
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

/// Traces, by OTLP over HTTP. None unless there is an endpoint.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Traces {
    /// Where they are sent: the URL of a collector with its path, such as `http://otel-collector:4318/v1/traces`.
    pub endpoint: Option<String>,
    /// One in so many requests and reconciles is traced, 1 to 1000000; those of callers that trace (header `traceparent`) as they decide.
    pub sample_one_in: u32,
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            endpoint: None,
            sample_one_in: 100,
        }
    }
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line an event, for people.
    Text,
    /// One JSON object a line.
    Json,
}
