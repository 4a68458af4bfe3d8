//! What both server processes have in common: signals, metrics, the operators' listener, the vault and its background tasks.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use prometheus::Registry;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::files::Files;
use super::vault::Outside;
use super::{AppError, failed, vault};
use crate::http::{self, HttpMetrics, Listener, Readiness, ServerOptions};
use crate::lifecycle::{Shutdown, Supervisor};
use crate::service::{Check, Vault};
use crate::settings::Settings;
use crate::telemetry;

/// Connections of the operators' listener.
const OPERATIONS_CONNECTIONS: usize = 64;
/// Beyond the drain timeout, for connections to be closed in order.
const KILL_MARGIN: Duration = Duration::from_secs(2);

type Look = Box<dyn Fn() -> BoxFuture<'static, Vec<Check>> + Send + Sync>;

/// A server process that is starting or running.
pub(super) struct Process {
    pub(super) registry: Registry,
    pub(super) http_metrics: HttpMetrics,
    pub(super) shutdown: Shutdown,
    pub(super) parts: Supervisor,
    /// Cancelled when nothing is served any more: what requests rest on ends then, and not before.
    pub(super) served: CancellationToken,
    look: Arc<OnceLock<Look>>,
}

impl Process {
    /// Installs the signals and starts the operators' listener: alive at once, ready when [`Process::ready_when`] says so.
    pub(super) fn start(settings: &Settings, operations: SocketAddr) -> Result<Self, AppError> {
        let shutdown = Shutdown::on_signals(settings.http.drain_timeout.get() + KILL_MARGIN)
            .map_err(|error| failed("signals cannot be handled")(&error))?;
        let registry = telemetry::metrics_registry().map_err(|error| failed("metrics")(&error))?;
        let http_metrics = HttpMetrics::register(&registry).map_err(|error| failed("metrics")(&error))?;
        let mut process = Self {
            registry,
            http_metrics,
            shutdown,
            parts: Supervisor::default(),
            served: CancellationToken::new(),
            look: Arc::default(),
        };
        let listener = bind("operations", operations)?;
        let router = http::operations_router(process.registry.clone(), process.readiness());
        let options = ServerOptions {
            tls: None,
            max_connections: OPERATIONS_CONNECTIONS,
            header_timeout: settings.http.header_timeout.get(),
            idle_timeout: settings.http.idle_timeout.get(),
            // Metrics and health are answered until the very end.
            drain_timeout: Duration::from_secs(1),
        };
        let (metrics, served) = (process.http_metrics.clone(), process.served.clone());
        process.parts.spawn("operations listener", async move {
            listener.serve(router, options, &metrics, served).await
        });
        Ok(process)
    }

    /// Readiness as it is at any time: not while starting, not while draining, and otherwise what [`Process::ready_when`] says.
    pub(super) fn readiness(&self) -> Readiness {
        let (look, drain) = (Arc::clone(&self.look), self.shutdown.drain.clone());
        Readiness::new(move || {
            let (look, drain) = (Arc::clone(&look), drain.clone());
            async move {
                let mut checks = match look.get() {
                    Some(look) => look().await,
                    None => vec![broken(
                        "start",
                        "the process is starting; its log says what it waits for",
                    )],
                };
                if drain.is_cancelled() {
                    checks.push(broken("drain", "the process is draining"));
                }
                checks
            }
            .boxed()
        })
    }

    /// From now on the process is ready when `look` finds nothing wrong.
    pub(super) fn ready_when(&self, look: impl Fn() -> BoxFuture<'static, Vec<Check>> + Send + Sync + 'static) {
        // Set once, by the one function that composes the process.
        let _ = self.look.set(Box::new(look));
    }

    /// Opens the vault, waiting for its database if need be, and runs what it rests on. `None` if told to stop first.
    pub(super) async fn open_vault(
        &mut self,
        settings: &Settings,
        name: &'static str,
        outside: &Outside,
    ) -> Result<Option<Arc<Vault>>, AppError> {
        let dsn = settings.database.runtime()?;
        let pool = vault::pool(settings, dsn, name)?;
        let keys = vault::root_keys(settings)?;
        let opened = vault::open(settings, &pool, &keys, &self.registry, outside, &self.shutdown.drain).await?;
        let Some(vault) = opened else { return Ok(None) };
        let mut tasks = JoinSet::new();
        vault.run_background(&mut tasks, &self.served);
        self.parts.spawn("vault", watch(tasks, self.served.clone()));
        let files = Files {
            keys,
            url: settings.database.url_file.clone().map(|file| (file, dsn.clone())),
            pool,
            pool_options: vault::pool_options(settings, name),
        };
        self.parts.spawn("files", files.follow(self.shutdown.drain.clone()));
        Ok(Some(vault))
    }

    /// Runs until told to stop, or until a part dies.
    pub(super) async fn run(self) -> Result<(), AppError> {
        self.parts.run(self.shutdown).await?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Binds a listener, and says so.
pub(super) fn bind(name: &'static str, address: SocketAddr) -> Result<Listener, AppError> {
    let listener = Listener::bind(name, address).map_err(|error| {
        AppError::Failed(format!(
            "cannot listen on {address} ({name}): {error}; choose another address or stop what holds this one"
        ))
    })?;
    tracing::info!(listener = name, address = %listener.address(), "listening");
    Ok(listener)
}

async fn watch(mut tasks: JoinSet<&'static str>, served: CancellationToken) -> Result<(), String> {
    let ended = tokio::select! {
        // First, since the tasks end by it too. Whatever still runs is dropped with the set.
        biased;
        () = served.cancelled() => return Ok(()),
        ended = tasks.join_next() => ended,
    };
    Err(match ended {
        Some(Ok(name)) => format!("the {name} ended by itself"),
        // The message of a panic may quote a value; its place is in the log already.
        Some(Err(_)) => "a background task panicked".to_owned(),
        None => "there are no background tasks".to_owned(),
    })
}

fn broken(name: &'static str, problem: &str) -> Check {
    Check {
        name,
        problem: Some(problem.to_owned()),
    }
}
