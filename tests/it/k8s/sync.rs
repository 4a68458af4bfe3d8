//! From a record to the Secret and back to the status.

use serde_json::json;

use crate::support::cluster::{condition, eventually, value};
use crate::support::controller::Stage;

#[tokio::test]
async fn a_record_becomes_a_secret_and_a_change_follows() {
    let stage = Stage::set().await;
    stage
        .write(&stage.own("smtp"), &[("user", "a"), ("password", "first")])
        .await;
    stage
        .cluster
        .create_vault_secret(&stage.shop, "smtp", json!({}))
        .await
        .unwrap();
    let ready = stage.cluster.ready(&stage.shop, "smtp").await;
    let status = ready.status.unwrap();
    assert_eq!(
        (status.record_version, status.secret_name.as_deref()),
        (Some(1), Some("smtp"))
    );
    assert_eq!(status.path.as_deref(), Some(stage.own("smtp").as_str()));
    let secret = stage
        .cluster
        .holds(&stage.shop, "smtp", &[("password", "first"), ("user", "a")])
        .await;
    assert_eq!(secret.type_.as_deref(), Some("Opaque"));
    assert_eq!(
        secret.metadata.labels.unwrap()["aethervault.io/managed-by"],
        "aether-vault"
    );
    assert!(
        secret.metadata.owner_references.is_none(),
        "deleting the definition would take the Secret along"
    );

    stage.write(&stage.own("smtp"), &[("password", "second")]).await;
    let changed = stage
        .cluster
        .holds(&stage.shop, "smtp", &[("password", "second")])
        .await;
    assert_eq!(
        changed.metadata.uid, secret.metadata.uid,
        "the Secret is written, not made anew"
    );
}

#[tokio::test]
async fn generated_values_are_made_once_and_rendered() {
    let stage = Stage::set().await;
    let spec = json!({
        "source": { "generate": { "keys": {
            "password": { "password": { "length": 24 } },
            "token": { "bytes": { "length": 16, "encoding": "hex" } },
            "id": { "uuid": {} },
        } } },
        "data": [
            { "key": "URL", "template": "postgres://orders:{{ data.password | urlencode }}@db/orders" },
            { "key": "password", "from": { "key": "password" } },
            { "key": "token", "from": { "key": "token" } },
        ],
        "target": { "name": "orders", "labels": { "team": "shop" }, "annotations": { "example.com/a": "b" } },
    });
    stage
        .cluster
        .create_vault_secret(&stage.shop, "orders-db", spec.clone())
        .await
        .unwrap();
    stage.cluster.ready(&stage.shop, "orders-db").await;
    let secret = stage.cluster.secrets(&stage.shop).get("orders").await.unwrap();
    let password = value(&secret, "password");
    assert_eq!((password.len(), value(&secret, "token").len()), (24, 32));
    assert_eq!(value(&secret, "URL"), format!("postgres://orders:{password}@db/orders"));
    assert_eq!(secret.metadata.labels.as_ref().unwrap()["team"], "shop");
    assert_eq!(secret.metadata.annotations.as_ref().unwrap()["example.com/a"], "b");

    // A key that is added is made; those that are there stay.
    let mut more = spec;
    more["source"]["generate"]["keys"]["extra"] = json!({ "uuid": {} });
    more["data"][2] = json!({ "key": "extra", "from": { "key": "extra" } });
    stage
        .cluster
        .change_vault_secret(&stage.shop, "orders-db", more)
        .await
        .unwrap();
    let ready = stage.cluster.ready(&stage.shop, "orders-db").await;
    assert_eq!(ready.status.unwrap().record_version, Some(2));
    let secret = stage.cluster.secrets(&stage.shop).get("orders").await.unwrap();
    assert_eq!(
        (value(&secret, "password"), value(&secret, "extra").len()),
        (password, 36)
    );
}

#[tokio::test]
async fn a_deleted_record_is_not_made_again_and_its_secret_stays() {
    let stage = Stage::set().await;
    let spec = json!({ "source": { "generate": { "keys": { "token": { "uuid": {} } } } } });
    stage
        .cluster
        .create_vault_secret(&stage.shop, "token", spec)
        .await
        .unwrap();
    stage.cluster.ready(&stage.shop, "token").await;
    let before = stage.cluster.secrets(&stage.shop).get("token").await.unwrap();
    let at = crate::support::vault::path(&stage.own("token"));
    stage
        .process
        .vault
        .records()
        .delete(&stage.admin, &at, None)
        .await
        .unwrap();
    let message = stage.cluster.refused(&stage.shop, "token", "VersionGone").await;
    assert!(
        message.contains(&stage.own("token")) && message.contains("kept as it was"),
        "{message}"
    );
    let after = stage.cluster.secrets(&stage.shop).get("token").await.unwrap();
    assert_eq!(before, after);
}

#[tokio::test]
async fn versions_are_pinned_and_records_combined() {
    let stage = Stage::set().await;
    stage.write(&stage.own("a"), &[("k", "one")]).await;
    stage.write(&stage.own("a"), &[("k", "two")]).await;
    stage.write(&stage.own("b"), &[("port", "25")]).await;
    let spec = json!({
        "path": "~/a",
        "data": [{ "key": "old", "from": { "key": "k", "version": 1 } }, { "key": "new", "from": { "key": "k" } }],
        "dataFrom": [{ "path": "~/b", "prefix": "SMTP_" }],
    });
    stage
        .cluster
        .create_vault_secret(&stage.shop, "mix", spec)
        .await
        .unwrap();
    stage
        .cluster
        .holds(
            &stage.shop,
            "mix",
            &[("SMTP_port", "25"), ("new", "two"), ("old", "one")],
        )
        .await;
    stage.write(&stage.own("b"), &[("port", "465")]).await;
    stage
        .cluster
        .holds(
            &stage.shop,
            "mix",
            &[("SMTP_port", "465"), ("new", "two"), ("old", "one")],
        )
        .await;
}

#[tokio::test]
async fn every_fault_has_its_reason_and_message_and_leaves_no_secret() {
    let stage = Stage::set().await;
    let own = stage.own("have");
    stage.write(&own, &[("k", "hidden-value"), ("l", "hidden-value")]).await;
    let missing = stage.own("missing");
    for (name, spec, reason, message) in [
        (
            "missing",
            json!({}),
            "PathNotFound",
            format!("there is no record at '{missing}'; write it, or give spec.source"),
        ),
        (
            "version",
            json!({ "path": "~/have", "dataFrom": [{ "version": 9 }] }),
            "VersionGone",
            format!("version 9 of '{own}' is destroyed; bring it back, or write a new version"),
        ),
        (
            "key",
            json!({ "path": "~/have", "data": [{ "key": "a", "from": { "key": "nope" } }] }),
            "KeyMissing",
            format!("key 'a': '{own}' has no key 'nope'; add it to the record, or name another"),
        ),
        (
            "twice",
            json!({ "path": "~/have", "dataFrom": [{}, {}] }),
            "KeyConflict",
            String::new(),
        ),
        (
            "template",
            json!({ "path": "~/have", "data": [{ "key": "a", "template": "{{ data.k" }] }),
            "TemplateError",
            String::new(),
        ),
    ] {
        stage
            .cluster
            .create_vault_secret(&stage.shop, name, spec)
            .await
            .unwrap();
        let found = stage.cluster.refused(&stage.shop, name, reason).await;
        assert!(message.is_empty() || found == message, "{found}");
        assert!(!found.contains("hidden-value"), "{found}");
        assert!(
            stage
                .cluster
                .secrets(&stage.shop)
                .get_opt(name)
                .await
                .unwrap()
                .is_none()
        );
    }
    // What was missing wakes it when it comes.
    stage.write(&missing, &[("k", "here")]).await;
    stage.cluster.holds(&stage.shop, "missing", &[("k", "here")]).await;
    let ready = stage.cluster.ready(&stage.shop, "missing").await;
    assert_eq!(condition(&ready, "Stalled").unwrap().0, "False");
}

#[tokio::test]
async fn a_suspended_resource_is_left_alone() {
    let mut stage = Stage::set().await;
    stage.write(&stage.own("s"), &[("k", "one")]).await;
    stage
        .cluster
        .create_vault_secret(&stage.shop, "s", json!({ "suspend": true }))
        .await
        .unwrap();
    stage.cluster.refused(&stage.shop, "s", "Suspended").await;
    assert!(stage.cluster.secrets(&stage.shop).get_opt("s").await.unwrap().is_none());
    stage
        .cluster
        .change_vault_secret(&stage.shop, "s", json!({}))
        .await
        .unwrap();
    stage.cluster.holds(&stage.shop, "s", &[("k", "one")]).await;
    stage.cluster.ready(&stage.shop, "s").await;

    // What it carries is still told, and told once: another leader finds nothing to write.
    let suspended = json!({ "suspend": true });
    stage
        .cluster
        .change_vault_secret(&stage.shop, "s", suspended)
        .await
        .unwrap();
    let api = stage.cluster.vault_secrets(&stage.shop);
    let before = eventually("it is suspended", || async {
        let object = api.get("s").await.map_err(|error| error.to_string())?;
        let ready = condition(&object, "Ready").map(|(_, reason, _)| reason);
        match ready.as_deref() {
            Some("Suspended") => Ok(object),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(before.status.as_ref().unwrap().record_version, Some(1));
    stage.stop().await;
    stage.start().await;
    stage.write(&stage.own("other"), &[("k", "v")]).await;
    stage
        .cluster
        .create_vault_secret(&stage.shop, "other", json!({}))
        .await
        .unwrap();
    stage.cluster.ready(&stage.shop, "other").await;
    let after = api.get("s").await.unwrap();
    assert_eq!(after.metadata.resource_version, before.metadata.resource_version);
}

#[tokio::test]
async fn what_kubernetes_refuses_is_told_by_field_and_without_values() {
    let stage = Stage::set().await;
    stage.write(&stage.own("basic"), &[("token", "hidden-value")]).await;
    let spec = json!({ "target": { "type": "kubernetes.io/basic-auth" } });
    stage
        .cluster
        .create_vault_secret(&stage.shop, "basic", spec)
        .await
        .unwrap();
    let message = stage.cluster.refused(&stage.shop, "basic", "TargetRefused").await;
    assert!(
        message.contains("data[username]") && !message.contains("hidden-value"),
        "{message}"
    );
}

#[tokio::test]
async fn another_type_makes_the_secret_anew_and_so_does_a_change_of_an_immutable_one() {
    let stage = Stage::set().await;
    stage.write(&stage.own("i"), &[("username", "one")]).await;
    stage
        .cluster
        .create_vault_secret(&stage.shop, "i", json!({ "target": { "immutable": true } }))
        .await
        .unwrap();
    let first = stage.cluster.holds(&stage.shop, "i", &[("username", "one")]).await;
    assert_eq!(first.immutable, Some(true));
    stage.write(&stage.own("i"), &[("username", "two")]).await;
    let second = stage.cluster.holds(&stage.shop, "i", &[("username", "two")]).await;
    assert_ne!(first.metadata.uid, second.metadata.uid);
    let spec = json!({ "target": { "type": "kubernetes.io/basic-auth" } });
    stage.cluster.change_vault_secret(&stage.shop, "i", spec).await.unwrap();
    stage.cluster.ready(&stage.shop, "i").await;
    let third = stage.cluster.secrets(&stage.shop).get("i").await.unwrap();
    assert_eq!(third.type_.as_deref(), Some("kubernetes.io/basic-auth"));
    assert_eq!(third.immutable, None);
}

#[tokio::test]
async fn a_restart_changes_nothing_and_reads_no_values() {
    let mut stage = Stage::set().await;
    for name in ["a", "b", "c"] {
        stage.write(&stage.own(name), &[("k", name)]).await;
        stage
            .cluster
            .create_vault_secret(&stage.shop, name, json!({}))
            .await
            .unwrap();
    }
    for name in ["a", "b", "c"] {
        stage.cluster.ready(&stage.shop, name).await;
    }
    let before = (versions(&stage).await, reads(&stage).await);
    stage.stop().await;
    stage.start().await;
    // A change after the restart arrives, so everything before it was dealt with.
    stage.write(&stage.own("marker"), &[("k", "m")]).await;
    stage
        .cluster
        .create_vault_secret(&stage.shop, "marker", json!({}))
        .await
        .unwrap();
    stage.cluster.ready(&stage.shop, "marker").await;
    assert_eq!(
        (versions(&stage).await, reads(&stage).await - 1),
        before,
        "only the new one was read and written"
    );
}

/// The versions of three resources and their Secrets.
async fn versions(stage: &Stage) -> Vec<Option<String>> {
    let mut versions = Vec::new();
    for name in ["a", "b", "c"] {
        versions.push(
            stage
                .cluster
                .secrets(&stage.shop)
                .get(name)
                .await
                .unwrap()
                .metadata
                .resource_version,
        );
        versions.push(
            stage
                .cluster
                .vault_secrets(&stage.shop)
                .get(name)
                .await
                .unwrap()
                .metadata
                .resource_version,
        );
    }
    versions
}

/// How often values were read for a Secret.
async fn reads(stage: &Stage) -> usize {
    stage
        .database
        .audit()
        .await
        .iter()
        .filter(|entry| entry.starts_with("sync.read "))
        .count()
}

#[tokio::test]
async fn a_change_while_nobody_led_is_carried_after_the_restart() {
    let mut stage = Stage::set().await;
    stage.write(&stage.own("a"), &[("k", "one")]).await;
    stage
        .cluster
        .create_vault_secret(&stage.shop, "a", json!({}))
        .await
        .unwrap();
    stage.cluster.ready(&stage.shop, "a").await;
    stage.stop().await;
    stage.write(&stage.own("a"), &[("k", "two")]).await;
    stage.start().await;
    stage.cluster.holds(&stage.shop, "a", &[("k", "two")]).await;
}
