//! The cluster's side of the load and of the checks: VaultSecrets that come and go, Secrets that are damaged, and all of it right in the end.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use aether_vault::k8s::crd::VaultSecret;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::random::Random;
use super::support::client::Client;
use super::writers::CLIENTS;

/// VaultSecrets with generated values that live as long as the run.
const GENERATED: usize = 6;
/// How long the controller may take for everything after a part came back.
const PATIENCE: Duration = Duration::from_secs(90);

/// The namespace of the run.
#[derive(Clone)]
pub struct Resources {
    pub namespace: String,
    vault_secrets: Api<VaultSecret>,
    secrets: Api<Secret>,
}

impl Resources {
    /// Makes the namespace with its VaultSecrets.
    pub async fn create(kubeconfig: &Path, namespace: &str) -> Self {
        let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .unwrap();
        let client = kube::Client::try_from(config).unwrap();
        let resources = Self {
            namespace: namespace.to_owned(),
            vault_secrets: Api::namespaced(client.clone(), namespace),
            secrets: Api::namespaced(client.clone(), namespace),
        };
        let made = Namespace {
            metadata: kube::core::ObjectMeta {
                name: Some(namespace.into()),
                ..Default::default()
            },
            ..Default::default()
        };
        Api::<Namespace>::all(client)
            .create(&PostParams::default(), &made)
            .await
            .unwrap();
        for number in 0..GENERATED {
            resources
                .vault_secrets
                .create(&PostParams::default(), &generated(&format!("generated-{number}")))
                .await
                .unwrap();
        }
        for number in 0..CLIENTS {
            let followed: VaultSecret = serde_json::from_value(json!({
                "apiVersion": "aethervault.io/v1alpha1", "kind": "VaultSecret",
                "metadata": {"name": format!("live-{number}")}, "spec": {},
            }))
            .unwrap();
            resources
                .vault_secrets
                .create(&PostParams::default(), &followed)
                .await
                .unwrap();
        }
        resources
    }

    /// Makes, deletes and damages until it is told to stop. What fails is tried no more: the API server may be the one that was killed.
    pub fn disturb(&self, round: usize, mut random: Random, stop: CancellationToken) -> JoinHandle<()> {
        let this = self.clone();
        tokio::spawn(async move {
            let mut made = 0;
            while !stop.is_cancelled() {
                tokio::time::sleep(random.time(Duration::from_millis(400))).await;
                let victim = format!("generated-{}", random.below(GENERATED as u64));
                match random.below(4) {
                    0 if made < 4 => {
                        made += 1;
                        let _ = this
                            .vault_secrets
                            .create(&PostParams::default(), &generated(&format!("round-{round}-{made}")))
                            .await;
                    }
                    1 if made > 2 => {
                        let _ = this
                            .vault_secrets
                            .delete(&format!("round-{round}-1"), &DeleteParams::default())
                            .await;
                    }
                    2 => {
                        let _ = this.secrets.delete(&victim, &DeleteParams::default()).await;
                    }
                    _ => {
                        let foreign =
                            json!({"stringData": {"password": "changed by hand", "foreign": "added by hand"}});
                        let _ = this
                            .secrets
                            .patch(&victim, &PatchParams::default(), &Patch::Merge(&foreign))
                            .await;
                    }
                }
            }
        })
    }

    /// Waits until every VaultSecret is Ready with what the vault holds, and no Secret of ours is left without one; answers how long
    /// that took.
    pub async fn settle(&self, client: &Client) -> Duration {
        let started = Instant::now();
        loop {
            let Err(problem) = self.compare(client).await else {
                return started.elapsed();
            };
            assert!(started.elapsed() < PATIENCE, "after {PATIENCE:?}: {problem}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn compare(&self, client: &Client) -> Result<(), String> {
        let failed = |error: kube::Error| format!("the API server does not answer: {error}");
        let resources = self
            .vault_secrets
            .list(&ListParams::default())
            .await
            .map_err(failed)?
            .items;
        let secrets = self.secrets.list(&ListParams::default()).await.map_err(failed)?.items;
        let mut secrets: BTreeMap<String, Secret> = secrets
            .into_iter()
            .map(|secret| (secret.metadata.name.clone().unwrap_or_default(), secret))
            .collect();
        for resource in &resources {
            let name = resource.metadata.name.as_deref().unwrap_or_default();
            let status = resource.status.clone().unwrap_or_default();
            if status.observed_generation != resource.metadata.generation {
                return Err(format!("{name} was not looked at"));
            }
            let ready = status.conditions.iter().find(|condition| condition.kind == "Ready");
            if !ready.is_some_and(|ready| ready.status == aether_vault::k8s::crd::ConditionStatus::True) {
                return Err(format!(
                    "{name} is not Ready: {:?}",
                    ready.map(|ready| (&ready.reason, &ready.message))
                ));
            }
            let secret = secrets
                .remove(name)
                .ok_or_else(|| format!("{name} is Ready without a Secret"))?;
            let record = client.read(&format!("k8s/{}/{name}", self.namespace)).await;
            if record.status != 200 {
                return Err(format!("{name}: {}", record.text));
            }
            if status.record_version != record.body["version"].as_i64() {
                return Err(format!(
                    "{name} stands at version {:?} of {}",
                    status.record_version, record.body["version"]
                ));
            }
            let (has, wanted) = (texts(&secret), expected(name, &record.body["data"]));
            if has != wanted {
                return Err(format!(
                    "{name}: the Secret holds {:?}, the vault {:?}",
                    has.keys(),
                    wanted.keys()
                ));
            }
        }
        match secrets.keys().next() {
            Some(name) => Err(format!("the Secret {name} has no VaultSecret")),
            None => Ok(()),
        }
    }

    /// The generated values, which no kill may ever make anew.
    pub async fn generated_values(&self, client: &Client) -> Vec<serde_json::Value> {
        let mut values = Vec::new();
        for number in 0..GENERATED {
            let record = client
                .read(&format!("k8s/{}/generated-{number}", self.namespace))
                .await
                .ok();
            assert_eq!(record.body["version"], 1, "generated-{number} was written again");
            values.push(record.body["data"].clone());
        }
        values
    }
}

fn generated(name: &str) -> VaultSecret {
    serde_json::from_value(json!({
        "apiVersion": "aethervault.io/v1alpha1", "kind": "VaultSecret",
        "metadata": {"name": name},
        "spec": {
            "source": {"generate": {"keys": {"password": {"password": {"length": 24}}, "id": {"uuid": {}}}}},
            "data": [
                {"key": "password", "from": {"key": "password"}},
                {"key": "url", "template": "postgres://{{ data.id }}:{{ data.password }}@db/orders"},
            ],
        },
    }))
    .unwrap()
}

/// The Secret that a record makes.
fn expected(name: &str, data: &serde_json::Value) -> BTreeMap<String, String> {
    let text = |key: &str| data[key].as_str().unwrap_or_default().to_owned();
    if name.starts_with("live-") {
        return BTreeMap::from([("value".to_owned(), text("value"))]);
    }
    let url = format!("postgres://{}:{}@db/orders", text("id"), text("password"));
    BTreeMap::from([("password".to_owned(), text("password")), ("url".to_owned(), url)])
}

fn texts(secret: &Secret) -> BTreeMap<String, String> {
    let data = secret.data.iter().flatten();
    data.map(|(key, value)| (key.clone(), String::from_utf8_lossy(&value.0).into_owned()))
        .collect()
}
