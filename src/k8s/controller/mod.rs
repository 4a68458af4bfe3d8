//! The controller: follows `VaultSecret`s, `VaultPolicy`s, Secrets and namespaces, and brings Secrets to what the vault holds.
//!
//! | part | what it does |
//! |---|---|
//! | `lease` | lets one replica lead |
//! | `term` | one term of leadership: the watches and who is told what |
//! | `desk` | what the watch of `VaultSecret`s tells |
//! | `queue`, `wake` | what waits, and what is woken by a change in the vault |
//! | `vault_secret`, `vault_policy` | one look at one resource |
//! | `reaper` | Secrets whose `VaultSecret` is gone |
//! | `restart` | workloads that use a Secret whose data changed |
//! | `calendar` | what is due when: rotations, renewals |
//! | `imports` | Secrets that records follow |
//! | `publish` | the key that values are sealed to, as a ConfigMap |
//!
//! Everything is asked of the vault through [`VaultDoor`].

mod calendar;
mod context;
mod definition;
mod desk;
mod events;
mod imports;
mod index;
mod key;
mod lease;
mod memory;
mod namespaces;
mod own_status;
mod publish;
mod queue;
mod reaper;
mod restart;
mod term;
mod vault_policy;
mod vault_secret;
mod wake;
mod watch;
mod write;

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::core::PartialObjectMeta;
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;

pub use self::restart::workload::workloads_that_use;
pub use self::vault_secret::forecast::{Fate, Fates, Forecast, Outcome, Reading};
use crate::k8s::metrics::ControllerMetrics;
use crate::k8s::settings::ControllerSettings;
use crate::service::context::Clock;
use crate::service::door::VaultDoor;

/// Why the controller ended without being told to.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// The settings cannot work.
    #[error("{0}")]
    Settings(String),
    /// A part that should run for ever ended.
    #[error("a part of the controller ended by itself; restart the process")]
    PartEnded,
    /// The identity of the cluster cannot be read.
    #[error("the namespace 'kube-system', whose uid identifies the cluster, cannot be read: {0}")]
    Identity(#[source] kube::Error),
}

/// Runs the controller until `shutdown`; while another replica leads, it stands by.
///
/// # Errors
/// [`ControllerError`]; the process should end then.
pub async fn run(
    client: Client,
    door: Arc<dyn VaultDoor>,
    settings: ControllerSettings,
    metrics: ControllerMetrics,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) -> Result<(), ControllerError> {
    settings.check().map_err(ControllerError::Settings)?;
    let elector = lease::Elector::new(&client, &settings, Arc::clone(&clock));
    elector
        .run(&metrics, &shutdown, |term| {
            term::run(
                client.clone(),
                Arc::clone(&door),
                settings.clone(),
                metrics.clone(),
                Arc::clone(&clock),
                term,
            )
        })
        .await
}

/// The uid of the namespace `kube-system`, which tells clusters apart.
///
/// # Errors
/// It cannot be read.
pub async fn kube_system_uid(client: &Client) -> Result<String, ControllerError> {
    let api: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
    let namespace = api.get("kube-system").await.map_err(ControllerError::Identity)?;
    Ok(namespace.metadata.uid.unwrap_or_default())
}
