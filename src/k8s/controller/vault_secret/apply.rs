//! Carries out the one write that a Secret needs, fenced by the resourceVersion that was read.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Preconditions};
use kube::core::ObjectMeta;
use kube::{Api, ResourceExt as _};
use tracing::{info, warn};

use super::fence::Basis;
use super::ownership::{Claim, Claimant};
use super::problem::{Problem, Reason};
use super::reconcile::{deletes, remember};
use super::secret::{self, Refusal, Step, Wanted, Wiped};
use crate::k8s::controller::context::Context;
use crate::k8s::controller::key::Key;
use crate::k8s::controller::write;
use crate::k8s::crd::VaultSecret;
use crate::k8s::crd::vault_secret::CreationPolicy;
use crate::service::door::SyncRow;

/// How often a Secret is looked at again because somebody else wrote it at the same time.
const ATTEMPTS: u32 = 5;

/// What was done to the Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::k8s::controller) enum Done {
    /// Nothing: it was right.
    Nothing,
    /// There was none before.
    Created,
    /// The records changed.
    Updated,
    /// Somebody had changed or deleted it.
    Repaired,
    /// It was deleted and made again, since its type or its data could not be changed.
    Recreated,
    /// It was somebody else's and is ours now.
    Adopted,
}

impl Done {
    pub(in crate::k8s::controller) fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "unchanged",
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Repaired => "repaired",
            Self::Recreated => "recreated",
            Self::Adopted => "adopted",
        }
    }
}

/// The Secret as it is now.
pub(in crate::k8s::controller) struct Applied {
    pub(in crate::k8s::controller) done: Done,
    pub(in crate::k8s::controller) uid: String,
    pub(in crate::k8s::controller) resource_version: String,
}

/// Brings the Secret to what is wanted.
///
/// # Errors
/// The Secret is somebody else's, or the API server refuses.
#[tracing::instrument(target = "aether_vault::trace", level = "info", name = "secret.apply", skip_all)]
pub(in crate::k8s::controller) async fn apply(
    context: &Context,
    basis: &Basis<'_>,
    wanted: &Wanted,
    row: Option<&SyncRow>,
) -> Result<Applied, Problem> {
    let object = basis.object;
    let (client, namespace) = (&context.client, &wanted.target.namespace);
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let uid = object.uid().unwrap_or_default();
    let name = object.name_any();
    let same_name = row.filter(|row| row.secret_name == *wanted.target.name && !row.secret_uid.is_empty());
    let left_behind = left_behind(context, &wanted.target, &uid);
    let living = living(context, &wanted.target, &uid);
    let claimant = Claimant {
        uid: &uid,
        name: &name,
        remembered: same_name.map(|row| row.secret_uid.as_str()),
        living: &living,
        left_behind: &left_behind,
        adopts_external_secrets: wanted.adopts_external_secrets,
    };
    // A Secret that no watch ever told of is most likely not there; if it is, creating it fails and we look.
    let mut missing =
        same_name.is_none() && context.secrets.get(&wanted.target).is_none() && wanted.policy == CreationPolicy::Own;
    for _ in 0..ATTEMPTS {
        let live = if missing {
            None
        } else {
            let live = api
                .get_opt(&wanted.target.name)
                .await
                .map_err(|error| Problem::of_cluster(&error))?;
            live.map(Wiped)
        };
        missing = false;
        let step = secret::decide(wanted, &claimant, live.as_ref().map(|live| &live.0))
            .map_err(|refusal| refused(refusal, wanted))?;
        let found = live
            .as_ref()
            .and_then(|live| live.0.metadata.resource_version.as_deref());
        let as_remembered = found == same_name.map(|row| row.secret_resource_version.as_str());
        if !as_remembered && !matches!(step, Step::Nothing) {
            basis.confirm(context).await?;
        }
        let written = match step {
            Step::Nothing => Ok((
                live.as_ref().map(|live| identity(&live.0.metadata)).unwrap_or_default(),
                Done::Nothing,
            )),
            Step::Create(next) => {
                let done = if same_name.is_some() {
                    Done::Repaired
                } else {
                    Done::Created
                };
                intend(context, object, wanted, row).await?;
                write::create(client, namespace, &next.0)
                    .await
                    .map(|made| (identity(&made), done))
            }
            Step::Replace(next, claim) => {
                let done = replaced_as(claim, same_name, live.as_ref());
                write::replace(client, &wanted.target, &next.0)
                    .await
                    .map(|made| (identity(&made), done))
            }
            Step::Recreate(next) => {
                intend(context, object, wanted, row).await?;
                delete_exactly(&api, &wanted.target.name, live.as_ref()).await?;
                write::create(client, namespace, &next.0)
                    .await
                    .map(|made| (identity(&made), Done::Recreated))
            }
        };
        match written {
            Ok(((uid, resource_version), done)) => {
                leave_former_target(context, wanted, row).await;
                return Ok(Applied {
                    done,
                    uid,
                    resource_version,
                });
            }
            Err(error) if look_again(&error) => {}
            Err(error) => {
                if !matches!(&error, kube::Error::Api(status) if status.code < 500) {
                    warn!(secret = %wanted.target, %error, "the Secret was not written");
                }
                return Err(Problem::of_cluster(&error));
            }
        }
    }
    Err(Problem::new(
        Reason::ClusterUnavailable,
        "somebody else keeps writing the Secret at the same time; trying again",
    ))
}

/// Notes that a Secret is about to be made: should we be killed, or the store go away, before it is remembered, and the `VaultSecret` be
/// deleted meanwhile, nobody else would know that the Secret is ours to delete.
async fn intend(
    context: &Context,
    object: &VaultSecret,
    wanted: &Wanted,
    row: Option<&SyncRow>,
) -> Result<(), Problem> {
    // A row that speaks of the former target is needed until that one is cleaned up.
    if row.is_some_and(|row| row.secret_name != *wanted.target.name) {
        return Ok(());
    }
    let intended = SyncRow {
        uid: object.uid().unwrap_or_default(),
        namespace: wanted.target.namespace.to_string(),
        name: object.name_any(),
        generation: object.metadata.generation.unwrap_or_default(),
        crd_uid: context.definition_uid(),
        delete_with_owner: deletes(object),
        secret_name: wanted.target.name.to_string(),
        secret_uid: String::new(),
        secret_resource_version: String::new(),
        data_hash: Vec::new(),
        content_hash: row.map(|row| row.content_hash.clone()).unwrap_or_default(),
        content_changed_at: row.and_then(|row| row.content_changed_at),
        restarts: row.is_some_and(|row| row.restarts),
        soft_delete: row.and_then(|row| row.soft_delete.clone()),
        records: Vec::new(),
    };
    remember(context, intended).await
}

/// What a replacement was for: the hash tells our own change from somebody else's.
fn replaced_as(claim: Claim, row: Option<&SyncRow>, live: Option<&Wiped>) -> Done {
    let version = live.and_then(|live| live.0.metadata.resource_version.as_deref());
    match row {
        _ if claim == Claim::Adopted => Done::Adopted,
        Some(row) if version != Some(row.secret_resource_version.as_str()) => Done::Repaired,
        _ => Done::Updated,
    }
}

fn refused(refusal: Refusal, wanted: &Wanted) -> Problem {
    let name = &wanted.target.name;
    match refusal {
        Refusal::Conflict(message) => Problem::new(Reason::TargetConflict, message),
        Refusal::NothingToMergeInto => Problem::new(
            Reason::TargetMissing,
            format!("there is no Secret '{name}' to merge into; create it, or use creationPolicy Own"),
        ),
        Refusal::BeingDeleted => Problem::new(
            Reason::TargetConflict,
            format!("Secret '{name}' is being deleted and a finalizer holds it; it is made again once it is gone"),
        ),
    }
}

async fn delete_exactly(api: &Api<Secret>, name: &str, live: Option<&Wiped>) -> Result<(), Problem> {
    let Some(live) = live else { return Ok(()) };
    let preconditions = Preconditions {
        uid: live.0.metadata.uid.clone(),
        resource_version: live.0.metadata.resource_version.clone(),
    };
    let params = DeleteParams {
        preconditions: Some(preconditions),
        ..Default::default()
    };
    match api.delete(name, &params).await {
        Ok(either) => {
            either.map_left(Wiped);
            Ok(())
        }
        Err(error) if look_again(&error) => Ok(()),
        Err(error) => Err(Problem::of_cluster(&error)),
    }
}

/// When the spec names another Secret than before, the former one is ours to clean up, unless it was to be retained.
async fn leave_former_target(context: &Context, wanted: &Wanted, row: Option<&SyncRow>) {
    let Some(row) = row.filter(|row| row.secret_name != *wanted.target.name) else {
        return;
    };
    let former = Key::new(&row.namespace, &row.secret_name);
    if !row.delete_with_owner {
        return;
    }
    match super::remove::remove(context, row).await {
        Ok(removed) => info!(secret = %former, removed, "the VaultSecret names another Secret now"),
        Err(error) => warn!(secret = %former, %error, "the former Secret could not be removed"),
    }
}

/// The other `VaultSecret`s that write a Secret, by uid.
fn living(context: &Context, target: &Key, uid: &str) -> Vec<String> {
    let keys = context.index.targeting(target).into_iter();
    let uids = keys.filter_map(|key| context.vault_secrets.get(&key).map(|object| object.uid().to_owned()));
    uids.filter(|other| other != uid).collect()
}

/// The Secrets of this name that are remembered of `VaultSecret`s which are gone.
fn left_behind(context: &Context, target: &Key, uid: &str) -> Vec<String> {
    let rows = context.memory.of_secret(target).into_iter();
    rows.filter(|row| row.uid != uid && context.is_gone(row))
        .map(|row| row.secret_uid.clone())
        .collect()
}

/// Forgets the `VaultSecret`s that had the Secret before.
pub(in crate::k8s::controller) async fn forget_predecessors(context: &Context, target: &Key, uid: &str) {
    for row in context.memory.of_secret(target) {
        if row.uid != uid && context.is_gone(&row) {
            match context.door.forget(&row, false).await {
                Ok(()) => context.memory.remove(&row.uid),
                Err(error) => warn!(secret = %target, %error, "a predecessor is still remembered"),
            }
        }
    }
}

fn identity(meta: &ObjectMeta) -> (String, String) {
    (
        meta.uid.clone().unwrap_or_default(),
        meta.resource_version.clone().unwrap_or_default(),
    )
}

/// Somebody else wrote, made or deleted the Secret since it was read.
fn look_again(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409))
}
