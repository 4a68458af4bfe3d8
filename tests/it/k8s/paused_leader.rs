//! A leader that stands still (SIGSTOP) past its Lease with a write on its way, and then goes on. Real processes: two controllers and the API.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::cluster::{TestCluster, eventually, kubeconfig};
use crate::support::database::TestDatabase;
use crate::support::forwarder::Forwarder;
use crate::support::process::{Installation, Process};

/// More than all small requests of a leader send in the time of the test, and less than the Secret.
const SMALL: usize = 64 * 1024;

fn long(version: u32) -> String {
    version.to_string().repeat(200_000)
}

/// A copy of the kubeconfig that leads through the forwarder.
fn detour(folder: &Path, forwarder: SocketAddr) -> PathBuf {
    let own = std::fs::read_to_string(kubeconfig()).unwrap();
    let server = own
        .lines()
        .find_map(|line| line.trim().strip_prefix("server: "))
        .unwrap();
    let copy = folder.join("detour.conf");
    std::fs::write(&copy, own.replace(server, &format!("https://{forwarder}"))).unwrap();
    copy
}

fn api_server() -> SocketAddr {
    let own = std::fs::read_to_string(kubeconfig()).unwrap();
    let server = own
        .lines()
        .find_map(|line| line.trim().strip_prefix("server: https://"));
    server.unwrap().parse().unwrap()
}

async fn leads(installation: &Installation, process: &Process, wanted: bool) {
    let line = format!("aether_vault_controller_leader {}", u8::from(wanted));
    eventually(&format!("the metrics say '{line}'"), || async {
        let metrics = installation.metrics(process).await;
        if metrics.lines().any(|found| found == line) {
            Ok(())
        } else {
            Err("they do not".to_owned())
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn version_7_stays_when_the_leader_that_was_about_to_write_version_6_goes_on() {
    let cluster = TestCluster::connect().await;
    let (shop, operator) = (cluster.namespace("shop").await, cluster.namespace("operator").await);
    let database = TestDatabase::new().await;
    let forwarder = Forwarder::to(api_server()).await;
    let mut installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
    installation.set("controller.operator_namespace", &operator);
    installation.set("controller.watch_namespaces", &json!([shop]).to_string());
    installation.set("controller.lease_duration", "3s");
    installation.set("controller.identity", "first");
    installation.use_cluster(&detour(installation.folder(), forwarder.address));
    let mut other = installation.beside();
    other.use_cluster(&kubeconfig());
    other.set("controller.identity", "second");

    let _api = installation.api().await;
    let mut first = installation.controller().await;
    leads(&installation, &first, true).await;
    let mut second = other.controller().await;
    let client = installation.administrator().await;
    let path = format!("k8s/{shop}/orders");
    for version in 1..=5 {
        client.write(&path, &json!({ "k": long(version) })).await.ok();
    }
    let bystander = format!("k8s/{shop}/bystander");
    client.write(&bystander, &json!({ "k": "one" })).await.ok();
    for name in ["orders", "bystander"] {
        cluster.create_vault_secret(&shop, name, json!({})).await.unwrap();
        cluster.ready(&shop, name).await;
    }
    let five = cluster.holds(&shop, "orders", &[("k", &long(5))]).await;

    // Version 6 is on its way to the API server, and the rest of it does not arrive.
    forwarder.hold_after(SMALL);
    client.write(&path, &json!({ "k": long(6) })).await.ok();
    eventually("the leader is about to write version 6", || async {
        if forwarder.held() > 0 {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    })
    .await;
    first.pause();
    client.write(&path, &json!({ "k": long(7) })).await.ok();
    let seven = cluster.holds(&shop, "orders", &[("k", &long(7))]).await;
    cluster.ready(&shop, "orders").await;
    leads(&other, &second, true).await;

    // What the old leader had sent arrives; then it goes on, and finds that it does not lead.
    forwarder.release();
    first.resume();
    leads(&installation, &first, false).await;
    client.write(&bystander, &json!({ "k": "two" })).await.ok();
    cluster.holds(&shop, "bystander", &[("k", "two")]).await;
    cluster.ready(&shop, "bystander").await;

    let now = cluster.holds(&shop, "orders", &[("k", &long(7))]).await;
    assert_eq!(now.metadata.resource_version, seven.metadata.resource_version);
    let (five, now) = (
        five.metadata.resource_version.unwrap(),
        now.metadata.resource_version.unwrap(),
    );
    let moves = cluster.moves(&shop, "orders", &five, &now).await;
    assert_eq!(moves, [now], "it moved once, from version 5 to version 7");
    first.assert_running();
    second.assert_running();
}
