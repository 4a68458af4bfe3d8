//! The database fails over to a standby while everything runs: what was acknowledged is there, each Secret follows, and what had nothing to do
//! is not touched. Real processes, a real standby, and an address that leads to whichever server is the primary, as a Service does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kube::api::ListParams;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use crate::support::client::Client;
use crate::support::cluster::{TestCluster, eventually, kubeconfig};
use crate::support::forwarder::Forwarder;
use crate::support::process::Installation;
use crate::support::servers::OwnPostgres;

const OBJECTS: usize = 6;

/// Where a server listens.
fn address(dsn: &str) -> std::net::SocketAddr {
    let (_, rest) = dsn.rsplit_once('@').unwrap();
    rest.split('/').next().unwrap().parse().unwrap()
}

/// The names and resourceVersions of the Secrets and of the `VaultSecret`s.
async fn versions(cluster: &TestCluster, namespace: &str) -> BTreeMap<String, String> {
    let secrets = cluster.secrets(namespace).list(&ListParams::default()).await.unwrap();
    let objects = cluster
        .vault_secrets(namespace)
        .list(&ListParams::default())
        .await
        .unwrap();
    let secrets = secrets.items.into_iter().map(|secret| ("Secret", secret.metadata));
    let objects = objects.items.into_iter().map(|object| ("VaultSecret", object.metadata));
    secrets
        .chain(objects)
        .map(|(kind, meta)| (format!("{kind} {}", meta.name.unwrap()), meta.resource_version.unwrap()))
        .collect()
}

/// Writes one version after another until it is told to stop; answers the last that was acknowledged.
fn keep_writing(client: Client, path: String, stop: Arc<AtomicBool>) -> tokio::task::JoinHandle<u64> {
    tokio::spawn(async move {
        let (mut number, mut acknowledged) = (1, 0);
        while !stop.load(Ordering::SeqCst) {
            number += 1;
            let body = json!({ "data": { "k": number.to_string() } });
            let answer = client
                .request(Method::PUT, &format!("/api/v1/records/{path}"), Some(&body))
                .await;
            match answer {
                Ok(answer) if answer.status < 300 => acknowledged = number,
                Ok(answer) => assert!(answer.status == 503, "{}", answer.text),
                Err(_) => {}
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        acknowledged
    })
}

async fn number(client: &Client, path: &str) -> Result<u64, String> {
    let answer = client.read(path).await;
    let value = &answer.body["data"]["k"];
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .ok_or(answer.text.clone())
}

async fn acknowledged(client: &Client, path: &str, data: &Value) {
    eventually(&format!("{path} is written"), || async {
        let answer = client.write(path, data).await;
        if answer.status < 300 { Ok(()) } else { Err(answer.text) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_standby_takes_over_and_nothing_is_lost_doubled_or_touched() {
    let (primary, standby) = tokio::task::spawn_blocking(|| {
        let primary = OwnPostgres::up();
        let standby = primary.standby();
        (primary, standby)
    })
    .await
    .unwrap();
    // A commit waits for the standby, as where nothing may be lost.
    let superuser = PgPool::connect(&primary.dsn("superuser")).await.unwrap();
    for sql in [
        "ALTER SYSTEM SET synchronous_standby_names = '*'",
        "SELECT pg_reload_conf()",
    ] {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&superuser).await.unwrap();
    }
    superuser.close().await;
    let service = Forwarder::to(address(&primary.dsn("runtime"))).await;
    let through = |role: &str| {
        let dsn = primary.dsn(role);
        dsn.replace(&address(&dsn).to_string(), &service.address.to_string())
    };

    let cluster = TestCluster::connect().await;
    let (shop, operator) = (cluster.namespace("shop").await, cluster.namespace("operator").await);
    let mut installation = Installation::new(&through("runtime"), &through("owner"));
    installation.use_cluster(&kubeconfig());
    installation.set("controller.operator_namespace", &operator);
    installation.set("controller.watch_namespaces", &json!([shop]).to_string());
    installation.set("controller.lease_duration", "3s");
    installation.migrate();
    let (mut api, mut controller) = (installation.api().await, installation.controller().await);
    let client = installation.administrator().await;
    let path = |name: &str| format!("k8s/{shop}/{name}");
    for number in 0..OBJECTS {
        let name = format!("s{number}");
        acknowledged(&client, &path(&name), &json!({ "k": "1" })).await;
        cluster.create_vault_secret(&shop, &name, json!({})).await.unwrap();
    }
    let generated = json!({ "source": { "generate": { "keys": { "k": { "password": {} } } } } });
    cluster
        .create_vault_secret(&shop, "generated", generated)
        .await
        .unwrap();
    for number in 0..OBJECTS {
        cluster.ready(&shop, &format!("s{number}")).await;
    }
    cluster.ready(&shop, "generated").await;
    let mut before = versions(&cluster, &shop).await;

    let stop = Arc::new(AtomicBool::new(false));
    let writer = keep_writing(client.clone(), path("s0"), Arc::clone(&stop));
    eventually("the writer writes", || async {
        match number(&client, &path("s0")).await? {
            0..=2 => Err("hardly".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    tokio::task::block_in_place(|| primary.kill());
    // The address leads to the standby before that may write, as it happens where names are slow.
    service.switch(address(&standby.dsn("runtime")));
    eventually("writes are refused for now", || async {
        let answer = client.write(&path("s1"), &json!({ "k": "refused" })).await;
        if answer.status == 503 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    tokio::task::block_in_place(|| standby.promote());
    acknowledged(&client, &path("s1"), &json!({ "k": "after" })).await;
    stop.store(true, Ordering::SeqCst);
    let acknowledged = writer.await.unwrap();
    let stored = number(&client, &path("s0")).await.unwrap();
    assert!(
        stored >= acknowledged,
        "{acknowledged} was acknowledged, and {stored} is stored"
    );

    cluster.holds(&shop, "s0", &[("k", &stored.to_string())]).await;
    cluster.holds(&shop, "s1", &[("k", "after")]).await;
    // The status follows the Secret.
    eventually("the statuses follow", || async {
        let now = versions(&cluster, &shop).await;
        let waits = ["VaultSecret s0", "VaultSecret s1"]
            .into_iter()
            .find(|object| now.get(*object) == before.get(*object));
        waits.map_or(Ok(()), |object| Err(object.to_owned()))
    })
    .await;
    cluster.ready(&shop, "s0").await;
    cluster.ready(&shop, "s1").await;
    let mut after = versions(&cluster, &shop).await;
    for changed in ["Secret s0", "Secret s1", "VaultSecret s0", "VaultSecret s1"] {
        assert_ne!(after.remove(changed), before.remove(changed), "{changed}");
    }
    assert_eq!(after, before, "nothing else was written, not even a status");
    let superuser = PgPool::connect(&standby.dsn("superuser")).await.unwrap();
    let count = |sql: &'static str| sqlx::query_scalar::<_, i64>(sql).fetch_one(&superuser);
    assert_eq!(count("SELECT count(*) FROM syncs").await.unwrap(), OBJECTS as i64 + 1);
    let generated =
        "SELECT count(*) FROM secret_versions v JOIN secrets s ON s.id = v.secret_id WHERE s.path LIKE '%/generated'";
    assert_eq!(count(generated).await.unwrap(), 1, "a value was generated again");
    superuser.close().await;
    api.assert_running();
    controller.assert_running();
}
