//! How each event of the page is made to happen.

use std::collections::BTreeMap;

use aether_vault::domain::record::Expect;
use aether_vault::service::error::Reason;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::cell::{Cell, KEY, Source, THEIRS};
use crate::support::cluster::eventually;
use crate::support::vault::{path, record};

/// The events that need no cluster of their own.
pub(super) const EVENTS: [&str; 10] = [
    "create",
    "change in the vault",
    "change in the spec",
    "change at the source",
    "Secret edited",
    "key added to the Secret",
    "Secret deleted",
    "record deleted",
    "policy revoked",
    "VaultSecret deleted",
];

impl Cell<'_> {
    /// Makes the event happen to a `VaultSecret` that is Ready with `before`; answers what the Secret held before and what it is to hold if what
    /// it holds is new.
    pub(super) async fn happens(
        &self,
        event: &str,
        before: &BTreeMap<String, String>,
    ) -> [BTreeMap<String, String>; 2] {
        let mut old = before.clone();
        let mut new = before.clone();
        let (stage, name) = (self.stage, &self.name);
        match event {
            "create" => old = BTreeMap::new(),
            "change in the vault" if self.source.feeds() => {
                let records = stage.process.vault.records();
                let written = records
                    .write(
                        &stage.admin,
                        &path(&stage.own(name)),
                        &record(&[(KEY, "two")]),
                        Expect::Any,
                    )
                    .await;
                assert_eq!(written.unwrap_err().reason(), Reason::ManagedByResource);
            }
            "change in the vault" => {
                stage.write(&stage.own(name), &[(KEY, "two")]).await;
                new.insert(KEY.to_owned(), "two".to_owned());
            }
            "change in the spec" => {
                let key = self.source.key();
                let data = json!([{ "key": key, "from": { "key": key } }, { "key": "more", "template": "m" }]);
                self.change(&json!({ "data": data })).await;
                new.retain(|found, _| found == key || found == THEIRS.0);
                new.insert("more".to_owned(), "m".to_owned());
            }
            "change at the source" => {
                match self.source {
                    Source::Sealed => {
                        let keys = json!({ KEY: self.sealed("two").await });
                        self.change(&json!({ "source": { "sealed": { "keys": keys } } })).await;
                    }
                    Source::Imported | Source::Followed => {
                        self.patch_secret(&self.origin(), json!({ "data": { KEY: "dHdv" } }))
                            .await;
                    }
                    _ => {
                        let wish = json!({ "metadata": { "annotations": { "aethervault.io/rotate-now": "1" } } });
                        let api = self.resources();
                        api.patch(name, &PatchParams::default(), &Patch::Merge(wish))
                            .await
                            .unwrap();
                    }
                }
                new = self.anew(before).await;
            }
            "Secret edited" => {
                self.patch_secret(name, json!({ "data": { self.source.key(): "d3Jvbmc=" } }))
                    .await;
            }
            "key added to the Secret" => {
                self.patch_secret(name, json!({ "data": { "added": "d3Jvbmc=" } }))
                    .await;
                if self.policy == "Merge" {
                    old.insert("added".to_owned(), "wrong".to_owned());
                }
                new = old.clone();
            }
            "Secret deleted" => drop(self.secrets().delete(name, &DeleteParams::default()).await.unwrap()),
            "record deleted" => {
                let records = stage.process.vault.records();
                let deleted = records.delete(&stage.admin, &path(&stage.own(name)), None).await;
                match deleted {
                    Ok(_) => assert!(!self.source.feeds()),
                    Err(error) => assert_eq!(error.reason(), Reason::ManagedByResource),
                }
            }
            "policy revoked" => {
                let deny = json!({
                    "subjects": [{ "kind": "Namespace", "name": stage.shop }],
                    "rules": [{ "effect": "deny", "paths": [stage.own(name)], "capabilities": ["sync"] }],
                });
                let made = stage.cluster.create_vault_policy(&stage.operator, name, deny).await;
                made.unwrap();
            }
            "VaultSecret deleted" => drop(self.resources().delete(name, &DeleteParams::default()).await.unwrap()),
            other => panic!("nobody knows how '{other}' happens"),
        }
        [old, new]
    }

    /// What the Secret is to hold after a change at the source. What was made anew is known once it is there: nobody else writes it.
    async fn anew(&self, before: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut new = before.clone();
        match self.source {
            Source::Sealed | Source::Followed => {
                new.insert(KEY.to_owned(), "two".to_owned());
            }
            Source::Generated | Source::Rotated | Source::Certificate => {
                let key = self.source.key();
                let made = eventually(&format!("{} is made anew", self.name), || async {
                    let data = self.data().await.ok_or("there is no Secret")?;
                    if data[key] == before[key] {
                        Err("not yet".to_owned())
                    } else {
                        Ok(data)
                    }
                })
                .await;
                new.extend(made.into_iter().filter(|(found, _)| found.starts_with(KEY)));
            }
            Source::Written | Source::Imported => {}
        }
        new
    }
}
