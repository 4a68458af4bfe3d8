//! Writes `.status`, fenced by the resourceVersion: a leader that was paused cannot put an old status over a new one.

use kube::core::ObjectMeta;
use tracing::{debug, warn};

use crate::k8s::controller::context::Context;
use crate::k8s::controller::key::Key;
use crate::k8s::controller::own_status::Written;
use crate::k8s::controller::write;
use crate::k8s::crd::VaultSecret;
use crate::k8s::crd::vault_secret::VaultSecretStatus;

/// Writes the status of a resource.
///
/// # Errors
/// The word that metrics count the failure under.
pub(super) async fn write(
    context: &Context,
    object: &VaultSecret,
    status: VaultSecretStatus,
) -> Result<(), &'static str> {
    replace(context, &Key::of(object), &object.metadata, status).await
}

/// Writes the status of a resource of which only the metadata may be sound.
///
/// # Errors
/// The word that metrics count the failure under.
#[tracing::instrument(target = "aether_vault::trace", level = "info", name = "status.write", skip_all)]
pub(super) async fn replace(
    context: &Context,
    key: &Key,
    meta: &ObjectMeta,
    status: VaultSecretStatus,
) -> Result<(), &'static str> {
    let uid = meta.uid.clone().unwrap_or_default();
    let unseen = context.notes.change(&uid, |notes| {
        let unseen = notes
            .own_status
            .unseen()
            .map(|written| written.resource_version.clone());
        notes.own_status.begin();
        unseen
    });
    let resource_version = unseen.or_else(|| meta.resource_version.clone());
    let written =
        write::replace_status::<VaultSecret>(&context.client, key, meta, resource_version.as_deref(), &status).await;
    match written {
        Ok(written) => {
            let resource_version = written.resource_version.unwrap_or_default();
            let written = Written {
                status,
                resource_version,
            };
            context.notes.change(&uid, |notes| notes.own_status.answered(written));
            Ok(())
        }
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
        Err(kube::Error::Api(answer)) if answer.code == 409 => {
            // Somebody changed the object meanwhile: look at what the watch tells then.
            debug!(object = %key, "the status was not written over a newer object");
            context.notes.change(&uid, |notes| notes.own_status.overtaken());
            Err("StatusConflict")
        }
        Err(error) => {
            warn!(object = %key, %error, "the status could not be written");
            context.notes.change(&uid, |notes| notes.own_status.unanswered());
            Err("ClusterUnavailable")
        }
    }
}
