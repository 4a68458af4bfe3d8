//! The matrix of docs/behaviour.md: every cell is made to happen, and what is found has to be what stands there.

use std::collections::BTreeMap;
use std::time::Duration;

use aether_vault::k8s::crd::VaultSecret;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Config};
use serde_json::{Value, json};

use crate::support::cluster::{TestCluster, condition, eventually, texts};
use crate::support::controller::Stage;
use crate::support::servers::{OwnCluster, project};
use crate::support::vault::path;

/// The key that every record of these tests has.
const KEY: &str = "password";
/// What a Secret to merge into holds of its own.
const THEIRS: (&str, &str) = ("theirs", "x");
/// How long a state has to last that is the same before and after an event.
const SETTLE: Duration = Duration::from_millis(1500);
const POLICIES: [&str; 4] = ["Own", "Retain", "Revoke", "Merge"];

#[derive(Clone, Copy, PartialEq)]
enum Source {
    Written,
    Generated,
}

impl Source {
    fn heading(self) -> &'static str {
        match self {
            Self::Written => "A record that people or programs write",
            Self::Generated => "A record that is generated",
        }
    }
}

/// One cell: a `VaultSecret` of its own.
struct Cell<'a> {
    stage: &'a Stage,
    source: Source,
    policy: &'static str,
    name: String,
}

impl<'a> Cell<'a> {
    fn new(stage: &'a Stage, source: Source, policy: &'static str, event: &str) -> Self {
        let kind = if source == Source::Written { "w" } else { "g" };
        let event: String = event
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_lowercase()
                } else {
                    '-'
                }
            })
            .collect();
        Self {
            stage,
            source,
            policy,
            name: format!("{kind}-{}-{event}", policy.to_ascii_lowercase()),
        }
    }

    fn spec(&self, more: &Value) -> Value {
        let mut spec = match self.source {
            Source::Written => json!({}),
            Source::Generated => json!({ "source": { "generate": { "keys": { KEY: { "password": {} } } } } }),
        };
        let target = match self.policy {
            "Own" => json!({}),
            "Retain" => json!({ "deletionPolicy": "Retain" }),
            "Revoke" => json!({ "onRevoked": "Delete" }),
            _ => json!({ "creationPolicy": "Merge" }),
        };
        let fields = spec.as_object_mut().unwrap();
        fields.insert("target".into(), target);
        fields.extend(more.as_object().unwrap().clone());
        spec
    }

    fn secrets(&self) -> Api<Secret> {
        self.stage.cluster.secrets(&self.stage.shop)
    }

    fn resources(&self) -> Api<VaultSecret> {
        self.stage.cluster.vault_secrets(&self.stage.shop)
    }

    /// Brings everything to where the event begins; answers what the Secret holds.
    async fn begin(&self) -> BTreeMap<String, String> {
        if self.policy == "Merge" {
            self.foreign().await;
        }
        if self.source == Source::Written {
            self.stage.write(&self.stage.own(&self.name), &[(KEY, "one")]).await;
        }
        self.apply().await;
        self.stage.cluster.ready(&self.stage.shop, &self.name).await;
        self.data().await.unwrap()
    }

    async fn foreign(&self) {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                ..Default::default()
            },
            data: Some(BTreeMap::from([(THEIRS.0.to_owned(), ByteString(THEIRS.1.into()))])),
            ..Default::default()
        };
        self.secrets().create(&PostParams::default(), &secret).await.unwrap();
    }

    async fn apply(&self) {
        let made = self
            .stage
            .cluster
            .create_vault_secret(&self.stage.shop, &self.name, self.spec(&json!({})))
            .await;
        made.unwrap();
    }

    async fn data(&self) -> Option<BTreeMap<String, String>> {
        let secret = self.secrets().get_opt(&self.name).await.unwrap()?;
        Some(texts(&secret).into_iter().collect())
    }

    async fn patch_secret(&self, value: Value) {
        let patch = Patch::Merge(value);
        self.secrets()
            .patch(&self.name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// What is found, in the words of the page.
    async fn found(&self, before: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> String {
        let theirs = BTreeMap::from([(THEIRS.0.to_owned(), THEIRS.1.to_owned())]);
        let secret = match self.data().await {
            None => "no Secret".to_owned(),
            // Where nothing new is expected, new is the same as before.
            Some(data) if data == *new && new != before => "new data".to_owned(),
            Some(data) if data == *before => "old data".to_owned(),
            Some(data) if data == theirs => "no key".to_owned(),
            Some(data) => format!("keys {:?}", data.keys().collect::<Vec<_>>()),
        };
        let Some(object) = self.resources().get_opt(&self.name).await.unwrap() else {
            return secret;
        };
        let observed = object.status.as_ref().and_then(|status| status.observed_generation);
        let ready = condition(&object, "Ready").filter(|_| observed == object.metadata.generation);
        let word = match ready {
            Some((status, _, _)) if status == "True" => "Ready".to_owned(),
            Some((_, reason, _)) => reason,
            None => "nothing said".to_owned(),
        };
        format!("{secret}, {word}")
    }

    /// Waits for what the page says, and that it lasts.
    async fn becomes(&self, event: &str, before: &BTreeMap<String, String>, new: &BTreeMap<String, String>) {
        let wanted = expected(self.source, event, self.policy);
        let matches = || async {
            let found = self.found(before, new).await;
            if found == wanted { Ok(()) } else { Err(found) }
        };
        let what = format!("{} / {event} / {}: {wanted}", self.source.heading(), self.policy);
        eventually(&what, matches).await;
        if wanted.starts_with("old data") {
            tokio::time::sleep(SETTLE).await;
            assert_eq!(self.found(before, new).await, wanted, "{what}");
        }
    }
}

/// The cell of the page.
fn expected(source: Source, event: &str, policy: &str) -> String {
    let page = std::fs::read_to_string(project("docs/behaviour.md")).unwrap();
    let section = page
        .split("\n## ")
        .find(|section| section.starts_with(source.heading()))
        .unwrap();
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let column = rows[0].iter().position(|name| *name == policy).unwrap();
    let row = rows
        .iter()
        .find(|row| row[0] == event)
        .unwrap_or_else(|| panic!("no row '{event}'"));
    row[column].to_owned()
}

/// The events that need no cluster of their own.
async fn common_events(source: Source) {
    let stage = Stage::set().await;
    for policy in POLICIES {
        let cell = |event| Cell::new(&stage, source, policy, event);

        let it = cell("create");
        let nothing = BTreeMap::new();
        let made = it.begin().await;
        it.becomes("create", &nothing, &made).await;

        let it = cell("change in the vault");
        let before = it.begin().await;
        stage.write(&stage.own(&it.name), &[(KEY, "two")]).await;
        let mut new = before.clone();
        new.insert(KEY.to_owned(), "two".to_owned());
        it.becomes("change in the vault", &before, &new).await;

        let it = cell("change in the spec");
        let before = it.begin().await;
        let data = json!({ "data": [{ "key": KEY, "from": { "key": KEY } }, { "key": "more", "template": "m" }] });
        stage
            .cluster
            .change_vault_secret(&stage.shop, &it.name, it.spec(&data))
            .await
            .unwrap();
        let mut new = before.clone();
        new.insert("more".to_owned(), "m".to_owned());
        it.becomes("change in the spec", &before, &new).await;

        let it = cell("Secret edited");
        let before = it.begin().await;
        it.patch_secret(json!({ "data": { KEY: "d3Jvbmc=" } })).await;
        it.becomes("Secret edited", &before, &before).await;

        let it = cell("key added to the Secret");
        let mut before = it.begin().await;
        it.patch_secret(json!({ "data": { "added": "d3Jvbmc=" } })).await;
        if policy == "Merge" {
            before.insert("added".to_owned(), "wrong".to_owned());
        }
        it.becomes("key added to the Secret", &before, &before).await;

        let it = cell("Secret deleted");
        let before = it.begin().await;
        it.secrets().delete(&it.name, &DeleteParams::default()).await.unwrap();
        it.becomes("Secret deleted", &before, &before).await;

        let it = cell("record deleted");
        let before = it.begin().await;
        let records = stage.process.vault.records();
        records
            .delete(&stage.admin, &path(&stage.own(&it.name)), None)
            .await
            .unwrap();
        it.becomes("record deleted", &before, &before).await;

        let it = cell("policy revoked");
        let before = it.begin().await;
        let deny = json!({
            "subjects": [{ "kind": "Namespace", "name": stage.shop }],
            "rules": [{ "effect": "deny", "paths": [stage.own(&it.name)], "capabilities": ["sync"] }],
        });
        stage
            .cluster
            .create_vault_policy(&stage.operator, &it.name, deny)
            .await
            .unwrap();
        it.becomes("policy revoked", &before, &before).await;

        let it = cell("VaultSecret deleted");
        let before = it.begin().await;
        it.resources().delete(&it.name, &DeleteParams::default()).await.unwrap();
        it.becomes("VaultSecret deleted", &before, &before).await;
    }
}

#[tokio::test]
async fn what_is_written_becomes_what_the_page_says() {
    common_events(Source::Written).await;
}

#[tokio::test]
async fn what_is_generated_becomes_what_the_page_says() {
    common_events(Source::Generated).await;
}

fn everything<'a>(stage: &'a Stage, event: &str) -> Vec<Cell<'a>> {
    let sources = [Source::Written, Source::Generated];
    let cells = sources
        .into_iter()
        .flat_map(|source| POLICIES.map(|policy| (source, policy)));
    cells
        .map(|(source, policy)| Cell::new(stage, source, policy, event))
        .collect()
}

/// As Velero or a copy of etcd gives it back: the same contents under new uids.
#[tokio::test]
async fn a_restored_backup_becomes_what_the_page_says() {
    const EVENT: &str = "restore of a backup";
    let mut stage = Stage::set().await;
    let mut kept = Vec::new();
    for it in everything(&stage, EVENT) {
        let before = it.begin().await;
        kept.push((before, it.secrets().get(&it.name).await.unwrap()));
    }
    stage.stop().await;
    let mut restored = Vec::new();
    for (it, (_, secret)) in everything(&stage, EVENT).iter().zip(&kept) {
        it.resources().delete(&it.name, &DeleteParams::default()).await.unwrap();
        it.secrets().delete(&it.name, &DeleteParams::default()).await.unwrap();
        let mut copy = secret.clone();
        copy.metadata.uid = None;
        copy.metadata.resource_version = None;
        copy.metadata.managed_fields = None;
        restored.push(
            it.secrets()
                .create(&PostParams::default(), &copy)
                .await
                .unwrap()
                .metadata
                .uid,
        );
        it.apply().await;
    }
    stage.start().await;
    for ((it, (before, _)), uid) in everything(&stage, EVENT).iter().zip(&kept).zip(&restored) {
        it.becomes(EVENT, before, before).await;
        assert_eq!(
            it.secrets().get(&it.name).await.unwrap().metadata.uid,
            *uid,
            "{} was made anew",
            it.name
        );
    }
}

#[tokio::test]
async fn a_namespace_made_again_becomes_what_the_page_says() {
    const EVENT: &str = "namespace deleted and remade";
    let stage = Stage::set().await;
    let mut before = Vec::new();
    for it in everything(&stage, EVENT) {
        before.push(it.begin().await);
    }
    stage.cluster.remake_namespace(&stage.shop).await;
    for (it, before) in everything(&stage, EVENT).iter().zip(&before) {
        it.apply().await;
        it.becomes(EVENT, before, before).await;
    }
}

#[tokio::test]
async fn a_deleted_definition_leaves_what_the_page_says() {
    const EVENT: &str = "definition deleted";
    if !OwnCluster::can_be_made() {
        return;
    }
    // The definition belongs to the whole cluster, so this test has one of its own.
    let own = OwnCluster::up();
    let kubeconfig = kube::config::Kubeconfig::read_from(own.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default())
        .await
        .unwrap();
    let mut stage = Stage::on(TestCluster::with(config.clone()).await).await;
    let mut settings = stage.settings();
    settings.watch_namespaces.clear();
    stage.start_with(stage.cluster.client.clone(), settings).await;
    let mut before = Vec::new();
    for it in everything(&stage, EVENT) {
        before.push(it.begin().await);
    }
    own.kubectl(&["delete", "crd", "vaultsecrets.aethervault.io", "--timeout=60s"]);
    tokio::time::sleep(SETTLE).await;
    // Made again without resources: what is asked below is answered, and there are none.
    let _again = TestCluster::with(config).await;
    for (it, before) in everything(&stage, EVENT).iter().zip(&before) {
        it.becomes(EVENT, before, before).await;
    }
}
