//! Where a record comes from: rotation, sealed values, imports, certificates, files; from the resource to the Secret.

use std::collections::BTreeMap;
use std::time::Duration;

use aether_vault::crypto::sealing::seal;
use aether_vault::domain::sealed::{SealedFor, SealingPublicKey};
use aether_vault::k8s::crd::VaultSecret;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use serde_json::{Value, json};

use crate::support::cluster::{eventually, texts, value};
use crate::support::controller::Stage;
use crate::support::vault::path;

pub(super) async fn create(stage: &Stage, name: &str, spec: Value) {
    stage
        .cluster
        .create_vault_secret(&stage.shop, name, spec)
        .await
        .unwrap();
}

pub(super) async fn secret(stage: &Stage, name: &str) -> Secret {
    stage.cluster.secrets(&stage.shop).get(name).await.unwrap()
}

/// Makes a Secret that is nobody's.
async fn foreign(stage: &Stage, name: &str, kind: &str, entries: &[(&str, &str)]) {
    let entries: BTreeMap<_, _> = entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        type_: Some(kind.to_owned()),
        string_data: Some(entries),
        ..Secret::default()
    };
    stage
        .cluster
        .secrets(&stage.shop)
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
}

async fn annotate(stage: &Stage, name: &str, annotation: &str, value: &str) {
    let patch = json!({ "metadata": { "annotations": { annotation: value } } });
    let api: Api<VaultSecret> = stage.cluster.vault_secrets(&stage.shop);
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
}

async fn version(stage: &Stage, name: &str, wanted: i64) -> VaultSecret {
    let api = stage.cluster.vault_secrets(&stage.shop);
    eventually(&format!("{name} carries version {wanted}"), || async {
        let object = api.get(name).await.map_err(|error| error.to_string())?;
        let carried = object.status.as_ref().and_then(|status| status.record_version);
        if carried == Some(wanted) {
            Ok(object)
        } else {
            Err(format!("{carried:?}"))
        }
    })
    .await
}

#[tokio::test]
async fn r39_values_rotate_by_what_the_vault_remembers_and_the_old_one_stays_through_the_overlap() {
    let stage = Stage::set().await;
    let rotation = json!({ "every": "24h", "keepPrevious": 1, "overlap": "1h" });
    create(
        &stage,
        "db",
        json!({ "source": { "generate": { "keys": { "password": { "password": {} } }, "rotation": rotation } } }),
    )
    .await;
    let ready = stage.cluster.ready(&stage.shop, "db").await;
    let first = value(&secret(&stage, "db").await, "password");
    let due = ready.status.unwrap().next_rotation_time.expect("it is shown");

    // Whatever somebody writes there, nothing is decided from it.
    let forged = json!({ "status": { "nextRotationTime": "2001-01-01T00:00:00Z" } });
    let api = stage.cluster.vault_secrets(&stage.shop);
    api.patch_status("db", &PatchParams::default(), &Patch::Merge(forged))
        .await
        .unwrap();
    annotate(&stage, "db", "aethervault.io/sync-now", "1").await;
    eventually("the time is put right", || async {
        let object = api.get("db").await.map_err(|error| error.to_string())?;
        let shown = object.status.and_then(|status| status.next_rotation_time);
        if shown.as_ref() == Some(&due) {
            Ok(())
        } else {
            Err(format!("{shown:?}"))
        }
    })
    .await;
    assert_eq!(value(&secret(&stage, "db").await, "password"), first);

    stage.process.clock.advance(Duration::from_secs(25 * 3600));
    version(&stage, "db", 2).await;
    let rotated = secret(&stage, "db").await;
    assert_eq!(value(&rotated, "password_previous"), first);
    let second = value(&rotated, "password");
    assert_ne!(second, first);

    stage.process.clock.advance(Duration::from_secs(2 * 3600));
    stage.cluster.holds(&stage.shop, "db", &[("password", &second)]).await;
    assert_eq!(
        stage
            .controller()
            .metric("aether_vault_controller_feeds_total", &[("source", "generate")]),
        3.0
    );
}

#[tokio::test]
async fn a_rotation_that_was_missed_while_nobody_led_is_made_up_for_once() {
    let mut stage = Stage::set().await;
    let keys = json!({ "token": { "uuid": {} } });
    create(
        &stage,
        "token",
        json!({ "source": { "generate": { "keys": keys, "rotation": { "schedule": "0 0 1 * *" } } } }),
    )
    .await;
    stage.cluster.ready(&stage.shop, "token").await;
    stage.stop().await;
    stage.process.clock.advance(Duration::from_secs(40 * 86_400));
    stage.start().await;
    version(&stage, "token", 2).await;
    assert_eq!(
        stage.database.count("SELECT max(version) FROM secret_versions").await,
        2
    );
}

#[tokio::test]
async fn an_annotation_asks_for_a_rotation_and_another_for_a_comparison() {
    let stage = Stage::set().await;
    create(
        &stage,
        "token",
        json!({ "source": { "generate": { "keys": { "token": { "uuid": {} } } } } }),
    )
    .await;
    stage.cluster.ready(&stage.shop, "token").await;
    let first = value(&secret(&stage, "token").await, "token");
    annotate(&stage, "token", "aethervault.io/rotate-now", "monday").await;
    version(&stage, "token", 2).await;
    let second = value(&secret(&stage, "token").await, "token");
    assert_ne!(first, second);

    let before = secret(&stage, "token").await;
    let reads = "SELECT count(*) FROM audit_entries WHERE action = 'sync.read'";
    let read_before = stage.database.count(reads).await;
    annotate(&stage, "token", "aethervault.io/sync-now", "tuesday").await;
    eventually("the record is read anew", || async {
        match stage.database.count(reads).await {
            more if more > read_before => Ok(()),
            same => Err(same.to_string()),
        }
    })
    .await;
    assert_eq!(secret(&stage, "token").await, before, "what is right is not written");
    assert_eq!(
        stage.database.count("SELECT max(version) FROM secret_versions").await,
        2
    );
}

/// The sealing key as the controller publishes it.
async fn published(stage: &Stage) -> String {
    let api: Api<ConfigMap> = Api::namespaced(stage.cluster.client.clone(), &stage.operator);
    let config = eventually("the sealing key is published", || async {
        api.get("aether-vault-sealing-key")
            .await
            .map_err(|error| error.to_string())
    })
    .await;
    let data = config.data.unwrap();
    assert_eq!(data["cluster"], "k8s");
    data["sealing-key"].clone()
}

fn sealed(public: &str, namespace: &str, name: &str, key: &str, value: &str) -> String {
    let public: SealingPublicKey = public.parse().unwrap();
    let target = SealedFor {
        cluster: "k8s",
        namespace,
        name,
        key,
    };
    seal(&public, &target, value.as_bytes()).unwrap().to_string()
}

#[tokio::test]
async fn r38_sealed_values_become_a_secret_and_those_of_another_namespace_nothing() {
    let stage = Stage::set().await;
    let public = published(&stage).await;
    let good = sealed(&public, &stage.shop, "api", "TOKEN", "t0ken");
    create(
        &stage,
        "api",
        json!({ "source": { "sealed": { "keys": { "TOKEN": good } } } }),
    )
    .await;
    stage.cluster.ready(&stage.shop, "api").await;
    stage.cluster.holds(&stage.shop, "api", &[("TOKEN", "t0ken")]).await;

    let foreign = sealed(&public, "bank", "stolen", "TOKEN", "t0ken");
    create(
        &stage,
        "stolen",
        json!({ "source": { "sealed": { "keys": { "TOKEN": foreign, "OTHER": good } } } }),
    )
    .await;
    let message = stage.cluster.refused(&stage.shop, "stolen", "SealedValueInvalid").await;
    assert!(
        message.contains("key 'TOKEN'") && message.contains("key 'OTHER'"),
        "{message}"
    );
    assert!(
        stage
            .cluster
            .secrets(&stage.shop)
            .get_opt("stolen")
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(stage.database.count("SELECT count(*) FROM secrets").await, 1);

    // Put right, it goes on by itself.
    let right = sealed(&public, &stage.shop, "stolen", "TOKEN", "mine");
    let spec = json!({ "source": { "sealed": { "keys": { "TOKEN": right } } } });
    stage
        .cluster
        .change_vault_secret(&stage.shop, "stolen", spec)
        .await
        .unwrap();
    stage.cluster.holds(&stage.shop, "stolen", &[("TOKEN", "mine")]).await;
}

#[tokio::test]
async fn a_secret_is_imported_once_or_followed() {
    let stage = Stage::set().await;
    foreign(&stage, "legacy", "Opaque", &[("user", "a"), ("password", "one")]).await;
    create(
        &stage,
        "once",
        json!({ "source": { "importFrom": { "secretName": "legacy" } } }),
    )
    .await;
    create(
        &stage,
        "copy",
        json!({ "source": { "importFrom": { "secretName": "legacy", "mode": "Follow" } }, "data": [{ "key": "p", "from": { "key": "password" } }] }),
    )
    .await;
    stage
        .cluster
        .holds(&stage.shop, "once", &[("password", "one"), ("user", "a")])
        .await;
    stage.cluster.holds(&stage.shop, "copy", &[("p", "one")]).await;

    let patch = json!({ "stringData": { "password": "two" } });
    let secrets = stage.cluster.secrets(&stage.shop);
    secrets
        .patch("legacy", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    stage.cluster.holds(&stage.shop, "copy", &[("p", "two")]).await;
    assert_eq!(value(&secret(&stage, "once").await, "password"), "one");
    // The one is everybody's, the other its Secret's alone.
    stage.write(&stage.own("once"), &[("password", "mine")]).await;
    stage.cluster.holds(&stage.shop, "once", &[("password", "mine")]).await;
    let refused = stage
        .process
        .vault
        .records()
        .delete(&stage.admin, &path(&stage.own("copy")), None)
        .await
        .unwrap_err();
    assert_eq!(refused.reason().as_str(), "ManagedByResource");

    create(
        &stage,
        "missing",
        json!({ "source": { "importFrom": { "secretName": "nowhere" } } }),
    )
    .await;
    let message = stage.cluster.refused(&stage.shop, "missing", "ImportFailed").await;
    assert!(message.contains("no Secret 'nowhere'"), "{message}");
    foreign(&stage, "nowhere", "Opaque", &[("k", "v")]).await;
    stage.cluster.holds(&stage.shop, "missing", &[("k", "v")]).await;
}

#[tokio::test]
async fn r34_tokens_of_service_accounts_are_not_imported() {
    let stage = Stage::set().await;
    foreign(
        &stage,
        "bootstrap",
        "bootstrap.kubernetes.io/token",
        &[("token-id", "abcdef"), ("token-secret", "0123456789abcdef")],
    )
    .await;
    create(
        &stage,
        "stolen",
        json!({ "source": { "importFrom": { "secretName": "bootstrap", "mode": "Follow" } } }),
    )
    .await;
    let message = stage.cluster.refused(&stage.shop, "stolen", "ImportFailed").await;
    assert!(message.contains("grants access to the cluster itself"), "{message}");
    assert_eq!(stage.database.count("SELECT count(*) FROM secrets").await, 0);
}

#[tokio::test]
async fn a_resource_that_goes_gives_its_record_back_and_another_does_not_take_it_before() {
    let stage = Stage::set().await;
    let rotated = json!({ "path": "~/db", "source": { "generate": { "keys": { "k": { "uuid": {} } }, "rotation": { "every": "1h" } } } });
    create(&stage, "first", rotated.clone()).await;
    stage.cluster.ready(&stage.shop, "first").await;
    create(&stage, "second", rotated).await;
    let message = stage.cluster.refused(&stage.shop, "second", "ManagedByOther").await;
    assert!(
        message.contains(&format!("VaultSecret k8s/{}/first", stage.shop)),
        "{message}"
    );
    let api: Api<VaultSecret> = stage.cluster.vault_secrets(&stage.shop);
    api.delete("first", &kube::api::DeleteParams::default()).await.unwrap();
    stage.cluster.ready(&stage.shop, "second").await;

    // A spec without the rotation lets go as well.
    let plain = json!({ "path": "~/db" });
    stage
        .cluster
        .change_vault_secret(&stage.shop, "second", plain)
        .await
        .unwrap();
    stage.cluster.ready(&stage.shop, "second").await;
    stage.write(&stage.own("db"), &[("k", "mine")]).await;
    stage.cluster.holds(&stage.shop, "second", &[("k", "mine")]).await;
}

#[tokio::test]
async fn records_become_files_and_keys_are_renamed() {
    let stage = Stage::set().await;
    stage
        .write(&stage.own("app"), &[("db-user", "ann"), ("db-pass", "it's $5")])
        .await;
    stage
        .write(
            &stage.own("hub"),
            &[("registry", "ghcr.io"), ("username", "u"), ("password", "p")],
        )
        .await;
    create(
        &stage,
        "app",
        json!({
            "data": [{ "key": "app.json", "file": { "format": "json" } }, { "key": "app.properties", "file": { "format": "properties", "keys": ["db-user"] } }],
            "dataFrom": [{ "rename": [{ "stripPrefix": "db-" }, { "case": "Upper" }], "prefix": "DB_" }],
        }),
    )
    .await;
    stage
        .cluster
        .holds(
            &stage.shop,
            "app",
            &[
                ("DB_PASS", "it's $5"),
                ("DB_USER", "ann"),
                ("app.json", r#"{"db-pass":"it's $5","db-user":"ann"}"#),
                ("app.properties", "db-user=ann\n"),
            ],
        )
        .await;
    create(
        &stage,
        "pull",
        json!({
            "path": "~/hub",
            "data": [{ "key": ".dockerconfigjson", "file": { "format": "dockerconfigjson" } }],
            "target": { "type": "kubernetes.io/dockerconfigjson" },
        }),
    )
    .await;
    stage.cluster.ready(&stage.shop, "pull").await;
    let config: Value = serde_json::from_str(&texts(&secret(&stage, "pull").await)[0].1).unwrap();
    assert_eq!(config["auths"]["ghcr.io"]["auth"], "dTpw");

    create(
        &stage,
        "env",
        json!({ "path": "~/app", "data": [{ "key": ".env", "file": { "format": "dotenv" } }] }),
    )
    .await;
    let message = stage.cluster.refused(&stage.shop, "env", "InvalidValue").await;
    assert!(
        message.contains("'db-pass'") && message.contains("no name of a variable"),
        "{message}"
    );
}
