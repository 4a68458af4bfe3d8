//! Restarts of workloads, by the cluster's own Deployment controller. No node runs the pods; `Kubelet` says of them that they serve.

use std::time::Duration;

use aether_vault::k8s::settings::ControllerSettings;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::namespaced_roles::{ROLES, as_controller, grant};
use crate::support::cluster::{condition, eventually};
use crate::support::controller::Stage;

/// The annotation that a restart writes.
const MARK: &str = "aethervault.io/secrets-hash";
/// Longer than changes are gathered and looked at again.
const QUIET: Duration = Duration::from_secs(6);

/// Stands in for the nodes: says of every pod of a namespace that it serves.
struct Kubelet(JoinHandle<()>);

impl Kubelet {
    fn start(client: Client, namespace: &str) -> Self {
        let api: Api<Pod> = Api::namespaced(client, namespace);
        Self(tokio::spawn(async move {
            loop {
                for pod in api
                    .list(&ListParams::default())
                    .await
                    .map(|list| list.items)
                    .unwrap_or_default()
                {
                    let serves = pod
                        .status
                        .as_ref()
                        .is_some_and(|status| status.phase.as_deref() == Some("Running"));
                    let Some(name) = pod.metadata.name.filter(|_| !serves) else {
                        continue;
                    };
                    let status = json!({ "status": {
                        "phase": "Running",
                        "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" }],
                    } });
                    let _ = api
                        .patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
                        .await;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }))
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Shop {
    stage: Stage,
    deployments: Api<Deployment>,
}

impl Shop {
    async fn open() -> Self {
        let stage = Stage::without_controller().await;
        let deployments = Api::namespaced(stage.cluster.client.clone(), &stage.shop);
        Self { stage, deployments }
    }

    fn settings(&self) -> ControllerSettings {
        ControllerSettings {
            restart_workloads: true,
            ..self.stage.settings()
        }
    }

    async fn deploy(&self, name: &str, annotations: Value, secrets: &[&str]) {
        let env: Vec<_> = secrets
            .iter()
            .map(|secret| json!({ "secretRef": { "name": secret } }))
            .collect();
        let deployment = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": name, "annotations": annotations },
            "spec": {
                "replicas": 1,
                "selector": { "matchLabels": { "app": name } },
                "template": {
                    "metadata": { "labels": { "app": name } },
                    "spec": { "containers": [{ "name": "app", "image": "registry.k8s.io/pause:3.10", "envFrom": env }] },
                },
            },
        });
        let deployment: Deployment = serde_json::from_value(deployment).unwrap();
        self.deployments
            .create(&PostParams::default(), &deployment)
            .await
            .unwrap();
    }

    async fn available(&self, names: &[&str]) {
        for name in names {
            eventually(&format!("{name} is available"), || async {
                let status = self.deployments.get(name).await.unwrap().status.unwrap_or_default();
                match (status.available_replicas, status.updated_replicas, status.replicas) {
                    (Some(1), Some(1), Some(1)) => Ok(()),
                    found => Err(format!("{found:?}")),
                }
            })
            .await;
        }
    }

    /// How often the pod template was changed since the Deployment was made.
    async fn restarts(&self, name: &str) -> i64 {
        self.deployments.get(name).await.unwrap().metadata.generation.unwrap() - 1
    }

    async fn mark(&self, name: &str) -> Option<String> {
        let template = self.deployments.get(name).await.unwrap().spec.unwrap().template;
        template.metadata?.annotations?.get(MARK).cloned()
    }

    async fn restarted(&self, name: &str, times: i64) {
        eventually(&format!("{name} is restarted {times} times"), || async {
            let found = self.restarts(name).await;
            if found == times {
                Ok(())
            } else {
                Err(format!("{found} times"))
            }
        })
        .await;
    }

    async fn sync(&self, name: &str, restart: Value) {
        self.stage
            .cluster
            .create_vault_secret(&self.stage.shop, name, json!({ "restart": restart }))
            .await
            .unwrap();
        self.stage.cluster.ready(&self.stage.shop, name).await;
    }

    /// Waits until the condition says this, with a message that holds `part`.
    async fn says(&self, name: &str, status: &str, reason: &str, part: &str) {
        let api = self.stage.cluster.vault_secrets(&self.stage.shop);
        eventually(&format!("{name} says {reason}: {part}"), || async {
            let found = condition(&api.get(name).await.unwrap(), "Restarted");
            match found {
                Some((is, why, message)) if is == status && why == reason && message.contains(part) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    async fn write(&self, name: &str, value: &str) {
        self.stage.write(&self.stage.own(name), &[("password", value)]).await;
        self.stage
            .cluster
            .holds(&self.stage.shop, name, &[("password", value)])
            .await;
    }
}

#[tokio::test]
async fn a_change_restarts_each_consumer_once_and_one_after_another() {
    let mut shop = Shop::open().await;
    shop.stage
        .start_with(shop.stage.cluster.client.clone(), shop.settings())
        .await;
    for name in ["db", "smtp"] {
        shop.stage.write(&shop.stage.own(name), &[("password", "one")]).await;
    }
    for name in ["db", "smtp"] {
        shop.sync(name, json!({ "mode": "Auto", "cooldown": "0s" })).await;
    }
    let kubelet = Kubelet::start(shop.stage.cluster.client.clone(), &shop.stage.shop);
    shop.deploy("a", json!({}), &["db", "smtp"]).await;
    shop.deploy("b", json!({}), &["db"]).await;
    shop.deploy("bystander", json!({}), &["other"]).await;
    shop.deploy("opted-out", json!({ "aethervault.io/restart": "Off" }), &["db"])
        .await;
    shop.available(&["a", "b", "bystander", "opted-out"]).await;
    drop(kubelet);
    // Secrets keep whole seconds in their times, and so do workloads.
    tokio::time::sleep(Duration::from_millis(1100)).await;

    // No pod serves that is made from now on, so the first is not healthy again and the second waits for it.
    shop.write("db", "two").await;
    shop.write("smtp", "two").await;
    shop.restarted("a", 1).await;
    let held = "Deployment 'b' is restarted when Deployment 'a' is healthy again";
    shop.says("db", "False", "WaitingForTurn", held).await;
    tokio::time::sleep(QUIET).await;
    assert_eq!((shop.restarts("a").await, shop.restarts("b").await), (1, 0));

    let _kubelet = Kubelet::start(shop.stage.cluster.client.clone(), &shop.stage.shop);
    shop.restarted("b", 1).await;
    shop.says("db", "True", "Current", "").await;
    shop.available(&["a", "b"]).await;
    let mark = shop.mark("a").await.unwrap();
    assert!(mark.len() == 32 && !mark.contains("two"), "{mark}");

    // What changes no data restarts nothing: the same value again, a label, a repair, another leader.
    shop.write("db", "two").await;
    let spec = json!({ "restart": { "mode": "Auto", "cooldown": "0s" }, "target": { "labels": { "x": "y" } } });
    shop.stage
        .cluster
        .change_vault_secret(&shop.stage.shop, "db", spec)
        .await
        .unwrap();
    shop.stage.cluster.ready(&shop.stage.shop, "db").await;
    let secrets = shop.stage.cluster.secrets(&shop.stage.shop);
    secrets.delete("smtp", &DeleteParams::default()).await.unwrap();
    shop.stage
        .cluster
        .holds(&shop.stage.shop, "smtp", &[("password", "two")])
        .await;
    shop.stage.stop().await;
    shop.stage
        .start_with(shop.stage.cluster.client.clone(), shop.settings())
        .await;
    tokio::time::sleep(QUIET).await;
    for (name, times) in [("a", 1), ("b", 1), ("bystander", 0), ("opted-out", 0)] {
        assert_eq!(shop.restarts(name).await, times, "{name}");
    }

    // A change while nobody led is not forgotten.
    shop.stage.stop().await;
    shop.stage
        .write(&shop.stage.own("smtp"), &[("password", "three")])
        .await;
    shop.stage
        .start_with(shop.stage.cluster.client.clone(), shop.settings())
        .await;
    shop.restarted("a", 2).await;
    tokio::time::sleep(QUIET).await;
    assert_eq!((shop.restarts("a").await, shop.restarts("b").await), (2, 1));
    assert_ne!(shop.mark("a").await.unwrap(), mark);
}

#[tokio::test]
async fn restarts_take_a_setting_and_rights_of_their_own_and_say_what_is_missing() {
    let mut shop = Shop::open().await;
    grant(&shop.stage, ROLES).await;
    let restricted = as_controller(&shop.stage).await;
    let mut settings = shop.settings();
    settings.lease_name = "aether-vault-controller".to_owned();
    settings.restart_workloads = false;
    shop.stage.start_with(restricted.clone(), settings.clone()).await;
    shop.stage.write(&shop.stage.own("db"), &[("password", "one")]).await;
    shop.sync("db", json!({ "mode": "Auto", "cooldown": "0s" })).await;
    let _kubelet = Kubelet::start(shop.stage.cluster.client.clone(), &shop.stage.shop);
    shop.deploy("a", json!({}), &["db"]).await;
    shop.available(&["a"]).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;

    shop.says("db", "False", "RestartsDisabled", "controller.restart_workloads")
        .await;
    shop.write("db", "two").await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(shop.restarts("a").await, 0);

    shop.stage.stop().await;
    settings.restart_workloads = true;
    shop.stage.start_with(restricted, settings).await;
    shop.says("db", "False", "RestartForbidden", "restarts-namespaced.yaml")
        .await;
    assert_eq!(shop.restarts("a").await, 0);

    grant(
        &shop.stage,
        include_str!("../../../config/rbac/restarts-namespaced.yaml"),
    )
    .await;
    shop.write("db", "three").await;
    shop.restarted("a", 1).await;
    shop.says("db", "True", "Current", "").await;
}
