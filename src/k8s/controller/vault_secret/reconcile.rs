//! One look at one `VaultSecret`: decide from memory what has to be asked, ask the vault, write the Secret if it differs, remember, say so.
//!
//! The order of the questions is their price: memory, one round trip to the vault without values, values, the API server.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use tracing::{debug, warn};

use super::apply::Done;
use super::authorise::{all_live, authorised};
use super::deliver::{carried, contested, own_version, synced, write};
use super::plan::{self, Plan};
use super::problem::{Problem, Reason};
use super::status::{self, Facts, Outcome};
use super::write_status;
use crate::domain::actor::NamespaceName;
use crate::domain::record::Version;
use crate::domain::sync::backoff;
use crate::k8s::controller::context::{Context, Known, Resource};
use crate::k8s::controller::key::Key;
use crate::k8s::controller::queue::Work;
use crate::k8s::crd::VaultSecret;
use crate::service::context::ResourceOrigin;
use crate::service::door::{Asker, SyncRow};

/// Failures in a row before a passing failure of ours shows in the status: a second without the store is no news.
const PATIENCE: u32 = 3;

/// Pause after the status could not be written: mostly, the watch has not told yet what somebody wrote.
const STATUS_PAUSE: Duration = Duration::from_millis(200);

/// What a look ended with.
enum Ended {
    /// The Secret is right; what was done to it, and the own record's version.
    Synced(Option<Version>, Done),
    /// Suspended by its user.
    Suspended,
    /// Its namespace is going, and takes everything with it.
    Leaving,
}

/// Looks at a resource once. Answers the word that metrics count it under.
pub(in crate::k8s::controller) async fn reconcile(context: &Context, work: Work<Known>) -> &'static str {
    let Some(resource) = context.vault_secrets.get(&work.key) else {
        return "Gone";
    };
    let object = match &*resource {
        Resource::Sound(object) => object,
        Resource::Malformed(meta) => return malformed(context, &work.key, meta).await,
    };
    if object.metadata.deletion_timestamp.is_some() {
        // Somebody's finalizer holds it. Until it is gone, nothing changes.
        return "Leaving";
    }
    let uid = resource.uid();
    let since = work.since;
    let from_vault = work.causes.vault;
    let planned = plan::plan(context.door.prefix(), object);
    let ended = match &planned {
        Ok(plan) => look(context, object, plan, work).await,
        Err(problem) => Err(problem.clone()),
    };
    let plan = planned.as_ref().ok();
    match ended {
        Ok(Ended::Leaving) => "Leaving",
        Ok(Ended::Suspended) => finish(context, object, plan, &Outcome::Suspended, None, "Suspended").await,
        Ok(Ended::Synced(version, done)) => {
            if done != Done::Nothing {
                context.metrics.secrets.with_label_values(&[done.as_str()]).inc();
                if from_vault {
                    context
                        .metrics
                        .change_to_secret_seconds
                        .observe(since.elapsed().as_secs_f64());
                }
                tell(context, object, plan, version, done);
            }
            finish(context, object, plan, &Outcome::Synced, version, "Synced").await
        }
        Err(problem) => {
            let failures = context.notes.change(uid, |notes| {
                notes.failures = notes.failures.saturating_add(1);
                notes.failures
            });
            if problem.retried {
                context.queue.retry(Key::of(object), backoff::delay(failures, uid));
            }
            if problem.unknown && failures < PATIENCE {
                debug!(object = %Key::of(object), %problem, "trying again");
                return problem.reason.as_str();
            }
            let version = context
                .memory
                .get(uid)
                .zip(plan)
                .and_then(|(row, plan)| carried(&row, plan));
            finish(
                context,
                object,
                plan,
                &Outcome::Problem(&problem),
                version,
                problem.reason.as_str(),
            )
            .await
        }
    }
}

async fn look(context: &Context, object: &VaultSecret, plan: &Plan, work: Work<Known>) -> Result<Ended, Problem> {
    let key = work.key;
    let uid = object.uid().unwrap_or_default();
    let generation = object.metadata.generation.unwrap_or_default();
    if object.spec.suspend == Some(true) {
        return Ok(Ended::Suspended);
    }
    let row = context.memory.get(&uid);
    let current = row
        .as_deref()
        .filter(|row| row.generation == generation && row.secret_name == *plan.target.name);
    let untouched = current.is_some_and(|row| context.untouched(row));
    if untouched && !work.causes.vault {
        // The echo of our own write, or of somebody's edit that changed nothing we set.
        let version = current.and_then(|row| carried(row, plan));
        if context.notes.get(&uid).known.is_some_and(|known| all_live(&known)) {
            return Ok(Ended::Synced(version, Done::Nothing));
        }
    }
    if let Some(winner) = contested(context, object, plan, &key) {
        return Err(Problem::new(
            Reason::TargetConflict,
            format!(
                "VaultSecret '{}' writes Secret '{}' already; choose another target.name",
                winner.name, plan.target.name
            ),
        ));
    }
    let namespace = match context.namespaces.look_up(&key.namespace).await {
        Ok(namespace) if namespace.terminating => return Ok(Ended::Leaving),
        Ok(namespace) => namespace.name,
        Err(error) => {
            warn!(namespace = %key.namespace, %error, "cannot act for the namespace");
            return Err(Problem::new(
                Reason::ClusterUnavailable,
                "the namespace cannot be read; trying again",
            ));
        }
    };
    let asker = asker(namespace, &uid, generation);
    let known = work.known.filter(|known| known.refs == plan.refs);
    let heads = authorised(context, &asker, object, plan, current.is_some(), known).await?;
    if untouched && current.is_some_and(|row| row.records == synced(&plan.refs, &heads)) {
        return Ok(Ended::Synced(own_version(plan, &heads), Done::Nothing));
    }
    let (version, done) = write(context, object, plan, &asker, row.as_deref()).await?;
    Ok(Ended::Synced(version, done))
}

/// Who asks: the namespace as it is now, for this resource.
pub(in crate::k8s::controller) fn asker(namespace: NamespaceName, uid: &str, generation: i64) -> Asker {
    Asker {
        namespace,
        resource: ResourceOrigin {
            uid: uid.to_owned(),
            generation,
        },
    }
}

fn tell(context: &Context, object: &VaultSecret, plan: Option<&Plan>, version: Option<Version>, done: Done) {
    let Some(plan) = plan else { return };
    let secret = &plan.target.name;
    let carried = version
        .map(|version| format!(" and carries version {version} of '{}'", plan.own))
        .unwrap_or_default();
    match done {
        // A first sync is no news, and a thousand of them are a flood.
        Done::Nothing | Done::Created => {}
        Done::Repaired => context.events.note(
            object,
            "SecretRepaired",
            format!("Secret '{secret}' had been changed or deleted and was written again"),
        ),
        Done::Updated => context.events.note(
            object,
            "SecretUpdated",
            format!("Secret '{secret}' was written{carried}"),
        ),
        Done::Recreated => context.events.note(
            object,
            "SecretRecreated",
            format!("Secret '{secret}' was made anew{carried}"),
        ),
        Done::Adopted => context.events.note(
            object,
            "SecretAdopted",
            format!("Secret '{secret}' was taken over{carried}"),
        ),
    }
    debug!(object = %Key::of(object), %secret, done = done.as_str(), "wrote the Secret");
}

/// Shows the outcome in the status, if it says anything new.
async fn finish(
    context: &Context,
    object: &VaultSecret,
    plan: Option<&Plan>,
    outcome: &Outcome<'_>,
    version: Option<Version>,
    word: &'static str,
) -> &'static str {
    let uid = object.uid().unwrap_or_default();
    if !matches!(outcome, Outcome::Problem(_)) {
        context.notes.change(&uid, |notes| notes.failures = 0);
    }
    let facts = facts(context, object, plan, version);
    let standing = context
        .notes
        .get(&uid)
        .written
        .map(|written| written.status)
        .or_else(|| object.status.clone());
    let next = status::status(
        outcome,
        facts,
        object.metadata.generation,
        standing.as_ref(),
        context.clock.now(),
    );
    if standing
        .as_ref()
        .is_some_and(|standing| status::says_the_same(standing, &next))
    {
        return word;
    }
    let ready = |status: &crate::k8s::crd::VaultSecretStatus| {
        status
            .conditions
            .iter()
            .find(|c| c.kind == "Ready")
            .map(|c| c.reason.clone())
    };
    let news = standing.as_ref().and_then(&ready) != ready(&next);
    match write_status::write(context, object, next).await {
        Ok(()) => {
            if let Outcome::Problem(problem) = outcome
                && news
                && problem.reason != Reason::StoreUnavailable
            {
                context
                    .events
                    .warn(object, problem.reason.as_str(), problem.message.clone());
            }
            word
        }
        Err(failure) => {
            context.queue.retry(Key::of(object), STATUS_PAUSE);
            failure
        }
    }
}

/// What the status says besides conditions.
pub(in crate::k8s::controller) fn facts(
    context: &Context,
    object: &VaultSecret,
    plan: Option<&Plan>,
    version: Option<Version>,
) -> Facts {
    let row: Option<Arc<SyncRow>> = object.uid().and_then(|uid| context.memory.get(&uid));
    Facts {
        path: plan.map(|plan| plan.own.to_string()),
        version,
        secret: row.map(|row| row.secret_name.clone()),
    }
}

/// Says of an object that cannot be read that it cannot be read.
async fn malformed(context: &Context, key: &Key, meta: &kube::core::ObjectMeta) -> &'static str {
    let problem = Problem::new(
        Reason::InvalidSpec,
        "the resource does not fit this version of aether-vault; apply the definitions that come with it, then the resource again",
    );
    let next = status::status(
        &Outcome::Problem(&problem),
        Facts::default(),
        meta.generation,
        None,
        context.clock.now(),
    );
    let uid = meta.uid.clone().unwrap_or_default();
    let told = context
        .notes
        .get(&uid)
        .written
        .is_some_and(|written| status::says_the_same(&written.status, &next));
    if told {
        return Reason::InvalidSpec.as_str();
    }
    match write_status::patch(context, key, meta, next).await {
        Ok(()) => Reason::InvalidSpec.as_str(),
        Err(word) => word,
    }
}
