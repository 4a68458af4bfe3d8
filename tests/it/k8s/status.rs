//! R39: nothing is decided from `.status`, and it is never written when it says the same.

use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::support::cluster::{condition, eventually};
use crate::support::controller::Stage;

#[tokio::test]
async fn r39_a_forged_status_decides_nothing() {
    let mut stage = Stage::set().await;
    stage.write("shared/key", &[("k", "v")]).await;
    stage.write(&stage.own("a"), &[("k", "one")]).await;
    stage
        .cluster
        .create_vault_secret(&stage.shop, "denied", json!({ "path": "shared/key" }))
        .await
        .unwrap();
    stage
        .cluster
        .create_vault_secret(&stage.shop, "a", json!({}))
        .await
        .unwrap();
    stage.cluster.refused(&stage.shop, "denied", "PolicyDenied").await;
    let honest = stage.cluster.ready(&stage.shop, "a").await.status.unwrap();
    stage.stop().await;

    // Somebody writes that all is well, that the Secret is another one, and that nothing was ever synced.
    let api = stage.cluster.vault_secrets(&stage.shop);
    let mut forged = honest.clone();
    forged.secret_name = Some("somebody-elses".to_owned());
    api.patch_status(
        "denied",
        &PatchParams::default(),
        &Patch::Merge(json!({ "status": forged })),
    )
    .await
    .unwrap();
    api.patch_status("a", &PatchParams::default(), &Patch::Merge(json!({ "status": null })))
        .await
        .unwrap();
    stage.start().await;

    stage.cluster.refused(&stage.shop, "denied", "PolicyDenied").await;
    assert!(
        stage
            .cluster
            .secrets(&stage.shop)
            .get_opt("denied")
            .await
            .unwrap()
            .is_none()
    );
    let denied = stage.cluster.vault_secrets(&stage.shop).get("denied").await.unwrap();
    assert_eq!(denied.status.unwrap().secret_name, None, "what is not so does not stay");
    let again = stage.cluster.ready(&stage.shop, "a").await.status.unwrap();
    assert_eq!(
        (again.record_version, again.secret_name),
        (honest.record_version, honest.secret_name)
    );
}

#[tokio::test]
async fn conditions_carry_the_generation_and_keep_their_times() {
    let stage = Stage::set().await;
    stage.write(&stage.own("a"), &[("k", "one")]).await;
    stage
        .cluster
        .create_vault_secret(&stage.shop, "a", json!({}))
        .await
        .unwrap();
    let first = stage.cluster.ready(&stage.shop, "a").await;
    let kinds: Vec<_> = first
        .status
        .as_ref()
        .unwrap()
        .conditions
        .iter()
        .map(|c| c.kind.clone())
        .collect();
    assert_eq!(
        kinds,
        ["Authorized", "Stored", "Synced", "Ready", "Reconciling", "Stalled"]
    );
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let spec = json!({ "target": { "labels": { "a": "b" } } });
    stage.cluster.change_vault_secret(&stage.shop, "a", spec).await.unwrap();
    let second = stage.cluster.ready(&stage.shop, "a").await;
    for condition in &second.status.as_ref().unwrap().conditions {
        assert_eq!(condition.observed_generation, Some(2));
    }
    let time = |object: &aether_vault::k8s::crd::VaultSecret| {
        object
            .status
            .as_ref()
            .unwrap()
            .conditions
            .iter()
            .map(|c| c.last_transition_time.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(time(&first), time(&second));
    assert_eq!(condition(&second, "Ready").unwrap().1, "Synced");
}

#[tokio::test]
async fn records_and_keys_at_fault_are_listed_for_as_long_as_they_are() {
    let stage = Stage::set().await;
    let (cluster, shop) = (&stage.cluster, stage.shop.as_str());
    stage.write(&stage.own("a"), &[("k", "one")]).await;
    stage.write(&stage.own("b"), &[("k", "two"), ("json", "{}")]).await;
    let with = |host: &str| {
        json!({ "data": [
            { "key": "k", "from": { "key": "k" } },
            { "key": "other", "from": { "path": "~/b", "key": "k" } },
            { "key": "host", "from": { "path": "~/b", "key": host } },
            { "key": "port", "from": { "path": "~/b", "key": "json", "property": "port" } },
        ] })
    };
    cluster.create_vault_secret(shop, "a", with("host")).await.unwrap();
    cluster.refused(shop, "a", "KeyMissing").await;
    let status = cluster.vault_secrets(shop).get("a").await.unwrap().status.unwrap();
    let faults: Vec<_> = status
        .keys
        .iter()
        .flatten()
        .map(|key| (key.key.as_str(), key.reason.as_str()))
        .collect();
    assert_eq!(faults, [("host", "KeyMissing"), ("port", "InvalidValue")]);

    stage
        .write(
            &stage.own("b"),
            &[("k", "two"), ("host", "h"), ("json", r#"{"port": "5432"}"#)],
        )
        .await;
    let status = cluster.ready(shop, "a").await.status.unwrap();
    let records: Vec<_> = status
        .records
        .iter()
        .flatten()
        .map(|it| (it.path.as_str(), it.version))
        .collect();
    assert_eq!(records, [(stage.own("a").as_str(), 1), (stage.own("b").as_str(), 2)]);
    assert_eq!(status.keys, None, "all are well");

    let alone = json!({ "data": [{ "key": "k", "from": { "key": "k" } }] });
    cluster.change_vault_secret(shop, "a", alone).await.unwrap();
    eventually("the records are the own one alone", || async {
        let status = cluster.vault_secrets(shop).get("a").await.unwrap().status.unwrap();
        status.records.map_or(Ok(()), |records| Err(format!("{records:?}")))
    })
    .await;
}
