//! Several controllers in one cluster, each for the resources of its class.

use kube::api::DeleteParams;
use serde_json::json;

use crate::support::controller::Stage;

fn of(class: Option<&str>, mut spec: serde_json::Value) -> serde_json::Value {
    if let Some(class) = class {
        spec["controllerClass"] = json!(class);
    }
    spec
}

#[tokio::test]
async fn each_controller_looks_after_the_resources_of_its_class_alone() {
    let stage = Stage::set().await;
    let mut settings = stage.settings();
    settings.class = "blue".to_owned();
    settings.cluster_prefix = "blue".to_owned();
    settings.lease_name = "blue".to_owned();
    let blue = stage
        .controller_with(stage.cluster.client.clone(), settings.clone())
        .await;
    let cluster = &stage.cluster;
    for (class, prefix, name) in [(None, "k8s", "plain"), (Some("blue"), "blue", "tinted")] {
        stage
            .write(&format!("{prefix}/{}/{name}", stage.shop), &[("k", name)])
            .await;
        cluster
            .create_vault_secret(&stage.shop, name, of(class, json!({})))
            .await
            .unwrap();
        cluster.ready(&stage.shop, name).await;
        cluster.holds(&stage.shop, name, &[("k", name)]).await;
    }
    // A class that nobody has: nobody says anything about it.
    cluster
        .create_vault_secret(&stage.shop, "nobody", of(Some("green"), json!({})))
        .await
        .unwrap();
    // A policy counts at its own controller's prefix alone.
    let deny = json!({ "subjects": [{ "kind": "Everyone" }],
                       "rules": [{ "effect": "deny", "paths": ["~/**"], "capabilities": ["sync"] }] });
    cluster
        .create_vault_policy(&stage.shop, "deny", of(Some("blue"), deny))
        .await
        .unwrap();
    cluster.refused(&stage.shop, "tinted", "PolicyDenied").await;
    stage.write(&stage.own("plain"), &[("k", "still")]).await;
    cluster.holds(&stage.shop, "plain", &[("k", "still")]).await;

    assert_eq!(
        blue.metric(
            "aether_vault_controller_reconciles_total",
            &[("reason", "PathNotFound")]
        ),
        0.0
    );

    // What the one controller has nothing of is not gone to it: after a restart, when everything is compared, and when its own goes.
    blue.stop().await;
    let blue = stage.controller_with(cluster.client.clone(), settings).await;
    cluster
        .vault_secrets(&stage.shop)
        .delete("tinted", &DeleteParams::default())
        .await
        .unwrap();
    cluster.gone(&stage.shop, "tinted").await;
    cluster.holds(&stage.shop, "plain", &[("k", "still")]).await;
    for sort in ["plain", "nobody"] {
        let object = cluster.vault_secrets(&stage.shop).get(sort).await.unwrap();
        assert_eq!(object.status.is_some(), sort == "plain");
    }
    assert_eq!(stage.database.count("SELECT count(*) FROM syncs").await, 1);
    blue.stop().await;
}

#[tokio::test]
async fn a_class_stays_what_it_was() {
    let stage = Stage::without_controller().await;
    let cluster = &stage.cluster;
    cluster
        .create_vault_secret(&stage.shop, "x", json!({ "controllerClass": "blue" }))
        .await
        .unwrap();
    for spec in [json!({ "controllerClass": "green" }), json!({})] {
        let refused = cluster.change_vault_secret(&stage.shop, "x", spec).await.unwrap_err();
        assert!(refused.contains("controllerClass is immutable"), "{refused}");
    }
    let bad = cluster
        .create_vault_secret(&stage.shop, "y", json!({ "controllerClass": "Blue Team" }))
        .await;
    assert!(bad.unwrap_err().contains("controllerClass"));
}
