//! From records to the Secret: read the values, write what differs, remember what was written.

use kube::ResourceExt as _;

use super::apply::{self, Done};
use super::authorise::{of_vault, unavailable};
use super::plan::Plan;
use super::problem::{Problem, Reason};
use super::secret::{Data, Wanted, canonical};
use crate::domain::record::Version;
use crate::k8s::controller::context::{Context, Resource};
use crate::k8s::controller::key::Key;
use crate::k8s::crd::VaultSecret;
use crate::k8s::crd::vault_secret::{CreationPolicy, DeletionPolicy};
use crate::service::door::{Asker, RecordHead, RecordRef, SyncRow, SyncedRecord};

/// Reads the values and writes the Secret if that changes anything. Answers the own record's version and what was done.
pub(super) async fn write(
    context: &Context,
    object: &VaultSecret,
    plan: &Plan,
    asker: &Asker,
    row: Option<&SyncRow>,
) -> Result<(Option<Version>, Done), Problem> {
    let answers = context
        .door
        .read(asker, &plan.refs)
        .await
        .map_err(|error| of_vault(object, &error, None))?;
    let mut records = Vec::with_capacity(answers.len());
    for (reference, answer) in plan.refs.iter().zip(answers) {
        records.push(answer.map_err(|error| of_vault(object, &error, Some(reference.path.as_str())))?);
    }
    let heads: Vec<RecordHead> = records.iter().map(|record| record.head).collect();
    let wanted = wanted(plan, object, plan.project(records)?);
    let hash = context.door.hash(&canonical(&wanted));
    let unchanged =
        row.filter(|row| row.data_hash == hash && row.secret_name == *plan.target.name && context.untouched(row));
    let (done, secret_uid, resource_version) = match unchanged {
        Some(row) => (
            Done::Nothing,
            row.secret_uid.clone(),
            row.secret_resource_version.clone(),
        ),
        None => {
            let applied = apply::apply(context, object, &wanted, row).await?;
            (applied.done, applied.uid, applied.resource_version)
        }
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
        records: synced(&plan.refs, &heads),
    };
    if row != Some(&next) {
        remember(context, next).await?;
    }
    if done == Done::Adopted {
        apply::forget_predecessors(context, &plan.target, &asker.resource.uid).await;
    }
    Ok((own_version(plan, &heads), done))
}

/// Remembers a row here and in the vault.
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
pub(super) fn contested(context: &Context, object: &VaultSecret, plan: &Plan, key: &Key) -> Option<Key> {
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

fn wanted(plan: &Plan, object: &VaultSecret, data: Data) -> Wanted {
    let target = object.spec.target.clone().unwrap_or_default();
    Wanted {
        target: plan.target.clone(),
        data,
        secret_type: target.secret_type,
        labels: target.labels,
        annotations: target.annotations,
        immutable: target.immutable.unwrap_or(false),
        policy: target.creation_policy.unwrap_or_default(),
    }
}

/// Whether the Secret goes with its `VaultSecret`.
pub(super) fn deletes(object: &VaultSecret) -> bool {
    let policy = object.spec.target.as_ref().and_then(|target| target.deletion_policy);
    policy.unwrap_or_default() == DeletionPolicy::Delete
}

/// The records as they are remembered.
pub(in crate::k8s::controller) fn synced(refs: &[RecordRef], heads: &[RecordHead]) -> Vec<SyncedRecord> {
    let pairs = refs.iter().zip(heads);
    pairs
        .map(|(reference, head)| SyncedRecord {
            path: reference.path.clone(),
            version: head.version,
            revision: head.revision,
            pinned: reference.version.is_some(),
        })
        .collect()
}

pub(super) fn own_version(plan: &Plan, heads: &[RecordHead]) -> Option<Version> {
    let mut pairs = plan.refs.iter().zip(heads);
    pairs
        .find(|(reference, _)| reference.path == plan.own)
        .map(|(_, head)| head.version)
}

/// The version of the own record that the Secret carries, as remembered.
pub(in crate::k8s::controller) fn carried(row: &SyncRow, plan: &Plan) -> Option<Version> {
    row.records
        .iter()
        .find(|record| record.path == plan.own)
        .map(|record| record.version)
}
