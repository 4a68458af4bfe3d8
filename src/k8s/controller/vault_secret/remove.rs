//! Takes away what a `VaultSecret` that is gone, or that names another Secret now, had put into a Secret.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use kube::core::PartialObjectMeta;

use super::ownership::{MANAGED_BY, MANAGER, OWNER_UID, merged_annotation};
use super::secret::{self, Wiped};
use crate::k8s::controller::context::Context;
use crate::k8s::controller::key::Key;
use crate::k8s::controller::write;
use crate::service::door::SyncRow;

/// How often a Secret is looked at again because somebody else wrote it at the same time.
const ATTEMPTS: u32 = 5;

/// Deletes the Secret of a row if it is still the one that is remembered and still that `VaultSecret`'s; from a Secret of somebody else, takes
/// out what was merged. Answers whether anything was taken away.
///
/// # Errors
/// The API server does not answer, or forbids it.
pub(in crate::k8s::controller) async fn remove(context: &Context, row: &SyncRow) -> Result<bool, kube::Error> {
    let metas: Api<PartialObjectMeta<Secret>> = Api::namespaced(context.client.clone(), &row.namespace);
    for _ in 0..ATTEMPTS {
        let Some(found) = metas.get_opt(&row.secret_name).await? else {
            return Ok(false);
        };
        let meta = found.metadata;
        // What was being made when we were interrupted has a uid that nobody noted; it is known by the marks that are checked below.
        if !row.secret_uid.is_empty() && meta.uid.as_deref() != Some(row.secret_uid.as_str()) {
            return Ok(false);
        }
        let has = |map: &Option<std::collections::BTreeMap<String, String>>, key: &str, value: &str| {
            map.as_ref()
                .and_then(|map| map.get(key))
                .is_some_and(|found| found == value)
        };
        let outcome = if has(&meta.labels, MANAGED_BY, MANAGER) && has(&meta.annotations, OWNER_UID, &row.uid) {
            let preconditions = Preconditions {
                uid: meta.uid,
                resource_version: meta.resource_version,
            };
            let params = DeleteParams {
                preconditions: Some(preconditions),
                ..Default::default()
            };
            let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &row.namespace);
            secrets
                .delete(&row.secret_name, &params)
                .await
                .map(|either| drop(either.map_left(Wiped)))
        } else if meta
            .annotations
            .as_ref()
            .is_some_and(|annotations| annotations.contains_key(&merged_annotation(&row.uid)))
        {
            unmerge(context, row).await
        } else {
            return Ok(false);
        };
        match outcome {
            Ok(()) => return Ok(true),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

async fn unmerge(context: &Context, row: &SyncRow) -> Result<(), kube::Error> {
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &row.namespace);
    let live = Wiped(secrets.get(&row.secret_name).await?);
    let Some(next) = secret::unmerge(&live.0, &row.uid) else {
        return Ok(());
    };
    let at = Key::new(&row.namespace, &row.secret_name);
    write::replace(&context.client, &at, &next.0).await.map(drop)
}
