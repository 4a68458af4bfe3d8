//! One look at one `VaultSecret`: decide from memory what has to be asked, ask the vault, write the Secret if it differs, remember, say so.
//!
//! The order of the questions is their price: memory, one round trip to the vault without values, values, the API server.

use kube::ResourceExt as _;
use tracing::{Instrument as _, debug, info_span, warn};

use super::apply::{self, Done};
use super::encoding::{canonical, content};
use super::fence::Basis;
use super::heads::{all_live, asker, authorised, carried, of_vault, own_version, synced, unavailable};
use super::plan::{self, Plan};
use super::problem::{Problem, Reason};
use super::report::{finish, malformed, tell};
use super::secret::{Data, Wanted};
use super::status::Outcome;
use crate::domain::record::Version;
use crate::domain::sync::backoff;
use crate::k8s::controller::context::{Context, Known, Resource};
use crate::k8s::controller::key::Key;
use crate::k8s::controller::queue::Work;
use crate::k8s::controller::restart;
use crate::k8s::crd::VaultSecret;
use crate::k8s::crd::vault_secret::{Adopt, CreationPolicy, DeletionPolicy, OnRevoked, RecordPolicy};
use crate::service::door::{Asker, RecordHead, SyncRow};

/// Failures in a row before a passing failure of ours shows in the status: a second without the store is no news.
const PATIENCE: u32 = 3;

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
    match &ended {
        Err(problem) if problem.reason == Reason::StoreUnavailable => context.vault_answered(false),
        Ok(Ended::Synced(_, done)) if *done != Done::Nothing => context.vault_answered(true),
        _ => {}
    }
    match ended {
        Ok(Ended::Leaving) => "Leaving",
        Ok(Ended::Suspended) => {
            let version = remembered_version(context, uid, plan);
            finish(context, object, plan, &Outcome::Suspended, version, "Suspended").await
        }
        Ok(Ended::Synced(version, done)) => {
            context.revoked.lift(uid);
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
            if revokes(object, &problem) && context.memory.get(uid).is_some() {
                context.revoked.order(uid);
                context.gone.notify_one();
            } else {
                context.revoked.lift(uid);
            }
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
            let version = remembered_version(context, uid, plan);
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

/// The version that the Secret carries, as it was last written.
fn remembered_version(context: &Context, uid: &str, plan: Option<&Plan>) -> Option<Version> {
    let row = context.memory.get(uid)?;
    carried(&row, plan?)
}

async fn look(context: &Context, object: &VaultSecret, plan: &Plan, work: Work<Known>) -> Result<Ended, Problem> {
    let key = work.key;
    let uid = object.uid().unwrap_or_default();
    let generation = object.metadata.generation.unwrap_or_default();
    if object.spec.suspend == Some(true) {
        context.calendar.remove(&key);
        return Ok(Ended::Suspended);
    }
    let row = context.memory.get(&uid);
    let current = row
        .as_deref()
        .filter(|row| row.generation == generation && row.secret_name == *plan.target.name);
    // Somebody asked to compare with the Secret itself, whatever is remembered of it.
    let forced = context.notes.change(&uid, |notes| std::mem::take(&mut notes.forced));
    let untouched = !forced && current.is_some_and(|row| context.untouched(row));
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
    write(context, object, plan, &asker, row.as_deref(), forced).await
}

/// Reads the values and writes the Secret if that changes anything.
async fn write(
    context: &Context,
    object: &VaultSecret,
    plan: &Plan,
    asker: &Asker,
    row: Option<&SyncRow>,
    forced: bool,
) -> Result<Ended, Problem> {
    let answers = context
        .door
        .read(asker, &plan.refs)
        .instrument(info_span!(target: "aether_vault::trace", "vault.read"))
        .await
        .map_err(|error| of_vault(object, &error, None))?;
    let mut records = Vec::with_capacity(answers.len());
    for (reference, answer) in plan.refs.iter().zip(answers) {
        records.push(answer.map_err(|error| of_vault(object, &error, Some(reference.path.as_str())))?);
    }
    let heads: Vec<RecordHead> = records.iter().map(|record| record.head.clone()).collect();
    let wanted = wanted(plan, object, plan.project(records)?);
    let hash = context.door.hash(&canonical(&wanted));
    let content_hash = context.door.hash(&content(&wanted));
    let unchanged = row.filter(|row| {
        !forced && row.data_hash == hash && row.secret_name == *plan.target.name && context.untouched(row)
    });
    let (done, secret_uid, resource_version) = match unchanged {
        Some(row) => (
            Done::Nothing,
            row.secret_uid.clone(),
            row.secret_resource_version.clone(),
        ),
        None => {
            let basis = Basis {
                object,
                asker,
                refs: &plan.refs,
                heads: &heads,
            };
            let applied = apply::apply(context, &basis, &wanted, row).await?;
            (applied.done, applied.uid, applied.resource_version)
        }
    };
    let restarts = restart::asks(object).is_some();
    // What changed before restarts were asked for is no reason for one.
    let former = row.filter(|row| row.restarts && !row.content_hash.is_empty() && row.secret_name == *plan.target.name);
    let content_changed = former.is_none_or(|row| row.content_hash != content_hash);
    let content_changed_at = match former {
        Some(_) if restarts && content_changed => Some(context.clock.now()),
        Some(former) if restarts => former.content_changed_at,
        _ => None,
    };
    let next = SyncRow {
        uid: asker.resource.uid.clone(),
        namespace: plan.target.namespace.to_string(),
        name: object.name_any(),
        generation: asker.resource.generation,
        crd_uid: context.definition_uid(),
        delete_with_owner: deletes(object),
        secret_name: plan.target.name.to_string(),
        secret_uid,
        secret_resource_version: resource_version,
        data_hash: hash,
        content_hash,
        content_changed_at,
        restarts,
        soft_delete: retires(object).then(|| plan.own.clone()),
        records: synced(&plan.refs, &heads),
    };
    if row != Some(&next) {
        remember(context, next).await?;
    }
    if restarts && content_changed || !restarts && row.is_some_and(|row| row.restarts) {
        context.restarts.changed(&plan.target.namespace);
    }
    if done == Done::Adopted {
        apply::forget_predecessors(context, &plan.target, &asker.resource.uid).await;
    }
    Ok(Ended::Synced(own_version(plan, &heads), done))
}

/// Remembers a row here and in the vault.
#[tracing::instrument(target = "aether_vault::trace", level = "info", name = "vault.remember", skip_all)]
pub(super) async fn remember(context: &Context, row: SyncRow) -> Result<(), Problem> {
    match context.door.remember(&row).await {
        Ok(true) => {
            let uid = row.uid.clone();
            context.memory.put(row);
            if context.memory.get(&uid).is_some_and(|row| context.is_gone(&row)) {
                // It was deleted while we worked on it, and the reaper looked before there was anything to see.
                context.gone.notify_one();
            }
            Ok(())
        }
        Ok(false) => Err(Problem::new(
            Reason::Internal,
            "another replica applied a newer generation; looking again",
        )),
        Err(error) => Err(unavailable(&error)),
    }
}

/// The other resource that has the better right to the target: the older one.
fn contested(context: &Context, object: &VaultSecret, plan: &Plan, key: &Key) -> Option<Key> {
    let age = |object: &VaultSecret| {
        (
            object.metadata.creation_timestamp.as_ref().map(|time| time.0),
            object.metadata.uid.clone(),
        )
    };
    let policy = |object: &VaultSecret| {
        object
            .spec
            .target
            .as_ref()
            .and_then(|target| target.creation_policy)
            .unwrap_or_default()
    };
    context
        .index
        .targeting(&plan.target)
        .into_iter()
        .filter(|other| other != key)
        .find(|other| {
            let Some(resource) = context.vault_secrets.get(other) else {
                return false;
            };
            let Resource::Sound(other) = &*resource else {
                return false;
            };
            let both_merge = policy(object) == CreationPolicy::Merge && policy(other) == CreationPolicy::Merge;
            !both_merge && other.metadata.deletion_timestamp.is_none() && age(other) < age(object)
        })
}

pub(super) fn wanted(plan: &Plan, object: &VaultSecret, data: Data) -> Wanted {
    let target = object.spec.target.clone().unwrap_or_default();
    Wanted {
        target: plan.target.clone(),
        data,
        secret_type: target.secret_type,
        labels: target.labels,
        annotations: target.annotations,
        immutable: target.immutable.unwrap_or(false),
        policy: target.creation_policy.unwrap_or_default(),
        adopts_external_secrets: target.adopt == Some(Adopt::ExternalSecrets),
        owner_reference: target.owner_reference.unwrap_or(false),
    }
}

/// Whether the Secret goes with its `VaultSecret`.
pub(super) fn deletes(object: &VaultSecret) -> bool {
    let policy = object.spec.target.as_ref().and_then(|target| target.deletion_policy);
    policy.unwrap_or_default() == DeletionPolicy::Delete
}

/// Whether the record goes with its `VaultSecret`.
fn retires(object: &VaultSecret) -> bool {
    object.spec.record_policy.unwrap_or_default() == RecordPolicy::SoftDelete
}

/// Whether a problem takes the Secret away: access was lost or the record is gone, and the user wants it gone then.
fn revokes(object: &VaultSecret, problem: &Problem) -> bool {
    let on_revoked = object.spec.target.as_ref().and_then(|target| target.on_revoked);
    on_revoked.unwrap_or_default() == OnRevoked::Delete
        && matches!(
            problem.reason,
            Reason::PolicyDenied | Reason::PathNotFound | Reason::VersionGone
        )
}
