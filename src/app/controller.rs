//! The controller process.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use kube::Client;
use tokio_util::sync::CancellationToken;

use super::identities::{note_namespaces, publish_keys};
use super::patience::patiently;
use super::process::Process;
use super::vault::Outside;
use super::{AppError, failed};
use crate::k8s::controller;
use crate::k8s::metrics::ControllerMetrics;
use crate::k8s::settings::ControllerSettings;
use crate::service::LocalDoor;
use crate::service::door::VaultDoor;
use crate::settings::{ByteSize, Controller, Settings};

/// How soon to ask an API server again that does not answer at start.
const RETRY: Duration = Duration::from_secs(2);

/// Ciphertext that the controller keeps at most: it reads a record when that is new or changed, and hardly ever twice.
const CACHE: ByteSize = ByteSize::mebibytes(4);

/// Runs the controller until told to stop.
///
/// # Errors
/// [`AppError`] if it cannot start, or a part of it died.
pub async fn controller(settings: &Settings) -> Result<(), AppError> {
    let client = client().await?;
    let mut process = Process::start(settings, settings.controller.metrics_listen)?;
    let metrics = ControllerMetrics::register(&process.registry).map_err(|error| failed("metrics")(&error))?;
    let stop = process.shutdown.drain.clone();

    let Some(vault) = process
        .open_vault(
            &with_little_cache(settings),
            "aether-vault controller",
            &Outside::default(),
        )
        .await?
    else {
        return Ok(());
    };
    let Some(uid) = cluster_uid(&client, &stop).await else {
        return Ok(());
    };
    let registered = patiently(&stop, "registering the cluster", async || {
        let controller = &settings.controller;
        Ok(LocalDoor::register(Arc::clone(&vault), &controller.cluster_prefix, &uid, &controller.class).await)
    });
    let Some(door) = registered.await? else {
        return Ok(());
    };
    let controller_settings = controller_settings(&settings.controller, door.is_platform());
    let seen = Arc::clone(&vault);
    process.ready_when(move || {
        let vault = Arc::clone(&seen);
        async move { vault.readiness().await }.boxed()
    });

    let door = Arc::new(door);
    process.parts.spawn(
        "keys of workloads",
        publish_keys(client.clone(), Arc::clone(&door), stop.clone()),
    );
    process.parts.spawn(
        "namespaces of workloads",
        note_namespaces(
            client.clone(),
            Arc::clone(&door),
            settings.controller.watch_namespaces.clone(),
            Arc::clone(vault.clock()),
            stop.clone(),
        ),
    );
    let door: Arc<dyn VaultDoor> = door;
    let clock = Arc::clone(vault.clock());
    let served = process.served.clone();
    process.parts.spawn("controller", async move {
        // What the last resources rest on ends after them.
        let _served = served.drop_guard();
        controller::run(client, door, controller_settings, metrics, clock, stop).await
    });
    let (prefix, class) = (&settings.controller.cluster_prefix, &settings.controller.class);
    tracing::info!(prefix, class, "following the cluster");
    process.run().await
}

fn with_little_cache(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    settings.cache.max_bytes = settings.cache.max_bytes.min(CACHE);
    settings
}

async fn client() -> Result<Client, AppError> {
    Client::try_default().await.map_err(|error| {
        AppError::Failed(format!(
            "there is no Kubernetes to work for: {error}; run in a pod with a service account, or set KUBECONFIG"
        ))
    })
}

/// What tells this cluster from others; asked until it is answered. `None` if the process was told to stop first.
async fn cluster_uid(client: &Client, stop: &CancellationToken) -> Option<String> {
    loop {
        match controller::kube_system_uid(client).await {
            Ok(uid) => return Some(uid),
            Err(error) => tracing::warn!(%error, "the API server does not answer as it should; trying again"),
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

fn controller_settings(settings: &Controller, platform: bool) -> ControllerSettings {
    let identity = if settings.identity.is_empty() {
        own_identity()
    } else {
        settings.identity.clone()
    };
    ControllerSettings {
        cluster_prefix: settings.cluster_prefix.clone(),
        operator_namespace: settings.operator_namespace.clone(),
        platform,
        watch_namespaces: settings.watch_namespaces.clone(),
        class: settings.class.clone(),
        lease_name: settings.lease_name.clone(),
        lease_duration: settings.lease_duration.get(),
        concurrency: settings.concurrency,
        full_check_interval: settings.full_check_interval.get(),
        restart_workloads: settings.restart_workloads,
        identity,
    }
}

/// A pod's host name is its own name; the process tells several on one machine apart.
fn own_identity() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}-{}", std::process::id())
}
