//! Whatever the API server does: no Secret is lost, doubled or flapping, and what nobody touched keeps its resourceVersion.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::Method;
use kube::api::ListParams;
use serde_json::json;

use crate::support::cluster::eventually;
use crate::support::controller::Stage;
use crate::support::faults::{Fate, Middle};

const OBJECTS: usize = 6;

async fn synced(stage: &Stage) {
    for number in 0..OBJECTS {
        let name = format!("s{number}");
        stage.write(&stage.own(&name), &[("k", "one")]).await;
        stage
            .cluster
            .create_vault_secret(&stage.shop, &name, json!({}))
            .await
            .unwrap();
    }
    for number in 0..OBJECTS {
        stage.cluster.ready(&stage.shop, &format!("s{number}")).await;
    }
}

/// The Secrets by name, with their resourceVersions.
async fn versions(stage: &Stage) -> BTreeMap<String, String> {
    let list = stage
        .cluster
        .secrets(&stage.shop)
        .list(&ListParams::default())
        .await
        .unwrap();
    let of = |meta: kube::core::ObjectMeta| (meta.name.unwrap(), meta.resource_version.unwrap());
    list.items.into_iter().map(|secret| of(secret.metadata)).collect()
}

/// A stage whose controller reaches the API server through the middle.
async fn through_the_middle() -> (Stage, Middle) {
    let mut stage = Stage::without_controller().await;
    let middle = Middle::new();
    stage
        .start_with(middle.client(&stage.cluster.client), stage.settings())
        .await;
    (stage, middle)
}

/// Every object is changed once and follows; the Secrets of `before` that were not changed are as they were.
async fn follows(stage: &Stage, before: &BTreeMap<String, String>) {
    stage.cluster.holds(&stage.shop, "s0", &[("k", "two")]).await;
    stage.cluster.ready(&stage.shop, "s0").await;
    let mut after = versions(stage).await;
    let mut before = before.clone();
    assert_ne!(after.remove("s0"), before.remove("s0"));
    assert_eq!(after, before);
}

#[tokio::test]
async fn an_api_server_that_is_down_is_waited_for() {
    let (stage, middle) = through_the_middle().await;
    synced(&stage).await;
    let before = versions(&stage).await;
    middle.rule(|_| Fate::Unanswered);
    stage.write(&stage.own("s0"), &[("k", "two")]).await;
    // Longer than the lease: whoever led has stepped down by then.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(versions(&stage).await, before);
    middle.rule(|_| Fate::Passes);
    follows(&stage, &before).await;
}

/// Of the next `requests`, every third is told to wait, and every third write that it came too late. It passes: how long an object waits after
/// its last failure doubles with each, and a storm without an end would be a matter of luck.
fn storm(middle: &Middle, requests: usize) {
    let asked = AtomicUsize::new(0);
    middle.rule(move |seen| {
        if seen.path.contains("/leases") || seen.watch {
            return Fate::Passes;
        }
        match asked.fetch_add(1, Ordering::SeqCst) {
            past if past >= requests => Fate::Passes,
            third if third % 3 == 0 => Fate::Answered(429),
            third if third % 3 == 1 && seen.method != Method::GET => Fate::Answered(409),
            _ => Fate::Passes,
        }
    });
}

#[tokio::test]
async fn storms_of_429_and_409_lose_and_double_nothing() {
    let (stage, middle) = through_the_middle().await;
    storm(&middle, 48);
    synced(&stage).await;
    let before = versions(&stage).await;
    assert_eq!(before.len(), OBJECTS);
    storm(&middle, 6);
    stage.write(&stage.own("s0"), &[("k", "two")]).await;
    follows(&stage, &before).await;
    assert_eq!(
        stage.database.count("SELECT count(*) FROM syncs").await,
        i64::try_from(OBJECTS).unwrap()
    );
}

#[tokio::test]
async fn watches_that_expire_are_begun_anew_and_write_nothing() {
    let (mut stage, middle) = through_the_middle().await;
    synced(&stage).await;
    let before = versions(&stage).await;
    // The watches that run go on; so the controller is made to begin new ones, and each of the first is too old.
    let refused = AtomicUsize::new(0);
    let (told, count) = std::sync::mpsc::channel();
    middle.rule(move |seen| {
        if seen.watch && refused.fetch_add(1, Ordering::SeqCst) < 6 {
            let _ = told.send(());
            return Fate::Answered(410);
        }
        Fate::Passes
    });
    stage.stop().await;
    stage
        .start_with(middle.client(&stage.cluster.client), stage.settings())
        .await;
    eventually("the first watches were refused", || async {
        match count.try_iter().count() {
            0 => Err("none yet".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    stage.write(&stage.own("s0"), &[("k", "two")]).await;
    follows(&stage, &before).await;
}

/// As SIGSTOP does it: the leader decided to write version 6, and its request reaches the API server when another one has led for long.
#[tokio::test]
async fn a_leader_that_was_stopped_past_its_lease_puts_nothing_old_over_what_is_new() {
    let (stage, middle) = through_the_middle().await;
    synced(&stage).await;
    for version in 2..6 {
        stage.write(&stage.own("s0"), &[("k", &version.to_string())]).await;
    }
    stage.cluster.holds(&stage.shop, "s0", &[("k", "5")]).await;
    stage.cluster.ready(&stage.shop, "s0").await;
    let before = versions(&stage).await;

    let already = middle.count(&Method::PUT, "/secrets/s0");
    middle.close();
    middle.rule(
        |seen| match seen.method == Method::GET && seen.path.contains("/secrets/") {
            true => Fate::Passes,
            false => Fate::Waits,
        },
    );
    stage.write(&stage.own("s0"), &[("k", "6")]).await;
    eventually("the old leader is about to write", || async {
        match middle.count(&Method::PUT, "/secrets/s0") - already {
            0 => Err("not yet".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    let mut settings = stage.settings();
    settings.identity = "second".to_owned();
    let second = stage.controller_with(stage.cluster.client.clone(), settings).await;
    stage.write(&stage.own("s0"), &[("k", "7")]).await;
    let written = stage.cluster.holds(&stage.shop, "s0", &[("k", "7")]).await;
    middle.open();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let now = stage.cluster.holds(&stage.shop, "s0", &[("k", "7")]).await;
    assert_eq!(
        now.metadata.resource_version, written.metadata.resource_version,
        "it moved once"
    );
    follows_but(&stage, &before).await;
    second.stop().await;
}

/// As SIGSTOP does it to a leader that has asked the vault and is about to read the Secret: the resourceVersion that it reads after the pause is
/// that of another leader's work. A Lease of its own lets the second one lead at the same time.
#[tokio::test]
async fn a_leader_that_was_stopped_with_old_values_in_hand_drops_them() {
    let (stage, middle) = through_the_middle().await;
    synced(&stage).await;
    // One is changed in the vault, the other in its spec.
    let change = async |to: &str| {
        stage.write(&stage.own("s0"), &[("k", to)]).await;
        let spec = json!({ "data": [{ "key": "k", "template": to }] });
        stage
            .cluster
            .change_vault_secret(&stage.shop, "s1", spec)
            .await
            .unwrap();
    };
    let held = async |to: &str| {
        let zero = stage.cluster.holds(&stage.shop, "s0", &[("k", to)]).await;
        let one = stage.cluster.holds(&stage.shop, "s1", &[("k", to)]).await;
        [zero, one].map(|secret| secret.metadata.resource_version.unwrap())
    };
    let already = middle.count(&Method::GET, "/secrets/");
    let reads = |many: usize| {
        let middle = middle.clone();
        eventually("the old leader reads the Secrets", move || {
            let seen = middle.count(&Method::GET, "/secrets/") - already;
            async move {
                if seen >= many {
                    Ok(())
                } else {
                    Err(format!("{seen} reads"))
                }
            }
        })
    };
    middle.close();
    middle.rule(|seen| match seen.path.contains("/secrets/") {
        true => Fate::Waits,
        false => Fate::Passes,
    });
    change("two").await;
    reads(2).await;
    let mut settings = stage.settings();
    settings.identity = "second".to_owned();
    settings.lease_name = "second".to_owned();
    let second = stage.controller_with(stage.cluster.client.clone(), settings).await;
    change("three").await;
    let three = held("three").await;
    second.stop().await;
    middle.open();
    // Each looks again.
    reads(4).await;
    change("four").await;
    let four = held("four").await;
    for (name, (three, four)) in ["s0", "s1"].into_iter().zip(three.iter().zip(four)) {
        let moves = stage.cluster.moves(&stage.shop, name, three, &four).await;
        assert_eq!(moves, [four], "{name}: what was old was put over what is new");
    }
}

async fn follows_but(stage: &Stage, before: &BTreeMap<String, String>) {
    let (mut after, mut before) = (versions(stage).await, before.clone());
    assert_ne!(after.remove("s0"), before.remove("s0"));
    assert_eq!(after, before);
}
