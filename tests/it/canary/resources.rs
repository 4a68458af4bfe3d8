//! Canaries through the cluster's door: values that are synced, templates that fail, Secrets that others own.

use aether_vault::crypto::sealing::seal;
use aether_vault::domain::sealed::{SealedFor, SealingPublicKey};
use aether_vault::k8s::crd::{ConditionStatus, VaultSecret};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::needle::Needle;
use super::places::Places;
use crate::support::client::Client;
use crate::support::cluster::TestCluster;

/// A namespace of the test's own, with VaultSecrets that work and others that do not.
pub struct Resources {
    cluster: TestCluster,
    pub namespace: String,
    expected: Vec<(String, &'static str)>,
}

impl Resources {
    /// Makes the namespace, and in it the Secret `conflict`, which is somebody else's.
    pub async fn create(conflict: &Needle) -> Self {
        let cluster = TestCluster::connect().await;
        let namespace = cluster.namespace("canary").await;
        let foreign = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "conflict"}, "stringData": {"theirs": conflict.text()},
        });
        let foreign = serde_json::from_value(foreign).unwrap();
        cluster
            .secrets(&namespace)
            .create(&PostParams::default(), &foreign)
            .await
            .unwrap();
        Self {
            cluster,
            namespace,
            expected: Vec::new(),
        }
    }

    /// Applies a `VaultSecret` that has to end up with this reason (empty: Ready).
    pub async fn apply(&mut self, name: &str, spec: Value, reason: &'static str) {
        self.cluster
            .create_vault_secret(&self.namespace, name, spec)
            .await
            .unwrap();
        self.expected.push((name.to_owned(), reason));
    }

    /// Waits until each is as it has to be.
    pub async fn settle(&self) {
        for (name, expected) in &self.expected {
            let mut last = String::new();
            for attempt in 0.. {
                let resource: VaultSecret = self.api().get(name).await.unwrap();
                let conditions = resource.status.unwrap_or_default().conditions;
                if let Some(ready) = conditions.iter().find(|condition| condition.kind == "Ready") {
                    let is_ready = ready.status == ConditionStatus::True;
                    if is_ready == expected.is_empty() && (is_ready || ready.reason == *expected) {
                        break;
                    }
                    last = format!("{:?} {}: {}", ready.status, ready.reason, ready.message);
                }
                assert!(attempt < 300, "{name} has to be {expected:?} and is {last:?}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }

    /// What a Secret holds.
    pub async fn secret(&self, name: &str) -> Value {
        serde_json::to_value(self.api::<Secret>().get(name).await.unwrap()).unwrap()
    }

    /// Puts a value into a Secret by hand.
    pub async fn damage(&self, name: &str, value: &str) {
        let patch = json!({"stringData": {"by-hand": value}});
        self.api::<Secret>()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
        for attempt in 0.. {
            if self.secret(name).await["data"].get("by-hand").is_none() {
                return;
            }
            assert!(attempt < 300, "the Secret {name} is not repaired");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    /// Events, and everything but the spec of the VaultSecrets.
    pub async fn collect(&self, places: &mut Places) {
        let events = self.api::<Event>().list(&ListParams::default()).await.unwrap();
        places.add("events", serde_json::to_vec(&events.items).unwrap());
        for resource in self.api::<VaultSecret>().list(&ListParams::default()).await.unwrap() {
            let (metadata, status) = (&resource.metadata, &resource.status);
            let name = metadata.name.as_deref().unwrap();
            places.add(
                format!("status of {name}"),
                serde_json::to_vec(&json!([metadata, status])).unwrap(),
            );
        }
        for secret in self.api::<Secret>().list(&ListParams::default()).await.unwrap() {
            let name = secret.metadata.name.as_deref().unwrap();
            places.add(
                format!("metadata of the Secret {name}"),
                serde_json::to_vec(&secret.metadata).unwrap(),
            );
        }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }
}

/// VaultSecrets for every way to succeed and to fail.
pub async fn apply_all(resources: &mut Resources, admin: &Client, namespace: &str, secrets: &mut Vec<Needle>) {
    let mut secret = |label: &str| {
        secrets.push(Needle::new(label));
        secrets.last().unwrap().text().to_owned()
    };
    let template = |text: String| json!({"data": [{"key": "out", "template": text}]});
    let synced = secret("synced value");
    resources.apply("synced", json!({}), "").await;
    resources
        .apply(
            "generated",
            json!({"source": {"generate": {"keys": {"password": {"password": {"length": 40}}}}}}),
            "",
        )
        .await;
    let broken = secret("template that does not parse");
    resources
        .apply(
            "unparsed",
            template(format!("{broken} {{{{ data.value")),
            "TemplateError",
        )
        .await;
    let function = secret("template with an unknown function");
    resources
        .apply(
            "unknown-function",
            template(format!("{{{{ data.value | {function} }}}}")),
            "TemplateError",
        )
        .await;
    let argument = secret("template with a value that does not fit");
    resources
        .apply(
            "failing",
            template(format!("{{{{ data.value / '{argument}' }}}}")),
            "TemplateError",
        )
        .await;
    resources
        .apply(
            "missing",
            json!({"data": [{"key": "out", "from": {"key": "nothing"}}]}),
            "KeyMissing",
        )
        .await;
    resources.apply("conflict", json!({}), "TargetConflict").await;
    for name in [
        "synced",
        "unparsed",
        "unknown-function",
        "failing",
        "missing",
        "conflict",
    ] {
        let path = format!("k8s/{namespace}/{name}");
        admin.write(&path, &json!({"value": synced})).await.ok();
    }
}

/// Values that come into the vault by a resource: sealed ones, one of them for somebody else, and imported ones.
pub async fn apply_sources(resources: &mut Resources, sealing_key: &SealingPublicKey, secrets: &mut Vec<Needle>) {
    let (plain, misplaced, imported) = (
        Needle::new("sealed value"),
        Needle::new("value that is sealed for another name"),
        Needle::new("imported value"),
    );
    let sealed = |value: &Needle| {
        let target = SealedFor {
            cluster: "k8s",
            namespace: &resources.namespace,
            name: "sealed",
            key: "value",
        };
        seal(sealing_key, &target, value.text().as_bytes()).unwrap().to_string()
    };
    let source = |value: String| json!({"source": {"sealed": {"keys": {"value": value}}}});
    let (good, bad) = (source(sealed(&plain)), source(sealed(&misplaced)));
    resources.apply("sealed", good, "").await;
    resources.apply("missealed", bad, "SealedValueInvalid").await;

    let legacy = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "legacy"}, "stringData": {"value": imported.text()},
    });
    let legacy = serde_json::from_value(legacy).unwrap();
    resources
        .api::<Secret>()
        .create(&PostParams::default(), &legacy)
        .await
        .unwrap();
    resources
        .apply(
            "imported",
            json!({"source": {"importFrom": {"secretName": "legacy"}}}),
            "",
        )
        .await;
    secrets.extend([plain, misplaced, imported]);
}
