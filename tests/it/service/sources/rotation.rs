//! Generated records: rotation, wishes, and who may write them.

use aether_vault::service::LocalDoor;
use aether_vault::service::door::{Inspection, RecordRef, VaultDoor as _};
use aether_vault::service::error::Reason;

use super::{HOUR, PASSWORD, Scene, every, feed, generators};
use crate::service::remembering::row;
use crate::support::vault::{path, text};

#[tokio::test]
async fn a_rotation_keeps_the_old_value_through_the_overlap_and_missed_times_count_once() {
    let scene = Scene::set().await;
    let feed = feed("db", generators(PASSWORD, Some(every("24h", Some("2h")))));
    let (made, written) = scene.door.feed(&scene.shop, &feed).await.unwrap();
    assert!(written && made.version.number() == 1);
    let first = text(&scene.data("db").await, "password");

    scene.process.clock.advance(23 * HOUR);
    assert!(
        !scene.door.feed(&scene.shop, &feed).await.unwrap().1,
        "not before its time"
    );
    // Three days of sleep: three times were missed.
    scene.process.clock.advance(73 * HOUR);
    let (head, written) = scene.door.feed(&scene.shop, &feed).await.unwrap();
    assert!(written && head.version.number() == 2);
    let data = scene.data("db").await;
    let second = text(&data, "password");
    assert_ne!(first, second);
    assert_eq!(text(&data, "password_previous"), first);
    assert!(
        !scene.door.feed(&scene.shop, &feed).await.unwrap().1,
        "once, however many were missed"
    );

    scene.process.clock.advance(2 * HOUR);
    assert!(scene.door.feed(&scene.shop, &feed).await.unwrap().1);
    let data = scene.data("db").await;
    assert_eq!(
        (text(&data, "password"), data.len()),
        (second, 1),
        "the old value is gone, the new one untouched"
    );
    let rotations = "SELECT count(*) FROM audit_entries WHERE action = 'record.rotate' AND decision = 'allow'";
    assert_eq!(scene.database.count(rotations).await, 2);
}

#[tokio::test]
async fn two_controllers_rotate_once() {
    let scene = Scene::set().await;
    let feed = feed("db", generators(PASSWORD, Some(every("1h", None))));
    scene.door.feed(&scene.shop, &feed).await.unwrap();
    let replica = scene.process.replica(&scene.database).await;
    let other = LocalDoor::register(replica.vault.clone(), "k8s", "cluster-1", "")
        .await
        .unwrap();
    for round in 1..=5 {
        scene.process.clock.advance(2 * HOUR);
        replica.clock.advance(2 * HOUR);
        let (one, two) = tokio::join!(scene.door.feed(&scene.shop, &feed), other.feed(&scene.shop, &feed));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!(u8::from(one.1) + u8::from(two.1), 1, "round {round}: one of them wrote");
        assert_eq!(scene.versions().await, 1 + round);
    }
}

#[tokio::test]
async fn a_wish_is_carried_out_once() {
    let scene = Scene::set().await;
    let mut feed = feed("db", generators(PASSWORD, None));
    feed.rotate_now = Some("first".to_owned());
    scene.door.feed(&scene.shop, &feed).await.unwrap();
    assert!(
        !scene.door.feed(&scene.shop, &feed).await.unwrap().1,
        "what was just made is as good as rotated"
    );
    feed.rotate_now = Some("second".to_owned());
    assert!(scene.door.feed(&scene.shop, &feed).await.unwrap().1);
    assert!(!scene.door.feed(&scene.shop, &feed).await.unwrap().1);
    feed.rotate_now = None;
    assert!(!scene.door.feed(&scene.shop, &feed).await.unwrap().1);
    assert_eq!(scene.versions().await, 2);
}

#[tokio::test]
async fn a_record_that_is_rotated_is_written_by_its_resource_alone_until_that_goes() {
    let scene = Scene::set().await;
    let plain = feed("db", generators(PASSWORD, None));
    scene.door.feed(&scene.shop, &plain).await.unwrap();
    assert_eq!(scene.write("k8s/shop/db", &[("password", "mine")]).await, Ok(()));

    let rotated = feed("db", generators(PASSWORD, Some(every("1h", None))));
    let (head, written) = scene.door.feed(&scene.shop, &rotated).await.unwrap();
    assert!(!written, "its values stay");
    assert_eq!(head.managed_by.as_deref(), Some("VaultSecret k8s/shop/db"));
    assert_eq!(
        scene.write("k8s/shop/db", &[("password", "mine")]).await,
        Err(Reason::ManagedByResource)
    );
    assert_eq!(text(&scene.data("db").await, "password"), "mine");

    let mut intruder = feed("other", generators(PASSWORD, None));
    intruder.path = path("k8s/shop/db");
    let error = scene.door.feed(&scene.shop, &intruder).await.unwrap_err();
    assert_eq!(error.reason(), Reason::ManagedByResource);
    assert!(
        error.message().starts_with("VaultSecret k8s/shop/db feeds"),
        "{}",
        error.message()
    );
    assert!(
        !scene
            .door
            .release(&scene.shop, &path("k8s/shop/db"), "other")
            .await
            .unwrap()
    );

    // The resource goes: what it fed is everybody's again.
    let row = row("vs-1", 1);
    assert!(scene.door.remember(&row).await.unwrap());
    scene.door.forget(&row, true).await.unwrap();
    assert_eq!(scene.write("k8s/shop/db", &[("password", "again")]).await, Ok(()));
}

#[tokio::test]
async fn the_head_tells_who_feeds_a_record_and_what_was_done() {
    let scene = Scene::set().await;
    let rotated = feed("db", generators(PASSWORD, Some(every("1h", None))));
    let (fed, _) = scene.door.feed(&scene.shop, &rotated).await.unwrap();
    let reference = RecordRef {
        path: path("k8s/shop/db"),
        version: None,
    };
    let asks = [(scene.shop.clone(), vec![reference])];
    let inspected = scene.door.inspect(&asks).await.unwrap().remove(0).unwrap().remove(0);
    assert_eq!(inspected, Inspection::Present(fed.clone()));
    assert!(fed.source.unwrap().rotated_at.is_some());
}

#[tokio::test]
async fn keys_that_are_there_are_never_made_again_whatever_the_generator() {
    let scene = Scene::set().await;
    scene
        .write("k8s/shop/keys", &[("ssh", "mine"), ("pair", "mine too")])
        .await
        .unwrap();
    let keys = r#"{"ssh": {"sshKey": {}}, "pair": {"keyPair": {}}, "new": {"sshKey": {"comment": "deploy"}}}"#;
    assert!(
        scene
            .door
            .feed(&scene.shop, &feed("keys", generators(keys, None)))
            .await
            .unwrap()
            .1
    );
    let data = scene.data("keys").await;
    assert_eq!(
        (text(&data, "ssh"), text(&data, "pair")),
        ("mine".to_owned(), "mine too".to_owned())
    );
    assert!(text(&data, "new.pub").ends_with(" deploy\n"));
    assert_eq!(data.len(), 4);

    scene.write("k8s/shop/half", &[("ssh.pub", "public")]).await.unwrap();
    let half = feed("half", generators(r#"{"ssh": {"sshKey": {}}}"#, None));
    let error = scene.door.feed(&scene.shop, &half).await.unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidRequest);
    assert!(
        error.message().contains("'ssh.pub' but not 'ssh'"),
        "{}",
        error.message()
    );
}
