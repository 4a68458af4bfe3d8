//! What logins of workloads need of the cluster where nobody asks its API server for each of them: the keys that it signs service account
//! tokens with, and which namespace bears a name. Every replica of the controller tells the vault; none waits for the others.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::k8s::identity;
use crate::service::context::Clock;
use crate::service::{LocalDoor, Wanted, WantedNamespaces};

/// How often the keys are read: they are rotated rarely, and with an overlap.
const KEYS_EVERY: Duration = Duration::from_mins(5);
/// How often all namespaces are looked at, whether or not somebody asks: the vault forgets those that nobody saw for a day.
const ALL_EVERY: Duration = Duration::from_hours(1);
/// How soon to look again after an answer failed.
const RETRY: Duration = Duration::from_secs(5);

/// Publishes the keys, again and again.
pub(super) async fn publish_keys(
    client: Client,
    door: Arc<LocalDoor>,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    loop {
        let pause = match publish_issuer(&client, &door).await {
            Ok(()) => KEYS_EVERY,
            Err(error) => {
                tracing::warn!(%error, "the cluster's keys for service account tokens were not published; trying again");
                RETRY
            }
        };
        if stop.run_until_cancelled(sleep(pause)).await.is_none() {
            return Ok(());
        }
    }
}

/// Notes every namespace at first, then those that logins ask about. `watched` are the ones that may be read; all of them if it is empty.
pub(super) async fn note_namespaces(
    client: Client,
    door: Arc<LocalDoor>,
    watched: Vec<String>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let mut wanted = door.wanted_namespaces();
    let mut names = watched.clone();
    loop {
        let pause = match look(&client, &door, &names, &*clock).await {
            Ok(()) => ALL_EVERY,
            Err(error) => {
                tracing::warn!(%error, "the cluster's namespaces were not noted; workloads have to wait with their log-in");
                RETRY
            }
        };
        names = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = sleep(pause) => watched.clone(),
            asked = next(&mut wanted, &watched) => asked,
        };
    }
}

async fn look(client: &Client, door: &LocalDoor, names: &[String], clock: &dyn Clock) -> Result<(), String> {
    // Before the question, so that the answer is at least as new.
    let asked_at = clock.now();
    let seen = identity::namespaces(client, names)
        .await
        .map_err(|error| error.to_string())?;
    door.note_namespaces(&seen, asked_at)
        .await
        .map_err(|error| error.to_string())
}

/// The next ones to look at, of those that may be read.
async fn next(wanted: &mut WantedNamespaces, watched: &[String]) -> Vec<String> {
    loop {
        match wanted.next().await {
            Ok(Wanted::All) => return watched.to_vec(),
            Ok(Wanted::Named(mut names)) => {
                names.retain(|name| watched.is_empty() || watched.contains(name));
                if !names.is_empty() {
                    return names.into_iter().collect();
                }
            }
            Err(error) => {
                tracing::warn!(
                    reason = error.reason().as_str(),
                    "nobody tells which namespaces logins ask about; workloads have to wait with their log-in"
                );
                sleep(RETRY).await;
            }
        }
    }
}

async fn publish_issuer(client: &Client, door: &LocalDoor) -> Result<(), String> {
    let issuer = identity::cluster_issuer(client)
        .await
        .map_err(|error| error.to_string())?;
    let changed = door.publish_issuer(&issuer).await.map_err(|error| error.to_string())?;
    if changed {
        tracing::info!(
            issuer = issuer.issuer,
            "published the cluster's keys for service account tokens"
        );
    }
    Ok(())
}
