//! While the vault does not answer: one event and one metric speak for all objects, and whoever has nothing to do says nothing.

use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;

use crate::support::cluster::eventually;
use crate::support::controller::Stage;

async fn told(stage: &Stage, namespace: &str, reason: &str) -> usize {
    let events: Api<Event> = Api::namespaced(stage.cluster.client.clone(), namespace);
    let all = events.list(&ListParams::default()).await.unwrap().items;
    all.iter()
        .filter(|event| event.reason.as_deref() == Some(reason))
        .count()
}

#[tokio::test]
async fn an_outage_of_the_store_is_told_once_and_marks_only_what_had_something_to_do() {
    let stage = Stage::set().await;
    for number in 0..7 {
        let name = format!("s{number}");
        stage.write(&stage.own(&name), &[("k", "v")]).await;
        stage
            .cluster
            .create_vault_secret(&stage.shop, &name, json!({}))
            .await
            .unwrap();
    }
    // Changes come in their order: when this one has come, none of the others' is under way.
    stage.cluster.ready(&stage.shop, "s6").await;
    stage.write(&stage.own("s6"), &[("k", "last")]).await;
    stage.cluster.holds(&stage.shop, "s6", &[("k", "last")]).await;
    let mut before = Vec::new();
    for number in 0..6 {
        let object = stage.cluster.ready(&stage.shop, &format!("s{number}")).await;
        before.push(object.metadata.resource_version);
    }
    stage.database.close().await;

    let spec = json!({ "target": { "labels": { "a": "b" } } });
    stage
        .cluster
        .change_vault_secret(&stage.shop, "s0", spec)
        .await
        .unwrap();
    stage.cluster.refused(&stage.shop, "s0", "StoreUnavailable").await;
    let available = || {
        stage
            .controller()
            .metric("aether_vault_controller_vault_available", &[])
    };
    eventually("the metric says so", || async {
        if available() < 0.5 {
            Ok(())
        } else {
            Err("available".to_owned())
        }
    })
    .await;
    eventually("the event says so", || async {
        match told(&stage, &stage.operator, "VaultUnavailable").await {
            1 => Ok(()),
            other => Err(format!("{other} events")),
        }
    })
    .await;
    for (number, version) in before.iter().enumerate().skip(1) {
        let object = stage
            .cluster
            .vault_secrets(&stage.shop)
            .get(&format!("s{number}"))
            .await
            .unwrap();
        assert_eq!(
            object.metadata.resource_version, *version,
            "s{number} had nothing to do"
        );
    }
    assert_eq!(told(&stage, &stage.shop, "StoreUnavailable").await, 0);

    stage.database.open().await;
    stage.cluster.ready(&stage.shop, "s0").await;
    eventually("the metric says that it is over", || async {
        if available() > 0.5 {
            Ok(())
        } else {
            Err("not available".to_owned())
        }
    })
    .await;
    assert_eq!(told(&stage, &stage.operator, "VaultUnavailable").await, 1);
}
