//! What a `VaultSecret` may ask about the ends of its Secret and its record, and whose Secrets it takes over.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::support::cluster::eventually;
use crate::support::controller::Stage;
use crate::support::vault::path;

async fn state(stage: &Stage, name: &str) -> String {
    let records = stage.process.vault.records();
    match records.read(&stage.admin, &path(&stage.own(name)), None).await {
        Ok(_) => "live".to_owned(),
        Err(error) => error.reason().as_str().to_owned(),
    }
}

#[tokio::test]
async fn a_record_goes_softly_with_its_resource_if_that_is_asked_for_and_nobody_else_uses_it() {
    let stage = Stage::set().await;
    for name in ["kept", "goes", "shared"] {
        stage.write(&stage.own(name), &[("k", "v")]).await;
    }
    let soft = json!({ "recordPolicy": "SoftDelete" });
    let shares = json!({ "path": "~/shared", "recordPolicy": "SoftDelete" });
    for (name, spec) in [
        ("kept", json!({})),
        ("goes", soft.clone()),
        ("shared", soft),
        ("other", shares),
    ] {
        stage
            .cluster
            .create_vault_secret(&stage.shop, name, spec)
            .await
            .unwrap();
        stage.cluster.ready(&stage.shop, name).await;
    }
    let api = stage.cluster.vault_secrets(&stage.shop);
    for name in ["kept", "goes", "shared"] {
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }
    eventually("all are settled", || async {
        let left = stage.database.count("SELECT count(*) FROM syncs").await;
        if left == 1 { Ok(()) } else { Err(format!("{left} rows")) }
    })
    .await;
    assert_eq!(state(&stage, "kept").await, "live");
    assert_eq!(state(&stage, "goes").await, "VersionGone");
    assert_eq!(state(&stage, "shared").await, "live", "another VaultSecret uses it");
    stage.cluster.holds(&stage.shop, "other", &[("k", "v")]).await;
    api.delete("other", &DeleteParams::default()).await.unwrap();
    eventually("the last one takes it along", || async {
        match state(&stage, "shared").await {
            state if state == "VersionGone" => Ok(()),
            state => Err(state),
        }
    })
    .await;
    // It was the namespace that deleted it, by its own rights, and the audit log says so.
    let deleted = "SELECT count(*) FROM audit_entries WHERE action = 'record.delete' AND actor_kind = 'namespace' AND decision = 'allow'";
    assert_eq!(stage.database.count(deleted).await, 2);
}

#[tokio::test]
async fn a_secret_goes_with_the_access_if_that_is_asked_for_and_comes_back_with_it() {
    let stage = Stage::set().await;
    stage.write(&stage.own("db"), &[("k", "v")]).await;
    let spec = json!({ "target": { "onRevoked": "Delete" } });
    stage
        .cluster
        .create_vault_secret(&stage.shop, "db", spec)
        .await
        .unwrap();
    stage.cluster.ready(&stage.shop, "db").await;
    let deny = json!({
        "subjects": [{ "kind": "Namespace", "name": stage.shop }],
        "rules": [{ "effect": "deny", "paths": [stage.own("db")], "capabilities": ["sync"] }],
    });
    stage
        .cluster
        .create_vault_policy(&stage.operator, "closed", deny)
        .await
        .unwrap();
    stage.cluster.gone(&stage.shop, "db").await;
    let message = stage.cluster.refused(&stage.shop, "db", "PolicyDenied").await;
    assert!(message.contains("policy"), "{message}");
    stage
        .cluster
        .vault_policies(&stage.operator)
        .delete("closed", &DeleteParams::default())
        .await
        .unwrap();
    stage.cluster.holds(&stage.shop, "db", &[("k", "v")]).await;
    stage.cluster.ready(&stage.shop, "db").await;
}

#[tokio::test]
async fn losing_access_to_many_at_once_is_held_by_the_brake() {
    let stage = Stage::set().await;
    for number in 0..25 {
        let name = format!("s{number}");
        stage.write(&stage.own(&name), &[("k", "v")]).await;
        let spec = json!({ "target": { "onRevoked": "Delete" } });
        stage
            .cluster
            .create_vault_secret(&stage.shop, &name, spec)
            .await
            .unwrap();
    }
    for number in 0..25 {
        stage.cluster.ready(&stage.shop, &format!("s{number}")).await;
    }
    let deny = json!({
        "subjects": [{ "kind": "Everyone" }],
        "rules": [{ "effect": "deny", "paths": ["k8s/**"], "capabilities": ["sync"] }],
    });
    stage
        .cluster
        .create_vault_policy(&stage.operator, "slip", deny)
        .await
        .unwrap();
    eventually("five are held", || async {
        let held = stage.controller().metric("aether_vault_controller_deletions_held", &[]);
        if (held - 5.0).abs() < f64::EPSILON {
            Ok(())
        } else {
            Err(format!("{held}"))
        }
    })
    .await;
    // The slip is taken back: every Secret is there again.
    stage
        .cluster
        .vault_policies(&stage.operator)
        .delete("slip", &DeleteParams::default())
        .await
        .unwrap();
    for number in 0..25 {
        stage
            .cluster
            .holds(&stage.shop, &format!("s{number}"), &[("k", "v")])
            .await;
    }
}

#[tokio::test]
async fn what_external_secrets_operator_left_is_taken_over_in_place() {
    let stage = Stage::set().await;
    let secrets = stage.cluster.secrets(&stage.shop);
    let left: Secret = serde_json::from_value(json!({
        "metadata": {
            "name": "db",
            "labels": { "reconcile.external-secrets.io/managed": "true", "reconcile.external-secrets.io/created-by": "abc", "team": "shop" },
            "annotations": { "reconcile.external-secrets.io/data-hash": "def" },
            "ownerReferences": [{
                "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "name": "db", "uid": "d9607e19-f88f-11e6-a518-42010a800195",
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "data": { "k": ByteString(b"v".to_vec()) },
    }))
    .unwrap();
    // While an owner is named that does not exist, the cluster's garbage collector would delete it: so it is owned by something that exists.
    let owner = stage
        .cluster
        .create_vault_policy(
            &stage.shop,
            "stands-in-for-an-external-secret",
            json!({ "subjects": [{ "kind": "Everyone" }], "rules": [{ "effect": "deny", "paths": ["~/x"], "capabilities": ["list"] }] }),
        )
        .await
        .unwrap();
    let mut left = left;
    let reference = &mut left.metadata.owner_references.as_mut().unwrap()[0];
    reference.api_version = "aethervault.io/v1alpha1".to_owned();
    reference.kind = "VaultPolicy".to_owned();
    reference.name = owner.name_any();
    reference.uid = owner.uid().unwrap();
    let before = secrets.create(&PostParams::default(), &left).await.unwrap();

    stage.write(&stage.own("db"), &[("k", "v"), ("more", "w")]).await;
    let spec = json!({ "target": { "adopt": "ExternalSecrets" } });
    stage
        .cluster
        .create_vault_secret(&stage.shop, "db", spec)
        .await
        .unwrap();
    let message = stage.cluster.refused(&stage.shop, "db", "TargetConflict").await;
    assert!(message.contains("--cascade=orphan"), "{message}");

    // As kubectl delete --cascade=orphan leaves it.
    let orphaned = json!({ "metadata": { "ownerReferences": null } });
    secrets
        .patch("db", &PatchParams::default(), &Patch::Merge(orphaned))
        .await
        .unwrap();
    let after = stage
        .cluster
        .holds(&stage.shop, "db", &[("k", "v"), ("more", "w")])
        .await;
    assert_eq!(after.metadata.uid, before.metadata.uid);
    let labels: Vec<_> = after.labels().keys().cloned().collect();
    assert_eq!(labels, ["aethervault.io/managed-by", "team"]);
    assert!(
        !after
            .annotations()
            .keys()
            .any(|name| name.starts_with("reconcile.external-secrets.io"))
    );
    stage.cluster.ready(&stage.shop, "db").await;
}

#[tokio::test]
async fn an_owner_reference_is_there_only_if_it_is_asked_for() {
    let stage = Stage::set().await;
    stage.write(&stage.own("db"), &[("k", "v")]).await;
    let spec = json!({ "target": { "ownerReference": true } });
    let object = stage
        .cluster
        .create_vault_secret(&stage.shop, "db", spec)
        .await
        .unwrap();
    stage.cluster.ready(&stage.shop, "db").await;
    let secret = stage.cluster.secrets(&stage.shop).get("db").await.unwrap();
    let owner = &secret.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!(
        (owner.kind.as_str(), Some(&owner.uid)),
        ("VaultSecret", object.metadata.uid.as_ref())
    );
    stage
        .cluster
        .change_vault_secret(&stage.shop, "db", json!({}))
        .await
        .unwrap();
    stage.cluster.ready(&stage.shop, "db").await;
    let secret = stage.cluster.secrets(&stage.shop).get("db").await.unwrap();
    assert_eq!(secret.metadata.owner_references.unwrap_or_default(), []);
}
