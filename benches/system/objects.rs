//! The Kubernetes objects of the measurements, and a user of its own for the controller.

use std::path::PathBuf;

use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::config::Kubeconfig;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::Outcome;
use crate::installation::Installation;

/// The user that the controller is, so that its requests can be told from everybody else's.
pub(crate) const CONTROLLER_USER: &str = "aether-vault-bench-controller";

const FIELD_MANAGER: &str = "aether-vault-bench";

/// `VaultSecret` as any client sees it.
pub(crate) fn vault_secrets() -> ApiResource {
    ApiResource {
        group: "aethervault.io".into(),
        version: "v1alpha1".into(),
        api_version: "aethervault.io/v1alpha1".into(),
        kind: "VaultSecret".into(),
        plural: "vaultsecrets".into(),
    }
}

/// Applies an object of the cluster, given whole.
pub(crate) async fn apply(client: &Client, plural: &str, object: Value) -> Outcome<()> {
    let object: DynamicObject = serde_json::from_value(object)?;
    let types = object.types.clone().ok_or("an object without a kind")?;
    let (group, version) = types.api_version.split_once('/').unwrap_or(("", &types.api_version));
    let resource = ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: types.api_version.clone(),
        kind: types.kind.clone(),
        plural: plural.to_owned(),
    };
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let name = object.metadata.name.clone().ok_or("an object without a name")?;
    api.patch(
        &name,
        &PatchParams::apply(FIELD_MANAGER).force(),
        &Patch::Apply(&object),
    )
    .await?;
    Ok(())
}

/// Makes a namespace.
pub(crate) async fn namespace(client: &Client, name: &str) -> Outcome<()> {
    apply(
        client,
        "namespaces",
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
    )
    .await
}

/// Writes a kubeconfig with which a process acts as [`CONTROLLER_USER`], and grants that user everything.
pub(crate) async fn controller_kubeconfig(client: &Client, installation: &Installation) -> Outcome<PathBuf> {
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": CONTROLLER_USER},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": CONTROLLER_USER}],
    });
    apply(client, "clusterrolebindings", binding).await?;
    let mut kubeconfig = Kubeconfig::read()?;
    for named in &mut kubeconfig.auth_infos {
        named.auth_info.get_or_insert_default().impersonate = Some(CONTROLLER_USER.to_owned());
    }
    // JSON is YAML. The folder is its owner's alone.
    let file = installation.dir.join("run/controller.kubeconfig");
    std::fs::write(&file, serde_json::to_vec(&kubeconfig)?)?;
    Ok(file)
}
