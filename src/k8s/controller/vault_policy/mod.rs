//! `VaultPolicy`: from the resource to a policy in force, confined to what its namespace may speak for.
//!
//! A policy ends when its resource is gone, never because its definition is: a deny that vanished with the definition would open what it
//! closed.

mod document;
mod status;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::ResourceExt as _;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tracing::{Instrument as _, info, warn};

pub(super) use document::window_of;

use self::document::document;
use self::status::{Standing, confined, in_force, is_overruled, previewed, refused, show};
use super::context::{Context, Resource};
use super::definition::Definition;
use super::key::Key;
use super::queue::{Causes, Class, Queue};
use super::term::reconcile_span;
use super::watch::Notice;
use crate::domain::path::PathPrefix;
use crate::domain::policy::beyond_scope;
use crate::domain::root::namespace_prefix;
use crate::domain::sync::backoff;
use crate::k8s::crd::VaultPolicy;
use crate::service::door::PolicyResource;
use crate::service::error::Reason as VaultReason;

/// Pause after something did not answer.
const PAUSE: Duration = Duration::from_secs(2);

/// What waits to be done about policies.
pub(super) struct Policies {
    queue: Queue<()>,
    gone: Notify,
    /// When each policy, by its uid, is counted again although it did not change: what it concerns does.
    due: Mutex<HashMap<String, Instant>>,
    /// The uid of the definition, once it was looked at since the last listing.
    definition: Mutex<Option<String>>,
}

impl Policies {
    pub(super) fn new() -> Self {
        Self {
            queue: Queue::new(),
            gone: Notify::new(),
            due: Mutex::default(),
            definition: Mutex::default(),
        }
    }

    /// What a watch told.
    pub(super) fn notice(&self, notice: Notice<'_, Resource<VaultPolicy>>) {
        match notice {
            Notice::Applied {
                key,
                object,
                before,
                listing,
            } => {
                if listing {
                    // It may come through another definition than the last.
                    *self.definition() = None;
                }
                let same = |before: &Arc<Resource<VaultPolicy>>| {
                    before.uid() == object.uid() && before.meta().generation == object.meta().generation
                };
                if !before.as_ref().is_some_and(same) {
                    self.queue.add(key.clone(), Causes::CLUSTER, Class::Change, None);
                }
            }
            Notice::Gone { key, object } => {
                self.queue.forget(key);
                self.due().remove(object.uid());
                self.gone.notify_one();
            }
            Notice::Listed => self.gone.notify_one(),
        }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.backlog().0
    }

    /// Puts policies in force as they come.
    pub(super) async fn apply(&self, context: &Context) {
        context.vault_policies.listed().await;
        let mut failures = HashMap::<Key, u32>::new();
        loop {
            let work = self.queue.next().await;
            let timer = context
                .metrics
                .reconcile_seconds
                .with_label_values(&["VaultPolicy"])
                .start_timer();
            let span = reconcile_span("VaultPolicy");
            let word = match context.vault_policies.get(&work.key) {
                None => "Gone",
                Some(object) => match self
                    .reconcile(context, &work.key, &object)
                    .instrument(span.clone())
                    .await
                {
                    Ok((word, again)) => {
                        failures.remove(&work.key);
                        if let Some(again) = again {
                            self.queue.retry(work.key.clone(), again);
                        }
                        word
                    }
                    Err(word) => {
                        let count = failures.entry(work.key.clone()).or_default();
                        *count = count.saturating_add(1);
                        self.queue.retry(work.key.clone(), backoff::delay(*count, object.uid()));
                        word
                    }
                },
            };
            span.record("reason", word);
            timer.observe_duration();
            context
                .metrics
                .reconciles
                .with_label_values(&["VaultPolicy", word])
                .inc();
            self.queue.done(&work.key);
        }
    }

    /// Ends policies whose resources are gone.
    pub(super) async fn retain(&self, context: &Context) {
        context.vault_policies.listed().await;
        loop {
            self.gone.notified().await;
            while let Err(()) = self.end_gone(context).await {
                sleep(PAUSE).await;
            }
        }
    }

    async fn reconcile(
        &self,
        context: &Context,
        key: &Key,
        object: &Resource<VaultPolicy>,
    ) -> Result<(&'static str, Option<Duration>), &'static str> {
        let Resource::Sound(policy) = object else {
            let message = "the resource does not fit this version of aether-vault; apply the definitions that come with it, then the resource again";
            let standing = refused("InvalidSpec", message.to_owned());
            return show(context, key, object, None, &standing)
                .await
                .map(|()| ("InvalidSpec", None));
        };
        let standing = self.put_in_force(context, key, policy).await?;
        let word = standing.ready.1;
        show(context, key, object, policy.status.as_ref(), &standing).await?;
        Ok((word, standing.again))
    }

    async fn put_in_force(&self, context: &Context, key: &Key, policy: &VaultPolicy) -> Result<Standing, &'static str> {
        let prefix = context.door.prefix();
        let Some(own) = namespace_prefix(prefix, &key.namespace) else {
            return Ok(refused(
                "InvalidSpec",
                format!("namespace '{}' cannot be part of a path", key.namespace),
            ));
        };
        let scope = if *key.namespace != *context.settings.operator_namespace {
            own.clone()
        } else if context.settings.platform {
            PathPrefix::all()
        } else {
            PathPrefix::parse(prefix).map_err(|_| "Internal")?
        };
        let document = document(policy, &own);
        let outside = beyond_scope(&document, &scope);
        let known = self.definition().clone();
        let definition = match known {
            Some(uid) => uid,
            None => self
                .look(context)
                .await
                .map_err(|()| "ClusterUnavailable")?
                .ok_or("Leaving")?,
        };
        let resource = PolicyResource {
            uid: policy.uid().unwrap_or_default(),
            generation: policy.metadata.generation.unwrap_or_default(),
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            crd_uid: definition,
            scope: scope.clone(),
            document,
        };
        let preview = policy.spec.preview == Some(true);
        let confined = outside
            .first()
            .map(|problem| confined(&problem.to_string(), outside.len(), &scope));
        let applied = if preview {
            Ok(false)
        } else {
            context.door.apply_policy(&resource).await
        };
        let done = match applied {
            Ok(changed) => {
                if changed {
                    info!(policy = %key, "in force");
                    self.recount(context, resource.denies());
                }
                // Counted when something is new or it is time, not at every look: it reads the lists of actors and records.
                let told = policy.status.as_ref();
                let known = told.is_some_and(|status| {
                    status.subjects.is_some() && status.observed_generation == policy.metadata.generation
                });
                if preview || changed || !known || self.until_due(context, &resource.uid).is_zero() {
                    let namespaces = context.namespaces.known();
                    let report = context.door.report_policy(&resource, &namespaces).await;
                    if report.is_ok() {
                        self.due().remove(&resource.uid);
                    }
                    report.map(Some)
                } else {
                    Ok(None)
                }
            }
            Err(error) => Err(error),
        };
        match done {
            Ok(report) => {
                let now = context.clock.now();
                let standing = if preview {
                    previewed(confined)
                } else {
                    in_force(&resource, confined, now)
                };
                let recount = self.until_due(context, &resource.uid);
                let again = Some(standing.again.map_or(recount, |again| again.min(recount)));
                Ok(Standing {
                    report,
                    again,
                    ..standing
                })
            }
            Err(error) if error.reason() == VaultReason::InvalidPolicy => {
                context.events.warn(policy, "InvalidPolicy", error.message().to_owned());
                Ok(refused("InvalidPolicy", error.message().to_owned()))
            }
            Err(error) => {
                warn!(policy = %key, reason = error.reason().as_str(), "the policy could not be put in force; trying again");
                Err(error.reason().as_str())
            }
        }
    }

    async fn end_gone(&self, context: &Context) -> Result<(), ()> {
        let Some(uid) = self.look(context).await? else {
            warn!("the definition of VaultPolicy is gone: every policy stays in force");
            return Ok(());
        };
        let ended = end_gone(context, &uid).await?;
        if ended > 0 {
            info!(ended, "policies ended with their resources");
            self.recount(context, false);
        }
        Ok(())
    }

    /// How long until a policy is counted again.
    fn until_due(&self, context: &Context, uid: &str) -> Duration {
        let interval = context.settings.full_check_interval;
        let mut due = self.due();
        let due = due.entry(uid.to_owned()).or_insert_with(|| Instant::now() + interval);
        due.saturating_duration_since(Instant::now())
    }

    /// Looks anew at the policies that denies of others overrule, since one of those may have changed; at every policy if a new deny may
    /// overrule it.
    fn recount(&self, context: &Context, everything: bool) {
        for (key, object) in context.vault_policies.all() {
            let Resource::Sound(policy) = &*object else { continue };
            if everything || policy.status.as_ref().is_some_and(is_overruled) {
                self.due().insert(object.uid().to_owned(), Instant::now());
                self.queue.add(key, Causes::AGAIN, Class::Routine, None);
            }
        }
    }

    fn due(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The definition that stands, if one does.
    async fn look(&self, context: &Context) -> Result<Option<String>, ()> {
        match context.definitions.look::<VaultPolicy>().await {
            Ok(Definition::Standing { uid }) => {
                *self.definition() = Some(uid.clone());
                Ok(Some(uid))
            }
            Ok(Definition::Leaving) => Ok(None),
            Err(error) => {
                warn!(%error, "cannot read the definition of VaultPolicy; policies stay as they are meanwhile");
                Err(())
            }
        }
    }

    fn definition(&self) -> MutexGuard<'_, Option<String>> {
        self.definition.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the policies of resources that are gone; answers how many.
async fn end_gone(context: &Context, definition: &str) -> Result<u64, ()> {
    let live: Vec<String> = context
        .vault_policies
        .all()
        .into_iter()
        .map(|(_, object)| object.uid().to_owned())
        .collect();
    match context.door.retain_policies(definition, &live).await {
        Ok(ended) => Ok(ended),
        Err(error) => {
            warn!(
                reason = error.reason().as_str(),
                "policies of deleted resources could not be ended; trying again"
            );
            Err(())
        }
    }
}
