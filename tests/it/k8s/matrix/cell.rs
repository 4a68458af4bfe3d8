//! One cell of the page: a `VaultSecret` of its own, and what is found of it in the words of the page.

use std::collections::BTreeMap;
use std::time::Duration;

use aether_vault::crypto::sealing::seal;
use aether_vault::domain::sealed::{SealedFor, SealingPublicKey};
use aether_vault::k8s::crd::VaultSecret;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::support::cluster::{condition, eventually, texts};
use crate::support::controller::Stage;
use crate::support::servers::project;

/// The key that every record of these tests has.
pub(super) const KEY: &str = "password";
/// What a Secret to merge into holds of its own.
pub(super) const THEIRS: (&str, &str) = ("theirs", "x");
/// How long a state has to last that is the same before and after an event.
pub(super) const SETTLE: Duration = Duration::from_millis(1500);
/// What the certificate of these tests is kept under.
const CERTIFICATE: &str = "password.crt";

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Source {
    Written,
    Generated,
    Rotated,
    Certificate,
    Sealed,
    Imported,
    Followed,
}

impl Source {
    pub(super) const ALL: [Self; 7] = [
        Self::Written,
        Self::Generated,
        Self::Rotated,
        Self::Certificate,
        Self::Sealed,
        Self::Imported,
        Self::Followed,
    ];

    pub(super) fn heading(self) -> &'static str {
        match self {
            Self::Written => "A record that people or programs write",
            Self::Generated => "A record that is generated",
            Self::Rotated => "A record that is generated and rotated",
            Self::Certificate => "A record with a certificate",
            Self::Sealed => "A record of sealed values",
            Self::Imported => "A record that was imported once",
            Self::Followed => "A record that follows a Secret",
        }
    }

    fn short(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Generated => "generated",
            Self::Rotated => "rotated",
            Self::Certificate => "certificate",
            Self::Sealed => "sealed",
            Self::Imported => "imported",
            Self::Followed => "followed",
        }
    }

    /// Whether only the resource writes the record.
    pub(super) fn feeds(self) -> bool {
        !matches!(self, Self::Written | Self::Generated | Self::Imported)
    }

    /// A key that the Secret has.
    pub(super) fn key(self) -> &'static str {
        if self == Self::Certificate { CERTIFICATE } else { KEY }
    }
}

/// One cell: a `VaultSecret` of its own.
pub(super) struct Cell<'a> {
    pub(super) stage: &'a Stage,
    pub(super) source: Source,
    pub(super) policy: &'static str,
    pub(super) name: String,
}

impl<'a> Cell<'a> {
    pub(super) fn new(stage: &'a Stage, source: Source, policy: &'static str, event: &str) -> Self {
        let event = event.replace(' ', "-").to_ascii_lowercase();
        Self {
            stage,
            source,
            policy,
            name: format!("{}-{}-{event}", source.short(), policy.to_ascii_lowercase()),
        }
    }

    /// The Secret that the record is imported from.
    pub(super) fn origin(&self) -> String {
        format!("origin-of-{}", self.name)
    }

    pub(super) async fn source(&self) -> Option<Value> {
        let password = json!({ KEY: { "password": {} } });
        let import = |mode: &str| json!({ "importFrom": { "secretName": self.origin(), "mode": mode } });
        Some(match self.source {
            Source::Written => return None,
            Source::Generated => json!({ "generate": { "keys": password } }),
            Source::Rotated => json!({ "generate": { "keys": password, "rotation": { "every": "24h" } } }),
            Source::Certificate => {
                json!({ "generate": { "keys": { KEY: { "certificate": { "commonName": "db" } } } } })
            }
            Source::Sealed => json!({ "sealed": { "keys": { KEY: self.sealed("one").await } } }),
            Source::Imported => import("Once"),
            Source::Followed => import("Follow"),
        })
    }

    pub(super) async fn sealed(&self, value: &str) -> String {
        let keys = self.stage.process.vault.sealing_keys().await.unwrap();
        let public: SealingPublicKey = keys[0].public_key.parse().unwrap();
        let target = SealedFor {
            cluster: "k8s",
            namespace: &self.stage.shop,
            name: &self.name,
            key: KEY,
        };
        seal(&public, &target, value.as_bytes()).unwrap().to_string()
    }

    pub(super) async fn spec(&self, more: &Value) -> Value {
        let mut spec = json!({});
        let target = match self.policy {
            "Own" => json!({}),
            "Retain" => json!({ "deletionPolicy": "Retain" }),
            "Revoke" => json!({ "onRevoked": "Delete" }),
            _ => json!({ "creationPolicy": "Merge" }),
        };
        let fields = spec.as_object_mut().unwrap();
        fields.insert("target".into(), target);
        fields.extend(self.source().await.map(|source| ("source".to_owned(), source)));
        fields.extend(more.as_object().unwrap().clone());
        spec
    }

    pub(super) fn secrets(&self) -> Api<Secret> {
        self.stage.cluster.secrets(&self.stage.shop)
    }

    pub(super) fn resources(&self) -> Api<VaultSecret> {
        self.stage.cluster.vault_secrets(&self.stage.shop)
    }

    /// Brings everything to where the event begins; answers what the Secret holds.
    pub(super) async fn begin(&self) -> BTreeMap<String, String> {
        if self.policy == "Merge" {
            self.foreign(&self.name, THEIRS.0, THEIRS.1).await;
        }
        match self.source {
            Source::Written => self.stage.write(&self.stage.own(&self.name), &[(KEY, "one")]).await,
            Source::Imported | Source::Followed => self.foreign(&self.origin(), KEY, "one").await,
            _ => {}
        }
        self.apply().await;
        self.stage.cluster.ready(&self.stage.shop, &self.name).await;
        self.data().await.unwrap()
    }

    /// Makes a Secret that is nobody's.
    pub(super) async fn foreign(&self, name: &str, key: &str, value: &str) {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..Default::default()
            },
            data: Some(BTreeMap::from([(key.to_owned(), ByteString(value.into()))])),
            ..Default::default()
        };
        self.secrets().create(&PostParams::default(), &secret).await.unwrap();
    }

    pub(super) async fn apply(&self) {
        let made = self
            .stage
            .cluster
            .create_vault_secret(&self.stage.shop, &self.name, self.spec(&json!({})).await)
            .await;
        made.unwrap();
    }

    pub(super) async fn change(&self, more: &Value) {
        let changed = self
            .stage
            .cluster
            .change_vault_secret(&self.stage.shop, &self.name, self.spec(more).await)
            .await;
        changed.unwrap();
    }

    pub(super) async fn data(&self) -> Option<BTreeMap<String, String>> {
        let secret = self.secrets().get_opt(&self.name).await.unwrap()?;
        Some(texts(&secret).into_iter().collect())
    }

    pub(super) async fn patch_secret(&self, name: &str, value: Value) {
        let patch = Patch::Merge(value);
        self.secrets()
            .patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// What is found, in the words of the page.
    pub(super) async fn found(&self, before: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> String {
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
    pub(super) async fn becomes(&self, event: &str, before: &BTreeMap<String, String>, new: &BTreeMap<String, String>) {
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
pub(super) fn expected(source: Source, event: &str, policy: &str) -> String {
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
