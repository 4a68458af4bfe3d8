//! Writes of objects. What comes back is metadata alone: no value leaves the API server for nothing, and neither side reads one.

use kube::api::PostParams;
use kube::core::request::Request;
use kube::core::{NamespaceResourceScope, ObjectMeta, PartialObjectMeta};
use kube::{Client, Resource, Result};
use serde::Serialize;

use super::key::Key;

/// What the API server notes as the manager of the fields that we set.
pub(super) const FIELD_MANAGER: &str = "aether-vault";
/// Asks for the metadata of what was written.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// Creates an object.
pub(super) async fn create<K: Written>(client: &Client, namespace: &str, object: &K) -> Result<ObjectMeta> {
    let request = of::<K>(namespace).create(&params(), body(object)?);
    send::<K>(client, request.map_err(kube::Error::BuildRequest)?).await
}

/// Puts an object in the place of the one of its name, which has to be at the resourceVersion that it says.
pub(super) async fn replace<K: Written>(client: &Client, at: &Key, object: &K) -> Result<ObjectMeta> {
    let request = of::<K>(&at.namespace).replace(&at.name, &params(), body(object)?);
    send::<K>(client, request.map_err(kube::Error::BuildRequest)?).await
}

/// Puts a status in the place of the one before it: what was true once and is not any more goes. The rest of the object stays as it is, and
/// has to be at this resourceVersion.
pub(super) async fn replace_status<K: Written>(
    client: &Client,
    at: &Key,
    meta: &ObjectMeta,
    resource_version: Option<&str>,
    status: &impl Serialize,
) -> Result<ObjectMeta> {
    let object = serde_json::json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": { "name": at.name, "namespace": at.namespace, "uid": meta.uid, "resourceVersion": resource_version },
        "status": serde_json::to_value(status).map_err(kube::Error::SerdeError)?,
    });
    let request = of::<K>(&at.namespace).replace_subresource("status", &at.name, &params(), body(&object)?);
    send::<K>(client, request.map_err(kube::Error::BuildRequest)?).await
}

/// A kind whose objects live in namespaces.
pub(super) trait Written: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize {}

impl<K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize> Written for K {}

fn of<K: Written>(namespace: &str) -> Request {
    Request::new(K::url_path(&(), Some(namespace)))
}

fn params() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

fn body(object: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(object).map_err(kube::Error::SerdeError)
}

async fn send<K: Written>(client: &Client, mut request: http::Request<Vec<u8>>) -> Result<ObjectMeta> {
    request
        .headers_mut()
        .insert(http::header::ACCEPT, http::HeaderValue::from_static(METADATA));
    let written: PartialObjectMeta<K> = client.request(request).await?;
    Ok(written.metadata)
}
