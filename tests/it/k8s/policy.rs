//! Policies decide, from resources and for resources.

use kube::Config;
use kube::api::DeleteParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use crate::support::cluster::{TestCluster, eventually};
use crate::support::controller::Stage;
use crate::support::servers::OwnCluster;

fn policy(subject: &Value, effect: &str, path: &str) -> Value {
    json!({ "subjects": [subject], "rules": [{ "effect": effect, "paths": [path], "capabilities": ["sync"] }] })
}

/// Waits for a condition of a policy; answers its message.
async fn stands(cluster: &TestCluster, namespace: &str, name: &str, kind: &str, wanted: &str) -> String {
    let api = cluster.vault_policies(namespace);
    eventually(&format!("{name}: {kind} {wanted}"), || async {
        let policy = api.get(name).await.map_err(|error| error.to_string())?;
        let conditions = policy.status.map(|status| status.conditions).unwrap_or_default();
        let found = conditions
            .into_iter()
            .find(|condition| condition.kind == kind)
            .ok_or("no condition yet")?;
        let line = format!("{:?} {}", found.status, found.reason);
        if line == wanted { Ok(found.message) } else { Err(line) }
    })
    .await
}

#[tokio::test]
async fn a_shared_record_is_denied_until_a_policy_of_the_operator_allows_it() {
    let stage = Stage::set().await;
    stage.write("shared/pki/ca", &[("crt", "CERT")]).await;
    let spec = json!({ "path": "shared/pki/ca", "data": [{ "key": "ca.crt", "from": { "key": "crt" } }] });
    stage
        .cluster
        .create_vault_secret(&stage.shop, "ca", spec)
        .await
        .unwrap();
    let message = stage.cluster.refused(&stage.shop, "ca", "PolicyDenied").await;
    assert!(
        message.starts_with(&format!("namespace '{}' may not sync 'shared/pki/ca': ", stage.shop)),
        "{message}"
    );
    assert!(
        stage
            .cluster
            .secrets(&stage.shop)
            .get_opt("ca")
            .await
            .unwrap()
            .is_none()
    );

    let subject = json!({ "kind": "Namespace", "matchLabels": { "team": "shop" } });
    stage
        .cluster
        .create_vault_policy(&stage.operator, "ca", policy(&subject, "allow", "shared/pki/ca"))
        .await
        .unwrap();
    stage.cluster.holds(&stage.shop, "ca", &[("ca.crt", "CERT")]).await;
    stands(&stage.cluster, &stage.operator, "ca", "Ready", "True InForce").await;

    // Access that is lost keeps the Secret and stops updating it.
    stage
        .cluster
        .vault_policies(&stage.operator)
        .delete("ca", &DeleteParams::default())
        .await
        .unwrap();
    let message = stage.cluster.refused(&stage.shop, "ca", "PolicyDenied").await;
    assert!(
        message.ends_with("(the Secret is kept as it was last written)"),
        "{message}"
    );
    stage.write("shared/pki/ca", &[("crt", "NEWER")]).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    stage.cluster.holds(&stage.shop, "ca", &[("ca.crt", "CERT")]).await;
}

#[tokio::test]
async fn r35_a_denied_path_gives_the_same_answer_whether_or_not_it_exists() {
    let stage = Stage::set().await;
    stage.write("shared/there", &[("k", "v")]).await;
    let mut seen = Vec::new();
    for name in ["there", "nowhere"] {
        let spec = json!({ "path": format!("shared/{name}"), "dataFrom": [{ "version": 1 }] });
        stage
            .cluster
            .create_vault_secret(&stage.shop, name, spec)
            .await
            .unwrap();
        stage.cluster.refused(&stage.shop, name, "PolicyDenied").await;
        let status = stage
            .cluster
            .vault_secrets(&stage.shop)
            .get(name)
            .await
            .unwrap()
            .status
            .unwrap();
        let told: Vec<_> = status
            .conditions
            .iter()
            .map(|c| {
                format!(
                    "{} {:?} {} {}",
                    c.kind,
                    c.status,
                    c.reason,
                    c.message.replace(name, "x")
                )
            })
            .collect();
        seen.push((told, status.record_version));
    }
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test]
async fn r35_another_namespaces_records_are_out_of_reach() {
    let stage = Stage::set().await;
    let other = stage.cluster.named("other");
    stage.write(&format!("k8s/{other}/db"), &[("k", "v")]).await;
    for (name, spec) in [
        ("path", json!({ "path": format!("k8s/{other}/db") })),
        (
            "from",
            json!({ "data": [{ "key": "k", "from": { "path": format!("k8s/{other}/db"), "key": "k" } }] }),
        ),
        ("all", json!({ "dataFrom": [{ "path": format!("k8s/{other}/db") }] })),
        (
            "template",
            json!({ "data": [{ "key": "k", "template": format!("{{{{ records['k8s/{other}/db'].data.k }}}}") }] }),
        ),
        (
            "source",
            json!({ "path": format!("k8s/{other}/db"), "source": { "generate": { "keys": { "a": { "uuid": {} } } } } }),
        ),
    ] {
        stage
            .cluster
            .create_vault_secret(&stage.shop, name, spec)
            .await
            .unwrap();
        stage.cluster.refused(&stage.shop, name, "PolicyDenied").await;
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
}

#[tokio::test]
async fn a_deny_wins_and_wakes_those_whom_it_concerns() {
    let stage = Stage::set().await;
    for name in ["closed", "open"] {
        stage.write(&stage.own(name), &[("k", name)]).await;
        stage
            .cluster
            .create_vault_secret(&stage.shop, name, json!({}))
            .await
            .unwrap();
        stage.cluster.ready(&stage.shop, name).await;
    }
    let subject = json!({ "kind": "Namespace", "name": stage.shop });
    stage
        .cluster
        .create_vault_policy(&stage.shop, "deny", policy(&subject, "deny", "~/closed"))
        .await
        .unwrap();
    let message = stage.cluster.refused(&stage.shop, "closed", "PolicyDenied").await;
    assert!(message.contains("deny"), "{message}");
    stage.cluster.ready(&stage.shop, "open").await;
    stage
        .cluster
        .vault_policies(&stage.shop)
        .delete("deny", &DeleteParams::default())
        .await
        .unwrap();
    stage.cluster.ready(&stage.shop, "closed").await;
}

#[tokio::test]
async fn a_policy_outside_the_operators_namespace_is_confined_and_says_so() {
    let stage = Stage::set().await;
    stage.write("shared/pki/ca", &[("crt", "CERT")]).await;
    let subject = json!({ "kind": "Namespace", "name": stage.shop });
    stage
        .cluster
        .create_vault_policy(&stage.shop, "greedy", policy(&subject, "allow", "shared/**"))
        .await
        .unwrap();
    let message = stands(&stage.cluster, &stage.shop, "greedy", "Confined", "True BeyondScope").await;
    assert!(
        message.contains("rules[0].paths[0]") && message.contains("operator's namespace"),
        "{message}"
    );
    stage
        .cluster
        .create_vault_secret(&stage.shop, "ca", json!({ "path": "shared/pki/ca" }))
        .await
        .unwrap();
    stage.cluster.refused(&stage.shop, "ca", "PolicyDenied").await;
    stage
        .cluster
        .create_vault_policy(&stage.shop, "modest", policy(&subject, "allow", "~/**"))
        .await
        .unwrap();
    stands(&stage.cluster, &stage.shop, "modest", "Confined", "False WithinScope").await;
}

#[tokio::test]
async fn a_policy_that_cannot_be_compiled_is_refused_with_what_to_change() {
    let stage = Stage::set().await;
    let subject = json!({ "kind": "Everyone" });
    stage
        .cluster
        .create_vault_policy(&stage.shop, "bad", policy(&subject, "allow", "~/{nobody}/x"))
        .await
        .unwrap();
    let message = stands(&stage.cluster, &stage.shop, "bad", "Accepted", "False InvalidPolicy").await;
    assert!(message.contains("rules[0].paths[0]"), "{message}");
    assert_eq!(stage.database.count("SELECT count(*) FROM policies").await, 0);
}

#[tokio::test]
async fn a_policy_ends_at_its_time() {
    let stage = Stage::set().await;
    let subject = json!({ "kind": "Namespace", "name": stage.shop });
    let mut spec = policy(&subject, "allow", "~/**");
    spec["expiresAt"] = json!("2020-01-01T00:00:00Z");
    stage
        .cluster
        .create_vault_policy(&stage.shop, "old", spec)
        .await
        .unwrap();
    stands(&stage.cluster, &stage.shop, "old", "Ready", "False Expired").await;
}

#[tokio::test]
async fn new_labels_of_a_namespace_are_new_rights() {
    if !OwnCluster::can_be_made() {
        return;
    }
    // A controller of every namespace would look after those of other tests too, so this one has a cluster of its own.
    let own = OwnCluster::up();
    let kubeconfig = Kubeconfig::read_from(own.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    let mut stage = Stage::on(TestCluster::with(config).await).await;
    let mut settings = stage.settings();
    settings.watch_namespaces.clear();
    stage.start_with(stage.cluster.client.clone(), settings).await;
    stage.write("shared/x", &[("k", "v")]).await;
    let subject = json!({ "kind": "Namespace", "matchLabels": { "trust": "yes" } });
    stage
        .cluster
        .create_vault_policy(&stage.operator, "x", policy(&subject, "allow", "shared/x"))
        .await
        .unwrap();
    stage
        .cluster
        .create_vault_secret(&stage.shop, "x", json!({ "path": "shared/x" }))
        .await
        .unwrap();
    stage.cluster.refused(&stage.shop, "x", "PolicyDenied").await;
    own.kubectl(&["label", "namespace", &stage.shop, "trust=yes"]);
    stage.cluster.holds(&stage.shop, "x", &[("k", "v")]).await;
    own.kubectl(&["label", "namespace", &stage.shop, "trust-"]);
    stage.cluster.refused(&stage.shop, "x", "PolicyDenied").await;
    drop(stage);
}

#[tokio::test]
async fn r40_a_namespace_made_again_under_the_same_name_reaches_nothing() {
    let stage = Stage::set().await;
    stage.write(&stage.own("db"), &[("k", "earlier")]).await;
    stage
        .cluster
        .create_vault_secret(&stage.shop, "db", json!({}))
        .await
        .unwrap();
    stage.cluster.ready(&stage.shop, "db").await;
    stage.cluster.remake_namespace(&stage.shop).await;
    stage
        .cluster
        .create_vault_secret(&stage.shop, "db", json!({}))
        .await
        .unwrap();
    let message = stage.cluster.refused(&stage.shop, "db", "RootOrphaned").await;
    assert!(message.contains("roots adopt"), "{message}");
    assert!(
        stage
            .cluster
            .secrets(&stage.shop)
            .get_opt("db")
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_preview_tells_what_would_change_and_takes_no_effect() {
    let stage = Stage::set().await;
    stage.write("shared/pki/ca", &[("crt", "CERT")]).await;
    let spec = json!({ "path": "shared/pki/ca", "data": [{ "key": "ca.crt", "from": { "key": "crt" } }] });
    stage
        .cluster
        .create_vault_secret(&stage.shop, "ca", spec)
        .await
        .unwrap();
    let subject = json!({ "kind": "Namespace", "matchLabels": { "team": "shop" } });
    let mut wanted = policy(&subject, "allow", "shared/pki/*");
    wanted["preview"] = json!(true);
    wanted["rules"][0]["unless"] = json!({ "timeWindow": { "days": ["Mon"], "from": "08:00", "to": "08:01" }, "expiresAt": "2020-01-01T00:00:00Z" });
    stage
        .cluster
        .create_vault_policy(&stage.operator, "ca", wanted)
        .await
        .unwrap();
    stands(&stage.cluster, &stage.operator, "ca", "Ready", "False Preview").await;
    stands(&stage.cluster, &stage.operator, "ca", "Accepted", "True Accepted").await;
    let status = stage
        .cluster
        .vault_policies(&stage.operator)
        .get("ca")
        .await
        .unwrap()
        .status
        .unwrap();
    assert_eq!((status.subjects, status.records), (Some(1), Some(1)));
    let preview = status.preview.unwrap();
    assert_eq!((preview.opens, preview.closes, preview.cut_off), (1, 0, false));
    assert_eq!(
        preview.changes,
        [format!("namespace k8s/{} at shared/pki/ca: opens sync", stage.shop)]
    );
    stage.cluster.refused(&stage.shop, "ca", "PolicyDenied").await;

    let patch = json!({ "spec": { "preview": false } });
    stage
        .cluster
        .vault_policies(&stage.operator)
        .patch(
            "ca",
            &kube::api::PatchParams::default(),
            &kube::api::Patch::Merge(patch),
        )
        .await
        .unwrap();
    stage.cluster.holds(&stage.shop, "ca", &[("ca.crt", "CERT")]).await;
    stands(&stage.cluster, &stage.operator, "ca", "Ready", "True InForce").await;
    let status = stage
        .cluster
        .vault_policies(&stage.operator)
        .get("ca")
        .await
        .unwrap()
        .status
        .unwrap();
    assert_eq!(
        (status.subjects, status.records, status.preview),
        (Some(1), Some(1), None)
    );
}

#[tokio::test]
async fn a_policy_says_whose_denies_overrule_it_for_as_long_as_they_do() {
    let stage = Stage::set().await;
    stage.write(&stage.own("db"), &[("k", "v")]).await;
    let subject = json!({ "kind": "Namespace", "name": stage.shop });
    let (cluster, shop) = (&stage.cluster, stage.shop.as_str());
    for (name, effect, wanted) in [
        ("open", "allow", "False NotOverruled"),
        ("shut", "deny", "True Overruled"),
    ] {
        cluster
            .create_vault_policy(shop, name, policy(&subject, effect, "~/**"))
            .await
            .unwrap();
        let message = stands(cluster, shop, "open", "Conflicts", wanted).await;
        let told = format!("'k8s/{shop}/shut' denies namespace k8s/{shop} at k8s/{shop}/db: sync");
        assert_eq!(message.contains(&told), effect == "deny", "{message}");
    }
    // A deny overrules; it is not overruled.
    stands(cluster, shop, "shut", "Conflicts", "False NotOverruled").await;
    cluster
        .vault_policies(shop)
        .delete("shut", &DeleteParams::default())
        .await
        .unwrap();
    stands(cluster, shop, "open", "Conflicts", "False NotOverruled").await;
}
