//! Whose a Secret is, and what goes when.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Config, ResourceExt as _};
use serde_json::json;

use crate::support::cluster::{TestCluster, eventually, value};
use crate::support::controller::Stage;
use crate::support::servers::OwnCluster;

fn foreign(name: &str, entries: &[(&str, &str)]) -> Secret {
    let data = entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..Default::default()
        },
        data: Some(data.collect::<BTreeMap<_, _>>()),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_foreign_secret_is_never_overwritten_until_it_is_handed_over() {
    let stage = Stage::set().await;
    let secrets = stage.cluster.secrets(&stage.shop);
    let theirs = secrets
        .create(&PostParams::default(), &foreign("db", &[("password", "theirs")]))
        .await
        .unwrap();
    stage.write(&stage.own("db"), &[("password", "ours")]).await;
    stage
        .cluster
        .create_vault_secret(&stage.shop, "db", json!({}))
        .await
        .unwrap();
    let message = stage.cluster.refused(&stage.shop, "db", "TargetConflict").await;
    assert!(message.contains("annotate it aethervault.io/adopt=db"), "{message}");
    assert_eq!(secrets.get("db").await.unwrap(), theirs);

    let adopt = json!({ "metadata": { "annotations": { "aethervault.io/adopt": "db" } } });
    secrets
        .patch("db", &PatchParams::default(), &Patch::Merge(adopt))
        .await
        .unwrap();
    let ours = stage.cluster.holds(&stage.shop, "db", &[("password", "ours")]).await;
    assert_eq!(ours.metadata.uid, theirs.metadata.uid);
    assert!(!ours.annotations().contains_key("aethervault.io/adopt"));
    stage.cluster.ready(&stage.shop, "db").await;
}

#[tokio::test]
async fn of_two_that_name_one_secret_the_older_has_it() {
    let stage = Stage::set().await;
    stage.write(&stage.own("one"), &[("k", "one")]).await;
    stage.write(&stage.own("two"), &[("k", "two")]).await;
    stage
        .cluster
        .create_vault_secret(&stage.shop, "one", json!({ "target": { "name": "db" } }))
        .await
        .unwrap();
    stage.cluster.ready(&stage.shop, "one").await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    stage
        .cluster
        .create_vault_secret(&stage.shop, "two", json!({ "target": { "name": "db" } }))
        .await
        .unwrap();
    let message = stage.cluster.refused(&stage.shop, "two", "TargetConflict").await;
    assert_eq!(
        message,
        "VaultSecret 'one' writes Secret 'db' already; choose another target.name"
    );
    stage.cluster.holds(&stage.shop, "db", &[("k", "one")]).await;
    stage
        .cluster
        .vault_secrets(&stage.shop)
        .delete("one", &DeleteParams::default())
        .await
        .unwrap();
    stage.cluster.ready(&stage.shop, "two").await;
    stage.cluster.holds(&stage.shop, "db", &[("k", "two")]).await;
}

#[tokio::test]
async fn deleting_the_resource_follows_its_policy() {
    let stage = Stage::set().await;
    for (name, spec) in [
        ("goes", json!({})),
        ("stays", json!({ "target": { "deletionPolicy": "Retain" } })),
    ] {
        stage.write(&stage.own(name), &[("k", name)]).await;
        stage
            .cluster
            .create_vault_secret(&stage.shop, name, spec)
            .await
            .unwrap();
        stage.cluster.ready(&stage.shop, name).await;
    }
    for name in ["stays", "goes"] {
        stage
            .cluster
            .vault_secrets(&stage.shop)
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }
    stage.cluster.gone(&stage.shop, "goes").await;
    eventually("both are settled", || async {
        let left = stage.database.count("SELECT count(*) FROM syncs").await;
        if left == 0 { Ok(()) } else { Err(format!("{left} rows")) }
    })
    .await;
    assert!(
        stage
            .cluster
            .secrets(&stage.shop)
            .get_opt("stays")
            .await
            .unwrap()
            .is_some()
    );
    // The record itself stays.
    let records = stage.process.vault.records();
    records
        .read(&stage.admin, &crate::support::vault::path(&stage.own("goes")), None)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_resource_deleted_while_nobody_led_takes_its_secret_along() {
    let mut stage = Stage::set().await;
    stage.write(&stage.own("a"), &[("k", "v")]).await;
    stage
        .cluster
        .create_vault_secret(&stage.shop, "a", json!({}))
        .await
        .unwrap();
    stage.cluster.ready(&stage.shop, "a").await;
    stage.stop().await;
    stage
        .cluster
        .vault_secrets(&stage.shop)
        .delete("a", &DeleteParams::default())
        .await
        .unwrap();
    stage.start().await;
    stage.cluster.gone(&stage.shop, "a").await;
}

#[tokio::test]
async fn a_secret_that_was_being_made_when_we_died_goes_with_its_resource() {
    let mut stage = Stage::set().await;
    for name in ["a", "b"] {
        stage.write(&stage.own(name), &[("k", "v")]).await;
        stage
            .cluster
            .create_vault_secret(&stage.shop, name, json!({}))
            .await
            .unwrap();
        stage.cluster.ready(&stage.shop, name).await;
    }
    stage.stop().await;
    // As they stand between the intent and the note of what was made.
    stage
        .database
        .execute("UPDATE syncs SET secret_uid = '', secret_resource_version = '', data_hash = '', records = '[]'")
        .await;
    let secrets = stage.cluster.secrets(&stage.shop);
    // This one somebody took: without our marks it is not ours to delete.
    let taken = json!({ "metadata": { "labels": { "aethervault.io/managed-by": null } } });
    secrets
        .patch("b", &PatchParams::default(), &Patch::Merge(taken))
        .await
        .unwrap();
    for name in ["a", "b"] {
        stage
            .cluster
            .vault_secrets(&stage.shop)
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }
    stage.start().await;
    stage.cluster.gone(&stage.shop, "a").await;
    eventually("both are settled", || async {
        let left = stage.database.count("SELECT count(*) FROM syncs").await;
        if left == 0 { Ok(()) } else { Err(format!("{left} rows")) }
    })
    .await;
    assert!(secrets.get_opt("b").await.unwrap().is_some());
}

#[tokio::test]
async fn a_resource_made_again_takes_its_secret_over_in_place() {
    let stage = Stage::set().await;
    stage.write(&stage.own("a"), &[("k", "v")]).await;
    stage
        .cluster
        .create_vault_secret(&stage.shop, "a", json!({}))
        .await
        .unwrap();
    stage.cluster.ready(&stage.shop, "a").await;
    let before = stage.cluster.secrets(&stage.shop).get("a").await.unwrap().metadata.uid;
    stage
        .cluster
        .vault_secrets(&stage.shop)
        .delete("a", &DeleteParams::default())
        .await
        .unwrap();
    stage
        .cluster
        .create_vault_secret(&stage.shop, "a", json!({}))
        .await
        .unwrap();
    stage.cluster.ready(&stage.shop, "a").await;
    eventually("the predecessor is forgotten", || async {
        let rows = stage.database.count("SELECT count(*) FROM syncs").await;
        if rows == 1 { Ok(()) } else { Err(format!("{rows} rows")) }
    })
    .await;
    assert_eq!(
        stage.cluster.secrets(&stage.shop).get("a").await.unwrap().metadata.uid,
        before
    );
}

#[tokio::test]
async fn naming_another_secret_moves_it() {
    let stage = Stage::set().await;
    stage.write(&stage.own("a"), &[("k", "v")]).await;
    stage
        .cluster
        .create_vault_secret(&stage.shop, "a", json!({}))
        .await
        .unwrap();
    stage.cluster.ready(&stage.shop, "a").await;
    stage
        .cluster
        .change_vault_secret(&stage.shop, "a", json!({ "target": { "name": "b" } }))
        .await
        .unwrap();
    stage.cluster.holds(&stage.shop, "b", &[("k", "v")]).await;
    stage.cluster.gone(&stage.shop, "a").await;
    stage.cluster.ready(&stage.shop, "a").await;
}

#[tokio::test]
async fn merging_adds_its_keys_to_a_foreign_secret_and_takes_them_back() {
    let stage = Stage::set().await;
    let secrets = stage.cluster.secrets(&stage.shop);
    let spec = json!({ "target": { "name": "theirs", "creationPolicy": "Merge" } });
    stage.write(&stage.own("extra"), &[("ours", "1")]).await;
    stage
        .cluster
        .create_vault_secret(&stage.shop, "extra", spec)
        .await
        .unwrap();
    stage.cluster.refused(&stage.shop, "extra", "TargetMissing").await;
    secrets
        .create(&PostParams::default(), &foreign("theirs", &[("own", "x")]))
        .await
        .unwrap();
    stage
        .cluster
        .holds(&stage.shop, "theirs", &[("ours", "1"), ("own", "x")])
        .await;
    stage.cluster.ready(&stage.shop, "extra").await;
    stage.write(&stage.own("extra"), &[("ours", "2")]).await;
    let merged = stage
        .cluster
        .holds(&stage.shop, "theirs", &[("ours", "2"), ("own", "x")])
        .await;
    assert_eq!(value(&merged, "own"), "x");
    stage
        .cluster
        .vault_secrets(&stage.shop)
        .delete("extra", &DeleteParams::default())
        .await
        .unwrap();
    stage.cluster.holds(&stage.shop, "theirs", &[("own", "x")]).await;
}

#[tokio::test]
async fn a_mass_deletion_is_held_until_it_is_confirmed() {
    let stage = Stage::set().await;
    for number in 0..30 {
        stage.write(&stage.own(&format!("s{number}")), &[("k", "v")]).await;
        stage
            .cluster
            .create_vault_secret(&stage.shop, &format!("s{number}"), json!({}))
            .await
            .unwrap();
    }
    for number in 0..30 {
        stage.cluster.ready(&stage.shop, &format!("s{number}")).await;
    }
    let api = stage.cluster.vault_secrets(&stage.shop);
    api.delete_collection(&DeleteParams::default(), &kube::api::ListParams::default())
        .await
        .unwrap();
    let held = || async { stage.controller().metric("aether_vault_controller_deletions_held", &[]) };
    eventually("ten are held", || async {
        let held = held().await;
        if (held - 10.0).abs() < f64::EPSILON {
            Ok(())
        } else {
            Err(format!("{held}"))
        }
    })
    .await;
    let list = || async {
        let labels = kube::api::ListParams::default().labels("aethervault.io/managed-by=aether-vault");
        stage
            .cluster
            .secrets(&stage.shop)
            .list(&labels)
            .await
            .unwrap()
            .items
            .len()
    };
    assert_eq!(list().await, 10);
    stage.process.vault.confirm_deletions("k8s").await.unwrap();
    eventually("all are gone", || async {
        let left = list().await;
        if left == 0 { Ok(()) } else { Err(format!("{left} left")) }
    })
    .await;
}

#[tokio::test]
async fn deleting_the_definition_leaves_every_secret() {
    if !OwnCluster::can_be_made() {
        return;
    }
    // The definition belongs to the whole cluster, so this test has one of its own.
    let own = OwnCluster::up();
    let kubeconfig = kube::config::Kubeconfig::read_from(own.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default())
        .await
        .unwrap();
    let cluster = TestCluster::with(config.clone()).await;
    let mut stage = Stage::on(cluster).await;
    let mut settings = stage.settings();
    settings.watch_namespaces.clear();
    stage.start_with(stage.cluster.client.clone(), settings).await;
    for name in ["a", "b"] {
        stage.write(&stage.own(name), &[("k", name)]).await;
        stage
            .cluster
            .create_vault_secret(&stage.shop, name, json!({}))
            .await
            .unwrap();
        stage.cluster.ready(&stage.shop, name).await;
    }
    let deny = json!({
        "subjects": [{ "kind": "Namespace", "name": stage.shop }],
        "rules": [{ "effect": "deny", "paths": ["~/closed"], "capabilities": ["sync"] }],
    });
    stage
        .cluster
        .create_vault_policy(&stage.shop, "closed", deny)
        .await
        .unwrap();
    eventually("the policy is in force", || async {
        let count = stage.database.count("SELECT count(*) FROM policies").await;
        if count == 1 { Ok(()) } else { Err(format!("{count}")) }
    })
    .await;
    let uid = |secret: Secret| secret.metadata.uid;
    let before = uid(stage.cluster.secrets(&stage.shop).get("a").await.unwrap());

    for definition in ["vaultsecrets.aethervault.io", "vaultpolicies.aethervault.io"] {
        own.kubectl(&["delete", "crd", definition, "--timeout=60s"]);
    }
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    for name in ["a", "b"] {
        stage.cluster.holds(&stage.shop, name, &[("k", name)]).await;
    }
    assert_eq!(
        stage.database.count("SELECT count(*) FROM policies").await,
        1,
        "a vanished deny must not open anything"
    );

    // Made again, with the definitions and resources of the same names: the Secrets are taken over, not made anew.
    let _again = TestCluster::with(config).await;
    stage
        .cluster
        .create_vault_secret(&stage.shop, "a", json!({}))
        .await
        .unwrap();
    stage.cluster.ready(&stage.shop, "a").await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(uid(stage.cluster.secrets(&stage.shop).get("a").await.unwrap()), before);
    stage.cluster.holds(&stage.shop, "b", &[("k", "b")]).await;
    assert_eq!(
        stage.database.count("SELECT count(*) FROM policies").await,
        1,
        "nor may a definition that is made again"
    );
    drop(stage);
}
