//! What the work costs the API server, counted: a create and a status for a new Secret, nothing for each object at rest or after a restart.

use std::time::Duration;

use axum::http::Method;
use serde_json::json;

use crate::support::cluster::eventually;
use crate::support::controller::Stage;
use crate::support::faults::{Middle, Seen};

const OBJECTS: usize = 8;
/// Longer than anything takes that was begun.
const QUIET: Duration = Duration::from_secs(3);

async fn apply(stage: &Stage) {
    for number in 0..OBJECTS {
        let name = format!("s{number}");
        stage.write(&stage.own(&name), &[("k", "one")]).await;
        stage
            .cluster
            .create_vault_secret(&stage.shop, &name, json!({}))
            .await
            .unwrap();
    }
}

async fn ready(stage: &Stage) {
    for number in 0..OBJECTS {
        stage.cluster.ready(&stage.shop, &format!("s{number}")).await;
    }
}

/// What is written does not come back.
fn answered_without_values(seen: &Seen) -> bool {
    let touched = ["/secrets", "/vaultsecrets"];
    seen.method == Method::GET || seen.metadata || !touched.iter().any(|kind| seen.path.contains(kind))
}

#[tokio::test]
async fn a_sync_is_one_create_and_one_status_and_a_restart_costs_nothing_for_each_object() {
    // The cluster is registered before the first write.
    let mut stage = Stage::set().await;
    stage.stop().await;
    apply(&stage).await;
    let middle = Middle::new();
    let client = middle.client(&stage.cluster.client);
    stage.start_with(client.clone(), stage.settings()).await;
    ready(&stage).await;
    tokio::time::sleep(QUIET).await;
    let created = (
        middle.count(&Method::POST, "/secrets"),
        middle.count(&Method::PUT, "/vaultsecrets/"),
        middle.count(&Method::GET, "/secrets/"),
        middle.count(&Method::PUT, "/secrets/"),
    );
    assert_eq!(created, (OBJECTS, OBJECTS, 0, 0), "{:?}", middle.work());
    assert!(middle.work().iter().all(answered_without_values), "{:?}", middle.work());

    // A change in the vault: the Secret is read and written, and the status tells the version.
    middle.forget();
    stage.write(&stage.own("s0"), &[("k", "two")]).await;
    stage.cluster.holds(&stage.shop, "s0", &[("k", "two")]).await;
    tokio::time::sleep(QUIET).await;
    let changed: Vec<_> = middle
        .work()
        .iter()
        .map(|seen| (seen.method.clone(), seen.path.clone()))
        .collect();
    let secret = format!("/api/v1/namespaces/{}/secrets/s0", stage.shop);
    let status = format!(
        "/apis/aethervault.io/v1alpha1/namespaces/{}/vaultsecrets/s0/status",
        stage.shop
    );
    assert_eq!(
        changed,
        [
            (Method::GET, secret.clone()),
            (Method::PUT, secret),
            (Method::PUT, status)
        ]
    );
    assert!(middle.work().iter().all(answered_without_values), "{:?}", middle.work());

    // The same data again: nothing but the version in the status.
    middle.forget();
    stage.write(&stage.own("s0"), &[("k", "two")]).await;
    eventually("the version is shown", || async {
        let object = stage.cluster.vault_secrets(&stage.shop).get("s0").await.unwrap();
        match object.status.and_then(|status| status.record_version) {
            Some(3) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(middle.work().len(), 1, "{:?}", middle.work());

    // At rest nothing is asked, and a restart lists what it has to, whatever the number of objects.
    middle.forget();
    tokio::time::sleep(QUIET).await;
    assert_eq!(middle.work(), []);
    stage.stop().await;
    let versions = |stage: &Stage| {
        let api = stage.cluster.secrets(&stage.shop);
        async move {
            let list = api.list(&kube::api::ListParams::default()).await.unwrap();
            list.items
                .into_iter()
                .map(|secret| secret.metadata.resource_version)
                .collect::<Vec<_>>()
        }
    };
    let before = versions(&stage).await;
    middle.forget();
    stage.start_with(client, stage.settings()).await;
    tokio::time::sleep(QUIET * 2).await;
    let single: Vec<_> = middle
        .work()
        .into_iter()
        .filter(|seen| {
            seen.path.contains("/secrets/") || seen.path.contains("/vaultsecrets/") || seen.method != Method::GET
        })
        .collect();
    assert_eq!(single, []);
    assert_eq!(versions(&stage).await, before);
}
