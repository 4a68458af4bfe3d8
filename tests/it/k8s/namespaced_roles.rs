//! R32: the controller works with Roles in named namespaces alone, and never lists Secrets of the whole cluster.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::{Api, Client, Config};
use serde_json::json;

use crate::support::controller::Stage;

/// The roles under config/rbac for named namespaces.
pub(super) const ROLES: &str = include_str!("../../../config/rbac/namespaced.yaml");

/// Gives roles of config/rbac, in this test's namespaces.
pub(super) async fn grant(stage: &Stage, yaml: &str) {
    let yaml = yaml
        .replace("aether-vault-system", &stage.operator)
        .replace("shop", &stage.shop);
    for document in yaml.split("\n---\n") {
        let object: serde_json::Value = serde_yaml::from_str(document).unwrap();
        let namespace = object["metadata"]["namespace"].as_str().unwrap().to_owned();
        let client = stage.cluster.client.clone();
        match object["kind"].as_str().unwrap() {
            "ServiceAccount" => create::<ServiceAccount>(client, &namespace, object).await,
            "Role" => create::<Role>(client, &namespace, object).await,
            "RoleBinding" => create::<RoleBinding>(client, &namespace, object).await,
            other => panic!("a {other} is no namespaced role"),
        }
    }
}

async fn create<K>(client: Client, namespace: &str, object: serde_json::Value)
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + serde::Serialize
        + serde::de::DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let mut object: K = serde_json::from_value(object).unwrap();
    if namespace == "kube-system" {
        // Tests share it.
        let metadata: &mut ObjectMeta = object.meta_mut();
        metadata.name = metadata.name.as_ref().map(|name| format!("{name}-it"));
    }
    let api: Api<K> = Api::namespaced(client, namespace);
    match api.create(&PostParams::default(), &object).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        created => drop(created.unwrap()),
    }
}

/// A client with the rights of the controller's service account.
pub(super) async fn as_controller(stage: &Stage) -> Client {
    let mut config = Config::infer().await.unwrap();
    config.auth_info.impersonate = Some(format!(
        "system:serviceaccount:{}:aether-vault-controller",
        stage.operator
    ));
    Client::try_from(config).unwrap()
}

#[tokio::test]
async fn r32_namespaced_roles_are_enough() {
    let mut stage = Stage::without_controller().await;
    grant(&stage, ROLES).await;
    let restricted = as_controller(&stage).await;
    let forbidden: Api<k8s_openapi::api::core::v1::Secret> = Api::all(restricted.clone());
    assert!(
        forbidden.list(&kube::api::ListParams::default()).await.is_err(),
        "it may not list every Secret"
    );

    let mut settings = stage.settings();
    settings.lease_name = "aether-vault-controller".to_owned();
    stage.start_with(restricted, settings).await;
    stage.write(&stage.own("db"), &[("k", "one")]).await;
    stage.write("shared/ca", &[("crt", "CERT")]).await;
    stage
        .cluster
        .create_vault_secret(&stage.shop, "db", json!({}))
        .await
        .unwrap();
    stage.cluster.holds(&stage.shop, "db", &[("k", "one")]).await;
    stage.write(&stage.own("db"), &[("k", "two")]).await;
    stage.cluster.holds(&stage.shop, "db", &[("k", "two")]).await;

    // Policies of the operator's namespace, by the labels of the application's.
    let policy = json!({
        "subjects": [{ "kind": "Namespace", "matchLabels": { "team": "shop" } }],
        "rules": [{ "effect": "allow", "paths": ["shared/ca"], "capabilities": ["sync"] }],
    });
    stage
        .cluster
        .create_vault_policy(&stage.operator, "ca", policy)
        .await
        .unwrap();
    stage
        .cluster
        .create_vault_secret(&stage.shop, "ca", json!({ "path": "shared/ca" }))
        .await
        .unwrap();
    stage.cluster.holds(&stage.shop, "ca", &[("crt", "CERT")]).await;
    stage.cluster.ready(&stage.shop, "ca").await;

    stage
        .cluster
        .vault_secrets(&stage.shop)
        .delete("db", &DeleteParams::default())
        .await
        .unwrap();
    stage.cluster.gone(&stage.shop, "db").await;
}
