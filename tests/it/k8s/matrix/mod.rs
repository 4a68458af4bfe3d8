//! The matrix of docs/behaviour.md: every cell is made to happen, and what is found has to be what stands there.

mod cell;
mod event;

use std::collections::BTreeMap;

use futures::StreamExt as _;
use futures::stream::iter;
use kube::Config;
use kube::api::{DeleteParams, PostParams};

use self::cell::{Cell, SETTLE, Source, expected};
use self::event::EVENTS;
use crate::support::cluster::TestCluster;
use crate::support::controller::Stage;
use crate::support::servers::OwnCluster;

/// How many cells are tried at the same time: each is an object of its own, and each asks the API server again and again.
const AT_A_TIME: usize = 6;
const POLICIES: [&str; 4] = ["Own", "Retain", "Revoke", "Merge"];

/// All cells of a source.
async fn common_events(source: Source) {
    let stage = Stage::set().await;
    let cells = POLICIES
        .into_iter()
        .flat_map(|policy| EVENTS.map(|event| (policy, event)));
    let cells = cells
        .filter(|(_, event)| expected(source, event, "Own") != "–")
        .map(|(policy, event)| {
            let it = Cell::new(&stage, source, policy, event);
            async move {
                let before = it.begin().await;
                let [old, new] = it.happens(event, &before).await;
                it.becomes(event, &old, &new).await;
            }
        });
    iter(cells).buffer_unordered(AT_A_TIME).collect::<()>().await;
}

#[tokio::test]
async fn what_is_written_becomes_what_the_page_says() {
    common_events(Source::Written).await;
}

#[tokio::test]
async fn what_is_generated_becomes_what_the_page_says() {
    common_events(Source::Generated).await;
}

#[tokio::test]
async fn what_rotates_becomes_what_the_page_says() {
    common_events(Source::Rotated).await;
}

#[tokio::test]
async fn a_certificate_becomes_what_the_page_says() {
    common_events(Source::Certificate).await;
}

#[tokio::test]
async fn what_was_sealed_becomes_what_the_page_says() {
    common_events(Source::Sealed).await;
}

#[tokio::test]
async fn what_was_imported_becomes_what_the_page_says() {
    common_events(Source::Imported).await;
}

#[tokio::test]
async fn what_follows_a_secret_becomes_what_the_page_says() {
    common_events(Source::Followed).await;
}

fn everything<'a>(stage: &'a Stage, event: &str) -> Vec<Cell<'a>> {
    let cells = Source::ALL
        .into_iter()
        .flat_map(|source| POLICIES.map(|policy| (source, policy)));
    cells
        .map(|(source, policy)| Cell::new(stage, source, policy, event))
        .collect()
}

/// Brings all cells to where the event begins; answers what each Secret holds.
async fn all_begin(cells: &[Cell<'_>]) -> Vec<BTreeMap<String, String>> {
    iter(cells.iter().map(Cell::begin)).buffered(AT_A_TIME).collect().await
}

/// Waits until all cells are as the page says, old data being what there was before.
async fn all_become(cells: &[Cell<'_>], event: &str, before: &[BTreeMap<String, String>]) {
    let all = cells
        .iter()
        .zip(before)
        .map(|(it, before)| it.becomes(event, before, before));
    iter(all).buffer_unordered(AT_A_TIME).collect::<()>().await;
}

/// As Velero or a copy of etcd gives it back: the same contents under new uids.
#[tokio::test]
async fn a_restored_backup_becomes_what_the_page_says() {
    const EVENT: &str = "restore of a backup";
    let mut stage = Stage::set().await;
    let before = all_begin(&everything(&stage, EVENT)).await;
    stage.stop().await;
    let mut restored = Vec::new();
    for it in everything(&stage, EVENT) {
        let mut copy = it.secrets().get(&it.name).await.unwrap();
        it.resources().delete(&it.name, &DeleteParams::default()).await.unwrap();
        it.secrets().delete(&it.name, &DeleteParams::default()).await.unwrap();
        copy.metadata.uid = None;
        copy.metadata.resource_version = None;
        copy.metadata.managed_fields = None;
        let made = it.secrets().create(&PostParams::default(), &copy).await.unwrap();
        restored.push(made.metadata.uid);
        it.apply().await;
    }
    stage.start().await;
    let cells = everything(&stage, EVENT);
    all_become(&cells, EVENT, &before).await;
    for (it, uid) in cells.iter().zip(&restored) {
        let found = it.secrets().get(&it.name).await.unwrap();
        assert_eq!(found.metadata.uid, *uid, "{} was made anew", it.name);
    }
}

#[tokio::test]
async fn a_namespace_made_again_becomes_what_the_page_says() {
    const EVENT: &str = "namespace deleted and remade";
    let stage = Stage::set().await;
    let cells = everything(&stage, EVENT);
    let before = all_begin(&cells).await;
    stage.cluster.remake_namespace(&stage.shop).await;
    for it in &cells {
        it.apply().await;
    }
    all_become(&cells, EVENT, &before).await;
}

#[tokio::test]
async fn a_deleted_definition_leaves_what_the_page_says() {
    const EVENT: &str = "definition deleted";
    if !OwnCluster::can_be_made() {
        return;
    }
    // The definition belongs to the whole cluster, so this test has one of its own.
    let own = OwnCluster::up();
    let kubeconfig = kube::config::Kubeconfig::read_from(own.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default())
        .await
        .unwrap();
    let mut stage = Stage::on(TestCluster::with(config.clone()).await).await;
    let mut settings = stage.settings();
    settings.watch_namespaces.clear();
    stage.start_with(stage.cluster.client.clone(), settings).await;
    let cells = everything(&stage, EVENT);
    let before = all_begin(&cells).await;
    own.kubectl(&["delete", "crd", "vaultsecrets.aethervault.io", "--timeout=60s"]);
    tokio::time::sleep(SETTLE).await;
    // Made again without resources: what is asked below is answered, and there are none.
    let _again = TestCluster::with(config).await;
    all_become(&cells, EVENT, &before).await;
}
