//! Whether a custom resource definition is still the one it was.
//!
//! When somebody deletes a definition, Kubernetes deletes every resource of it, one by one; that must neither delete Secrets nor lift
//! denies. With the right to read definitions the uid and the deletion are seen; with namespaced roles alone, discovery still tells that a
//! definition is being deleted: it offers no `create` any more.

use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::PartialObjectMeta;
use kube::{Api, Client, Resource};

use crate::k8s::crd::{GROUP, VERSION};

/// What is known of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Definition {
    /// It stands; with its uid, or without one where definitions may not be read.
    Standing {
        /// The uid; empty if it may not be read.
        uid: String,
    },
    /// It is gone or being deleted.
    Leaving,
}

/// Reads definitions.
pub(super) struct Definitions {
    client: Client,
    /// Whether a definition could be read so far.
    readable: AtomicBool,
}

impl Definitions {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            readable: AtomicBool::new(true),
        }
    }

    /// Whether definitions may be read, as far as is known.
    pub(super) fn readable(&self) -> bool {
        self.readable.load(Ordering::Relaxed)
    }

    /// Looks at the definition of a kind.
    ///
    /// # Errors
    /// The API server did not answer.
    pub(super) async fn look<K: Resource<DynamicType = ()>>(&self) -> Result<Definition, kube::Error> {
        let plural = K::plural(&());
        let api = Api::<PartialObjectMeta<CustomResourceDefinition>>::all(self.client.clone());
        match api.get_opt(&format!("{plural}.{GROUP}")).await {
            Ok(Some(definition)) if definition.metadata.deletion_timestamp.is_none() => Ok(Definition::Standing {
                uid: definition.metadata.uid.unwrap_or_default(),
            }),
            Ok(_) => Ok(Definition::Leaving),
            Err(kube::Error::Api(status)) if status.code == 403 => {
                self.readable.store(false, Ordering::Relaxed);
                self.discover(&plural).await
            }
            Err(error) => Err(error),
        }
    }

    async fn discover(&self, plural: &str) -> Result<Definition, kube::Error> {
        let resources = match self
            .client
            .list_api_group_resources(&format!("{GROUP}/{VERSION}"))
            .await
        {
            Ok(list) => list.resources,
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Definition::Leaving),
            Err(error) => return Err(error),
        };
        let resource = resources.into_iter().find(|resource| resource.name == plural);
        let creatable = resource.is_some_and(|resource| resource.verbs.iter().any(|verb| verb == "create"));
        Ok(if creatable {
            Definition::Standing { uid: String::new() }
        } else {
            Definition::Leaving
        })
    }
}
