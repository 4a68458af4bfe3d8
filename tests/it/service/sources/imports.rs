//! Imports, and certificates of an authority.

use std::collections::BTreeMap;

use aether_vault::domain::path::PathPrefix;
use aether_vault::domain::policy::{Capability, Effect, PolicyDocument, Rule, Subject};
use aether_vault::domain::record::RecordData;
use aether_vault::service::door::{FeedContent, PolicyResource, VaultDoor as _};
use aether_vault::service::error::Reason;

use super::{HOUR, Scene, feed, generators};
use crate::support::vault::{record, text};

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
