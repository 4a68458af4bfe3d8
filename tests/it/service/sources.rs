//! Records that a resource feeds: rotation, certificates, sealed values, imports, and who may write them.

use std::collections::BTreeMap;
use std::time::Duration;

use aether_vault::domain::actor::NamespaceName;
use aether_vault::domain::path::PathPrefix;
use aether_vault::domain::policy::{Capability, Effect, PolicyDocument, Rule, Subject};
use aether_vault::domain::record::{Expect, KeyName, RecordData};
use aether_vault::domain::sealed::{SealedFor, SealingPublicKey};
use aether_vault::domain::source::{Cadence, GenerateSource, Rotation};
use aether_vault::domain::span::Span;
use aether_vault::service::LocalDoor;
use aether_vault::service::context::{OpContext, ResourceOrigin};
use aether_vault::service::door::{Asker, Feed, FeedContent, Inspection, PolicyResource, RecordRef, VaultDoor as _};
use aether_vault::service::error::Reason;

use super::remembering::row;
use crate::support::database::TestDatabase;
use crate::support::vault::{TestVault, path, record, text};

const HOUR: Duration = Duration::from_secs(3600);

/// A vault, its door, and the namespace that asks.
struct Scene {
    database: TestDatabase,
    process: TestVault,
    admin: OpContext,
    door: LocalDoor,
    shop: Asker,
}

impl Scene {
    async fn set() -> Self {
        let database = TestDatabase::new().await;
        let process = TestVault::open(&database).await;
        let admin = process.admin().await;
        let door = LocalDoor::register(process.vault.clone(), "k8s", "cluster-1", "")
            .await
            .unwrap();
        Self {
            database,
            process,
            admin,
            door,
            shop: asker("shop"),
        }
    }

    async fn data(&self, name: &str) -> RecordData {
        let at = path(&format!("k8s/shop/{name}"));
        self.process
            .vault
            .records()
            .read(&self.admin, &at, None)
            .await
            .unwrap()
            .data
    }

    async fn write(&self, name: &str, entries: &[(&str, &str)]) -> Result<(), Reason> {
        let written = self
            .process
            .vault
            .records()
            .write(&self.admin, &path(name), &record(entries), Expect::Any)
            .await;
        written.map(drop).map_err(|error| error.reason())
    }

    async fn versions(&self) -> i64 {
        self.database.count("SELECT count(*) FROM secret_versions").await
    }
}

fn asker(namespace: &str) -> Asker {
    Asker {
        namespace: NamespaceName {
            name: namespace.to_owned(),
            uid: format!("uid-{namespace}"),
            labels: BTreeMap::new(),
        },
        resource: ResourceOrigin {
            uid: "vs-1".to_owned(),
            generation: 1,
        },
    }
}

fn feed(name: &str, content: FeedContent) -> Feed {
    Feed {
        path: path(&format!("k8s/shop/{name}")),
        name: name.to_owned(),
        content,
        rotate_now: None,
        absent: false,
    }
}

fn generators(keys: &str, rotation: Option<Rotation>) -> FeedContent {
    let keys: BTreeMap<KeyName, _> = serde_json::from_str(keys).unwrap();
    let source = GenerateSource { keys, rotation };
    source.validate().unwrap();
    FeedContent::Generate(source)
}

fn every(every: &str, overlap: Option<&str>) -> Rotation {
    Rotation {
        cadence: Cadence::every(every).unwrap(),
        keys: None,
        keep_previous: true,
        overlap: overlap.map(|overlap| Span::parse(overlap).unwrap()),
    }
}

const PASSWORD: &str = r#"{"password": {"password": {}}}"#;

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

#[tokio::test]
async fn an_import_is_made_once_or_followed() {
    let scene = Scene::set().await;
    let import = |name: &str, value: &str, follow| {
        feed(
            name,
            FeedContent::Import {
                data: record(&[("k", value)]),
                follow,
            },
        )
    };
    assert!(
        scene
            .door
            .feed(&scene.shop, &import("once", "one", false))
            .await
            .unwrap()
            .1
    );
    assert!(
        !scene
            .door
            .feed(&scene.shop, &import("once", "two", false))
            .await
            .unwrap()
            .1
    );
    assert_eq!(text(&scene.data("once").await, "k"), "one");
    assert_eq!(
        scene.write("k8s/shop/once", &[("k", "mine")]).await,
        Ok(()),
        "it is everybody's"
    );

    assert!(
        scene
            .door
            .feed(&scene.shop, &import("all", "one", true))
            .await
            .unwrap()
            .1
    );
    assert!(
        scene
            .door
            .feed(&scene.shop, &import("all", "two", true))
            .await
            .unwrap()
            .1
    );
    assert!(
        !scene
            .door
            .feed(&scene.shop, &import("all", "two", true))
            .await
            .unwrap()
            .1
    );
    assert_eq!(text(&scene.data("all").await, "k"), "two");
    assert_eq!(
        scene.write("k8s/shop/all", &[("k", "mine")]).await,
        Err(Reason::ManagedByResource)
    );
}

#[tokio::test]
async fn a_certificate_of_an_authority_takes_the_right_to_read_it_and_is_renewed_before_its_end() {
    let scene = Scene::set().await;
    // An authority that only administrators may read.
    let ca = r#"{"ca": {"certificate": {"commonName": "Internal CA", "isCA": true, "duration": "365d"}}}"#;
    scene
        .door
        .feed(&scene.shop, &feed("made-ca", generators(ca, None)))
        .await
        .unwrap();
    let made = scene.data("made-ca").await;
    let (crt, key) = (text(&made, "ca.crt"), text(&made, "ca.key"));
    scene
        .write("shared/pki/ca", &[("ca.crt", &crt), ("ca.key", &key)])
        .await
        .unwrap();

    let tls =
        r#"{"tls": {"certificate": {"dnsNames": ["orders"], "duration": "30d", "issuer": {"path": "shared/pki/ca"}}}}"#;
    let tls = feed("tls", generators(tls, None));
    let error = scene.door.feed(&scene.shop, &tls).await.unwrap_err();
    assert_eq!(error.reason(), Reason::PolicyDenied);
    assert!(
        error.message().contains("the issuer 'shared/pki/ca'"),
        "{}",
        error.message()
    );

    let document = PolicyDocument {
        subjects: vec![Subject::Namespace {
            name: Some("shop".to_owned()),
            match_labels: BTreeMap::new(),
        }],
        rules: vec![Rule {
            effect: Effect::Allow,
            paths: vec!["shared/pki/ca".to_owned()],
            capabilities: vec![Capability::Read],
            conditions: None,
            unless: None,
        }],
        expires_at: None,
    };
    let policy = PolicyResource {
        uid: "p".to_owned(),
        generation: 1,
        namespace: "aether-vault-system".to_owned(),
        name: "ca".to_owned(),
        crd_uid: "crd".to_owned(),
        scope: PathPrefix::parse("").unwrap(),
        document,
    };
    scene.door.apply_policy(&policy).await.unwrap();
    let (head, written) = scene.door.feed(&scene.shop, &tls).await.unwrap();
    assert!(written && head.managed_by.is_some());
    let first = scene.data("tls").await;
    assert_eq!(text(&first, "tls.ca"), crt);
    let pair = |data: &RecordData| {
        let value = |key: &str| data.get(key).unwrap().as_bytes().to_vec();
        aether_vault::service::door::check_pair(&value("tls.crt"), &value("tls.key"))
    };
    assert_eq!(pair(&first), Ok(()));

    scene.process.clock.advance(456 * HOUR);
    assert!(!scene.door.feed(&scene.shop, &tls).await.unwrap().1);
    scene.process.clock.advance(48 * HOUR);
    assert!(
        scene.door.feed(&scene.shop, &tls).await.unwrap().1,
        "ten days before its end"
    );
    let second = scene.data("tls").await;
    assert_eq!(pair(&second), Ok(()));
    assert!(text(&second, "tls.key") != text(&first, "tls.key"));
    assert!(!scene.door.feed(&scene.shop, &tls).await.unwrap().1);
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
