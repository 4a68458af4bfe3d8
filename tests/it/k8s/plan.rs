//! `aether-vault plan`: what it says of manifests, with the real program, a real API server and a vault; and that it changes nothing.

use aether_vault::k8s::crd::VaultSecret;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};

use crate::support::cluster::{TestCluster, kubeconfig};
use crate::support::database::TestDatabase;
use crate::support::process::{Installation, Process};

struct Scene {
    cluster: TestCluster,
    installation: Installation,
    shop: String,
    _processes: [Process; 2],
    _database: TestDatabase,
}

impl Scene {
    /// A vault with records, and a Secret of one of them.
    async fn set() -> Self {
        let cluster = TestCluster::connect().await;
        let (shop, operator) = (cluster.namespace("shop").await, cluster.namespace("operator").await);
        let database = TestDatabase::new().await;
        let mut installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
        installation.use_cluster(&kubeconfig());
        installation.set("controller.operator_namespace", &operator);
        installation.set("controller.watch_namespaces", &json!([shop]).to_string());
        let processes = [installation.api().await, installation.controller().await];
        let admin = installation.administrator().await;
        std::fs::write(installation.folder().join("token"), admin.token()).unwrap();
        let db = json!({ "host": "hidden-host", "password": "hidden-password" });
        admin.write(&format!("k8s/{shop}/db"), &db).await.ok();
        admin.write("shared/smtp", &json!({ "user": "hidden-user" })).await.ok();
        cluster.create_vault_secret(&shop, "db", json!({})).await.unwrap();
        cluster.ready(&shop, "db").await;
        let foreign = json!({ "metadata": { "name": "legacy" }, "stringData": { "k": "theirs" } });
        let foreign = serde_json::from_value(foreign).unwrap();
        cluster
            .secrets(&shop)
            .create(&PostParams::default(), &foreign)
            .await
            .unwrap();
        admin
            .write(&format!("k8s/{shop}/legacy"), &json!({ "k": "ours" }))
            .await
            .ok();
        let scene = Self {
            cluster,
            installation,
            shop,
            _processes: processes,
            _database: database,
        };
        scene.deploy("web").await;
        scene
    }

    /// A Deployment whose pods use the Secret `db`.
    async fn deploy(&self, name: &str) {
        let pod = json!({
            "metadata": { "labels": { "app": name } },
            "spec": { "containers": [{ "name": "web", "image": "web", "envFrom": [{ "secretRef": { "name": "db" } }] }] },
        });
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": { "name": name },
            "spec": { "selector": { "matchLabels": { "app": name } }, "template": pod },
        }))
        .unwrap();
        let api: Api<Deployment> = Api::namespaced(self.cluster.client.clone(), &self.shop);
        api.create(&PostParams::default(), &deployment).await.unwrap();
    }

    /// Plans these resources of the namespace; answers the exit code and what was printed.
    fn plan(&self, documents: &[Value]) -> (i32, String) {
        let file = self.installation.folder().join("manifest.yaml");
        let text: Vec<_> = documents.iter().map(Value::to_string).collect();
        std::fs::write(&file, text.join("\n---\n")).unwrap();
        let (file, shop) = (file.display().to_string(), &self.shop);
        let address = format!("http://{}", self.installation.api_address());
        let token = self.installation.folder().join("token").display().to_string();
        let output = self.installation.run(&[
            "plan",
            "-f",
            &file,
            "-n",
            shop,
            "--address",
            &address,
            "--token-file",
            &token,
        ]);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let printed = text(&output.stdout) + &text(&output.stderr);
        assert!(!printed.contains("hidden"), "{printed}");
        (output.status.code().unwrap(), printed.replace(shop, "shop"))
    }

    async fn everything(&self) -> Vec<(Option<String>, Option<String>)> {
        let resources: Api<VaultSecret> = self.cluster.vault_secrets(&self.shop);
        let resources = resources.list(&ListParams::default()).await.unwrap();
        let secrets = self
            .cluster
            .secrets(&self.shop)
            .list(&ListParams::default())
            .await
            .unwrap();
        let resources = resources.items.into_iter().map(|object| object.metadata);
        let secrets = secrets.items.into_iter().map(|secret| secret.metadata);
        resources
            .chain(secrets)
            .map(|meta| (meta.name, meta.resource_version))
            .collect()
    }
}

fn vault_secret(name: &str, spec: &Value) -> Value {
    json!({ "apiVersion": "aethervault.io/v1alpha1", "kind": "VaultSecret", "metadata": { "name": name }, "spec": spec })
}

#[tokio::test]
async fn each_key_and_workload_is_told_and_nothing_is_changed() {
    let scene = Scene::set().await;
    let before = scene.everything().await;
    let changed = json!({
        "data": [
            { "key": "host", "from": { "key": "host" } },
            { "key": "url", "template": "{{ data.host }}/{{ data.password }}" },
        ],
        "restart": { "mode": "Auto" },
    });
    let generated = json!({ "source": { "generate": { "keys": { "token": { "uuid": {} } } } } });
    let imported = json!({ "source": { "importFrom": { "secretName": "legacy" } } });
    let settings = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "settings" } });
    let (code, printed) = scene.plan(&[
        settings,
        vault_secret("db", &changed),
        vault_secret("made", &generated),
        vault_secret("taken", &imported),
    ]);
    let expected = "\
ConfigMap settings  not ours; left out
VaultSecret shop/db
  allowed  sync 'k8s/shop/db' (the namespace's own)
  Secret shop/db is written
    = host
    - password
    + url
  restarts  Deployment web, if the controller is set to restart workloads
VaultSecret shop/made
  allowed  sync 'k8s/shop/made' (the namespace's own)
  allowed  generate 'k8s/shop/made' (the namespace's own)
  Secret shop/made is made
    + token
VaultSecret shop/taken
  allowed  create 'k8s/shop/taken' (the namespace's own)
  allowed  sync 'k8s/shop/taken' (the namespace's own)
  Secret shop/taken is made
    + k
";
    assert_eq!((code, printed.as_str()), (0, expected));
    let (code, printed) = scene.plan(&[vault_secret("db", &json!({}))]);
    assert_eq!(code, 0);
    assert!(
        printed.contains("Secret shop/db stays as it is\n    = host\n    = password\n"),
        "{printed}"
    );
    assert_eq!(scene.everything().await, before);
}

#[tokio::test]
async fn what_would_be_refused_is_told_with_its_reason_and_the_exit_code_says_so() {
    let scene = Scene::set().await;
    let before = scene.everything().await;
    let (code, printed) = scene.plan(&[
        vault_secret("mail", &json!({ "dataFrom": [{ "path": "shared/smtp" }] })),
        vault_secret("legacy", &json!({})),
        vault_secret("absent", &json!({})),
        vault_secret(
            "wrong",
            &json!({ "target": { "type": "kubernetes.io/service-account-token" } }),
        ),
    ]);
    assert_eq!(code, 1, "{printed}");
    // What is refused touches no key.
    assert_eq!(
        printed
            .lines()
            .filter(|line| line.trim_start().starts_with("+ "))
            .count(),
        0,
        "{printed}"
    );
    for part in [
        "VaultSecret shop/mail\n  REFUSED  PolicyDenied: sync 'shared/smtp' (nothing allows it)\n",
        "  REFUSED  Secret shop/legacy is left alone: TargetConflict: ",
        "VaultSecret shop/absent\n  allowed  sync 'k8s/shop/absent' (the namespace's own)\n  REFUSED  PathNotFound: there is no record at 'k8s/shop/absent'",
        "VaultSecret shop/wrong\n  REFUSED  VaultSecret.aethervault.io \"wrong\" is invalid: ",
    ] {
        assert!(printed.contains(part), "no '{part}' in:\n{printed}");
    }
    assert_eq!(scene.everything().await, before);
}
