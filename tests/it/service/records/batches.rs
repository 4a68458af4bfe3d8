//! Batches, and records that a resource feeds.

use aether_vault::domain::actor::NamespaceName;
use aether_vault::domain::record::{Expect, Patch};
use aether_vault::service::LocalDoor;
use aether_vault::service::context::ResourceOrigin;
use aether_vault::service::door::{Asker, Feed, FeedContent, VaultDoor as _};
use aether_vault::service::error::Reason;
use serde_json::json;

use super::{deny, v};
use crate::support::database::TestDatabase;
use crate::support::vault::{TestVault, path, record, text};

#[tokio::test]
async fn a_batch_authorises_and_audits_each_record_on_its_own() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    for name in ["shared/a", "shared/b"] {
        records
            .write(&admin, &path(name), &record(&[("n", name)]), Expect::Any)
            .await
            .unwrap();
    }
    deny(&process, &admin, "shared/b", "read").await;
    let asked = [
        ("shared/a", None),
        ("shared/b", None),
        ("shared/c", None),
        ("shared/a", Some(v(9))),
    ]
    .map(|(name, version)| (path(name), version));
    let answers = records.read_many(&admin, &asked).await.unwrap();
    let shown: Vec<_> = answers
        .iter()
        .map(|answer| match answer {
            Ok(read) => text(&read.data, "n"),
            Err(error) => error.reason().as_str().to_owned(),
        })
        .collect();
    assert_eq!(shown, ["shared/a", "PolicyDenied", "PathNotFound", "VersionGone"]);
    let audit = database.audit().await;
    assert_eq!(
        audit[audit.len() - 4..],
        [
            "record.read allow shared/a",
            "record.read deny PolicyDenied shared/b",
            "record.read fail PathNotFound shared/c",
            "record.read fail VersionGone shared/a",
        ]
    );
}

#[tokio::test]
async fn a_batch_sees_writes_of_another_process() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    let two = one.replica(&database).await;
    let admin = one.admin().await;
    let paths = ["shared/a", "shared/b"].map(|name| (path(name), None));
    for n in 0..10 {
        for (at, _) in &paths {
            one.vault
                .records()
                .write(&admin, at, &record(&[("n", &n.to_string())]), Expect::Any)
                .await
                .unwrap();
        }
        let answers = two.vault.records().read_many(&admin, &paths).await.unwrap();
        for answer in answers {
            assert_eq!(text(&answer.ok().unwrap().data, "n"), n.to_string());
        }
    }
}

#[tokio::test]
async fn only_the_resource_that_feeds_a_record_writes_it() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let door = LocalDoor::register(process.vault.clone(), "k8s", "cluster-1", "")
        .await
        .unwrap();
    let shop = Asker {
        namespace: NamespaceName {
            name: "shop".to_owned(),
            uid: "uid-shop".to_owned(),
            labels: std::collections::BTreeMap::new(),
        },
        resource: ResourceOrigin {
            uid: "vs-1".to_owned(),
            generation: 1,
        },
    };
    let records = process.vault.records();
    let a = path("k8s/shop/a");
    let (owner, other) = ("VaultSecret k8s/shop/a", "VaultSecret k8s/shop/b");
    let feed = |name: &str, n: &str| Feed {
        path: a.clone(),
        name: name.to_owned(),
        content: FeedContent::Import {
            data: record(&[("n", n)]),
            follow: true,
        },
        rotate_now: None,
        absent: false,
    };
    door.feed(&shop, &feed("a", "1")).await.unwrap();
    door.feed(&shop, &feed("a", "2")).await.unwrap();
    let patch = || {
        Patch::from_json(
            [("n".to_owned(), json!("3"))].into_iter().collect(),
            std::collections::BTreeMap::new(),
        )
        .unwrap()
    };
    let data = record(&[("n", "3")]);
    let refusals = [
        records.write(&admin, &a, &data, Expect::Any).await.err(),
        door.feed(&shop, &feed("b", "3")).await.err(),
        records.patch(&admin, &a, &patch(), Expect::Any).await.err(),
        records.rollback(&admin, &a, v(1), Expect::Any).await.err(),
        records.delete(&admin, &a, None).await.err(),
        records.destroy(&admin, &a, &[v(1)]).await.err(),
        records.remove(&admin, &a, None).await.err(),
        records.remove(&admin, &a, Some(other)).await.err(),
        records.purge(&admin, &a).await.err(),
        records.rename(&admin, &a, &path("k8s/shop/c")).await.err(),
    ];
    for (n, refusal) in refusals.into_iter().enumerate() {
        let error = refusal.unwrap_or_else(|| panic!("{n} was let through"));
        assert_eq!(
            (error.reason(), error.message()),
            (
                Reason::ManagedByResource,
                "VaultSecret k8s/shop/a feeds this record; change it there"
            ),
            "{n}"
        );
    }
    assert_eq!(
        records.metadata(&admin, &a).await.unwrap().row.managed_by.as_deref(),
        Some(owner)
    );
    assert!(!door.release(&shop, &a, "b").await.unwrap());
    assert!(door.release(&shop, &a, "a").await.unwrap());
    records.write(&admin, &a, &data, Expect::Any).await.unwrap();
    door.feed(&shop, &feed("b", "4")).await.unwrap();
    records.remove(&admin, &a, Some(other)).await.unwrap();
    assert_eq!(
        records.read(&admin, &a, None).await.err().unwrap().reason(),
        Reason::VersionGone
    );
}
