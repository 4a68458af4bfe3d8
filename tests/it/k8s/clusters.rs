//! Several clusters on one vault: each works under a prefix of its own, and their namespaces of the same name have nothing to do with each
//! other; who carries a record is told for all of them.

use aether_vault::domain::record::Expect;
use aether_vault::service::records::Consumer;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;

use crate::support::cluster::{TestCluster, eventually};
use crate::support::controller::Stage;
use crate::support::servers::OwnCluster;
use crate::support::vault::{path, record};

/// Lets every namespace of the operator's cluster sync what is shared.
fn shared() -> serde_json::Value {
    json!({
        "subjects": [{ "kind": "Namespace", "name": "*" }],
        "rules": [{ "effect": "allow", "paths": ["shared/**"], "capabilities": ["sync"] }],
    })
}

#[tokio::test]
async fn two_clusters_share_a_vault_and_nothing_else() {
    if !OwnCluster::can_be_made() {
        return;
    }
    let own = tokio::task::spawn_blocking(OwnCluster::up).await.unwrap();
    let stage = Stage::set().await;
    let kubeconfig = Kubeconfig::read_from(own.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    let europe = TestCluster::with(config).await;
    // Namespaces of the same names.
    for name in [&stage.shop, &stage.operator] {
        own.kubectl(&["create", "namespace", name]);
    }
    let mut settings = stage.settings();
    settings.cluster_prefix = "k8s-eu".to_owned();
    let second = stage.controller_of(&europe, europe.client.clone(), settings).await;

    let records = stage.process.vault.records();
    let db = |prefix: &str| path(&format!("{prefix}/{}/db", stage.shop));
    for (at, value) in [
        (db("k8s"), "here"),
        (db("k8s-eu"), "there"),
        (path("shared/smtp"), "both"),
    ] {
        let data = record(&[("k", value)]);
        records.write(&stage.admin, &at, &data, Expect::Any).await.unwrap();
    }
    for cluster in [&stage.cluster, &europe] {
        cluster
            .create_vault_policy(&stage.operator, "shared", shared())
            .await
            .unwrap();
        cluster.create_vault_secret(&stage.shop, "db", json!({})).await.unwrap();
        let smtp = json!({ "dataFrom": [{ "path": "shared/smtp" }] });
        cluster.create_vault_secret(&stage.shop, "smtp", smtp).await.unwrap();
        cluster.ready(&stage.shop, "smtp").await;
        cluster.ready(&stage.shop, "db").await;
    }
    stage.cluster.holds(&stage.shop, "db", &[("k", "here")]).await;
    europe.holds(&stage.shop, "db", &[("k", "there")]).await;

    // The namespace of the other cluster is another one, whatever its name.
    let beyond = json!({ "dataFrom": [{ "path": db("k8s") }] });
    europe.create_vault_secret(&stage.shop, "beyond", beyond).await.unwrap();
    europe.refused(&stage.shop, "beyond", "PolicyDenied").await;

    // A change wakes both, and is read back from both.
    let data = record(&[("k", "new")]);
    records
        .write(&stage.admin, &path("shared/smtp"), &data, Expect::Any)
        .await
        .unwrap();
    for cluster in [&stage.cluster, &europe] {
        cluster.holds(&stage.shop, "smtp", &[("k", "new")]).await;
    }
    let carriers = eventually("both carry version 2", || async {
        let told = records.consumers(&stage.admin, &path("shared/smtp"), 10, None).await;
        let told = told.map_err(|error| error.to_string())?;
        let carries = |it: &Consumer| it.versions.iter().map(|carried| carried.version.number()).eq([2]);
        if told.items.iter().all(carries) {
            Ok(told)
        } else {
            Err("not yet".to_owned())
        }
    })
    .await;
    let names: Vec<_> = carriers
        .items
        .iter()
        .map(|it| {
            (
                it.cluster.as_str(),
                it.namespace.as_str(),
                it.vault_secret.as_str(),
                it.secret.as_str(),
            )
        })
        .collect();
    let shop = stage.shop.as_str();
    assert_eq!(names, [("k8s", shop, "smtp", "smtp"), ("k8s-eu", shop, "smtp", "smtp")]);
    assert_eq!(carriers.current_version.number(), 2);

    // Each is looked after by its own controller: the end of one concerns nobody else.
    second.stop().await;
    let db = stage.own("db");
    stage.write(&db, &[("k", "later")]).await;
    stage.cluster.holds(&stage.shop, "db", &[("k", "later")]).await;
    europe.holds(&stage.shop, "db", &[("k", "there")]).await;
}
