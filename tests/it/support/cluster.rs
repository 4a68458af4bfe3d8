//! Namespaces of a real cluster for one test: made under random names, deleted when the test ends, seen by nobody else's controller.

use std::fmt::Debug;
use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use aether_vault::k8s::crd::{self, VaultPolicy, VaultSecret};
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::core::{DynamicObject, NamespaceResourceScope, ObjectMeta};
use kube::{Api, Client, Config, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A client of the cluster, and the namespaces that the test made.
pub struct TestCluster {
    pub client: Client,
    suffix: String,
    made: std::sync::Mutex<Vec<String>>,
}

impl TestCluster {
    /// Connects to the cluster of `KUBECONFIG` and applies the definitions.
    pub async fn connect() -> Self {
        let config = Config::infer()
            .await
            .expect("KUBECONFIG leads to a cluster; run the integration tests with 'make test'");
        Self::with(config).await
    }

    /// Connects to another cluster.
    pub async fn with(config: Config) -> Self {
        aether_vault_tls();
        let client = Client::try_from(config).unwrap();
        apply_definitions(&client).await;
        let suffix = hex::encode(aether_vault::crypto::random::bytes::<4>());
        Self {
            client,
            suffix,
            made: std::sync::Mutex::default(),
        }
    }

    /// The name of this test's namespace that others call `name`.
    pub fn named(&self, name: &str) -> String {
        format!("{name}-{}", self.suffix)
    }

    /// Makes a namespace; answers its name.
    pub async fn namespace(&self, name: &str) -> String {
        self.labelled_namespace(name, &[]).await
    }

    /// Makes a namespace with labels; answers its name.
    pub async fn labelled_namespace(&self, name: &str, labels: &[(&str, &str)]) -> String {
        let name = self.named(name);
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            labels: Some(labels),
            ..Default::default()
        };
        let api: Api<Namespace> = Api::all(self.client.clone());
        api.create(
            &PostParams::default(),
            &Namespace {
                metadata,
                ..Default::default()
            },
        )
        .await
        .unwrap();
        self.made.lock().unwrap().push(name.clone());
        name
    }

    /// Deletes a namespace and makes another one of the same name.
    pub async fn remake_namespace(&self, name: &str) {
        let api: Api<Namespace> = Api::all(self.client.clone());
        api.delete(name, &DeleteParams::default()).await.unwrap();
        eventually(&format!("{name} is gone"), || async {
            match api.get_opt(name).await.map_err(|error| error.to_string())? {
                None => Ok(()),
                Some(_) => Err("it is there".to_owned()),
            }
        })
        .await;
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            ..Default::default()
        };
        api.create(
            &PostParams::default(),
            &Namespace {
                metadata,
                ..Default::default()
            },
        )
        .await
        .unwrap();
    }

    pub fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub fn vault_secrets(&self, namespace: &str) -> Api<VaultSecret> {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub fn vault_policies(&self, namespace: &str) -> Api<VaultPolicy> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Creates a `VaultSecret` with this spec, as `kubectl create` would.
    pub async fn create_vault_secret(&self, namespace: &str, name: &str, spec: Value) -> Result<VaultSecret, String> {
        self.create("VaultSecret", namespace, name, spec).await
    }

    /// Creates a `VaultPolicy` with this spec, as `kubectl create` would.
    pub async fn create_vault_policy(&self, namespace: &str, name: &str, spec: Value) -> Result<VaultPolicy, String> {
        self.create("VaultPolicy", namespace, name, spec).await
    }

    async fn create<K>(&self, kind: &str, namespace: &str, name: &str, spec: Value) -> Result<K, String>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + DeserializeOwned + Clone + Debug,
    {
        let body = json!({
            "apiVersion": "aethervault.io/v1alpha1",
            "kind": kind,
            "metadata": { "name": name, "namespace": namespace },
            "spec": spec,
        });
        // The typed objects would leave unknown fields out, which is what some tests are about.
        let object: DynamicObject = serde_json::from_value(body).unwrap();
        let resource = kube::core::ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let path = format!("{}?fieldValidation=Strict", api.resource_url());
        let body = serde_json::to_vec(&object).unwrap();
        let request = axum::http::Request::post(path)
            .header("content-type", "application/json")
            .body(body)
            .unwrap();
        self.client.request(request).await.map_err(|error| match error {
            kube::Error::Api(status) => status.message,
            other => panic!("{other}"),
        })
    }

    /// Replaces the spec of a `VaultSecret`.
    pub async fn change_vault_secret(&self, namespace: &str, name: &str, spec: Value) -> Result<VaultSecret, String> {
        let patch = Patch::Json::<()>(
            serde_json::from_value(json!([{ "op": "replace", "path": "/spec", "value": spec }])).unwrap(),
        );
        let patched = self
            .vault_secrets(namespace)
            .patch(name, &PatchParams::default(), &patch)
            .await;
        patched.map_err(|error| match error {
            kube::Error::Api(status) => status.message,
            other => panic!("{other}"),
        })
    }

    /// Waits until the `VaultSecret` of the current generation is Ready; answers it.
    pub async fn ready(&self, namespace: &str, name: &str) -> VaultSecret {
        self.condition(namespace, name, "Ready", "True", "Synced").await
    }

    /// Waits until the `VaultSecret` of the current generation is not Ready for this reason; answers the message.
    pub async fn refused(&self, namespace: &str, name: &str, reason: &str) -> String {
        let object = self.condition(namespace, name, "Ready", "False", reason).await;
        condition(&object, "Ready").unwrap().2
    }

    async fn condition(&self, namespace: &str, name: &str, kind: &str, status: &str, reason: &str) -> VaultSecret {
        let api = self.vault_secrets(namespace);
        let wanted = format!("{namespace}/{name}: {kind}={status} {reason}");
        eventually(&wanted, || async {
            let object = api.get(name).await.map_err(|error| error.to_string())?;
            let observed = object.status.as_ref().and_then(|status| status.observed_generation);
            let found = condition(&object, kind);
            match &found {
                Some((found, why, _)) if found == status && why == reason && observed == object.metadata.generation => {
                    Ok(object)
                }
                _ => Err(format!(
                    "{found:?}, observed generation {observed:?} of {:?}",
                    object.metadata.generation
                )),
            }
        })
        .await
    }

    /// Waits until a Secret holds exactly this; answers it.
    pub async fn holds(&self, namespace: &str, name: &str, data: &[(&str, &str)]) -> Secret {
        let api = self.secrets(namespace);
        eventually(&format!("Secret {namespace}/{name}"), || async {
            let secret = api
                .get_opt(name)
                .await
                .map_err(|error| error.to_string())?
                .ok_or("there is none")?;
            let found = texts(&secret);
            let wanted: Vec<_> = data
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect();
            if found == wanted {
                Ok(secret)
            } else {
                Err(format!(
                    "keys {:?}",
                    found.iter().map(|(key, _)| key).collect::<Vec<_>>()
                ))
            }
        })
        .await
    }

    /// Every resourceVersion that a Secret had since one, up to another that it has now.
    pub async fn moves(&self, namespace: &str, name: &str, since: &str, last: &str) -> Vec<String> {
        let params = WatchParams::default().fields(&format!("metadata.name={name}"));
        let watch = self.secrets(namespace).watch(&params, since).await.unwrap();
        let mut watch = std::pin::pin!(watch);
        let mut moves = Vec::new();
        while moves.last().is_none_or(|version| version != last) {
            match watch.try_next().await.unwrap() {
                Some(WatchEvent::Modified(secret)) => moves.push(secret.metadata.resource_version.unwrap()),
                Some(_) => panic!("the Secret was deleted, or made anew"),
                None => panic!("the watch ended after {moves:?}"),
            }
        }
        moves
    }

    /// Waits until a Secret is gone.
    pub async fn gone(&self, namespace: &str, name: &str) {
        let api = self.secrets(namespace);
        eventually(&format!("no Secret {namespace}/{name}"), || async {
            match api.get_opt(name).await.map_err(|error| error.to_string())? {
                None => Ok(()),
                Some(_) => Err("there is one".to_owned()),
            }
        })
        .await;
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        let made = std::mem::take(&mut *self.made.lock().unwrap());
        // The test's own runtime may be ending.
        let deleted = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let Ok(client) = Client::try_default().await else {
                    return;
                };
                let api: Api<Namespace> = Api::all(client);
                for name in made {
                    let _ = api.delete(&name, &DeleteParams::default()).await;
                }
            });
        });
        let _ = deleted.join();
    }
}

/// The texts of a Secret's data, in the order of the keys.
pub fn texts(secret: &Secret) -> Vec<(String, String)> {
    let data = secret.data.iter().flatten();
    data.map(|(key, value)| (key.clone(), String::from_utf8_lossy(&value.0).into_owned()))
        .collect()
}

/// The text of a key.
pub fn value(secret: &Secret, key: &str) -> String {
    texts(secret)
        .into_iter()
        .find(|(found, _)| found == key)
        .unwrap_or_else(|| panic!("no key {key}"))
        .1
}

/// Status, reason and message of a condition.
pub fn condition(object: &VaultSecret, kind: &str) -> Option<(String, String, String)> {
    let condition = object
        .status
        .as_ref()?
        .conditions
        .iter()
        .find(|condition| condition.kind == kind)?;
    Some((
        format!("{:?}", condition.status),
        condition.reason.clone(),
        condition.message.clone(),
    ))
}

/// The file that leads to the cluster under test.
pub fn kubeconfig() -> PathBuf {
    std::env::var_os("KUBECONFIG")
        .expect("KUBECONFIG leads to a cluster; run the integration tests with 'make test'")
        .into()
}

/// Repeats until it succeeds.
pub async fn eventually<T, F>(what: &str, mut attempt: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let begun = Instant::now();
    loop {
        match attempt().await {
            Ok(found) => return found,
            Err(_) if begun.elapsed() < PATIENCE => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(last) => panic!("{what}: not within {PATIENCE:?}; last: {last}"),
        }
    }
}

async fn apply_definitions(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for (_, yaml) in crd::crds() {
        let definition: CustomResourceDefinition = serde_yaml::from_str(&yaml).unwrap();
        let name = definition.name_any();
        let params = PatchParams::apply("it").force();
        api.patch(&name, &params, &Patch::Apply(&definition)).await.unwrap();
        eventually(&format!("{name} is served"), || async {
            let found = api.get(&name).await.map_err(|error| error.to_string())?;
            let conditions = found.status.and_then(|status| status.conditions).unwrap_or_default();
            let established = conditions
                .iter()
                .any(|condition| condition.type_ == "Established" && condition.status == "True");
            if established { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
    }
}

fn aether_vault_tls() {
    // The first test of the process installs it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
