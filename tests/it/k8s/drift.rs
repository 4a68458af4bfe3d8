//! Whatever somebody does to a Secret is undone at once, and what others may do to it stays.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::cluster::eventually;
use crate::support::controller::Stage;

async fn synced() -> (Stage, Api<Secret>) {
    let stage = Stage::set().await;
    stage.write(&stage.own("db"), &[("password", "right")]).await;
    let spec = json!({ "target": { "labels": { "team": "shop" }, "annotations": { "example.com/a": "b" } } });
    stage
        .cluster
        .create_vault_secret(&stage.shop, "db", spec)
        .await
        .unwrap();
    stage.cluster.ready(&stage.shop, "db").await;
    let secrets = stage.cluster.secrets(&stage.shop);
    (stage, secrets)
}

async fn patch(secrets: &Api<Secret>, patch: Value) {
    secrets
        .patch("db", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_edited_value_and_an_added_key_are_undone() {
    let (stage, secrets) = synced().await;
    let encoded = serde_json::to_value(ByteString(b"wrong".to_vec())).unwrap();
    patch(&secrets, json!({ "data": { "password": encoded } })).await;
    stage.cluster.holds(&stage.shop, "db", &[("password", "right")]).await;
    patch(&secrets, json!({ "data": { "added": encoded } })).await;
    stage.cluster.holds(&stage.shop, "db", &[("password", "right")]).await;
    patch(&secrets, json!({ "data": { "password": null } })).await;
    stage.cluster.holds(&stage.shop, "db", &[("password", "right")]).await;
    eventually("each is counted", || async {
        let labels = [("action", "repaired")];
        let repaired = stage
            .controller()
            .metric("aether_vault_controller_secrets_total", &labels);
        if repaired >= 3.0 {
            Ok(())
        } else {
            Err(format!("{repaired}"))
        }
    })
    .await;
}

#[tokio::test]
async fn a_deleted_secret_is_made_again() {
    let (stage, secrets) = synced().await;
    let before = secrets.get("db").await.unwrap().metadata.uid;
    secrets.delete("db", &DeleteParams::default()).await.unwrap();
    let after = stage.cluster.holds(&stage.shop, "db", &[("password", "right")]).await;
    assert_ne!(before, after.metadata.uid);
}

#[tokio::test]
async fn our_labels_come_back_and_those_of_others_stay() {
    let (stage, secrets) = synced().await;
    patch(
        &secrets,
        json!({ "metadata": {
            "labels": { "team": "other", "velero.io/backup": "nightly" },
            "annotations": { "aethervault.io/owner-uid": null, "example.com/theirs": "x" },
        } }),
    )
    .await;
    let uid = stage
        .cluster
        .vault_secrets(&stage.shop)
        .get("db")
        .await
        .unwrap()
        .metadata
        .uid
        .unwrap();
    eventually("the labels are back", || async {
        let metadata = secrets.get("db").await.unwrap().metadata;
        let (labels, annotations) = (
            metadata.labels.unwrap_or_default(),
            metadata.annotations.unwrap_or_default(),
        );
        let ours = labels.get("team").is_some_and(|team| team == "shop")
            && annotations.get("aethervault.io/owner-uid") == Some(&uid);
        let theirs = labels.contains_key("velero.io/backup") && annotations.contains_key("example.com/theirs");
        if ours && theirs {
            Ok(())
        } else {
            Err(format!("{labels:?} {annotations:?}"))
        }
    })
    .await;
    // Without our label no watch shows it; the row remembers whose it is.
    patch(
        &secrets,
        json!({ "metadata": { "labels": { "aethervault.io/managed-by": null } } }),
    )
    .await;
    eventually("our label is back", || async {
        let labels = secrets.get("db").await.unwrap().metadata.labels.unwrap_or_default();
        if labels.contains_key("aethervault.io/managed-by") {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    })
    .await;
}

#[tokio::test]
async fn a_label_that_leaves_the_spec_leaves_the_secret() {
    let (stage, secrets) = synced().await;
    patch(&secrets, json!({ "metadata": { "labels": { "theirs": "x" } } })).await;
    let spec = json!({ "target": { "labels": { "tier": "db" } } });
    stage
        .cluster
        .change_vault_secret(&stage.shop, "db", spec)
        .await
        .unwrap();
    stage.cluster.ready(&stage.shop, "db").await;
    let metadata = secrets.get("db").await.unwrap().metadata;
    let labels: Vec<_> = metadata.labels.unwrap().into_keys().collect();
    assert_eq!(labels, ["aethervault.io/managed-by", "theirs", "tier"]);
    assert!(!metadata.annotations.unwrap().contains_key("example.com/a"));
}

#[tokio::test]
async fn drift_while_nobody_led_is_undone_after_the_restart() {
    let (mut stage, secrets) = synced().await;
    stage.stop().await;
    let encoded = serde_json::to_value(ByteString(b"wrong".to_vec())).unwrap();
    patch(&secrets, json!({ "data": { "password": encoded } })).await;
    stage.start().await;
    stage.cluster.holds(&stage.shop, "db", &[("password", "right")]).await;
}
