//! Secrets whose `VaultSecret` is gone, and those whose `VaultSecret` lost access and says that they go then.
//!
//! A Secret is deleted only if its `VaultSecret` was remembered and a complete list or a watch told that it is gone, the definition is the
//! one that it came through and stands, the Secret is the one that is remembered, and not too many go at a time. Everything else keeps it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::context::Context;
use super::definition::Definition;
use super::key::Key;
use super::queue::{Causes, Class};
use super::vault_secret::heads::asker;
use super::vault_secret::remove::remove;
use crate::domain::sync::brake::Brake;
use crate::k8s::crd::VaultSecret;
use crate::service::door::SyncRow;
use crate::service::error::{Error, Reason};

/// How long deletions are gathered, so that the brake sees a mass deletion as one.
const GATHER: Duration = Duration::from_millis(250);
/// The same where definitions cannot be read: discovery is told of a deleted definition a little later.
const GATHER_UNSEEN: Duration = Duration::from_secs(5);
/// How long a Secret is left for a new `VaultSecret` that names it, before it goes with its old one.
const HANDOVER: Duration = Duration::from_secs(30);
/// How often held deletions are looked at: whoever made the accident may take it back.
const RECHECK: Duration = Duration::from_secs(10);
/// Pause after something did not answer.
const PAUSE: Duration = Duration::from_secs(2);

/// Deletes Secrets, with care.
pub(super) struct Reaper {
    begun: Notify,
    /// Rings when an operator confirmed held deletions, perhaps.
    confirmed: Notify,
    /// When an operator last did.
    confirmed_at: Mutex<Option<Timestamp>>,
}

/// What became of a row.
enum Fate {
    /// It is settled and forgotten.
    Settled { deleted: bool },
    /// A new resource may take the Secret over; look again.
    Handover,
    /// Too many at a time.
    Held,
}

impl Reaper {
    /// `confirmed_at` is when an operator last confirmed held deletions.
    pub(super) fn new(confirmed_at: Option<Timestamp>) -> Self {
        Self {
            begun: Notify::new(),
            confirmed: Notify::new(),
            confirmed_at: Mutex::new(confirmed_at),
        }
    }

    /// Everything was listed and compared: from now on, what is missing is gone.
    pub(super) fn begin(&self) {
        self.begun.notify_one();
    }

    /// The feed said that what is remembered changed: an operator confirmed held deletions, perhaps.
    pub(super) fn confirmed(&self) {
        self.confirmed.notify_one();
    }

    /// Works until it is dropped.
    pub(super) async fn run(&self, context: &Context) {
        self.begun.notified().await;
        let mut brake = Brake::default();
        let mut since: HashMap<String, Instant> = HashMap::new();
        loop {
            let gone: Vec<Arc<SyncRow>> = context
                .memory
                .all()
                .into_iter()
                .filter(|row| context.is_gone(row) || context.is_revoked(row))
                .collect();
            since.retain(|uid, _| gone.iter().any(|row| row.uid == *uid));
            for row in &gone {
                since.entry(row.uid.clone()).or_insert_with(Instant::now);
            }
            let again = if gone.is_empty() {
                brake.release();
                context.metrics.deletions_held.set(0);
                None
            } else {
                self.reap(context, &mut brake, &since, gone).await
            };
            let waiting = async {
                match again {
                    Some(pause) => sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = waiting => {}
                () = self.confirmed.notified() => {
                    // Only what is held waits for it.
                    if context.metrics.deletions_held.get() > 0 {
                        self.read_confirmation(context).await;
                    }
                }
                () = context.gone.notified() => {
                    sleep(if context.definitions.readable() { GATHER } else { GATHER_UNSEEN }).await;
                }
            }
        }
    }

    async fn read_confirmation(&self, context: &Context) {
        match context.door.syncs().await {
            Ok(state) => {
                *self.confirmed_at.lock().unwrap_or_else(PoisonError::into_inner) = state.deletions_confirmed_at;
            }
            Err(error) => warn!(
                reason = error.reason().as_str(),
                "cannot read whether held deletions were confirmed"
            ),
        }
    }

    fn confirmation(&self) -> Option<Timestamp> {
        *self.confirmed_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Settles what can be settled; answers when to look again.
    async fn reap(
        &self,
        context: &Context,
        brake: &mut Brake,
        since: &HashMap<String, Instant>,
        gone: Vec<Arc<SyncRow>>,
    ) -> Option<Duration> {
        let definition = match context.definitions.look::<VaultSecret>().await {
            Ok(Definition::Standing { uid }) => uid,
            Ok(Definition::Leaving) => {
                warn!(
                    secrets = gone.len(),
                    "the definition of VaultSecret is gone: every Secret stays"
                );
                return None;
            }
            Err(error) => {
                warn!(%error, "cannot read the definition of VaultSecret; no Secret is deleted meanwhile");
                return Some(PAUSE);
            }
        };
        context.set_definition_uid(definition.clone());
        let mut held = 0;
        let mut again = None;
        for row in gone {
            if row.crd_uid != definition {
                // It came through a definition that was deleted: its Secret stays until a new VaultSecret takes it over.
                continue;
            }
            match self.settle(context, brake, since, &row).await {
                Ok(Fate::Settled { deleted }) => {
                    if let Err(error) = retire(context, &row).await {
                        warn!(
                            reason = error.reason().as_str(),
                            "the record of a deleted VaultSecret is not soft-deleted yet; trying again"
                        );
                        again = Some(PAUSE);
                        continue;
                    }
                    if let Err(error) = context.door.forget(&row, deleted).await {
                        warn!(
                            reason = error.reason().as_str(),
                            "a deleted VaultSecret is still remembered; trying again"
                        );
                        again = Some(PAUSE);
                        continue;
                    }
                    context.memory.remove(&row.uid);
                    if deleted {
                        context.metrics.secrets.with_label_values(&["deleted"]).inc();
                    }
                    let secret = Key::new(&row.namespace, &row.secret_name);
                    if context.is_gone(&row) {
                        info!(%secret, deleted, "the VaultSecret is gone");
                    } else {
                        info!(%secret, deleted, "the VaultSecret lost access to its records");
                        context.revoked.lift(&row.uid);
                        // Its status says that there is no Secret any more.
                        context
                            .queue
                            .add(Key::new(&row.namespace, &row.name), Causes::AGAIN, Class::Change, None);
                    }
                }
                Ok(Fate::Handover) => again = Some(PAUSE),
                Ok(Fate::Held) => {
                    held += 1;
                    again = again.or(Some(RECHECK));
                }
                Err(error) => {
                    warn!(secret = %Key::new(&row.namespace, &row.secret_name), %error, "the Secret could not be deleted; trying again");
                    again = Some(PAUSE);
                }
            }
        }
        context.metrics.deletions_held.set(held);
        if held > 0 {
            warn!(
                held,
                "too many VaultSecrets went at a time; their Secrets stay until `aether-vault syncs confirm`"
            );
        }
        again
    }

    async fn settle(
        &self,
        context: &Context,
        brake: &mut Brake,
        since: &HashMap<String, Instant>,
        row: &SyncRow,
    ) -> Result<Fate, kube::Error> {
        let revoked = context.is_revoked(row);
        if !row.delete_with_owner && !revoked {
            return Ok(Fate::Settled { deleted: false });
        }
        let target = Key::new(&row.namespace, &row.secret_name);
        let successors = context.index.targeting(&target);
        let waited = since.get(&row.uid).map(Instant::elapsed).unwrap_or_default();
        if !revoked && !successors.is_empty() && waited < HANDOVER {
            return Ok(Fate::Handover);
        }
        if !brake.allows(context.clock.now(), context.memory.len(), self.confirmation()) {
            return Ok(Fate::Held);
        }
        remove(context, row).await.map(|deleted| Fate::Settled { deleted })
    }
}

/// Soft-deletes the record of a row whose `VaultSecret` is gone, if that was asked for and nobody else uses it.
async fn retire(context: &Context, row: &SyncRow) -> Result<(), Error> {
    let Some(path) = row.soft_delete.as_ref().filter(|_| context.is_gone(row)) else {
        return Ok(());
    };
    if !context.index.using(path).is_empty() {
        info!(%path, "another VaultSecret uses the record: it stays");
        return Ok(());
    }
    // A namespace that is gone or going keeps its records, for whoever adopts or purges them.
    let namespace = match context.namespaces.look_up(&row.namespace).await {
        Ok(namespace) if !namespace.terminating => namespace.name,
        Ok(_) => return Ok(()),
        Err(error) => {
            warn!(namespace = row.namespace, %error, "the record stays, since its namespace cannot be asked for");
            return Ok(());
        }
    };
    let asker = asker(namespace, &row.uid, row.generation);
    // What it fed is nobody's else to delete until it has let go.
    let done = match context.door.release(&asker, path, &row.name).await {
        Ok(_) => context.door.retire(&asker, path).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => info!(%path, "soft-deleted with its VaultSecret"),
        Err(error)
            if matches!(
                error.reason(),
                Reason::PolicyDenied | Reason::RootOrphaned | Reason::ManagedByResource
            ) =>
        {
            warn!(%path, reason = error.reason().as_str(), "the record stays: it may not be deleted");
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
