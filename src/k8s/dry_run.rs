//! What a cluster says of a manifest, asked with the rights of whoever asks. Nothing is changed.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{ListParams, Patch, PatchParams, ValidationDirective};
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::{Api, Client};
use serde_json::Value;

use crate::k8s::controller::workloads_that_use;
use crate::k8s::crd::{VaultPolicy, VaultSecret};

/// What the API server notes as the manager of fields in a dry run.
const MANAGER: &str = "aether-vault-plan";

/// The kinds that are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `VaultSecret`.
    VaultSecret,
    /// `VaultPolicy`.
    VaultPolicy,
}

/// A cluster, as its user sees it.
pub struct Cluster {
    client: Client,
    namespace: String,
}

impl Cluster {
    /// Connects as kubectl would.
    ///
    /// # Errors
    /// There is no kubeconfig that leads anywhere.
    pub async fn connect() -> Result<Self, String> {
        let client = Client::try_default().await.map_err(|error| error.to_string())?;
        let namespace = client.default_namespace().to_owned();
        Ok(Self { client, namespace })
    }

    /// The namespace of the kubeconfig's context.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Lets the API server judge a manifest, without applying it; answers why it refuses, if it does.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn judge(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        manifest: &Value,
    ) -> Result<Option<String>, String> {
        let resource = match kind {
            Kind::VaultSecret => kube::core::ApiResource::erase::<VaultSecret>(&()),
            Kind::VaultPolicy => kube::core::ApiResource::erase::<VaultPolicy>(&()),
        };
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let params = PatchParams {
            dry_run: true,
            force: true,
            field_manager: Some(MANAGER.to_owned()),
            field_validation: Some(ValidationDirective::Strict),
        };
        match api.patch(name, &params, &Patch::Apply(manifest)).await {
            Ok(_) => Ok(None),
            Err(kube::Error::Api(status)) if refuses(status.code, &status.message) => Ok(Some(status.message.clone())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The uid of a `VaultSecret` that stands.
    ///
    /// # Errors
    /// It may not be read.
    pub async fn uid(&self, namespace: &str, name: &str) -> Result<Option<String>, String> {
        let api: Api<PartialObjectMeta<VaultSecret>> = Api::namespaced(self.client.clone(), namespace);
        let found = api.get_opt(name).await.map_err(|error| told(&error))?;
        Ok(found.and_then(|object| object.metadata.uid))
    }

    /// A Secret.
    ///
    /// # Errors
    /// It may not be read.
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Secret>, String> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        api.get_opt(name).await.map_err(|error| told(&error))
    }

    /// The labels of a namespace; none if it is not there or may not be read.
    pub async fn labels(&self, namespace: &str) -> BTreeMap<String, String> {
        let api: Api<PartialObjectMeta<Namespace>> = Api::all(self.client.clone());
        let found = api.get_opt(namespace).await.ok().flatten();
        found
            .and_then(|namespace| namespace.metadata.labels)
            .unwrap_or_default()
    }

    /// The workloads that use a Secret and may be restarted, such as `Deployment orders`.
    ///
    /// # Errors
    /// They may not be listed.
    pub async fn workloads(&self, namespace: &str, secret: &str) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        for (resource, optional, uses) in workloads_that_use(secret) {
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
            match api.list(&ListParams::default()).await {
                Ok(list) => found.extend(list.items.iter().filter(|object| uses(object)).map(|object| {
                    format!(
                        "{} {}",
                        resource.kind,
                        object.metadata.name.as_deref().unwrap_or_default()
                    )
                })),
                Err(kube::Error::Api(status)) if optional && matches!(status.code, 403 | 404) => {}
                Err(error) => return Err(told(&error)),
            }
        }
        Ok(found)
    }
}

/// Whether an answer is about the manifest. A field that the schema does not know is answered with 500 in server-side apply.
fn refuses(code: u16, message: &str) -> bool {
    code < 500 || message.ends_with("field not declared in schema")
}

fn told(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_field_is_the_manifests_fault_and_an_outage_is_not() {
        assert!(refuses(422, "spec.path: Invalid value"));
        assert!(refuses(
            500,
            "failed to create typed patch object (shop/db; aethervault.io/v1alpha1, Kind=VaultSecret): .spec.pth: field not declared in schema"
        ));
        assert!(!refuses(500, "etcdserver: request timed out"));
        assert!(!refuses(503, "the server is currently unable to handle the request"));
    }
}
