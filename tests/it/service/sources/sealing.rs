//! Values that were sealed for the vault.

use aether_vault::domain::record::KeyName;
use aether_vault::domain::sealed::{SealedFor, SealingPublicKey};
use aether_vault::service::LocalDoor;
use aether_vault::service::door::{FeedContent, VaultDoor as _};
use aether_vault::service::error::Reason;

use super::{Scene, feed};
use crate::support::vault::text;

async fn sealed(scene: &Scene, target: &SealedFor<'_>, value: &str) -> String {
    let keys = scene.door.sealing_keys().await.unwrap();
    let public: SealingPublicKey = keys[0].public_key.parse().unwrap();
    aether_vault::crypto::sealing::seal(&public, target, value.as_bytes())
        .unwrap()
        .to_string()
}

fn target<'a>(namespace: &'a str, name: &'a str, key: &'a str) -> SealedFor<'a> {
    SealedFor {
        cluster: "k8s",
        namespace,
        name,
        key,
    }
}

fn sealed_keys(pairs: &[(&str, &str)]) -> FeedContent {
    let keys = pairs
        .iter()
        .map(|(key, value)| (KeyName::parse(*key).unwrap(), (*value).to_owned()));
    FeedContent::Sealed(keys.collect())
}

#[tokio::test]
async fn sealed_values_become_the_record_and_follow_the_manifest() {
    let scene = Scene::set().await;
    let token = sealed(&scene, &target("shop", "api", "TOKEN"), "one").await;
    let user = sealed(&scene, &target("shop", "api", "USER"), "ann").await;
    let (_, written) = scene
        .door
        .feed(
            &scene.shop,
            &feed("api", sealed_keys(&[("TOKEN", &token), ("USER", &user)])),
        )
        .await
        .unwrap();
    assert!(written);
    let data = scene.data("api").await;
    assert_eq!(
        (text(&data, "TOKEN"), text(&data, "USER")),
        ("one".to_owned(), "ann".to_owned())
    );
    assert_eq!(
        scene.write("k8s/shop/api", &[("TOKEN", "mine")]).await,
        Err(Reason::ManagedByResource)
    );

    // Sealed anew, the same value is no change; a key that is taken out goes.
    let again = sealed(&scene, &target("shop", "api", "TOKEN"), "one").await;
    let same = feed("api", sealed_keys(&[("TOKEN", &again), ("USER", &user)]));
    assert!(!scene.door.feed(&scene.shop, &same).await.unwrap().1);
    let less = feed("api", sealed_keys(&[("TOKEN", &again)]));
    assert!(scene.door.feed(&scene.shop, &less).await.unwrap().1);
    assert_eq!(scene.data("api").await.len(), 1);
}

#[tokio::test]
async fn r38_a_value_sealed_for_another_place_is_refused_and_nothing_is_stored() {
    let scene = Scene::set().await;
    let good = sealed(&scene, &target("shop", "api", "GOOD"), "v").await;
    let foreign = sealed(&scene, &target("bank", "api", "TOKEN"), "v").await;
    let renamed = sealed(&scene, &target("shop", "other", "NAME"), "v").await;
    let other_cluster = SealedFor {
        cluster: "k8s-eu",
        ..target("shop", "api", "CLUSTER")
    };
    let cluster = sealed(&scene, &other_cluster, "v").await;
    let content = sealed_keys(&[
        ("GOOD", &good),
        ("TOKEN", &foreign),
        ("NAME", &renamed),
        ("CLUSTER", &cluster),
        ("MOVED", &good),
        ("CUT", &good[..good.len() - 8]),
    ]);
    let error = scene.door.feed(&scene.shop, &feed("api", content)).await.unwrap_err();
    assert_eq!(error.reason(), Reason::SealedValue);
    for key in ["TOKEN", "NAME", "CLUSTER", "MOVED", "CUT"] {
        assert!(
            error.message().contains(&format!("key '{key}'")),
            "{key}: {}",
            error.message()
        );
    }
    assert!(!error.message().contains("GOOD"), "{}", error.message());
    assert_eq!(scene.versions().await, 0);
}

#[tokio::test]
async fn after_a_new_sealing_key_the_old_still_opens_and_values_are_sealed_anew_unseen() {
    let scene = Scene::set().await;
    let replica = scene.process.replica(&scene.database).await;
    let place = target("shop", "api", "TOKEN");
    let old = sealed(&scene, &place, "secret").await;
    let before = scene.door.sealing_keys().await.unwrap();
    let public = scene.process.vault.rotate_sealing_key().await.unwrap();
    let after = scene.door.sealing_keys().await.unwrap();
    assert_eq!((after.len(), &after[0].public_key, &after[1]), (2, &public, &before[0]));

    let again = scene
        .process
        .vault
        .rewrap_sealed(&scene.admin, &place, &old)
        .await
        .unwrap();
    assert_ne!(again, old);
    let elsewhere = target("bank", "api", "TOKEN");
    let refused = scene
        .process
        .vault
        .rewrap_sealed(&scene.admin, &elsewhere, &old)
        .await
        .unwrap_err();
    assert_eq!(refused.reason(), Reason::SealedValue);
    // Another process learns of the new key from the value itself.
    let other = LocalDoor::register(replica.vault.clone(), "k8s", "cluster-1", "")
        .await
        .unwrap();
    for value in [&old, &again] {
        other
            .feed(&scene.shop, &feed("api", sealed_keys(&[("TOKEN", value)])))
            .await
            .unwrap();
        assert_eq!(text(&scene.data("api").await, "TOKEN"), "secret");
    }
    let rewraps = "SELECT count(*) FROM audit_entries WHERE action = 'sealing_key.rewrap'";
    assert_eq!(scene.database.count(rewraps).await, 2);
}
