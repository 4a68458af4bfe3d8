//! What a write of a Secret rests on, confirmed when there is a sign that somebody else led meanwhile.
//!
//! A Secret is written with the resourceVersion that was read just before. That alone does not stop a leader that stood still *between* its
//! question to the vault and that read: it would see the Secret as another one made it since, and put older data over it. So a Secret that is
//! not as it was remembered before the vault was asked is written only if nothing changed since in what the data was made of.

use kube::core::PartialObjectMeta;
use kube::{Api, ResourceExt as _};

use super::heads::{inspect, synced};
use super::problem::{Problem, Reason};
use crate::k8s::controller::context::Context;
use crate::k8s::crd::VaultSecret;
use crate::service::door::{Asker, Inspection, RecordHead, RecordRef};

/// What the data of a Secret was made of.
pub(super) struct Basis<'a> {
    pub(super) object: &'a VaultSecret,
    pub(super) asker: &'a Asker,
    pub(super) refs: &'a [RecordRef],
    pub(super) heads: &'a [RecordHead],
}

impl Basis<'_> {
    /// Asks the vault and the API server whether records and resource are still those that the data was made of.
    ///
    /// # Errors
    /// They are not, or nobody answers; both are tried again.
    pub(super) async fn confirm(&self, context: &Context) -> Result<(), Problem> {
        let now = inspect(context, self.asker, self.refs).await?;
        let heads: Vec<RecordHead> = now
            .into_iter()
            .filter_map(|inspection| match inspection {
                Inspection::Present(head) => Some(head),
                Inspection::Absent | Inspection::Denied { .. } => None,
            })
            .collect();
        if synced(self.refs, &heads) != synced(self.refs, self.heads) {
            return Err(outdated());
        }
        let api: Api<VaultSecret> = Api::namespaced(context.client.clone(), &self.asker.namespace.name);
        let found: Option<PartialObjectMeta<VaultSecret>> = api
            .get_metadata_opt(&self.object.name_any())
            .await
            .map_err(|error| Problem::of_cluster(&error))?;
        let stands = found.is_some_and(|found| {
            found.metadata.uid == self.object.metadata.uid
                && found.metadata.generation == self.object.metadata.generation
                && found.metadata.deletion_timestamp.is_none()
        });
        if stands { Ok(()) } else { Err(outdated()) }
    }
}

fn outdated() -> Problem {
    Problem::new(
        Reason::ClusterUnavailable,
        "the records or the resource changed while the Secret was about to be written; looking again",
    )
}
